package task

import (
	"maps"
	"slices"
	"time"

	"github.com/factgate/factgate/domain/report"
)

// State is what the facts of one task add up to. The zero value is a task that
// nobody has heard of. It holds plain data only, so it can be stored and loaded
// as JSON.
type State struct {
	TaskID   string             `json:"taskId,omitempty"`
	Uploaded *ZipUploaded       `json:"uploaded,omitempty"`
	Created  *MainTaskCreated   `json:"created,omitempty"`
	SubTasks map[string]SubTask `json:"subTasks,omitempty"` // by type
	Declined map[string]Decline `json:"declined,omitempty"` // by type; a type that takes part does not stand here
	// Considered are the tries of types that have not answered yet; by type.
	Considered map[string]Consideration `json:"considered,omitempty"`
	Closed     *WindowClosed            `json:"closed,omitempty"`
	Verdict    *MainTaskConverged       `json:"verdict,omitempty"` // the newest
	// VerdictID is the event id of Verdict.
	VerdictID string             `json:"verdictId,omitempty"`
	Cancelled *MainTaskCancelled `json:"cancelled,omitempty"`

	UploadedAt  time.Time `json:"uploadedAt,omitzero"`
	CreatedAt   time.Time `json:"createdAt,omitzero"`
	ConvergedAt time.Time `json:"convergedAt,omitzero"`
	CancelledAt time.Time `json:"cancelledAt,omitzero"`
	// DecidedAt is when the first verdict was recorded; no revision changes it.
	DecidedAt time.Time `json:"decidedAt,omitzero"`
	// Silent are the types that stood on the roster when the window opened and were not
	// heard from before it closed, sorted; nobody is silent in an open window.
	Silent []string `json:"silent,omitempty"`
	// LastEventAt is when the newest fact was recorded.
	LastEventAt time.Time `json:"lastEventAt,omitzero"`
	// Facts counts the facts folded so far: the next one has this revision.
	Facts uint64 `json:"facts,omitempty"`
	// Late counts the participation facts that came after the window closed.
	Late int `json:"late,omitempty"`
	// Unreadable counts the facts that this version cannot decode.
	Unreadable int `json:"unreadable,omitempty"`
}

// SubTask is one scanner's work on the task, as its newest attempt left it.
type SubTask struct {
	Type        string         `json:"type"`
	State       SubTaskState   `json:"state"`
	Attempt     int            `json:"attempt"`
	Scanner     Scanner        `json:"scanner"`
	StartedAt   time.Time      `json:"startedAt,omitzero"`
	EndedAt     time.Time      `json:"endedAt,omitzero"`
	Result      Result         `json:"result,omitempty"` // of StateCompleted
	Kind        FailureKind    `json:"kind,omitempty"`   // of StateFailed
	Reason      string         `json:"reason,omitempty"`
	ReasonZH    string         `json:"reasonZh,omitempty"`
	Parked      bool           `json:"parked,omitempty"`
	Summary     *report.Counts `json:"summary,omitempty"`
	Coverage    *Coverage      `json:"coverage,omitempty"`
	Report      *Blob          `json:"report,omitempty"`
	DurationMS  int64          `json:"durationMs,omitempty"`
	Late        bool           `json:"late,omitempty"` // its newest fact came after the window closed
	RetryWanted bool           `json:"retryWanted,omitempty"`
	// DeadLetter is the newest attempt that was parked, 0 if none was; unlike Parked
	// it outlives the next attempt.
	DeadLetter int      `json:"deadLetter,omitempty"`
	Discarded  *Discard `json:"discarded,omitempty"` // somebody gave up on the parked attempt
	// Heard is the time of the type's first fact, a decline included.
	Heard time.Time `json:"heard,omitzero"`
	// Because says why the scanner takes part, as it said last.
	Because report.Text `json:"because,omitzero"`
	// Configuration is what the newest attempt was told by; nil: the defaults.
	Configuration *Configuration `json:"configuration,omitempty"`
}

// SubTaskState is where a sub-task stands.
type SubTaskState string

// The states of a sub-task.
const (
	StateRunning   SubTaskState = "RUNNING"
	StateCompleted SubTaskState = "COMPLETED"
	StateFailed    SubTaskState = "FAILED"
)

// Decline is a scanner's "not my business".
type Decline struct {
	Type     string    `json:"type"`
	Code     string    `json:"code"`
	Reason   string    `json:"reason"`
	ReasonZH string    `json:"reasonZh,omitempty"`
	Scanner  Scanner   `json:"scanner"`
	At       time.Time `json:"at"`
	Late     bool      `json:"late,omitempty"`
	// Configuration is what the scanner was told by; nil: its defaults.
	Configuration *Configuration `json:"configuration,omitempty"`
}

// Phase is what a task is doing, for people; the verdict's status is apart.
type Phase string

// The phases of a task.
const (
	PhaseUploaded  Phase = "UPLOADED"  // stored; no window yet
	PhaseOpen      Phase = "OPEN"      // the window is open
	PhaseConverged Phase = "CONVERGED" // there is a verdict
	PhaseCancelled Phase = "CANCELLED"
)

// Phase derives the phase from the facts.
func (s State) Phase() Phase {
	switch {
	case s.Verdict != nil:
		return PhaseConverged
	case s.Cancelled != nil:
		return PhaseCancelled
	case s.Created != nil:
		return PhaseOpen
	default:
		return PhaseUploaded
	}
}

// Observed returns the types that take part, sorted.
func (s State) Observed() []string { return slices.Sorted(maps.Keys(s.SubTasks)) }

// Evolve returns the state after one more fact. It never refuses. A fact that it
// has seen before (by revision) changes nothing, so a redelivery is harmless; a
// second fact that says what an earlier one said (a repeated start of the same
// attempt, an end of an attempt that has ended) is counted and changes nothing
// else. The given state is not modified.
func Evolve(s State, r Recorded) State {
	s = s.Clone()
	s.Apply(r)
	return s
}

// Clone returns a state that shares nothing with s that Apply changes.
func (s State) Clone() State {
	s.SubTasks, s.Declined, s.Considered = maps.Clone(s.SubTasks), maps.Clone(s.Declined), maps.Clone(s.Considered)
	return s
}

// Apply is Evolve in place, for a state that nobody else looks at: of many facts it
// copies nothing.
func (s *State) Apply(r Recorded) {
	if r.Revision < s.Facts {
		return
	}
	s.Facts = r.Revision + 1
	if r.At.After(s.LastEventAt) {
		s.LastEventAt = r.At
	}
	late := s.Closed != nil
	switch f := r.Fact.(type) {
	case ZipUploaded:
		if s.Uploaded == nil {
			s.TaskID, s.Uploaded, s.UploadedAt = f.TaskID, &f, r.At
		}
	case MainTaskCreated:
		if s.Created == nil {
			s.Created, s.CreatedAt = &f, r.At
		}
	case SubTaskDeclined:
		s.Late += count(late)
		if _, takesPart := s.SubTasks[f.Type]; takesPart {
			break // a scanner that took part cannot have stayed away
		}
		if _, already := s.Declined[f.Type]; !already {
			s.Declined = with(s.Declined, f.Type, Decline{
				Type: f.Type, Code: f.Code, Reason: f.Reason, ReasonZH: f.ReasonZH, Scanner: f.Scanner, At: r.At, Late: late,
				Configuration: f.Configuration,
			})
			s.Considered = without(s.Considered, f.Type)
		}
	case SubTaskStarted:
		s.Late += count(late)
		if old := s.SubTasks[f.Type]; f.Attempt > old.Attempt {
			because := report.Text{En: f.Reason, Zh: f.ReasonZH}
			if because.En == "" {
				because = old.Because
			}
			s.setSubTask(SubTask{
				Type: f.Type, State: StateRunning, Attempt: f.Attempt, Scanner: f.Scanner,
				StartedAt: r.At, Late: late, Heard: s.firstHeard(f.Type, r.At), DeadLetter: old.DeadLetter,
				Because: because, Configuration: f.Configuration,
			})
		}
	case SubTaskCompleted:
		s.Late += count(late)
		if t, ok := s.ending(f.Type, f.Attempt, r.At); ok {
			t.State, t.EndedAt, t.Late = StateCompleted, r.At, late
			t.Result, t.Summary, t.Coverage, t.Report, t.DurationMS = f.Result, new(f.Summary), new(f.Coverage), f.Report, f.DurationMS
			s.setSubTask(t)
		}
	case SubTaskFailed:
		s.Late += count(late)
		if t, ok := s.ending(f.Type, f.Attempt, r.At); ok {
			t.State, t.EndedAt, t.Late = StateFailed, r.At, late
			t.Kind, t.Reason, t.ReasonZH, t.Parked = f.Kind, f.Reason, f.ReasonZH, f.Parked
			t.Summary, t.Coverage, t.Report, t.DurationMS = f.Summary, f.Coverage, f.Report, f.DurationMS
			if f.Parked {
				t.DeadLetter = f.Attempt
			}
			s.setSubTask(t)
		}
	case SubTaskRetryRequested:
		s.Late += count(late)
		if t, ok := s.SubTasks[f.Type]; ok && t.State != StateRunning && f.After == t.Attempt {
			t.RetryWanted = true
			s.setSubTask(t)
		}
	case WindowClosed:
		if s.Closed == nil {
			s.Closed = &f
			s.Silent = s.unheard()
		}
	case MainTaskConverged:
		if s.Verdict == nil || f.Revision > s.Verdict.Revision {
			s.Verdict, s.VerdictID, s.ConvergedAt = &f, r.ID, r.At
			s.DecidedAt = firstOf(s.DecidedAt, r.At)
		}
	case MainTaskCancelled:
		if s.Cancelled == nil {
			s.Cancelled, s.CancelledAt = &f, r.At
		}
	case SubTaskDiscarded:
		if t, ok := s.SubTasks[f.Type]; ok && t.OpenDeadLetter() && f.Attempt == t.Attempt {
			t.Discarded = &Discard{Reason: f.Reason, At: r.At}
			s.setSubTask(t)
		}
	case SubTaskConsidered:
		_, declined := s.Declined[f.Type]
		_, takesPart := s.SubTasks[f.Type]
		if !declined && !takesPart && f.Try > s.Considered[f.Type].Tries {
			s.Considered = with(s.Considered, f.Type, Consideration{Tries: f.Try, Instance: f.Scanner.Instance, Delivery: f.Delivery})
		}
	case Unreadable:
		s.Unreadable++
	}
}

// unheard are the types known when the window opened that were not heard in it.
func (s State) unheard() []string {
	var out []string
	if s.Created == nil {
		return nil
	}
	heard := s.HeardInWindow()
	for _, name := range s.Created.Known {
		if !slices.Contains(heard, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// HeardInWindow are the types that spoke before the window closed, sorted; while it
// is open, those that have spoken. Recorded times decide, as they do for rules: what
// was recorded after ClosedAt came too late, also where WindowClosed came later still.
func (s State) HeardInWindow() []string {
	out := []string{}
	inTime := func(at time.Time) bool { return s.Closed == nil || !at.After(s.Closed.ClosedAt) }
	for name, t := range s.SubTasks {
		if inTime(t.Heard) {
			out = append(out, name)
		}
	}
	for name, d := range s.Declined {
		if inTime(d.At) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Fold evolves the zero state through all facts.
func Fold(facts []Recorded) State {
	var s State
	for _, r := range facts {
		s.Apply(r)
	}
	return s
}

// ending returns the sub-task whose attempt ends now; false when that attempt
// has ended before or is not the newest. An end without a start is taken at its
// word: history is not up for debate.
func (s State) ending(subTaskType string, attempt int, at time.Time) (SubTask, bool) {
	t, ok := s.SubTasks[subTaskType]
	if !ok || attempt > t.Attempt {
		return SubTask{Type: subTaskType, Attempt: attempt, StartedAt: at, Heard: s.firstHeard(subTaskType, at), DeadLetter: t.DeadLetter}, true
	}
	return t, attempt == t.Attempt && t.State == StateRunning
}

func (s *State) setSubTask(t SubTask) {
	s.SubTasks = with(s.SubTasks, t.Type, t)
	s.Declined, s.Considered = without(s.Declined, t.Type), without(s.Considered, t.Type)
}

func with[V any](m map[string]V, key string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = v
	return m
}

// without is with's opposite; of nothing, nothing is left.
func without[V any](m map[string]V, key string) map[string]V {
	delete(m, key)
	if len(m) == 0 {
		return nil
	}
	return m
}

// firstHeard is when a type was first heard of, now at the latest.
func (s State) firstHeard(subTaskType string, now time.Time) time.Time {
	return firstOf(s.SubTasks[subTaskType].Heard, firstOf(s.Declined[subTaskType].At, now))
}

func firstOf(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
