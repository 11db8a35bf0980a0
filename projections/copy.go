package projections

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// pages gives rows, some at a time, each time as one list a column; no columns are the
// end. What it gave before is not used any more.
type pages func() (columns []any, err error)

// allRows are given at once.
func allRows(columns []any) pages {
	return func() (all []any, _ error) {
		all, columns = columns, nil
		return all, nil
	}
}

// pageRows is how many rows are put into words at a time: those of tasks are long.
const pageRows = 128

// paged puts a list into words as it travels.
func paged[T any](list []T, words func(page []T) ([]any, error)) pages {
	return func() ([]any, error) {
		if len(list) == 0 {
			return nil, nil
		}
		page := list[:min(len(list), pageRows)]
		list = list[len(page):]
		return words(page)
	}
}

func copiedTasks(page []*change) ([]any, error) {
	rows, err := taskRows(page)
	if err != nil {
		return nil, err
	}
	return rows.copied(), nil
}

// newSubTask is a sub-task of a change that no table has.
type newSubTask struct {
	*change
	name, reportState string
}

func copiedSubTasks(page []newSubTask) ([]any, error) {
	var rows subTaskColumns
	for _, t := range page {
		if err := rows.add(t.id, t.after.SubTasks[t.name], t.reportState); err != nil {
			return nil, err
		}
	}
	return rows.args(), nil
}

// copied reads rows in the binary format of COPY:
//
//	file   signature, flags int32, length of extension int32, rows, int16 -1
//	row    number of fields int16, fields
//	field  length int32, or -1 for null; the value as its type's receive function wants it
//
// It holds some rows at a time, however many there are. Numbers are bigint, and times
// have microseconds.
type copied struct {
	pages   pages
	columns []any
	row     int
	begun   bool
	ended   bool
	ready   []byte // not read yet
	buffer  []byte
}

const (
	copySignature = "PGCOPY\n\xff\r\n\x00"
	copyChunk     = 32 << 10
	textOID       = 25
)

// Read implements [io.Reader].
func (c *copied) Read(p []byte) (int, error) {
	if len(c.ready) == 0 {
		if c.ended {
			return 0, io.EOF
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

func (c *copied) fill() (err error) {
	b := c.buffer[:0]
	if !c.begun {
		c.begun = true
		b = append(b, copySignature...)
		b = append(b, make([]byte, 8)...)
	}
	for len(b) < copyChunk {
		if len(c.columns) == 0 || c.row == lengthOf(c.columns[0]) {
			if c.columns, err = c.pages(); err != nil {
				return err
			}
			c.row = 0
			if len(c.columns) == 0 {
				b = binary.BigEndian.AppendUint16(b, 0xffff)
				c.ended = true
				break
			}
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(c.columns)))
		for _, column := range c.columns {
			b = appendField(b, column, c.row)
		}
		c.row++
	}
	c.buffer, c.ready = b, b
	return nil
}

func lengthOf(ids any) int { return len(ids.([]pgtype.UUID)) }

func appendField(b []byte, column any, i int) []byte {
	switch column := column.(type) {
	case []pgtype.UUID:
		if column[i].Valid {
			return append(appendLength(b, 16), column[i].Bytes[:]...)
		}
	case []string:
		return append(appendLength(b, len(column[i])), column[i]...)
	case []pgtype.Text:
		if s := column[i]; s.Valid {
			return append(appendLength(b, len(s.String)), s.String...)
		}
	case []int64:
		return appendNumber(b, column[i])
	case []pgtype.Int8:
		if n := column[i]; n.Valid {
			return appendNumber(b, n.Int64)
		}
	case []bool:
		if b = appendLength(b, 1); column[i] {
			return append(b, 1)
		}
		return append(b, 0)
	case []time.Time:
		return appendTime(b, column[i])
	case []pgtype.Timestamptz:
		if t := column[i]; t.Valid {
			return appendTime(b, t.Time)
		}
	case [][]string:
		if column[i] != nil {
			return appendTexts(b, column[i])
		}
	default:
		panic(fmt.Sprintf("projections: no column is a %T", column)) // all are ours
	}
	return binary.BigEndian.AppendUint32(b, 0xffffffff)
}

func appendLength(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

func appendNumber(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(appendLength(b, 8), uint64(n))
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func appendTime(b []byte, t time.Time) []byte {
	return appendNumber(b, (t.Unix()-epoch)*1_000_000+int64(t.Nanosecond())/1_000)
}

// appendTexts writes a text[]: dimensions, whether there are nulls, type of element;
// of the dimension its size and lower bound; elements. An empty one has no dimension.
func appendTexts(b []byte, list []string) []byte {
	at := len(b)
	b = appendLength(b, 0)
	dimensions := min(1, len(list))
	for _, n := range []int{dimensions, 0, textOID} {
		b = appendLength(b, n)
	}
	if dimensions > 0 {
		b = appendLength(appendLength(b, len(list)), 1)
	}
	for _, s := range list {
		s = clean(s)
		b = append(appendLength(b, len(s)), s...)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}
