package graphqlapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

const explained = `
	at atRevision state provisional ruleSet { name version digest } recorded { status } revisionDue
	window { openedAt heardAt settlesAt quietSeconds minimumSeconds deadline dueAt cause text { en zh } }
	status rule { id when } because { en zh }
	rules { id when status line result values { name value } text { en zh } }
	types { type outcome advisory coveredNothing }
	evidence { id revision type data } flips { changes { type from to } status rule text { en zh } } flipsCut`

// failing is a task that failed by the default rules, with its facts told.
func (w *world) failing(t *testing.T) queries.TaskID {
	id := given.NewTask()
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	w.Tell(id, given.Uploaded(id, "p"), task.MainTaskCreated{TaskID: id.String(), RuleSet: rules.Default().Ref(),
		Window: task.Window{OpensAt: at, Deadline: at.Add(time.Minute), Quiet: task.Duration(10 * time.Second)}},
		task.SubTaskStarted{TaskID: id.String(), Type: "SQL", Attempt: 1},
		task.SubTaskFailed{TaskID: id.String(), Type: "SQL", Attempt: 1, Kind: task.Check})
	var facts []task.Recorded
	for r, err := range w.log.ReadStream(t.Context(), streamOf(id), 0) {
		require.NoError(t, err)
		facts = append(facts, task.Recorded{ID: r.ID.String(), Revision: r.Revision, At: r.At, Fact: task.Read(r.Type, r.Data)})
	}
	closed := rules.Evaluate(rules.Default(), facts, time.Now().Add(time.Hour)).(rules.Closed)
	last := w.Tell(id, task.WindowClosed{TaskID: id.String(), Cause: closed.Cause, ClosedAt: closed.At},
		task.MainTaskConverged{TaskID: id.String(), Revision: 1, Verdict: closed.Verdict})
	w.Follow(last)
	return id
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	id := w.failing(t)
	h := w.handler(graphqlapi.Options{})
	statements := w.sql.n.Load()
	code, a := post(t, h, `query($id: ID!) { explain(task: $id) {`+explained+`} }`, map[string]any{"id": id.String()})
	require.Equal(t, http.StatusOK, code)
	require.Empty(t, a.Errors)
	require.Equal(t, statements, w.sql.n.Load(), "no database is asked")
	e := a.Data["explain"].(map[string]any)
	require.Equal(t, "CLOSED", e["state"])
	require.Equal(t, "FAILED", e["status"])
	require.Equal(t, "all-failed", e["rule"].(map[string]any)["id"])
	require.Len(t, e["evidence"], 3)
	require.NotEmpty(t, e["flips"])

	_, a = post(t, h, `query($id: ID!) { task(id: $id) { explain(atRevision: 0) {`+explained+`} } }`, map[string]any{"id": id.String()})
	require.Empty(t, a.Errors)
	e = a.Data["task"].(map[string]any)["explain"].(map[string]any)
	require.Equal(t, "NONE", e["state"])
	require.Nil(t, e["window"])
	require.Nil(t, e["status"])

	_, a = post(t, h, `query($id: ID!) { explain(task: $id, atTime: "2001-01-01T00:00:00Z") { atRevision state } }`, map[string]any{"id": id.String()})
	require.Equal(t, map[string]any{"atRevision": nil, "state": "NONE"}, a.Data["explain"])
	_, a = post(t, h, `query($id: ID!) { explain(task: $id) { state } }`, map[string]any{"id": given.NewTask().String()})
	require.Equal(t, "task.unknown", a.Errors[0].Extensions["code"])
}

func TestDryRun(t *testing.T) {
	w := newWorld(t)
	id := w.failing(t)
	h := w.handler(graphqlapi.Options{})
	ask := `query($text: String!, $first: Int = 200) { dryRun(text: $text, first: $first) {
		ruleSet { name version digest } tried counts { old new tasks } undecided next total
		flips { task project version fileName old oldRule new newRule because { en zh } }
		undecidable { task old new newRule because { en zh } } } }`
	lenient := "name: soft\nwindow: 1m\nquiet: 10s\nrules:\n  - {id: all, when: 'true', status: SUCCESS}\n"
	_, a := post(t, h, ask, map[string]any{"text": lenient})
	require.Empty(t, a.Errors)
	d := a.Data["dryRun"].(map[string]any)
	require.EqualValues(t, 1, d["tried"])
	require.EqualValues(t, 1, d["total"])
	require.Nil(t, d["next"])
	require.Equal(t, []any{map[string]any{"old": "FAILED", "new": "SUCCESS", "tasks": 1.0}}, d["counts"])
	flip := d["flips"].([]any)[0].(map[string]any)
	require.Equal(t, id.String(), flip["task"])
	require.Equal(t, "all", flip["newRule"])
	require.NotEmpty(t, a.Extensions["readModel"])

	_, a = post(t, h, ask, map[string]any{"text": "name: asks\nwindow: 1m\nquiet: 10s\nrules:\n  - {id: mute, when: silent > 0, status: FAILED}\n  - {id: all, when: 'true', status: SUCCESS}\n"})
	require.Empty(t, a.Errors)
	undecidable := a.Data["dryRun"].(map[string]any)["undecidable"].([]any)[0].(map[string]any)
	require.Nil(t, undecidable["new"])
	require.Contains(t, undecidable["because"].(map[string]any)["en"], "who was waited for")

	for code, variables := range map[string]map[string]any{
		"ruleset.invalid":  {"text": "name: x"},
		"query.too_costly": {"text": lenient, "first": 100_000},
		"page.size":        {"text": lenient, "first": 201},
	} {
		_, a = post(t, h, ask, variables)
		require.NotEmpty(t, a.Errors, code)
		require.Equal(t, code, a.Errors[0].Extensions["code"])
	}
}

func streamOf(id queries.TaskID) eventstore.StreamID {
	return eventstore.StreamID{Category: task.Category, Key: id.String()}
}
