package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATaskIsShownAsItStood(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--window", "1m", "--quiet", "1s")
	defer s.kill()
	checked := run(t, "check", packed(t)["retail-1.5.0-rc1"], "--server", s.url, "--json", "--project", "retail")
	require.Less(t, checked.code, 2, checked.errors)
	var r result
	require.NoError(t, json.Unmarshal([]byte(checked.out), &r))
	show := func(args ...string) string {
		t.Helper()
		got := run(t, append([]string{"show", r.TaskID, "--server", s.url}, args...)...)
		require.Zero(t, got.code, got.errors)
		return got.out
	}
	now := show("--json")
	var live struct {
		LastEventAt string
		Revision    int
		Findings    []any
		Silent      []string
	}
	require.NoError(t, json.Unmarshal([]byte(now), &live))
	require.NotEmpty(t, live.Findings)
	require.JSONEq(t, now, show("--json", "--at", "1000"))
	require.JSONEq(t, now, show("--json", "--at", live.LastEventAt))

	for _, says := range []string{"(project retail, version —)", "PARTIAL_SUCCESS: 3 of 4 passed", "rule that held: some", "SQL FAILED CHECK", "findings:", "factgate explain " + r.TaskID} {
		require.Contains(t, show(), says)
		require.Contains(t, show("--at", "1000"), says)
	}
	first := show("--at", "0")
	require.Contains(t, first, "as of revision 0, recorded at ")
	require.Contains(t, first, "UPLOADED: no window yet")
	opened := show("--at", "1")
	require.Contains(t, opened, "OPEN: no verdict; the window closes at ")
	require.Contains(t, opened, "took part: —")
	require.Contains(t, opened, "known, but silent: API; EXCEL; SQL; UNIT_TEST")
	require.Contains(t, opened, "factgate explain "+r.TaskID+" --at 1 ")
	require.Contains(t, show("--at", "1", "--lang", "zh"), "尚无结论")

	for says, args := range map[string][]string{
		"factgate show TASK":      {"show"},
		"neither a revision":      {"show", r.TaskID, "--at", "soon"},
		"there is no task":        {"show", r.TaskID, "--at", "2020-01-01T00:00:00Z"},
		"没有任务":                    {"show", r.TaskID, "--at", "2020-01-01T00:00:00Z", "--lang", "zh"},
		"is not a task id":        {"show", "x"},
		"exactly one of a revisi": {"show", r.TaskID, "--at", "-1"},
	} {
		got := run(t, append(args, "--server", s.url)...)
		require.Equal(t, exitError, got.code, args)
		require.Contains(t, got.errors, says)
	}
	s.stop(t)
}
