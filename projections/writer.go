package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// maxKnown bounds how many tasks' states a writer remembers between batches.
const maxKnown = 2_000

// writer owns the read model for as long as its connection lives: the connection
// holds the lock, and everything is written through it. Its search path is the
// read model's schema.
type writer struct {
	conn     *pgx.Conn
	model    Model
	blobs    Blobs
	trials   trials
	position eventstore.Position // of the checkpoint in the database
	eventAt  time.Time           // of the newest event in the tables

	skips   skips
	edition int64   // of the read model, as found
	passed  int64   // events of the log since the last write
	rate    float64 // of them, in the newest batches
	written time.Time

	// known holds states as they stand in the database, to spare a query for
	// tasks that are just being worked on.
	known map[eventstore.ID]task.State

	// again: rollups and flaky count these facts already.
	again bool
}

// apply folds events into the read model and moves the checkpoint to upTo, all
// in one transaction. After any error but a *HaltedError nothing was written; a
// *HaltedError comes after everything before the offending fact was written.
func (w *writer) apply(ctx context.Context, events []arrived, upTo eventstore.Position) error {
	err := w.applyAll(ctx, events, upTo)
	if !final(err) {
		return err
	}
	// Postgres refuses a row, now and for ever. One at a time finds out whose.
	for _, r := range events {
		err := w.applyAll(ctx, []arrived{r}, r.Position)
		if s := w.skips[r.Position]; final(err) && s != nil && !s.refused {
			s.refused = true
			err = w.applyAll(ctx, []arrived{r}, r.Position)
		}
		if final(err) {
			stop := halted(w.model, r.Recorded, err)
			stop.Skipped = w.skips[r.Position] != nil
			return stop
		}
		if err != nil {
			return err
		}
	}
	return w.applyAll(ctx, nil, upTo)
}

func (w *writer) applyAll(ctx context.Context, events []arrived, upTo eventstore.Position) error {
	if err := w.load(ctx, events); err != nil {
		return err
	}
	b, stop := fold(events, w.position, w.skips, func(id eventstore.ID) (task.State, bool) {
		state, ok := w.known[id]
		return state, ok
	})
	if stop == nil {
		b.upTo = upTo
	}
	if b.upTo != w.position {
		if err := w.write(ctx, b); err != nil {
			clear(w.known) // it may hold what the database does not
			return fmt.Errorf("write read model %s up to position %d: %w", w.model.Schema(), b.upTo, err)
		}
		w.remember(b)
	}
	if stop != nil {
		stop.Model = w.model
		return stop
	}
	return nil
}

// load fetches the states of the tasks that events touch and that are not at
// hand, with one query at most.
func (w *writer) load(ctx context.Context, events []arrived) error {
	if len(w.known) > maxKnown {
		clear(w.known)
	}
	var wanted []eventstore.ID
	asked := make(map[eventstore.ID]bool)
	for _, r := range events {
		id := r.task
		if !r.ofTask || asked[id] {
			continue
		}
		asked[id] = true
		if _, have := w.known[id]; !have && r.Revision > 0 {
			wanted = append(wanted, id)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	rows, err := w.conn.Query(ctx, `select task_id, state from tasks where task_id = any($1)`, uuids(wanted))
	if err != nil {
		return fmt.Errorf("load task states: %w", err)
	}
	var id [16]byte
	var stored []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &stored}, func() error {
		var state task.State
		if err := json.Unmarshal(stored, &state); err != nil {
			return fmt.Errorf("state of task %s: %w", eventstore.ID(id), err)
		}
		w.known[id] = state
		return nil
	})
	if err != nil {
		return fmt.Errorf("load task states: %w", err)
	}
	return nil
}

func (w *writer) remember(b *batch) {
	w.position = b.upTo
	if !b.eventAt.IsZero() {
		w.eventAt = b.eventAt
	}
	for _, c := range b.order {
		w.known[c.id] = c.after
	}
}

// write puts a batch into the tables.
func (w *writer) write(ctx context.Context, b *batch) error {
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing, after a commit

	// First the checkpoint: its row lock keeps everybody else out until we commit,
	// and if it has moved we are not the writer any more.
	rate := w.pace()
	tag, err := tx.Exec(ctx, `update checkpoint
		set position = $2, event_at = coalesce($3, event_at), moved_at = now(), events = events + $6, per_second = $7,
		    halted_at = null, halted_position = null, halted_reason = null
		where layout = $4 and position = $1 and edition = $5`,
		int64(w.position), int64(b.upTo), instant(b.eventAt), Layout, w.edition, w.passed, rate)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return errCheckpointMoved
	}
	if err := w.writeRows(ctx, tx, b); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	w.passed, w.rate, w.written = 0, rate, time.Now()
	return nil
}

// pace is how many events of the log pass in a second, with those that passed
// since the last write.
func (w *writer) pace() float64 {
	now := float64(w.passed) / max(time.Since(w.written), time.Millisecond).Seconds()
	if w.rate == 0 {
		return now
	}
	return 0.7*w.rate + 0.3*now
}

// writeRows writes one statement a table.
func (w *writer) writeRows(ctx context.Context, tx pgx.Tx, b *batch) error {
	var (
		statements pgx.Batch
		tasks      taskColumns
		subTasks   subTaskColumns
		declines   declineColumns
		joined     typeColumns // declined before, take part now
		replaced   typeColumns // had a report before
		findings   = findingWriter{tx: tx, blobs: w.blobs}
	)
	for _, c := range b.order {
		if err := tasks.add(c); err != nil {
			return err
		}
		for _, name := range c.touched {
			if d, ok := c.after.Declined[name]; ok {
				if err := declines.add(c.id, d); err != nil {
					return err
				}
			} else if _, ok := c.before.Declined[name]; ok {
				joined.add(c.id, name)
			}
			if c.before.SubTasks[name].Report != nil && !c.sameReport(name) {
				replaced.add(c.id, name)
			}
		}
	}
	if len(replaced.id) > 0 { // before the new findings come
		if _, err := tx.Exec(ctx, deleteFindings, replaced.args()...); err != nil {
			return err
		}
	}
	for _, c := range b.order {
		for _, name := range c.touched {
			t, ok := c.after.SubTasks[name]
			if !ok {
				continue
			}
			state, err := reportAsBefore, error(nil)
			if !c.sameReport(name) {
				state, err = findings.report(ctx, c.id, t)
			}
			if err != nil {
				return err
			}
			if err := subTasks.add(c.id, t, state); err != nil {
				return err
			}
		}
	}
	if err := findings.flush(ctx); err != nil {
		return err
	}
	if !w.again {
		b.queueRollups(&statements)
	}
	if err := b.queueOutcomes(ctx, &statements, w.blobs, findings.read, w.again); err != nil {
		return err
	}
	if len(tasks.id) > 0 {
		statements.Queue(upsertTasks, tasks.args()...)
	}
	if shadows, err := w.trials.of(ctx, b); err != nil {
		return err
	} else if len(shadows) > 0 {
		statements.Queue(upsertShadows, shadowArgs(shadows)...)
	}
	if len(subTasks.id) > 0 {
		statements.Queue(upsertSubTasks, subTasks.args()...)
	}
	if len(joined.id) > 0 {
		statements.Queue(deleteDeclines, joined.args()...)
	}
	if len(declines.id) > 0 {
		statements.Queue(upsertDeclines, declines.args()...)
	}
	if len(b.dead.order) > 0 {
		args, err := b.dead.args()
		if err != nil {
			return err
		}
		statements.Queue(upsertDeadLetters, args...)
	}
	if len(b.scanners) > 0 {
		statements.Queue(upsertScanners, scannerArgs(b.scanners)...)
	}
	if len(b.skipped) > 0 {
		statements.Queue(insertSkips, skipArgs(b.skipped)...)
	}
	b.roster.queue(&statements)
	if statements.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &statements).Close()
}

// halt writes down why the read model stopped, for readers in other processes.
func (w *writer) halt(ctx context.Context, h *HaltedError) error {
	tag, err := w.conn.Exec(ctx, `update checkpoint set halted_at = now(), halted_position = $1, halted_reason = $2
		where position = $3`, int64(h.Position), clean(h.Error()), int64(w.position))
	if err == nil && tag.RowsAffected() != 1 {
		err = errCheckpointMoved
	}
	if err != nil {
		// Not with h in the chain: it is met again, and then written down.
		return fmt.Errorf("write down that read model %s halted (%s): %w", w.model.Schema(), h.Error(), err)
	}
	return nil
}
