package unittest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// caseID names a test case of a package: its suite, class and name.
type caseID [16]byte

func idOf(parts ...string) caseID {
	room := make([]byte, 0, 512)
	for _, p := range parts {
		room = append(binary.AppendUvarint(room, uint64(len(p))), p...)
	}
	sum := sha256.Sum256(room)
	return caseID(sum[:16])
}

// outcome of a case. A greater one outweighs a smaller one where a case is told
// twice.
type outcome uint8

const (
	skippedTest outcome = iota
	passedTest
	failedTest
)

// told is where a case was told of first, and how it came out at worst.
type told struct {
	file    int32
	outcome outcome
	flaky   bool
}

// totals are counts, never percentages: those of several reports add up.
type totals struct{ tests, failed, skipped int }

func (t *totals) add(o outcome, n int) {
	t.tests += n
	switch o {
	case failedTest:
		t.failed += n
	case skippedTest:
		t.skipped += n
	}
}

func (t *totals) plus(o totals) {
	t.tests += o.tests
	t.failed += o.failed
	t.skipped += o.skipped
}

// check is told what the reports of a package hold and says what is wrong.
// Findings of one report go out sorted by line when it ends.
type check struct {
	out      scanners.Findings
	limits   Limits
	settings Settings

	path    string
	is      format
	file    int32 // ordinal of the report
	paths   []string
	found   []pending
	anchors map[string]int
	// withdrawn are failures in found that another try has undone.
	withdrawn map[caseID]bool

	seen   map[caseID]told
	of     fileCounts
	totals totals

	units    map[caseID]measured
	covered  measured
	measures int // units of the report at hand
	forgot   bool

	testReports, coverageReports, dbtReports int
	lastTests, lastCoverage                  string // path of the last report of the kind
	newest                                   *zippkg.File
	partial                                  bool // some report was not read to its end
}

// fileCounts are those of the report at hand.
type fileCounts struct {
	cases  int
	all    totals // as if none had been told before
	change totals // what it changes if those that other reports told count once
	again  int    // cases that another report told
	other  int32  // one such report
}

// pending is a finding of the report at hand.
type pending struct {
	report.Finding
	id    caseID
	again bool // another report has told the same
}

func newCheck(out scanners.Findings, limits Limits, settings Settings) *check {
	return &check{out: out, limits: limits, settings: settings, seen: map[caseID]told{}, units: map[caseID]measured{}}
}

// begin a report.
func (c *check) begin(file *zippkg.File, is format) {
	c.path, c.is, c.file = file.Path, is, int32(len(c.paths))
	c.paths = append(c.paths, file.Path)
	c.anchors, c.withdrawn = map[string]int{}, map[caseID]bool{}
	c.of, c.measures, c.forgot = fileCounts{}, 0, false
	switch {
	case is.tests():
		c.testReports++
		c.lastTests = file.Path
		if is == dbt {
			c.dbtReports++
		}
	default:
		c.coverageReports++
		c.lastCoverage = file.Path
	}
	if dated(file) && (c.newest == nil || file.Modified.After(c.newest.Modified)) {
		c.newest = file
	}
}

// mostKept is how many findings of one report wait to be sorted. In a report
// with more, order is kept within each such portion.
const mostKept = report.MaxFindings

func (c *check) add(r *report.Rule, line int, pointer, anchor string, message report.Text) *pending {
	if len(c.found) == mostKept {
		c.flush()
	}
	nth := r.ID + "|" + anchor
	if c.anchors[nth]++; c.anchors[nth] > 1 {
		anchor += fmt.Sprintf("#%d", c.anchors[nth])
	}
	c.found = append(c.found, pending{Finding: report.Finding{
		Rule: r.ID, Severity: r.Severity, Message: message, Path: c.path, Line: line, Pointer: pointer, Anchor: anchor,
	}})
	return &c.found[len(c.found)-1]
}

func (c *check) flush() {
	slices.SortStableFunc(c.found, func(a, b pending) int { return a.Line - b.Line })
	for _, f := range c.found {
		if f.again && c.duplicate() || f.Rule == failingTest.ID && c.withdrawn[f.id] {
			continue
		}
		c.out.Add(f.Finding)
	}
	c.found = c.found[:0]
}

// duplicate reports whether the report at hand repeats another: half of its cases
// are told there. Fewer are taken for tests of one name in different modules.
func (c *check) duplicate() bool { return c.of.again > 0 && 2*c.of.again >= c.of.cases }

// end a report. A fault says why it was not read to its end: nil, *malformed or
// *overLimitError.
func (c *check) end(fault error) {
	c.partial = c.partial || fault != nil
	var bad *malformed
	if errors.As(fault, &bad) {
		c.add(&malformedReport, bad.line, "", "report", report.Text{
			En: fmt.Sprintf("The report is malformed in line %d: %s.", bad.line, bad.detail.En),
			Zh: fmt.Sprintf("报告第 %d 行格式错误：%s。", bad.line, bad.detail.Zh),
		})
	}
	if c.duplicate() {
		c.totals.plus(c.of.change)
		other := c.paths[c.of.other]
		c.add(&duplicateReport, 1, "", "duplicate of "+other, report.Text{
			En: fmt.Sprintf("Of its %[2]d test cases, %[1]d stand in %[3]s too; they were counted once. Deliver each report once.", c.of.again, c.of.cases, other),
			Zh: fmt.Sprintf("其 %d 个用例中有 %d 个已见于 %s，只计一次；每份报告只需提供一次。", c.of.cases, c.of.again, other),
		})
	} else {
		c.totals.plus(c.of.all)
	}
	c.flush()
}

// unsure says what was not understood of the report that has ended, or nothing.
func (c *check) unsure() report.Text {
	switch {
	case c.forgot:
		return report.Text{
			En: fmt.Sprintf("the package tells of more than %d tests or units of code; those beyond are not compared with others, so some may count twice", c.limits.Remembered),
			Zh: fmt.Sprintf("安装包中的测试或代码单元超过 %d 个，超出部分未去重，可能重复计数", c.limits.Remembered),
		}
	case !c.is.tests() && c.measures == 0:
		return report.Text{
			En: "it is a coverage report, but says of no lines whether they were covered",
			Zh: "这是覆盖率报告，但没有任何代码行的覆盖数据",
		}
	}
	return report.Text{}
}

func (c *check) testCase(t testCase) (repeated bool) {
	came := passedTest
	switch {
	case len(t.Problems) > 0:
		came = failedTest
	case t.Skipped:
		came = skippedTest
	}
	id := idOf(t.Suite, t.Class, t.Name)
	before, known := c.seen[id]
	switch {
	case !known && len(c.seen) == c.limits.Remembered:
		c.forgot = true
	case !known:
		c.seen[id] = told{c.file, came, t.Flaky}
	case before.file == c.file && t.Retried:
		c.retried(t, id, before, came)
		return true
	default:
		c.seen[id] = told{before.file, max(before.outcome, came), before.flaky || t.Flaky}
	}
	again := known && before.file != c.file
	c.of.cases++
	c.of.all.add(came, 1)
	switch {
	case !again:
		c.of.change.add(came, 1)
	case before.outcome < came:
		c.of.change.add(before.outcome, -1)
		c.of.change.add(came, 1)
	}
	if again {
		c.of.again++
		c.of.other = before.file
	}
	if t.Flaky && came != failedTest {
		c.flaky(t, id, again && before.flaky)
	}
	if came == failedTest && !t.Echo {
		c.failing(t, id, again && before.outcome == failedTest)
	}
	return known && !again
}

// retried: a case that was told in this report comes again. What passes in the end
// has passed, and is flaky if it ever failed.
func (c *check) retried(t testCase, id caseID, before told, came outcome) {
	switch {
	case before.outcome == failedTest && came == passedTest:
		c.withdrawn[id] = true
		c.flaky(t, id, false)
	case before.outcome == passedTest && came == failedTest:
		if c.withdrawn[id] {
			delete(c.withdrawn, id) // it has been told
		} else if !t.Echo {
			c.failing(t, id, false)
		}
	case before.outcome == came:
		return
	}
	c.seen[id] = told{before.file, came, before.flaky}
	for _, t := range []*totals{&c.of.all, &c.of.change} {
		t.add(before.outcome, -1)
		t.add(came, 1)
	}
}

func anchorOf(t testCase) string { return strings.Join([]string{t.Suite, t.Class, t.Name}, "|") }

// called is what people call a case, and where it is written.
func called(t testCase) (name, at string) {
	name = t.Name
	if t.Class != "" {
		name = t.Class + "." + t.Name
	}
	if t.SourceFile != "" {
		at = " (" + t.SourceFile
		if t.SourceLine != "" {
			at += ":" + t.SourceLine
		}
		at += ")"
	}
	return name, at
}

func (c *check) failing(t testCase, id caseID, again bool) {
	// A case may fail and then break while it is cleaned up: one finding.
	name, at := called(t)
	verbEn, verbZh := "fails", "失败"
	if t.Problems[0].Kind == "error" {
		verbEn, verbZh = "ends in an error", "出错"
	}
	said := describe(t.Problems)
	f := c.add(&failingTest, t.Line, t.Pointer, anchorOf(t), report.Text{
		En: fmt.Sprintf("Test %s%s %s%s.", name, at, verbEn, prefixed(": ", said)),
		Zh: fmt.Sprintf("用例 %s%s %s%s。", name, at, verbZh, prefixed("：", said)),
	})
	f.id, f.again = id, again
}

func (c *check) flaky(t testCase, id caseID, again bool) {
	name, at := called(t)
	f := c.add(&flakyTest, t.Line, t.Pointer, anchorOf(t), report.Text{
		En: fmt.Sprintf("Test %s%s failed and passed when it was run again; find out what it depends on.", name, at),
		Zh: fmt.Sprintf("用例 %s%s 先失败、重跑后通过，结果不稳定，请查明其依赖。", name, at),
	})
	f.id, f.again = id, again
}

func describe(problems []problem) string {
	var all []string
	for _, p := range problems {
		switch {
		case p.Message == "":
			all = append(all, p.Type)
		case p.Type == "" || strings.HasPrefix(p.Message, p.Type):
			all = append(all, p.Message)
		default:
			all = append(all, p.Type+": "+p.Message)
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	return strings.TrimRight(spoken(strings.Join(all, "; ")), ".")
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// suiteEnd reports failures that belong to no case: those of the suite itself
// (a class that could not be set up), and those that only its counters know; and
// counters that do not fit what it holds.
func (c *check) suiteEnd(s suite) int {
	name := s.Name
	if name == "" {
		name = "(unnamed)"
	}
	// A sum may count inner suites or not, and some writers show a case twice that
	// failed in itself and in its cleaning up.
	fits := s.ClaimedTests < 0 || s.ClaimedTests >= s.Cases-s.Repeated && s.ClaimedTests <= s.Cases || s.ClaimedTests == s.OwnCases
	if !fits && s.Inner == 0 {
		c.add(&wrongCounters, s.Line, s.Pointer, s.Name+"|counters", report.Text{
			En: fmt.Sprintf("The counter of suite %s says %d tests, and its test cases are %d; write the report anew from one complete run.", name, s.ClaimedTests, s.Cases),
			Zh: fmt.Sprintf("测试套件 %s 声明 %d 个用例，实际包含 %d 个；请用一次完整的运行重新生成报告。", name, s.ClaimedTests, s.Cases),
		})
	}
	hidden := max(len(s.Own), s.ClaimedProblems-s.Problems, 0)
	if s.Cases == 0 && s.Inner == 0 && s.ClaimedTests > 0 {
		// Only its counters are left: they are what there is to count.
		t := totals{tests: s.ClaimedTests, failed: min(hidden, s.ClaimedTests)}
		t.skipped = min(max(s.ClaimedSkipped, 0), t.tests-t.failed)
		c.of.all.plus(t)
		c.of.change.plus(t)
	} else {
		c.of.all.add(failedTest, hidden)
		c.of.change.add(failedTest, hidden)
	}
	if hidden == 0 {
		return 0
	}
	said := describe(s.Own)
	message := report.Text{
		En: fmt.Sprintf("Suite %s counts failures that no test case shows: %d%s.", name, hidden, prefixed(": ", said)),
		Zh: fmt.Sprintf("测试套件 %s 有未在任何用例中体现的失败：%d 个%s。", name, hidden, prefixed("：", said)),
	}
	switch c.is {
	case goTest:
		message = report.Text{
			En: fmt.Sprintf("Package %s fails outside of its tests%s.", name, prefixed(": ", said)),
			Zh: fmt.Sprintf("包 %s 在用例之外失败%s。", name, prefixed("：", said)),
		}
	case dbt:
		message = report.Text{
			En: fmt.Sprintf("%s could not be built%s.", name, prefixed(": ", said)),
			Zh: fmt.Sprintf("%s 构建失败%s。", name, prefixed("：", said)),
		}
	}
	c.add(&failingTest, s.Line, s.Pointer, s.Name+"|suite", message)
	return hidden
}

func (c *check) measure(identity string, m measured) {
	if m.Lines == 0 && m.Branches == 0 {
		return
	}
	c.measures++
	m.LinesCovered, m.BranchesCovered = min(m.LinesCovered, m.Lines), min(m.BranchesCovered, m.Branches)
	id := idOf(identity)
	before, known := c.units[id]
	if !known && len(c.units) == c.limits.Remembered {
		c.forgot = true
	} else {
		c.units[id] = measured{max(m.Lines, before.Lines), max(m.LinesCovered, before.LinesCovered), max(m.Branches, before.Branches), max(m.BranchesCovered, before.BranchesCovered)}
	}
	c.covered.Lines += max(m.Lines-before.Lines, 0)
	c.covered.LinesCovered += max(m.LinesCovered-before.LinesCovered, 0)
	c.covered.Branches += max(m.Branches-before.Branches, 0)
	c.covered.BranchesCovered += max(m.BranchesCovered-before.BranchesCovered, 0)
}

// finish is called after the last report, and says what is wrong with all of them
// together.
func (c *check) finish(pkg *zippkg.Package) {
	c.of = fileCounts{}
	t := c.totals
	if t.tests == 0 && !c.partial && c.testReports > 0 {
		c.noTests()
	}
	if ran := t.tests - t.skipped; ran > 0 && share(ran-t.failed, ran) < c.settings.PassRate {
		skippedEn, skippedZh := "", ""
		if t.skipped > 0 {
			skippedEn, skippedZh = fmt.Sprintf("; %d more were skipped", t.skipped), fmt.Sprintf("，另有 %d 个跳过", t.skipped)
		}
		c.whole(&passRate, c.only(c.testReports, c.lastTests), report.Text{
			En: fmt.Sprintf("%s%% of the tests that ran pass (%d of %d%s); at least %s%% should. Mend those that fail.", percent(ran-t.failed, ran), ran-t.failed, ran, skippedEn, threshold(c.settings.PassRate)),
			Zh: fmt.Sprintf("用例通过率为 %s%%（%d/%d%s），应不低于 %s%%；请修复失败的用例。", percent(ran-t.failed, ran), ran-t.failed, ran, skippedZh, threshold(c.settings.PassRate)),
		})
	}
	if t.tests > 0 && share(t.skipped, t.tests) > c.settings.MaxSkipped {
		c.whole(&manySkipped, c.only(c.testReports, c.lastTests), report.Text{
			En: fmt.Sprintf("%d of %d tests are skipped, more than %s%%; run them or remove them.", t.skipped, t.tests, threshold(c.settings.MaxSkipped)),
			Zh: fmt.Sprintf("%d 个用例中有 %d 个被跳过，超过 %s%%；请执行或删除这些用例。", t.tests, t.skipped, threshold(c.settings.MaxSkipped)),
		})
	}
	c.coverage()
	c.ages(pkg)
}

func (c *check) noTests() {
	r := noTests
	message := report.Text{En: "The test report holds not a single test.", Zh: "测试报告中没有任何用例。"}
	if c.testReports > 1 {
		message = report.Text{
			En: fmt.Sprintf("The %d test reports of the package hold not a single test.", c.testReports),
			Zh: fmt.Sprintf("安装包中的 %d 份测试报告没有任何用例。", c.testReports),
		}
	}
	if c.dbtReports == c.testReports {
		// A dbt run without tests is complete in itself.
		r.Severity = report.Warning
		message = report.Text{
			En: "The results of dbt are of models only, without a single test; run dbt build or dbt test.",
			Zh: "dbt 结果中只有模型，没有任何测试；请执行 dbt build 或 dbt test。",
		}
	}
	c.whole(&r, c.only(c.testReports, c.lastTests), message)
}

func (c *check) coverage() {
	m, s := c.covered, c.settings
	of := c.only(c.coverageReports, c.lastCoverage)
	if m.Lines > 0 {
		r, least := lowLines, s.LineCoverage.Error
		got := share(m.LinesCovered, m.Lines)
		if got >= least {
			r.Severity, least = report.Warning, s.LineCoverage.Warning
		}
		if got < least {
			c.whole(&r, of, report.Text{
				En: fmt.Sprintf("Tests cover %s%% of the lines (%d of %d); at least %s%% should be covered.", percent(m.LinesCovered, m.Lines), m.LinesCovered, m.Lines, threshold(least)),
				Zh: fmt.Sprintf("行覆盖率为 %s%%（%d/%d），应不低于 %s%%；请补充测试。", percent(m.LinesCovered, m.Lines), m.LinesCovered, m.Lines, threshold(least)),
			})
		}
	}
	if m.Branches > 0 && share(m.BranchesCovered, m.Branches) < s.BranchCoverage {
		c.whole(&lowBranches, of, report.Text{
			En: fmt.Sprintf("Tests cover %s%% of the branches (%d of %d); at least %s%% should be covered.", percent(m.BranchesCovered, m.Branches), m.BranchesCovered, m.Branches, threshold(s.BranchCoverage)),
			Zh: fmt.Sprintf("分支覆盖率为 %s%%（%d/%d），应不低于 %s%%；请补充测试。", percent(m.BranchesCovered, m.Branches), m.BranchesCovered, m.Branches, threshold(s.BranchCoverage)),
		})
	}
}

// ages compares the reports with the code by what the zip says of their times.
func (c *check) ages(pkg *zippkg.Package) {
	code := codeOf(pkg, c.settings)
	if c.testReports+c.coverageReports == 0 {
		if c.settings.CodeNeedsReport && code.worthTesting {
			c.whole(&missingReport, "", report.Text{
				En: fmt.Sprintf("The package holds code (files: %d, such as %s) and no test report; deliver the report of its tests with it.", code.files, code.first),
				Zh: fmt.Sprintf("安装包含有代码（%d 个文件，如 %s），但没有单元测试报告；请随包提供。", code.files, code.first),
			})
		}
		return
	}
	if c.settings.MaxAgeDays == 0 || code.newest == nil || c.newest == nil {
		return
	}
	late := code.newest.Modified.Sub(c.newest.Modified)
	if days := int(late / (24 * time.Hour)); late > time.Duration(c.settings.MaxAgeDays)*24*time.Hour {
		c.whole(&oldReport, c.newest.Path, report.Text{
			En: fmt.Sprintf("Not even the newest report tells of the code as it is: %s was changed %d days after it; run the tests again.", code.newest.Path, days),
			Zh: fmt.Sprintf("报告已过时：%s 在最新一份报告生成 %d 天之后仍有修改；请重新运行测试。", code.newest.Path, days),
		})
	}
}

// only is the path of the last report when it is the only one.
func (c *check) only(reports int, last string) string {
	if reports == 1 {
		return last
	}
	return ""
}

// whole adds what concerns all reports, or the only one.
func (c *check) whole(r *report.Rule, path string, message report.Text) {
	f := report.Finding{Rule: r.ID, Severity: r.Severity, Message: message, Path: path, Anchor: "reports"}
	if path != "" {
		f.Line = 1
	}
	c.out.Add(f)
}

// share is a percentage.
func share[N int | int64](part, of N) float64 { return 100 * float64(part) / float64(of) }

// percent is a share with one digit, rounded down: 99.96 is not 100.
func percent[N int | int64](part, of N) string {
	return fmt.Sprintf("%.1f", math.Floor(10*share(part, of))/10)
}

func threshold(p float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", p), ".0") }

func rulesDigest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", rulesVersion)
	for _, r := range Rules() {
		fmt.Fprintf(h, "%s %s %q\n", r.ID, r.Severity, r.Message)
	}
	return hex.EncodeToString(h.Sum(nil))
}
