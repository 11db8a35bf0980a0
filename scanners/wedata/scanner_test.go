package wedata_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/wedata"
)

func TestDeclines(t *testing.T) {
	s := wedata.New()
	for name, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"nothing":     {map[string]string{"a.sql": "SELECT 1"}, "no .json files"},
		"other json":  {map[string]string{"package.json": `{"name": "x", "tasks": []}`, "b.json": `{"workflowName": "x", "tasks": [{"name": "y"}], "links": []}`}, "(2)"},
		"broken json": {map[string]string{"a.json": `{"tasks": [`}, "(1)"},
		"by name":     {map[string]string{"wedata/workflow.json": `{"a": 1}`, "x/wedata.yaml": "a: 1"}, "(1)"},
	} {
		decision, err := s.Decide(t.Context(), openPackage(t, c.files))
		require.NoError(t, err)
		require.False(t, decision.TakesPart(), name)
		require.Equal(t, scanners.NoMatchingFiles, decision.Code())
		require.Contains(t, decision.Reason().En, c.says, name)
		require.NotEmpty(t, decision.Reason().Zh)
	}
}

func TestAFileOverTheLimitIsDegradedCoverage(t *testing.T) {
	s := wedata.New()
	large := `{"WorkflowId": "1", "WorkflowName": "x", "Links": [], "Tasks": [{"TaskId": "1", "TaskName": "x", "InCharge": "y"}], "more": "` + strings.Repeat("abcdefgh", 10<<20/8) + `"}`
	many := `{"WorkflowId": "1", "WorkflowName": "x", "Links": [], "Tasks": [{"TaskId": "1", "TaskName": "x", "InCharge": "y"}], "more": [` + strings.Repeat("0,", 400_000) + `0]}`
	deep := `{"WorkflowId": "1", "WorkflowName": "x", "Links": [], "Tasks": [{"TaskId": "1", "TaskName": "x"}], "more": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`
	for name, c := range map[string]struct{ content, zh string }{
		"larger than": {large, "未读取：文件超过 10 MiB"},
		"too many":    {many, "未读取：文件中的值过多"},
		"deeper than": {deep, "未读取：嵌套超过 "},
	} {
		pkg := openPackage(t, map[string]string{"a.json": c.content, "z.bin": strings.Repeat("x", 10)})
		decision, err := s.Decide(t.Context(), pkg)
		require.NoError(t, err)
		require.True(t, decision.TakesPart(), name)
		var found gathered
		coverage, err := s.Scan(t.Context(), pkg, &found)
		require.NoError(t, err)
		require.Empty(t, found, "what is too large is not wrong")
		require.Equal(t, 1, coverage.Eligible)
		require.Zero(t, coverage.Seen)
		require.Contains(t, coverage.Degraded[0].Reason, name)
		require.Contains(t, coverage.Degraded[0].ReasonZH, c.zh)
	}
}

func TestAScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pkg := openPackage(t, map[string]string{"a.json": `{"WorkflowId": "1", "Links": [], "Tasks": [{"TaskId": "1"}]}`})
	_, err := wedata.New().Decide(ctx, pkg)
	require.ErrorIs(t, err, context.Canceled)
	var found gathered
	_, err = wedata.New().Scan(ctx, pkg, &found)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWithoutSettingsTheDefaultsHold(t *testing.T) {
	s, err := wedata.New().(scanners.Configurable).Configure(scanners.Settings{})
	require.NoError(t, err)
	require.Equal(t, wedata.New().Describe(), s.Describe())
	require.NotEmpty(t, s.Describe().RulesDigest)
	require.NotEmpty(t, s.Describe().ConfigDigest)
}

func TestTheFamilyOfAnExpiredScheduleIsTheZip(t *testing.T) {
	task := `{"TaskBaseAttribute": {"TaskName": "x", "OwnerUin": "1"}, "TaskSchedulerConfiguration": {"EndTime": "2026-03-29 23:59:59"}}`
	require.Len(t, rulesOf(find(t, wedata.New(), map[string]string{"a.json": task}), "WD010"), 1, "the files of the zip are of 2026-03-31")
	later := strings.Replace(task, "03-29", "03-30", 1)
	require.Empty(t, rulesOf(find(t, wedata.New(), map[string]string{"a.json": later}), "WD010"), "a day of grace, since there are no zones")
}

func rulesOf(found []report.Finding, rule string) (out []report.Finding) {
	for _, f := range found {
		if f.Rule == rule {
			out = append(out, f)
		}
	}
	return out
}

func TestNoSecretLeavesTheScanner(t *testing.T) {
	secrets := []string{"Sum3erRain", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA", "Wint3rStorm"}
	code := base64.StdEncoding.EncodeToString([]byte("export PASSWORD=Sum3erRain\necho AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA\nmysql mysql://u:Wint3rStorm@h/d ${Sum3erRain_x}"))
	files := map[string]string{
		"a.json": `{"TaskBaseAttribute": {"TaskId": "1", "TaskName": "x", "TaskTypeId": 35, "OwnerUin": "1"}, "TaskConfiguration": {"CodeContent": "` + code + `",
			"TaskExtConfigurationList": [{"ParamKey": "password", "ParamValue": "Sum3erRain"}, {"ParamKey": "x", "ParamValue": "jdbc:mysql://h/d?password=Wint3rStorm"}], "Password": "Sum3erRain"}}`,
		"wedata.yml":         "targets: {prod: {}}\nvariables:\n  pw: {default: 'jdbc:x://h/d?password=Wint3rStorm'}\n  password: {default: Sum3erRain}\n",
		"src/load.py":        "password = 'Sum3erRain'\n",
		"resources/x/a.yml":  "tasks: {a: {taskName: a, codePath: src/load.py, secretKey: Sum3erRain}}\n",
		"resources/x/b.yml":  "tasks: {b: \"Sum3erRain\n",
		"resources/x/c.json": `{"WorkflowId": "w", "Tasks": [{"TaskId": "1", "TaskName": "x", "password": "Sum3erRain" }`,
	}
	said := scan(t, wedata.New(), files)
	require.GreaterOrEqual(t, strings.Count(said, "WD028"), 8, said)
	for _, s := range secrets {
		require.NotContains(t, said, s)
	}
}

// A chain of many tasks in many files is read in time in proportion to its length.
func TestManyTasks(t *testing.T) {
	var canvas strings.Builder
	canvas.WriteString(`{"WorkflowId": "w", "WorkflowName": "x", "Tasks": [`)
	const n = 10_000
	for i := range n {
		fmt.Fprintf(&canvas, `{"TaskId": "%d", "TaskName": "t%d", "InCharge": "x"},`, i, i)
	}
	canvas.WriteString(`{"TaskId": "last", "TaskName": "last", "InCharge": "x"}], "Links": [`)
	for i := range n - 1 {
		fmt.Fprintf(&canvas, `{"TaskFrom": "%d", "TaskTo": "%d"},`, i, i+1)
	}
	canvas.WriteString(`{"TaskFrom": "` + fmt.Sprint(n-1) + `", "TaskTo": "0"}]}`)
	found := find(t, wedata.New(), map[string]string{"a.json": canvas.String()})
	require.Len(t, found, 1)
	require.Equal(t, "WD004", found[0].Rule)
	require.Less(t, len(found[0].Message.En), 500)
}

func TestWhatIsToldIsPrintable(t *testing.T) {
	found := find(t, wedata.New(), map[string]string{"a.json": `{"TaskBaseAttribute": {"TaskId": "1\u001b[31m", "TaskName": "x\u001b[2J\n\u202ey", "OwnerUin": ""}, "TaskSchedulerConfiguration": {"CycleType": "A\u0007"}}`})
	require.Len(t, found, 2)
	for _, f := range found {
		for _, s := range []string{f.Message.En, f.Message.Zh, f.Anchor, f.Pointer} {
			require.NotContains(t, s, "\x1b")
			require.NotContains(t, s, "\x07")
			require.NotContains(t, s, "\n")
		}
	}
}

// manyTasks is an answer of the API with n tasks in a chain, each of which reads what
// the one before it writes, on one line.
func manyTasks(n int) string {
	var b strings.Builder
	b.WriteString(`{"Response": {"Data": {"Items": [`)
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		code := fmt.Sprintf("-- step %d\nINSERT OVERWRITE TABLE dwd.t%d PARTITION (dt = '${yyyyMMdd-1d}')\nSELECT id, name, amount FROM dwd.t%d a LEFT JOIN dim.d b ON a.id = b.id WHERE a.r = '${region}'", i, i, i-1)
		fmt.Fprintf(&b, `{"TaskBaseAttribute": {"TaskId": "%d", "TaskName": "t%d", "TaskTypeId": 34, "OwnerUin": "1", "WorkflowId": "w"}, "TaskConfiguration": {"ResourceGroup": "r", "CodeContent": "%s"}, "TaskSchedulerConfiguration": {"CycleType": "DAY_CYCLE", "CrontabExpression": "0 0 2 * * ? *", "UpstreamDependencyConfigList": [{"TaskId": "%d"}]}}`,
			i, i, base64.StdEncoding.EncodeToString([]byte(code)), (i+n-1)%n)
	}
	b.WriteString(`]}}}`)
	return b.String()
}

func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			content := manyTasks(n)
			pkg := openPackage(b, map[string]string{"a.json": content})
			s := wedata.New()
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				var found gathered
				if _, err := s.Scan(b.Context(), pkg, &found); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzScan runs all rules over what the fuzzer makes of a manifest, a resource, a
// JSON file and code.
func FuzzScan(f *testing.F) {
	cases, err := filepath.Glob("testdata/*/*.case")
	require.NoError(f, err)
	for _, path := range cases {
		files := readCase(f, path)
		var manifest, resource, jsons, code string
		for name, content := range files {
			switch {
			case strings.HasSuffix(name, "wedata.yml"):
				manifest = content
			case strings.HasSuffix(name, ".yml"):
				resource = content
			case strings.HasSuffix(name, ".json"):
				jsons = content
			case strings.HasPrefix(name, "src/"):
				code = content
			}
		}
		f.Add(manifest, resource, jsons, code)
	}
	f.Fuzz(func(t *testing.T, manifest, resource, jsons, code string) {
		pkg := openPackage(t, map[string]string{"wedata.yml": manifest, "resources/task/a.yml": resource, "a.json": jsons, "src/load.sql": code, "src/task/load.sql": code, "src/load.sh": code})
		s := wedata.New()
		var first, second gathered
		coverage, err := s.Scan(t.Context(), pkg, &first)
		require.NoError(t, err)
		require.LessOrEqual(t, coverage.Seen, coverage.Eligible)
		_, err = s.Scan(t.Context(), pkg, &second)
		require.NoError(t, err)
		require.Equal(t, first, second)
		for _, f := range first {
			require.NotEmpty(t, f.Path)
			require.NotEmpty(t, f.Message.En)
			require.NotEmpty(t, f.Message.Zh)
			require.NotEmpty(t, f.Anchor)
			require.NotContains(t, f.Message.En+f.Message.Zh, "%!", "a message's arguments fit")
		}
	})
}
