package sql

import (
	"fmt"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// insertion is one INSERT: where it writes, and what.
type insertion struct {
	at        int // INSERT
	overwrite bool
	into      bool
	name      span // of the table; empty for a directory or a function
	partition span // inside PARTITION (…); not existing without it
	columns   span // inside the list of columns; not existing without it
	values    int  // VALUES, or 0
	query     int  // where the query begins, or 0
	end       int
}

// insertions reads the INSERTs of a statement, mostly one: Hive's FROM … INSERT may
// have several.
func (s *Statement) insertions() []insertion {
	switch s.Verb {
	case lex.Insert, lex.From, lex.Select:
	default:
		return nil
	}
	if !s.Has(lex.Insert) {
		return nil
	}
	if s.inserted {
		return s.inserts
	}
	s.inserted = true
	s.inserts = s.inserts[:0]
	for i := s.Head; i < s.Len(); i = s.Next(i) {
		if s.Keyword(i) != lex.Insert {
			continue
		}
		if n := len(s.inserts); n > 0 {
			s.inserts[n-1].end = i
		}
		if x, ok := s.insertion(i); ok {
			s.inserts = append(s.inserts, x)
		}
	}
	// WITH … INSERT: the verb is SELECT, or the query stands in front.
	return s.inserts
}

func (s *Statement) insertion(i int) (insertion, bool) {
	x := insertion{at: i, end: s.Len(), name: noSpan, partition: noSpan, columns: noSpan}
	n := i + 1
	for k := s.Keyword(n); k != lex.None && insertWords.Has(k); k = s.Keyword(n) {
		n++
	}
	switch s.Keyword(n) {
	case lex.Into:
		x.into = true
		n++
	case lex.Overwrite:
		x.overwrite = true
		if n++; s.Keyword(n) == lex.Into {
			n++
		}
	default:
		return x, false
	}
	if s.is(n, "LOCAL") || s.Keyword(n) == lex.Directory {
		return x, true
	}
	if s.Keyword(n) == lex.Table && s.Kind(n+1) != lex.Dot {
		n++
	}
	if s.Keyword(n) == lex.Function && s.Kind(n+1) != lex.Dot {
		return x, true
	}
	end := s.SkipName(n)
	if end == n {
		return x, false
	}
	x.name = span{int32(n), int32(end)}
	n = end
	const far = 32 // words that mean nothing here
	for odd := 0; n < x.end && odd < far && s.Keyword(n) != lex.Insert; {
		switch k := s.Keyword(n); {
		case k == lex.Partition && s.Kind(n+1) == lex.LParen:
			closing := s.behind(n+1) - 1
			x.partition = span{int32(n + 2), int32(closing)}
			n = closing + 1
		case k == lex.Partition || k == lex.Partitioned, s.is(n, "PARTITIONS"): // Doris: PARTITION p1
			x.partition = span{int32(n + 1), int32(n + 1)}
			n++
		case k == lex.If: // IF NOT EXISTS
			n += 3
		case k == lex.As: // an alias
			n += 2
		case k == lex.Values:
			x.values = n
			return x, true
		case k == lex.Select || k == lex.With || k == lex.From || k == lex.Table:
			x.query = n
			return x, true
		case s.Kind(n) == lex.LParen && !x.columns.exists() && !s.beginsQuery(n+1) && s.Kind(n+1) != lex.LParen && s.Keyword(n+1) != lex.From:
			closing := s.behind(n) - 1
			x.columns = span{int32(n + 1), int32(closing)}
			n = closing + 1
		case s.Kind(n) == lex.LParen:
			x.query = n
			return x, true
		case s.Kind(n) == lex.Template:
			return x, true // it may say anything
		default:
			odd++
			n++
		}
	}
	return x, true
}

// insertArity is SQL008.
func insertArity(s *Statement, out *hits) {
	if s.conditional {
		return
	}
	for _, x := range s.insertions() {
		if !x.columns.exists() {
			continue
		}
		columns, ok := s.items(x.columns)
		if !ok || columns == 0 {
			continue
		}
		dynamic := s.dynamicPartitions(x.partition)
		fits := func(n int) bool { return n == columns || n == columns+dynamic }
		switch {
		case x.values > 0:
			s.valuesArity(x, columns, out)
		case x.query > 0:
			o := s.outline()
			for bi := range o.blocks {
				b := &o.blocks[bi]
				if !s.spend(1) {
					return // FROM with very many INSERTs
				}
				if int(b.at) < x.query || int(b.at) >= x.end || b.role != outermost {
					continue
				}
				n := s.columnCount(b)
				if n == 0 || fits(n) {
					continue
				}
				out.say(s, int(b.at), int(b.at), report.Text{
					En: fmt.Sprintf("The INSERT lists %d columns and this SELECT yields %d; make them alike.", columns+dynamic, n),
					Zh: fmt.Sprintf("INSERT 列出 %d 列，而 SELECT 返回 %d 列，请保持一致。", columns+dynamic, n),
				})
				if int(b.head) != bi {
					break
				}
			}
		}
	}
}

// valuesArity compares the list with the rows of VALUES; the first that differs is
// enough.
func (s *Statement) valuesArity(x insertion, columns int, out *hits) {
	for i := x.values + 1; i < x.end && (s.Kind(i) == lex.LParen || s.Kind(i) == lex.Comma); {
		if s.Kind(i) == lex.Comma {
			i++
			continue
		}
		closing := s.behind(i) - 1
		n, ok := s.items(span{int32(i + 1), int32(closing)})
		if !ok {
			return
		}
		if n != columns {
			out.say(s, i, i, report.Text{
				En: fmt.Sprintf("The INSERT lists %d columns and this row has %d values; make them alike.", columns, n),
				Zh: fmt.Sprintf("INSERT 列出 %d 列，而该行有 %d 个值，请保持一致。", columns, n),
			})
			return
		}
		i = closing + 1
	}
}

// items counts what commas part in Tokens[from:to], unless a * or a template may
// stand for several.
func (s *Statement) items(p span) (int, bool) {
	if p.empty() {
		return 0, true
	}
	n, start := 1, int(p.from)
	for i := int(p.from); i < int(p.to); i = s.Next(i) {
		switch s.Kind(i) {
		case lex.Comma:
			n++
			start = i + 1
		case lex.Star:
			if i == start {
				return 0, false
			}
		case lex.Template:
			if i == start && (i+1 >= int(p.to) || s.Kind(i+1) == lex.Comma || !s.Glued(i+1)) {
				return 0, false
			}
			if i > start && !s.Glued(i) && s.Kind(i-1) != lex.Op {
				return 0, false
			}
		}
	}
	if start == int(p.to) { // (a, b, )
		n--
	}
	return n, true
}

// dynamicPartitions counts the columns of PARTITION (…) that take their value from
// the query.
func (s *Statement) dynamicPartitions(p span) int {
	if p.empty() {
		return 0
	}
	n, start := 0, int(p.from)
	for i := int(p.from); i <= int(p.to); i++ {
		if i < int(p.to) && s.Kind(i) != lex.Comma {
			continue
		}
		if i == start+1 && s.Kind(start) != lex.Template {
			n++
		}
		start = i + 1
	}
	return n
}

// overwriteWithoutPartition is SQL006.
func overwriteWithoutPartition(s *Statement, out *hits) {
	if !s.Has(lex.Overwrite) || s.conditional {
		return
	}
	for _, x := range s.insertions() {
		if !x.overwrite || x.name.empty() || x.partition.exists() || x.values == 0 && x.query == 0 {
			continue
		}
		n := s.tableName(x.name)
		if !n.sure {
			continue
		}
		t := s.file.tables.find(n, s.file.database)
		severity := out.rule.Severity
		message := out.rule.Message
		switch {
		case t == nil && s.file.tables.known(n):
			continue // it is not clear which one is meant
		case t == nil && (strings.HasPrefix(n.name, "tmp") || strings.HasSuffix(n.name, "_tmp") || strings.HasPrefix(n.name, "temp")):
			continue
		case t == nil:
			severity = report.Warning
			message = report.Text{
				En: "INSERT OVERWRITE without PARTITION, into a table that the package does not create: if it is partitioned, all of its partitions are replaced; name the partition.",
				Zh: "INSERT OVERWRITE 未指定 PARTITION，且安装包中没有该表的建表语句；若为分区表将覆盖全部分区，请指定分区。",
			}
		case !t.partitioned && !(t.byRange && s.file.dialect == Doris):
			continue
		case s.file.dynamicOverwrite:
			continue
		}
		start, end := s.bytes(x.at, int(x.name.to)-1)
		out.place(start, end, severity, message)
	}
}

// known reports whether the package creates some table of that name.
func (c *catalogue) known(n tableName) bool {
	return c.tables["."+n.name] != nil || c.aliased["."+n.name] || c.tables[n.db+"."+n.name] != nil
}

// dynamicPartitionStrict is SQL007.
func dynamicPartitionStrict(s *Statement, out *hits) {
	if s.file.dialect != Hive || s.file.dynamic || s.file.tables.nonstrict || s.conditional {
		return
	}
	for _, x := range s.insertions() {
		if x.partition.empty() {
			continue
		}
		all, ok := s.items(x.partition)
		if !ok || all == 0 || s.dynamicPartitions(x.partition) != all {
			continue
		}
		out.tokens(s, int(x.partition.from)-2, int(x.partition.to))
	}
}

// readsWhatItOverwrites is SQL040.
func readsWhatItOverwrites(s *Statement, out *hits) {
	if !s.Has(lex.Overwrite) {
		return
	}
	o := s.outline()
	for _, x := range s.insertions() {
		if !x.overwrite || x.name.empty() || x.partition.exists() {
			continue
		}
		target := s.tableName(x.name)
		if !target.sure {
			continue
		}
		for n := range o.sources {
			src := &o.sources[n]
			if !s.spend(1) {
				return
			}
			if src.kind != tableSource || src.name.empty() {
				continue
			}
			if read := s.tableName(src.name); read.sure && read == target && s.cteOf(src) < 0 {
				out.tokens(s, int(src.name.from), int(src.name.to)-1)
				break
			}
		}
	}
}

// layerViolation is SQL016: what a statement writes stands in a lower layer than what
// it reads, or the last layer reads the first.
func layerViolation(s *Statement, out *hits) {
	set := s.file.settings
	if len(set.Layers.Order) < 2 {
		return
	}
	o := s.outline()
	judge := func(target tableName, from, to int) {
		layer, place := set.layerOf(target)
		if place < 0 {
			return
		}
		said := map[string]bool{}
		for n := range o.sources {
			src := &o.sources[n]
			if !s.spend(1) {
				return
			}
			if src.kind != tableSource || src.name.empty() || int(src.at) < from || int(src.at) >= to || s.cteOf(src) >= 0 {
				continue
			}
			read := s.tableName(src.name)
			other, at := set.layerOf(read)
			if at < 0 || said[other] {
				continue
			}
			last := len(set.Layers.Order) - 1
			switch {
			case at > place:
				said[other] = true
				out.say(s, int(src.name.from), int(src.name.to)-1, report.Text{
					En: "A table of layer " + layer + " reads from the later layer " + other + "; data flows " + strings.Join(set.Layers.Order, " → ") + ".",
					Zh: layer + " 层的表反向依赖了 " + other + " 层；数据应按 " + strings.Join(set.Layers.Order, " → ") + " 流动。",
				})
			case place == last && at == 0 && last > 1:
				said[other] = true
				out.say(s, int(src.name.from), int(src.name.to)-1, report.Text{
					En: "A table of layer " + layer + " reads layer " + other + " directly; go through the layers between them.",
					Zh: layer + " 层的表直接读取了 " + other + " 层，请通过中间层加工。",
				})
			}
		}
	}
	for _, x := range s.insertions() {
		if x.name.empty() {
			continue
		}
		from, to := x.at, x.end
		if s.Verb == lex.From || s.Head > 0 && s.Verb == lex.Insert {
			from, to = 0, s.Len()
		}
		judge(s.tableName(x.name), from, to)
	}
	if d := s.definition(); d != nil && d.asQuery {
		judge(s.tableName(d.name), 0, s.Len())
	}
}
