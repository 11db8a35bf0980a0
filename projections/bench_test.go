package projections

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// BenchmarkRebuild folds a log of many tasks into an empty read model, through
// the real client. One operation is one rebuild.
func BenchmarkRebuild(b *testing.B) {
	const tasks = 2_000
	log := openLog(b)
	var last eventstore.Position
	facts := 0
	for range tasks {
		s := newStory()
		id := s.id.String()
		s.tell(upload(s, "p"), created(s))
		for _, name := range []string{"SQL", "EXCEL", "UNIT_TEST"} {
			s.tell(task.SubTaskStarted{TaskID: id, Type: name, Attempt: 1, Scanner: task.Scanner{Name: name, Version: "1", Instance: "host-1"}},
				task.SubTaskCompleted{TaskID: id, Type: name, Attempt: 1, Result: task.Pass, Summary: report.Counts{Warning: 2}, DurationMS: 12})
		}
		s.tell(task.WindowClosed{TaskID: id, Cause: task.Settled, ClosedAt: created(s).Window.OpensAt},
			task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: task.Verdict{Status: task.Success, Observed: []string{"EXCEL", "SQL", "UNIT_TEST"}}})
		last = write(b, log, s)
		facts += len(s.facts)
	}
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		pool := database(b)
		require.NoError(b, Install(context.Background(), pool))
		b.StartTimer()
		stop := start(b, NewRunner(log, pool, newMemoryBlobs(), Options{}))
		reach(b, pool, last)
		stop()
	}
	b.ReportMetric(float64(facts)*float64(b.N)/b.Elapsed().Seconds(), "facts/s")
}

// BenchmarkReceive is the floor of BenchmarkRebuild: the same way through the
// log, nothing done with it.
func BenchmarkReceive(b *testing.B) {
	log := openLog(b)
	n := 0
	for range 2_000 {
		s := newStory()
		for range 10 {
			s.tell(upload(s, "p"))
		}
		write(b, log, s)
		n += 10
	}
	b.ResetTimer()
	for range b.N {
		sub, err := log.Follow(context.Background(), 0, eventstore.Filter{})
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
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "facts/s")
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
