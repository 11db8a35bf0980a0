package sql

import (
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// tableOf is the table of the package that a source reads, or nil.
func (s *Statement) tableOf(src *source) *knownTable {
	if !s.spend(4) || src.kind != tableSource || src.name.empty() || s.cteOf(src) >= 0 {
		return nil
	}
	return s.file.tables.find(s.tableName(src.name), s.file.database)
}

// partitionFilter is SQL004: a partitioned table of the package is read, and no
// condition of the block, nor of one that reads its result, mentions a partition
// column.
func partitionFilter(s *Statement, out *hits) {
	if s.conditional || s.file.tables == nil || len(s.file.tables.tables) == 0 {
		return
	}
	if s.Verb == lex.Create && s.Has(lex.View) {
		return // the filter comes with whoever reads the view
	}
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.count > maxLinked || bi > 0 && b.first >= 0 && o.blocks[bi-1].first == b.first {
			continue
		}
		for n := b.first; n >= 0; n = o.sources[n].next {
			src := &o.sources[n]
			t := s.tableOf(src)
			if t == nil || !t.partitioned || len(t.partitions) == 0 || s.filtered(b, n, t) || s.onlyPartitions(b, t) {
				continue
			}
			out.tokens(s, int(src.name.from), int(src.name.to)-1)
		}
	}
}

// filtered reports whether some condition limits the partitions of source n of b.
func (s *Statement) filtered(b *block, n int32, t *knownTable) bool {
	o := s.outline()
	const far = 50
	inner := true
	mine := b.parent < 0 && b.cte >= 0
	for range far {
		found := false
		s.conditions(b, func(p span) {
			if found || s.fromTemplate(p) {
				found = true
				return
			}
			known := s.mentions(int(p.from), int(p.to), func(m mention) {
				if found || !t.partition(s.foldedName(m.name)) {
					return
				}
				// In its own block a qualified column has to be this table's.
				if inner && m.qualifier >= 0 {
					if of := s.sourceNamed(b, m); of >= 0 && of != n {
						if !s.sameFilter(b, p, m, n) {
							return
						}
					}
				}
				found = true
			})
			found = found || !known
		})
		if found {
			return true
		}
		if b.cte >= 0 {
			mine = true
		}
		if b.parent < 0 {
			break
		}
		b, inner = &o.blocks[b.parent], false
	}
	if !mine && b.cte < 0 {
		return false
	}
	// The body of a table expression: whoever reads it may filter.
	for bi := range o.blocks {
		r := &o.blocks[bi]
		reads := false
		for k := r.first; k >= 0; k = o.sources[k].next {
			if !s.spend(1) {
				return true
			}
			reads = reads || s.cteOf(&o.sources[k]) == b.cte
		}
		if !reads {
			continue
		}
		found := false
		s.conditions(r, func(p span) {
			known := s.mentions(int(p.from), int(p.to), func(m mention) {
				found = found || t.partition(s.foldedName(m.name))
			})
			found = found || !known || s.fromTemplate(p)
		})
		if found {
			return true
		}
	}
	return false
}

// sameFilter reports whether the condition ties the partition column of another source
// to one of source n: ON a.dt = b.dt.
func (s *Statement) sameFilter(b *block, p span, m mention, n int32) bool {
	for _, end := range [...]int{m.name + 2, m.qualifier - 2} {
		if end < int(p.from) || end >= int(p.to) {
			continue
		}
		if s.Kind(end) == lex.Word && s.Kind(end+1) == lex.Dot && s.sourceNamed(b, mention{end + 2, end}) == n ||
			s.Kind(end) == lex.Word && s.Kind(end-1) == lex.Dot && s.sourceNamed(b, mention{end, end - 2}) == n {
			return true
		}
	}
	return false
}

// onlyPartitions reports whether a block asks for nothing but partition columns, such
// as the latest one: the names of folders answer it.
func (s *Statement) onlyPartitions(b *block, t *knownTable) bool {
	list := b.parts[listClause]
	if list.empty() || b.count != 1 {
		return false
	}
	only, some := true, false
	known := s.mentions(int(list.from), int(list.to), func(m mention) {
		if m.qualifier < 0 && s.Kind(m.name-1) != lex.Comma && (s.Kind(m.name-1) == lex.Word || s.Kind(m.name-1) == lex.RParen) && s.Keyword(m.name-1) != lex.Select && s.Keyword(m.name-1) != lex.Distinct {
			return // an alias without AS
		}
		some = true
		only = only && t.partition(s.foldedName(m.name))
	})
	if !known {
		return true
	}
	for i := int(list.from); i < int(list.to); i++ {
		if !s.spend(1) {
			return true
		}
		if s.Kind(i) == lex.Star {
			return false
		}
	}
	return only && some
}

// functionOnPartition is SQL005.
func functionOnPartition(s *Statement, out *hits) {
	if !s.file.dialect.hiveLike() {
		return
	}
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		where := b.parts[whereClause]
		if where.empty() || b.count == 0 || b.count > maxLinked {
			continue
		}
		for _, p := range s.predicates(where) {
			op := s.comparisonAt(p)
			if op < 0 || s.Keyword(op) == lex.Is {
				continue
			}
			end := op
			if s.Keyword(op-1) == lex.Not {
				end--
			}
			for _, side := range [...]span{{int32(p.from), int32(end)}, {int32(op + 1), int32(p.to)}} {
				i := int(side.from)
				if int(side.from) > op && s.Kind(op) != lex.Op || s.Kind(i) != lex.Word || s.Kind(i+1) != lex.LParen || s.behind(i+1) != int(side.to) {
					continue
				}
				if s.wrapsPartition(b, i+2, int(side.to)-1) {
					out.tokens(s, i, int(side.to)-1)
				}
			}
		}
	}
}

// wrapsPartition reports whether the arguments of a function hold a partition column
// of the block's sources, and none of another kind.
func (s *Statement) wrapsPartition(b *block, from, to int) bool {
	for i := from; i < to; i++ {
		if s.Keyword(i) == lex.Select || s.Keyword(i) == lex.Case || !s.spend(1) {
			return false
		}
	}
	o := s.outline()
	found, other := false, false
	known := s.mentions(from, to, func(m mention) {
		name := s.foldedName(m.name)
		if m.qualifier < 0 && b.count > 1 {
			// Nobody knows whose it is, unless no source is known.
			found = found || conventionalPartition(name) && s.allUnknown(b)
			return
		}
		n := b.first
		if m.qualifier >= 0 {
			n = s.sourceNamed(b, m)
		}
		if n < 0 {
			other = true
			return
		}
		src := &o.sources[n]
		t := s.tableOf(src)
		switch {
		case t != nil && t.partition(name):
			found = true
		case t == nil && src.kind == tableSource && s.cteOf(src) < 0 && conventionalPartition(name):
			found = true
		default:
			other = true
		}
	})
	return found && known && !other
}

func (s *Statement) allUnknown(b *block) bool {
	o := s.outline()
	for n := b.first; n >= 0; n = o.sources[n].next {
		if src := &o.sources[n]; src.kind != tableSource || s.cteOf(src) >= 0 || s.tableOf(src) != nil {
			return false
		}
	}
	return true
}

// conventionalPartition are the names that partition columns have by custom.
func conventionalPartition(name string) bool {
	switch name {
	case "dt", "ds", "pt", "p_dt", "p_date", "p_day", "part_dt", "part_date", "etl_dt":
		return true
	}
	return false
}

// hardCodedDate is SQL029: a date in plain text compared with a column that holds the
// day of a run, in a condition or in the PARTITION of an INSERT.
func hardCodedDate(s *Statement, out *hits) {
	if s.Verb == lex.Create && !s.Has(lex.Select) || s.Verb == lex.Alter || s.Verb == lex.Set || !s.queries() {
		return
	}
	condition := false // WHERE, ON or HAVING came last
	for i := range s.Tokens {
		t := &s.Tokens[i]
		switch t.Kind {
		case lex.Word:
			switch t.Keyword {
			case lex.None:
			case lex.Where, lex.Prewhere, lex.On, lex.Having:
				condition = true
			case lex.Select, lex.Group, lex.Order, lex.Values, lex.Set, lex.Limit:
				condition = false
			case lex.Partition:
				if s.Verb == lex.Insert || s.Verb == lex.From {
					condition = s.Kind(i+1) == lex.LParen
				}
			}
			continue
		case lex.String, lex.Quoted, lex.Number:
		default:
			continue
		}
		if !condition || !s.plainDate(i) {
			continue
		}
		if c := s.comparedColumn(i); c >= 0 && dateColumn(s.foldedName(c), s.file.tables) {
			out.tokens(s, c, i)
		}
	}
}

// plainDate reports whether token i is a day, such as '2024-01-01', '20240101' or
// 20240101. The far past and future stand for no day.
func (s *Statement) plainDate(i int) bool {
	text := s.Text(i)
	switch s.Kind(i) {
	case lex.Number:
	default:
		if !s.literal(i) {
			return false
		}
		text = unquote(text)
	}
	if len(text) < 6 || len(text) > 26 || text[0] != '1' && text[0] != '2' {
		return false
	}
	digits := 0
	for n := range len(text) {
		switch c := text[n]; {
		case '0' <= c && c <= '9':
			digits++
		case (c == '-' || c == '/') && (n == 4 || n == 7 || n == 6):
		case n >= 8 && (c == ' ' || c == ':' || c == 'T' || c == '.' || c == 'Z' || c == '-' || c == '+'):
		default:
			return false
		}
	}
	year := text[:4]
	if year < "2001" || year > "2099" {
		return false
	}
	rest := strings.NewReplacer("-", "", "/", "").Replace(text[4:min(len(text), 10)])
	switch {
	case len(rest) >= 4 && digits >= 8:
		return "01" <= rest[:2] && rest[:2] <= "12" && "01" <= rest[2:4] && rest[2:4] <= "31"
	case len(rest) == 2 && s.Kind(i) != lex.Number:
		return "01" <= rest && rest <= "12"
	}
	return false
}

// comparedColumn is the column that the literal at i is compared with directly, or -1:
// c = x, x = c, c BETWEEN x AND y, c IN (x, y), c >= DATE x.
func (s *Statement) comparedColumn(i int) int {
	n := i - 1
	if s.Kind(n) == lex.Word && (s.is(n, "DATE") || s.is(n, "TIMESTAMP")) {
		n--
	}
	column := func(c int) int {
		if s.Keyword(c) == lex.Not {
			c--
		}
		if s.Kind(c) == lex.Word && s.Keyword(c) == lex.None || s.Kind(c) == lex.Quoted && s.Text(c)[0] == '`' {
			return c
		}
		return -1
	}
	const far = 40
	switch {
	case s.Kind(n) == lex.Op && compares(s.Text(n)):
		return column(n - 1)
	case s.Keyword(n) == lex.Between:
		return column(n - 1)
	case s.Keyword(n) == lex.And && s.Keyword(n-2) == lex.Between: // one hit for both ends
		if s.plainDate(n - 1) {
			return -1
		}
		return column(n - 3)
	case s.Kind(n) == lex.LParen && s.Keyword(n-1) == lex.In:
		return column(n - 2)
	case s.Kind(i+1) == lex.Op && compares(s.Text(i+1)):
		if c := i + 2; s.Kind(c) == lex.Word && s.Keyword(c) == lex.None {
			for k := 0; s.Kind(c+1) == lex.Dot && k < far; k++ {
				c += 2
			}
			return column(c)
		}
	}
	return -1
}

// dateColumn reports whether a column holds the day of a run: a partition column of
// the package, or one that is called so.
func dateColumn(name string, tables *catalogue) bool {
	if conventionalPartition(name) || tables.days[name] {
		return true
	}
	switch name {
	case "day", "date", "bizdate", "biz_date", "busi_date", "stat_date", "stat_dt", "data_date", "data_dt", "day_id", "date_id", "etl_date", "load_date", "partition_date", "pdate", "pday", "p_day_id", "event_date", "order_date", "create_date", "created_date", "update_date", "calc_date", "acct_date", "tx_date", "trade_date", "txn_date":
		return true
	}
	return strings.HasSuffix(name, "_dt") || strings.HasSuffix(name, "_date")
}

// implicitConversion is SQL030: columns of the package's tables, one of them text and
// the other a number, or text compared with a number as it is written.
func implicitConversion(s *Statement, out *hits) {
	if s.file.tables == nil || len(s.file.tables.tables) == 0 {
		return
	}
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.count == 0 || b.count > maxLinked {
			continue
		}
		s.conditions(b, func(c span) {
			for _, p := range s.predicates(c) {
				op := s.comparisonAt(p)
				if op < 0 || s.Kind(op) != lex.Op {
					continue
				}
				left, lk := s.operandClass(b, p.from, op)
				right, rk := s.operandClass(b, op+1, p.to)
				switch {
				case lk && rk && (left == textClass && right == numberClass || left == numberClass && right == textClass):
					out.say(s, p.from, p.to-1, report.Text{
						En: "A text column is compared with a number column: both become floating point, which may match wrong rows; CAST one of them.",
						Zh: "字符串列与数值列直接比较会隐式转为浮点数，可能匹配错误，请显式 CAST。",
					})
				case lk && left == textClass && s.numberLiteral(op+1, p.to), rk && right == textClass && s.numberLiteral(p.from, op):
					out.say(s, p.from, p.to-1, report.Text{
						En: "A text column is compared with a number; put the value in quotes.",
						Zh: "字符串列与数值常量比较会发生隐式转换，请给常量加引号。",
					})
				}
			}
		})
	}
}

// operandClass is the class of a column that is the whole operand; known is false for
// all else.
func (s *Statement) operandClass(b *block, from, to int) (class, bool) {
	c, ok := s.columnAt(from, to)
	if !ok {
		return unknownClass, false
	}
	o := s.outline()
	name := s.foldedName(c.name)
	if c.qualifier >= 0 {
		n := s.sourceNamed(b, mention(c))
		if n < 0 {
			return unknownClass, false
		}
		t := s.tableOf(&o.sources[n])
		if t == nil {
			return unknownClass, false
		}
		col, ok := t.column(name)
		return col.class, ok && col.class != unknownClass
	}
	// Without a qualifier all sources have to be known, and one alone have it.
	found, in := tableColumn{}, 0
	for n := b.first; n >= 0; n = o.sources[n].next {
		t := s.tableOf(&o.sources[n])
		if t == nil || !t.listed || !s.spend(len(t.columns)/8) {
			return unknownClass, false
		}
		if col, ok := t.column(name); ok {
			found = col
			in++
		}
	}
	return found.class, in == 1 && found.class != unknownClass
}

func (s *Statement) numberLiteral(from, to int) bool {
	return to == from+1 && s.Kind(from) == lex.Number || to == from+2 && s.Kind(from) == lex.Op && s.Kind(from+1) == lex.Number
}

// ambiguousColumn is SQL037: once in a block. A column without a qualifier counts when
// it is a whole item of a clause, and neither a name that the statement gives itself
// nor a column of one known source alone. Queries that qualify nothing rely on names
// that say their table, such as ss_item_sk, and are left alone. In a routine it may be a
// parameter or a variable.
func ambiguousColumn(s *Statement, out *hits) {
	if s.conditional || s.routine || s.within {
		return
	}
	o := s.outline()
	for bi := range o.blocks {
		b := &o.blocks[bi]
		if b.count < 2 || b.count > maxLinked || !s.manyTables(b) {
			continue
		}
		if c := s.unqualified(b); c >= 0 && s.qualifiesSome(b) {
			out.tokens(s, c, c)
		}
	}
}

// qualifiesSome reports whether a block says of some column whose it is.
func (s *Statement) qualifiesSome(b *block) bool {
	some := false
	look := func(p span) {
		if some || p.empty() {
			return
		}
		s.mentions(int(p.from), int(p.to), func(m mention) { some = some || m.qualifier >= 0 && s.sourceNamed(b, m) >= 0 })
	}
	look(b.parts[listClause])
	s.conditions(b, look)
	return some
}

// manyTables reports whether at least two sources have columns that the block sees,
// and all of them are tables or queries with plain joins.
func (s *Statement) manyTables(b *block) bool {
	o := s.outline()
	n := 0
	for i := b.first; i >= 0; i = o.sources[i].next {
		src := &o.sources[i]
		switch {
		case src.using || src.join == naturalJoin || src.join == lateralJoin || src.kind == functionSource:
			return false // columns that belong to both, or have names of their own
		case src.join == semiJoin:
		default:
			n++
		}
	}
	return n >= 2
}

// unqualified is the first column in the select list, WHERE or GROUP BY that could be of
// more than one source, or -1.
func (s *Statement) unqualified(b *block) int {
	list := b.parts[listClause]
	var aliases map[string]bool
	for c := listClause; c <= groupClause; c++ {
		p := b.parts[c]
		if p.empty() || c == fromClause || s.fromTemplate(p) {
			continue
		}
		start := int(p.from)
		for i := int(p.from); i < int(p.to); i = s.Next(i) {
			k := s.Kind(i)
			if k == lex.Comma {
				start = i + 1
				continue
			}
			if k != lex.Word && k != lex.Quoted || k == lex.Quoted && s.Text(i)[0] != '`' && !s.quotesNames() {
				continue
			}
			if s.Kind(i-1) == lex.Dot || s.Kind(i+1) == lex.Dot || s.Kind(i+1) == lex.LParen || s.Kind(i+1) == lex.LBracket || !s.wholeItem(c, start, i, int(p.to)) {
				continue
			}
			if _, ok := s.columnAt(i, i+1); !ok {
				continue
			}
			if aliases == nil {
				aliases = s.aliasesOf(list)
			}
			name := s.foldedName(i)
			if aliases[name] && c != listClause || pseudoColumn(name) || s.ofOneSource(b, name) {
				continue
			}
			return i
		}
	}
	return -1
}

// wholeItem reports whether token i is a whole item of a list, or a whole side of a
// comparison.
func (s *Statement) wholeItem(c clause, start, i, to int) bool {
	before, behind := s.Keyword(i-1), s.Keyword(i+1)
	last := i+1 >= to
	if c == whereClause || c == prewhereClause {
		opens := i == start || before == lex.And || before == lex.Or || before == lex.Where
		closes := s.Kind(i+1) == lex.Op && compares(s.Text(i+1)) || behind == lex.In || behind == lex.Is || behind == lex.Like || behind == lex.Between || behind == lex.Not
		return opens && closes
	}
	opens := i == start || c == listClause && i == start+1 && (before == lex.Distinct || before == lex.All) || c == groupClause && before == lex.By
	closes := last || s.Kind(i+1) == lex.Comma || behind == lex.As && c == listClause
	return opens && closes
}

// aliasesOf are the names that a select list gives.
func (s *Statement) aliasesOf(list span) map[string]bool {
	names := map[string]bool{}
	for i := int(list.from); list.exists() && i < int(list.to); i = s.Next(i) {
		if s.Keyword(i) == lex.As || i+2 >= int(list.to) || s.Kind(i+2) == lex.Comma {
			if s.Kind(i+1) == lex.Word || s.Kind(i+1) == lex.Quoted {
				names[s.foldedName(i+1)] = true
			}
		}
	}
	return names
}

// pseudoColumn are words that engines answer without any table.
func pseudoColumn(name string) bool {
	switch name {
	case "rownum", "rowid", "level", "sysdate", "user", "input__file__name", "block__offset__inside__file", "current_date", "current_timestamp", "current_user", "session_user", "now", "nan", "infinity", "default":
		return true
	}
	return false
}

// ofOneSource reports whether a column is, for all that is known, of one source alone:
// a table of the package that lists it while all others are listed too.
func (s *Statement) ofOneSource(b *block, name string) bool {
	o := s.outline()
	in := 0
	for n := b.first; n >= 0; n = o.sources[n].next {
		src := &o.sources[n]
		if src.join == semiJoin {
			continue
		}
		has, known := s.yields(src, name)
		if !known {
			return false
		}
		if has {
			in++
		}
	}
	return in <= 1
}

// yields reports whether a source has a column; known is false if that cannot be told.
func (s *Statement) yields(src *source, name string) (has, known bool) {
	if t := s.tableOf(src); t != nil {
		if !s.spend(len(t.columns) / 8) {
			return false, false
		}
		_, has = t.column(name)
		return has, has || t.listed
	}
	o := s.outline()
	q := src.query
	if q < 0 {
		c := s.cteOf(src)
		if c < 0 || s.Keyword(int(o.ctes[c].name)+1) != lex.As {
			return false, false
		}
		q = o.ctes[c].block
	}
	if q < 0 || s.columnCount(&o.blocks[q]) == 0 || src.alias >= 0 && s.Kind(int(src.alias)+1) == lex.LParen {
		return false, false
	}
	list := o.blocks[q].parts[listClause]
	for i := int(list.from); i < int(list.to); i = s.Next(i) {
		if !s.spend(1) {
			return false, false
		}
		if end := i+1 >= int(list.to) || s.Kind(i+1) == lex.Comma; end {
			if s.Kind(i) == lex.Template {
				return false, false
			}
			if s.foldedName(i) == name {
				return true, true
			}
		}
	}
	return false, true
}
