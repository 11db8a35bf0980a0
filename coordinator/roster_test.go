package coordinator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

func (b *bench) enlist(types ...string) {
	b.t.Helper()
	for _, name := range types {
		_, err := b.commands.EnlistScanner(b.t.Context(), "scanner "+name, scanner.Enlist{Type: name, Instance: "i", Version: "1"})
		require.NoError(b.t, err)
	}
}

// passed uploads a package that SQL, and nobody else, takes and passes.
func (b *bench) passed(i int) (task.State, []task.Recorded) {
	b.t.Helper()
	id := b.upload(i)
	b.await(id, "opens", opened)
	n, err := b.commands.Start(b.t.Context(), id, commands.Origin{}, task.Start{Type: "SQL", Scanner: task.Scanner{Instance: "i"}})
	require.NoError(b.t, err)
	_, err = b.commands.Complete(b.t.Context(), id, commands.Origin{}, task.SubTaskCompleted{Type: "SQL", Attempt: n, Result: task.Pass, Coverage: task.Coverage{Eligible: 1, Seen: 1}})
	require.NoError(b.t, err)
	// As the coordinator does it once the window is over, without the wait.
	_, _, err = b.commands.Converge(b.t.Context(), id, commands.Origin{}, commands.NewRuleBook(b.store), time.Now().Add(2*time.Hour))
	require.NoError(b.t, err)
	return b.await(id, "converges", testbench.Converged)
}

// SQL works, DEAD was killed and comes no more.
func TestASilentScannerFailsAPackageUnderStrictRulesUntilItIsRetired(t *testing.T) {
	b := newBench(t)
	b.enlist("SQL", "DEAD")
	b.run(coordinator.Options{Window: time.Hour, Quiet: time.Hour})

	s, _ := b.passed(1)
	require.Equal(t, []string{"DEAD", "SQL"}, s.Created.Known)
	require.Equal(t, task.Success, s.Verdict.Status, "the default does not ask who was silent")
	require.Equal(t, "all-passed", s.Verdict.Rule.ID)

	_, err := b.commands.ActivateRuleSet(t.Context(), "strict", 0, "", "li")
	require.NoError(t, err)
	s, facts := b.passed(2)
	require.Equal(t, task.Failed, s.Verdict.Status)
	require.Equal(t, "silent", s.Verdict.Rule.ID)
	require.Equal(t, []string{"DEAD"}, s.Verdict.Silent)
	require.Contains(t, s.Verdict.Because.En, "DEAD")
	require.Contains(t, s.Verdict.Because.Zh, "DEAD")
	again, ok := rules.Recompute(builtIn(t, "strict"), facts)
	require.True(t, ok)
	require.Equal(t, s.Verdict.Verdict, again.Verdict)

	_, err = b.commands.RetireScanner(t.Context(), "li", scanner.Retire{Type: "DEAD", Reason: "replaced", By: "li"})
	require.NoError(t, err)
	s, _ = b.passed(3)
	require.Equal(t, []string{"SQL"}, s.Created.Known)
	require.Equal(t, task.Success, s.Verdict.Status)
	require.Empty(t, s.Verdict.Silent)

	b.enlist("DEAD") // it came back
	s, _ = b.passed(4)
	require.Equal(t, []string{"DEAD"}, s.Verdict.Silent)
}

func builtIn(t *testing.T, name string) *rules.RuleSet {
	t.Helper()
	rs, ok := rules.BuiltIn(name)
	require.True(t, ok)
	return rs
}

func TestAWindowKnowsNobodyOrSaysThatNobodyCanTell(t *testing.T) {
	b := newBench(t)
	b.run(brief)
	s, _ := b.await(b.upload(1), "opens", opened)
	require.NotNil(t, s.Created.Known, "nobody is enlisted, and that is written down")
	require.Empty(t, s.Created.Known)

	b.enlist("SQL")
	_, err := b.store.Append(t.Context(), eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}, eventstore.Any(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, "paused"), Type: "ScannerPaused", Data: []byte(`{}`), Metadata: []byte(`{}`)})
	require.NoError(t, err)
	s, _ = b.await(b.upload(2), "opens all the same", opened)
	require.Nil(t, s.Created.Known)
	s, _ = b.await(b.upload(2), "converges", testbench.Converged)
	require.Equal(t, "nobody", s.Verdict.Rule.ID)
}
