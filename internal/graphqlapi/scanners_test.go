package graphqlapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/internal/graphqlapi"
)

func TestScannersAreShownAndRetired(t *testing.T) {
	w := newWorld(t)
	c := commands.New(w.log)
	for _, name := range []string{"EXCEL", "SQL"} {
		_, err := c.EnlistScanner(t.Context(), "scanner", scanner.Enlist{Type: name, Instance: "i", Version: "1"})
		require.NoError(t, err)
	}
	w.Follow(w.Scanner("SQL"))
	h := w.operator(true)
	const retire = `mutation ($type: String!, $reason: String!) { retireScanner(type: $type, reason: $reason, by: "li") { type position changed } }`
	wish := func(name, reason string) answer {
		_, a := post(t, h, retire, map[string]any{"type": name, "reason": reason})
		return a
	}
	first := wish("SQL", "replaced")
	require.Empty(t, first.Errors)
	done := first.Data["retireScanner"].(map[string]any)
	require.Equal(t, map[string]any{"type": "SQL", "position": done["position"], "changed": true}, done)
	again := wish("SQL", "once more").Data["retireScanner"].(map[string]any)
	require.Equal(t, map[string]any{"type": "SQL", "position": done["position"], "changed": false}, again)
	for code, a := range map[string]answer{
		"scanner.unknown": wish("NOBODY", "x"), "reason.invalid": wish("EXCEL", " "), "scanner.type": wish("a b", "x"),
	} {
		require.Len(t, a.Errors, 1)
		require.Equal(t, code, a.Errors[0].Extensions["code"])
		require.NotEmpty(t, a.Errors[0].Extensions["messageZh"])
	}
	_, a := post(t, w.handler(graphqlapi.Options{}), retire, map[string]any{"type": "SQL", "reason": "x"})
	require.Equal(t, "mutation.read_only", a.Errors[0].Extensions["code"])

	_, a = post(t, h, `query ($at: String) { scanners(atPosition: $at) { type state firstSeenAt enlistedAt lastHeardAt retired { at by reason }
		instances { instance state version rulesDigest configDigest onlineAt lastHeardAt offlineAt } } }`, map[string]any{"at": done["position"]})
	require.Empty(t, a.Errors)
	list := a.Data["scanners"].([]any)
	require.Len(t, list, 2)
	excel, sql := list[0].(map[string]any), list[1].(map[string]any)
	require.Equal(t, "ONLINE", excel["state"])
	require.Nil(t, excel["retired"])
	require.Empty(t, excel["instances"])
	require.Equal(t, "RETIRED", sql["state"])
	require.Equal(t, "replaced", sql["retired"].(map[string]any)["reason"])
	require.Equal(t, "li", sql["retired"].(map[string]any)["by"])
	instance := sql["instances"].([]any)[0].(map[string]any)
	require.Equal(t, "ONLINE", instance["state"])
	require.Equal(t, "i", instance["instance"])
	require.NotNil(t, instance["onlineAt"])
	require.Nil(t, instance["offlineAt"])
}
