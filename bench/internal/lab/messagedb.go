package lab

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

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

// OpenMessageDB makes a database with message-db in it, whose SQL npm puts below dir.
func OpenMessageDB(ctx context.Context, pg *Postgres, database string, connections int, dir string) (*pgxpool.Pool, error) {
	if err := NPM(ctx, dir, map[string][]byte{"package.json": messageDBPackage, "package-lock.json": messageDBLock}); err != nil {
		return nil, err
	}
	pool, err := pg.Open(ctx, database, connections, "message_store, public")
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
	return pool, nil
}

// NPM writes files, of which one is a package-lock.json, to a folder and installs
// there what the lock names.
func NPM(ctx context.Context, dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	npm.Dir = dir
	if said, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %s", err, said)
	}
	return nil
}
