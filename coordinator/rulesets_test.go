package coordinator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

func always(name, status string) string {
	return "name: " + name + "\nwindow: 1m\nquiet: 100ms\nrules:\n  - {id: always-" + status[:1] + ", when: \"true\", status: " + status + "}\n"
}

func (b *bench) activate(text, forProject string) commands.RuleSetDone {
	b.t.Helper()
	done, err := b.commands.PublishRuleSet(b.t.Context(), text, "li")
	require.NoError(b.t, err)
	_, err = b.commands.ActivateRuleSet(b.t.Context(), done.Name, done.Version, forProject, "li")
	require.NoError(b.t, err)
	return done
}

func TestATaskIsJudgedByTheRuleSetItWasOpenedUnder(t *testing.T) {
	b := newBench(t)
	one := b.activate(always("mine", "SUCCESS"), "")
	b.run(coordinator.Options{Quiet: time.Hour})
	id := b.upload(1)
	s, _ := b.await(id, "opens", opened)
	require.Equal(t, task.RuleSetRef{Name: "mine", Version: 1, Digest: one.Digest}, s.Created.RuleSet)
	attempt, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "MADE_UP", Scanner: task.Scanner{Instance: "i"}})
	require.NoError(t, err)

	two := b.activate(always("mine", "FAILED"), "")
	require.Equal(t, 2, two.Version)
	// Seen by the very next window.
	later := b.upload(2)
	s, _ = b.await(later, "opens", opened)
	require.Equal(t, 2, s.Created.RuleSet.Version)

	_, err = b.commands.Complete(t.Context(), id, commands.Origin{}, task.SubTaskCompleted{Type: "MADE_UP", Attempt: attempt, Result: task.Pass})
	require.NoError(t, err)
	book := commands.NewRuleBook(b.store)
	for taskID, want := range map[string]task.Status{id: task.Success, later: task.Failed} {
		outcome, done, err := b.commands.Converge(t.Context(), taskID, commands.Origin{}, book, time.Now().Add(2*time.Hour))
		require.NoError(t, err)
		require.IsType(t, rules.Closed{}, outcome)
		require.Equal(t, want, done.State.Verdict.Status)
		require.Equal(t, done.State.Created.RuleSet, done.State.Verdict.RuleSet)
	}
	b.noWindows()
}

func TestAProjectsTermsAreThoseOfItsWindows(t *testing.T) {
	b := newBench(t)
	b.activate(always("ours", "SUCCESS"), "dw")
	_, err := b.commands.ConfigureProject(t.Context(), "dw", project.Configure{
		Window: &project.Change{To: 20 * time.Minute}, Quiet: &project.Change{To: 40 * time.Second}, Minimum: &project.Change{To: time.Minute},
	})
	require.NoError(t, err)
	stop := b.run(coordinator.Options{})
	s, _ := b.await(b.upload(1), "opens", opened)
	require.Equal(t, "ours", s.Created.RuleSet.Name)
	w := s.Created.Window
	require.Equal(t, []time.Duration{20 * time.Minute, 40 * time.Second, time.Minute}, []time.Duration{w.Length(), w.Quiet.D(), w.Minimum.D()})
	stop()
	b.run(brief) // flags have the last word
	s, _ = b.await(b.upload(2), "opens", opened)
	require.Equal(t, []time.Duration{brief.Window, brief.Quiet}, []time.Duration{s.Created.Window.Length(), s.Created.Window.Quiet.D()})
}

// Rule sets that cannot be had: the tasks end FAILED, say why, and hold nobody up.
func TestATaskWithoutItsRuleSetEndsAndDelaysNobody(t *testing.T) {
	b := newBench(t)
	mine, err := b.commands.PublishRuleSet(t.Context(), always("mine", "SUCCESS"), "li")
	require.NoError(t, err)
	lost := map[string]task.RuleSetRef{}
	for i, ref := range []task.RuleSetRef{
		{Name: "nowhere", Version: 1, Digest: "d"}, {Name: "mine", Version: 7, Digest: mine.Digest},
		{Name: "mine", Version: 1, Digest: rules.Default().Ref().Digest}, {},
	} {
		id := b.upload(i)
		_, err := b.commands.OpenWindow(t.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: time.Minute, Quiet: 50 * time.Millisecond, RuleSet: ref})
		require.NoError(t, err)
		lost[id] = ref
	}
	// And one that a stranger has put in service for everybody.
	name, data, err := ruleset.Encode(ruleset.RuleSetActivated{Name: "default", Version: 99})
	require.NoError(t, err)
	b.run(brief)
	innocent, _ := b.await(b.upload(10), "converges", testbench.Converged)
	require.Equal(t, "nobody", innocent.Verdict.Rule.ID)
	_, err = b.store.Append(t.Context(), eventstore.StreamID{Category: ruleset.Category, Key: "default"}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, name), Type: name, Data: data, Metadata: []byte("{}")})
	require.NoError(t, err)
	id := b.upload(11)
	lost[id] = task.RuleSetRef{Name: "default", Version: 99}
	for id, ref := range lost {
		s, _ := b.await(id, fmt.Sprint(ref), testbench.Converged)
		require.Equal(t, task.Failed, s.Verdict.Status)
		require.Equal(t, ruleset.UnavailableRule, s.Verdict.Rule.ID)
		require.Equal(t, ref, s.Verdict.RuleSet)
		require.NotEmpty(t, s.Verdict.Because.Zh)
	}
	b.noWindows()
}
