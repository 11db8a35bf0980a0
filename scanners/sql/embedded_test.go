package sql

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/scanners"
)

// placed scans files, and shows where each finding is.
func placed(t *testing.T, files ...entry) []string {
	t.Helper()
	found, coverage := scan(t, append(files, entry{"x/readme.md", ""})...)
	require.Empty(t, coverage.Degraded)
	require.Equal(t, coverage.Eligible, coverage.Seen)
	got := []string{}
	for _, f := range found {
		at := fmt.Sprintf("%s %s:%d:%d", f.Rule, f.Path, f.Line, f.Column)
		if f.Pointer != "" || f.Cell != "" {
			at += fmt.Sprintf(" %s%s %d:%d", f.Pointer, f.Cell, f.InnerLine, f.InnerColumn)
		}
		got = append(got, at)
	}
	return got
}

func TestShellScripts(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"double quotes", "#!/bin/bash\nhive -e \"DELETE FROM a\"\n", []string{"SQL002 j/a.sh:2:10"}},
		{"single quotes, several lines", "beeline -u jdbc:hive2://h -e '\nSELECT b\nFROM t;\n  DELETE FROM a;\n'\n", []string{"SQL002 j/a.sh:4:3"}},
		{"glued flag", "mysql -uroot -e\"DELETE FROM a\" db", []string{"SQL002 j/a.sh:1:17"}},
		{"long flag", "mysql --execute='DELETE FROM a'", []string{"SQL002 j/a.sh:1:18"}},
		{"Chinese in front", "# 说明\n/opt/hive/bin/hive -hiveconf 日期=1 -e \"SELECT 1 AS 一\" ; ${SPARK_HOME}/bin/spark-sql --name 作业 -e \"DELETE FROM a\"", []string{"SQL002 j/a.sh:2:98"}},
		{"heredoc", "mysql -h h <<EOF\nSELECT b FROM t;\nDELETE FROM a;\nEOF\necho done\n", []string{"SQL002 j/a.sh:3:1"}},
		{"heredoc with tabs, piped", "cat <<-'END' | psql -d x\n\tDELETE FROM a;\n\tEND\n", []string{"SQL002 j/a.sh:2:2"}},
		{"heredoc into a file", "cat > job.sql <<EOF\nDELETE FROM a;\nEOF\nhive -f job.sql", []string{"SQL002 j/a.sh:2:1"}},
		{"two heredocs", "hive <<A; spark-sql <<B\nDELETE FROM a;\nA\nDELETE FROM b;\nB\n", []string{"SQL002 j/a.sh:2:1", "SQL002 j/a.sh:4:1"}},
		{"variable", "sql=\"\nINSERT INTO t (a, b)\nSELECT a FROM u WHERE dt = '$dt'\"\nhive -e \"set x=1; \"\nhive -e \"${sql}\"\n", []string{"SQL008 j/a.sh:3:1"}},
		{"variables", "export head=\"SELECT a FROM t;\" q='DELETE FROM a'\n$HIVE -e \"$head $q\"", []string{"SQL002 j/a.sh:1:35"}},
		{"escapes", "hive -e \"SELECT \\\"x\\\" AS a, \\`b\\` FROM t WHERE c = \\$d; DELETE FROM a\"", []string{"SQL002 j/a.sh:1:57"}},
		{"quotes within quotes", "hive -e 'SELECT a FROM t WHERE dt = \"'$dt'\"; DELETE FROM a'", []string{"SQL002 j/a.sh:1:46"}},
		{"commands within", "hive -e \"SELECT a FROM t WHERE dt = '$(date -d \"1 day ago\" +%Y%m%d)' AND e = '`date +\"%H\"`'; DELETE FROM a\"", []string{"SQL002 j/a.sh:1:94"}},
		{"suppressed", "hive -e \"\nDELETE FROM a -- noqa: SQL002 reason=meant\n\"", []string{"SQL002 j/a.sh:2:1"}},
		{"no SQL", "echo \"DELETE FROM a\"\n# hive -e \"DELETE FROM a\"\nhive -f a.hql\nif [ 1 << 2 ]; then x=\"DELETE FROM a\"; fi\nmysql -e \"$unknown\"\nrm -e 'DELETE FROM a' hive\n", []string{}},
		{"never closed", "hive -e \"SELECT a FROM t", []string{}},
		{"heredoc never closed", "hive <<EOF\nDELETE FROM a", []string{}},
		{"continued", "hive \\\n  --silent \\\n  -e \\\n  \"DELETE FROM a\"", []string{"SQL002 j/a.sh:4:4"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, placed(t, entry{"j/a.sh", c.text})) })
	}
}

func TestWorkflows(t *testing.T) {
	code := func(sql string) string { return base64.StdEncoding.EncodeToString([]byte(sql)) }
	task := func(id, sql string) string {
		return "{\n \"TaskBaseAttribute\": {\"TaskId\": \"1\", \"TaskTypeId\": " + id + "},\n \"TaskConfiguration\": {\"Broker\": null, \"CodeContent\": \"" + code(sql) + "\"}}"
	}
	require.Equal(t, []string{"SQL002 w/a.json:3:55 /TaskConfiguration/CodeContent 2:1"}, placed(t, entry{"w/a.json", task("34", "SELECT a FROM t;\nDELETE FROM b")}))
	require.Equal(t, []string{"SQL002 w/a.json:3:55 /Items/1/TaskConfiguration/CodeContent 1:1"},
		placed(t, entry{"w/a.json", "{\"Items\": [" + strings.ReplaceAll(task("35", "DELETE FROM b"), "\n", "") + ", " + task("\"21\"", "DELETE FROM b") + "]}"}))
	require.Equal(t, []string{"SQL002 w/a.json:1:36 /code_content 1:1"}, placed(t, entry{"w/a.json", `{"task_type_id":134,"code_content":"` + code("DELETE FROM b") + `"}`}))
	require.Equal(t, []string{"SQL002 w/a.yml:4:20 /tasks/0/TaskConfiguration/CodeContent 1:1"}, placed(t, entry{"w/a.yml", "tasks:\n- TaskBaseAttribute: {TaskTypeId: '36'}\n  TaskConfiguration:\n      CodeContent: " + code("DELETE FROM b") + "\n"}))
	for _, none := range []string{
		task("30", "DELETE FROM b"), `{"CodeContent":"` + code("DELETE FROM b") + `"}`, `{"TaskTypeId":34,"CodeContent":"not base64!"}`, `{"TaskTypeId":34,"CodeContent":`, `{"TaskTypeId":34,"x":{"y":{"CodeContent":"` + code("DELETE FROM b") + `"}}}`,
	} {
		require.Equal(t, []string{}, placed(t, entry{"w/a.json", none}), none)
	}
}

// book is a workbook with one sheet.
func book(t testing.TB, sheet string, rows ...[]any) string {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	require.NoError(t, f.SetSheetName("Sheet1", sheet))
	for i, row := range rows {
		require.NoError(t, f.SetSheetRow(sheet, fmt.Sprintf("A%d", i+1), &row))
	}
	var b bytes.Buffer
	require.NoError(t, f.Write(&b))
	return b.String()
}

func TestWorkbooks(t *testing.T) {
	jobs := book(t, "作业", []any{"作业名", "脚本\n内容"}, []any{"a", "DELETE FROM b"}, []any{"c", "hive -e \"SELECT a FROM t;\nDELETE FROM b\""}, []any{"d", "sh run.sh delete from"}, []any{"DELETE FROM b", "select"})
	require.Equal(t, []string{"SQL002 t/a.xlsx:0:0 '作业'!B2 1:1", "SQL002 t/a.xlsx:0:0 '作业'!B3 2:1"}, placed(t, entry{"t/a.xlsx", jobs}))
	require.Equal(t, []string{}, placed(t, entry{"t/a.xlsx", book(t, "x", []any{"name", "text"}, []any{"a", "DELETE FROM b"})}))
}

// What a package's scripts and workflows create counts for its files.
func TestTablesOfAllFilesCount(t *testing.T) {
	require.Equal(t, []string{"SQL004 j/b.hql:2:17"}, placed(t,
		entry{"j/z.sh", "hive -e \"CREATE TABLE IF NOT EXISTS dwd_a (a INT COMMENT 'a') COMMENT 'a' PARTITIONED BY (dt STRING) STORED AS ORC\""},
		entry{"j/b.hql", "-- b\nSELECT a.x FROM dwd_a a"}))
}

func TestDynamicPartitionsArePermittedElsewhere(t *testing.T) {
	job := entry{"j/b.hql", "-- b\nINSERT OVERWRITE TABLE dwd_a PARTITION (dt) SELECT a, dt FROM ods_a WHERE dt >= '${d}'"}
	require.Equal(t, []string{"SQL007 j/b.hql:2:30"}, placed(t, job))
	require.Empty(t, placed(t, job, entry{"j/run.sh", "hive -hiveconf hive.exec.dynamic.partition.mode=nonstrict -f b.hql\n"}))
	require.Empty(t, placed(t, job, entry{"j/settings.hql", "-- settings\nSET hive.exec.dynamic.partition.mode=nonstrict;\nSET x=1;\n"}))
	require.NotEmpty(t, placed(t, job, entry{"j/c.hql", "-- c\nSET hive.exec.dynamic.partition.mode=nonstrict;\nSELECT a FROM t;\n"}))
}

func TestDecideLooksInside(t *testing.T) {
	s := New()
	for _, c := range []struct {
		takesPart bool
		entry
	}{
		{true, entry{"j/a.sh", "hive -e \"DELETE FROM a\""}},
		{false, entry{"j/a.sh", "echo \"DELETE FROM a\""}},
		{false, entry{"j/a.py", "hive -e \"DELETE FROM a\""}},
		{true, entry{"w/a.json", `{"TaskTypeId":34,"CodeContent":"` + base64.StdEncoding.EncodeToString([]byte("SELECT 1")) + `"}`}},
		{false, entry{"w/a.json", `{"a": 1}`}},
		{true, entry{"w/a.json", `{"TaskTypeId": "34","CodeContent":"` + strings.Repeat("QUFB", headBytes/4) + `"}`}},
		{false, entry{"w/a.json", `{"TaskTypeId": 30,"CodeContent":"` + strings.Repeat("QUFB", headBytes/4) + `"}`}},
		{true, entry{"t/a.xlsx", book(t, "x", []any{"name", "SQL"}, []any{"a", "DELETE FROM b"})}},
		{false, entry{"t/a.xlsx", book(t, "x", []any{"name", "command"}, []any{"a", "sh a.sh"})}},
		{false, entry{"t/a.xlsx", "no workbook"}},
	} {
		d, err := s.Decide(context.Background(), pack(t, c.entry, entry{"x/readme.md", ""}))
		require.NoError(t, err)
		require.Equal(t, c.takesPart, d.TakesPart(), c.path+c.content)
		if !c.takesPart {
			require.Equal(t, scanners.NoMatchingFiles, d.Code())
		}
	}
}

// What is opened and never closed must not be looked for again and again; the test
// would not end.
func TestHostileScripts(t *testing.T) {
	for _, unit := range []string{"$(", "`a ", "${", "hive -e \"$x\" ", "<<A ", "<<A\n", "\"", "'", "\\", "hive -e $(", "x=\"$(", "$(()", "hive -e ${x "} {
		shellPieces("x=\"" + strings.Repeat("SELECT 1 AS a; ", 1<<14) + "\"\n" + strings.Repeat(unit, 4<<20/len(unit)))
	}
	long := strings.Repeat("k", 1<<20)
	one := `{"TaskTypeId":34,"CodeContent":"U0VMRUNUIDE="}`
	found := jsonPieces(`{"` + long + `":[` + strings.Repeat(one+",", 10_000) + one + `]}`)
	require.Len(t, found, 10_001)
	require.Less(t, len(found[0].pointer), 1000)
}

func FuzzPieces(f *testing.F) {
	for _, seed := range []string{"hive -e \"a\" <<E\nb\nE\n", "x='a' ; mysql -e \"$x\"", "hive -e '\\", "cat <<-'A' <<B | hive\n\tA\nB", "${hive -e `x` $(y", `{"TaskTypeId":34,"CodeContent":"U0VMRUNUIDE="}`, "a: {TaskTypeId: 34, CodeContent: U0VMRUNUIDE=}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		lines := strings.Split(text, "\n")
		for _, p := range shellPieces(text) {
			rest := strings.Join(lines[p.line-1:], "\n")
			if got, want := len([]rune(p.text)), len([]rune(rest))-(p.column-1); got > want {
				t.Fatalf("%q: a piece of %d runes where %d are left", text, got, want)
			}
		}
		jsonPieces(text)
		yamlPieces(text)
	})
}

// What is not understood inside another file is placed in both languages.
func TestWhatIsNotUnderstoodInsideIsPlaced(t *testing.T) {
	_, coverage := scan(t, entry{"a.sh", "#!/bin/sh\nhive -e \"SELECT a FROM t WHERE b = 1; FROBNICATE t;\"\n"})
	require.Equal(t, []task.Degraded{{
		Path:     "a.sh",
		Reason:   "SQL from line 2 on: 1 statement(s) not understood, the first in line 1",
		ReasonZH: "第 2 行起的 SQL：1 条语句无法识别，首条在第 1 行",
	}}, coverage.Degraded)
	require.Equal(t, report.Text{En: "SQL in cell 'a'!B2: ", Zh: "单元格 'a'!B2 中的 SQL："}, (&piece{cell: "'a'!B2"}).where())
	require.Equal(t, report.Text{En: "SQL at /tasks/0: ", Zh: "/tasks/0 处的 SQL："}, (&piece{pointer: "/tasks/0"}).where())
}
