package coordinator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/testbench"
)

const revising = `name: revising
window: 1m
quiet: 200ms
late: revise
rules:
  - {id: nobody, when: observed == 0, status: FAILED}
  - {id: good, when: succeeded == observed, status: SUCCESS}
  - {id: rest, when: "true", status: PARTIAL_SUCCESS}
`

func (b *bench) finish(id, subTaskType string, pass bool) {
	b.t.Helper()
	n, err := b.commands.Start(b.t.Context(), id, commands.Origin{}, task.Start{Type: subTaskType, Scanner: task.Scanner{Instance: "i"}})
	require.NoError(b.t, err)
	if pass {
		_, err = b.commands.Complete(b.t.Context(), id, commands.Origin{}, task.SubTaskCompleted{Type: subTaskType, Attempt: n, Result: task.Pass})
	} else {
		_, err = b.commands.Fail(b.t.Context(), id, commands.Origin{}, task.SubTaskFailed{Type: subTaskType, Attempt: n, Kind: task.Check})
	}
	require.NoError(b.t, err)
}

// Late facts give the verdict anew when the rule set says so, once for each time that
// things have settled, whoever looks and however often; each verdict stays.
func TestLateFactsReviseAVerdict(t *testing.T) {
	b := newBench(t)
	b.activate(revising, "")
	b.run(coordinator.Options{})
	b.run(coordinator.Options{})
	id := b.upload(1)
	revised := func(n int) func(task.State) bool {
		return func(s task.State) bool { return s.Verdict != nil && s.Verdict.Revision == n }
	}
	s, _ := b.await(id, "converges", revised(1))
	require.Equal(t, task.Failed, s.Verdict.Status)

	b.finish(id, "MADE_UP", true)
	s, _ = b.await(id, "is revised", revised(2))
	require.Equal(t, task.Success, s.Verdict.Status)
	require.Equal(t, []string{"MADE_UP"}, s.Verdict.Succeeded)
	b.noWindows()

	b.finish(id, "ANOTHER", false)
	s, facts := b.await(id, "is revised again", revised(3))
	require.Equal(t, task.PartialSuccess, s.Verdict.Status)
	b.noWindows()

	// All verdicts stand in the history, each names the one before, and each is
	// recomputed from the stream alone.
	rs, err := commands.NewRuleBook(b.store).Get(t.Context(), s.Created.RuleSet)
	require.NoError(t, err)
	before := ""
	for _, r := range facts {
		if f, ok := r.Fact.(task.MainTaskConverged); ok {
			require.Equal(t, before, f.Supersedes)
			before = r.ID
			again, ok := rules.RecomputeRevision(rs, facts, f.Revision)
			require.True(t, ok)
			require.Equal(t, f.Verdict, again.Verdict)
		}
	}
	// Looking again, much later, finds nothing to do.
	outcome, done, err := b.commands.Converge(t.Context(), id, commands.Origin{}, commands.NewRuleBook(b.store), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, rules.NoWindow{}, outcome)
	require.Empty(t, done.Facts)
}

// A coordinator that was away when the late facts came finds them when it is back,
// also with its table gone.
func TestLateFactsAreFoundAfterARestart(t *testing.T) {
	b := newBench(t)
	b.activate(revising, "")
	stop := b.run(coordinator.Options{})
	id := b.upload(1)
	b.await(id, "converges", testbench.Converged)
	stop()
	b.finish(id, "MADE_UP", true)
	_, err := b.db.Exec(t.Context(), `drop schema coordinator cascade`)
	require.NoError(t, err)
	b.run(coordinator.Options{})
	s, _ := b.await(id, "is revised", func(s task.State) bool { return s.Verdict.Revision == 2 })
	require.Equal(t, task.Success, s.Verdict.Status)
	b.noWindows()
}

// With late: record, late facts are kept and counted, and the verdict stands.
func TestLateFactsLeaveARecordingVerdictAlone(t *testing.T) {
	b := newBench(t)
	b.run(brief)
	id := b.upload(1)
	b.await(id, "converges", testbench.Converged)
	b.finish(id, "MADE_UP", true)
	b.noWindows()
	s := b.state(id)
	require.Equal(t, 1, s.Verdict.Revision)
	require.Equal(t, 2, s.Late)
}

// A coordinator may come to an end after its verdict and before it has looked whether
// facts that came between the window's end and the verdict want a revision. Its row
// is left, and whoever follows judges once more.
func TestAVerdictWhoseCoordinatorDiedIsLookedAtOnceMore(t *testing.T) {
	b := newBench(t)
	b.activate(revising, "")
	stop := b.run(coordinator.Options{})
	b.noWindows() // the table is there
	stop()
	book := commands.NewRuleBook(b.store)
	terms, err := book.Active(t.Context(), "")
	require.NoError(t, err)
	id := b.upload(1)
	_, err = b.commands.OpenWindow(t.Context(), id, commands.Origin{}, task.Open{
		Now: time.Now(), Window: 50 * time.Millisecond, Quiet: 50 * time.Millisecond, RuleSet: terms.RuleSet,
	})
	require.NoError(t, err)
	_, err = b.db.Exec(t.Context(), `insert into coordinator.windows values ($1, 'infinity', now(), '50 ms', 0)`, id)
	require.NoError(t, err)
	end := b.state(id).CreatedAt.Add(50 * time.Millisecond)
	require.Eventually(t, func() bool { return time.Now().After(end) }, testbench.Patience, time.Millisecond)
	b.finish(id, "MADE_UP", true)
	_, done, err := b.commands.Converge(t.Context(), id, commands.Origin{}, book, time.Now())
	require.NoError(t, err)
	require.Equal(t, task.Failed, done.State.Verdict.Status, "nobody was heard in the window")

	b.run(coordinator.Options{})
	s, _ := b.await(id, "is revised", func(s task.State) bool { return s.Verdict.Revision == 2 })
	require.Equal(t, task.Success, s.Verdict.Status)
	b.noWindows()
}
