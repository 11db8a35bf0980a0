package task_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
)

func parked(attempt int) task.SubTaskFailed {
	f := failed(attempt, task.Error)
	f.Parked = true
	return f
}

func again(attempt int) task.SubTaskRetryRequested {
	return task.SubTaskRetryRequested{TaskID: id, Type: "SQL", Reason: "fixed", After: attempt}
}

func TestReplayDeadLetter(t *testing.T) {
	wish := task.ReplayDeadLetter{Type: "SQL", Reason: "fixed"}
	dead := []task.Fact{zip, created, started(1, us), parked(1)}
	given(t, dead...).when(wish).then(again(1))
	given(t, append(dead, closed, converged)...).when(wish).then(again(1)) // late, not lost
	for name, since := range map[string][]task.Fact{
		"wanted":  {again(1)},
		"running": {again(1), started(2, us)},
		"passed":  {again(1), started(2, us), completed(2)},
		"failed":  {again(1), started(2, us), failed(2, task.Check)},
	} {
		t.Run(name, func(t *testing.T) {
			given(t, append(dead, since...)...).when(wish).thenSilence()
		})
	}
	// Parked again: a dead letter of its own.
	twice := slices.Concat(dead, []task.Fact{again(1), started(2, us), parked(2)})
	given(t, twice...).when(wish).then(again(2))
	given(t, twice...).when(task.ReplayDeadLetter{Type: "SQL", Reason: "fixed", Attempt: 1}).thenSilence()
	given(t, twice...).when(task.ReplayDeadLetter{Type: "SQL", Reason: "fixed", Attempt: 3}).thenRefused(domain.NotFound, "dead_letter.unknown")

	given(t, zip, created, started(1, us), failed(1, task.Check)).when(wish).thenRefused(domain.NotFound, "dead_letter.unknown")
	given(t, zip, created).when(wish).thenRefused(domain.NotFound, "dead_letter.unknown")
	given(t).when(wish).thenRefused(domain.NotFound, "task.unknown")
	given(t, append(dead, withdrawn)...).when(wish).thenRefused(domain.Refused, "task.cancelled")
}

func TestDiscardDeadLetter(t *testing.T) {
	wish := task.DiscardDeadLetter{Type: "SQL", Reason: "no use"}
	fact := task.SubTaskDiscarded{TaskID: id, Type: "SQL", Attempt: 1, Reason: "no use"}
	dead := []task.Fact{zip, created, started(1, us), parked(1)}
	given(t, dead...).when(wish).then(fact)
	given(t, append(dead, again(1))...).when(wish).thenRefused(domain.Refused, "dead_letter.replayed")
	given(t, append(dead, again(1), started(2, us), completed(2))...).when(wish).thenRefused(domain.Refused, "dead_letter.replayed")
	given(t, zip, created, started(1, us), failed(1, task.Error)).when(wish).thenRefused(domain.NotFound, "dead_letter.unknown")

	gone := slices.Concat(dead, []task.Fact{fact})
	given(t, gone...).when(task.ReplayDeadLetter{Type: "SQL", Reason: "fixed"}).thenRefused(domain.Refused, "dead_letter.discarded")
	// Whoever says so outright gets another attempt, and the dead letter stays discarded.
	given(t, gone...).when(task.RequestRetry{Type: "SQL", Reason: "fixed"}).then(again(1))
	s := task.Fold(record(nil, append(gone, again(1))...))
	require.NotNil(t, s.SubTasks["SQL"].Discarded)
	s = task.Fold(record(nil, append(gone, again(1), started(2, us))...))
	require.Nil(t, s.SubTasks["SQL"].Discarded)
	require.Equal(t, 1, s.SubTasks["SQL"].DeadLetter)
}

func TestAReasonIsWanted(t *testing.T) {
	dead := []task.Fact{zip, created, started(1, us), parked(1)}
	for _, bad := range []string{"", " \n", "\xff", strings.Repeat("因", task.MaxReason+1)} {
		for _, wish := range []task.Command{
			task.Cancel{Reason: bad}, task.RequestRetry{Type: "SQL", Reason: bad},
			task.ReplayDeadLetter{Type: "SQL", Reason: bad}, task.DiscardDeadLetter{Type: "SQL", Reason: bad},
		} {
			given(t, dead...).when(wish).thenRefused(domain.Invalid, "reason.invalid")
		}
	}
	given(t, dead...).when(task.Cancel{Reason: strings.Repeat("因", task.MaxReason)}).thenNext(task.MainTaskCancelled{TaskID: id, Reason: strings.Repeat("因", task.MaxReason)})
}

func TestARetryOfAnAttemptIsGrantedOnce(t *testing.T) {
	wish := task.RequestRetry{Type: "SQL", Reason: "fixed", After: 1}
	given(t, zip, created, started(1, us), failed(1, task.Check)).when(wish).then(again(1))
	given(t, zip, created, started(1, us), failed(1, task.Check), again(1), started(2, us)).when(wish).thenSilence()
	given(t, zip, created, started(1, us), failed(1, task.Check), again(1), started(2, us), completed(2)).when(wish).thenSilence()
	given(t, zip, created, started(1, us), failed(1, task.Check)).when(task.RequestRetry{Type: "SQL", Reason: "fixed", After: 2}).thenRefused(domain.Refused, "sub_task.not_started")
}

// The fields of a rescan came later than the fact.
func TestARescanStaysReadable(t *testing.T) {
	want := zip
	want.RescanOf, want.RescanReason = "018f4e2a-0000-7000-8000-000000000002", "new rules"
	_, data, err := task.Encode(want)
	require.NoError(t, err)
	file := filepath.Join("testdata", "facts", "ZipUploaded.v2.json")
	if _, err := os.Stat(file); os.IsNotExist(err) && *update {
		require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
	}
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	back, err := task.Decode("ZipUploaded", golden)
	require.NoError(t, err)
	require.Equal(t, want, back)
	require.JSONEq(t, string(golden), string(data))
}
