package excel

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/factgate/factgate/domain/report"
)

// fault says in which way a workbook could not be read.
type fault int

const (
	faultCorrupt   fault = iota // damaged, or no workbook at all
	faultEncrypted              // needs a password
	faultLegacy                 // .xls or another old format
	faultLimit                  // readable perhaps, but over a limit: coverage, not a finding
)

// workbookError is why a workbook could not be read. It always is the
// workbook's fault: reading it again gives the same answer.
type workbookError struct {
	fault  fault
	detail report.Text
}

func (e *workbookError) Error() string { return e.detail.En }

func corrupt(en, zh string) *workbookError {
	return &workbookError{faultCorrupt, report.Text{En: en, Zh: zh}}
}

// corruptPart quotes the library's own words, which are English.
func corruptPart(name string, err error) *workbookError {
	return corrupt(fmt.Sprintf("part %q: %v", clip(name), err), fmt.Sprintf("部件 %q：%v", clip(name), err))
}

func overLimit(en, zh string) *workbookError {
	return &workbookError{faultLimit, report.Text{En: en, Zh: zh}}
}

// workbook is an open workbook. Close it: large parts lie in temporary files.
type workbook struct {
	file   *excelize.File
	sheets []string
	zip    *zip.Reader
	tmp    string
}

var (
	oleMagic = []byte{0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}
	zipMagic = []byte("PK")
	// encryptedPackage is the stream, named in UTF-16, in which Office keeps a
	// workbook that has a password.
	encryptedPackage = utf16le("EncryptedPackage")
)

func utf16le(ascii string) []byte {
	out := make([]byte, 0, 2*len(ascii))
	for i := range len(ascii) {
		out = append(out, ascii[i], 0)
	}
	return out
}

// openWorkbook opens the bytes of a workbook. An error that is no
// *workbookError is about this machine (its temporary folder), not the workbook.
func openWorkbook(data []byte, limits Limits) (*workbook, error) {
	switch {
	case bytes.HasPrefix(data, oleMagic) && bytes.Contains(data, encryptedPackage):
		return nil, &workbookError{faultEncrypted, report.Text{En: "needs a password", Zh: "需要密码"}}
	case bytes.HasPrefix(data, oleMagic):
		return nil, &workbookError{faultLegacy, report.Text{En: "Excel 97-2003 format", Zh: "Excel 97-2003 格式"}}
	case len(data) == 0:
		return nil, corrupt("the file is empty", "文件为空")
	case !bytes.HasPrefix(data, zipMagic) && looksLikeText(data):
		return nil, &workbookError{faultLegacy, report.Text{En: "HTML, XML or CSV text under the name of a workbook", Zh: "以工作簿命名的 HTML、XML 或 CSV 文本"}}
	}
	source, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, corrupt(fmt.Sprintf("not an .xlsx file: %v", err), fmt.Sprintf("不是 .xlsx 文件：%v", err))
	}
	slim, spill, err := slimmed(source, data, limits)
	if err != nil {
		return nil, err
	}
	w := &workbook{zip: source}
	// Also what the library forgets to remove when it fails goes with this folder.
	if w.tmp, err = os.MkdirTemp("", "factgate-xlsx-"); err != nil {
		return nil, fmt.Errorf("temporary folder for a workbook: %w", err)
	}
	err = guard(func() (err error) {
		w.file, err = excelize.OpenReader(bytes.NewReader(slim), excelize.Options{
			RawCellValue:      true,
			UnzipSizeLimit:    limits.UnzippedBytes,
			UnzipXMLSizeLimit: min(spill, limits.UnzippedBytes),
			TmpDir:            w.tmp,
		})
		if err == nil {
			w.sheets = w.file.GetSheetList()
		}
		return err
	})
	if err == nil && len(w.sheets) == 0 {
		err = corrupt("it has no sheets", "没有工作表")
	}
	seen := map[string]bool{}
	for _, name := range w.sheets {
		// The library finds sheets regardless of case; two of one name would be
		// read by chance.
		if folded := strings.ToLower(name); seen[folded] {
			err = corrupt(fmt.Sprintf("two sheets are called %q", clip(name)), fmt.Sprintf("两个工作表同名“%s”", clip(name)))
		} else {
			seen[folded] = true
		}
	}
	if err != nil {
		w.close()
		return nil, asFault(err)
	}
	return w, nil
}

func (w *workbook) close() {
	if w.file != nil {
		_ = w.file.Close() // removes temporary files; RemoveAll does too
	}
	_ = os.RemoveAll(w.tmp)
}

func asFault(err error) error {
	var w *workbookError
	if errors.As(err, &w) {
		return w
	}
	return corrupt(err.Error(), err.Error())
}

// guard turns a panic of the spreadsheet library into an error: its input is
// whatever somebody uploaded, and one workbook must not end a whole process.
func guard(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = corrupt(fmt.Sprintf("its content makes no sense: %v", p), fmt.Sprintf("内容无法解析：%v", p))
		}
	}()
	return read()
}

// Parts of a workbook that hold no cells are never unpacked: they are what
// makes workbooks large.
var uselessParts = []string{
	"xl/media/", "xl/drawings/", "xl/charts/", "xl/embeddings/", "xl/diagrams/", "xl/theme/",
	"xl/pivot", "xl/externallinks/", "xl/comments", "xl/threadedcomments/", "xl/persons/",
	"xl/printersettings/", "xl/ctrlprops/", "xl/activex/", "xl/calcchain.xml", "customxml/", "docprops/",
}

const (
	maxParts = 10_000
	// maxOtherPart is the largest part besides sheets and strings that is parsed.
	maxOtherPart = 16 << 20
	// Sheets and strings over spillUsual go to temporary files; in workbooks that
	// unpack to more than spillTotal, all over spillTight.
	spillUsual = 4 << 20
	spillTight = 1 << 20
	spillTotal = 64 << 20
)

// slimmed returns the workbook without the parts that hold no cells, after
// checking what remains against the limits, and the size over which parts are to
// be kept on disk.
func slimmed(source *zip.Reader, data []byte, limits Limits) ([]byte, int64, error) {
	if len(source.File) > maxParts {
		return nil, 0, overLimit(fmt.Sprintf("it has more than %d parts", maxParts), fmt.Sprintf("部件超过 %d 个", maxParts))
	}
	var keep []*zip.File
	var total int64
	seen := map[string]bool{}
	for _, part := range source.File {
		name := partName(part)
		if seen[name] {
			return nil, 0, corrupt(fmt.Sprintf("two parts are called %q", clip(part.Name)), fmt.Sprintf("两个部件同名“%s”", clip(part.Name)))
		}
		seen[name] = true
		if useless(name) {
			continue
		}
		size := part.UncompressedSize64
		if size > uint64(limits.UnzippedBytes) || total+int64(size) > limits.UnzippedBytes {
			return nil, 0, overLimit(fmt.Sprintf("it unpacks to more than %d MiB", limits.UnzippedBytes>>20), fmt.Sprintf("解压后超过 %d MiB", limits.UnzippedBytes>>20))
		}
		if size > maxOtherPart && !streamed(name) {
			return nil, 0, overLimit(fmt.Sprintf("its part %q is larger than %d MiB", clip(part.Name), maxOtherPart>>20), fmt.Sprintf("部件“%s”超过 %d MiB", clip(part.Name), maxOtherPart>>20))
		}
		total += int64(size)
		keep = append(keep, part)
	}
	spill := int64(spillUsual)
	if total > spillTotal {
		spill = spillTight
	}
	if len(keep) == len(source.File) {
		return data, spill, nil
	}
	var slim bytes.Buffer
	out := zip.NewWriter(&slim)
	for _, part := range keep {
		if err := out.Copy(part); err != nil {
			return nil, 0, corruptPart(part.Name, err)
		}
	}
	if err := out.Close(); err != nil {
		return nil, 0, corrupt(err.Error(), err.Error())
	}
	return slim.Bytes(), spill, nil
}

func partName(part *zip.File) string {
	return strings.ToLower(strings.ReplaceAll(part.Name, `\`, "/"))
}

func useless(name string) bool {
	if !strings.HasSuffix(name, ".xml") && !strings.HasSuffix(name, ".rels") {
		return true
	}
	for _, prefix := range uselessParts {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// streamed parts are read row by row and may be large.
func streamed(name string) bool {
	return strings.HasPrefix(name, "xl/worksheets/sheet") || name == "xl/sharedstrings.xml"
}

// verify reads all sheets and strings to their ends. The library takes broken
// XML for the end of a sheet; without this, half a sheet would pass for a short
// one.
func (w *workbook) verify(ctx context.Context) error {
	for _, part := range w.zip.File {
		name := partName(part)
		if useless(name) || !strings.HasPrefix(name, "xl/worksheets/") && name != "xl/sharedstrings.xml" {
			continue
		}
		if err := w.wellFormed(ctx, part); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return corruptPart(part.Name, err)
		}
	}
	return nil
}

func (w *workbook) wellFormed(ctx context.Context, part *zip.File) error {
	r, err := part.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := xml.NewDecoder(r)
	d.CharsetReader = w.file.CharsetReader
	elements := 0
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		token, err := d.Token()
		if err == io.EOF && elements == 0 {
			return io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
	return nil
}

// rows calls each with the rows of a sheet from the top, numbered from 1, empty
// ones among them as far as the sheet counts them, until each returns false.
// cells is good until the next call.
func (w *workbook) rows(ctx context.Context, sheet string, each func(number int, cells []string) bool) error {
	err := guard(func() error {
		rows, err := w.file.Rows(sheet)
		if err != nil {
			return err
		}
		defer rows.Close()
		for number := 1; rows.Next(); number++ {
			if number%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			cells, err := rows.Columns()
			if err != nil {
				return err
			}
			if !each(number, cells) {
				return nil
			}
		}
		return rows.Error()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		var fault *workbookError
		if !errors.As(err, &fault) {
			fault = corrupt(err.Error(), err.Error())
		}
		return corrupt(fmt.Sprintf("sheet %q: %s", clip(sheet), fault.detail.En), fmt.Sprintf("工作表“%s”：%s", clip(sheet), fault.detail.Zh))
	}
	return nil
}

// looksLikeText tells exports that only bear a workbook's name.
func looksLikeText(data []byte) bool {
	head := bytes.TrimSpace(bytes.TrimPrefix(data[:min(len(data), 512)], []byte("\xef\xbb\xbf")))
	return len(head) > 0 && bytes.IndexByte(head, 0) < 0 && (head[0] == '<' || bytes.ContainsAny(head, ",\t"))
}

// clip keeps what a workbook says short enough to be quoted in a message.
func clip(s string) string {
	const most = 80
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
