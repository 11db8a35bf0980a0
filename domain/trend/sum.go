package trend

import (
	"maps"
	"slices"

	"github.com/factgate/factgate/domain/task"
)

// Sum is what many counters add up to. The zero value is empty.
type Sum struct {
	tasks         map[Outcome]int64
	timeToVerdict Histogram
	timeouts      int64
	windows       int64
	late          int64
	types         map[string]*TypeSum
}

// TypeSum is the part of one sub-task type.
type TypeSum struct {
	Type                       string
	outcomes                   map[Outcome]int64
	Durations                  Histogram
	Known, Silent, DeadLetters int64
}

// Add adds a counter.
func (s *Sum) Add(m Measure, subTaskType string, o Outcome, bin int, n int64) {
	if s.tasks == nil {
		s.tasks, s.timeToVerdict, s.types = map[Outcome]int64{}, Histogram{}, map[string]*TypeSum{}
	}
	switch m {
	case Tasks:
		s.tasks[o] += n
		if bin != NoBin {
			s.timeToVerdict[bin] += n
		}
		return
	case Windows:
		s.windows += n
		if o == Outcome(task.Deadline) {
			s.timeouts += n
		}
		return
	case LateFacts:
		s.late += n
		return
	}
	t := s.types[subTaskType]
	if t == nil {
		t = &TypeSum{Type: subTaskType, outcomes: map[Outcome]int64{}, Durations: Histogram{}}
		s.types[subTaskType] = t
	}
	switch m {
	case SubTasks:
		t.outcomes[o] += n
		if bin != NoBin {
			t.Durations[bin] += n
		}
	case Known:
		t.Known += n
	case Silent:
		t.Silent += n
	case DeadLetters:
		t.DeadLetters += n
	}
}

// Tasks counts those with an outcome.
func (s *Sum) Tasks(o Outcome) int64 { return s.tasks[o] }

// All counts the tasks uploaded.
func (s *Sum) All() (n int64) {
	for _, c := range s.tasks {
		n += c
	}
	return n
}

// PassRate is the part of the tasks with a verdict that succeeded; false without any.
func (s *Sum) PassRate() (float64, bool) {
	good := s.tasks[Outcome(task.Success)]
	return rate(good, good+s.tasks[Outcome(task.PartialSuccess)]+s.tasks[Outcome(task.Failed)])
}

// TimeToVerdict is from upload to the first verdict.
func (s *Sum) TimeToVerdict() Histogram { return s.timeToVerdict }

// Windows counts the windows that closed.
func (s *Sum) Windows() int64 { return s.windows }

// TimedOut counts the windows that closed at their deadline.
func (s *Sum) TimedOut() int64 { return s.timeouts }

// LateFacts counts what came after its window closed.
func (s *Sum) LateFacts() int64 { return s.late }

// Durations of the scans of all types.
func (s *Sum) Durations() Histogram {
	out := Histogram{}
	for _, t := range s.types {
		for bin, n := range t.Durations {
			out[bin] += n
		}
	}
	return out
}

// DeadLetters of all types.
func (s *Sum) DeadLetters() (n int64) {
	for _, t := range s.types {
		n += t.DeadLetters
	}
	return n
}

// Types by name.
func (s *Sum) Types() []*TypeSum {
	out := make([]*TypeSum, 0, len(s.types))
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		out = append(out, s.types[name])
	}
	return out
}

// Of counts the sub-tasks with an outcome.
func (t *TypeSum) Of(o Outcome) int64 { return t.outcomes[o] }

// DeclineRate is the part of those heard from that do not take part.
func (t *TypeSum) DeclineRate() (float64, bool) {
	var all int64
	for _, n := range t.outcomes {
		all += n
	}
	return rate(t.outcomes[SubTaskDeclined], all)
}

// SilenceRate is the part of the closed windows that knew of the type and did not
// hear from it; false where nobody wrote down who was known.
func (t *TypeSum) SilenceRate() (float64, bool) { return rate(t.Silent, t.Known) }

// PassRate is the part of the checks done that passed, with warnings or without.
func (t *TypeSum) PassRate() (float64, bool) {
	good := t.outcomes[SubTaskPass] + t.outcomes[SubTaskPassWithWarnings]
	return rate(good, good+t.outcomes[SubTaskFailed])
}

func rate(part, whole int64) (float64, bool) {
	if whole == 0 {
		return 0, false
	}
	return float64(part) / float64(whole), true
}
