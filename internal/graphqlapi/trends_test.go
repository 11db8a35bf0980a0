package graphqlapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/projections"
)

const trendCounts = `{ tasks success partialSuccess failed cancelled open undecidable passRate timeToVerdict { count p50Ms p95Ms } scans { count p50Ms p95Ms }
	windows timedOut lateFacts deadLetters
	types { type pass passWithWarnings failed errored running declined known silent deadLetters passRate declineRate silenceRate scans { count p50Ms p95Ms } } }`

const trendsQuery = `query ($from: Time!, $to: Time, $by: TrendUnit, $tz: String, $project: String, $type: String, $rules: String) {
	trends(from: $from, to: $to, by: $by, timeZone: $tz, project: $project, type: $type, ruleSet: $rules) {
		by timeZone from to ruleSet { name version digest } total ` + trendCounts + ` buckets { start end label counts ` + trendCounts + ` } } }`

func TestTrendsCanBeAsked(t *testing.T) {
	w := newWorld(t)
	w.fill(5)
	flaky := task.Scanner{RulesDigest: "r", ConfigDigest: "c"}
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "p"), given.Opened(id),
		task.SubTaskStarted{Type: "SQL", Attempt: 1, Scanner: flaky}, task.SubTaskFailed{Type: "SQL", Attempt: 1, Kind: task.Check, Report: w.Report(3)},
		task.SubTaskStarted{Type: "SQL", Attempt: 2, Scanner: flaky})
	last := w.Tell(id, append(given.Closed(id, task.Success), task.SubTaskCompleted{Type: "SQL", Attempt: 2, Result: task.Pass, Report: w.Report(1), DurationMS: 1000})...)
	w.Follow(last)
	h := w.handler(graphqlapi.Options{RuleBook: commands.NewRuleBook(w.log)})
	ask := func(query string, variables map[string]any) map[string]any {
		t.Helper()
		status, got := post(t, h, query, variables)
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, got.Errors)
		return got.Data
	}
	from, to := time.Now().Add(-9*24*time.Hour).Format(time.RFC3339), time.Now().Add(time.Minute).Format(time.RFC3339)
	got := ask(trendsQuery, map[string]any{"from": from, "to": to, "by": "DAY", "tz": "Asia/Shanghai"})["trends"].(map[string]any)
	require.Nil(t, got["ruleSet"])
	require.Equal(t, "Asia/Shanghai", got["timeZone"])
	buckets := got["buckets"].([]any)
	require.GreaterOrEqual(t, len(buckets), 10)
	empty := buckets[0].(map[string]any)["counts"].(map[string]any)
	require.Equal(t, []any{0.0, 0.0, nil, []any{}}, []any{empty["tasks"], empty["success"], empty["passRate"], empty["types"]}, "an empty day is zeros")
	total := got["total"].(map[string]any)
	require.Equal(t, []any{6.0, 1.0, 5.0, 1.0 / 6, 1.0}, []any{total["tasks"], total["success"], total["partialSuccess"], total["passRate"], total["lateFacts"]})
	types := total["types"].([]any)
	require.Len(t, types, 3)
	excel := types[0].(map[string]any)
	require.Equal(t, []any{"EXCEL", 5.0, 1.0, nil}, []any{excel["type"], excel["declined"], excel["declineRate"], excel["silenceRate"]})
	sql := types[2].(map[string]any)
	require.Equal(t, []any{1.0, 5.0, 0.0}, []any{sql["pass"], sql["passWithWarnings"], sql["failed"]})
	require.InDelta(t, 1000, sql["scans"].(map[string]any)["p95Ms"], 190)

	got = ask(trendsQuery, map[string]any{"from": from, "type": "SQL", "project": "p"})["trends"].(map[string]any)
	require.Equal(t, []any{"DAY", "UTC"}, []any{got["by"], got["timeZone"]}, "what is not said")
	require.Len(t, got["total"].(map[string]any)["types"], 1)
	got = ask(trendsQuery, map[string]any{"from": from, "rules": "default"})["trends"].(map[string]any)
	require.Equal(t, "default", got["ruleSet"].(map[string]any)["name"])
	require.EqualValues(t, 6, got["total"].(map[string]any)["tasks"])
	for code, variables := range map[string]map[string]any{
		"trends.zone":             {"from": from, "tz": "Local"},
		"trends.too_many_buckets": {"from": "2001-01-01T00:00:00Z"},
		"ruleset.unknown":         {"from": from, "rules": "nobodys"},
		"ruleset.version":         {"from": from, "rules": "default@x"},
	} {
		_, got := post(t, h, trendsQuery, variables)
		require.Len(t, got.Errors, 1, code)
		require.Equal(t, code, got.Errors[0].Extensions["code"])
	}

	const flakyFields = `{ type sha256 rulesDigest configDigest attempts different scans { task project version attempt result counts { error } findings endedAt } }`
	list := ask(`{ flaky(type: "SQL", project: "p") `+flakyFields+` }`, nil)["flaky"].([]any)
	require.Len(t, list, 1)
	require.Equal(t, []any{"SQL", 2.0, 2.0}, []any{list[0].(map[string]any)["type"], list[0].(map[string]any)["attempts"], list[0].(map[string]any)["different"]})
	of := ask(`query ($id: ID!) { task(id: $id) { flaky `+flakyFields+` } }`, map[string]any{"id": id.String()})["task"].(map[string]any)["flaky"]
	require.Equal(t, list, of)

	const finding = `{ type rule severity message { en zh } path line identity suppressed }`
	compared := ask(`query ($id: ID!) { compare(task: $id) { task previous types { type compared before after cut } introduced fixed unchanged
		introducedFindings `+finding+` fixedFindings `+finding+` } }`, map[string]any{"id": id.String()})["compare"].(map[string]any)
	require.Equal(t, []any{0.0, 3.0, 1.0}, []any{compared["introduced"], compared["fixed"], compared["unchanged"]})
	require.Equal(t, []any{
		map[string]any{"type": "MADE_UP", "compared": false, "before": "NONE", "after": nil, "cut": false},
		map[string]any{"type": "SQL", "compared": true, "before": "READ", "after": "READ", "cut": false},
	}, compared["types"])
	require.Len(t, compared["fixedFindings"].([]any)[0].(map[string]any)["identity"], 32)
	ages := ask(`{ findingAges(project: "p", fixed: true) { versions since open fixed medianFixSeconds findings {
		finding `+finding+` firstSeen firstTask lastSeen lastTask fixedAt versions } } }`, nil)["findingAges"].(map[string]any)
	require.Equal(t, []any{6.0, 1.0, 3.0}, []any{ages["versions"], ages["open"], ages["fixed"]})
	require.Len(t, ages["findings"], 3)
	top := ask(`query ($from: Time!) { topRules(from: $from) { type rule findings tasks } }`, map[string]any{"from": from})["topRules"].([]any)
	require.Equal(t, map[string]any{"type": "SQL", "rule": "R000", "findings": 6.0, "tasks": 6.0}, top[0])
}

func TestTheNumberOfStatementsOfAnalyticsIsConstant(t *testing.T) {
	w := newWorld(t)
	h := w.handler(graphqlapi.Options{})
	from := time.Now().Add(-time.Hour).Format(time.RFC3339)
	_, id := w.fill(2)
	ask := func() (counts []int64) {
		for _, q := range []struct {
			text      string
			variables map[string]any
		}{
			{trendsQuery, map[string]any{"from": from, "by": "HOUR"}},
			{`query ($from: Time!) { topRules(from: $from) { rule } }`, map[string]any{"from": from}},
			{`query ($id: ID!) { compare(task: $id) { introduced introducedFindings { rule } } }`, map[string]any{"id": id.String()}},
			{`{ findingAges(project: "p") { open findings { versions } } }`, nil},
			{`{ flaky { scans { task } } }`, nil},
			{`{ tasks(first: 200) { nodes { flaky { scans { task } } } } }`, nil},
		} {
			before := w.sql.n.Load()
			_, got := post(t, h, q.text, q.variables)
			require.Empty(t, got.Errors)
			counts = append(counts, w.sql.n.Load()-before)
		}
		return counts
	}
	last, _ := w.fill(1)
	w.Follow(last)
	few := ask()
	last, _ = w.fill(40)
	require.NoError(t, projections.NewWaiter(w.pool).Wait(t.Context(), last, 20*time.Second))
	require.Equal(t, few, ask())
	require.Equal(t, []int64{4, 4, 8, 5, 5, 9}, few, "with begin and commit")
}
