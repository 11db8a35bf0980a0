package wedata

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkTree holds for every tree: children know their parents, places are within the
// text, depth is bounded.
func checkTree(t *testing.T, n, parent *node, lines int32, depth int) {
	require.LessOrEqual(t, depth, maxDepth+1)
	require.Same(t, parent, n.parent)
	require.Positive(t, n.line)
	require.Positive(t, n.col)
	require.LessOrEqual(t, n.line, lines)
	for _, c := range n.children {
		checkTree(t, c, n, lines, depth+1)
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a": [1, {"b": null}], "c": "\u4e2d"}`, `{"Tasks": [{"TaskId": 1},], `, "[[[[", "{\"a\":\r\n\t1.50e3}", `{"a":1,"a":2}`, "nul", "\"\\ud800\"", "[1 2]", "{,}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		limit := budget{2000, 3000}
		root, err := decodeJSON(t.Context(), source, &limit)
		if err != nil {
			require.Nil(t, root)
			if fault, ok := err.(*syntaxError); ok {
				require.NotEmpty(t, fault.what.En)
				require.NotEmpty(t, fault.what.Zh)
				require.Positive(t, fault.line)
			}
			return
		}
		checkTree(t, root, nil, int32(strings.Count(source, "\n")+strings.Count(source, "\r")+1), 0)
		d := &delivery{loose: map[string]*flow{}, projectParams: map[string]bool{}, byID: map[string]int{}, limit: limit}
		if d.find(t.Context(), &document{shape: apiShape}, root, nil, 0) {
			d.adopt()
			d.connect()
			d.circles()
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, seed := range []string{"a: &x [1, *x]\n", "a: &a {b: 1}\nc:\n  <<: *a\n", "? [a]\n: b\n", "--- 1\n--- 2\n", "a: !!binary aGk=\n", "{a: b, c", "a: |\n  x\n   y\n", "<<: 1\n", "\t", "- - - 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		limit := budget{2000, 3000}
		documents, err := decodeYAML(source, &limit)
		if err != nil {
			return
		}
		for _, root := range documents {
			checkTree(t, root, nil, 1<<30, 0)
		}
	})
}

func FuzzCode(f *testing.F) {
	for _, seed := range []string{
		"INSERT INTO a SELECT ${x} FROM b -- ${y}", "WITH a AS (SELECT 1) SELECT * FROM a, b c", "${", "password='a", "jdbc:x://a:b@", "--password=", "AKIA", "`", "/*", "'\\", "set x=1;${x}", "a.b.c.d(", "中文${渠道}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		for _, r := range references(source) {
			require.True(t, strings.HasPrefix(source[r.offset:], "${"))
			timeParameter(r.name)
			definedIn(strings.ToLower(source), r.name)
		}
		found := lineage(source)
		for _, m := range []map[string]int{found.writes, found.reads} {
			for table, at := range m {
				require.NotEmpty(t, table)
				require.Less(t, at, len(source))
			}
		}
		require.Len(t, withoutComments(source), len(source))
		for _, l := range []language{sql, shell, python, other} {
			last := 0
			for _, s := range secretsIn(source, l) {
				require.GreaterOrEqual(t, s.Start, last, "places do not go back")
				require.Less(t, s.Start, len(source))
				last = s.Start
			}
		}
		decodeBase64(source)
		matches(source, "resources/task/a.yml")
		namesSource(source)
	})
}
