package queries_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

func TestPagesOfTasksAreNewestFirstAndComplete(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	var all []queries.TaskID
	var last eventstore.Position
	for i := range 17 {
		id := given.NewTask()
		last = w.Tell(id, given.Uploaded(id, fmt.Sprintf("p%d", i%2)))
		if i%3 == 0 {
			last = w.Tell(id, append([]task.Fact{given.Opened(id)}, given.Closed(id, task.Failed)...)...)
		}
		all = append([]queries.TaskID{id}, all...)
	}
	w.Follow(last)
	// Recorded at the very same time: the order must not depend on it.
	_, err := w.pool.Exec(ctx, `update rm_1.tasks set uploaded_at = now(), last_event_at = now()`)
	require.NoError(t, err)

	walk := func(query queries.TasksQuery) (out []queries.TaskID) {
		for {
			page, err := w.queries.Tasks(ctx, query)
			require.NoError(t, err)
			require.GreaterOrEqual(t, page.Position, last)
			for _, task := range page.Tasks {
				out = append(out, task.ID)
				query.After = task.Cursor()
			}
			if !page.More {
				return out
			}
			require.Len(t, page.Tasks, query.First)
		}
	}
	for _, first := range []int{1, 2, 5, 17, 200} {
		require.Equal(t, all, walk(queries.TasksQuery{First: first}))
	}
	require.Len(t, walk(queries.TasksQuery{First: 2, Status: task.Failed}), 6)
	require.Len(t, walk(queries.TasksQuery{First: 2, Project: "p1"}), 8)
	require.Len(t, walk(queries.TasksQuery{First: 2, Project: "p1", Status: task.Failed}), 3)
	require.Empty(t, walk(queries.TasksQuery{First: 2, Project: "p1\x00"}))
	require.Empty(t, walk(queries.TasksQuery{First: 2, Status: task.Success}))

	newer := given.NewTask()
	page, err := w.queries.Tasks(ctx, queries.TasksQuery{First: 3})
	require.NoError(t, err)
	w.Tell(newer, given.Uploaded(newer, "p0"))
	next, err := w.queries.Tasks(ctx, queries.TasksQuery{First: 3, After: page.Tasks[2].Cursor()})
	require.NoError(t, err)
	require.Equal(t, all[3], next.Tasks[0].ID, "what comes meanwhile moves nothing")
}

func TestATaskWithItsParts(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	for _, name := range []string{"SQL", "EXCEL", "QUIET", "TARDY"} {
		w.Scanner(name)
	}
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "p"), given.Opened(id),
		task.SubTaskStarted{Type: "SQL", Attempt: 1, Scanner: task.Scanner{Name: "factgate-sql"}},
		task.SubTaskDeclined{Type: "EXCEL", Code: "NO_MATCHING_FILES", Reason: "no workbook", ReasonZH: "没有"},
		task.SubTaskFailed{Type: "SQL", Attempt: 1, Kind: task.Check, Reason: "2 errors", Summary: &report.Counts{Error: 2, Warning: 1},
			Coverage: &task.Coverage{Eligible: 2, Seen: 1, Degraded: []task.Degraded{{Path: "a", Reason: "b"}}}, Report: w.Report(5)})
	w.Tell(id, given.Closed(id, task.Failed)...)
	w.Tell(id, task.SubTaskStarted{Type: "TARDY", Attempt: 1})
	last := w.Scanner("NEWCOMER")
	w.Follow(last)

	got, at, err := w.queries.Task(ctx, id, queries.With{SubTasks: true, Declines: true, Silent: true})
	require.NoError(t, err)
	require.Equal(t, last, at.Position)
	require.Equal(t, "rm_1", at.Model)
	require.Equal(t, task.PhaseConverged, got.Phase)
	require.Equal(t, task.Failed, *got.Status)
	require.Equal(t, "so", got.Verdict.Because.En)
	require.Equal(t, []string{"SQL", "TARDY"}, got.Observed)
	require.Equal(t, report.Counts{Error: 2, Warning: 1}, got.Counts)
	require.EqualValues(t, 1, got.Late)
	require.Len(t, got.SubTasks, 2)
	require.Equal(t, queries.ReportRead, got.SubTasks[0].Report)
	require.Equal(t, &task.Coverage{Eligible: 2, Seen: 1, Degraded: []task.Degraded{{Path: "a", Reason: "b"}}}, got.SubTasks[0].Coverage)
	require.True(t, got.SubTasks[1].Late)
	require.Len(t, got.Declines, 1)
	require.Equal(t, "no workbook", got.Declines[0].Reason)
	require.Equal(t, []string{"QUIET", "TARDY"}, got.Silent, "heard too late is silent; known only later is not")

	now, err := w.queries.StateNow(ctx, id)
	require.NoError(t, err)
	require.Equal(t, task.PhaseConverged, now.Phase())
	require.EqualValues(t, got.Revision+1, now.Facts)

	none, _, err := w.queries.Task(ctx, given.NewTask(), queries.With{SubTasks: true})
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestFindingsArePagedForEachTask(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	one, two := given.NewTask(), given.NewTask()
	w.Tell(one, given.Uploaded(one, "p"), given.Opened(one),
		task.SubTaskCompleted{Type: "B", Attempt: 1, Result: task.Pass, Report: w.Report(6)},
		task.SubTaskCompleted{Type: "A", Attempt: 1, Result: task.Pass, Report: w.Report(3)})
	w.Follow(w.Tell(two, given.Uploaded(two, "p"), given.Opened(two), task.SubTaskCompleted{Type: "A", Attempt: 1, Result: task.Pass, Report: w.Report(2)}))

	var got []string
	for query := (queries.FindingsQuery{First: 2}); ; {
		pages, _, err := w.queries.Findings(ctx, []queries.TaskID{one, two, given.NewTask()}, query)
		require.NoError(t, err)
		if query.After == "" {
			require.Len(t, pages[two].Findings, 2)
			require.False(t, pages[two].More)
		}
		for _, f := range pages[one].Findings {
			got = append(got, f.Type+f.Rule)
			query.After = f.Cursor()
		}
		if !pages[one].More {
			break
		}
	}
	require.Equal(t, []string{"AR000", "AR001", "AR002", "BR000", "BR001", "BR002", "BR003", "BR004", "BR005"}, got)
	pages, _, err := w.queries.Findings(ctx, []queries.TaskID{one}, queries.FindingsQuery{Severity: report.Error, Type: "B"})
	require.NoError(t, err)
	require.Len(t, pages[one].Findings, 3)
}

func TestAPageDoesNotGoOnInTheReportOfAnotherAttempt(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	id := given.NewTask()
	w.Follow(w.Tell(id, given.Uploaded(id, "p"), given.Opened(id),
		task.SubTaskStarted{Type: "A", Attempt: 1}, task.SubTaskCompleted{Type: "A", Attempt: 1, Result: task.Pass, Report: w.Report(5)}))
	query := queries.FindingsQuery{First: 2}
	pages, _, err := w.queries.Findings(ctx, []queries.TaskID{id}, query)
	require.NoError(t, err)
	query.After = pages[id].Findings[1].Cursor()
	old := base64.RawURLEncoding.EncodeToString([]byte("f\x00\x00\x00\x00\x00\x00\x00\x01A"))

	w.Follow(w.Tell(id, task.SubTaskRetryRequested{Type: "A", Reason: "again"},
		task.SubTaskStarted{Type: "A", Attempt: 2}, task.SubTaskCompleted{Type: "A", Attempt: 2, Result: task.Pass, Report: w.Report(3)}))
	_, _, err = w.queries.Findings(ctx, []queries.TaskID{id}, query)
	require.Equal(t, "cursor.stale", domain.RuleOf(err))
	require.Equal(t, domain.Conflict, domain.KindOf(err))
	pages, _, err = w.queries.Findings(ctx, []queries.TaskID{id}, queries.FindingsQuery{After: old})
	require.NoError(t, err, "a cursor that names no attempt goes on")
	require.Len(t, pages[id].Findings, 1)
}

func TestHistoryComesFromTheStreamPageByPage(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t) // no projector, no tables
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "p"), given.Opened(id))
	w.Tell(id, given.Closed(id, task.Failed)...)
	w.Tell(id, task.SubTaskStarted{Type: "SQL", Attempt: 1})
	_, err := w.log.Append(ctx, eventstore.StreamID{Category: "task", Key: id.String()}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(id, "future"), Type: "FromTheFuture", Data: []byte(`{"a":1}`), Metadata: []byte(`{}`)})
	require.NoError(t, err)

	var types []string
	after := int64(-1)
	for {
		page, err := w.queries.History(ctx, id, 4, after)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, f := range page {
			types = append(types, f.Type)
			require.Equal(t, f.Type == "SubTaskStarted", f.Late)
			after = int64(f.Revision)
		}
	}
	require.Equal(t, []string{"ZipUploaded", "MainTaskCreated", "WindowClosed", "MainTaskConverged", "SubTaskStarted", "FromTheFuture"}, types)

	_, err = w.queries.StateNow(ctx, id)
	var unknown *task.UnknownTypeError
	require.ErrorAs(t, err, &unknown)
	_, err = w.queries.History(ctx, given.NewTask(), 4, -1)
	require.Equal(t, "task.unknown", domain.RuleOf(err))
}

func TestTheReadModelSaysHowFarItIs(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	_, err := w.queries.ReadModel(ctx)
	require.Equal(t, "readmodel.missing", domain.RuleOf(err))
	_, err = w.queries.Tasks(ctx, queries.TasksQuery{})
	require.Equal(t, "readmodel.missing", domain.RuleOf(err))
	id := given.NewTask()
	last := w.Tell(id, given.Uploaded(id, "p"))
	w.Follow(last)
	m, err := w.queries.ReadModel(ctx)
	require.NoError(t, err)
	require.Equal(t, last, m.Position)
	require.Equal(t, last, *m.Head)
	require.Zero(t, *m.Lag)
	_, err = w.pool.Exec(ctx, `update rm_1.checkpoint set position = position - 1, halted_at = now(), halted_position = 5, halted_reason = 'why'`)
	require.NoError(t, err)
	m, err = w.queries.ReadModel(ctx)
	require.NoError(t, err)
	require.Positive(t, *m.Lag)
	require.Equal(t, "why", *m.HaltedReason)
}

func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	config, err := pgxpool.ParseConfig("postgres:///nowhere?host=" + t.TempDir())
	require.NoError(t, err)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	defer pool.Close()
	_, err = queries.New(pool, nil).Tasks(context.Background(), queries.TasksQuery{})
	require.Equal(t, "readmodel.unavailable", domain.RuleOf(err))
}

func TestWrongInputIsRefusedBeforeAnySQL(t *testing.T) {
	ctx := context.Background()
	q := queries.New(nil, nil)
	finding := queries.Finding{Type: "SQL", Ordinal: 3}.Cursor()
	for _, cursor := range []string{"x", "%00", finding, "dA", base64.RawURLEncoding.EncodeToString([]byte("t\xff\xff\xff\xff\xff\xff\xff\xff"))} {
		_, err := q.Tasks(ctx, queries.TasksQuery{After: cursor})
		require.Equal(t, "cursor.invalid", domain.RuleOf(err), cursor)
	}
	_, _, err := q.Findings(ctx, nil, queries.FindingsQuery{After: queries.Task{FirstPosition: 4}.Cursor()})
	require.Equal(t, "cursor.invalid", domain.RuleOf(err))
	for _, first := range []int{-1, 201} {
		_, err := q.Tasks(ctx, queries.TasksQuery{First: first})
		require.Equal(t, "page.size", domain.RuleOf(err))
		_, err = q.History(ctx, given.NewTask(), first, -1)
		require.Equal(t, "page.size", domain.RuleOf(err))
	}
	_, err = queries.ParseTaskID("' or 1=1 --")
	require.Equal(t, domain.Invalid, domain.KindOf(err))
	require.Equal(t, "task.id", domain.RuleOf(err))
}

func TestTheQuestionsAreWrittenForTheLayoutThatIsFolded(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, projections.Install(context.Background(), w.pool))
	list, err := w.queries.ReadModels(context.Background())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, projections.Layout, list[0].Layout)
	require.True(t, list[0].Readable, "queries.layout is not projections.Layout")
}

func TestHowFarBehindAReadModelIsIsCountedOrEstimated(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	var last, sixth eventstore.Position
	for n := range 300 {
		id := given.NewTask()
		if last = w.Tell(id, given.Uploaded(id, "p")); n == 294 {
			sixth = last
		}
	}
	w.Follow(last)
	_, err := w.pool.Exec(ctx, `insert into readmodels.registry (number, layout, state, reason, begun_by, promote) select 9, layout, 'BUILDING', '', '', false from readmodels.registry;
		create schema rm_9; create table rm_9.checkpoint as select * from rm_1.checkpoint; create table rm_9.skips (like rm_1.skips)`)
	require.NoError(t, err)
	ask := func() queries.ReadModel {
		list, err := w.queries.ReadModels(ctx)
		require.NoError(t, err)
		require.Len(t, list, 2)
		return list[1]
	}
	back := func(position string) queries.ReadModel {
		_, err := w.pool.Exec(ctx, `update rm_9.checkpoint set name = 'rm_9', moved_at = now(), per_second = 10, events = 300, position = `+position)
		require.NoError(t, err)
		return ask()
	}
	m := back("position")
	require.Zero(t, *m.LagEvents)
	require.Nil(t, m.ETA())
	m = back(fmt.Sprint(sixth))
	require.EqualValues(t, 5, *m.LagEvents)
	require.Equal(t, 500*time.Millisecond, *m.ETA())
	m = back("1")
	require.Greater(t, *m.LagEvents, int64(200))
	require.Positive(t, *m.ETA())
	_, err = w.pool.Exec(ctx, `update rm_9.checkpoint set events = 0`)
	require.NoError(t, err)
	require.Nil(t, ask().LagEvents, "nothing to estimate it from")
}
