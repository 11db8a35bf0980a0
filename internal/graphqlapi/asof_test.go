package graphqlapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// wholeTask is every field of Task but those that speak of now.
const wholeTask = `fragment whole on Task {
	id phase status project version fileName size sha256 uploadedBy uploadedAt createdAt deadline convergedAt closedCause
	observedTypes lastEventAt lateFacts counts { error warning note }
	subTasks { type state attempt scanner { name version instance rulesDigest configDigest } startedAt endedAt result kind reason { en zh }
		counts { error warning note } coverage { eligible seen degraded { path reason reasonZh } } durationMs report parked retryWanted late }
	declined { type code reason { en zh } scanner { name } at late } silent
	verdict { revision status rule { id when } because { en zh } ruleSet { name version digest } evidence observedTypes succeeded failed errored unfinished declined }
	findings(first: 3) { nodes { type rule severity message { en zh } path line column cell pointer suppressed } pageInfo { hasNextPage endCursor } }
	history { id type revision position recordedAt late actor data } revision rescanOf cancelled { reason at }
}`

func TestATaskAsOfAnyMomentNeedsNoReadModel(t *testing.T) {
	w := newWorld(t)
	id := given.NewTask()
	name := id.String()
	old, gone := w.Report(4), &task.Blob{Key: "gone"}
	facts := []task.Fact{
		given.Uploaded(id, "p"), given.Opened(id),
		task.SubTaskDeclined{TaskID: name, Type: "EXCEL", Code: "NO_MATCHING_FILES", Reason: "none", ReasonZH: "无"},
		task.SubTaskStarted{TaskID: name, Type: "SQL", Attempt: 1, Scanner: task.Scanner{Name: "s"}},
		task.SubTaskFailed{TaskID: name, Type: "SQL", Attempt: 1, Kind: task.Check, Reason: "bad", Report: old, Summary: &report.Counts{Error: 2, Warning: 2}},
		task.SubTaskRetryRequested{TaskID: name, Type: "SQL", After: 1},
		task.SubTaskStarted{TaskID: name, Type: "SQL", Attempt: 2},
		task.SubTaskCompleted{TaskID: name, Type: "SQL", Attempt: 2, Result: task.Pass, Report: w.Report(0)},
	}
	facts = append(append(facts, given.Closed(id, task.Success)...), task.SubTaskStarted{TaskID: name, Type: "LATE", Attempt: 1})
	w.Follow(w.Scanner("QUIET"))

	live := w.handler(graphqlapi.Options{})
	var said []any
	var positions []string
	for _, f := range facts {
		position := fmt.Sprint(w.Tell(id, f))
		_, a := post(t, live, wholeTask+`query($id: ID!, $at: String) { task(id: $id, atPosition: $at) { ...whole } }`, map[string]any{"id": name, "at": position})
		require.Empty(t, a.Errors)
		said, positions = append(said, a.Data["task"]), append(positions, position)
	}

	h, err := graphqlapi.NewHandler(queries.New(nil, w.log).WithReports(w), projections.NewWaiter(nil), graphqlapi.Options{})
	require.NoError(t, err)
	ask := func(fields string, at map[string]any) answer {
		status, a := post(t, h, wholeTask+`query($id: ID!, $at: AsOf) { task(id: $id, asOf: $at) { `+fields+` } other: task(id: $id, asOf: $at) { ...whole } }`, map[string]any{"id": name, "at": at})
		require.Equal(t, http.StatusOK, status)
		require.Nil(t, a.Extensions["readModel"], "it was not read from one")
		return a
	}
	for n := range facts {
		for _, at := range []map[string]any{{"revision": n}, {"position": positions[n]}} {
			a := ask("...whole", at)
			require.Empty(t, a.Errors)
			require.Equal(t, said[n], a.Data["task"], "revision %d", n)
			require.Len(t, a.Data["task"].(map[string]any)["history"], n+1)
		}
	}
	// The findings of an attempt that another one followed are not lost to the past.
	a := ask(`findings(first: 200) { nodes { rule } }`, map[string]any{"revision": 5})
	require.Len(t, a.Data["task"].(map[string]any)["findings"].(map[string]any)["nodes"], 4)
	a = ask(`phase status lastEventAt`, map[string]any{"time": said[8].(map[string]any)["lastEventAt"]})
	require.Empty(t, a.Errors)

	require.Nil(t, ask(`id`, map[string]any{"time": "2020-01-01T00:00:00Z"}).Data["task"])
	_, a = post(t, h, `query($id: ID!) { task(id: $id, asOf: {revision: 0}) { id } }`, map[string]any{"id": given.NewTask().String()})
	require.Empty(t, a.Errors)
	require.Nil(t, a.Data["task"])

	// What the reports of then cannot tell is refused, and the rest is not.
	w.Tell(id, task.SubTaskCompleted{TaskID: name, Type: "LATE", Attempt: 1, Result: task.Pass, Report: gone})
	newest := map[string]any{"revision": 99}
	refused := func(want, query string, variables map[string]any) {
		t.Helper()
		variables["id"] = name
		_, a := post(t, h, query, variables)
		require.NotEmpty(t, a.Errors)
		require.Equal(t, want, a.Errors[0].Extensions["code"])
		require.Equal(t, want != "position.invalid", a.Errors[0].Extensions["messageZh"] != nil)
	}
	const asked = `query($id: ID!, $at: AsOf) { task(id: $id, asOf: $at) { `
	refused("report.expired", asked+`findings { nodes { rule } } } }`, map[string]any{"at": newest})
	_, a = post(t, h, asked+`sub: subTasks { type state: report } findings(type: "SQL") { nodes { rule } } } }`, map[string]any{"id": name, "at": newest})
	require.Empty(t, a.Errors)
	require.Contains(t, fmt.Sprint(a.Data["task"]), "MISSING")
	refused("rescans.not_in_stream", asked+`rescans } }`, map[string]any{"at": newest})
	refused("flaky.not_in_stream", asked+`flaky { type } } }`, map[string]any{"at": newest})
	refused("task.as_of", asked+`id } }`, map[string]any{"at": map[string]any{}})
	refused("task.as_of", asked+`id } }`, map[string]any{"at": map[string]any{"revision": 1, "position": "1"}})
	refused("position.invalid", asked+`id } }`, map[string]any{"at": map[string]any{"position": "x"}})
	refused("task.as_of", `query($id: ID!) { task(id: $id, atPosition: "1", asOf: {revision: 0}) { id } }`, map[string]any{})
	many := strings.Builder{}
	for n := range 60 {
		fmt.Fprintf(&many, `t%d: task(id: $id, asOf: {revision: 9}) { subTasks { report } findings(first: 1) { nodes { rule } } } `, n)
	}
	refused("query.too_costly", `query($id: ID!) { `+many.String()+`}`, map[string]any{})
	refused("query.too_costly", `query($id: ID!) { `+strings.ReplaceAll(many.String(), "subTasks { report } findings(first: 1) { nodes { rule } }", "silent")+`}`, map[string]any{})
}

// The window as of then is judged by recorded times.
func TestATaskAsOfAMomentExplainsThatMoment(t *testing.T) {
	w := newWorld(t)
	judged, open := w.failing(t), given.NewTask()
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	w.Tell(open, given.Uploaded(open, "p"), task.MainTaskCreated{TaskID: open.String(), RuleSet: rules.Default().Ref(),
		Window: task.Window{OpensAt: at, Deadline: at.Add(time.Hour), Quiet: task.Duration(2 * time.Hour)}})
	h, err := graphqlapi.NewHandler(queries.New(nil, w.log), projections.NewWaiter(nil), graphqlapi.Options{})
	require.NoError(t, err)
	explain := func(id queries.TaskID, at, args string) (phase string, e map[string]any) {
		_, a := post(t, h, `query($id: ID!) { task(id: $id, asOf: {`+at+`}) { phase explain`+args+` { at atRevision state provisional window { dueAt deadline cause } } } }`, map[string]any{"id": id.String()})
		require.Empty(t, a.Errors)
		got := a.Data["task"].(map[string]any)
		return got["phase"].(string), got["explain"].(map[string]any)
	}
	phase, e := explain(judged, "revision: 2", "")
	require.Equal(t, []any{"OPEN", "OPEN", 2.0}, []any{phase, e["state"], e["atRevision"]})
	phase, e = explain(judged, "revision: 5", "")
	require.Equal(t, []any{"CONVERGED", "CLOSED", 5.0}, []any{phase, e["state"], e["atRevision"]})
	_, e = explain(judged, "revision: 2", "(atRevision: 3)")
	require.InDelta(t, 3, e["atRevision"], 0)

	// Open when it was recorded, whatever the clock says now; over by its own times at
	// a later moment, though nobody had written that down.
	phase, e = explain(open, "revision: 1", "")
	require.Equal(t, []any{"OPEN", "OPEN", nil}, []any{phase, e["state"], e["window"].(map[string]any)["cause"]})
	phase, e = explain(open, `time: "2100-01-01T00:00:00Z"`, "")
	require.Equal(t, []any{"OPEN", "CLOSED", false, "DEADLINE", "2100-01-01T00:00:00Z"},
		[]any{phase, e["state"], e["provisional"], e["window"].(map[string]any)["cause"], e["at"]})
	require.Equal(t, e["window"].(map[string]any)["deadline"], e["window"].(map[string]any)["dueAt"])
}
