package graphqlapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

type answer struct {
	Data   map[string]any `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
	Extensions map[string]map[string]string `json:"extensions"`
}

func (w *world) handler(o graphqlapi.Options) *graphqlapi.Handler {
	w.t.Helper()
	h, err := graphqlapi.NewHandler(w.queries, projections.NewWaiter(w.pool), o)
	require.NoError(w.t, err)
	return h
}

func post(t testing.TB, h http.Handler, query string, variables map[string]any) (int, answer) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	return do(t, h, r)
}

func do(t testing.TB, h http.Handler, r *http.Request) (int, answer) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Contains(t, w.Header().Get("Content-Type"), "application/json")
	var a answer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	return w.Code, a
}

// bare is a handler without any store behind it.
func bare(t testing.TB, o graphqlapi.Options) *graphqlapi.Handler {
	t.Helper()
	h, err := graphqlapi.NewHandler(queries.New(nil, nil), nil, o)
	require.NoError(t, err, "the resolvers fit the schema")
	return h
}

// fill tells n tasks with everything that a list can show.
func (w *world) fill(n int) (last eventstore.Position, newest queries.TaskID) {
	w.t.Helper()
	w.Scanner("SQL")
	w.Scanner("QUIET")
	for range n {
		id := given.NewTask()
		newest = id
		w.Tell(id, given.Uploaded(id, "p"), given.Opened(id),
			task.SubTaskStarted{Type: "SQL", Attempt: 1},
			task.SubTaskStarted{Type: "MADE_UP", Attempt: 1},
			task.SubTaskDeclined{Type: "EXCEL", Code: "NO_MATCHING_FILES", Reason: "no workbook", ReasonZH: "没有"},
			task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: task.PassWithWarnings, Summary: report.Counts{Warning: 2}, Coverage: task.Coverage{Eligible: 1, Seen: 1, Degraded: []task.Degraded{{Path: "a", Reason: "b"}}}, Report: w.Report(4)})
		last = w.Tell(id, given.Closed(id, task.PartialSuccess)...)
	}
	return last, newest
}

const everything = `{
	id phase status project version fileName size sha256 uploadedBy uploadedAt createdAt deadline convergedAt closedCause
	rescanOf rescans cancelled { reason at }
	observedTypes lastEventAt lateFacts revision counts { error warning note }
	subTasks { type state attempt scanner { name version instance rulesDigest configDigest } startedAt endedAt result kind reason { en zh }
		counts { error warning note } coverage { eligible seen degraded { path reason reasonZh } } durationMs report parked retryWanted late }
	declined { type code reason { en zh } scanner { name } at late }
	silent
	verdict { revision status rule { id when } because { en zh } ruleSet { name version digest } evidence observedTypes succeeded failed errored unfinished declined }
	findings(first: 2) { nodes { type rule severity message { en zh } path line column endLine endColumn cell pointer suppressed } edges { cursor node { rule } } pageInfo { hasNextPage endCursor } }
	errors: findings(severity: ERROR, type: "SQL") { nodes { rule } }
	history { id type revision position recordedAt late actor data }
}`

func TestEverythingCanBeAsked(t *testing.T) {
	w := newWorld(t)
	last, id := w.fill(2)
	w.Follow(last)
	h := w.handler(graphqlapi.Options{})
	status, got := post(t, h, `query ($id: ID!) { task(id: $id) `+everything+` readModel { name position head lagSeconds halted { at position reason } } }`, map[string]any{"id": id.String()})
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, got.Errors)
	require.Equal(t, map[string]string{"name": "rm_1", "position": fmt.Sprint(last)}, got.Extensions["readModel"])
	shown := got.Data["task"].(map[string]any)
	require.Equal(t, "PARTIAL_SUCCESS", shown["status"])
	require.Equal(t, []any{"MADE_UP", "SQL"}, shown["observedTypes"])
	require.Equal(t, []any{"QUIET"}, shown["silent"])
	require.Equal(t, map[string]any{"en": "no workbook", "zh": "没有"}, shown["declined"].([]any)[0].(map[string]any)["reason"])
	require.Equal(t, []any{map[string]any{"rule": "R000"}, map[string]any{"rule": "R002"}}, shown["errors"].(map[string]any)["nodes"])
	history := shown["history"].([]any)
	require.Len(t, history, 8)
	require.Equal(t, id.String(), history[0].(map[string]any)["data"].(map[string]any)["taskId"])
	require.Equal(t, fmt.Sprint(last), got.Data["readModel"].(map[string]any)["head"])
	require.Nil(t, got.Data["readModel"].(map[string]any)["halted"])

	status, got = post(t, h, `{ tasks(first: 1) { nodes `+everything+` edges { cursor node { id subTasks { type } } } pageInfo { hasNextPage endCursor } } }`, nil)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, got.Errors)
	page := got.Data["tasks"].(map[string]any)
	cursor := page["pageInfo"].(map[string]any)["endCursor"]
	require.Len(t, page["edges"].([]any)[0].(map[string]any)["node"].(map[string]any)["subTasks"], 2)
	_, got = post(t, h, `query ($after: String) { tasks(first: 1, after: $after, status: PARTIAL_SUCCESS, project: "p") { nodes { id } pageInfo { hasNextPage } } }`, map[string]any{"after": cursor})
	require.Empty(t, got.Errors)
	require.NotEqual(t, id.String(), got.Data["tasks"].(map[string]any)["nodes"].([]any)[0].(map[string]any)["id"])
}

func TestTheNumberOfStatementsDoesNotDependOnTheNumberOfTasks(t *testing.T) {
	w := newWorld(t)
	last, _ := w.fill(50)
	w.Follow(last)
	h := w.handler(graphqlapi.Options{})
	ask := func(first int) int64 {
		before := w.sql.n.Load()
		status, got := post(t, h, `query ($first: Int!) { tasks(first: $first) { nodes {
			id subTasks { type } declined { type } silent findings(first: 3) { nodes { rule } } errors: findings(severity: ERROR) { nodes { rule } } } } }`,
			map[string]any{"first": first})
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, got.Errors)
		nodes := got.Data["tasks"].(map[string]any)["nodes"].([]any)
		require.Len(t, nodes, first)
		for _, n := range nodes {
			require.Len(t, n.(map[string]any)["findings"].(map[string]any)["nodes"], 3)
			require.Len(t, n.(map[string]any)["subTasks"], 2)
		}
		return w.sql.n.Load() - before
	}
	one := ask(1)
	require.Equal(t, one, ask(10))
	require.Equal(t, one, ask(50))
	// begin, position, tasks, three parts, commit; for each of two kinds of findings begin, position, findings, commit
	require.EqualValues(t, 15, one)
}

func TestAQueryMayWaitForAPosition(t *testing.T) {
	w := newWorld(t)
	last, id := w.fill(1)
	w.Follow(last)
	h := w.handler(graphqlapi.Options{Wait: 20 * time.Second})
	position := w.Tell(id, task.SubTaskDeclined{Type: "WEDATA", Code: "X", Reason: "y"})
	_, got := post(t, h, `query ($id: ID!, $at: String) { task(id: $id, atPosition: $at) { lateFacts } }`, map[string]any{"id": id.String(), "at": fmt.Sprint(position)})
	require.Empty(t, got.Errors)
	require.EqualValues(t, 1, got.Data["task"].(map[string]any)["lateFacts"])

	h = w.handler(graphqlapi.Options{Wait: 10 * time.Millisecond})
	_, got = post(t, h, `query ($at: String) { tasks(atPosition: $at) { nodes { id } } }`, map[string]any{"at": fmt.Sprint(position + 1)})
	require.Equal(t, "readmodel.behind", got.Errors[0].Extensions["code"])
	require.Equal(t, "UNAVAILABLE", got.Errors[0].Extensions["kind"])
	_, got = post(t, h, `{ tasks(atPosition: "soon") { nodes { id } } }`, nil)
	require.Equal(t, "position.invalid", got.Errors[0].Extensions["code"])
}

func TestWhatIsWrongHasACode(t *testing.T) {
	deep := "{ __schema { types " + strings.Repeat("{ fields { type ", 9) + "{ name }" + strings.Repeat("} }", 9) + " } }"
	fragments := "query { __typename ...F0 }"
	for i := range 12 {
		fragments += fmt.Sprintf(" fragment F%d on Query { ...F%d ...F%d }", i, i+1, i+1)
	}
	fragments += " fragment F12 on Query { readModel { name } }"
	h := bare(t, graphqlapi.Options{})
	for name, c := range map[string]struct {
		query  string
		status int
		code   string
	}{
		"no UUID":             {`{ task(id: "' or 1=1") { id } }`, 200, "task.id"},
		"hostile cursor":      {`{ tasks(after: "AAAA'--") { nodes { id } } }`, 200, "cursor.invalid"},
		"page too large":      {`{ tasks(first: 201) { nodes { id } } }`, 200, "page.size"},
		"page of nothing":     {`{ tasks(first: 0) { nodes { id } } }`, 200, "page.size"},
		"negative page":       {`{ tasks(first: -5) { nodes { id } } }`, 200, "page.size"},
		"unknown field":       {`{ tasks { nodes { password } } }`, 400, "query.invalid"},
		"unknown status":      {`{ tasks(status: GOOD) { nodes { id } } }`, 400, "query.invalid"},
		"syntax":              {`{ tasks `, 400, "query.invalid"},
		"mutation":            {`mutation { x }`, 400, "query.invalid"},
		"too deep":            {deep, 400, "query.invalid"},
		"too long":            {"{ readModel { name } }" + strings.Repeat(" ", 17<<10), 400, "query.invalid"},
		"too many selections": {fragments, 400, "query.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			status, got := post(t, h, c.query, nil)
			require.NotEmpty(t, got.Errors)
			require.Equal(t, c.code, got.Errors[0].Extensions["code"], got.Errors[0].Message)
			require.Equal(t, c.status, status)
		})
	}
}

func TestAQueryThatAsksForTooMuchIsRefused(t *testing.T) {
	w := newWorld(t)
	last, _ := w.fill(2)
	w.Follow(last)
	var fields strings.Builder
	for i := range 130 {
		fmt.Fprintf(&fields, " f%d: findings(first: 200, type: \"%d\") { pageInfo { hasNextPage } }", i, i)
	}
	_, got := post(t, w.handler(graphqlapi.Options{}), `{ tasks(first: 200) { nodes {`+fields.String()+` } } }`, nil)
	require.NotEmpty(t, got.Errors)
	require.Equal(t, "query.too_costly", got.Errors[0].Extensions["code"])
}

func TestToolsCanReadTheSchema(t *testing.T) {
	const introspection = `query IntrospectionQuery { __schema { queryType { name } types { ...FullType } directives { name args { ...InputValue } } } }
	fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated } inputFields { ...InputValue } enumValues { name description } }
	fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
	fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`
	status, got := post(t, bare(t, graphqlapi.Options{}), introspection, nil)
	require.Empty(t, got.Errors)
	require.Equal(t, http.StatusOK, status)
	text, err := json.Marshal(got.Data)
	require.NoError(t, err)
	require.Contains(t, string(text), "迟到事实")
}

func TestRequestsThatAreNone(t *testing.T) {
	h := bare(t, graphqlapi.Options{})
	request := func(method, contentType, body string) (int, answer) {
		r := httptest.NewRequest(method, "/graphql", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return do(t, h, r)
	}
	for name, c := range map[string]struct {
		method, contentType, body string
		status                    int
	}{
		"method":    {"PUT", "application/json", `{}`, 405},
		"form":      {"POST", "application/x-www-form-urlencoded", "query={readModel{name}}", 415},
		"no JSON":   {"POST", "application/json", `{"query":`, 400},
		"batch":     {"POST", "application/json", `[{"query":"{readModel{name}}"}]`, 400},
		"two":       {"POST", "application/json", `{"query":"{readModel{name}}"} {}`, 400},
		"empty":     {"POST", "application/json", `{"query":" "}`, 400},
		"too large": {"POST", "application/json", `{"query":"` + strings.Repeat(" ", 200<<10) + `"}`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			status, got := request(c.method, c.contentType, c.body)
			require.Equal(t, c.status, status)
			require.NotEmpty(t, got.Errors)
		})
	}
	status, got := do(t, h, httptest.NewRequest(http.MethodGet, "/graphql?"+url.Values{"query": {"query ($n: String!) { __type(name: $n) { name } }"}, "variables": {`{"n":"Task"}`}}.Encode(), nil))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"name": "Task"}, got.Data["__type"])
	status, _ = do(t, h, httptest.NewRequest(http.MethodGet, "/graphql?query=%7B__typename%7D&variables=7", nil))
	require.Equal(t, http.StatusBadRequest, status)
}

func TestFailuresOfOursStayInTheHouse(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	// A nil pool panics: as inner an error as can be.
	_, got := post(t, bare(t, graphqlapi.Options{Logger: logger}), `{ readModel { name } }`, nil)
	require.Equal(t, "internal error", got.Errors[0].Message)
	require.Contains(t, log.String(), "panicked")

	config, err := pgxpool.ParseConfig("postgres://someone:secret@/nowhere?host=" + t.TempDir())
	require.NoError(t, err)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	defer pool.Close()
	h, err := graphqlapi.NewHandler(queries.New(pool, nil), projections.NewWaiter(pool), graphqlapi.Options{Logger: logger})
	require.NoError(t, err)
	_, got = post(t, h, `{ tasks { nodes { id } } }`, nil)
	require.Equal(t, "readmodel.unavailable", got.Errors[0].Extensions["code"])
	require.NotContains(t, got.Errors[0].Message, "nowhere")
	require.NotContains(t, log.String(), "secret")

	w := newWorld(t)
	require.NoError(t, projections.Install(context.Background(), w.pool))
	_, err = w.pool.Exec(context.Background(), `drop view live.tasks; create view live.tasks as select 1 as task_id`)
	require.NoError(t, err)
	log.Reset()
	_, got = post(t, w.handler(graphqlapi.Options{Logger: logger}), `{ tasks { nodes { id } } }`, nil)
	require.Equal(t, "internal error", got.Errors[0].Message)
	require.Equal(t, "internal", got.Errors[0].Extensions["code"])
	require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"))
}

func TestAQueryEndsInTime(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, projections.Install(context.Background(), w.pool))
	_, got := post(t, w.handler(graphqlapi.Options{Timeout: 20 * time.Millisecond, Wait: time.Hour}), `{ tasks(atPosition: "99") { nodes { id } } }`, nil)
	require.Equal(t, "query.timeout", got.Errors[0].Extensions["code"])
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"query":"{ __typename }"}`))
	f.Add([]byte(`{"query":"query ($id: ID!) { task(id: $id) { id } }","variables":{"id":"x"}}`))
	f.Add([]byte(`{"query":"{ tasks(after: \"x\") { nodes { id } } }","operationName":"a"}`))
	f.Add([]byte(`[]`))
	h, err := graphqlapi.NewHandler(queries.New(nil, nil), nil, graphqlapi.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("not JSON: %s", w.Body)
		}
	})
}

// History is the stream's own: it needs no database at all.
func TestHistoryNeedsNoReadModel(t *testing.T) {
	w := newWorld(t)
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "p"), given.Opened(id))
	h, err := graphqlapi.NewHandler(queries.New(nil, w.log), nil, graphqlapi.Options{})
	require.NoError(t, err)
	status, a := post(t, h, `query($id: ID!) { history(task: $id) { type revision data } }`, map[string]any{"id": id.String()})
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, a.Errors)
	require.Len(t, a.Data["history"], 2)
	_, a = post(t, h, `query($id: ID!) { history(task: $id) { type } }`, map[string]any{"id": given.NewTask().String()})
	require.Equal(t, "task.unknown", a.Errors[0].Extensions["code"])
}
