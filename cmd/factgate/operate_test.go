package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/testbench"
)

func readJSON(t *testing.T, got ran, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(got.out), v), "%s\n%s", got.out, got.errors)
}

func TestRetryAndRescanAnswerAsCheckDoes(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--quiet", "1s")
	defer s.kill()
	var first, again result
	got := run(t, "check", packed(t)["retail-1.5.0-rc1"], "--server", s.url, "--json")
	require.Equal(t, 1, got.code, got.errors)
	readJSON(t, got, &first)

	got = run(t, "retry", first.TaskID, "SQL", "--reason", "the rules have changed", "--by", "li", "--wait", "--server", s.url)
	require.Equal(t, 1, got.code, got.errors)
	require.Contains(t, got.out, "SQL started again (attempt 2)")
	require.Contains(t, got.out, "PARTIAL_SUCCESS: 3 of 4 passed")
	require.Contains(t, got.out, "late facts: 3")
	require.NotContains(t, got.out, "EXCEL takes part", "that is no news")
	history := run(t, "history", first.TaskID, "--server", s.url)
	require.Contains(t, history.out, "SubTaskRetryRequested (late)  by li")
	require.Contains(t, history.out, `"reason":"the rules have changed"`)

	rescan := []string{"rescan", first.TaskID, "--server", s.url, "--idempotency-key", "k", "--json"}
	got = run(t, append(rescan, "--wait")...)
	require.Equal(t, 1, got.code, got.errors)
	readJSON(t, got, &again)
	require.NotEqual(t, first.TaskID, again.TaskID)
	require.Equal(t, first.Because, again.Because)
	require.Len(t, again.Findings, len(first.Findings))
	var did change
	readJSON(t, run(t, rescan...), &did)
	require.Equal(t, again.TaskID, did.TaskID)
	require.False(t, did.Changed)

	for what, args := range map[string][]string{
		"task.converged": {"cancel", first.TaskID, "--reason", "too late"}, "sub_task.not_started": {"retry", first.TaskID, "NOBODY", "--reason", "x"},
		"reason.invalid": {"cancel", first.TaskID, "--reason", " "}, "task.unknown": {"rescan", "018f4e2a-0000-7000-8000-000000000001"},
		`"reason" not set`: {"cancel", first.TaskID}, "give 2 arguments: factgate retry TASK TYPE": {"retry", first.TaskID, "--reason", "x"},
	} {
		got = run(t, append(args, "--server", s.url)...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, what)
	}
	require.Contains(t, run(t, "cancel", first.TaskID, "--reason", "x", "--lang", "zh", "--server", s.url).errors, "任务已有结论")
	s.stop(t)
}

// Dead letters as another program's scanner leaves them behind.
func TestDeadLettersAreListedAndSettledFromTheCommandLine(t *testing.T) {
	t.Parallel()
	store, data := testbench.NewStore(t), t.TempDir()
	theServers, err := blob.OpenDir(filepath.Join(data, "blobs"))
	require.NoError(t, err)
	c := commands.New(store)
	park := func(id string) {
		n, err := c.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "MADE_UP", Scanner: task.Scanner{Name: "made-up", Instance: "one"}})
		require.NoError(t, err)
		_, err = c.Fail(t.Context(), id, commands.Origin{}, task.SubTaskFailed{Type: "MADE_UP", Attempt: n, Kind: task.Error, Parked: true, Reason: "no way\nstack", ReasonZH: "不行"})
		require.NoError(t, err)
	}
	var ids []string
	// The server has the first package; the others are not stored where it looks.
	blobs := theServers
	for _, content := range []string{"one", "two", "three"} {
		id := testbench.Upload(t, c, blobs, []byte(content))
		_, err := c.OpenWindow(t.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: time.Hour, Quiet: time.Second})
		require.NoError(t, err)
		ids, blobs = append(ids, id), testbench.NewBlobs(t)
	}
	park(ids[0])
	park(ids[1])
	// This one stays open: somebody is at work.
	_, err = c.Start(t.Context(), ids[2], commands.Origin{}, task.Start{Type: "SLOW", Scanner: task.Scanner{Instance: "one"}})
	require.NoError(t, err)
	s := serve(t, data, "--eventstore", store.Node.ConnectionString(), "--quiet", "1s")
	defer s.kill()
	cli := func(args ...string) ran { return run(t, append(args, "--server", s.url)...) }

	type listing struct{ DeadLetters []deadLetterView }
	list := func(args ...string) (taskIDs []string) {
		var l listing
		readJSON(t, cli(append([]string{"deadletters", "list", "--json"}, args...)...), &l)
		for _, d := range l.DeadLetters {
			taskIDs = append(taskIDs, d.TaskID)
		}
		return taskIDs
	}
	require.Eventually(t, func() bool { // the read model is made only now
		var l listing
		got := cli("deadletters", "list", "--json", "--type", "MADE_UP")
		return got.code == 0 && json.Unmarshal([]byte(got.out), &l) == nil && len(l.DeadLetters) == 2
	}, testbench.Patience, 50*time.Millisecond)
	require.Equal(t, []string{ids[1], ids[0]}, list("--type", "MADE_UP", "--limit", "5"))
	require.Empty(t, list("--state", "discarded"))
	require.Contains(t, cli("deadletters", "list", "--type", "MADE_UP").out, "attempt 1: no way …")
	shown := cli("deadletters", "show", ids[0], "MADE_UP", "--lang", "zh")
	require.Contains(t, shown.out, "不行")
	require.Contains(t, shown.out, "made-up")
	require.Equal(t, exitError, cli("deadletters", "show", ids[0], "NOBODY").code)

	testbench.Await(t, c, ids[0], "converges", testbench.Converged)
	replay := []string{"deadletters", "replay", ids[0], "MADE_UP", "--reason", "disk is back", "--by", "li"}
	for range 3 {
		got := cli(replay...)
		require.Zero(t, got.code, got.errors)
		require.Contains(t, got.out, "is replayed")
	}
	require.Equal(t, []string{ids[0]}, list("--state", "replayed"))
	n, err := c.Start(t.Context(), ids[0], commands.Origin{}, task.Start{Type: "MADE_UP", Scanner: task.Scanner{Instance: "one"}})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = c.Complete(t.Context(), ids[0], commands.Origin{}, task.SubTaskCompleted{Type: "MADE_UP", Attempt: 2, Result: task.Pass})
	require.NoError(t, err)
	got := cli(append(replay, "--wait", "--timeout", "30s")...)
	require.Equal(t, exitFailed, got.code, "late: %s", got.errors)
	require.Contains(t, got.out, "MADE_UP PASS")
	facts, err := c.Load(t.Context(), ids[0])
	require.NoError(t, err)
	retries := 0
	for _, f := range facts {
		if _, is := f.Fact.(task.SubTaskRetryRequested); is {
			retries++
		}
	}
	require.Equal(t, 1, retries)

	require.Contains(t, cli("deadletters", "replay", ids[1], "MADE_UP", "--reason", "x").errors, "package.expired")
	require.Zero(t, cli("deadletters", "discard", ids[1], "MADE_UP", "--reason", "no use", "--by", "wang").code)
	require.Eventually(t, func() bool {
		return strings.Contains(cli("deadletters", "show", ids[1], "MADE_UP").out, "by wang: no use")
	},
		testbench.Patience, 50*time.Millisecond, "the read model hears of it a moment later")
	require.Contains(t, cli("deadletters", "replay", ids[1], "MADE_UP", "--reason", "x").errors, "dead_letter.discarded")
	require.Empty(t, list("--type", "MADE_UP"))
	require.Eventually(t, func() bool { return len(list()) > 0 }, testbench.Patience, 50*time.Millisecond, "the packages are in another server's store: real scanners park them")
	require.Contains(t, cli("deadletters", "list", "--state", "gone").errors, "use open, replayed, discarded or all")

	for range 2 {
		var did change
		got = cli("cancel", ids[2], "--reason", "wrong file", "--json")
		require.Zero(t, got.code, got.errors)
		readJSON(t, got, &did)
		require.Equal(t, ids[2], did.TaskID)
	}
	require.Contains(t, cli("retry", ids[2], "SLOW", "--reason", "x").errors, "task.cancelled")
	s.stop(t)
}
