package rules

import (
	"maps"
	"slices"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Revise judges again what came after a verdict, for rule sets with late: revise.
//
// Late facts gather in a window of their own. It opens with the first
// participation fact that no verdict has counted, and settles as the first
// window does (nothing unfinished, nothing heard for quiet), or ends at the
// window's length after it opened. Its verdict counts all facts since the upload,
// late ones too. Evaluate's rule holds here too: what comes after that moment
// waits for the revision after this one, however late anybody looks.
//
// NoWindow: nothing is to be revised (no late fact, late: record, a cancelled
// task, or no verdict yet). Open: look again after DueAt. Closed: append a
// MainTaskConverged with this verdict, the next revision number, and the id of
// the verdict that it supersedes. Once that is recorded, Revise gives NoWindow
// until somebody is late again; so deciding twice records it once.
func Revise(rs *RuleSet, facts []task.Recorded, now time.Time) Outcome {
	w, ok := rs.lateWindow(inOrder(facts))
	switch {
	case !ok:
		return NoWindow{}
	case !now.After(w.due()):
		return Open{DueAt: w.due()}
	}
	return rs.close(w)
}

// RecomputeRevision gives the verdict that the facts before the recorded
// MainTaskConverged of this revision lead to, from the stream alone; revision 1
// is what Recompute gives. ok is false when that revision is not recorded, or
// when these rules would not have revised.
func RecomputeRevision(rs *RuleSet, facts []task.Recorded, revision int) (closed Closed, ok bool) {
	if revision == 1 {
		return Recompute(rs, facts)
	}
	facts = inOrder(facts)
	for i, r := range facts {
		if f, is := r.Fact.(task.MainTaskConverged); is && f.Revision == revision {
			w, ok := rs.lateWindow(facts[:i])
			if !ok {
				return Closed{}, false
			}
			return rs.close(w), true
		}
	}
	return Closed{}, false
}

// lateWindow gathers for the first revision that is not recorded yet. A window,
// the first one or a later one, is over when its time is, or when its verdict
// stands in the stream.
func (rs *RuleSet) lateWindow(facts []task.Recorded) (window, bool) {
	recorded := 0
	for _, r := range facts {
		if f, is := r.Fact.(task.MainTaskConverged); is {
			recorded = max(recorded, f.Revision)
		}
	}
	if rs.late != LateRevise || recorded == 0 {
		return window{}, false
	}
	var w window
	revision, gathering := 1, true
	for _, r := range facts {
		if r.Revision < w.state.Facts {
			continue // a redelivery
		}
		if gathering && w.opened() && w.next(r.At).After(w.due()) {
			if revision > recorded {
				break // over, and this fact is for the next one
			}
			revision, gathering = revision+1, false
		}
		switch f := r.Fact.(type) {
		case task.WindowClosed:
			if revision == 1 {
				revision, gathering = 2, false
			}
		case task.MainTaskConverged:
			if f.Revision >= revision {
				revision, gathering = f.Revision+1, false
			}
		}
		w.take(r)
		if !gathering && w.opened() && participation(r.Fact) {
			gathering = true
			w.openedAt, w.minimum, w.deadline = w.clock, w.clock, w.clock.Add(w.state.Created.Window.Length())
		}
	}
	return w, revision > 1 && gathering && w.opened() && w.state.Cancelled == nil
}

// Replay is Evaluate as if the window had been opened with this rule set's own
// lengths instead of those recorded: what a change of rules would have meant. A
// window that was recorded with the same lengths is Recomputed.
func Replay(rs *RuleSet, facts []task.Recorded, now time.Time) Outcome {
	facts = inOrder(facts)
	replayed, same := rs.reopened(facts)
	if same {
		if closed, ok := Recompute(rs, facts); ok {
			return closed
		}
	}
	return Evaluate(rs, replayed, now)
}

// reopened gives the facts with this rule set's lengths in MainTaskCreated; same
// tells that they are the recorded ones.
func (rs *RuleSet) reopened(facts []task.Recorded) (with []task.Recorded, same bool) {
	i := slices.IndexFunc(facts, func(r task.Recorded) bool { _, is := r.Fact.(task.MainTaskCreated); return is })
	if i < 0 {
		return facts, true
	}
	f := facts[i].Fact.(task.MainTaskCreated)
	before := f.Window
	f.Window.Deadline = f.Window.OpensAt.Add(rs.window)
	f.Window.Quiet, f.Window.Minimum = task.Duration(rs.quiet), task.Duration(rs.minimum)
	with = slices.Clone(facts)
	with[i].Fact = f
	return with, before == f.Window
}

// Undecidable reports that these rules cannot be tried on recorded facts, and
// why: guessing would be worse than saying so. It speaks of Replay.
//
//   - A rule that was reached asks who was silent, and nobody wrote down who was
//     online.
//   - The rules would have kept the window open beyond its recorded end, something
//     was unfinished then, and its end was not recorded in time: whether it would
//     have come, had the window waited, cannot be told.
func Undecidable(rs *RuleSet, facts []task.Recorded) (reason report.Text, undecidable bool) {
	facts = inOrder(facts)
	replayed, same := rs.reopened(facts)
	if same {
		if i := slices.IndexFunc(facts, func(r task.Recorded) bool { _, is := r.Fact.(task.WindowClosed); return is }); i >= 0 {
			replayed = facts[:i]
		}
	}
	w := gather(replayed)
	if !w.opened() || w.state.Cancelled != nil {
		return report.Text{}, false
	}
	if !same {
		if was, closed := recordedEnd(facts); closed && w.due().After(was.due()) && was.unfinished() {
			var open []string
			for _, name := range slices.Sorted(maps.Keys(was.state.SubTasks)) {
				if unfinished(was.state.SubTasks[name]) && unfinished(w.state.SubTasks[name]) {
					open = append(open, name)
				}
			}
			if len(open) > 0 {
				return say("the window was closed while %s had not finished, and these rules would have waited longer",
					"窗口期关闭时 %s 尚未完成，而按此规则本应继续等待", list(open)), true
			}
		}
	}
	if w.state.Created.Known != nil || w.state.Unreadable > 0 {
		return report.Text{}, false
	}
	_, seen := rs.see(w, w.cause())
	for _, r := range rs.rules {
		if r.weighs("silent") {
			return say("rule %s asks who was silent, and it was not recorded who was waited for when the window opened",
				"规则 %s 需要判断谁无响应，但窗口期开启时应等待哪些扫描没有记录", r.id), true
		}
		if holds, err := r.holds(seen); holds || err != nil {
			break
		}
	}
	return report.Text{}, false
}

// recordedEnd is the window as the recorded WindowClosed found it.
func recordedEnd(facts []task.Recorded) (window, bool) {
	for i, r := range facts {
		if _, is := r.Fact.(task.WindowClosed); is {
			w := gather(facts[:i])
			return w, w.opened()
		}
	}
	return window{}, false
}
