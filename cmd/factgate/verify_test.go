package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/testbench"
)

func TestAReadModelIsVerifiedAndRepairedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	d := deploy(t, time.Minute, time.Second)
	blobs := []string{"--blobs", d.blobs()}
	d.apis = d.role(1, "api", d.store(), d.tables(), blobs, []string{"--listen", "127.0.0.1:0"})
	d.projectors = d.role(1, "projector", d.store(), d.tables(), blobs)
	db, err := pgxpool.New(t.Context(), d.postgres.URL())
	require.NoError(t, err)
	t.Cleanup(db.Close)
	id, last, err := d.tell(t.Context(), task.ZipUploaded{FileName: "p.zip", Project: "dw"}, task.MainTaskCreated{},
		task.SubTaskStarted{Type: "SQL", Attempt: 1}, task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: task.Pass})
	require.NoError(t, err)
	c := d.client(0)
	require.Eventually(t, func() bool {
		list, err := c.readModels(t.Context())
		return err == nil && len(list) == 1 && list[0].LagEvents != nil && *list[0].LagEvents == 0
	}, 2*testbench.Patience, 50*time.Millisecond)
	verify := func(args ...string) ran {
		return run(t, append([]string{"readmodel", "verify", "--server", d.apis[0].ready}, args...)...)
	}
	got := verify()
	require.Zero(t, got.code, got.errors)
	require.Regexp(t, `^rm_1, up to position \d+: \d+ rows of 1 tasks and what is made of them equal the fold of the log\n$`, got.out)
	require.Positive(t, last)

	_, err = db.Exec(t.Context(), `update rm_1.sub_tasks set attempt = 7`)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), `update rm_1.rollups set n = 5 where measure = (select min(measure) from rm_1.rollups)`)
	require.NoError(t, err)
	got = verify("--task", id.String())
	require.Equal(t, exitPartialSuccess, got.code)
	require.Contains(t, got.out, id.String()+" sub_tasks type=SQL.attempt: 7, should be 1\n")
	require.Contains(t, verify("--lang", "zh").out, "sub_tasks type=SQL.attempt：7，应为 1\n")

	got = verify("--json")
	require.Equal(t, exitPartialSuccess, got.code)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	var sum struct{ Sum verifySum }
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &sum))
	require.EqualValues(t, len(lines)-1, sum.Sum.Left)
	require.Equal(t, sum.Sum.Differences, sum.Sum.Left)
	var first struct{ Difference differenceView }
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.Equal(t, []string{"FIELD", id.String(), "sub_tasks", "attempt", "7", "1"},
		[]string{first.Difference.Kind, *first.Difference.Task, first.Difference.Table, *first.Difference.Field, *first.Difference.Stored, *first.Difference.Folded})

	// A run that breaks off goes on where it says.
	_, errs := stopped(t, d.apis[0].ready, "readmodel", "verify", "--json")
	_, after, ok := strings.Cut(strings.TrimSpace(errs), "go on with: --after ")
	require.True(t, ok, errs)
	got = verify("--after", after)
	require.Equal(t, exitPartialSuccess, got.code, got.errors)
	require.NotContains(t, got.out, "sub_tasks", "that page is done")
	require.Contains(t, got.out, "rollups")

	got = verify("--repair")
	require.Zero(t, got.code, got.errors)
	require.Contains(t, got.out, "attempt: 7, should be 1; repaired\n")
	require.Contains(t, got.out, " 0 left\n")
	require.Contains(t, verify().out, "equal the fold of the log")

	for says, args := range map[string][]string{"readmodel.unknown": {"--number", "9"}, "task.id": {"--task", "x"}, "cursor.invalid": {"--after", "x"}} {
		got := verify(args...)
		require.Equal(t, exitError, got.code, "%v", args)
		require.Contains(t, got.errors, says)
	}
}
