package esdb_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"

	"github.com/factgate/factgate/eventstore/node"
)

// The server goes away under load and comes back on the same port and folder.
// Writers repeat what failed, the follower resumes after what it has kept, the
// consumer joins again: nothing is lost, no fact and no message of the follower
// is doubled.
func TestNothingIsLostOrDoubledWhenTheServerRestarts(t *testing.T) {
	t.Parallel()
	const (
		writers = 8
		outages = 2
		outage  = 1500 * time.Millisecond
	)
	options := node.Options{Dir: t.TempDir(), Listen: freeAddress(t)}
	server, err := node.Open(context.Background(), options)
	require.NoError(t, err)
	log := open(t, server.ConnectionString())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	require.NoError(t, log.EnsureGroup(ctx, eventstore.Group{Name: "handlers", Filter: eventstore.Filter{Types: []string{"Noted"}}}))

	var load sync.WaitGroup
	var appended, refused atomic.Int64
	stop := make(chan struct{})
	for w := range writers {
		load.Go(func() { write(ctx, t, log, w, stop, &appended, &refused) })
	}
	f := follower{log: log}
	c := handler{log: log, handled: map[eventstore.ID]bool{}}
	reading, quit := context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(func() { f.run(reading, t) })
	readers.Go(func() { c.run(reading, t) })

	progress := func(counter *atomic.Int64, by int64) {
		t.Helper()
		target := counter.Load() + by
		require.Eventually(t, func() bool { return counter.Load() >= target }, 30*time.Second, 5*time.Millisecond)
	}
	for range outages {
		progress(&appended, 300)
		progress(&f.count, 50)
		progress(&c.count, 50)
		down := time.Now()
		require.NoError(t, server.Close())
		progress(&refused, writers)
		require.Eventually(t, func() bool { return time.Since(down) > outage }, 10*time.Second, 10*time.Millisecond)
		server, err = node.Open(context.Background(), options)
		require.NoError(t, err)
	}
	progress(&appended, 300)
	close(stop)
	load.Wait()

	var want []eventstore.Recorded
	for e, err := range log.ReadAll(ctx, 0, eventstore.Filter{}) {
		require.NoError(t, err)
		want = append(want, e)
	}
	require.Len(t, want, int(appended.Load()), "each event once")
	next := map[eventstore.StreamID]uint64{}
	for _, e := range want {
		require.Equal(t, next[e.Stream], e.Revision)
		require.Equal(t, eventID(e.Stream, e.Revision), e.ID)
		next[e.Stream]++
	}
	require.Eventually(t, func() bool { return f.count.Load() >= int64(len(want)) }, 30*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return c.count.Load() >= int64(len(want)) }, 30*time.Second, 5*time.Millisecond)
	quit()
	readers.Wait()
	require.Equal(t, want, f.kept)
	require.GreaterOrEqual(t, f.resumed, int64(outages))
	for _, e := range want {
		require.True(t, c.handled[e.ID])
	}
	require.NoError(t, log.Close())
	require.NoError(t, server.Close())
}

// write appends one event after another, each until it is in.
func write(ctx context.Context, t *testing.T, log eventstore.Log, w int, stop <-chan struct{}, appended, refused *atomic.Int64) {
	stream := eventstore.StreamID{Category: "task", Key: fmt.Sprint(w)}
	expected := eventstore.NoStream()
	for revision := uint64(0); ; {
		select {
		case <-stop:
			return
		default:
		}
		event := eventstore.Event{ID: eventID(stream, revision), Type: "Noted", Data: []byte(`{}`)}
		attempt, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
		began := time.Now()
		answer, err := log.Append(attempt, stream, expected, event)
		took := time.Since(began)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !eventstore.IsUnavailable(err) || took > 10*time.Second {
				t.Errorf("append failed after %s: %v", took, err)
				return
			}
			refused.Add(1)
			continue
		}
		if answer.Revision != revision {
			t.Errorf("revision %d for event %d of %s", answer.Revision, revision, stream)
			return
		}
		appended.Add(1)
		expected = eventstore.At(revision)
		revision++
	}
}

func eventID(stream eventstore.StreamID, revision uint64) eventstore.ID {
	return eventstore.DeriveID(eventstore.ID{}, fmt.Sprintf("%s/%d", stream, revision))
}

// follower keeps what it was given, and follows again from there.
type follower struct {
	log     eventstore.Log
	kept    []eventstore.Recorded
	resumed int64
	count   atomic.Int64
}

func (f *follower) run(ctx context.Context, t *testing.T) {
	var from eventstore.Position
	subscriptions := int64(0)
	for ctx.Err() == nil {
		sub, err := f.log.Follow(ctx, from, eventstore.Filter{Types: []string{"Noted"}})
		if err != nil {
			if !eventstore.IsUnavailable(err) {
				t.Errorf("follow: %v", err)
			}
			continue
		}
		f.resumed = subscriptions
		subscriptions++
		for {
			message, err := sub.Next(ctx)
			if err != nil {
				if ctx.Err() == nil && !eventstore.IsUnavailable(err) {
					t.Errorf("next: %v", err)
				}
				break
			}
			if message.Kind == eventstore.KindEvent {
				f.kept = append(f.kept, message.Event)
				f.count.Add(1)
			}
			if message.Position > 0 {
				from = message.Position
			}
		}
		if err := sub.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// handler handles what a group gives it, as often as it gives it.
type handler struct {
	log     eventstore.Log
	handled map[eventstore.ID]bool
	count   atomic.Int64
}

func (h *handler) run(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		consumer, err := h.log.Consume(ctx, "handlers", 20)
		if err != nil {
			if !eventstore.IsUnavailable(err) {
				t.Errorf("consume: %v", err)
			}
			continue
		}
		for {
			d, err := consumer.Next(ctx)
			if err != nil {
				if ctx.Err() == nil && !eventstore.IsUnavailable(err) {
					t.Errorf("next: %v", err)
				}
				break
			}
			if !h.handled[d.Event.ID] {
				h.handled[d.Event.ID] = true
				h.count.Add(1)
			}
			if err := consumer.Ack(d); err != nil && !eventstore.IsUnavailable(err) {
				t.Errorf("ack: %v", err)
			}
		}
		if err := consumer.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// freeAddress finds a port that a server can have twice.
func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
