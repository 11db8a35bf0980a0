package queries_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/domain/trend"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// asked is every statement that a connection was asked to run, with its arguments.
type asked struct {
	mu         sync.Mutex
	statements []statement
}

type statement struct {
	sql  string
	args []any
}

func (a *asked) note(sql string, args []any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.statements = append(a.statements, statement{sql, args})
}

func (a *asked) take() []statement {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.statements
	a.statements = nil
	return out
}

func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	a.note(data.SQL, data.Args)
	return ctx
}
func (a *asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (a *asked) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (a *asked) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	a.note(data.SQL, data.Args)
}
func (a *asked) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// scanned are the tables that a plan reads from end to end.
func scanned(plan map[string]any) (tables []string) {
	if plan["Node Type"] == "Seq Scan" {
		tables = append(tables, plan["Relation Name"].(string))
	}
	for _, part := range []string{"Plan", "Plans"} {
		switch below := plan[part].(type) {
		case map[string]any:
			tables = append(tables, scanned(below)...)
		case []any:
			for _, p := range below {
				tables = append(tables, scanned(p.(map[string]any))...)
			}
		}
	}
	return tables
}

// Lists, dead letters, trends and rules are read by index, however large the tables:
// what a page costs does not grow with what is not on it.
func TestQuestionsAreAnsweredByIndex(t *testing.T) {
	ctx := t.Context()
	log := &asked{}
	config := postgres.NewDatabase(t).Config().Copy()
	config.ConnConfig.Tracer = log
	pool, err := pgxpool.NewWithConfig(ctx, config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, projections.Install(ctx, pool))
	_, err = pool.Exec(ctx, `set search_path to rm_1;
		insert into tasks (task_id, first_position, phase, status, project, version, file_name, size, sha256, uploaded_by, uploaded_at, created_at,
			observed_types, last_event_at, errors, warnings, notes, late, revision, position, known, heard, rescan_of)
		select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n * 20, 'CONVERGED', case when n % 50 = 0 then 'FAILED' else 'SUCCESS' end, 'p' || n % 200, '1', 'a.zip', 1, '', 'me',
			'2026-01-01'::timestamptz + n * interval '10 minutes', now(), '{SQL}', now(), 0, 0, 0, 0, 19, n * 20 + 19, '{SQL}', '{SQL}', case when n % 100 = 0 then gen_random_uuid() end
		from generate_series(1, 30000) n;
		insert into sub_tasks (task_id, type, state, attempt, scanner, parked, retry_wanted, late, duration_ms, report_state)
		select task_id, type, 'COMPLETED', 1, '{}', false, false, false, 1, 'READ' from tasks, unnest('{SQL,EXCEL}'::text[]) type;
		insert into declines (task_id, type, code, reason, reason_zh, scanner, at, late) select task_id, 'API', '', '', '', '{}', now(), false from tasks;
		insert into findings (task_id, type, ordinal, attempt, rule, severity, message_en, message_zh, path, line, col, end_line, end_col, cell, pointer, suppressed, identity)
		select task_id, 'SQL', n, 1, 'R' || n, 'WARNING', '', '', '', 0, 0, 0, 0, '', '', false, gen_random_uuid() from tasks, generate_series(1, 3) n;
		insert into dead_letters (task_id, type, attempt, parked_position, parked_at, reason, reason_zh, scanner, state, settled_by, settled_reason)
		select task_id, 'SQL', 1, position, now(), '', '', '{}', case when first_position % 2000 = 0 then 'OPEN' else 'REPLAYED' end, '', '' from tasks;
		insert into rollups (quarter, project_key, measure, type, outcome, bin, n)
		select date_bin('15 minutes', uploaded_at, '2026-01-01'), md5(project)::uuid, 'TASK', '', task_id::text, -1, 1 from tasks;
		analyze; reset search_path`)
	require.NoError(t, err)
	newest := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(30_000 * 10 * time.Minute)
	q := queries.New(pool, nil)
	all := queries.With{SubTasks: true, Declines: true, Silent: true, Rescans: true, Skipped: true}
	after := func(ask queries.TasksQuery) string {
		page, err := q.Tasks(ctx, ask)
		require.NoError(t, err)
		require.NotEmpty(t, page.Tasks)
		return page.Tasks[len(page.Tasks)-1].Cursor()
	}
	deep := queries.Task{FirstPosition: 20 * 200}.Cursor()
	list := func(ask queries.TasksQuery) func() error {
		return func() error {
			after(ask)
			return nil
		}
	}
	for name, ask := range map[string]func() error{
		"newest":             list(queries.TasksQuery{With: all}),
		"a deep page":        list(queries.TasksQuery{After: deep, With: all}),
		"by project":         list(queries.TasksQuery{Project: "p7"}),
		"by project, deep":   list(queries.TasksQuery{Project: "p7", After: deep}),
		"by status":          list(queries.TasksQuery{Status: task.Failed}),
		"by status, deep":    list(queries.TasksQuery{Status: task.Failed, After: deep}),
		"by project, status": list(queries.TasksQuery{Project: "p50", Status: task.Failed}),
		"dead letters":       func() error { _, err := q.DeadLetters(ctx, queries.DeadLettersQuery{}); return err },
		"open dead letters": func() error {
			_, err := q.DeadLetters(ctx, queries.DeadLettersQuery{State: task.DeadLetterOpen})
			return err
		},
		"trends": func() error {
			_, err := q.Trends(ctx, queries.TrendsQuery{From: newest.AddDate(0, 0, -2), To: newest, Unit: trend.Hour})
			return err
		},
		"trends of a project": func() error {
			_, err := q.Trends(ctx, queries.TrendsQuery{From: newest.AddDate(0, 0, -7), To: newest, Unit: trend.Day, Project: "p7"})
			return err
		},
		"top rules": func() error {
			_, _, err := q.TopRules(ctx, queries.TopRulesQuery{From: newest.Add(-6 * time.Hour), To: newest})
			return err
		},
		"top rules of a project": func() error {
			_, _, err := q.TopRules(ctx, queries.TopRulesQuery{From: newest.AddDate(0, 0, -30), To: newest, Project: "p7"})
			return err
		},
		"ages of findings": func() error {
			_, err := q.FindingAges(ctx, queries.FindingAgesQuery{Project: "p7"})
			return err
		},
		"ages of findings that are fixed": func() error {
			_, err := q.FindingAges(ctx, queries.FindingAgesQuery{Project: "p7", Type: "SQL", Fixed: true})
			return err
		},
		"new findings": func() error {
			_, _, err := q.Findings(ctx, []queries.TaskID{{}}, queries.FindingsQuery{State: queries.FindingNew})
			return err
		},
		"baselines": func() error {
			page, err := q.Tasks(ctx, queries.TasksQuery{First: 1})
			require.NoError(t, err)
			_, _, err = q.Baselines(ctx, []queries.TaskID{page.Tasks[0].ID})
			return err
		},
		"findings": func() error {
			_, _, err := q.Findings(ctx, []queries.TaskID{{}}, queries.FindingsQuery{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			log.take()
			require.NoError(t, ask())
			explained := 0
			for _, s := range log.take() {
				if head := strings.ToLower(strings.TrimSpace(s.sql)); !strings.HasPrefix(head, "select") && !strings.HasPrefix(head, "with") {
					continue
				}
				var text []byte
				require.NoError(t, pool.QueryRow(ctx, "explain (format json) "+s.sql, s.args...).Scan(&text))
				var plans []map[string]any
				require.NoError(t, json.Unmarshal(text, &plans))
				for _, table := range []string{"tasks", "sub_tasks", "declines", "findings", "dead_letters", "rollups"} {
					require.NotContains(t, scanned(plans[0]), table, "%s\n%s", s.sql, text)
				}
				explained++
			}
			require.Greater(t, explained, 1, "the checkpoint and what was asked")
		})
	}
	// The check would notice: there is no index for this.
	var text []byte
	require.NoError(t, pool.QueryRow(ctx, `explain (format json) select from live.tasks where file_name = 'b.zip'`).Scan(&text))
	var plans []map[string]any
	require.NoError(t, json.Unmarshal(text, &plans))
	require.Contains(t, scanned(plans[0]), "tasks")
}
