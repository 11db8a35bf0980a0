package glob_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/glob"
)

func TestPatternsMatchWholePaths(t *testing.T) {
	for pattern, paths := range map[string]map[string]bool{
		"sql/**":            {"sql/a.sql": true, "sql/x/y/a.sql": true, "nosql/a.sql": false, "a.sql": false},
		"**/test/**":        {"test/a": true, "x/test/a": true, "x/test/y/a": true, "x/tests/a": false},
		"*.sql":             {"a.sql": true, "x/a.sql": false, "a.SQL": false},
		"**":                {"a": true, "a/b": true, "": true},
		"**/*.{sql,hql}":    {"a.sql": true, "x/b.hql": true, "b.ddl": false},
		"d[wi]d/?.sql":      {"dwd/a.sql": true, "did/b.sql": true, "dad/b.sql": false, "dwd/ab.sql": false},
		"作业/**":             {"作业/模板.xlsx": true},
		"outer.zip!/**/*.x": {"outer.zip!/a/b.x": true},
	} {
		p, err := glob.Parse(pattern)
		require.NoError(t, err, pattern)
		for path, want := range paths {
			require.Equal(t, want, p.Match(path), "%s %s", pattern, path)
			require.Equal(t, want, glob.Any([]glob.Pattern{"nothing", p}, path))
		}
	}
}

func TestWhatIsNoPatternIsRefused(t *testing.T) {
	for _, text := range []string{"", "/sql/**", "./sql", `sql\a`, "a[b", "a{b", "a]{", strings.Repeat("a", 600), strings.Repeat("{a,b}", 7), "{{a,b},{c,d}{e,f}{g,h}{i,j}{k,l}{m,n}}"} {
		_, err := glob.Parse(text)
		require.Equal(t, "glob.invalid", domain.RuleOf(err), text)
		require.Error(t, new(glob.Pattern).UnmarshalText([]byte(text)))
	}
	require.False(t, glob.Pattern("a[b").Match("a[b"))
}

func FuzzParse(f *testing.F) {
	f.Add("**/*.{sql,hql}", "a/b.sql")
	f.Add("[a-z]?*", "ab")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := glob.Parse(pattern)
		if err == nil && len(path) < 512 {
			p.Match(path)
		}
	})
}

// Cost is at least in the order of what is done, and nothing where the first bytes decide.
func TestWhatMatchingCosts(t *testing.T) {
	for text, want := range map[string]int{"legacy/**": 0, "x/**": 7, "x/{a,b}/{c,d}.sql": 28, "**": 7, "x/a.sql": 7, "x/b.sql": 0} {
		p, err := glob.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, p.Cost("x/a.sql"), text)
	}
	require.False(t, glob.Pattern(`x/\a.sql`).Match("y/a.sql"))
	require.True(t, glob.Pattern(`x/\a.sql`).Match("x/a.sql"), "an escape is no beginning")
}
