package sql

import (
	"strings"

	"github.com/factgate/factgate/scanners/sql/lex"
)

// definition is a CREATE TABLE, by tokens.
type definition struct {
	at          int  // CREATE
	name        span // of the table
	columns     []definedColumn
	partitions  []definedColumn // of PARTITIONED BY
	listed      bool            // a list of columns stands there, and all of it was understood
	external    bool
	temporary   bool
	ifNotExists bool
	orReplace   bool
	like        bool
	asQuery     bool
	templated   bool // a template fills in clauses
	commented   bool
	partitioned bool // PARTITIONED BY
	byRange     bool // PARTITION BY, of other dialects
	stored      bool // STORED AS, STORED BY, USING, ROW FORMAT SERDE
	lifecycle   bool
	ttl         bool
	engine      int // the token behind ENGINE =, or 0
	properties  span
}

type definedColumn struct {
	name      int // token
	kind      int // the token of its type, or 0
	commented bool
}

// maxColumns of one table are kept.
const maxColumns = 5000

var notColumns = lex.SetOf(lex.Constraint, lex.Index, lex.Check, lex.Like)

// definition reads the statement as CREATE TABLE, or returns nil.
func (s *Statement) definition() *definition {
	if s.Verb != lex.Create || !s.Has(lex.Table) {
		return nil
	}
	if s.defined {
		return s.def
	}
	s.defined = true
	s.def = nil
	const far = 6
	d := definition{at: s.Head}
	i := s.Head + 1
	for ; i < s.Head+far && s.Keyword(i) != lex.Table; i++ {
		switch s.Keyword(i) {
		case lex.Replace:
			d.orReplace = true
		case lex.Temporary:
			d.temporary = true
		case lex.External:
			d.external = true
		case lex.Or:
		default:
			switch asciiLower(s.Text(i)) {
			case "temp":
				d.temporary = true
			case "transient", "global", "local", "unlogged", "foreign", "live", "multiset", "volatile", "managed":
			default:
				return nil
			}
		}
	}
	if s.Keyword(i) != lex.Table {
		return nil
	}
	i++
	if s.Keyword(i) == lex.If && s.Keyword(i+1) == lex.Not && s.Keyword(i+2) == lex.Exists {
		d.ifNotExists = true
		i += 3
	}
	end := s.SkipName(i)
	if end == i {
		return nil
	}
	d.name = span{int32(i), int32(end)}
	i = end
	if s.Keyword(i) == lex.On && s.Keyword(i+1) == lex.Cluster {
		i = max(s.SkipName(i+2), i+2)
		if s.Kind(i) == lex.String {
			i++
		}
	}
	if s.Kind(i) == lex.LParen {
		closing := s.behind(i)
		if s.beginsQuery(i+1) || s.Kind(i+1) == lex.LParen {
			d.asQuery = true
		} else {
			s.defineColumns(&d, i+1, closing-1)
		}
		i = closing
	}
	s.defineOptions(&d, i)
	s.def = &d
	return s.def
}

// defineColumns reads the list of columns in Tokens[from:to].
func (s *Statement) defineColumns(d *definition, from, to int) {
	d.listed = !s.conditional
	for i := from; i < to; {
		end := i // of this item
		inside := 0
		for end < to && (s.Kind(end) != lex.Comma || inside > 0) {
			if s.Kind(end) == lex.Op {
				inside += s.angle(end, inside)
			}
			end = min(s.Next(end), to)
		}
		s.steps += end - i
		if c, ok := s.defineColumn(d, i, end); ok && len(d.columns) < maxColumns {
			d.columns = append(d.columns, c)
		}
		i = end + 1
	}
}

// angle says by how much the operator at i changes the depth of MAP<STRING, INT> and
// its like.
func (s *Statement) angle(i, inside int) int {
	switch s.Text(i) {
	case "<":
		if s.is(i-1, "MAP") || s.is(i-1, "ARRAY") || s.is(i-1, "STRUCT") || s.is(i-1, "UNIONTYPE") {
			return 1
		}
	case ">":
		return -min(inside, 1)
	case ">>":
		return -min(inside, 2)
	case ">>>":
		return -min(inside, 3)
	}
	return 0
}

func (s *Statement) defineColumn(d *definition, i, end int) (definedColumn, bool) {
	switch s.Kind(i) {
	case lex.Template:
		if !nameKind(s.Kind(i+1)) || !s.Glued(i+1) {
			d.listed = false
		}
		return definedColumn{}, false
	case lex.Word, lex.Quoted:
	default:
		d.listed = false
		return definedColumn{}, false
	}
	if k := s.Keyword(i); k != lex.None && notColumns.Has(k) && !typeName(s.Text(i+1)) {
		if k == lex.Like {
			d.like, d.listed = true, false
		}
		return definedColumn{}, false
	}
	if s.Kind(i) == lex.Word && !typeName(s.Text(i+1)) {
		switch asciiLower(s.Text(i)) {
		case "primary", "unique", "foreign", "fulltext", "spatial", "projection", "period", "exclude":
			return definedColumn{}, false
		case "key":
			if s.Kind(i+1) == lex.LParen || s.Kind(i+2) == lex.LParen || s.Keyword(i+2) == lex.Using {
				return definedColumn{}, false
			}
		}
	}
	c := definedColumn{name: i}
	if i+1 < end && s.Kind(i+1) == lex.Word && s.Keyword(i+1) != lex.Comment {
		c.kind = i + 1
	}
	for n := i + 1; n < end; n = s.Next(n) {
		if s.Keyword(n) == lex.Comment {
			v := n + 1
			if s.Text(v) == "=" {
				v++
			}
			c.commented = c.commented || s.Kind(v) == lex.Template || s.literal(v) && len(s.Text(v)) > 2
		}
	}
	return c, true
}

// defineOptions reads what stands behind the list of columns.
func (s *Statement) defineOptions(d *definition, i int) {
	first := i
	for ; i < s.Len(); i = s.Next(i) {
		switch s.Kind(i) {
		case lex.Template:
			if !s.Glued(i) {
				d.templated = true
			}
			continue
		case lex.LParen:
			if s.beginsQuery(i + 1) {
				d.asQuery = true
				return
			}
			continue
		case lex.Word:
		default:
			continue
		}
		switch s.Keyword(i) {
		case lex.Comment:
			v := i + 1
			if s.Text(v) == "=" {
				v++
			}
			d.commented = d.commented || s.Kind(v) == lex.Template || s.literal(v) && len(s.Text(v)) > 2
		case lex.Like:
			d.like = true
		case lex.Partitioned:
			d.partitioned = true
			if s.Kind(i+2) == lex.LParen {
				s.definePartitions(d, i+3, s.behind(i+2)-1)
			}
		case lex.Partition:
			d.byRange = d.byRange || s.Keyword(i+1) == lex.By
		case lex.Stored, lex.Using:
			d.stored = true
		case lex.Row:
			d.stored = d.stored || s.is(i+2, "SERDE")
		case lex.Lifecycle:
			d.lifecycle = true
		case lex.Ttl:
			d.ttl = true
		case lex.Engine:
			d.engine = i + 1
			if s.Text(i+1) == "=" {
				d.engine = i + 2
			}
		case lex.Properties, lex.Tblproperties:
			if s.Kind(i+1) == lex.LParen {
				d.properties = span{int32(i + 2), int32(s.behind(i+1) - 1)}
				for n := i + 2; n < s.behind(i+1)-1; n++ {
					if s.literal(n) && strings.EqualFold(unquote(s.Text(n)), "comment") && s.Text(n+1) == "=" {
						d.commented = true
					}
				}
			}
		case lex.Select, lex.With:
			if s.Keyword(i) == lex.With && s.Kind(i+1) == lex.LParen {
				continue
			}
			d.asQuery = true
			return
		case lex.As:
			if next := s.Keyword(i + 1); next == lex.Select || next == lex.With || next == lex.Values || next == lex.Table || s.Kind(i+1) == lex.LParen || s.Kind(i+1) == lex.Template {
				d.asQuery = true
				return
			}
			if i == first && (s.Kind(i+1) == lex.Word || s.Kind(i+1) == lex.Quoted) {
				d.like = true // ClickHouse: CREATE TABLE a AS b
			}
		case lex.None:
			if s.is(i, "CLONE") || s.is(i, "INHERITS") || s.is(i, "OF") {
				d.like = true
			}
		case lex.Of:
			d.like = true
		}
	}
}

// definePartitions reads PARTITIONED BY: names, with or without types, or Spark's
// transforms such as days(ts).
func (s *Statement) definePartitions(d *definition, from, to int) {
	for i := from; i < to; {
		end := i
		for end < to && s.Kind(end) != lex.Comma {
			end = min(s.Next(end), to)
		}
		name := i
		if s.Kind(i+1) == lex.LParen && i+1 < end {
			for n := i + 2; n < s.behind(i+1)-1; n++ {
				if s.Kind(n) == lex.Word || s.Kind(n) == lex.Quoted {
					name = n
				}
			}
		}
		if (s.Kind(name) == lex.Word || s.Kind(name) == lex.Quoted) && len(d.partitions) < maxColumns {
			c := definedColumn{name: name}
			if name == i && i+1 < end && s.Kind(i+1) == lex.Word && s.Keyword(i+1) != lex.Comment {
				c.kind = i + 1
			}
			d.partitions = append(d.partitions, c)
		}
		i = end + 1
	}
}

// class is what a column's type holds, as far as comparing it matters.
type class uint8

const (
	unknownClass class = iota
	textClass
	numberClass
	timeClass
)

// typeName reports whether a word is the name of a type.
func typeName(word string) bool { return classOf(word) != unknownClass || otherTypes[asciiLower(word)] }

var otherTypes = map[string]bool{
	"boolean": true, "bool": true, "array": true, "map": true, "struct": true, "json": true, "jsonb": true, "binary": true, "bytea": true,
	"blob": true, "nullable": true, "uuid": true, "varbinary": true, "bitmap": true, "hll": true, "tuple": true, "nested": true, "object": true,
}

var typeClasses = map[string]class{
	"string": textClass, "varchar": textClass, "varchar2": textClass, "char": textClass, "character": textClass, "text": textClass, "fixedstring": textClass,
	"nvarchar": textClass, "nchar": textClass, "longtext": textClass, "mediumtext": textClass, "tinytext": textClass, "bpchar": textClass,
	"int": numberClass, "integer": numberClass, "bigint": numberClass, "smallint": numberClass, "tinyint": numberClass, "mediumint": numberClass, "largeint": numberClass,
	"decimal": numberClass, "numeric": numberClass, "number": numberClass, "float": numberClass, "double": numberClass, "real": numberClass,
	"int2": numberClass, "int4": numberClass, "int8": numberClass, "int16": numberClass, "int32": numberClass, "int64": numberClass, "int128": numberClass, "int256": numberClass,
	"uint8": numberClass, "uint16": numberClass, "uint32": numberClass, "uint64": numberClass, "uint128": numberClass, "uint256": numberClass, "float32": numberClass, "float64": numberClass, "float4": numberClass, "float8": numberClass,
	"serial": numberClass, "bigserial": numberClass, "decimal32": numberClass, "decimal64": numberClass, "decimal128": numberClass, "decimalv3": numberClass, "long": numberClass, "short": numberClass, "byte": numberClass,
	"date": timeClass, "datetime": timeClass, "timestamp": timeClass, "timestamptz": timeClass, "time": timeClass, "datetime64": timeClass, "date32": timeClass, "datev2": timeClass, "datetimev2": timeClass, "timestamp_ntz": timeClass, "timestamp_ltz": timeClass,
}

// classOf says what a type's name stands for.
func classOf(word string) class {
	if len(word) < 3 || len(word) > 13 {
		return unknownClass
	}
	var b [13]byte
	for i := range len(word) {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b[i] = c
	}
	return typeClasses[string(b[:len(word)])]
}

// classAt reads the type at a token, through Nullable(…) and LowCardinality(…).
func (s *Statement) classAt(i int) class {
	for range 3 {
		if s.Kind(i+1) == lex.LParen && (s.is(i, "NULLABLE") || s.is(i, "LOWCARDINALITY")) {
			i += 2
		}
	}
	if s.Kind(i) != lex.Word {
		return unknownClass
	}
	if s.Text(i+1) == "<" || s.Kind(i+1) == lex.LBracket {
		return unknownClass
	}
	return classOf(s.Text(i))
}
