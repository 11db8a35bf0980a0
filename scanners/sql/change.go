package sql

import (
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

var (
	where     = lex.SetOf(lex.Where)
	set       = lex.SetOf(lex.Set)
	joins     = lex.SetOf(lex.Join, lex.StraightJoin)
	sourced   = lex.SetOf(lex.From, lex.Using, lex.Join, lex.StraightJoin)
	linked    = lex.SetOf(lex.On, lex.Using, lex.Join, lex.StraightJoin)
	outer     = lex.SetOf(lex.Left, lex.Right, lex.Full, lex.Outer)
	resources = lex.SetOf(lex.Jar, lex.Jars, lex.File, lex.Files, lex.Archive, lex.Archives)
)

// changeWithoutWhere is SQL002: the statement itself, and PostgreSQL's WITH x AS
// (DELETE …). The UPDATE and DELETE of MERGE, ON DUPLICATE KEY, FOR UPDATE, foreign
// keys, triggers and grants are in neither place.
func changeWithoutWhere(s *Statement, out *hits) {
	if s.Verb == lex.Delete || s.Verb == lex.Update {
		s.changes(s.Head, out)
	}
	if !s.Has(lex.With) || !s.queries() {
		return
	}
	for i := range s.Tokens {
		if k := s.Keyword(i); (k == lex.Delete || k == lex.Update) && s.Kind(i-1) == lex.LParen &&
			(s.Keyword(i-2) == lex.As || s.Keyword(i-2) == lex.Materialized) {
			s.changes(i, out)
		}
	}
}

// changes judges the DELETE or UPDATE at i, on its level.
func (s *Statement) changes(i int, out *hits) {
	first := s.Keyword(i + 1)
	switch {
	case s.Keyword(i) == lex.Delete && (resources.Has(first) || s.Next(i) >= s.Len()):
		return // Hive: DELETE JAR
	case s.Keyword(i) == lex.Update && (first == lex.Statistics || s.Find(i+1, &set) < 0):
		return
	case s.Find(i+1, &where) >= 0 || s.included || s.conditionFromTemplate(i+1) || s.joined(i):
		return
	}
	message := report.Text{
		En: "DELETE without WHERE empties the table; add a condition.",
		Zh: "DELETE 缺少 WHERE，将清空整张表，请添加条件。",
	}
	if s.Keyword(i) == lex.Update {
		message = report.Text{
			En: "UPDATE without WHERE changes every row; add a condition.",
			Zh: "UPDATE 缺少 WHERE，将更新全表数据，请添加条件。",
		}
	}
	out.say(s, i, i, message)
}

// joined reports whether an inner join limits the rows that the DELETE or UPDATE at
// i changes: those of a table that takes part in it. PostgreSQL's FROM and USING
// lists do not hold the changed table itself, and without WHERE limit nothing.
func (s *Statement) joined(i int) bool {
	if !s.Has(lex.Join) && !s.Has(lex.StraightJoin) {
		return false
	}
	list, named := i+1, true // where the joined tables are listed, the changed one among them
	if s.Keyword(i) == lex.Update {
		to := s.Find(list, &set)
		if s.innerJoin(list, to) { // MySQL: UPDATE t JOIN s ON … SET …
			return true
		}
		list = s.Find(to+1, &sourced)
		named = list > 0 && s.namedBehind(list, to-1)
	} else {
		if s.Keyword(list) == lex.From {
			list++
		}
		list = s.Find(list, &sourced)
		if list > 0 && !joins.Has(s.Keyword(list)) { // DELETE t FROM …, DELETE FROM t USING …
			named = s.namedBehind(list, list-1)
		}
	}
	return list > 0 && named && s.innerJoin(list, s.Len())
}

// namedBehind reports whether the name that ends at token name, perhaps with .*,
// occurs again from token i on, on the same level.
func (s *Statement) namedBehind(i, name int) bool {
	if s.Kind(name) == lex.Star && s.Kind(name-1) == lex.Dot {
		name -= 2
	}
	if !nameKind(s.Kind(name)) {
		return false
	}
	folded := foldName(s.Text(name))
	for ; i < s.Len(); i = s.Next(i) {
		if nameKind(s.Kind(i)) && foldName(s.Text(i)) == folded {
			return true
		}
	}
	return false
}

// innerJoin reports whether a join that keeps only rows with a partner stands
// between two tokens of one level: one with ON or USING, or a natural one.
func (s *Statement) innerJoin(from, to int) bool {
	for i := s.Find(from, &joins); i >= 0 && i < to; i = s.Find(i+1, &joins) {
		switch kind := s.Keyword(i - 1); {
		case kind == lex.Cross || outer.Has(kind):
		case kind == lex.Natural || kind == lex.Inner && s.Keyword(i-2) == lex.Natural:
			return true
		default:
			if n := s.Find(i+1, &linked); n > 0 && n < to && !joins.Has(s.Keyword(n)) {
				return true
			}
		}
	}
	return false
}

// conditionFromTemplate reports whether a placeholder stands where a WHERE clause
// could: behind a complete name or value, and not as a part of one.
func (s *Statement) conditionFromTemplate(i int) bool {
	if !s.HasKind(lex.Template) {
		return false
	}
	for i = s.Next(i); i < s.Len(); i = s.Next(i) {
		if s.Kind(i) != lex.Template || s.Glued(i) {
			continue
		}
		if s.operand(i-1) || s.Keyword(i-1) == lex.Null {
			return true
		}
	}
	return false
}

var insertWords = lex.SetOf(lex.Ignore, lex.LowPriority, lex.HighPriority, lex.Delayed)

// insertWithoutColumns is SQL009. Hive's FROM … INSERT may have several.
func insertWithoutColumns(s *Statement, out *hits) {
	switch s.Verb {
	case lex.Insert, lex.From, lex.Select:
	default:
		return
	}
	for i := s.Head; i < s.Len(); i = s.Next(i) {
		if s.Keyword(i) != lex.Insert {
			continue
		}
		n := i + 1
		for k := s.Keyword(n); k != lex.None && insertWords.Has(k); k = s.Keyword(n) {
			n++
		}
		if s.Keyword(n) != lex.Into {
			continue
		}
		if n++; s.Keyword(n) == lex.Table && s.Kind(n+1) != lex.Dot {
			n++
		}
		if s.Keyword(n) == lex.Function && s.Kind(n+1) != lex.Dot { // ClickHouse: a table function
			continue
		}
		end := s.SkipName(n)
		if end > n && !s.namesColumns(end) {
			out.tokens(s, i, end-1)
		}
	}
}

// namesColumns reports whether what follows the target of an INSERT says, or may
// say, which columns are meant.
func (s *Statement) namesColumns(i int) bool {
	if s.Keyword(i) == lex.Partition && s.Kind(i+1) == lex.LParen {
		i = s.behind(i + 1)
	}
	if s.Keyword(i) == lex.If { // Hive: IF NOT EXISTS
		i += 3
	}
	if s.Keyword(i) == lex.As { // an alias
		i += 2
	}
	switch s.Kind(i) {
	case lex.LParen:
		first := s.Keyword(i + 1)
		return first != lex.Select && first != lex.With && first != lex.From && s.Kind(i+1) != lex.LParen
	case lex.Template, lex.Space:
		return true
	case lex.Word:
		switch s.Keyword(i) {
		case lex.Set, lex.Default, lex.By, lex.Partition:
			return true
		case lex.Format:
			return len(s.Text(i+1)) > 4 && s.Text(i + 1)[:4] == "JSON"
		}
	}
	return false
}

// behind is the index behind the bracket that opens at i.
func (s *Statement) behind(i int) int {
	if m := int(s.Tokens[i].Match); m > 0 {
		return m + 1
	}
	return s.Len()
}

// droppable are the kinds of objects whose DROP takes IF EXISTS.
var droppable = lex.SetOf(lex.Table, lex.View, lex.Database, lex.Schema, lex.Function, lex.Procedure, lex.Trigger, lex.Event,
	lex.Sequence, lex.Index, lex.User, lex.Role, lex.Type, lex.Extension, lex.Materialized, lex.Temporary, lex.External,
	lex.Catalog, lex.Dictionary, lex.Macro, lex.Package)

var on = lex.SetOf(lex.On)

// dropWithoutIfExists is SQL010.
func dropWithoutIfExists(s *Statement, out *hits) {
	i := s.Head
	kind := s.Keyword(i + 1)
	if s.Verb != lex.Drop || !droppable.Has(kind) {
		return
	}
	n := i + 2
	if kind == lex.Materialized || kind == lex.Temporary || kind == lex.External {
		n++
	}
	switch {
	case s.Keyword(n) == lex.If && s.Keyword(n+1) == lex.Exists:
		return
	case kind == lex.Index && s.Find(n, &on) > 0:
		return // MySQL: DROP INDEX i ON t knows no IF EXISTS
	case s.Kind(n) == lex.Template && nameKind(s.Kind(n+1)) && !s.Glued(n+1):
		return // the template may say it
	case s.afterCheck(i):
		return // T-SQL: IF OBJECT_ID(…) IS NOT NULL DROP …
	}
	out.tokens(s, i, n-1)
}

// afterCheck reports whether an IF leads to the statement at i.
func (s *Statement) afterCheck(i int) bool {
	return i > 0 && s.Keyword(0) == lex.If && s.Keyword(i-1) != lex.Begin && s.Keyword(i-1) != lex.Then
}

var dropping = lex.SetOf(lex.Drop, lex.Truncate)

// destructive is SQL012: at most one hit in a statement.
func destructive(s *Statement, out *hits) {
	i := s.Head
	switch s.Verb {
	case lex.Truncate:
		out.say(s, i, min(i+1, s.Len()-1), report.Text{
			En: "TRUNCATE empties the table beyond recovery and needs approval.",
			Zh: "TRUNCATE 会不可恢复地清空数据，需要审批。",
		})
	case lex.Drop:
		if k := s.Keyword(i + 1); k == lex.Database || k == lex.Schema {
			out.say(s, i, i+1, report.Text{
				En: "Dropping a database deletes all of its tables and needs approval.",
				Zh: "删除数据库会删除其中所有表，需要审批。",
			})
			return
		}
		s.cascades(i, out)
	case lex.Alter:
		for n := s.Find(i+1, &dropping); n > 0; n = s.Find(n+1, &dropping) {
			p := n + 1
			if s.Keyword(p) == lex.If {
				p += 2
			}
			if s.Keyword(p) == lex.Partition {
				out.say(s, n, p, report.Text{
					En: "Dropping a partition deletes its data and needs approval.",
					Zh: "删除或清空分区会删除数据，需要审批。",
				})
				return
			}
			if s.cascades(n, out) {
				return
			}
		}
	}
}

// cascades reports the CASCADE of the DROP at i. That of a foreign key, ON DELETE
// CASCADE, drops nothing.
func (s *Statement) cascades(i int, out *hits) bool {
	for i++; i < s.Len(); i = s.Next(i) {
		switch s.Keyword(i) {
		case lex.Drop:
			return false // its own turn comes
		case lex.Cascade:
			if before := s.Keyword(i - 1); before == lex.Delete || before == lex.Update {
				continue
			}
			out.say(s, i, i, report.Text{
				En: "CASCADE also drops whatever depends on the object and needs approval.",
				Zh: "CASCADE 会级联删除依赖对象，需要审批。",
			})
			return true
		}
	}
	return false
}
