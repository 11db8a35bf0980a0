package zippkg

import (
	"archive/zip"
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// release is a package of some size: n scripts of about 40 KiB that compress like
// scripts do.
func release(n int) []entry {
	letters := noise(1 << 20)
	entries := make([]entry, n)
	for i := range entries {
		var script strings.Builder
		for line := range 700 {
			at := (i*7919 + line*613) % (len(letters) - 20)
			script.WriteString("insert into dwd.orders select " + letters[at:at+12] + ", sum(amount) from ods.t group by " + strconv.Itoa(line) + ";\n")
		}
		entries[i] = entry{Name: "etl/" + strconv.Itoa(i) + ".sql", Content: script.String()}
	}
	return entries
}

// BenchmarkRead reads every byte of a package: by archive/zip alone, which checks
// nothing, and by this package; and the same files one level deeper.
func BenchmarkRead(b *testing.B) {
	files := release(500)
	flat := zipOf(files...)
	total := int64(0)
	for _, f := range files {
		total += int64(len(f.Content))
	}
	run := func(name string, read func() (int64, error)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				n, err := read()
				require.NoError(b, err)
				require.GreaterOrEqual(b, n, total)
			}
		})
	}
	ours := func(data []byte) func() (int64, error) {
		return func() (n int64, err error) {
			p, err := open(data, Limits{})
			if err != nil {
				return 0, err
			}
			for _, f := range p.Files() {
				if isZip(f.Path) {
					continue
				}
				rc, err := f.Open()
				if err != nil {
					return n, err
				}
				read, err := io.Copy(io.Discard, rc)
				if n += read; err != nil {
					return n, err
				}
				_ = rc.Close()
			}
			return n, nil
		}
	}
	run("archive/zip", func() (n int64, err error) {
		r, err := zip.NewReader(bytes.NewReader(flat), int64(len(flat)))
		if err != nil {
			return 0, err
		}
		for _, f := range r.File {
			rc, err := f.Open()
			if err != nil {
				return n, err
			}
			read, err := io.Copy(io.Discard, rc)
			if n += read; err != nil {
				return n, err
			}
			_ = rc.Close()
		}
		return n, nil
	})
	run("package", ours(flat))
	run("nested, uncompressed", ours(zipOf(entry{Name: "in.zip", Content: string(flat), Stored: true})))
	run("nested, compressed", ours(zipOf(entry{Name: "in.zip", Content: string(flat)})))
}

// BenchmarkOpen opens a package of as many entries as there may be.
func BenchmarkOpen(b *testing.B) {
	entries := make([]entry, 20_000)
	for i := range entries {
		entries[i] = entry{Name: "rel/dwd/" + strconv.Itoa(i) + ".sql", Content: "x", Stored: true}
	}
	for name, data := range map[string][]byte{
		"20,000 files":  zipOf(entries...),
		"nested 19,999": zipOf(entry{Name: "in.zip", Content: string(zipOf(entries[1:]...)), Stored: true}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := open(data, Limits{})
				require.NoError(b, err)
				require.GreaterOrEqual(b, len(p.Files()), 20_000)
			}
		})
	}
}
