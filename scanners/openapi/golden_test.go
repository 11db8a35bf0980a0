package openapi_test

import (
	"archive/zip"
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/openapi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// readCase reads a package. NAME.gbk is written in UTF-8 and packed in GBK as NAME.
func readCase(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	// A file of its own in the root keeps zippkg from stripping folders.
	files := map[string][]byte{"README.txt": []byte("a package")}
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "want.txt" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if plain, ok := strings.CutSuffix(name, ".gbk"); ok {
			name = plain
			if content, err = simplifiedchinese.GBK.NewEncoder().Bytes(content); err != nil {
				return err
			}
		}
		files[filepath.ToSlash(name)] = content
		return nil
	}))
	return files
}

func openPackage(t testing.TB, files map[string][]byte) *zippkg.Package {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, content := range files {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	pkg, err := zippkg.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), zippkg.DefaultLimits())
	require.NoError(t, err)
	return pkg
}

type gathered []report.Finding

func (g *gathered) Add(f report.Finding) { *g = append(*g, f) }

// scan runs a package through the scanner and writes all that it says.
func scan(t testing.TB, s scanners.Scanner, pkg *zippkg.Package) string {
	t.Helper()
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	var out strings.Builder
	if !decision.TakesPart() {
		fmt.Fprintf(&out, "declined %s\n  %s\n  %s\n", decision.Code(), decision.Reason().En, decision.Reason().Zh)
		return out.String()
	}
	var found gathered
	coverage, err := s.Scan(t.Context(), pkg, &found)
	require.NoError(t, err)
	fmt.Fprintf(&out, "takes part: %d of %d read\n", coverage.Seen, coverage.Eligible)
	for _, d := range coverage.Degraded {
		require.Regexp(t, `\p{Han}`, d.ReasonZH, d.Reason)
		fmt.Fprintf(&out, "degraded %s: %s\n  %s\n", d.Path, d.Reason, d.ReasonZH)
	}
	for _, f := range found {
		fmt.Fprintf(&out, "%s %s %s:%d:%d %s [%s]\n  %s\n  %s\n", f.Rule, f.Severity, f.Path, f.Line, f.Column, f.Pointer, f.Anchor, f.Message.En, f.Message.Zh)
	}
	return out.String()
}

// Each folder under testdata is a package; want.txt is what the scanner says of
// it. Rewrite with go test ./scanners/openapi -update, and read the difference.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	for _, folder := range folders {
		if filepath.Base(folder) == "fuzz" {
			continue
		}
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			s := openapi.New(openapi.Config{})
			pkg := openPackage(t, readCase(t, folder))
			got := scan(t, s, pkg)
			require.Equal(t, got, scan(t, s, pkg), "a second scan says the same")
			want := filepath.Join(folder, "want.txt")
			if *update {
				require.NoError(t, os.WriteFile(want, []byte(got), 0o644))
			}
			golden, err := os.ReadFile(want)
			require.NoError(t, err)
			require.Equal(t, string(golden), got)
		})
	}
}

// found are the rules that a text breaks.
func found(t *testing.T, s scanners.Scanner, name, text string) []report.Finding {
	t.Helper()
	pkg := openPackage(t, map[string][]byte{name: []byte(text), "README.txt": nil})
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	require.True(t, decision.TakesPart(), "%s\n%s", name, text)
	var all gathered
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
		"degraded long.yaml: not read: the file takes 155 B, more than the limit of 100 B\n  未读取：文件大小为 155 B，超过上限 100 B\n", scan(t, s, openPackage(t, map[string][]byte{
		"deep.json":                []byte(`{"openapi": "3.0.0", "x": [[[1]]]}`),
		"long.yaml":                []byte("openapi: 3.0.0\n" + strings.Repeat("# long\n", 20)),
		"node_modules/x/a.json":    []byte(`{"openapi": "3.0.0"}`),
		"lib/site-packages/a.yaml": []byte("openapi: 3.0.0\n"),
	})))
}

// away is a package source that can go away.
type away struct {
	*bytes.Reader
	err error
}

func (a *away) ReadAt(p []byte, at int64) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	return a.Reader.ReadAt(p, at)
}

func TestAPackageThatCannotBeReadIsNoFinding(t *testing.T) {
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	f, err := w.Create("a.json")
	require.NoError(t, err)
	_, err = f.Write([]byte(`{"openapi":"3.0.0"}`))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	source := &away{Reader: bytes.NewReader(zipped.Bytes())}
	pkg, err := zippkg.Open(source, int64(zipped.Len()), zippkg.DefaultLimits())
	require.NoError(t, err)
	source.err = fmt.Errorf("blob store away")
	s := openapi.New(openapi.Config{})
	_, err = s.Decide(t.Context(), pkg)
	require.ErrorIs(t, err, source.err)
	var all gathered
	_, err = s.Scan(t.Context(), pkg, &all)
	require.ErrorIs(t, err, source.err)
	require.Empty(t, all)
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
