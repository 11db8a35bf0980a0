package lab

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/internal/pgdev"
)

// Postgres is a private server.
type Postgres struct {
	Version string
	server  *pgdev.Server
	pid     int
}

// StartPostgres starts a private cluster with the room a server of this kind gets
// in production. Its durability is pgdev's: nothing is relaxed.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	server, err := pgdev.Start(ctx, pgdev.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, server.URL())
	if err != nil {
		return nil, err
	}
	for _, setting := range []string{"shared_buffers = '512MB'", "max_wal_size = '4GB'", "wal_buffers = '16MB'"} {
		if _, err := pool.Exec(ctx, "alter system set "+setting); err != nil {
			return nil, err
		}
	}
	pool.Close()
	if err := server.Stop(ctx); err != nil {
		return nil, err
	}
	if server, err = pgdev.Start(ctx, pgdev.Options{Dir: dir}); err != nil {
		return nil, err
	}
	if pool, err = pgxpool.New(ctx, server.URL()); err != nil {
		return nil, err
	}
	defer pool.Close()
	p := &Postgres{server: server}
	var fsync, commit, pages, buffers string
	err = pool.QueryRow(ctx, `select current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('full_page_writes'), current_setting('shared_buffers')`).Scan(&p.Version, &fsync, &commit, &pages, &buffers)
	if err != nil {
		return nil, err
	}
	if fsync != "on" || commit != "on" || pages != "on" || buffers != "512MB" {
		return nil, fmt.Errorf("PostgreSQL runs with fsync %s, synchronous_commit %s, full_page_writes %s, shared_buffers %s", fsync, commit, pages, buffers)
	}
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	p.pid, err = strconv.Atoi(strings.TrimSpace(first))
	return p, err
}

// Stop ends the server.
func (p *Postgres) Stop(ctx context.Context) error { return p.server.Stop(ctx) }

// URL of a database of this server.
func (p *Postgres) URL(database string) (string, error) {
	u, err := url.Parse(p.server.URL())
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), nil
}

// PIDs are those of the server and of its connections.
func (p *Postgres) PIDs() []int { return childrenOf(p.pid) }

// Drop takes a database away, whoever uses it.
func (p *Postgres) Drop(ctx context.Context, name string) error {
	admin, err := pgxpool.New(ctx, p.server.URL())
	if err != nil {
		return err
	}
	defer admin.Close()
	_, err = admin.Exec(ctx, "drop database if exists "+name+" with (force)")
	return err
}

// Open makes a database and a pool on it whose connections are all made.
func (p *Postgres) Open(ctx context.Context, name string, connections int, searchPath string) (*pgxpool.Pool, error) {
	admin, err := pgxpool.New(ctx, p.server.URL())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if _, err := admin.Exec(ctx, "create database "+name); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(p.server.URL())
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Database = name
	config.MaxConns, config.MinConns = int32(connections), int32(connections)
	config.MaxConnIdleTime, config.MaxConnLifetime = time.Hour, time.Hour
	if searchPath != "" {
		config.ConnConfig.RuntimeParams["search_path"] = searchPath
	}
	return pgxpool.NewWithConfig(ctx, config)
}
