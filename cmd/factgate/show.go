package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// printer shows a task to people, in zh or en.
type printer struct {
	w      io.Writer
	zh     bool
	color  bool
	server string          // where the history can be asked for; empty if it will be gone
	shown  map[string]bool // lines that have been printed
}

func (t textView) in(zh bool) string {
	if zh && t.Zh != "" {
		return t.Zh
	}
	return t.En
}

func (s subTaskView) reason(zh bool) *string {
	if s.Reason == nil {
		return nil
	}
	text := s.Reason.in(zh)
	return &text
}

func (s subTaskView) counts() countsView {
	if s.Counts == nil {
		return countsView{}
	}
	return *s.Counts
}

func (p *printer) say(en, zh string, args ...any) {
	text := en
	if p.zh {
		text = zh
	}
	fmt.Fprintf(p.w, text+"\n", args...)
}

// once prints a line the first time that it is true.
func (p *printer) once(key, en, zh string, args ...any) {
	if p.shown == nil {
		p.shown = map[string]bool{}
	}
	if !p.shown[key] {
		p.shown[key] = true
		p.say("  "+en, "  "+zh, args...)
	}
}

func (p *printer) created(name string, r receipt) {
	if r.Existed {
		p.say("%s: task %s exists already", "%s：任务 %s 已存在", name, r.TaskID)
		return
	}
	p.say("%s: task %s created", "%s：任务创建成功 %s", name, r.TaskID)
}

// changes prints what is new since the last call.
func (p *printer) changes(t *taskView) {
	if t.Phase != "UPLOADED" {
		p.once("open", "window open, waiting for scanners", "窗口期已开启，等待扫描参与")
	}
	for _, s := range t.SubTasks {
		key := fmt.Sprintf("%s/%d", s.Type, s.Attempt)
		if s.Attempt > 1 {
			p.once(key, "%s started again (attempt %d)", "%s 再次开始（第 %d 次）", s.Type, s.Attempt)
		} else {
			p.once(key, "%s takes part", "%s 参与", s.Type)
		}
		switch s.State {
		case "COMPLETED":
			p.once(key+s.State, "%s passed%s", "%s 通过%s", s.Type, p.counts(s.counts()))
		case "FAILED":
			if s.Kind != nil && *s.Kind == "ERROR" {
				p.once(key+s.State, "%s could not be finished: %s", "%s 扫描出错：%s", s.Type, deref(s.reason(p.zh)))
			} else {
				p.once(key+s.State, "%s failed: %s", "%s 未通过：%s", s.Type, deref(s.reason(p.zh)))
			}
		}
	}
	for _, d := range t.Declined {
		p.once(d.Type+d.Code, "%s declines: %s (%s)", "%s 不参与：%s（%s）", d.Type, d.Reason.in(p.zh), d.Code)
	}
}

func (p *printer) counts(c countsView) string {
	var parts []string
	for _, part := range []struct {
		n      int
		en, zh string
	}{{c.Error, "errors", "个错误"}, {c.Warning, "warnings", "个警告"}, {c.Note, "notes", "个提示"}} {
		switch {
		case part.n == 0:
		case p.zh:
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.zh))
		case part.n == 1:
			parts = append(parts, "1 "+strings.TrimSuffix(part.en, "s"))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.en))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// shownFindings is how many findings of a kind are printed; --json has them all.
const shownFindings = 10

// verdict prints the answer, why, who was heard and who was not, and the
// findings that matter most.
func (p *printer) verdict(t *taskView, findings []findingView) {
	p.because(t)
	p.parts(t)
	p.findings(findings)
	if p.server != "" {
		p.say("  history: factgate history %s --server %s", "  历史：factgate history %s --server %s", t.ID, p.server)
	}
}

func (p *printer) because(t *taskView) {
	v := t.Verdict
	p.say("%s: %s", "%s：%s", p.paint(v.Status), v.Because.in(p.zh))
	p.say("  rule that held: %s (%s)", "  成立的规则：%s（%s）", v.Rule.ID, v.Rule.When)
}

// parts prints who was heard, how, and who was not.
func (p *printer) parts(t *taskView) {
	var took, declined []string
	for _, s := range t.SubTasks {
		outcome := s.State
		if s.Result != nil {
			outcome = *s.Result
		}
		if s.Kind != nil {
			outcome += " " + *s.Kind
		}
		took = append(took, fmt.Sprintf("%s %s%s", s.Type, outcome, p.counts(s.counts())))
	}
	for _, d := range t.Declined {
		declined = append(declined, fmt.Sprintf("%s %s (%s)", d.Type, d.Code, d.Reason.in(p.zh)))
	}
	p.list("took part", "参与", took)
	p.list("declined", "不参与", declined)
	p.list("known, but silent", "已知但未响应", t.Silent)
	p.unread(t)
	if t.LateFacts > 0 {
		p.say("  late facts: %d", "  迟到事实：%d", t.LateFacts)
	}
}

// unread prints what was not fully checked: a pass says nothing of it.
func (p *printer) unread(t *taskView) {
	n := 0
	for _, s := range t.SubTasks {
		for _, d := range s.degraded() {
			if n++; n <= shownFindings {
				p.say("  not fully checked by %s: %s %s", "  %s 未完全检查：%s %s", s.Type, d.Path, d.in(p.zh))
			}
		}
	}
	if more := n - shownFindings; more > 0 {
		p.say("    … and %d more (--json prints all)", "    ……另有 %d 条（--json 输出全部）", more)
	}
}

func (p *printer) list(en, zh string, items []string) {
	if len(items) == 0 {
		items = []string{"—"}
	}
	p.say("  "+en+": %s", "  "+zh+"：%s", strings.Join(items, "; "))
}

func (p *printer) findings(all []findingView) {
	order := map[string]int{"ERROR": 0, "WARNING": 1, "NOTE": 2}
	var live []findingView
	for _, f := range all {
		if !f.Suppressed {
			live = append(live, f)
		}
	}
	if len(live) == 0 {
		return
	}
	slices.SortStableFunc(live, func(a, b findingView) int {
		return order[strings.ToUpper(a.Severity)] - order[strings.ToUpper(b.Severity)]
	})
	p.say("  findings: %d", "  发现：%d", len(live))
	for _, f := range live[:min(len(live), shownFindings)] {
		fmt.Fprintf(p.w, "    %-7s %-7s %s  %s\n", strings.ToLower(f.Severity), f.Rule, f.place(), f.Message.in(p.zh))
	}
	if more := len(live) - shownFindings; more > 0 {
		p.say("    … and %d more (--json prints all)", "    ……另有 %d 条（--json 输出全部）", more)
	}
}

func (f findingView) place() string {
	place := deref(f.Path)
	if f.Line != nil && *f.Line > 0 {
		place += fmt.Sprintf(":%d", *f.Line)
	}
	for _, inner := range []*string{f.Cell, f.Pointer} {
		if deref(inner) != "" {
			place += " " + *inner
		}
	}
	return place
}

func (p *printer) paint(status string) string {
	if !p.color {
		return status
	}
	color := map[string]string{"SUCCESS": "32", "PARTIAL_SUCCESS": "33"}[status]
	if color == "" {
		color = "31"
	}
	return "\x1b[1;" + color + "m" + status + "\x1b[0m"
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
