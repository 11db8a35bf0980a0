package xlsx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/factgate/factgate/internal/zippkg"
)

// Workbook is an open workbook. It is for one goroutine, reads from the source
// it was opened with, and is closed by who opened it.
type Workbook struct {
	// Sheets in their order, those with cells only: charts are left out.
	Sheets []Sheet
	// Macros: it has a VBA project or a macro sheet.
	Macros bool
	// Links are the other files to which it links, as it names them.
	Links []string

	limits   Limits
	parts    map[string]*zippkg.File // by lower-case name
	strings  string                  // part of the shared strings
	shared   *sharedStrings          // once a row has needed them
	styles   styles
	date1904 bool
	unzipped int64 // of what has been read at least once
	furthest map[string]int64
	whole    map[string]bool // parts that were read to the end of their XML
}

// Sheet is one sheet of a workbook.
type Sheet struct {
	Name string
	// Hidden from the people who open the workbook; VeryHidden needs a program to
	// be shown again.
	Hidden, VeryHidden bool

	part string
}

// OpenFile opens a workbook of a package, which is held in memory as it is
// packed.
func OpenFile(ctx context.Context, file *zippkg.File, limits Limits) (*Workbook, error) {
	limits = limits.withDefaults()
	if file.Size > limits.Bytes {
		return nil, tooLarge(limits)
	}
	data, err := file.ReadAll(limits.Bytes)
	if err != nil {
		return nil, ofZip(err)
	}
	return Open(ctx, bytes.NewReader(data), int64(len(data)), limits)
}

func tooLarge(limits Limits) *Error {
	return over(fmt.Sprintf("it is larger than %d MiB", limits.Bytes>>20), fmt.Sprintf("文件超过 %d MiB", limits.Bytes>>20))
}

// Open reads what a workbook says of itself. Sheets are not read; what is wrong
// with them is told by [Rows.Err] and [Workbook.Verify].
func Open(ctx context.Context, r io.ReaderAt, size int64, limits Limits) (*Workbook, error) {
	limits = limits.withDefaults()
	if size <= 0 {
		return nil, corrupt("the file is empty", "文件为空")
	}
	head := make([]byte, min(512, size))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case size > limits.Bytes:
		return nil, tooLarge(limits)
	case bytes.HasPrefix(head, oleMagic):
		fault, err := compound(r, size)
		if err != nil {
			return nil, err
		}
		return nil, fault
	case !bytes.HasPrefix(head, []byte("PK")) && looksLikeText(head):
		return nil, &Error{Legacy, "HTML, XML or CSV text under the name of a workbook", "以工作簿命名的 HTML、XML 或 CSV 文本"}
	}
	// Sizes are counted here, and only of the parts that are read: pictures are
	// not. A sheet may well be packed a hundred times smaller.
	const plenty = 1 << 40
	pkg, err := zippkg.Open(r, size, zippkg.Limits{
		Upload: limits.Bytes, Unpacked: plenty * 1000, File: plenty, Entries: limits.Parts, Ratio: plenty, RatioFrom: plenty,
	})
	if err != nil {
		return nil, ofZip(err)
	}
	w := &Workbook{limits: limits, parts: map[string]*zippkg.File{}, furthest: map[string]int64{}, whole: map[string]bool{}}
	for _, f := range pkg.Files() {
		name := strings.ToLower(f.Path)
		if _, taken := w.parts[name]; taken {
			return nil, corrupt(fmt.Sprintf("two parts are called %q", clip(f.Path)), fmt.Sprintf("两个部件同名“%s”", clip(f.Path)))
		}
		w.parts[name] = f
	}
	if pkg.Root() != "" {
		clear(w.parts) // all in one folder: Excel finds nothing there
	}
	if err := w.describe(ctx); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the reading of the shared strings.
func (w *Workbook) Close() error {
	if w.shared != nil && w.shared.scan != nil {
		return w.shared.close.Close()
	}
	return nil
}

// describe follows the relationships, which lead from the package to the
// workbook and from there to its parts, and no further: they cannot turn in a
// circle.
func (w *Workbook) describe(ctx context.Context) error {
	main := "xl/workbook.xml"
	relations, err := w.relations(ctx, "")
	if err != nil {
		return err
	}
	for _, rel := range relations {
		if rel.kind == "officeDocument" && !rel.external {
			main = rel.target
			break
		}
	}
	if strings.HasSuffix(main, ".bin") {
		return &Error{Legacy, "binary format (.xlsb)", "二进制格式（.xlsb）"}
	}
	if _, ok := w.parts[main]; !ok {
		return corrupt("there is no workbook in it", "其中没有工作簿")
	}
	relations, err = w.relations(ctx, main)
	if err != nil {
		return err
	}
	byID := map[string]relation{}
	for _, rel := range relations {
		if _, taken := byID[rel.id]; taken {
			return corrupt(fmt.Sprintf("two relationships are called %q", clip(rel.id)), fmt.Sprintf("两个关系同名“%s”", clip(rel.id)))
		}
		byID[rel.id] = rel
		switch {
		case rel.external:
		case rel.kind == "sharedStrings":
			w.strings = rel.target
		case rel.kind == "vbaProject" || rel.kind == "xlMacrosheet" || rel.kind == "xlIntlMacrosheet":
			w.Macros = true
		case rel.kind == "styles" && w.parts[rel.target] != nil:
			if err := w.readPart(ctx, rel.target, func(s *scanner) (err error) {
				w.styles, err = readStyles(s)
				return err
			}); err != nil {
				return err
			}
		case rel.kind == "externalLink":
			if err := w.link(ctx, rel.target); err != nil {
				return err
			}
		}
	}
	if _, has := w.parts["xl/vbaproject.bin"]; has {
		w.Macros = true
	}
	return w.readPart(ctx, main, func(s *scanner) error { return w.readSheets(s, byID) })
}

const (
	maxLinks    = 1000 // are more than anybody will read
	longestLink = 2048
	// longestName of a sheet is far over the 31 characters that Excel allows.
	longestName = 1000
)

func (w *Workbook) link(ctx context.Context, part string) error {
	relations, err := w.relations(ctx, part)
	if err != nil {
		return err
	}
	for _, rel := range relations {
		target := rel.target[:min(len(rel.target), longestLink)]
		if rel.external && len(w.Links) < maxLinks && !slices.Contains(w.Links, target) {
			w.Links = append(w.Links, strings.ToValidUTF8(target, ""))
		}
	}
	return nil
}

func (w *Workbook) readSheets(s *scanner, byID map[string]relation) error {
	if err := s.root("workbook"); err != nil {
		return err
	}
	names, parts := map[string]bool{}, map[string]bool{}
	for {
		tok, err := s.next()
		if err != nil {
			return err
		}
		if tok == tokenNone {
			break
		}
		if tok != tokenStart {
			continue
		}
		switch name := string(s.name); {
		case s.depth() == 2 && name == "workbookPr":
			value, err := s.get("date1904")
			if err != nil {
				return err
			}
			w.date1904 = yes([]byte(value))
		case s.depth() == 2 && name != "sheets":
			if err := s.skip(); err != nil {
				return err
			}
		case s.depth() == 3 && name == "sheet":
			sheet, state, id := Sheet{}, "", ""
			for at, into := range map[string]*string{"name": &sheet.Name, "state": &state, "id": &id} {
				if *into, err = s.get(at); err != nil {
					return err
				}
			}
			rel, ok := byID[id]
			if ok && rel.kind != "worksheet" {
				continue
			}
			folded := strings.ToLower(sheet.Name)
			switch {
			case !ok || rel.external:
				return corrupt(fmt.Sprintf("sheet %q has no content", clip(sheet.Name)), fmt.Sprintf("工作表“%s”没有内容", clip(sheet.Name)))
			case len(sheet.Name) > longestName:
				return corrupt(fmt.Sprintf("the name of sheet %q is too long", clip(sheet.Name)), fmt.Sprintf("工作表“%s”的名称过长", clip(sheet.Name)))
			case names[folded]:
				return corrupt(fmt.Sprintf("two sheets are called %q", clip(sheet.Name)), fmt.Sprintf("两个工作表同名“%s”", clip(sheet.Name)))
			case parts[rel.target]:
				return corrupt(fmt.Sprintf("sheet %q has the content of another", clip(sheet.Name)), fmt.Sprintf("工作表“%s”与其他工作表共用内容", clip(sheet.Name)))
			case len(w.Sheets) == w.limits.Sheets:
				return over(fmt.Sprintf("it has more than %d sheets", w.limits.Sheets), fmt.Sprintf("工作表超过 %d 个", w.limits.Sheets))
			case w.parts[rel.target] == nil:
				return corrupt(fmt.Sprintf("sheet %q is missing its part %q", clip(sheet.Name), clip(rel.target)), fmt.Sprintf("工作表“%s”缺少部件“%s”", clip(sheet.Name), clip(rel.target)))
			}
			names[folded], parts[rel.target] = true, true
			sheet.part, sheet.Hidden, sheet.VeryHidden = rel.target, state == "hidden" || state == "veryHidden", state == "veryHidden"
			w.Sheets = append(w.Sheets, sheet)
		}
	}
	if len(w.Sheets) == 0 {
		return corrupt("it has no sheets", "没有工作表")
	}
	return nil
}

// relation leads from a part to another, or to something outside.
type relation struct {
	id, kind, target string // target: a part's lower-case name, or as written if external
	external         bool
}

const maxRelations = 50_000

// relations of a part, or of the whole package; a part that has none has no
// list.
func (w *Workbook) relations(ctx context.Context, part string) ([]relation, error) {
	folder, base := path.Split(part)
	list := folder + "_rels/" + base + ".rels"
	if _, ok := w.parts[list]; !ok {
		return nil, nil
	}
	var out []relation
	err := w.readPart(ctx, list, func(s *scanner) error {
		if err := s.root("Relationships"); err != nil {
			return err
		}
		for {
			tok, err := s.next()
			if err != nil || tok == tokenNone {
				return err
			}
			if tok != tokenStart || string(s.name) != "Relationship" {
				continue
			}
			var rel relation
			var mode string
			for at, into := range map[string]*string{"Id": &rel.id, "Type": &rel.kind, "Target": &rel.target, "TargetMode": &mode} {
				if *into, err = s.get(at); err != nil {
					return err
				}
			}
			rel.kind = path.Base(rel.kind)
			if rel.external = mode == "External"; !rel.external {
				target := strings.ReplaceAll(rel.target, `\`, "/")
				if !strings.HasPrefix(target, "/") {
					target = "/" + folder + target
				}
				rel.target = strings.ToLower(strings.TrimPrefix(path.Clean(target), "/"))
			}
			if len(out) == maxRelations {
				return over(fmt.Sprintf("it has more than %d relationships", maxRelations), fmt.Sprintf("关系超过 %d 个", maxRelations))
			}
			out = append(out, rel)
		}
	})
	return out, err
}

// readPart reads one of the small parts to its end.
func (w *Workbook) readPart(ctx context.Context, name string, read func(*scanner) error) error {
	s, in, err := w.openUpTo(ctx, name, w.limits.OtherPart)
	if err != nil {
		return inPart(name, err)
	}
	defer in.Close()
	if err := read(s); err != nil {
		return inPart(name, err)
	}
	return inPart(name, s.drain())
}

// open begins to read a part.
func (w *Workbook) open(ctx context.Context, name string) (*scanner, *counted, error) {
	return w.openUpTo(ctx, name, w.limits.Unzipped)
}

func (w *Workbook) openUpTo(ctx context.Context, name string, limit int64) (*scanner, *counted, error) {
	file, ok := w.parts[name]
	if !ok {
		return nil, nil, corrupt("it is missing", "部件缺失")
	}
	in, err := file.Open()
	if err != nil {
		return nil, nil, ofZip(err)
	}
	c := &counted{in: in, book: w, name: name, limit: limit}
	s, err := newScanner(ctx, c, w.limits.Depth)
	if err != nil {
		_ = in.Close()
		return nil, nil, err
	}
	return s, c, nil
}

// counted counts what is unzipped. A part that is read again counts once.
type counted struct {
	in    io.ReadCloser
	book  *Workbook
	name  string
	read  int64
	limit int64 // of this part
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.read += int64(n)
	if more := c.read - c.book.furthest[c.name]; more > 0 {
		c.book.furthest[c.name] = c.read
		c.book.unzipped += more
	}
	switch limits := c.book.limits; {
	case c.book.unzipped > limits.Unzipped:
		return 0, over(fmt.Sprintf("it unpacks to more than %d MiB", limits.Unzipped>>20), fmt.Sprintf("解压后超过 %d MiB", limits.Unzipped>>20))
	case c.read > c.limit:
		return 0, over(fmt.Sprintf("it is larger than %d MiB", c.limit>>20), fmt.Sprintf("超过 %d MiB", c.limit>>20))
	}
	return n, err
}

func (c *counted) Close() error { return c.in.Close() }

// string returns a shared string.
func (w *Workbook) string(ctx context.Context, i int) (string, bool, error) {
	if w.shared == nil {
		if w.strings == "" {
			return "", false, corrupt("a cell refers to a shared string, and there are none", "单元格引用了共享字符串，但工作簿中没有")
		}
		s, in, err := w.open(ctx, w.strings)
		if err != nil {
			return "", false, inPart(w.strings, err)
		}
		w.shared = &sharedStrings{limits: w.limits, scan: s, close: in, part: w.strings}
		if err := s.root("sst"); err != nil {
			return "", false, inPart(w.strings, err)
		}
	}
	if w.shared.scan != nil {
		w.shared.scan.ctx = ctx
	}
	value, tooLong, err := w.shared.get(i)
	w.whole[w.strings] = w.shared.scan == nil
	return value, tooLong, err
}

// Verify reads the sheets and the shared strings to their ends, as far as that
// has not been done, so that damage does not pass for absence.
func (w *Workbook) Verify(ctx context.Context) error {
	names := make([]string, 0, len(w.Sheets)+1)
	for _, sheet := range w.Sheets {
		names = append(names, sheet.part)
	}
	if w.parts[w.strings] != nil {
		names = append(names, w.strings)
	}
	for _, name := range names {
		if w.whole[name] {
			continue
		}
		s, in, err := w.open(ctx, name)
		if err == nil {
			err = s.drain()
			_ = in.Close()
			w.whole[name] = err == nil
		}
		if err != nil {
			return inPart(name, err)
		}
	}
	return nil
}

// Time returns what a cell of kind Date says: a number of days, or an ISO 8601
// date. It is a wall clock's time, in UTC here.
func (w *Workbook) Time(c Cell) (time.Time, bool) {
	days, err := strconv.ParseFloat(c.Value, 64)
	if err != nil {
		for _, layout := range []string{"2006-01-02T15:04:05.999", "2006-01-02", "15:04:05.999"} {
			if t, err := time.Parse(layout, strings.TrimSuffix(c.Value, "Z")); err == nil {
				return t, true
			}
		}
		return time.Time{}, false
	}
	const lastDay = 2_958_466 // 31 December 9999
	if !(days >= 0 && days < lastDay) {
		return time.Time{}, false
	}
	// Excel counts a 29 February 1900.
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case w.date1904:
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case days < 60:
		epoch = epoch.AddDate(0, 0, 1)
	}
	whole := int(days)
	seconds := int64((days-float64(whole))*86400 + 0.5)
	return epoch.AddDate(0, 0, whole).Add(time.Duration(seconds) * time.Second), true
}
