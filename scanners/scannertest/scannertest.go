// Package scannertest runs packages through a scanner and compares all that it says
// with golden files. Tests of scanners import it, and nothing else does.
//
// Start at [Cases].
package scannertest

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	"github.com/factgate/factgate/scanners"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Found are findings in the order in which they came.
type Found []report.Finding

// Add is part of scanners.Findings.
func (f *Found) Add(one report.Finding) { *f = append(*f, one) }

// Place writes where a finding is, as the golden files of a scanner show it.
type Place func(report.Finding) string

// Makers make files of a package from what stands under testdata, by the ending of
// its name, which the file then does not have.
type Makers map[string]func(testing.TB, []byte) []byte

// Files with these endings are written in UTF-8 and packed in the encoding it names.
var encodings = map[string]encoding.Encoding{
	".gbk":    simplifiedchinese.GBK,
	".latin1": charmap.ISO8859_1,
	".utf16":  unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
}

// Cases takes each folder under testdata, but fuzz and those left out, as a package;
// its want.txt is what the scanner says of it. Rewrite with -update, and read the
// difference.
func Cases(t *testing.T, s scanners.Scanner, made Makers, place Place, leftOut ...string) {
	t.Helper()
	folders, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		name := filepath.Base(folder)
		if name == "fuzz" || slices.Contains(leftOut, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pkg := Open(t, Folder(t, folder, made))
			got := Said(t, s, pkg, place)
			require.Equal(t, got, Said(t, s, pkg, place), "a second scan says the same")
			Golden(t, filepath.Join(folder, "want.txt"), got)
		})
	}
}

// Folder reads the files of a case.
func Folder(t testing.TB, folder string, made Makers) map[string][]byte {
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
		ending := filepath.Ext(name)
		if in, ok := encodings[ending]; ok {
			name = strings.TrimSuffix(name, ending)
			content, err = in.NewEncoder().Bytes(content)
		} else if made[ending] != nil {
			name = strings.TrimSuffix(name, ending)
			content = made[ending](t, content)
		}
		files[filepath.ToSlash(name)] = content
		return err
	}))
	return files
}

// Zip packs files in any order; NAME@2026-03-01 is modified on that day.
func Zip(t testing.TB, files map[string][]byte) []byte {
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
	return out.Bytes()
}

// Open makes a package of files, which Zip packs.
func Open(t testing.TB, files map[string][]byte) *zippkg.Package {
	t.Helper()
	zipped := Zip(t, files)
	pkg, err := zippkg.Open(bytes.NewReader(zipped), int64(len(zipped)), zippkg.DefaultLimits())
	require.NoError(t, err)
	return pkg
}

// Said runs a package through a scanner and writes all that it says.
func Said(t testing.TB, s scanners.Scanner, pkg *zippkg.Package, place Place) string {
	t.Helper()
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	var out strings.Builder
	if !decision.TakesPart() {
		fmt.Fprintf(&out, "declined %s\n  %s\n  %s\n", decision.Code(), decision.Reason().En, decision.Reason().Zh)
		return out.String()
	}
	var found Found
	coverage, err := s.Scan(t.Context(), pkg, &found)
	require.NoError(t, err)
	fmt.Fprintf(&out, "takes part: %d of %d read\n", coverage.Seen, coverage.Eligible)
	for _, d := range coverage.Degraded {
		require.Regexp(t, `\p{Han}`, d.ReasonZH, d.Reason)
		fmt.Fprintf(&out, "degraded %s: %s\n  %s\n", d.Path, d.Reason, d.ReasonZH)
	}
	for _, f := range found {
		fmt.Fprintf(&out, "%s %s %s [%s]\n  %s\n  %s\n", f.Rule, f.Severity, place(f), f.Anchor, f.Message.En, f.Message.Zh)
	}
	return out.String()
}

// Golden compares what was said with a file.
func Golden(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// Unreadable holds a scanner to its word that a package which cannot be read, or not
// any longer, is no finding.
func Unreadable(t *testing.T, s scanners.Scanner, files map[string][]byte) {
	t.Helper()
	zipped := Zip(t, files)
	source := &away{Reader: bytes.NewReader(zipped)}
	pkg, err := zippkg.Open(source, int64(len(zipped)), zippkg.DefaultLimits())
	require.NoError(t, err)
	var found Found
	source.err = errors.New("blob store away")
	_, err = s.Decide(t.Context(), pkg)
	require.ErrorIs(t, err, source.err)
	_, err = s.Scan(t.Context(), pkg, &found)
	require.ErrorIs(t, err, source.err)

	source.err = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Decide(ctx, pkg)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Scan(ctx, pkg, &found)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, found)
}

// away is a package's source that can go away.
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
