package dossier_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"testing"

	vsa "github.com/in-toto/attestation/go/predicates/vsa/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/signerverifier"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/factgate/factgate/domain/dossier"
)

// verifierOf is the DSSE verifier of those who wrote the standard, with a key as
// openssl writes it.
func verifierOf(t *testing.T, key ed25519.PublicKey) *dsse.EnvelopeVerifier {
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	loaded, err := signerverifier.LoadKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	require.NoError(t, err)
	require.NotEmpty(t, loaded.KeyID, "it has an id of its own for the key")
	verifier, err := signerverifier.NewED25519SignerVerifierFromSSLibKey(loaded)
	require.NoError(t, err)
	all, err := dsse.NewEnvelopeVerifier(verifier)
	require.NoError(t, err)
	return all
}

// Code that is not ours takes what we sign: the envelope, the statement in it and,
// field by field, the verification summary.
func TestVerifiersOfOthersTakeWhatWeSign(t *testing.T) {
	key, pub := keys(t)
	r := verify(t, write(t, history(t)))
	s, err := dossier.Attest(r, "https://gate.example/factgate", t0)
	require.NoError(t, err)
	signed, err := dossier.Sign(s, key)
	require.NoError(t, err)

	var envelope dsse.Envelope
	strict := json.NewDecoder(bytes.NewReader(signed))
	strict.DisallowUnknownFields()
	require.NoError(t, strict.Decode(&envelope))
	require.Equal(t, "application/vnd.in-toto+json", envelope.PayloadType)
	accepted, err := verifierOf(t, pub).Verify(t.Context(), &envelope)
	require.NoError(t, err)
	require.Len(t, accepted, 1)

	payload, err := envelope.DecodeB64Payload()
	require.NoError(t, err)
	var statement intoto.Statement
	require.NoError(t, protojson.Unmarshal(payload, &statement), "unknown fields are refused")
	require.NoError(t, statement.Validate())
	require.Equal(t, dossier.PredicateType, statement.GetPredicateType())
	require.Equal(t, r.Package.SHA256, statement.GetSubject()[0].GetDigest()["sha256"])

	predicate, err := protojson.Marshal(statement.GetPredicate())
	require.NoError(t, err)
	var summary vsa.VerificationSummary
	require.NoError(t, protojson.Unmarshal(predicate, &summary), "unknown fields are refused")
	require.Equal(t, "https://gate.example/factgate", summary.GetVerifier().GetId())
	require.Equal(t, t0.UTC(), summary.GetTimeVerified().AsTime())
	require.Equal(t, s.Predicate.ResourceURI, summary.GetResourceUri())
	require.Equal(t, s.Predicate.Policy.Digest, summary.GetPolicy().GetDigest())
	require.Equal(t, r.SHA256, summary.GetInputAttestations()[0].GetDigest()["sha256"])
	require.Equal(t, "FAILED", summary.GetVerificationResult())
	require.Equal(t, []string{"FAILED"}, summary.GetVerifiedLevels())

	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	_, err = verifierOf(t, other).Verify(t.Context(), &envelope)
	require.Error(t, err)
	envelope.Payload = envelope.Payload[:len(envelope.Payload)-4]
	_, err = verifierOf(t, pub).Verify(t.Context(), &envelope)
	require.Error(t, err)
}
