package projections

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/domain/trend"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/queries"
)

// spread gives the events of a log times over many months, with jumps.
func spread(rnd *rand.Rand, events []eventstore.Recorded) {
	at := time.Date(2025, 9, 20, 0, 0, 0, 0, time.UTC)
	for i := range events {
		at = at.Add(time.Duration(rnd.Int64N(1 << (20 + rnd.IntN(26))))) // up to 20 h
		events[i].At = at
	}
}

// tally is what a person with a pencil would count for a unit of time.
type tally struct {
	all, success, partial, failed, cancelled, open, late, timedOut, windows int
	verdict                                                                 []int64
	types                                                                   map[string]*typeTally
}

type typeTally struct {
	pass, warned, failed, errored, running, declined, known, silent, dead int
	durations                                                             []int64
}

func (t *tally) of(name string) *typeTally {
	if t.types == nil {
		t.types = map[string]*typeTally{}
	}
	if t.types[name] == nil {
		t.types[name] = &typeTally{}
	}
	return t.types[name]
}

// refold counts from the log alone, task by task and fact by fact where the state
// does not say it.
func refold(t *testing.T, events []eventstore.Recorded, project string, label func(time.Time) string) map[string]*tally {
	t.Helper()
	out := map[string]*tally{}
	streams := map[string][]eventstore.Recorded{}
	for _, r := range events {
		streams[r.Stream.Key] = append(streams[r.Stream.Key], r)
	}
	for id, s := range folded(t, events) {
		if s.Uploaded == nil || project != "" && s.Uploaded.Project != project {
			continue
		}
		name := label(s.UploadedAt)
		if out[name] == nil {
			out[name] = &tally{}
		}
		c := out[name]
		c.all++
		var first time.Time
		heard := map[string]time.Time{} // first
		parked := map[string]bool{}
		isClosed := false
		var known []string
		for _, r := range streams[id] {
			f, err := task.Decode(r.Type, r.Data)
			require.NoError(t, err)
			switch f := f.(type) {
			case task.MainTaskCreated:
				known = f.Known
			case task.MainTaskConverged:
				if first.IsZero() {
					first = r.At
				}
			case task.WindowClosed:
				if !isClosed {
					isClosed = true
					c.windows++
					if f.Cause == task.Deadline {
						c.timedOut++
					}
					for _, k := range known {
						c.of(k).known++
						if heard[k].IsZero() || heard[k].After(f.ClosedAt) {
							c.of(k).silent++
						}
					}
				}
			case task.SubTaskFailed:
				if f.Parked && s.SubTasks[f.Type].DeadLetter > 0 {
					parked[f.Type] = true
				}
			}
			switch f.(type) {
			case task.SubTaskDeclined, task.SubTaskStarted, task.SubTaskCompleted, task.SubTaskFailed:
				if name, _ := about(f); heard[name].IsZero() {
					heard[name] = r.At
				}
			}
		}
		for name := range parked {
			c.of(name).dead++
		}
		switch {
		case s.Verdict == nil && s.Cancelled != nil:
			c.cancelled++
		case s.Verdict == nil:
			c.open++
		case s.Verdict.Status == task.Success:
			c.success++
		case s.Verdict.Status == task.PartialSuccess:
			c.partial++
		default:
			c.failed++
		}
		if !first.IsZero() {
			c.verdict = append(c.verdict, first.Sub(s.UploadedAt).Milliseconds())
		}
		c.late += s.Late
		for name, sub := range s.SubTasks {
			x := c.of(name)
			switch {
			case sub.State == task.StateRunning:
				x.running++
			case sub.State == task.StateCompleted && sub.Result == task.Pass:
				x.pass++
			case sub.State == task.StateCompleted:
				x.warned++
			case sub.Kind == task.Check:
				x.failed++
			default:
				x.errored++
			}
			if sub.State == task.StateCompleted || sub.State == task.StateFailed && sub.DurationMS > 0 {
				x.durations = append(x.durations, sub.DurationMS)
			}
		}
		for name := range s.Declined {
			c.of(name).declined++
		}
	}
	return out
}

func requireQuantiles(t *testing.T, exact []int64, h trend.Histogram) {
	t.Helper()
	require.EqualValues(t, len(exact), h.Count())
	if len(exact) == 0 {
		return
	}
	slices.Sort(exact)
	for _, q := range []float64{0.5, 0.95} {
		got, ok := h.Quantile(q)
		require.True(t, ok)
		want := float64(exact[int(math.Ceil(q*float64(len(exact))))-1])
		if want == 0 {
			require.Zero(t, got)
			continue
		}
		require.InDelta(t, 0, math.Log2(got/want), 0.25+1e-9)
	}
}

func requireTally(t *testing.T, c *tally, s *trend.Sum) {
	t.Helper()
	if c == nil {
		c = &tally{}
	}
	require.Equal(t, []int{c.all, c.success, c.partial, c.failed, c.cancelled, c.open, c.late, c.timedOut, c.windows},
		[]int{int(s.All()), int(s.Tasks("SUCCESS")), int(s.Tasks("PARTIAL_SUCCESS")), int(s.Tasks("FAILED")), int(s.Tasks(trend.TaskCancelled)),
			int(s.Tasks(trend.TaskOpen)), int(s.LateFacts()), int(s.TimedOut()), int(s.Windows())})
	requireQuantiles(t, c.verdict, s.TimeToVerdict())
	require.Len(t, s.Types(), len(c.types))
	for _, got := range s.Types() {
		x := c.types[got.Type]
		require.NotNil(t, x, got.Type)
		require.Equal(t, []int{x.pass, x.warned, x.failed, x.errored, x.running, x.declined, x.known, x.silent, x.dead},
			[]int{int(got.Of(trend.SubTaskPass)), int(got.Of(trend.SubTaskPassWithWarnings)), int(got.Of(trend.SubTaskFailed)), int(got.Of(trend.SubTaskErrored)),
				int(got.Of(trend.SubTaskRunning)), int(got.Of(trend.SubTaskDeclined)), int(got.Known), int(got.Silent), int(got.DeadLetters)}, got.Type)
		requireQuantiles(t, x.durations, got.Durations)
	}
}

// labelOf names a unit as anybody would, without what is tested.
func labelOf(unit trend.Unit, zone *time.Location) func(time.Time) string {
	return func(at time.Time) string {
		at = at.In(zone)
		switch unit {
		case trend.Hour:
			return at.Truncate(time.Minute).Format("2006-01-02T15 -07:00")
		case trend.Week:
			y, w := at.ISOWeek()
			return fmt.Sprintf("%d-W%02d", y, w)
		case trend.Month:
			return at.Format("2006-01")
		}
		return at.Format("2006-01-02")
	}
}

func TestTrendsAreTheFoldOfTheFacts(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(11, 12))
	blobs := newMemoryBlobs()
	var stories []*story
	for range 120 {
		s := anything(rnd, blobs)
		if rnd.IntN(8) == 0 {
			s.tell(task.MainTaskCancelled{TaskID: s.id.String(), Reason: "no"})
		}
		stories = append(stories, s)
	}
	events := recorded(t, rnd, stories)
	spread(rnd, events)
	pool := database(t)
	w := newWriter(t, pool, blobs)
	for rest := events; len(rest) > 0; {
		n := min(len(rest), 1+rnd.IntN(60))
		require.NoError(t, w.take(ctx, rest[:n], rest[n-1].Position))
		rest = rest[n:]
	}
	q := queries.New(pool, nil)
	from, to := events[0].At, events[len(events)-1].At.Add(time.Second)
	zones := []string{"UTC", "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Europe/Berlin", "America/Havana"}
	units := []trend.Unit{trend.Hour, trend.Day, trend.Week, trend.Month}
	counted := 0
	for range 40 {
		name, unit := zones[rnd.IntN(len(zones))], units[rnd.IntN(len(units))]
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		ask := queries.TrendsQuery{From: from, To: to, Unit: unit, Zone: name, Project: []string{"", "p0", "p1"}[rnd.IntN(3)]}
		if unit == trend.Hour { // a part of the whole
			ask.From = from.Add(time.Duration(rnd.Int64N(int64(to.Sub(from)))))
			ask.To = ask.From.Add(30 * 24 * time.Hour)
		}
		got, err := q.Trends(ctx, ask)
		require.NoError(t, err)
		label := labelOf(unit, zone)
		want := refold(t, events, ask.Project, label)
		sum := 0
		seen := map[string]bool{}
		for i := range got.Buckets {
			b := &got.Buckets[i]
			requireTally(t, want[label(b.Start)], &b.Sum)
			require.False(t, seen[label(b.Start)], "two buckets are one")
			seen[label(b.Start)] = true
			sum += int(b.All())
		}
		require.EqualValues(t, sum, got.Total.All())
		if unit != trend.Hour {
			for name := range want {
				require.True(t, seen[name], "%s is in no bucket", name)
			}
		}
		counted += sum
	}
	require.Positive(t, counted)
}

func requireNoEmptyCounters(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var n, bad int
	require.NoError(t, pool.QueryRow(context.Background(), `select count(*), count(*) filter (where n <= 0) from live.rollups`).Scan(&n, &bad))
	require.Positive(t, n)
	require.Zero(t, bad)
}

func TestWhatChangesIsTakenBackAndAddedAnew(t *testing.T) {
	ctx := context.Background()
	s := newStory()
	id := s.id.String()
	s.tell(upload(s, "p"), created(s),
		task.SubTaskDeclined{TaskID: id, Type: "SQL", Code: "DISABLED"},
		task.WindowClosed{TaskID: id, Cause: task.Settled, ClosedAt: created(s).Window.OpensAt.Add(150 * time.Minute)},
		task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: task.Verdict{Status: task.Failed}},
		task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1},
		task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 1, Result: task.Pass, DurationMS: 100},
		task.MainTaskConverged{TaskID: id, Revision: 2, Verdict: task.Verdict{Status: task.Success}})
	events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s})
	for i := range events {
		events[i].At = events[i].At.Add(time.Duration(i) * time.Hour) // each fact in another quarter
	}
	pool := database(t)
	w := newWriter(t, pool, newMemoryBlobs())
	q := queries.New(pool, nil)
	now := func() (sum trend.Sum) {
		got, err := q.Trends(ctx, queries.TrendsQuery{From: events[0].At, To: events[0].At.Add(1), Unit: trend.Hour})
		require.NoError(t, err)
		return got.Total
	}
	for _, e := range events[:5] {
		require.NoError(t, w.take(ctx, []eventstore.Recorded{e}, e.Position))
	}
	requireNoEmptyCounters(t, pool)
	before := now()
	require.EqualValues(t, 1, before.Tasks("FAILED"))
	require.EqualValues(t, 1, before.Types()[1].Of(trend.SubTaskDeclined))
	require.EqualValues(t, 1, before.Types()[0].Silent, "QUIET")
	require.EqualValues(t, 0, before.Types()[1].Silent, "it declined in time")
	for _, e := range events[5:] {
		require.NoError(t, w.take(ctx, []eventstore.Recorded{e}, e.Position))
	}
	requireNoEmptyCounters(t, pool)
	after := now()
	require.EqualValues(t, 1, after.All())
	require.EqualValues(t, 1, after.Tasks("SUCCESS"))
	require.EqualValues(t, 0, after.Tasks("FAILED"))
	require.EqualValues(t, 2, after.LateFacts())
	sql := after.Types()[1]
	require.Equal(t, []int64{1, 0, 0, 1}, []int64{sql.Of(trend.SubTaskPass), sql.Of(trend.SubTaskDeclined), sql.Silent, sql.Known})
	require.Equal(t, before.TimeToVerdict(), after.TimeToVerdict(), "that of the first verdict")
}

func TestAScanThatDiffersIsFlaky(t *testing.T) {
	ctx := context.Background()
	blobs := newMemoryBlobs()
	who := task.Scanner{RulesDigest: "r", ConfigDigest: "c"}
	findings := func(lines ...int) *task.Blob {
		var all []report.Finding
		for _, n := range lines {
			all = append(all, report.Finding{Rule: "R", Severity: report.Note, Line: n})
		}
		return blobs.of(t, all)
	}
	scan := func(project, sha, subTaskType string, who task.Scanner, end func(id string) []task.Fact) *story {
		s := newStory()
		up := upload(s, project)
		up.SHA256 = sha
		return s.tell(up, created(s), task.SubTaskStarted{TaskID: s.id.String(), Type: subTaskType, Attempt: 1, Scanner: who}).tell(end(s.id.String())...)
	}
	done := func(subTaskType string, result task.Result, counts report.Counts, found *task.Blob) func(string) []task.Fact {
		return func(id string) []task.Fact {
			return []task.Fact{task.SubTaskCompleted{TaskID: id, Type: subTaskType, Attempt: 1, Result: result, Summary: counts, Report: found}}
		}
	}
	stories := []*story{
		scan("p", "s1", "A", who, done("A", task.Pass, report.Counts{}, nil)),
		scan("q", "s1", "A", who, done("A", task.PassWithWarnings, report.Counts{}, nil)), // another result
		scan("p", "s1", "B", who, done("B", task.Pass, report.Counts{Note: 1}, nil)),
		scan("p", "s1", "B", who, done("B", task.Pass, report.Counts{Note: 2}, nil)), // other counts
		scan("p", "s1", "C", who, done("C", task.Pass, report.Counts{Note: 2}, findings(1, 2))),
		scan("p", "s1", "C", who, done("C", task.Pass, report.Counts{Note: 2}, findings(1, 3))), // other findings
		scan("p", "s1", "D", who, done("D", task.Pass, report.Counts{Note: 2}, findings(1, 2))),
		scan("p", "s1", "D", who, done("D", task.Pass, report.Counts{Note: 2}, findings(2, 1))),                           // another order
		scan("p", "s1", "D", who, done("D", task.Pass, report.Counts{Note: 2}, &task.Blob{Key: "expired"})),               // who knows
		scan("p", "s2", "D", who, done("D", task.PassWithWarnings, report.Counts{}, nil)),                                 // another package
		scan("p", "s1", "D", task.Scanner{RulesDigest: "r2", ConfigDigest: "c"}, done("D", "PASS", report.Counts{}, nil)), // other rules
		scan("p", "s1", "D", task.Scanner{RulesDigest: "r", ConfigDigest: "c2"}, done("D", "PASS", report.Counts{}, nil)), // another configuration
		scan("p", "s1", "E", task.Scanner{ConfigDigest: "c"}, done("E", task.Pass, report.Counts{}, nil)),                 // nobody knows which
		scan("p", "s1", "E", task.Scanner{ConfigDigest: "c"}, done("E", task.PassWithWarnings, report.Counts{}, nil)),     // rules
		scan("p", "s1", "F", who, func(id string) []task.Fact { // an attempt that failed for other reasons, and two that differ
			return []task.Fact{
				task.SubTaskFailed{TaskID: id, Type: "F", Attempt: 1, Kind: task.Error},
				task.SubTaskStarted{TaskID: id, Type: "F", Attempt: 2, Scanner: who},
				task.SubTaskFailed{TaskID: id, Type: "F", Attempt: 2, Kind: task.Check, Summary: &report.Counts{Error: 1}, Report: findings(7)},
				task.SubTaskFailed{TaskID: id, Type: "F", Attempt: 2, Kind: task.Check, Summary: &report.Counts{Error: 2}},
				task.SubTaskStarted{TaskID: id, Type: "F", Attempt: 3, Scanner: who},
				task.SubTaskFailed{TaskID: id, Type: "F", Attempt: 3, Kind: task.Check, Summary: &report.Counts{Error: 1}, Report: findings(8)},
			}
		}),
	}
	events := recorded(t, rand.New(rand.NewPCG(5, 5)), stories)
	dumps := map[string]bool{}
	for _, size := range []int{1, 7, len(events)} {
		pool := database(t)
		w := newWriter(t, pool, blobs)
		for rest := events; len(rest) > 0; {
			n := min(size, len(rest))
			require.NoError(t, w.take(ctx, rest[:n], rest[n-1].Position))
			rest = rest[n:]
		}
		dumps[dump(t, pool)] = true
		counted := dump(t, pool)
		recountAll(t, w)
		require.Equal(t, counted, dump(t, pool), "counted one by one and counted anew")
		q := queries.New(pool, nil)
		list, _, err := q.Flaky(ctx, queries.FlakyQuery{})
		require.NoError(t, err)
		found := map[string][]int64{}
		for _, f := range list {
			found[f.Type] = []int64{f.ScanCount, f.Different, int64(len(f.Scans))}
			require.Equal(t, []string{"s1", "r", "c"}, []string{f.SHA256, f.RulesDigest, f.ConfigDigest})
		}
		require.Equal(t, map[string][]int64{"A": {2, 2, 2}, "B": {2, 2, 2}, "C": {2, 2, 2}, "F": {2, 2, 2}}, found)

		list, _, err = q.Flaky(ctx, queries.FlakyQuery{Project: "q"})
		require.NoError(t, err)
		require.Len(t, list, 1)
		list, _, err = q.Flaky(ctx, queries.FlakyQuery{Type: "D"})
		require.NoError(t, err)
		require.Empty(t, list)
		of, _, err := q.FlakyOf(ctx, []queries.TaskID{stories[1].id, stories[6].id, stories[14].id})
		require.NoError(t, err)
		require.Len(t, of, 2)
		require.Equal(t, "A", of[stories[1].id][0].Type)
		require.Len(t, of[stories[14].id][0].Scans, 2)
	}
	require.Len(t, dumps, 1, "the same rows whatever the batches")
}

// recountAll makes all rows of flaky anew.
func recountAll(t *testing.T, w *writer) {
	t.Helper()
	var keys, types, sums, rules, confs any
	require.NoError(t, w.conn.QueryRow(context.Background(), `select array_agg(scan_key), array_agg(type), array_agg(sha256), array_agg(rules_digest), array_agg(config_digest)
		from flaky`).Scan(&keys, &types, &sums, &rules, &confs))
	tag, err := w.conn.Exec(context.Background(), recount, keys, types, sums, rules, confs)
	require.NoError(t, err)
	require.Positive(t, tag.RowsAffected())
}
