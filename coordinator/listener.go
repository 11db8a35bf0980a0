package coordinator

import (
	"context"
	"time"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
)

// Listener hears what a coordinator has done. Callbacks run on its own goroutines,
// several at once, after the facts are durable; they must be quick, and must neither
// block, nor panic, nor call the coordinator. What is nil is not told. A coordinator
// that dies between the fact and the call has told nobody: this is for counting, and
// who must know reads the log.
type Listener struct {
	Converged func(Converged)
}

// Converged is a verdict that this coordinator has recorded.
type Converged struct {
	Cause    task.Cause // why the window closed; empty for a revision
	Status   task.Status
	Revision int
	// After is how long the verdict came after the window's end, which is the
	// deadline or, when it settled, the end of the quiet.
	After time.Duration
}

// tell the listener of what converge has just recorded.
func (c *Coordinator) tell(done commands.Done) {
	if c.listener.Converged == nil {
		return
	}
	s := done.State
	v := Converged{Status: s.Verdict.Status, Revision: s.Verdict.Revision}
	if v.Revision <= 1 && s.Closed != nil {
		v.Cause, v.After = s.Closed.Cause, max(0, time.Since(s.Closed.ClosedAt))
	}
	c.listener.Converged(v)
}

// Windows counts the open windows, of all coordinators on this database: late facts
// that wait for a judgement are counted, too. due are those that wait to be judged now.
func (c *Coordinator) Windows(ctx context.Context) (open, due int64, err error) {
	err = c.db.QueryRow(ctx, `select count(*), count(*) filter (where due_at <= $1) from coordinator.windows`, time.Now().Add(-slack)).Scan(&open, &due)
	return open, due, err
}
