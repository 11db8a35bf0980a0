package graphqlapi_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/projections"
)

const patience = 20 * time.Second

// manager is a handler that takes wishes for read models, beside a projector.
func (w *world) manager() *graphqlapi.Handler {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	p := projections.NewProjector(w.log, w.pool, w, projections.Options{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	require.NoError(w.t, projections.Install(ctx, w.pool))
	return w.handler(graphqlapi.Options{Commands: commands.New(w.log), ReadModels: projections.NewRegistry(w.pool, w.log, w)})
}

// manage sends a wish; code is that of its refusal, if it was refused.
func manage(t *testing.T, h http.Handler, mutation string) (change map[string]any, code string) {
	t.Helper()
	_, got := post(t, h, `mutation { wish: `+mutation+` }`, nil)
	if len(got.Errors) > 0 {
		require.NotEmpty(t, got.Errors[0].Extensions["messageZh"])
		code, _ = got.Errors[0].Extensions["code"].(string)
		return nil, code
	}
	return got.Data["wish"].(map[string]any), ""
}

const changeFields = ` { number name state changed position }`

// Read models that say different things, switched to and fro as fast as it goes
// under readers: each answer is of one of them, and there always is one.
func TestNoAnswerIsOfTwoReadModelsAndNoneIsMissing(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	h := w.manager()
	last, _ := w.fill(6)
	require.NoError(t, projections.NewWaiter(w.pool).Wait(ctx, last, patience))
	change, code := manage(t, h, `rebuildReadModel(reason: "test", promote: true)`+changeFields)
	require.Empty(t, code)
	require.EqualValues(t, 2, change["number"])
	ask := func() (answer, map[string]any) {
		status, got := post(t, h, `{ readModel { name number }
			tasks { nodes { version subTasks { scanner { version } } findings { nodes { rule } } warnings: findings(severity: WARNING) { nodes { rule } } } }
			more: tasks(first: 2) { nodes { version } } }`, nil)
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, got.Errors)
		return got, got.Data["readModel"].(map[string]any)
	}
	require.Eventually(t, func() bool { _, m := ask(); return m["name"] == "rm_2" }, patience, 5*time.Millisecond)
	for _, schema := range []string{"rm_1", "rm_2"} { // from now on they can be told apart
		_, err := w.pool.Exec(ctx, fmt.Sprintf(`update %[1]s.tasks set version = '%[1]s'; update %[1]s.findings set rule = '%[1]s';
			update %[1]s.sub_tasks set scanner = '{"name":"x","version":"%[1]s"}'`, schema))
		require.NoError(t, err)
	}

	stop := make(chan struct{})
	var readers sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, m := ask()
				name := m["name"]
				texts := []any{got.Extensions["readModel"]["name"]}
				nodes := got.Data["tasks"].(map[string]any)["nodes"].([]any)
				if len(nodes) != 6 {
					t.Errorf("%d tasks", len(nodes))
				}
				for _, n := range nodes {
					n := n.(map[string]any)
					texts = append(texts, n["version"])
					for _, s := range n["subTasks"].([]any) {
						texts = append(texts, s.(map[string]any)["scanner"].(map[string]any)["version"])
					}
					for _, list := range []string{"findings", "warnings"} {
						for _, f := range n[list].(map[string]any)["nodes"].([]any) {
							texts = append(texts, f.(map[string]any)["rule"])
						}
					}
				}
				for _, n := range got.Data["more"].(map[string]any)["nodes"].([]any) {
					texts = append(texts, n.(map[string]any)["version"])
				}
				for _, text := range texts {
					if text != name {
						t.Errorf("%v in an answer of %v", text, name)
						return
					}
				}
				mu.Lock()
				seen[name.(string)]++
				mu.Unlock()
			}
		})
	}
	switches := 0
	for begun := time.Now(); time.Since(begun) < 4*time.Second || switches < 10; switches++ {
		wish := `rollbackReadModel`
		if switches%2 == 1 {
			wish = `promoteReadModel(number: 2)`
		}
		change, code := manage(t, h, wish+changeFields)
		require.Empty(t, code)
		require.Equal(t, true, change["changed"])
	}
	close(stop)
	readers.Wait()
	t.Logf("%d switches; answers: %v", switches, seen)
	require.Positive(t, seen["rm_1"])
	require.Positive(t, seen["rm_2"])
}

func TestReadModelsAreShownRebuiltAndSwitched(t *testing.T) {
	w := newWorld(t)
	h := w.manager()
	id := given.NewTask()
	last := w.Tell(id, given.Uploaded(id, "p"), given.Opened(id))
	_, got := post(t, h, `query ($at: String) { readModel(atPosition: $at) { name number state layout readable reason by begunAt promotedAt retiredAt promotesItself
		position head lagEvents lagSeconds eventsPerSecond etaSeconds halted { reason } skipped { type } } }`, map[string]any{"at": fmt.Sprint(last)})
	require.Empty(t, got.Errors)
	m := got.Data["readModel"].(map[string]any)
	require.Equal(t, []any{"rm_1", 1.0, "LIVE", true, "the first one", fmt.Sprint(last), 0.0, 0.0, nil},
		[]any{m["name"], m["number"], m["state"], m["readable"], m["reason"], m["head"], m["lagEvents"], m["lagSeconds"], m["etaSeconds"]})

	for mutation, want := range map[string]string{
		`promoteReadModel` + changeFields:                                                        "readmodel.none_building",
		`promoteReadModel(number: 9)` + changeFields:                                             "readmodel.unknown",
		`promoteReadModel(number: 0)` + changeFields:                                             "readmodel.number",
		`rollbackReadModel` + changeFields:                                                       "readmodel.no_former",
		`dropReadModel(number: 1)` + changeFields:                                                "readmodel.in_service",
		`rebuildReadModel(reason: "")` + changeFields:                                            "reason.invalid",
		`rebuildReadModel(reason: "x", task: "y")` + changeFields:                                "task.id",
		`skipFact(position: "7", reason: "x") { position }`:                                      "readmodel.not_halted",
		`rebuildReadModel(reason: "x", task: "` + given.NewTask().String() + `")` + changeFields: "task.unknown",
	} {
		_, code := manage(t, h, mutation)
		require.Equal(t, want, code, mutation)
	}
	change, code := manage(t, h, `rebuildReadModel(reason: "x", task: "`+id.String()+`")`+changeFields)
	require.Empty(t, code)
	require.Equal(t, []any{"rm_1", "LIVE", true}, []any{change["name"], change["state"], change["changed"]})

	change, _ = manage(t, h, `rebuildReadModel(reason: "why not", by: "li")`+changeFields)
	require.Equal(t, []any{2.0, "BUILDING", true}, []any{change["number"], change["state"], change["changed"]})
	change, _ = manage(t, h, `promoteReadModel`+changeFields) // it is waited for
	require.Equal(t, []any{2.0, "LIVE", true}, []any{change["number"], change["state"], change["changed"]})
	_, got = post(t, h, `{ readModels { name state reason by retiredAt promotedAt } tasks { nodes { id skippedFacts } } }`, nil)
	require.Empty(t, got.Errors)
	list := got.Data["readModels"].([]any)
	require.Len(t, list, 2)
	require.Equal(t, "OLD", list[0].(map[string]any)["state"])
	require.NotNil(t, list[0].(map[string]any)["retiredAt"])
	require.Equal(t, []any{"LIVE", "why not", "li"}, []any{list[1].(map[string]any)["state"], list[1].(map[string]any)["reason"], list[1].(map[string]any)["by"]})
	require.EqualValues(t, 0, got.Data["tasks"].(map[string]any)["nodes"].([]any)[0].(map[string]any)["skippedFacts"])
	change, _ = manage(t, h, `dropReadModel(number: 1)`+changeFields)
	require.Equal(t, []any{nil, true}, []any{change["state"], change["changed"]})

	// Without a registry nothing can be wished.
	_, code = manage(t, w.operator(true), `dropReadModel(number: 1)`+changeFields)
	require.Equal(t, "mutation.read_only", code)
}

func TestTheFactBeforeWhichAReadModelHaltedCanBeSkipped(t *testing.T) {
	w := newWorld(t)
	h := w.manager()
	id, other := given.NewTask(), given.NewTask()
	w.Tell(id, given.Uploaded(id, "p"), given.Opened(id))
	odd, err := w.log.Append(t.Context(), eventstore.StreamID{Category: task.Category, Key: id.String()}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(id, "odd"), Type: "SubTaskPaused", Data: []byte("{}"), Metadata: []byte("{}")})
	require.NoError(t, err)
	last := w.Tell(other, given.Uploaded(other, "p"))

	halted := func() (position any) {
		_, got := post(t, h, `{ readModel { halted { position reason } } }`, nil)
		require.Empty(t, got.Errors)
		halt, _ := got.Data["readModel"].(map[string]any)["halted"].(map[string]any)
		return halt["position"]
	}
	require.Eventually(t, func() bool { return halted() == fmt.Sprint(odd.Position) }, patience, 5*time.Millisecond)
	_, code := manage(t, h, fmt.Sprintf(`skipFact(position: "%d", reason: "x") { position }`, last))
	require.Equal(t, "readmodel.not_halted", code, "only where it halted")
	wish := fmt.Sprintf(`skipFact(position: "%d", reason: "a test tool wrote it", by: "li") { skipped stream revision type changed position }`, odd.Position)
	change, code := manage(t, h, wish)
	require.Empty(t, code)
	require.Equal(t, []any{fmt.Sprint(odd.Position), "task-" + id.String(), 2.0, "SubTaskPaused", true},
		[]any{change["skipped"], change["stream"], change["revision"], change["type"], change["changed"]})
	require.Eventually(t, func() bool {
		_, got := post(t, h, `query ($id: ID!) { task(id: $id) { id } }`, map[string]any{"id": other.String()})
		return got.Data["task"] != nil
	}, patience, 5*time.Millisecond)
	require.Nil(t, halted())
	_, got := post(t, h, `query ($id: ID!, $at: String!) { task(id: $id, atPosition: $at) { skippedFacts revision } readModels { skipped { position stream revision type reason by } } }`,
		map[string]any{"id": id.String(), "at": change["position"]})
	require.Empty(t, got.Errors)
	require.Equal(t, map[string]any{"skippedFacts": 1.0, "revision": 2.0}, got.Data["task"])
	require.Equal(t, []any{map[string]any{"position": fmt.Sprint(odd.Position), "stream": "task-" + id.String(), "revision": 2.0, "type": "SubTaskPaused", "reason": "a test tool wrote it", "by": "li"}},
		got.Data["readModels"].([]any)[0].(map[string]any)["skipped"])
	again, code := manage(t, h, wish)
	require.Empty(t, code)
	require.Equal(t, false, again["changed"])
}

// What this version cannot read it says so of, and how far the rebuild is.
func TestTablesOfAnotherVersionAreNotRead(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	id := given.NewTask()
	w.Follow(w.Tell(id, given.Uploaded(id, "p")))
	h := w.handler(graphqlapi.Options{})
	relayout := func(by int) {
		_, err := w.pool.Exec(ctx, `update readmodels.registry set layout = layout + $1 where number = 1`, by)
		require.NoError(t, err)
		_, err = w.pool.Exec(ctx, `update rm_1.checkpoint set layout = layout + $1`, by)
		require.NoError(t, err)
	}
	code := func(query string) any {
		_, got := post(t, h, query, nil)
		require.NotEmpty(t, got.Errors)
		require.Equal(t, "UNAVAILABLE", got.Errors[0].Extensions["kind"])
		require.NotEmpty(t, got.Errors[0].Extensions["messageZh"])
		return got.Errors[0].Extensions["code"]
	}
	relayout(+1)
	require.Equal(t, "readmodel.newer", code(`{ tasks { nodes { id } } }`))
	relayout(-2)
	require.Equal(t, "readmodel.older", code(`{ deadLetters { nodes { taskId } } }`))
	_, err := projections.NewRegistry(w.pool, w.log, w).Rebuild(ctx, projections.Rebuild{Reason: "test"})
	require.NoError(t, err)
	require.Equal(t, "readmodel.rebuilding", code(`{ tasks { nodes { id } } }`))
	_, got := post(t, h, `{ tasks { nodes { id } } }`, nil)
	require.Contains(t, got.Errors[0].Message, "rm_2 has read 0.0% of the log")
	_, got = post(t, h, `{ readModel { name readable } readModels { readable state } }`, nil)
	require.Empty(t, got.Errors, "how far it is can always be asked")
	require.Equal(t, false, got.Data["readModel"].(map[string]any)["readable"])
}
