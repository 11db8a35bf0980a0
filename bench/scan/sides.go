package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"github.com/xuri/excelize/v2"

	finding "github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/xlsx"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/openapi"
	"github.com/factgate/factgate/scanners/sql"
)

// side does the work of one turn: NAME KIND FILE TIMES.
func side(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("NAME KIND FILE TIMES, not %q", args)
	}
	times, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	work, units, err := prepare(args[0], args[1], args[2])
	if err != nil {
		return err
	}
	begun := time.Now()
	for range times {
		n, err := work()
		if err != nil {
			return err
		}
		units += n
	}
	t := turn{Units: units, Seconds: time.Since(begun).Seconds()}
	if t.Peak, err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(t)
}

// peak is the most memory that was resident in this process.
func peak() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil || !found {
		return 0, fmt.Errorf("no peak in /proc/self/status: %w", err)
	}
	return kib << 10, nil
}

// prepare reads what the work needs. The work returns how much it was: megabytes or
// rows.
func prepare(name, kind, file string) (work func() (float64, error), units float64, err error) {
	ctx := context.Background()
	switch {
	case kind == "xlsx" && (name == xlsxExcelize || name == xlsxExcelizeTenth):
		return func() (float64, error) { return plainRows(file) }, 0, nil
	case kind == "xlsx":
		return func() (float64, error) { return ourRows(ctx, file) }, 0, nil
	case kind == "zip" && name == zipPlain:
		return func() (float64, error) { return plainInflate(file) }, 0, nil
	case kind == "zip":
		return func() (float64, error) { return ourInflate(file) }, 0, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, 0, err
	}
	size := float64(len(text)) / 1e6
	if name == sqlPgQuery {
		return func() (float64, error) {
			_, err := pgquery.Parse(string(text))
			return size, err
		}, 0, nil
	}
	var scanner scanners.Scanner = sql.New()
	if kind == "openapi" {
		scanner = openapi.New(openapi.Config{})
	}
	pkg, err := packed(filepath.Base(file), text)
	return func() (float64, error) {
		coverage, err := scanner.Scan(ctx, pkg, nobody{})
		if err == nil && coverage.Seen != 1 {
			err = fmt.Errorf("it read %d files: %v", coverage.Seen, coverage.Degraded)
		}
		return size, err
	}, 0, err
}

type nobody struct{}

func (nobody) Add(finding.Finding) {}

func packed(name string, text []byte) (*zippkg.Package, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	out, err := w.CreateHeader(&zip.FileHeader{Name: "x/" + name}) // stored: inflating is another part
	if err != nil {
		return nil, err
	}
	if _, err := out.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return zippkg.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), zippkg.Limits{})
}

func plainRows(name string) (rows float64, err error) {
	book, err := excelize.OpenFile(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = book.Close() }() // only read
	for _, sheet := range book.GetSheetList() {
		all, err := book.Rows(sheet)
		if err != nil {
			return 0, err
		}
		for all.Next() {
			if _, err := all.Columns(); err != nil {
				return 0, err
			}
			rows++
		}
		if err := all.Close(); err != nil {
			return 0, err
		}
	}
	return rows, nil
}

func ourRows(ctx context.Context, name string) (rows float64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	book, err := xlsx.Open(ctx, file, info.Size(), xlsx.Limits{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = book.Close() }() // only read
	for _, sheet := range book.Sheets {
		all := book.Rows(ctx, sheet)
		for all.Next() {
			rows++
		}
		if err := all.Err(); err != nil {
			return 0, err
		}
		if err := all.Close(); err != nil {
			return 0, err
		}
	}
	return rows, nil
}

func plainInflate(name string) (megabytes float64, err error) {
	r, err := zip.OpenReader(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }() // only read
	var n int64
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			return 0, err
		}
		read, err := io.Copy(io.Discard, in)
		if err != nil {
			return 0, err
		}
		n += read
		if err := in.Close(); err != nil {
			return 0, err
		}
	}
	return float64(n) / 1e6, nil
}

func ourInflate(name string) (megabytes float64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	pkg, err := zippkg.Open(file, info.Size(), zippkg.Limits{})
	if err != nil {
		return 0, err
	}
	var n int64
	for _, f := range pkg.Files() {
		in, err := f.Open()
		if err != nil {
			return 0, err
		}
		read, err := io.Copy(io.Discard, in)
		if err != nil {
			return 0, err
		}
		n += read
		if err := in.Close(); err != nil {
			return 0, err
		}
	}
	return float64(n) / 1e6, nil
}
