package wedata_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/wedata"
)

// packed is the time that the files of the tests bear.
var packed = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

func openPackage(t testing.TB, files map[string]string) *zippkg.Package {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	// A file of its own in the root keeps zippkg from stripping folders.
	for name, content := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: packed})
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
	}
	if _, ok := files["README.txt"]; !ok {
		f, err := w.CreateHeader(&zip.FileHeader{Name: "README.txt", Method: zip.Store, Modified: packed})
		require.NoError(t, err)
		_, err = f.Write([]byte("a package"))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	pkg, err := zippkg.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), zippkg.Limits{})
	require.NoError(t, err)
	return pkg
}

type gathered []report.Finding

func (g *gathered) Add(f report.Finding) { *g = append(*g, f) }

// exampleFiles takes an example of the catalogue apart: "# file: PATH" begins a file.
func exampleFiles(r report.Rule, example string) map[string]string {
	if r.Syntax == "json" {
		return map[string]string{"any.json": example}
	}
	files := map[string]string{}
	for _, part := range strings.Split(example, "# file: ") {
		if path, content, ok := strings.Cut(part, "\n"); ok {
			files[path] = content
		}
	}
	return files
}

func find(t testing.TB, s scanners.Scanner, files map[string]string) gathered {
	t.Helper()
	pkg := openPackage(t, files)
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	require.True(t, decision.TakesPart())
	var found gathered
	_, err = s.Scan(t.Context(), pkg, &found)
	require.NoError(t, err)
	return found
}

func TestTheCatalogueKeepsWhatItSays(t *testing.T) {
	s := wedata.New()
	rules := s.(scanners.Catalogued).Rules()
	require.Len(t, rules, 29)
	for i, r := range rules {
		require.Regexp(t, `^WD0[0-9]{2}$`, r.ID)
		if i > 0 {
			require.Less(t, rules[i-1].ID, r.ID)
		}
		for _, said := range []string{r.Message.En, r.Message.Zh, r.Rationale.En, r.Rationale.Zh} {
			require.NotEmpty(t, said, r.ID)
		}
		require.Equal(t, r.ID == "WD028", r.Security)
		of := func(example string) (found []report.Finding) {
			for _, f := range find(t, s, exampleFiles(r, example)) {
				if f.Rule == r.ID {
					found = append(found, f)
				}
			}
			return found
		}
		bad := of(r.Bad)
		require.NotEmpty(t, bad, "%s: the bad example\n%s", r.ID, r.Bad)
		for _, f := range bad {
			require.NotEmpty(t, f.Message.En)
			require.NotEmpty(t, f.Message.Zh)
			require.NotEmpty(t, f.Anchor)
			require.Positive(t, f.Line)
			require.Positive(t, f.Column)
		}
		require.Empty(t, of(r.Good), "%s: the good example\n%s", r.ID, r.Good)
	}
}

// The good examples are good beyond their own rule, but for those of files alone.
func TestGoodExamplesAreGood(t *testing.T) {
	s := wedata.New()
	for _, r := range s.(scanners.Catalogued).Rules() {
		for _, f := range find(t, s, exampleFiles(r, r.Good)) {
			t.Errorf("good example of %s: %s %s", r.ID, f.Rule, f.Message.En)
		}
	}
}
