package xlsx_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/factgate/factgate/internal/xlsx"
)

// sheetsOf reads all cells that hold a value, by sheet and place, as they stand
// in the file.
func sheetsOf(t require.TestingT, data []byte) map[string]map[string]string {
	ctx := context.Background()
	w, err := xlsx.Open(ctx, bytes.NewReader(data), int64(len(data)), xlsx.Limits{})
	require.NoError(t, err)
	defer w.Close()
	out := map[string]map[string]string{}
	for _, sheet := range w.Sheets {
		cells := map[string]string{}
		rows := w.Rows(ctx, sheet)
		for rows.Next() {
			for _, c := range rows.Row().Cells {
				if c.Value != "" {
					cells[xlsx.CellName(c.Column, rows.Row().Number)] = c.Value
				}
			}
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		out[sheet.Name] = cells
	}
	require.NoError(t, w.Verify(ctx))
	return out
}

func excelizeSheetsOf(t require.TestingT, data []byte) map[string]map[string]string {
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{RawCellValue: true})
	require.NoError(t, err)
	defer f.Close()
	out := map[string]map[string]string{}
	for _, sheet := range f.GetSheetList() {
		cells := map[string]string{}
		rows, err := f.Rows(sheet)
		require.NoError(t, err)
		for number := 1; rows.Next(); number++ {
			values, err := rows.Columns()
			require.NoError(t, err)
			for i, value := range values {
				if value != "" {
					cells[xlsx.CellName(i+1, number)] = value
				}
			}
		}
		require.NoError(t, rows.Close())
		out[sheet] = cells
	}
	return out
}

func written(t require.TestingT, f *excelize.File) []byte {
	var out bytes.Buffer
	require.NoError(t, f.Write(&out))
	require.NoError(t, f.Close())
	return out.Bytes()
}

// What excelize writes, both read alike.
func TestReadsWhatExcelizeReads(t *testing.T) {
	f := excelize.NewFile()
	require.NoError(t, f.SetSheetName("Sheet1", "作业 '列表' & <更多>"))
	_, err := f.NewSheet("b")
	require.NoError(t, err)
	for cell, value := range map[string]any{
		"A1": "作业名称\n（必填）", "B2": 7, "C3": 0.1, "D4": true, "E5": time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
		"F6": "  padded  ", "G7": "a&b<c>\"d\"'e'", "ZZ900": "corner", "H8": "_x000D_", "I9": "_x0041_ _x_ _xZZZZ_", "J1": "line\r\nline\rline",
		"K1": "𠮷 emoji 😀", "L1": "007", "M1": 1e21, "N1": -5,
	} {
		require.NoError(t, f.SetCellValue("b", cell, value))
	}
	require.NoError(t, f.SetCellRichText("b", "A20", []excelize.RichTextRun{{Text: "rich "}, {Text: "text", Font: &excelize.Font{Bold: true}}}))
	require.NoError(t, f.MergeCell("b", "A30", "B31"))
	require.NoError(t, f.SetRowVisible("b", 5, false))
	data := written(t, f)
	require.Equal(t, excelizeSheetsOf(t, data), sheetsOf(t, data))
}

func TestReadsWhatExcelizeReadsOfAnything(t *testing.T) {
	pieces := []string{"作业", "名称 ", "\u00a0x", "\u200b", "_x000D_", "_x005F_x0041_", "]]>", "&amp;", "<&>", "'\"", "\n", " a", "ｆｕｌｌ", "😀", "_x", "0", "-1.50"}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 7))
		f := excelize.NewFile()
		for i := range 1 + random.IntN(3) {
			sheet := fmt.Sprintf("s%d", i)
			_, err := f.NewSheet(sheet)
			require.NoError(t, err)
			for range random.IntN(60) {
				cell := xlsx.CellName(1+random.IntN(40), 1+random.IntN(60))
				var value any
				switch random.IntN(5) {
				case 0:
					value = int(random.Int32()) - 1<<30
				case 1:
					value = (random.Float64() - 0.5) * 1e12
				case 2:
					value = random.IntN(2) == 0
				case 3:
					value = time.Unix(random.Int64N(4e9), 0).UTC()
				default:
					text := ""
					for range random.IntN(6) {
						text += pieces[random.IntN(len(pieces))]
					}
					value = text
				}
				require.NoError(t, f.SetCellValue(sheet, cell, value))
			}
		}
		data := written(t, f)
		require.Equal(t, excelizeSheetsOf(t, data), sheetsOf(t, data), "seed %d", seed)
	}
}

// table is a sheet as jobs are delivered in: texts, some of them in many rows,
// and numbers.
func table(t testing.TB, rows, columns int, shared bool) []byte {
	t.Helper()
	f := excelize.NewFile()
	random := rand.New(rand.NewPCG(1, 2))
	value := func(row, column int) any {
		switch column % 5 {
		case 0:
			return fmt.Sprintf("dwd_orders_detail_%06d_%d", row, column)
		case 1:
			return []string{"SHELL", "HIVE", "SPARK", "数据集成"}[random.IntN(4)]
		case 2:
			return random.IntN(100)
		case 3:
			return fmt.Sprintf("sql/dwd/job_%06d.sql", row)
		default:
			return "0 0 2 * * ?"
		}
	}
	if shared {
		for row := range rows {
			for column := range columns {
				require.NoError(t, f.SetCellValue("Sheet1", xlsx.CellName(column+1, row+1), value(row, column)))
			}
		}
		return written(t, f)
	}
	w, err := f.NewStreamWriter("Sheet1")
	require.NoError(t, err)
	for row := range rows {
		cells := make([]any, columns)
		for column := range cells {
			cells[column] = value(row, column)
		}
		require.NoError(t, w.SetRow(xlsx.CellName(1, row+1), cells))
	}
	require.NoError(t, w.Flush())
	return written(t, f)
}

const benchRows, benchColumns = 100_000, 10

// BenchmarkRows reads 100,000 rows of 10 cells with this package and with
// excelize, both streaming.
func BenchmarkRows(b *testing.B) {
	for _, kind := range []string{"inline", "shared"} {
		data := table(b, benchRows, benchColumns, kind == "shared")
		for _, reader := range []struct {
			name string
			read func(testing.TB, []byte) int
		}{{"xlsx", readAll}, {"excelize", excelizeReadAll}} {
			b.Run(kind+"/"+reader.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if n := reader.read(b, data); n != benchRows*benchColumns {
						b.Fatal(n)
					}
				}
				b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

func readAll(t testing.TB, data []byte) int {
	w, err := open(t, data, xlsx.Limits{})
	require.NoError(t, err)
	defer w.Close()
	rows := w.Rows(t.Context(), w.Sheets[0])
	defer rows.Close()
	n := 0
	for rows.Next() {
		for _, c := range rows.Row().Cells {
			if c.Value != "" {
				n++
			}
		}
	}
	require.NoError(t, rows.Err())
	return n
}

func excelizeReadAll(t testing.TB, data []byte) int {
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{RawCellValue: true})
	require.NoError(t, err)
	defer f.Close()
	rows, err := f.Rows("Sheet1")
	require.NoError(t, err)
	n := 0
	for rows.Next() {
		cells, err := rows.Columns()
		require.NoError(t, err)
		for _, c := range cells {
			if strings.TrimSpace(c) != "" {
				n++
			}
		}
	}
	require.NoError(t, rows.Close())
	return n
}
