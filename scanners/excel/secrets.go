package excel

import (
	"regexp"
	"slices"
	"strings"

	"github.com/factgate/factgate/internal/secrets"
	"github.com/factgate/factgate/internal/xlsx"
)

// secret is a place where a password stands in plain text. The password itself
// is kept nowhere.
type secret struct {
	sheet       string
	order       int // of the sheet within its workbook
	row, column int // the first cell
	count       int // cells of the same column
	label       string
}

// secretFinder looks for passwords on a sheet: below a header that says so, or
// beside a key that does. It keeps what it needs of a column, and no values.
type secretFinder struct {
	columns map[int]*secretColumn
	found   []secret
}

// secretColumn is a column below a header that says what it holds.
type secretColumn struct {
	label string
	kind  secrets.Kind
	at    int // the index in found, or -1 while nothing stands in it
}

const (
	// labelRows is how far down a sheet headers and keys are looked for.
	labelRows   = 2000
	mostSecrets = 1000
)

// row looks at the next row of a sheet.
func (s *secretFinder) row(sheet string, number int, cells []xlsx.Cell) {
	for column, of := range s.columns {
		c := cellAt(cells, column)
		if c == nil || c.Kind == xlsx.Bool || c.Kind == xlsx.Failed || !of.kind.Holds(clean(c.Value)) {
			continue
		}
		if of.at >= 0 {
			s.found[of.at].count++
		} else if len(s.found) < mostSecrets {
			of.at = len(s.found)
			s.found = append(s.found, secret{sheet: sheet, row: number, column: column, count: 1, label: of.label})
		}
	}
	if number > labelRows {
		return
	}
	for i := range cells {
		c := &cells[i]
		if c.Kind != xlsx.Text {
			continue
		}
		kind := labelOf(c.Value)
		if kind == secrets.None {
			continue
		}
		label := clip(oneLine(c.Value))
		// "password | x" is a key and its value, unless the second is a label too.
		if i == 0 && len(cells) >= 2 && len(cells) <= 3 && !otherLabel(cells[1].Value) {
			if kind.Holds(clean(cells[1].Value)) && len(s.found) < mostSecrets {
				s.found = append(s.found, secret{sheet: sheet, row: number, column: cells[1].Column, count: 1, label: label})
			}
			continue
		}
		if s.columns == nil {
			s.columns = map[int]*secretColumn{}
		}
		if _, known := s.columns[c.Column]; !known && len(s.columns) < 100 {
			s.columns[c.Column] = &secretColumn{label, kind, -1}
		}
	}
}

func cellAt(cells []xlsx.Cell, column int) *xlsx.Cell {
	for i := range cells {
		if cells[i].Column == column {
			return &cells[i]
		}
	}
	return nil
}

var otherWords = regexp.MustCompile(`^(.*(user|username|用户|用户名|账号|帐号|host|主机|port|端口|url|地址|name|名称|备注|说明|remark|desc|description|type|类型|owner|负责人|db|数据库))$`)

var secretHints = []string{"pass", "pwd", "密码", "口令", "secret", "key", "token", "ak", "sk"}

// labelOf says what a header or key is the name of.
func labelOf(s string) secrets.Kind {
	if len(s) < 2 || len(s) > 60 {
		return secrets.None
	}
	lower := strings.ToLower(s)
	if !slices.ContainsFunc(secretHints, func(hint string) bool { return strings.Contains(lower, hint) }) {
		return secrets.None
	}
	return secrets.Of(normaliseHeader(s))
}

func otherLabel(s string) bool {
	return len(s) <= 60 && otherWords.MatchString(normaliseHeader(s))
}

// longestCommand is how much of a command is searched.
const longestCommand = 16 << 10

// commandSecret reports whether a password stands in a command.
func commandSecret(s string) bool {
	return secrets.Holds(s[:min(len(s), longestCommand)], secrets.Shell)
}
