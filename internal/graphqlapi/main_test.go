package graphqlapi_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/testbench/given"
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
	*given.World
	t       testing.TB
	log     *esdb.Log
	pool    *pgxpool.Pool
	queries *queries.Queries
	sql     *statements
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := given.New(t, &postgres)
	counted := w.Pool.Config()
	sql := &statements{}
	counted.ConnConfig.Tracer = sql
	asking, err := pgxpool.NewWithConfig(t.Context(), counted)
	require.NoError(t, err)
	t.Cleanup(asking.Close)
	return &world{World: w, t: t, log: w.Log, pool: w.Pool, sql: sql, queries: queries.New(asking, w.Log)}
}
