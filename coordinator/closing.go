package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
)

const (
	dueBatch = 16 // windows judged in one transaction
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
	// It is as long as one question to the log may take.
	holding = 10 * time.Second
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
// stream. It returns how many.
func (c *Coordinator) closeDue(ctx context.Context) (judged int, err error) {
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
		if err != nil {
			return err
		}
		judged = len(ids)
		for _, id := range ids {
			if err := c.judge(ctx, tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	return judged, err
}

// judge closes one window, or finds when to look again. The append is durable
// before the row goes; a crash between the two judges again, and appends nothing.
func (c *Coordinator) judge(ctx context.Context, tx pgx.Tx, taskID string) error {
	now := time.Now().UTC()
	outcome, done, err := c.converge(ctx, taskID, now)
	if err != nil {
		if domain.KindOf(err) == domain.Internal && !errors.Is(err, context.Canceled) {
			// One task that cannot be judged must not hold up the others.
			c.logger.Error("a window could not be judged; it will be tried again", "task", taskID, "error", err)
			_, err = tx.Exec(ctx, `update coordinator.windows set due_at = $2 where task_id = $1`, taskID, now.Add(30*time.Second))
		}
		return err
	}
	open, ok := outcome.(rules.Open)
	if !ok {
		_, err = tx.Exec(ctx, `delete from coordinator.windows where task_id = $1`, taskID)
		return err
	}
	// The row now knows what was judged: that this is followed later takes nothing away.
	if _, err = tx.Exec(ctx, `update coordinator.windows set due_at = $2, position = greatest(position, $3) where task_id = $1`,
		taskID, open.DueAt, int64(done.Position)); err != nil {
		return fmt.Errorf("postpone a window: %w", err)
	}
	return nil
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
		rs, failed := c.book.Get(ctx, v.RuleSet)
		if failed != nil || rs.Late() != rules.LateRevise {
			return outcome, done, nil
		}
	}
}
