package scanners_test

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// runIn is run with a room.
func (b *bench) runIn(room *scanners.Room, s scanners.Scanner, o scanners.Options) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- scanners.Run(ctx, s, scanners.Parts{Log: b.store, Blobs: b.blobs, Logger: testbench.Logger(b.t), Room: room}, o)
	}()
	b.t.Cleanup(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
}

func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// limited is a room with so much memory beside what the process has already.
func limited(t *testing.T, bytes int64) *scanners.Room {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	debug.FreeOSMemory()
	room := scanners.NewRoom(scanners.DefaultRoom)
	room.LimitMemory(heap() + bytes)
	return room
}

const headroom = 128 << 20

// devour allocates until ctx ends, but no more than eight times what there is.
func devour(ctx context.Context) error {
	var kept [][]byte
	for ctx.Err() == nil && len(kept) < 8*headroom>>20 {
		chunk := make([]byte, 1<<20)
		for i := range chunk {
			chunk[i] = byte(i)
		}
		kept = append(kept, chunk)
	}
	if n := len(kept); n > 0 && kept[n-1][1] != 1 {
		return context.Canceled // unreachable: it keeps what it has
	}
	return ctx.Err()
}

// One package takes all memory, while another of the same scanner and one of another
// scanner are at work beside it: these pass, it ends, and so does nothing else.
func TestAScanThatTakesAllMemoryEndsAlone(t *testing.T) {
	b := newBench(t)
	room := limited(t, headroom)
	var beside, tripped, inside atomic.Int32
	company := make(chan struct{})
	wait := func(ctx context.Context) error { // until it is ended for the company it keeps
		if beside.Add(1) == 2 {
			close(company)
		}
		<-ctx.Done()
		tripped.Add(1)
		return ctx.Err()
	}
	scan := func(first *atomic.Bool) func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
		return func(ctx context.Context, p *zippkg.Package, _ scanners.Findings) (task.Coverage, error) {
			if inside.Add(1) > 1 && tripped.Load() == 2 {
				t.Error("whoever was at work when memory ran out is tried alone")
			}
			defer inside.Add(-1)
			var err error
			if _, ok := p.Lookup("poison.sql"); ok {
				<-company
				err = devour(ctx)
			} else if first.CompareAndSwap(false, true) {
				err = wait(ctx)
			}
			return task.Coverage{Eligible: 1, Seen: 1}, err
		}
	}
	var firstSQL, firstOther atomic.Bool
	b.runIn(room, &scripted{name: "SQL", scan: scan(&firstSQL)}, options)
	b.runIn(room, &scripted{name: "OTHER", scan: scan(&firstOther), look: func(p *zippkg.Package) (scanners.Decision, error) {
		if _, ok := p.Lookup("poison.sql"); ok {
			return scanners.Decline(scanners.NoMatchingFiles, report.Text{En: "not mine", Zh: "无关"}), nil
		}
		return scanners.TakePart(), nil
	}}, options)
	good := b.open()
	poison := b.open("poison.sql")

	got := b.await(poison, "ends", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Error, got.Kind)
	require.True(t, got.Parked)
	require.Equal(t, 3, got.Attempt)
	require.Contains(t, got.Reason, "it took too much memory")
	require.Contains(t, got.ReasonZH, "占用内存过多")
	for _, name := range []string{"SQL", "OTHER"} {
		s := b.await(good, "passes", ended(name)).SubTasks[name]
		require.Equal(t, task.Pass, s.Result, s.Reason)
		require.Equal(t, 2, s.Attempt, "ended once, for the company it kept")
	}
	require.EqualValues(t, 2, tripped.Load())
	require.EqualValues(t, 3, room.MemoryTrips(), "once for all, then twice for one alone")
	require.Equal(t, task.Pass, b.await(b.open(), "passes", ended("SQL")).SubTasks["SQL"].Result)
}

// A process that has no memory left before anybody comes blames nobody.
func TestWhoeverComesWhenMemoryIsShortWaits(t *testing.T) {
	b := newBench(t)
	held := make([]byte, headroom)
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	debug.FreeOSMemory()
	room := scanners.NewRoom(scanners.DefaultRoom)
	room.LimitMemory(heap() - headroom/2)
	looked := make(chan struct{})
	b.runIn(room, &scripted{name: "SQL", decide: func() (scanners.Decision, error) { close(looked); return scanners.TakePart(), nil },
		scan: poisoned(nil).scan}, options)
	b.runIn(scanners.NewRoom(scanners.DefaultRoom), &scripted{name: "OTHER", scan: poisoned(nil).scan}, options)
	id := b.open()
	b.await(id, "passes with another room", ended("OTHER"))
	select {
	case <-looked:
		t.Fatal("began without memory")
	default:
	}
	require.Zero(t, held[0]) // until here
	held = nil
	require.Nil(t, held)
	got := b.await(id, "passes", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Pass, got.Result)
	require.Equal(t, 1, got.Attempt)
}
