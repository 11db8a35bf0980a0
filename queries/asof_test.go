package queries_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

var everyPart = queries.With{SubTasks: true, Declines: true, Silent: true}

// past is a random history that is told fact by fact.
type past struct {
	id    queries.TaskID
	facts []task.Fact // what is still to be told
	told  int
}

// raw appends one fact under an id of its own: repetitions are told as well.
func (w *world) raw(p *past) eventstore.Position {
	w.t.Helper()
	name, data, err := task.Encode(p.facts[0])
	require.NoError(w.t, err)
	at, err := w.log.Append(w.t.Context(), eventstore.StreamID{Category: task.Category, Key: p.id.String()}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(p.id, fmt.Sprint(p.told)), Type: name, Data: data, Metadata: []byte("{}")})
	require.NoError(w.t, err)
	p.facts = p.facts[1:]
	p.told++
	return at.Position
}

// anything is whatever may stand in a stream: orderly at first, then late facts,
// repetitions, stale attempts, reports that are gone or not what they should be.
func anything(random *rand.Rand, reports []*task.Blob, known []string) *past {
	p := &past{id: given.NewTask()}
	id := p.id.String()
	up := given.Uploaded(p.id, []string{"a", "b\x00c", ""}[random.IntN(3)]).(task.ZipUploaded)
	up.RescanOf = []string{"", given.NewTask().String(), "no id"}[random.IntN(3)]
	opens := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	created := task.MainTaskCreated{TaskID: id, Known: known, Window: task.Window{OpensAt: opens, Deadline: opens.Add(10 * time.Minute), Quiet: task.Duration(time.Second)}}
	if random.IntN(8) > 0 {
		p.facts = append(p.facts, up)
	}
	if random.IntN(8) > 0 {
		p.facts = append(p.facts, created)
	}
	types := []string{"SQL", "EXCEL", "UNIT_TEST", "MADE-UP", `odd "\ type,`, "a\x00b"}
	var heard []string
	for range 4 + random.IntN(16) {
		name, attempt := types[random.IntN(len(types))], 1+random.IntN(3)
		by := task.Scanner{Name: name, Version: "1", Instance: "i\x00"}
		coverage := task.Coverage{Eligible: 3, Seen: random.IntN(4)}
		if random.IntN(2) == 0 {
			coverage.Degraded = []task.Degraded{{Path: "a\x00", Reason: "odd"}}
		}
		var f task.Fact
		switch random.IntN(13) {
		case 0, 1, 2:
			started := task.SubTaskStarted{TaskID: id, Type: name, Attempt: attempt, Scanner: by}
			if attempt > 1 {
				started.Reason, started.ReasonZH, started.Configuration = "files\x00", "文件", &task.Configuration{Project: "*", Digest: "d", By: "li\x00"}
			}
			f = started
		case 3:
			f = task.SubTaskDeclined{TaskID: id, Type: name, Code: "NO_MATCHING_FILES", Reason: "nothing\x00", ReasonZH: "没有", Scanner: by, Configuration: &task.Configuration{Project: "p", Digest: "d"}}
		case 4, 5:
			f = task.SubTaskCompleted{TaskID: id, Type: name, Attempt: attempt, Result: task.Pass, DurationMS: 7,
				Summary: report.Counts{Warning: random.IntN(5), Note: 1}, Report: reports[random.IntN(len(reports))], Coverage: coverage}
		case 6, 7:
			f = task.SubTaskFailed{TaskID: id, Type: name, Attempt: attempt, Kind: task.Check, Reason: "3 errors\x00", ReasonZH: "三",
				Summary: &report.Counts{Error: 3}, Report: reports[random.IntN(len(reports))]}
		case 8:
			f = task.SubTaskFailed{TaskID: id, Type: name, Attempt: attempt, Kind: task.Error, Reason: "gone", Parked: true, Coverage: &coverage}
		case 9:
			p.facts = append(p.facts, task.SubTaskRetryRequested{TaskID: id, Type: name, After: attempt})
			continue
		case 10:
			if len(heard) > 0 {
				p.facts = append(p.facts, task.SubTaskDiscarded{TaskID: id, Type: heard[random.IntN(len(heard))], Attempt: attempt, Reason: "no use"})
			}
			continue
		case 11:
			p.facts = append(p.facts, task.WindowClosed{TaskID: id, Cause: []task.Cause{task.Settled, task.Deadline}[random.IntN(2)], ClosedAt: opens.Add(time.Minute)},
				task.MainTaskConverged{TaskID: id, Revision: 1 + random.IntN(2), Verdict: task.Verdict{Status: task.Success, Observed: []string{"SQL"}, Because: report.Text{En: "so\x00", Zh: "因为"}}})
			continue
		case 12:
			if random.IntN(3) == 0 {
				p.facts = append(p.facts, task.MainTaskCancelled{TaskID: id, Reason: "wrong file\x00"}, created)
			}
			continue
		}
		heard = append(heard, name)
		p.facts = append(p.facts, f)
	}
	if len(p.facts) == 0 {
		p.facts = append(p.facts, up)
	}
	return p
}

// shown is a value field by field, times in UTC.
func shown(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	var tree any
	require.NoError(t, json.Unmarshal(text, &tree))
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case string:
			if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
				return at.UTC().Format(time.RFC3339Nano)
			}
		}
		return v
	}
	text, err = json.MarshalIndent(walk(tree), "", " ")
	require.NoError(t, err)
	return string(text)
}

// stood is what the live queries said of a task at one of its facts.
type stood struct {
	id       queries.TaskID
	revision int64
	task     string
	reports  map[string]queries.ReportState
	findings map[queries.FindingsQuery]string
}

var findingsAsked = []queries.FindingsQuery{
	{First: 200}, {First: 3}, {First: 4, Type: "SQL"}, {First: 200, Type: "a\x00b"}, {First: 2, Severity: report.Warning},
}

// live asks the read model.
func (w *world) live(id queries.TaskID) stood {
	w.t.Helper()
	now, _, err := w.queries.Task(w.t.Context(), id, everyPart)
	require.NoError(w.t, err)
	require.NotNil(w.t, now)
	s := stood{id: id, revision: now.Revision, task: shown(w.t, now), reports: map[string]queries.ReportState{}, findings: map[queries.FindingsQuery]string{}}
	for _, t := range now.SubTasks {
		s.reports[t.Type] = t.Report
	}
	for _, ask := range findingsAsked {
		pages, _, err := w.queries.Findings(w.t.Context(), []queries.TaskID{id}, ask)
		require.NoError(w.t, err)
		s.findings[ask] = shown(w.t, pages[id])
	}
	return s
}

// requireThen asks the stream and wants what the read model said.
func (w *world) requireThen(asking *queries.Queries, at queries.AsOf, want stood) {
	w.t.Helper()
	then, err := asking.TaskAsOf(w.t.Context(), want.id, at, everyPart)
	require.NoError(w.t, err)
	require.NotNil(w.t, then)
	require.NoError(w.t, asking.JudgeReports(w.t.Context(), then))
	require.Equal(w.t, want.task, shown(w.t, then))
	for _, ask := range findingsAsked {
		got, err := asking.FindingsAsOf(w.t.Context(), then, ask)
		refused := false
		for name, state := range want.reports {
			lost := state == queries.ReportMissing || state == queries.ReportDamaged
			refused = refused || lost && (ask.Type == "" || strings.ReplaceAll(ask.Type, "\x00", "\uFFFD") == name)
		}
		switch {
		case err != nil:
			require.True(w.t, refused, err)
			require.Contains(w.t, []string{"report.expired", "report.damaged"}, domain.RuleOf(err))
		case refused: // a page that was full before the report that is lost
			require.True(w.t, got.More)
			require.Equal(w.t, want.findings[ask], shown(w.t, got))
		default:
			require.Equal(w.t, want.findings[ask], shown(w.t, got))
		}
	}
}

// At every prefix of any history the stream says what the read model says that has
// folded as much, field by field; and it still does after the rest has happened.
func TestThePastIsWhatTheLiveQuerySaidThen(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(11, 12))
	wrong := []byte("no report")
	sum := sha256.Sum256(wrong)
	w.Keep("damaged", wrong)
	reports := []*task.Blob{nil, w.Report(1), w.Report(5), w.Report(9), {Key: "gone"}, {Key: "damaged", SHA256: hex.EncodeToString(sum[:])}}
	reports = append(reports, &task.Blob{Key: reports[1].Key}, &task.Blob{Key: reports[2].Key, SHA256: strings.Repeat("0", 64)}, reports[2], reports[3])
	asking := queries.New(nil, w.log).WithReports(w) // no database
	waiter := projections.NewWaiter(w.pool)

	online := []string{"SILENT", "SQL"} // before any window opens, and in all of them
	w.Scanner(online[0])
	w.Follow(w.Scanner(online[1]))
	var all []stood
	for round := range 2 {
		// Whoever recorded who was online when the window opened and whoever asks the
		// scanners' streams must agree while no scanner is new.
		var open []*past
		for range 12 {
			known := online
			if round == 1 {
				known = nil
			}
			open = append(open, anything(random, reports, known))
		}
		newScanners := []string{"EXCEL", "NEW", "NEWER"}
		for len(open) > 0 {
			i := random.IntN(len(open))
			p := open[i]
			if round == 1 && len(newScanners) > 0 && random.IntN(20) == 0 {
				w.Scanner(newScanners[0])
				newScanners = newScanners[1:]
			}
			at := w.raw(p)
			require.NoError(t, waiter.Wait(t.Context(), at, 20*time.Second))
			was := w.live(p.id)
			require.EqualValues(t, p.told-1, was.revision)
			w.requireThen(asking, queries.AsOf{Position: &at}, was)
			all = append(all, was)
			if len(p.facts) == 0 {
				open = slices.Delete(open, i, i+1)
			}
		}
	}
	lost := 0
	for _, was := range all {
		w.requireThen(asking, queries.AsOf{Revision: &was.revision}, was)
		for _, state := range was.reports {
			lost += map[queries.ReportState]int{queries.ReportDamaged: 1, queries.ReportMissing: 1}[state]
		}
	}
	t.Logf("%d prefixes, %d lost reports", len(all), lost)
	require.NotZero(t, lost)
}

func TestAMomentTakesInWhatWasRecordedByThen(t *testing.T) {
	w := newWorld(t)
	asking := queries.New(nil, w.log)
	id := given.NewTask()
	w.Follow(w.Tell(id, append([]task.Fact{given.Uploaded(id, "a"), given.Opened(id), task.SubTaskStarted{TaskID: id.String(), Type: "SQL", Attempt: 1}}, given.Closed(id, task.Failed)...)...))
	facts := w.facts(id)
	at := func(moment time.Time) *queries.Task {
		got, err := asking.TaskAsOf(t.Context(), id, queries.AsOf{Time: &moment}, everyPart)
		require.NoError(t, err)
		return got
	}
	for n, f := range facts {
		require.GreaterOrEqual(t, at(f.At).Revision, int64(n))
		if before := at(f.At.Add(-1)); before != nil {
			require.Less(t, before.Revision, int64(n))
		}
	}
	require.Nil(t, at(facts[0].At.Add(-time.Hour)))
	require.EqualValues(t, 4, at(time.Now().Add(time.Hour)).Revision)

	// The time that the read model gives for the last fact takes that fact in.
	now, _, err := w.queries.Task(t.Context(), id, queries.With{})
	require.NoError(t, err)
	require.EqualValues(t, 4, at(now.LastEventAt).Revision)

	// Positions work for explanations too; past the end is the newest.
	position := eventstore.Position(facts[2].Position)
	e, err := asking.Explain(t.Context(), id, queries.AsOf{Position: &position}, time.Now())
	require.Equal(t, "ruleset.unknown", domain.RuleOf(err))
	require.EqualValues(t, 2, e.Newest)
	position--
	then, err := asking.TaskAsOf(t.Context(), id, queries.AsOf{Position: &position}, queries.With{})
	require.NoError(t, err)
	require.EqualValues(t, 1, then.Revision)
	far := int64(1 << 31)
	then, err = asking.TaskAsOf(t.Context(), id, queries.AsOf{Revision: &far}, queries.With{})
	require.NoError(t, err)
	require.EqualValues(t, 4, then.Revision)
}

func TestAPastThatCannotBeToldSaysWhy(t *testing.T) {
	w := newWorld(t)
	asking := queries.New(nil, w.log)
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "a"), given.Opened(id), task.SubTaskCompleted{TaskID: id.String(), Type: "SQL", Attempt: 1, Result: task.Pass, Report: w.Report(3)})
	_, err := w.log.Append(t.Context(), eventstore.StreamID{Category: task.Category, Key: id.String()}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(id, "x"), Type: "SubTaskPaused", Data: []byte("{}"), Metadata: []byte("{}")})
	require.NoError(t, err)
	zero, two, three, below, now := int64(0), int64(2), int64(3), int64(-1), time.Now()
	for _, ask := range []struct {
		at   queries.AsOf
		with queries.With
		want string
	}{
		{want: "task.as_of"},
		{at: queries.AsOf{Revision: &zero, Time: &now}, want: "task.as_of"},
		{at: queries.AsOf{Revision: &below}, want: "task.as_of"},
		{at: queries.AsOf{Revision: &three}, want: "task.unreadable"},
		{at: queries.AsOf{Time: &now}, want: "task.unreadable"},
		{at: queries.AsOf{Revision: &zero}, with: queries.With{Rescans: true}, want: "rescans.not_in_stream"},
	} {
		_, err := asking.TaskAsOf(t.Context(), id, ask.at, ask.with)
		require.Equal(t, ask.want, domain.RuleOf(err))
	}
	then, err := asking.TaskAsOf(t.Context(), id, queries.AsOf{Revision: &two}, queries.With{SubTasks: true})
	require.NoError(t, err, "what came before can be told")
	require.Equal(t, 1, then.Reports(""))
	require.Zero(t, then.Reports("EXCEL"))
	require.Equal(t, "blobs.unavailable", domain.RuleOf(asking.JudgeReports(t.Context(), then)), "nobody reads reports here")
	_, err = asking.FindingsAsOf(t.Context(), then, queries.FindingsQuery{})
	require.Equal(t, "blobs.unavailable", domain.RuleOf(err))
	page, err := asking.WithReports(w).FindingsAsOf(t.Context(), then, queries.FindingsQuery{})
	require.NoError(t, err)
	require.Len(t, page.Findings, 3)
	_, err = asking.WithReports(w).FindingsAsOf(t.Context(), then, queries.FindingsQuery{First: queries.MaxPage + 1})
	require.Equal(t, "page.size", domain.RuleOf(err))
	_, err = asking.WithReports(w).FindingsAsOf(t.Context(), then, queries.FindingsQuery{After: "x"})
	require.Equal(t, "cursor.invalid", domain.RuleOf(err))

	none, err := asking.TaskAsOf(t.Context(), given.NewTask(), queries.AsOf{Revision: &zero}, queries.With{})
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestAStreamThatIsTooLongIsRefused(t *testing.T) {
	w := newWorld(t)
	id, zero := given.NewTask(), int64(0)
	q := queries.New(nil, w.log)
	require.Equal(t, 50_000, q.TakeAtMost(300))
	for n := range 301 {
		_, err := w.log.Append(t.Context(), eventstore.StreamID{Category: task.Category, Key: id.String()}, eventstore.Any(),
			eventstore.Event{ID: eventstore.DeriveID(id, fmt.Sprint(n)), Type: "MainTaskCancelled", Data: []byte("{}"), Metadata: []byte("{}")})
		require.NoError(t, err)
		if n == 299 {
			_, err = q.TaskAsOf(t.Context(), id, queries.AsOf{Revision: &zero}, queries.With{})
			require.NoError(t, err)
		}
	}
	_, err := q.TaskAsOf(t.Context(), id, queries.AsOf{Revision: &zero}, queries.With{})
	require.Equal(t, "task.too_long", domain.RuleOf(err))
}
