package configuration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/glob"
	"github.com/factgate/factgate/domain/report"
)

const whole = `enabled: false
include: ["sql/**"]
exclude: ["**/test/**"]
rules: {SQL001: off, SQL013: error}
fail: {error: 2, warning: 50}
settings: {max_joins: 3}
`

func TestADocumentIsRead(t *testing.T) {
	d, err := configuration.Parse(whole)
	require.NoError(t, err)
	require.False(t, d.Enabled)
	require.Equal(t, []glob.Pattern{"sql/**"}, d.Include)
	require.Equal(t, map[string]configuration.Level{"SQL001": configuration.Off, "SQL013": "error"}, d.Rules)
	require.NotNil(t, d.Settings)
	require.Equal(t, configuration.Digest(whole), d.Digest)
	require.True(t, d.Narrows())
	require.True(t, d.Sees("sql/a.sql"))
	require.False(t, d.Sees("sql/test/a.sql"))
	require.False(t, d.Sees("a.sql"))
	require.NoError(t, d.Check([]report.Rule{{ID: "SQL001"}, {ID: "SQL013"}}))

	plain, err := configuration.Parse("rules: {}\nsettings:\n")
	require.NoError(t, err)
	require.True(t, plain.Enabled)
	require.Nil(t, plain.Settings)
	require.False(t, plain.Narrows())
	require.True(t, plain.Sees("x"))
}

func TestWhatFailsTheCheck(t *testing.T) {
	for _, c := range []struct {
		fail     string
		counts   report.Counts
		severity report.Severity
		allowed  int
	}{
		{"{}", report.Counts{Warning: 9, Note: 9}, "", 0},
		{"{}", report.Counts{Error: 1}, report.Error, 0},
		{"{error: 1}", report.Counts{Error: 1}, "", 0},
		{"{error: 1}", report.Counts{Error: 2, Warning: 9}, report.Error, 1},
		{"{warning: 0}", report.Counts{Warning: 1}, report.Warning, 0},
		{"{warning: 5}", report.Counts{Error: 1, Warning: 9}, report.Error, 0},
		{"{note: 5}", report.Counts{Note: 6}, report.Note, 5},
	} {
		d, err := configuration.Parse("fail: " + c.fail)
		require.NoError(t, err)
		severity, allowed := d.Fail.Exceeded(c.counts)
		require.Equal(t, c.severity, severity, c.fail)
		require.Equal(t, c.allowed, allowed, c.fail)
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "line 1, column 1: the text says nothing",
		"# nothing":               "line 1, column 1: the text says nothing",
		"enable: true":            `line 1, column 1: "enable" is not known here; did you mean "enabled"?`,
		"rules:\n  SQL001: never": "line 2, column 11: here must be off, note, warning or error",
		"rules:\n  SQL001: [off]": "line 2, column 11: here must be a text",
		"fail: {errors: 1}":       `line 1, column 8: "errors" is not known here; did you mean "error"?`,
		"fail: {error: -1}":       "line 1, column 15: here must be 0 or more",
		"fail: {error: few}":      "line 1, column 15: here must be a whole number",
		"include: [\"a{\"]":       `line 1, column 11: "a{" is no pattern`,
		"settings: 3":             "line 1, column 11: here must be keys with values",
		"settings: {a: 1, a: 2}":  `line 1, column 18: "a" stands here twice`,
		"include: [" + strings.Repeat("a,", 101) + "]": "line 1, column 10: more than 100 patterns",
	} {
		_, err := configuration.Parse(text)
		require.ErrorContains(t, err, want, text)
		require.Equal(t, "configuration.invalid", domain.RuleOf(err))
		require.Equal(t, domain.Invalid, domain.KindOf(err))
	}
	d, err := configuration.Parse("rules:\n  SQL01: off\n  FOO: note\n")
	require.NoError(t, err)
	err = d.Check([]report.Rule{{ID: "SQL001"}})
	require.ErrorContains(t, err, `line 2, column 3: there is no rule "SQL01"; did you mean SQL001?; line 3, column 3: there is no rule "FOO"`)
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("rules: &a {x: off}\nsettings: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := configuration.Parse(text)
		if err != nil {
			if domain.RuleOf(err) != "configuration.invalid" {
				t.Fatal(err)
			}
			return
		}
		d.Sees("a/b")
		_ = d.Check(nil)
	})
}
