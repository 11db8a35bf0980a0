package examples

import (
	"archive/zip"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// file is one entry of a zip.
type file struct {
	path    string
	content []byte
}

func sorted(files []file) []file {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files
}

// writeZip writes the files in their order. With legacyNames the names are in
// GB18030, and not marked in any way, which is how a reader meets them in zips
// from a Chinese Windows.
func writeZip(w io.Writer, files []file, modified time.Time, legacyNames bool) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.path, Method: zip.Deflate, Modified: modified}
		if legacyNames {
			name, err := simplifiedchinese.GB18030.NewEncoder().String(f.path)
			if err != nil {
				return fmt.Errorf("the name of %s: %w", f.path, err)
			}
			header.Name, header.NonUTF8 = name, true
		}
		entry, err := z.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.content); err != nil {
			return err
		}
	}
	return z.Close()
}
