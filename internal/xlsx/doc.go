// Package xlsx reads .xlsx and .xlsm workbooks row by row.
//
//	r ─ Open ─▶ Workbook ─ Rows(sheet) ─▶ Next/Row … ─▶ Merged, HiddenColumns
//	    (magic, zip,       (one pass over the sheet's bytes; shared strings
//	     workbook, rels,    are read as far as the rows need them)
//	     styles, links)
//
// It tells what checkers ask and others leave out: hidden sheets, rows and
// columns, merged ranges, which cells are formulas and whether their last value
// is kept, which numbers are dates, macros and links to other workbooks. It
// computes nothing, formats nothing and writes nothing.
//
// What it promises, for any bytes whatever: an answer within the [Limits], in
// time linear in the bytes unpacked, and memory that does not depend on the
// number of rows. Only the shared strings are kept, up to a limit of their own;
// rows and cells that a sheet leaves out cost nothing, so a single cell at
// XFD1048576 is one cell.
//
// What it refuses, with an [*Error]: anything that Excel would not open without
// repairing it (broken or truncated XML, cells out of order, parts that are
// missing, named twice or used for two sheets), document type declarations and
// entities of one's own, and what is over a limit. Any other error says that
// the source could not be read, or that ctx ended: nothing about the workbook.
//
// Start with [Open] or [OpenFile], then [Workbook.Rows].
package xlsx
