package coordinator_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

// stranger writes whatever it likes into a task's stream.
func (b *bench) stranger(id, eventType, data string) {
	b.t.Helper()
	_, err := b.store.Append(b.t.Context(), commands.StreamOf(id), eventstore.Any(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, id+eventType), Type: eventType, Data: []byte(data), Metadata: []byte(`{}`),
	})
	require.NoError(b.t, err)
}

func TestNoStrangersFactKeepsATaskFromItsEnd(t *testing.T) {
	b := newBench(t)
	strange := map[string]string{ // by type of the event
		"SubTaskPaused":     `{"taskId":"x"}`,
		"MainTaskCreated":   `{"window":"for ever"}`,
		"SubTaskCompleted":  `{"attempt":"one"}`,
		"MainTaskConverged": `{"revision":"first"}`,
		"MainTaskCancelled": `[]`,
	}
	ids := map[string]string{}
	for eventType, data := range strange {
		ids[eventType] = b.upload(len(ids))
		b.stranger(ids[eventType], eventType, data) // before anybody has seen the upload
	}
	b.run(brief)
	for eventType, id := range ids {
		s, facts := b.await(id, eventType, testbench.Converged)
		require.Equal(t, task.Failed, s.Verdict.Status, eventType)
		require.Equal(t, "unreadable", s.Verdict.Rule.ID)
		require.Contains(t, s.Verdict.Evidence, facts[1].ID)
		again, ok := rules.Recompute(rules.Default(), facts)
		require.True(t, ok)
		require.Equal(t, s.Verdict.Verdict, again.Verdict)
	}
	s, _ := b.await(b.upload(100), "an innocent one", testbench.Converged)
	require.Equal(t, "nobody", s.Verdict.Rule.ID)
	b.noWindows()
}

func TestAStrangersFactInAnOpenWindowDoesNotHideIt(t *testing.T) {
	b := newBench(t)
	b.run(coordinator.Options{Window: time.Minute, Quiet: 500 * time.Millisecond})
	for eventType, data := range map[string]string{
		"MainTaskConverged": `{"revision":"first"}`,
		"MainTaskCancelled": `[]`,
		"WindowClosed":      `{"cause":"SETTLED","closedAt":"2026-01-01T00:00:00Z"}`,
	} {
		id := b.upload(len(eventType))
		b.await(id, "opens", opened)
		b.stranger(id, eventType, data)
		b.await(id, eventType, testbench.Converged)
	}
	b.noWindows()
}

// Somebody else holds the due row for long: looking again and again would keep
// Postgres busy and change nothing.
func TestADueWindowInOtherHandsIsNotSpunUpon(t *testing.T) {
	b := newBench(t)
	b.run(brief)
	b.await(b.upload(1), "converges", testbench.Converged) // the table is there
	other, err := b.db.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Rollback(t.Context())) }()
	// Never seen by anybody but this transaction, were it not for its lock.
	_, err = b.db.Exec(t.Context(), `insert into coordinator.windows (task_id, due_at, deadline, quiet, position)
		values (gen_random_uuid(), now() + interval '200 ms', now(), '0', 1)`)
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), `select from coordinator.windows for update`)
	require.NoError(t, err)
	looks := func() int64 { return b.db.Stat().AcquireCount() }
	var due bool
	require.Eventually(t, func() bool {
		return other.QueryRow(t.Context(), `select due_at < clock_timestamp() from coordinator.windows`).Scan(&due) == nil && due
	}, testbench.Patience, 10*time.Millisecond)
	more := func(n int64) {
		target := looks() + n
		require.Eventually(t, func() bool { return looks() >= target }, testbench.Patience, time.Millisecond)
	}
	more(2) // it has seen the row
	began := time.Now()
	more(20)
	require.Greater(t, time.Since(began), 300*time.Millisecond)
}

// oddLog answers the first reads with an error that the contract does not know.
type oddLog struct {
	eventstore.Log
	left atomic.Int32
}

func (l *oddLog) ReadStream(ctx context.Context, s eventstore.StreamID, from uint64) iter.Seq2[eventstore.Recorded, error] {
	if l.left.Add(-1) >= 0 {
		return func(yield func(eventstore.Recorded, error) bool) {
			yield(eventstore.Recorded{}, errors.New("permission denied"))
		}
	}
	return l.Log.ReadStream(ctx, s, from)
}

func TestAnUploadIsNotGivenUpForAnOddAnswer(t *testing.T) {
	b := newBench(t)
	id := b.upload(1)
	odd := &oddLog{Log: b.store}
	odd.left.Store(3)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		coordinator.New(odd, b.db, coordinator.Options{Window: time.Minute, Quiet: 50 * time.Millisecond, Logger: testbench.Logger(t)}).Run(ctx)
	})
	defer running.Wait()
	defer cancel()
	b.await(id, "converges", testbench.Converged)
}

// Postgres throws everybody out again and again, while two coordinators work.
func TestVerdictsOutliveALostDatabase(t *testing.T) {
	b := newBench(t)
	b.run(brief)
	b.run(brief)
	var ids []string
	for i := range 30 {
		ids = append(ids, b.upload(i))
		if i%6 == 0 {
			_, err := b.db.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and pid <> pg_backend_pid()`)
			require.NoError(t, err)
		}
	}
	for _, id := range ids {
		b.await(id, "converges", testbench.Converged)
	}
	b.noWindows()
}
