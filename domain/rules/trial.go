package rules

import (
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Trial is how recorded facts come out under rules that decide nothing: those of
// a dry run, or those in a task's shadow.
type Trial struct {
	// Recorded is the first verdict on record, that of the window's end: what
	// these rules have to compare themselves with. Nil while there is none.
	Recorded *task.Verdict
	// Verdict is theirs; nil while DueAt or Undecidable says why there is none, or
	// when the task has no window or was cancelled.
	Verdict *task.Verdict
	// DueAt is when their window closes if nothing more happens; zero once it has.
	DueAt time.Time
	// Undecidable says why what was recorded is not enough to tell; zero when it is.
	Undecidable report.Text
}

// Try is Replay, with Undecidable's doubts. What Replay gives for a window that
// these rules have closed does not change with later facts, nor with now.
func Try(rs *RuleSet, facts []task.Recorded, now time.Time) Trial {
	var t Trial
	for _, r := range inOrder(facts) {
		if f, is := r.Fact.(task.MainTaskConverged); is {
			t.Recorded = &f.Verdict
			break
		}
	}
	switch o := Replay(rs, facts, now).(type) {
	case NoWindow:
	case Open:
		t.DueAt = o.DueAt
	case Closed:
		if reason, undecidable := Undecidable(rs, facts); undecidable {
			t.Undecidable = reason
		} else {
			t.Verdict = &o.Verdict
		}
	}
	return t
}

// Differs reports whether both verdicts are there and say another status.
func (t Trial) Differs() bool {
	return t.Recorded != nil && t.Verdict != nil && t.Recorded.Status != t.Verdict.Status
}
