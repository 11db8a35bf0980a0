// Package sql is the scanner of type SQL: it checks the SQL files of a package,
// whatever their dialect.
//
// # What it promises
//
// It reads every file as what it is, a template in one of several dialects, and
// would rather miss something than accuse wrongly. A statement that it does not
// understand is degraded coverage and never a finding; SQL000 says only that
// something was opened and never closed, or that the bytes are no text. Work and
// memory are linear in the size of a file, also for hostile ones. Messages and
// anchors never repeat a literal of the text, since it may be a secret.
//
// # What it refuses
//
// It does not parse expressions or run anything, it never fills in a template, and of
// columns it knows what the package's own CREATE TABLE says.
//
// # Where to start
//
//	                     ┌─▶ first pass: dialect, tables of the package
//	text ──lex──▶ tokens ┴─splitter─▶ Statement ──rules──▶ hits ──file──▶ findings
//	                                   │
//	                                   ├ outline: query blocks, sources, conditions
//	                                   ├ definition: CREATE TABLE
//	                                   └ insertions: INSERT
//
// The table of rules is in rules.go: one entry with its reasons and examples, and one
// small function over a [Statement], for each. The way of one text is in file.go: it is
// read in the first of a few [lex.Options] in which everything that is opened is
// closed, hits are put in order, suppressed by noqa comments, and given lines and
// columns. A text is a file, or a piece of a script, a workflow or a workbook
// (embedded.go). [New] makes the scanner.
//
// Rules that look at tokens again and again pay for it from a budget of the statement
// (Statement.spend), and are silent when it is used up: that keeps all of it linear.
package sql
