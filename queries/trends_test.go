package queries_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/domain/trend"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

// A trend under other rules counts what a dry run by brute force says, and leaves
// what scanners did as it was.
func TestTrendsUnderAnotherRuleSet(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(3, 4))
	var last eventstore.Position
	var ids []queries.TaskID
	for i := range 40 {
		var id queries.TaskID
		id, last = w.judged(random, []string{"a", "b"}[i%2], i%10 != 9)
		ids = append(ids, id)
	}
	w.Follow(last)
	now := time.Now().Add(2 * time.Hour)
	ask := queries.TrendsQuery{From: time.Now().Add(-25 * time.Hour), To: time.Now().Add(time.Hour), Unit: trend.Day, Zone: "Asia/Shanghai", Now: now}
	recorded, err := w.queries.Trends(t.Context(), ask)
	require.NoError(t, err)
	require.EqualValues(t, 40, recorded.Total.All())
	require.EqualValues(t, 4, recorded.Total.Tasks(trend.TaskOpen))
	for name, text := range map[string]string{
		"other rules":          fmt.Sprintf(stricter, "1m", "false"),
		"what nobody recorded": fmt.Sprintf(stricter, "1m", "silent > 0"),
	} {
		t.Run(name, func(t *testing.T) {
			rs, err := rules.Parse([]byte(text), 0)
			require.NoError(t, err)
			want := map[trend.Outcome]int64{}
			for _, id := range ids {
				facts := w.facts(id)
				if task.Fold(facts).Verdict == nil {
					want[trend.TaskOpen]++
				} else if _, no := rules.Undecidable(rs, facts); no {
					want[queries.Undecidable]++
				} else {
					want[trend.Outcome(rules.Replay(rs, facts, now).(rules.Closed).Verdict.Status)]++
				}
			}
			ask := ask
			ask.RuleSet = rs
			got, err := w.queries.Trends(t.Context(), ask)
			require.NoError(t, err)
			require.Len(t, got.Buckets, len(recorded.Buckets))
			for _, o := range []trend.Outcome{"SUCCESS", "PARTIAL_SUCCESS", "FAILED", trend.TaskOpen, queries.Undecidable} {
				require.Equal(t, want[o], got.Total.Tasks(o), o)
			}
			require.Equal(t, recorded.Total.Types(), got.Total.Types())
			for i := range got.Buckets {
				require.Equal(t, recorded.Buckets[i].All(), got.Buckets[i].All())
			}
			ask.Project, ask.Type = "a", "SQL"
			got, err = w.queries.Trends(t.Context(), ask)
			require.NoError(t, err)
			require.EqualValues(t, 20, got.Total.All())
			require.Len(t, got.Total.Types(), 1)
		})
	}
	for rule, change := range map[string]func(*queries.TrendsQuery){
		"trends.zone":             func(q *queries.TrendsQuery) { q.Zone = "Asia/Atlantis" },
		"trends.range":            func(q *queries.TrendsQuery) { q.To = q.From },
		"trends.unit":             func(q *queries.TrendsQuery) { q.Unit = "DECADE" },
		"trends.too_many_buckets": func(q *queries.TrendsQuery) { q.From = q.From.AddDate(-3, 0, 0) },
	} {
		ask := ask
		change(&ask)
		_, err := w.queries.Trends(t.Context(), ask)
		require.Equal(t, rule, domain.RuleOf(err))
	}
}

func TestMoreTasksThanCanBeJudgedAnewAreRefused(t *testing.T) {
	w := newWorld(t)
	w.Follow(w.Tell(given.NewTask(), given.Uploaded(given.NewTask(), "p")))
	_, err := w.pool.Exec(t.Context(), `insert into rm_1.tasks (task_id, first_position, phase, project, version, file_name, size, sha256, uploaded_by, uploaded_at,
		observed_types, last_event_at, errors, warnings, notes, late, revision, position, heard)
		select gen_random_uuid(), 1000000 + n, 'UPLOADED', 'p', '', '', 0, '', '', now(), '{}', now(), 0, 0, 0, 0, 0, 0, '{}' from generate_series(1, $1) n`, queries.MaxTrendTasks+1)
	require.NoError(t, err)
	_, err = w.queries.Trends(t.Context(), queries.TrendsQuery{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour), Unit: trend.Day, RuleSet: rules.Default()})
	require.Equal(t, "trends.too_many_tasks", domain.RuleOf(err))
}

func finding(rule, path string, line int) report.Finding {
	return report.Finding{Rule: rule, Severity: report.Error, Path: path, Line: line, Message: report.Text{En: "bad", Zh: "坏"}}
}

// version tells a whole task with one SQL report.
func (w *world) version(project string, stored *task.Blob, n int) (queries.TaskID, eventstore.Position) {
	w.t.Helper()
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, project), given.Opened(id), task.SubTaskStarted{Type: "SQL", Attempt: 1},
		task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: task.Pass, Report: stored, Summary: report.Counts{Error: n}})
	return id, w.Tell(id, given.Closed(id, task.Success)...)
}

func TestFindingsOfTwoVersionsAreCompared(t *testing.T) {
	w := newWorld(t)
	a, b, c, d := finding("R1", "a.sql", 1), finding("R1", "a.sql", 2), finding("R2", "b.sql", 3), finding("R3", "b.sql", 4)
	moved := func(f report.Finding) report.Finding { f.Line += 100; return f }
	hidden := moved(c)
	hidden.Suppressed = true
	first, _ := w.version("p", w.Report(0, a, b, c), 3)
	w.version("other", w.Report(0, d), 1)
	open := given.NewTask() // without a verdict: no version
	w.Tell(open, given.Uploaded(open, "p"), given.Opened(open))
	second, _ := w.version("p", w.Report(0, moved(a), hidden, d), 2)
	gone, _ := w.version("p", &task.Blob{Key: "expired"}, 1)
	third, last := w.version("p", w.Report(0, d), 7)
	w.Follow(last)

	got, err := w.queries.Compare(t.Context(), first, nil, 0)
	require.NoError(t, err)
	require.Nil(t, got.Previous)
	require.Empty(t, got.Types)

	got, err = w.queries.Compare(t.Context(), second, nil, 0)
	require.NoError(t, err)
	require.Equal(t, first, *got.Previous)
	require.Equal(t, []queries.ComparedType{{Type: "SQL", Before: queries.ReportRead, After: queries.ReportRead}}, got.Types)
	require.Equal(t, []int64{1, 1, 2}, []int64{got.Introduced, got.Fixed, got.Unchanged})
	require.Equal(t, "R3", got.NewFindings[0].Rule)
	require.Equal(t, []any{"R1", 2}, []any{got.FixedFindings[0].Rule, got.FixedFindings[0].Line})

	got, err = w.queries.Compare(t.Context(), third, nil, 0)
	require.NoError(t, err)
	require.Equal(t, gone, *got.Previous)
	require.False(t, got.Types[0].Compared())
	require.Equal(t, queries.ReportMissing, got.Types[0].Before)
	require.Zero(t, got.Introduced+got.Fixed+got.Unchanged, "nothing is fixed because its report is gone")

	got, err = w.queries.Compare(t.Context(), third, &first, 1)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 3, 0}, []int64{got.Introduced, got.Fixed, got.Unchanged})
	require.Len(t, got.FixedFindings, 1)
	require.True(t, got.Types[0].Cut, "7 were counted, 1 is in the report")

	unknown := given.NewTask()
	for _, err := range []error{
		failure(w.queries.Compare(t.Context(), unknown, nil, 0)),
		failure(w.queries.Compare(t.Context(), third, &unknown, 0)),
	} {
		require.Equal(t, "task.unknown", domain.RuleOf(err))
	}

	ages, err := w.queries.FindingAges(t.Context(), queries.FindingAgesQuery{Project: "p"})
	require.NoError(t, err)
	require.Equal(t, []int64{4, 1, 3}, []int64{ages.Versions, ages.Open, ages.Fixed})
	require.Len(t, ages.Findings, 1)
	require.Equal(t, []any{"R3", second, third, int64(2)}, []any{ages.Findings[0].Rule, ages.Findings[0].FirstTask, ages.Findings[0].LastTask, ages.Findings[0].Versions})
	require.Nil(t, ages.Findings[0].FixedAt)
	require.Positive(t, *ages.MedianFix)

	ages, err = w.queries.FindingAges(t.Context(), queries.FindingAgesQuery{Project: "p", Type: "SQL", Fixed: true})
	require.NoError(t, err)
	at := map[queries.TaskID]time.Time{}
	for _, id := range []queries.TaskID{first, second, third} {
		x, _, err := w.queries.Task(t.Context(), id, queries.With{})
		require.NoError(t, err)
		at[id] = *x.UploadedAt
	}
	seen := map[string][]time.Time{}
	for _, f := range ages.Findings {
		seen[fmt.Sprint(f.Rule, f.Line)] = []time.Time{f.FirstSeen, f.LastSeen, *f.FixedAt}
	}
	require.Equal(t, map[string][]time.Time{
		"R1101": {at[first], at[second], at[third]}, // the task whose report is gone says nothing
		"R2103": {at[first], at[second], at[third]},
		"R12":   {at[first], at[first], at[second]},
	}, seen)
	ages, err = w.queries.FindingAges(t.Context(), queries.FindingAgesQuery{Project: "nobody's"})
	require.NoError(t, err)
	require.Empty(t, ages.Findings)
	require.Nil(t, ages.MedianFix)

	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	top, _, err := w.queries.TopRules(t.Context(), queries.TopRulesQuery{From: from, To: to, Project: "p", Type: "SQL"})
	require.NoError(t, err)
	require.Equal(t, []queries.TopRule{{"SQL", "R1", 3, 2}, {"SQL", "R3", 2, 2}, {"SQL", "R2", 1, 1}}, top)
	top, _, err = w.queries.TopRules(t.Context(), queries.TopRulesQuery{From: from, To: to, First: 1})
	require.NoError(t, err)
	require.Equal(t, []queries.TopRule{{"SQL", "R1", 3, 2}}, top)
	_, _, err = w.queries.TopRules(t.Context(), queries.TopRulesQuery{From: from.AddDate(-2, 0, 0), To: to})
	require.Equal(t, "trends.range", domain.RuleOf(err))
}

func failure(_ queries.Comparison, err error) error { return err }

func TestFindingsBesideThoseOfTheVersionBefore(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	a, b, c, d := finding("R1", "a.sql", 1), finding("R1", "a.sql", 2), finding("R2", "b.sql", 3), finding("R3", "b.sql", 4)
	waived := c
	waived.Suppressed, waived.Suppression = true, &report.Suppression{Kind: report.External, By: "li", Reason: "agreed", Expires: "2999-01-01", Waiver: "w1"}
	first, _ := w.version("p", w.Report(0, a, b, c), 3)
	w.version("other", w.Report(0, d), 1)
	bare := given.NewTask() // no report of that type: no version before
	w.Tell(bare, given.Uploaded(bare, "p"), given.Opened(bare), task.SubTaskStarted{Type: "EXCEL", Attempt: 1},
		task.SubTaskCompleted{Type: "EXCEL", Attempt: 1, Result: task.Pass, Report: w.Report(0, d)})
	gone, _ := w.version("p", &task.Blob{Key: "expired"}, 1)
	second, _ := w.version("p", w.Report(0, a, waived, d), 2)
	third, last := w.version("p", w.Report(0, d), 7)
	w.Follow(last)

	ids := []queries.TaskID{first, bare, gone, second, third, given.NewTask()}
	got, _, err := w.queries.Baselines(ctx, ids)
	require.NoError(t, err)
	require.Equal(t, map[queries.TaskID][]queries.Baseline{
		second: {{Type: "SQL", Previous: first, New: 1, Unchanged: 2, Fixed: 1}},
		third:  {{Type: "SQL", Previous: second, Unchanged: 1, Fixed: 2, Cut: true}},
	}, got)

	list := func(id queries.TaskID, query queries.FindingsQuery) (out []string) {
		for {
			pages, _, err := w.queries.Findings(ctx, []queries.TaskID{id, given.NewTask()}, query)
			require.NoError(t, err)
			for _, f := range pages[id].Findings {
				out = append(out, fmt.Sprintf("%s:%d", f.Rule, f.Line))
			}
			if !pages[id].More {
				return out
			}
			query.After = pages[id].Findings[len(pages[id].Findings)-1].Cursor()
		}
	}
	require.Equal(t, []string{"R3:4"}, list(second, queries.FindingsQuery{State: queries.FindingNew, First: 1}))
	require.Equal(t, []string{"R1:1", "R2:3"}, list(second, queries.FindingsQuery{State: queries.FindingUnchanged, First: 1}))
	require.Equal(t, []string{"R1:1", "R1:2", "R2:3"}, list(first, queries.FindingsQuery{State: queries.FindingNew, First: 1}), "nothing was before")
	require.Empty(t, list(first, queries.FindingsQuery{State: queries.FindingUnchanged}))
	require.Equal(t, []string{"R3:4"}, list(bare, queries.FindingsQuery{State: queries.FindingNew}))

	pages, _, err := w.queries.Findings(ctx, []queries.TaskID{second}, queries.FindingsQuery{})
	require.NoError(t, err)
	require.Equal(t, waived.Suppression, pages[second].Findings[1].Suppression)
	require.Nil(t, pages[second].Findings[2].Suppression)
}
