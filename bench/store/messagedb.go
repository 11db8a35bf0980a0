package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/bench/internal/lab"
)

type messageDB struct {
	pool  *pgxpool.Pool
	names []string
}

func openMessageDB(ctx context.Context, pg *lab.Postgres, b *bench) (*messageDB, error) {
	pool, err := lab.OpenMessageDB(ctx, pg, "message_store", b.pool, filepath.Join(b.dir, "message-db"))
	if err != nil {
		return nil, fmt.Errorf("%w (leave it out with -message-db=false)", err)
	}
	return &messageDB{pool, b.names}, nil
}

func (m *messageDB) append(ctx context.Context, stream int, revision int64, data []byte) error {
	var at int64
	err := m.pool.QueryRow(ctx, "select write_message($1, $2, $3, $4, null, $5)", uuid.NewString(), m.names[stream], eventType, data, revision).Scan(&at)
	if err == nil && at != revision+1 {
		err = fmt.Errorf("it went to position %d instead of %d", at, revision+1)
	}
	return err
}

func (m *messageDB) verify(ctx context.Context, at []int64) error {
	return countEvents(ctx, m.pool, "select count(*) from messages", at)
}

// countEvents compares what a table holds with what was acknowledged.
func countEvents(ctx context.Context, pool *pgxpool.Pool, query string, at []int64) error {
	var got, want int64
	for _, revision := range at {
		want += revision + 1
	}
	if err := pool.QueryRow(ctx, query).Scan(&got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("it holds %d events, %d were acknowledged", got, want)
	}
	return nil
}
