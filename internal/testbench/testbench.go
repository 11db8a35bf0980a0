// Package testbench gives tests the real parts: an embedded node behind the
// official client, a private PostgreSQL, blobs in a folder. It is imported by
// tests only.
package testbench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/pgdev"
)

// Patience is how long a test waits for something that should come at once.
const Patience = 30 * time.Second

// Store is a running event store with a client.
type Store struct {
	*esdb.Log
	Node *node.Node
	Dir  string
}

// NewStore starts a node in a folder of its own; the test's end stops it.
func NewStore(t testing.TB) *Store {
	t.Helper()
	dir := t.TempDir()
	n, err := node.Open(t.Context(), node.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	log, err := esdb.Open(t.Context(), n.ConnectionString(), esdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return &Store{Log: log, Node: n, Dir: dir}
}

// NewBlobs opens a blob store in a folder of its own.
func NewBlobs(t testing.TB) *blob.Dir {
	t.Helper()
	blobs, err := blob.OpenDir(t.TempDir())
	require.NoError(t, err)
	return blobs
}

// Postgres is one private cluster for a test binary; each test gets a database.
type Postgres struct{ server *pgdev.Server }

// Main runs a package's tests with a cluster:
//
//	func TestMain(m *testing.M) { testbench.Main(m, &postgres) }
func Main(m *testing.M, p *Postgres) {
	code, err := run(m, p)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M, p *Postgres) (code int, err error) {
	dir, err := os.MkdirTemp("", "factgate-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if p.server, err = pgdev.Start(context.Background(), pgdev.Options{Dir: dir}); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := p.server.Stop(context.Background()); err == nil {
			err = stopErr
		}
	}()
	if err := p.unsynced(context.Background()); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// unsynced lets the cluster leave its files to the system. It lives as long as its
// tests, whose deaths are those of processes and never of the machine; that what a
// Factgate starts does sync is held by the tests of pgdev.
func (p *Postgres) unsynced(ctx context.Context) error {
	admin, err := pgx.Connect(ctx, p.server.URL())
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	for _, statement := range []string{"alter system set fsync = off", "select pg_reload_conf()"} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// NewDatabase makes an empty database and returns a pool on it; the test's end
// closes the pool.
func (p *Postgres) NewDatabase(t testing.TB) *pgxpool.Pool {
	t.Helper()
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails
	name := "t_" + hex.EncodeToString(random)
	admin, err := pgx.Connect(t.Context(), p.server.URL())
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "create database "+name)
	require.NoError(t, err)
	require.NoError(t, admin.Close(t.Context()))
	config, err := pgxpool.ParseConfig(p.server.URL())
	require.NoError(t, err)
	config.ConnConfig.Database = name
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// Upload stores content as a package and makes a task of it.
func Upload(t testing.TB, c *commands.Commands, blobs blob.Store, content []byte) (taskID string) {
	t.Helper()
	info, err := blobs.Put(t.Context(), bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	id, _, err := c.Upload(t.Context(), commands.Upload{
		BlobKey: string(info.Key), FileName: "p.zip", SHA256: info.SHA256, Size: info.Size, Project: "dw", By: "test", Now: time.Now(),
	})
	require.NoError(t, err)
	return id
}

// Await loads the task until what it is waited for holds, and returns its facts.
func Await(t testing.TB, c *commands.Commands, taskID, what string, holds func(task.State) bool) []task.Recorded {
	t.Helper()
	var facts []task.Recorded
	require.Eventually(t, func() bool {
		var err error
		facts, err = c.Load(t.Context(), taskID)
		return err == nil && holds(task.Fold(facts))
	}, Patience, 10*time.Millisecond, "task %s: %s; its facts: %s", taskID, what, lazily(func() string { return Keys(facts) }))
	return facts
}

type lazily func() string

func (l lazily) String() string { return l() }

// Converged is what Await waits for most often.
func Converged(s task.State) bool { return s.Verdict != nil }

// Keys lists facts by their keys, for messages.
func Keys(facts []task.Recorded) string {
	var keys []string
	for _, r := range facts {
		keys = append(keys, r.Fact.Key())
	}
	return strings.Join(keys, "\n")
}

// RequireSound checks what holds for every stream, whatever crashed: revisions
// without a gap, no fact twice, the revisions of the verdict in order.
func RequireSound(t testing.TB, facts []task.Recorded) {
	t.Helper()
	seen := map[string]bool{}
	verdicts := 0
	for i, r := range facts {
		require.Equal(t, uint64(i), r.Revision, Keys(facts))
		require.False(t, seen[r.ID], "fact twice: %s\n%s", r.Fact.Key(), Keys(facts))
		seen[r.ID] = true
		if f, ok := r.Fact.(task.MainTaskConverged); ok {
			verdicts++
			require.Equal(t, verdicts, f.Revision, Keys(facts))
		}
	}
}

// Logger sends logs to the test's own output.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
