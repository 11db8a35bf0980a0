package dossier

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
)

// The words of the standards that an attestation follows: DSSE for the envelope,
// in-toto for the statement, SLSA's verification summary for what it says.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://slsa.dev/verification_summary/v1"

	// LevelSuccess is the verified level of a package whose verdict is SUCCESS. It
	// claims no SLSA level: Factgate checks content, not builds.
	LevelSuccess = "FACTGATE_SUCCESS"
	levelFailed  = "FAILED"

	passed, failed = "PASSED", "FAILED"

	maxEnvelope = 1 << 20
)

// Envelope is a DSSE envelope.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // Base64
	Signatures  []Signature `json:"signatures"`
}

// Signature is one of an envelope's. It names no key: everybody counts a key's id in
// a way of their own, and verifiers pass over a signature whose id is not theirs.
type Signature struct {
	Sig string `json:"sig"` // Base64
}

// Statement is an in-toto statement with a verification summary.
type Statement struct {
	Type          string       `json:"_type"`
	Subject       []Descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     Summary      `json:"predicate"`
}

// Descriptor names a thing and its digest.
type Descriptor struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// Summary is SLSA's verification summary: who checked what against which policy,
// and what came of it. It has no other fields than in-toto's own type for it, which
// strict readers use: policy and inputs have a URI and a digest, and no name.
type Summary struct {
	Verifier struct {
		ID string `json:"id"`
	} `json:"verifier"`
	TimeVerified       time.Time    `json:"timeVerified"`
	ResourceURI        string       `json:"resourceUri"`
	Policy             Descriptor   `json:"policy"`
	InputAttestations  []Descriptor `json:"inputAttestations"`
	VerificationResult string       `json:"verificationResult"`
	VerifiedLevels     []string     `json:"verifiedLevels"`
}

// PAE is what a DSSE signature is made over.
func PAE(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// ErrNoVerdict: only a verdict that was recomputed is worth a signature.
var ErrNoVerdict = wrong("there is no verdict that was recomputed without a difference, so there is nothing to sign", "没有经重新计算且一致的结论，无可签名")

// wrong is what is not right with a key or a signature.
func wrong(en, zh string, args ...any) error {
	return &domain.Error{Kind: domain.Invalid, Rule: "dossier.signature", Msg: fmt.Sprintf(en, args...), MsgZH: fmt.Sprintf(zh, args...)}
}

// Attest makes the statement of a dossier that was verified. verifier is the URI
// of whoever signs. A verdict of PARTIAL_SUCCESS has not passed.
func Attest(r Report, verifier string, at time.Time) (Statement, error) {
	v := r.Verdict()
	if !r.OK || v == nil || r.Package == nil {
		return Statement{}, ErrNoVerdict
	}
	s := Statement{
		Type: StatementType, PredicateType: PredicateType,
		Subject: []Descriptor{{Name: r.Package.FileName, Digest: map[string]string{"sha256": r.Package.SHA256}}},
		Predicate: Summary{
			TimeVerified: at.UTC(), ResourceURI: resource(*r.Package), Policy: policy(v.Recorded.RuleSet),
			InputAttestations:  []Descriptor{{URI: "factgate:dossier/" + url.PathEscape(r.Task), Digest: map[string]string{"sha256": r.SHA256}}},
			VerificationResult: failed, VerifiedLevels: []string{levelFailed},
		},
	}
	s.Predicate.Verifier.ID = verifier
	if v.Recorded.Status == task.Success {
		s.Predicate.VerificationResult, s.Predicate.VerifiedLevels = passed, []string{LevelSuccess}
	}
	return s, nil
}

// resource is the package as a generic package URL.
func resource(p task.ZipUploaded) string {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	uri := "pkg:generic/" + escape(p.Project) + "/" + escape(p.FileName)
	if p.Version != "" {
		uri += "@" + escape(p.Version)
	}
	return uri
}

func policy(ref task.RuleSetRef) Descriptor {
	return Descriptor{
		URI:    fmt.Sprintf("factgate:ruleset/%s/%d", url.PathEscape(ref.Name), ref.Version),
		Digest: map[string]string{"sha256": ref.Digest},
	}
}

// Sign puts a statement into a signed envelope: one line of JSON.
func Sign(s Statement, key ed25519.PrivateKey) ([]byte, error) {
	payload, err := encode(s)
	if err != nil {
		return nil, err
	}
	out, err := encode(Envelope{
		PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(payload),
		Signatures: []Signature{{Sig: base64.StdEncoding.EncodeToString(ed25519.Sign(key, PAE(PayloadType, payload)))}},
	})
	return append(out, '\n'), err
}

// Open returns the statement of an envelope that key has signed.
func Open(envelope []byte, key ed25519.PublicKey) (s Statement, err error) {
	if len(envelope) > maxEnvelope {
		return s, wrong("the attestation has more than %d bytes", "签名文件超过 %d 字节", maxEnvelope)
	}
	var e Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return s, wrong("this is no DSSE envelope: %v", "不是 DSSE 信封：%v", err)
	}
	payload, err := anyBase64(e.Payload)
	if err != nil {
		return s, wrong("the envelope's payload is no Base64: %v", "信封内容不是 Base64：%v", err)
	}
	signed := PAE(e.PayloadType, payload)
	valid := false
	for _, signature := range e.Signatures {
		sig, err := anyBase64(signature.Sig)
		valid = valid || err == nil && ed25519.Verify(key, signed, sig)
	}
	switch {
	case !valid:
		return s, wrong("no signature of the attestation was made with this key", "没有任何签名出自该密钥")
	case e.PayloadType != PayloadType:
		return s, wrong("the envelope holds %.80q, not %s", "信封内容类型为 %.80q，而非 %s", e.PayloadType, PayloadType)
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return s, wrong("the signed payload is no statement: %v", "已签名内容不是声明：%v", err)
	}
	if s.Type != StatementType || s.PredicateType != PredicateType {
		return s, wrong("the signed statement is a %.80q, not a verification summary (%s)", "已签名声明类型为 %.80q，而非验证摘要（%s）", s.PredicateType, PredicateType)
	}
	return s, nil
}

// anyBase64 reads both alphabets: a signer may use either.
func anyBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return base64.URLEncoding.DecodeString(s)
	}
	return b, nil
}

// Match checks that a signed statement speaks of this dossier and of its verdict.
func Match(s Statement, r Report) error {
	want, err := Attest(r, s.Predicate.Verifier.ID, s.Predicate.TimeVerified)
	if err != nil {
		return err
	}
	sha := func(list []Descriptor) string {
		if len(list) != 1 {
			return ""
		}
		return list[0].Digest["sha256"]
	}
	switch {
	case sha(s.Predicate.InputAttestations) != r.SHA256:
		return wrong("the attestation is of another dossier file", "该签名属于另一份档案文件")
	case sha(s.Subject) != sha(want.Subject):
		return wrong("the attestation is of another package", "该签名属于另一个包")
	case s.Predicate.ResourceURI != want.Predicate.ResourceURI:
		return wrong("the attestation is of %.200q, the dossier of %s", "签名所指为 %.200q，档案所指为 %s", s.Predicate.ResourceURI, want.Predicate.ResourceURI)
	case s.Predicate.Policy.URI != want.Predicate.Policy.URI || s.Predicate.Policy.Digest["sha256"] != want.Predicate.Policy.Digest["sha256"]:
		return wrong("the attestation names another rule set", "签名所指的规则集不同")
	case s.Predicate.VerificationResult != want.Predicate.VerificationResult ||
		strings.Join(s.Predicate.VerifiedLevels, ",") != strings.Join(want.Predicate.VerifiedLevels, ","):
		return wrong("the attestation says %.80s, the dossier's verdict is %s", "签名称 %.80s，档案的结论为 %s", s.Predicate.VerificationResult, r.Verdict().Recorded.Status)
	}
	return nil
}

// ReadPrivateKey reads an Ed25519 key from PEM, PKCS #8 as openssl writes it.
func ReadPrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, wrong("this is no private key in PEM (PKCS #8); make one with: openssl genpkey -algorithm ed25519 -out key.pem", "不是 PEM（PKCS #8）私钥；可用 openssl genpkey -algorithm ed25519 -out key.pem 生成")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, wrong("the private key cannot be read; give an Ed25519 key in PKCS #8, without a password", "私钥无法读取；请提供无口令的 PKCS #8 Ed25519 私钥")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, wrong("the private key is a %T; give an Ed25519 key", "私钥类型为 %T；请提供 Ed25519 私钥", parsed)
	}
	return key, nil
}

// ReadPublicKey reads an Ed25519 key from PEM.
func ReadPublicKey(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, wrong("this is no public key in PEM; make it with: openssl pkey -in key.pem -pubout -out pub.pem", "不是 PEM 公钥；可用 openssl pkey -in key.pem -pubout -out pub.pem 生成")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, wrong("the public key cannot be read: %v", "公钥无法读取：%v", err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, wrong("the public key is a %T; give an Ed25519 key", "公钥类型为 %T；请提供 Ed25519 公钥", parsed)
	}
	return key, nil
}
