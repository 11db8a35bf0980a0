package sql

import (
	"strings"

	"github.com/factgate/factgate/scanners/sql/lex"
)

// suppression is one noqa comment:
//
//	SELECT * FROM t; -- noqa: SQL001 reason=one-off export     this line
//	-- noqa: disable=SQL001,SQL009                             from this line on
//	-- noqa: enable=all                                        until this line
//
// The form for a line needs rule ids: a bare noqa would also hide what comes
// later.
type suppression struct {
	verb  string // "" for the line, disable, enable
	rules []string
	line  int
	start int
}

// allRules stands for every rule in disable and enable.
const allRules = "ALL"

// maxSuppressions in one file are heeded.
const maxSuppressions = 10_000

// readSuppression reads a comment, and reports whether it is one.
func readSuppression(text string, c lex.Token) (suppression, bool) {
	if c.Kind != lex.LineComment {
		return suppression{}, false
	}
	const long = 1000 // bytes that are looked at
	body := strings.TrimLeft(text[c.Start:min(c.End, c.Start+long)], "-# \t")
	const mark = "noqa:"
	if len(body) < len(mark) || !strings.EqualFold(body[:len(mark)], mark) {
		return suppression{}, false
	}
	body = strings.TrimSpace(body[len(mark):])
	if i := strings.Index(body, "reason="); i >= 0 {
		body = strings.TrimSpace(body[:i])
	}
	s := suppression{start: int(c.Start)}
	for _, verb := range [...]string{"disable", "enable"} {
		if rest, ok := strings.CutPrefix(body, verb+"="); ok {
			s.verb, body = verb, rest
			break
		}
	}
	for _, id := range strings.FieldsFunc(body, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		id = strings.ToUpper(id)
		if id == allRules && s.verb == "" || id != allRules && !strings.HasPrefix(id, "SQL") {
			break // what follows are words
		}
		s.rules = append(s.rules, id)
	}
	return s, len(s.rules) > 0
}

// suppressions answers, for findings in the order of their lines, whether they
// are suppressed.
type suppressions struct {
	list   []suppression // in order
	read   int           // list[:read] are on or before the current line
	off    map[string]bool
	allOff bool
	line   int             // of here
	here   map[string]bool // rules suppressed on the line alone
}

func newSuppressions(list []suppression) *suppressions {
	return &suppressions{list: list, off: map[string]bool{}, here: map[string]bool{}}
}

// covers reports whether a finding of the rule on the line is suppressed. Lines
// never go back.
func (s *suppressions) covers(rule string, line int) bool {
	if line != s.line {
		clear(s.here)
		s.line = line
	}
	for s.read < len(s.list) && s.list[s.read].line <= line {
		c := s.list[s.read]
		s.read++
		for _, id := range c.rules {
			switch {
			case c.verb == "" && c.line == line:
				s.here[id] = true
			case c.verb == "":
			case id == allRules:
				s.allOff = c.verb == "disable"
				clear(s.off)
			default:
				s.off[id] = c.verb == "disable"
			}
		}
	}
	if s.here[rule] {
		return true
	}
	if off, said := s.off[rule]; said {
		return off
	}
	return s.allOff
}
