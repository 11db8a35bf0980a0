package projections

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/domain/trend"
	"github.com/factgate/factgate/eventstore"
)

// verifyAll asks for all pages, of any size.
func verifyAll(t testing.TB, r *Registry, rnd *rand.Rand, ask Verification) (found []Difference, tasks int) {
	t.Helper()
	progress, seen := 0.0, map[Stage]bool{}
	for {
		ask.First = 1 + rnd.IntN(MaxVerifyPage)
		if rnd.IntN(5) == 0 {
			ask.First = 10 + rnd.IntN(40)
		}
		page, err := r.Verify(context.Background(), ask)
		require.NoError(t, err)
		require.GreaterOrEqual(t, page.Progress, progress)
		progress = page.Progress
		found, tasks = append(found, page.Differences...), tasks+page.Tasks
		require.Zero(t, page.Unnamed)
		seen[page.Stage] = true
		if page.Next == "" {
			require.InDelta(t, 1, progress, 0)
			if ask.Task == nil {
				require.Len(t, seen, len(stages))
			}
			return found, tasks
		}
		ask.After = page.Next
	}
}

// told appends what scanners say to a real log.
func told(t testing.TB, log eventstore.Appender, l scannerLog) (last eventstore.Position) {
	t.Helper()
	for _, r := range l {
		r.ID, r.Metadata = eventstore.ID(uuid.New()), []byte("{}")
		at, err := log.Append(context.Background(), r.Stream, eventstore.Any(), r.Event)
		require.NoError(t, err)
		last = at.Position
	}
	return last
}

// sayings are what scanners say of themselves: SQL and EXCEL without signs of life,
// BEAT with nothing but them.
func sayings(t testing.TB, rnd *rand.Rand) (l scannerLog) {
	for range 30 {
		name, instance := []string{"SQL", "EXCEL"}[rnd.IntN(2)], []string{"i1", "i2", "i\x00"}[rnd.IntN(3)]
		switch rnd.IntN(5) {
		case 0, 1:
			l.say(scanner.OnlineType, name, instance)
		case 2:
			l.say(scanner.OfflineType, name, instance)
		case 3:
			l.say(scanner.HeartbeatType, "BEAT", instance)
		case 4:
			l.roster(t, scanner.ScannerEnlisted{Type: []string{"SQL", "LISTED"}[rnd.IntN(2)]})
		}
	}
	l.say(scanner.OnlineType, "SQL", "i1")
	l.say(scanner.OnlineType, "UNLISTED", "i1")
	l.roster(t, scanner.ScannerEnlisted{Type: "LISTED"})
	l.roster(t, scanner.ScannerRetired{Type: "LISTED", By: "a\x00", Reason: "old"})
	return l
}

// spoil changes a field of one row, drops a row, or invents one, and says what a
// verification has to name. ok is false when the table has no such thing.
func spoil(t testing.TB, rnd *rand.Rand, pool *pgxpool.Pool, schema, name string) (want Difference, ok bool) {
	t.Helper()
	ctx := context.Background()
	rows, err := pool.Query(ctx, `select column_name::text, data_type::text from information_schema.columns where table_schema = $1 and table_name = $2 order by 1`, schema, name)
	require.NoError(t, err)
	kinds := map[string]string{}
	var columns []string
	var column, kind string
	_, err = pgx.ForEachRow(rows, []any{&column, &kind}, func() error {
		kinds[column] = kind
		columns = append(columns, column)
		return nil
	})
	require.NoError(t, err)
	rows, err = pool.Query(ctx, `select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
		where i.indrelid = ($1 || '.' || $2)::regclass and i.indisprimary`, schema, name)
	require.NoError(t, err)
	key, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)

	where := "true"
	if name == "scanner_instances" { // what only signs of life say is as it is
		where = "type <> 'BEAT'"
	}
	var place string
	taskID := "null::text"
	if kinds["task_id"] != "" {
		taskID = "task_id::text"
	}
	var whose *string
	err = pool.QueryRow(ctx, fmt.Sprintf(`select ctid::text, %s from %s.%s where %s order by md5(ctid::text || $1) limit 1`, taskID, schema, name, where), fmt.Sprint(rnd.Int())).Scan(&place, &whose)
	if err == pgx.ErrNoRows {
		return want, false
	}
	require.NoError(t, err)
	want = Difference{Table: name}
	if whose != nil {
		want.Task, err = eventstore.ParseID(*whose)
		require.NoError(t, err)
	}
	changed := func(column string) string {
		return map[string]string{
			"text": column + ` || 'x'`, "bigint": `coalesce(` + column + `, 0) + 1`, "integer": column + ` + 1`, "smallint": column + ` + 1000`, "boolean": `not ` + column,
			"timestamp with time zone": `coalesce(` + column + `, now()) + interval '1 second'`, "uuid": `gen_random_uuid()`,
			"json": `'{"wrong":true}'`, "ARRAY": column + ` || '{wrong}'::text[]`,
		}[kinds[column]]
	}
	switch rnd.IntN(4) {
	case 0:
		want.Kind = RowMissing
		_, err = pool.Exec(ctx, fmt.Sprintf(`delete from %s.%s where ctid = $1::text::tid`, schema, name), place)
	case 1:
		want.Kind = RowUnknown
		column := key[rnd.IntN(len(key))]
		var list []string
		for _, c := range columns {
			if c == column {
				c = changed(column)
				if kinds[column] == "integer" || kinds[column] == "bigint" {
					c = column + " + 10000"
				}
			}
			list = append(list, c)
		}
		if column == "task_id" || taskID == "null::text" {
			taskID = "null::text"
			if column == "task_id" {
				taskID = "task_id::text"
			}
		}
		err = pool.QueryRow(ctx, fmt.Sprintf(`insert into %[1]s.%[2]s (%[3]s) select %[4]s from %[1]s.%[2]s where ctid = $1::text::tid returning %[5]s`,
			schema, name, strings.Join(columns, ", "), strings.Join(list, ", "), taskID), place).Scan(&whose)
		if whose != nil {
			want.Task, _ = eventstore.ParseID(*whose)
		}
	default:
		want.Kind = FieldDiffers
		for want.Field == "" {
			want.Field = columns[rnd.IntN(len(columns))]
			if want.Field == "heard_at" && name == "scanner_instances" || want.Field == "task_id" {
				want.Field = ""
			}
			for _, k := range key {
				if want.Field == k {
					want.Field = ""
				}
			}
			if want.Field == "findings" { // null where nobody could say
				var n int
				require.NoError(t, pool.QueryRow(ctx, fmt.Sprintf(`select count(findings) from %s.%s where ctid = $1::text::tid`, schema, name), place).Scan(&n))
				if n == 0 {
					want.Field = ""
				}
			}
		}
		value := changed(want.Field)
		if kinds[want.Field] == "text" {
			value = "coalesce(" + want.Field + ", '') || 'x'"
		}
		if kinds[want.Field] == "ARRAY" {
			value = "coalesce(" + want.Field + ", '{}') || '{wrong}'::text[]"
		}
		_, err = pool.Exec(ctx, fmt.Sprintf(`update %s.%s set %s = %s where ctid = $1::text::tid`, schema, name, want.Field, value), place)
	}
	require.NoError(t, err)
	return want, true
}

// brief leaves out of differences what chance chose.
func brief(list []Difference) (out []string) {
	for _, d := range list {
		out = append(out, fmt.Sprint(d.Kind, " ", d.Task, " ", d.Table, " ", d.Field))
	}
	return out
}

func TestAVerificationNamesWhatIsWrongAndARepairMendsIt(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(21, 21))
	book, shadow := commands.NewRuleBook(log), rules.Default().Ref()
	p := NewProjector(log, pool, blobs, Options{MaxEvents: 1 + rnd.IntN(30), RuleSets: book})
	project(t, p)
	registry := NewRegistry(pool, log, blobs).WithRuleSets(book)
	told(t, log, sayings(t, rnd))
	someHistory := func() *story {
		s := anything(rnd, blobs)
		for i, f := range s.facts {
			if c, ok := f.(task.MainTaskCreated); ok && rnd.IntN(2) == 0 {
				c.Shadow = &shadow
				s.facts[i] = c
			}
		}
		return s
	}
	for range 25 {
		write(t, log, someHistory())
	}
	// A fact that is skipped, and a stranger's stream.
	odd := newStory()
	odd.tell(upload(odd, "p"), created(odd))
	write(t, log, odd)
	_, err := log.Append(ctx, odd.stream(), eventstore.Any(), eventstore.Event{ID: eventstore.ID(uuid.New()), Type: "SubTaskPaused", Data: []byte("{}"), Metadata: []byte("{}")})
	require.NoError(t, err)
	_, err = log.Append(ctx, eventstore.StreamID{Category: task.Category, Key: "mine"}, eventstore.Any(), eventstore.Event{ID: eventstore.ID(uuid.New()), Type: "X", Data: []byte("{}"), Metadata: []byte("{}")})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.Status()[1].Halted != nil }, patience, time.Millisecond)
	passBy(t, log, p.Status()[1].Halted)
	var last eventstore.Position
	for range 25 {
		last = write(t, log, someHistory())
	}
	_, err = registry.Rebuild(ctx, Rebuild{Reason: "test", Promote: true})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return positionIn(t, pool, 1) >= int64(last) && inService(t, pool) == 2 && positionIn(t, pool, 2) >= int64(last)
	}, patience, 5*time.Millisecond)

	for _, m := range []Model{0, 1, 2} { // incremental and rebuilt
		found, tasks := verifyAll(t, registry, rnd, Verification{Model: m})
		require.Empty(t, found, "read model %d", m)
		require.Equal(t, 51, tasks)
	}
	require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, "rm_2"), "looking changes nothing")

	want := rowsOf(t, pool, "rm_2")
	rows, err := pool.Query(ctx, `select table_name from information_schema.tables where table_schema = 'rm_2' and table_name <> 'checkpoint' order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	spoilt := map[string]int{}
	for round := range 2 {
		for _, name := range tables {
			wrong, ok := spoil(t, rnd, pool, "rm_2", name)
			require.True(t, ok, "no row in %s", name)
			spoilt[string(wrong.Kind)]++
			was := rowsOf(t, pool, "rm_2")
			found, _ := verifyAll(t, registry, rnd, Verification{})
			require.Equal(t, brief([]Difference{wrong}), brief(found), "round %d, %s", round, name)
			require.Equal(t, was, rowsOf(t, pool, "rm_2"), "only a repair writes")
			if wrong.Task != (eventstore.ID{}) && round == 0 {
				alone, _ := verifyAll(t, registry, rnd, Verification{Task: &wrong.Task})
				require.Equal(t, brief(found), brief(alone))
			}
			found, _ = verifyAll(t, registry, rnd, Verification{Repair: true})
			require.Equal(t, brief([]Difference{wrong}), brief(found))
			require.True(t, found[0].Repaired, "%+v", found[0])
			require.Equal(t, want, rowsOf(t, pool, "rm_2"), "%s: %+v", name, found[0])
		}
	}
	require.Greater(t, len(spoilt), 1)
	found, _ := verifyAll(t, registry, rnd, Verification{})
	require.Empty(t, found)

	// The writer goes on with what stands there.
	last = write(t, log, anything(rnd, blobs))
	require.Eventually(t, func() bool { return positionIn(t, pool, 1) >= int64(last) && positionIn(t, pool, 2) >= int64(last) }, patience, 5*time.Millisecond)
	require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, "rm_2"))

	// A row that says it is another task's is one too many there and missing here.
	_, err = pool.Exec(ctx, `update rm_2.skips set task_id = gen_random_uuid()`)
	require.NoError(t, err)
	found, _ = verifyAll(t, registry, rnd, Verification{})
	require.ElementsMatch(t, []DifferenceKind{RowMissing, RowUnknown}, []DifferenceKind{found[0].Kind, found[1].Kind})
	verifyAll(t, registry, rnd, Verification{Repair: true})
	require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, "rm_2"))

	// A task and a type of which nothing is left are found by the log.
	for _, name := range tables {
		_, err := pool.Exec(ctx, fmt.Sprintf(`delete from rm_2.%s t where strpos(to_json(t)::text, $1) > 0 or to_json(t)::text ~ '^{"type":"(UN)?LISTED"'`, name),
			fmt.Sprintf(`"task_id":%q`, odd.id))
		require.NoError(t, err)
	}
	found, _ = verifyAll(t, registry, rnd, Verification{})
	missing := map[string]int{}
	for _, d := range found {
		require.Equal(t, RowMissing, d.Kind)
		if d.Task == odd.id {
			missing[d.Table]++
		} else {
			missing[d.Key]++
		}
	}
	require.Equal(t, 1, missing["tasks"])
	require.Equal(t, 1, missing["skips"])
	require.Equal(t, []int{1, 1, 1}, []int{missing["type=LISTED"], missing["type=UNLISTED"], missing["type=UNLISTED instance=i1"]})
	verifyAll(t, registry, rnd, Verification{Repair: true})
	require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, "rm_2"))

	for _, ask := range []struct {
		Verification
		rule string
	}{
		{Verification{Model: 9}, "readmodel.unknown"}, {Verification{First: MaxVerifyPage + 1}, "page.size"}, {Verification{After: "x"}, "cursor.invalid"},
		{Verification{Task: &eventstore.ID{1}}, "task.unknown"}, {Verification{Model: 1, After: verifyCursor{Model: 2, Stage: StageLog, End: 1}.String()}, "cursor.invalid"},
	} {
		_, err := registry.Verify(ctx, ask.Verification)
		require.Equal(t, ask.rule, domain.RuleOf(err), "%+v", ask)
	}
}

// A read model that moves under the verification is not wrong for that.
func TestAVerificationUnderLoadFindsNothing(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	rnd := rand.New(rand.NewPCG(31, 31))
	start(t, NewRunner(log, pool, blobs, Options{MaxEvents: 20}))
	reach(t, pool, write(t, log, anything(rnd, blobs)))
	told(t, log, sayings(t, rnd))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rnd := rand.New(rand.NewPCG(32, 32))
		for ctx.Err() == nil { // facts of several tasks, one by one, so that all are met half told
			var open []*story
			for range 4 {
				open = append(open, anything(rnd, blobs))
			}
			for i := 0; ctx.Err() == nil; i++ {
				left := false
				for _, s := range open {
					if events := s.events(t); i < len(events) {
						left = true
						if _, err := log.Append(context.Background(), s.stream(), eventstore.Any(), events[i]); err != nil {
							t.Error(err)
							return
						}
					}
				}
				if !left {
					break
				}
			}
		}
	}()
	defer func() { stop(); <-ended }()
	registry := NewRegistry(pool, log, blobs)
	before, tasks := positionIn(t, pool, 1), 0
	for range 6 {
		found, n := verifyAll(t, registry, rnd, Verification{Repair: rnd.IntN(2) == 0})
		require.Empty(t, found)
		tasks += n
	}
	require.Greater(t, positionIn(t, pool, 1), before, "it moved")
	require.Greater(t, tasks, 6)
	stop()
	<-ended
	// The same check under the same load does find what is wrong.
	_, err := pool.Exec(context.Background(), `update rm_1.tasks set project = 'wrong' where first_position = (select min(first_position) from rm_1.tasks)`)
	require.NoError(t, err)
	found, _ := verifyAll(t, registry, rnd, Verification{})
	require.Len(t, found, 1)
	require.Equal(t, []string{"tasks", "project", `"wrong"`}, []string{found[0].Table, found[0].Field, found[0].Stored})
}

// Scan reports are not kept for ever: what is gone with them is no difference, and a
// repair of something else leaves it alone.
func TestWhatRetentionTakesIsNoDifference(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	start(t, NewRunner(log, pool, blobs, Options{}))
	rnd := rand.New(rand.NewPCG(41, 41))
	tell := func() (*story, *task.Blob) {
		s := newStory()
		id := s.id.String()
		stored := blobs.report(id, "SQL", 1, 4)
		s.tell(upload(s, "p"), created(s), task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1, Scanner: task.Scanner{RulesDigest: "r", ConfigDigest: "c"}},
			task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 1, Result: task.Pass, Report: stored}, task.MainTaskConverged{TaskID: id, Revision: 1})
		reach(t, pool, write(t, log, s))
		return s, stored
	}
	tell()
	_, err := Prune(ctx, pool, time.Now().Add(time.Hour), 0)
	require.NoError(t, err)
	gone, report := tell()
	blobs.mu.Lock()
	content := blobs.blobs[report.Key]
	delete(blobs.blobs, report.Key) // findings are stored, the report is not any more
	blobs.mu.Unlock()
	late, lost := tell()
	_, err = pool.Exec(ctx, `delete from rm_1.findings where task_id = $1`, late.id.String())
	require.NoError(t, err)
	_, err = pool.Exec(ctx, `update rm_1.sub_tasks set report_state = 'MISSING' where task_id = $1`, late.id.String())
	require.NoError(t, err)
	_, err = pool.Exec(ctx, `update rm_1.outcomes set findings = null where task_id = $1`, late.id.String())
	require.NoError(t, err)
	require.NotEqual(t, report.Key, lost.Key)
	found, tasks := verifyAll(t, NewRegistry(pool, log, blobs), rnd, Verification{})
	require.Equal(t, 3, tasks)
	for _, d := range found { // the outcome that the test took away counted for it
		require.Equal(t, "flaky", d.Table, "%+v", d)
	}
	want := rowsOf(t, pool, "rm_1")
	_, err = pool.Exec(ctx, `update rm_1.tasks set project = 'wrong'`)
	require.NoError(t, err)
	registry := NewRegistry(pool, log, blobs)
	page, err := registry.Verify(ctx, Verification{Repair: true})
	require.NoError(t, err)
	require.Len(t, page.Differences, 3)
	require.Equal(t, want, rowsOf(t, pool, "rm_1"))

	// Findings where none may be are one.
	_, err = pool.Exec(ctx, `update rm_1.sub_tasks set report_state = 'EXPIRED' where task_id = $1`, gone.id.String())
	require.NoError(t, err)
	page, err = registry.Verify(ctx, Verification{Task: &gone.id})
	require.NoError(t, err)
	require.Len(t, page.Differences, 4)
	require.Equal(t, []any{RowUnknown, "findings"}, []any{page.Differences[0].Kind, page.Differences[0].Table})
	require.NotEmpty(t, content)
}

func FuzzVerifyCursor(f *testing.F) {
	f.Add(verifyCursor{Model: 1, Stage: StageTasks, After: uuid.NewString(), End: 7, Done: 1, Total: 2}.String())
	f.Add(verifyCursor{Model: 1, Stage: StageRollups, After: "2026-01-02T03:15:00Z", End: 7}.String())
	f.Add("e30")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseVerifyCursor(s)
		if err != nil {
			require.Equal(t, "cursor.invalid", domain.RuleOf(err))
			return
		}
		p := c.progress()
		require.True(t, p >= 0 && p <= 1)
		again, err := parseVerifyCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

// What a task counts for is told from its rows as from its facts, whatever happened to it.
func TestRowsCountForWhatTheFactsCountFor(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(77, 1))
	blobs := newMemoryBlobs()
	var stories []*story
	for range 300 {
		s := anything(rnd, blobs)
		if rnd.IntN(10) == 0 {
			s.facts = s.facts[1:] // no upload
		}
		for i := range s.facts {
			switch f := s.facts[i].(type) {
			case task.MainTaskConverged:
				if rnd.IntN(3) == 0 {
					f.Status = "MADE_UP"
				}
				f.Revision = rnd.IntN(3)
				s.facts[i] = f
			case task.SubTaskFailed:
				f.Parked, f.DurationMS = f.Parked || rnd.IntN(4) == 0, rnd.Int64N(1000)-10
				f.Kind = []task.FailureKind{task.Check, task.Error, "", "MADE_UP"}[rnd.IntN(4)]
				s.facts[i] = f
			case task.MainTaskCreated:
				f.Known = [][]string{nil, {}, {"SQL", "EXCEL", "SQL", "QUIET"}, {"UNIT_TEST\x00", "MADE-UP", noise(300)}}[rnd.IntN(4)]
				s.facts[i] = f
			}
		}
		if rnd.IntN(5) == 0 {
			s.tell(task.MainTaskCancelled{TaskID: s.id.String(), Reason: "no"})
		}
		stories = append(stories, s)
	}
	events := recorded(t, rnd, stories)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range events {
		at = at.Add(time.Duration(1+rnd.Int64N(1e6)) * time.Microsecond)
		if events[i].At = at; events[i].Type == "WindowClosed" { // it is recorded later than it was
			f, err := task.Decode(events[i].Type, events[i].Data)
			require.NoError(t, err)
			closed := f.(task.WindowClosed)
			closed.ClosedAt = at.Add(-time.Duration(rnd.Int64N(600)) * time.Second)
			_, events[i].Data, err = task.Encode(closed)
			require.NoError(t, err)
		}
	}
	pool := database(t)
	w := newWriter(t, pool, blobs, events...)
	for rest := events; len(rest) > 0; {
		n := min(len(rest), 1+rnd.IntN(400))
		require.NoError(t, w.take(ctx, rest[:n], rest[n-1].Position))
		rest = rest[n:]
	}
	want, different := folded(t, events), map[trend.Key]bool{}
	r := NewRegistry(pool, openLog(t), blobs)
	require.NoError(t, r.look(ctx, &verifyCursor{Model: 1}, func(l *look) error {
		for _, s := range stories {
			n := 0
			require.NoError(t, l.storedTasks(ctx, `task_id = $1`, func(stored task.State) {
				n++
				require.Equal(t, trend.Of(want[s.id.String()]), trend.Of(stored), "%+v", s.facts)
				for k := range trend.Of(stored) {
					different[trend.Key{Measure: k.Measure, Outcome: k.Outcome}] = true
				}
			}, pgUUID(s.id)))
			require.Equal(t, min(1, len(s.facts)), n)
		}
		return nil
	}))
	require.Len(t, different, 5+2+1+6+1+1+1, "all there is was counted: %v", different)
}

// Some rows do not say what the facts count for. The streams do, and nothing is wrong.
func TestWhereRowsCountForSomethingElseTheStreamsAreAsked(t *testing.T) {
	ctx := context.Background()
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	early, mute := newStory(), newStory()
	early.tell(upload(early, "p"), created(early), // closed before its time, as clocks go: SQL was silent then
		task.WindowClosed{TaskID: early.id.String(), Cause: task.Deadline, ClosedAt: time.Now().Add(time.Hour)},
		task.SubTaskStarted{TaskID: early.id.String(), Type: "SQL", Attempt: 1})
	mute.tell(upload(mute, "p"), created(mute), task.MainTaskConverged{TaskID: mute.id.String(), Revision: 1}) // no status is a bad one
	last := write(t, log, early, mute)
	start(t, NewRunner(log, pool, blobs, Options{}))
	reach(t, pool, last)
	want := folded(t, everything(t, log))
	registry := NewRegistry(pool, log, blobs)
	require.NoError(t, registry.look(ctx, &verifyCursor{Model: 1}, func(l *look) error {
		for _, s := range []*story{early, mute} {
			require.NoError(t, l.storedTasks(ctx, `task_id = $1`, func(stored task.State) {
				require.NotEqual(t, trend.Of(want[s.id.String()]), trend.Of(stored))
			}, pgUUID(s.id)))
		}
		return nil
	}))
	found, _ := verifyAll(t, registry, rand.New(rand.NewPCG(1, 1)), Verification{})
	require.Empty(t, found)
	_, err := pool.Exec(ctx, `update rm_1.rollups set n = n + 1 where measure = 'SILENT' and type = 'SQL'`)
	require.NoError(t, err)
	found, _ = verifyAll(t, registry, rand.New(rand.NewPCG(1, 1)), Verification{})
	require.Len(t, found, 1)
	require.Equal(t, "rollups", found[0].Table)
}
