package xlsx

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sharedStrings are read as far as the rows need them, and kept in blocks: a
// string costs its bytes and 4 more.
type sharedStrings struct {
	limits  Limits
	scan    *scanner // nil when all are read
	close   io.Closer
	part    string
	blocks  []stringBlock
	count   int
	bytes   int64
	long    map[int]bool // those over Limits.CellBytes, kept empty
	scratch []byte
}

const blockStrings = 256

type stringBlock struct {
	text string
	ends [blockStrings]uint32
}

// get returns a string by its number, and whether it was too long to be kept.
func (t *sharedStrings) get(i int) (string, bool, error) {
	for i >= t.count {
		if t.scan == nil {
			return "", false, corrupt(
				fmt.Sprintf("a cell refers to shared string %d, and there are %d", i, t.count),
				fmt.Sprintf("单元格引用了第 %d 个共享字符串，而共有 %d 个", i, t.count))
		}
		if err := t.load(); err != nil {
			return "", false, inPart(t.part, err)
		}
	}
	block := &t.blocks[i/blockStrings]
	n := i % blockStrings
	from := uint32(0)
	if n > 0 {
		from = block.ends[n-1]
	}
	return block.text[from:block.ends[n]], t.long[i], nil
}

// load reads one block more.
func (t *sharedStrings) load() error {
	t.blocks = append(t.blocks, stringBlock{})
	block := &t.blocks[len(t.blocks)-1]
	t.scratch = t.scratch[:0]
	for n := range blockStrings {
		more, err := t.item()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if t.count++; t.count > t.limits.Strings {
			return over(fmt.Sprintf("it has more than %d shared strings", t.limits.Strings), fmt.Sprintf("共享字符串超过 %d 个", t.limits.Strings))
		}
		if t.bytes+int64(len(t.scratch)) > t.limits.StringBytes {
			return over(fmt.Sprintf("its shared strings are larger than %d MiB", t.limits.StringBytes>>20), fmt.Sprintf("共享字符串超过 %d MiB", t.limits.StringBytes>>20))
		}
		block.ends[n] = uint32(len(t.scratch))
	}
	block.text = string(t.scratch)
	t.bytes += int64(len(block.text))
	if cap(t.scratch) > 1<<20 {
		t.scratch = nil
	}
	return nil
}

// item adds the next string to scratch, and reports false at the end of all.
func (t *sharedStrings) item() (bool, error) {
	for {
		tok, err := t.scan.next()
		if err != nil {
			return false, err
		}
		switch tok {
		case tokenNone:
			t.scan = nil
			return false, t.close.Close()
		case tokenStart:
			if string(t.scan.name) != "si" {
				if err := t.scan.skip(); err != nil {
					return false, err
				}
				continue
			}
			from := len(t.scratch)
			var tooLong bool
			t.scratch, tooLong, err = richText(t.scan, t.scratch, t.limits.CellBytes)
			if tooLong {
				t.scratch = t.scratch[:from]
				if t.long == nil {
					t.long = map[int]bool{}
				}
				t.long[t.count] = true
			}
			return true, err
		}
	}
}

// richText adds the text of the element whose start was the last token (<si> or
// <is>): its runs, but not its phonetic hints. Text over the limit is not
// stored, only told.
func richText(s *scanner, b []byte, limit int) ([]byte, bool, error) {
	from, depth := len(b), s.depth()
	inText, tooLong := false, false
	for {
		tok, err := s.next()
		if err != nil {
			return b, false, err
		}
		switch tok {
		case tokenStart:
			switch string(s.name) {
			case "t":
				inText = true
			case "r":
			default:
				if err := s.skip(); err != nil {
					return b, false, err
				}
			}
		case tokenText:
			if !inText {
				continue
			}
			if tooLong = tooLong || len(b)-from+len(s.text) > limit; tooLong {
				continue
			}
			if b, err = s.appendText(b); err != nil {
				return b, false, err
			}
		case tokenEnd:
			inText = false
			if s.depth() < depth {
				return unescaped(b, from), tooLong, nil
			}
		}
	}
}

// unescaped replaces _x000D_ and the like, which stand for characters that XML
// cannot hold, in what follows from.
func unescaped(b []byte, from int) []byte {
	text := b[from:]
	at := -1
	for i := 0; i+6 < len(text); i++ {
		if text[i] == '_' && text[i+1] == 'x' && text[i+6] == '_' {
			at = i
			break
		}
	}
	if at < 0 {
		return b
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if i+6 < len(text) && text[i] == '_' && text[i+1] == 'x' && text[i+6] == '_' {
			if n, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16); err == nil {
				r := rune(n)
				if !utf8.ValidRune(r) {
					r = utf8.RuneError
				}
				out.WriteRune(r)
				i += 6
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return append(b[:from], out.String()...)
}
