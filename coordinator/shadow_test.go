package coordinator_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// A task is opened with its shadow and judged as if it had none, whatever the
// shadow says and whether it can be used or not.
func TestAShadowIsRecordedAndDecidesNothing(t *testing.T) {
	b := newBench(t)
	b.activate(always("mine", "SUCCESS"), "dw")
	next, err := b.commands.PublishRuleSet(t.Context(), always("next", "FAILED"), "li")
	require.NoError(t, err)
	_, err = b.commands.ConfigureProject(t.Context(), "dw", project.Configure{Shadow: &project.Shadow{Name: "next", Version: 1}})
	require.NoError(t, err)
	b.run(coordinator.Options{})

	s, _ := b.await(b.upload(1), "converges", func(s task.State) bool { return s.Verdict != nil })
	require.Equal(t, &task.RuleSetRef{Name: "next", Version: 1, Digest: next.Digest}, s.Created.Shadow)
	require.Equal(t, task.Success, s.Verdict.Status)
	require.Equal(t, "mine", s.Verdict.RuleSet.Name)

	// A setting that names nothing, past the command that would refuse it.
	stream := eventstore.StreamID{Category: project.Category, Key: "dw"}
	name, data, err := project.Encode(project.ProjectConfigured{Project: "dw", Settings: project.Settings{RuleSet: "mine", Shadow: project.Shadow{Name: "nothing"}}})
	require.NoError(t, err)
	_, err = b.store.Append(t.Context(), stream, eventstore.Any(), eventstore.Event{ID: eventstore.ID(uuid.New()), Type: name, Data: data})
	require.NoError(t, err)
	s, _ = b.await(b.upload(2), "converges", func(s task.State) bool { return s.Verdict != nil })
	require.Nil(t, s.Created.Shadow)
	require.Equal(t, task.Success, s.Verdict.Status)

	// One whose text nobody can use.
	name, data, err = ruleset.Encode(ruleset.RuleSetPublished{Name: "next", Version: 2, Text: "rules: 7", Digest: "d"})
	require.NoError(t, err)
	_, err = b.store.Append(t.Context(), eventstore.StreamID{Category: ruleset.Category, Key: "next"}, eventstore.Any(),
		eventstore.Event{ID: eventstore.ID(uuid.New()), Type: name, Data: data})
	require.NoError(t, err)
	_, err = b.commands.ConfigureProject(t.Context(), "dw", project.Configure{Shadow: &project.Shadow{Name: "next", Version: 2}})
	require.NoError(t, err)
	terms, err := commands.NewRuleBook(b.store).Active(t.Context(), "dw")
	require.NoError(t, err)
	require.NoError(t, terms.Problem)
	require.ErrorContains(t, terms.ShadowProblem, "cannot be used")
	s, _ = b.await(b.upload(3), "converges", func(s task.State) bool { return s.Verdict != nil })
	require.Nil(t, s.Created.Shadow)
	require.Equal(t, task.Success, s.Verdict.Status)
	require.Less(t, s.ConvergedAt.Sub(s.CreatedAt), time.Hour)
}
