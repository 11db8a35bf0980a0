package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAVerdictIsExplainedAndRulesAreTried(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--window", "1m", "--quiet", "1s")
	defer s.kill()
	paths := packed(t)
	var ids []string
	for _, name := range []string{"retail-1.5.0-rc1", "retail-1.4.0"} {
		checked := run(t, "check", paths[name], "--server", s.url, "--json", "--project", name)
		require.Less(t, checked.code, 2, checked.errors)
		var r result
		require.NoError(t, json.Unmarshal([]byte(checked.out), &r))
		ids = append(ids, r.TaskID)
	}

	got := run(t, "explain", ids[0], "--server", s.url)
	require.Zero(t, got.code, got.errors)
	for _, says := range []string{"PARTIAL_SUCCESS: 3 of 4 passed", "settled at", "rules of default version 1:", "✗ nobody did not hold: observed == 0 (observed = 4)", "→ some held", "SQL FAILED", "SubTaskFailed", "if SQL had passed instead of having failed its check: SUCCESS"} {
		require.Contains(t, got.out, says)
	}
	require.Contains(t, run(t, "explain", ids[0], "--server", s.url, "--lang", "zh").out, "不成立")
	past := run(t, "explain", ids[0], "--server", s.url, "--at", "1")
	require.Contains(t, past.out, "revision 1:")
	require.Contains(t, past.out, "no verdict; if the window closed now: FAILED: nobody took part")
	require.Contains(t, run(t, "explain", ids[0], "--server", s.url, "--at", "2020-01-01T00:00:00Z").out, "had no facts")
	var e struct {
		Status   string
		Rules    []struct{ ID, Result string }
		Evidence []struct{ ID string }
		Flips    []struct{ Status string }
	}
	require.NoError(t, json.Unmarshal([]byte(run(t, "explain", ids[0], "--server", s.url, "--json").out), &e))
	require.Equal(t, "PARTIAL_SUCCESS", e.Status)
	require.Equal(t, "HELD", e.Rules[len(e.Rules)-1].Result)
	require.NotEmpty(t, e.Evidence)
	require.NotEmpty(t, e.Flips)

	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, []byte("name: hard\nwindow: 1m\nquiet: 1s\nrules:\n  - {id: all, when: succeeded == observed, status: SUCCESS}\n  - {id: rest, when: 'true', status: FAILED}\n"), 0o600))
	before := run(t, "history", ids[0], "--server", s.url, "--json").out
	dry := run(t, "rules", "dry-run", file, "--server", s.url)
	require.Zero(t, dry.code, dry.errors)
	require.Contains(t, dry.out, "tried 2 tasks: 1 flip, 0 cannot be decided, 0 have no verdict")
	require.Contains(t, dry.out, ids[0])
	require.NotContains(t, dry.out, ids[1])
	require.Contains(t, dry.out, "PARTIAL_SUCCESS (some) → FAILED (rest)")
	require.Contains(t, run(t, "rules", "dry-run", file, "--server", s.url, "--lang", "zh").out, "共试算 2 个任务")
	require.Equal(t, before, run(t, "history", ids[0], "--server", s.url, "--json").out)
	lines := strings.Split(strings.TrimSpace(run(t, "rules", "dry-run", file, "--server", s.url, "--json", "--project", "retail-1.5.0-rc1").out), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], `"flip"`)
	require.JSONEq(t, `{"sum":{"tried":1,"counts":[{"old":"PARTIAL_SUCCESS","new":"FAILED","tasks":1}],"flips":1,"undecidable":0,"undecided":0}}`, lines[1])
	require.Contains(t, run(t, "rules", "dry-run", file, "--server", s.url, "--since", "1h").out, "tried 2 tasks")
	require.Contains(t, run(t, "rules", "dry-run", file, "--server", s.url, "--since", "2999-01-01").out, "tried 0 tasks")
	s.stop(t)

	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("name: x\nwindow: 1m\nrules:\n  - {id: a, when: nonsense, status: FAILED}\n"), 0o600))
	for says, args := range map[string][]string{
		"line 4":                     {"rules", "dry-run", broken},
		"cannot read the rule set":   {"rules", "dry-run", broken + "x"},
		"factgate rules dry-run RUL": {"rules", "dry-run"},
		"--since":                    {"rules", "dry-run", file, "--since", "yesterday"},
		"factgate explain TASK":      {"explain"},
		"--at":                       {"explain", ids[0], "--at", "soon"},
	} {
		got := run(t, args...)
		require.Equal(t, exitError, got.code, args)
		require.Contains(t, got.errors, says)
	}
}
