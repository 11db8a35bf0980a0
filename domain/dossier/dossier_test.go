package dossier_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/dossier"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

const (
	id            = "018f4e2a-0000-7000-8000-000000000001"
	packageSHA256 = "ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12"
)

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 123456789, time.UTC)

// history is a whole task: one passed, one failed, one fact late.
func history(t testing.TB) []dossier.Fact {
	t.Helper()
	told := []struct {
		seconds int
		fact    task.Fact
	}{
		{0, task.ZipUploaded{TaskID: id, FileName: "包 1.zip", SHA256: packageSHA256, Project: "dw", Version: "1.0"}},
		{0, task.MainTaskCreated{TaskID: id, Window: task.Window{OpensAt: t0, Deadline: t0.Add(time.Minute), Quiet: task.Duration(10 * time.Second)}, RuleSet: rules.Default().Ref()}},
		{1, task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1}},
		{2, task.SubTaskStarted{TaskID: id, Type: "API", Attempt: 1}},
		{3, task.SubTaskFailed{TaskID: id, Type: "SQL", Attempt: 1, Kind: task.Check, Reason: "2 < 3 & \"so\" \u2028"}},
		{4, task.SubTaskCompleted{TaskID: id, Type: "API", Attempt: 1, Result: task.Pass}},
	}
	var facts []dossier.Fact
	var recorded []task.Recorded
	tell := func(seconds int, f task.Fact) {
		name, data, err := task.Encode(f)
		require.NoError(t, err)
		n := uint64(len(facts))
		stored := dossier.Fact{
			ID: fmt.Sprintf("e%d", n), Type: name, Revision: n, Position: 100 + 7*n, At: t0.Add(time.Duration(seconds) * time.Second),
			Data: data, Metadata: []byte(`{"actor":"li"}`),
		}
		facts = append(facts, stored)
		recorded = append(recorded, task.Recorded{ID: stored.ID, Revision: n, Position: stored.Position, At: stored.At, Fact: f})
	}
	for _, x := range told {
		tell(x.seconds, x.fact)
	}
	closed := rules.Evaluate(rules.Default(), recorded, t0.Add(time.Hour)).(rules.Closed)
	tell(15, task.WindowClosed{TaskID: id, Cause: closed.Cause, ClosedAt: closed.At})
	tell(15, task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: closed.Verdict})
	tell(20, task.SubTaskStarted{TaskID: id, Type: "LATE", Attempt: 1})
	return facts
}

func write(t testing.TB, facts []dossier.Fact) []byte {
	t.Helper()
	var b bytes.Buffer
	w := dossier.NewWriter(&b, dossier.Header{Task: id, MadeAt: t0.Add(time.Hour), Tool: "factgate test"})
	for _, f := range facts {
		require.NoError(t, w.Fact(f))
	}
	require.NoError(t, w.Close(func(task.RuleSetRef) ([]byte, error) { return rules.Default().Source(), nil }))
	return b.Bytes()
}

func verify(t testing.TB, file []byte) dossier.Report {
	t.Helper()
	r, err := dossier.Verify(bytes.NewReader(file))
	require.NoError(t, err)
	return r
}

func TestADossierProvesItsVerdict(t *testing.T) {
	facts := history(t)
	r := verify(t, write(t, facts))
	require.Nil(t, r.Altered)
	require.Nil(t, r.Problem)
	require.True(t, r.OK)
	require.EqualValues(t, len(facts), r.Facts)
	require.Equal(t, id, r.Task)
	require.Len(t, r.Verdicts, 1)
	require.True(t, r.Verdicts[0].Equal)
	require.Equal(t, task.PartialSuccess, r.Verdict().Recomputed.Status)
	require.Equal(t, r.Verdicts[0].Recorded.Evidence, r.Verdicts[0].Recomputed.Evidence)
}

func TestATaskWithoutAVerdictHasADossierToo(t *testing.T) {
	for n := range 7 {
		r := verify(t, write(t, history(t)[:n]))
		require.True(t, r.OK, "%d facts", n)
		require.Nil(t, r.Verdict())
	}
	require.False(t, verify(t, write(t, history(t)[:7])).OK, "closed and no verdict")
}

// Stored bytes are not ours to tidy.
func TestFactsTravelByteByByte(t *testing.T) {
	for _, data := range []string{``, `null`, ` {"a": 1}`, "{\"a\":\"\xff\"}", "\x00\n\xfe", `{"a":"\u003c<&>"}`, strings.Repeat("[", 200) + strings.Repeat("]", 200), `{"n":1e400}`} {
		facts := append(slices.Clone(history(t)[:2]), dossier.Fact{ID: "x", Type: "Strange", Revision: 2, Position: 999, At: t0, Data: []byte(data), Metadata: []byte(data)})
		file := write(t, facts)
		require.Nil(t, verify(t, file).Altered, data)
		var line struct {
			Data, Metadata             json.RawMessage
			DataBase64, MetadataBase64 []byte
		}
		require.NoError(t, json.Unmarshal(bytes.Split(file, []byte("\n"))[3], &line))
		require.Equal(t, data, string(line.Data)+string(line.DataBase64))
		require.Equal(t, data, string(line.Metadata)+string(line.MetadataBase64))
	}
}

// Every single byte of the file: its line is named.
func TestNoByteCanChange(t *testing.T) {
	file := write(t, history(t))
	line, revision := 1, -1
	for i, was := range file {
		for _, is := range []byte{was ^ 1, '\n'} {
			if is == was || is == '\n' && i%7 != 0 {
				continue
			}
			altered := slices.Clone(file)
			altered[i] = is
			r := verify(t, altered)
			require.False(t, r.OK)
			require.NotNil(t, r.Altered, "byte %d", i)
			require.Equal(t, line, r.Altered.Line, "byte %d: %q → %q", i, was, is)
			require.NotEmpty(t, r.Altered.Why.Zh)
		}
		if was == '\n' {
			line++
			revision++
		}
	}
}

func TestTheAlteredFactIsNamed(t *testing.T) {
	file := write(t, history(t))
	r := verify(t, bytes.Replace(file, []byte(`"kind":"CHECK"`), []byte(`"kind":"ERROR"`), 1))
	require.Equal(t, 6, r.Altered.Line)
	require.EqualValues(t, 4, *r.Altered.Revision)
	require.Equal(t, "e4", r.Altered.ID)
}

func TestNoLineCanBeMoved(t *testing.T) {
	file := write(t, history(t))
	lines := bytes.SplitAfter(file, []byte("\n"))
	lines = lines[:len(lines)-1]
	expect := func(line int, why string, lines ...[]byte) {
		t.Helper()
		r := verify(t, bytes.Join(lines, nil))
		require.False(t, r.OK)
		require.NotNil(t, r.Altered)
		require.Equal(t, line, r.Altered.Line, r.Altered.Why.En)
		require.Contains(t, r.Altered.Why.En, why)
	}
	for i := range lines {
		dropped := slices.Delete(slices.Clone(lines), i, i+1)
		expect(i+1, "", dropped...)
		expect(i+2, "", slices.Insert(slices.Clone(lines), i, lines[i])...)
		if i > 0 {
			swapped := slices.Clone(lines)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			expect(i, "", swapped...)
		}
		expect(i+1, "cut off", lines[:i]...)
	}
	expect(4, "facts are missing", slices.Delete(slices.Clone(lines), 3, 4)...)
	expect(5, "a second time", slices.Insert(slices.Clone(lines), 3, lines[3])...)
	for cut := 0; cut < len(file); cut += 11 {
		require.NotNil(t, verify(t, file[:cut]).Altered, cut)
	}
	require.NotNil(t, verify(t, file[:len(file)-1]).Altered)
	require.EqualValues(t, 2, *verify(t, bytes.Join(slices.Delete(slices.Clone(lines), 3, 4), nil)).Altered.Revision, "the missing one")
}

// Whoever alters facts and makes a new chain is found out by the verdict.
func TestANewChainDoesNotHelpTheForger(t *testing.T) {
	facts := history(t)
	facts[4].Type, facts[4].Data = "SubTaskCompleted", []byte(`{"taskId":"`+id+`","subTaskType":"SQL","attempt":1,"result":"PASS"}`)
	r := verify(t, write(t, facts))
	require.Nil(t, r.Altered)
	require.False(t, r.OK)
	require.False(t, r.Verdict().Equal)
	require.Equal(t, "status", r.Verdict().Differences[0].Field)

	facts = history(t)
	facts[7].Data = bytes.Replace(facts[7].Data, []byte("PARTIAL_SUCCESS"), []byte("SUCCESS"), 1)
	r = verify(t, write(t, facts))
	require.Equal(t, []dossier.Difference{{Field: "status", Recorded: "SUCCESS", Recomputed: "PARTIAL_SUCCESS"}}, r.Verdict().Differences)

	facts = history(t)
	facts[5].Data = bytes.Replace(facts[5].Data, []byte(id), []byte(strings.Replace(id, "018f", "0190", 1)), 1)
	require.Equal(t, 7, verify(t, write(t, facts)).Altered.Line, "a fact of another task")

	facts = history(t)
	facts[5].Position = facts[4].Position
	require.Equal(t, 7, verify(t, write(t, facts)).Altered.Line)
	facts = history(t)
	facts[5].Revision = 6
	require.Equal(t, 7, verify(t, write(t, facts)).Altered.Line)
}

func TestARuleSetThatNobodyHasIsSaidToBeMissing(t *testing.T) {
	var b bytes.Buffer
	w := dossier.NewWriter(&b, dossier.Header{Task: id, MadeAt: t0})
	for _, f := range history(t) {
		require.NoError(t, w.Fact(f))
	}
	require.NoError(t, w.Close(func(task.RuleSetRef) ([]byte, error) { return nil, nil }))
	r := verify(t, b.Bytes())
	require.Nil(t, r.Altered)
	require.False(t, r.OK)
	require.Contains(t, r.Problem.En, "rule set default version 1 is not in the file")
}

func TestAnotherRuleSetIsNotTaken(t *testing.T) {
	var b bytes.Buffer
	w := dossier.NewWriter(&b, dossier.Header{Task: id, MadeAt: t0})
	for _, f := range history(t) {
		require.NoError(t, w.Fact(f))
	}
	softer := bytes.Replace(rules.Default().Source(), []byte("PARTIAL_SUCCESS"), []byte("SUCCESS"), 1)
	require.NoError(t, w.Close(func(task.RuleSetRef) ([]byte, error) { return softer, nil }))
	require.Contains(t, verify(t, b.Bytes()).Altered.Why.En, "digest")
}

// A revised verdict is recomputed too, and both stand in the report.
func TestARevisedVerdictIsRecomputed(t *testing.T) {
	text := bytes.Replace(rules.Default().Source(), []byte("late: record"), []byte("late: revise"), 1)
	rs, err := rules.Parse(text, 2)
	require.NoError(t, err)
	facts := history(t)
	var recorded []task.Recorded
	tell := func(i int, f task.Fact) {
		name, data, err := task.Encode(f)
		require.NoError(t, err)
		if i == len(facts) {
			last := facts[i-1]
			facts = append(facts, dossier.Fact{ID: fmt.Sprintf("e%d", i), Revision: uint64(i), Position: last.Position + 1, At: last.At.Add(time.Second)})
		}
		facts[i].Type, facts[i].Data = name, data
		recorded = append(recorded, task.Recorded{ID: facts[i].ID, Revision: uint64(i), Position: facts[i].Position, At: facts[i].At, Fact: f})
	}
	for i, f := range facts[:6] {
		fact := task.Read(f.Type, f.Data)
		if created, ok := fact.(task.MainTaskCreated); ok {
			created.RuleSet = rs.Ref()
			fact = created
		}
		tell(i, fact)
	}
	first := rules.Evaluate(rs, recorded, t0.Add(time.Hour)).(rules.Closed)
	tell(6, task.WindowClosed{TaskID: id, Cause: first.Cause, ClosedAt: first.At})
	tell(7, task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: first.Verdict})
	tell(8, task.SubTaskStarted{TaskID: id, Type: "LATE", Attempt: 1})
	tell(9, task.SubTaskFailed{TaskID: id, Type: "LATE", Attempt: 1, Kind: task.Check})
	second := rules.Revise(rs, recorded, t0.Add(time.Hour)).(rules.Closed)
	tell(10, task.MainTaskConverged{TaskID: id, Revision: 2, Verdict: second.Verdict, Supersedes: "e7"})

	file := func() []byte {
		var b bytes.Buffer
		w := dossier.NewWriter(&b, dossier.Header{Task: id, MadeAt: t0})
		for _, f := range facts {
			require.NoError(t, w.Fact(f))
		}
		require.NoError(t, w.Close(func(task.RuleSetRef) ([]byte, error) { return text, nil }))
		return b.Bytes()
	}
	r := verify(t, file())
	require.True(t, r.OK, "%+v", r)
	require.Len(t, r.Verdicts, 2)
	require.Equal(t, []string{"LATE", "SQL"}, r.Verdict().Recomputed.Failed)
	facts[10].Data = bytes.Replace(facts[10].Data, []byte("PARTIAL_SUCCESS"), []byte("SUCCESS"), 1)
	require.False(t, verify(t, file()).OK)
}

func FuzzVerify(f *testing.F) {
	file := write(f, history(f))
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("{}\n"))
	for _, line := range bytes.SplitAfter(file, []byte("\n")) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := verify(t, b)
		if r.OK && r.Altered != nil {
			t.Fatal("altered and well")
		}
		if r.Altered == nil && !bytes.HasSuffix(b, []byte("\"}\n")) {
			t.Fatal("taken without an end")
		}
	})
}

// The example of the DSSE specification.
func TestPAE(t *testing.T) {
	require.Equal(t, "DSSEv1 29 http://example.com/HelloWorld 11 hello world", string(dossier.PAE("http://example.com/HelloWorld", []byte("hello world"))))
}

func keys(t *testing.T) (ed25519.PrivateKey, ed25519.PublicKey) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	return key, key.Public().(ed25519.PublicKey)
}

func TestASignedVerdict(t *testing.T) {
	key, pub := keys(t)
	r := verify(t, write(t, history(t)))
	s, err := dossier.Attest(r, "https://gate.example/factgate", t0)
	require.NoError(t, err)
	envelope, err := dossier.Sign(s, key)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(envelope, []byte("\n")))

	// As any other reader of the standards sees it.
	var e struct {
		PayloadType, Payload string
		Signatures           []struct{ Sig string }
	}
	require.NoError(t, json.Unmarshal(envelope, &e))
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	require.NoError(t, err)
	require.JSONEq(t, `{
		"_type": "https://in-toto.io/Statement/v1",
		"subject": [{"name": "包 1.zip", "digest": {"sha256": "`+packageSHA256+`"}}],
		"predicateType": "https://slsa.dev/verification_summary/v1",
		"predicate": {
			"verifier": {"id": "https://gate.example/factgate"},
			"timeVerified": "2026-11-23T08:00:00.123456789Z",
			"resourceUri": "pkg:generic/dw/%E5%8C%85%201.zip@1.0",
			"policy": {"uri": "factgate:ruleset/default/1", "digest": {"sha256": "`+rules.Default().Ref().Digest+`"}},
			"inputAttestations": [{"uri": "factgate:dossier/`+id+`", "digest": {"sha256": "`+r.SHA256+`"}}],
			"verificationResult": "FAILED",
			"verifiedLevels": ["FAILED"]
		}}`, string(payload))
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	require.NoError(t, err)
	require.True(t, ed25519.Verify(pub, fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(payload), payload), sig))

	opened, err := dossier.Open(envelope, pub)
	require.NoError(t, err)
	require.NoError(t, dossier.Match(opened, r))

	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	_, err = dossier.Open(envelope, other)
	require.ErrorContains(t, err, "made with this key")
	for i := range envelope {
		altered := slices.Clone(envelope)
		altered[i] ^= 1
		if s, err := dossier.Open(altered, pub); err == nil {
			require.Equal(t, opened, s, "byte %d", i) // such as the final line feed
		}
	}
}

func TestASignatureOfAnotherDossierIsRefused(t *testing.T) {
	r := verify(t, write(t, history(t)))
	s, err := dossier.Attest(r, "v", t0)
	require.NoError(t, err)
	again := r
	again.SHA256 = "00"
	require.ErrorContains(t, dossier.Match(s, again), "another dossier")
	s.Predicate.VerificationResult = "PASSED"
	require.ErrorContains(t, dossier.Match(s, r), "PARTIAL_SUCCESS")
	r.OK = false
	_, err = dossier.Attest(r, "v", t0)
	require.ErrorIs(t, err, dossier.ErrNoVerdict)
}

func TestKeysComeFromPEM(t *testing.T) {
	key, pub := keys(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	got, err := dossier.ReadPrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	require.NoError(t, err)
	require.Equal(t, key, got)
	der, err = x509.MarshalPKIXPublicKey(pub)
	require.NoError(t, err)
	gotPub, err := dossier.ReadPublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	require.NoError(t, err)
	require.Equal(t, pub, gotPub)
	_, err = dossier.ReadPrivateKey([]byte("x"))
	require.ErrorContains(t, err, "openssl genpkey")
	_, err = dossier.ReadPublicKey([]byte("x"))
	require.ErrorContains(t, err, "openssl pkey")
}
