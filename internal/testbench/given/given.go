// Package given is what tests of reads are given: a log, a read model that follows it,
// reports, and the facts of tasks.
package given

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/projections"
)

// World is a log, and a database for a read model of it.
type World struct {
	t    testing.TB
	Log  *esdb.Log
	Pool *pgxpool.Pool

	mu      sync.Mutex // guards reports
	reports map[string][]byte
}

// New makes a world of its own for a test, in a package's PostgreSQL.
func New(t testing.TB, postgres *testbench.Postgres) *World {
	t.Helper()
	return &World{t: t, Log: testbench.NewStore(t).Log, Pool: postgres.NewDatabase(t), reports: map[string][]byte{}}
}

// Open implements projections.Blobs.
func (w *World) Open(_ context.Context, key string) (io.ReadCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.reports[key]
	if !ok {
		return nil, projections.ErrBlobGone
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Keep stores a report under a key.
func (w *World) Keep(key string, content []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports[key] = content
}

// Follow starts the projector and waits until position can be read.
func (w *World) Follow(position eventstore.Position) {
	w.t.Helper()
	w.FollowIn(w.Pool, position)
}

// FollowIn is Follow in another database.
func (w *World) FollowIn(pool *pgxpool.Pool, position eventstore.Position) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r := projections.NewRunner(w.Log, pool, w, projections.Options{RuleSets: commands.NewRuleBook(w.Log)})
	go func() {
		defer close(ended)
		_ = r.Run(ctx)
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	require.NoError(w.t, projections.Install(ctx, pool))
	require.NoError(w.t, projections.NewWaiter(pool).Wait(ctx, position, testbench.Patience))
}

// Report stores a report of n errors and warnings by turns, R000 and so on, and more.
// It must be there before the fact that speaks of it is told.
func (w *World) Report(n int, more ...report.Finding) *task.Blob {
	w.t.Helper()
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
	w.Keep(key, b.Bytes())
	return &task.Blob{Key: key, SHA256: key}
}

// Tell appends facts to a task and returns the last one's position.
func (w *World) Tell(id eventstore.ID, facts ...task.Fact) eventstore.Position {
	w.t.Helper()
	var last eventstore.Position
	for _, f := range facts {
		name, data, err := task.Encode(f)
		require.NoError(w.t, err)
		at, err := w.Log.Append(context.Background(), eventstore.StreamID{Category: task.Category, Key: id.String()}, eventstore.Any(),
			eventstore.Event{ID: eventstore.DeriveID(id, f.Key()), Type: name, Data: data, Metadata: []byte("{}")})
		require.NoError(w.t, err)
		last = at.Position
	}
	return last
}

// Scanner says that a scanner of a type is there.
func (w *World) Scanner(subTaskType string) eventstore.Position {
	w.t.Helper()
	at, err := w.Log.Append(context.Background(), eventstore.StreamID{Category: "scanner", Key: subTaskType}, eventstore.Any(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, subTaskType), Type: "ScannerOnline",
		Data: fmt.Appendf(nil, `{"type":%q,"instance":"i","version":"1"}`, subTaskType), Metadata: []byte("{}"),
	})
	require.NoError(w.t, err)
	return at.Position
}

// NewTask is the id of a task.
func NewTask() eventstore.ID { return eventstore.ID(uuid.Must(uuid.NewV7())) }

// Uploaded begins a task.
func Uploaded(id eventstore.ID, project string) task.Fact {
	return task.ZipUploaded{TaskID: id.String(), FileName: "p.zip", Size: 7, SHA256: "00", Project: project, Version: "1", UploadedBy: "me"}
}

// Opened opens a task's window, for a minute.
func Opened(id eventstore.ID) task.Fact {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	return task.MainTaskCreated{TaskID: id.String(), Window: task.Window{OpensAt: at, Deadline: at.Add(time.Minute)}}
}

// Closed closes it with a verdict.
func Closed(id eventstore.ID, status task.Status) []task.Fact {
	return []task.Fact{
		task.WindowClosed{TaskID: id.String(), Cause: task.Settled, ClosedAt: time.Now()},
		task.MainTaskConverged{TaskID: id.String(), Revision: 1, Verdict: task.Verdict{Status: status, Rule: task.Rule{ID: "r", When: "true"}, Because: report.Text{En: "so", Zh: "因为"}}},
	}
}
