package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/bench/internal/lab"
)

const (
	partGrowth = "growth"
	loadGrown  = "rebuild"
)

func sizeName(tasks int) string { return fmt.Sprintf("%d tasks", tasks) }

// grown is a read model of one size, with a server of its own.
type grown struct {
	*gate
	api    *lab.Process
	cursor string // of a task in the middle
	times  int    // that each row was written, see blowUp; 0 is once
}

// growing compares read models of different sizes.
func (b *bench) growing(ctx context.Context) error {
	var all []*grown
	for _, n := range b.sizes {
		g, err := b.openGate(ctx, fmt.Sprintf("growth_%d", n), n)
		if err != nil {
			return err
		}
		defer g.close(ctx)
		all = append(all, &grown{gate: g})
	}
	for r := range b.rotations {
		for _, g := range all {
			c, took, err := g.rebuild(ctx, fmt.Sprintf("growth-%d-%d", g.tasks, r))
			if err != nil {
				return fmt.Errorf("%s: %w", sizeName(g.tasks), err)
			}
			most, err := g.halt(ctx)
			if err != nil {
				return err
			}
			b.report.remember("projector, "+sizeName(g.tasks), most)
			b.report.Add(partGrowth, loadGrown, sizeName(g.tasks), c)
			b.say("growth, rebuild %d/%d  %-14s %8.0f events/s in %.1f s, %d MB", r+1, b.rotations, sizeName(g.tasks), c.Rate, took.Seconds(), most>>20)
		}
	}
	for _, g := range all {
		// What autovacuum would have done by now.
		if _, err := g.pool.Exec(ctx, "vacuum analyze"); err != nil {
			return err
		}
		database, err := b.pg.URL(g.name)
		if err != nil {
			return err
		}
		g.api, err = b.start(ctx, b.factgate, "api", "--eventstore", g.node.URL, "--database", database, "--blobs", b.dir+"/blobs", "--listen", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer g.api.Kill()
		if err := g.middle(ctx); err != nil {
			return err
		}
	}
	queries, err := b.queries(ctx, all[0])
	if err != nil {
		return err
	}
	if err := b.asking(ctx, queries, all); err != nil {
		return err
	}
	largest := slices.MaxFunc(all, func(a, c *grown) int { return a.tasks - c.tasks })
	if b.blowUp <= largest.tasks {
		return nil
	}
	if err := largest.blowUp(ctx, b.blowUp/largest.tasks); err != nil {
		return fmt.Errorf("multiply rows: %w", err)
	}
	return b.asking(ctx, queries, []*grown{largest})
}

// asking measures each query on each read model in turn.
func (b *bench) asking(ctx context.Context, queries []query, all []*grown) error {
	for _, q := range queries {
		for r := range b.rotations {
			for _, g := range all {
				if err := lab.Idle(ctx, servers{b.pg, g.api}, 10*time.Second); err != nil {
					return err
				}
				var durations []time.Duration
				for i := range b.requests + b.requests/10 {
					took, err := g.ask(ctx, q.text, q.variables(g, i))
					if err != nil {
						return fmt.Errorf("%s, %s: %w", q.name, sizeName(g.size()), err)
					}
					if i >= b.requests/10 {
						durations = append(durations, took)
					}
				}
				slices.Sort(durations)
				c := lab.Cell{P50: lab.Quantile(durations, 0.5), P99: lab.Quantile(durations, 0.99)}
				b.report.Add(partGrowth, q.name, sizeName(g.size()), c)
				b.say("growth, %s, %d/%d  %-14s p50 %6.2f ms  p99 %6.2f ms", q.name, r+1, b.rotations, sizeName(g.size()), c.P50, c.P99)
			}
		}
	}
	return nil
}

// size is how many tasks the tables have, more than the log has if they are blown up.
func (g *grown) size() int { return g.tasks * max(1, g.times) }

// blowUp writes every row again under other tasks, each time six hours earlier, so
// that tables and indexes are those of so many times the tasks.
func (g *grown) blowUp(ctx context.Context, times int) error {
	g.b.say("growth, %s: every row %d times", sizeName(g.tasks), times)
	const another = `md5(task_id::text || i)::uuid`
	then := func(column string) string { return column + ` - i * interval '6 hours'` }
	type rewritten map[string]string
	for table, columns := range map[string]rewritten{
		"tasks": {"task_id": another, "first_position": "first_position + i * $2", "position": "position + i * $2", "rescan_of": "null::uuid",
			"uploaded_at": then("uploaded_at"), "created_at": then("created_at"), "converged_at": then("converged_at"), "last_event_at": then("last_event_at")},
		"sub_tasks": {"task_id": another, "started_at": then("started_at"), "ended_at": then("ended_at")},
		"declines":  {"task_id": another, "at": then("at")},
		"outcomes":  {"task_id": another, "scan_key": "md5(scan_key::text || i)::uuid", "ended_at": then("ended_at"), "position": "position + i * $2"},
		"rollups":   {"quarter": then("quarter")},
	} {
		schema := ""
		if err := g.pool.QueryRow(ctx, `select name from live.checkpoint`).Scan(&schema); err != nil {
			return err
		}
		rows, err := g.pool.Query(ctx, `select column_name::text from information_schema.columns where table_schema = $1 and table_name = $2 order by ordinal_position`, schema, table)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		var values []string
		for _, name := range names {
			values = append(values, cmp.Or(columns[name], name))
		}
		target := pgx.Identifier{schema, table}.Sanitize()
		if _, err := g.pool.Exec(ctx, fmt.Sprintf(`insert into %s (%s) select %s from %[1]s, generate_series(1, $1::bigint) i where $2::bigint > 0`,
			target, strings.Join(names, ", "), strings.Join(values, ", ")), times-1, int64(g.end)+1); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	if _, err := g.pool.Exec(ctx, "vacuum analyze"); err != nil {
		return err
	}
	g.times = times
	g.cursor = ""
	return g.middle(ctx)
}

// query is a question that each read model is asked; no two requests in a row are
// alike where there is a choice.
type query struct {
	name, text string
	variables  func(g *grown, i int) map[string]any
}

const taskFields = `id phase status project version fileName uploadedBy uploadedAt convergedAt observedTypes lateFacts counts { error warning note }`

// queries lists what the server can answer.
func (b *bench) queries(ctx context.Context, g *grown) ([]query, error) {
	const page = `edges { cursor node { ` + taskFields + ` } } pageInfo { hasNextPage endCursor }`
	all := []query{
		{"tasks, first page", `query($first: Int) { tasks(first: $first) { ` + page + ` } }`,
			func(_ *grown, i int) map[string]any { return map[string]any{"first": 20 + i%2} }},
		{"tasks of project and status", `query($project: String, $status: Status) { tasks(first: 20, project: $project, status: $status) { ` + page + ` } }`,
			func(_ *grown, i int) map[string]any {
				return map[string]any{"project": projectOf(2 * (i % (projects / 2))), "status": "PARTIAL_SUCCESS"} // each has some
			}},
		{"tasks, page in the middle", `query($first: Int, $after: String) { tasks(first: $first, after: $after) { ` + page + ` } }`,
			func(g *grown, i int) map[string]any { return map[string]any{"first": 20 + i%2, "after": g.cursor} }},
		{"one task", `query($id: ID!) { task(id: $id) { ` + taskFields + ` subTasks { type state attempt result reason { en zh } counts { error warning note } coverage { eligible seen } } ` +
			`declined { type code reason { en zh } } verdict { status rule { id when } because { en zh } evidence } } }`,
			func(g *grown, i int) map[string]any {
				return map[string]any{"id": taskID((i * 7919) % g.tasks).String()}
			}},
	}
	var schema struct {
		Type struct{ Fields []struct{ Name string } } `json:"__type"`
	}
	if err := g.answer(ctx, `{ __type(name: "Query") { fields { name } } }`, nil, &schema); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(schema.Type.Fields, func(f struct{ Name string }) bool { return f.Name == "trends" }) {
		b.report.Left = append(b.report.Left, "trends: the server's schema has none; not measured")
		b.say("growth: the server's schema has no trends; they are not measured")
		return all, nil
	}
	trends := `query($from: Time!, $to: Time, $project: String) { trends(from: $from, to: $to, by: DAY, project: $project) {
		buckets { label counts { tasks success partialSuccess failed passRate timeToVerdict { p50Ms p95Ms } types { type pass failed errored } } } } }`
	month := func() map[string]any {
		now := time.Now()
		return map[string]any{"from": now.AddDate(0, 0, -29).Format(time.RFC3339), "to": now.Format(time.RFC3339)}
	}
	return append(all,
		query{"trends, 30 days by day", trends, func(*grown, int) map[string]any { return month() }},
		query{"trends of a project", trends, func(_ *grown, i int) map[string]any {
			v := month()
			v["project"] = projectOf(i)
			return v
		}}), nil
}

// middle pages to the middle of the list and remembers where that is.
func (g *grown) middle(ctx context.Context) error {
	const most = 200
	for seen := 0; seen < g.size()/2; {
		var answer struct {
			Tasks struct {
				PageInfo struct {
					HasNextPage bool
					EndCursor   string
				}
			}
		}
		variables := map[string]any{"first": min(most, g.size()/2-seen)}
		if g.cursor != "" {
			variables["after"] = g.cursor
		}
		if err := g.answer(ctx, `query($first: Int, $after: String) { tasks(first: $first, after: $after) { pageInfo { hasNextPage endCursor } } }`, variables, &answer); err != nil {
			return err
		}
		if !answer.Tasks.PageInfo.HasNextPage {
			return fmt.Errorf("the list of %d tasks ends before its middle", g.size())
		}
		g.cursor = answer.Tasks.PageInfo.EndCursor
		seen += variables["first"].(int)
	}
	return nil
}

// ask sends a query and reads all of the answer, which has data and no error.
func (g *grown) ask(ctx context.Context, text string, variables map[string]any) (time.Duration, error) {
	body, err := g.body(text, variables)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	answer, err := g.post(ctx, body)
	took := time.Since(begun)
	if err != nil {
		return 0, err
	}
	var checked struct {
		Data   map[string]json.RawMessage
		Errors []any
	}
	if err := json.Unmarshal(answer, &checked); err != nil {
		return 0, err
	}
	if len(checked.Errors) > 0 || len(checked.Data) != 1 {
		return 0, fmt.Errorf("the server says %.500s", answer)
	}
	for _, value := range checked.Data {
		if len(value) < 100 { // null, or an empty list
			return 0, fmt.Errorf("there is nothing in the answer: %.500s", answer)
		}
	}
	return took, nil
}

func (g *grown) answer(ctx context.Context, text string, variables map[string]any, to any) error {
	body, err := g.body(text, variables)
	if err != nil {
		return err
	}
	answer, err := g.post(ctx, body)
	if err != nil {
		return err
	}
	var whole struct {
		Data   json.RawMessage
		Errors []any
	}
	if err := json.Unmarshal(answer, &whole); err != nil {
		return err
	}
	if len(whole.Errors) > 0 {
		return fmt.Errorf("the server says %.500s", answer)
	}
	return json.Unmarshal(whole.Data, to)
}

func (g *grown) body(text string, variables map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{"query": text, "variables": variables})
}

func (g *grown) post(ctx context.Context, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.api.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.500s", response.Status, answer)
	}
	return answer, err
}
