package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/rules"
)

const (
	lenient = "name: lenient\nwindow: 1m\nquiet: 1s\nrules:\n  - id: always\n    when: \"true\"\n    status: SUCCESS\n"
	broken  = "name: lenient\nwindow: 1m\nquiet: 1s\nrules:\n  - id: always\n    when: nobody_knows == 1\n    status: SUCCESS\n"
)

func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLintSaysWhereARuleSetIsWrong(t *testing.T) {
	good, bad := written(t, "good.yaml", lenient), written(t, "bad.yaml", broken)
	named := written(t, "named.yaml", strings.Replace(lenient, "lenient", "Lenient", 1))
	require.Equal(t, ran{0, good + ": ok (rule set lenient)\n", ""}, run(t, "rules", "lint", good))
	got := run(t, "rules", "lint", good, bad, named)
	require.Equal(t, 1, got.code)
	require.Empty(t, got.errors)
	lines := strings.Split(got.out, "\n")
	require.True(t, strings.HasPrefix(lines[1], bad+":6:"), lines[1])
	require.Contains(t, lines[1], "nobody_knows")
	require.Contains(t, lines[2], "lower-case")
	require.Contains(t, run(t, "rules", "lint", bad, "--lang", "zh").out, "规则 always")
	got = run(t, "rules", "lint", good, bad, "--json")
	require.Equal(t, 1, got.code)
	var said []lintView
	require.NoError(t, json.Unmarshal([]byte(got.out), &said))
	require.True(t, said[0].OK)
	require.Equal(t, []any{false, 6, "always", "ruleset.invalid"}, []any{said[1].OK, said[1].Line, said[1].Rule, said[1].Code})
	twice := written(t, "twice.yaml", strings.Replace(broken, "window: ", "window: -", 1))
	got = run(t, "rules", "lint", twice)
	require.Regexp(t, "^"+twice+":2:[^\\n]+\\n"+twice+":6:[^\\n]+nobody_knows[^\\n]*\\n$", got.out, "all that is wrong, at once")
	got = run(t, "rules", "publish", twice)
	require.Contains(t, got.errors, twice+":2:")
	require.Contains(t, got.errors, twice+":6:")
	require.Equal(t, exitError, run(t, "rules", "lint", "/nowhere.yaml").code)
	require.Equal(t, exitError, run(t, "rules", "lint").code)
}

func TestRuleSetsArePublishedAndPutInService(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--quiet", "1s")
	defer s.kill()
	ask := func(args ...string) ran {
		return run(t, append(append([]string{"rules"}, args...), "--server", s.url)...)
	}
	first, second := written(t, "a.yaml", lenient), written(t, "b.yaml", strings.Replace(lenient, "SUCCESS", "FAILED", 1))
	require.Equal(t, ran{0, "rule set lenient version 1: published\n", ""}, ask("publish", first, "--by", "li"))
	require.Equal(t, ran{0, "rule set lenient version 1: published already\n", ""}, ask("publish", first))
	require.Equal(t, "规则集 lenient 版本 2：已发布\n", ask("publish", second, "--lang", "zh").out)
	refused := ask("publish", written(t, "bad.yaml", broken))
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errors, "bad.yaml:6:")

	// Nothing is judged by what is only published.
	docs := packed(t)["docs-only"]
	check := func(args ...string) ran {
		return run(t, append([]string{"check", docs, "--server", s.url}, args...)...)
	}
	require.Equal(t, exitFailed, check().code)
	require.Equal(t, ran{0, "rule set lenient version 1: in service\n", ""}, ask("activate", "lenient", "--version", "1"))
	require.Equal(t, exitSuccess, check().code, "the very next package is judged by it")
	require.Zero(t, ask("activate", "lenient", "--project", "dw").code)
	require.Equal(t, exitFailed, check("--project", "dw").code)
	require.Equal(t, exitSuccess, check().code)

	var all []ruleSetView
	require.NoError(t, json.Unmarshal([]byte(ask("list", "--json").out), &all))
	require.Len(t, all, len(rules.BuiltIns())+2)
	for _, v := range all {
		require.Equal(t, v.Name == "lenient" && v.Version == 1, v.InService)
		if v.Name == "lenient" && v.Version == 2 {
			require.Equal(t, []string{"dw"}, v.Projects)
		}
	}
	list := ask("list").out
	require.Contains(t, list, "in service for all projects")
	require.Contains(t, list, "built in")
	require.Contains(t, list, "  li  ")
	require.Equal(t, ran{0, lenient, ""}, ask("show", "lenient", "--version", "1"))
	require.Equal(t, string(rules.Default().Source()), ask("show", "default").out)

	diff := ran{1, "--- lenient 1\n+++ lenient 2\n name: lenient\n window: 1m\n quiet: 1s\n rules:\n   - id: always\n     when: \"true\"\n-    status: SUCCESS\n+    status: FAILED\n", ""}
	require.Equal(t, diff, ask("diff", "lenient", "1", "2"))
	require.Equal(t, diff, ask("diff", "lenient"), "what is in service and what is newest")
	require.Equal(t, 1, ask("diff", "lenient", first).code)
	require.Equal(t, ran{0, "", ""}, ask("diff", "lenient", second))
	for says, args := range map[string][]string{
		"no rule set":     {"show", "nothing"},
		"newest is 2":     {"activate", "lenient", "--version", "9"},
		"count from 1":    {"diff", "lenient", "x", "y"},
		"give a name":     {"diff"},
		"give 1 argument": {"show"},
	} {
		got := ask(args...)
		require.Equal(t, exitError, got.code, "%v", args)
		require.Contains(t, got.errors, says)
	}
	s.stop(t)
}

func TestDiffKeepsEveryLine(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"a\n", ""}, {"", "a\nb\n"}, {"a\nb\nc\n", "a\nx\nc\ny\n"}, {"a\nb\na\nb\n", "b\na\nb\na\n"}, {"a", "a\n"}} {
		var from, to []string
		for _, l := range diffLines(c[0], c[1]) {
			if l.Op != "+" {
				from = append(from, l.Text)
			}
			if l.Op != "-" {
				to = append(to, l.Text)
			}
		}
		require.Equal(t, strings.TrimSuffix(c[0], "\n"), strings.Join(from, "\n"))
		require.Equal(t, strings.TrimSuffix(c[1], "\n"), strings.Join(to, "\n"))
	}
}
