package excel_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/xlsx"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/excel"
	"github.com/factgate/factgate/scanners/scannertest"
)

// source is a workbook as the cases under testdata and the catalogue write it:
// NAME.xlsx.yaml becomes NAME.xlsx.
type source struct {
	Files  []string // further files of the package
	Sheets []sourceSheet
	Macros bool
	Link   string // to another workbook
	// Fault makes something else of it: legacy, encrypted, truncated, html, empty,
	// brokenSheet.
	Fault string
}

type sourceSheet struct {
	Name          string
	Rows          [][]yaml.Node // numbers and dates become such cells; "=A1 -> x" is a formula with its value
	Hidden        bool
	HiddenRows    []int    `yaml:"hiddenRows"`
	HiddenColumns []string `yaml:"hiddenColumns"`
	Merged        []string
}

func (s source) bytes(t testing.TB) []byte {
	t.Helper()
	ole := []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 504))
	stream := func(name string) []byte { // an entry of the directory
		entry := make([]byte, 128)
		for i := range len(name) {
			entry[2*i] = name[i]
		}
		entry[64], entry[66] = byte(2*len(name)+2), 2
		return append(ole, entry...)
	}
	switch s.Fault {
	case "legacy":
		return stream("Workbook")
	case "encrypted":
		return stream("EncryptedPackage")
	case "html":
		return []byte("<html><table><tr><td>作业名称</td></tr></table></html>")
	case "empty":
		return nil
	}
	f := excelize.NewFile()
	defer f.Close()
	kept := map[string]string{} // formulas and their values
	for i, sheet := range s.Sheets {
		if i == 0 {
			require.NoError(t, f.SetSheetName("Sheet1", sheet.Name))
		} else {
			_, err := f.NewSheet(sheet.Name)
			require.NoError(t, err)
		}
	}
	for _, sheet := range s.Sheets {
		for n, row := range sheet.Rows {
			for i := range row {
				place := xlsx.CellName(i+1, n+1)
				var value any
				require.NoError(t, row[i].Decode(&value))
				switch text, isText := value.(string); {
				case value == nil, isText && text == "":
				case isText && strings.HasPrefix(text, "="):
					formula, saved, _ := strings.Cut(text[1:], " -> ")
					require.NoError(t, f.SetCellFormula(sheet.Name, place, formula))
					kept[place] = saved
				default:
					require.NoError(t, f.SetCellValue(sheet.Name, place, value))
				}
			}
		}
		for _, area := range sheet.Merged {
			from, to, _ := strings.Cut(area, ":")
			require.NoError(t, f.MergeCell(sheet.Name, from, to))
		}
		for _, row := range sheet.HiddenRows {
			require.NoError(t, f.SetRowVisible(sheet.Name, row, false))
		}
		for _, column := range sheet.HiddenColumns {
			require.NoError(t, f.SetColVisible(sheet.Name, column, false))
		}
	}
	for i, sheet := range s.Sheets { // not while it is the only one
		if sheet.Hidden {
			f.SetActiveSheet((i + 1) % len(s.Sheets))
			require.NoError(t, f.SetSheetVisible(sheet.Name, false))
		}
	}
	var out bytes.Buffer
	require.NoError(t, f.Write(&out))
	book := out.Bytes()
	for place, value := range kept {
		if value == "" {
			continue
		}
		kind, saved := "str", value
		if strings.HasPrefix(value, "#") {
			kind = "e"
		}
		book = rewritePart(t, book, "xl/worksheets/sheet1.xml", func(b []byte) []byte {
			at := bytes.Index(b, []byte(`<c r="`+place+`"`))
			end := at + bytes.Index(b[at:], []byte("</c>"))
			cell := bytes.Replace(b[at:end], []byte(` t="str"`), nil, 1)
			cell = bytes.Replace(cell, []byte(`<c `), []byte(`<c t="`+kind+`" `), 1)
			return slices.Concat(b[:at], cell, []byte("<v>"+saved+"</v>"), b[end:])
		})
	}
	if s.Macros || s.Link != "" {
		parts := partsOf(t, book)
		if s.Macros {
			parts["xl/vbaProject.bin"] = []byte("\x00")
		}
		if s.Link != "" {
			const rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
			parts["xl/externalLinks/externalLink1.xml"] = []byte("<externalLink/>")
			parts["xl/externalLinks/_rels/externalLink1.xml.rels"] = []byte(`<Relationships><Relationship Id="r" Type="` + rel + `externalLinkPath" Target="file:///C:\rates\` + s.Link + `" TargetMode="External"/></Relationships>`)
			parts["xl/_rels/workbook.xml.rels"] = bytes.Replace(parts["xl/_rels/workbook.xml.rels"], []byte("</Relationships>"),
				[]byte(`<Relationship Id="link" Type="`+rel+`externalLink" Target="externalLinks/externalLink1.xml"/></Relationships>`), 1)
		}
		book = scannertest.Zip(t, parts)
	}
	switch s.Fault {
	case "truncated":
		return book[:len(book)/2]
	case "brokenSheet":
		return rewritePart(t, book, "xl/worksheets/sheet1.xml", func(b []byte) []byte {
			return bytes.Replace(b, []byte("</row>"), []byte("</raw>"), 1)
		})
	}
	return book
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
	return scannertest.Zip(t, files)
}

// scan is what is said of a package.
func scan(t testing.TB, pkg *zippkg.Package, config excel.Config) string {
	t.Helper()
	return scannertest.Said(t, excel.New(config), pkg, place)
}

func place(f report.Finding) string { return f.Path + " " + f.Cell }

// workbooks are written as sources.
var workbooks = scannertest.Makers{".yaml": func(t testing.TB, content []byte) []byte {
	var s source
	require.NoError(t, yaml.Unmarshal(content, &s))
	return s.bytes(t)
}}

func TestCases(t *testing.T) {
	scannertest.Cases(t, excel.New(excel.Config{}), workbooks, place, "rules")
}

// Each rule of the catalogue has an example that breaks it and one that does not;
// testdata/rules holds all that is said of both.
func TestRules(t *testing.T) {
	s, ok := excel.New(excel.Config{}).(scanners.Catalogued)
	require.True(t, ok)
	rules := s.Rules()
	require.Len(t, rules, 32)
	for i, rule := range rules {
		t.Run(rule.ID, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, fmt.Sprintf("XLS%03d", i+1), rule.ID)
			for _, text := range []report.Text{rule.Message, rule.Rationale} {
				require.NotEmpty(t, text.En)
				require.NotEmpty(t, text.Zh)
			}
			require.Equal(t, rule.Configure.En == "", rule.Configure.Zh == "")
			require.Equal(t, rule.ID == "XLS030", rule.Security)
			var got strings.Builder
			for name, example := range map[string]string{"bad": rule.Bad, "good": rule.Good} {
				require.NotEmpty(t, example, "catalogue/%s.yaml", rule.ID)
				said := scan(t, packageOf(t, example), excel.Config{})
				require.Equal(t, name == "bad", strings.Contains(said, rule.ID+" "), "%s:\n%s", name, said)
				if name == "bad" {
					got.WriteString(said)
				} else {
					require.Equal(t, "takes part: 1 of 1 read\n", said, "the good example is good in all")
				}
			}
			scannertest.Golden(t, filepath.Join("testdata/rules", rule.ID+".txt"), got.String())
		})
	}
}

// packageOf is a package of one workbook, 调度/作业.xlsx, and the files that an
// example names.
func packageOf(t testing.TB, example string) *zippkg.Package {
	t.Helper()
	var s source
	d := yaml.NewDecoder(strings.NewReader(example))
	d.KnownFields(true)
	require.NoError(t, d.Decode(&s))
	files := map[string][]byte{"README.txt": []byte("a package"), "调度/作业.xlsx": s.bytes(t)}
	for _, name := range s.Files {
		files[name] = []byte("-- " + name)
	}
	return scannertest.Open(t, files)
}
