package sql

import (
	"strings"

	"github.com/factgate/factgate/scanners/sql/lex"
)

// describes are the verbs of statements that name other verbs without doing
// anything of the kind.
var describes = lex.SetOf(lex.Grant, lex.Revoke, lex.Show, lex.Explain, lex.Describe, lex.Desc, lex.Comment, lex.Analyze, lex.System)

// queries reports whether the statement may hold queries and predicates.
func (s *Statement) queries() bool { return s.Verb != lex.None && !describes.Has(s.Verb) }

var (
	listEnds   = lex.SetOf(lex.From, lex.Select, lex.Union, lex.Except, lex.Intersect, lex.Minus, lex.Insert)
	fromEnds   = lex.SetOf(lex.Where, lex.Prewhere, lex.Group, lex.Having, lex.Order, lex.Limit, lex.Union, lex.Intersect, lex.Minus, lex.Except, lex.Select, lex.Window, lex.Qualify, lex.Insert)
	starBefore = lex.SetOf(lex.Select, lex.Distinct, lex.All)
	starBehind = lex.SetOf(lex.From, lex.Except, lex.Exclude, lex.Replace, lex.Into, lex.Union, lex.Intersect, lex.Minus)
)

// selectStar is SQL001.
func selectStar(s *Statement, out *hits) {
	if !s.HasKind(lex.Star) || !s.queries() {
		return
	}
	for i := range s.Tokens {
		if s.Keyword(i) != lex.Select || s.Kind(i-1) == lex.Dot || s.inExists(i) {
			continue
		}
		var from *sources
		n := i + 1
		for ; n < s.Len(); n = s.Next(n) {
			if k := s.Keyword(n); k != lex.None && listEnds.Has(k) && !(k == lex.Except && s.Kind(n-1) == lex.Star && s.Kind(n+1) == lex.LParen) {
				break
			}
			if s.Kind(n) != lex.Star || !s.starItem(n) {
				continue
			}
			if from == nil {
				from = s.sourcesOf(n)
			}
			start, qualifier := n, ""
			if s.Kind(n-1) == lex.Dot {
				start, qualifier = n-2, s.Text(n-2)
			}
			if !from.local(qualifier) {
				out.tokens(s, max(start, i+1), n)
			}
		}
	}
}

// inExists reports whether the SELECT at i is that of EXISTS (SELECT …).
func (s *Statement) inExists(i int) bool {
	for i--; s.Kind(i) == lex.LParen; i-- {
		if s.Keyword(i-1) == lex.Exists {
			return true
		}
	}
	return false
}

// starItem tells the * of a select list from a multiplication.
func (s *Statement) starItem(i int) bool {
	switch s.Kind(i - 1) {
	case lex.Dot, lex.Comma:
		return true
	}
	if k := s.Keyword(i - 1); k != lex.None && starBefore.Has(k) {
		return true
	}
	switch s.Kind(i + 1) {
	case lex.Comma, lex.RParen, lex.Space:
		return true
	}
	k := s.Keyword(i + 1)
	return k != lex.None && starBehind.Has(k) && !(k == lex.Replace && s.Kind(i-1) != lex.Space && s.Kind(i+2) == lex.LParen && s.operand(i-1))
}

// operand reports whether token i can be the left side of a multiplication.
func (s *Statement) operand(i int) bool {
	switch s.Kind(i) {
	case lex.Word:
		return s.Keyword(i) == lex.None
	case lex.Number, lex.Quoted, lex.String, lex.Template, lex.Param, lex.RParen, lex.RBracket:
		return true
	}
	return false
}

// sources are what a query block reads: its tables by the names under which its
// columns are known, and whether they are common table expressions.
type sources struct {
	byName map[string]bool
	all    bool // every source is one
}

// local reports whether qualifier.* (or *, if it is empty) takes columns that
// this very statement lists.
func (f *sources) local(qualifier string) bool {
	if qualifier == "" {
		return f.all
	}
	return f.byName[foldName(qualifier)]
}

// sourcesOf reads the FROM clause of the block whose select list holds token i.
func (s *Statement) sourcesOf(i int) *sources {
	f := &sources{byName: map[string]bool{}}
	if !s.Has(lex.With) {
		return f
	}
	for ; i < s.Len() && s.Keyword(i) != lex.From; i = s.Next(i) {
		if k := s.Keyword(i); k == lex.Select || k == lex.Union || k == lex.Intersect || k == lex.Minus {
			return f
		}
	}
	f.all = i < s.Len()
	expect := true // a table stands here
	for i++; i < s.Len(); {
		k := s.Keyword(i)
		if k != lex.None && fromEnds.Has(k) {
			break
		}
		switch {
		case k == lex.Join || s.Kind(i) == lex.Comma:
			expect = true
			i = s.Next(i)
		case !expect:
			i = s.Next(i)
		case s.Kind(i) == lex.LParen:
			f.all, expect = false, false
			i = s.Next(i)
		default:
			end := s.SkipName(i)
			if end == i {
				i = s.Next(i)
				continue
			}
			if k == lex.Lateral || k == lex.Table || end < s.Len() && s.Kind(end) == lex.LParen {
				f.all = false
			}
			isLocal := end == i+1 && s.Local(s.Text(i))
			f.all = f.all && isLocal
			f.byName[foldName(s.Text(end-1))] = isLocal
			if s.Keyword(end) == lex.As {
				end++
			}
			if a := s.Keyword(end); nameKind(s.Kind(end)) && (a == lex.None || s.Keyword(end-1) == lex.As) {
				f.byName[foldName(s.Text(end))] = isLocal
				end++
			}
			expect = false
			i = end
			if k := s.Kind(i); k == lex.RParen || k == lex.RBracket {
				return f
			}
		}
	}
	return f
}

// bareUnion is SQL024.
func bareUnion(s *Statement, out *hits) {
	if !s.queries() {
		return
	}
	for i := range s.Tokens {
		if s.Keyword(i) != lex.Union || s.Kind(i-1) == lex.Dot {
			continue
		}
		switch s.Keyword(i + 1) {
		case lex.Select, lex.With, lex.Values, lex.From, lex.Table:
			out.tokens(s, i, i)
		case lex.None:
			if s.Kind(i+1) == lex.LParen && s.Kind(i-1) != lex.Space && s.Kind(i-1) != lex.Comma {
				out.tokens(s, i, i)
			}
		}
	}
}

// countDistincts is SQL027.
func countDistincts(s *Statement, out *hits) {
	if !s.Has(lex.Distinct) || !s.queries() {
		return
	}
	n, second := 0, 0
	for i := range s.Tokens {
		if s.Keyword(i) == lex.Count && s.Kind(i+1) == lex.LParen && s.Keyword(i+2) == lex.Distinct {
			if n++; n <= 2 {
				second = i
			}
		}
	}
	severity, over := s.file.settings.Distinct.severity(n)
	if !over {
		return
	}
	start, end := s.bytes(second, second+2)
	out.place(start, end, severity, out.rule.Message)
}

var (
	// conditions begin a predicate, values end it.
	conditions = lex.SetOf(lex.Where, lex.Prewhere, lex.On, lex.Having, lex.Qualify, lex.When, lex.And, lex.Or, lex.Elseif, lex.Elsif, lex.While, lex.Until)
	values     = lex.SetOf(lex.Select, lex.From, lex.Values, lex.Then, lex.Else, lex.Group, lex.Order, lex.Limit, lex.Default, lex.Do, lex.Begin, lex.Loop, lex.Declare, lex.Return, lex.Call, lex.Exec, lex.Execute, lex.Set, lex.Update)
)

// comparedWithNull is SQL019. It follows which clause each token stands in: only
// in a condition is = a comparison, elsewhere it assigns or names.
func comparedWithNull(s *Statement, out *hits) {
	if !s.HasKind(lex.Op) || !s.queries() {
		return
	}
	type level struct {
		condition bool
		inside    bool // the whole bracket stands in a condition
	}
	var now level
	var outer []level
	for i := range s.Tokens {
		switch s.Kind(i) {
		case lex.LParen:
			outer = append(outer, now)
			now.inside = now.condition
			now.condition = now.condition || s.Keyword(i-1) == lex.If
		case lex.RParen:
			if n := len(outer); n > 0 {
				now, outer = outer[n-1], outer[:n-1]
			}
		case lex.Comma:
			now.condition = now.inside
		case lex.Word:
			switch k := s.Keyword(i); {
			case k == lex.None:
			case k == lex.If: // neither IF(…) nor IF NOT EXISTS
				if n := s.Keyword(i + 1); s.Kind(i+1) != lex.LParen && n != lex.Not && n != lex.Exists {
					now.condition = true
				} else if i == s.Head || i == 0 {
					now.condition = true
				}
			case conditions.Has(k):
				now.condition = true
			case values.Has(k):
				now = level{}
			}
		case lex.Op:
			if now.condition && s.Keyword(i+1) == lex.Null && comparison(s.Text(i)) {
				out.tokens(s, i, i+1)
			}
		}
	}
}

func comparison(op string) bool {
	switch op {
	case "=", "==", "<>", "!=":
		return true
	}
	return false
}

// nullInList is SQL021.
func nullInList(s *Statement, out *hits) {
	if !s.Has(lex.In) || !s.queries() {
		return
	}
	for i := range s.Tokens {
		// PARTITION p VALUES IN (NULL) is how MySQL says where NULLs go.
		if s.Keyword(i) != lex.In || s.Kind(i+1) != lex.LParen || s.Keyword(i-1) == lex.Values {
			continue
		}
		for n := i + 2; n < s.Len() && s.Kind(n) != lex.RParen; n = s.Next(n) {
			if s.Keyword(n) == lex.Null && separates(s.Kind(n-1)) && separates(s.Kind(n+1)) {
				out.tokens(s, n, n)
			}
			if k := s.Keyword(n); k == lex.Select || k == lex.With {
				break
			}
		}
	}
}

func separates(k lex.Kind) bool { return k == lex.LParen || k == lex.Comma || k == lex.RParen }

// leadingWildcard is SQL033.
func leadingWildcard(s *Statement, out *hits) {
	if !s.queries() {
		return
	}
	for i := range s.Tokens {
		if k := s.Keyword(i); k != lex.Like && k != lex.Ilike {
			continue
		}
		n := i + 1
		switch s.Keyword(n) {
		case lex.Binary:
			n++
		case lex.Any, lex.Some, lex.All:
			if s.Kind(n+1) == lex.LParen {
				for n += 2; n < s.Len(); n = s.Next(n) {
					if s.wildcard(n) {
						out.tokens(s, n, n)
					}
				}
				continue
			}
		case lex.Concat:
			if s.Kind(n+1) == lex.LParen {
				n += 2
			}
		}
		for s.Kind(n) == lex.LParen {
			n++
		}
		if s.wildcard(n) {
			out.tokens(s, i, n)
		}
	}
}

// wildcard reports whether token i is a pattern that begins with % or _.
func (s *Statement) wildcard(i int) bool {
	if k := s.Kind(i); k != lex.String && k != lex.Quoted {
		return false
	}
	pattern := strings.TrimLeft(s.Text(i), "NnEeBbRr")
	if len(pattern) < 3 || pattern[0] == '`' {
		return false
	}
	return pattern[1] == '%' || pattern[1] == '_'
}

// fullWidth is SQL035.
func fullWidth(s *Statement, out *hits) {
	for i := range s.Tokens {
		if s.Kind(i) == lex.FullWidth {
			out.tokens(s, i, i)
		}
	}
}
