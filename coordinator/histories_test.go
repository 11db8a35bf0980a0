package coordinator_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// mortal is the log as one life of a process sees it. The life ends at an append:
// before it, or after it and without its answer. What dies tells the log nothing more.
type mortal struct {
	eventstore.Log
	appends atomic.Int64 // until the end; never if it begins at 0
	answer  bool         // the last append is made, and its answer lost
	die     context.CancelFunc
	dead    atomic.Bool
}

func (m *mortal) Append(ctx context.Context, s eventstore.StreamID, e eventstore.Expected, events ...eventstore.Event) (eventstore.Appended, error) {
	if m.appends.Add(-1) == 0 {
		m.dead.Store(true)
		if m.answer {
			_, _ = m.Log.Append(ctx, s, e, events...)
		}
		m.die()
	}
	if m.dead.Load() {
		return eventstore.Appended{}, fmt.Errorf("the process is dead: %w", context.Canceled)
	}
	return m.Log.Append(ctx, s, e, events...)
}

func (m *mortal) Consume(ctx context.Context, group string, buffer int) (eventstore.Consumer, error) {
	c, err := m.Log.Consume(ctx, group, buffer)
	if err != nil {
		return nil, err
	}
	return &stutter{Consumer: c, life: m, copies: map[eventstore.ID]int{}, again: map[eventstore.ID]bool{}}, nil
}

// stutter delivers everything five times, in no order. The log hears the end of
// the last copy.
type stutter struct {
	eventstore.Consumer
	life    *mortal
	waiting []eventstore.Delivery // touched by Next alone
	mu      sync.Mutex
	copies  map[eventstore.ID]int
	again   map[eventstore.ID]bool
}

const copies = 5

func (s *stutter) Next(ctx context.Context) (eventstore.Delivery, error) {
	for len(s.waiting) < 4*copies {
		soon, cancel := ctx, context.CancelFunc(func() {})
		if len(s.waiting) > 0 {
			soon, cancel = context.WithTimeout(ctx, 5*time.Millisecond)
		}
		d, err := s.Consumer.Next(soon)
		cancel()
		if err != nil {
			if len(s.waiting) > 0 && soon.Err() != nil && ctx.Err() == nil {
				break
			}
			return d, err
		}
		s.mu.Lock()
		s.copies[d.Event.ID] += copies
		s.mu.Unlock()
		s.waiting = append(s.waiting, slices.Repeat([]eventstore.Delivery{d}, copies)...)
	}
	i := rand.N(len(s.waiting))
	d := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return d, nil
}

func (s *stutter) end(d eventstore.Delivery, again bool, tell func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copies[d.Event.ID]--
	s.again[d.Event.ID] = s.again[d.Event.ID] || again
	switch {
	case s.life.dead.Load():
		return context.Canceled
	case s.copies[d.Event.ID] > 0:
		return nil
	case s.again[d.Event.ID]:
		delete(s.again, d.Event.ID)
		return s.Consumer.Retry(d, "a copy was given back")
	}
	return tell()
}

func (s *stutter) Ack(d eventstore.Delivery) error {
	return s.end(d, false, func() error { return s.Consumer.Ack(d) })
}

func (s *stutter) Retry(d eventstore.Delivery, reason string) error {
	return s.end(d, true, func() error { return s.Consumer.Retry(d, reason) })
}

func (s *stutter) Park(d eventstore.Delivery, reason string) error {
	return s.end(d, false, func() error { return s.Consumer.Park(d, reason) })
}

// scripted scans by the name of the package's one file.
type scripted string

func (s scripted) Describe() scanners.Description {
	return scanners.Description{Type: string(s), Name: "scripted", Version: "1", RulesDigest: "r", ConfigDigest: "c"}
}

func (s scripted) word(p *zippkg.Package) string {
	for i, name := range []string{"A", "B", "C"} {
		if name == string(s) {
			return string(p.Files()[0].Path[i])
		}
	}
	return ""
}

func (s scripted) Decide(_ context.Context, p *zippkg.Package) (scanners.Decision, error) {
	if s.word(p) == "d" {
		return scanners.Decline("NO_MATCHING_FILES", report.Text{En: "no", Zh: "无"}), nil
	}
	return scanners.TakePart(), nil
}

func (s scripted) Scan(_ context.Context, p *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	if s.word(p) == "f" {
		out.Add(report.Finding{Rule: "R1", Severity: report.Error, Path: p.Files()[0].Path, Message: report.Text{En: "bad", Zh: "坏"}})
	}
	return task.Coverage{Eligible: 1, Seen: 1}, nil
}

// lives runs a process again and again; each life ends at a random append, until
// there have been so many.
func (b *bench) lives(n int, live func(context.Context, eventstore.Log)) {
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; b.t.Context().Err() == nil; i++ {
			ctx, die := context.WithCancel(b.t.Context())
			m := &mortal{Log: b.store, die: die, answer: rand.N(2) == 0}
			if i < n {
				m.appends.Store(1 + rand.Int64N(8))
			}
			live(ctx, m)
			die()
		}
	})
	b.t.Cleanup(running.Wait)
}

// Random packages meet two of every role. Deliveries come five times and in no
// order, and processes die between any two appends. Whatever happens, a task gets
// the verdict that its package deserves, once, and by its deadline.
func TestAnyHistoryEndsInTheSameVerdict(t *testing.T) {
	b := newBench(t)
	const (
		tasks  = 30
		window = 16 * time.Second
		quiet  = 5 * time.Second // nobody is away for longer, also on a busy machine
		deaths = 6               // of each process
	)
	logger := testbench.Logger(t)
	for i := range 2 {
		b.lives(deaths, func(ctx context.Context, log eventstore.Log) {
			coordinator.New(log, b.db, coordinator.Options{Window: window, Quiet: quiet, Logger: logger}).Run(ctx)
		})
		for _, kind := range []scripted{"A", "B", "C"} {
			b.lives(deaths, func(ctx context.Context, log eventstore.Log) {
				// Attempts that died must not add up to a dead letter here.
				_ = scanners.Run(ctx, kind, scanners.Parts{Log: log, Blobs: b.blobs, Logger: logger},
					scanners.Options{Instance: fmt.Sprint(kind, i), MaxAttempts: 1000, Backoff: 10 * time.Millisecond, Grace: time.Millisecond})
			})
		}
	}

	words := map[string]string{} // by task: what A, B and C make of it, and whether somebody never ends
	for i := range tasks {
		word := ""
		for range 3 {
			word += string("ppfd"[rand.N(4)])
		}
		id := testbench.Upload(t, b.commands, b.blobs, packageOf(t, fmt.Sprint(word, i)))
		if rand.N(3) == 0 {
			testbench.Await(t, b.commands, id, "opens", opened)
			_, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "GONE", Scanner: task.Scanner{Instance: "gone"}})
			require.NoError(t, err)
			word += "u"
		}
		words[id] = word
	}
	attempts := 0
	for id, word := range words {
		s, facts := b.await(id, "converges", testbench.Converged)
		var want [4][]string // succeeded, failed, declined, unfinished
		for i, letter := range word {
			at := map[rune]int{'p': 0, 'f': 1, 'd': 2, 'u': 3}[letter]
			want[at] = append(want[at], []string{"A", "B", "C", "GONE"}[i])
		}
		v := s.Verdict
		for i, got := range [4][]string{v.Succeeded, v.Failed, v.Declined, v.Unfinished} {
			require.ElementsMatch(t, want[i], got, "%s: %s", word, testbench.Keys(facts))
		}
		require.Empty(t, v.Errored, testbench.Keys(facts))
		again, ok := rules.Recompute(rules.Default(), facts)
		require.True(t, ok)
		require.Equal(t, v.Verdict, again.Verdict)
		require.Equal(t, again.At, s.Closed.ClosedAt)
		deadline := s.CreatedAt.Add(window)
		if len(want[3]) > 0 {
			require.Equal(t, task.Deadline, s.Closed.Cause)
			require.Equal(t, deadline, s.Closed.ClosedAt)
		}
		verdicts := 0
		for _, r := range facts {
			switch r.Fact.(type) {
			case task.MainTaskConverged:
				verdicts++
				require.WithinRange(t, r.At, s.Closed.ClosedAt, deadline.Add(time.Second))
			case task.SubTaskStarted:
				attempts++
			}
		}
		require.Equal(t, 1, verdicts)
	}
	t.Logf("%d attempts for %d tasks", attempts, tasks)
}

func packageOf(t *testing.T, name string) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	_, err := w.Create(name)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}
