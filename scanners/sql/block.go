package sql

import (
	"github.com/factgate/factgate/scanners/sql/lex"
)

// outline is the structure of a statement as far as the rules need it: its query
// blocks, what each reads, and where its clauses stand. It is built in one pass with a
// stack, so that depth costs memory and no calls. What it does not understand it
// leaves out: a rule that misses something stays silent.
type outline struct {
	blocks  []block
	sources []source
	ctes    []cte
	stack   []frame
	preds   []predicate
	comps   []int32 // of SQL003
	visits  int
	tooDeep bool
	built   bool
}

// maxNesting is how deep brackets may stand before a statement counts as not
// understood.
const maxNesting = 20_000

// span is Tokens[from:to]; a span that does not exist has from < 0.
type span struct{ from, to int32 }

var noSpan = span{-1, -1}

func (p span) exists() bool { return p.from >= 0 }
func (p span) empty() bool  { return p.from < 0 || p.to <= p.from }

// block is one SELECT with the clauses that belong to it.
type block struct {
	at     int32 // its first token: SELECT, or FROM in Hive's order
	end    int32
	parent int32 // the block in whose text it stands, or -1
	depth  int32 // how many blocks stand around it
	role   role
	cte    int32       // the common table expression whose body it is in, directly, or -1
	op     lex.Keyword // the set operation in front of it, or None
	head   int32       // the first block of its chain of set operations
	parts  [clauses]span
	order  int32 // where ORDER BY, LIMIT begin, or -1
	limit  int32
	first  int32 // its sources, linked by next
	last   int32
	count  int32
	nested bool // an expression of it holds a block
}

// role says what a block's result is for.
type role uint8

const (
	outermost role = iota
	fromItem       // a table of the enclosing block
	cteBody
	inList   // IN (SELECT …)
	existing // EXISTS (SELECT …)
	scalar   // anywhere else
)

type clause uint8

const (
	noClause clause = iota
	listClause
	fromClause
	whereClause
	prewhereClause
	groupClause
	havingClause
	otherClause // ORDER BY and all behind it, WINDOW, SETTINGS …
	clauses
)

// source is an item of a FROM clause.
type source struct {
	kind  sourceKind
	join  joinKind
	at    int32 // its first token
	name  span  // of a table
	alias int32 // a token, or -1
	query int32 // the first block of a subquery, or -1
	on    span
	using bool
	next  int32
	prev  int32
}

type sourceKind uint8

const (
	tableSource    sourceKind = iota
	querySource               // (SELECT …)
	functionSource            // f(…), TABLE(…), VALUES: as many rows as its arguments say
)

type joinKind uint8

const (
	firstItem joinKind = iota
	commaJoin
	innerJoin
	crossJoin
	leftJoin
	rightJoin
	fullJoin
	semiJoin // also ANTI: its columns are not seen outside of ON
	naturalJoin
	lateralJoin // APPLY, LATERAL, ARRAY JOIN: rows that belong to the row
)

// cte is one common table expression.
type cte struct {
	name  int32 // token
	block int32 // the first block of its body, or -1
}

// frame is an open bracket, or the statement itself.
type frame struct {
	shape   shape
	role    role
	clause  clause
	expect  bool // a table comes next
	lateral bool // behind LATERAL VIEW and its like: commas belong to it
	with    bool // between WITH and the query
	aliased bool // AS was read behind a source
	join    joinKind
	joining bool  // words of a join were read, JOIN not yet
	block   int32 // open here, or -1
	owner   int32 // the block around, or -1
	item    int32 // the source that this bracket is, or -1
	source  int32 // the last source here, or -1
	on      int32 // the source whose ON is open, or -1
	cte     int32
	head    int32 // of the chain that goes on here, or -1
	op      lex.Keyword
	branch  int32 // the first block of the last bracket that was a query, or -1
}

type shape uint8

const (
	expression shape = iota // a bracket that is no query
	query
	group // FROM (a JOIN b ON …)
)

// outline returns the statement's structure.
func (s *Statement) outline() *outline {
	if s.shape == nil {
		s.shape = &outline{}
	}
	if !s.shape.built {
		s.shape.build(s)
	}
	return s.shape
}

// visited is a measure of the work that rules have done on the outline.
func (o *outline) visited() int {
	if o == nil {
		return 0
	}
	return o.visits
}

func (o *outline) reset() {
	if o == nil {
		return
	}
	o.visits = 0
	o.blocks, o.sources, o.ctes, o.stack = o.blocks[:0], o.sources[:0], o.ctes[:0], o.stack[:0]
	o.tooDeep, o.built = false, false
}

func (o *outline) build(s *Statement) {
	o.reset()
	o.built = true
	if !s.Has(lex.Select) || !s.queries() {
		return
	}
	o.stack = append(o.stack, frame{shape: query, role: outermost, block: -1, owner: -1, item: -1, source: -1, on: -1, cte: -1, head: -1, branch: -1})
	skip := 0
	s.steps += len(s.Tokens)
	for i := range s.Tokens {
		if i < skip {
			continue
		}
		t := &s.Tokens[i]
		f := &o.stack[len(o.stack)-1]
		switch t.Kind {
		case lex.LParen, lex.LBracket:
			if len(o.stack) > maxNesting {
				o.reset()
				o.built, o.tooDeep = true, true
				return
			}
			o.open(s, i, f)
		case lex.RParen, lex.RBracket:
			if t.Match >= 0 && len(o.stack) > 1 {
				o.leave(i)
			}
		case lex.Comma:
			if f.inFrom() && !f.lateral && !f.expect {
				o.endOn(f, i)
				f.expect, f.join, f.joining, f.aliased = true, commaJoin, false, false
			}
		case lex.Word:
			if f.shape == expression {
				continue
			}
			if t.Keyword != lex.None && s.Kind(i-1) != lex.Dot && o.keyword(s, i, f, t.Keyword) {
				continue
			}
			skip = o.name(s, i, f)
		case lex.Quoted, lex.Template, lex.Param:
			if f.shape != expression {
				skip = o.name(s, i, f)
			}
		}
	}
	for len(o.stack) > 0 {
		o.closeBlock(&o.stack[len(o.stack)-1], len(s.Tokens))
		o.stack = o.stack[:len(o.stack)-1]
	}
}

func (f *frame) inFrom() bool { return f.shape != expression && f.block >= 0 && f.clause == fromClause }

var (
	queryStarts = lex.SetOf(lex.Select, lex.With, lex.From, lex.Values, lex.Table)
	setOps      = lex.SetOf(lex.Union, lex.Except, lex.Intersect, lex.Minus)
	asked       = lex.SetOf(lex.Explain, lex.Show, lex.Describe, lex.Desc)
	branchWords = lex.SetOf(lex.Union, lex.Except, lex.Intersect, lex.Minus, lex.All, lex.Distinct, lex.As)
)

// open pushes the bracket at i.
func (o *outline) open(s *Statement, i int, f *frame) {
	n := frame{block: -1, owner: f.owner, item: -1, source: -1, on: -1, cte: -1, head: -1, branch: -1}
	if f.block >= 0 {
		n.owner = f.block
	}
	if s.Kind(i) == lex.LBracket || s.Tokens[i].Match < 0 {
		o.stack = append(o.stack, n)
		return
	}
	next := s.Keyword(i + 1)
	starts := next != lex.None && queryStarts.Has(next) && (next != lex.Table || s.Kind(i+2) != lex.LParen && s.Kind(i+2) != lex.Comma && s.Kind(i+2) != lex.RParen)
	before := s.Keyword(i - 1)
	switch {
	case f.inFrom() && f.expect && next != lex.None && asked.Has(next): // ClickHouse: FROM (EXPLAIN …)
		f.expect = false
		o.addSource(f, source{kind: functionSource, at: int32(i), name: noSpan, alias: -1, query: -1})
	case f.inFrom() && f.expect && (f.shape != group || f.head < 0) && (starts || s.Kind(i+1) != lex.LParen && next == lex.None && s.Kind(i+1) == lex.Template && s.Kind(i+2) == lex.RParen):
		f.expect = false
		n.shape, n.role = query, fromItem
		n.item = o.addSource(f, source{kind: querySource, at: int32(i), name: noSpan, alias: -1, query: -1})
		if next == lex.Values {
			o.sources[n.item].kind = functionSource
		}
	case f.inFrom() && f.shape == group && f.head >= 0 && starts: // ((SELECT …) UNION (SELECT …))
		n.shape, n.role, n.head, n.op = query, fromItem, f.head, f.op
		f.expect = false
		n.owner = f.block
	case f.inFrom() && f.expect:
		n.shape, n.clause, n.expect, n.block, n.join = group, fromClause, true, f.block, f.join
		n.owner = f.owner
		f.expect = false
	case starts && f.shape == query && f.block < 0 && f.with && (before == lex.As || before == lex.Materialized):
		n.shape, n.role = query, cteBody
		if name := s.cteName(i); name >= 0 {
			n.cte = int32(len(o.ctes))
			o.ctes = append(o.ctes, cte{name: int32(name), block: -1})
		}
	case f.shape == query && f.block < 0 && !f.with && o.startsBranch(s, i, f, before) && (starts || s.Kind(i+1) == lex.LParen):
		n.shape, n.role, n.head, n.op, n.item, n.cte = query, f.role, f.head, f.op, f.item, f.cte
	case starts && next != lex.From && next != lex.Table:
		n.shape = query
		switch before {
		case lex.In:
			n.role = inList
		case lex.Exists:
			n.role = existing
		default:
			n.role = scalar
		}
		if n.owner >= 0 {
			o.blocks[n.owner].nested = true
		}
	}
	o.stack = append(o.stack, n)
}

// startsBranch reports whether the bracket at i, with no block open, holds the query
// itself or a branch of it.
func (o *outline) startsBranch(s *Statement, i int, f *frame, before lex.Keyword) bool {
	if i <= s.Head && f == &o.stack[0] || before != lex.None && branchWords.Has(before) || s.Kind(i-1) == lex.LParen {
		return true
	}
	if f == &o.stack[0] && s.Verb == lex.Insert {
		k := s.Kind(i - 1)
		return k == lex.RParen || nameKind(k) && before == lex.None
	}
	return false
}

// cteName is the token of the name in front of AS (, or -1.
func (s *Statement) cteName(i int) int {
	for i--; s.Keyword(i) == lex.Materialized || s.Keyword(i) == lex.Not || s.Keyword(i) == lex.As; i-- {
	}
	if s.Kind(i) == lex.RParen && s.Tokens[i].Match >= 0 {
		i = int(s.Tokens[i].Match) - 1
	}
	if nameKind(s.Kind(i)) {
		return i
	}
	return -1
}

// leave pops the bracket that closes at i.
func (o *outline) leave(i int) {
	top := len(o.stack) - 1
	n := o.stack[top]
	o.endOn(&n, i)
	f := &o.stack[top-1]
	if n.shape == group {
		if n.source >= 0 {
			f.source = n.source
		}
		f.aliased = false
	} else {
		o.closeBlock(&n, i)
	}
	o.stack = o.stack[:top]
	if n.shape != query {
		return
	}
	first := n.branch
	if f.shape == query && f.block < 0 || f.shape == group {
		if f.head < 0 && first >= 0 {
			f.branch = first
		}
	}
}

// newBlock opens a block in f.
func (o *outline) newBlock(s *Statement, i int, f *frame) *block {
	here := int32(len(o.blocks))
	b := block{at: int32(i), end: int32(len(s.Tokens)), parent: f.owner, role: f.role, cte: f.cte, head: here, op: f.op,
		order: -1, limit: -1, first: -1, last: -1}
	for c := range b.parts {
		b.parts[c] = noSpan
	}
	if f.owner >= 0 {
		b.depth = o.blocks[f.owner].depth + 1
	}
	if f.head >= 0 {
		b.head = f.head
	}
	f.op, f.head = lex.None, -1
	if f.branch < 0 {
		f.branch = b.head
	}
	if f.item >= 0 && o.sources[f.item].query < 0 {
		o.sources[f.item].query = here
	}
	if f.cte >= 0 && o.ctes[f.cte].block < 0 {
		o.ctes[f.cte].block = here
	}
	f.block, f.clause, f.with, f.expect, f.lateral, f.joining, f.source, f.on = here, noClause, false, false, false, false, -1, -1
	o.blocks = append(o.blocks, b)
	return &o.blocks[here]
}

// closeBlock ends the block that is open in f.
func (o *outline) closeBlock(f *frame, i int) {
	if f.block < 0 || f.shape != query {
		return
	}
	o.enter(f, noClause, i)
	o.blocks[f.block].end = int32(i)
	f.block = -1
}

// enter begins a clause at i and ends the one before.
func (o *outline) enter(f *frame, c clause, i int) {
	b := &o.blocks[f.block]
	o.endOn(f, i)
	if p := &b.parts[f.clause]; f.clause != noClause && p.exists() {
		p.to = int32(i)
	}
	f.clause = c
	f.expect, f.lateral, f.joining, f.aliased = false, false, false, false
	if c != noClause && !b.parts[c].exists() {
		b.parts[c] = span{int32(i + 1), int32(i + 1)}
	}
}

func (o *outline) endOn(f *frame, i int) {
	if f.on >= 0 {
		o.sources[f.on].on.to = int32(i)
		f.on = -1
	}
}

func (o *outline) addSource(f *frame, src source) int32 {
	here := int32(len(o.sources))
	b := &o.blocks[f.block]
	src.join, src.on, src.next, src.prev = f.join, noSpan, -1, b.last
	if b.last >= 0 {
		o.sources[b.last].next = here
	} else {
		b.first = here
		src.join = firstItem
	}
	b.last = here
	b.count++
	f.source, f.join, f.aliased, f.lateral = here, commaJoin, false, src.join == lateralJoin
	o.sources = append(o.sources, src)
	return here
}

// name reads a name: a table where one is expected, or an alias. It returns the
// index up to which tokens need no further look.
func (o *outline) name(s *Statement, i int, f *frame) int {
	if !f.inFrom() {
		return i + 1
	}
	if f.expect {
		end := s.SkipName(i)
		kind := tableSource
		if s.Kind(end) == lex.LParen && !s.hinted(end) {
			kind = functionSource
		}
		f.expect = false
		o.addSource(f, source{kind: kind, at: int32(i), name: span{int32(i), int32(end)}, alias: -1, query: -1})
		return max(end, i+1)
	}
	if s.Keyword(i+1) == lex.Join && s.is(i, "PASTE") { // ClickHouse: row by row
		f.join, f.joining = lateralJoin, true
		return i + 1
	}
	if f.source >= 0 && f.on < 0 && !f.joining && o.sources[f.source].alias < 0 && !o.sources[f.source].using {
		if k := s.Kind(i); k == lex.Word || k == lex.Quoted {
			o.sources[f.source].alias = int32(i)
		}
	}
	return i + 1
}

// hinted reports whether the bracket at i holds no arguments but T-SQL's table hints,
// or a partition: FROM t (NOLOCK).
func (s *Statement) hinted(i int) bool {
	switch s.Text(i + 1) {
	case "NOLOCK", "nolock":
		return true
	}
	return false
}

// keyword heeds a keyword, and reports whether it was one here.
func (o *outline) keyword(s *Statement, i int, f *frame, k lex.Keyword) bool {
	if s.Keyword(i-1) == lex.As && k != lex.Select && k != lex.With && k != lex.Values && k != lex.From {
		return false // an alias
	}
	next := s.Keyword(i + 1)
	if f.shape == group {
		if setOps.Has(k) && f.source >= 0 {
			f.head, f.op = max(f.branch, 0), k
			if f.branch < 0 {
				f.head = -1
			}
			return true
		}
		if k == lex.Select && f.head >= 0 { // ((SELECT …) UNION ALL SELECT …)
			f.shape, f.role, f.owner, f.block, f.item = query, fromItem, f.block, -1, -1
			return o.keyword(s, i, f, k)
		}
		return o.fromWord(s, i, f, k, next)
	}
	switch k {
	case lex.Select:
		if f.block >= 0 {
			b := &o.blocks[f.block]
			if b.parts[listClause].exists() {
				o.anotherSelect(s, i, f)
			} else {
				o.enter(f, listClause, i) // Hive: FROM t SELECT a
			}
			break
		}
		o.newBlock(s, i, f)
		o.enter(f, listClause, i)
	case lex.From:
		if s.Keyword(i-1) == lex.Distinct && (s.Keyword(i-2) == lex.Is || s.Keyword(i-2) == lex.Not) {
			break
		}
		switch {
		case f.block >= 0 && (f.clause == listClause || f.clause == noClause):
			o.enter(f, fromClause, i)
			f.expect, f.join = true, firstItem
		case f.block < 0 && f.op == lex.None && (i == s.Head && s.Verb == lex.From || s.Kind(i-1) == lex.LParen || f.with && s.Kind(i-1) == lex.RParen && s.Verb == lex.From):
			o.newBlock(s, i, f)
			o.enter(f, fromClause, i)
			f.expect, f.join = true, firstItem
		}
	case lex.Where:
		o.clause(f, whereClause, i)
	case lex.Prewhere:
		o.clause(f, prewhereClause, i)
	case lex.Having:
		o.clause(f, havingClause, i)
	case lex.Group:
		if next != lex.By {
			return false
		}
		o.clause(f, groupClause, i)
	case lex.Order:
		if next != lex.By {
			return false
		}
		if b := o.current(f); b != nil && b.order < 0 {
			b.order = int32(i)
		}
		o.clause(f, otherClause, i)
	case lex.Limit, lex.Fetch:
		if f.clause == listClause && f.block >= 0 && s.Kind(i+1) == lex.Comma {
			return false
		}
		if b := o.current(f); b != nil && b.limit < 0 {
			b.limit = int32(i)
		}
		o.clause(f, otherClause, i)
	case lex.Sort, lex.Distribute, lex.Cluster:
		if next != lex.By {
			return false
		}
		o.clause(f, otherClause, i)
	case lex.Window, lex.Qualify, lex.Settings, lex.Format, lex.For, lex.Returning, lex.Offset:
		if k == lex.Settings && f.block >= 0 && f.clause == listClause && s.Text(i+2) == "=" && s.Kind(i-1) != lex.Comma {
			o.clause(f, otherClause, i)
			break
		}
		if f.block >= 0 && f.clause != listClause && f.clause != noClause && !f.expect && s.Kind(i+1) != lex.Dot && s.Kind(i+1) != lex.Op {
			o.clause(f, otherClause, i)
			break
		}
		return false
	case lex.Union, lex.Except, lex.Intersect, lex.Minus:
		switch {
		case k == lex.Except && s.Kind(i-1) == lex.Star, s.Kind(i+1) == lex.Comma, s.Kind(i+1) == lex.Op:
			return false
		case f.block >= 0:
			b := &o.blocks[f.block]
			head := b.head
			o.closeBlock(f, i)
			f.head, f.op = head, k
		case f.branch >= 0:
			f.head, f.op = o.blocks[f.branch].head, k
		}
	case lex.With:
		if f.block < 0 && s.Kind(i+1) != lex.LParen {
			f.with = true
			return true
		}
		return f.block >= 0
	case lex.Insert:
		if f.block >= 0 && len(o.stack) == 1 && s.Kind(i+1) == lex.Word && (next == lex.Into || next == lex.Overwrite) {
			o.enter(f, otherClause, i)
			return true
		}
		return false
	case lex.Into:
		if f.block >= 0 && f.clause == listClause {
			o.enter(f, otherClause, i)
			f.clause = noClause // SELECT … INTO x FROM
		}
	case lex.On:
		if f.clause != fromClause { // ON DUPLICATE KEY UPDATE, ON CONFLICT
			if f.block >= 0 && f.clause != listClause {
				o.enter(f, otherClause, i)
			}
			return true
		}
		return o.fromWord(s, i, f, k, next)
	default:
		return o.fromWord(s, i, f, k, next)
	}
	return true
}

// current is the block that a trailing clause belongs to: the open one, or the first
// of a chain of brackets.
func (o *outline) current(f *frame) *block {
	switch {
	case f.block >= 0:
		return &o.blocks[f.block]
	case f.branch >= 0:
		return &o.blocks[f.branch]
	}
	return nil
}

func (o *outline) clause(f *frame, c clause, i int) {
	if f.block < 0 {
		return
	}
	if c == otherClause && f.clause == otherClause {
		return
	}
	o.enter(f, c, i)
}

// anotherSelect is the SELECT of a further INSERT that reads the same FROM, or one
// behind another without a set operation, which a template may fill in.
func (o *outline) anotherSelect(s *Statement, i int, f *frame) {
	before := f.block
	o.closeBlock(f, i)
	b := o.newBlock(s, i, f)
	if s.Verb == lex.From && o.blocks[before].parts[fromClause].exists() {
		b.first, b.last, b.count = o.blocks[before].first, o.blocks[before].last, o.blocks[before].count
		b.parts[fromClause] = o.blocks[before].parts[fromClause]
	}
	o.enter(f, listClause, i)
}

var joinWords = lex.SetOf(lex.Inner, lex.Left, lex.Right, lex.Full, lex.Cross, lex.Natural, lex.Semi, lex.Anti, lex.Outer,
	lex.Global, lex.Asof, lex.Array, lex.Any, lex.All)

// notAliases never name a table without AS.
var notAliases = lex.SetOf(lex.On, lex.Using, lex.Lateral, lex.Join, lex.StraightJoin, lex.Apply, lex.Tablesample, lex.Pivot, lex.Unpivot,
	lex.Final, lex.Sample, lex.Use, lex.Force, lex.Ignore, lex.Partition, lex.Set, lex.As, lex.With, lex.Values, lex.And, lex.Or, lex.Not,
	lex.Is, lex.In, lex.Like, lex.Rlike, lex.Regexp, lex.Between, lex.Null, lex.Case, lex.When, lex.Then, lex.Else, lex.End, lex.Exists, lex.If, lex.Interval, lex.Over)

// fromWord heeds a keyword inside a FROM clause.
func (o *outline) fromWord(s *Statement, i int, f *frame, k, next lex.Keyword) bool {
	if !f.inFrom() {
		return false
	}
	bracket := s.Kind(i+1) == lex.LParen
	switch k {
	case lex.Inner, lex.Left, lex.Right, lex.Full, lex.Cross, lex.Natural, lex.Semi, lex.Anti, lex.Outer, lex.Global, lex.Asof, lex.Array, lex.Any, lex.All:
		if f.expect && k == lex.Outer && s.Keyword(i-1) == lex.View {
			return true
		}
		if bracket || f.expect || !s.leadsToJoin(i) {
			return f.on >= 0
		}
		o.endOn(f, i)
		if !f.joining {
			f.join = innerJoin
		}
		f.joining = true
		f.lateral = false
		switch k {
		case lex.Left:
			f.join = leftJoin
		case lex.Right:
			f.join = rightJoin
		case lex.Full:
			f.join = fullJoin
		case lex.Cross:
			f.join = crossJoin
		case lex.Natural:
			f.join = naturalJoin
		case lex.Semi, lex.Anti:
			f.join = semiJoin
		case lex.Array:
			f.join = lateralJoin
		}
		if k == lex.Left || k == lex.Right || k == lex.Full { // NATURAL LEFT JOIN
			if s.Keyword(i-1) == lex.Natural {
				f.join = naturalJoin
			}
		}
	case lex.Join, lex.StraightJoin:
		if f.expect && f.source >= 0 || bracket && f.on >= 0 && s.Kind(i-1) != lex.Word {
			return false
		}
		o.endOn(f, i)
		if !f.joining {
			f.join = innerJoin
		}
		f.expect, f.joining, f.lateral, f.aliased = true, false, false, false
	case lex.Apply:
		if !f.joining {
			return false
		}
		f.join, f.expect, f.joining, f.aliased = lateralJoin, true, false, false
	case lex.Lateral:
		switch {
		case f.expect:
			f.join = lateralJoin
		case next == lex.View:
			o.endOn(f, i)
			f.join, f.joining = lateralJoin, false
			f.expect = true
		}
	case lex.View:
		if s.Keyword(i-1) != lex.Lateral {
			return false
		}
	case lex.Table:
		if f.expect && bracket {
			f.expect = false
			o.addSource(f, source{kind: functionSource, at: int32(i), name: noSpan, alias: -1, query: -1})
			return true
		}
		return false
	case lex.Values:
		if f.expect {
			f.expect = false
			o.addSource(f, source{kind: functionSource, at: int32(i), name: noSpan, alias: -1, query: -1})
			f.lateral = true
			return true
		}
		return false
	case lex.On:
		if f.source < 0 || f.expect {
			return false
		}
		f.lateral = false
		target := f.source
		const back = 16
		for n := 0; n < back && target >= 0 && (o.sources[target].on.exists() || o.sources[target].using); n++ {
			target = o.sources[target].prev
		}
		if target >= 0 && !o.sources[target].on.exists() {
			o.endOn(f, i)
			o.sources[target].on = span{int32(i + 1), int32(len(s.Tokens))}
			f.on = target
		}
	case lex.Using:
		if f.source >= 0 && !f.expect {
			o.sources[f.source].using = true
			f.lateral = !bracket // ClickHouse: USING a, b
		}
	default:
		return !f.expect && notAliases.Has(k) && s.Keyword(i-1) != lex.As
	}
	return true
}

// leadsToJoin reports whether JOIN or APPLY follows within the words of a join.
func (s *Statement) leadsToJoin(i int) bool {
	const far = 6
	for n := i + 1; n < i+far; n++ {
		switch k := s.Keyword(n); {
		case k == lex.Join || k == lex.Apply:
			return true
		case k == lex.None || !joinWords.Has(k):
			return false
		}
	}
	return false
}
