package sql

import (
	"fmt"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// notInQuery is SQL020.
func notInQuery(s *Statement, out *hits) {
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.role != inList || b.op != lex.None {
			continue
		}
		open := int(b.at) - 1
		for s.Kind(open) == lex.LParen && s.Keyword(open-1) != lex.In {
			open--
		}
		if s.Keyword(open-1) != lex.In || s.Keyword(open-2) != lex.Not || s.excludesNull(b) {
			continue
		}
		out.tokens(s, open-2, open-1)
	}
}

// excludesNull reports whether a query says that something IS NOT NULL, or lists a
// value that cannot be NULL.
func (s *Statement) excludesNull(b *block) bool {
	where := b.parts[whereClause]
	for i := int(where.from); where.exists() && i < int(where.to); i++ {
		if s.Keyword(i) == lex.Is && s.Keyword(i+1) == lex.Not && s.Keyword(i+2) == lex.Null || !s.spend(1) {
			return true
		}
	}
	if s.fromTemplate(where) {
		return true
	}
	list := b.parts[listClause]
	if list.empty() || list.to-list.from < 2 {
		return false
	}
	switch asciiFold(s.Text(int(list.from))) {
	case "coalesce", "nvl", "ifnull", "count":
		return s.Kind(int(list.from)+1) == lex.LParen
	}
	return false
}

// sortedWithoutLimit is SQL022.
func sortedWithoutLimit(s *Statement, out *hits) {
	if s.routine || s.Verb == lex.Declare || s.Has(lex.Cursor) || s.Has(lex.Procedure) || s.Has(lex.Function) || s.Verb == lex.Copy || s.Verb == lex.Open {
		return // a routine reads rows in the order it needs
	}
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.role != outermost || b.order < 0 || b.limit >= 0 || b.parent >= 0 || s.limitedOtherwise(b) {
			continue
		}
		if d := s.definition(); d != nil && s.file.dialect == ClickHouse && !d.asQuery {
			continue
		}
		if o.laterLimit(bi) || !b.parts[fromClause].exists() {
			continue
		}
		out.tokens(s, int(b.order), int(b.order)+1)
	}
}

// limitedOtherwise: TOP, FETCH, or a template that may say it. DISTINCT ON takes the
// first row of each key: its order is its meaning.
func (s *Statement) limitedOtherwise(b *block) bool {
	list := b.parts[listClause]
	if s.conditional || s.is(int(list.from), "TOP") || s.Keyword(int(list.from)) == lex.Distinct && s.Keyword(int(list.from)+1) == lex.On {
		return true
	}
	for i := int(b.order); i < int(b.end); i = s.Next(i) {
		if !s.spend(1) {
			return true
		}
		if s.Kind(i) == lex.Template && (i+1 >= int(b.end) || s.Keyword(i+1) == lex.None) && s.operand(i-1) && !s.Glued(i) {
			return true
		}
		if s.Keyword(i) == lex.Fetch || s.Keyword(i) == lex.Limit || s.Keyword(i) == lex.For {
			return true
		}
	}
	return false
}

// laterLimit reports whether the LIMIT of a chain of brackets was taken by its head.
func (o *outline) laterLimit(bi int) bool {
	head := o.blocks[bi].head
	return head >= 0 && int(head) != bi && o.blocks[head].limit >= 0
}

// limitWithoutOrder is SQL023: in what an INSERT writes.
func limitWithoutOrder(s *Statement, out *hits) {
	if s.Verb != lex.Insert && s.Verb != lex.From || !s.Has(lex.Insert) {
		return
	}
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.role != outermost && b.role != fromItem && b.role != cteBody || b.limit < 0 || b.order >= 0 || s.sortsOtherwise(b) {
			continue
		}
		if s.singleBlock(b) || s.Text(int(b.limit)+1) == "0" {
			continue
		}
		out.tokens(s, int(b.limit), int(b.limit))
	}
}

// singleBlock reports whether a block yields one row whatever its LIMIT.
func (s *Statement) singleBlock(b *block) bool {
	if !b.parts[fromClause].exists() {
		return true
	}
	list := b.parts[listClause]
	return !b.parts[groupClause].exists() && list.exists() && s.Kind(int(list.from)+1) == lex.LParen && aggregate(s.Text(int(list.from))) &&
		s.Keyword(s.behind(int(list.from)+1)) != lex.Over
}

// sortsOtherwise: SORT BY, or a template that may sort.
func (s *Statement) sortsOtherwise(b *block) bool {
	if s.conditional {
		return true
	}
	p := b.parts[otherClause]
	for i := int(p.from) - 1; p.exists() && i < int(b.limit); i++ {
		if k := s.Keyword(i); k == lex.Sort || k == lex.Distribute || k == lex.Cluster || s.Kind(i) == lex.Template {
			return true
		}
	}
	// In a chain of brackets ORDER BY belongs to the whole.
	return s.outline().blocks[b.head].order >= 0 && b.head >= 0 && s.outline().blocks[b.head].role == b.role && b.op != lex.None
}

// unionColumns is SQL025.
func unionColumns(s *Statement, out *hits) {
	o := s.outline()
	head, want := int32(-1), 0
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.op == lex.None || int(b.head) == bi {
			continue
		}
		if b.head != head {
			head = b.head
			want = s.columnCount(&o.blocks[head])
		}
		got := s.columnCount(b)
		if want <= 0 || got <= 0 || want == got {
			continue
		}
		out.say(s, int(b.at), int(b.at), report.Text{
			En: fmt.Sprintf("This branch has %d columns and the first has %d; make them alike.", got, want),
			Zh: fmt.Sprintf("该分支有 %d 列，而首个分支有 %d 列，请保持一致。", got, want),
		})
	}
}

// columnCount counts the columns of a block, or returns 0 if that is not known: a *,
// a template, or a function that yields several.
func (s *Statement) columnCount(b *block) int {
	list := b.parts[listClause]
	if s.conditional || list.empty() {
		return 0
	}
	i := int(list.from)
	switch s.Keyword(i) {
	case lex.Distinct, lex.All:
		i++
		if s.Keyword(i) == lex.On && s.Kind(i+1) == lex.LParen { // DISTINCT ON (a)
			i = s.behind(i + 1)
		}
	case lex.StraightJoin:
		i++
	}
	if s.is(i, "TOP") {
		i++
		if s.Kind(i) == lex.LParen {
			i = s.behind(i)
		} else {
			i++
		}
	}
	if s.is(i, "STRUCT") || s.is(i, "TRANSFORM") || s.is(i, "MAP") || s.is(i, "REDUCE") {
		return 0
	}
	n := 1
	empty := true
	start := i
	for ; i < int(list.to); i = s.Next(i) {
		if !s.spend(1) {
			return 0
		}
		switch s.Kind(i) {
		case lex.Comma:
			if empty {
				return 0
			}
			n++
			empty, start = true, i+1
			continue
		case lex.Star:
			if s.starItem(i) || i == start {
				return 0
			}
		case lex.Template:
			// Alone it may be several columns; with an alias or an operator it is one.
			alone := i == start && (i+1 >= int(list.to) || s.Kind(i+1) == lex.Comma || s.Keyword(i+1) != lex.As && s.Kind(i+1) != lex.Op && s.Kind(i+1) != lex.Dot && s.Kind(i+1) != lex.Star && !s.Glued(i+1))
			if alone {
				return 0
			}
			if i > start && !s.Glued(i) && s.Kind(i-1) != lex.Op && s.Keyword(i-1) == lex.None && s.Kind(i-1) != lex.Dot {
				return 0 // it may bring its own comma
			}
		case lex.LParen:
			if s.Keyword(i-1) == lex.As { // AS (a, b)
				return 0
			}
		case lex.Word:
			if s.Kind(i+1) == lex.LParen && manyColumns(s.Text(i)) {
				return 0
			}
		}
		empty = false
	}
	if empty {
		return 0
	}
	return n
}

// manyColumns reports whether a function may yield several columns.
func manyColumns(name string) bool {
	switch asciiFold(name) {
	case "stack", "inline", "inline_outer", "explode", "explode_outer", "posexplode", "posexplode_outer", "json_tuple", "parse_url_tuple", "columns", "untuple", "trans_array", "trans_cols", "transform", "tuple", "row":
		return true
	}
	return false
}

// nestedTooDeeply is SQL026.
func nestedTooDeeply(s *Statement, out *hits) {
	o := s.outline()
	deepest := -1
	for bi := range o.blocks {
		if deepest < 0 || o.blocks[bi].depth > o.blocks[deepest].depth {
			deepest = bi
		}
	}
	if deepest < 0 {
		return
	}
	b := &o.blocks[deepest]
	severity, over := s.file.settings.Nesting.severity(int(b.depth))
	if !over {
		return
	}
	start, end := s.bytes(int(b.at), int(b.at))
	out.place(start, end, severity, report.Text{
		En: fmt.Sprintf("This query stands inside %d others; use WITH or intermediate tables.", b.depth),
		Zh: fmt.Sprintf("此处子查询嵌套达 %d 层，请改用 WITH 或中间表。", b.depth),
	})
}

// tooManyJoins is SQL028.
func tooManyJoins(s *Statement, out *hits) {
	if !s.queries() {
		return
	}
	n, last := 0, 0
	for i := range s.Tokens {
		if k := s.Tokens[i].Keyword; k == lex.Join || k == lex.StraightJoin {
			if s.Kind(i-1) == lex.Dot || s.Keyword(i-1) == lex.Array || k == lex.StraightJoin && s.Keyword(i-1) == lex.Select {
				continue
			}
			n++
			last = i
		}
	}
	severity, over := s.file.settings.Joins.severity(n)
	if !over {
		return
	}
	start, end := s.bytes(last, last)
	out.place(start, end, severity, report.Text{
		En: fmt.Sprintf("%d joins in one statement; split it with intermediate tables.", n),
		Zh: fmt.Sprintf("一条语句中有 %d 个 JOIN，请借助中间表拆分。", n),
	})
}
