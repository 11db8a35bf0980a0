package rules

import (
	"cmp"
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

// Evaluate judges the facts of one task at time now. In what order they are given,
// and how often each, makes no difference: their revisions tell.
//
// The window is the one recorded in MainTaskCreated; its length counts from the
// moment that fact was recorded. It closes when it has settled (nothing
// unfinished, no participation fact for quiet), or else at its deadline. What
// was recorded up to and at that moment counts, what came later does not: so
// it makes no difference how late anybody looks. The coordinator's own facts
// (WindowClosed, MainTaskConverged) are not read: see Recompute.
func Evaluate(rs *RuleSet, facts []task.Recorded, now time.Time) Outcome {
	w := gather(inOrder(facts))
	switch {
	case !w.opened() || w.state.Cancelled != nil:
		return NoWindow{}
	case !now.After(w.due()):
		return Open{DueAt: w.due()}
	}
	return rs.close(w)
}

// inOrder gives each fact once, by revision.
func inOrder(facts []task.Recorded) []task.Recorded {
	for i := range facts {
		if i > 0 && facts[i].Revision <= facts[i-1].Revision {
			facts = slices.Clone(facts)
			slices.SortStableFunc(facts, func(a, b task.Recorded) int { return cmp.Compare(a.Revision, b.Revision) })
			return slices.CompactFunc(facts, func(a, b task.Recorded) bool { return a.Revision == b.Revision })
		}
	}
	return facts
}

// gather takes the facts that came before the window closed by itself.
func gather(facts []task.Recorded) window {
	var w window
	for _, r := range facts {
		if w.opened() && w.next(r.At).After(w.due()) {
			break // it closed before this fact
		}
		w.take(r)
	}
	return w
}

// close judges a window that is over.
func (rs *RuleSet) close(w window) Closed {
	cause := w.cause()
	return Closed{Cause: cause, At: w.due(), Verdict: rs.judge(w, cause)}
}

// Recompute gives the verdict that the facts before the recorded WindowClosed
// lead to, from the stream alone. The stream's order is the truth about what was
// known then: a fact behind WindowClosed was late, whatever its time. ok is
// false when no window was closed.
func Recompute(rs *RuleSet, facts []task.Recorded) (closed Closed, ok bool) {
	facts = inOrder(facts)
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
	openedAt time.Time
	heard    time.Time // when the window opened or the newest participation fact came
	minimum  time.Time // it does not settle before
	deadline time.Time
	evidence []judged
}

// judged is a fact that a verdict stands on.
type judged struct {
	id     string
	upload bool // counts only for rules that speak of project or version
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
	case task.ZipUploaded:
		if w.state.Uploaded == nil {
			w.evidence = append(w.evidence, judged{r.ID, true})
		}
	case task.MainTaskCreated:
		if w.opened() {
			break
		}
		w.state = task.Evolve(w.state, r)
		length := w.state.Created.Window
		w.openedAt, w.heard, w.minimum, w.deadline = w.clock, w.clock, w.clock.Add(length.Minimum.D()), w.clock.Add(length.Length())
		w.evidence = append(w.evidence, judged{id: r.ID})
		return
	case task.Unreadable:
		w.evidence = append(w.evidence, judged{id: r.ID})
	default:
		if participation(r.Fact) {
			w.heard = w.clock
			w.evidence = append(w.evidence, judged{id: r.ID})
		}
	}
	w.state = task.Evolve(w.state, r)
}

func participation(f task.Fact) bool {
	switch f.(type) {
	case task.SubTaskDeclined, task.SubTaskStarted, task.SubTaskCompleted, task.SubTaskFailed, task.SubTaskRetryRequested:
		return true
	}
	return false
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

// blind is a check that read nothing of what it should have read.
func blind(t task.SubTask) bool {
	return t.State != task.StateRunning && t.Coverage != nil && t.Coverage.Eligible > 0 && t.Coverage.Seen <= 0
}

// passed is strict, whoever wrote the fact: a result that nobody knows and a check
// that read nothing of what it should have read are no success.
func passed(t task.SubTask) bool {
	return t.State == task.StateCompleted && (t.Result == task.Pass || t.Result == task.PassWithWarnings) && !blind(t)
}

func (w *window) settles() time.Time {
	at := w.heard.Add(w.state.Created.Window.Quiet.D())
	if at.Before(w.minimum) {
		return w.minimum
	}
	return at
}

// due is when the window closes if nothing more happens.
func (w *window) due() time.Time {
	if at := w.settles(); !w.unfinished() && at.Before(w.deadline) {
		return at
	}
	return w.deadline
}

// cause says why the window closed when it was due.
func (w *window) cause() task.Cause {
	if w.due().Equal(w.deadline) && (w.unfinished() || w.settles().After(w.deadline)) {
		return task.Deadline
	}
	return task.Settled
}

// judge gives the verdict on what a window has gathered.
func (rs *RuleSet) judge(w window, cause task.Cause) task.Verdict {
	v, seen := rs.see(w, cause)
	if n := w.state.Unreadable; n > 0 {
		// What nobody can read may be bad news; it is never taken for good.
		v.Status, v.Rule = task.Failed, task.Rule{ID: "unreadable"}
		v.Because = report.Text{
			En: fmt.Sprintf("facts of this task that this version of Factgate cannot read: %d; its history shows them", n),
			Zh: fmt.Sprintf("该任务有 %d 条事实无法被当前版本的 Factgate 读取，详见其历史", n),
		}
		return v
	}
	r, err := rs.first(seen)
	because := v // .Status and .Rule are empty there
	v.Status, v.Rule = r.status, task.Rule{ID: r.id, When: r.when}
	if err != nil {
		// A verdict always comes, and a broken rule is never good news.
		v.Status = task.Failed
		v.Because = report.Text{
			En: fmt.Sprintf("rule %s could not be evaluated: %v", r.id, err),
			Zh: fmt.Sprintf("规则 %s 无法求值：%v", r.id, err),
		}
		return v
	}
	v.Because = r.explain(saidOf(because, seen))
	return v
}

// first is the first rule that holds, or that cannot be evaluated.
func (rs *RuleSet) first(seen values) (rule, error) {
	for _, r := range rs.rules {
		holds, err := r.holds(seen)
		if holds || err != nil {
			return r, err
		}
	}
	panic("rules: no rule held") // unreachable: Parse wants a last rule that always holds
}

func (r rule) holds(seen values) (bool, error) {
	holds, err := expr.Run(r.program, seen)
	return holds == true, err
}

// see counts what a window has gathered: the verdict without its answer, and what
// rules may speak of.
func (rs *RuleSet) see(w window, cause task.Cause) (task.Verdict, values) {
	v := task.Verdict{RuleSet: rs.ref, Declined: slices.Sorted(maps.Keys(w.state.Declined))}
	e := values{
		Expired: cause == task.Deadline, Cancelled: w.state.Cancelled != nil, Thresholds: rs.thresholds,
		WarningsByType: map[string]int{}, ErrorsByType: map[string]int{}, CoverageByType: map[string]float64{},
	}
	if up := w.state.Uploaded; up != nil {
		e.Project, e.Version = up.Project, up.Version
	}
	for _, j := range w.evidence {
		if !j.upload || rs.speaks["project"] || rs.speaks["version"] {
			v.Evidence = append(v.Evidence, j.id)
		}
	}
	for _, name := range w.state.Observed() {
		t := w.state.SubTasks[name]
		if t.Summary != nil {
			e.WarningsByType[name], e.ErrorsByType[name] = t.Summary.Warning, t.Summary.Error
		}
		e.CoverageByType[name] = coverage(t)
		count := &v.Observed
		succeeded, failed, errored, unfinishedTypes := &v.Succeeded, &v.Failed, &v.Errored, &v.Unfinished
		if rs.advisory[name] {
			count = new([]string)
			succeeded, failed, errored, unfinishedTypes = &e.AdvisorySucceededTypes, &e.AdvisoryFailedTypes, &e.AdvisoryErroredTypes, &e.AdvisoryUnfinishedTypes
		} else {
			e.Warnings += e.WarningsByType[name]
			e.Errors += e.ErrorsByType[name]
			e.Retries += max(t.Attempt-1, 0)
			if blind(t) {
				e.CoveredNothingTypes = append(e.CoveredNothingTypes, name)
			}
			if t.Coverage != nil && len(t.Coverage.Degraded) > 0 {
				e.DegradedTypes = append(e.DegradedTypes, name)
			}
		}
		*count = append(*count, name)
		switch {
		case unfinished(t):
			*unfinishedTypes = append(*unfinishedTypes, name)
		case passed(t):
			*succeeded = append(*succeeded, name)
		case t.State == task.StateFailed && t.Kind == task.Check:
			*failed = append(*failed, name)
		default:
			*errored = append(*errored, name)
		}
	}
	e.SilentTypes = rs.silent(w.state)
	for _, name := range slices.Sorted(maps.Keys(rs.required)) {
		switch has := slices.Contains(v.Succeeded, name) || slices.Contains(v.Failed, name); {
		case has:
		case rs.required[name] == FailClosed:
			e.MissingTypes = append(e.MissingTypes, name)
		default:
			e.MissingOpenTypes = append(e.MissingOpenTypes, name)
		}
	}
	for _, list := range []*[]string{&v.Observed, &v.Succeeded, &v.Failed, &v.Errored, &v.Unfinished, &v.Declined, &v.Evidence} {
		if *list == nil {
			*list = []string{} // stored as [], never as null
		}
	}
	e.ObservedTypes, e.SucceededTypes, e.FailedTypes = v.Observed, v.Succeeded, v.Failed
	e.ErroredTypes, e.UnfinishedTypes, e.DeclinedTypes = v.Errored, v.Unfinished, v.Declined
	e.count()
	v.Missing, v.MissingOpen = e.MissingTypes, e.MissingOpenTypes
	if rs.speaks["silent"] {
		v.Silent = e.SilentTypes
	}
	if rs.speaks["covered_nothing"] {
		v.CoveredNothing = e.CoveredNothingTypes
	}
	if rs.speaks["degraded"] {
		v.Degraded = e.DegradedTypes
	}
	if e.AdvisorySucceeded+e.AdvisoryFailed+e.AdvisoryErrored+e.AdvisoryUnfinished > 0 {
		v.Advisory = &task.Advisory{
			Succeeded: e.AdvisorySucceededTypes, Failed: e.AdvisoryFailedTypes,
			Errored: e.AdvisoryErroredTypes, Unfinished: e.AdvisoryUnfinishedTypes,
		}
	}
	return v, e
}

// silent are the types that were waited for when the window opened and were not
// heard of; none if nobody wrote down which. Advisory types do not count.
func (rs *RuleSet) silent(s task.State) []string {
	var silent []string
	if s.Created == nil {
		return nil
	}
	for _, name := range s.Created.Known {
		_, takesPart := s.SubTasks[name]
		_, declined := s.Declined[name]
		if !takesPart && !declined && !rs.advisory[name] {
			silent = append(silent, name)
		}
	}
	slices.Sort(silent)
	return slices.Compact(silent)
}

// coverage is how much a type read of what it should have read, from 0 to 1. What
// had nothing to read left nothing unread; what says nothing has read nothing.
func coverage(t task.SubTask) float64 {
	switch c := t.Coverage; {
	case c == nil || unfinished(t):
		return 0
	case c.Eligible <= 0:
		return 1
	default:
		return min(max(float64(c.Seen)/float64(c.Eligible), 0), 1)
	}
}

func (e *values) count() {
	e.Observed, e.Succeeded, e.Failed = len(e.ObservedTypes), len(e.SucceededTypes), len(e.FailedTypes)
	e.Errored, e.Unfinished, e.Declined = len(e.ErroredTypes), len(e.UnfinishedTypes), len(e.DeclinedTypes)
	e.Silent, e.CoveredNothing, e.Degraded = len(e.SilentTypes), len(e.CoveredNothingTypes), len(e.DegradedTypes)
	e.Missing, e.MissingOpen = len(e.MissingTypes), len(e.MissingOpenTypes)
	e.AdvisorySucceeded, e.AdvisoryFailed = len(e.AdvisorySucceededTypes), len(e.AdvisoryFailedTypes)
	e.AdvisoryErrored, e.AdvisoryUnfinished = len(e.AdvisoryErroredTypes), len(e.AdvisoryUnfinishedTypes)
}
