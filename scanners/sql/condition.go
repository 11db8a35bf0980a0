package sql

import (
	"strings"

	"github.com/factgate/factgate/scanners/sql/lex"
)

// predicate is a stretch of a condition between AND, OR and the brackets that only
// group them.
type predicate struct {
	from, to int
	// conjunct: the condition holds only if this does.
	conjunct bool
}

// maxPredicates of one condition are looked at.
const maxPredicates = 4096

// predicates cuts a condition. The slice is valid until the next call.
func (s *Statement) predicates(p span) []predicate {
	o := s.outline()
	o.preds = o.preds[:0]
	if p.empty() {
		return nil
	}
	o.preds = append(o.preds, predicate{int(p.from), int(p.to), true})
	// Each entry is cut in place; what a bracket groups is cut in its turn.
	for n := 0; n < len(o.preds) && len(o.preds) < maxPredicates; {
		whole := o.preds[n]
		for whole.from < whole.to && s.Kind(whole.from) == lex.LParen && int(s.Tokens[whole.from].Match) == whole.to-1 && !s.beginsQuery(whole.from+1) {
			whole.from++
			whole.to--
		}
		start, cases, between, or := whole.from, 0, false, false
		cut := len(o.preds)
		for i := whole.from; i < whole.to; i = s.Next(i) {
			switch s.Keyword(i) {
			case lex.Case:
				cases++
			case lex.End:
				cases--
			case lex.Between:
				between = true
			case lex.And, lex.Or:
				if cases > 0 {
					continue
				}
				if s.Keyword(i) == lex.And && between {
					between = false
					continue
				}
				or = or || s.Keyword(i) == lex.Or
				o.preds = append(o.preds, predicate{start, i, whole.conjunct})
				start, between = i+1, false
			}
			if s.Kind(i) == lex.RParen {
				break
			}
		}
		if len(o.preds) == cut { // nothing to cut
			o.preds[n] = predicate{whole.from, whole.to, whole.conjunct}
			n++
			continue
		}
		o.preds = append(o.preds, predicate{start, whole.to, whole.conjunct})
		for c := cut; c < len(o.preds); c++ {
			o.preds[c].conjunct = whole.conjunct && !or
		}
		last := len(o.preds) - 1
		o.preds[n] = o.preds[last]
		o.preds = o.preds[:last]
	}
	return o.preds
}

func (s *Statement) beginsQuery(i int) bool {
	k := s.Keyword(i)
	return k == lex.Select || k == lex.With
}

// comparisonAt finds the operator that compares the two sides of a predicate on its
// own level: =, <, LIKE, IN, BETWEEN, IS and their like; or -1.
func (s *Statement) comparisonAt(p predicate) int {
	cases := 0
	for i := p.from; i < p.to; i = s.Next(i) {
		switch s.Kind(i) {
		case lex.Op:
			if cases == 0 && compares(s.Text(i)) {
				return i
			}
		case lex.Word:
			switch s.Keyword(i) {
			case lex.Case:
				cases++
			case lex.End:
				cases--
			case lex.Like, lex.Ilike, lex.Rlike, lex.Regexp, lex.In, lex.Between, lex.Is:
				if cases == 0 {
					return i
				}
			}
		}
	}
	return -1
}

func compares(op string) bool {
	switch op {
	case "=", "==", "<=>", "<>", "!=", "<", ">", "<=", ">=":
		return true
	}
	return false
}

func equality(op string) bool { return op == "=" || op == "==" || op == "<=>" }

// column is a reference to a column that is a whole operand.
type column struct {
	name      int // token
	qualifier int // token, or -1
}

// columnAt reads Tokens[from:to] as one column and nothing else.
func (s *Statement) columnAt(from, to int) (column, bool) {
	if to <= from || to-from > 7 || (to-from)%2 == 0 {
		return column{}, false
	}
	for i := from; i < to; i++ {
		if (i-from)%2 == 1 {
			if s.Kind(i) != lex.Dot {
				return column{}, false
			}
			continue
		}
		switch s.Kind(i) {
		case lex.Word:
			if k := s.Keyword(i); to-from == 1 && k != lex.None && !columnWords.Has(k) {
				return column{}, false
			}
		case lex.Quoted:
			if s.Text(i)[0] == '"' && !s.quotesNames() {
				return column{}, false
			}
		default:
			return column{}, false
		}
	}
	c := column{name: to - 1, qualifier: -1}
	if to-from > 1 {
		c.qualifier = to - 3
	} else if s.Kind(from) == lex.Word && constantWord(s.Text(from)) {
		return column{}, false
	}
	return c, true
}

// columnWords are keywords that are columns more often than anything else where a
// whole operand stands.
var columnWords = lex.SetOf(lex.Name, lex.Type, lex.Format, lex.Source, lex.Key, lex.User, lex.Role, lex.Event, lex.Comment,
	lex.Password, lex.Package, lex.File, lex.Files, lex.First, lex.Index, lex.Count, lex.Catalog, lex.Admin, lex.Engine, lex.Sample, lex.Ttl, lex.Properties)

// constantWord reports whether a bare word is a value, not a column.
func constantWord(w string) bool {
	switch len(w) {
	case 4:
		return strings.EqualFold(w, "TRUE")
	case 5:
		return strings.EqualFold(w, "FALSE")
	case 7:
		return strings.EqualFold(w, "SYSDATE") || strings.EqualFold(w, "UNKNOWN")
	}
	return len(w) > 8 && (strings.EqualFold(w[:8], "CURRENT_") || strings.EqualFold(w, "LOCALTIME") || strings.EqualFold(w, "LOCALTIMESTAMP") || strings.EqualFold(w, "SYSTIMESTAMP"))
}

// quotesNames reports whether "x" is a name in the file's dialect, not a text.
func (s *Statement) quotesNames() bool { return s.file.dialect == PostgreSQL }

// spend counts work that goes over tokens again, and reports whether there is any left:
// a statement may have so much for each of its tokens. Beyond, rules stay silent.
func (s *Statement) spend(n int) bool {
	o := s.outline()
	o.visits += n
	return o.visits <= 64*len(s.Tokens)+10_000
}

// mention is a column somewhere inside an expression.
type mention struct {
	name      int
	qualifier int // of a.b.c the first, or -1
}

// mentions calls each for every column in Tokens[from:to], subqueries included, and
// reports whether all could be looked at.
func (s *Statement) mentions(from, to int, each func(mention)) bool {
	for i := from; i < to; {
		if !s.spend(1) {
			return false
		}
		k := s.Kind(i)
		if k != lex.Word && k != lex.Quoted && k != lex.Template {
			i++
			continue
		}
		end := i + 1
		for s.Kind(end) == lex.Dot && end+1 < to && (s.Kind(end+1) == lex.Word || s.Kind(end+1) == lex.Quoted || s.Kind(end+1) == lex.Template) {
			end += 2
		}
		switch {
		case end == i+1 && k == lex.Word && (s.Keyword(i) != lex.None && !columnWords.Has(s.Keyword(i)) || constantWord(s.Text(i))):
		case end == i+1 && k == lex.Template:
		case end == i+1 && k == lex.Quoted && s.Text(i)[0] == '"' && !s.quotesNames():
		case s.Kind(end) == lex.LParen && s.Text(end+1) != "+": // a function; (+) is Oracle's outer join
		case end == i+1 && s.Text(i-1) == "::": // a type
		case end == i+1 && s.Keyword(i-1) == lex.As:
		case end == i+1 && (s.Kind(end) == lex.String && k == lex.Word): // DATE '2024-01-01'
		case end == i+1:
			each(mention{i, -1})
		default:
			each(mention{end - 1, i})
		}
		i = end
	}
	return true
}

// sourceNamed finds the source of a block that a qualifier means, or -1. more says
// that the qualifier has further parts: db.table.column.
func (s *Statement) sourceNamed(b *block, m mention) int32 {
	if m.qualifier < 0 {
		return -1
	}
	o := s.outline()
	for n := b.first; n >= 0; n = o.sources[n].next {
		o.visits++
		src := &o.sources[n]
		if src.alias >= 0 {
			if s.sameName(int(src.alias), m.qualifier) {
				return n
			}
			continue
		}
		if !src.name.exists() {
			continue
		}
		// The table's own name, alone or behind that of its database.
		for q := m.qualifier; q < m.name; q += 2 {
			if s.sameName(int(src.name.to)-1, q) {
				return n
			}
		}
	}
	return -1
}

// sameName compares two tokens as names: case and quotes do not count.
func (s *Statement) sameName(a, b int) bool {
	x, y := bareName(s.Text(a)), bareName(s.Text(b))
	return len(x) == len(y) && strings.EqualFold(x, y)
}

// bareName takes the quotes off a name.
func bareName(name string) string {
	if n := len(name); n >= 2 && (name[0] == '`' || name[0] == '"' || name[0] == '[') {
		return name[1 : n-1]
	}
	return name
}

// is compares token i with a word in capitals.
func (s *Statement) is(i int, word string) bool {
	t := s.Text(i)
	return len(t) == len(word) && strings.EqualFold(t, word)
}

// fromTemplate reports whether a whole condition, or a part of it, is filled in.
func (s *Statement) fromTemplate(p span) bool {
	if s.conditional {
		return true
	}
	if !s.HasKind(lex.Template) || p.empty() {
		return false
	}
	for i := int(p.from); i < int(p.to); i = s.Next(i) {
		if !s.spend(1) {
			return true
		}
		if s.Kind(i) != lex.Template || s.Glued(i) || s.Kind(i+1) == lex.Dot || s.Kind(i-1) == lex.Dot {
			continue
		}
		if i+1 < int(p.to) && s.Glued(i+1) && nameKind(s.Kind(i+1)) {
			continue
		}
		before, behind := s.Keyword(i-1), s.Keyword(i+1)
		opens := i == int(p.from) || before == lex.And || before == lex.Or || before == lex.Not || s.operand(i-1)
		ends := i+1 >= int(p.to) || behind == lex.And || behind == lex.Or || s.Kind(i+1) == lex.RParen || nameKind(s.Kind(i+1))
		if opens && ends {
			return true
		}
	}
	return false
}
