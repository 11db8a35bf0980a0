package openapi_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/openapi"
	"github.com/factgate/factgate/scanners/scannertest"
)

func place(f report.Finding) string {
	return fmt.Sprintf("%s:%d:%d %s", f.Path, f.Line, f.Column, f.Pointer)
}

func TestCases(t *testing.T) { scannertest.Cases(t, openapi.New(openapi.Config{}), nil, place) }

func TestAPackageThatCannotBeReadIsNoFinding(t *testing.T) {
	scannertest.Unreadable(t, openapi.New(openapi.Config{}), map[string][]byte{"a.json": []byte(`{"openapi":"3.0.0"}`)})
}

// found are the rules that a text breaks.
func found(t *testing.T, s scanners.Scanner, name, text string) []report.Finding {
	t.Helper()
	pkg := scannertest.Open(t, map[string][]byte{name: []byte(text), "README.txt": nil})
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	require.True(t, decision.TakesPart(), "%s\n%s", name, text)
	var all scannertest.Found
	coverage, err := s.Scan(t.Context(), pkg, &all)
	require.NoError(t, err)
	require.Equal(t, 1, coverage.Seen)
	return all
}

func TestEveryRuleKeepsItsExamples(t *testing.T) {
	s := openapi.New(openapi.Config{})
	catalogue, ok := s.(scanners.Catalogued)
	require.True(t, ok)
	last := ""
	for _, r := range catalogue.Rules() {
		require.Greater(t, r.ID, last, "the catalogue is in order")
		last = r.ID
		for _, text := range []report.Text{r.Message, r.Rationale} {
			require.NotEmpty(t, text.En)
			require.NotEmpty(t, text.Zh)
		}
		bad := found(t, s, "a."+r.Syntax, r.Bad)
		broken := false
		for _, f := range bad {
			if f.Rule == r.ID {
				broken = true
				require.Equal(t, r.Severity, f.Severity)
			} else {
				require.NotEqual(t, report.Error, f.Severity, "%s: the bad example has no other fault: %s", r.ID, f.Message.En)
			}
			require.Positive(t, f.Line)
			require.Positive(t, f.Column)
			require.NotEmpty(t, f.Anchor)
		}
		require.True(t, broken, "%s: the bad example breaks it: %v", r.ID, bad)
		for _, f := range found(t, s, "a."+r.Syntax, r.Good) {
			require.NotEqual(t, r.ID, f.Rule, "%s: the good example does not: %s", r.ID, f.Message.En)
			require.NotEqual(t, report.Error, f.Severity, "%s: nor has it another fault: %s %s", r.ID, f.Rule, f.Message.En)
		}
	}
}

// configured returns the scanner with settings, as the runtime would make it.
func configured(t *testing.T, text string) (scanners.Scanner, error) {
	t.Helper()
	settings, err := scanners.ParseSettings(text)
	require.NoError(t, err)
	c, ok := openapi.New(openapi.Config{}).(scanners.Configurable)
	require.True(t, ok)
	return c.Configure(settings)
}

func TestSettings(t *testing.T) {
	bad := map[string]string{}
	for _, r := range openapi.Rules() {
		bad[r.ID] = r.Bad
	}
	breaks := func(settings, id string) bool {
		s, err := configured(t, settings)
		require.NoError(t, err)
		for _, f := range found(t, s, "a.yaml", bad[id]) {
			if f.Rule == id {
				return true
			}
		}
		return false
	}
	require.True(t, breaks("{publicPaths: [/other, /o*x]}", "API014"))
	require.False(t, breaks("{publicPaths: [/orders]}", "API014"))
	require.False(t, breaks("{publicPaths: [/or*]}", "API014"))
	require.False(t, breaks("{publicPaths: [orders]}", "API014"))
	require.True(t, breaks("{httpHosts: []}", "API016"))
	require.False(t, breaks("{httpHosts: [api.example.com]}", "API016"))

	for text, want := range map[string]string{
		"\npublicpaths: []":       "line 2, column 1",
		"pagingParameters: ['']":  "pagingParameters holds an empty text",
		"httpHosts: [a, '  ', b]": "httpHosts holds an empty text",
	} {
		_, err := configured(t, text)
		require.ErrorContains(t, err, want)
	}
	_, _, err := scanners.Apply(openapi.New(openapi.Config{}), "rules: {API014: off}\nsettings: {publicPaths: [/a]}\n")
	require.NoError(t, err)
	a, err := configured(t, "{}")
	require.NoError(t, err)
	require.Equal(t, openapi.New(openapi.Config{}).Describe(), a.Describe())
	b, err := configured(t, "{httpHosts: []}")
	require.NoError(t, err)
	require.NotEqual(t, a.Describe().ConfigDigest, b.Describe().ConfigDigest)
	c, ok := b.(scanners.Configurable)
	require.True(t, ok)
	same, err := c.Configure(scanners.Settings{})
	require.NoError(t, err)
	require.Equal(t, b.Describe(), same.Describe(), "no settings change nothing")
}

func TestWhatIsOverALimitIsDegradedCoverage(t *testing.T) {
	s := openapi.New(openapi.Config{Limits: openapi.Limits{FileBytes: 100, Depth: 3}})
	require.Equal(t, "takes part: 0 of 2 read\n"+
		"degraded deep.json: not read: values are nested more than 3 deep\n  未读取：嵌套超过 3 层\n"+
		"degraded long.yaml: not read: the file takes 155 B, more than the limit of 100 B\n  未读取：文件大小为 155 B，超过上限 100 B\n", scannertest.Said(t, s, scannertest.Open(t, map[string][]byte{
		"deep.json":                []byte(`{"openapi": "3.0.0", "x": [[[1]]]}`),
		"long.yaml":                []byte("openapi: 3.0.0\n" + strings.Repeat("# long\n", 20)),
		"node_modules/x/a.json":    []byte(`{"openapi": "3.0.0"}`),
		"lib/site-packages/a.yaml": []byte("openapi: 3.0.0\n"),
	}), place))
}

// What is secret does not leave the package, in no part of a finding.
func TestSecretsAreNeverShown(t *testing.T) {
	const path = "testdata/postman/shop.postman_collection.json"
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	all := found(t, openapi.New(openapi.Config{}), "a.json", string(content))
	leaks := 0
	for _, f := range all {
		if f.Rule == "API040" {
			leaks++
		}
	}
	require.Equal(t, 10, leaks)
	said := fmt.Sprintf("%+v", all)
	for _, value := range []string{"Sh0p-2026!", "k-93811", "s3cr3t-here", "b7a1c9d0", "81723", "pa55word", "c1d2e3f4", "77ab12cd", "Sh0p!", "AKIAABCDEFGHIJKLMNOP"} {
		require.Contains(t, string(content), value)
		require.NotContains(t, said, value)
	}
}
