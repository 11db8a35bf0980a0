// Package unittest checks the reports of tests and of their coverage that come with
// a package. Its sub-task type is UNIT_TEST.
//
//	tests     JUnit XML (Surefire, Gradle, pytest, …), go test -json, dbt run_results.json
//	coverage  JaCoCo, Cobertura, lcov, cover profiles of Go
//
// A report is recognised by what it holds (recognise.go), not by its name; only a
// file that cannot be read as far as that must bear a report's usual name or stand
// in a usual folder to be called a broken report. A package with code that should
// have tests, and no report, is the scanner's business too ([Settings]).
//
// Reports are read as a stream (decode.go, gotest.go, coverage.go) and handed to
// the rules (check.go) case by case, so memory does not grow with a report; of all
// cases and units of code only hashes are kept, so that nothing counts twice. What
// runners really write comes first (text.go): XML 1.1, GBK under the name of UTF-8,
// UTF-16, and control characters that a test printed are read, not reported.
//
// Numbers of several reports are added up; percentages are never averaged. Age is a
// matter of the times in the zip: no clock is asked.
//
// It refuses what XML would let a stranger do here: entities are never
// expanded, a document type that declares any makes the report malformed, and
// nothing is ever fetched. What goes over [Limits] is degraded coverage.
package unittest
