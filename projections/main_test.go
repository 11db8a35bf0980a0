package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/internal/testbench"
)

// postgres is this process's PostgreSQL; every test gets a database of its own.
var postgres testbench.Postgres

func TestMain(m *testing.M) { testbench.Main(m, &postgres) }

// database returns a pool on a new, empty database.
func database(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return postgres.NewDatabase(t)
}

// openLog returns a new, empty log: the real node behind the real client.
func openLog(t testing.TB) *esdb.Log {
	t.Helper()
	return testbench.NewStore(t).Log
}

// start runs a runner until the test ends or stop is called.
func start(t testing.TB, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Run(ctx)
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// story is a task's stream in the making.
type story struct {
	id    eventstore.ID
	facts []task.Fact
}

func newStory() *story {
	id := uuid.Must(uuid.NewV7())
	return &story{id: eventstore.ID(id)}
}

func (s *story) tell(facts ...task.Fact) *story {
	s.facts = append(s.facts, facts...)
	return s
}

// events gives the facts ids of their own, as repeated keys occur in these tests.
func (s *story) events(t testing.TB) []eventstore.Event {
	t.Helper()
	out := make([]eventstore.Event, len(s.facts))
	for i, f := range s.facts {
		name, data, err := task.Encode(f)
		if err != nil { // not require, which is for the test's own goroutine
			t.Error(err)
		}
		out[i] = eventstore.Event{ID: eventstore.DeriveID(s.id, fmt.Sprintf("%d/%s", i, f.Key())), Type: name, Data: data, Metadata: []byte("{}")}
	}
	return out
}

func (s *story) stream() eventstore.StreamID {
	return eventstore.StreamID{Category: task.Category, Key: s.id.String()}
}

func upload(s *story, project string) task.ZipUploaded {
	return task.ZipUploaded{TaskID: s.id.String(), FilePath: "sha256/aa/aa", FileName: "包.zip", Size: 1 << 33, SHA256: "aa", Project: project, Version: "1.0", UploadedBy: "a\x00b"}
}

func created(s *story) task.MainTaskCreated {
	opens := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return task.MainTaskCreated{TaskID: s.id.String(), Window: task.Window{OpensAt: opens, Deadline: opens.Add(10 * time.Minute), Quiet: task.Duration(time.Second)}, Known: []string{"SQL", "QUIET"}}
}

// anything tells a random history: orderly at first, then whatever may happen,
// late facts, repetitions and stale attempts among them.
func anything(rnd *rand.Rand, blobs *memoryBlobs) *story {
	s := newStory()
	id := s.id.String()
	s.tell(upload(s, fmt.Sprintf("p%d", rnd.IntN(3))))
	if rnd.IntN(10) > 0 {
		s.tell(created(s))
	}
	types := []string{"SQL", "EXCEL", "UNIT_TEST", "MADE-UP", `odd "\ type,`}
	for range rnd.IntN(25) {
		name, attempt := types[rnd.IntN(len(types))], 1+rnd.IntN(3)
		switch rnd.IntN(12) {
		case 0, 1:
			started := task.SubTaskStarted{TaskID: id, Type: name, Attempt: attempt, Scanner: task.Scanner{Name: name, RulesDigest: "r", ConfigDigest: "c"}}
			if attempt == 1 {
				started.Reason, started.ReasonZH, started.Configuration = "files\x00", "文件", &task.Configuration{Project: "*", Digest: "d", By: "li\x00"}
			}
			s.tell(started)
		case 2:
			s.tell(task.SubTaskDeclined{TaskID: id, Type: name, Code: "NO_MATCHING_FILES", Reason: "nothing\x00", ReasonZH: "没有", Configuration: &task.Configuration{Project: "p", Digest: "d\x00"}})
		case 3, 4:
			s.tell(task.SubTaskCompleted{TaskID: id, Type: name, Attempt: attempt, Result: []task.Result{task.Pass, task.PassWithWarnings}[rnd.IntN(2)],
				Summary: report.Counts{Warning: rnd.IntN(5)}, DurationMS: rnd.Int64N(1 << rnd.IntN(20)), Report: blobs.some(rnd, id, name, attempt),
				Coverage: task.Coverage{Eligible: 3, Seen: 2, Degraded: []task.Degraded{{Path: "a\x00", Reason: "odd"}}}})
		case 5, 6:
			s.tell(task.SubTaskFailed{TaskID: id, Type: name, Attempt: attempt, Kind: task.Check, Reason: "3 errors",
				Summary: &report.Counts{Error: 3}, Report: blobs.some(rnd, id, name, attempt)})
		case 7:
			s.tell(task.SubTaskRetryRequested{TaskID: id, Type: name, After: attempt})
		case 9:
			s.tell(task.SubTaskFailed{TaskID: id, Type: name, Attempt: attempt, Kind: task.Error, Reason: "gone\x00", Parked: true})
		case 10:
			s.tell(task.SubTaskDiscarded{TaskID: id, Type: name, Attempt: attempt, Reason: "no use\x00"})
		case 11:
			s.tell(task.SubTaskConsidered{TaskID: id, Type: name, Try: attempt, Scanner: task.Scanner{Name: name}})
		case 8:
			s.tell(task.WindowClosed{TaskID: id, Cause: []task.Cause{task.Settled, task.Deadline}[rnd.IntN(2)], ClosedAt: time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)},
				task.MainTaskConverged{TaskID: id, Revision: 1 + rnd.IntN(2), Verdict: task.Verdict{Status: []task.Status{task.Success, task.PartialSuccess, task.Failed}[rnd.IntN(3)], Observed: []string{"SQL"}, Because: report.Text{En: "so\x00", Zh: "因为"}}})
		}
	}
	return s
}

// recorded lays stories side by side in one log, as the log would record them.
func recorded(t testing.TB, rnd *rand.Rand, stories []*story) []eventstore.Recorded {
	t.Helper()
	var out []eventstore.Recorded
	var open [][]eventstore.Event
	for _, s := range stories {
		open = append(open, s.events(t))
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for {
		var left []int
		for i := range stories {
			if len(open[i]) > 0 {
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			return out
		}
		i := left[rnd.IntN(len(left))]
		at = at.Add(time.Duration(rnd.IntN(3)) * 100 * time.Nanosecond * 7)
		out = append(out, eventstore.Recorded{
			Event: open[i][0], Stream: stories[i].stream(), Revision: uint64(len(stories[i].facts) - len(open[i])),
			Position: eventstore.Position(10 + 10*len(out)), At: at,
		})
		open[i] = open[i][1:]
	}
}

// folded is what the domain says of each stream.
func folded(t testing.TB, events []eventstore.Recorded) map[string]task.State {
	t.Helper()
	facts := map[string][]task.Recorded{}
	for _, r := range events {
		if r.Stream.Category != task.Category {
			continue
		}
		f, err := task.Decode(r.Type, r.Data)
		require.NoError(t, err)
		facts[r.Stream.Key] = append(facts[r.Stream.Key], task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: f})
	}
	out := map[string]task.State{}
	for id, list := range facts {
		out[id] = task.Fold(list)
	}
	return out
}

// requireFolded compares the read model with the fold of the log.
func requireFolded(t testing.TB, pool *pgxpool.Pool, events []eventstore.Recorded) {
	t.Helper()
	want := folded(t, events)
	ctx := context.Background()
	rows, err := pool.Query(ctx, `select task_id::text, phase, coalesce(verdict::text, 'null'), observed_types, late, revision, decided_at,
		array(select type || ' ' || state || ' ' || attempt from live.sub_tasks s where s.task_id = t.task_id),
		array(select type || ' ' || code from live.declines d where d.task_id = t.task_id) from live.tasks t`)
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var id, phase, verdict string
		var observed, subTasks, declines, wantSubTasks, wantDeclines []string
		var late, revision int64
		var decidedAt *time.Time
		require.NoError(t, rows.Scan(&id, &phase, &verdict, &observed, &late, &revision, &decidedAt, &subTasks, &declines))
		n++
		s, ok := want[id]
		require.True(t, ok, "task %s is not in the log", id)
		require.Equal(t, string(s.Phase()), phase)
		text, err := json.Marshal(s.Verdict)
		require.NoError(t, err)
		require.Equal(t, string(text), verdict)
		require.Equal(t, s.DecidedAt.IsZero(), decidedAt == nil)
		if decidedAt != nil {
			require.WithinDuration(t, s.DecidedAt, *decidedAt, time.Microsecond)
		}
		for name, sub := range s.SubTasks {
			wantSubTasks = append(wantSubTasks, fmt.Sprint(name, " ", sub.State, " ", sub.Attempt))
		}
		for name, d := range s.Declined {
			wantDeclines = append(wantDeclines, name+" "+d.Code)
		}
		require.ElementsMatch(t, wantSubTasks, subTasks)
		require.ElementsMatch(t, wantDeclines, declines)
		require.ElementsMatch(t, s.Observed(), observed)
		require.EqualValues(t, s.Late, late)
		require.EqualValues(t, s.Facts-1, revision)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, len(want), n)
}

// dump is everything the read model says, as text.
func dump(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	var out strings.Builder
	for _, table := range []struct{ name, order string }{
		{"tasks", "task_id"}, {"sub_tasks", "task_id, type"}, {"declines", "task_id, type"},
		{"findings", "task_id, type, ordinal"}, {"scanners", "type"}, {"scanner_instances", "type, instance"}, {"dead_letters", "task_id, type, attempt"},
		{"rollups", "quarter, project_key, measure, type, outcome, bin"}, {"outcomes", "task_id, type, attempt"}, {"flaky", "scan_key"}, {"shadows", "task_id"},
	} {
		var text string
		require.NoError(t, pool.QueryRow(context.Background(),
			fmt.Sprintf(`select coalesce(string_agg(to_json(x)::text, E'\n' order by %s), '') from live.%s x`, table.order, table.name)).Scan(&text))
		fmt.Fprintf(&out, "-- %s\n%s\n", table.name, text)
	}
	return out.String()
}

// take is apply of events as the log has them.
func (w *writer) take(ctx context.Context, events []eventstore.Recorded, upTo eventstore.Position) error {
	list := make([]arrived, len(events))
	for i, r := range events {
		list[i] = read(r)
	}
	return w.apply(ctx, list, upTo)
}
