package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/bench/internal/lab"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// The test binary is also the projector that the run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

func build(t *testing.T) string {
	factgate := filepath.Join(t.TempDir(), "factgate")
	said, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-o", factgate, "./cmd/factgate").CombinedOutput()
	require.NoError(t, err, "%s", said)
	return factgate
}

// A whole run, but a brief one: every side is there and has written every row, and
// every goal gets a verdict.
func TestQuickRun(t *testing.T) {
	factgate := build(t)
	figures := filepath.Join(t.TempDir(), "figures.json")
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-quick", "-factgate", factgate, "-json", figures}, &out, &progress)
	require.NoError(t, err, "%s", &progress)

	var r report
	text, err := os.ReadFile(figures)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	for _, side := range []string{ourName, sameRowsName, taskRowsName, emmettName, emmettRowsName, receiveName} {
		row := r.best(partRebuild, side)
		require.NotNil(t, row, side)
		require.Positive(t, row.Median.Rate, side)
	}
	for _, side := range []string{acknowledged, committed, look, notifyHandled, notifyCommitted} {
		row := r.Find(partLive, loadLive, side)
		require.NotNil(t, row, side)
		require.Positive(t, row.Median.P50, side)
	}
	for _, load := range []string{"tasks, first page", "tasks of project and status", "tasks, page in the middle", "one task"} {
		for _, size := range r.Sizes {
			require.NotNil(t, r.Find(partGrowth, load, sizeName(size)), "%s of %d", load, size)
		}
	}
	trends := r.Find(partGrowth, "trends, 30 days by day", sizeName(r.Sizes[0])) != nil
	require.NotEqual(t, trends, len(r.Left) > 0, "trends are measured, or their absence is told")
	require.NotEmpty(t, r.Goals)
	for _, g := range r.Goals {
		require.NotEqual(t, lab.NotMeasured, g.Verdict, "%s", g.Name)
		require.Contains(t, out.String(), g.Name)
	}
	t.Log("\n" + out.String())
}

func TestProfileOfTheProjector(t *testing.T) {
	profiles := t.TempDir()
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{"-quick", "-parts", "rebuild", "-message-db=false", "-emmett=false", "-factgate", build(t), "-profile", profiles}, &out, &progress)
	require.NoError(t, err, "%s", &progress)
	info, err := os.Stat(filepath.Join(profiles, "rebuild-0.pprof"))
	require.NoError(t, err)
	require.Positive(t, info.Size())
}

// Facts are those that Factgate writes: they decode, and fold to a task with a verdict.
func TestStoriesAreFacts(t *testing.T) {
	bytes := 0
	for i := range 100 {
		var state task.State
		facts, revision := 0, 0
		for _, appended := range story(i) {
			for _, e := range appended {
				f, err := task.Decode(e.kind, e.data)
				require.NoError(t, err)
				require.Equal(t, revision, e.revision)
				require.Equal(t, eventstore.DeriveID(taskID(i), f.Key()), e.id)
				state = task.Evolve(state, task.Recorded{ID: e.id.String(), Revision: uint64(e.revision), Position: uint64(revision + 1), Fact: f})
				facts++
				revision++
				bytes += len(e.data)
			}
		}
		require.Equal(t, factsPerTask, facts)
		require.Len(t, state.SubTasks, subTasksPerTask)
		require.Len(t, state.Declined, declinesPerTask)
		require.NotNil(t, state.Verdict)
	}
	require.InDelta(t, 400, bytes/(100*factsPerTask), 50, "bytes of a fact")
}

// Late facts lie far behind the others of their task, and none is lost or comes
// before another one of its task.
func TestHistoryIsInterleaved(t *testing.T) {
	const tasks = 25 * wave
	next := map[eventstore.ID]int{}
	last := map[eventstore.ID]int{}
	position, farthest := 0, 0
	for e := range facts(0, tasks) {
		require.Equal(t, next[e.task], e.revision)
		next[e.task]++
		if e.revision > 0 {
			farthest = max(farthest, position-last[e.task])
		}
		last[e.task] = position
		position++
	}
	require.Equal(t, tasks*factsPerTask, position)
	require.Greater(t, farthest, lateWaves*wave*lateFrom)
}
