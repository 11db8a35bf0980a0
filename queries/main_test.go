package queries_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

// postgres is this process's PostgreSQL; every test gets a database of its own.
var postgres testbench.Postgres

func TestMain(m *testing.M) { testbench.Main(m, &postgres) }

// world is a log, a read model that follows it, and the queries.
type world struct {
	*given.World
	shadow  *task.RuleSetRef // of the tasks that judged makes
	t       testing.TB
	log     *esdb.Log
	pool    *pgxpool.Pool
	queries *queries.Queries
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := given.New(t, &postgres)
	return &world{World: w, t: t, log: w.Log, pool: w.Pool, queries: queries.New(w.Pool, w.Log)}
}
