// Package trend says what a task counts for in statistics over many tasks, and
// adds it up.
//
// [Of] turns the state of one task into counters; the read model keeps their
// sums, as the difference of what a task counted for before and after a batch of
// facts. So whatever a retry, a late fact or a revised verdict changes is taken
// back and added anew, and the sums are those of the facts, always.
//
// Everything that a task counts for stands in one quarter hour: that in which the
// log recorded its upload. It is known from the first fact on and nothing that
// comes later moves it, neither a revision nor another rule set; and rates by type
// have the numerator and the denominator in the same place. A stream that does not
// begin with an upload counts for nothing.
//
// Durations are kept in logarithmic bins, see [Bin]: a quantile is wrong by 19 % at
// most. [Series] cuts time into hours, days, weeks and months of a time zone.
package trend

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/task"
)

// Quarter is the grain of the counters. The offset of every time zone of today is
// a multiple of it.
const Quarter = 15 * time.Minute

// Measure says what a counter counts. The words are stored.
type Measure string

// The measures.
const (
	Tasks       Measure = "TASK"        // tasks by Outcome; Bin: from upload to the first verdict
	Windows     Measure = "WINDOW"      // windows that closed, by cause
	LateFacts   Measure = "LATE"        // facts that came after the window closed
	SubTasks    Measure = "SUB_TASK"    // sub-tasks and declines by type and Outcome; Bin: the scan's duration
	Known       Measure = "KNOWN"       // by type: closed windows at whose opening it was waited for
	Silent      Measure = "SILENT"      // by type: those of Known in which it was not heard from
	DeadLetters Measure = "DEAD_LETTER" // by type: sub-tasks that a scanner gave up on at least once
)

// Outcome is how a task or a sub-task stands. The words are stored.
type Outcome string

// Outcomes of tasks: the status of the newest verdict, or one of these two.
const (
	TaskOpen      Outcome = "OPEN" // no verdict yet
	TaskCancelled Outcome = "CANCELLED"
)

// Outcomes of sub-tasks, as their newest attempt left them.
const (
	SubTaskPass             Outcome = "PASS"
	SubTaskPassWithWarnings Outcome = "PASS_WITH_WARNINGS"
	SubTaskFailed           Outcome = "FAILED" // kind CHECK
	SubTaskErrored          Outcome = "ERRORED"
	SubTaskRunning          Outcome = "RUNNING"
	SubTaskDeclined         Outcome = "DECLINED"
)

// Key names a counter.
type Key struct {
	Quarter int64 // Unix seconds of its begin
	Project [16]byte
	Measure Measure
	Type    string // as TypeKey gives it; empty for the task itself
	Outcome Outcome
	Bin     int // NoBin for what has no duration
}

// Compare orders keys.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Quarter, o.Quarter), slices.Compare(k.Project[:], o.Project[:]), cmp.Compare(k.Measure, o.Measure),
		cmp.Compare(k.Type, o.Type), cmp.Compare(k.Outcome, o.Outcome), cmp.Compare(k.Bin, o.Bin))
}

// Of returns what a task counts for; nothing while there is no upload.
func Of(s task.State) map[Key]int64 {
	out := map[Key]int64{}
	Count(out, s, 1)
	return out
}

// Count adds what a task counts for to counters, so many times; -1 takes it away.
// What the counters change by when a state does is the one after it and less the one
// before.
func Count(counters map[Key]int64, s task.State, times int64) {
	if s.Uploaded == nil {
		return
	}
	quarter, project := s.UploadedAt.Truncate(Quarter).Unix(), ProjectKey(s.Uploaded.Project)
	add := func(n int, m Measure, subTaskType string, o Outcome, bin int) {
		if n != 0 {
			counters[Key{quarter, project, m, TypeKey(subTaskType), o, bin}] += int64(n) * times
		}
	}
	add(1, Tasks, "", taskOutcome(s), timeToVerdict(s))
	if s.Closed != nil {
		cause := Outcome(task.Settled)
		if s.Closed.Cause == task.Deadline {
			cause = Outcome(task.Deadline)
		}
		add(1, Windows, "", cause, NoBin)
		if s.Created != nil {
			for _, name := range distinct(s.Created.Known) {
				add(1, Known, name, "", NoBin)
			}
			for _, name := range s.Silent {
				add(1, Silent, name, "", NoBin)
			}
		}
	}
	add(s.Late, LateFacts, "", "", NoBin)
	for name, t := range s.SubTasks {
		outcome, bin := subTaskOutcome(t)
		add(1, SubTasks, name, outcome, bin)
		if t.DeadLetter > 0 {
			add(1, DeadLetters, name, "", NoBin)
		}
	}
	for name := range s.Declined {
		add(1, SubTasks, name, SubTaskDeclined, NoBin)
	}
}

func taskOutcome(s task.State) Outcome {
	switch s.Phase() {
	case task.PhaseConverged:
		switch s.Verdict.Status {
		case task.Success, task.PartialSuccess:
			return Outcome(s.Verdict.Status)
		}
		return Outcome(task.Failed) // a status that nobody here knows is not taken for good
	case task.PhaseCancelled:
		return TaskCancelled
	}
	return TaskOpen
}

func timeToVerdict(s task.State) int {
	if s.Verdict == nil || s.DecidedAt.IsZero() {
		return NoBin
	}
	return Bin(max(0, s.DecidedAt.Sub(s.UploadedAt)).Milliseconds())
}

func subTaskOutcome(t task.SubTask) (Outcome, int) {
	switch t.State {
	case task.StateCompleted:
		outcome := SubTaskPassWithWarnings
		if t.Result == task.Pass {
			outcome = SubTaskPass
		}
		return outcome, Bin(t.DurationMS)
	case task.StateFailed:
		outcome := SubTaskErrored
		if t.Kind == task.Check {
			outcome = SubTaskFailed
		}
		if t.DurationMS == 0 { // it is left out where it is not known
			return outcome, NoBin
		}
		return outcome, Bin(t.DurationMS)
	}
	return SubTaskRunning, NoBin
}

func distinct(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// ProjectKey stands for a project's name, which may be longer than an index can
// hold.
func ProjectKey(name string) (key [16]byte) {
	sum := sha256.Sum256([]byte(clean(name)))
	copy(key[:], sum[:])
	return key
}

// longType is more than any type of ours has and less than an index can hold.
const longType = 200

// TypeKey is the type as counters name it: itself, unless it is very long.
func TypeKey(name string) string {
	name = clean(name)
	if len(name) <= longType {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:longType/2], "") + "…" + hex.EncodeToString(sum[:8])
}

// clean replaces U+0000, which tables cannot hold, as everywhere in them.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }
