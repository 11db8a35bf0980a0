package sql

import (
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
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
	verb   string // "" for the line, disable, enable
	rules  []string
	reason string
	line   int
	start  int
	end    int
	used   map[string]bool // which of the rules it suppressed
}

// why is what the report keeps of it.
func (s *suppression) why() *report.Suppression {
	return &report.Suppression{Kind: report.InSource, Reason: s.reason}
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
	s := suppression{start: int(c.Start), end: int(c.End)}
	if i := strings.Index(body, "reason="); i >= 0 {
		s.reason = withoutSecret(strings.TrimSpace(body[i+len("reason="):]))
		body = strings.TrimSpace(body[:i])
	}
	for _, verb := range [...]string{"disable", "enable"} {
		if rest, ok := strings.CutPrefix(body, verb+"="); ok {
			s.verb, body = verb, rest
			break
		}
	}
	for _, id := range strings.FieldsFunc(body, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		id = strings.ToUpper(id)
		if len(id) > len("SQL000000") {
			break
		}
		if id == allRules && s.verb == "" || id != allRules && !strings.HasPrefix(id, "SQL") {
			break // what follows are words
		}
		s.rules = append(s.rules, id)
	}
	return s, len(s.rules) > 0
}

// withoutSecret is a text for the report, or nothing if it holds a secret.
func withoutSecret(text string) string {
	if secrets.Holds(text, secrets.Shell) {
		return ""
	}
	return text
}

// suppressions answers, for findings in the order of their lines, whether they
// are suppressed.
type suppressions struct {
	list   []suppression // in order
	read   int           // list[:read] are on or before the current line
	off    map[string]*suppression
	allOff *suppression
	line   int                     // of here
	here   map[string]*suppression // rules suppressed on the line alone
}

func newSuppressions(list []suppression) *suppressions {
	return &suppressions{list: list, off: map[string]*suppression{}, here: map[string]*suppression{}}
}

// covers returns what suppresses a finding of the rule on the line, or nil. Lines
// never go back.
func (s *suppressions) covers(rule string, line int) *suppression {
	if line != s.line {
		clear(s.here)
		s.line = line
	}
	for s.read < len(s.list) && s.list[s.read].line <= line {
		c := &s.list[s.read]
		s.read++
		by := c
		if c.verb == "enable" {
			by = nil
		}
		for _, id := range c.rules {
			switch {
			case c.verb == "" && c.line == line:
				s.here[id] = c
			case c.verb == "":
			case id == allRules:
				s.allOff = by
				clear(s.off)
			default:
				s.off[id] = by
			}
		}
	}
	by := s.here[rule]
	if by == nil {
		off, said := s.off[rule]
		if by = off; !said {
			by = s.allOff
		}
	}
	if by != nil {
		if by.used == nil {
			by.used = map[string]bool{}
		}
		by.used[rule] = true
	}
	return by
}

// unused reports the rule ids of noqa comments that suppress nothing (SUP001). Those
// that say all are meant for what may come.
func (d *draft) unused(v *fileView, rules *ruleSet, at func(int) position) []report.Finding {
	r := rules.byID[unusedRule]
	var out []report.Finding
	for i := range d.suppressions {
		s := &d.suppressions[i]
		if s.verb == "enable" || len(out) >= maxHits {
			continue
		}
		for _, id := range s.rules {
			known := rules.byID[id]
			if id == allRules || d.hits.counts[id] > maxHits || s.used[id] && (known == nil || !known.Security) {
				continue
			}
			message := report.Text{
				En: "This noqa for " + id + " suppresses nothing; remove it.",
				Zh: "针对 " + id + " 的 noqa 没有抑制任何问题，请删除。",
			}
			switch {
			case known == nil:
				message = report.Text{
					En: "This noqa names " + id + ", and there is no such rule; correct the id or remove it.",
					Zh: "noqa 中的规则 " + id + " 不存在，请更正编号或删除。",
				}
			case known.Security:
				message = report.Text{
					En: "This noqa has no effect: " + id + " is about security and cannot be suppressed in source; remove it.",
					Zh: "noqa 无效：" + id + " 属于安全规则，不能在源码中抑制，请删除。",
				}
			}
			from, to := at(s.start), at(s.end)
			out = append(out, report.Finding{
				Rule: r.ID, Severity: r.Severity, Message: message, Path: v.path, Anchor: "noqa " + id,
				Line: from.line, Column: from.column, EndLine: to.line, EndColumn: to.column,
			})
		}
	}
	return out
}
