package sql

import (
	"strings"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// Dialect is the SQL that a file is written in.
type Dialect uint8

// The dialects. Unknown is a file that gives no sign; rules about one dialect leave it
// alone.
const (
	Unknown Dialect = iota
	Hive
	Spark
	MaxCompute
	MySQL
	PostgreSQL
	ClickHouse
	Doris
	DBT // templates for one of the others, that only select
	dialectCount
)

var dialectNames = [dialectCount]string{
	Hive: "hive", Spark: "spark", MaxCompute: "maxcompute", MySQL: "mysql", PostgreSQL: "postgresql",
	ClickHouse: "clickhouse", Doris: "doris", DBT: "dbt",
}

// String is the name that settings use, or "".
func (d Dialect) String() string { return dialectNames[d] }

// UnmarshalText reads a name, or another that folders use.
func (d *Dialect) UnmarshalText(text []byte) error {
	found, ok := dialectWords[strings.ToLower(string(text))]
	if !ok {
		list := strings.Join(dialectNames[Hive:], ", ")
		return &domain.Error{Kind: domain.Invalid, Rule: "sql.dialect", Msg: "the dialect is one of " + list, MsgZH: "方言只能是 " + list + " 之一"}
	}
	*d = found
	return nil
}

// MarshalText is String.
func (d Dialect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// dialectWords are what folders, file names and headers call the dialects.
var dialectWords = map[string]Dialect{
	"hive": Hive, "hql": Hive, "hivesql": Hive, "spark": Spark, "sparksql": Spark, "databricks": Spark,
	"odps": MaxCompute, "maxcompute": MaxCompute, "dataworks": MaxCompute,
	"mysql": MySQL, "mariadb": MySQL, "tidb": MySQL,
	"pg": PostgreSQL, "pgsql": PostgreSQL, "postgres": PostgreSQL, "postgresql": PostgreSQL, "greenplum": PostgreSQL, "gaussdb": PostgreSQL, "opengauss": PostgreSQL,
	"clickhouse": ClickHouse, "ck": ClickHouse, "doris": Doris, "starrocks": Doris, "dbt": DBT,
}

// dialectOfPath reads a dialect off the folders of a file, of which the innermost wins,
// and off its extension. Its name says nothing: ods_mysql_order.sql is a table of Hive
// more often than not.
func dialectOfPath(path string) Dialect {
	path = strings.ToLower(path)
	switch {
	case strings.HasSuffix(path, ".hql"), strings.HasSuffix(path, ".hive"):
		return Hive
	}
	folders := path[:max(0, strings.LastIndexByte(path, '/'))]
	found := Unknown
	for _, part := range strings.FieldsFunc(folders, func(r rune) bool { return r == '/' || r == '.' || r == '_' || r == '-' || r == '!' }) {
		if d, ok := dialectWords[part]; ok {
			found = d
		}
	}
	return found
}

// dialectOfHeader reads what the comments at the beginning say: "-- dialect: hive",
// sqlfluff's "-- sqlfluff:dialect:hive", DataWorks' "--odps sql".
func dialectOfHeader(text string) Dialect {
	const long, lines = 4 << 10, 20
	head := text[:min(len(text), long)]
	for range lines {
		line, rest, more := strings.Cut(head, "\n")
		line = strings.ToLower(strings.Trim(line, " \t\r/*-#{}"))
		if strings.HasPrefix(line, "odps sql") {
			return MaxCompute
		}
		if i := strings.Index(line, "dialect"); i >= 0 && i <= len("sqlfluff:") {
			word := strings.TrimLeft(line[i+len("dialect"):], " \t:=")
			if n := strings.IndexAny(word, " \t*,;"); n >= 0 {
				word = word[:n]
			}
			if d, ok := dialectWords[word]; ok {
				return d
			}
		}
		if !more {
			break
		}
		head = rest
	}
	return Unknown
}

// votes counts the signs of each dialect in a file.
type votes [dialectCount]int

// of one statement.
func (v *votes) count(s *Statement) {
	if s.Has(lex.Insert) && s.Has(lex.Overwrite) || s.Has(lex.Lateral) && s.Has(lex.View) {
		v[Hive] += 2
	}
	if s.Has(lex.Stored) || s.Has(lex.Partitioned) || s.Has(lex.Tblproperties) || s.Has(lex.Msck) {
		v[Hive] += 2
	}
	if s.Verb == lex.Set && s.Len() > 3 {
		switch first := asciiLower(s.Text(s.Head + 1)); first {
		case "hive", "mapred", "mapreduce", "tez":
			v[Hive] += 3
		case "spark":
			v[Spark] += 6
		case "odps":
			v[MaxCompute] += 6
		}
	}
	if s.Has(lex.Lifecycle) {
		v[MaxCompute] += 3
	}
	if s.Verb == lex.Cache || s.Verb == lex.Uncache || s.Verb == lex.Refresh {
		v[Spark]++
	}
	if s.Has(lex.Distributed) && (s.Has(lex.Properties) || s.is(s.Len()-1, "auto")) {
		v[Doris] += 6
	}
	if s.HasKind(lex.Dollar) {
		v[PostgreSQL] += 3
	}
	if s.Has(lex.Prewhere) || s.Has(lex.Array) && s.Has(lex.Join) && s.Has(lex.Global) {
		v[ClickHouse] += 3
	}
	if s.Has(lex.Engine) {
		v.engine(s)
	}
	for i := range s.Tokens {
		switch t := &s.Tokens[i]; t.Kind {
		case lex.Op:
			if t.End-t.Start == 2 && s.text[t.Start] == ':' && s.text[t.Start+1] == ':' {
				v[PostgreSQL]++
			}
		case lex.Template:
			if strings.HasPrefix(s.text[t.Start:], "{{") {
				switch word := strings.TrimLeft(s.text[t.Start+2:t.End], " -"); {
				case strings.HasPrefix(word, "ref("), strings.HasPrefix(word, "source("), strings.HasPrefix(word, "config("), strings.HasPrefix(word, "this"):
					v[DBT] += 10
				}
			}
		case lex.Word:
			switch t.Keyword {
			case lex.None:
				if t.End-t.Start == 14 && s.is(i, "AUTO_INCREMENT") {
					v[MySQL] += 2
				}
			case lex.Using:
				if s.Verb == lex.Create && s.Kind(i+1) == lex.Word {
					switch asciiLower(s.Text(i + 1)) {
					case "parquet", "delta", "iceberg", "orc", "hudi", "csv", "json":
						v[Spark] += 6
					}
				}
			}
		}
	}
}

func (v *votes) engine(s *Statement) {
	for i := range s.Tokens {
		if s.Keyword(i) != lex.Engine {
			continue
		}
		n := i + 1
		if s.Text(n) == "=" {
			n++
		}
		switch name := asciiLower(s.Text(n)); {
		case name == "innodb", name == "myisam", name == "memory" && s.Kind(n+1) != lex.LParen && s.HasKind(lex.Quoted):
			v[MySQL] += 6
		case name == "olap":
			v[Doris] += 6
		case strings.HasSuffix(name, "mergetree"), name == "distributed", name == "kafka", name == "log", name == "tinylog", name == "mysql" && s.Kind(n+1) == lex.LParen, name == "materializedview":
			v[ClickHouse] += 6
		}
	}
}

// elect names the dialect with most votes. What Spark and MaxCompute have in common
// with Hive counts for them as soon as one sign is their own.
func (v *votes) elect() Dialect {
	family := Hive
	switch {
	case v[MaxCompute] > 0:
		family = MaxCompute
	case v[Spark] > 0:
		family = Spark
	}
	w := *v
	w[family] = v[Hive] + v[Spark] + v[MaxCompute]
	best := Unknown
	for d := Hive; d < dialectCount; d++ {
		if w[d] > w[best] {
			best = d
		}
	}
	return best
}

// hiveLike dialects keep tables in files and partitions in folders.
func (d Dialect) hiveLike() bool { return d == Hive || d == Spark || d == MaxCompute }
