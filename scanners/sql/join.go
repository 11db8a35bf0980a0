package sql

import (
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// maxLinked sources of one block are looked at by the rules about joins.
const maxLinked = 200

// conditions calls each for every condition of a block: of its joins, then WHERE,
// PREWHERE and HAVING.
func (s *Statement) conditions(b *block, each func(span)) {
	o := s.outline()
	for n := b.first; n >= 0; n = o.sources[n].next {
		if on := o.sources[n].on; !on.empty() {
			each(on)
		}
	}
	for _, c := range [...]clause{whereClause, prewhereClause, havingClause} {
		if p := b.parts[c]; !p.empty() {
			each(p)
		}
	}
}

// cartesian is SQL003. A source is linked when a predicate anywhere in the block's
// conditions mentions it together with another; columns without a qualifier may be of
// any source, so they link as many as they could.
func cartesian(s *Statement, out *hits) {
	o := s.outline()
	if s.conditional {
		return
	}
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.count < 2 || b.count > maxLinked || b.at != o.blocks[bi].at {
			continue
		}
		if bi > 0 && o.blocks[bi-1].first == b.first && s.Verb == lex.From {
			continue // a further INSERT from the same FROM
		}
		s.cartesianBlock(b, out)
	}
}

func (s *Statement) cartesianBlock(b *block, out *hits) {
	o := s.outline()
	suspect := false
	for n := o.sources[b.first].next; n >= 0; n = o.sources[n].next {
		suspect = suspect || s.mayMultiply(&o.sources[n])
	}
	if !suspect {
		return
	}
	// Components of sources, by union and find; the place behind the last is the
	// block around, which links what is compared with it.
	index := map[int32]int{}
	for n := b.first; n >= 0; n = o.sources[n].next {
		index[n] = len(index)
	}
	outside := len(index)
	parent := o.comps[:0]
	for i := range outside + 1 {
		parent = append(parent, int32(i))
	}
	o.comps = parent
	root := func(i int) int {
		for parent[i] != int32(i) {
			parent[i] = parent[parent[i]]
			i = int(parent[i])
		}
		return i
	}
	join := func(a, b int) { parent[root(a)] = int32(root(b)) }
	loose := 0 // links whose ends are not known
	known := true
	s.conditions(b, func(p span) {
		if !known {
			return
		}
		if s.fromTemplate(p) {
			known = false
			return
		}
		for _, pred := range s.predicates(p) {
			first, bare := -1, 0
			ok := s.mentions(pred.from, pred.to, func(m mention) {
				if m.qualifier < 0 {
					bare++
					return
				}
				n := s.sourceNamed(b, m)
				at := outside
				if n >= 0 {
					at = index[n]
				} else if !s.qualifiesOutside(b, m) {
					bare += 2 // a field of a column, or a name that was not understood
					return
				}
				if first >= 0 {
					join(first, at)
				}
				first = at
			})
			known = known && ok
			if first >= 0 && bare > 0 {
				loose += bare
			} else if bare > 1 {
				loose += bare - 1
			}
		}
	})
	if !known || len(o.preds) >= maxPredicates {
		return
	}
	before := b.first
	for n := o.sources[b.first].next; n >= 0; n = o.sources[n].next {
		src := &o.sources[n]
		switch {
		case src.using || src.join == naturalJoin:
			join(index[n], index[before])
		case !s.mayMultiply(src) && src.join != innerJoin && src.join != leftJoin && src.join != rightJoin && src.join != fullJoin:
			join(index[n], index[before])
		case src.kind == functionSource || s.singleRow(src):
			join(index[n], index[before])
		}
		before = n
	}
	if first := &o.sources[b.first]; first.kind == functionSource || s.singleRow(first) {
		join(index[b.first], index[first.next])
	}
	for n := b.first; n >= 0; n = o.sources[n].next {
		src := &o.sources[n]
		alone := true
		for m := b.first; m != n; m = o.sources[m].next {
			if root(index[m]) == root(index[n]) {
				alone = false
				break
			}
		}
		if n == b.first || !alone {
			continue
		}
		// A later source may link both; then it is of one component with this one.
		if root(index[n]) == root(index[b.first]) || root(index[n]) == root(outside) {
			continue
		}
		if loose > 0 {
			loose--
			continue
		}
		message := out.rule.Message
		if src.join == crossJoin {
			message = report.Text{
				En: "CROSS JOIN pairs every row with every other; join on a key, or suppress this with a reason if it is meant.",
				Zh: "CROSS JOIN 会产生笛卡尔积，请改为按键关联；确有需要请注明原因后抑制。",
			}
		}
		end := src.at
		if src.name.exists() {
			end = src.name.to - 1
		}
		out.say(s, int(src.at), int(end), message)
	}
}

// mayMultiply reports whether a source, as it is joined, needs a condition.
func (s *Statement) mayMultiply(src *source) bool {
	if src.using || src.kind == functionSource {
		return false
	}
	switch src.join {
	case commaJoin, crossJoin, innerJoin, leftJoin, rightJoin, fullJoin:
		return true
	}
	return false
}

// qualifiesOutside reports whether a qualifier means a source of a block around.
func (s *Statement) qualifiesOutside(b *block, m mention) bool {
	o := s.outline()
	const far = 50
	for n := 0; b.parent >= 0 && n < far; n++ {
		b = &o.blocks[b.parent]
		if s.sourceNamed(b, m) >= 0 {
			return true
		}
	}
	return false
}

// singleRow reports whether a subquery, or the table expression that a name means,
// yields one row: aggregates without GROUP BY, LIMIT 1, or no FROM at all.
func (s *Statement) singleRow(src *source) bool {
	o := s.outline()
	q := src.query
	if q < 0 {
		c := s.cteOf(src)
		if c < 0 {
			return src.name.exists() && src.name.to == src.name.from+1 && s.is(int(src.name.from), "DUAL")
		}
		q = o.ctes[c].block
	}
	if q < 0 {
		return false
	}
	b := &o.blocks[q]
	if int(q)+1 < len(o.blocks) && o.blocks[q+1].head == q && o.blocks[q+1].op != lex.None {
		return false // the first of a union
	}
	if b.limit >= 0 && s.Text(int(b.limit)+1) == "1" && s.Kind(int(b.limit)+2) != lex.Comma {
		return true
	}
	if !b.parts[fromClause].exists() {
		return true
	}
	if b.parts[groupClause].exists() {
		return false
	}
	list := b.parts[listClause]
	for i := int(list.from); list.exists() && i < int(list.to); i++ {
		if !s.spend(1) {
			return true
		}
		if s.Kind(i) == lex.Word && s.Kind(i+1) == lex.LParen && aggregate(s.Text(i)) {
			// max(a) over (…) is none
			if behind := s.behind(i + 1); s.Keyword(behind) != lex.Over {
				return true
			}
		}
	}
	return false
}

// aggregate reports whether a function folds rows. ClickHouse builds many names from
// few: sumIf, uniqExact, quantileExactForEach.
func aggregate(name string) bool {
	name = asciiFold(name)
	for _, word := range [...]string{"max", "min", "sum", "avg", "count", "any", "group", "collect", "string_agg", "array_agg", "uniq", "arg", "quantile", "median", "percentile", "first_value", "last_value", "approx", "stddev", "variance", "var_", "bit_", "bool_", "every", "topk", "corr", "wm_concat", "listagg", "json_agg", "jsonb_agg"} {
		if strings.HasPrefix(name, word) {
			return true
		}
	}
	return false
}

// cteOf is the common table expression that a source names, or -1. The last one of
// that name counts.
func (s *Statement) cteOf(src *source) int32 {
	o := s.outline()
	if src.kind != tableSource || src.name.to != src.name.from+1 {
		return -1
	}
	for c := len(o.ctes) - 1; c >= 0; c-- {
		if !s.spend(1) {
			return -1
		}
		if s.sameName(int(o.ctes[c].name), int(src.name.from)) {
			return int32(c)
		}
	}
	return -1
}

// keyFunctions is SQL031 and SQL032: what is done to the keys of joins.
func keyFunctions(s *Statement, out *hits) { s.joinKeys(out, false) }
func skewedKeys(s *Statement, out *hits)   { s.joinKeys(out, true) }

func (s *Statement) joinKeys(out *hits, skew bool) {
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.count < 2 || b.count > maxLinked {
			continue
		}
		for n := b.first; n >= 0; n = o.sources[n].next {
			on := o.sources[n].on
			if on.empty() {
				continue
			}
			for _, p := range s.predicates(on) {
				op := s.comparisonAt(p)
				if op < 0 || s.Kind(op) != lex.Op || !equality(s.Text(op)) {
					continue
				}
				left, right := s.columnsOf(b, p.from, op), s.columnsOf(b, op+1, p.to)
				if left < 0 || right < 0 || left == right {
					continue // not both sides belong to a source of their own
				}
				for _, side := range [...]span{{int32(p.from), int32(op)}, {int32(op + 1), int32(p.to)}} {
					i := int(side.from)
					for s.Kind(i) == lex.LParen && int(s.Tokens[i].Match) == int(side.to)-1 {
						i++
						side.to--
					}
					wrapped := s.Kind(i) == lex.Word && s.Kind(i+1) == lex.LParen && s.behind(i+1) == int(side.to)
					constant := wrapped && s.fillsWithConstant(i)
					switch {
					case skew && constant, !skew && wrapped && !constant:
						out.tokens(s, i, int(side.to)-1)
					case !skew && !wrapped && s.castsBehind(i, int(side.to)):
						out.tokens(s, i, int(side.to)-1)
					}
				}
			}
		}
	}
}

// columnsOf is the one source of the block whose columns an expression mentions, or
// -1 if there is none, more than one, or a column that may be of any.
func (s *Statement) columnsOf(b *block, from, to int) int32 {
	found := int32(-1)
	mixed := false
	ok := s.mentions(from, to, func(m mention) {
		n := s.sourceNamed(b, m)
		if n < 0 || found >= 0 && n != found {
			mixed = true
		}
		found = n
	})
	if mixed || !ok {
		return -1
	}
	return found
}

// castsBehind reports whether Tokens[from:to] is a column and PostgreSQL's ::type.
func (s *Statement) castsBehind(from, to int) bool {
	for i := from + 1; i < to-1; i++ {
		if s.Text(i) == "::" {
			_, ok := s.columnAt(from, i)
			return ok
		}
	}
	return false
}

// fillsWithConstant reports whether the function at i is NVL, COALESCE or IFNULL
// whose last argument is a literal: all the rows without a key get the same one.
func (s *Statement) fillsWithConstant(i int) bool {
	switch asciiFold(s.Text(i)) {
	case "nvl", "coalesce", "ifnull":
	default:
		return false
	}
	closing := int(s.Tokens[i+1].Match)
	if closing < i+4 || s.Kind(closing-2) != lex.Comma {
		return s.Kind(closing-1) == lex.Number && s.Text(closing-2) == "-" && s.Kind(closing-3) == lex.Comma
	}
	return s.Kind(closing-1) == lex.Number || s.literal(closing-1)
}

// nullifiedJoins is SQL038: a conjunct of WHERE that a row without a partner cannot
// pass makes the outer join an inner one.
func nullifiedJoins(s *Statement, out *hits) {
	o := s.outline()
	if s.conditional {
		return
	}
	for bi := range o.blocks {
		b := &o.blocks[bi]
		where := b.parts[whereClause]
		if b.count < 2 || b.count > maxLinked || where.empty() || s.fromTemplate(where) {
			continue
		}
		outer := false
		for n := b.first; n >= 0; n = o.sources[n].next {
			outer = outer || o.sources[n].join == leftJoin
		}
		if !outer {
			continue
		}
		said := map[int32]bool{}
		for _, p := range s.predicates(where) {
			if !p.conjunct {
				continue
			}
			op := s.comparisonAt(p)
			if op < 0 || op == p.from {
				continue
			}
			end := op
			switch s.Keyword(op) {
			case lex.Is:
				if s.Keyword(op+1) != lex.Not || s.Keyword(op+2) != lex.Null {
					continue
				}
			case lex.In, lex.Like, lex.Ilike, lex.Between, lex.Rlike, lex.Regexp:
				if s.Keyword(op-1) == lex.Not {
					end--
				}
			case lex.None:
				if s.Text(op) == "<=>" {
					continue
				}
			default:
				continue
			}
			for _, side := range [...]span{{int32(p.from), int32(end)}, {int32(op + 1), int32(p.to)}} {
				if int(side.from) == op+1 && s.Kind(op) != lex.Op {
					continue
				}
				c, ok := s.columnAt(int(side.from), int(side.to))
				if !ok || c.qualifier < 0 {
					continue
				}
				n := s.sourceNamed(b, mention(c))
				if n < 0 || said[n] || !s.staysOuter(n) {
					continue
				}
				said[n] = true
				out.tokens(s, p.from, p.to-1)
			}
		}
	}
}

// staysOuter reports whether source n is the right side of a LEFT JOIN, and no later
// join turns the sides.
func (s *Statement) staysOuter(n int32) bool {
	o := s.outline()
	if o.sources[n].join != leftJoin {
		return false
	}
	for n = o.sources[n].next; n >= 0; n = o.sources[n].next {
		if k := o.sources[n].join; k == rightJoin || k == fullJoin {
			return false
		}
	}
	return true
}
