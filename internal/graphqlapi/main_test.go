package graphqlapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// statements counts what is sent to Postgres.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) { s.n.Add(1) }
func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// postgres is this process's PostgreSQL; every test gets a database of its own.
var postgres testbench.Postgres

func TestMain(m *testing.M) { testbench.Main(m, &postgres) }

// world is a log, a read model that follows it, and the queries.
type world struct {
	t       testing.TB
	log     *esdb.Log
	pool    *pgxpool.Pool
	queries *queries.Queries
	sql     *statements
	mu      *sync.Mutex // guards reports
	reports map[string][]byte
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log, pool := testbench.NewStore(t).Log, postgres.NewDatabase(t)
	counted := pool.Config()
	sql := &statements{}
	counted.ConnConfig.Tracer = sql
	asking, err := pgxpool.NewWithConfig(t.Context(), counted)
	require.NoError(t, err)
	t.Cleanup(asking.Close)
	return &world{t: t, log: log, pool: pool, sql: sql, queries: queries.New(asking, log), mu: &sync.Mutex{}, reports: map[string][]byte{}}
}

// Open implements projections.Blobs.
func (w *world) Open(_ context.Context, key string) (io.ReadCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.reports[key]
	if !ok {
		return nil, projections.ErrBlobGone
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// follow starts the projector and waits until position can be read.
func (w *world) follow(position eventstore.Position) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r := projections.NewRunner(w.log, w.pool, w, projections.Options{RuleSets: commands.NewRuleBook(w.log)})
	go func() {
		defer close(ended)
		_ = r.Run(ctx)
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	require.NoError(w.t, projections.Install(ctx, w.pool))
	require.NoError(w.t, projections.NewWaiter(w.pool).Wait(ctx, position, 20*time.Second))
}

func (w *world) report(n int, more ...report.Finding) *task.Blob {
	var b bytes.Buffer
	out := report.NewWriter(&b, report.Header{})
	for i := range n {
		out.Add(report.Finding{Rule: fmt.Sprintf("R%03d", i), Severity: []report.Severity{report.Error, report.Warning}[i%2], Message: report.Text{En: "bad", Zh: "坏"}, Line: i})
	}
	for _, f := range more {
		out.Add(f)
	}
	require.NoError(w.t, out.Close())
	sum := sha256.Sum256(b.Bytes())
	key := hex.EncodeToString(sum[:])
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports[key] = b.Bytes()
	return &task.Blob{Key: key, SHA256: key}
}

// tell appends facts to a task and returns the last one's position.
func (w *world) tell(id queries.TaskID, facts ...task.Fact) eventstore.Position {
	w.t.Helper()
	var last eventstore.Position
	for _, f := range facts {
		name, data, err := task.Encode(f)
		require.NoError(w.t, err)
		at, err := w.log.Append(context.Background(), eventstore.StreamID{Category: task.Category, Key: id.String()}, eventstore.Any(),
			eventstore.Event{ID: eventstore.DeriveID(id, f.Key()), Type: name, Data: data, Metadata: []byte("{}")})
		require.NoError(w.t, err)
		last = at.Position
	}
	return last
}

func (w *world) scanner(subTaskType string) eventstore.Position {
	w.t.Helper()
	at, err := w.log.Append(context.Background(), eventstore.StreamID{Category: "scanner", Key: subTaskType}, eventstore.Any(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, subTaskType), Type: "ScannerOnline",
		Data: []byte(fmt.Sprintf(`{"type":%q,"instance":"i","version":"1"}`, subTaskType)), Metadata: []byte("{}"),
	})
	require.NoError(w.t, err)
	return at.Position
}

func newTask() queries.TaskID { return queries.TaskID(uuid.Must(uuid.NewV7())) }

func uploaded(id queries.TaskID, project string) task.Fact {
	return task.ZipUploaded{TaskID: id.String(), FileName: "p.zip", Size: 7, SHA256: "00", Project: project, Version: "1", UploadedBy: "me"}
}

func opened(id queries.TaskID) task.Fact {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	return task.MainTaskCreated{TaskID: id.String(), Window: task.Window{OpensAt: at, Deadline: at.Add(time.Minute)}}
}

func closed(id queries.TaskID, status task.Status) []task.Fact {
	return []task.Fact{
		task.WindowClosed{TaskID: id.String(), Cause: task.Settled, ClosedAt: time.Now()},
		task.MainTaskConverged{TaskID: id.String(), Revision: 1, Verdict: task.Verdict{Status: status, Rule: task.Rule{ID: "r", When: "true"}, Because: report.Text{En: "so", Zh: "因为"}}},
	}
}
