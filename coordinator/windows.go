package coordinator

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

//go:embed windows.sql
var ddl string

// ddlLock serialises processes that create the schema at the same time.
const ddlLock = 0x666163746701 // "factg", 1

func (c *Coordinator) migrate(ctx context.Context) error {
	return pgx.BeginFunc(ctx, c.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, int64(ddlLock)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, ddl)
		return err
	})
}

// maxBatch is how many messages go into one transaction.
const maxBatch = 2000

// follow keeps the table up with the log, until something breaks or ctx ends.
// Several coordinators may follow at once: rows only move forward in position.
func (c *Coordinator) follow(ctx context.Context, well func()) error {
	if err := c.migrate(ctx); err != nil {
		return err
	}
	var from int64
	if err := c.db.QueryRow(ctx, `select position from coordinator.checkpoint`).Scan(&from); err != nil {
		return err
	}
	sub, err := c.log.Follow(ctx, eventstore.Position(from), eventstore.Filter{Types: []string{
		"MainTaskCreated", "SubTaskDeclined", "SubTaskStarted", "SubTaskCompleted", "SubTaskFailed",
		"SubTaskRetryRequested", "MainTaskConverged", "MainTaskCancelled",
	}})
	if err != nil {
		return err
	}
	defer sub.Close()

	messages := make(chan eventstore.Message, maxBatch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return err
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	g.Go(func() error {
		for {
			b := batch{rows: map[string]row{}}
			select {
			case m := <-messages:
				b.take(m)
			case <-ctx.Done():
				return ctx.Err()
			}
			for more := true; more && b.messages < maxBatch; { // what is at hand, without waiting
				select {
				case m := <-messages:
					b.take(m)
				default:
					more = false
				}
			}
			if err := c.write(ctx, b); err != nil {
				return fmt.Errorf("write windows: %w", err)
			}
			well()
		}
	})
	return g.Wait()
}

// batch is what some messages change.
type batch struct {
	messages int
	position eventstore.Position
	rows     map[string]row // by task id
}

// row is the newest thing that happened to a task's window.
type row struct {
	opened   *task.Window // by MainTaskCreated in this batch
	openedAt time.Time
	heardAt  time.Time           // newest participation fact in this batch
	over     eventstore.Position // of MainTaskCancelled; 0: not in this batch
	judged   eventstore.Position // of MainTaskConverged; 0: not in this batch
	judgedAt time.Time
	position eventstore.Position
}

// take notes what a message changes. It decodes no more than it needs, and a fact
// that cannot be decoded opens and ends nothing: it must neither hold up every
// other task's end nor hide its own task.
func (b *batch) take(m eventstore.Message) {
	b.messages++
	if m.Kind != eventstore.KindCaughtUp {
		b.position = m.Position
	}
	id := m.Event.Stream.Key
	if _, err := eventstore.ParseID(id); m.Kind != eventstore.KindEvent || m.Event.Stream.Category != task.Category || err != nil {
		return // not of a task
	}
	r := b.rows[id]
	r.position = m.Event.Position
	var fact task.Fact
	switch m.Event.Type {
	case "MainTaskCreated", "MainTaskConverged", "MainTaskCancelled":
		fact = task.Read(m.Event.Type, m.Event.Data)
	}
	switch f := fact.(type) {
	case task.MainTaskCreated:
		if r.opened == nil {
			r.opened, r.openedAt = &f.Window, m.Event.At
		}
	case task.MainTaskConverged:
		r = row{judged: m.Event.Position, judgedAt: m.Event.At, position: m.Event.Position}
	case task.MainTaskCancelled:
		r = row{over: m.Event.Position, position: m.Event.Position}
	default:
		r.heardAt = m.Event.At
	}
	b.rows[id] = r
}

// write brings a batch and its checkpoint into the database, in one transaction.
func (c *Coordinator) write(ctx context.Context, b batch) error {
	var opened, heard, over, judged columns
	for id, r := range b.rows {
		if r.over > 0 {
			over.add(id, r.over, time.Time{})
		}
		if r.judged > 0 {
			judged.add(id, r.judged, r.judgedAt)
		}
		switch {
		case r.opened != nil:
			deadline := r.openedAt.Add(r.opened.Length())
			due := latest(r.openedAt, r.heardAt).Add(r.opened.Quiet.D())
			if deadline.Before(due) {
				due = deadline
			}
			opened.add(id, r.position, due)
			opened.deadlines = append(opened.deadlines, deadline)
			opened.quiets = append(opened.quiets, r.opened.Quiet.D())
		case !r.heardAt.IsZero():
			heard.add(id, r.position, r.heardAt)
		}
	}
	err := pgx.BeginFunc(ctx, c.db, func(tx pgx.Tx) error {
		statements := &pgx.Batch{}
		// First the checkpoint: its lock keeps coordinators that follow side by side
		// from locking the same rows in different orders.
		statements.Queue(`update coordinator.checkpoint set previous = position, position = greatest(position, $1)`, int64(b.position))
		if len(over.ids) > 0 {
			statements.Queue(`
				delete from coordinator.windows w using unnest($1::uuid[], $2::bigint[]) f (task_id, position)
				where w.task_id = f.task_id and w.position < f.position`, over.ids, over.positions)
		}
		if len(judged.ids) > 0 {
			// Whoever judged takes the row away. One that is still there was left by a
			// coordinator that came to an end before, perhaps with late facts that want
			// a revision: it is judged once more.
			statements.Queue(`
				update coordinator.windows w set due_at = least(w.due_at, f.judged_at), position = f.position
				from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) f (task_id, judged_at, position)
				where w.task_id = f.task_id and w.position < f.position`, judged.ids, judged.times, judged.positions)
		}
		if len(opened.ids) > 0 {
			statements.Queue(`
				insert into coordinator.windows (task_id, due_at, deadline, quiet, position)
				select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::interval[], $5::bigint[])
				on conflict (task_id) do update set due_at = least(windows.due_at, excluded.due_at), position = excluded.position
				where windows.position < excluded.position`, opened.ids, opened.times, opened.deadlines, opened.quiets, opened.positions)
		}
		if len(heard.ids) > 0 {
			// Due at the earliest when it is quiet from here on. Whether anything is
			// unfinished is judged then, from the stream.
			statements.Queue(`
				update coordinator.windows w
				set due_at = least(w.deadline, f.heard_at + w.quiet), position = f.position
				from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) f (task_id, heard_at, position)
				where w.task_id = f.task_id and w.position < f.position`, heard.ids, heard.times, heard.positions)
			// A fact of a task without a row is late: it is judged at once whether it
			// wants a revision. Not again by a coordinator that lags behind another.
			statements.Queue(`
				insert into coordinator.windows (task_id, due_at, deadline, quiet, position)
				select f.task_id, f.heard_at as due_at, f.heard_at as deadline, '0', f.position
				from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) f (task_id, heard_at, position)
				where f.position > (select previous from coordinator.checkpoint)
				on conflict do nothing`, heard.ids, heard.times, heard.positions)
		}
		return tx.SendBatch(ctx, statements).Close()
	})
	if err != nil {
		return err
	}
	if len(opened.ids)+len(heard.ids)+len(judged.ids) > 0 {
		select {
		case c.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return nil
}

// columns are parallel arrays for unnest.
type columns struct {
	ids       []string
	positions []int64
	times     []time.Time
	deadlines []time.Time
	quiets    []time.Duration
}

func (c *columns) add(id string, p eventstore.Position, t time.Time) {
	c.ids, c.positions, c.times = append(c.ids, id), append(c.positions, int64(p)), append(c.times, t)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
