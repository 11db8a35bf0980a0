package graphqlapi_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/projections"
)

// verified asks for all pages.
func verified(t *testing.T, ask func(after string) map[string]any) (differences []map[string]any) {
	t.Helper()
	for after := `""`; ; {
		page := ask(after)
		require.EqualValues(t, 0, page["unnamed"])
		for _, d := range page["differences"].([]any) {
			differences = append(differences, d.(map[string]any))
		}
		if page["next"] == nil {
			require.EqualValues(t, 1, page["progress"])
			require.Equal(t, "ROLLUPS", page["stage"])
			return differences
		}
		after = fmt.Sprintf("%q", page["next"])
	}
}

func TestAReadModelIsVerifiedAndRepaired(t *testing.T) {
	w := newWorld(t)
	h := w.manager()
	last, _ := w.fill(4)
	require.NoError(t, projections.NewWaiter(w.pool).Wait(t.Context(), last, patience))
	const fields = ` { number name position stage tasks rows unnamed progress next differences { kind task table key field stored folded repaired } }`
	look := func(after string) map[string]any {
		_, got := post(t, h, `{ page: verifyReadModel(first: 3, after: `+after+`)`+fields+` }`, nil)
		require.Empty(t, got.Errors)
		return got.Data["page"].(map[string]any)
	}
	first := look(`""`)
	require.Equal(t, []any{1.0, "rm_1", fmt.Sprint(last), "TASKS", 3.0}, []any{first["number"], first["name"], first["position"], first["stage"], first["tasks"]})
	require.Positive(t, first["rows"])
	require.Empty(t, verified(t, look))

	var id string
	require.NoError(t, w.pool.QueryRow(t.Context(), `update rm_1.tasks set project = 'wrong' where first_position = (select max(first_position) from rm_1.tasks) returning task_id::text`).Scan(&id))
	_, err := w.pool.Exec(t.Context(), `update rm_1.rollups set n = n + 7 where (quarter, project_key, measure, type, outcome, bin) = (select quarter, project_key, measure, type, outcome, bin from rm_1.rollups limit 1)`)
	require.NoError(t, err)
	found := verified(t, look)
	require.Len(t, found, 2)
	require.Equal(t, []any{"FIELD", id, "tasks", "", "project", `"wrong"`, false},
		[]any{found[0]["kind"], found[0]["task"], found[0]["table"], found[0]["key"], found[0]["field"], found[0]["stored"], found[0]["repaired"]})
	require.Equal(t, []any{nil, "rollups", "n", false}, []any{found[1]["task"], found[1]["table"], found[1]["field"], found[1]["repaired"]})
	_, got := post(t, h, `{ page: verifyReadModel(task: "`+id+`")`+fields+` }`, nil)
	require.Empty(t, got.Errors)
	require.Len(t, got.Data["page"].(map[string]any)["differences"], 1)

	mended := verified(t, func(after string) map[string]any {
		page, code := manage(t, h, `repairReadModel(first: 3, after: `+after+`, by: "li")`+fields)
		require.Empty(t, code)
		return page
	})
	require.Len(t, mended, 2)
	for i, d := range mended {
		require.Equal(t, true, d["repaired"])
		require.Equal(t, found[i]["key"], d["key"])
	}
	require.Empty(t, verified(t, look))

	for query, want := range map[string]string{
		`verifyReadModel(number: 9)`:                                             "readmodel.unknown",
		`verifyReadModel(number: 0)`:                                             "readmodel.number",
		`verifyReadModel(after: "x")`:                                            "cursor.invalid",
		`verifyReadModel(first: 501)`:                                            "query.too_costly",
		`verifyReadModel(first: 0)`:                                              "page.size",
		`verifyReadModel(task: "x")`:                                             "task.id",
		`verifyReadModel(task: "` + given.NewTask().String() + `")`:              "task.unknown",
		`a: verifyReadModel(first: 300) { next } b: verifyReadModel(first: 300)`: "query.too_costly",
	} {
		_, got := post(t, h, `{ `+query+` { next } }`, nil)
		require.NotEmpty(t, got.Errors, query)
		require.Equal(t, want, got.Errors[0].Extensions["code"], query)
	}
	_, got = post(t, w.handler(graphqlapi.Options{}), `{ verifyReadModel { next } }`, nil)
	require.Equal(t, "readmodel.not_managed", got.Errors[0].Extensions["code"])
	_, code := manage(t, w.operator(true), `repairReadModel { next }`)
	require.Equal(t, "mutation.read_only", code)
}
