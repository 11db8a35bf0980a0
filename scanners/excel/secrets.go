package excel

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

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
	columns map[int]int // column → index in found, or -1 while nothing is below its header
	labels  map[int]string
	found   []secret
}

const (
	// labelRows is how far down a sheet headers and keys are looked for.
	labelRows   = 2000
	mostSecrets = 1000
)

// row looks at the next row of a sheet.
func (s *secretFinder) row(sheet string, number int, cells []xlsx.Cell) {
	for column, at := range s.columns {
		c := cellAt(cells, column)
		if c == nil || c.Kind == xlsx.Bool || !looksSecret(c.Value) || secretLabel(c.Value) {
			continue
		}
		if at >= 0 {
			s.found[at].count++
		} else if len(s.found) < mostSecrets {
			s.columns[column] = len(s.found)
			s.found = append(s.found, secret{sheet: sheet, row: number, column: column, count: 1, label: s.labels[column]})
		}
	}
	if number > labelRows {
		return
	}
	for i := range cells {
		if c := &cells[i]; c.Kind != xlsx.Text || !secretLabel(c.Value) {
			continue
		}
		label := clip(oneLine(cells[i].Value))
		// "password | x" is a key and its value, unless the second is a label too.
		if i == 0 && len(cells) >= 2 && len(cells) <= 3 && !otherLabel(cells[1].Value) {
			if looksSecret(cells[1].Value) && !secretLabel(cells[1].Value) && len(s.found) < mostSecrets {
				s.found = append(s.found, secret{sheet: sheet, row: number, column: cells[1].Column, count: 1, label: label})
			}
			continue
		}
		if s.columns == nil {
			s.columns, s.labels = map[int]int{}, map[int]string{}
		}
		if _, known := s.columns[cells[i].Column]; !known && len(s.columns) < 100 {
			s.columns[cells[i].Column], s.labels[cells[i].Column] = -1, label
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

var (
	secretWords = regexp.MustCompile(`(password|passwd|pwd|密码|口令|secret|secret_?key|access_?key(_?secret)?|token|api_?key)$|^(ak|sk|pass)$`)
	otherWords  = regexp.MustCompile(`^(.*(user|username|用户|用户名|账号|帐号|host|主机|port|端口|url|地址|name|名称|备注|说明|remark|desc|description|type|类型|owner|负责人|db|数据库))$`)
)

var secretHints = []string{"pass", "pwd", "密码", "口令", "secret", "key", "token", "ak", "sk"}

// secretLabel knows headers and keys of passwords.
func secretLabel(s string) bool {
	if len(s) < 2 || len(s) > 60 {
		return false
	}
	lower, hinted := strings.ToLower(s), false
	for _, hint := range secretHints {
		hinted = hinted || strings.Contains(lower, hint)
	}
	if !hinted {
		return false
	}
	return secretWords.MatchString(normaliseHeader(s))
}

func otherLabel(s string) bool {
	return len(s) <= 60 && otherWords.MatchString(normaliseHeader(s))
}

// looksSecret tells a password from what people write in its place: nothing, a
// remark, stars, a variable, something encrypted, a path to a file.
func looksSecret(s string) bool {
	s = strings.Trim(clean(s), `"'`)
	lower := strings.ToLower(s)
	switch {
	case len(s) < 4, len(s) > 200:
		return false
	case strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || r == ' ' }):
		return false // words, not a password
	case strings.ContainsAny(s[:1], "$#%@<{[/.~`"), strings.Contains(s, "${"), strings.Contains(s, "$("), strings.Contains(s, "{{"), strings.Contains(s, "#{"):
		return false
	case strings.Trim(lower, lower[:1]) == "": // ****, xxxx
		return false
	case strings.Trim(lower, "*x.-_") == "":
		return false
	case strings.HasPrefix(lower, "enc("), strings.HasPrefix(lower, "enc:"), strings.HasPrefix(lower, "vault:"), strings.HasPrefix(lower, "kms:"),
		strings.HasPrefix(lower, "file:"), strings.HasPrefix(lower, "env:"), strings.HasPrefix(lower, "os.environ"), strings.HasPrefix(lower, "getenv"):
		return false
	}
	switch strings.Trim(lower, "-_ ") {
	case "none", "null", "true", "false", "string", "text", "varchar", "password", "passwd", "secret", "token", "required", "optional", "empty":
		return false
	}
	return true
}

// inCommand are the ways in which a password stands in a command; the password
// is the last group. Each is looked for only where one of its hints stands, in
// lower case.
var inCommand = []struct {
	hints []string
	way   *regexp.Regexp
}{
	{[]string{"pass", "pwd", "secret", "token", "key"}, regexp.MustCompile(`(?i)(?:password|passwd|pwd|secret|secret[_-]?key|access[_-]?key(?:[_-]?secret)?|token|api[_-]?key)["']?\s*[=:]\s*("[^"]*"|'[^']*'|[^\s"'&;,|]+)`)},
	{[]string{"--"}, regexp.MustCompile(`(?i)--(?:[a-z-]*password|passwd|pwd|token|secret)\s+("[^"]*"|'[^']*'|[^\s"'-][^\s"']*)`)},
	// -P is the port.
	{[]string{"mysql", "mariadb", "obclient"}, regexp.MustCompile(`\b(?:mysql|mysqldump|mysqladmin|mysqlimport|mariadb|obclient)\b[^|;&]*\s-p([^\s]+)`)},
	{[]string{"beeline"}, regexp.MustCompile(`\bbeeline\b[^|;&]*\s-p\s+([^\s]+)`)},
	{[]string{"sqlplus"}, regexp.MustCompile(`(?i)\bsqlplus\s+(?:-\S+\s+)*[^\s/]+/([^\s@]+)`)},
	{[]string{"curl"}, regexp.MustCompile(`(?i)\bcurl\b[^|;&]*\s(?:-u|--user)\s*["']?[^\s:"']+:([^\s"']+)`)},
	{[]string{"://"}, regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@]+:([^\s/@]+)@`)},
	{[]string{"akia", "ltai", "akid"}, regexp.MustCompile(`\b(AKIA[0-9A-Z]{16}|LTAI[0-9A-Za-z]{12,30}|AKID[0-9A-Za-z]{13,40})\b`)},
}

// longestCommand is how much of a command is searched.
const longestCommand = 16 << 10

// commandSecret reports whether a password stands in a command.
func commandSecret(s string) bool {
	s = s[:min(len(s), longestCommand)]
	lower := strings.ToLower(s)
	for _, in := range inCommand {
		if !slices.ContainsFunc(in.hints, func(hint string) bool { return strings.Contains(lower, hint) }) {
			continue
		}
		for _, m := range in.way.FindAllStringSubmatch(s, 20) {
			if looksSecret(m[len(m)-1]) {
				return true
			}
		}
	}
	return false
}
