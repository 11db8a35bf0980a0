package graphqlapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

func TestAProjectsSettingsAreShownAndChanged(t *testing.T) {
	log := testbench.NewStore(t)
	h, err := graphqlapi.NewHandler(queries.New(nil, log), nil, graphqlapi.Options{Commands: commands.New(log), RuleBook: commands.NewRuleBook(log)})
	require.NoError(t, err)
	ask := func(query string) map[string]any {
		t.Helper()
		code, a := post(t, h, query, map[string]any{"t": mine})
		require.Equal(t, http.StatusOK, code)
		require.Empty(t, a.Errors)
		return a.Data
	}
	const settings = `settings { ruleSet window quiet minimum shadow }`
	none := map[string]any{"ruleSet": nil, "window": nil, "quiet": nil, "minimum": nil, "shadow": nil}
	require.Equal(t, map[string]any{"key": "dw", "settings": none}, ask(`{ project(key: "dw") { key ` + settings + ` } }`)["project"])
	ask(`mutation($t: String!) { publishRuleSet(text: $t) { version } }`)
	require.Equal(t, "mine@1", ask(`mutation { configureProject(project: "dw", window: "1h", shadow: "mine@1") { shadow } }`)["configureProject"].(map[string]any)["shadow"])
	got := ask(`{ project(key: "dw") { ` + settings + ` terms { window shadow { name version } shadowProblem } } }`)["project"]
	require.Equal(t, map[string]any{
		"settings": map[string]any{"ruleSet": nil, "window": "1h0m0s", "quiet": nil, "minimum": nil, "shadow": "mine@1"},
		"terms":    map[string]any{"window": "1h0m0s", "shadow": map[string]any{"name": "mine", "version": 1.0}, "shadowProblem": nil},
	}, got)
	require.Equal(t, map[string]any{"shadow": nil}, ask(`mutation { configureProject(project: "dw", shadow: "") { shadow } }`)["configureProject"])
	for query, code := range map[string]string{
		`mutation { configureProject(project: "dw", shadow: "mine@x") { shadow } }`:  "project.shadow",
		`mutation { configureProject(project: "dw", shadow: "mine") { shadow } }`:    "ruleset.inactive",
		`mutation { configureProject(project: "dw", shadow: "nothing") { shadow } }`: "ruleset.unknown",
		`{ project(key: "") { key } }`:                                               "project.name",
	} {
		_, a := post(t, h, query, nil)
		require.Len(t, a.Errors, 1, query)
		require.Equal(t, code, a.Errors[0].Extensions["code"])
		require.NotEmpty(t, a.Errors[0].Extensions["messageZh"])
	}
}

func TestATasksShadowIsShown(t *testing.T) {
	w := newWorld(t)
	c := commands.New(w.log)
	done, err := c.PublishRuleSet(t.Context(), mine, "li")
	require.NoError(t, err)
	id, at := given.NewTask(), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	last := w.Tell(id, given.Uploaded(id, "p"), task.MainTaskCreated{TaskID: id.String(), RuleSet: rules.Default().Ref(),
		Window: task.Window{OpensAt: at, Deadline: at.Add(7 * time.Minute), Quiet: task.Duration(3 * time.Second)},
		Shadow: &task.RuleSetRef{Name: "mine", Version: 1, Digest: done.Digest}})
	w.Follow(last)
	h := w.handler(graphqlapi.Options{})
	const shadow = `shadow { ruleSet { name version digest } status rule { id when } because { en zh } differs undecidable { en zh } dueAt }`
	ask := func() map[string]any {
		_, a := post(t, h, `query($id: ID!) { task(id: $id) { `+shadow+` explain { `+shadow+` } } tasks { nodes { `+shadow+` } } }`, map[string]any{"id": id.String()})
		require.Empty(t, a.Errors)
		got := a.Data["task"].(map[string]any)
		require.Equal(t, got["shadow"], got["explain"].(map[string]any)["shadow"])
		require.Equal(t, got["shadow"], a.Data["tasks"].(map[string]any)["nodes"].([]any)[0].(map[string]any)["shadow"])
		return got["shadow"].(map[string]any)
	}
	open := ask()
	require.Equal(t, map[string]any{"name": "mine", "version": 1.0, "digest": done.Digest}, open["ruleSet"])
	require.NotNil(t, open["dueAt"])
	for _, field := range []string{"status", "rule", "because", "differs", "undecidable"} {
		require.Nil(t, open[field], field)
	}

	w.Follow(w.Tell(id, task.WindowClosed{TaskID: id.String(), Cause: task.Settled, ClosedAt: time.Now().Add(time.Minute)},
		task.MainTaskConverged{TaskID: id.String(), Revision: 1, Verdict: task.Verdict{Status: task.Failed, RuleSet: rules.Default().Ref()}}))
	closed := ask()
	require.Equal(t, []any{"SUCCESS", true, nil, nil}, []any{closed["status"], closed["differs"], closed["undecidable"], closed["dueAt"]})
	require.Equal(t, "always", closed["rule"].(map[string]any)["id"])
	require.Equal(t, map[string]any{"en": "always", "zh": "always"}, closed["because"])

	_, a := post(t, h, `query($id: ID!) { task(id: $id) { shadow { status } shadowStatus } }`, map[string]any{"id": w.failing(t).String()})
	require.Equal(t, map[string]any{"shadow": nil, "shadowStatus": nil}, a.Data["task"])

	const report = `name version judged same differing undecidable open nodes { task project version fileName recorded status rule } pageInfo { hasNextPage endCursor }`
	_, a = post(t, h, `query($id: ID!) { shadowReport(ruleSet: "mine@1", project: "p") { `+report+` } tasks { nodes { id shadowStatus } }
		task(id: $id, asOf: {revision: 3}) { shadowStatus } }`, map[string]any{"id": id.String()})
	require.Empty(t, a.Errors)
	got := a.Data["shadowReport"].(map[string]any)
	require.Equal(t, []any{"mine", 1.0, 1.0, 0.0, 1.0, 0.0, 0.0}, []any{got["name"], got["version"], got["judged"], got["same"], got["differing"], got["undecidable"], got["open"]})
	require.Equal(t, []any{map[string]any{"task": id.String(), "project": "p", "version": "1", "fileName": "p.zip", "recorded": "FAILED", "status": "SUCCESS", "rule": "always"}}, got["nodes"])
	require.Equal(t, false, got["pageInfo"].(map[string]any)["hasNextPage"])
	said := map[any]any{}
	for _, n := range a.Data["tasks"].(map[string]any)["nodes"].([]any) {
		said[n.(map[string]any)["id"]] = n.(map[string]any)["shadowStatus"]
	}
	require.Equal(t, "SUCCESS", said[id.String()])
	require.Len(t, said, 2)
	require.Equal(t, map[string]any{"shadowStatus": "SUCCESS"}, a.Data["task"])
	for ruleSet, code := range map[string]string{"mine": "project.shadow", "mine@x": "project.shadow", "a b@1": "ruleset.name"} {
		_, a := post(t, h, `query($r: String!) { shadowReport(ruleSet: $r) { judged } }`, map[string]any{"r": ruleSet})
		require.Equal(t, code, a.Errors[0].Extensions["code"], ruleSet)
	}
}
