package queries_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

// At every revision and every time the explanation is that of the facts which were
// there, and needs no database.
func TestEveryMomentCanBeExplained(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(3, 4))
	asking := queries.New(nil, w.log)
	for range 5 {
		id, _ := w.judged(random, "a", true)
		facts := w.facts(id)
		for n := range facts {
			revision := int64(n)
			got, err := asking.Explain(t.Context(), id, queries.AsOf{Revision: &revision}, time.Now())
			require.NoError(t, err)
			require.Equal(t, revision, got.Newest)
			require.Equal(t, facts[n].At, got.At)
			if n == 0 {
				require.Equal(t, rules.WindowNone, got.State)
				require.Nil(t, got.Window)
				continue
			}
			require.Equal(t, rules.Explain(rules.Default(), facts[:n+1], facts[n].At), got.Explanation)
			if n < len(facts)-2 {
				require.Equal(t, rules.WindowOpen, got.State)
			}
			var evidence []string
			for _, f := range got.EvidenceFacts {
				evidence = append(evidence, f.ID.String())
			}
			require.Equal(t, got.Evidence, evidence)

			// As of just before this fact, if time tells them apart.
			before := facts[n].At.Add(-1)
			got, err = asking.Explain(t.Context(), id, queries.AsOf{Time: &before}, time.Now())
			require.NoError(t, err)
			require.Less(t, got.Newest, revision)
		}
		now, err := asking.Explain(t.Context(), id, queries.AsOf{}, time.Now())
		require.NoError(t, err)
		require.NotNil(t, now.Recorded)
		require.Equal(t, now.Recorded.Status, now.Status)
		require.Equal(t, now.Recorded.Rule, now.Rule)
		require.Equal(t, now.Recorded.Evidence, now.Evidence)
		early := facts[0].At.Add(-time.Hour)
		none, err := asking.Explain(t.Context(), id, queries.AsOf{Time: &early}, time.Now())
		require.NoError(t, err)
		require.EqualValues(t, -1, none.Newest)
	}
}

func TestWhatCannotBeExplainedSaysWhy(t *testing.T) {
	w := newWorld(t)
	asking := queries.New(nil, w.log)
	_, err := asking.Explain(t.Context(), given.NewTask(), queries.AsOf{}, time.Now())
	require.Equal(t, "task.unknown", domain.RuleOf(err))

	ref := task.RuleSetRef{Name: "house", Version: 3, Digest: "d"}
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "a"), task.MainTaskCreated{TaskID: id.String(), RuleSet: ref})
	_, err = asking.Explain(t.Context(), id, queries.AsOf{}, time.Now())
	require.Equal(t, "ruleset.unknown", domain.RuleOf(err))

	// A published one is found by its digest.
	text := "name: house\nwindow: 1m\nrules:\n  - {id: all, when: 'true', status: FAILED}\n"
	rs, err := rules.Parse([]byte(text), 3)
	require.NoError(t, err)
	_, err = w.log.Append(t.Context(), eventstore.StreamID{Category: "ruleset", Key: "house"}, eventstore.Any(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, "p"), Type: "RuleSetPublished", Metadata: []byte("{}"),
		Data: []byte(`{"name":"house","version":3,"text":"name: house\nwindow: 1m\nrules:\n  - {id: all, when: 'true', status: FAILED}\n","digest":"` + rs.Ref().Digest + `"}`),
	})
	require.NoError(t, err)
	id = given.NewTask()
	w.Tell(id, given.Uploaded(id, "a"), task.MainTaskCreated{TaskID: id.String(), RuleSet: rs.Ref()})
	got, err := asking.Explain(t.Context(), id, queries.AsOf{}, time.Now())
	require.NoError(t, err)
	require.Equal(t, rs.Ref(), got.RuleSet)
	require.Equal(t, "all", got.Rule.ID)

	revision, moment := int64(0), time.Now()
	_, err = asking.Explain(t.Context(), id, queries.AsOf{Revision: &revision, Time: &moment}, time.Now())
	require.Equal(t, "explain.at", domain.RuleOf(err))
	revision = -1
	_, err = asking.Explain(t.Context(), id, queries.AsOf{Revision: &revision}, time.Now())
	require.Equal(t, "explain.at", domain.RuleOf(err))
}
