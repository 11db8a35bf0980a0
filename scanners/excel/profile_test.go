package excel

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/strictyaml"
	"github.com/factgate/factgate/scanners"
)

func configured(t *testing.T, text string) (*scanner, error) {
	t.Helper()
	s, ok := New(Config{}).(*scanner)
	require.True(t, ok)
	settings, err := scanners.ParseSettings(text)
	require.NoError(t, err, text)
	with, err := s.Configure(settings)
	if err != nil {
		return nil, err
	}
	s, ok = with.(*scanner)
	require.True(t, ok)
	return s, nil
}

// The example in docs/scanners.md is a whole profile, and it works.
func TestTheProfileInTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/scanners.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "<!-- the profile of a test -->\n```yaml\n")
	require.True(t, found)
	example, _, found := strings.Cut(after, "```")
	require.True(t, found)
	var keys, known map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(example), &keys))
	require.NoError(t, yaml.Unmarshal(defaultProfile, &known))
	for key := range known {
		require.Contains(t, keys, key, "the example shows every key")
	}
	for key := range keys {
		require.Contains(t, known, key)
	}
	s, err := configured(t, example)
	require.NoError(t, err)
	require.Equal(t, fieldJob, s.template.byHeader[normaliseHeader("* 节点 名")])
	require.NotEqual(t, New(Config{}).Describe().ConfigDigest, s.Describe().ConfigDigest)
	require.Equal(t, New(Config{}).Describe().RulesDigest, s.Describe().RulesDigest)
}

func TestSettingsAreLaidOverTheDefault(t *testing.T) {
	s, err := configured(t, "columns: {owner: [经办人]}\nranges: {retry: [0, 3]}\nowners: {pattern: '[a-z]+'}")
	require.NoError(t, err)
	p := newProfile()
	require.Equal(t, p.Columns["jobName"], s.template.Columns["jobName"])
	require.Equal(t, []string{"经办人"}, s.template.Columns["owner"])
	require.Equal(t, []int{0, 3}, s.template.Ranges["retry"])
	require.Equal(t, p.Ranges["priority"], s.template.Ranges["priority"])
	require.True(t, s.template.ownerAllowed("ann"))
	require.False(t, s.template.ownerAllowed("ann1"))

	same, err := configured(t, "{}")
	require.NoError(t, err)
	require.Equal(t, New(Config{}).Describe(), same.Describe())
	require.Equal(t, p.Columns, newProfile().Columns, "nobody's default has changed")
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	for settings, want := range map[string]string{
		"columns: {jobname: [a]}":                           "line 1, column 20: columns: jobname: there is no such column; there are jobName",
		"columns: {jobName: []}":                            "columns: jobName: at least one header",
		"columns: {owner: [命令]}":                            `columns: owner: the header "命令" already stands for command`,
		"columns: {owner: ['（x）']}":                         "says nothing",
		"required: [[]]":                                    "required: entry 1 is empty",
		"required: [[nobody]]":                              "required: nobody: there is no such column",
		"cycles: {fortnight: [f]}":                          "cycles: fortnight: there is no such cycle; there are minute",
		"booleans: {maybe: [m]}":                            "booleans: maybe: there is no such value",
		"ranges: {age: [1, 2]}":                             "ranges: age: there is no such range",
		"ranges: {retry: [3, 1]}":                           "ranges: retry: two numbers",
		"jobTypes: {sql: {scripts: [sql]}}":                 `jobTypes: sql: scripts: "sql" is no ending`,
		"names: {longest: 0}":                               "names: longest",
		"retryMost: -1":                                     "retryMost",
		"owners: {pattern: '('}":                            "owners: pattern",
		"retryMost: many":                                   "here must be a whole number",
		"colums: {}":                                        "colums",
		"names: {longest: 0}\nscripts:\n  inPackage: maybe": "line 3, column 14: scripts: inPackage: one of auto",
	} {
		_, err := configured(t, settings)
		var placed *strictyaml.Error
		require.ErrorAs(t, err, &placed, settings)
		require.Contains(t, placed.Text().En, want)
		require.Contains(t, placed.Text().Zh, "行")
	}
}

func TestDistance(t *testing.T) {
	for pair, want := range map[string]int{
		"失败重试次数|失败重式次数": 1, "abcd|abdc": 1, "abcd|abcde": 1, "abcd|abc": 1, "abcd|abcd": 0, "abcd|dcba": 3, "ab|abcdef": 3,
	} {
		a, b, _ := strings.Cut(pair, "|")
		require.Equal(t, want, distance(a, b, 2), pair)
	}
}

func TestWholeNumber(t *testing.T) {
	for s, want := range map[string]int{"3": 3, "3.0": 3, "-1": -1, "1E2": 100} {
		n, ok := wholeNumber(s)
		require.True(t, ok, s)
		require.Equal(t, want, n)
	}
	for _, s := range []string{"", "3次", "1.5", "1e99", "NaN", "Inf", "0x10"} {
		_, ok := wholeNumber(s)
		require.False(t, ok, s)
	}
}

func TestSecretsInCommands(t *testing.T) {
	for command, want := range map[string]bool{
		"mysql -uroot -pS3cret! -e 'x'":                              true,
		"mysql -h db -P3306 -uroot -p -e 'x'":                        false,
		"mysql -uroot -p${PW}":                                       false,
		"beeline -u jdbc:hive2://a -n etl -p S3cret!":                true,
		"sqlplus etl/S3cret!@db @load.sql":                           true,
		"sqlplus /nolog @load.sql":                                   false,
		"sqlplus etl/$PW@db":                                         false,
		"curl -u etl:S3cret! http://a":                               true,
		"curl --user etl:${PW} http://a":                             false,
		"spark-submit --conf spark.password=S3cret! a.jar":           true,
		"sqoop --password S3cret!":                                   true,
		"sqoop --password-file /x/y":                                 false,
		"sqoop --password-alias etl.pw":                              false,
		"jdbc:mysql://db/x?user=a&password=S3cret!":                  true,
		"ftp://etl:S3cret!@host/x":                                   true,
		"http://host:8080/a@b":                                       false,
		"export AK=AKIAIOSFODNN7EXAMPLE":                             true,
		"password: 请联系管理员":                                           false,
		"password=******":                                            false,
		"sh run.sh --token-file=/x":                                  false,
		"select password from t":                                     false,
		"cd $PWD; pwd=/opt/etl":                                      false,
		"password=\"S3 cret\"":                                       false, // in doubt: words
		"{\"password\":\"S3cret!\"}":                                 true,
		"sh run.sh ${date}":                                          false,
		strings.Repeat("mysql -p ", 10_000) + strings.Repeat("x", 9): false,
	} {
		require.Equal(t, want, commandSecret(command), "%.80s", command)
	}
}
