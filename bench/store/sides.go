package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/internal/pgdev"
)

const (
	nodeName      = "factgate node"
	otherName     = "other node" // of -against
	nullName      = "null server"
	floorName     = "log floor"
	goesName      = "goes"
	messageDBName = "message-db"
)

// appendSides starts everybody. The node is the first.
func (b *bench) appendSides(ctx context.Context) (sides []*side, end func(), err error) {
	var ends []func()
	end = func() {
		for _, e := range ends {
			e()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	b.say("starting the node, the null server and PostgreSQL")
	node, err := b.startNode(ctx, "append")
	if err != nil {
		return nil, nil, err
	}
	nodeClient, err := connect(node.url)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() { _ = nodeClient.Close(); node.kill() })
	s := newSide(nodeName, node, &official{nodeClient, b.names}, b.streams)
	s.verify = func(ctx context.Context, at []int64) error { return b.verifyNode(ctx, node, "append", at) }
	sides = append(sides, s)

	if b.against != "" {
		other, err := b.startOther(ctx, "append-other")
		if err != nil {
			return nil, nil, err
		}
		client, err := connect(other.url)
		if err != nil {
			return nil, nil, err
		}
		ends = append(ends, func() { _ = client.Close(); other.kill() })
		sides = append(sides, newSide(otherName, other, &official{client, b.names}, b.streams))
	}

	if b.goes || b.messageDB {
		pg, err := startPostgres(ctx, filepath.Join(b.dir, "peers"))
		if err != nil {
			return nil, nil, err
		}
		ends = append(ends, func() { _ = pg.server.Stop(context.WithoutCancel(ctx)) })
		b.report.Machine.PostgreSQL = pg.version
		if b.messageDB {
			a, err := openMessageDB(ctx, pg, b)
			if err != nil {
				return nil, nil, fmt.Errorf("message-db: %w", err)
			}
			ends = append(ends, a.pool.Close)
			s := newSide(messageDBName, pg, a, b.streams)
			s.verify = a.verify
			sides = append(sides, s)
		}
		if b.goes {
			a, err := openGoes(ctx, pg, b)
			if err != nil {
				return nil, nil, fmt.Errorf("goes: %w", err)
			}
			ends = append(ends, a.pool.Close)
			s := newSide(goesName, pg, a, b.streams)
			s.verify = a.verify
			sides = append(sides, s)
		}
	}

	null, err := b.serve(ctx, "null")
	if err != nil {
		return nil, nil, err
	}
	nullClient, err := connect(null.url)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() { _ = nullClient.Close(); null.kill() })
	sides = append(sides, newSide(nullName, null, &official{nullClient, b.names}, b.streams))

	floor, err := openLogFloor(filepath.Join(b.dir, "floor.log"))
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, floor.close)
	return append(sides, newSide(floorName, nil, floor, b.streams)), end, nil
}

// official is the official client.
type official struct {
	client  *esdb.Client
	streams []string
}

func connect(url string) (*esdb.Client, error) {
	config, err := esdb.ParseConnectionString(url)
	if err != nil {
		return nil, err
	}
	config.Logger = esdb.NoopLogging()
	return esdb.NewClient(config)
}

func (o *official) append(ctx context.Context, stream int, revision int64, data []byte) error {
	var expected esdb.ExpectedRevision = esdb.NoStream{}
	if revision >= 0 {
		expected = esdb.Revision(uint64(revision))
	}
	result, err := o.client.AppendToStream(ctx, o.streams[stream], esdb.AppendToStreamOptions{ExpectedRevision: expected},
		esdb.EventData{EventID: uuid.New(), EventType: eventType, ContentType: esdb.ContentTypeJson, Data: data})
	if err != nil {
		return err
	}
	if got := int64(result.NextExpectedVersion); got != revision+1 {
		return fmt.Errorf("it went to revision %d instead of %d", got, revision+1)
	}
	return nil
}

// verifyNode kills the node and looks in its folder for the last event of every stream.
func (b *bench) verifyNode(ctx context.Context, p *process, dir string, at []int64) error {
	p.kill()
	again, err := b.startNode(ctx, dir)
	if err != nil {
		return err
	}
	defer again.kill()
	client, err := connect(again.url)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for i, name := range b.names {
		if at[i] < 0 {
			continue
		}
		read, err := client.ReadStream(ctx, name, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
		if err != nil {
			return err
		}
		event, err := read.Recv()
		read.Close()
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		if got := event.OriginalEvent().EventNumber; int64(got) != at[i] {
			return fmt.Errorf("stream %s ends at revision %d, %d was acknowledged", name, got, at[i])
		}
	}
	return nil
}

// postgresServer is the peers' server.
type postgresServer struct {
	server  *pgdev.Server
	pid     int
	version string
}

// startPostgres starts a private cluster with the room a server of this kind gets
// in production. Its durability is pgdev's: nothing is relaxed.
func startPostgres(ctx context.Context, dir string) (*postgresServer, error) {
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
	p := &postgresServer{server: server}
	var fsync, commit, pages, buffers string
	err = pool.QueryRow(ctx, `select current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('full_page_writes'), current_setting('shared_buffers')`).Scan(&p.version, &fsync, &commit, &pages, &buffers)
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

func (p *postgresServer) pids() []int { return childrenOf(p.pid) }

// open makes a database and a pool on it whose connections are all made.
func (p *postgresServer) open(ctx context.Context, name string, connections int, searchPath string) (*pgxpool.Pool, error) {
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

// ourTime is the processor time of this process.
func ourTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
