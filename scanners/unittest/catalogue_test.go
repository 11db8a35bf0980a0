package unittest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/scannertest"
	"github.com/factgate/factgate/scanners/unittest"
)

// exampleFiles reads an example of the catalogue.
func exampleFiles(t *testing.T, r report.Rule, text string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{"README.txt": []byte("a package")}
	if r.Syntax == "xml" {
		files["TEST-a.xml"] = []byte(text)
		return files
	}
	require.True(t, strings.HasPrefix(text, "-- "), r.ID)
	for _, part := range strings.Split(text[len("-- "):], "\n-- ") {
		head, content, ok := strings.Cut(part, " --\n")
		require.True(t, ok, part)
		files[strings.Replace(head, " ", "@", 1)] = []byte(content + "\n")
	}
	return files
}

func TestEveryRuleKeepsItsExamples(t *testing.T) {
	s, ok := unittest.New(unittest.Config{}).(scanners.Catalogued)
	require.True(t, ok)
	last := ""
	for _, r := range s.Rules() {
		require.Greater(t, r.ID, last, "the catalogue is in order")
		last = r.ID
		for _, text := range []report.Text{r.Message, r.Rationale} {
			require.NotEmpty(t, text.En)
			require.NotEmpty(t, text.Zh)
		}
		broken := func(text string) (severity report.Severity, hit bool) {
			pkg := scannertest.Open(t, exampleFiles(t, r, text))
			decision, err := s.Decide(t.Context(), pkg)
			require.NoError(t, err)
			require.True(t, decision.TakesPart(), r.ID)
			var found scannertest.Found
			_, err = s.Scan(t.Context(), pkg, &found)
			require.NoError(t, err)
			for _, f := range found {
				if f.Rule == r.ID {
					return f.Severity, true
				}
			}
			return "", false
		}
		severity, hit := broken(r.Bad)
		require.True(t, hit, "%s: the bad example breaks it", r.ID)
		require.Equal(t, r.Severity, severity, r.ID)
		_, hit = broken(r.Good)
		require.False(t, hit, "%s: the good example does not", r.ID)
	}
	require.Equal(t, "UT012", last)
}

// configured returns the scanner with settings, as the runtime would make it.
func configured(t *testing.T, text string) (scanners.Scanner, error) {
	t.Helper()
	settings, err := scanners.ParseSettings(text)
	require.NoError(t, err)
	c, ok := unittest.New(unittest.Config{}).(scanners.Configurable)
	require.True(t, ok)
	return c.Configure(settings)
}

func TestSettingsChangeTheRules(t *testing.T) {
	find := func(text string, files map[string][]byte) (rules []string) {
		s, err := configured(t, text)
		require.NoError(t, err)
		pkg := scannertest.Open(t, files)
		decision, err := s.Decide(t.Context(), pkg)
		require.NoError(t, err)
		if !decision.TakesPart() {
			return []string{"declined"}
		}
		var found scannertest.Found
		_, err = s.Scan(t.Context(), pkg, &found)
		require.NoError(t, err)
		for _, f := range found {
			rules = append(rules, f.Rule+" "+string(f.Severity))
		}
		return rules
	}
	half := map[string][]byte{"a.xml": []byte(`<testsuite name="s"><testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><skipped/></testcase></testsuite>`)}
	require.Equal(t, []string{"UT001 error", "UT002 error", "UT004 warning"}, find("{}", half))
	require.Equal(t, []string{"UT001 error"}, find("{passRate: 50, maxSkipped: 34}", half))
	cover := map[string][]byte{"c.xml": []byte(`<coverage line-rate="0.7" lines-valid="10" lines-covered="7" branches-valid="10" branches-covered="6"/>`)}
	require.Equal(t, []string{"UT005 warning"}, find("{}", cover))
	require.Equal(t, []string{"UT005 error", "UT006 warning"}, find("{lineCoverage: {error: 71}, branchCoverage: 61}", cover))
	require.Empty(t, find("{lineCoverage: {warning: 0}}", cover))
	code := map[string][]byte{"a/b.py": []byte(strings.Repeat("x = 1\n", 100)), "r.txt": nil}
	require.Equal(t, []string{"declined"}, find("{}", code), "a single script may be glue")
	require.Equal(t, []string{"UT011 warning"}, find("{code: {.py: 1}}", code))
	require.Equal(t, []string{"declined"}, find("{code: {.py: 1}, codeNeedsReport: false}", code))
	old := map[string][]byte{"a.xml@2026-03-01": []byte(`<testsuite name="s"><testcase name="a"/></testsuite>`), "A.java@2026-03-10": code["a/b.py"]}
	require.Equal(t, []string{"UT010 warning"}, find("{}", old))
	require.Empty(t, find("{maxAgeDays: 9}", old))
	require.Empty(t, find("{maxAgeDays: 0}", old))
	require.Empty(t, find("{code: {.java: 0}}", old))
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"\npassrate: 1":               "line 2, column 1",
		"lineCoverage: {warn: 1}":     "warn",
		"passRate: 101":               "line 1, column 11: passRate is a percentage from 0 to 100",
		"branchCoverage: .nan":        "must be a number",
		"maxAgeDays: -1":              "a number of days",
		"maxAgeDays: soon":            "line 1, column 13",
		"code: {py: 1}":               "code takes endings in lower case",
		"code: {.py: -1}":             "line 1, column 13",
		"lineCoverage: {error: -0.1}": "lineCoverage.error",
	} {
		_, err := configured(t, text)
		require.ErrorContains(t, err, want)
		_, _, err = scanners.Apply(unittest.New(unittest.Config{}), "settings:\n  "+strings.TrimSpace(text)+"\n")
		require.Error(t, err)
	}
	_, _, err := scanners.Apply(unittest.New(unittest.Config{}), "rules: {UT002: off}\nsettings: {passRate: 95.5, code: {.rs: 2}}\n")
	require.NoError(t, err)
	a, err := configured(t, "{}")
	require.NoError(t, err)
	require.Equal(t, unittest.New(unittest.Config{}).Describe(), a.Describe())
	b, err := configured(t, "{maxAgeDays: 8}")
	require.NoError(t, err)
	require.NotEqual(t, a.Describe().ConfigDigest, b.Describe().ConfigDigest)
	c, ok := b.(scanners.Configurable)
	require.True(t, ok)
	same, err := c.Configure(scanners.Settings{})
	require.NoError(t, err)
	require.Equal(t, b.Describe(), same.Describe(), "no settings change nothing")
}
