package excel_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/excel"
	"github.com/factgate/factgate/scanners/scannertest"
)

var jobHeader = []any{"job_name", "job_type", "command", "depends_on", "cron", "owner"}

// workbookOf writes one job sheet of n rows, each made by row.
func workbookOf(t testing.TB, n int, row func(i int) []any) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	w, err := f.NewStreamWriter("Sheet1")
	require.NoError(t, err)
	require.NoError(t, w.SetRow("A1", jobHeader))
	for i := range n {
		require.NoError(t, w.SetRow(fmt.Sprintf("A%d", i+2), row(i)))
	}
	require.NoError(t, w.Flush())
	var out bytes.Buffer
	require.NoError(t, f.Write(&out))
	return out.Bytes()
}

func goodJob(i int) []any {
	depends := ""
	if i > 0 {
		depends = fmt.Sprintf("job_%06d", i-1)
	}
	return []any{fmt.Sprintf("job_%06d", i), "SHELL", "sh run.sh", depends, "0 0 2 * * ?", "ann"}
}

func TestWhatGoesOverALimitIsDegradedNotSilent(t *testing.T) {
	jobs := workbookOf(t, 50, goodJob)
	wide := workbookOf(t, 1, func(i int) []any { return append(goodJob(i), make([]any, 30)...) })
	wide = rewritePart(t, wide, "xl/worksheets/sheet1.xml", func(b []byte) []byte {
		return bytes.Replace(b, []byte("</row></sheetData>"), []byte(`<c r="AZ2"><v>1</v></c></row></sheetData>`), 1)
	})
	long := workbookOf(t, 1, func(i int) []any { return append(goodJob(i)[:5], strings.Repeat("a", 30_000)) })
	for name, c := range map[string]struct {
		workbook []byte
		limits   excel.Limits
		want     string
	}{
		"workbook":   {jobs, excel.Limits{WorkbookBytes: 100}, "larger than 0 MiB"},
		"unzipped":   {jobs, excel.Limits{UnzippedBytes: 1 << 10}, "unpacks to more than 0 MiB"},
		"rows":       {jobs, excel.Limits{Rows: 10}, "rows from 11 on were not read"},
		"text":       {jobs, excel.Limits{TextBytes: 100}, "were not read"},
		"cells":      {jobs, excel.Limits{Cells: 60}, "rows after 10 were not read"},
		"references": {jobs, excel.Limits{References: 10}, "only the first 10 dependencies"},
		"columns":    {wide, excel.Limits{Columns: 20}, "columns after 20 were not read"},
		"cell":       {long, excel.Limits{CellBytes: 1 << 10}, "cells of more than 1024 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pkg := scannertest.Open(t, map[string][]byte{"jobs/jobs.xlsx": c.workbook, "README": nil})
			got := scan(t, pkg, excel.Config{Limits: c.limits})
			require.Contains(t, got, "takes part: ")
			require.Contains(t, got, "degraded jobs/jobs.xlsx: ")
			require.Contains(t, got, c.want)
		})
	}
}

func TestOnlyTheFirstSheetsAreLookedAt(t *testing.T) {
	var s source
	var sheets []sourceSheet
	for i := range 5 {
		require.NoError(t, yaml.Unmarshal(fmt.Appendf(nil, "[{name: s%d, rows: [[job_name, type, command, cycle, owner], [j%d, SHELL, x, D, ann]]}]", i, i), &sheets))
		s.Sheets = append(s.Sheets, sheets...)
	}
	got := scan(t, scannertest.Open(t, map[string][]byte{"a.xlsx": s.bytes(t)}), excel.Config{Limits: excel.Limits{Sheets: 2}})
	require.Contains(t, got, "only the first 2 of 5 sheets")
}

// Pictures and macros make workbooks large; they are not unpacked.
func TestPartsWithoutCellsAreNotRead(t *testing.T) {
	workbook := workbookOf(t, 3, goodJob)
	parts := partsOf(t, workbook)
	random := rand.NewChaCha8([32]byte{})
	for _, name := range []string{"xl/media/image1.png", "xl/vbaProject.bin"} {
		parts[name] = make([]byte, 600<<10)
		_, _ = random.Read(parts[name]) // never fails
	}
	got := scan(t, scannertest.Open(t, map[string][]byte{"a.xlsm": scannertest.Zip(t, parts)}), excel.Config{Limits: excel.Limits{UnzippedBytes: 500 << 10}})
	require.Contains(t, got, "takes part: 1 of 1 read\nXLS032 ")
}

func TestAPackageThatCannotBeReadIsNoFinding(t *testing.T) {
	scannertest.Unreadable(t, excel.New(excel.Config{}), map[string][]byte{"jobs.xlsx": workbookOf(t, 3, goodJob)})
}

func TestDigestsAndDescription(t *testing.T) {
	a, b := excel.New(excel.Config{}).Describe(), excel.New(excel.Config{}).Describe()
	require.Equal(t, a, b)
	require.Equal(t, "EXCEL", a.Type)
	other := excel.New(excel.Config{Limits: excel.Limits{Rows: 7}}).Describe()
	require.NotEqual(t, a.ConfigDigest, other.ConfigDigest)
	require.Equal(t, a.RulesDigest, other.RulesDigest)
}

func TestEveryFindingFitsAReport(t *testing.T) {
	long := strings.Repeat("名", 30_000)
	workbook := workbookOf(t, 4, func(i int) []any {
		return []any{long[:len(long)-3*(i%2)], "", "", strings.Repeat(long[:900]+",", 20), strings.Repeat("*", 30_000), ""}
	})
	var found scannertest.Found
	_, err := excel.New(excel.Config{}).Scan(t.Context(), scannertest.Open(t, map[string][]byte{"a.xlsx": workbook}), &found)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	w := report.NewWriter(&bytes.Buffer{}, report.Header{})
	for _, f := range found {
		w.Add(f)
	}
	require.NoError(t, w.Close())
}

// XLS030 and every other rule, anchors among them, keep what they have found to
// themselves.
func TestNoPasswordIsPrinted(t *testing.T) {
	secrets := []string{"Qwer1234", "Asdf5678", "Zxcv9012", "LTAI4FxxEXAMPLEKEY0000", "Hunter22!"}
	for _, folder := range []string{"config-first", "azkaban-helper"} {
		var found scannertest.Found
		coverage, err := excel.New(excel.Config{}).Scan(t.Context(), scannertest.Open(t, scannertest.Folder(t, filepath.Join("testdata", folder), workbooks)), &found)
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(found), "XLS030")
		for _, secret := range secrets {
			require.NotContains(t, fmt.Sprintf("%+v %+v", found, coverage), secret)
		}
	}
}

// Whatever a package is full of, its scan takes time and memory in proportion.
func TestDeliveriesMadeToBeSlow(t *testing.T) {
	const n = 2000
	for name, row := range map[string]func(i int) []any{
		"unknown types": func(i int) []any { return []any{fmt.Sprintf("j%d", i), fmt.Sprintf("shel%d", i), "x", "", "", "ann"} },
		"namesakes":     func(i int) []any { return []any{"j", "SHELL", "x", "j", "0 2 * * *", "ann"} },
		"one chain": func(i int) []any {
			return []any{fmt.Sprintf("j%d", i), "SHELL", "x", fmt.Sprintf("j%d", (i+1)%n), "0 2 * * *", "ann"}
		},
		"one hub": func(i int) []any { return []any{fmt.Sprintf("j%d", i), "SHELL", "x", "j0", "0 2 * * *", "ann"} },
		"hints": func(i int) []any {
			return []any{fmt.Sprintf("j%d", i), "SHELL", strings.Repeat("mysql curl -p ", 70), "", "0 2 * * *", "ann"}
		},
		"one script": func(i int) []any {
			return []any{fmt.Sprintf("j%d", i), "SHELL", strings.Repeat("a/b.sql ", 100), "", "0 2 * * *", "ann"}
		},
		"brackets": func(i int) []any {
			return []any{fmt.Sprintf("j%d", i), strings.Repeat("(", 200), "x", strings.Repeat("a.", 200), strings.Repeat("*,", 100), "ann"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{"jobs.xlsx": workbookOf(t, n, row), "README": nil}
			for i := range 300 {
				files[fmt.Sprintf("%d/b.sql", i)] = nil
			}
			var found scannertest.Found
			coverage, err := excel.New(excel.Config{}).Scan(t.Context(), scannertest.Open(t, files), &found)
			require.NoError(t, err)
			require.Equal(t, 1, coverage.Eligible)
		})
	}
}

func FuzzWorkbook(f *testing.F) {
	jobs := workbookOf(f, 3, goodJob)
	f.Add(jobs)
	f.Add(jobs[:len(jobs)/2])
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("<html>"))
	f.Add(source{Fault: "legacy"}.bytes(f))
	f.Add(source{Fault: "encrypted"}.bytes(f))
	limits := excel.Limits{UnzippedBytes: 1 << 20, Cells: 20_000}
	f.Fuzz(func(t *testing.T, workbook []byte) {
		scan(t, scannertest.Open(t, map[string][]byte{"jobs/a.xlsx": workbook, "README": nil}), excel.Config{Limits: limits})
	})
}

// FuzzSheet fuzzes inside of the compression, where the cells are.
func FuzzSheet(f *testing.F) {
	parts := partsOf(f, workbookOf(f, 3, goodJob))
	f.Add(parts["xl/worksheets/sheet1.xml"])
	f.Add([]byte(`<worksheet><sheetData><row r="9"><c r="XFD9" t="s"><v>99999999</v></c></row><row r="2"/></sheetData></worksheet>`))
	f.Fuzz(func(t *testing.T, sheet []byte) {
		changed := map[string][]byte{}
		for name, content := range parts {
			changed[name] = content
		}
		changed["xl/worksheets/sheet1.xml"] = sheet
		pkg := scannertest.Open(t, map[string][]byte{"jobs/a.xlsx": scannertest.Zip(t, changed), "README": nil})
		limits := excel.Limits{UnzippedBytes: 1 << 20, Cells: 20_000}
		first := scan(t, pkg, excel.Config{Limits: limits})
		require.Equal(t, first, scan(t, pkg, excel.Config{Limits: limits}))
	})
}

func BenchmarkScan(b *testing.B) {
	const jobs = 10_000
	workbook := workbookOf(b, jobs, goodJob)
	pkg := scannertest.Open(b, map[string][]byte{"a.xlsx": workbook})
	b.SetBytes(int64(len(partsOf(b, workbook)["xl/worksheets/sheet1.xml"])))
	b.ReportAllocs()
	for b.Loop() {
		var found scannertest.Found
		if _, err := excel.New(excel.Config{}).Scan(b.Context(), pkg, &found); err != nil || len(found) > 0 {
			b.Fatal(err, found)
		}
	}
	b.ReportMetric(float64(jobs*b.N)/b.Elapsed().Seconds(), "rows/s")
}
