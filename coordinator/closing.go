package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/eventstore"
)

const (
	// dueBatch is how many windows are judged in one transaction, all side by side:
	// most of a judgement is waiting for the event store, which takes many appends
	// with one sync.
	dueBatch = 256
	// slack is added to a due time before looking: Postgres keeps microseconds,
	// and a window is over only after its due time.
	slack = time.Millisecond
	// idle bounds how long the closing loop sleeps when another coordinator may
	// have moved a due time forward.
	idle = time.Second
	// elsewhere is how long it leaves due windows to the coordinator that holds
	// them, before it looks whether that one still does.
	elsewhere = 100 * time.Millisecond
	// holding bounds how long a coordinator that was frozen, or cut off, keeps due
	// windows from the others: Postgres then ends its session, and with it the locks.
	holding = 10 * time.Second
	// judging bounds how long due windows are judged while their rows are held.
	judging = holding / 2
)

// close judges windows as they become due, until something breaks or ctx ends.
func (c *Coordinator) close(ctx context.Context, well func()) error {
	if err := c.migrate(ctx); err != nil {
		return err
	}
	for {
		judged, err := c.closeDue(ctx)
		if err != nil {
			return err
		}
		well()
		if judged == dueBatch {
			continue
		}
		sleep, err := c.untilNext(ctx, judged)
		if err != nil {
			return err
		}
		timer := time.NewTimer(sleep)
		select {
		case <-timer.C:
		case <-c.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// untilNext is how long nothing will be due for us, who have just judged so many.
func (c *Coordinator) untilNext(ctx context.Context, judged int) (time.Duration, error) {
	var due *time.Time
	if err := c.db.QueryRow(ctx, `select min(due_at) from coordinator.windows`).Scan(&due); err != nil {
		return 0, err
	}
	if due == nil {
		return idle, nil
	}
	sleep := time.Until(due.Add(slack))
	if sleep <= 0 && judged == 0 {
		return elsewhere, nil
	}
	return max(0, min(idle, sleep)), nil
}

// closeDue takes due windows that nobody else holds and judges each from its
// stream. It returns how many. Appends are durable before the rows go; a crash
// between the two judges again, and appends nothing.
func (c *Coordinator) closeDue(ctx context.Context) (judged int, err error) {
	var failed error // to judge; what could be judged stands all the same
	err = pgx.BeginFunc(ctx, c.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`set local idle_in_transaction_session_timeout = %d`, holding.Milliseconds())); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			select task_id::text from coordinator.windows where due_at <= $1
			order by due_at limit $2 for update skip locked`, time.Now().Add(-slack), dueBatch)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		judged = len(ids)
		found := make([]judgement, len(ids))
		// All of them together: one that the log does not give in time comes later,
		// and keeps neither these nor the next ones.
		work, cancel := context.WithTimeout(ctx, judging)
		defer cancel()
		var g errgroup.Group
		for i, id := range ids {
			g.Go(func() (err error) {
				found[i], err = c.judge(work, id)
				return err
			})
		}
		failed = g.Wait()
		var over []string
		var open columns
		for i, id := range ids {
			switch f := found[i]; {
			case f.over:
				over = append(over, id)
			case !f.dueAt.IsZero():
				open.add(id, f.position, f.dueAt)
			}
		}
		statements := &pgx.Batch{}
		statements.Queue(`delete from coordinator.windows where task_id = any($1::uuid[])`, over)
		// The row now knows what was judged: that this is followed later takes nothing away.
		statements.Queue(`
			update coordinator.windows w set due_at = f.due_at, position = greatest(w.position, f.position)
			from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) f (task_id, due_at, position)
			where w.task_id = f.task_id`, open.ids, open.times, open.positions)
		if err := tx.SendBatch(ctx, statements).Close(); err != nil {
			return fmt.Errorf("write what was judged: %w", err)
		}
		return nil
	})
	return judged, errors.Join(failed, err)
}

// judgement is what becomes of a window's row; the zero value leaves it.
type judgement struct {
	over     bool
	dueAt    time.Time // when to look again
	position eventstore.Position
}

// judge closes one window, or finds when to look again.
func (c *Coordinator) judge(ctx context.Context, taskID string) (judgement, error) {
	now := time.Now().UTC()
	outcome, done, err := c.converge(ctx, taskID, now)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.logger.Warn("a window could not be judged in time; it will be tried again", "task", taskID, "error", err)
		return judgement{dueAt: now.Add(judging)}, nil
	}
	if err != nil {
		if domain.KindOf(err) == domain.Internal && !errors.Is(err, context.Canceled) {
			// One task that cannot be judged must not hold up the others.
			c.logger.Error("a window could not be judged; it will be tried again", "task", taskID, "error", err)
			return judgement{dueAt: now.Add(30 * time.Second)}, nil
		}
		return judgement{}, err
	}
	if open, ok := outcome.(rules.Open); ok {
		return judgement{dueAt: open.DueAt, position: done.Position}, nil
	}
	return judgement{over: true}, nil
}

// converge judges a task until there is nothing more to be judged now: facts that
// came between a window's end and its verdict are late, and may want a revision.
func (c *Coordinator) converge(ctx context.Context, taskID string, now time.Time) (outcome rules.Outcome, done commands.Done, err error) {
	for {
		outcome, done, err = c.commands.Converge(ctx, taskID, commands.Origin{Actor: "coordinator"}, c.book, now)
		if err != nil || len(done.Facts) == 0 {
			return outcome, done, err
		}
		v := done.State.Verdict
		c.logger.Info("task converged", "task", taskID, "revision", v.Revision, "status", v.Status, "rule", v.Rule.ID, "because", v.Because.En)
		c.tell(done)
		rs, failed := c.book.Get(ctx, v.RuleSet)
		switch {
		case commands.Unusable(failed), failed == nil && rs.Late() != rules.LateRevise:
			return outcome, done, nil
		case failed != nil:
			return outcome, done, failed
		}
	}
}
