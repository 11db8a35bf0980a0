package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Bounds of the search for flips.
const (
	maxFlipTypes  = 40 // that are changed alone
	maxPairTypes  = 12 // that are changed two at a time
	maxFlipsShown = 12 // for each status
)

// Explanation says how the rules come to what they say. It is plain data.
type Explanation struct {
	RuleSet task.RuleSetRef `json:"ruleSet"`
	State   WindowState     `json:"state"`
	// Provisional: there is no verdict; the rest is what it would be if the window
	// closed now.
	Provisional bool `json:"provisional,omitempty"`
	// Revision of the recorded verdict that this explains; 0 if none is recorded.
	Revision int `json:"revision,omitempty"`
	// RevisionDue is when the next revision is due, if late facts wait for one.
	RevisionDue time.Time `json:"revisionDue,omitzero"`

	Window  *WindowExplained `json:"window,omitempty"`
	Status  task.Status      `json:"status,omitempty"`
	Rule    task.Rule        `json:"rule,omitzero"` // the first that held
	Because report.Text      `json:"because,omitzero"`
	Rules   []RuleExplained  `json:"rules"` // in order
	Types   []TypeExplained  `json:"types"` // sorted
	// Evidence are the ids of the facts that were judged, in order.
	Evidence []string `json:"evidence"`
	// Flips are the smallest changes that would give another status: for each
	// status single changes, or pairs if no single one does it.
	Flips []Flip `json:"flips"`
	// FlipsCut: there were more types or flips than are searched and shown.
	FlipsCut bool `json:"flipsCut,omitempty"`
}

// WindowState is where a window stands.
type WindowState string

// The states of a window.
const (
	WindowNone      WindowState = "NONE"      // it was never opened
	WindowOpen      WindowState = "OPEN"      // it gathers facts
	WindowOver      WindowState = "CLOSED"    // there is a verdict, or one is due
	WindowCancelled WindowState = "CANCELLED" // there will be no verdict
)

// WindowExplained are the moments that decide when a window closes, on the
// store's clock.
type WindowExplained struct {
	OpenedAt time.Time `json:"openedAt"` // of a revision: when its first late fact came
	HeardAt  time.Time `json:"heardAt"`  // the newest participation fact; or OpenedAt
	// SettlesAt is when it settles if nothing is unfinished by then.
	SettlesAt time.Time     `json:"settlesAt"`
	Quiet     task.Duration `json:"quiet"`
	Minimum   task.Duration `json:"minimum,omitempty"`
	Deadline  time.Time     `json:"deadline"`
	DueAt     time.Time     `json:"dueAt"`
	Cause     task.Cause    `json:"cause,omitempty"` // of a closed window
	Text      report.Text   `json:"text"`
}

// RuleResult is what became of a rule.
type RuleResult string

// The results of a rule.
const (
	Held       RuleResult = "HELD"
	DidNotHold RuleResult = "DID_NOT_HOLD"
	Broken     RuleResult = "BROKEN" // it could not be evaluated
	NotReached RuleResult = "NOT_REACHED"
)

// RuleExplained is a rule and what it saw.
type RuleExplained struct {
	ID     string      `json:"id"`
	When   string      `json:"when"`
	Status task.Status `json:"status"`
	Line   int         `json:"line"` // in the rule set's text
	Result RuleResult  `json:"result"`
	// Values are those of the names that When uses, in order; empty if it was not
	// reached.
	Values []Value     `json:"values"`
	Text   report.Text `json:"text"`
}

// Value is what a name stood for: a number, a boolean, a text, a list of types,
// or numbers by type.
type Value struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

func (v Value) String() string {
	text, err := json.Marshal(v.Value)
	if err != nil {
		return v.Name // unreachable: see Value
	}
	return v.Name + " = " + string(text)
}

// TypeOutcome is where a type stands when the window closes.
type TypeOutcome string

// The outcomes of a type. A check that read nothing of what it should have read
// is an error, however it ended.
const (
	TypePassed     TypeOutcome = "PASSED"
	TypeFailed     TypeOutcome = "FAILED"
	TypeErrored    TypeOutcome = "ERRORED"
	TypeUnfinished TypeOutcome = "UNFINISHED"
	TypeDeclined   TypeOutcome = "DECLINED"
	TypeSilent     TypeOutcome = "SILENT" // is waited for, and is not heard
	TypeAbsent     TypeOutcome = "ABSENT" // is not heard
)

// TypeExplained is a type of which facts or rules speak.
type TypeExplained struct {
	Type           string      `json:"type"`
	Outcome        TypeOutcome `json:"outcome"`
	Advisory       bool        `json:"advisory,omitempty"`
	Required       Requirement `json:"required,omitempty"`
	CoveredNothing bool        `json:"coveredNothing,omitempty"`
}

// Flip is a change of outcomes that would give another status.
type Flip struct {
	Changes []Change    `json:"changes"` // one or two
	Status  task.Status `json:"status"`
	Rule    string      `json:"rule"` // id of the rule that would hold
	Text    report.Text `json:"text"`
}

// Change is another outcome of one type. Type "*" is any scanner, when no type
// is known by name.
type Change struct {
	Type string      `json:"type"`
	From TypeOutcome `json:"from"`
	To   TypeOutcome `json:"to"`
}

// Explain says how the rules come to the newest verdict that the facts hold, or
// to the one that is due at now, or to what it would be if the window closed now.
// A prefix of the facts explains how things stood then.
func Explain(rs *RuleSet, facts []task.Recorded, now time.Time) Explanation {
	e := Explanation{RuleSet: rs.ref, State: WindowNone, Rules: []RuleExplained{}, Types: []TypeExplained{}, Evidence: []string{}, Flips: []Flip{}}
	facts = inOrder(facts)
	w, revision, over := rs.newest(facts, now)
	if !w.opened() {
		for _, r := range rs.rules {
			e.Rules = append(e.Rules, r.notReached())
		}
		return e
	}
	e.Revision = revision
	cause := w.cause()
	switch {
	case over:
		e.State = WindowOver
	case w.state.Cancelled != nil:
		e.State, e.Provisional = WindowCancelled, true
	default:
		e.State, e.Provisional = WindowOpen, true
	}
	if e.Provisional {
		cause = task.Settled
		if w.unfinished() {
			cause = task.Deadline
		}
	}
	if next, ok := rs.lateWindow(facts); ok {
		e.RevisionDue = next.due()
	}
	e.Window = w.explain(e.State, cause)
	v := rs.judge(w, cause)
	e.Status, e.Rule, e.Because, e.Evidence = v.Status, v.Rule, v.Because, v.Evidence
	e.explainRules(rs, w, cause)
	for _, name := range rs.candidates(w.state) {
		t := w.state.SubTasks[name]
		e.Types = append(e.Types, TypeExplained{Type: name, Outcome: outcomeOf(w.state, name), Advisory: rs.advisory[name], Required: rs.required[name], CoveredNothing: blind(t)})
	}
	if w.state.Unreadable == 0 {
		e.Flips, e.FlipsCut = rs.flips(w, cause, v.Status)
	}
	return e
}

// newest is the window of the newest recorded verdict; without one, as Evaluate
// finds it.
func (rs *RuleSet) newest(facts []task.Recorded, now time.Time) (w window, revision int, over bool) {
	at, closed := -1, -1
	for i, r := range facts {
		switch f := r.Fact.(type) {
		case task.WindowClosed:
			if closed < 0 {
				closed = i
			}
		case task.MainTaskConverged:
			if f.Revision > revision {
				at, revision = i, f.Revision
			}
		}
	}
	if revision > 1 {
		if w, ok := rs.lateWindow(facts[:at]); ok {
			return w, revision, true
		}
	}
	if closed >= 0 {
		w = gather(facts[:closed])
		return w, min(revision, 1), w.opened()
	}
	w = gather(facts)
	return w, 0, w.opened() && w.state.Cancelled == nil && now.After(w.due())
}

func (w *window) explain(state WindowState, cause task.Cause) *WindowExplained {
	length := w.state.Created.Window
	x := &WindowExplained{
		OpenedAt: w.openedAt, HeardAt: w.heard, SettlesAt: w.settles(), Quiet: length.Quiet, Minimum: length.Minimum,
		Deadline: w.deadline, DueAt: w.due(),
	}
	clock := func(t time.Time) string { return t.UTC().Format("15:04:05.000") }
	switch state {
	case WindowOver:
		x.Cause = cause
		if cause == task.Settled {
			x.Text = say("the window opened at %s and settled at %s: nothing was unfinished, and nothing was heard for %s after %s",
				"窗口期于 %s 开启，于 %s 静默收敛：没有未完成的扫描，且在 %[4]s 之后 %[3]s 内没有新的事实", clock(x.OpenedAt), clock(x.DueAt), x.Quiet, clock(x.HeardAt))
		} else {
			x.Text = say("the window opened at %s and ended at its deadline, %s", "窗口期于 %s 开启，于截止时间 %s 结束", clock(x.OpenedAt), clock(x.DueAt))
		}
	case WindowCancelled:
		x.Text = say("the task was cancelled; there will be no verdict, and this is what it would have been", "任务已取消，不会有结论；以下为假设的结论")
	default:
		x.Text = say("the window opened at %s and is open until %s, unless more is heard", "窗口期于 %s 开启，如无新的事实将于 %s 结束", clock(x.OpenedAt), clock(x.DueAt))
	}
	return x
}

func (r rule) notReached() RuleExplained {
	return RuleExplained{ID: r.id, When: r.when, Status: r.status, Line: r.line, Result: NotReached, Values: []Value{},
		Text: say("%s was not reached", "%s 未被求值", r.id)}
}

func (e *Explanation) explainRules(rs *RuleSet, w window, cause task.Cause) {
	_, seen := rs.see(w, cause)
	answered := w.state.Unreadable > 0
	for _, r := range rs.rules {
		x := r.notReached()
		if !answered {
			with := ""
			for _, name := range r.uses {
				v := Value{name, seen.named(name)}
				x.Values = append(x.Values, v)
				with += ", " + v.String()
			}
			with = strings.TrimPrefix(with, ", ")
			if with != "" {
				with = " (" + with + ")"
			}
			holds, err := r.holds(seen)
			switch {
			case err != nil:
				x.Result, answered = Broken, true
				x.Text = say("%s could not be evaluated: %s%s", "%s 无法求值：%s%s", r.id, err, with)
			case holds:
				x.Result, answered = Held, true
				x.Text = say("%s held: %s%s", "%s 成立：%s%s", r.id, r.when, with)
			default:
				x.Result = DidNotHold
				x.Text = say("%s did not hold: %s%s", "%s 不成立：%s%s", r.id, r.when, with)
			}
		}
		e.Rules = append(e.Rules, x)
	}
}

// named is the value that a name has; a list that is empty is [], not null.
func (e values) named(name string) any {
	if number, ok := strings.CutPrefix(name, "thresholds."); ok {
		return e.Thresholds[number]
	}
	v := reflect.ValueOf(e).Field(names[name])
	if v.Kind() == reflect.Slice && v.IsNil() {
		return []string{}
	}
	return v.Interface()
}

// candidates are the types of which facts or rules speak, sorted.
func (rs *RuleSet) candidates(s task.State) []string {
	all := s.Observed()
	all = slices.AppendSeq(all, maps.Keys(s.Declined))
	all = slices.AppendSeq(all, maps.Keys(rs.required))
	all = append(all, s.Created.Known...)
	slices.Sort(all)
	return slices.Compact(all)
}

func outcomeOf(s task.State, name string) TypeOutcome {
	t, takesPart := s.SubTasks[name]
	_, declined := s.Declined[name]
	switch {
	case declined:
		return TypeDeclined
	case !takesPart && slices.Contains(s.Created.Known, name):
		return TypeSilent
	case !takesPart:
		return TypeAbsent
	case unfinished(t):
		return TypeUnfinished
	case passed(t):
		return TypePassed
	case t.State == task.StateFailed && t.Kind == task.Check:
		return TypeFailed
	}
	return TypeErrored
}

// flips searches the smallest changes that give another status.
func (rs *RuleSet) flips(w window, cause task.Cause, status task.Status) (found []Flip, cut bool) {
	all := rs.candidates(w.state)
	if len(all) == 0 {
		all = []string{"*"}
	}
	var singles []Change
	for _, name := range all[:min(len(all), maxFlipTypes)] {
		singles = append(singles, changes(w.state, name)...)
	}
	cut = len(all) > maxFlipTypes
	by := map[task.Status][]Flip{}
	try := func(change ...Change) {
		f, ok := rs.flip(w, cause, change)
		switch {
		case !ok || f.Status == status:
		case len(by[f.Status]) == maxFlipsShown:
			cut = true
		default:
			by[f.Status] = append(by[f.Status], f)
		}
	}
	for _, c := range singles {
		try(c)
	}
	statuses := []task.Status{task.Success, task.PartialSuccess, task.Failed}
	wanted := map[task.Status]bool{}
	for _, s := range statuses {
		wanted[s] = s != status && len(by[s]) == 0 && rs.gives(s)
	}
	if wanted[task.Success] || wanted[task.PartialSuccess] || wanted[task.Failed] {
		cut = cut || len(all) > maxPairTypes
		few := all[:min(len(all), maxPairTypes)]
		for i, a := range singles {
			for _, b := range singles[i+1:] {
				if a.Type == b.Type || !slices.Contains(few, a.Type) || !slices.Contains(few, b.Type) {
					continue
				}
				if f, ok := rs.flip(w, cause, []Change{a, b}); ok && wanted[f.Status] {
					try(a, b)
				}
			}
		}
	}
	found = []Flip{}
	for _, s := range statuses {
		found = append(found, by[s]...)
	}
	return found, cut
}

// gives reports whether a rule gives a status at all.
func (rs *RuleSet) gives(s task.Status) bool {
	return slices.ContainsFunc(rs.rules, func(r rule) bool { return r.status == s })
}

// changes are the other outcomes that a type could have had.
func changes(s task.State, name string) []Change {
	from := outcomeOf(s, name)
	var all []Change
	for _, to := range []TypeOutcome{TypePassed, TypeFailed, TypeErrored, TypeUnfinished, TypeDeclined, TypeAbsent} {
		if to == from || to == TypeAbsent && from == TypeSilent {
			continue
		}
		if to == TypeAbsent && slices.Contains(s.Created.Known, name) {
			to = TypeSilent
		}
		all = append(all, Change{name, from, to})
	}
	return all
}

// flip judges a window whose types had other outcomes.
func (rs *RuleSet) flip(w window, cause task.Cause, change []Change) (Flip, bool) {
	was := w.unfinished()
	w.state.SubTasks, w.state.Declined = maps.Clone(w.state.SubTasks), maps.Clone(w.state.Declined)
	for _, c := range change {
		w.suppose(c)
	}
	switch is := w.unfinished(); {
	case is:
		cause = task.Deadline // a window does not settle with one
	case was:
		cause = task.Settled
	}
	_, seen := rs.see(w, cause)
	r, err := rs.first(seen)
	if err != nil {
		return Flip{}, false // a broken rule is no outcome to wish for
	}
	f := Flip{Changes: change, Status: r.status, Rule: r.id}
	var en, zh []string
	for _, c := range change {
		who := c.Type
		whoZH := c.Type
		if c.Type == "*" {
			who, whoZH = "any scanner", "任一扫描"
		}
		en = append(en, fmt.Sprintf("%s had %s instead of having %s", who, words[c.To].En, words[c.From].En))
		zh = append(zh, fmt.Sprintf("%s 为“%s”而非“%s”", whoZH, words[c.To].Zh, words[c.From].Zh))
	}
	f.Text = report.Text{
		En: fmt.Sprintf("if %s: %s (rule %s)", strings.Join(en, " and "), r.status, r.id),
		Zh: fmt.Sprintf("若 %s：%s（规则 %s）", strings.Join(zh, "，且 "), r.status, r.id),
	}
	return f, true
}

var words = map[TypeOutcome]report.Text{
	TypePassed: {En: "passed", Zh: "通过"}, TypeFailed: {En: "failed its check", Zh: "未通过"},
	TypeErrored: {En: "ended in an error", Zh: "扫描出错"}, TypeUnfinished: {En: "remained unfinished", Zh: "未完成"},
	TypeDeclined: {En: "declined", Zh: "不参与"}, TypeSilent: {En: "stayed silent", Zh: "无响应"}, TypeAbsent: {En: "stayed away", Zh: "缺席"},
}

// suppose gives a type another outcome. What it found and read is kept where the
// new outcome allows it.
func (w *window) suppose(c Change) {
	t, takesPart := w.state.SubTasks[c.Type]
	if w.state.SubTasks == nil {
		w.state.SubTasks = map[string]task.SubTask{}
	}
	if w.state.Declined == nil {
		w.state.Declined = map[string]task.Decline{}
	}
	delete(w.state.SubTasks, c.Type)
	delete(w.state.Declined, c.Type)
	switch c.To {
	case TypeAbsent, TypeSilent:
		return
	case TypeDeclined:
		w.state.Declined[c.Type] = task.Decline{Type: c.Type}
		return
	}
	if !takesPart {
		t = task.SubTask{Type: c.Type, Attempt: 1}
	}
	summary := report.Counts{}
	if t.Summary != nil {
		summary = *t.Summary
	}
	if t.Coverage == nil || blind(t) || unfinished(t) {
		t.Coverage = &task.Coverage{Eligible: 1, Seen: 1}
	}
	t.RetryWanted, t.Result, t.Kind = false, "", ""
	switch c.To {
	case TypePassed:
		summary.Error = 0
		t.State, t.Result, t.Summary = task.StateCompleted, task.Pass, &summary
	case TypeFailed:
		summary.Error = max(summary.Error, 1)
		t.State, t.Kind, t.Summary = task.StateFailed, task.Check, &summary
	case TypeErrored:
		t.State, t.Kind, t.Summary, t.Coverage = task.StateFailed, task.Error, nil, nil
	case TypeUnfinished:
		t.State, t.Summary, t.Coverage = task.StateRunning, nil, nil
	}
	w.state.SubTasks[c.Type] = t
}
