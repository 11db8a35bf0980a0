package projections

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/factgate/factgate/eventstore"
)

// streams are read where a task's state is not at hand.
type streams interface {
	ReadStream(ctx context.Context, stream eventstore.StreamID, from uint64) iter.Seq2[eventstore.Recorded, error]
}

// writer owns the read model for as long as its connection lives: the connection
// holds the lock, and everything is written through it. Its search path is the
// read model's schema.
type writer struct {
	conn     *pgx.Conn
	model    Model
	blobs    Blobs
	log      streams
	trials   trials
	position eventstore.Position // of the checkpoint in the database
	eventAt  time.Time           // of the newest event in the tables

	skips   skips
	careful eventstore.Position // up to here lies something that Postgres refuses
	edition int64               // of the read model, as found
	passed  int64               // events of the log since the last write
	rate    float64             // of them, in the newest batches
	written time.Time

	// known holds states as the database has them, or will when the batch that is being
	// written is there, to spare reading the streams of tasks that are being worked on.
	known memory

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
	before, wanted := w.atHand(events, nil)
	if err := w.recall(ctx, wanted, before); err != nil {
		return err
	}
	b, stop := fold(events, w.position, w.skips, before.get)
	if stop == nil {
		b.upTo = upTo
	}
	if b.upTo != w.position {
		if err := w.write(ctx, b, false); err != nil {
			w.known.forget() // it may hold what the database does not
			return err
		}
		w.known.keep(b)
	}
	if stop != nil {
		stop.Model = w.model
		return stop
	}
	return nil
}

// atHand are the states that are known, of the tasks that events touch and that are not
// in b; wanted are the first of events of each of the other tasks.
func (w *writer) atHand(events []arrived, b *batch) (known states, wanted []*arrived) {
	known = make(states)
	asked := make(map[eventstore.ID]bool)
	for i := range events {
		r := &events[i]
		if !r.ofTask || asked[r.task] || b != nil && b.tasks[r.task] != nil {
			continue
		}
		asked[r.task] = true
		if old, ok := w.known.get(r.task); ok {
			known[r.task] = old
		} else if r.Revision > 0 { // a first fact has nothing before it
			wanted = append(wanted, r)
		}
	}
	return known, wanted
}

// recallStreams is how many tasks' streams are read side by side.
const recallStreams = 16

// recall folds the tasks of these events from their streams, up to the events, and adds
// them to known.
func (w *writer) recall(ctx context.Context, wanted []*arrived, known states) error {
	if len(wanted) == 0 {
		return nil
	}
	if err := w.recallSkips(ctx, wanted); err != nil {
		return err
	}
	found := make([]remembered, len(wanted))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(recallStreams)
	for i, a := range wanted {
		g.Go(func() (err error) {
			found[i], err = w.history(ctx, a)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, r := range found {
		if r.state.Facts > 0 || r.err != nil {
			known[wanted[i].task] = r
		}
	}
	return nil
}

// history folds what a task's stream holds before an event. A fact in it that cannot be
// folded was, by another version or before the stream was cut: the task, and it alone,
// halts at its next one.
func (w *writer) history(ctx context.Context, a *arrived) (out remembered, err error) {
	b, met := newBatch(0, w.skips), false
	for r, err := range w.log.ReadStream(ctx, a.Stream, 0) {
		if eventstore.IsNotFound(err) || eventstore.IsDeleted(err) {
			break // the event tells that there is a gap
		}
		if err != nil {
			return out, fmt.Errorf("read the stream of task %s: %w", a.task, err)
		}
		if met = r.Position >= a.Position; met {
			break
		}
		earlier := read(r)
		if err := b.add(&earlier, unknown); err != nil {
			return remembered{err: halted(w.model, r, err)}, nil
		}
		c := b.tasks[a.task]
		out.state, out.weight, out.facts = c.after, c.weight, c.facts
		c.touched, b.ended, b.dead = c.touched[:0], b.ended[:0], deadLetters{} // nothing of it is written once more
	}
	if !met && out.state.Facts > 0 { // read from a node that is behind the one that delivered it
		return out, &eventstore.UnavailableError{Op: "read the stream of task " + a.task.String(),
			Err: fmt.Errorf("it ends in front of revision %d, which was delivered", a.Revision)}
	}
	for _, s := range b.skipped {
		if !s.refused { // nor what recallSkips found
			out.skipped = append(out.skipped, s)
		}
	}
	return out, nil
}

// unknown knows no task.
func unknown(eventstore.ID) (remembered, bool) { return remembered{}, false }

const skippedOf = `select position from skips where task_id = any($1)`

// recallSkips finds out which facts were passed by. They are again, whatever a newer
// version or Postgres would say of them now.
func (w *writer) recallSkips(ctx context.Context, wanted []*arrived) error {
	if len(w.skips) == 0 {
		return nil
	}
	ids := make([]eventstore.ID, len(wanted))
	for i, a := range wanted {
		ids[i] = a.task
	}
	rows, err := w.conn.Query(ctx, skippedOf, uuids(ids))
	if err != nil {
		return fmt.Errorf("load skipped facts: %w", err)
	}
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&position}, func() error {
		if s := w.skips[eventstore.Position(position)]; s != nil {
			s.refused = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load skipped facts: %w", err)
	}
	return nil
}

// write puts a batch into the tables and moves the checkpoint, all in one
// transaction. bulk is for many rows.
func (w *writer) write(ctx context.Context, b *batch, bulk bool) error {
	rate := w.pace()
	s := stage{conn: w.conn}
	defer s.rollback(ctx)
	// First the checkpoint: its row lock keeps everybody else out until we commit.
	s.Queue(moveCheckpoint, int64(w.position), int64(b.upTo), instant(b.eventAt), Layout, w.edition, w.passed, rate)
	err := w.stageRows(ctx, &s, b, bulk)
	if err == nil {
		err = s.commit(ctx)
	}
	if err != nil {
		return fmt.Errorf("write read model %s up to position %d: %w", w.model.Schema(), b.upTo, err)
	}
	w.position = b.upTo
	if !b.eventAt.IsZero() {
		w.eventAt = b.eventAt
	}
	w.passed, w.rate, w.written = 0, rate, time.Now()
	return nil
}

// The first of the statements that write a batch. If the checkpoint has moved, or what
// it stands for was changed, we are not the writer any more: then there is no row, 1 is
// divided by 0, and nothing of the batch is written.
const moveCheckpoint = `
with moved as (
	update checkpoint
	set position = $2, event_at = coalesce($3, event_at), moved_at = now(), events = events + $6, per_second = $7,
	    halted_at = null, halted_position = null, halted_reason = null
	where layout = $4 and position = $1 and edition = $5
	returning position)
select 1 / count(*) from moved`

// pace is how many events of the log pass in a second, with those that passed
// since the last write.
func (w *writer) pace() float64 {
	now := float64(w.passed) / max(time.Since(w.written), time.Millisecond).Seconds()
	if w.rate == 0 {
		return now
	}
	return 0.7*w.rate + 0.3*now
}

// writeRows writes the rows of a batch in a transaction of the caller's.
func (w *writer) writeRows(ctx context.Context, tx pgx.Tx, b *batch) error {
	s := stage{tx: tx}
	if err := w.stageRows(ctx, &s, b, false); err != nil {
		return err
	}
	return s.send(ctx)
}

// stageRows writes one statement a table. In bulk, rows that no table has yet are
// copied, which costs Postgres a good deal less than to look for each whether it is
// there; if one is, the batch is refused, and the runner takes it in small pieces,
// which mind nothing.
func (w *writer) stageRows(ctx context.Context, s *stage, b *batch, bulk bool) error {
	var (
		tasks, newTasks       []*change
		subTasks              subTaskColumns
		newSubTasks           []newSubTask
		declines, newDeclines declineColumns
		joined                typeColumns // declined before, take part now
		replaced              typeColumns // had a report before
		findings              = findingWriter{stage: s, blobs: w.blobs}
	)
	for _, c := range b.order {
		if bulk && c.fresh {
			newTasks = append(newTasks, c)
		} else {
			tasks = append(tasks, c)
		}
		for _, name := range c.touched {
			_, had := c.before.Declined[name]
			if d, ok := c.after.Declined[name]; ok {
				rows := &declines
				if bulk && !had {
					rows = &newDeclines
				}
				if err := rows.add(c.id, d); err != nil {
					return err
				}
			} else if had {
				joined.add(c.id, name)
			}
			if c.before.SubTasks[name].Report != nil && !c.sameReport(name) {
				replaced.add(c.id, name)
			}
		}
	}
	if len(replaced.id) > 0 { // before the new findings come
		s.Queue(deleteFindings, replaced.args()...)
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
			if _, had := c.before.SubTasks[name]; bulk && !had {
				newSubTasks = append(newSubTasks, newSubTask{c, name, state})
			} else if err := subTasks.add(c.id, t, state); err != nil {
				return err
			}
		}
	}
	findings.queue()
	if len(newTasks) > 0 {
		if err := s.copy(ctx, "tasks", taskNames, paged(newTasks, copiedTasks)); err != nil {
			return err
		}
	}
	if !w.again {
		b.queueRollups(s)
	}
	outcomes, err := b.queueOutcomes(ctx, s, w.blobs, findings.read, w.again, bulk)
	if err != nil {
		return err
	}
	page := len(tasks)
	if bulk {
		page = pageRows // states are long
	}
	for len(tasks) > 0 {
		n := min(page, len(tasks))
		rows, err := taskRows(tasks[:n])
		if err != nil {
			return err
		}
		tasks = tasks[n:]
		s.Queue(upsertTasks, rows.args()...)
		if bulk {
			if err := s.send(ctx); err != nil {
				return err
			}
		}
	}
	if shadows, err := w.trials.of(ctx, b); err != nil {
		return err
	} else if len(shadows) > 0 {
		s.Queue(upsertShadows, shadowArgs(shadows)...)
	}
	if len(subTasks.id) > 0 {
		s.Queue(upsertSubTasks, subTasks.args()...)
	}
	if len(joined.id) > 0 {
		s.Queue(deleteDeclines, joined.args()...)
	}
	if len(declines.id) > 0 {
		s.Queue(upsertDeclines, declines.args()...)
	}
	if len(b.dead.order) > 0 {
		args, err := b.dead.args()
		if err != nil {
			return err
		}
		s.Queue(upsertDeadLetters, args...)
	}
	if len(b.scanners) > 0 {
		s.Queue(upsertScanners, scannerArgs(b.scanners)...)
	}
	if len(b.skipped) > 0 {
		s.Queue(insertSkips, skipArgs(b.skipped)...)
	}
	b.roster.queue(s)
	if len(newSubTasks) > 0 {
		if err := s.copy(ctx, "sub_tasks", subTaskNames, paged(newSubTasks, copiedSubTasks)); err != nil {
			return err
		}
	}
	if len(newDeclines.id) > 0 {
		if err := s.copy(ctx, "declines", declineNames, allRows(newDeclines.args())); err != nil {
			return err
		}
	}
	if len(outcomes) > 0 {
		return s.copy(ctx, "outcomes", outcomeNames, allRows(outcomes))
	}
	return nil
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
