package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// message-db is SQL. npm carries it; the lock file pins it by its digest.
var (
	//go:embed messagedb/package.json
	messageDBPackage []byte
	//go:embed messagedb/package-lock.json
	messageDBLock []byte
)

// messageDBFiles are its files in the order of its own installation script.
var messageDBFiles = []string{
	"roles/message-store", "schema/message-store", "extensions/pgcrypto", "tables/messages", "types/message",
	"functions/message-store-version", "functions/hash-64", "functions/acquire-lock", "functions/category", "functions/is-category",
	"functions/id", "functions/cardinal-id", "functions/stream-version", "functions/write-message", "functions/get-stream-messages",
	"functions/get-category-messages", "functions/get-last-stream-message",
	"indexes/messages-id", "indexes/messages-stream", "indexes/messages-category",
	"views/stream-summary", "views/type-summary", "views/stream-type-summary", "views/type-stream-summary", "views/category-type-summary",
	"views/type-category-summary",
	"privileges/schema", "privileges/table", "privileges/sequence", "privileges/functions", "privileges/views",
}

type messageDB struct {
	pool  *pgxpool.Pool
	names []string
}

func openMessageDB(ctx context.Context, pg *postgresServer, b *bench) (*messageDB, error) {
	dir := filepath.Join(b.dir, "message-db")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"package.json": messageDBPackage, "package-lock.json": messageDBLock} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return nil, err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	npm.Dir = dir
	if said, err := npm.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm ci: %w: %s(leave it out with -message-db=false)", err, said)
	}
	pool, err := pg.open(ctx, "message_store", b.pool, "message_store, public")
	if err != nil {
		return nil, err
	}
	for _, name := range messageDBFiles {
		text, err := os.ReadFile(filepath.Join(dir, "node_modules/@eventide/message-db/database", name+".sql"))
		if err == nil {
			_, err = pool.Exec(ctx, string(text))
		}
		if err != nil {
			pool.Close()
			return nil, fmt.Errorf("%s.sql: %w", name, err)
		}
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
