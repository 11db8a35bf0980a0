package lex

// Keyword names a word that the rules or the splitter look at. Most are keywords
// only in their place: a column may well be called data or name, so a caller
// decides by the tokens around.
type Keyword uint16

// None is the Keyword of words that are not listed.
const None Keyword = 0

// The keywords, in no order that matters.
const (
	_ Keyword = iota
	Select
	From
	Where
	Group
	Order
	By
	Having
	Limit
	Offset
	Fetch
	Union
	All
	Distinct
	Except
	Intersect
	Minus
	Join
	StraightJoin
	Inner
	Left
	Right
	Full
	Outer
	Cross
	Natural
	Semi
	Anti
	Lateral
	On
	Using
	As
	With
	Recursive
	Window
	Qualify
	Prewhere
	Insert
	Into
	Overwrite
	Values
	Set
	Update
	Delete
	Merge
	Matched
	Replace
	Returning
	Ignore
	Top
	Duplicate
	Key
	Create
	Alter
	Drop
	Truncate
	Table
	View
	Database
	Schema
	Index
	Function
	Procedure
	Trigger
	Event
	Package
	Sequence
	User
	Role
	Type
	Extension
	Materialized
	Temporary
	External
	Catalog
	Dictionary
	Macro
	If
	Exists
	Not
	Partition
	Partitioned
	Cascade
	In
	Null
	Is
	And
	Or
	Like
	Ilike
	Any
	Some
	Between
	Case
	When
	Then
	Else
	Elseif
	Elsif
	End
	Count
	Concat
	Begin
	Declare
	Loop
	While
	Repeat
	Until
	Do
	For
	Row
	Each
	Cursor
	Handler
	Return
	Exclude
	Default
	Name
	Format
	Directory
	Binary
	Identified
	Password
	Column
	Cluster
	Statistics
	Jar
	Jars
	File
	Files
	Archive
	Archives
	Add
	Dfs
	Delimiter
	Go
	Copy
	Stdin
	Escape
	Prompt
	Rem
	Remark
	Grant
	Revoke
	Show
	Describe
	Desc
	Explain
	Analyze
	Comment
	Use
	Start
	Commit
	Rollback
	Savepoint
	Release
	Load
	Export
	Import
	Msck
	Refresh
	Cache
	Uncache
	Clear
	List
	Reset
	Reload
	Call
	Exec
	Execute
	Prepare
	Deallocate
	Vacuum
	Optimize
	Reindex
	Check
	Lock
	Unlock
	Rename
	Kill
	System
	Attach
	Detach
	Exchange
	Open
	Close
	Raise
	Signal
	Resignal
	Leave
	Iterate
	Exit
	Continue
	Perform
	Print
	Get
	Purge
	Undrop
	Recover
	Submit
	Cancel
	Pause
	Resume
	Stop
	Admin
	Sync
	Backup
	Restore
	Batch
	Source
	Flush
	Install
	Uninstall
	Connect
	Disconnect
	Notify
	Listen
	Discard
	Move
	Whenever
	Exception
	LowPriority
	HighPriority
	Delayed
	First
	Of
	To
	Restrict
	Constraint
	Tblproperties
	Distribute
	Sort
	Settings
	Pivot
	Unpivot
	Tablesample
	Final
	Sample
	Force
	Array
	Apply
	Global
	Asof
	Over
	Rlike
	Regexp
	Stored
	Lifecycle
	Ttl
	Engine
	Properties
	Distributed
	Interval
	Nonstrict

	keywordCount
)

var names = [keywordCount]string{
	Select:        "SELECT",
	From:          "FROM",
	Where:         "WHERE",
	Group:         "GROUP",
	Order:         "ORDER",
	By:            "BY",
	Having:        "HAVING",
	Limit:         "LIMIT",
	Offset:        "OFFSET",
	Fetch:         "FETCH",
	Union:         "UNION",
	All:           "ALL",
	Distinct:      "DISTINCT",
	Except:        "EXCEPT",
	Intersect:     "INTERSECT",
	Minus:         "MINUS",
	Join:          "JOIN",
	StraightJoin:  "STRAIGHT_JOIN",
	Inner:         "INNER",
	Left:          "LEFT",
	Right:         "RIGHT",
	Full:          "FULL",
	Outer:         "OUTER",
	Cross:         "CROSS",
	Natural:       "NATURAL",
	Semi:          "SEMI",
	Anti:          "ANTI",
	Lateral:       "LATERAL",
	On:            "ON",
	Using:         "USING",
	As:            "AS",
	With:          "WITH",
	Recursive:     "RECURSIVE",
	Window:        "WINDOW",
	Qualify:       "QUALIFY",
	Prewhere:      "PREWHERE",
	Insert:        "INSERT",
	Into:          "INTO",
	Overwrite:     "OVERWRITE",
	Values:        "VALUES",
	Set:           "SET",
	Update:        "UPDATE",
	Delete:        "DELETE",
	Merge:         "MERGE",
	Matched:       "MATCHED",
	Replace:       "REPLACE",
	Returning:     "RETURNING",
	Ignore:        "IGNORE",
	Top:           "TOP",
	Duplicate:     "DUPLICATE",
	Key:           "KEY",
	Create:        "CREATE",
	Alter:         "ALTER",
	Drop:          "DROP",
	Truncate:      "TRUNCATE",
	Table:         "TABLE",
	View:          "VIEW",
	Database:      "DATABASE",
	Schema:        "SCHEMA",
	Index:         "INDEX",
	Function:      "FUNCTION",
	Procedure:     "PROCEDURE",
	Trigger:       "TRIGGER",
	Event:         "EVENT",
	Package:       "PACKAGE",
	Sequence:      "SEQUENCE",
	User:          "USER",
	Role:          "ROLE",
	Type:          "TYPE",
	Extension:     "EXTENSION",
	Materialized:  "MATERIALIZED",
	Temporary:     "TEMPORARY",
	External:      "EXTERNAL",
	Catalog:       "CATALOG",
	Dictionary:    "DICTIONARY",
	Macro:         "MACRO",
	If:            "IF",
	Exists:        "EXISTS",
	Not:           "NOT",
	Partition:     "PARTITION",
	Partitioned:   "PARTITIONED",
	Cascade:       "CASCADE",
	In:            "IN",
	Null:          "NULL",
	Is:            "IS",
	And:           "AND",
	Or:            "OR",
	Like:          "LIKE",
	Ilike:         "ILIKE",
	Any:           "ANY",
	Some:          "SOME",
	Between:       "BETWEEN",
	Case:          "CASE",
	When:          "WHEN",
	Then:          "THEN",
	Else:          "ELSE",
	Elseif:        "ELSEIF",
	Elsif:         "ELSIF",
	End:           "END",
	Count:         "COUNT",
	Concat:        "CONCAT",
	Begin:         "BEGIN",
	Declare:       "DECLARE",
	Loop:          "LOOP",
	While:         "WHILE",
	Repeat:        "REPEAT",
	Until:         "UNTIL",
	Do:            "DO",
	For:           "FOR",
	Row:           "ROW",
	Each:          "EACH",
	Cursor:        "CURSOR",
	Handler:       "HANDLER",
	Return:        "RETURN",
	Exclude:       "EXCLUDE",
	Default:       "DEFAULT",
	Name:          "NAME",
	Format:        "FORMAT",
	Directory:     "DIRECTORY",
	Binary:        "BINARY",
	Identified:    "IDENTIFIED",
	Password:      "PASSWORD",
	Column:        "COLUMN",
	Cluster:       "CLUSTER",
	Statistics:    "STATISTICS",
	Jar:           "JAR",
	Jars:          "JARS",
	File:          "FILE",
	Files:         "FILES",
	Archive:       "ARCHIVE",
	Archives:      "ARCHIVES",
	Add:           "ADD",
	Dfs:           "DFS",
	Delimiter:     "DELIMITER",
	Go:            "GO",
	Copy:          "COPY",
	Stdin:         "STDIN",
	Escape:        "ESCAPE",
	Prompt:        "PROMPT",
	Rem:           "REM",
	Remark:        "REMARK",
	Grant:         "GRANT",
	Revoke:        "REVOKE",
	Show:          "SHOW",
	Describe:      "DESCRIBE",
	Desc:          "DESC",
	Explain:       "EXPLAIN",
	Analyze:       "ANALYZE",
	Comment:       "COMMENT",
	Use:           "USE",
	Start:         "START",
	Commit:        "COMMIT",
	Rollback:      "ROLLBACK",
	Savepoint:     "SAVEPOINT",
	Release:       "RELEASE",
	Load:          "LOAD",
	Export:        "EXPORT",
	Import:        "IMPORT",
	Msck:          "MSCK",
	Refresh:       "REFRESH",
	Cache:         "CACHE",
	Uncache:       "UNCACHE",
	Clear:         "CLEAR",
	List:          "LIST",
	Reset:         "RESET",
	Reload:        "RELOAD",
	Call:          "CALL",
	Exec:          "EXEC",
	Execute:       "EXECUTE",
	Prepare:       "PREPARE",
	Deallocate:    "DEALLOCATE",
	Vacuum:        "VACUUM",
	Optimize:      "OPTIMIZE",
	Reindex:       "REINDEX",
	Check:         "CHECK",
	Lock:          "LOCK",
	Unlock:        "UNLOCK",
	Rename:        "RENAME",
	Kill:          "KILL",
	System:        "SYSTEM",
	Attach:        "ATTACH",
	Detach:        "DETACH",
	Exchange:      "EXCHANGE",
	Open:          "OPEN",
	Close:         "CLOSE",
	Raise:         "RAISE",
	Signal:        "SIGNAL",
	Resignal:      "RESIGNAL",
	Leave:         "LEAVE",
	Iterate:       "ITERATE",
	Exit:          "EXIT",
	Continue:      "CONTINUE",
	Perform:       "PERFORM",
	Print:         "PRINT",
	Get:           "GET",
	Purge:         "PURGE",
	Undrop:        "UNDROP",
	Recover:       "RECOVER",
	Submit:        "SUBMIT",
	Cancel:        "CANCEL",
	Pause:         "PAUSE",
	Resume:        "RESUME",
	Stop:          "STOP",
	Admin:         "ADMIN",
	Sync:          "SYNC",
	Backup:        "BACKUP",
	Restore:       "RESTORE",
	Batch:         "BATCH",
	Source:        "SOURCE",
	Flush:         "FLUSH",
	Install:       "INSTALL",
	Uninstall:     "UNINSTALL",
	Connect:       "CONNECT",
	Disconnect:    "DISCONNECT",
	Notify:        "NOTIFY",
	Listen:        "LISTEN",
	Discard:       "DISCARD",
	Move:          "MOVE",
	Whenever:      "WHENEVER",
	Exception:     "EXCEPTION",
	LowPriority:   "LOW_PRIORITY",
	HighPriority:  "HIGH_PRIORITY",
	Delayed:       "DELAYED",
	First:         "FIRST",
	Of:            "OF",
	To:            "TO",
	Restrict:      "RESTRICT",
	Constraint:    "CONSTRAINT",
	Tblproperties: "TBLPROPERTIES",
	Distribute:    "DISTRIBUTE",
	Sort:          "SORT",
	Settings:      "SETTINGS",
	Pivot:         "PIVOT",
	Unpivot:       "UNPIVOT",
	Tablesample:   "TABLESAMPLE",
	Final:         "FINAL",
	Sample:        "SAMPLE",
	Force:         "FORCE",
	Array:         "ARRAY",
	Apply:         "APPLY",
	Global:        "GLOBAL",
	Asof:          "ASOF",
	Over:          "OVER",
	Rlike:         "RLIKE",
	Regexp:        "REGEXP",
	Stored:        "STORED",
	Lifecycle:     "LIFECYCLE",
	Ttl:           "TTL",
	Engine:        "ENGINE",
	Properties:    "PROPERTIES",
	Distributed:   "DISTRIBUTED",
	Interval:      "INTERVAL",
	Nonstrict:     "NONSTRICT",
}

// String is the keyword in capitals.
func (k Keyword) String() string {
	if k >= keywordCount {
		return ""
	}
	return names[k]
}

// Keywords is a set of keywords.
type Keywords [(keywordCount + 63) / 64]uint64

// SetOf returns the set of ks.
func SetOf(ks ...Keyword) Keywords {
	var s Keywords
	for _, k := range ks {
		s.Add(k)
	}
	return s
}

// Add puts k into the set.
func (s *Keywords) Add(k Keyword) { s[k>>6] |= 1 << (k & 63) }

// Has reports whether k is in the set. None never is, unless it was added.
func (s *Keywords) Has(k Keyword) bool { return s[k>>6]&(1<<(k&63)) != 0 }

// Meets reports whether the sets share a keyword.
func (s *Keywords) Meets(o *Keywords) bool {
	for i := range s {
		if s[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// The look-up table is open addressing on length and folded letters: most words
// of a text are no keywords and leave after one comparison.
const (
	tableSize  = 1024
	maxKeyword = 13
)

var table = func() (t [tableSize]Keyword) {
	for k := Keyword(1); k < keywordCount; k++ {
		h := hash(names[k])
		for t[h] != None {
			h = (h + 1) % tableSize
		}
		t[h] = k
	}
	return t
}()

func hash(word string) uint32 {
	h := uint32(len(word)) * 0x9e3779b1
	for i := range len(word) {
		h = (h ^ uint32(word[i]&^0x20)) * 0x01000193
	}
	return (h ^ h>>15) % tableSize
}

// keyword looks word up, whatever its case.
func keyword(word string) Keyword {
	if len(word) < 2 || len(word) > maxKeyword {
		return None
	}
	for h := hash(word); table[h] != None; h = (h + 1) % tableSize {
		if fold(names[table[h]], word) {
			return table[h]
		}
	}
	return None
}

// fold compares a name in ASCII capitals with a word of any case.
func fold(name, word string) bool {
	if len(name) != len(word) {
		return false
	}
	for i := range len(name) {
		c := word[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}
