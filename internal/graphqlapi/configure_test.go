package graphqlapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/queries"
)

func TestScannersAreConfiguredAndFindingsWaived(t *testing.T) {
	log := testbench.NewStore(t)
	h, err := graphqlapi.NewHandler(queries.New(nil, log), nil, graphqlapi.Options{
		Commands: commands.New(log), RuleBook: commands.NewRuleBook(log),
		CheckConfiguration: func(subTaskType, text string) error {
			d, err := configuration.Parse(text)
			if err != nil || subTaskType != "SQL" {
				return err
			}
			return d.Check([]report.Rule{{ID: "SQL001"}})
		},
	})
	require.NoError(t, err)
	ask := func(query string) map[string]any {
		t.Helper()
		code, a := post(t, h, query, nil)
		require.Equal(t, http.StatusOK, code)
		require.Empty(t, a.Errors)
		return a.Data
	}
	const text = "rules: {SQL001: off}"
	digest := configuration.Digest(text)
	did := ask(`mutation { configureScanner(type: "SQL", text: "` + text + `", by: "li") { project type digest changed position } }`)["configureScanner"].(map[string]any)
	require.NotEqual(t, "0", did["position"])
	delete(did, "position")
	require.Equal(t, map[string]any{"project": "*", "type": "SQL", "digest": digest, "changed": true}, did)
	ask(`mutation { configureScanner(type: "OWN", project: "dw", text: "settings: {a: 1}") { changed } }`)

	const fields = ` { project type text digest by at }`
	got := ask(`{ scannerConfiguration(project: "dw", type: "SQL")` + fields + ` }`)["scannerConfiguration"].(map[string]any)
	require.NotNil(t, got["at"])
	delete(got, "at")
	require.Equal(t, map[string]any{"project": "*", "type": "SQL", "text": text, "digest": digest, "by": "li"}, got)
	require.Nil(t, ask(`{ scannerConfiguration(project: "dw", type: "EXCEL")` + fields + ` }`)["scannerConfiguration"])
	require.Len(t, ask(`{ project(key: "dw") { scanners { type } } }`)["project"].(map[string]any)["scanners"], 1)
	require.Equal(t, map[string]any{"digest": nil, "changed": true}, ask(`mutation { resetScanner(type: "OWN", project: "dw") { digest changed } }`)["resetScanner"])

	grant := `mutation { grantWaiver(project: "dw", rule: "SQL034", path: "legacy/**", reason: "agreed", type: "SQL", identity: "0123456789abcdef0123456789abcdef", expires: "2999-12-31", by: "li") {
		changed waiver { id project type rule path anchor identity reason expires by at revokedAt } } }`
	one := ask(grant)["grantWaiver"].(map[string]any)
	require.Equal(t, true, one["changed"])
	waiver := one["waiver"].(map[string]any)
	require.Equal(t, []any{"dw", "SQL", "SQL034", "legacy/**", nil, "0123456789abcdef0123456789abcdef", "agreed", "2999-12-31", "li", nil},
		[]any{waiver["project"], waiver["type"], waiver["rule"], waiver["path"], waiver["anchor"], waiver["identity"], waiver["reason"], waiver["expires"], waiver["by"], waiver["revokedAt"]})
	again := ask(grant)["grantWaiver"].(map[string]any)
	require.Equal(t, false, again["changed"])
	require.Equal(t, waiver["id"], again["waiver"].(map[string]any)["id"])
	list := func() any {
		return ask(`{ project(key: "dw") { waivers { id } } }`)["project"].(map[string]any)["waivers"]
	}
	require.Equal(t, []any{map[string]any{"id": waiver["id"]}}, list())
	revoked := ask(`mutation { revokeWaiver(project: "dw", id: "` + waiver["id"].(string) + `", reason: "fixed") { changed waiver { revokedAt } } }`)["revokeWaiver"].(map[string]any)
	require.Equal(t, true, revoked["changed"])
	require.NotNil(t, revoked["waiver"].(map[string]any)["revokedAt"])
	require.Empty(t, list())

	for query, code := range map[string]string{
		`mutation { configureScanner(type: "SQL", text: "rules: {SQL002: off}") { digest } }`:                            "configuration.invalid",
		`mutation { configureScanner(type: "OWN", text: "enable: x") { digest } }`:                                       "configuration.invalid",
		`mutation { configureScanner(type: "作业", text: "enabled: true") { digest } }`:                                    "sub_task.type",
		`mutation { grantWaiver(project: "dw", rule: "R", path: "[", reason: "x") { changed } }`:                         "glob.invalid",
		`mutation { grantWaiver(project: "dw", rule: "R", path: "**", reason: "x", expires: "soon") { changed } }`:       "suppression.expires",
		`mutation { grantWaiver(project: "dw", rule: "R", path: "**", reason: "x", expires: "2020-01-01") { changed } }`: "waiver.expired",
		`mutation { revokeWaiver(project: "dw", id: "x") { changed } }`:                                                  "waiver.unknown",
	} {
		_, a := post(t, h, query, nil)
		require.Len(t, a.Errors, 1, query)
		require.Equal(t, code, a.Errors[0].Extensions["code"])
		require.NotEmpty(t, a.Errors[0].Extensions["messageZh"])
		if code == "configuration.invalid" {
			require.EqualValues(t, 1, a.Errors[0].Extensions["line"])
		}
	}
}
