package sql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// analysis is what was found in one text.
type analysis struct {
	findings []report.Finding // by place, then by rule
	degraded []report.Text    // reasons why less than all of it was checked
	steps    int              // a measure of the work: bytes and tokens looked at
}

// fileView is a text as the first pass saw it: how it is to be read, and what the
// rules have to know before they see its statements.
type fileView struct {
	path     string
	dialect  Dialect
	reading  lex.Options
	settings *settings
	tables   *catalogue
	// embedded texts stand inside other files: they have no header of their own.
	embedded bool
	// dynamic: dynamic partitions are permitted, or another file may permit them.
	dynamic bool
	// dynamicOverwrite: INSERT OVERWRITE replaces only the partitions that it writes.
	dynamicOverwrite bool
	// stored: the file sets a default format for tables.
	stored bool

	kept     *script         // what the first pass cut, as far as there was room
	database string          // of the last USE
	dropped  map[string]bool // tables that the file drops before
}

// analyst looks at texts, one after the other. It keeps its buffers.
type analyst struct {
	rules    *ruleSet
	settings *settings
	tables   *catalogue
	buffer   Statement
	room     int // bytes that scripts may still take
	folded   []byte
}

func newAnalyst(rules *ruleSet, settings *settings) *analyst {
	return &analyst{rules: rules, settings: settings, tables: newCatalogue(), room: maxScripts, buffer: Statement{shape: &outline{}}}
}

// survey is the first pass over a text, which stands in a file of its own or is a piece
// of another. It returns an error only when ctx ends.
func (a *analyst) survey(ctx context.Context, path, text string, of *piece) (*fileView, int, error) {
	dialect, fallback := Unknown, Unknown
	if of != nil {
		dialect, fallback = of.dialect, of.fallback
	}
	if named := a.settings.dialectOf(path); named != Unknown {
		dialect = named
	} else if named := dialectOfHeader(text); named != Unknown && dialect == Unknown {
		dialect = named
	} else if dialect == Unknown {
		dialect = dialectOfPath(path)
	}
	v := &fileView{path: path, dialect: dialect, settings: a.settings, tables: a.tables, embedded: of != nil}
	var vote votes
	steps := 0
	for n, opt := range readings(dialect, text) {
		split := newSplitter(text, opt, &a.buffer, v)
		whole, sets := true, true
		v.database = ""
		var seen votes
		keep := newScript(a.room)
		for s := split.next(); s != nil; s = split.next() {
			if err := ctx.Err(); err != nil {
				return nil, steps, err
			}
			whole = whole && !s.end.Unterminated
			s.within = split.routine
			seen.count(s)
			v.notice(s)
			sets = sets && (s.Verb == lex.Set || s.Verb == lex.Use || s.Verb == lex.Add || s.Len() == 0)
			if s.unclosed < 0 && !s.end.Unterminated && !s.oversized {
				a.tables.learn(s, v.database)
			}
			steps += s.steps + len(s.Tokens)
			keep.add(s)
			a.buffer.Tokens, a.buffer.Comments, a.buffer.shape, a.buffer.inserts = s.Tokens, s.Comments, s.shape, s.inserts
		}
		steps += split.lex.Steps()
		a.tables.nonstrict = a.tables.nonstrict || sets && v.dynamic
		if n == 0 || whole {
			v.reading, v.kept, vote = opt, keep, seen
		}
		if whole {
			break
		}
	}
	if v.dialect == Unknown {
		if v.dialect = vote.elect(); v.dialect == Unknown {
			v.dialect = fallback
		}
	}
	v.database = ""
	if v.kept.full {
		v.kept = nil
	} else {
		a.room -= v.kept.bytes
	}
	return v, steps, nil
}

// script is a text in statements. The second pass goes through it instead of cutting
// the text again.
type script struct {
	chunks [][]Statement
	tokens []lex.Token // of the chunk in use
	bytes  int
	room   int
	full   bool
}

const (
	// maxScripts is how much memory the scripts of one scan may take; the texts of the
	// files beyond are cut twice.
	maxScripts = 32 << 20
	tokenBytes = 24
	chunk      = 16 << 10
)

func newScript(room int) *script { return &script{room: room} }

// add copies a statement.
func (k *script) add(s *Statement) {
	if k.full {
		return
	}
	n := len(s.Tokens) + len(s.Comments)
	k.bytes += n*tokenBytes + statementBytes
	if k.full = k.bytes > k.room; k.full {
		k.chunks, k.tokens = nil, nil
		return
	}
	if cap(k.tokens)-len(k.tokens) < n {
		k.tokens = make([]lex.Token, 0, max(chunk, n))
	}
	own := func(tokens []lex.Token) []lex.Token {
		from := len(k.tokens)
		k.tokens = append(k.tokens, tokens...)
		return k.tokens[from:len(k.tokens):len(k.tokens)]
	}
	c := *s
	c.Tokens, c.Comments, c.inserts = own(s.Tokens), own(s.Comments), nil
	last := len(k.chunks) - 1
	if last < 0 || len(k.chunks[last]) == cap(k.chunks[last]) {
		k.chunks = append(k.chunks, make([]Statement, 0, 1<<min(len(k.chunks)+2, 8)))
		last++
	}
	k.chunks[last] = append(k.chunks[last], c)
}

const statementBytes = int(unsafe.Sizeof(Statement{}))

// statements yields those of a text, from what the first pass kept or anew.
func (a *analyst) statements(v *fileView, text string) (next func() *Statement, steps func() int) {
	if k := v.kept; k != nil {
		v.kept = nil
		a.room += k.bytes
		i := 0
		return func() *Statement {
			for len(k.chunks) > 0 && i == len(k.chunks[0]) {
				k.chunks, i = k.chunks[1:], 0
			}
			if len(k.chunks) == 0 {
				return nil
			}
			s := &k.chunks[0][i]
			i++
			s.shape, s.inserts = a.buffer.shape, a.buffer.inserts[:0]
			s.shape.reset()
			return s
		}, func() int { return 0 }
	}
	split := newSplitter(text, v.reading, &a.buffer, v)
	return func() *Statement {
		s := split.next()
		if s != nil {
			s.within = split.routine
		}
		return s
	}, split.lex.Steps
}

// notice takes what one statement says about its whole file.
func (v *fileView) notice(s *Statement) {
	switch s.Verb {
	case lex.Set:
		v.dynamic = v.dynamic || s.Has(lex.Nonstrict)
		if s.is(s.Head+1, "SPARK") && s.is(s.Len()-1, "DYNAMIC") {
			v.dynamicOverwrite = true
		}
		if s.is(s.Head+1, "HIVE") && s.is(s.Head+5, "FILEFORMAT") {
			v.stored = true
		}
	case lex.Source:
		v.dynamic = true
	}
	v.follow(s)
	if !v.tables.layered && (s.Verb == lex.Create || s.Verb == lex.Insert) {
		for i := s.Head; i < min(s.Len(), s.Head+12); i++ {
			if k := s.Kind(i); k == lex.Word || k == lex.Quoted {
				if v.settings.naming.MatchString(s.foldedName(i)) {
					v.tables.layered = true
					break
				}
			}
		}
	}
}

// follow keeps which database is in use.
func (v *fileView) follow(s *Statement) {
	if s.Verb == lex.Use && s.Len() == s.Head+2 {
		v.database = ""
		if k := s.Kind(s.Head + 1); k == lex.Word || k == lex.Quoted {
			v.database = strings.Clone(s.foldedName(s.Head + 1))
		}
	}
}

// maxDropped names of a file are remembered.
const maxDropped = 1000

// drops remembers what a DROP … IF EXISTS takes away.
func (v *fileView) drops(s *Statement) {
	if s.Verb != lex.Drop || len(v.dropped) >= maxDropped {
		return
	}
	i := s.Head + 1
	for s.Keyword(i) == lex.Temporary || s.Keyword(i) == lex.External || s.Keyword(i) == lex.Table || s.Keyword(i) == lex.If || s.Keyword(i) == lex.Exists {
		i++
	}
	if end := s.SkipName(i); end > i {
		if v.dropped == nil {
			v.dropped = map[string]bool{}
		}
		start, stop := s.bytes(i, end-1)
		v.dropped[asciiLower(s.text[start:stop])] = true
	}
}

// analyse checks a text in the way that its survey chose. It returns an error only
// when ctx ends.
func (a *analyst) analyse(ctx context.Context, v *fileView, text string) (analysis, error) {
	d, err := a.read(ctx, v, text)
	if err != nil {
		return analysis{}, err
	}
	out := d.finish(v, text, a.rules)
	out.steps = d.steps
	return out, nil
}

// readings are the ways to read a text, the likeliest first. The others are tried
// only if a string or comment is never closed: what is a mistake in one dialect
// may be none in the next.
func readings(dialect Dialect, text string) []lex.Options {
	hive := lex.Options{Backslash: true, HashComments: true}
	likely := []lex.Options{hive}
	if dialect == PostgreSQL || dialect == Unknown && postgres(text) {
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

// postgres guesses from words that no other dialect has.
func postgres(text string) bool {
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

// whole reports whether all statements were checked: only then a noqa that suppressed
// nothing is known to be of no use.
func (d *draft) whole() bool {
	for kind, n := range d.notes {
		if n.count > 0 && kind != routineText {
			return false
		}
	}
	return !d.unterminated
}

// notes counts why statements were not checked, with the place of the first.
type notes [noteKinds]struct{ count, first int }

const (
	notUnderstood = iota
	bracketsByTemplate
	routineText
	tooManyTokens
	tooDeepBrackets
	noteKinds
)

func (n *notes) add(kind, place int) {
	if n[kind].count == 0 {
		n[kind].first = place
	}
	n[kind].count++
}

// read looks at all statements.
func (a *analyst) read(ctx context.Context, v *fileView, text string) (*draft, error) {
	d := &draft{hits: hits{counts: map[string]int{}}}
	next, steps := a.statements(v, text)
	ordinals := map[anchored]int{}
	first := true
	for s := next(); s != nil; s = next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, c := range s.Comments {
			if n, ok := readSuppression(text, c); ok && len(d.suppressions) < maxSuppressions {
				d.suppressions = append(d.suppressions, n)
			}
		}
		if first && s.Len() > 0 {
			first = false
			a.header(s, d)
		}
		before := len(d.hits.found)
		a.judge(s, d)
		if len(d.hits.found) > before {
			a.anchor(s, d.hits.found[before:], ordinals)
		}
		v.follow(s)
		v.drops(s)
		d.steps += s.steps + s.shape.visited()
		a.buffer.shape, a.buffer.inserts = s.shape, s.inserts
	}
	d.steps += steps()
	return d, nil
}

// header is SQL036, at the first statement of a file.
func (a *analyst) header(s *Statement, d *draft) {
	r := a.rules.byID[headerRule]
	if r == nil || a.settings.Header.Policy == "none" || s.file.embedded || s.file.dialect == DBT {
		return
	}
	message := r.Message
	said := ""
	for _, c := range s.Comments {
		if c.Start < s.Tokens[0].Start {
			if _, noqa := readSuppression(s.text, c); !noqa {
				said += s.text[c.Start:min(c.End, c.Start+4096)] + "\n"
			}
		}
	}
	if s.included && said == "" {
		return
	}
	if said != "" {
		missing := ""
		lower := strings.ToLower(said)
		for _, w := range a.settings.Header.Words {
			if !strings.Contains(lower, strings.ToLower(w)) {
				missing += ", " + w
			}
		}
		if missing == "" {
			return
		}
		message = report.Text{
			En: "The header comment does not say: " + missing[2:] + "; add that.",
			Zh: "文件头注释缺少：" + strings.ReplaceAll(missing[2:], ", ", "、") + "，请补充。",
		}
	}
	d.hits.rule = r
	d.hits.place(int(s.Tokens[0].Start), int(s.Tokens[0].End), r.Severity, message)
	d.hits.found[len(d.hits.found)-1].anchor = "file"
}

// judge applies the rules to a statement, as far as it was understood.
func (a *analyst) judge(s *Statement, d *draft) {
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
	case s.Verb == lex.None && s.Len() > 0 && !s.within && !s.routine:
		d.notes.add(notUnderstood, place)
	case s.Verb == lex.Create && s.HasKind(lex.Dollar) || s.Verb == lex.Do && s.HasKind(lex.Dollar):
		d.notes.add(routineText, place)
	}
	for i := range a.rules.rules {
		r := &a.rules.rules[i]
		if !r.wants(s) || !whole && !r.anywhere {
			continue
		}
		d.hits.rule = &r.rule
		r.check(s, &d.hits)
	}
	if s.shape != nil && s.shape.tooDeep {
		d.notes.add(tooDeepBrackets, place)
	}
}

// unclosed raises SQL000 at the token that is never closed.
func (a *analyst) unclosed(d *draft, t lex.Token) {
	r := a.rules.byID[unclosedRule]
	d.hits.rule = r
	message, end := r.Message, int(t.Start)+1
	switch t.Kind {
	case lex.String, lex.Quoted:
		message = report.Text{En: "The string that begins here is never closed; add the quote.", Zh: "此处开始的字符串未闭合，请补上引号。"}
	case lex.BlockComment, lex.Hint, lex.Tag:
		message = report.Text{En: "The comment or template tag that begins here is never closed; close it.", Zh: "此处开始的注释或模板标签未闭合，请补全。"}
		end++
	case lex.LParen, lex.LBracket:
		message = report.Text{En: "The bracket that opens here is not closed before the statement ends; close it.", Zh: "此处的括号在语句结束前未闭合，请补全。"}
	}
	d.hits.place(int(t.Start), end, r.Severity, message)
}

// anchor gives the hits of one statement what stays the same when lines move and
// literals change: a hash of the statement, and the how manieth of the same rule
// in statements that look the same.
func (a *analyst) anchor(s *Statement, found []hit, ordinals map[anchored]int) {
	h := sha256.New()
	folded := a.folded[:0]
	for i := range s.Tokens {
		t := &s.Tokens[i]
		switch t.Kind {
		case lex.String, lex.Quoted, lex.Number, lex.Dollar, lex.Command, lex.Data:
			folded = append(folded, '?')
			if t.Kind == lex.Quoted && s.text[t.Start] == '`' {
				folded = append(folded, s.text[t.Start:t.End]...)
			}
		default:
			for _, c := range []byte(s.text[t.Start:t.End]) {
				if 'A' <= c && c <= 'Z' {
					c += 'a' - 'A'
				}
				folded = append(folded, c)
			}
		}
		folded = append(folded, ' ')
		if len(folded) > 4096 {
			h.Write(folded)
			folded = folded[:0]
		}
	}
	h.Write(folded)
	a.folded = folded
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	text := hex.EncodeToString(sum[:6])
	for i := range found {
		key := anchored{found[i].rule, [6]byte(sum[:6])}
		ordinals[key]++
		found[i].anchor = text + "#" + strconv.Itoa(ordinals[key])
	}
}

// anchored is a rule in statements that look the same.
type anchored struct {
	rule *rule
	sum  [6]byte
}

// finish puts the hits in order and gives them lines and columns.
func (d *draft) finish(v *fileView, text string, rules *ruleSet) analysis {
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
		offsets = append(offsets, s.start, s.end)
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
		f := report.Finding{
			Rule: h.rule.ID, Severity: h.severity, Message: h.message,
			Path: v.path, Line: from.line, Column: from.column, EndLine: to.line, EndColumn: to.column,
			Anchor: h.anchor,
		}
		if by := suppressed.covers(h.rule.ID, from.line); by != nil && !h.rule.Security {
			f.Suppressed, f.Suppression = true, by.why()
		}
		out.findings = append(out.findings, f)
	}
	if d.whole() {
		out.findings = append(out.findings, d.unused(v, rules, at)...)
		slices.SortStableFunc(out.findings, func(a, b report.Finding) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
	}
	for kind, n := range d.notes {
		if n.count > 0 {
			line := at(n.first).line
			out.degraded = append(out.degraded, report.Text{
				En: fmt.Sprintf(noteTexts[kind].En, n.count, line),
				Zh: fmt.Sprintf(noteTexts[kind].Zh, n.count, line),
			})
		}
	}
	var over []report.Text
	for rule, n := range d.hits.counts {
		if n > maxHits {
			over = append(over, report.Text{
				En: fmt.Sprintf("%s was found %d times; the first %d are reported", rule, n, maxHits),
				Zh: fmt.Sprintf("%s 共发现 %d 处，仅报告前 %d 处", rule, n, maxHits),
			})
		}
	}
	slices.SortFunc(over, func(a, b report.Text) int { return strings.Compare(a.En, b.En) })
	out.degraded = append(out.degraded, over...)
	return out
}

// noteTexts are formats of a count and a line.
var noteTexts = [noteKinds]report.Text{
	notUnderstood: {
		En: "%d statement(s) not understood, the first in line %d",
		Zh: "%d 条语句无法识别，首条在第 %d 行",
	},
	bracketsByTemplate: {
		En: "%d statement(s) whose brackets depend on template tags were not checked, the first in line %d",
		Zh: "%d 条语句的括号取决于模板标签，未检查，首条在第 %d 行",
	},
	routineText: {
		En: "%d routine bodies in dollar quotes were not checked, the first in line %d",
		Zh: "%d 个用 $$ 括起的过程或函数体未检查，首个在第 %d 行",
	},
	tooManyTokens: {
		En: "%d statement(s) too long to check, the first in line %d",
		Zh: "%d 条语句过长，未检查，首条在第 %d 行",
	},
	tooDeepBrackets: {
		En: "%d statement(s) nested too deeply to check as a whole, the first in line %d",
		Zh: "%d 条语句嵌套过深，未能完整检查，首条在第 %d 行",
	},
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
