package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

// tell appends a task's facts at once, and returns the position of the last.
func (d *deployment) tell(ctx context.Context, facts ...task.Fact) (id eventstore.ID, at eventstore.Position, err error) {
	id = eventstore.ID(uuid.Must(uuid.NewV7()))
	var events []eventstore.Event
	for _, f := range facts {
		name, data, err := task.Encode(f)
		if err != nil {
			return id, 0, err
		}
		events = append(events, eventstore.Event{ID: eventstore.DeriveID(id, f.Key()), Type: name, Data: data, Metadata: []byte("{}")})
	}
	done, err := d.log.Append(ctx, eventstore.StreamID{Category: task.Category, Key: id.String()}, eventstore.NoStream(), events...)
	return id, done.Position, err
}

// foldOfTheLog is what all streams of tasks add up to.
func (d *deployment) foldOfTheLog(t *testing.T) map[string]task.State {
	t.Helper()
	facts := map[string][]task.Recorded{}
	for r, err := range d.log.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		if r.Stream.Category == task.Category {
			facts[r.Stream.Key] = append(facts[r.Stream.Key], task.Recorded{
				ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: task.Read(r.Type, r.Data)})
		}
	}
	states := map[string]task.State{}
	for id, list := range facts {
		states[id] = task.Fold(list)
	}
	return states
}

// requireTablesAre compares a read model with the fold of the log.
func requireTablesAre(t *testing.T, db *pgxpool.Pool, schema string, want map[string]task.State) {
	t.Helper()
	rows, err := db.Query(t.Context(), fmt.Sprintf(`select task_id::text, revision + 1, phase, project, file_name, coalesce(verdict::text, 'null'),
		array(select type || ' ' || state || ' ' || attempt from %[1]s.sub_tasks s where s.task_id = t.task_id),
		array(select type || ' ' || code from %[1]s.declines d where d.task_id = t.task_id) from %[1]s.tasks t`, schema))
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var id, phase, project, fileName, verdict string
		var facts uint64
		var subTasks, declines, wantSubTasks, wantDeclines []string
		require.NoError(t, rows.Scan(&id, &facts, &phase, &project, &fileName, &verdict, &subTasks, &declines))
		s := want[id]
		text, err := json.Marshal(s.Verdict)
		require.NoError(t, err)
		require.Equal(t, []any{s.Facts, string(s.Phase()), s.Uploaded.Project, s.Uploaded.FileName, string(text)}, []any{facts, phase, project, fileName, verdict}, "task %s in %s", id, schema)
		for name, sub := range s.SubTasks {
			wantSubTasks = append(wantSubTasks, fmt.Sprint(name, " ", sub.State, " ", sub.Attempt))
		}
		for name, d := range s.Declined {
			wantDeclines = append(wantDeclines, name+" "+d.Code)
		}
		require.ElementsMatch(t, wantSubTasks, subTasks, "task %s in %s", id, schema)
		require.ElementsMatch(t, wantDeclines, declines, "task %s in %s", id, schema)
		n++
	}
	require.NoError(t, rows.Err())
	require.Len(t, want, n, schema)
}

// Projectors are killed over and over while facts come in and a read model is
// rebuilt and promoted; what both tables say in the end is the fold of the log.
func TestKilledProjectorsRebuildAReadModelUnderLoad(t *testing.T) {
	t.Parallel()
	d := deploy(t, time.Minute, time.Second)
	blobs := []string{"--blobs", d.blobs()}
	d.apis = d.role(1, "api", d.store(), d.tables(), blobs, []string{"--listen", "127.0.0.1:0"})
	d.projectors = d.role(2, "projector", d.store(), d.tables(), blobs)
	server := d.apis[0].ready
	wrong := run(t, "projector", "--rebuild", "never")
	require.Equal(t, exitError, wrong.code)
	require.Contains(t, wrong.errors, "use auto or manual")
	db, err := pgxpool.New(t.Context(), d.postgres.URL())
	require.NoError(t, err)
	t.Cleanup(db.Close)

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for ctx.Err() == nil {
			facts := []task.Fact{task.ZipUploaded{FileName: "p.zip", Project: "load"}, task.MainTaskCreated{}}
			for _, name := range []string{"SQL", "EXCEL", "UNIT_TEST"}[rand.IntN(3):] {
				facts = append(facts, task.SubTaskStarted{Type: name, Attempt: 1}, task.SubTaskCompleted{Type: name, Attempt: 1, Result: task.Pass})
			}
			if _, _, err := d.tell(ctx, facts...); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	defer load.Wait()
	defer stop()

	rebuilt := make(chan ran, 1)
	kills := 0
	for done := false; !done; kills++ {
		if kills == 2 { // the log is not empty any more
			go func() {
				rebuilt <- run(t, "readmodel", "rebuild", "--promote", "--wait", "--json", "--reason", "a test", "--server", server)
			}()
		}
		if kills >= 8 { // they are left in peace until it is done
			got := <-rebuilt
			require.Zero(t, got.code, got.errors)
			var change readModelChange
			require.NoError(t, json.Unmarshal([]byte(got.out), &change))
			require.Equal(t, []any{2, "LIVE"}, []any{change.Number, *change.State})
			done = true
		}
		pause(time.Duration(200+rand.IntN(500)) * time.Millisecond)
		victim := d.projectors[kills%2]
		d.kill(victim)
		d.restart(victim)
	}
	stop()
	load.Wait()
	_, last, err := d.tell(t.Context(), task.ZipUploaded{FileName: "last.zip"})
	require.NoError(t, err)
	c := d.client(0)
	var list []readModelView
	require.Eventually(t, func() bool {
		list, err = c.readModels(t.Context())
		return err == nil && len(list) == 2 && !slices.ContainsFunc(list, func(m readModelView) bool { return m.Position != fmt.Sprint(last) })
	}, 2*testbench.Patience, 50*time.Millisecond, "both get to the end")
	want := d.foldOfTheLog(t)
	require.Greater(t, len(want), 50)
	requireTablesAre(t, db, "rm_1", want)
	requireTablesAre(t, db, "rm_2", want)
	t.Logf("%d kills, %d tasks", kills, len(want))

	// The operator's words.
	status := run(t, "readmodel", "status", "--server", server)
	require.Zero(t, status.code, status.errors)
	require.Regexp(t, `rm_1 +OLD +caught up, position \d+\n.*\nrm_2 +LIVE +caught up, position \d+\n +begun .* by .*: a test \(layout \d+\)`, status.out)
	got := run(t, "readmodel", "drop", "2", "--server", server, "--lang", "zh")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errors, "正在使用中")
	got = run(t, "readmodel", "rollback", "--server", server)
	require.Zero(t, got.code, got.errors)
	require.Equal(t, "rm_1: in service again\n", got.out)
	got = run(t, "readmodel", "rebuild", "--only-task", anyOf(want), "--server", server)
	require.Zero(t, got.code, got.errors)
	require.Contains(t, got.out, "are folded anew")
	got = run(t, "readmodel", "promote", "--number", "2", "--server", server)
	require.Zero(t, got.code, got.errors)
	got = run(t, "readmodel", "drop", "1", "--server", server)
	require.Zero(t, got.code, got.errors)
	require.Equal(t, "rm_1: dropped\n", got.out)
	require.Eventually(t, func() bool {
		list, err = c.readModels(t.Context())
		return err == nil && len(list) == 1 && list[0].Name == "rm_2" && list[0].State == "LIVE"
	}, testbench.Patience, 20*time.Millisecond)

	// A fact that nobody can apply, and the way past it.
	odd, err := d.log.Append(t.Context(), eventstore.StreamID{Category: task.Category, Key: anyOf(want)}, eventstore.Any(),
		eventstore.Event{ID: eventstore.ID(uuid.New()), Type: "SubTaskPaused", Data: []byte("{}"), Metadata: []byte("{}")})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err = c.readModels(t.Context())
		return err == nil && list[0].Halted != nil
	}, testbench.Patience, 20*time.Millisecond)
	got = run(t, "readmodel", "skip", "--position", fmt.Sprint(odd.Position-1), "--reason", "x", "--server", server)
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errors, "readmodel.not_halted")
	got = run(t, "readmodel", "skip", "--position", list[0].Halted.Position, "--reason", "written by mistake", "--by", "li", "--server", server)
	require.Zero(t, got.code, got.errors)
	require.Contains(t, got.out, "skipped: SubTaskPaused")
	require.Eventually(t, func() bool {
		status = run(t, "readmodel", "status", "--server", server)
		return strings.Contains(status.out, "caught up") && strings.Contains(status.out, "skipped SubTaskPaused (")
	}, testbench.Patience, 100*time.Millisecond)
	require.Contains(t, status.out, "by li: written by mistake")
}

func anyOf(tasks map[string]task.State) string {
	for id := range tasks {
		return id
	}
	return ""
}
