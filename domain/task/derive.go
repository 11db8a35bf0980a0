package task

import (
	"time"

	"github.com/factgate/factgate/domain/report"
)

// Deadline is when the window closes at the latest, on the store's clock; zero
// while there is none.
func (s State) Deadline() time.Time {
	if s.Created == nil {
		return time.Time{}
	}
	return s.CreatedAt.Add(s.Created.Window.Length())
}

// Counts are the findings of all sub-tasks as their scanners counted them.
func (s State) Counts() report.Counts {
	var sum report.Counts
	for _, t := range s.SubTasks {
		if t.Summary != nil {
			sum.Error += t.Summary.Error
			sum.Warning += t.Summary.Warning
			sum.Note += t.Summary.Note
		}
	}
	return sum
}
