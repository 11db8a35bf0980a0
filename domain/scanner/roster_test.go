package scanner_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
)

func enlisted(name string) scanner.ScannerEnlisted {
	return scanner.ScannerEnlisted{Type: name, Instance: "i1", Version: "1"}
}

func retired(name string) scanner.ScannerRetired {
	return scanner.ScannerRetired{Type: name, Reason: "replaced", By: "li"}
}

func enlist(name string) scanner.Enlist {
	return scanner.Enlist{Type: name, Instance: "i1", Version: "1"}
}

func retire(name string) scanner.Retire {
	return scanner.Retire{Type: name, Reason: "replaced", By: "li"}
}

func fold(facts ...scanner.Fact) scanner.Roster {
	var log []scanner.Recorded
	for i, f := range facts {
		log = append(log, scanner.Recorded{Revision: uint64(i), Fact: f})
	}
	return scanner.Fold(log)
}

func TestATypeIsWaitedForFromItsFirstComingUntilItIsRetired(t *testing.T) {
	for name, c := range map[string]struct {
		given []scanner.Fact
		when  scanner.Command
		then  []scanner.Fact
		known []string
	}{
		"the first of its type":        {nil, enlist("SQL"), []scanner.Fact{enlisted("SQL")}, []string{"SQL"}},
		"another type":                 {[]scanner.Fact{enlisted("SQL")}, enlist("EXCEL"), []scanner.Fact{enlisted("EXCEL")}, []string{"EXCEL", "SQL"}},
		"another instance":             {[]scanner.Fact{enlisted("SQL")}, scanner.Enlist{Type: "SQL", Instance: "i2", Version: "2"}, nil, []string{"SQL"}},
		"given up":                     {[]scanner.Fact{enlisted("SQL"), enlisted("EXCEL")}, retire("SQL"), []scanner.Fact{retired("SQL")}, []string{"EXCEL"}},
		"given up already":             {[]scanner.Fact{enlisted("SQL"), retired("SQL")}, scanner.Retire{Type: "SQL", Reason: "again", By: "wang"}, nil, []string{}},
		"back again":                   {[]scanner.Fact{enlisted("SQL"), retired("SQL")}, enlist("SQL"), []scanner.Fact{enlisted("SQL")}, []string{"SQL"}},
		"beside what cannot be read":   {[]scanner.Fact{scanner.Read("ScannerPaused", nil)}, enlist("SQL"), []scanner.Fact{enlisted("SQL")}, []string{"SQL"}},
		"types are told apart by case": {[]scanner.Fact{enlisted("SQL")}, enlist("sql"), []scanner.Fact{enlisted("sql")}, []string{"SQL", "sql"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scanner.Decide(fold(c.given...), c.when)
			require.NoError(t, err)
			require.Equal(t, c.then, got)
			after := fold(append(c.given, got...)...)
			require.Equal(t, c.known, after.Known())
			again, err := scanner.Decide(after, c.when)
			require.NoError(t, err)
			require.Empty(t, again)
		})
	}
}

func TestWhatMayNotBeEnlistedOrRetired(t *testing.T) {
	for _, c := range []struct {
		when scanner.Command
		rule string
		kind domain.Kind
	}{
		{enlist("a b"), "scanner.type", domain.Invalid},
		{enlist(""), "scanner.type", domain.Invalid},
		{retire("../x"), "scanner.type", domain.Invalid},
		{retire("EXCEL"), "scanner.unknown", domain.NotFound},
		{scanner.Retire{Type: "SQL"}, "reason.invalid", domain.Invalid},
		{scanner.Retire{Type: "SQL", Reason: strings.Repeat("x", 501)}, "reason.invalid", domain.Invalid},
	} {
		facts, err := scanner.Decide(fold(enlisted("SQL")), c.when)
		require.Empty(t, facts)
		require.Equal(t, c.rule, domain.RuleOf(err))
		require.Equal(t, c.kind, domain.KindOf(err))
		var e *domain.Error
		require.ErrorAs(t, err, &e)
		require.NotEmpty(t, e.MsgZH)
	}
}

func TestNobodyIsKnownAndThatIsNotTheSameAsUnknown(t *testing.T) {
	require.NotNil(t, fold().Known())
	require.Empty(t, fold().Known())
	require.Nil(t, fold(enlisted("SQL")).Unreadable)
}

func TestARosterKeepsWhatItUnderstandsAndSaysWhatItDoesNot(t *testing.T) {
	r := fold(enlisted("SQL"), scanner.Read("ScannerPaused", nil), scanner.Read("ScannerRetired", []byte(`{"type":7}`)), enlisted("EXCEL"))
	require.Equal(t, []string{"EXCEL", "SQL"}, r.Known())
	require.Equal(t, "ScannerPaused", r.Unreadable.Type)
	require.EqualValues(t, 4, r.Facts)
	before := r
	require.Equal(t, r, scanner.Evolve(r, scanner.Recorded{Revision: 1, Fact: retired("SQL")}), "a redelivery")
	scanner.Evolve(r, scanner.Recorded{Revision: 4, Fact: retired("SQL")})
	require.Equal(t, before.Known(), r.Known(), "evolving leaves the older state as it was")
	_, _, err := scanner.Encode(scanner.Read("ScannerPaused", nil))
	require.Error(t, err)
}

func TestTwoThatEnlistAtOnceWriteDifferentFacts(t *testing.T) {
	a, b := enlisted("SQL"), enlisted("SQL")
	b.Instance = "i2"
	require.NotEqual(t, a.Key(), b.Key())
}

var update = flag.Bool("update", false, "write golden files that are missing; existing ones are never rewritten")

// Files in testdata/facts are added, never edited.
func TestStoredFactsStayReadable(t *testing.T) {
	presence := scanner.Presence{Type: "SQL", Instance: "i1", Version: "1", RulesDigest: "r", ConfigDigest: "c"}
	said, err := json.Marshal(presence)
	require.NoError(t, err)
	for _, name := range []string{scanner.OnlineType, scanner.OfflineType, scanner.HeartbeatType} {
		got, err := scanner.Decode(golden(t, name, said))
		require.NoError(t, err)
		require.Equal(t, presence, got)
	}
	for _, want := range []scanner.Fact{enlisted("SQL"), retired("SQL")} {
		name, data, err := scanner.Encode(want)
		require.NoError(t, err)
		require.Equal(t, want, scanner.Read(name, golden(t, name, data)))
	}
}

func golden(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	file := filepath.Join("testdata", "facts", name+".v1.json")
	if _, err := os.Stat(file); os.IsNotExist(err) && *update {
		require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
	}
	stored, err := os.ReadFile(file)
	require.NoError(t, err)
	require.JSONEq(t, string(stored), string(data))
	return stored
}

// Whatever stands in the roster's stream, it is read, and only what names a type
// is believed.
func FuzzRead(f *testing.F) {
	f.Add("ScannerEnlisted", []byte(`{"type":"SQL","instance":"i","version":"1"}`))
	f.Add("ScannerRetired", []byte(`{"type":"SQL","reason":"x"}`))
	f.Add("ScannerRetired", []byte(`{"type":"a b"}`))
	f.Add("ScannerPaused", []byte(`[`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		fact := scanner.Read(name, data)
		r := scanner.Evolve(scanner.Roster{}, scanner.Recorded{Fact: fact})
		if _, no := fact.(scanner.Unreadable); no {
			require.NotNil(t, r.Unreadable)
			require.Empty(t, r.Known())
			return
		}
		again, encoded, err := scanner.Encode(fact)
		require.NoError(t, err)
		require.Equal(t, fact, scanner.Read(again, encoded))
	})
}
