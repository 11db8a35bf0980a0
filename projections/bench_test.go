package projections

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
)

// history fills a log with tasks of 20 facts, fifty of them under way at a time, and
// returns how many facts there are and where the last one stands.
func history(b *testing.B, log *esdb.Log) (facts int, last eventstore.Position) {
	const tasks, abreast, atOnce = 2_000, 50, 4
	for range tasks / abreast {
		var open []*story
		for range abreast {
			s := newStory()
			id := s.id.String()
			s.tell(upload(s, "p"), created(s))
			for _, name := range []string{"SQL", "EXCEL", "UNIT_TEST", "WEDATA", "OPENAPI", "SECRETS", "LICENCES", "OTHER"} {
				s.tell(task.SubTaskStarted{TaskID: id, Type: name, Attempt: 1, Scanner: task.Scanner{Name: name, Version: "1", Instance: "host-1", RulesDigest: "r", ConfigDigest: id}},
					task.SubTaskCompleted{TaskID: id, Type: name, Attempt: 1, Result: task.Pass, Summary: report.Counts{Warning: 2}, Coverage: task.Coverage{Eligible: 2, Seen: 2}, DurationMS: 12})
			}
			s.tell(task.WindowClosed{TaskID: id, Cause: task.Settled, ClosedAt: created(s).Window.OpensAt},
				task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: task.Verdict{Status: task.Success, Observed: []string{"EXCEL", "SQL", "UNIT_TEST"}}})
			open = append(open, s)
		}
		for from := 0; from < 20; from += atOnce {
			for _, s := range open {
				at, err := log.Append(context.Background(), s.stream(), eventstore.Any(), s.events(b)[from:from+atOnce]...)
				require.NoError(b, err)
				last = at.Position
				facts += atOnce
			}
		}
	}
	return facts, last
}

// BenchmarkRebuild folds a log of many tasks into an empty read model, through
// the real client. One operation is one rebuild.
func BenchmarkRebuild(b *testing.B) {
	log := openLog(b)
	facts, last := history(b, log)
	var written float64 // bytes of WAL, which no other load on the machine changes
	wal := func(pool *pgxpool.Pool) (at float64) {
		require.NoError(b, pool.QueryRow(context.Background(), `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8`).Scan(&at))
		return at
	}
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		pool := database(b)
		require.NoError(b, Install(context.Background(), pool))
		before := wal(pool)
		b.StartTimer()
		stop := start(b, NewRunner(log, pool, newMemoryBlobs(), Options{}))
		reach(b, pool, last)
		stop()
		b.StopTimer()
		written += wal(pool) - before
		b.StartTimer()
	}
	b.ReportMetric(written/float64(facts)/float64(b.N), "WAL-B/fact")
	b.ReportMetric(float64(facts)*float64(b.N)/b.Elapsed().Seconds(), "facts/s")
}

// BenchmarkReceive is the floor of BenchmarkRebuild: the same way through the
// log, nothing done with it.
func BenchmarkReceive(b *testing.B) {
	log := openLog(b)
	facts, _ := history(b, log)
	b.ResetTimer()
	for range b.N {
		sub, err := log.Follow(context.Background(), 0, following)
		require.NoError(b, err)
		for {
			m, err := sub.Next(context.Background())
			require.NoError(b, err)
			if m.Kind == eventstore.KindCaughtUp {
				break
			}
		}
		require.NoError(b, sub.Close())
	}
	b.ReportMetric(float64(facts)*float64(b.N)/b.Elapsed().Seconds(), "facts/s")
}

// BenchmarkLive is one fact's way from its append to the reader's view of it.
func BenchmarkLive(b *testing.B) {
	log, pool := openLog(b), database(b)
	start(b, NewRunner(log, pool, newMemoryBlobs(), Options{}))
	reach(b, pool, 0)
	b.ResetTimer()
	for range b.N {
		s := newStory()
		reach(b, pool, write(b, log, s.tell(upload(s, "p"))))
	}
}
