package excel_test

import (
	"archive/zip"
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners/excel"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// source is a workbook as the cases under testdata write it: NAME.xlsx.yaml
// becomes NAME.xlsx.
type source struct {
	Sheets []struct {
		Name string
		Rows [][]string
	}
	// Fault makes something else of it: legacy, encrypted, truncated, html, empty,
	// brokenSheet.
	Fault string
}

func (s source) bytes(t testing.TB) []byte {
	t.Helper()
	ole := []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 512))
	switch s.Fault {
	case "legacy":
		return append(ole, "W\x00o\x00r\x00k\x00b\x00o\x00o\x00k\x00"...)
	case "encrypted":
		for _, c := range "EncryptedPackage" {
			ole = append(ole, byte(c), 0)
		}
		return ole
	case "html":
		return []byte("<html><table><tr><td>作业名称</td></tr></table></html>")
	case "empty":
		return nil
	}
	f := excelize.NewFile()
	defer f.Close()
	for i, sheet := range s.Sheets {
		if i == 0 {
			require.NoError(t, f.SetSheetName("Sheet1", sheet.Name))
		} else {
			_, err := f.NewSheet(sheet.Name)
			require.NoError(t, err)
		}
		for n, row := range sheet.Rows {
			cells := make([]any, len(row))
			for i, cell := range row {
				if cell != "" {
					cells[i] = cell
				}
			}
			require.NoError(t, f.SetSheetRow(sheet.Name, fmt.Sprintf("A%d", n+1), &cells))
		}
	}
	var out bytes.Buffer
	require.NoError(t, f.Write(&out))
	switch s.Fault {
	case "truncated":
		return out.Bytes()[:out.Len()/2]
	case "brokenSheet":
		return rewritePart(t, out.Bytes(), "xl/worksheets/sheet1.xml", func(b []byte) []byte {
			return bytes.Replace(b, []byte("</row>"), []byte("</raw>"), 1)
		})
	}
	return out.Bytes()
}

// partsOf unpacks a workbook.
func partsOf(t testing.TB, workbook []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r, err := zip.NewReader(bytes.NewReader(workbook), int64(len(workbook)))
	require.NoError(t, err)
	for _, part := range r.File {
		in, err := part.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		files[part.Name] = content
	}
	return files
}

// rewritePart changes one part of a workbook.
func rewritePart(t testing.TB, workbook []byte, name string, change func([]byte) []byte) []byte {
	t.Helper()
	files := partsOf(t, workbook)
	require.Contains(t, files, name)
	files[name] = change(files[name])
	return zipBytes(t, files)
}

func zipBytes(t testing.TB, files map[string][]byte) []byte {
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
	return out.Bytes()
}

func openPackage(t testing.TB, files map[string][]byte) *zippkg.Package {
	t.Helper()
	data := zipBytes(t, files)
	pkg, err := zippkg.Open(bytes.NewReader(data), int64(len(data)), zippkg.DefaultLimits())
	require.NoError(t, err)
	return pkg
}

type gathered []report.Finding

func (g *gathered) Add(f report.Finding) { *g = append(*g, f) }

// scan runs a package through the scanner and writes all that it says.
func scan(t testing.TB, pkg *zippkg.Package, config excel.Config) string {
	t.Helper()
	s := excel.New(config)
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
		fmt.Fprintf(&out, "degraded %s: %s\n", d.Path, d.Reason)
	}
	for _, f := range found {
		fmt.Fprintf(&out, "%s %s %s %s [%s]\n  %s\n  %s\n", f.Rule, f.Severity, f.Path, f.Cell, f.Anchor, f.Message.En, f.Message.Zh)
	}
	return out.String()
}

func readCase(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
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
		name = filepath.ToSlash(name)
		if workbook, ok := strings.CutSuffix(name, ".yaml"); ok {
			var s source
			if err := yaml.Unmarshal(content, &s); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			name, content = workbook, s.bytes(t)
		}
		// A file of its own in the root keeps zippkg from stripping folders.
		files[name], files["README.txt"] = content, []byte("a package")
		return nil
	}))
	return files
}

// Each folder under testdata is a package; want.txt is what the scanner says of
// it. Rewrite with go test ./scanners/excel -update, and read the difference.
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
			got := scan(t, pkg, excel.Config{})
			require.Equal(t, got, scan(t, pkg, excel.Config{}), "a second scan says the same")
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
