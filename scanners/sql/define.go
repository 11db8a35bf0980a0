package sql

import (
	"fmt"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// sayTable reports CREATE TABLE name.
func (s *Statement) sayTable(d *definition, out *hits, message report.Text) {
	out.say(s, d.at, int(d.name.to)-1, message)
}

// passing tables last no longer than a session, a run or a change.
func (s *Statement) passing(d *definition) bool {
	n := s.tableName(d.name)
	if d.temporary || strings.HasSuffix(n.name, "_tmp") || strings.HasPrefix(n.name, "#") || strings.Contains(n.name, "_bak") {
		return true
	}
	switch head, _, _ := strings.Cut(n.name, "_"); head {
	case "tmp", "temp", "bak", "backup":
		return true
	}
	return false
}

// createWithoutIfNotExists is SQL011.
func createWithoutIfNotExists(s *Statement, out *hits) {
	d := s.definition()
	if d == nil || d.ifNotExists || d.orReplace || d.temporary || s.afterCheck(d.at) || s.routine {
		return
	}
	start, end := s.bytes(int(d.name.from), int(d.name.to)-1)
	if s.file.dropped[asciiLower(s.text[start:end])] || s.Kind(int(d.name.from)) == lex.Template && int(d.name.to) == int(d.name.from)+1 {
		return
	}
	out.tokens(s, d.at, int(d.name.to)-1)
}

// described reports whether rules about the definition of a table that stays apply.
func (s *Statement) described(d *definition) bool {
	return d != nil && d.listed && len(d.columns) > 0 && !d.like && !d.templated && !s.passing(d)
}

// tableComment is SQL013.
func tableComment(s *Statement, out *hits) {
	d := s.definition()
	if !s.described(d) || d.commented || s.file.tables.remarks[s.tableName(d.name).name] {
		return
	}
	message := out.rule.Message
	if s.file.dialect == PostgreSQL {
		message = report.Text{En: "The table has no comment; add COMMENT ON TABLE … IS '…'.", Zh: "表缺少注释，请补充 COMMENT ON TABLE … IS '…'。"}
	}
	s.sayTable(d, out, message)
}

// columnComments is SQL014: once for a table.
func columnComments(s *Statement, out *hits) {
	d := s.definition()
	if !s.described(d) {
		return
	}
	missing := 0
	for _, c := range d.columns {
		if !c.commented {
			missing++
		}
	}
	missing -= min(missing, s.file.tables.notes[s.tableName(d.name).name])
	if missing == 0 {
		return
	}
	s.sayTable(d, out, report.Text{
		En: fmt.Sprintf("%d of %d columns have no comment; add COMMENT.", missing, len(d.columns)),
		Zh: fmt.Sprintf("%d/%d 个字段缺少注释，请补充 COMMENT。", missing, len(d.columns)),
	})
}

// layerNaming is SQL015. Databases of applications have names of their own: outside of
// the dialects of warehouses it speaks only when the package names tables by layers.
func layerNaming(s *Statement, out *hits) {
	d := s.definition()
	set := s.file.settings
	if d == nil || set.Layers.Naming == "" || s.passing(d) {
		return
	}
	switch s.file.dialect {
	case MySQL, PostgreSQL, Unknown:
		if !s.file.tables.layered {
			return
		}
	case DBT:
		return
	}
	n := s.tableName(d.name)
	if !n.sure || set.naming.MatchString(n.name) {
		return
	}
	if _, place := set.layerOf(tableName{db: n.db}); place >= 0 {
		return // the database is the layer
	}
	layer, _ := set.layerOf(tableName{db: s.file.database})
	if n.db == "" && layer != "" {
		return
	}
	out.tokens(s, int(d.name.from), int(d.name.to)-1)
}

// storageFormat is SQL017.
func storageFormat(s *Statement, out *hits) {
	d := s.definition()
	if s.file.dialect != Hive && s.file.dialect != Spark || d == nil || d.stored || d.like || d.templated || d.temporary || s.file.stored || !d.listed && !d.asQuery {
		return
	}
	s.sayTable(d, out, out.rule.Message)
}

// lifecycle is SQL018.
func lifecycle(s *Statement, out *hits) {
	d := s.definition()
	if d == nil || d.like || d.templated || d.temporary || d.asQuery || !d.listed {
		return
	}
	var message report.Text
	switch s.file.dialect {
	case MaxCompute:
		if d.lifecycle || d.external {
			return
		}
		message = report.Text{En: "The table keeps its data for ever; say LIFECYCLE days.", Zh: "表未设置生命周期，请添加 LIFECYCLE 天数。"}
	case ClickHouse:
		if d.ttl || d.engine == 0 || !strings.HasSuffix(asciiLower(s.Text(d.engine)), "mergetree") {
			return
		}
		message = report.Text{En: "The table keeps its data for ever; say TTL … DELETE.", Zh: "表未设置 TTL，数据将永久保留，请添加 TTL。"}
	case Doris:
		if !d.byRange || d.ttl || s.keepsFor(d) {
			return
		}
		message = report.Text{En: "The table keeps its partitions for ever; set dynamic_partition.start, or partition.retention_count.", Zh: "分区将永久保留，请设置 dynamic_partition.start 或 partition.retention_count。"}
	default:
		return
	}
	s.sayTable(d, out, message)
}

// keepsFor reports whether properties limit how long partitions stay.
func (s *Statement) keepsFor(d *definition) bool {
	for i := int(d.properties.from); d.properties.exists() && i < int(d.properties.to); i++ {
		if s.Kind(i) == lex.Template {
			return true
		}
		if !s.literal(i) {
			continue
		}
		switch name := asciiLower(unquote(s.Text(i))); {
		case strings.HasPrefix(name, "dynamic_partition."), strings.HasPrefix(name, "partition.retention"), strings.HasPrefix(name, "partition_live"), strings.Contains(name, "ttl"), name == "storage_cooldown_time":
			return true
		}
	}
	return false
}

// clusterMutation is SQL039.
func clusterMutation(s *Statement, out *hits) {
	if s.Verb != lex.Alter || !s.Has(lex.Cluster) {
		return
	}
	i := s.Head + 1
	if s.Keyword(i) != lex.Table {
		return
	}
	for ; i < s.Len(); i = s.Next(i) {
		if s.Keyword(i) == lex.On && s.Keyword(i+1) == lex.Cluster {
			break
		}
	}
	for i += 2; i < s.Len(); i = s.Next(i) {
		k := s.Keyword(i)
		if s.Kind(i-1) == lex.Dot {
			continue
		}
		switch {
		case k == lex.Delete || k == lex.Update, k == lex.Drop && s.Keyword(i+1) == lex.Column:
			end := i
			if k == lex.Drop {
				end++
			}
			out.tokens(s, i, end)
			return
		}
	}
}
