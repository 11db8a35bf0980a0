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
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// outage is a bench whose event store can go away and come back.
type outage struct {
	*bench
	where node.Options
	node  *node.Node
}

func newOutage(t *testing.T) *outage {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := &outage{where: node.Options{Dir: t.TempDir(), Listen: l.Addr().String()}}
	require.NoError(t, l.Close())
	o.node, err = node.Open(t.Context(), o.where)
	require.NoError(t, err)
	log, err := esdb.Open(t.Context(), o.node.ConnectionString(), esdb.Options{})
	require.NoError(t, err)
	o.bench = &bench{t: t, store: &testbench.Store{Log: log}, blobs: testbench.NewBlobs(t), commands: commands.New(log)}
	t.Cleanup(func() {
		require.NoError(t, log.Close())
		require.NoError(t, o.node.Close())
	})
	return o
}

func (o *outage) goAway() { require.NoError(o.t, o.node.Close()) }

func (o *outage) comeBack() {
	var err error
	o.node, err = node.Open(o.t.Context(), o.where)
	require.NoError(o.t, err)
	require.Eventually(o.t, func() bool { return o.store.Ping(o.t.Context()) == nil }, testbench.Patience, 10*time.Millisecond)
}

// The event store goes away while a scan runs: the scan goes on, its result is
// recorded when the store is back, and no attempt is lost.
func TestALostConnectionCostsNoAttempt(t *testing.T) {
	for name, during := range map[string]func(o *outage, release func()){
		"the scan ends after the store is back": func(o *outage, release func()) {
			o.goAway()
			o.comeBack()
			// Somebody else is served, so the scanner has joined again.
			require.Equal(o.t, task.Pass, o.await(o.open(), "passes", ended("SQL")).SubTasks["SQL"].Result)
			release()
		},
		"the scan ends while the store is away": func(o *outage, release func()) {
			o.goAway()
			release()
			o.comeBack()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutage(t)
			var scans atomic.Int32
			entered, release := make(chan struct{}), make(chan struct{})
			stop := o.run(poisoned(func() error {
				if scans.Add(1) == 1 {
					close(entered)
				}
				<-release
				return nil
			}), options)
			id := o.open("poison.sql") // slow, rather
			<-entered
			during(o, func() { close(release) })
			got := o.await(id, "ends", ended("SQL")).SubTasks["SQL"]
			require.Equal(t, 1, got.Attempt)
			require.EqualValues(t, 1, scans.Load())
			stop()
		})
	}
}

// Two workers, and many packages that back off for long: whoever can be scanned is
// scanned at once.
func TestManyPoisonPackagesDelayNobody(t *testing.T) {
	b := newBench(t)
	patient := options
	patient.Backoff = time.Hour // capped at 30 s, 15 s at least
	var tried atomic.Int32
	b.run(poisoned(func() error { tried.Add(1); return errors.New("no way") }), patient)
	const poison, good = 40, 10
	for range poison {
		b.open("poison.sql")
	}
	require.Eventually(t, func() bool { return tried.Load() == poison }, 10*time.Second, 10*time.Millisecond)
	began := time.Now()
	var ids []string
	for range good {
		ids = append(ids, b.open())
	}
	for _, id := range ids {
		b.await(id, "passes", ended("SQL"))
	}
	require.Less(t, time.Since(began), 10*time.Second, "nobody waits for a backoff")
}

// A package that is not there is tried MaxAttempts times, whatever the log says of
// deliveries, and then parked.
func TestAPackageThatIsNotThereIsParked(t *testing.T) {
	b := newBench(t)
	id := b.open()
	b.blobs = testbench.NewBlobs(t) // another store
	b.run(poisoned(nil), options)
	got := b.await(id, "ends", ended("SQL")).SubTasks["SQL"]
	require.True(t, got.Parked)
	require.Contains(t, got.Reason, "open the package")
}

// No more than the room holds is at work at once, and a giant gets its turn.
func TestLargePackagesTakeTurns(t *testing.T) {
	b := newBench(t)
	many := options
	many.Workers = 8
	var now, most, scans atomic.Int32
	s := &scripted{name: "SQL", scan: func(_ context.Context, p *zippkg.Package, _ scanners.Findings) (task.Coverage, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		scans.Add(1)
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- scanners.Run(ctx, s, scanners.Parts{Log: b.store, Blobs: b.blobs, Logger: testbench.Logger(t), Room: scanners.NewRoom(1)}, many)
	}()
	var ids []string
	for range 12 { // each is larger than the room, so has it alone
		ids = append(ids, b.open())
	}
	for _, id := range ids {
		require.Equal(t, 1, b.await(id, "passes", ended("SQL")).SubTasks["SQL"].Attempt)
	}
	cancel()
	require.NoError(t, <-done)
	require.EqualValues(t, 1, most.Load())
}
