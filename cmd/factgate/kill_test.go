package main

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/pgdev"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/projections"
)

// The whole process is killed at random moments while 20 packages are uploaded,
// and started again. Every upload that was accepted ends with a verdict, no fact
// stands twice, and the read model is the fold of the log.
func TestKillingTheWholeProcessLosesNothing(t *testing.T) {
	t.Parallel()
	paths := packed(t)
	data := t.TempDir()
	const uploads = 20
	var mu sync.Mutex // guards url and accepted
	url, accepted := "", map[string]string{}
	changed := sync.NewCond(&mu)

	// Uploaders keep on trying, with one key each, as a client would.
	var uploaders sync.WaitGroup
	next := make(chan int, uploads)
	names := []string{"docs-only", "marketing-3.1.0-gbk", "retail-1.4.0", "retail-1.5.0-rc1", "risk-2.0.0"}
	for range 3 {
		uploaders.Go(func() {
			for i := range next {
				name := names[i%len(names)]
				for {
					mu.Lock()
					for url == "" {
						changed.Wait()
					}
					at := url
					mu.Unlock()
					c, err := newClient(at, false)
					if err != nil {
						t.Error(err)
						return
					}
					r, err := c.uploadOnce(t.Context(), package_{path: paths[name], fileName: name + ".zip", project: "kill", key: name + string(rune('a'+i))})
					if err == nil {
						mu.Lock()
						accepted[r.TaskID] = name
						mu.Unlock()
						break
					}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { uploaders.Wait(); close(done) }()

	// Each life gets one upload more, and ends while it and what came before it are
	// on their way.
	kills := 0
	for finished := false; !finished; kills++ {
		s := serve(t, data, "--window", "30s", "--quiet", "300ms")
		mu.Lock()
		url = s.url
		changed.Broadcast()
		mu.Unlock()
		if kills < uploads {
			next <- kills
		}
		if kills == uploads-1 {
			close(next)
		}
		timer := time.NewTimer(rand.N(700 * time.Millisecond))
		select {
		case <-timer.C:
		case <-done:
			finished = true
		}
		mu.Lock()
		url = ""
		mu.Unlock()
		s.kill()
		if kills > 5*uploads {
			t.Fatal("the uploads make no progress")
		}
	}
	require.Len(t, accepted, uploads)
	t.Logf("killed %d times", kills)

	// Once more, and left alone until everything has ended.
	s := serve(t, data, "--window", "30s", "--quiet", "300ms")
	c, err := newClient(s.url, false)
	require.NoError(t, err)
	for id, name := range accepted {
		require.Eventually(t, func() bool {
			v, err := c.task(t.Context(), id)
			return err == nil && v != nil && v.Verdict != nil
		}, 2*time.Minute, 20*time.Millisecond, "%s (%s) has no verdict\n%s", id, name, s.log)
	}
	s.stop(t)
	requireReadModelIsTheFold(t, data, accepted)
}

// requireReadModelIsTheFold compares the tables with the streams.
func requireReadModelIsTheFold(t *testing.T, data string, tasks map[string]string) {
	n, err := node.Open(t.Context(), node.Options{Dir: filepath.Join(data, "events")})
	require.NoError(t, err)
	defer n.Close()
	log, err := esdb.Open(t.Context(), n.ConnectionString(), esdb.Options{})
	require.NoError(t, err)
	defer log.Close()
	cluster, err := pgdev.Start(t.Context(), pgdev.Options{Dir: data})
	require.NoError(t, err)
	defer func() { require.NoError(t, cluster.Stop(t.Context())) }()
	db, err := pgxpool.New(t.Context(), cluster.URL())
	require.NoError(t, err)
	defer db.Close()

	// A late fact may have been recorded while everything stopped: the projector
	// takes up where it was.
	blobs, err := blob.OpenDir(filepath.Join(data, "blobs"))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- projections.NewRunner(log, db, blobReader{blobs}, projections.Options{}).Run(ctx)
	}()
	head, err := log.Head(t.Context())
	require.NoError(t, err)
	require.NoError(t, projections.NewWaiter(db).Wait(t.Context(), head, testbench.Patience))
	stop()
	require.NoError(t, <-stopped)

	var rows int
	require.NoError(t, db.QueryRow(t.Context(), `select count(*) from live.tasks`).Scan(&rows))
	require.Equal(t, len(tasks), rows, "a task without an accepted upload, or none for one")
	for id := range tasks {
		facts, err := commands.New(log).Load(t.Context(), id)
		require.NoError(t, err)
		testbench.RequireSound(t, facts)
		want := task.Fold(facts)
		require.NotNil(t, want.Verdict)

		var status, phase string
		var revision, subTasks, declines int
		var observed []string
		var lastEvent time.Time
		require.NoError(t, db.QueryRow(t.Context(), `
			select status, phase, revision, observed_types, last_event_at,
			  (select count(*) from live.sub_tasks s where s.task_id = t.task_id),
			  (select count(*) from live.declines d where d.task_id = t.task_id)
			from live.tasks t where task_id = $1`, id).Scan(&status, &phase, &revision, &observed, &lastEvent, &subTasks, &declines))
		require.Equal(t, string(want.Verdict.Status), status)
		require.Equal(t, string(want.Phase()), phase)
		require.EqualValues(t, want.Facts-1, revision)
		require.Len(t, want.SubTasks, subTasks)
		require.Len(t, want.Declined, declines)
		require.ElementsMatch(t, want.Observed(), observed)
		require.WithinDuration(t, want.LastEventAt, lastEvent, time.Microsecond)
		for name, sub := range want.SubTasks {
			var state string
			var attempt int
			require.NoError(t, db.QueryRow(t.Context(), `select state, attempt from live.sub_tasks where task_id = $1 and type = $2`, id, name).Scan(&state, &attempt))
			require.Equal(t, string(sub.State), state)
			require.Equal(t, sub.Attempt, attempt)
		}
	}
}
