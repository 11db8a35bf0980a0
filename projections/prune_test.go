package projections

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// kept is all that pruning leaves alone.
func kept(t *testing.T, pool *pgxpool.Pool) (text string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.Background(), `select (select json_agg(t order by first_position) from live.tasks t)::text
		|| (select json_agg(to_jsonb(s) - 'report_state' order by task_id, type) from live.sub_tasks s)::text`).Scan(&text))
	return text
}

// details are findings and report states by file name of the task and type.
func details(t *testing.T, pool *pgxpool.Pool) map[string]string {
	t.Helper()
	rows, err := pool.Query(context.Background(), `select t.file_name || '/' || s.type, s.report_state,
		(select count(*) from live.findings f where f.task_id = s.task_id and f.type = s.type)
		from live.sub_tasks s join live.tasks t using (task_id)`)
	require.NoError(t, err)
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, state string
		var n int
		require.NoError(t, rows.Scan(&name, &state, &n))
		out[name] = fmt.Sprint(state, " ", n)
	}
	require.NoError(t, rows.Err())
	return out
}

func TestDetailsOfOldTasksArePrunedAndNothingElse(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	stories := map[string]*story{}
	tell := func(name string, facts func(id string) []task.Fact) {
		s := newStory()
		id := s.id.String()
		s.tell(task.ZipUploaded{TaskID: id, FileName: name, Project: "p"}, created(s))
		s.tell(facts(id)...)
		stories[name] = s
		reach(t, pool, write(t, log, s))
	}
	passed := func(id, subTask string, attempt, findings int) []task.Fact {
		return []task.Fact{task.SubTaskStarted{TaskID: id, Type: subTask, Attempt: attempt},
			task.SubTaskCompleted{TaskID: id, Type: subTask, Attempt: attempt, Result: task.Pass, Report: blobs.report(id, subTask, attempt, findings)}}
	}
	over := func(id string) task.Fact { return task.MainTaskConverged{TaskID: id, Revision: 1} }
	stop := start(t, NewRunner(log, pool, blobs, Options{}))
	defer stop()
	tell("over", func(id string) []task.Fact {
		gone := blobs.report(id, "GONE", 1, 3)
		gone.Key = "nowhere"
		return append(append(passed(id, "SQL", 1, 4), passed(id, "EXCEL", 1, 2)...),
			task.SubTaskStarted{TaskID: id, Type: "GONE", Attempt: 1}, task.SubTaskCompleted{TaskID: id, Type: "GONE", Attempt: 1, Result: task.Pass, Report: gone},
			task.SubTaskStarted{TaskID: id, Type: "BARE", Attempt: 1}, task.SubTaskCompleted{TaskID: id, Type: "BARE", Attempt: 1, Result: task.Pass}, over(id))
	})
	tell("open", func(id string) []task.Fact { return passed(id, "SQL", 1, 5) })
	tell("wanted", func(id string) []task.Fact {
		return append(passed(id, "SQL", 1, 6), over(id), task.SubTaskRetryRequested{TaskID: id, Type: "SQL", After: 1})
	})
	tell("at work", func(id string) []task.Fact {
		return append(passed(id, "SQL", 1, 7), over(id), task.SubTaskStarted{TaskID: id, Type: "EXCEL", Attempt: 1})
	})
	all := details(t, pool)
	require.Equal(t, map[string]string{"over/SQL": "READ 4", "over/EXCEL": "READ 2", "over/GONE": "MISSING 0", "over/BARE": "NONE 0", "open/SQL": "READ 5",
		"wanted/SQL": all["wanted/SQL"], "at work/SQL": "READ 7", "at work/EXCEL": "NONE 0"}, all)
	stays := kept(t, pool)

	got, err := Prune(t.Context(), pool, time.Now().Add(-time.Hour), 0)
	require.NoError(t, err)
	require.Equal(t, Pruned{}, got, "all is young")
	require.Equal(t, all, details(t, pool))

	got, err = Prune(t.Context(), pool, time.Now().Add(time.Hour), 0)
	require.NoError(t, err)
	require.Equal(t, Pruned{Tasks: 1, Findings: 6}, got)
	all["over/SQL"], all["over/EXCEL"], all["over/GONE"] = "EXPIRED 0", "EXPIRED 0", "EXPIRED 0"
	require.Equal(t, all, details(t, pool))
	require.Equal(t, stays, kept(t, pool))
	got, err = Prune(t.Context(), pool, time.Now().Add(time.Hour), 0)
	require.NoError(t, err)
	require.Equal(t, Pruned{}, got, "once is enough")
	_, err = NewRegistry(pool, log, blobs).RebuildTask(t.Context(), stories["over"].id)
	require.NoError(t, err)
	require.Equal(t, all, details(t, pool), "what has expired does not come back with one task")

	// A late attempt brings its findings; what was pruned of others stays so.
	s := stories["over"]
	id := s.id.String()
	told := len(s.events(t))
	s.tell(passed(id, "SQL", 2, 9)...)
	late, err := log.Append(t.Context(), s.stream(), eventstore.Any(), s.events(t)[told:]...)
	require.NoError(t, err)
	reach(t, pool, late.Position)
	all["over/SQL"] = "READ 9"
	require.Equal(t, all, details(t, pool))

	// Folded anew it has the details again, where the reports are stored.
	anew := database(t)
	stopAnew := start(t, NewRunner(log, anew, blobs, Options{}))
	defer stopAnew()
	reach(t, anew, late.Position)
	all["over/EXCEL"], all["over/GONE"] = "READ 2", "MISSING 0"
	require.Equal(t, all, details(t, anew))
}

// A pruning that meets the projector's locks gives up and is done later.
func TestPruningYieldsToTheProjector(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	s := newStory()
	id := s.id.String()
	s.tell(upload(s, "p"), created(s), task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1},
		task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 1, Result: task.Pass, Report: blobs.report(id, "SQL", 1, 4)}, task.MainTaskConverged{TaskID: id, Revision: 1})
	stop := start(t, NewRunner(log, pool, blobs, Options{}))
	defer stop()
	reach(t, pool, write(t, log, s))
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `update live.sub_tasks set late = late`)
	require.NoError(t, err)
	_, err = Prune(t.Context(), pool, time.Now().Add(time.Hour), 0)
	require.ErrorContains(t, err, "55P03", "it does not wait until the two are a deadlock")
	_, err = tx.Exec(t.Context(), `update live.tasks set late = late`)
	require.NoError(t, err)
	got, err := Prune(t.Context(), pool, time.Now().Add(time.Hour), 0)
	require.NoError(t, err)
	require.Equal(t, Pruned{}, got, "a task that is being written is left out")
	require.NoError(t, tx.Commit(t.Context()))
	got, err = Prune(t.Context(), pool, time.Now().Add(time.Hour), 0)
	require.NoError(t, err)
	require.Equal(t, Pruned{Tasks: 1, Findings: 4}, got)
}
