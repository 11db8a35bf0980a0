package queries_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/dossier"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

// published records a rule set's text as its version 1.
func (w *world) published(text string) *rules.RuleSet {
	w.t.Helper()
	rs, err := rules.Parse([]byte(text), 1)
	require.NoError(w.t, err)
	data, err := json.Marshal(map[string]any{"name": rs.Ref().Name, "version": 1, "text": text, "digest": rs.Ref().Digest})
	require.NoError(w.t, err)
	_, err = w.log.Append(w.t.Context(), eventstore.StreamID{Category: "ruleset", Key: rs.Ref().Name}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, text), Type: "RuleSetPublished", Metadata: []byte("{}"), Data: data})
	require.NoError(w.t, err)
	return rs
}

// What a shadow says of a task is what a dry run of it says later.
func TestAShadowSaysWhatADryRunSays(t *testing.T) {
	w := newWorld(t)
	rs := w.published(fmt.Sprintf(stricter, "1h", "false"))
	ref := rs.Ref()
	w.shadow = &ref
	random := rand.New(rand.NewPCG(5, 6))
	var last eventstore.Position
	ids := map[queries.TaskID]bool{}
	for i := range 40 {
		var id queries.TaskID
		id, last = w.judged(random, "a", i%10 != 9)
		ids[id] = true
	}
	w.Follow(last)
	now := time.Now().Add(2 * time.Hour)
	page, err := w.queries.DryRun(t.Context(), queries.DryRunQuery{RuleSet: rs, Now: now})
	require.NoError(t, err)
	require.Equal(t, len(ids), page.Tried)
	flips, undecidable := map[queries.TaskID]queries.Tried{}, map[queries.TaskID]queries.Tried{}
	for _, f := range page.Flips {
		flips[f.Task] = f
	}
	for _, f := range page.Undecidable {
		undecidable[f.Task] = f
	}
	require.NotEmpty(t, flips)
	require.NotEmpty(t, undecidable)
	agreed := 0
	for id := range ids {
		got, err := w.queries.Shadow(t.Context(), id, queries.AsOf{}, now)
		require.NoError(t, err)
		require.Equal(t, ref, got.RuleSet)
		flip, flipped := flips[id]
		why, unknown := undecidable[id]
		switch {
		case got.Recorded == nil:
			require.False(t, flipped || unknown)
		case unknown:
			require.Nil(t, got.Verdict)
			require.Equal(t, why.New.Because, got.Undecidable)
		case flipped:
			require.True(t, got.Differs())
			require.Equal(t, flip.New, *got.Verdict)
		default:
			agreed++
			require.False(t, got.Differs())
			require.Equal(t, got.Recorded.Status, got.Verdict.Status)
		}
		explained, err := w.queries.Explain(t.Context(), id, queries.AsOf{}, now)
		require.NoError(t, err)
		require.Equal(t, got, explained.Shadow)
	}
	require.Positive(t, agreed)

	// And so does the read model, without a stream, page by page.
	listed := map[queries.TaskID]queries.ShadowDifference{}
	ask := queries.ShadowReportQuery{Name: ref.Name, Version: 1, Now: now, First: 3}
	for {
		report, err := w.queries.ShadowReport(t.Context(), ask)
		require.NoError(t, err)
		decided := 0
		for id := range flips {
			if s, err := w.queries.Shadow(t.Context(), id, queries.AsOf{}, now); err == nil && s.Recorded != nil {
				decided++
			}
		}
		require.EqualValues(t, decided, report.Differing)
		require.EqualValues(t, agreed, report.Same)
		require.EqualValues(t, len(undecidable), report.Undecidable)
		require.EqualValues(t, decided+agreed+len(undecidable), report.Judged())
		require.Zero(t, report.Open)
		for _, d := range report.Differences {
			require.NotContains(t, listed, d.Task)
			listed[d.Task] = d
		}
		if !report.More {
			break
		}
		ask.After = report.Differences[len(report.Differences)-1].Cursor()
	}
	require.Len(t, listed, len(flips))
	for id, d := range listed {
		require.Equal(t, [3]any{flips[id].New.Status, flips[id].New.Rule.ID, "a"}, [3]any{d.Status, d.Rule, d.Project})
	}
	var all []queries.TaskID
	for id := range ids {
		all = append(all, id)
	}
	statuses, _, err := w.queries.ShadowStatuses(t.Context(), all, now)
	require.NoError(t, err)
	require.Len(t, statuses, len(flips)+agreed)
	for _, ask := range []queries.ShadowReportQuery{{Name: ref.Name, Version: 2, Now: now}, {Name: "other", Version: 1, Now: now}, {Name: ref.Name, Version: 1, Project: "b", Now: now}} {
		report, err := w.queries.ShadowReport(t.Context(), ask)
		require.NoError(t, err)
		require.Zero(t, report.Judged()+report.Open+int64(len(report.Differences)))
	}
	_, err = w.queries.ShadowReport(t.Context(), queries.ShadowReportQuery{Name: ref.Name, Version: 1, After: "x"})
	require.Equal(t, "cursor.invalid", domain.RuleOf(err))

	// While its longer window is open, it has said nothing yet.
	early, err := w.queries.ShadowReport(t.Context(), queries.ShadowReportQuery{Name: ref.Name, Version: 1, Now: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	require.Positive(t, early.Open)

	// A rule set whose stream somebody deleted is one that is not here.
	require.NoError(t, w.log.Tombstone(t.Context(), eventstore.StreamID{Category: "ruleset", Key: ref.Name}))
	opened := given.NewTask()
	w.Tell(opened, given.Uploaded(opened, "a"), task.MainTaskCreated{TaskID: opened.String(), RuleSet: ref, Window: task.Window{Deadline: time.Now()}})
	_, err = w.queries.Explain(t.Context(), opened, queries.AsOf{}, now)
	require.Equal(t, "ruleset.unknown", domain.RuleOf(err))
	var dossiered bytes.Buffer
	require.NoError(t, w.queries.Dossier(t.Context(), opened, dossier.Header{}, func() io.Writer { return &dossiered }))
	require.Contains(t, dossiered.String(), "MainTaskCreated")
}

func TestAShadowsWindowIsItsOwn(t *testing.T) {
	w := newWorld(t)
	ref := w.published(fmt.Sprintf(stricter, "1m", "false")).Ref()
	asking := queries.New(nil, w.log) // from the stream alone
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	open := task.MainTaskCreated{RuleSet: rules.Default().Ref(), Shadow: &ref, Window: task.Window{OpensAt: at, Deadline: at.Add(time.Hour), Quiet: task.Duration(time.Hour)}}
	id := given.NewTask()
	open.TaskID = id.String()
	w.Tell(id, given.Uploaded(id, "a"), open, task.SubTaskStarted{TaskID: id.String(), Type: "SQL", Attempt: 1})
	opened := w.facts(id)[1].At
	got, err := asking.Shadow(t.Context(), id, queries.AsOf{}, opened.Add(59*time.Second))
	require.NoError(t, err)
	require.Nil(t, got.Verdict)
	require.Equal(t, opened.Add(time.Minute), got.DueAt)

	// It ends by its own deadline while the task's window is open.
	got, err = asking.Shadow(t.Context(), id, queries.AsOf{}, opened.Add(time.Minute+1))
	require.NoError(t, err)
	require.Nil(t, got.Recorded)
	require.Equal(t, task.Failed, got.Verdict.Status)
	require.True(t, got.DueAt.IsZero())
	require.False(t, got.Differs())

	none := given.NewTask()
	open.TaskID, open.Shadow = none.String(), nil
	w.Tell(none, given.Uploaded(none, "a"))
	got, err = asking.Shadow(t.Context(), none, queries.AsOf{}, time.Now())
	require.NoError(t, err)
	require.Nil(t, got)
	w.Tell(none, open)
	got, err = asking.Shadow(t.Context(), none, queries.AsOf{}, time.Now())
	require.NoError(t, err)
	require.Nil(t, got)

	// A rule set that is lost fails no question.
	lost := given.NewTask()
	open.TaskID, open.Shadow = lost.String(), &task.RuleSetRef{Name: "lost", Version: 7, Digest: "d"}
	w.Tell(lost, given.Uploaded(lost, "a"), open)
	explained, err := asking.Explain(t.Context(), lost, queries.AsOf{}, time.Now())
	require.NoError(t, err)
	require.Contains(t, explained.Shadow.Undecidable.En, `"lost" version 7 is not here`)
	require.Nil(t, explained.Shadow.Verdict)

	// A cancelled task has none to give.
	gone := given.NewTask()
	open.TaskID, open.Shadow = gone.String(), &ref
	w.Tell(gone, given.Uploaded(gone, "a"), open, task.MainTaskCancelled{TaskID: gone.String(), Reason: "wrong file"})
	got, err = asking.Shadow(t.Context(), gone, queries.AsOf{}, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, &queries.Shadowed{RuleSet: ref}, got)
}
