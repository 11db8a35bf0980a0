package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// keyFiles writes a key pair as openssl would.
func keyFiles(t *testing.T) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	dir := t.TempDir()
	private, public = filepath.Join(dir, "key.pem"), filepath.Join(dir, "pub.pem")
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	der, err = x509.MarshalPKIXPublicKey(pub)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	return private, public
}

func TestADossierIsVerifiedWithoutTheServer(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--quiet", "1s")
	defer s.kill()
	checked := run(t, "check", packed(t)["retail-1.5.0-rc1"], "--server", s.url, "--json")
	require.Equal(t, 1, checked.code, checked.errors)
	var r result
	require.NoError(t, json.Unmarshal([]byte(checked.out), &r))

	file := filepath.Join(t.TempDir(), "task.jsonl")
	private, public := keyFiles(t)
	got := run(t, "dossier", r.TaskID, "-o", file, "--key", private, "--verifier", "https://gate.example", "--server", s.url)
	require.Zero(t, got.code, got.errors)
	require.Contains(t, got.out, "and equal")
	unknown := run(t, "dossier", "018f4e2a-0000-7000-8000-000000000001", "-o", file, "--server", s.url)
	require.Equal(t, exitError, unknown.code)
	require.Contains(t, unknown.errors, "task.unknown")
	s.stop(t)

	good := run(t, "dossier", "verify", file, "--pub", public)
	require.Zero(t, good.code, good.out+good.errors)
	require.Contains(t, good.out, "verdict 1: PARTIAL_SUCCESS, rule some: recomputed with default version 1, and equal")
	require.Contains(t, good.out, "signature holds: https://gate.example says FAILED")
	require.Contains(t, run(t, "dossier", "verify", file, "--lang", "zh").out, "结果一致")

	content, err := os.ReadFile(file)
	require.NoError(t, err)
	forged := bytes.Replace(content, []byte(`"kind":"CHECK"`), []byte(`"kind":"ERROR"`), 1)
	require.NotEqual(t, content, forged)
	require.NoError(t, os.WriteFile(file, forged, 0o600))
	bad := run(t, "dossier", "verify", file, "--json", "--pub", public)
	require.Equal(t, 1, bad.code)
	var report struct {
		OK      bool
		Altered struct {
			Line, Revision int
			ID             string
		}
		Signature struct{ OK bool }
	}
	require.NoError(t, json.Unmarshal([]byte(bad.out), &report))
	require.False(t, report.OK)
	require.False(t, report.Signature.OK)
	before, _, ok := bytes.Cut(content, []byte(`"kind":"CHECK"`))
	require.True(t, ok)
	require.Equal(t, bytes.Count(before, []byte("\n"))+1, report.Altered.Line)
	require.Equal(t, report.Altered.Line-2, report.Altered.Revision)
	said := run(t, "dossier", "verify", file)
	require.Contains(t, said.out, "ALTERED at line")
	require.Contains(t, said.out, report.Altered.ID)

	for says, args := range map[string][]string{
		"cannot read the dossier":     {"dossier", "verify", file + "x"},
		"factgate dossier TASK":       {"dossier"},
		"factgate dossier verify":     {"dossier", "verify"},
		"openssl pkey":                {"dossier", "verify", file, "--pub", private},
		"openssl genpkey":             {"dossier", r.TaskID, "--key", public, "-o", file},
		`--verifier "us" is not a UR`: {"dossier", r.TaskID, "--verifier", "us", "-o", file},
	} {
		got := run(t, args...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, says)
	}
}
