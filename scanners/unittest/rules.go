package unittest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

// rulesVersion is raised when a rule's code changes what it finds; with the
// table below it makes the rules' digest.
const rulesVersion = "2"

type rule struct {
	id        string
	severity  report.Severity
	rationale report.Text
}

var (
	failingTest = rule{"UT001", report.Error, report.Text{
		En: "A test that fails is a defect somebody already knows about.",
		Zh: "失败的用例意味着已知的缺陷。",
	}}
	noTests = rule{"UT003", report.Error, report.Text{
		En: "A report without a single test proves nothing, however green it is.",
		Zh: "没有任何用例的报告证明不了任何事情。",
	}}
	malformedReport = rule{"UT009", report.Error, report.Text{
		En: "A broken report may hide failures; usually the test run was cut off.",
		Zh: "损坏的报告可能掩盖失败，通常是测试运行被中断所致。",
	}}
	rules = []rule{failingTest, noTests, malformedReport}
)

func rulesDigest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", rulesVersion)
	for _, r := range rules {
		fmt.Fprintf(h, "%s %s %q %q\n", r.id, r.severity, r.rationale.En, r.rationale.Zh)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// check is told what the reports of a package hold and says what is wrong.
// Findings of one report go out sorted by line when it ends.
type check struct {
	out     scanners.Findings
	path    string
	found   []report.Finding
	anchors map[string]int

	cases   int  // of all reports, really found
	claimed int  // the highest counter of any suite
	partial bool // some report was not read to its end
}

func newCheck(out scanners.Findings) *check {
	return &check{out: out}
}

// begin a report.
func (c *check) begin(path string) {
	c.path = path
	c.anchors = map[string]int{}
}

// mostKept is how many findings of one report wait to be sorted. In a report
// with more, order is kept within each such portion.
const mostKept = report.MaxFindings

func (c *check) add(r rule, line int, pointer, anchor string, message report.Text) {
	if c.anchors[anchor]++; c.anchors[anchor] > 1 {
		anchor += fmt.Sprintf("#%d", c.anchors[anchor])
	}
	c.found = append(c.found, report.Finding{
		Rule: r.id, Severity: r.severity, Message: message, Path: c.path, Line: line, Pointer: pointer, Anchor: anchor,
	})
	if len(c.found) == mostKept {
		c.flush()
	}
}

func (c *check) flush() {
	slices.SortStableFunc(c.found, func(a, b report.Finding) int { return a.Line - b.Line })
	for _, f := range c.found {
		c.out.Add(f)
	}
	c.found = c.found[:0]
}

// end a report. A fault says why it was not read to its end: nil, *malformed or
// *overLimitError.
func (c *check) end(fault error) {
	c.partial = c.partial || fault != nil
	var bad *malformed
	if errors.As(fault, &bad) {
		c.add(malformedReport, bad.line, "", "report", report.Text{
			En: fmt.Sprintf("The test report is malformed in line %d: %s.", bad.line, bad.detail.En),
			Zh: fmt.Sprintf("测试报告第 %d 行格式错误：%s。", bad.line, bad.detail.Zh),
		})
	}
	c.flush()
}

func (c *check) testCase(t testCase) {
	c.cases++
	if len(t.Problems) == 0 {
		return
	}
	// A case may fail and then break while it is cleaned up: one finding.
	name := t.Name
	if t.Class != "" {
		name = t.Class + "." + t.Name
	}
	at := ""
	if t.SourceFile != "" {
		at = " (" + t.SourceFile
		if t.SourceLine != "" {
			at += ":" + t.SourceLine
		}
		at += ")"
	}
	verbEn, verbZh := "fails", "失败"
	if t.Problems[0].Kind == "error" {
		verbEn, verbZh = "ends in an error", "出错"
	}
	said := describe(t.Problems)
	c.add(failingTest, t.Line, t.Pointer, strings.Join([]string{t.Suite, t.Class, t.Name}, "|"), report.Text{
		En: fmt.Sprintf("Test %s%s %s%s.", name, at, verbEn, prefixed(": ", said)),
		Zh: fmt.Sprintf("用例 %s%s %s%s。", name, at, verbZh, prefixed("：", said)),
	})
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
	return strings.TrimRight(clip(strings.Join(all, "; "), maxMessage), ".")
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// suiteEnd reports failures that belong to no case: those of the suite itself
// (a class that could not be set up), and those that only its counters know.
func (c *check) suiteEnd(s suite) int {
	c.claimed = max(c.claimed, s.ClaimedTests)
	hidden := max(len(s.Own), s.ClaimedProblems-s.Problems)
	if hidden <= 0 {
		return 0
	}
	name := s.Name
	if name == "" {
		name = "(unnamed)"
	}
	said := describe(s.Own)
	c.add(failingTest, s.Line, s.Pointer, s.Name+"|suite", report.Text{
		En: fmt.Sprintf("Suite %s counts failures that no test case shows: %d%s.", name, hidden, prefixed(": ", said)),
		Zh: fmt.Sprintf("测试套件 %s 有未在任何用例中体现的失败：%d 个%s。", name, hidden, prefixed("：", said)),
	})
	return hidden
}

// finish is called after the last report; paths are those of all of them.
func (c *check) finish(paths []string) {
	if c.cases > 0 || c.claimed > 0 || c.partial || len(paths) == 0 {
		return
	}
	f := report.Finding{Rule: noTests.id, Severity: noTests.severity, Anchor: "reports"}
	if len(paths) == 1 {
		f.Path, f.Line = paths[0], 1
		f.Message = report.Text{En: "The test report holds not a single test.", Zh: "测试报告中没有任何用例。"}
	} else {
		f.Message = report.Text{
			En: fmt.Sprintf("The %d test reports of the package hold not a single test.", len(paths)),
			Zh: fmt.Sprintf("安装包中的 %d 份测试报告没有任何用例。", len(paths)),
		}
	}
	c.out.Add(f)
}
