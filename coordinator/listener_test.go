package coordinator_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/testbench"
)

// Of coordinators side by side, one tells of each verdict: how late it came after its
// deadline, and, of a revision, no cause.
func TestAListenerHearsOfEachVerdictOnce(t *testing.T) {
	b := newBench(t)
	b.activate(revising, "")
	terms, err := commands.NewRuleBook(b.store).Active(t.Context(), "p")
	require.NoError(t, err)
	id := b.upload(1)
	_, err = b.commands.OpenWindow(t.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: time.Millisecond, Quiet: time.Hour, RuleSet: terms.RuleSet})
	require.NoError(t, err)

	var mu sync.Mutex
	var heard []coordinator.Converged
	told := func() []coordinator.Converged {
		mu.Lock()
		defer mu.Unlock()
		return append([]coordinator.Converged(nil), heard...)
	}
	listener := coordinator.Listener{Converged: func(c coordinator.Converged) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, c)
	}}
	closedAt := b.state(id).CreatedAt.Add(time.Millisecond)
	late := time.Since(closedAt)
	b.run(coordinator.Options{Listener: listener})
	b.run(coordinator.Options{Listener: listener})
	s, _ := b.await(id, "converges", testbench.Converged)
	require.Equal(t, closedAt, s.Closed.ClosedAt)
	b.finish(id, "MADE_UP", true)
	revised, _ := b.await(id, "is revised", func(s task.State) bool { return s.Verdict.Status == task.Success })
	b.noWindows()
	require.Eventually(t, func() bool { return len(told()) == revised.Verdict.Revision }, testbench.Patience, time.Millisecond)
	first, second := told()[0], told()[1]
	require.Equal(t, []any{task.Deadline, s.Verdict.Status, 1}, []any{first.Cause, first.Status, first.Revision})
	require.GreaterOrEqual(t, first.After, late)
	for i, c := range told()[1:] {
		require.Equal(t, i+2, c.Revision)
	}
	require.Equal(t, []any{task.Cause(""), 2, time.Duration(0)}, []any{second.Cause, second.Revision, second.After})
}

func TestOpenAndDueWindowsAreCounted(t *testing.T) {
	b := newBench(t)
	c := coordinator.New(b.store, b.db, coordinator.Options{Logger: testbench.Logger(t)})
	_, _, err := c.Windows(t.Context())
	require.Error(t, err, "there is no table before a coordinator ran")
	stop := b.run(coordinator.Options{Window: time.Hour, Quiet: time.Hour})
	b.await(b.upload(1), "opens", opened)
	b.await(b.upload(2), "opens", opened)
	require.Eventually(t, func() bool { open, due, err := c.Windows(t.Context()); return err == nil && open == 2 && due == 0 }, testbench.Patience, 10*time.Millisecond)
	stop()
	_, err = b.db.Exec(t.Context(), `update coordinator.windows set due_at = now() - interval '1 hour' where task_id = (select task_id from coordinator.windows limit 1)`)
	require.NoError(t, err)
	open, due, err := c.Windows(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{2, 1}, []int64{open, due})
}
