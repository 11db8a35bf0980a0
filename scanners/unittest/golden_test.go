package unittest_test

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
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners/unittest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Files with these endings are written in UTF-8 and packed, without the ending,
// in the encoding it names.
var encodings = map[string]encoding.Encoding{
	".gbk":    simplifiedchinese.GBK,
	".latin1": charmap.ISO8859_1,
	".utf16":  unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
}

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
		if enc, ok := encodings[filepath.Ext(name)]; ok {
			name = strings.TrimSuffix(name, filepath.Ext(name))
			if content, err = enc.NewEncoder().Bytes(content); err != nil {
				return err
			}
		}
		files[filepath.ToSlash(name)] = content
		return nil
	}))
	return files
}

// openPackage packs files; NAME@2026-03-01 is modified on that day.
func openPackage(t testing.TB, files map[string][]byte) *zippkg.Package {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, content := range files {
		header := zip.FileHeader{Name: name, Method: zip.Deflate}
		if at, day, ok := strings.Cut(name, "@"); ok {
			var err error
			header.Name = at
			header.Modified, err = time.Parse(time.DateOnly, day)
			require.NoError(t, err)
		}
		f, err := w.CreateHeader(&header)
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
func scan(t testing.TB, pkg *zippkg.Package, config unittest.Config) string {
	t.Helper()
	s := unittest.New(config)
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
		fmt.Fprintf(&out, "%s %s %s:%d %s [%s]\n  %s\n  %s\n", f.Rule, f.Severity, f.Path, f.Line, f.Pointer, f.Anchor, f.Message.En, f.Message.Zh)
	}
	return out.String()
}

// Each folder under testdata is a package; want.txt is what the scanner says of
// it. Rewrite with go test ./scanners/unittest -update, and read the difference.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	for _, folder := range folders {
		if filepath.Base(folder) == "fuzz" {
			continue
		}
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			pkg := openPackage(t, readCase(t, folder))
			got := scan(t, pkg, unittest.Config{})
			require.Equal(t, got, scan(t, pkg, unittest.Config{}), "a second scan says the same")
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

// flaky is a package source that can go away.
type flaky struct {
	*bytes.Reader
	away error
}

func (f *flaky) ReadAt(p []byte, at int64) (int, error) {
	if f.away != nil {
		return 0, f.away
	}
	return f.Reader.ReadAt(p, at)
}

func TestAPackageThatCannotBeReadIsNoFinding(t *testing.T) {
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	f, err := w.Create("TEST-a.xml")
	require.NoError(t, err)
	_, err = f.Write([]byte(`<testsuite><testcase name="a"/></testsuite>`))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	source := &flaky{Reader: bytes.NewReader(zipped.Bytes())}
	pkg, err := zippkg.Open(source, int64(zipped.Len()), zippkg.DefaultLimits())
	require.NoError(t, err)

	source.away = fmt.Errorf("blob store away")
	s := unittest.New(unittest.Config{})
	_, err = s.Decide(t.Context(), pkg)
	require.ErrorIs(t, err, source.away)
	var found gathered
	_, err = s.Scan(t.Context(), pkg, &found)
	require.ErrorIs(t, err, source.away)
	require.Empty(t, found)
}
