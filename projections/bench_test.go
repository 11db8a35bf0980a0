package projections

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
)

// typical is a task of 20 facts.
func typical() *story {
	s := newStory()
	id := s.id.String()
	s.tell(upload(s, "p"), created(s))
	for _, name := range []string{"SQL", "EXCEL", "UNIT_TEST", "WEDATA", "OPENAPI", "SECRETS", "LICENCES", "OTHER"} {
		s.tell(task.SubTaskStarted{TaskID: id, Type: name, Attempt: 1, Scanner: task.Scanner{Name: name, Version: "1", Instance: "host-1", RulesDigest: "r", ConfigDigest: id}},
			task.SubTaskCompleted{TaskID: id, Type: name, Attempt: 1, Result: task.Pass, Summary: report.Counts{Warning: 2}, Coverage: task.Coverage{Eligible: 2, Seen: 2}, DurationMS: 12})
	}
	s.tell(task.WindowClosed{TaskID: id, Cause: task.Settled, ClosedAt: created(s).Window.OpensAt},
		task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: task.Verdict{Status: task.Success, Observed: []string{"EXCEL", "SQL", "UNIT_TEST"}}})
	return s
}

// history fills a log with tasks of 20 facts, fifty of them under way at a time, and
// returns how many facts there are and where the last one stands.
func history(b *testing.B, log *esdb.Log) (facts int, last eventstore.Position) {
	const tasks, abreast, atOnce = 2_000, 50, 4
	for range tasks / abreast {
		var open []*story
		for range abreast {
			open = append(open, typical())
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

// BenchmarkApplyOne writes facts one at a time, as they come while little happens: fifty
// tasks at a time, each of 20 facts. One operation is one fact.
func BenchmarkApplyOne(b *testing.B) {
	pool := database(b)
	w := newWriter(b, pool, newMemoryBlobs())
	at, begun := eventstore.Position(1), time.Now()
	var events []arrived
	b.ResetTimer()
	for i := range b.N {
		if i%1_000 == 0 {
			b.StopTimer()
			events = events[:0]
			var stories []*story
			for range 50 {
				stories = append(stories, typical())
			}
			for revision := range 20 {
				for _, s := range stories {
					at++
					events = append(events, read(eventstore.Recorded{Event: s.events(b)[revision], Stream: s.stream(), Revision: uint64(revision), Position: at, At: begun.Add(time.Duration(at) * time.Millisecond)}))
				}
			}
			b.StartTimer()
		}
		require.NoError(b, w.apply(b.Context(), events[i%1_000:i%1_000+1], events[i%1_000].Position))
	}
}
