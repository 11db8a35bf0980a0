// Package unittest checks the test reports that come with a package: JUnit XML
// as Surefire, Failsafe, Gradle, pytest and many others write it. Its sub-task
// type is UNIT_TEST.
//
// A report is recognised by its root element, testsuite or testsuites, not by
// its name; only a file that is no XML at all must bear a report's usual name or
// stand in a usual folder to be called a broken report.
//
// Reports are read as a stream (decode.go) and handed to the rules (rules.go)
// case by case, so memory does not grow with the number of tests. What runners
// really write comes first (text.go): XML 1.1, GBK under the name of UTF-8, and
// control characters that a test printed are read, not reported.
//
// It refuses what XML would let a stranger do here: entities are never
// expanded, a document type that declares any makes the report malformed, and
// nothing is ever fetched. What goes over [Limits] is degraded coverage.
package unittest
