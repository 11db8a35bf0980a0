package rules

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/expr-lang/expr"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Outcome is what Evaluate finds: NoWindow, Open or Closed.
//
//sumtype:decl
type Outcome interface{ outcome() }

// NoWindow: the task has no window (yet), or was cancelled.
type NoWindow struct{}

// Open: no verdict before DueAt, unless more facts change that.
type Open struct{ DueAt time.Time }

// Closed: the window closed at At, and this is the verdict.
type Closed struct {
	Cause   task.Cause
	At      time.Time
	Verdict task.Verdict
}

func (NoWindow) outcome() {}
func (Open) outcome()     {}
func (Closed) outcome()   {}

// values is what a `when` may speak of. docs/rules.md explains each.
type values struct {
	Observed   int `expr:"observed"`
	Succeeded  int `expr:"succeeded"`
	Failed     int `expr:"failed"`
	Errored    int `expr:"errored"`
	Unfinished int `expr:"unfinished"`
	Declined   int `expr:"declined"`

	ObservedTypes   []string `expr:"observed_types"`
	SucceededTypes  []string `expr:"succeeded_types"`
	FailedTypes     []string `expr:"failed_types"`
	ErroredTypes    []string `expr:"errored_types"`
	UnfinishedTypes []string `expr:"unfinished_types"`
	DeclinedTypes   []string `expr:"declined_types"`

	Warnings int  `expr:"warnings"`
	Expired  bool `expr:"expired"`
}

// Evaluate judges the facts of one task, given in revision order, at time now.
//
// The window is the one recorded in MainTaskCreated; its length counts from the
// moment that fact was recorded. It closes when it has settled (nothing
// unfinished, no participation fact for quiet), or else at its deadline. What
// was recorded up to and at that moment counts, what came later does not: so
// it makes no difference how late anybody looks. The coordinator's own facts
// (WindowClosed, MainTaskConverged) are not read: see Recompute.
func Evaluate(rs *RuleSet, facts []task.Recorded, now time.Time) Outcome {
	var w window
	for _, r := range facts {
		if w.opened() && w.next(r.At).After(w.due()) {
			break // it closed before this fact
		}
		w.take(r)
	}
	switch {
	case !w.opened() || w.state.Cancelled != nil:
		return NoWindow{}
	case !now.After(w.due()):
		return Open{DueAt: w.due()}
	}
	cause := task.Settled
	if w.due().Equal(w.deadline) && (w.unfinished() || w.settles().After(w.deadline)) {
		cause = task.Deadline
	}
	return Closed{Cause: cause, At: w.due(), Verdict: rs.judge(w, cause)}
}

// Recompute gives the verdict that the facts before the recorded WindowClosed
// lead to, from the stream alone. The stream's order is the truth about what was
// known then: a fact behind WindowClosed was late, whatever its time. ok is
// false when no window was closed.
func Recompute(rs *RuleSet, facts []task.Recorded) (closed Closed, ok bool) {
	for i, r := range facts {
		if f, is := r.Fact.(task.WindowClosed); is {
			closed, ok = Evaluate(rs, facts[:i], f.ClosedAt.Add(1)).(Closed)
			return closed, ok
		}
	}
	return Closed{}, false
}

// window walks through recorded time.
type window struct {
	state    task.State
	clock    time.Time // of the newest fact; never runs backwards
	heard    time.Time // when the window opened or the newest participation fact came
	deadline time.Time
	evidence []string
}

func (w *window) opened() bool { return w.state.Created != nil }

// next is the clock as a fact recorded at t finds it.
func (w *window) next(t time.Time) time.Time {
	if t.Before(w.clock) {
		return w.clock
	}
	return t
}

func (w *window) take(r task.Recorded) {
	if r.Revision < w.state.Facts {
		return // a redelivery
	}
	w.clock = w.next(r.At)
	switch r.Fact.(type) {
	case task.WindowClosed, task.MainTaskConverged:
		w.state.Facts = r.Revision + 1 // a later simulation must not see what was decided
		return
	case task.MainTaskCreated:
		if w.opened() {
			break
		}
		w.state = task.Evolve(w.state, r)
		w.heard = w.clock
		w.deadline = w.clock.Add(w.state.Created.Window.Length())
		w.evidence = append(w.evidence, r.ID)
		return
	case task.SubTaskDeclined, task.SubTaskStarted, task.SubTaskCompleted, task.SubTaskFailed, task.SubTaskRetryRequested:
		w.heard = w.clock
		w.evidence = append(w.evidence, r.ID)
	case task.Unreadable:
		w.evidence = append(w.evidence, r.ID)
	}
	w.state = task.Evolve(w.state, r)
}

func (w *window) unfinished() bool {
	for _, t := range w.state.SubTasks {
		if unfinished(t) {
			return true
		}
	}
	return false
}

func unfinished(t task.SubTask) bool { return t.State == task.StateRunning || t.RetryWanted }

// passed is strict, whoever wrote the fact: a result that nobody knows and a check
// that read nothing of what it should have read are no success.
func passed(t task.SubTask) bool {
	blind := t.Coverage != nil && t.Coverage.Eligible > 0 && t.Coverage.Seen <= 0
	return t.State == task.StateCompleted && (t.Result == task.Pass || t.Result == task.PassWithWarnings) && !blind
}

func (w *window) settles() time.Time { return w.heard.Add(w.state.Created.Window.Quiet.D()) }

// due is when the window closes if nothing more happens.
func (w *window) due() time.Time {
	if at := w.settles(); !w.unfinished() && at.Before(w.deadline) {
		return at
	}
	return w.deadline
}

func (rs *RuleSet) judge(w window, cause task.Cause) task.Verdict {
	v := task.Verdict{
		RuleSet: rs.ref, Observed: w.state.Observed(), Declined: slices.Sorted(maps.Keys(w.state.Declined)),
		Evidence: w.evidence,
	}
	warnings := 0
	for _, name := range v.Observed {
		t := w.state.SubTasks[name]
		if t.Summary != nil {
			warnings += t.Summary.Warning
		}
		switch {
		case unfinished(t):
			v.Unfinished = append(v.Unfinished, name)
		case passed(t):
			v.Succeeded = append(v.Succeeded, name)
		case t.State == task.StateFailed && t.Kind == task.Check:
			v.Failed = append(v.Failed, name)
		default:
			v.Errored = append(v.Errored, name)
		}
	}
	for _, list := range []*[]string{&v.Observed, &v.Succeeded, &v.Failed, &v.Errored, &v.Unfinished, &v.Declined, &v.Evidence} {
		if *list == nil {
			*list = []string{} // stored as [], never as null
		}
	}
	env := values{
		Observed: len(v.Observed), Succeeded: len(v.Succeeded), Failed: len(v.Failed),
		Errored: len(v.Errored), Unfinished: len(v.Unfinished), Declined: len(v.Declined),
		ObservedTypes: v.Observed, SucceededTypes: v.Succeeded, FailedTypes: v.Failed,
		ErroredTypes: v.Errored, UnfinishedTypes: v.Unfinished, DeclinedTypes: v.Declined,
		Warnings: warnings, Expired: cause == task.Deadline,
	}
	if n := w.state.Unreadable; n > 0 {
		// What nobody can read may be bad news; it is never taken for good.
		v.Status, v.Rule = task.Failed, task.Rule{ID: "unreadable"}
		v.Because = report.Text{
			En: fmt.Sprintf("facts of this task that this version of Factgate cannot read: %d; its history shows them", n),
			Zh: fmt.Sprintf("该任务有 %d 条事实无法被当前版本的 Factgate 读取，详见其历史", n),
		}
		return v
	}
	for _, r := range rs.rules {
		holds, err := expr.Run(r.program, env)
		if err != nil {
			// A verdict always comes, and a broken rule is never good news.
			v.Status, v.Rule = task.Failed, task.Rule{ID: r.id, When: r.when}
			v.Because = report.Text{
				En: fmt.Sprintf("rule %s could not be evaluated: %v", r.id, err),
				Zh: fmt.Sprintf("规则 %s 无法求值：%v", r.id, err),
			}
			return v
		}
		if holds == true {
			v.Status, v.Rule, v.Because = r.status, task.Rule{ID: r.id, When: r.when}, r.explain(v)
			return v
		}
	}
	panic("rules: no rule held") // unreachable: Parse wants a last rule that always holds
}
