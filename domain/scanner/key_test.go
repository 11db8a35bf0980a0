package scanner_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
)

var aKey = scanner.Key{ID: "00112233445566ff", Secret: scanner.Secret{1, 2, 3}}

func issue(k scanner.Key) scanner.IssueKey {
	return scanner.IssueKey{Type: "README", KeyID: k.ID, SHA256: k.Digest(), By: "li"}
}

func foldKeys(facts ...scanner.KeyFact) (k scanner.Keys) {
	for i, f := range facts {
		k = scanner.EvolveKeys(k, scanner.RecordedKey{Revision: uint64(i), Fact: f})
	}
	return k
}

func TestAKeyIsInForceUntilItIsRevoked(t *testing.T) {
	none := foldKeys()
	require.False(t, none.Admits(aKey))
	issued, err := scanner.DecideKeys(none, issue(aKey))
	require.NoError(t, err)
	keys := foldKeys(issued...)
	require.True(t, keys.Admits(aKey))
	other := aKey
	other.Secret[31] = 1
	require.False(t, keys.Admits(other), "another secret")
	other = aKey
	other.ID = "ff11223344556677"
	require.False(t, keys.Admits(other), "another id")

	again, err := scanner.DecideKeys(keys, issue(aKey))
	require.NoError(t, err)
	require.Empty(t, again)

	revoke := scanner.RevokeKey{Type: "README", KeyID: aKey.ID, Reason: "lost", By: "li"}
	revoked, err := scanner.DecideKeys(keys, revoke)
	require.NoError(t, err)
	after := foldKeys(append(issued, revoked...)...)
	require.False(t, after.Admits(aKey))
	require.True(t, keys.Admits(aKey), "evolving leaves the older state as it was")
	require.Empty(t, after.InForce())
	again, err = scanner.DecideKeys(after, revoke)
	require.NoError(t, err)
	require.Empty(t, again)
	_, err = scanner.DecideKeys(after, issue(aKey))
	require.Equal(t, "scanner_key.taken", domain.RuleOf(err), "a revoked key does not come back")
}

func TestWhatMayNotBeIssuedOrRevoked(t *testing.T) {
	var many []scanner.KeyFact
	for i := range scanner.MaxKeys {
		k := scanner.Key{ID: strings.Repeat("0", 15) + string("0123456789abcdefghij"[i%16]), Secret: scanner.Secret{byte(i)}}
		if i >= 16 {
			k.ID = "1" + k.ID[1:]
		}
		facts, err := scanner.DecideKeys(foldKeys(many...), issue(k))
		require.NoError(t, err)
		many = append(many, facts...)
	}
	for rule, c := range map[string]scanner.KeyCommand{
		"scanner.type":         scanner.IssueKey{Type: "a b", KeyID: aKey.ID, SHA256: aKey.Digest()},
		"scanner_key.invalid":  scanner.IssueKey{Type: "README", KeyID: "XY", SHA256: aKey.Digest()},
		"scanner_key.too_many": issue(aKey),
		"scanner_key.unknown":  scanner.RevokeKey{Type: "README", KeyID: "nope", Reason: "x"},
		"reason.invalid":       scanner.RevokeKey{Type: "README", KeyID: "nope"},
	} {
		_, err := scanner.DecideKeys(foldKeys(many...), c)
		require.Equal(t, rule, domain.RuleOf(err))
		var e *domain.Error
		require.ErrorAs(t, err, &e)
		require.NotEmpty(t, e.MsgZH)
	}
}

func TestNoKeyIsTakenBesideWhatCannotBeRead(t *testing.T) {
	facts, err := scanner.DecideKeys(scanner.Keys{}, issue(aKey))
	require.NoError(t, err)
	keys := foldKeys(append(facts, scanner.ReadKey("ScannerKeySuspended", nil))...)
	require.False(t, keys.Admits(aKey))
	_, _, err = scanner.EncodeKey(scanner.ReadKey("ScannerKeySuspended", nil))
	require.Error(t, err)
}

func TestKeysReadBackWhatTheyWrite(t *testing.T) {
	back, ok := scanner.ParseKey(aKey.String())
	require.True(t, ok)
	require.Equal(t, aKey, back)
	for _, s := range []string{"", "fgscan_", "fgscan_00112233445566ff_12", strings.ToUpper(aKey.String()), aKey.String() + "0", strings.Replace(aKey.String(), "ff_", "fg_", 1)} {
		_, ok := scanner.ParseKey(s)
		require.False(t, ok, s)
	}
}

func TestStoredKeyFactsStayReadable(t *testing.T) {
	for _, want := range []scanner.KeyFact{
		scanner.ScannerKeyIssued{Type: "README", KeyID: aKey.ID, SHA256: aKey.Digest(), By: "li"},
		scanner.ScannerKeyRevoked{Type: "README", KeyID: aKey.ID, Reason: "lost", By: "li"},
	} {
		name, data, err := scanner.EncodeKey(want)
		require.NoError(t, err)
		require.NotContains(t, string(data), aKey.String()[24:])
		require.Equal(t, want, scanner.ReadKey(name, golden(t, name, data)))
	}
}

func FuzzReadKey(f *testing.F) {
	f.Add("ScannerKeyIssued", []byte(`{"type":"README","keyId":"00112233445566ff","sha256":"ab"}`))
	f.Add("ScannerKeyRevoked", []byte(`{"type":"README","keyId":"00112233445566ff","reason":"x"}`))
	f.Add("ScannerKeyRevoked", []byte(`{"type":7}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		fact := scanner.ReadKey(name, data)
		keys := scanner.EvolveKeys(scanner.Keys{}, scanner.RecordedKey{Fact: fact})
		if _, no := fact.(scanner.UnreadableKey); no {
			require.NotNil(t, keys.Unreadable)
			return
		}
		again, encoded, err := scanner.EncodeKey(fact)
		require.NoError(t, err)
		require.Equal(t, fact, scanner.ReadKey(again, encoded))
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(aKey.String())
	f.Add("fgscan__")
	f.Fuzz(func(t *testing.T, s string) {
		if k, ok := scanner.ParseKey(s); ok {
			require.Equal(t, strings.ToLower(s), k.String())
		}
	})
}
