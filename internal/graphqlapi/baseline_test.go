package graphqlapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
)

func TestASubTaskShowsItsDecisionAndTheVersionBefore(t *testing.T) {
	w := newWorld(t)
	first, second := given.NewTask(), given.NewTask()
	told := &task.Configuration{Project: "*", Digest: "ab", By: "li"}
	waived := report.Finding{Rule: "R9", Severity: report.Error, Suppressed: true, Message: report.Text{En: "m", Zh: "m"},
		Suppression: &report.Suppression{Kind: report.External, By: "li", Reason: "agreed", Expires: "2999-01-01", Waiver: "w1"}}
	w.Tell(first, given.Uploaded(first, "p"), given.Opened(first), task.SubTaskStarted{Type: "SQL", Attempt: 1},
		task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: task.Pass, Report: w.Report(2)})
	last := w.Tell(second, given.Uploaded(second, "p"), given.Opened(second),
		task.SubTaskStarted{Type: "SQL", Attempt: 1, Reason: "2 files", ReasonZH: "2 个文件", Configuration: told},
		task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: task.Pass, Report: w.Report(1, waived)},
		task.SubTaskDeclined{Type: "EXCEL", Code: "DISABLED", Reason: "off", Configuration: told})
	w.Follow(last)
	h := w.handler(graphqlapi.Options{})
	ask := func(query string) map[string]any {
		t.Helper()
		status, got := post(t, h, query, nil)
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, got.Errors)
		return got.Data["task"].(map[string]any)
	}
	const configuration = `configuration { project digest by }`
	for _, asOf := range []string{"", `, asOf: {revision: 9}`} {
		got := ask(`{ task(id: "` + second.String() + `"` + asOf + `) { subTasks { decision { reason { en zh } ` + configuration + ` } } declined { code ` + configuration + ` } } }`)
		by := map[string]any{"project": "*", "digest": "ab", "by": "li"}
		require.Equal(t, []any{map[string]any{"decision": map[string]any{"reason": map[string]any{"en": "2 files", "zh": "2 个文件"}, "configuration": by}}}, got["subTasks"])
		require.Equal(t, []any{map[string]any{"code": "DISABLED", "configuration": by}}, got["declined"])
	}
	found := ask(`{ task(id: "` + second.String() + `") { findings { nodes { rule suppressed suppression { kind by reason expires waiver } } } } }`)
	findings := found["findings"].(map[string]any)["nodes"].([]any)
	require.Len(t, findings, 2)
	require.Nil(t, findings[0].(map[string]any)["suppression"])
	require.Equal(t, map[string]any{"rule": "R9", "suppressed": true, "suppression": map[string]any{"kind": "EXTERNAL", "by": "li", "reason": "agreed", "expires": "2999-01-01", "waiver": "w1"}}, findings[1])
	got := ask(`{ task(id: "` + first.String() + `") { subTasks { decision { reason { en } configuration { digest } } baseline { new } } } }`)
	require.Equal(t, []any{map[string]any{"decision": map[string]any{"reason": nil, "configuration": nil}, "baseline": nil}}, got["subTasks"])

	got = ask(`{ task(id: "` + second.String() + `") { subTasks { baseline { previousTaskId new unchanged fixed cut } }
		new: findings(state: NEW) { nodes { rule } } old: findings(state: UNCHANGED) { nodes { rule } } } }`)
	require.Equal(t, []any{map[string]any{"baseline": map[string]any{"previousTaskId": first.String(), "new": 1.0, "unchanged": 1.0, "fixed": 1.0, "cut": false}}}, got["subTasks"])
	require.Len(t, got["old"].(map[string]any)["nodes"], 1)
	require.Equal(t, []any{map[string]any{"rule": "R9"}}, got["new"].(map[string]any)["nodes"])

	for _, part := range []string{"subTasks { baseline { new } }", "findings(state: NEW) { nodes { rule } }"} {
		_, a := post(t, h, `{ task(id: "`+second.String()+`", asOf: {revision: 9}) { `+part+` } }`, nil)
		require.Equal(t, "baseline.not_in_stream", a.Errors[0].Extensions["code"])
	}
}
