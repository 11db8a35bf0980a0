// Package excel checks the Excel workbooks in which scheduling jobs are
// delivered: which jobs there are, when they run, what they run, and what they
// wait for. Its sub-task type is EXCEL.
//
// The way of a package through it:
//
//	file ─ xlsx.OpenFile ─▶ rows ─ template.recognise ─▶ table ─▶ delivery ─ rules ─▶ findings
//	       (sizes, magic,          (header aliases:               (all jobs of the
//	        well-formedness)        job or dependency table)       package, their keys
//	                                                               and references)
//
// A table is found by its headers, not by its sheet's name: the template knows
// each field by many names in two languages. Which names, words and values there
// are is a profile in YAML, of which default.yaml is the default; the settings of
// the type are laid over it. Jobs and dependencies are known across all sheets
// and workbooks of a package before a rule looks at any of them.
//
// A rule is one small function and one entry in the table of catalogue.go, with
// two examples in catalogue/; that table is where to start.
//
// It promises bounded memory: workbooks are read as a stream, one at a time, what
// is kept of them is limited by [Limits], and whatever goes over a limit is
// reported as degraded coverage. It refuses to guess: a workbook that cannot be
// read, or ends in broken XML, is a finding and never an empty table. What is
// merely in doubt accuses nobody: a path on a server, a name that is a formula, a
// word for on or off that the profile does not have. Passwords are found and
// never repeated, not even in anchors.
package excel
