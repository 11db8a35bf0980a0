package task

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
)

// Limits of what a scanner says in a fact.
const (
	maxCode     = 64
	maxNames    = 200 // bytes of each of a scanner's names and digests
	maxDegraded = 1000
	maxPath     = 1024 // bytes
	maxSaid     = 600  // characters of a reason
)

// Honest refuses a scanner's fact that contradicts itself, or leaves out what people
// need to understand it: a decline without a reason, a pass that read nothing, findings
// that nobody can read up. Scanners over HTTP are held to it before their facts are
// recorded; what is recorded already is never asked. The rules are fact.shape,
// fact.result, fact.coverage and fact.report. Facts of others pass.
func Honest(f Fact) error {
	switch f := f.(type) {
	case SubTaskDeclined:
		return firstError(honestCode(f.Code), honestReason("reason", f.Reason, true), honestReason("reasonZh", f.ReasonZH, false), honestScanner(f.Scanner))
	case SubTaskStarted:
		return firstError(honestAttempt(f.Attempt), honestScanner(f.Scanner), honestReason("reason", f.Reason, false), honestReason("reasonZh", f.ReasonZH, false))
	case SubTaskCompleted:
		return firstError(honestAttempt(f.Attempt), honestResult(f), honestCounts(f.Summary), honestCoverage(f.Coverage),
			coveredSomething(f.Coverage), honestReport(f.Report, f.Summary), honestDuration(f.DurationMS))
	case SubTaskFailed:
		return honestFailure(f)
	case ZipUploaded, MainTaskCreated, SubTaskRetryRequested, WindowClosed, MainTaskConverged, MainTaskCancelled, SubTaskDiscarded, SubTaskConsidered, Unreadable:
	}
	return nil
}

func honestFailure(f SubTaskFailed) error {
	err := firstError(honestAttempt(f.Attempt), honestReason("reason", f.Reason, true), honestReason("reasonZh", f.ReasonZH, false), honestDuration(f.DurationMS))
	if err != nil {
		return err
	}
	var counts report.Counts
	if f.Summary != nil {
		counts = *f.Summary
	}
	if f.Coverage != nil {
		err = honestCoverage(*f.Coverage)
	}
	if err = firstError(err, honestCounts(counts), honestReport(f.Report, counts)); err != nil {
		return err
	}
	switch {
	case f.Kind != Check && f.Kind != Error:
		return dishonest("result", fmt.Sprintf("failure kind %.40q is unknown; give %s (the content failed) or %s (the scan could not be finished)", f.Kind, Check, Error),
			fmt.Sprintf("失败类型 %.40q 无效；请使用 %s（内容未通过）或 %s（扫描无法完成）", f.Kind, Check, Error))
	case f.Kind == Check && (f.Coverage == nil || counts == report.Counts{}):
		return dishonest("result", "a failed check says what it found: give summary, coverage and report, or kind ERROR if the scan could not be finished",
			"检查失败时须说明发现：请给出 summary、coverage 和 report；若扫描无法完成，请使用 kind ERROR")
	}
	return nil
}

func dishonest(rule, en, zh string) error {
	return &domain.Error{Kind: domain.Invalid, Rule: "fact." + rule, Msg: en, MsgZH: zh}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func honestCode(code string) error {
	if code == "" || len(code) > maxCode || code[0] < 'A' || code[0] > 'Z' || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return dishonest("shape", fmt.Sprintf("code %.80q is no decline code; use up to %d capitals, digits and _, such as NO_MATCHING_FILES", code, maxCode),
			fmt.Sprintf("code %.80q 不是合法的不参与代码；请使用至多 %d 个大写字母、数字和 _，例如 NO_MATCHING_FILES", code, maxCode))
	}
	return nil
}

func honestReason(name, reason string, required bool) error {
	if required && strings.TrimSpace(reason) == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxSaid {
		return dishonest("shape", fmt.Sprintf("%s is for people: give up to %d characters of text", name, maxSaid),
			fmt.Sprintf("%s 是写给人看的：请给出至多 %d 个字符的文字", name, maxSaid))
	}
	return nil
}

func honestScanner(s Scanner) error {
	for _, v := range []string{s.Name, s.Version, s.Instance, s.RulesDigest, s.ConfigDigest} {
		if len(v) > maxNames || !utf8.ValidString(v) {
			return dishonest("shape", fmt.Sprintf("a scanner's names and digests have at most %d bytes", maxNames), fmt.Sprintf("扫描器的名称与摘要最长 %d 字节", maxNames))
		}
	}
	if s.Name == "" || s.Version == "" || s.Instance == "" {
		return dishonest("shape", "a scanner has a name, a version and an instance", "扫描器须有 name、version 和 instance")
	}
	return nil
}

func honestAttempt(n int) error {
	if n < 1 {
		return dishonest("shape", "attempts count from 1", "attempt 从 1 开始")
	}
	return nil
}

func honestDuration(ms int64) error {
	if ms < 0 {
		return dishonest("shape", "durationMs is not negative", "durationMs 不能为负数")
	}
	return nil
}

func honestCounts(c report.Counts) error {
	if c.Error < 0 || c.Warning < 0 || c.Note < 0 {
		return dishonest("shape", "summary counts findings; none of its numbers is negative", "summary 为问题计数，不能为负数")
	}
	return nil
}

func honestResult(f SubTaskCompleted) error {
	found := f.Summary.Error+f.Summary.Warning > 0
	switch {
	case f.Result == Pass && !found, f.Result == PassWithWarnings && found:
		return nil
	case f.Result == Pass || f.Result == PassWithWarnings:
		return dishonest("result", fmt.Sprintf("result %s and a summary of %d errors and %d warnings contradict each other: PASS is without either", f.Result, f.Summary.Error, f.Summary.Warning),
			fmt.Sprintf("result %s 与 summary（%d 个错误、%d 个警告）矛盾：PASS 不应有错误或警告", f.Result, f.Summary.Error, f.Summary.Warning))
	default:
		return dishonest("result", fmt.Sprintf("result %.40q is unknown; give %s or %s", f.Result, Pass, PassWithWarnings),
			fmt.Sprintf("result %.40q 无效；请使用 %s 或 %s", f.Result, Pass, PassWithWarnings))
	}
}

func honestCoverage(c Coverage) error {
	if c.Seen < 0 || c.Seen > c.Eligible {
		return dishonest("coverage", fmt.Sprintf("coverage of %d out of %d files cannot be: seen are those of eligible that were read to the end", c.Seen, c.Eligible),
			fmt.Sprintf("coverage 不成立：seen（%d）应为 eligible（%d）中读完的文件数", c.Seen, c.Eligible))
	}
	if len(c.Degraded) > maxDegraded {
		return dishonest("coverage", fmt.Sprintf("coverage names at most %d degraded files", maxDegraded), fmt.Sprintf("degraded 至多 %d 项", maxDegraded))
	}
	for _, d := range c.Degraded {
		if d.Path == "" || len(d.Path) > maxPath || !utf8.ValidString(d.Path) {
			return dishonest("coverage", "what is degraded has a path", "degraded 的每一项须有 path")
		}
		if err := honestReason("degraded.reason", d.Reason, true); err != nil {
			return err
		}
		if err := honestReason("degraded.reasonZh", d.ReasonZH, false); err != nil {
			return err
		}
	}
	return nil
}

func coveredSomething(c Coverage) error {
	if c.Eligible > 0 && c.Seen == 0 {
		return dishonest("coverage", fmt.Sprintf("0 of %d files were read, and that is no pass: fail the attempt with kind ERROR", c.Eligible),
			fmt.Sprintf("%d 个文件一个都没有读取，不能算通过：请以 kind ERROR 结束该次尝试", c.Eligible))
	}
	return nil
}

func honestReport(b *Blob, c report.Counts) error {
	switch {
	case b == nil && c == report.Counts{}:
		return nil
	case b == nil:
		return dishonest("report", "findings are read up in a report: upload one and name its key and sha256", "问题须能在报告中查看：请上传报告并给出其 key 和 sha256")
	case len(b.SHA256) != 64 || b.Key != "sha256/"+b.SHA256[:2]+"/"+b.SHA256:
		return dishonest("report", "report has the key and the sha256 that the upload of the report was answered with", "report 应为上传报告时返回的 key 和 sha256")
	}
	return nil
}
