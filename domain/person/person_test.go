package person_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/person"
)

var (
	key   = [person.KeySize]byte{1, 2, 3}
	nonce = [person.NonceSize]byte{4, 5, 6}
	id    = person.NewKeyID([16]byte{0x3f, 0x2a, 0x91, 0xc0, 15: 1})
	other = person.NewKeyID([16]byte{9})
)

func sealed(t *testing.T, id person.KeyID, name string) person.Token {
	t.Helper()
	token, err := person.Seal(id, key, nonce, name)
	require.NoError(t, err)
	return token
}

func TestATokenOpensWithItsKeyAndWithNoOther(t *testing.T) {
	for _, name := range []string{"li", "李雷", "a\x80b\x80", "person:v1:x:y", strings.Repeat("x", 31), strings.Repeat("x", 32), strings.Repeat("名", 170)} {
		token := sealed(t, id, name)
		text := token.String()
		require.NotContains(t, text, name)
		require.LessOrEqual(t, len(text), person.MaxToken)
		back, ok := person.ParseToken(text)
		require.True(t, ok)
		require.Equal(t, token, back)
		got, err := back.Open(key)
		require.NoError(t, err)
		require.Equal(t, name, got)

		_, err = back.Open([person.KeySize]byte{1})
		require.ErrorIs(t, err, person.ErrSealed)
		stolen, ok := person.ParseToken(strings.Replace(text, string(id), string(other), 1))
		require.True(t, ok)
		_, err = stolen.Open(key)
		require.ErrorIs(t, err, person.ErrSealed, "it is bound to its key id")
	}
	require.Len(t, sealed(t, id, strings.Repeat("x", 31)).String(), len(sealed(t, id, "li").String()), "a short name's length does not show")
	for _, name := range []string{"", strings.Repeat("x", person.MaxName+1)} {
		_, err := person.Seal(id, key, nonce, name)
		require.Error(t, err)
	}
	require.Equal(t, "#3f2a91c0", id.Short())
	require.Equal(t, "#", person.KeyID("").Short())
}

func TestWhatIsNoTokenIsAName(t *testing.T) {
	good := sealed(t, id, "li").String()
	for _, s := range []string{"", "li", "operator", "scanner SQL", "person:v1:", "person:v1::", strings.ToUpper(good), good + "=", good[:50], "x" + good,
		"person:v2" + good[9:], good + strings.Repeat("A", person.MaxToken)} {
		_, ok := person.ParseToken(s)
		require.False(t, ok, s)
	}
}

func FuzzParseToken(f *testing.F) {
	token, err := person.Seal(id, key, nonce, "li")
	require.NoError(f, err)
	f.Add(token.String())
	f.Add("person:v1:00000000000000000000000000000000:AAAAAAAAAAAAAAAA")
	f.Add("li")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := person.ParseToken(s)
		if !ok {
			return
		}
		require.Equal(t, s, got.String(), "one token has one text")
		if name, err := got.Open(key); err == nil {
			require.Equal(t, "li", name)
		} else {
			require.ErrorIs(t, err, person.ErrSealed)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add("PersonKeyed", []byte(`{"keyId":"x","key":"AAAA"}`))
	f.Add("PersonNamed", []byte(`{"keyId":"x","token":"person:v1:"}`))
	f.Fuzz(func(t *testing.T, typeName string, data []byte) {
		fact := person.Read(typeName, data)
		if k, ok := fact.(person.PersonKeyed); ok {
			require.Len(t, k.Secret, person.KeySize)
		}
		var d person.Directory
		d.Evolve(0, fact)
		require.EqualValues(t, 1, d.Facts)
	})
}

func TestErasedOnceIsErasedForEver(t *testing.T) {
	var d person.Directory
	named := person.PersonNamed{KeyID: id, Token: sealed(t, id, "li").String()}
	d.Evolve(0, named)
	d.Evolve(1, person.PersonNamed{KeyID: other, Token: named.Token}) // a token of somebody else's key
	d.Evolve(2, person.Read("PersonSmiled", nil))
	require.Len(t, d.Tokens, 1)

	wish := person.Erase{KeyIDs: []person.KeyID{id, other}, Reason: "asked for it", By: "t"}
	facts, err := person.Decide(&d, wish)
	require.NoError(t, err)
	require.Equal(t, []person.Fact{person.PersonErased{KeyID: id, Reason: "asked for it", By: "t"}}, facts)
	d.Evolve(3, facts[0])
	d.Evolve(3, named) // a repetition
	d.Evolve(4, named)
	require.Empty(t, d.Tokens)
	require.Equal(t, map[person.KeyID]struct{}{id: {}}, d.Erased)
	require.EqualValues(t, 5, d.Facts)
	facts, err = person.Decide(&d, wish)
	require.NoError(t, err)
	require.Empty(t, facts, "silence")
	_, err = person.Decide(&d, person.Erase{})
	require.Equal(t, "reason.invalid", domain.RuleOf(err))
}

var update = flag.Bool("update", false, "write golden files that are missing; existing ones are never rewritten")

// Files in testdata/facts are added, never edited.
func TestStoredFactsStayReadable(t *testing.T) {
	token := sealed(t, id, "li").String()
	for _, want := range []person.Fact{
		person.PersonKeyed{KeyID: id, Secret: key[:]},
		person.PersonNamed{KeyID: id, Token: token},
		person.PersonErased{KeyID: id, Reason: "asked for it", By: token},
	} {
		name, data, err := person.Encode(want)
		require.NoError(t, err)
		file := filepath.Join("testdata", "facts", name+".v1.json")
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && *update {
			require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
		}
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, person.Read(name, golden))
		require.Equal(t, string(bytes.TrimSpace(golden)), string(data))
		require.True(t, strings.HasPrefix(want.Key(), name+"/"))
	}
	_, _, err := person.Encode(person.Read("PersonSmiled", nil))
	require.Error(t, err)
}
