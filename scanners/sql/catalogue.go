package sql

import (
	"strings"

	"github.com/factgate/factgate/scanners/sql/lex"
)

// catalogue is what the whole package says about its tables. It is filled by a first
// pass over all files, and only read in the second.
type catalogue struct {
	tables    map[string]*knownTable // by db.name, and by name alone
	aliased   map[string]bool        // names that more than one database has
	remarks   map[string]bool        // tables with COMMENT ON TABLE
	notes     map[string]int         // columns with COMMENT ON COLUMN, by table
	days      map[string]bool        // partition columns that hold a day, by their names
	cells     int                    // columns kept
	full      bool                   // more was declared than is kept
	nonstrict bool                   // a script or a file of settings permits dynamic partitions for others
	layered   bool                   // tables are named by layers
}

// table is a table that the package creates.
type knownTable struct {
	db, name    string // folded; db may be ""
	columns     []tableColumn
	partitions  []tableColumn
	listed      bool // columns are all of them
	partitioned bool
	byRange     bool
	unsure      bool // created twice, and not alike
}

type tableColumn struct {
	name  string
	class class
}

// Limits of the catalogue: it stays in memory during a scan.
const (
	maxTables = 20_000
	maxCells  = 400_000
	maxName   = 200
)

func newCatalogue() *catalogue {
	return &catalogue{tables: map[string]*knownTable{}, aliased: map[string]bool{}, remarks: map[string]bool{}, days: map[string]bool{}, notes: map[string]int{}}
}

// tableName is a table's name as a statement writes it.
type tableName struct {
	db, name string // folded
	sure     bool   // no template is part of the name itself
}

// tableName reads the dotted name at p. Of a.b.c the last two count.
func (s *Statement) tableName(p span) tableName {
	if p.empty() {
		return tableName{}
	}
	last := int(p.to) - 1
	n := tableName{name: s.foldedName(last), sure: true}
	i := last
	// A name of several pieces, such as t_${day}, is not known.
	if s.Kind(i) == lex.Template || i > int(p.from) && s.Kind(i-1) != lex.Dot || strings.ContainsAny(n.name, "${}") || len(n.name) > maxName || s.Kind(i) == lex.Param {
		n.sure = false
	}
	for i > int(p.from) && s.Kind(i) != lex.Dot {
		i--
	}
	if i > int(p.from) {
		n.db = s.foldedName(i - 1)
		if s.Kind(i-1) == lex.Template || strings.ContainsAny(n.db, "${}") || len(n.db) > maxName || i-2 >= int(p.from) && s.Kind(i-2) != lex.Dot {
			n.db = ""
		}
	} else if inner, outer, ok := cutLast(n.name); ok { // `db.table`
		n.db, n.name = inner, outer
	}
	return n
}

func cutLast(name string) (before, behind string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

func (s *Statement) foldedName(i int) string { return asciiFold(bareName(s.Text(i))) }

// asciiFold is asciiLower without a copy of what is in lower case already.
func asciiFold(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return asciiLower(s)
		}
	}
	return s
}

// declare takes a CREATE TABLE.
func (c *catalogue) declare(s *Statement, d *definition, database string) {
	n := s.tableName(d.name)
	if !n.sure || n.name == "" {
		return
	}
	if n.db == "" {
		n.db = database
	}
	cells := len(d.columns) + len(d.partitions)
	if len(c.tables) >= 2*maxTables || c.cells+cells > maxCells {
		c.full = true
		return
	}
	c.cells += cells
	t := &knownTable{db: strings.Clone(n.db), name: strings.Clone(n.name), partitioned: d.partitioned, byRange: d.byRange,
		listed: d.listed && !d.like && !d.templated, unsure: d.like && !d.partitioned || d.templated}
	for _, col := range d.columns {
		t.columns = append(t.columns, s.tableColumn(col))
	}
	for _, col := range d.partitions {
		kept := s.tableColumn(col)
		t.partitions = append(t.partitions, kept)
		if dayName(kept.name) {
			c.days[kept.name] = true
		}
	}
	full := t.db + "." + t.name
	if old := c.tables[full]; old != nil {
		if !old.like(t) {
			old.unsure = true
		}
		return
	}
	c.tables[full] = t
	if t.db == "" {
		return
	}
	// The name alone also means the table, as long as one database has it.
	short := "." + t.name
	switch old := c.tables[short]; {
	case c.aliased[short]:
	case old == nil:
		c.tables[short] = t
	case old.db == "" || !old.like(t):
		if old.db != "" {
			delete(c.tables, short)
			c.aliased[short] = true
		} else if !old.like(t) {
			old.unsure = true
		}
	}
}

func (s *Statement) tableColumn(c definedColumn) tableColumn {
	name := s.foldedName(c.name)
	if len(name) > maxName {
		name = ""
	}
	out := tableColumn{name: strings.Clone(name)}
	if c.kind > 0 {
		out.class = s.classAt(c.kind)
	}
	return out
}

// like reports whether two declarations say the same of a table.
func (t *knownTable) like(o *knownTable) bool {
	if t.partitioned != o.partitioned || len(t.columns) != len(o.columns) || len(t.partitions) != len(o.partitions) {
		return false
	}
	for i := range t.columns {
		if t.columns[i] != o.columns[i] {
			return false
		}
	}
	for i := range t.partitions {
		if t.partitions[i] != o.partitions[i] {
			return false
		}
	}
	return true
}

// find returns the table that a name means, or nil if that is not known for sure.
func (c *catalogue) find(n tableName, database string) *knownTable {
	if !n.sure || c == nil || len(c.tables) == 0 {
		return nil
	}
	if n.db == "" {
		n.db = database
	}
	var t *knownTable
	if n.db != "" {
		if t = c.tables[n.db+"."+n.name]; t == nil {
			if t = c.tables["."+n.name]; t != nil && t.db != "" {
				t = nil // of another database
			}
		}
	} else {
		t = c.tables["."+n.name]
	}
	if t == nil || t.unsure {
		return nil
	}
	return t
}

// column finds a column, partition columns included.
func (t *knownTable) column(name string) (tableColumn, bool) {
	for _, list := range [...][]tableColumn{t.columns, t.partitions} {
		for _, c := range list {
			if c.name == name {
				return c, true
			}
		}
	}
	return tableColumn{}, false
}

func (t *knownTable) partition(name string) bool {
	for _, c := range t.partitions {
		if c.name == name {
			return true
		}
	}
	return false
}

// learn takes what one statement says about tables.
func (c *catalogue) learn(s *Statement, database string) {
	switch s.Verb {
	case lex.Create:
		if d := s.definition(); d != nil {
			c.declare(s, d, database)
		}
	case lex.Comment: // PostgreSQL: COMMENT ON TABLE t IS 'x'
		kind := s.Keyword(s.Head + 2)
		if s.Keyword(s.Head+1) != lex.On || kind != lex.Table && kind != lex.Column || len(c.notes) >= maxTables {
			return
		}
		end := s.SkipName(s.Head + 3)
		if s.Keyword(end) != lex.Is || s.Keyword(end+1) == lex.Null || len(s.Text(end+1)) <= 2 {
			return
		}
		name := span{int32(s.Head + 3), int32(end)}
		if kind == lex.Table {
			if n := s.tableName(name); n.sure {
				c.remarks[strings.Clone(n.name)] = true
			}
			return
		}
		if end-2 > s.Head+3 {
			name.to -= 2
			if n := s.tableName(name); n.sure {
				c.notes[strings.Clone(n.name)]++
			}
		}
	}
}

// dayName reports whether a partition column is called like a day: what others hold,
// such as a region, looks like one only by chance.
func dayName(name string) bool {
	return strings.Contains(name, "date") || strings.Contains(name, "day") || strings.Contains(name, "dt") || strings.Contains(name, "time") ||
		name == "month" || name == "ym"
}
