package esdb_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
)

// recovery is how long after the server's return everybody must be getting on: one
// discovery that was under way (5 s) and the longest pauses of the supervisor and of
// Resume (1.5 s and 7.5 s), four times over, as the machine may be busy. The tests
// log how long it was.
const recovery = 60 * time.Second

// attempt is how long a writer waits for an answer.
const attempt = 2 * time.Second

// The server goes away under load and comes back on the same address and folder.
// Writers repeat what failed, the followers resume behind what they have kept, the
// consumers join again. Whatever was acknowledged is there, once, where the answer
// said; each follower has every event once and in order; each event was handled;
// and all get on soon after the server is back. TestMain looks for what leaks.
func TestNothingIsLostOrDoubledInAnOutage(t *testing.T) {
	t.Parallel()
	for _, o := range []struct {
		name        string
		away, back  func(*process)
		lasts       time.Duration
		disconnects bool // the connection does not outlive it
	}{
		{"terminated, 1 s", (*process).terminate, (*process).start, time.Second, true},
		{"killed, 1 s", (*process).kill, (*process).start, time.Second, true},
		{"killed, 10 s", (*process).kill, (*process).start, 10 * time.Second, true},
		{"killed, 60 s", (*process).kill, (*process).start, 60 * time.Second, true},
		{"frozen, 1 s", (*process).freeze, (*process).thaw, time.Second, false},
		{"frozen, 10 s", (*process).freeze, (*process).thaw, 10 * time.Second, false},
		// Pings go unanswered: the client gives its connection up meanwhile.
		{"frozen, 60 s", (*process).freeze, (*process).thaw, 60 * time.Second, true},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			server := startProcess(t)
			l := startLoad(t, server.connectionString())
			l.goesOn()

			o.away(server)
			down := time.NewTimer(o.lasts)
			if o.disconnects || o.lasts > attempt {
				l.isRefused()
			}
			<-down.C
			o.back(server)
			back := time.Now()
			l.goesOn()
			t.Logf("all went on %s after the server's return", time.Since(back).Round(time.Millisecond))
			l.finish()
			if o.disconnects {
				for _, f := range l.followers {
					require.GreaterOrEqual(t, f.subscriptions, 2, "it cannot have outlived that")
				}
			} else {
				for _, f := range l.followers {
					require.Equal(t, 1, f.subscriptions, "there was no reason to lose it")
				}
			}
		})
	}
}

func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.signal(syscall.SIGCONT) }

// load is everybody who uses a log at once.
type load struct {
	t         *testing.T
	ctx       context.Context
	log       *esdb.Log
	followers []*follower
	handlers  *handlers

	appended, refused atomic.Int64
	mu                sync.Mutex
	acknowledged      map[eventstore.ID]place

	stopWriting chan struct{}
	writing     sync.WaitGroup
	stopReading context.CancelFunc
	reading     sync.WaitGroup
}

// place is where an append's answer said that its event stands.
type place struct {
	stream eventstore.StreamID
	eventstore.Appended
}

const (
	writers   = 4
	followers = 2
	consumers = 2
)

var noted = eventstore.Filter{Types: []string{"Noted"}}

func startLoad(t *testing.T, connectionString string) *load {
	l := &load{t: t, log: connect(t, connectionString), acknowledged: map[eventstore.ID]place{}, stopWriting: make(chan struct{})}
	var cancel context.CancelFunc
	l.ctx, cancel = context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	require.NoError(t, l.log.EnsureGroup(l.ctx, eventstore.Group{Name: "handlers", Filter: noted, Timeout: 5 * time.Second, MaxRetries: 1_000_000}))
	for w := range writers {
		l.writing.Go(func() { l.write(w) })
	}
	var reading context.Context
	reading, l.stopReading = context.WithCancel(l.ctx)
	for range followers {
		f := &follower{}
		l.followers = append(l.followers, f)
		l.reading.Go(func() { f.run(reading, t, l.log) })
	}
	l.handlers = &handlers{handled: map[eventstore.ID]bool{}}
	for range consumers {
		l.reading.Go(func() { l.handlers.run(reading, t, l.log) })
	}
	return l
}

// goesOn waits until all make progress.
func (l *load) goesOn() {
	l.t.Helper()
	l.until("writers append", &l.appended, 20*writers)
	for i, f := range l.followers {
		l.until(fmt.Sprint("follower ", i, " gets on"), &f.count, 10)
	}
	l.until("events are handled", &l.handlers.count, 10)
}

// goesOnALittle waits until some appends and messages got through.
func (l *load) goesOnALittle() {
	l.t.Helper()
	l.until("writers append", &l.appended, writers)
	l.until("events are followed", &l.followers[0].count, 1)
}

// isRefused waits until each writer had to repeat.
func (l *load) isRefused() {
	l.t.Helper()
	l.until("appends fail", &l.refused, writers)
}

func (l *load) until(what string, counter *atomic.Int64, grows int64) {
	l.t.Helper()
	target := counter.Load() + grows
	require.Eventually(l.t, func() bool { return counter.Load() >= target }, recovery, time.Millisecond, what)
}

// finish ends the load and compares what everybody knows.
func (l *load) finish() {
	t := l.t
	t.Helper()
	close(l.stopWriting)
	l.writing.Wait()
	var stored []eventstore.Recorded
	for e, err := range l.log.ReadAll(l.ctx, 0, eventstore.Filter{}) {
		require.NoError(t, err)
		stored = append(stored, e)
	}
	// Writers stop only between events, so what is stored and what is acknowledged
	// are the same.
	require.Len(t, stored, len(l.acknowledged))
	next := map[eventstore.StreamID]uint64{}
	for _, e := range stored {
		require.Equal(t, place{e.Stream, eventstore.Appended{Revision: e.Revision, Position: e.Position}}, l.acknowledged[e.ID])
		require.Equal(t, next[e.Stream], e.Revision)
		next[e.Stream]++
	}
	require.Len(t, next, writers+1)

	all := int64(len(stored))
	for _, f := range l.followers {
		require.Eventually(t, func() bool { return f.count.Load() >= all }, recovery, time.Millisecond)
	}
	require.Eventually(t, func() bool { return l.handlers.count.Load() >= all }, recovery, time.Millisecond, "handled: of %d", all)
	l.stopReading()
	l.reading.Wait()
	for _, f := range l.followers {
		require.Equal(t, stored, f.kept)
	}
	for _, e := range stored {
		require.True(t, l.handlers.handled[e.ID])
	}
	require.NoError(t, l.log.Close())
	t.Logf("%d appends acknowledged, %d repeated", all, l.refused.Load())
}

// write appends one event after another, each until it is in: in turns to a stream
// of its own and to one that all writers share. It leaves the cores some time for
// the other outages.
func (l *load) write(w int) {
	own := eventstore.StreamID{Category: "own", Key: fmt.Sprint(w)}
	shared := eventstore.StreamID{Category: "shared", Key: "1"}
	expected := map[eventstore.StreamID]eventstore.Expected{own: eventstore.NoStream(), shared: eventstore.NoStream()}
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-l.stopWriting:
			return
		case <-pace.C:
		}
		stream := own
		if n%2 == 1 {
			stream = shared
		}
		event := eventstore.Event{
			ID: eventstore.DeriveID(eventstore.ID{}, fmt.Sprintf("%d/%d", w, n)), Type: "Noted", Data: fmt.Appendf(nil, `{"n":%d}`, n),
		}
		for {
			ctx, cancel := context.WithTimeout(l.ctx, attempt)
			began := time.Now()
			answer, err := l.log.Append(ctx, stream, expected[stream], event)
			took := time.Since(began)
			cancel()
			var conflict *eventstore.ConflictError
			switch {
			case err == nil:
				l.mu.Lock()
				l.acknowledged[event.ID] = place{stream, answer}
				l.mu.Unlock()
				l.appended.Add(1)
				expected[stream] = eventstore.At(answer.Revision)
			case l.ctx.Err() != nil:
				return
			case errors.As(err, &conflict) && stream == shared && conflict.Exists:
				expected[stream] = eventstore.At(conflict.Actual)
				continue
			case eventstore.IsUnavailable(err) && took < recovery:
				l.refused.Add(1)
				continue
			default:
				l.t.Errorf("append failed after %s: %v", took, err)
				return
			}
			break
		}
	}
}

// follower keeps what it was given, and follows again from there.
type follower struct {
	kept          []eventstore.Recorded
	from          eventstore.Position
	subscriptions int
	count         atomic.Int64
}

func (f *follower) run(ctx context.Context, t *testing.T, log eventstore.Follower) {
	eventstore.Resume(ctx, slog.New(slog.DiscardHandler), "follower", func(ctx context.Context, well func()) error {
		sub, err := log.Follow(ctx, f.from, noted)
		if err != nil {
			return expectUnavailable(ctx, t, "follow", err)
		}
		defer sub.Close()
		f.subscriptions++
		well()
		for {
			message, err := sub.Next(ctx)
			if err != nil {
				return expectUnavailable(ctx, t, "next", err)
			}
			if message.Kind == eventstore.KindEvent {
				f.kept = append(f.kept, message.Event)
				f.count.Add(1)
			}
			if message.Position > 0 {
				f.from = message.Position
			}
		}
	})
}

// handlers handle what their group gives them, as often as it gives it.
type handlers struct {
	mu      sync.Mutex
	handled map[eventstore.ID]bool
	count   atomic.Int64
}

func (h *handlers) run(ctx context.Context, t *testing.T, log eventstore.Groups) {
	eventstore.Resume(ctx, slog.New(slog.DiscardHandler), "handler", func(ctx context.Context, well func()) error {
		consumer, err := log.Consume(ctx, "handlers", 20)
		if err != nil {
			return expectUnavailable(ctx, t, "consume", err)
		}
		defer consumer.Close()
		well()
		for {
			d, err := consumer.Next(ctx)
			if err != nil {
				return expectUnavailable(ctx, t, "next delivery", err)
			}
			h.mu.Lock()
			if !h.handled[d.Event.ID] {
				h.handled[d.Event.ID] = true
				h.count.Add(1)
			}
			h.mu.Unlock()
			if err := consumer.Ack(d); err != nil {
				return expectUnavailable(ctx, t, "ack", err)
			}
		}
	})
}

func expectUnavailable(ctx context.Context, t *testing.T, op string, err error) error {
	if ctx.Err() == nil && !eventstore.IsUnavailable(err) {
		t.Errorf("%s: %v", op, err)
	}
	return err
}
