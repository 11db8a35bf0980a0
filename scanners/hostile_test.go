package scanners_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

func TestAStrangersFactDoesNotKeepAScannerAway(t *testing.T) {
	b := newBench(t)
	id := b.open()
	_, err := b.store.Append(t.Context(), commands.StreamOf(id), eventstore.Any(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, id), Type: "SubTaskPaused", Data: []byte(`{}`), Metadata: []byte(`{}`),
	})
	require.NoError(t, err)
	b.run(poisoned(nil), options)
	require.Equal(t, task.Pass, b.await(id, "ends", ended("SQL")).SubTasks["SQL"].Result)
}

// Deliveries that come back because consumers left were never tried.
func TestLostConsumersDoNotCountAsAttempts(t *testing.T) {
	b := newBench(t)
	var tries atomic.Int32
	s := &scripted{name: "SQL", scan: func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
		if tries.Add(1) == 1 {
			return task.Coverage{}, errors.New("disk away")
		}
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}
	stop := b.run(s, options) // makes the group
	require.Eventually(t, func() bool {
		c, err := b.store.Consume(t.Context(), "scanner-SQL", 1)
		return err == nil && c.Close() == nil
	}, testbench.Patience, 10*time.Millisecond)
	stop()
	id := b.open()
	for range 12 { // more often than the log would have it by default
		c, err := b.store.Consume(t.Context(), "scanner-SQL", 1)
		require.NoError(t, err)
		_, err = c.Next(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	b.run(s, options)
	got := b.await(id, "ends", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Pass, got.Result, got.Reason)
	require.Equal(t, 2, got.Attempt)
}

func TestARetryOnRequestHasAllItsAttempts(t *testing.T) {
	b := newBench(t)
	var tries atomic.Int32
	b.run(&scripted{name: "SQL", scan: func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
		if tries.Add(1) <= 5 {
			return task.Coverage{}, errors.New("no way")
		}
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}, options)
	id := b.open()
	require.Equal(t, 3, b.await(id, "ends", ended("SQL")).SubTasks["SQL"].Attempt)
	wish, err := task.Decide(b.await(id, "ended", ended("SQL")), task.RequestRetry{Type: "SQL", Reason: "fixed"})
	require.NoError(t, err)
	name, data, err := task.Encode(wish[0])
	require.NoError(t, err)
	_, err = b.store.Append(t.Context(), commands.StreamOf(id), eventstore.Exists(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, id), Type: name, Data: data, Metadata: []byte(`{}`),
	})
	require.NoError(t, err)
	got := b.await(id, "passes", func(s task.State) bool { return s.SubTasks["SQL"].State == task.StateCompleted }).SubTasks["SQL"]
	require.Equal(t, 6, got.Attempt)
}

// A scanner that does not listen loses its worker, not the process's.
func TestAScannerThatDoesNotStopIsLeftBehind(t *testing.T) {
	b := newBench(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	deaf := options
	deaf.Workers, deaf.MaxAttempts, deaf.ScanTimeout = 1, 1, 50*time.Millisecond
	stop := b.run(poisoned(func() error { <-release; return nil }), deaf)
	got := b.await(b.open("poison.sql"), "ends", ended("SQL")).SubTasks["SQL"]
	require.Contains(t, got.Reason, "the scan took longer than 50ms, and the scanner did not stop")
	require.Equal(t, task.Pass, b.await(b.open(), "passes", ended("SQL")).SubTasks["SQL"].Result)
	stop()
}

// The event store goes away and comes back while a poison package backs off for
// long: nobody waits for that before joining again.
func TestABackoffDoesNotDelayTheNextJoin(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	where := node.Options{Dir: t.TempDir(), Listen: l.Addr().String()}
	require.NoError(t, l.Close())
	n, err := node.Open(t.Context(), where)
	require.NoError(t, err)
	log, err := esdb.Open(t.Context(), n.ConnectionString(), esdb.Options{})
	require.NoError(t, err)
	b := &bench{t: t, store: &testbench.Store{Log: log}, blobs: testbench.NewBlobs(t), commands: commands.New(log)}
	tried := make(chan struct{}, 1)
	slow := options
	slow.Backoff, slow.Grace = time.Hour, time.Second
	stop := b.run(poisoned(func() error {
		select {
		case tried <- struct{}{}:
		default:
		}
		return errors.New("no way")
	}), slow)
	b.open("poison.sql")
	<-tried
	require.NoError(t, n.Close())
	n, err = node.Open(t.Context(), where)
	require.NoError(t, err)
	back := time.Now()
	require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil }, testbench.Patience, 10*time.Millisecond)
	b.await(b.open(), "passes", ended("SQL"))
	require.Less(t, time.Since(back), 10*time.Second, "half of the shortest backoff and more")
	stop()
	require.NoError(t, log.Close())
	require.NoError(t, n.Close())
}

// An instance keeps its name over a restart, and comes and goes each time.
func TestComingAndGoingIsToldEachTime(t *testing.T) {
	b := newBench(t)
	told := func() (types []string) {
		for r, err := range b.store.ReadStream(t.Context(), eventstore.StreamID{Category: "scanner", Key: "SQL"}, 0) {
			if err != nil {
				return nil
			}
			types = append(types, r.Type)
		}
		return types
	}
	for n := 1; n <= 2; n++ {
		stop := b.run(poisoned(nil), options)
		require.Eventually(t, func() bool { return len(told()) == 2*n-1 }, testbench.Patience, 10*time.Millisecond)
		stop()
	}
	require.Equal(t, []string{"ScannerOnline", "ScannerOffline", "ScannerOnline", "ScannerOffline"}, told())
}
