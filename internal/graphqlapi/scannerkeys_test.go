package graphqlapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
)

func TestAScannersKeyIsIssuedListedAndRevoked(t *testing.T) {
	w := newWorld(t)
	h := w.operator(true)
	key := scanner.Key{ID: "00112233445566ff", Secret: scanner.Secret{7}}
	ring := commands.NewKeyring(w.log)
	admit := func() error { return ring.Admit(t.Context(), "README", key.String()) }
	require.Equal(t, "scanner_key.refused", domain.RuleOf(admit()))
	issue := func() map[string]any {
		_, a := post(t, h, `mutation ($sum: String!, $id: String!) { issueScannerKey(type: "README", keyId: $id, sha256: $sum, by: "li") { type keyId changed } }`,
			map[string]any{"id": key.ID, "sum": key.Digest()})
		require.Empty(t, a.Errors)
		return a.Data["issueScannerKey"].(map[string]any)
	}
	require.Equal(t, map[string]any{"type": "README", "keyId": key.ID, "changed": true}, issue())
	require.Equal(t, false, issue()["changed"])
	require.NoError(t, admit())
	require.Equal(t, "scanner_key.refused", domain.RuleOf(ring.Admit(t.Context(), "SQL", key.String())), "another type's")
	require.Equal(t, "scanner_key.missing", domain.RuleOf(ring.Admit(t.Context(), "README", "")))

	list := func() []any {
		_, a := post(t, h, `{ scannerKeys(type: "README") { keyId by } }`, nil)
		require.Empty(t, a.Errors)
		return a.Data["scannerKeys"].([]any)
	}
	require.Equal(t, []any{map[string]any{"keyId": key.ID, "by": "li"}}, list())
	revoke := func(id string) answer {
		_, a := post(t, h, `mutation ($id: String!) { revokeScannerKey(type: "README", keyId: $id, reason: "lost", by: "li") { changed } }`, map[string]any{"id": id})
		return a
	}
	require.Equal(t, "scanner_key.unknown", revoke("ff").Errors[0].Extensions["code"])
	require.Equal(t, true, revoke(key.ID).Data["revokeScannerKey"].(map[string]any)["changed"])
	require.Equal(t, "scanner_key.refused", domain.RuleOf(admit()), "at once")
	require.Empty(t, list())
}
