package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/readmodel"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// project runs a projector until the test ends or stop is called.
func project(t testing.TB, p *Projector) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// rowsOf is everything that a read model says, row by row; its checkpoint is left
// out, as two read models need not stand at the same place.
func rowsOf(t testing.TB, pool *pgxpool.Pool, schema string) string {
	t.Helper()
	ctx := context.Background()
	rows, err := pool.Query(ctx, `select table_name from information_schema.tables where table_schema = $1 and table_name <> 'checkpoint' order by 1`, schema)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, names)
	var out strings.Builder
	for _, name := range names {
		var text string
		require.NoError(t, pool.QueryRow(ctx, fmt.Sprintf(`select coalesce(string_agg(to_json(x)::text, E'\n' order by to_json(x)::text collate "C"), '') from %s.%s x`, schema, name)).Scan(&text))
		fmt.Fprintf(&out, "-- %s\n%s\n", name, text)
	}
	return out.String()
}

// positionIn a read model, whichever is in service; -1 if it is not there.
func positionIn(t testing.TB, pool *pgxpool.Pool, m Model) (position int64) {
	t.Helper()
	if err := pool.QueryRow(context.Background(), `select position from `+m.Schema()+`.checkpoint`).Scan(&position); err != nil {
		return -1
	}
	return position
}

// inService is the read model that the views and the registry name.
func inService(t testing.TB, pool *pgxpool.Pool) (m Model) {
	t.Helper()
	var name string
	require.NoError(t, pool.QueryRow(context.Background(), `select r.number, c.name from readmodels.registry r, live.checkpoint c where r.state = 'LIVE'`).Scan(&m, &name))
	require.Equal(t, m.Schema(), name)
	return m
}

func TestARebuildGivesTheRowsThatWereFoldedLive(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(3) {
		log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
		rnd := rand.New(rand.NewPCG(seed, 99))
		project(t, NewProjector(log, pool, blobs, Options{MaxEvents: 1 + rnd.IntN(9)}))
		registry := NewRegistry(pool, log, blobs)
		for range 15 {
			reach(t, pool, write(t, log, anything(rnd, blobs)))
		}
		change, err := registry.Rebuild(ctx, Rebuild{Reason: "test", By: "me", Promote: true})
		require.NoError(t, err)
		require.Equal(t, Change{Model: 2, State: Building, Changed: true}, change)
		var last eventstore.Position
		for range 15 { // while it is being built
			last = write(t, log, anything(rnd, blobs))
		}
		require.Eventually(t, func() bool { return inService(t, pool) == 2 }, patience, 5*time.Millisecond)
		require.Eventually(t, func() bool {
			return positionIn(t, pool, 1) >= int64(last) && positionIn(t, pool, 2) >= int64(last)
		}, patience, 5*time.Millisecond)
		require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, "rm_2"))
		requireFolded(t, pool, everything(t, log))

		// The former one is kept up to date, so the way back has no gap.
		last = write(t, log, anything(rnd, blobs))
		back, err := registry.Rollback(ctx, 2, false)
		require.NoError(t, err)
		require.Equal(t, Model(1), back.Model)
		require.GreaterOrEqual(t, back.Position, last)
		require.Equal(t, Model(1), inService(t, pool))
		requireFolded(t, pool, everything(t, log))
		again, err := registry.Rollback(ctx, 2, false)
		require.NoError(t, err)
		require.False(t, again.Changed, "the wish, repeated")
		require.Equal(t, Model(1), inService(t, pool))

		_, err = registry.Drop(ctx, 1)
		require.Equal(t, "readmodel.in_service", domain.RuleOf(err))
		_, err = registry.Drop(ctx, 2)
		require.NoError(t, err)
		_, err = registry.Drop(ctx, 2)
		require.Equal(t, "readmodel.unknown", domain.RuleOf(err))
		_, err = registry.Rollback(ctx, 1, false)
		require.Equal(t, "readmodel.no_former", domain.RuleOf(err))
		require.EqualValues(t, -1, positionIn(t, pool, 2))
		reach(t, pool, write(t, log, anything(rnd, blobs)))
		change, err = registry.Rebuild(ctx, Rebuild{Reason: "test"})
		require.NoError(t, err)
		require.Equal(t, Model(3), change.Model, "a number is not given twice")
	}
}

func TestARebuildThatIsCutOffGoesOnFromItsCheckpoint(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(5, 99))
	var last eventstore.Position
	for range 40 {
		last = write(t, log, anything(rnd, blobs))
	}
	events := everything(t, log)
	stop := project(t, NewProjector(log, pool, blobs, Options{}))
	reach(t, pool, last)
	stop()
	registry := NewRegistry(pool, log, blobs)
	_, err := registry.Rebuild(ctx, Rebuild{Reason: "test", Promote: true})
	require.NoError(t, err)

	before := int64(0)
	for range 5 {
		cut, cancel := context.WithCancel(ctx)
		fuse := &watchedLog{Log: log, left: len(events) / 8, blow: cancel, asked: map[eventstore.Position]bool{}}
		NewProjector(fuse, pool, blobs, Options{MaxEvents: 3}).Run(cut)
		cancel()
		require.True(t, fuse.began(eventstore.Position(before)), "it went on from position %d", before)
		at := positionIn(t, pool, 2)
		require.Greater(t, at, before, "it makes progress")
		require.Less(t, at, int64(last), "it was cut off")
		before = at
		require.Equal(t, Model(1), inService(t, pool))
	}
	project(t, NewProjector(log, pool, blobs, Options{}))
	require.Eventually(t, func() bool { return inService(t, pool) == 2 }, patience, 5*time.Millisecond)
	require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, "rm_2"))
}

// watchedLog ends everything after so many messages of the read model that is
// being rebuilt (its subscription begins before the live one's position), and
// remembers where subscriptions began.
type watchedLog struct {
	Log
	mu    sync.Mutex
	left  int
	blow  func()
	asked map[eventstore.Position]bool
}

func (l *watchedLog) Follow(ctx context.Context, from eventstore.Position, f eventstore.Filter) (eventstore.Subscription, error) {
	sub, err := l.Log.Follow(ctx, from, f)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[from] = true
	return &watchedSubscription{sub, l}, err
}

func (l *watchedLog) began(at eventstore.Position) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[at]
}

type watchedSubscription struct {
	eventstore.Subscription
	log *watchedLog
}

func (s *watchedSubscription) Next(ctx context.Context) (eventstore.Message, error) {
	m, err := s.Subscription.Next(ctx)
	if err == nil && m.Kind == eventstore.KindEvent { // the live one has none left
		s.log.mu.Lock()
		if s.log.left--; s.log.left < 0 {
			s.log.blow()
		}
		s.log.mu.Unlock()
	}
	return m, err
}

func TestEachReadModelHasOneWriterAmongProjectors(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(6, 99))
	one, two := NewProjector(log, pool, blobs, Options{}), NewProjector(log, pool, blobs, Options{})
	stopOne := project(t, one)
	project(t, two)
	reach(t, pool, write(t, log, anything(rnd, blobs)))
	_, err := NewRegistry(pool, log, blobs).Rebuild(ctx, Rebuild{Reason: "test"})
	require.NoError(t, err)
	writers := func(m Model) (n int) {
		for _, p := range []*Projector{one, two} {
			if p.Status()[m].Writer {
				n++
			}
		}
		return n
	}
	last := write(t, log, anything(rnd, blobs), anything(rnd, blobs))
	arrived := func() bool {
		for _, m := range []Model{1, 2} {
			require.LessOrEqual(t, writers(m), 1)
		}
		return positionIn(t, pool, 1) >= int64(last) && positionIn(t, pool, 2) >= int64(last) && writers(1) == 1 && writers(2) == 1
	}
	require.Eventually(t, arrived, patience, time.Millisecond)
	stopOne()
	last = write(t, log, anything(rnd, blobs))
	require.Eventually(t, arrived, patience, time.Millisecond, "the other one takes over what was left")
	require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, "rm_2"))
}

func TestWhatIsBehindIsNotPromoted(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	start(t, NewRunner(log, pool, blobs, Options{})) // of the live one only
	rnd := rand.New(rand.NewPCG(7, 99))
	last := write(t, log, anything(rnd, blobs))
	reach(t, pool, last)
	registry := NewRegistry(pool, log, blobs)
	_, err := registry.Promote(ctx, 0, false)
	require.Equal(t, "readmodel.none_building", domain.RuleOf(err))
	_, err = registry.Promote(ctx, 7, true)
	require.Equal(t, "readmodel.unknown", domain.RuleOf(err))
	begun, err := registry.Rebuild(ctx, Rebuild{Reason: "test"})
	require.NoError(t, err)
	again, err := registry.Rebuild(ctx, Rebuild{Reason: "again"})
	require.NoError(t, err)
	require.Equal(t, []any{begun.Model, false}, []any{again.Model, again.Changed})

	_, err = registry.tryTo(ctx, false, last, func(pgx.Tx, Model) (Model, error) { return 2, nil })
	require.Equal(t, "readmodel.not_caught_up", domain.RuleOf(err))
	require.Equal(t, Model(1), inService(t, pool))

	// It is waited for: the last events arrive while the wish is under way.
	stop := start(t, NewRunner(log, pool, blobs, Options{Model: 2}))
	done, err := registry.Promote(ctx, 0, false)
	require.NoError(t, err)
	require.Equal(t, []any{Model(2), Live, true}, []any{done.Model, done.State, done.Changed})
	require.GreaterOrEqual(t, done.Position, last)
	stop()

	reach1 := write(t, log, anything(rnd, blobs))
	require.Eventually(t, func() bool { return positionIn(t, pool, 1) >= int64(reach1) }, patience, time.Millisecond)
	_, err = registry.tryTo(ctx, false, 0, func(pgx.Tx, Model) (Model, error) { return 1, nil })
	require.NoError(t, err, "rm_1 is ahead")
	_, err = registry.tryTo(ctx, false, 0, func(pgx.Tx, Model) (Model, error) { return 2, nil })
	require.Equal(t, "readmodel.not_caught_up", domain.RuleOf(err), "readers would see the past again")
	_, err = registry.Promote(ctx, 2, true)
	require.NoError(t, err, "forced")
	require.Equal(t, Model(2), inService(t, pool))
}

// older makes the read model look as a version before this one left it: without a
// registry, and without what this layout has brought.
func older(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(context.Background(), `
		drop schema readmodels cascade; drop schema live cascade;
		alter table rm_1.checkpoint drop column events, drop column per_second, drop column edition;
		drop table rm_1.skips;
		update rm_1.checkpoint set layout = layout - 1;
		create schema live;
		create view live.checkpoint as select * from rm_1.checkpoint;
		create view live.tasks as select * from rm_1.tasks;
		create view live.gone as select * from rm_1.tasks`)
	require.NoError(t, err)
}

func TestAnOlderLayoutServesOnWhileANewOneIsFolded(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(8, 99))
	stop := start(t, NewRunner(log, pool, blobs, Options{}))
	last := write(t, log, anything(rnd, blobs), anything(rnd, blobs))
	reach(t, pool, last)
	stop()
	older(t, pool)
	was := rowsOf(t, pool, "rm_1")

	// By hand: nothing happens of its own.
	manual := NewProjector(log, pool, blobs, Options{Manual: true})
	stop = project(t, manual)
	require.Eventually(t, func() bool {
		var n int
		return pool.QueryRow(ctx, `select count(*) from readmodels.registry where state = 'LIVE' and number = 1 and layout = $1`, Layout-1).Scan(&n) == nil && n == 1
	}, patience, time.Millisecond, "it is adopted as it is")
	stop()
	require.Empty(t, manual.Status())
	require.Equal(t, Model(1), inService(t, pool))
	require.Equal(t, was, rowsOf(t, pool, "rm_1"))

	project(t, NewProjector(log, pool, blobs, Options{}))
	require.Eventually(t, func() bool { return inService(t, pool) == 2 }, patience, 5*time.Millisecond)
	requireFolded(t, pool, everything(t, log))
	require.Equal(t, was, rowsOf(t, pool, "rm_1"), "the old one is not touched")
	var gone bool
	require.NoError(t, pool.QueryRow(ctx, `select to_regclass('live.gone') is null`).Scan(&gone))
	require.True(t, gone)

	// The way back is open, but what nobody keeps up to date does not come by itself.
	reach(t, pool, write(t, log, anything(rnd, blobs)))
	registry := NewRegistry(pool, log, blobs)
	_, err := registry.tryTo(ctx, false, 0, func(pgx.Tx, Model) (Model, error) { return 1, nil })
	require.Equal(t, "readmodel.not_caught_up", domain.RuleOf(err))
	_, err = registry.Rollback(ctx, 2, true)
	require.NoError(t, err)
	require.Equal(t, Model(1), inService(t, pool))
	_, err = registry.RebuildTask(ctx, eventstore.ID{1})
	require.Equal(t, "readmodel.layout", domain.RuleOf(err))
}

func TestANewerLayoutIsLeftAlone(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	require.NoError(t, Install(ctx, pool))
	_, err := pool.Exec(ctx, `update rm_1.checkpoint set layout = layout + 1; update readmodels.registry set layout = layout + 1`)
	require.NoError(t, err)
	p := NewProjector(log, pool, blobs, Options{})
	require.NoError(t, p.begin(ctx))
	require.NoError(t, p.look(ctx, ctx))
	require.Empty(t, p.Status())
	require.Equal(t, Model(1), inService(t, pool))
	// Whoever asks for one of this version gets it.
	change, err := p.registry.Rebuild(ctx, Rebuild{Reason: "going back"})
	require.NoError(t, err)
	require.True(t, change.Changed)
}

func TestADroppedSchemaIsMadeAnew(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(9, 99))
	stop := start(t, NewRunner(log, pool, blobs, Options{}))
	last := write(t, log, anything(rnd, blobs))
	reach(t, pool, last)
	stop()
	change, err := NewRegistry(pool, log, blobs).Rebuild(ctx, Rebuild{Reason: "test"})
	require.NoError(t, err)
	_, err = pool.Exec(ctx, `drop schema rm_1 cascade; drop schema `+change.Model.Schema()+` cascade`)
	require.NoError(t, err)
	start(t, NewRunner(log, pool, blobs, Options{}))
	reach(t, pool, last)
	requireFolded(t, pool, everything(t, log))
	list, err := NewRegistry(pool, log, blobs).entries(ctx)
	require.NoError(t, err)
	require.Equal(t, []entry{{model: 1, layout: Layout, state: Live}}, list)
}

// passBy says in the log that a fact is to be passed by.
func passBy(t *testing.T, log eventstore.Appender, stop *HaltedError) {
	t.Helper()
	data := fmt.Appendf(nil, `{"position":%d,"id":%q,"stream":%q,"revision":%d,"type":%q,"reason":"test","by":"me"}`,
		stop.Position, stop.ID, stop.Stream, stop.Revision, "x")
	_, err := log.Append(context.Background(), eventstore.StreamID{Category: readmodel.Category, Key: readmodel.SkipsKey}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(stop.ID, "skip"), Type: readmodel.SkippedType, Data: data, Metadata: []byte("{}")})
	require.NoError(t, err)
}

func TestASkippedFactKeepsItsPlaceAndARebuildSkipsItToo(t *testing.T) {
	ctx := context.Background()
	for name, odd := range map[string]eventstore.Event{
		"unknown type":           {Type: "SubTaskPaused", Data: []byte(`{}`)},
		"undecodable":            {Type: "SubTaskStarted", Data: []byte(`{"attempt":"one"}`)},
		"too large for Postgres": {Type: "SubTaskStarted", Data: fmt.Appendf(nil, `{"subTaskType":%q,"attempt":1}`, noise(20_000))},
	} {
		t.Run(name, func(t *testing.T) {
			log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
			s, other := newStory(), newStory()
			write(t, log, s.tell(upload(s, "p"), created(s)))
			odd.ID, odd.Metadata = eventstore.DeriveID(s.id, "odd"), []byte("{}")
			_, err := log.Append(ctx, s.stream(), eventstore.Any(), odd)
			require.NoError(t, err)
			id := s.id.String()
			after := newStory()
			after.id = s.id
			after.tell(task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 1, Result: task.Pass, Report: blobs.report(id, "SQL", 1, 3)})
			_, err = log.Append(ctx, s.stream(), eventstore.Any(), after.events(t)...)
			require.NoError(t, err)
			last := write(t, log, other.tell(upload(other, "q")))

			p := NewProjector(log, pool, blobs, Options{})
			project(t, p)
			require.Eventually(t, func() bool { return p.Status()[1].Halted != nil }, patience, time.Millisecond)
			stop := p.Status()[1].Halted
			require.False(t, stop.Skipped)
			require.Equal(t, odd.ID, stop.ID)
			passBy(t, log, stop)
			require.Eventually(t, func() bool { return positionIn(t, pool, 1) >= int64(last) }, patience, 5*time.Millisecond)

			var revision, skipped int64
			var reason string
			require.NoError(t, pool.QueryRow(ctx, `select t.revision, s.position, s.reason from live.tasks t join live.skips s using (task_id) where task_id = $1`, id).Scan(&revision, &skipped, &reason))
			require.Equal(t, []any{int64(3), int64(stop.Position), "test"}, []any{revision, skipped, reason})
			var findings int
			require.NoError(t, pool.QueryRow(ctx, `select count(*) from live.findings`).Scan(&findings))
			require.Equal(t, 3, findings, "what comes behind it is applied")

			registry := NewRegistry(pool, log, blobs)
			before := rowsOf(t, pool, "rm_1")
			_, err = registry.RebuildTask(ctx, s.id)
			require.NoError(t, err)
			require.Equal(t, before, rowsOf(t, pool, "rm_1"), "one task anew, too")
			_, err = registry.Rebuild(ctx, Rebuild{Reason: "test", Promote: true})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return inService(t, pool) == 2 }, patience, 5*time.Millisecond)
			require.Equal(t, before, rowsOf(t, pool, "rm_2"))
		})
	}
}

func TestASkipOfAGoodFactChangesNothing(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	s.tell(upload(s, "p"), created(s))
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	pool := database(t)
	w := newWriter(t, pool, newMemoryBlobs())
	w.skips = skips{events[1].Position: {}}
	require.NoError(t, w.take(ctx, events, events[1].Position))
	requireFolded(t, pool, events)
	var n int
	require.NoError(t, pool.QueryRow(ctx, `select count(*) from live.skips`).Scan(&n))
	require.Zero(t, n)
}

func TestAGapIsSkippedWithTheFactBehindIt(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	s.tell(upload(s, "p"), created(s), task.SubTaskStarted{TaskID: s.id.String(), Type: "SQL", Attempt: 1},
		task.SubTaskStarted{TaskID: s.id.String(), Type: "EXCEL", Attempt: 1}, task.SubTaskStarted{TaskID: s.id.String(), Type: "C", Attempt: 1})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	pool := database(t)
	w := newWriter(t, pool, newMemoryBlobs())
	lost := slices.Concat(events[:2], events[3:])
	var stop *HaltedError
	require.ErrorAs(t, w.take(ctx, lost, 100), &stop)
	w.skips = skips{stop.Position: {}}
	require.NoError(t, w.take(ctx, lost[2:], 100))
	var revision int
	var observed []string
	require.NoError(t, pool.QueryRow(ctx, `select revision, observed_types from live.tasks`).Scan(&revision, &observed))
	require.Equal(t, 4, revision)
	require.Equal(t, []string{"C"}, observed)
}

func TestOneTaskIsFoldedAnewUnderARunningWriter(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(10, 99))
	r := NewRunner(log, pool, blobs, Options{})
	start(t, r)
	stories := []*story{anything(rnd, blobs), anything(rnd, blobs)}
	reach(t, pool, write(t, log, stories...))
	want := rowsOf(t, pool, "rm_1")
	id := stories[0].id
	// What a defect may have left: wrong rows, rows that are missing.
	_, err := pool.Exec(ctx, `update rm_1.tasks set phase = 'WRONG' where task_id = $1`, id.String())
	require.NoError(t, err)
	_, err = pool.Exec(ctx, `delete from rm_1.sub_tasks where task_id = $1`, id.String())
	require.NoError(t, err)
	require.NotEqual(t, want, rowsOf(t, pool, "rm_1"))
	registry := NewRegistry(pool, log, blobs)
	change, err := registry.RebuildTask(ctx, id)
	require.NoError(t, err)
	require.Equal(t, []any{Model(1), Live, true}, []any{change.Model, change.State, change.Changed})
	require.Equal(t, want, rowsOf(t, pool, "rm_1"))

	// What only the read model still knows stays: a report may be gone.
	_, err = NewRegistry(pool, log, newMemoryBlobs()).RebuildTask(ctx, id)
	require.NoError(t, err)
	require.Equal(t, want, rowsOf(t, pool, "rm_1"))

	// The writer goes on with what stands there now.
	more := newStory()
	more.id = id
	more.tell(task.MainTaskCancelled{TaskID: id.String(), Reason: "enough"})
	at, err := log.Append(ctx, more.stream(), eventstore.Any(), more.events(t)...)
	require.NoError(t, err)
	reach(t, pool, at.Position)
	requireFolded(t, pool, everything(t, log))

	_, err = registry.RebuildTask(ctx, eventstore.ID{1})
	require.Equal(t, "task.unknown", domain.RuleOf(err))

	blobs.setAway(true)
	if _, err := registry.RebuildTask(ctx, id); err != nil {
		require.ErrorContains(t, err, "the blob store is away")
	}
	requireFolded(t, pool, everything(t, log))
}

// A wish that comes while the log is away says so.
func TestASwitchWithoutTheLogIsRefused(t *testing.T) {
	pool := database(t)
	require.NoError(t, Install(context.Background(), pool))
	_, err := NewRegistry(pool, awayLog{}, nil).Promote(context.Background(), 1, false)
	require.Equal(t, "eventstore.unavailable", domain.RuleOf(err))
}

type awayLog struct{ eventstore.Reader }

func (awayLog) Head(context.Context) (eventstore.Position, error) {
	return 0, &eventstore.UnavailableError{Op: "head", Err: errors.New("away")}
}

// In a shared event store others' events stand between what two read models have
// read. None of it is lacking, and the position that readers see does not go back.
func TestWhatOthersWriteHoldsUpNoSwitch(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(12, 99))
	start(t, NewRunner(log, pool, blobs, Options{}))
	noise := func(n int) (at eventstore.Appended) {
		var events []eventstore.Event
		for range n {
			id := newStory().id
			events = append(events, eventstore.Event{ID: id, Type: "OrderPlaced", Data: []byte("{}"), Metadata: []byte("{}")})
		}
		at, err := log.Append(ctx, eventstore.StreamID{Category: "order", Key: "1"}, eventstore.Any(), events...)
		require.NoError(t, err)
		return at
	}
	noise(3000)
	read := write(t, log, anything(rnd, blobs))
	reach(t, pool, read)
	noise(3000)
	last := noise(20)
	require.Eventually(t, func() bool { return positionIn(t, pool, 1) > int64(read) }, patience, time.Millisecond, "it is written down how far others' events were passed")
	registry := NewRegistry(pool, log, blobs)
	_, err := registry.Rebuild(ctx, Rebuild{Reason: "test"})
	require.NoError(t, err)
	start(t, NewRunner(log, pool, blobs, Options{Model: 2}))
	_, err = registry.Promote(ctx, 2, false)
	require.NoError(t, err)
	require.GreaterOrEqual(t, positionIn(t, pool, 2), int64(last.Position))

	last = noise(20)
	back, err := registry.Rollback(ctx, 2, false)
	require.NoError(t, err)
	require.Equal(t, []any{Model(1), true}, []any{back.Model, back.Changed})
	require.GreaterOrEqual(t, positionIn(t, pool, 1), int64(last.Position))
	reach(t, pool, write(t, log, anything(rnd, blobs)))
	requireFolded(t, pool, everything(t, log))
}
