package projections

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

const patience = 20 * time.Second

// write appends whole stories, and returns the position of the last fact.
func write(t testing.TB, log eventstore.Appender, stories ...*story) eventstore.Position {
	t.Helper()
	var last eventstore.Position
	for _, s := range stories {
		at, err := log.Append(context.Background(), s.stream(), eventstore.NoStream(), s.events(t)...)
		require.NoError(t, err)
		last = at.Position
	}
	return last
}

func everything(t testing.TB, log eventstore.Reader) []eventstore.Recorded {
	t.Helper()
	var out []eventstore.Recorded
	for r, err := range log.ReadAll(context.Background(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		out = append(out, r)
	}
	return out
}

func reach(t testing.TB, pool *pgxpool.Pool, position eventstore.Position) {
	t.Helper()
	require.NoError(t, Install(context.Background(), pool))
	require.NoError(t, NewWaiter(pool).Wait(context.Background(), position, patience))
}

func TestFactsReachTheReadModelLiveAndFromThePast(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(1, 2))
	past := []*story{anything(rnd, blobs), anything(rnd, blobs)}
	write(t, log, past...)
	r := NewRunner(log, pool, blobs, Options{})
	stop := start(t, r)
	for range 20 {
		reach(t, pool, write(t, log, anything(rnd, blobs)))
	}
	requireFolded(t, pool, everything(t, log))
	require.Eventually(t, func() bool { s := r.Status(); return s.CaughtUp && s.Writer && s.Lag == 0 }, patience, time.Millisecond)
	stop()
	require.False(t, r.Status().Writer)
}

func TestEventsThatAreNobodysBusinessMoveTheCheckpoint(t *testing.T) {
	log, pool := openLog(t), database(t)
	start(t, NewRunner(log, pool, newMemoryBlobs(), Options{}))
	at, err := log.Append(context.Background(), eventstore.StreamID{Category: "ruleset", Key: "default"}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, "x"), Type: "RuleSetPublished", Data: []byte(`{}`), Metadata: []byte(`{}`)})
	require.NoError(t, err)
	reach(t, pool, at.Position)
}

// In a shared event store others have streams of these names too.
func TestStrangersStreamsDoNotHaltTheReadModel(t *testing.T) {
	log, pool := openLog(t), database(t)
	start(t, NewRunner(log, pool, newMemoryBlobs(), Options{}))
	var last eventstore.Position
	for i, r := range []eventstore.Recorded{
		{Stream: eventstore.StreamID{Category: "task", Key: "42"}, Event: eventstore.Event{Type: "TaskDone", Data: []byte("<done/>")}},
		{Stream: eventstore.StreamID{Category: "scanner", Key: "flatbed"}, Event: eventstore.Event{Type: "PaperJammed", Data: []byte("{}")}},
		{Stream: eventstore.StreamID{Category: "scanner", Key: "SQL"}, Event: eventstore.Event{Type: "ScannerOnline", Data: []byte(`{"type":7}`)}},
		{Stream: eventstore.StreamID{Category: "scanner", Key: "SQL"}, Event: eventstore.Event{Type: "ScannerOnline", Data: []byte(`{"type":"EXCEL"}`)}},
	} {
		r.Event.ID, r.Metadata = eventstore.DeriveID(eventstore.ID{}, string(rune('a'+i))), []byte("{}")
		at, err := log.Append(context.Background(), r.Stream, eventstore.Any(), r.Event)
		require.NoError(t, err)
		last = at.Position
	}
	reach(t, pool, last)
	var known int
	require.NoError(t, pool.QueryRow(context.Background(), `select count(*) from live.scanners`).Scan(&known))
	require.Zero(t, known)
}

func TestKilledAnywhereNothingIsLostAndNothingDoubled(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(11, 2))
	var last eventstore.Position
	for range 40 {
		last = write(t, log, anything(rnd, blobs))
	}
	events := everything(t, log)
	for i := range 15 {
		ctx, cancel := context.WithCancel(context.Background())
		fuse := &fusedLog{Log: log, left: rnd.IntN(len(events) / 10), blow: cancel}
		require.NoError(t, NewRunner(fuse, pool, blobs, Options{MaxEvents: 1 + rnd.IntN(7)}).Run(ctx), "run %d", i)
		cancel()
		var position int64
		require.NoError(t, pool.QueryRow(context.Background(), `select position from live.checkpoint`).Scan(&position))
		applied := slices.DeleteFunc(slices.Clone(events), func(r eventstore.Recorded) bool { return int64(r.Position) > position })
		requireFolded(t, pool, applied)
	}
	start(t, NewRunner(log, pool, blobs, Options{}))
	reach(t, pool, last)
	requireFolded(t, pool, events)
}

// fusedLog ends the runner's context after so many messages of a subscription.
type fusedLog struct {
	Log
	left int
	blow func()
}

func (l *fusedLog) Follow(ctx context.Context, from eventstore.Position, f eventstore.Filter) (eventstore.Subscription, error) {
	sub, err := l.Log.Follow(ctx, from, f)
	return &fusedSubscription{sub, l}, err
}

type fusedSubscription struct {
	eventstore.Subscription
	log *fusedLog
}

func (s *fusedSubscription) Next(ctx context.Context) (eventstore.Message, error) {
	if s.log.left--; s.log.left < 0 {
		s.log.blow()
	}
	return s.Subscription.Next(ctx)
}

// brokenLog breaks every subscription off after a few messages.
type brokenLog struct{ Log }

func (l brokenLog) Follow(ctx context.Context, from eventstore.Position, f eventstore.Filter) (eventstore.Subscription, error) {
	sub, err := l.Log.Follow(ctx, from, f)
	return &brokenSubscription{Subscription: sub, left: 5}, err
}

type brokenSubscription struct {
	eventstore.Subscription
	left int
}

func (s *brokenSubscription) Next(ctx context.Context) (eventstore.Message, error) {
	if s.left--; s.left < 0 {
		return eventstore.Message{}, &eventstore.UnavailableError{Op: "follow", Err: errors.New("cut")}
	}
	return s.Subscription.Next(ctx)
}

func TestALogThatBreaksOffIsFollowedFromTheCheckpoint(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(21, 2))
	last := write(t, log, anything(rnd, blobs), anything(rnd, blobs), anything(rnd, blobs))
	start(t, NewRunner(brokenLog{log}, pool, blobs, Options{}))
	reach(t, pool, last)
	requireFolded(t, pool, everything(t, log))
}

func TestOneOfTwoRunnersWritesAndTheOtherTakesOver(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(31, 2))
	one, two := NewRunner(log, pool, blobs, Options{}), NewRunner(log, pool, blobs, Options{})
	stopOne := start(t, one)
	require.Eventually(t, func() bool { return one.Status().Writer }, patience, time.Millisecond)
	start(t, two)
	reach(t, pool, write(t, log, anything(rnd, blobs)))
	require.False(t, two.Status().Writer)
	stopOne()
	reach(t, pool, write(t, log, anything(rnd, blobs)))
	require.True(t, two.Status().Writer)
	requireFolded(t, pool, everything(t, log))
}

func TestAWriterWhoseSessionDiesComesBack(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(41, 2))
	start(t, NewRunner(log, pool, blobs, Options{}))
	for range 3 {
		reach(t, pool, write(t, log, anything(rnd, blobs)))
		_, err := pool.Exec(context.Background(), `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()
			and database = (select oid from pg_database where datname = current_database())`)
		require.NoError(t, err)
	}
	reach(t, pool, write(t, log, anything(rnd, blobs)))
	requireFolded(t, pool, everything(t, log))
}

func TestABlobStoreThatIsAwayIsWaitedFor(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	blobs.setAway(true)
	r := NewRunner(log, pool, blobs, Options{})
	start(t, r)
	s := newStory()
	id := s.id.String()
	s.tell(upload(s, "p"), created(s), task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 1, Result: task.Pass, Report: blobs.report(id, "SQL", 1, 4)})
	last := write(t, log, s)
	<-blobs.asked
	require.Eventually(t, func() bool { return r.Status().Trouble != nil }, patience, time.Millisecond)
	blobs.setAway(false)
	reach(t, pool, last)
	var n int
	require.NoError(t, pool.QueryRow(context.Background(), `select count(*) from live.findings`).Scan(&n))
	require.Equal(t, 4, n)
}

func TestAnUnknownFactHaltsTheReadModelLoudly(t *testing.T) {
	ctx := context.Background()
	log, pool := openLog(t), database(t)
	s := newStory()
	s.tell(upload(s, "p"), created(s))
	before := write(t, log, s)
	future, err := log.Append(ctx, s.stream(), eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(s.id, "future"), Type: "SubTaskPaused", Data: []byte(`{}`), Metadata: []byte(`{}`)})
	require.NoError(t, err)
	r := NewRunner(log, pool, newMemoryBlobs(), Options{})
	var stop *HaltedError
	require.ErrorAs(t, r.Run(ctx), &stop)
	require.Equal(t, future.Position, stop.Position)
	var unknown *task.UnknownTypeError
	require.ErrorAs(t, stop, &unknown)
	require.Equal(t, stop, r.Status().Halted)
	require.Equal(t, before, r.Status().Position)
	require.Equal(t, "readmodel.halted", domain.RuleOf(NewWaiter(pool).Wait(ctx, future.Position, patience)))
	require.NoError(t, NewWaiter(pool).Wait(ctx, before, patience))
}

func TestWaitIsBounded(t *testing.T) {
	pool := database(t)
	w := NewWaiter(pool)
	require.Equal(t, "readmodel.unavailable", domain.RuleOf(w.Wait(context.Background(), 1, time.Millisecond)))
	require.NoError(t, Install(context.Background(), pool))
	require.Equal(t, "readmodel.behind", domain.RuleOf(w.Wait(context.Background(), 1, 5*time.Millisecond)))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, w.Wait(ctx, 1, patience), context.Canceled)
}

func TestRunnersLeaveNoGoroutines(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	reach(t, pool, 0) // the pool and the client have their own goroutines, which stay
	leaks := goleak.IgnoreCurrent()
	r := NewRunner(log, pool, blobs, Options{})
	stop := start(t, r)
	require.Eventually(t, func() bool { return r.Status().CaughtUp }, patience, time.Millisecond)
	stop()
	goleak.VerifyNone(t, leaks, goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"0", "17", "-1", "99999999999999999999", "0x1", " 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			require.Equal(t, "position.invalid", domain.RuleOf(err))
			return
		}
		require.LessOrEqual(t, uint64(p), uint64(1)<<63-1)
	})
}

func FuzzFold(f *testing.F) {
	f.Add("task", "018f4e2a-0000-7000-8000-000000000001", "ZipUploaded", []byte(`{"taskId":"x"}`), uint64(0))
	f.Add("task", "x", "SubTaskStarted", []byte(`{"attempt":1}`), uint64(1))
	f.Add("scanner", "SQL", "ScannerOnline", []byte(`{"type":"SQL"}`), uint64(0))
	f.Fuzz(func(t *testing.T, category, key, eventType string, data []byte, revision uint64) {
		r := eventstore.Recorded{Event: eventstore.Event{Type: eventType, Data: data}, Stream: eventstore.StreamID{Category: category, Key: key}, Revision: revision, Position: 5}
		b, stop := fold([]arrived{read(r)}, 1, nil, unknown)
		if stop != nil {
			require.EqualValues(t, 1, b.upTo)
			return
		}
		require.EqualValues(t, 5, b.upTo)
		for _, c := range b.order {
			var rows taskColumns
			require.NoError(t, rows.add(c))
		}
	})
}

// The two libraries must agree on every fact: one decides the verdict, the other is
// what the read model is folded from.
func FuzzBothLibrariesReadTheSameFacts(f *testing.F) {
	for _, fact := range []task.Fact{
		task.ZipUploaded{TaskID: "x", FileName: "a\x00\u2028.zip", Size: 1 << 60, UploadTime: time.Unix(1, 0)},
		task.SubTaskCompleted{Type: "SQL", Attempt: 1, Coverage: task.Coverage{Degraded: []task.Degraded{{Path: "p"}}}, Report: &task.Blob{Key: "k"}},
		task.MainTaskCreated{Window: task.Window{Quiet: task.Duration(time.Second)}, Known: []string{}},
	} {
		name, data, err := task.Encode(fact)
		require.NoError(f, err)
		f.Add(name, data)
	}
	for _, text := range []string{
		`{"TASKID":"x","taskid":"y","taskId":"z"}`, `{"attempt":1.0}`, `{"attempt":1e2}`, `{"attempt":"1"}`, `{"attempt":null}`, `null`, `[]`, ``, `{} {}`,
		"{\"taskId\":\"\xff\xed\xa0\x80\"}", `{"taskId":"\ud800"}`, `{"coverage":{"degraded":[{},null]},"coverage":{}}`, `{"summary":null}`,
		`{"summary":{"error":1},"summary":{"warning":2}}`, `{"window":{"quiet":"10s","quiet":5}}`, `{"uploadTime":"2026-11-30T08:00:00+08:00"}`, `{"uploadTime":"2026-11-30 08:00"}`,
	} {
		for _, name := range task.Types() {
			f.Add(name, []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		want, refused := task.Decode(name, data)
		got := read(eventstore.Recorded{Event: eventstore.Event{Type: name, Data: bytes.Clone(data)},
			Stream: eventstore.StreamID{Category: task.Category, Key: "018f4e2a-0000-7000-8000-000000000001"}})
		if refused != nil {
			require.Error(t, got.err, "%v", refused)
			return
		}
		require.NoError(t, got.err)
		require.Equal(t, want, got.fact)
	})
}

// A stream that was deleted under the projector is a gap at the next of its facts that the
// log still gives; what stands in front of it is applied.
func TestAStreamThatIsDeletedUnderTheProjectorHaltsAtItsNextFact(t *testing.T) {
	ctx := t.Context()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	s, other := newStory(), newStory()
	stop := start(t, NewRunner(log, pool, blobs, Options{}))
	s.tell(upload(s, "p"), created(s), task.MainTaskCancelled{TaskID: s.id.String(), Reason: "late"})
	events := s.events(t)
	at, err := log.Append(ctx, s.stream(), eventstore.NoStream(), events[:2]...)
	require.NoError(t, err)
	reach(t, pool, at.Position)
	stop()
	write(t, log, other.tell(upload(other, "q"), created(other)))
	applied := everything(t, log)
	next, err := log.Append(ctx, s.stream(), eventstore.Any(), events[2])
	require.NoError(t, err)
	require.NoError(t, log.Tombstone(ctx, s.stream()))
	var halted *HaltedError
	require.ErrorAs(t, NewRunner(log, pool, blobs, Options{}).Run(ctx), &halted)
	require.Equal(t, next.Position, halted.Position)
	var gap *GapError
	require.ErrorAs(t, halted, &gap)
	require.Equal(t, GapError{Expected: 0, Found: 2}, *gap)
	requireFolded(t, pool, applied)
}
