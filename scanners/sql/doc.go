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
// It does not parse expressions, resolve columns or run anything, and it never
// fills in a template.
//
// # Where to start
//
//	text ──lex──▶ tokens ──splitter──▶ Statement ──rules──▶ hits ──file──▶ findings
//
// [Rules] is the table of rules: one entry with its reasons and examples, and one
// small function over a [Statement], for each. The way of one file is in file.go:
// it is read in the first of a few [lex.Options] in which everything that is
// opened is closed, hits are put in order, suppressed by noqa comments, and given
// lines and columns. [New] makes the scanner.
package sql
