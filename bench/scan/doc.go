// Command scan measures the scanners beside their peers in one rotating run:
//
//	sql      all rules      pg_query (cgo, syntax trees), node-sql-parser, sqlfluff lint
//	openapi  all rules      spectral (spectral:oas)
//	xlsx     rows           excelize, row by row; both also on a tenth of the rows
//	zip      every byte     archive/zip's plain inflate
//
// Each turn is a process of its own on one core (GOMAXPROCS=1 for those in Go), so
// that its peak memory is its own. Each side repeats its work on a text of the size
// that its speed allows and says how long the work alone took; sqlfluff and spectral
// are commands, and their whole run is counted, on texts that make it long. All read
// the same kind of text, which any of them understands. Absolute figures are this
// machine's; only ratios within a run mean something.
package main
