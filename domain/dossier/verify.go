package dossier

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// Report is what Verify found.
type Report struct {
	// OK: nothing was altered, and each recorded verdict is the recomputed one.
	OK     bool      `json:"ok"`
	Task   string    `json:"task"`
	MadeAt time.Time `json:"madeAt,omitzero"`
	Tool   string    `json:"tool"`
	Facts  uint64    `json:"facts"`
	// SHA256 is of the whole file, lower-case hex.
	SHA256 string `json:"sha256"`
	// Altered is the first line that is not what was written; nil if there is none.
	Altered *AlteredError `json:"altered,omitempty"`
	// Verdicts are the recorded ones in order; none for a task without one.
	Verdicts []Checked `json:"verdicts"`
	// Problem says why verdicts could not be judged, or are missing.
	Problem *report.Text `json:"problem,omitempty"`

	// Package is what was uploaded.
	Package *task.ZipUploaded `json:"package,omitempty"`
}

// Verdict returns the newest verdict, which is the task's answer.
func (r Report) Verdict() *Checked {
	if len(r.Verdicts) == 0 {
		return nil
	}
	return &r.Verdicts[len(r.Verdicts)-1]
}

// AlteredError names a line.
type AlteredError struct {
	Line int `json:"line"` // from 1
	// Revision and ID are the fact's, as far as the line still says; Revision is nil
	// when the line is none of a fact's.
	Revision *uint64     `json:"revision,omitempty"`
	ID       string      `json:"id,omitempty"`
	Why      report.Text `json:"why"`
}

// Checked is a recorded verdict beside the recomputed one.
type Checked struct {
	Fact        string        `json:"fact"` // id of the fact that holds it
	Revision    int           `json:"revision"`
	Recorded    task.Verdict  `json:"recorded"`
	Recomputed  *task.Verdict `json:"recomputed"` // nil if the facts before it lead to none
	Equal       bool          `json:"equal"`
	Differences []Difference  `json:"differences,omitempty"`
}

// Difference is a field in which two verdicts differ.
type Difference struct {
	Field      string `json:"field"`
	Recorded   string `json:"recorded"`
	Recomputed string `json:"recomputed"`
}

// Verify checks a dossier with nothing but the file. What is wrong with it stands
// in the report; the error is the reader's. It takes any bytes.
func Verify(r io.Reader) (Report, error) {
	sum := sha256.New()
	v := verifier{in: bufio.NewReaderSize(io.TeeReader(io.LimitReader(r, maxBytes+1), sum), 64<<10)}
	v.report.Verdicts = []Checked{}
	err := v.read()
	var bad *AlteredError
	if errors.As(err, &bad) {
		v.report.Altered = bad
		_, err = io.Copy(io.Discard, v.in) // the digest is of the whole file
	}
	if err != nil {
		return Report{}, fmt.Errorf("read dossier: %w", err)
	}
	v.report.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if v.report.Altered == nil {
		v.judge()
	}
	return v.report, nil
}

func (a *AlteredError) Error() string { return fmt.Sprintf("line %d: %s", a.Line, a.Why.En) }

type verifier struct {
	in     *bufio.Reader
	report Report
	line   int
	bytes  int
	link   link

	facts    []task.Recorded
	ruleSets map[task.RuleSetRef]*string
	verdict  *verdict
	stage    int // index in order of the last line's kind
}

var order = []string{kindHeader, kindFact, kindRuleSet, kindClosing}

func (v *verifier) altered(en, zh string, args ...any) error {
	return &AlteredError{Line: v.line, Why: report.Text{En: fmt.Sprintf(en, args...), Zh: fmt.Sprintf(zh, args...)}}
}

// read goes through all lines.
func (v *verifier) read() error {
	for {
		v.line++
		text, err := v.next()
		if err != nil {
			return err
		}
		if text == nil {
			return v.altered("the file ends before its closing line: it was cut off", "文件在结束行之前中断：已被截断")
		}
		kind, body, err := v.chained(text)
		if err != nil {
			return err
		}
		stage := slices.Index(order, kind)
		if stage < v.stage || (v.line == 1) != (kind == kindHeader) {
			return v.altered("a line of kind %q does not belong here", "此处不应出现 %q 类型的行", kind)
		}
		v.stage = stage
		switch kind {
		case kindHeader:
			err = v.header(body)
		case kindFact:
			err = v.fact(body)
		case kindRuleSet:
			err = v.ruleSet(body)
		case kindClosing:
			if err := v.closing(body); err != nil {
				return err
			}
			v.line++
			rest, err := v.next()
			if err == nil && rest != nil {
				err = v.altered("there is more behind the closing line", "结束行之后还有内容")
			}
			return err
		}
		if err != nil {
			return err
		}
		v.link = v.link.next(body)
	}
}

// next reads a line without its newline; nil at the end.
func (v *verifier) next() ([]byte, error) {
	var line []byte
	for {
		part, err := v.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, v.altered("it is longer than %d bytes", "该行超过 %d 字节", maxLine)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, nil
		case errors.Is(err, io.EOF):
			return nil, v.altered("it breaks off before its end", "该行未写完即中断")
		case err != nil:
			return nil, err
		default:
			if v.bytes += len(line); v.bytes > maxBytes {
				return nil, v.altered("the file is larger than %d bytes", "文件超过 %d 字节", maxBytes)
			}
			return line[:len(line)-1], nil
		}
	}
}

// chained checks a line's place in the chain. Where it fails, it says as much as
// the line itself still tells.
func (v *verifier) chained(text []byte) (kind string, body []byte, err error) {
	body, chain, formErr := unseal(text)
	if formErr == nil && v.link.next(body).String() == chain {
		if depth(body) > maxDepth {
			return "", nil, v.altered("it is nested deeper than %d", "嵌套超过 %d 层", maxDepth)
		}
		var any struct{ Kind string }
		if err := json.Unmarshal(body, &any); err != nil || !slices.Contains(order, any.Kind) {
			return "", nil, v.altered("it is no line of a dossier of version %d; a newer Factgate may read it", "不是版本 %d 档案的行；请用更新的 Factgate 读取", Version)
		}
		return any.Kind, body, nil
	}
	bad := &AlteredError{Line: v.line}
	var seen struct {
		Kind     string
		ID       string
		Revision *uint64
		Format   string
	}
	readable := formErr == nil && depth(body) <= maxDepth && json.Unmarshal(body, &seen) == nil
	expected := uint64(len(v.facts))
	if readable {
		bad.ID = seen.ID
	}
	switch {
	case v.line == 1 && seen.Format != Format:
		bad.Why = report.Text{En: "this is no dossier, or its header was altered", Zh: "不是档案文件，或其首行已被改动"}
	case readable && seen.Kind == kindFact && seen.Revision != nil && *seen.Revision > expected:
		bad.Revision = &expected
		bad.ID = ""
		bad.Why = report.Text{
			En: fmt.Sprintf("revision %d stands where revision %d belongs: facts are missing or out of order", *seen.Revision, expected),
			Zh: fmt.Sprintf("此处应为修订号 %d，实为 %d：有事实缺失或顺序被改动", expected, *seen.Revision),
		}
	case readable && seen.Kind == kindFact && seen.Revision != nil && *seen.Revision < expected:
		bad.Revision = seen.Revision
		bad.Why = report.Text{
			En: fmt.Sprintf("revision %d stands here a second time, or out of order", *seen.Revision),
			Zh: fmt.Sprintf("修订号 %d 重复出现，或顺序被改动", *seen.Revision),
		}
	default:
		if v.line > 1 && (!readable || seen.Kind == kindFact) {
			bad.Revision = &expected
		}
		bad.Why = report.Text{En: "its bytes are not those that were written, or a line before it was removed", Zh: "内容与写入时不一致，或其前的行已被删除"}
	}
	return "", nil, bad
}

// strictly decodes a line's body and nothing else.
func (v *verifier) strictly(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return v.altered("it cannot be read: %v", "无法读取：%v", err)
	}
	return nil
}

func (v *verifier) header(body []byte) error {
	var h header
	if err := v.strictly(body, &h); err != nil {
		return err
	}
	if h.Format != Format || h.Version != Version {
		return v.altered("it is %q of version %d; this Factgate reads %s of version %d", "格式为 %q 版本 %d；当前 Factgate 仅支持 %s 版本 %d", h.Format, h.Version, Format, Version)
	}
	v.report.Task, v.report.MadeAt, v.report.Tool = h.Task, h.MadeAt, h.Tool
	return nil
}

func (v *verifier) fact(body []byte) error {
	var f fact
	if err := v.strictly(body, &f); err != nil {
		return err
	}
	wrong := func(en, zh string, args ...any) error {
		err := v.altered(en, zh, args...)
		var a *AlteredError
		if errors.As(err, &a) {
			a.Revision, a.ID = &f.Revision, f.ID
		}
		return err
	}
	expected := uint64(len(v.facts))
	switch {
	case expected == maxFacts:
		return wrong("there are more than %d facts", "事实超过 %d 条", maxFacts)
	case f.Revision != expected:
		return wrong("revision %d stands where revision %d belongs", "此处应为修订号 %[2]d，实为 %[1]d", f.Revision, expected)
	case expected > 0 && f.Position <= v.facts[expected-1].Position:
		return wrong("its position %d is not behind that of the fact before", "其位置 %d 不在前一事实之后", f.Position)
	case f.Data != nil && f.DataBase64 != nil, f.Metadata != nil && f.MetadataBase64 != nil:
		return wrong("data or metadata is given twice", "data 或 metadata 重复")
	}
	data := []byte(f.Data)
	if f.Data == nil {
		data = f.DataBase64
	}
	r := task.Recorded{ID: f.ID, Revision: f.Revision, Position: f.Position, At: f.RecordedAt, Fact: task.Read(f.Type, data)}
	if _, unreadable := r.Fact.(task.Unreadable); !unreadable {
		var of struct{ TaskID string }
		if json.Unmarshal(data, &of) != nil || of.TaskID != v.report.Task {
			return wrong("it is a fact of task %.60q, not of this one", "该事实属于任务 %.60q，而非本任务", of.TaskID)
		}
	}
	switch f := r.Fact.(type) {
	case task.ZipUploaded:
		if v.report.Package == nil {
			v.report.Package = &f
		}
	case task.MainTaskConverged:
		v.verdict = newest(v.verdict, r.ID, f)
	}
	v.facts = append(v.facts, r)
	return nil
}

func (v *verifier) ruleSet(body []byte) error {
	var r ruleSet
	if err := v.strictly(body, &r); err != nil {
		return err
	}
	if v.ruleSets == nil {
		v.ruleSets = map[task.RuleSetRef]*string{}
	}
	if _, twice := v.ruleSets[r.ref()]; twice || len(v.ruleSets) == maxFacts {
		return v.altered("a rule set stands here a second time", "规则集重复出现")
	}
	if r.Text != nil {
		if sum := sha256.Sum256([]byte(*r.Text)); hex.EncodeToString(sum[:]) != r.Digest {
			return v.altered("the text of rule set %.80q does not have the digest that stands beside it", "规则集 %.80q 的文本与其摘要不符", r.Name)
		}
	}
	v.ruleSets[r.ref()] = r.Text
	return nil
}

func (v *verifier) closing(body []byte) error {
	var c closing
	if err := v.strictly(body, &c); err != nil {
		return err
	}
	v.report.Facts = uint64(len(v.facts))
	same := c.Verdict == nil && v.verdict == nil || c.Verdict != nil && v.verdict != nil && *c.Verdict == *v.verdict
	switch {
	case c.Facts != v.report.Facts:
		return v.altered("it speaks of %d facts; there are %d", "其记载 %d 条事实，实有 %d 条", c.Facts, len(v.facts))
	case c.Head != v.link.String():
		return v.altered("its head is not the chain of the line before", "其链首与前一行的链值不符")
	case !same:
		return v.altered("its verdict is not the newest one among the facts", "其结论与事实中的最新结论不符")
	}
	return nil
}

// judge recomputes every recorded verdict.
func (v *verifier) judge() {
	r := &v.report
	var windowClosed *task.WindowClosed
	for _, f := range v.facts {
		if closed, ok := f.Fact.(task.WindowClosed); ok && windowClosed == nil {
			windowClosed = &closed
		}
	}
	for i, f := range v.facts {
		converged, ok := f.Fact.(task.MainTaskConverged)
		if !ok {
			continue
		}
		rs, problem := v.rulesOf(converged.RuleSet)
		if problem != nil {
			r.Problem = problem
			return
		}
		c := Checked{Fact: f.ID, Revision: converged.Revision, Recorded: converged.Verdict}
		closed, ok := rules.RecomputeRevision(rs, v.facts[:i+1], converged.Revision)
		if ok {
			c.Recomputed = &closed.Verdict
			c.Differences = differences(converged.Verdict, closed.Verdict)
			if converged.Revision == 1 && (windowClosed.Cause != closed.Cause || !windowClosed.ClosedAt.Equal(closed.At)) {
				c.Differences = append(c.Differences, Difference{"window",
					fmt.Sprintf("%s at %s", windowClosed.Cause, windowClosed.ClosedAt.Format(time.RFC3339Nano)),
					fmt.Sprintf("%s at %s", closed.Cause, closed.At.Format(time.RFC3339Nano))})
			}
			c.Equal = len(c.Differences) == 0
		}
		r.Verdicts = append(r.Verdicts, c)
	}
	if windowClosed != nil && len(r.Verdicts) == 0 {
		r.Problem = &report.Text{En: "the window was closed and no verdict is recorded; both are always written together", Zh: "窗口已关闭却没有结论；二者总是一并写入"}
	}
	r.OK = r.Problem == nil && !slices.ContainsFunc(r.Verdicts, func(c Checked) bool { return !c.Equal })
}

// rulesOf finds a rule set in the file.
func (v *verifier) rulesOf(ref task.RuleSetRef) (*rules.RuleSet, *report.Text) {
	for _, f := range v.facts {
		if created, ok := f.Fact.(task.MainTaskCreated); ok {
			if created.RuleSet.Digest != ref.Digest {
				return nil, &report.Text{En: "the verdict names another rule set than MainTaskCreated does", Zh: "结论所用规则集与 MainTaskCreated 所记不同"}
			}
			break
		}
	}
	text, ok := v.ruleSets[ref]
	if !ok || text == nil {
		return nil, &report.Text{
			En: fmt.Sprintf("the verdict cannot be recomputed: the text of rule set %s version %d is not in the file", ref.Name, ref.Version),
			Zh: fmt.Sprintf("无法重新计算结论：文件中没有规则集 %s 版本 %d 的文本", ref.Name, ref.Version),
		}
	}
	rs, err := rules.Parse([]byte(*text), ref.Version)
	if err != nil {
		return nil, &report.Text{
			En: fmt.Sprintf("the verdict cannot be recomputed: this Factgate does not take rule set %s version %d: %v", ref.Name, ref.Version, err),
			Zh: fmt.Sprintf("无法重新计算结论：当前 Factgate 不接受规则集 %s 版本 %d：%v", ref.Name, ref.Version, err),
		}
	}
	if rs.Ref() != ref {
		return nil, &report.Text{En: fmt.Sprintf("the text of rule set %s is that of %s", ref.Name, rs.Ref().Name), Zh: fmt.Sprintf("规则集 %s 的文本属于 %s", ref.Name, rs.Ref().Name)}
	}
	return rs, nil
}

// differences compares everything that a verdict says. The reason of a rule that
// stands in no rule set is this version's own wording and may change.
func differences(recorded, recomputed task.Verdict) (out []Difference) {
	compare := func(field, a, b string) {
		if a != b {
			out = append(out, Difference{field, a, b})
		}
	}
	list := func(types []string) string { return strings.Join(types, ", ") }
	compare("status", string(recorded.Status), string(recomputed.Status))
	compare("rule", recorded.Rule.ID, recomputed.Rule.ID)
	compare("when", recorded.Rule.When, recomputed.Rule.When)
	compare("evidence", list(recorded.Evidence), list(recomputed.Evidence))
	compare("observedTypes", list(recorded.Observed), list(recomputed.Observed))
	compare("succeeded", list(recorded.Succeeded), list(recomputed.Succeeded))
	compare("failed", list(recorded.Failed), list(recomputed.Failed))
	compare("errored", list(recorded.Errored), list(recomputed.Errored))
	compare("unfinished", list(recorded.Unfinished), list(recomputed.Unfinished))
	compare("declined", list(recorded.Declined), list(recomputed.Declined))
	compare("coveredNothing", list(recorded.CoveredNothing), list(recomputed.CoveredNothing))
	compare("degraded", list(recorded.Degraded), list(recomputed.Degraded))
	compare("silent", list(recorded.Silent), list(recomputed.Silent))
	compare("missing", list(recorded.Missing), list(recomputed.Missing))
	compare("missingOpen", list(recorded.MissingOpen), list(recomputed.MissingOpen))
	advisory := func(a *task.Advisory) string {
		if a == nil {
			return ""
		}
		return fmt.Sprintf("passed: %s; failed: %s; errored: %s; unfinished: %s", list(a.Succeeded), list(a.Failed), list(a.Errored), list(a.Unfinished))
	}
	compare("advisory", advisory(recorded.Advisory), advisory(recomputed.Advisory))
	if recomputed.Rule.When != "" {
		compare("because.en", recorded.Because.En, recomputed.Because.En)
		compare("because.zh", recorded.Because.Zh, recomputed.Because.Zh)
	}
	return out
}
