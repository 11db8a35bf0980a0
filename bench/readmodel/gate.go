package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/bench/internal/lab"
)

// gate is a log with its read model: a node, and a database that a projector writes.
type gate struct {
	b         *bench
	name      string // of the folder and of the database
	tasks     int
	node      *lab.Process
	client    *esdb.Client
	end       uint64 // position of the newest event
	pool      *pgxpool.Pool
	projector *lab.Process
}

// openGate starts a node and gives it the facts of some tasks. There is no read model
// yet.
func (b *bench) openGate(ctx context.Context, name string, tasks int) (*gate, error) {
	g := &gate{b: b, name: name, tasks: tasks}
	var err error
	if g.node, err = b.start(ctx, b.factgate, "node", "--data", filepath.Join(b.dir, name), "--listen", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if g.client, err = lab.Connect(g.node.URL); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := g.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill the log: %w", err)
	}
	b.say("%s: %d facts of %d tasks appended in %.1f s", name, tasks*factsPerTask, tasks, time.Since(begun).Seconds())
	return g, nil
}

func (g *gate) close(ctx context.Context) {
	if g.projector != nil {
		g.projector.Kill()
	}
	_ = g.client.Close()
	g.node.Kill()
	if g.pool != nil {
		g.pool.Close()
		_ = g.b.pg.Drop(context.WithoutCancel(ctx), g.name)
	}
}

// fill appends the facts of all tasks.
func (g *gate) fill(ctx context.Context) error {
	const workers = 50
	type result struct {
		position uint64
		err      error
	}
	return history(0, g.tasks, func(appends [][]event) error {
		var group sync.WaitGroup
		results := make([]result, workers)
		for w := range workers {
			group.Go(func() {
				for i := w; i < len(appends) && results[w].err == nil; i += workers {
					position, err := g.append(ctx, appends[i])
					results[w] = result{max(position, results[w].position), err}
				}
			})
		}
		group.Wait()
		for _, r := range results {
			if r.err != nil {
				return r.err
			}
			g.end = max(g.end, r.position)
		}
		return nil
	})
}

// append records facts of one task and returns the position of the last.
func (g *gate) append(ctx context.Context, events []event) (uint64, error) {
	proposed := make([]esdb.EventData, len(events))
	for i, e := range events {
		proposed[i] = esdb.EventData{EventID: [16]byte(e.id), EventType: e.kind, ContentType: esdb.ContentTypeJson, Data: e.data, Metadata: e.metadata}
	}
	var expected esdb.ExpectedRevision = esdb.NoStream{}
	if r := events[0].revision; r > 0 {
		expected = esdb.Revision(uint64(r - 1))
	}
	result, err := g.client.AppendToStream(ctx, events[0].stream(), esdb.AppendToStreamOptions{ExpectedRevision: expected}, proposed...)
	if err != nil {
		return 0, err
	}
	return result.CommitPosition, nil
}

// project starts a projector on an empty database and returns when the empty read
// model stands.
func (g *gate) project(ctx context.Context, profile string) (err error) {
	if g.pool != nil {
		g.pool.Close()
		if err := g.b.pg.Drop(ctx, g.name); err != nil {
			return err
		}
	}
	if g.pool, err = g.b.pg.Open(ctx, g.name, 1, ""); err != nil {
		return err
	}
	if err := g.pool.Ping(ctx); err != nil {
		return err
	}
	database, err := g.b.pg.URL(g.name)
	if err != nil {
		return err
	}
	blobs := filepath.Join(g.b.dir, "blobs")
	if g.b.profile == "" {
		g.projector, err = g.b.start(ctx, g.b.factgate, "projector", "--eventstore", g.node.URL, "--database", database, "--blobs", blobs)
	} else {
		var self string
		if self, err = os.Executable(); err == nil {
			g.projector, err = g.b.start(ctx, self, "serve", "projector", "-eventstore", g.node.URL, "-database", database,
				"-profile", filepath.Join(g.b.profile, profile+".pprof"))
		}
	}
	if err != nil {
		return err
	}
	for there := false; !there; {
		if err := g.pool.QueryRow(ctx, `select to_regclass('live.checkpoint') is not null`).Scan(&there); err != nil {
			return err
		}
	}
	return nil
}

// reach waits until the read model has reached a position, looking every so often;
// without a pause in between if that is 0.
func (g *gate) reach(ctx context.Context, position uint64, pause time.Duration) error {
	for {
		var at int64
		var reason *string
		if err := g.pool.QueryRow(ctx, `select position, halted_reason from live.checkpoint`).Scan(&at, &reason); err != nil {
			return err
		}
		if reason != nil {
			return fmt.Errorf("the read model halted: %s", *reason)
		}
		if uint64(at) >= position {
			return nil
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// rebuild is one turn: from the empty read model until all is in it.
func (g *gate) rebuild(ctx context.Context, profile string) (lab.Cell, time.Duration, error) {
	if err := lab.Idle(ctx, servers{g.node, g.b.pg}, 10*time.Second); err != nil {
		return lab.Cell{}, 0, err
	}
	before := lab.Busy(servers{g.node, g.b.pg})
	if err := g.project(ctx, profile); err != nil {
		return lab.Cell{}, 0, err
	}
	begun := time.Now()
	if err := g.reach(ctx, g.end, 2*time.Millisecond); err != nil {
		return lab.Cell{}, 0, err
	}
	took := time.Since(begun)
	used := lab.Busy(servers{g.node, g.b.pg, g.projector}) - before
	n := float64(g.tasks * factsPerTask)
	cell := lab.Cell{Rate: n / took.Seconds(), Server: lab.Microseconds(used) / n}
	return cell, took, g.verify(ctx)
}

// verify looks whether every row is there.
func (g *gate) verify(ctx context.Context) error {
	rows := map[string]int{
		"live.tasks where status is not null": 1, "live.sub_tasks": subTasksPerTask, "live.declines": declinesPerTask, "live.outcomes": outcomesPerTask,
	}
	for measure, each := range countsPerTask {
		rows[counters("live", measure)] = each
	}
	return count(ctx, g.pool, g.tasks, rows)
}

// counters are rows, as many as the counters of a measure count.
func counters(schema, measure string) string {
	return fmt.Sprintf("(select from %s.rollups, generate_series(1, n) where measure = '%s') counted", schema, measure)
}

// count compares tables with how many rows a task has there.
func count(ctx context.Context, pool *pgxpool.Pool, tasks int, rows map[string]int) error {
	for table, each := range rows {
		var got int
		if err := pool.QueryRow(ctx, `select count(*) from `+table).Scan(&got); err != nil {
			return err
		}
		if got != tasks*each {
			return fmt.Errorf("%s has %d rows, and not %d", table, got, tasks*each)
		}
	}
	return nil
}

// halt ends the projector and returns what memory it took at most, in bytes.
func (g *gate) halt(ctx context.Context) (int64, error) {
	_, most := g.projector.Memory()
	err := g.projector.Stop(ctx)
	g.projector = nil
	return most, err
}
