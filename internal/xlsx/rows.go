package xlsx

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// Kind is what a cell holds.
type Kind uint8

const (
	Empty  Kind = iota // a formula whose value is not kept
	Text               // as it stands
	Number             // as written in the file: 0.1, 1E+20
	Date               // a number that the cell shows as a date or time ([Workbook.Time]), or an ISO 8601 text
	Bool               // 0 or 1
	Failed             // a formula that failed: #REF!, #N/A
)

// Cell is a cell that holds something: a value or a formula.
type Cell struct {
	Column int // from 1
	Kind   Kind
	Value  string
	// Formula: the cell is computed. Its text may be empty, where it shares another
	// cell's. Its value is the one that was last computed and saved, if Cached.
	Formula     bool
	FormulaText string
	Cached      bool
	// TooLong: the value is over Limits.CellBytes and was left out.
	TooLong bool
}

// Row is a row that stands in the sheet. Cells are in the order of their
// columns.
type Row struct {
	Number int // from 1
	Hidden bool
	Cells  []Cell
}

// Range is a rectangle of cells, all numbers from 1 and inclusive.
type Range struct{ FirstColumn, FirstRow, LastColumn, LastRow int }

// The edges of a sheet: XFD1048576.
const (
	MaxColumn = 16_384
	MaxRow    = 1_048_576
)

// Rows reads a sheet from top to bottom:
//
//	rows := book.Rows(ctx, sheet)
//	defer rows.Close()
//	for rows.Next() {
//		… rows.Row() …
//	}
//	if err := rows.Err(); err != nil { … }
type Rows struct {
	ctx    context.Context
	book   *Workbook
	part   string
	scan   *scanner
	in     *counted
	err    error
	inData bool
	done   bool
	row    Row
	text   []byte // of the row: what its cells hold
	cells  []pending
	merged []Range
	hidden []Range // columns; rows are 0
}

// pending is a cell whose texts still lie in Rows.text.
type pending struct {
	value, formula span
	shared         bool // value is in the cell already
}

type span struct{ from, to int }

// Rows begins to read a sheet. The caller closes it.
func (w *Workbook) Rows(ctx context.Context, sheet Sheet) *Rows {
	r := &Rows{ctx: ctx, book: w, part: sheet.part}
	r.scan, r.in, r.err = w.open(ctx, sheet.part)
	if r.err == nil {
		r.err = r.scan.root("worksheet")
	}
	return r
}

// Next reads the next row that stands in the sheet; rows may be missing between
// two, and a row may be without cells. It reports false at the end, when the
// whole sheet has been read, and when reading failed.
func (r *Rows) Next() bool {
	if r.err != nil || r.done {
		return false
	}
	ok, err := r.next()
	r.err = err
	return ok && err == nil
}

// Row is the row that Next has read. Its Cells are good until the next call of
// Next; the strings in them stay, and keep their row's text in memory.
func (r *Rows) Row() *Row { return &r.row }

// Err is the reason for which Next has ended before the sheet has.
func (r *Rows) Err() error { return inPart(r.part, r.err) }

// HiddenColumns are known when the first row is.
func (r *Rows) HiddenColumns() []Range { return r.hidden }

// Merged ranges are known when Next has come to the end of the sheet.
func (r *Rows) Merged() []Range { return r.merged }

// Close ends the reading.
func (r *Rows) Close() error {
	if r.in == nil {
		return nil
	}
	return r.in.Close()
}

func (r *Rows) next() (bool, error) {
	s := r.scan
	for {
		tok, err := s.next()
		if err != nil {
			return false, err
		}
		switch {
		case tok == tokenNone:
			r.done = true
			r.book.whole[r.part] = true
			return false, nil
		case tok == tokenEnd && r.inData && s.depth() == 1:
			r.inData = false
		case tok != tokenStart:
		case r.inData:
			if string(s.name) == "row" {
				return true, r.readRow()
			}
			if err := s.skip(); err != nil {
				return false, err
			}
		default:
			if err := r.aside(); err != nil {
				return false, err
			}
		}
	}
}

// aside reads what stands around the rows.
func (r *Rows) aside() error {
	s := r.scan
	switch string(s.name) {
	case "sheetData":
		if r.row.Number > 0 {
			return broken("rows in two places", "行数据出现在两处")
		}
		r.inData = true
		return nil
	case "cols", "mergeCells":
	default:
		return s.skip()
	}
	for depth := s.depth(); ; {
		tok, err := s.next()
		if err != nil {
			return err
		}
		if tok == tokenEnd && s.depth() < depth {
			return nil
		}
		if tok != tokenStart {
			continue
		}
		switch string(s.name) {
		case "mergeCell":
			ref, err := s.get("ref")
			if err != nil {
				return err
			}
			if area, ok := parseRange(ref); ok && len(r.merged) < r.book.limits.Ranges {
				r.merged = append(r.merged, area)
			}
		case "col":
			var first, last int
			var hidden bool
			in := attributes{rest: s.attrs}
			for in.next() {
				switch string(in.name) {
				case "min":
					first = number(in.value)
				case "max":
					last = number(in.value)
				case "hidden":
					hidden = yes(in.value)
				}
			}
			if hidden && first > 0 && last >= first && len(r.hidden) < r.book.limits.Ranges {
				r.hidden = append(r.hidden, Range{FirstColumn: first, LastColumn: last})
			}
		}
	}
}

// readRow reads to the end of a row.
func (r *Rows) readRow() error {
	s := r.scan
	before := r.row.Number
	r.row = Row{Number: before + 1, Cells: r.row.Cells[:0]}
	r.text, r.cells = r.text[:0], r.cells[:0]
	in := attributes{rest: s.attrs}
	for in.next() {
		switch string(in.name) {
		case "r":
			r.row.Number = number(in.value)
		case "hidden":
			r.row.Hidden = yes(in.value)
		}
	}
	if r.row.Number <= before || r.row.Number > MaxRow {
		return corrupt(fmt.Sprintf("a row out of order behind row %d", before), fmt.Sprintf("第 %d 行之后的行号无效或顺序错误", before))
	}
	column := 0
	for {
		tok, err := s.next()
		if err != nil {
			return err
		}
		switch tok {
		case tokenEnd:
			r.settle()
			return nil
		case tokenStart:
			if len(s.name) != 1 || s.name[0] != 'c' {
				if err := s.skip(); err != nil {
					return err
				}
				continue
			}
			if column, err = r.readCell(column); err != nil {
				return err
			}
		}
	}
}

// settle gives the cells their strings: one allocation for all of a row.
func (r *Rows) settle() {
	if len(r.text) == 0 {
		return
	}
	text := string(r.text)
	for i := range r.row.Cells {
		c, p := &r.row.Cells[i], &r.cells[i]
		if !p.shared {
			c.Value = text[p.value.from:p.value.to]
		}
		c.FormulaText = text[p.formula.from:p.formula.to]
	}
}

// cellType is the t of a cell.
type cellType uint8

const (
	typeNumber cellType = iota
	typeShared
	typeInline
	typeString
	typeBool
	typeError
	typeDate
	typeUnknown
)

func typeOf(t []byte) cellType {
	switch string(t) {
	case "s":
		return typeShared
	case "n", "":
		return typeNumber
	case "str":
		return typeString
	case "inlineStr":
		return typeInline
	case "b":
		return typeBool
	case "e":
		return typeError
	case "d":
		return typeDate
	}
	return typeUnknown
}

// readCell reads to the end of a cell, and returns its column.
func (r *Rows) readCell(before int) (int, error) {
	s := r.scan
	column, style, kind := before+1, 0, typeNumber
	in := attributes{rest: s.attrs}
	for in.next() {
		if len(in.name) != 1 {
			continue
		}
		switch in.name[0] {
		case 'r':
			var row int
			if column, row = parseCell(in.value); row != r.row.Number {
				column = 0
			}
		case 's':
			style = number(in.value)
		case 't':
			kind = typeOf(in.value)
		}
	}
	if column <= before || column > MaxColumn {
		return 0, corrupt(fmt.Sprintf("a cell out of order in row %d", r.row.Number), fmt.Sprintf("第 %d 行有单元格位置无效或顺序错误", r.row.Number))
	}
	c := Cell{Column: column}
	var p pending
	for {
		tok, err := s.next()
		if err != nil {
			return 0, err
		}
		if tok == tokenEnd {
			break
		}
		if tok != tokenStart {
			continue
		}
		switch string(s.name) {
		case "v":
			c.Cached = true
			if p.value, c.TooLong, err = r.content(); err != nil {
				return 0, err
			}
		case "f":
			c.Formula = true
			if p.formula, _, err = r.content(); err != nil {
				return 0, err
			}
		case "is":
			from := len(r.text)
			r.text, c.TooLong, err = richText(s, r.text, r.book.limits.CellBytes)
			if err != nil {
				return 0, err
			}
			if c.TooLong {
				r.text = r.text[:from]
			}
			c.Cached = true
			p.value = span{from, len(r.text)}
		default:
			if err := s.skip(); err != nil {
				return 0, err
			}
		}
		if len(r.text) > r.book.limits.RowBytes {
			return 0, over(fmt.Sprintf("row %d holds more than %d MiB", r.row.Number, r.book.limits.RowBytes>>20), fmt.Sprintf("第 %d 行内容超过 %d MiB", r.row.Number, r.book.limits.RowBytes>>20))
		}
	}
	if err := r.finish(&c, &p, kind, style); err != nil {
		return 0, err
	}
	c.Cached = c.Cached && c.Formula
	if c.Formula || c.TooLong || p.shared && c.Value != "" || !p.shared && p.value.to > p.value.from {
		r.row.Cells = append(r.row.Cells, c)
		r.cells = append(r.cells, p)
	}
	return column, nil
}

// content adds the text of the element whose start was the last token to the
// row's.
func (r *Rows) content() (span, bool, error) {
	s := r.scan
	at := span{len(r.text), len(r.text)}
	depth, tooLong := s.depth(), false
	for {
		tok, err := s.next()
		if err != nil {
			return at, false, err
		}
		switch tok {
		case tokenStart:
			if err := s.skip(); err != nil {
				return at, false, err
			}
		case tokenText:
			if tooLong = tooLong || at.to-at.from+len(s.text) > r.book.limits.CellBytes; tooLong {
				r.text = r.text[:at.from]
				at.to = at.from
				continue
			}
			if r.text, err = s.appendText(r.text); err != nil {
				return at, false, err
			}
			at.to = len(r.text)
		case tokenEnd:
			if s.depth() < depth {
				return at, tooLong, nil
			}
		}
	}
}

// finish says what a cell's value means.
func (r *Rows) finish(c *Cell, p *pending, kind cellType, style int) error {
	raw := r.text[p.value.from:p.value.to]
	switch {
	case !c.Cached:
		return nil
	case c.TooLong:
		c.Kind = Text
		return nil
	}
	switch kind {
	case typeShared:
		i := number(bytes.TrimSpace(raw))
		if i < 0 {
			if len(bytes.TrimSpace(raw)) == 0 {
				p.value = span{}
				return nil
			}
			return corrupt(fmt.Sprintf("a cell in row %d does not say which shared string it holds", r.row.Number), fmt.Sprintf("第 %d 行有单元格的共享字符串编号无效", r.row.Number))
		}
		value, tooLong, err := r.book.string(r.ctx, i)
		if err != nil {
			return err
		}
		if p.value.to == len(r.text) {
			r.text = r.text[:p.value.from] // the number is not needed any more
			p.value = span{}
		}
		c.Kind, c.Value, c.TooLong, p.shared = Text, value, tooLong, true
	case typeString:
		c.Kind = Text
		from := p.value.from
		if p.value.to == len(r.text) {
			r.text = unescaped(r.text, from)
			p.value.to = len(r.text)
		}
	case typeBool:
		c.Kind = Bool
	case typeError:
		c.Kind = Failed
	case typeDate:
		c.Kind = Date
	case typeNumber:
		c.Kind = Number
		trimmed := bytes.TrimSpace(raw)
		if len(trimmed) > 0 && !isNumber(trimmed) {
			c.Kind = Text
		} else if style >= 0 && style < len(r.book.styles) && r.book.styles[style] {
			c.Kind = Date
		}
	default:
		c.Kind = Text
	}
	return nil
}

func isNumber(b []byte) bool {
	if number(b) >= 0 {
		return true
	}
	_, err := strconv.ParseFloat(string(b), 64)
	return err == nil
}

// parseCell reads B7; 0 is what makes no sense.
func parseCell(ref []byte) (column, row int) {
	i := 0
	for i < len(ref) && i < 4 {
		c := ref[i] | 0x20
		if c < 'a' || c > 'z' {
			break
		}
		column = column*26 + int(c-'a') + 1
		i++
	}
	row = number(ref[i:])
	if row < 1 || row > MaxRow || column > MaxColumn {
		return 0, 0
	}
	return column, row
}

// parseRange reads A3:B5, or A3 alone.
func parseRange(ref string) (Range, bool) {
	from, to, ok := bytes.Cut([]byte(ref), []byte(":"))
	if !ok {
		to = from
	}
	var a Range
	a.FirstColumn, a.FirstRow = parseCell(from)
	a.LastColumn, a.LastRow = parseCell(to)
	return a, a.FirstColumn > 0 && a.LastColumn >= a.FirstColumn && a.FirstRow > 0 && a.LastRow >= a.FirstRow
}

// CellName writes a cell's place as Excel does: C7.
func CellName(column, row int) string {
	var letters [4]byte
	at := len(letters)
	for n := max(1, min(column, MaxColumn)); n > 0; n = (n - 1) / 26 {
		at--
		letters[at] = byte('A' + (n-1)%26)
	}
	return string(letters[at:]) + strconv.Itoa(max(1, min(row, MaxRow)))
}
