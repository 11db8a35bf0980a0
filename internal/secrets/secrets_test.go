package secrets

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// All secrets here are made up.

func TestNames(t *testing.T) {
	for name, want := range map[string]Kind{
		"password": Password, "db_password": Password, "DB-PASSWD": Password, "mysqlPwd": Password, "pass": Password, "db_pass": Password, "数据库密码": Password, "登录口令": Password,
		"X-Api-Key": Key, "fs.s3a.access.key": Key, "accessKeyId": Key, "fs.oss.accessKeySecret": Key,
		"client secret": Token, "secretId": Token, "token": Token, "access_token": Token, "X-Token": Token, "headers[token]": Token, "ssh.private.key": Token,
		"ak": Short, "SK": Short, "cos.ak": Short, "cos_sk": Short,

		"page_token": None, "nextPageToken": None, "csrf-token": None, "insert_deduplication_token": None, "max_token": None, "tokenType": None, "max_tokens": None,
		"name": None, "password_hash": None, "bypass": None, "task": None, "disk": None, "d": None, "": None, "---": None, "key": None, "密码提示": None,
		strings.Repeat("a", 100) + "password": None,
	} {
		require.Equal(t, want, Of(name), name)
	}
}

func TestValues(t *testing.T) {
	for _, value := range []string{"hunter2!", "9f2c77ab41", "dXNlcjpwYXNz", "Sum3er-Rain", "'Sum3erRain'", "root", "123456", "Passw0rd!", " S3cret! "} {
		require.True(t, Plain(value), value)
	}
	for _, value := range []string{
		"", "  ", "ab", "${pw}", "x${pw}", "#{pw}", "{{ pw }}", "x{{a}}", "{% pw %}", "$(cat f1)", "$PW", "$1", ":pw", "@pw", "%PW%", "?", "<password>", "a<b>c",
		"******", "xxxx", "xxxxxxxx1", "ab***yz", "....", "abc...", "password", "PASSWORD", "changeme", "n/a", "null", "your-password", "my_password1", "example1", "-",
		"ENC(G6N718UuyPE5bHyWKyuLQSm02auQPUtm)", "vault:secret/db#1", "/etc/secret1", "./pw1", "https://vault/x", "请联系管理员", "see the wiki1", "db_password", "two\nlines",
		"md55f4dcc3b5aa765d61d8327deb882cf99", "SCRAM-SHA-256$4096:a$b:c", strings.Repeat("a1", 4000),
	} {
		require.False(t, Plain(value), value)
	}
	digest := "5f4dcc3b5aa765d61d8327deb882cf99"
	require.False(t, Password.Holds(digest), "the digest of a password")
	require.True(t, Key.Holds(digest), "keys look like digests")
	require.False(t, Short.Holds("customer_id1"))
	require.True(t, Short.Holds("z8krbsJ5yKBZQpn74WFk"))
	require.False(t, None.Holds("hunter2!"))
}

func TestTexts(t *testing.T) {
	const any = Syntax(255)
	for _, c := range []struct {
		syntax Syntax
		text   string
		want   string // what is found, apart by blanks
	}{
		{any, `jdbc:mysql://h:3306/d?user=u&password=Sum3erRain&ssl=1`, "Sum3erRain"},
		{any, `jdbc:oracle:thin:@h:1521:x;password=Sum3erRain`, "Sum3erRain"},
		{any, `redis://u:Sum3erRain@h:1/0`, "Sum3erRain"},
		{any, `https://h/robot/send?access_token=9f2c77ab41de`, "9f2c77ab41de"},
		{any, `http://h/list?page_token=9f2c77ab41de`, ""},
		{any, `http://u:${pw}@h/x https://u@h/x http://h:8080/a@b`, ""},
		{any, `key AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA.`, "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"},
		{any, `'LTAI5tQnKxyz8VbQw3mZ' AKIAABCDEFGHIJKLMNOP;`, "LTAI5tQnKxyz8VbQw3mZ AKIAABCDEFGHIJKLMNOP"},
		{any, `xAKIAABCDEFGHIJKLMNOP AKIA AKIAIOSFODNN7EXAMPLE AKIDxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx1`, ""},
		{any, "ghp_" + strings.Repeat("a1", 18) + " ghp_short", "ghp_" + strings.Repeat("a1", 18)},
		{any, "---------\n-----BEGIN PRIVATE KEY-----\nMIIE", "-----BEGIN PRIVATE KEY-----"},

		{SQL, `OPTIONS ('password' = 'Sum3erRain')`, "Sum3erRain"},
		{SQL, `SELECT * FROM u WHERE password = 'Sum3erRain'`, ""},
		{Forms, `OPTIONS ('password' = 'Sum3erRain')`, ""},
		{Code, `{"password": "Sum3erRain", "n": 1, "db_pwd" : 'Aut7mn'}`, "Sum3erRain Aut7mn"},
		{Code, `x = {\"secretKey\": \"Sum3erRain\"}`, "Sum3erRain"},
		{Code, `password := "Sum3erRain"; 'token' => 'Sum3erRain'`, "Sum3erRain Sum3erRain"},
		{Code, `if password == "Sum3erRain": password = args.password1`, ""},
		{Code, `run --password=Sum3erRain --conf a.password=Sum3erRain`, "Sum3erRain Sum3erRain"},

		{Shell, `export MYSQL_PWD=Sum3erRain PASSWORD=123456 token=3`, "Sum3erRain 123456"},
		{Shell, `password: Sum3erRain`, "Sum3erRain"},
		{Shell, `PASSWORD=secretname; pwd=/opt/etl; PASSWORD=; PASSWORD=$1`, ""},
		{Shell, `mysql -uroot -pS3cret! -e 'x'`, "S3cret!"},
		{Shell, "mysql -h db \\\n  -p'S3 cret' -pS3cret!", "S3cret!"},
		{Shell, "mysql -h db\ngrep -pS3cret! | mysql -P3306 -p -e", ""},
		{Shell, `beeline -u jdbc:hive2://a -n etl -p S3cret!`, "S3cret!"},
		{Shell, `sqlplus -s etl/S3cret!@db @load.sql; sqlplus /nolog @/x/y1`, "S3cret!"},
		{Shell, `curl -u etl:S3cret! http://a; curl --user "etl:S3cret!" b; curl -u etl:${PW} c`, "S3cret! S3cret!"},
		{Shell, `sqoop --password S3cret! --token "S3cret!"; sqoop --password-file /x/y1 --password --verbose1`, "S3cret! S3cret!"},
		{Shell, `echo "use --password for this"`, ""},
	} {
		syntaxes := []Syntax{c.syntax}
		if c.syntax == any {
			syntaxes = []Syntax{Forms, SQL, Code, Shell}
		}
		for _, syntax := range syntaxes {
			var found []string
			for f := range In(c.text, syntax) {
				found = append(found, c.text[f.Start:f.End])
			}
			require.Equal(t, c.want, strings.Join(found, " "), "%d %s", syntax, c.text)
			require.Equal(t, c.want != "", Holds(c.text, syntax))
		}
	}
}

func TestWhatIsFoundIsToldApart(t *testing.T) {
	text := `redis://u:Sum3erRain@h AKIAABCDEFGHIJKLMNOP "token": "Sum3erRain" PMAK-` + strings.Repeat("a", 40)
	found := slices.Collect(In(text, Code))
	require.Len(t, found, 4)
	require.Equal(t, []What{InURL, AccessKey, Named, ByForm}, []What{found[0].What, found[1].What, found[2].What, found[3].What})
	require.Equal(t, "AWS", found[1].Vendor)
	require.Equal(t, "Postman", found[3].Vendor)
}

func TestMasked(t *testing.T) {
	for text, want := range map[string]string{
		"password=Pw@12345, user=etl":                                       "password=***, user=etl",
		`{"password": "Pw 123,45", "user": "etl"}`:                          `{"password": "***", "user": "etl"}`,
		`{\"db_pwd\": \"Pw12345\", "token": "abc"}`:                         `{\"db_pwd\": \"***\", "token": "***"}`,
		`password == "Pw12345" 'secret' => 'x'`:                             `password == "***" 'secret' => '***'`,
		`password = "Pw1 and the rest is cut o…`:                            `password = "***`,
		"login[password]=Pw1&page_token=3&token=abc":                        "login[password]=***&page_token=3&token=***",
		"密码：Pw12345；登录口令: 春天":                                               "密码：***；登录口令: ***",
		"jdbc:mysql://etl:P@w:1@db:3306/x?password=Pw1&a=b":                 "jdbc:mysql://etl:***@db:3306/x?password=***&a=b",
		"http://localhost:8080/a@b http://etl@db/":                          "http://localhost:8080/a@b http://etl@db/",
		"redis://:Pw1@h amqp://a:b@h":                                       "redis://:***@h amqp://a:***@h",
		"authorization: bearer eyJhbGciOiJIUzI1NiJ9.e30.a":                  "authorization: bearer ***",
		"Authorization: Basic ZXRsOlB3MTIzNDU=":                             "Authorization: Basic ***",
		"Basic authentication with a bearer token":                          "Basic authentication with a bearer token",
		"AKIAABCDEFGHIJKLMNOP is refused":                                   "*** is refused",
		"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nend": "***\nend",
		"-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG":                 "***",
		"mysql -uroot -pS3cret! -e x; run --password S3cret! y":             "mysql -uroot -p*** -e x; run --password *** y",
		"Unexpected token: x1 (pass: 12, fail: 3, ak: me)":                  "Unexpected token: x1 (pass: 12, fail: 3, ak: me)",
		"token: eyJhbGciOiJIUzI1NiJ9":                                       "token: ***",
		"pass=Sum3erRain sk=z8krbsJ5yKBZQpn74WFk":                           "pass=*** sk=***",
		"password=": "password=",
		"":          "",
	} {
		require.Equal(t, want, Masked(text))
		require.Equal(t, want, Masked(want), "what is masked stays as it is")
	}
}

func FuzzMasked(f *testing.F) {
	for _, s := range []string{"password=x y", `{"secret": "a`, "a://b:c@d", "密码：a；b", "Bearer 0123456789abcdef", "-----BEGIN PRIVATE KEY-----a-----END", `\"token\": \"a\"`, "--pwd a1b2c3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		masked := Masked(text)
		require.True(t, utf8.ValidString(masked) || !utf8.ValidString(text), "no letter is cut in two")
		for part := range strings.SplitSeq(masked, mask) {
			require.Contains(t, text, part, "nothing is said that the text does not")
		}
	})
}

func FuzzIn(f *testing.F) {
	for _, s := range []string{
		`password="S3cret!" a.b.secret=x1 --token x1y2`, "jdbc:mysql://u:p1x@h?password=p1x", "mysql -h h -pS3cret!\nsqlplus a/b1c@d;curl -u 'a:b1c'", "-----BEGIN PRIVATE KEY-----",
		`{\"password\": \"x1y\"}`, "LTAI5tQnKxyz8VbQw3mZ", "密码: S3cret!", "password:=", "pwd='", "--pwd '", "://", "sqlplus '/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		Of(text)
		Plain(text)
		for _, syntax := range []Syntax{Forms, SQL, Code, Shell} {
			last := 0
			for found := range In(text, syntax) {
				require.GreaterOrEqual(t, found.Start, last, "in order, and nothing twice")
				require.Greater(t, found.End, found.Start)
				require.LessOrEqual(t, found.End, len(text))
				last = found.End
			}
		}
	})
}

func BenchmarkMasked(b *testing.B) {
	for name, line := range map[string]string{
		"words": "expected <3> but was <4> at com.example.OrderTest.adds(OrderTest.java:12)\n",
		"signs": "token: ak=::'=\"://a:", "secrets": "password=x1 https://a:b@c/ ",
	} {
		text := strings.Repeat(line, 1000)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Masked(text)
			}
		})
	}
}

func BenchmarkIn(b *testing.B) {
	text := strings.Repeat("INSERT INTO t SELECT a, 'x: y' AS b FROM s WHERE dt = '2026-01-01'; -- LTA g\n", 1000)
	for name, syntax := range map[string]Syntax{"forms": Forms, "sql": SQL, "shell": Shell} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Holds(text, syntax)
			}
		})
	}
}
