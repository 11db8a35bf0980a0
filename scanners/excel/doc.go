// Package excel checks the Excel workbooks in which scheduling jobs are
// delivered: which jobs there are, when they run, and what they wait for. Its
// sub-task type is EXCEL.
//
// The way of a package through it:
//
//	file ─ openWorkbook ─▶ workbook ─ template.recognise ─▶ table ─▶ delivery ─ rules ─▶ findings
//	       (sizes, magic,             (header aliases:               (all jobs of the
//	        well-formedness)           job or dependency table)       package, their keys
//	                                                                  and references)
//
// A table is found by its headers, not by its sheet's name: the template
// (template.go) knows each field by many names in two languages. Jobs and
// dependencies are known across all sheets and workbooks of a package before a
// rule looks at any of them.
//
// A rule is one small function and one entry in the table of rules.go; that
// table is where to start.
//
// It promises bounded memory: one workbook is open at a time, what is kept of
// it is limited by [Limits], and whatever goes over a limit is reported as
// degraded coverage. It refuses to guess: a workbook that cannot be read, or
// ends in broken XML, is a finding and never an empty table.
package excel
