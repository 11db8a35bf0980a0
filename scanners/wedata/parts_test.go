package wedata

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

func decode(t testing.TB, source string) *node {
	t.Helper()
	root, err := decodeJSON(t.Context(), source, &budget{documentNodes, packageNodes})
	require.NoError(t, err)
	return root
}

func TestPlacesAreThoseOfValues(t *testing.T) {
	const source = "{\r\n  \"名称\": \"中文\",\t\"b\" : [1, {\"Task_Id\":null}],\n\"c\":\n   true}"
	root := decode(t, source)
	for pointer, want := range map[string]string{
		"": "1:1 object", "/名称": "2:9 text 中文", "/b": "2:21 array", "/b/0": "2:22 number 1",
		"/b/1": "2:25 object", "/b/1/Task_Id": "2:36 null", "/c": "4:4 boolean true",
	} {
		n := root
		for _, step := range strings.Split(pointer, "/")[1:] {
			i := slices.IndexFunc(n.children, func(c *node) bool { return c.key == step || n.kind == array && decimal(c.index) == step })
			n = n.children[i]
		}
		require.Equal(t, pointer, n.pointer())
		kinds := []string{"null", "text", "number", "boolean", "object", "array"}
		require.Equal(t, want, strings.TrimSpace(fmt.Sprintf("%d:%d %s %s", n.line, n.col, kinds[n.kind], n.value)), pointer)
	}
	require.Equal(t, root.children[1].children[1].children[0], root.get("b").children[1].get("taskid"))
	require.Equal(t, "/b/*/Task_Id", root.get("b").children[1].get("taskid").anchorWithin(root))
	require.Equal(t, "/a~1b~0c", decode(t, `{"a/b~c": 1}`).children[0].pointer())
}

func TestBrokenJSONSaysWhere(t *testing.T) {
	for source, want := range map[string]string{
		"":                      "1:1",
		"{\"a\": 1":             "1:8",
		"{\"a\": 1,\n \"b\" 2}": "2:6",
		"[1,]":                  "1:4",
		"{} {}":                 "1:4",
		"[1] x":                 "1:5",
		"{\"a\": tru}":          "1:7",
		"]":                     "1:1",
		"{1: 2}":                "1:2",
	} {
		_, err := decodeJSON(t.Context(), source, &budget{100, 100})
		var fault *syntaxError
		require.ErrorAs(t, err, &fault, source)
		require.Equal(t, want, fmt.Sprintf("%d:%d", fault.line, fault.col), source)
		require.NotEmpty(t, fault.what.Zh)
	}
}

func TestLimitsOfDocuments(t *testing.T) {
	var over *limitError
	_, err := decodeJSON(t.Context(), strings.Repeat("[", maxDepth+1)+strings.Repeat("]", maxDepth+1), &budget{1000, 1000})
	require.ErrorAs(t, err, &over)
	_, err = decodeJSON(t.Context(), "["+strings.Repeat("0,", 200)+"0]", &budget{100, 1000})
	require.ErrorAs(t, err, &over)
	_, err = decodeYAML(strings.Repeat("[", maxDepth+2)+strings.Repeat("]", maxDepth+2), &budget{1000, 1000})
	require.ErrorAs(t, err, &over)
	_, err = decodeYAML(strings.Repeat("--- 1\n", 30), &budget{1000, 1000})
	require.ErrorAs(t, err, &over)

	// Nine times nine times … is a billion, of which only so many are made.
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i <= 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	limit := budget{10_000, 10_000}
	_, err = decodeYAML(bomb, &limit)
	require.ErrorAs(t, err, &over)
	require.GreaterOrEqual(t, limit.all, -maxDepth, "it stopped at once")
	_, err = decodeYAML("a: &a\n  b: *a\n", &budget{1000, 1000})
	require.Error(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = decodeJSON(ctx, "[1]", &budget{1000, 1000})
	require.ErrorIs(t, err, context.Canceled)
}

func TestYAMLMergesAreWeaker(t *testing.T) {
	documents, err := decodeYAML("base: &base {a: 1, b: 2}\nx:\n  <<: *base\n  b: 3\n  c: 2026-01-01\n  d: ~\n", &budget{1000, 1000})
	require.NoError(t, err)
	x := documents[0].get("x")
	require.Equal(t, "1", x.get("a").text())
	require.Equal(t, "3", x.get("b").text())
	require.Equal(t, "/x/a", x.get("a").pointer())
	require.Equal(t, "2026-01-01", x.get("c").text())
	require.Equal(t, null, x.get("d").kind)
	require.EqualValues(t, 5, x.get("c").line)
	require.EqualValues(t, 6, x.get("c").col)
}

func TestValuesWhateverTheirType(t *testing.T) {
	for source, want := range map[string]int{`3`: 3, `"3"`: 3, `3.0`: 3, `" -1 "`: -1, `"007"`: 7} {
		n, ok := decode(t, source).whole()
		require.True(t, ok, source)
		require.Equal(t, want, n)
	}
	for _, source := range []string{`null`, `""`, `"x"`, `3.5`, `[]`, `true`, `"1e3"`, `"99999999999999999999"`, `"-"`} {
		_, ok := decode(t, source).whole()
		require.False(t, ok, source)
	}
	var none *node
	require.Empty(t, none.get("a").text())
	require.Empty(t, none.list())
}

func TestShapesAreToldByKeys(t *testing.T) {
	for source, want := range map[string]bool{
		`{"TaskBaseAttribute": {}, "taskConfiguration": {}}`:                                           true,
		`{"triggerTaskBaseAttribute": {}, "TriggerTaskSchedulerConfiguration": {}}`:                    true,
		`{"Response": {"Data": {"Items": [{"TaskBaseAttribute": {}, "TaskConfiguration": {}}]}}}`:      true,
		`{"a":{"b":{"c":{"d":{"e":{"f":{"TaskBaseAttribute": {}, "TaskConfiguration": {}}}}}}}}`:       true,
		`{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"TaskBaseAttribute": {}, "TaskConfiguration": {}}}}}}}}}`: false,
		`{"workflowname": "x", "WORKFLOWPARAMS": []}`:                                                  true,
		`{"WorkflowName": "x"}`:                                                   false,
		`{"TaskBaseAttribute": {}}`:                                               false,
		`{"workflowId": 1, "tasks": [{"taskId": 1}], "links": []}`:                true,
		`{"workflowId": 1, "tasks": [], "links": [{"TaskFrom": 1, "TaskTo": 2}]}`: true,
		`{"workflowId": 1, "tasks": [{"name": "draw"}], "links": []}`:             false,
		`{"workflowId": 1, "tasks": ["x"], "links": []}`:                          false,
		`{"tasks": [{"taskId": 1}], "links": []}`:                                 false,
		`{"workflow": {}, "tasks": [{"taskId": 1}], "links": []}`:                 false,
		`[{"processDefinition": {}, "processTaskRelationList": []}]`:              true,
		`{"workflowDefinition": {}, "workflowTaskRelationList": []}`:              true,
		`{"processDefinition": "x", "processTaskRelationList": []}`:               false,
		`"TaskBaseAttribute TaskConfiguration"`:                                   false,
		`[]`:                                                                      false,
	} {
		d := &delivery{loose: map[string]*flow{}, projectParams: map[string]bool{}, limit: budget{1000, 1000}}
		found := d.find(t.Context(), &document{shape: apiShape}, decode(t, source), nil, 0)
		require.Equal(t, want, found, source)
		if shape, _ := marks(asciiLower(source)); found {
			require.NotZero(t, shape, "what is found has its marks: %s", source)
		}
	}
}

func TestTimeParameters(t *testing.T) {
	for _, s := range []string{"yyyyMMdd", "yyyyMMdd-1d", "yyyy-MM-dd", "yyyy-MM-dd HH:mm:ss-1/24", "yyyyMM-1M", "yyyyMMdd+ME", "yyyyMMddHH-1h",
		"HH", "yyyy", "timestamp", "timestamp_ms", "timestamp-1d", "yyyyMMdd-7*1d", "yyyy/MM/dd", "yyyyMMdd,-1d", "yyyy-MM-dd'T'HH:mm"} {
		require.True(t, timeParameter(s), s)
	}
	for _, s := range []string{"", "region", "day", "dt", "bizdate", "yyyyMMdd_x", "my_dd", "user", "date", "timestamps", "h"} {
		require.False(t, timeParameter(s), s)
	}
}

func TestLineage(t *testing.T) {
	for source, want := range map[string]string{
		"INSERT INTO a.b SELECT 1 FROM c":                                            "w a.b r c",
		"insert overwrite table `a`.`B` partition(dt='1') select * from C as x":      "w a.b r c",
		"INSERT OVERWRITE DIRECTORY '/x' SELECT 1 FROM c":                            "w r c",
		"CREATE TABLE IF NOT EXISTS a STORED AS ORC AS SELECT 1 FROM c, d x, e":      "w a r c d e",
		"CREATE TABLE a (x int) COMMENT 'as select'":                                 "w r",
		"CREATE TEMPORARY TABLE t AS SELECT 1 FROM c; INSERT INTO a SELECT 1 FROM t": "w a r c",
		"CREATE VIEW v AS SELECT 1 FROM c":                                           "w r c",
		"MERGE INTO a USING b ON a.x = b.x":                                          "w a r b",
		"WITH x AS (SELECT 1 FROM c), y AS (SELECT 2 FROM x) SELECT 1 FROM y":        "w r c",
		"FROM c INSERT INTO a SELECT 1":                                              "w a r c",
		"SELECT 1 FROM (SELECT 1 FROM c) t JOIN LATERAL VIEW x":                      "w r c",
		"SELECT 1 FROM c LATERAL VIEW explode(d) e AS f":                             "w r c",
		"SELECT trim(BOTH FROM x), extract(day from y) FROM c":                       "w r c",
		"SELECT a IS DISTINCT FROM b FROM c":                                         "w r c",
		"DELETE FROM c WHERE 1=1":                                                    "w r",
		"SELECT 1 FROM unnest(x) u JOIN range(1)":                                    "w r",
		"SELECT 1 FROM ${db}.t JOIN ods_${x} JOIN ${db}_x.t JOIN {{ ref('z') }}":     "w r",
		"SELECT 'FROM a' -- FROM b\n/* FROM d */ FROM c":                             "w r c",
		"SELECT \"it's\" FROM c; SELECT 'x;y' FROM d":                                "w r c d",
		"SELECT 1 FROM a.b.c.d":                                                      "w r",
		"SELECT 1 FROM":                                                              "w r",
		"INSERT INTO":                                                                "w r",
		"FROM ,":                                                                     "w r",
	} {
		found := lineage(source)
		words := []string{"w"}
		words = append(words, found.written()...)
		words = append(words, "r")
		var reads []string
		for table := range found.reads {
			reads = append(reads, table)
		}
		slices.Sort(reads)
		require.Equal(t, want, strings.Join(append(words, reads...), " "), source)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"resources/*/*.yml", "resources/task/a.yml", true},
		{"resources/*/*.yml", "resources/a.yml", false},
		{"resources/*/*.yml", "resources/a/b/c.yml", false},
		{"./resources/**/*.yml", "resources/a/b/c.yml", true},
		{"resources/**/*.yml", "resources/c.yml", true},
		{"resources/**", "resources/a/b", true},
		{"**", "a/b", true},
		{"a.yml", "a.yml", true},
		{"a.yml", "b/a.yml", false},
		{"[", "[", false},
		{strings.Repeat("**/", 60) + "x", strings.Repeat("a/", 60) + "y", false},
	} {
		require.Equal(t, c.want, matches(c.pattern, c.path), "%s %s", c.pattern, c.path)
	}
}

func TestSecrets(t *testing.T) {
	for _, c := range []struct {
		text string
		l    language
		want string // what stands where it is found; these are made up
	}{
		{`password = "Sum3erRain"`, python, "Sum3erRain"},
		{`{"db_password": "Sum3erRain"}`, other, "Sum3erRain"},
		{`x = {\"secretKey\": \"Sum3erRain\"}`, python, `Sum3erRain\`},
		{`export MYSQL_PWD=Sum3erRain`, shell, "Sum3erRain"},
		{`spark-submit --conf spark.hadoop.fs.cosn.userinfo.secretKey=Sum3erRain x`, shell, "Sum3erRain"},
		{`run --password=Sum3erRain`, python, "Sum3erRain"},
		{`jdbc:mysql://h:3306/d?user=u&password=Sum3erRain&ssl=1`, sql, "Sum3erRain"},
		{`jdbc:oracle:thin:@h:1521:x;password=Sum3erRain`, sql, "Sum3erRain"},
		{`redis://u:Sum3erRain@h:1/0`, python, "Sum3erRain"},
		{`key AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA.`, shell, "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"},
		{`'LTAI5tQnKxyz8VbQw3mZ'`, sql, "LTAI5tQnKxyz8VbQw3mZ"},
		{`OPTIONS ('password' = 'Sum3erRain')`, sql, "Sum3erRain"},

		{`SELECT * FROM u WHERE password = 'Sum3erRain'`, sql, ""},
		{`password = "${pw}"`, python, ""},
		{`password = "{{ pw }}"`, python, ""},
		{`password = ""`, python, ""},
		{`password = "xxx"`, python, ""},
		{`password = "xxxxxxxx"`, python, ""},
		{`password = "******"`, python, ""},
		{`password = "<password>"`, python, ""},
		{`password = "your-password"`, python, ""},
		{`password = 'changeme'`, python, ""},
		{`password = args.password1`, python, ""},
		{`password=get_password1()`, shell, ""},
		{`if password == "Sum3erRain":`, python, ""},
		{`password_hash = "Sum3erRain"`, python, ""},
		{`PASSWORD=$1`, shell, ""},
		{`PASSWORD=$(cat f1)`, shell, ""},
		{`PASSWORD=`, shell, ""},
		{`PASSWORD=secretname`, shell, ""}, // a word, perhaps a name
		{`PWD=/data/dir1`, shell, ""},
		{`jdbc:mysql://h/d?user=u&password=${pw}`, sql, ""},
		{`http://h:8080/a@b`, python, ""},
		{`https://u@h/x`, python, ""},
		{`http://u:${pw}@h/x`, python, ""},
		{`AKIDxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx1`, python, ""},
		{`AKIAIOSFODNN7EXAMPLE`, python, ""},
		{`XAKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA`, python, ""},
		{`md5_password = "5f4dcc3b5aa765d61d8327deb882cf99"`, python, ""},
		{`密码: 见文档`, other, ""},
		{`password: see the wiki1`, other, ""},
	} {
		found := secretsIn(c.text, c.l)
		if c.want == "" {
			require.Empty(t, found, c.text)
			continue
		}
		require.Len(t, found, 1, c.text)
		require.True(t, strings.HasPrefix(c.text[found[0].Start:], c.want), c.text)
	}
}

func TestDefinitionsInCode(t *testing.T) {
	for source, want := range map[string]bool{
		"set x = 1": true, "SET hivevar:x=1": true, "declare @x = 1": true, "x=1\n": true, "a;\nx = 1": true,
		"where x = 1": false, "set y = x": false, "": false, "xx = 1": false,
	} {
		require.Equal(t, want, definedIn(strings.ToLower(source), "x"), source)
	}
}

func TestSettings(t *testing.T) {
	configured := func(text string) (scanners.Scanner, error) {
		given, err := scanners.ParseSettings(text)
		require.NoError(t, err)
		return New().(scanners.Configurable).Configure(given)
	}
	for text, want := range map[string]string{
		"projectParameters: [a]\nhighPriorityPercent: 101": "line 2, column 22: write a number",
		"highPriorityPercent: -1":                          "write a number",
		"highPriorityPercent: much":                        "line 1",
		"asOf: tomorrow":                                   "such as 2026-03-31",
		"externalTask: [a]":                                "externalTask",
	} {
		_, err := configured(text)
		require.ErrorContains(t, err, want)
	}
	digests := map[string]bool{New().Describe().ConfigDigest: true}
	for _, text := range []string{"highPriorityPercent: 20", "asOf: 2026-01-01", "externalTasks: ['1']", "projectParameters: ['1']"} {
		s, err := configured(text)
		require.NoError(t, err)
		require.Equal(t, New().Describe().RulesDigest, s.Describe().RulesDigest)
		require.False(t, digests[s.Describe().ConfigDigest])
		digests[s.Describe().ConfigDigest] = true
	}
	a, err := configured("externalTasks: ['2', '1']")
	require.NoError(t, err)
	b, err := configured("externalTasks: ['1', '2']\nhighPriorityPercent: 30")
	require.NoError(t, err)
	require.Equal(t, a.Describe(), b.Describe(), "the order does not matter")
}

// found is what a scanner with these settings says of one JSON file, by rule.
func found(t *testing.T, s settings, content string) map[string]int {
	t.Helper()
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "a.json", Modified: time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	_, err = f.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	pkg, err := zippkg.Open(bytes.NewReader(zipped.Bytes()), int64(zipped.Len()), zippkg.Limits{})
	require.NoError(t, err)
	counts := counted{}
	_, err = s.scanner().Scan(t.Context(), pkg, counts)
	require.NoError(t, err)
	return counts
}

type counted map[string]int

func (c counted) Add(f report.Finding) { c[f.Rule]++ }

func TestSettingsChangeWhatIsFound(t *testing.T) {
	task := taskExample("", `, "CodeContent": "`+encoded("SELECT id FROM ods.orders WHERE r = ${region}")+`"`,
		`, "EndTime": "2026-06-30 00:00:00", "UpstreamDependencyConfigList": [{"TaskId": "77"}], "ParamTaskInList": [{"ParamKey": "x", "FromTaskId": "77", "FromParamKey": "y"}]`)
	require.Equal(t, map[string]int{"WD003": 1, "WD017": 1, "WD018": 1}, found(t, defaults(), task))
	require.Empty(t, found(t, settings{ProjectParameters: []string{"region"}, ExternalTasks: []string{"77"}}, task))
	require.Equal(t, map[string]int{"WD010": 1}, found(t, settings{ProjectParameters: []string{"region"}, ExternalTasks: []string{"77"}, AsOf: "2026-12-31"}, task))
	var tasks []string
	for i := range 5 {
		p := 6
		if i == 0 {
			p = 4
		}
		tasks = append(tasks, fmt.Sprintf(`{"TaskBaseAttribute": {"TaskId": "%d", "TaskName": "t%d", "OwnerUin": "1", "WorkflowId": "w"}, "TaskSchedulerConfiguration": {"RunPriorityType": %d}}`, i, i, p))
	}
	all := "[" + strings.Join(tasks, ",") + "]"
	require.Empty(t, found(t, defaults(), all))
	require.Equal(t, map[string]int{"WD022": 1}, found(t, settings{HighPriorityPercent: 10}, all))
}
