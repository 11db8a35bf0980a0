package sql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// analysis is what was found in one file.
type analysis struct {
	findings []report.Finding // by place, then by rule
	degraded []string         // reasons why less than all of it was checked
	steps    int              // a measure of the work: bytes and tokens looked at
}

// analyst looks at files, one after the other. It keeps its buffers.
type analyst struct {
	rules  *ruleSet
	buffer Statement
}

// analyse checks the text of one file. It returns an error only when ctx ends.
func (a *analyst) analyse(ctx context.Context, path, text string) (analysis, error) {
	var first *draft
	steps := 0
	for _, opt := range readings(path, text) {
		d, err := a.read(ctx, text, opt)
		if err != nil {
			return analysis{}, err
		}
		steps += d.steps
		if first == nil || !d.unterminated {
			first = d
		}
		if !d.unterminated {
			break
		}
	}
	out := first.finish(path, text)
	out.steps = steps
	return out, nil
}

// readings are the ways to read a text, the likeliest first. The others are tried
// only if a string or comment is never closed: what is a mistake in one dialect
// may be none in the next.
func readings(path, text string) []lex.Options {
	hive := lex.Options{Backslash: true, HashComments: true}
	likely := []lex.Options{hive}
	if postgres(path, text) {
		likely = []lex.Options{{NestedComments: true}, hive}
	}
	if strings.Contains(text, `\`) {
		likely = append(likely, lex.Options{HashComments: true}, lex.Options{})
	}
	if strings.Contains(text, "#") {
		likely = append(likely, lex.Options{Backslash: true})
	}
	if strings.Contains(text, "/*") {
		likely = append(likely, lex.Options{Backslash: true, HashComments: true, NestedComments: true})
	}
	return likely
}

// postgres guesses from names of folders and from words that no other dialect has.
func postgres(path, text string) bool {
	for _, part := range strings.FieldsFunc(strings.ToLower(path), func(r rune) bool { return r == '/' || r == '.' || r == '_' || r == '-' }) {
		switch part {
		case "pg", "pgsql", "postgres", "postgresql", "greenplum", "gaussdb", "opengauss":
			return true
		case "mysql", "hive", "spark", "odps", "maxcompute", "doris", "starrocks", "clickhouse":
			return false
		}
	}
	head := text[:min(len(text), 64<<10)]
	return strings.Contains(head, "plpgsql") || strings.Contains(head, "PLPGSQL") ||
		strings.Contains(head, "$$") && !strings.Contains(head, "DELIMITER") && !strings.Contains(head, "delimiter")
}

// draft is a text as it looks in one reading.
type draft struct {
	hits         hits
	suppressions []suppression
	unterminated bool // something is never closed
	notes        notes
	steps        int
}

// notes counts why statements were not checked, with the place of the first.
type notes [noteKinds]struct{ count, first int }

const (
	notUnderstood = iota
	bracketsByTemplate
	routineText
	tooManyTokens
	noteKinds
)

func (n *notes) add(kind, place int) {
	if n[kind].count == 0 {
		n[kind].first = place
	}
	n[kind].count++
}

// read looks at all statements in one reading.
func (a *analyst) read(ctx context.Context, text string, opt lex.Options) (*draft, error) {
	d := &draft{hits: hits{counts: map[string]int{}}}
	split := newSplitter(text, opt, &a.buffer)
	ordinals := map[string]int{}
	for s := split.next(); s != nil; s = split.next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, c := range s.Comments {
			if n, ok := readSuppression(text, c); ok && len(d.suppressions) < maxSuppressions {
				d.suppressions = append(d.suppressions, n)
			}
		}
		before := len(d.hits.found)
		a.judge(s, split.routine, d)
		if len(d.hits.found) > before {
			anchor(s, d.hits.found[before:], ordinals)
		}
		d.steps += s.steps
		a.buffer.Tokens, a.buffer.Comments = s.Tokens, s.Comments
	}
	d.steps += split.lex.Steps()
	return d, nil
}

// judge applies the rules to a statement, as far as it was understood.
func (a *analyst) judge(s *Statement, routine bool, d *draft) {
	whole := true
	place := int(s.end.Start)
	if s.Len() > 0 {
		place = int(s.Tokens[0].Start)
	}
	switch {
	case s.end.Unterminated:
		d.unterminated, whole = true, false
		a.unclosed(d, s.end)
	case s.oversized:
		whole = false
		d.notes.add(tooManyTokens, place)
	case s.unclosed >= 0 && s.conditional:
		whole = false
		d.notes.add(bracketsByTemplate, place)
	case s.unclosed >= 0:
		whole = false
		a.unclosed(d, s.Tokens[s.unclosed])
	case s.Verb == lex.None && s.Len() > 0 && !routine && !s.routine:
		d.notes.add(notUnderstood, place)
	case s.Verb == lex.Create && s.HasKind(lex.Dollar) || s.Verb == lex.Do && s.HasKind(lex.Dollar):
		d.notes.add(routineText, place)
	}
	for i := range a.rules.rules {
		r := &a.rules.rules[i]
		if !r.wants(s) || !whole && !r.anywhere {
			continue
		}
		d.hits.rule = &r.Rule
		r.check(s, &d.hits)
	}
}

// unclosed raises SQL000 at the token that is never closed.
func (a *analyst) unclosed(d *draft, t lex.Token) {
	if a.rules.unclosed == nil {
		return
	}
	d.hits.rule = a.rules.unclosed
	message, end := a.rules.unclosed.Message, int(t.Start)+1
	switch t.Kind {
	case lex.String, lex.Quoted:
		message = report.Text{En: "The string that begins here is never closed; add the quote.", Zh: "此处开始的字符串未闭合，请补上引号。"}
	case lex.BlockComment, lex.Hint, lex.Tag:
		message = report.Text{En: "The comment or template tag that begins here is never closed; close it.", Zh: "此处开始的注释或模板标签未闭合，请补全。"}
		end++
	case lex.LParen, lex.LBracket:
		message = report.Text{En: "The bracket that opens here is not closed before the statement ends; close it.", Zh: "此处的括号在语句结束前未闭合，请补全。"}
	}
	d.hits.place(int(t.Start), end, a.rules.unclosed.Severity, message)
}

// anchor gives the hits of one statement what stays the same when lines move and
// literals change: a hash of the statement, and the how manieth of the same rule
// in statements that look the same.
func anchor(s *Statement, found []hit, ordinals map[string]int) {
	h := sha256.New()
	var folded []byte
	for i := range s.Tokens {
		t := &s.Tokens[i]
		switch t.Kind {
		case lex.String, lex.Quoted, lex.Number, lex.Dollar, lex.Command, lex.Data:
			folded = append(folded, '?')
			if t.Kind == lex.Quoted && s.text[t.Start] == '`' {
				folded = append(folded, s.text[t.Start:t.End]...)
			}
		default:
			folded = append(folded, asciiLower(s.text[t.Start:t.End])...)
		}
		folded = append(folded, ' ')
		if len(folded) > 4096 {
			h.Write(folded)
			folded = folded[:0]
		}
	}
	h.Write(folded)
	sum := hex.EncodeToString(h.Sum(nil)[:6])
	for i := range found {
		key := found[i].rule.ID + sum
		ordinals[key]++
		found[i].anchor = fmt.Sprintf("%s#%d", sum, ordinals[key])
	}
}

// finish puts the hits in order and gives them lines and columns.
func (d *draft) finish(path, text string) analysis {
	found := d.hits.found
	slices.SortStableFunc(found, func(a, b hit) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return strings.Compare(a.rule.ID, b.rule.ID)
	})
	offsets := make([]int, 0, 2*len(found)+len(d.suppressions)+noteKinds)
	for _, h := range found {
		offsets = append(offsets, h.start, h.end)
	}
	for _, s := range d.suppressions {
		offsets = append(offsets, s.start)
	}
	for _, n := range d.notes {
		offsets = append(offsets, n.first)
	}
	at := locate(text, offsets)

	for i := range d.suppressions {
		d.suppressions[i].line = at(d.suppressions[i].start).line
	}
	suppressed := newSuppressions(d.suppressions)
	var out analysis
	for _, h := range found {
		from, to := at(h.start), at(h.end)
		out.findings = append(out.findings, report.Finding{
			Rule: h.rule.ID, Severity: h.severity, Message: h.message,
			Path: path, Line: from.line, Column: from.column, EndLine: to.line, EndColumn: to.column,
			Anchor:     h.anchor,
			Suppressed: suppressed.covers(h.rule.ID, from.line) && !h.rule.Security,
		})
	}
	for kind, n := range d.notes {
		if n.count > 0 {
			out.degraded = append(out.degraded, fmt.Sprintf(noteTexts[kind], n.count, at(n.first).line))
		}
	}
	var over []string
	for rule, n := range d.hits.counts {
		if n > maxHits {
			over = append(over, fmt.Sprintf("%s was found %d times; the first %d are reported", rule, n, maxHits))
		}
	}
	slices.Sort(over)
	out.degraded = append(out.degraded, over...)
	return out
}

var noteTexts = [noteKinds]string{
	notUnderstood:      "%d statement(s) not understood, the first in line %d",
	bracketsByTemplate: "%d statement(s) whose brackets depend on template tags were not checked, the first in line %d",
	routineText:        "%d routine bodies in dollar quotes were not checked, the first in line %d",
	tooManyTokens:      "%d statement(s) too long to check, the first in line %d",
}

// position counts from 1; columns count runes.
type position struct{ line, column int }

// locate finds the positions of byte offsets in one pass over the text. CR, LF
// and CRLF end lines.
func locate(text string, offsets []int) func(offset int) position {
	slices.Sort(offsets)
	offsets = slices.Compact(offsets)
	positions := make([]position, len(offsets))
	now := position{1, 1}
	i := 0
	for n, offset := range offsets {
		for i < offset && i < len(text) {
			c := text[i]
			switch {
			case c == '\n', c == '\r' && !strings.HasPrefix(text[i+1:], "\n"):
				now.line++
				now.column = 1
				i++
			case c < utf8.RuneSelf:
				now.column++
				i++
			default:
				_, size := utf8.DecodeRuneInString(text[i:])
				now.column++
				i += size
			}
		}
		positions[n] = now
	}
	return func(offset int) position {
		n, _ := slices.BinarySearch(offsets, offset)
		return positions[n]
	}
}
