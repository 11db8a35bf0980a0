package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/readmodel"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// newWriter takes the read model as a runner would.
func newWriter(t testing.TB, pool *pgxpool.Pool, blobs Blobs, log ...eventstore.Recorded) *writer {
	t.Helper()
	ctx := context.Background()
	require.NoError(t, Install(ctx, pool))
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(ctx) })
	for _, set := range append(sessionSettings[:len(sessionSettings):len(sessionSettings)], `set search_path to rm_1`) {
		_, err = conn.Exec(ctx, set)
		require.NoError(t, err)
	}
	w := &writer{conn: conn, model: 1, blobs: blobs, log: written(log)}
	var position int64
	require.NoError(t, conn.QueryRow(ctx, `select position, edition from checkpoint`).Scan(&position, &w.edition))
	w.position = eventstore.Position(position)
	return w
}

// written are events that stand in a log in this order; they may be such as no log holds.
type written []eventstore.Recorded

func (l written) ReadStream(_ context.Context, stream eventstore.StreamID, from uint64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for _, r := range l {
			if r.Stream == stream && r.Revision >= from && !yield(r, nil) {
				return
			}
		}
	}
}

func scannerEvent(position int, eventType, subTaskType string) eventstore.Recorded {
	data, _ := json.Marshal(scanner.Presence{Type: subTaskType, Instance: "i1", Version: "1"})
	return eventstore.Recorded{
		Event:    eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(position)), Type: eventType, Data: data},
		Stream:   eventstore.StreamID{Category: scanner.Category, Key: subTaskType},
		Position: eventstore.Position(position), At: time.Date(2026, 1, 1, 0, 0, position, 0, time.UTC),
	}
}

func TestBatchesOfAnySizeGiveTheSameRows(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		blobs := newMemoryBlobs()
		var stories []*story
		for range 20 {
			stories = append(stories, anything(rnd, blobs))
		}
		events := append([]eventstore.Recorded{scannerEvent(1, "ScannerOnline", "SQL"), scannerEvent(2, "ScannerOnline", "LATE"), scannerEvent(3, "ScannerOffline", "SQL")},
			recorded(t, rnd, stories)...)

		whole := database(t)
		require.NoError(t, newWriter(t, whole, blobs).take(ctx, events, events[len(events)-1].Position))
		requireFolded(t, whole, events)
		want := dump(t, whole)
		require.Contains(t, want, reportMissing)
		require.Contains(t, want, reportDamaged)

		pieces := database(t)
		for rest := events; len(rest) > 0; {
			w := newWriter(t, pieces, blobs, events...) // a new writer remembers nothing
			for range 1 + rnd.IntN(20) {
				n := min(len(rest), 1+rnd.IntN(12))
				if n == 0 {
					break
				}
				require.NoError(t, w.take(ctx, rest[:n], rest[n-1].Position))
				rest = rest[n:]
			}
		}
		require.Equal(t, want, dump(t, pieces))

		bulk := database(t)
		for rest := events; len(rest) > 0; {
			w := newWriter(t, bulk, blobs, events...)
			for range 1 + rnd.IntN(4) {
				n := min(len(rest), 1+rnd.IntN(120))
				if n == 0 {
					break
				}
				require.NoError(t, w.takeInBulk(ctx, rest[:n]))
				rest = rest[n:]
			}
		}
		require.Equal(t, want, dump(t, bulk), "what is copied is what is inserted")
	}
}

// takeInBulk is what a follower does while it catches up.
func (w *writer) takeInBulk(ctx context.Context, events []eventstore.Recorded) error {
	list := make([]arrived, len(events))
	for i, r := range events {
		list[i] = read(r)
	}
	b := newBatch(w.position, w.skips)
	before, wanted := w.atHand(list, b)
	if err := w.recall(ctx, wanted, before); err != nil {
		return err
	}
	if stop := b.fold(list, before.get); stop != nil {
		return stop
	}
	w.known.keep(b)
	return w.write(ctx, b, true)
}

// A writer that remembers a few tasks only finds the others in their streams.
func TestWhatIsForgottenIsFoundAgain(t *testing.T) {
	var m memory
	b := newBatch(0, nil)
	for i := range 3 * maxKnown {
		c := &change{id: eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(i)), after: task.State{Facts: uint64(i)}}
		b.order = append(b.order, c)
	}
	m.keep(b)
	require.LessOrEqual(t, len(m.now)+len(m.before), 2*maxKnown)
	newest := b.order[len(b.order)-1]
	r, ok := m.get(newest.id)
	require.True(t, ok)
	require.Equal(t, newest.after, r.state)
	_, ok = m.get(b.order[0].id)
	require.False(t, ok, "the first is forgotten")
	for i := range 2 * maxKnown { // what is asked for stays
		_, ok := m.get(newest.id)
		require.True(t, ok)
		m.put(eventstore.DeriveID(eventstore.ID{}, fmt.Sprint("more", i)), remembered{weight: 1})
	}
	m.forget()
	for i := range 20 { // large states are few
		m.put(eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(i)), remembered{weight: maxKnownBytes / 4})
		require.LessOrEqual(t, len(m.now)+len(m.before), 10)
	}
}

// A task of very many facts is as small as another, and drives nobody out.
func TestATaskOfManyFactsTakesNoMoreRoomThanItsState(t *testing.T) {
	s := newStory()
	s.tell(upload(s, "p"), created(s))
	id := s.id.String()
	for attempt := range 30_000 {
		s.tell(task.SubTaskFailed{TaskID: id, Type: "SQL", Attempt: attempt + 1, Kind: task.Error, Reason: strings.Repeat("x", 1_000), Parked: true})
	}
	var m memory
	for i := range 100 {
		m.put(eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(i)), remembered{weight: 10_000})
	}
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	for i, r := range events {
		b := newBatch(0, nil)
		if stop := b.fold([]arrived{read(r)}, m.get); stop != nil {
			t.Fatal(stop)
		}
		m.keep(b)
		m.get(eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(i%100)))
	}
	require.Len(t, m.now, 101)
	require.Less(t, m.bytes, 2<<20)

	w := &writer{log: written(events), skips: skips{}}
	next := read(events[len(events)-1])
	r, err := w.history(t.Context(), &next)
	require.NoError(t, err)
	require.EqualValues(t, len(events)-1, r.state.Facts)
	require.Less(t, r.weighed().weight, 100_000)
}

func TestTheSameFactsTwiceChangeNothing(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(7, 7))
	blobs := newMemoryBlobs()
	events := recorded(t, rnd, []*story{anything(rnd, blobs), anything(rnd, blobs)})
	pool := database(t)
	w := newWriter(t, pool, blobs)
	require.NoError(t, w.take(ctx, events, events[len(events)-1].Position))
	want := dump(t, pool)
	require.NoError(t, w.take(ctx, events, events[len(events)-1].Position+5))
	require.Equal(t, want, dump(t, pool))
}

func TestFindingsAreThoseOfTheNewestAttempt(t *testing.T) {
	ctx := context.Background()
	blobs := newMemoryBlobs()
	s := newStory()
	id := s.id.String()
	s.tell(upload(s, "p"), created(s),
		task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1},
		task.SubTaskFailed{TaskID: id, Type: "SQL", Attempt: 1, Kind: task.Check, Report: blobs.report(id, "SQL", 1, 9_000)},
		task.SubTaskRetryRequested{TaskID: id, Type: "SQL", After: 1},
		task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 2},
		task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 2, Result: task.Pass, Report: blobs.report(id, "SQL", 2, 2)})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	pool := database(t)
	w := newWriter(t, pool, blobs)
	count := func() (n int, attempts string) {
		require.NoError(t, pool.QueryRow(ctx, `select count(*), coalesce(string_agg(distinct attempt::text, ','), '') from live.findings`).Scan(&n, &attempts))
		return n, attempts
	}
	for i, want := range []int{0, 0, 0, 9_000, 9_000, 0, 2} {
		require.NoError(t, w.take(ctx, events[i:i+1], events[i].Position))
		n, _ := count()
		require.Equal(t, want, n, "after %s", events[i].Type)
	}
	_, attempts := count()
	require.Equal(t, "2", attempts)
}

func TestAReportThatIsDamagedInTheMiddleLeavesNothing(t *testing.T) {
	ctx := context.Background()
	blobs := newMemoryBlobs()
	s, other := newStory(), newStory()
	id := s.id.String()
	whole := blobs.report(id, "SQL", 1, 7_000)
	damaged := blobs.put(append(blobs.blobs[whole.Key], "not json\n"...))
	swapped := &task.Blob{Key: whole.Key, SHA256: strings.Repeat("0", 64)}
	s.tell(upload(s, "p"), created(s),
		task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 1, Result: task.Pass, Report: damaged},
		task.SubTaskCompleted{TaskID: id, Type: "EXCEL", Attempt: 1, Result: task.Pass, Report: swapped})
	other.tell(upload(other, "p"), created(other),
		task.SubTaskCompleted{TaskID: other.id.String(), Type: "SQL", Attempt: 1, Result: task.Pass, Report: blobs.report(other.id.String(), "SQL", 1, 3)})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s, other})
	pool := database(t)
	require.NoError(t, newWriter(t, pool, blobs).take(ctx, events, events[len(events)-1].Position))
	var n, ofOther, damagedReports int
	require.NoError(t, pool.QueryRow(ctx, `select count(*), count(*) filter (where task_id = $1),
		(select count(*) from live.sub_tasks where report_state = 'DAMAGED') from live.findings`, other.id.String()).Scan(&n, &ofOther, &damagedReports))
	require.Equal(t, []int{3, 3, 2}, []int{n, ofOther, damagedReports})
}

func TestAFactThatCannotBeAppliedStopsBeforeItself(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	s.tell(upload(s, "p"), created(s))
	good := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	bad := func(change func(*eventstore.Recorded)) eventstore.Recorded {
		r := good[1]
		r.Revision, r.Position = 2, 100
		r.Type, r.Data = "SubTaskStarted", []byte(`{"subTaskType":"SQL","attempt":1}`)
		change(&r)
		return r
	}
	for name, r := range map[string]eventstore.Recorded{
		"unknown type": bad(func(r *eventstore.Recorded) { r.Type = "SubTaskPaused" }),
		"undecodable":  bad(func(r *eventstore.Recorded) { r.Data = []byte(`{"attempt":"one"}`) }),
		"gap":          bad(func(r *eventstore.Recorded) { r.Revision = 3 }),
		"too large for Postgres": bad(func(r *eventstore.Recorded) {
			r.Data, _ = json.Marshal(task.SubTaskStarted{Type: noise(20_000), Attempt: 1})
		}),
	} {
		t.Run(name, func(t *testing.T) {
			pool := database(t)
			w := newWriter(t, pool, newMemoryBlobs())
			events := append(append([]eventstore.Recorded{}, good...), r, scannerEvent(200, "ScannerOnline", "SQL"))
			err := w.take(ctx, events, 300)
			var stop *HaltedError
			require.ErrorAs(t, err, &stop)
			require.Equal(t, r.Position, stop.Position)
			require.Equal(t, good[1].Position, w.position)
			requireFolded(t, pool, good)
			require.NoError(t, w.halt(ctx, stop))
			var reason string
			require.NoError(t, pool.QueryRow(ctx, `select halted_reason from live.checkpoint where halted_position = $1`, int64(r.Position)).Scan(&reason))
			require.Contains(t, reason, r.ID.String())
			require.NoError(t, w.take(ctx, nil, 300), "a version that can go on clears the halt")
			require.NoError(t, pool.QueryRow(ctx, `select coalesce(halted_reason, '') from live.checkpoint`).Scan(&reason))
			require.Empty(t, reason)
		})
	}
}

// noise does not compress, so that an index entry of it is really large.
func noise(n int) string {
	rnd := rand.New(rand.NewPCG(9, 9))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + rnd.IntN(90))
	}
	return string(b)
}

func TestHugeAndOddValuesDoNotStopTheFold(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	up := upload(s, noise(50_000))
	s.tell(up, created(s),
		task.SubTaskStarted{TaskID: "\x00", Type: "S", Attempt: 1 << 60, Scanner: task.Scanner{Name: "\x00"}},
		task.SubTaskFailed{Type: "S", Attempt: 1 << 60, Reason: "\x00\x00", Kind: "\x00", DurationMS: -1 << 62})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	pool := database(t)
	require.NoError(t, newWriter(t, pool, newMemoryBlobs()).take(ctx, events, events[len(events)-1].Position))
	requireFolded(t, pool, events)
}

// Postgres refuses a row in the midst of a log that is caught up with: the batch goes
// back as a whole, and the events before the one that is refused are applied.
func TestARefusalWhileCatchingUpIsFoundAndHaltsBeforeItself(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(4, 4))
	var before []*story
	for range 60 {
		before = append(before, anything(rnd, blobs))
	}
	last := write(t, log, before...)
	good := everything(t, log)
	bad := newStory()
	bad.tell(upload(bad, "p"), created(bad), task.SubTaskStarted{TaskID: bad.id.String(), Type: noise(20_000), Attempt: 1})
	refused := write(t, log, bad)
	write(t, log, anything(rnd, blobs))

	err := NewRunner(log, pool, blobs, Options{}).Run(context.Background())
	var stop *HaltedError
	require.ErrorAs(t, err, &stop)
	require.Equal(t, refused, stop.Position)
	require.Greater(t, stop.Position, last)
	for _, r := range everything(t, log) {
		if r.Position > last && r.Position < refused {
			good = append(good, r)
		}
	}
	requireFolded(t, pool, good)
	var halted int64
	require.NoError(t, pool.QueryRow(context.Background(), `select halted_position from live.checkpoint`).Scan(&halted))
	require.EqualValues(t, refused, halted)
}

// A row that is there though nothing was folded that makes it does not stop a rebuild.
func TestARowThatIsThereBeforeItsTimeIsOverwritten(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(5, 5))
	stories := []*story{anything(rnd, blobs), anything(rnd, blobs)}
	last := write(t, log, stories...)
	require.NoError(t, Install(ctx, pool))
	_, err := pool.Exec(ctx, `insert into rm_1.tasks (task_id, first_position, phase, project, version, file_name, size, sha256, uploaded_by, observed_types,
		last_event_at, errors, warnings, notes, late, revision, position, heard) values ($1, 1, '', '', '', '', 0, '', '', '{}', now(), 0, 0, 0, 0, 0, 0, '{}')`, stories[1].id.String())
	require.NoError(t, err)
	start(t, NewRunner(log, pool, blobs, Options{}))
	reach(t, pool, last)
	requireFolded(t, pool, everything(t, log))
}

func TestASecondWriterCannotCommit(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(3, 3))
	events := recorded(t, rnd, []*story{anything(rnd, newMemoryBlobs())})
	pool := database(t)
	first, second := newWriter(t, pool, newMemoryBlobs()), newWriter(t, pool, newMemoryBlobs())
	require.NoError(t, first.take(ctx, events[:1], events[0].Position))
	require.ErrorIs(t, second.take(ctx, events[:1], events[0].Position), errCheckpointMoved)
	requireFolded(t, pool, events[:1])
}

func TestInstallIsSafeAtTheSameTime(t *testing.T) {
	pool := database(t)
	var wait sync.WaitGroup
	failures := make(chan error, 8)
	for range 8 {
		wait.Go(func() { failures <- Install(context.Background(), pool) })
	}
	wait.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
}

// A subscription gives no event twice; if one did, no state in the tables would tell.
func TestWhatIsDeliveredAgainIsDropped(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	s.tell(upload(s, "p"), created(s), task.SubTaskStarted{TaskID: s.id.String(), Type: "SQL", Attempt: 1})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	pool := database(t)
	f := &follower{Runner: NewRunner(nil, pool, nil, Options{}), w: newWriter(t, pool, newMemoryBlobs(), events...), well: func() {}}
	f.begin(0)
	for _, list := range [][]eventstore.Recorded{events[:2], events[:2], events[1:]} {
		var messages []message
		for _, r := range list {
			messages = append(messages, message{kind: eventstore.KindEvent, position: r.Position, event: read(r), ours: true})
		}
		rest, err := f.accept(ctx, messages)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.NoError(t, f.flush(ctx))
		require.NoError(t, f.settle())
		f.w.known.forget()
	}
	requireFolded(t, pool, events)
}

// What is neither remembered nor in the stream is a gap.
func TestATaskWhoseFirstFactsAreGoneHalts(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	s.tell(upload(s, "p"), created(s), task.MainTaskCancelled{TaskID: s.id.String(), Reason: "no"})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	for name, log := range map[string][]eventstore.Recorded{"all": nil, "the first": events[1:]} {
		t.Run(name, func(t *testing.T) {
			pool := database(t)
			require.NoError(t, newWriter(t, pool, newMemoryBlobs()).take(ctx, events[:2], events[1].Position))
			var stop *HaltedError
			require.ErrorAs(t, newWriter(t, pool, newMemoryBlobs(), log...).take(ctx, events[2:], events[2].Position), &stop)
			var gap *GapError
			require.ErrorAs(t, stop, &gap)
			require.Zero(t, gap.Expected)
			requireFolded(t, pool, events[:2])
		})
	}
}

// A batch may touch more tasks than are remembered from one batch to the next.
func TestABatchMayTouchMoreTasksThanAreRemembered(t *testing.T) {
	ctx := context.Background()
	var stories []*story
	for range 2*maxKnown + 500 {
		s := newStory()
		stories = append(stories, s.tell(upload(s, "p"), created(s)))
	}
	var events []eventstore.Recorded
	for _, fact := range []int{0, 1} {
		for i, s := range stories {
			events = append(events, eventstore.Recorded{Event: s.events(t)[fact], Stream: s.stream(), Revision: uint64(fact),
				Position: eventstore.Position(1 + i + fact*len(stories)), At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
		}
	}
	half := len(stories)
	for way, take := range map[string]func(*writer, []eventstore.Recorded) error{
		"live": func(w *writer, list []eventstore.Recorded) error {
			return w.take(ctx, list, list[len(list)-1].Position)
		},
		"catching up": func(w *writer, list []eventstore.Recorded) error { return w.takeInBulk(ctx, list) },
	} {
		pool := database(t)
		w := newWriter(t, pool, newMemoryBlobs(), events...)
		require.NoError(t, take(w, events[:half]), way)
		require.NoError(t, take(w, events[half:]), way)
		requireFolded(t, pool, events)
	}
}

// A fact that another version applied, or in front of which the stream was cut since, is
// met when the task is folded from its stream.
func TestATaskThatCannotBeRecalledHaltsAtItsNextFactOnly(t *testing.T) {
	ctx := context.Background()
	s, other := newStory(), newStory()
	id := s.id.String()
	s.tell(upload(s, "p"), created(s), task.MainTaskCancelled{TaskID: id, Reason: "no"},
		task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1}, task.SubTaskStarted{TaskID: id, Type: "EXCEL", Attempt: 1})
	other.tell(upload(other, "p"), created(other))
	at := func(s *story, i, position int) eventstore.Recorded {
		return eventstore.Recorded{Event: s.events(t)[i], Stream: s.stream(), Revision: uint64(i), Position: eventstore.Position(position), At: time.Unix(int64(1e9+position), 0)}
	}
	stream := []eventstore.Recorded{at(s, 0, 1), at(s, 1, 2), at(s, 2, 3), at(s, 3, 11), at(s, 4, 21)}
	events := []eventstore.Recorded{at(other, 0, 10), stream[3], at(other, 1, 12)}
	newer := stream[1]
	newer.Type = "SubTaskPaused"
	for name, log := range map[string][]eventstore.Recorded{
		"another version": {stream[0], newer, stream[2], stream[3], stream[4]},
		"cut":             stream[1:],
	} {
		log = append(slices.Clone(log), events[0], events[2])
		for way, take := range map[string]func(*writer, []eventstore.Recorded) error{
			"live": func(w *writer, list []eventstore.Recorded) error {
				return w.take(ctx, list, list[len(list)-1].Position)
			},
			"catching up": func(w *writer, list []eventstore.Recorded) error {
				f := &follower{Runner: NewRunner(nil, nil, nil, Options{}), w: w, well: func() {}}
				f.begin(w.position)
				var messages []message
				for _, r := range list {
					messages = append(messages, message{kind: eventstore.KindEvent, position: r.Position, event: read(r), ours: true})
				}
				_, err := f.accept(ctx, messages)
				if err == nil {
					err = f.flush(ctx)
				}
				if err == nil {
					err = f.settle()
				}
				return err
			},
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				pool := database(t)
				require.NoError(t, newWriter(t, pool, newMemoryBlobs()).take(ctx, stream[:3], 3))
				w := newWriter(t, pool, newMemoryBlobs(), log...)
				var stop *HaltedError
				require.ErrorAs(t, take(w, events), &stop)
				require.EqualValues(t, 2, stop.Position)
				require.EqualValues(t, 10, w.position, "what stands in front of the task's fact is written")

				w = newWriter(t, pool, newMemoryBlobs(), log...)
				w.skips = skips{2: {FactSkipped: readmodel.FactSkipped{Position: 2, Reason: "test"}}}
				require.NoError(t, take(w, events[1:]))
				w = newWriter(t, pool, newMemoryBlobs(), log...)
				w.skips = skips{2: {FactSkipped: readmodel.FactSkipped{Position: 2, Reason: "test"}}}
				require.NoError(t, take(w, stream[4:]), "the skip is written once")
				var revision, skips int64
				require.NoError(t, pool.QueryRow(ctx, `select revision, (select count(*) from live.skips where task_id = t.task_id) from live.tasks t where task_id = $1`, id).Scan(&revision, &skips))
				require.Equal(t, []int64{4, 1}, []int64{revision, skips})
			})
		}
	}
}

// failingReads breaks off the first reads of tasks' streams, some in their middle.
type failingReads struct {
	Log
	left atomic.Int64
}

func (l *failingReads) ReadStream(ctx context.Context, stream eventstore.StreamID, from uint64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		left := int64(-1)
		if stream.Category == task.Category {
			left = l.left.Add(-1)
		}
		for r, err := range l.Log.ReadStream(ctx, stream, from) {
			if left >= 0 && r.Revision == uint64(left%3) {
				yield(eventstore.Recorded{}, &eventstore.UnavailableError{Op: "read", Err: errors.New("cut")})
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestStreamsThatCannotBeReadNowAreReadAgainAndNothingIsDoubled(t *testing.T) {
	log, pool, whole, blobs := openLog(t), database(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(61, 2))
	var last eventstore.Position
	rest := map[*story][]eventstore.Event{}
	for range 60 {
		s := anything(rnd, blobs)
		events := s.events(t)
		n := 1 + rnd.IntN(len(events))
		at, err := log.Append(t.Context(), s.stream(), eventstore.NoStream(), events[:n]...)
		require.NoError(t, err)
		last, rest[s] = at.Position, events[n:]
	}
	stop := start(t, NewRunner(log, pool, blobs, Options{}))
	reach(t, pool, last)
	stop()
	for s, events := range rest {
		if len(events) > 0 {
			at, err := log.Append(t.Context(), s.stream(), eventstore.Any(), events...)
			require.NoError(t, err)
			last = max(last, at.Position)
		}
	}
	failing := &failingReads{Log: log}
	failing.left.Store(40)
	r := NewRunner(failing, pool, blobs, Options{})
	start(t, r)
	reach(t, pool, last)
	require.Negative(t, failing.left.Load())
	require.Nil(t, r.Status().Halted)
	requireFolded(t, pool, everything(t, log))
	start(t, NewRunner(log, whole, blobs, Options{}))
	reach(t, whole, last)
	require.Equal(t, dump(t, whole), dump(t, pool))
}

// An event store that goes away often must not keep the read model from getting on.
func TestWhatWasFoldedBeforeAStreamCouldNotBeReadIsWritten(t *testing.T) {
	ctx := context.Background()
	s, other := newStory(), newStory()
	s.tell(upload(s, "p"), created(s), task.MainTaskCancelled{TaskID: s.id.String(), Reason: "no"})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	pool := database(t)
	require.NoError(t, newWriter(t, pool, newMemoryBlobs()).take(ctx, events[:2], events[1].Position))
	first := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{other.tell(upload(other, "p"))})[0]
	first.Position = events[1].Position + 1

	w := newWriter(t, pool, newMemoryBlobs())
	log := openLog(t)
	write(t, log, s)
	failing := &failingReads{Log: log}
	failing.left.Store(1)
	w.log = failing
	f := &follower{Runner: NewRunner(nil, nil, nil, Options{}), w: w, well: func() {}}
	f.begin(w.position)
	for _, r := range []eventstore.Recorded{first, events[2]} {
		_, err := f.accept(ctx, []message{{kind: eventstore.KindEvent, position: r.Position, event: read(r), ours: true}})
		require.Equal(t, r.Position != first.Position, eventstore.IsUnavailable(err), "%v", err)
	}
	require.Equal(t, first.Position, w.position)
	requireFolded(t, pool, append(events[:2:2], first))
}

// Facts that were passed by, for whatever reason, are again when their task is recalled.
func TestSkipsOfATaskAreRecalledHoweverManyThereAre(t *testing.T) {
	ctx := context.Background()
	blobs := newMemoryBlobs()
	s, other := newStory(), newStory()
	id := s.id.String()
	s.tell(upload(s, "p"), created(s),
		task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1, Scanner: task.Scanner{RulesDigest: "r", ConfigDigest: "c"}},
		task.SubTaskStarted{TaskID: id, Type: noise(20_000), Attempt: 1},
		task.SubTaskFailed{TaskID: id, Type: "SQL", Attempt: 1, Kind: task.Error, Reason: "gone", Parked: true},
		task.SubTaskStarted{TaskID: id, Type: "EXCEL", Attempt: 1},
		task.MainTaskCancelled{TaskID: id, Reason: "lost"},
		task.SubTaskDiscarded{TaskID: id, Type: "SQL", Attempt: 1, Reason: "behind a gap"},
		task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 2, Scanner: task.Scanner{RulesDigest: "r", ConfigDigest: "c"}},
		task.SubTaskStarted{TaskID: id, Type: noise(20_001), Attempt: 1},
		task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 2, Result: task.Pass, Report: blobs.report(id, "SQL", 2, 3)},
		task.WindowClosed{TaskID: id, Cause: task.Settled, ClosedAt: created(s).Window.OpensAt})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s, other.tell(upload(other, "p"), created(other))})
	passed := map[uint64]string{3: "refused", 5: "undecodable", 7: "behind a gap", 9: "refused"}
	events = slices.DeleteFunc(events, func(r eventstore.Recorded) bool { return r.Stream == s.stream() && r.Revision == 6 })
	for i, r := range events {
		if r.Stream == s.stream() && r.Revision == 5 {
			events[i].Data = []byte(`{"attempt":"one"}`)
		}
	}
	anew := func() skips {
		out := skips{}
		for _, r := range events {
			if why := passed[r.Revision]; why != "" && r.Stream == s.stream() {
				out[r.Position] = &skip{FactSkipped: readmodel.FactSkipped{Position: uint64(r.Position), Reason: why}}
			}
		}
		return out
	}
	require.Len(t, anew(), 4)
	var want string
	for _, size := range []int{len(events), 1, 2, 3, 5} {
		pool := database(t)
		for rest := events; len(rest) > 0; rest = rest[min(len(rest), size):] {
			w := newWriter(t, pool, blobs, events...)
			w.skips = anew()
			some := rest[:min(len(rest), size)]
			require.NoError(t, w.take(ctx, some, some[len(some)-1].Position), "batches of %d", size)
		}
		var got, whys string
		require.NoError(t, pool.QueryRow(ctx, `select (select string_agg(to_json(s)::text, E'\n' order by position) from live.skips s),
			(select string_agg(reason, ', ' order by position) from live.skips)`).Scan(&got, &whys))
		require.Equal(t, "refused, undecodable, behind a gap, refused", whys)
		if got += dump(t, pool); want == "" {
			want = got
		}
		require.Equal(t, want, got, "batches of %d", size)
	}
}

// heldReads answers no read before its context ends.
type heldReads struct {
	open, most atomic.Int64
	begun      chan struct{}
}

func (l *heldReads) ReadStream(ctx context.Context, _ eventstore.StreamID, _ uint64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		n := l.open.Add(1)
		for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
		}
		select {
		case l.begun <- struct{}{}:
		default:
		}
		<-ctx.Done()
		l.open.Add(-1)
		yield(eventstore.Recorded{}, ctx.Err())
	}
}

func TestManyTasksAreRecalledAFewAtATimeUntilItsContextEnds(t *testing.T) {
	log := &heldReads{begun: make(chan struct{}, recallStreams)}
	w := &writer{log: log}
	var events []arrived
	for i := range 3_000 {
		id := eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(i))
		events = append(events, arrived{task: id, ofTask: true, Recorded: eventstore.Recorded{Revision: 7, Position: eventstore.Position(i + 1)}})
	}
	known, wanted := w.atHand(events, nil)
	require.Len(t, wanted, len(events))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.recall(ctx, wanted, known) }()
	for range recallStreams {
		<-log.begun
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.EqualValues(t, recallStreams, log.most.Load())
	require.Empty(t, known)
}

// In a cluster, the node that is read from may be behind the one that delivers. That is
// no gap, and passes.
func TestAStreamThatIsReadFromANodeThatIsBehindIsReadAgain(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	s.tell(upload(s, "p"), created(s), task.MainTaskCancelled{TaskID: s.id.String(), Reason: "no"})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	pool := database(t)
	require.NoError(t, newWriter(t, pool, newMemoryBlobs()).take(ctx, events[:2], events[1].Position))
	err := newWriter(t, pool, newMemoryBlobs(), events[:1]...).take(ctx, events[2:], events[2].Position)
	require.True(t, eventstore.IsUnavailable(err), "%v", err)
	requireFolded(t, pool, events[:2])
	require.NoError(t, newWriter(t, pool, newMemoryBlobs(), events...).take(ctx, events[2:], events[2].Position))
	requireFolded(t, pool, events)
}
