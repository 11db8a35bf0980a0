package examples

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// workbook makes an .xlsx of CSV files named ORDER-SHEET.csv. A cell that is a
// whole number becomes a number, as Excel would make of it; all others are text.
func workbook(sheets map[string][]byte, modified time.Time) ([]byte, error) {
	book := excelize.NewFile()
	defer book.Close()
	for i, name := range slices.SortedFunc(maps.Keys(sheets), inOrder) {
		_, sheet, _ := strings.Cut(strings.TrimSuffix(name, ".csv"), "-")
		if err := nameSheet(book, i, sheet); err != nil {
			return nil, fmt.Errorf("%s is not named ORDER-SHEET.csv: %w", name, err)
		}
		if err := fill(book, sheet, sheets[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	stamp := modified.UTC().Format(time.RFC3339)
	if err := book.SetDocProps(&excelize.DocProperties{Creator: "examples", Created: stamp, Modified: stamp}); err != nil {
		return nil, err
	}
	packed, err := book.WriteToBuffer()
	if err != nil {
		return nil, err
	}
	return repack(packed.Bytes(), modified)
}

// inOrder puts 10-x.csv behind 9-x.csv.
func inOrder(a, b string) int {
	first, _, _ := strings.Cut(a, "-")
	second, _, _ := strings.Cut(b, "-")
	if len(first) != len(second) {
		return len(first) - len(second)
	}
	return strings.Compare(a, b)
}

func nameSheet(book *excelize.File, i int, sheet string) error {
	if i == 0 {
		return book.SetSheetName(book.GetSheetName(0), sheet)
	}
	_, err := book.NewSheet(sheet)
	return err
}

func fill(book *excelize.File, sheet string, text []byte) error {
	lines := csv.NewReader(bytes.NewReader(text))
	lines.FieldsPerRecord = -1 // a title has one cell
	records, err := lines.ReadAll()
	if err != nil {
		return err
	}
	for row, record := range records {
		for column, value := range record {
			if value == "" {
				continue
			}
			cell, err := excelize.CoordinatesToCellName(column+1, row+1)
			if err != nil {
				return err
			}
			if n, number := wholeNumber(value); number {
				err = book.SetCellInt(sheet, cell, n)
			} else {
				err = book.SetCellStr(sheet, cell, value)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// wholeNumber knows the numbers that come back from a number cell as they were
// written: 007 does not.
func wholeNumber(value string) (int64, bool) {
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == value
}

// repack orders the parts of a workbook by name and dates them: the library
// promises neither.
func repack(book []byte, modified time.Time) ([]byte, error) {
	parts, err := zip.NewReader(bytes.NewReader(book), int64(len(book)))
	if err != nil {
		return nil, err
	}
	var files []file
	for _, part := range parts.File {
		content, err := readPart(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.Name, err)
		}
		files = append(files, file{part.Name, content})
	}
	var out bytes.Buffer
	err = writeZip(&out, sorted(files), modified, false)
	return out.Bytes(), err
}

func readPart(part *zip.File) ([]byte, error) {
	in, err := part.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}
