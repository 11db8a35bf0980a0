package commands

import (
	"context"
	"time"

	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// OpenWindow opens a task's window; a task that has one is left as it is.
func (c *Commands) OpenWindow(ctx context.Context, taskID string, by Origin, open task.Open) (Done, error) {
	return c.execute(ctx, taskID, by, decision(open))
}

// Converge judges the task's facts at time now by the rule set that the task was
// opened under and, if the window is over, closes it with its verdict. The outcome
// is what the rules found on the facts as they were when this returned: Open with
// the time to come back, or Closed, or NoWindow when there is nothing to judge. A
// task that has its verdict gets the next revision of it, if late facts and the rule
// set want one.
func (c *Commands) Converge(ctx context.Context, taskID string, by Origin, book *RuleBook, now time.Time) (rules.Outcome, Done, error) {
	var outcome rules.Outcome
	done, err := c.execute(ctx, taskID, by, func(s task.State, facts []task.Recorded) (_ []task.Fact, err error) {
		if outcome, err = book.Judge(ctx, facts, now); err != nil {
			return nil, err
		}
		closed, ok := outcome.(rules.Closed)
		switch {
		case !ok:
			return nil, nil
		case s.Verdict != nil:
			return task.Decide(s, task.Revise{Revision: s.Verdict.Revision + 1, Verdict: closed.Verdict})
		}
		return task.Decide(s, task.Converge{Cause: closed.Cause, ClosedAt: closed.At, Verdict: closed.Verdict})
	})
	return outcome, done, err
}

func decision(command task.Command) func(task.State, []task.Recorded) ([]task.Fact, error) {
	return func(s task.State, _ []task.Recorded) ([]task.Fact, error) { return task.Decide(s, command) }
}
