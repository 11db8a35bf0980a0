package commands

import (
	"context"

	"github.com/factgate/factgate/domain/task"
)

// StayAway records that a scanner declines.
func (c *Commands) StayAway(ctx context.Context, taskID string, by Origin, s task.StayAway) (Done, error) {
	return c.execute(ctx, taskID, by, decision(s))
}

// Consider records that a try begins whose predecessors may have ended without an
// answer.
func (c *Commands) Consider(ctx context.Context, taskID string, by Origin, w task.Consider) (Done, error) {
	return c.execute(ctx, taskID, by, decision(w))
}

// Start begins an attempt and returns its number; 0 means that there is nothing
// to do any more. Repeated with the same Scanner.Instance and Delivery, because its
// answer was lost, it returns the attempt that it began then, if that is running.
func (c *Commands) Start(ctx context.Context, taskID string, by Origin, s task.Start) (attempt int, err error) {
	_, attempt, err = c.StartAttempt(ctx, taskID, by, s)
	return attempt, err
}

// StartAttempt is Start for whoever wants to know what was appended.
func (c *Commands) StartAttempt(ctx context.Context, taskID string, by Origin, s task.Start) (done Done, attempt int, err error) {
	done, err = c.execute(ctx, taskID, by, func(state task.State, facts []task.Recorded) ([]task.Fact, error) {
		attempt = 0
		if t := state.SubTasks[s.Type]; s.Delivery != "" && t.State == task.StateRunning {
			for _, r := range facts {
				f, ok := r.Fact.(task.SubTaskStarted)
				if ok && f.Type == s.Type && f.Attempt == t.Attempt && f.Scanner.Instance == s.Scanner.Instance && f.Delivery == s.Delivery {
					attempt = f.Attempt
					return nil, nil
				}
			}
		}
		return task.Decide(state, s)
	})
	if err != nil || len(done.Facts) == 0 {
		return done, attempt, err
	}
	return done, done.Facts[0].(task.SubTaskStarted).Attempt, nil
}

// Complete ends an attempt that passed.
func (c *Commands) Complete(ctx context.Context, taskID string, by Origin, f task.SubTaskCompleted) (Done, error) {
	return c.execute(ctx, taskID, by, decision(task.Complete{Fact: f}))
}

// Fail ends an attempt that failed, or that could not be finished.
func (c *Commands) Fail(ctx context.Context, taskID string, by Origin, f task.SubTaskFailed) (Done, error) {
	return c.execute(ctx, taskID, by, decision(task.Fail{Fact: f}))
}
