package graphqlapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/queries"
)

const mine = "name: mine\nwindow: 7m\nquiet: 3s\nrules:\n  - {id: always, when: \"true\", status: SUCCESS}\n"

func TestRuleSetsArePublishedActivatedAndShown(t *testing.T) {
	log := testbench.NewStore(t)
	h, err := graphqlapi.NewHandler(queries.New(nil, log), nil, graphqlapi.Options{Commands: commands.New(log), RuleBook: commands.NewRuleBook(log)})
	require.NoError(t, err)
	ask := func(query string, variables map[string]any) map[string]any {
		t.Helper()
		code, a := post(t, h, query, variables)
		require.Equal(t, http.StatusOK, code)
		require.Empty(t, a.Errors)
		return a.Data
	}
	const publish = `mutation($t: String!) { publishRuleSet(text: $t, by: "li") { name version digest changed position } }`
	got := ask(publish, map[string]any{"t": mine})["publishRuleSet"].(map[string]any)
	require.Equal(t, []any{"mine", 1.0, true}, []any{got["name"], got["version"], got["changed"]})
	require.NotEqual(t, "0", got["position"])
	require.Equal(t, false, ask(publish, map[string]any{"t": mine})["publishRuleSet"].(map[string]any)["changed"])
	ask(publish, map[string]any{"t": mine + "# again\n"})

	ask(`mutation { activateRuleSet(name: "mine", version: 1, project: "dw", by: "li") { version changed } }`, nil)
	ask(`mutation { activateRuleSet(name: "mine", by: "li") { version changed } }`, nil)
	set := ask(`mutation { configureProject(project: "dw", window: "1h", minimum: "1m") { project ruleSet window quiet minimum changed } }`, nil)["configureProject"]
	require.Equal(t, map[string]any{"project": "dw", "ruleSet": "mine", "window": "1h0m0s", "quiet": nil, "minimum": "1m0s", "changed": true}, set)
	set = ask(`mutation { configureProject(project: "dw", window: "") { window } }`, nil)["configureProject"]
	require.Equal(t, map[string]any{"window": nil}, set)

	sets := ask(`{ ruleSets { name versions { version digest publishedAt by active inService projects builtIn } } }`, nil)["ruleSets"].([]any)
	require.Len(t, sets, len(rules.BuiltIns())+1)
	for _, s := range sets {
		s := s.(map[string]any)
		versions := s["versions"].([]any)
		if s["name"] != "mine" {
			require.Equal(t, true, versions[0].(map[string]any)["builtIn"])
			require.Equal(t, false, versions[0].(map[string]any)["inService"])
			continue
		}
		require.Len(t, versions, 2)
		one, two := versions[0].(map[string]any), versions[1].(map[string]any)
		require.Equal(t, []any{false, false, []any{"dw"}, "li"}, []any{one["active"], one["inService"], one["projects"], one["by"]})
		require.Equal(t, []any{true, true, []any{}}, []any{two["active"], two["inService"], two["projects"]})
		require.NotNil(t, one["publishedAt"])
	}
	require.Equal(t, map[string]any{"version": 1.0, "text": mine}, ask(`{ ruleSet(name: "mine", version: 1) { version text } }`, nil)["ruleSet"])
	require.Equal(t, string(rules.Default().Source()), ask(`{ ruleSet(name: "default") { text } }`, nil)["ruleSet"].(map[string]any)["text"])
	require.Equal(t, map[string]any{"ruleSet": map[string]any{"name": "mine", "version": 1.0}, "window": "7m0s", "quiet": "3s", "minimum": "1m0s", "problem": nil},
		ask(`{ terms(project: "dw") { ruleSet { name version } window quiet minimum problem } }`, nil)["terms"])

	for query, code := range map[string]string{
		`{ ruleSet(name: "nothing") { text } }`:                                   "ruleset.unknown",
		`{ ruleSet(name: "mine", version: 9) { text } }`:                          "ruleset.version_unknown",
		`{ ruleSet(name: "mine", version: 0) { text } }`:                          "ruleset.version",
		`{ ruleSet(name: "*") { text } }`:                                         "ruleset.name",
		`mutation { activateRuleSet(name: "nothing") { version } }`:               "ruleset.unknown",
		`mutation { activateRuleSet(name: "mine", project: "") { version } }`:     "project.name",
		`mutation { configureProject(project: "dw", quiet: "soon") { changed } }`: "project.quiet",
	} {
		_, a := post(t, h, query, nil)
		require.Len(t, a.Errors, 1)
		require.Equal(t, code, a.Errors[0].Extensions["code"])
		require.NotEmpty(t, a.Errors[0].Extensions["messageZh"])
	}
	_, a := post(t, bare(t, graphqlapi.Options{}), `{ ruleSets { name } }`, nil)
	require.Equal(t, "rulesets.none", a.Errors[0].Extensions["code"])
}

func TestARefusedRuleSetSaysWhere(t *testing.T) {
	log := testbench.NewStore(t)
	h, err := graphqlapi.NewHandler(queries.New(nil, log), nil, graphqlapi.Options{Commands: commands.New(log), RuleBook: commands.NewRuleBook(log)})
	require.NoError(t, err)
	body, err := json.Marshal(map[string]any{"query": `mutation($t: String!) { publishRuleSet(text: $t) { version } }`,
		"variables": map[string]any{"t": "name: mine\nwindow: 1m\nquiet: 1s\nrules:\n  - id: a\n    when: nobody_knows == 1\n    status: FAILED\n"}})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var got struct {
		Errors []struct {
			Message    string
			Extensions struct {
				Code, Kind, MessageZh, RuleID string
				Line, Column                  int
			}
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), w.Body)
	require.Len(t, got.Errors, 1)
	e := got.Errors[0]
	require.Equal(t, "ruleset.invalid", e.Extensions.Code)
	require.Equal(t, "INVALID", e.Extensions.Kind)
	require.Equal(t, "a", e.Extensions.RuleID)
	require.Equal(t, 6, e.Extensions.Line)
	require.Positive(t, e.Extensions.Column)
	require.Contains(t, e.Message, "nobody_knows")
	require.Contains(t, e.Extensions.MessageZh, "第 6 行")
	head, err := log.Head(t.Context())
	require.NoError(t, err)
	require.Zero(t, head, "nothing was appended")
}
