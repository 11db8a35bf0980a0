package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/bench/internal/lab"
)

// Emmett comes from npm; the lock file pins it by its digest.
var (
	//go:embed emmett/package.json
	emmettPackage []byte
	//go:embed emmett/package-lock.json
	emmettLock []byte
	//go:embed emmett/rebuild.mjs
	emmettScript []byte
)

const (
	emmettName     = "Emmett, documents"
	emmettRowsName = "Emmett, upserts"
)

// emmett is a log of some tasks, and the process that projects it.
type emmett struct {
	pool    *pgxpool.Pool
	process *lab.Process
	tasks   int
	turns   int
}

// openEmmett starts its process, has it make its tables, and fills them as appends
// would, only faster.
func openEmmett(ctx context.Context, b *bench, database string, tasks int) (_ *emmett, err error) {
	dir := filepath.Join(b.dir, database)
	err = lab.NPM(ctx, dir, map[string][]byte{"package.json": emmettPackage, "package-lock.json": emmettLock, "rebuild.mjs": emmettScript})
	if err != nil {
		return nil, fmt.Errorf("%w (leave it out with -emmett=false)", err)
	}
	e := &emmett{tasks: tasks}
	if e.pool, err = b.pg.Open(ctx, database, 2, ""); err != nil {
		return nil, err
	}
	url, err := b.pg.URL(database)
	if err != nil {
		return nil, err
	}
	if e.process, err = lab.StartIn(ctx, dir, "node", "rebuild.mjs", url); err != nil {
		return nil, err
	}
	b.begun = append(b.begun, e.process)
	if said, err := e.process.Ask(ctx, "migrate"); err != nil || said != "done" {
		return nil, fmt.Errorf("make its tables: %q: %w", said, err)
	}
	return e, pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `create temporary table filling (stream_id text, stream_position bigint, message_data jsonb, message_metadata jsonb, message_type text, message_id text) on commit drop`); err != nil {
			return err
		}
		next, stop := iter.Pull(facts(0, e.tasks))
		defer stop()
		order := []string{"stream_id", "stream_position", "message_data", "message_metadata", "message_type", "message_id"}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"filling"}, order, pgx.CopyFromFunc(func() ([]any, error) {
			v, ok := next()
			if !ok {
				return nil, nil
			}
			return []any{v.stream(), v.revision + 1, json.RawMessage(v.data), json.RawMessage(v.metadata), v.kind, v.id.String()}, nil
		})); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `insert into emt_messages (stream_id, stream_position, partition, message_data, message_metadata, message_schema_version, message_type, message_id, transaction_id)
			select stream_id, stream_position, 'emt:default', message_data, message_metadata, '1', message_type, message_id, pg_current_xact_id() from filling`)
		return err
	})
}

// rebuild is one turn of one of its projections, into empty tables.
func (e *emmett) rebuild(ctx context.Context, how string, batch int) (time.Duration, error) {
	table := map[string]string{"pongo": "tasks", "sql": "tasks_by_hand"}[how]
	if _, err := e.pool.Exec(ctx, "drop table if exists "+table); err != nil {
		return 0, err
	}
	e.turns++
	id := fmt.Sprintf("turn-%d", e.turns)
	if said, err := e.process.Ask(ctx, fmt.Sprintf("rebuild %s %d %s", how, batch, id)); err != nil || said != "begun" {
		return 0, fmt.Errorf("begin: %q: %w", said, err)
	}
	begun := time.Now()
	for at := 0; at < e.tasks*factsPerTask; {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if err := e.pool.QueryRow(ctx, `select coalesce(max(last_processed_checkpoint::bigint), 0) from emt_processors where processor_id = $1`, id).Scan(&at); err != nil {
			return 0, err
		}
	}
	took := time.Since(begun)
	if said, err := e.process.Hear(ctx); err != nil || said != "done" {
		return 0, fmt.Errorf("end: %q: %w", said, err)
	}
	status := map[string]string{"pongo": "tasks where data->>'status' is not null", "sql": "tasks_by_hand where status is not null"}[how]
	return took, count(ctx, e.pool, e.tasks, map[string]int{status: 1})
}
