package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/factgate/factgate/eventstore"
)

// Bounds of what is received ahead of the fold, and of a batch in which Postgres has
// refused something.
const (
	aheadEvents   = 16_384
	aheadBytes    = 16 << 20
	carefulEvents = 500
	maxReports    = 2_000 // in a batch: they are read while its transaction is open
)

// holdMost is how long a batch grows while catching up: what is not written is not seen
// to get on, and is lost if the process is.
const holdMost = 5 * time.Second

// follower applies the log to one read model. It has two ways.
//
// While it catches up, the one thing that counts is how much is done: events are folded
// as they come and forgotten, a batch is as large as it may be, and it is written by a
// goroutine of its own while the next one is folded.
//
//	receive, decode ──▶ fold ──▶ write
//	 (intake)           (here)   (goroutine; until it is done, all of writer's but known is its)
//
// Live, and where Postgres has refused something, what is at hand is applied at once,
// and the events are kept until that is done: to find the one that is refused.
type follower struct {
	*Runner
	w    *writer
	well func()
	in   *intake

	live    bool                // the log was seen to its end
	base    eventstore.Position // everything up to here is written, or being written
	upTo    eventstore.Position // everything up to here has been taken in
	passed  int64               // events of the log in between
	events  int                 // of ours in between
	bytes   int                 // about what they hold of memory
	reports int                 // scan reports that they name
	oldest  time.Time           // when the first of them was recorded
	first   time.Time           // when it was taken in
	since   time.Time           // when the last batch was written
	pending []arrived           // live or careful: those events
	folding *batch              // catching up: what they do
	chunk   []arrived           // of the last step; its room is used again

	writing *writing // nil: nothing is being written
}

// writing is a batch on its way into the tables.
type writing struct {
	*batch
	events int
	begun  time.Time
	done   chan struct{} // closed when it is there, or has failed
	err    error         // read after done
}

// refusedError: Postgres refuses a batch whose events are forgotten.
type refusedError struct {
	upTo eventstore.Position
	err  error
}

func (e *refusedError) Error() string { return e.err.Error() }

// follow applies the log from the checkpoint on. It never returns nil. All is well
// with each checkpoint that moves, and when there is nothing to do.
func (r *Runner) follow(ctx context.Context, w *writer, well func()) error {
	ctx, cancel := context.WithCancel(ctx)
	sub, err := r.log.Follow(ctx, w.position, following)
	if err != nil {
		cancel()
		return fmt.Errorf("follow the log from position %d: %w", w.position, err)
	}
	f := &follower{Runner: r, w: w, well: well, in: newIntake(min(r.o.MaxEvents, aheadEvents), min(r.o.MaxBytes, aheadBytes)), since: time.Now()}
	f.begin(w.position)
	received := make(chan struct{})
	go func() {
		defer close(received)
		f.in.receive(ctx, sub)
	}()
	defer func() {
		cancel()
		_ = sub.Close()
		<-received
		if f.writing != nil {
			<-f.writing.done
		}
	}()
	for {
		if err := f.step(ctx); err != nil {
			return err
		}
	}
}

// begin a batch behind a position.
func (f *follower) begin(at eventstore.Position) {
	f.base, f.upTo, f.passed, f.events, f.bytes, f.reports, f.oldest = at, at, 0, 0, 0, 0, time.Time{}
	clear(f.pending)
	f.pending, f.folding = f.pending[:0], newBatch(at, f.w.skips)
}

// direct tells the two ways apart; it changes between batches only.
func (f *follower) direct() bool { return f.live || f.base < f.w.careful }

// full reports whether the batch has no more room.
func (f *follower) full() bool {
	most := f.o.MaxEvents
	if !f.live && f.base < f.w.careful {
		most = min(most, carefulEvents)
	}
	return f.events >= most || f.bytes >= f.o.MaxBytes || f.reports >= maxReports
}

// step takes what is at hand, or waits for it.
func (f *follower) step(ctx context.Context) error {
	var done chan struct{}
	if f.writing != nil {
		done = f.writing.done
	}
	patience := time.Duration(-1)
	switch {
	case f.events > 0:
		patience = gatherPause
	case f.upTo != f.base:
		patience = max(0, checkpointPause-time.Since(f.since))
	}
	messages, err := f.in.take(ctx, patience, done)
	if err != nil {
		// What has arrived is good, and a log that breaks off often must not keep the
		// read model from ever finishing a batch.
		if ctx.Err() == nil {
			if err := f.flush(ctx); err != nil {
				return err
			}
			if err := f.settle(); err != nil {
				return err
			}
		}
		return fmt.Errorf("follow the log from position %d: %w", f.upTo, err)
	}
	waited := len(messages) == 0
	if done != nil {
		select {
		case <-done:
			waited = false
			if err := f.settle(); err != nil {
				return err
			}
		default:
		}
	}
	for len(messages) > 0 {
		if messages, err = f.accept(ctx, messages); err != nil {
			return err
		}
		if f.full() {
			if err := f.flush(ctx); err != nil {
				return err
			}
		}
	}
	switch {
	case f.events > 0 && (f.live || waited || time.Since(f.first) >= holdMost):
		err = f.flush(ctx)
	case f.events == 0 && time.Since(f.since) >= checkpointPause:
		err = f.flush(ctx)
	}
	if err != nil {
		return err
	}
	if f.live && f.events == 0 {
		f.note(func(s *Status) { s.CaughtUp = true })
		f.well()
	}
	return nil
}

// accept takes in messages, as many as the batch has room for and none behind the
// first word that this is the log's end, and returns the others.
func (f *follower) accept(ctx context.Context, messages []message) ([]message, error) {
	clear(f.chunk)
	f.chunk = f.chunk[:0]
	n, ended := 0, false
	for n < len(messages) && !ended && !f.full() {
		m := &messages[n]
		n++
		switch m.kind {
		case eventstore.KindEvent:
			again := m.position <= f.upTo
			f.upTo = max(f.upTo, m.position)
			if again { // nobody else would notice: no state of an earlier fact is kept
				continue
			}
			f.passed++
			if !m.ours {
				continue
			}
			if f.events == 0 {
				f.oldest, f.first = m.event.At, time.Now()
				if f.writing == nil {
					f.note(func(s *Status) { s.waiting = m.event.At })
				}
			}
			f.events++
			f.bytes += m.event.weight
			if hasReport(m.event.fact) {
				f.reports++
			}
			if f.direct() {
				f.pending = append(f.pending, m.event)
			} else {
				f.chunk = append(f.chunk, m.event)
			}
		case eventstore.KindCheckpoint:
			f.upTo = max(f.upTo, m.position)
		case eventstore.KindCaughtUp:
			ended = !f.live
		}
	}
	err := f.fold(ctx, f.chunk)
	if err == nil && ended {
		if err = f.flush(ctx); err == nil {
			err = f.settle()
		}
		f.live = true
	}
	return messages[n:], err
}

// fold adds events to the batch that is being folded.
func (f *follower) fold(ctx context.Context, events []arrived) error {
	before, wanted := f.w.atHand(events, f.folding)
	if len(wanted) > 0 {
		if len(f.w.skips) > 0 { // they are asked for on the connection that is being written on
			if err := f.settle(); err != nil {
				return err
			}
		}
		if err := f.w.recall(ctx, wanted, before); err != nil {
			if ctx.Err() == nil { // what was folded is good, as where the log breaks off
				err = errors.Join(f.keep(ctx), err)
			}
			return err
		}
	}
	stop := f.folding.fold(events, before.get)
	if stop == nil {
		return nil
	}
	stop.Model = f.w.model
	if err := f.keep(ctx); err != nil {
		return err
	}
	return stop
}

// keep has everything written that is folded, and forgets what was taken in after it.
func (f *follower) keep(ctx context.Context) error {
	f.upTo = f.folding.upTo
	if err := f.flush(ctx); err != nil {
		return err
	}
	return f.settle()
}

// flush has the batch written: at once, or beside the next one.
func (f *follower) flush(ctx context.Context) error {
	if f.upTo == f.base {
		return nil
	}
	if err := f.settle(); err != nil {
		return err
	}
	f.w.passed += f.passed
	next := &writing{batch: f.folding, events: f.events, begun: time.Now(), done: make(chan struct{})}
	if f.direct() {
		next.err = f.w.apply(ctx, f.pending, f.upTo)
		f.begin(f.w.position)
		return f.written(next)
	}
	next.upTo = f.upTo
	f.w.known.keep(next.batch)
	f.begin(f.upTo)
	f.writing = next
	go func() {
		defer close(next.done)
		next.err = f.w.write(ctx, next.batch, true)
	}()
	return nil
}

// settle waits until nothing is being written.
func (f *follower) settle() error {
	if f.writing == nil {
		return nil
	}
	<-f.writing.done
	written := f.writing
	f.writing = nil
	if final(written.err) {
		return &refusedError{written.upTo, written.err}
	}
	return f.written(written)
}

// written tells of a batch, and returns why it was not written.
func (f *follower) written(b *writing) error {
	f.since = time.Now()
	if b.err == nil && f.o.Folded != nil && b.events > 0 {
		f.o.Folded(f.o.Model, b.events, time.Since(b.begun))
	}
	f.note(func(s *Status) {
		s.Position = f.w.position
		if b.err == nil {
			s.CaughtUp, s.waiting = f.live, f.oldest
		}
	})
	if b.err == nil {
		f.well()
	}
	return b.err
}
