package scanner

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
)

// KeyCategory of the streams scannerkeys-{type}: who may speak for a type over HTTP.
const KeyCategory = "scannerkeys"

// MaxKeys is how many keys of one type may be in force at once.
const MaxKeys = 20

// Secret is what a key proves: 32 bytes by chance. Nobody stores it but its holder.
type Secret [32]byte

// Key is what a scanner sends as Authorization: Bearer. Its text is
//
//	fgscan_<key id, 16 hex digits>_<secret, 64 hex digits>
type Key struct {
	ID     string
	Secret Secret
}

const (
	keyPrefix   = "fgscan_"
	keyIDDigits = 16
)

// String is the key in clear text: show it once and log it never.
func (k Key) String() string { return keyPrefix + k.ID + "_" + hex.EncodeToString(k.Secret[:]) }

// Digest is the SHA-256 of the secret, in hex: what facts hold.
func (k Key) Digest() string {
	sum := sha256.Sum256(k.Secret[:])
	return hex.EncodeToString(sum[:])
}

// ParseKey reads a key's text.
func ParseKey(s string) (Key, bool) {
	var k Key
	rest, ok := strings.CutPrefix(s, keyPrefix)
	id, secret, cut := strings.Cut(rest, "_")
	if !ok || !cut || !validKeyID(id) || len(secret) != hex.EncodedLen(len(k.Secret)) {
		return Key{}, false
	}
	if _, err := hex.Decode(k.Secret[:], []byte(secret)); err != nil {
		return Key{}, false
	}
	k.ID = id
	return k, true
}

func validKeyID(id string) bool { return len(id) == keyIDDigits && isHex(id) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// KeyFact is something that happened to the keys of a type.
//
//sumtype:decl
type KeyFact interface {
	// Key tells the fact apart from others that could stand at its revision.
	Key() string
	keyFact()
}

// ScannerKeyIssued: whoever holds the secret of this digest may speak for the type.
type ScannerKeyIssued struct {
	Type   string `json:"type"`
	KeyID  string `json:"keyId"`
	SHA256 string `json:"sha256"` // of the secret's 32 bytes
	By     string `json:"by,omitempty"`
}

// ScannerKeyRevoked: not any more.
type ScannerKeyRevoked struct {
	Type   string `json:"type"`
	KeyID  string `json:"keyId"`
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"`
}

// UnreadableKey stands for an event that this version cannot decode.
type UnreadableKey struct {
	Type string
	Err  error
}

func (ScannerKeyIssued) keyFact()  {}
func (ScannerKeyRevoked) keyFact() {}
func (UnreadableKey) keyFact()     {}

// Key implements KeyFact. The digest is part of it: of two who draw one id at once,
// the second shall meet a conflict.
func (f ScannerKeyIssued) Key() string { return "ScannerKeyIssued/" + f.KeyID + "/" + f.SHA256 }

// Key implements KeyFact.
func (f ScannerKeyRevoked) Key() string { return "ScannerKeyRevoked/" + f.KeyID }

// Key implements KeyFact.
func (f UnreadableKey) Key() string { return "Unreadable/" + f.Type }

// RecordedKey is a KeyFact as the log holds it.
type RecordedKey struct {
	Revision uint64
	Fact     KeyFact
}

// Keys are those of one type. The zero value is none.
type Keys struct {
	issued []issuedKey // in order, the revoked among them
	// Unreadable is the first fact that this version cannot read: it may revoke any
	// key, so no key is taken any more.
	Unreadable *UnreadableKey
	Facts      uint64 // the next fact has this revision
}

type issuedKey struct {
	key     ScannerKeyIssued
	revoked bool
}

// Admits reports whether the key is in force. It takes the same time whatever the
// secret is.
func (k Keys) Admits(key Key) bool {
	if k.Unreadable != nil {
		return false
	}
	digest, found := []byte(key.Digest()), 0
	for _, i := range k.issued {
		same := subtle.ConstantTimeCompare([]byte(i.key.SHA256), digest)
		if i.key.KeyID == key.ID && !i.revoked {
			found |= same
		}
	}
	return found == 1
}

// InForce are the keys that are taken, the oldest first; never nil.
func (k Keys) InForce() []ScannerKeyIssued {
	out := []ScannerKeyIssued{}
	for _, i := range k.issued {
		if !i.revoked {
			out = append(out, i.key)
		}
	}
	return out
}

func (k Keys) find(id string) int {
	return slices.IndexFunc(k.issued, func(i issuedKey) bool { return i.key.KeyID == id })
}

// EvolveKeys returns the keys after one more fact. It never refuses, and leaves k as
// it was.
func EvolveKeys(k Keys, f RecordedKey) Keys {
	if f.Revision < k.Facts {
		return k
	}
	k.Facts = f.Revision + 1
	switch f := f.Fact.(type) {
	case ScannerKeyIssued:
		if k.find(f.KeyID) < 0 {
			k.issued = append(slices.Clip(k.issued), issuedKey{key: f})
		}
	case ScannerKeyRevoked:
		if i := k.find(f.KeyID); i >= 0 {
			k.issued = slices.Clone(k.issued)
			k.issued[i].revoked = true
		}
	case UnreadableKey:
		if k.Unreadable == nil {
			k.Unreadable = &f
		}
	}
	return k
}

// KeyCommand is a wish about keys.
//
//sumtype:decl
type KeyCommand interface{ decide(Keys) ([]KeyFact, error) }

// IssueKey puts a key in force. Who wishes it draws the secret and keeps it; what
// travels is its digest.
type IssueKey struct{ Type, KeyID, SHA256, By string }

// RevokeKey ends a key.
type RevokeKey struct{ Type, KeyID, Reason, By string }

// DecideKeys answers as Decide does.
func DecideKeys(k Keys, c KeyCommand) ([]KeyFact, error) { return c.decide(k) }

func (c IssueKey) decide(k Keys) ([]KeyFact, error) {
	if err := checkType(c.Type); err != nil {
		return nil, err
	}
	if !validKeyID(c.KeyID) || len(c.SHA256) != 2*sha256.Size || !isHex(c.SHA256) {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "scanner_key.invalid",
			Msg:   "a key has an id of 16 and a SHA-256 of 64 lower-case hex digits; let factgate scanners key make one",
			MsgZH: "密钥的 id 应为 16 位、SHA-256 应为 64 位小写十六进制数字；请用 factgate scanners key 生成"}
	}
	if i := k.find(c.KeyID); i >= 0 {
		if k.issued[i].key.SHA256 == c.SHA256 && !k.issued[i].revoked {
			return nil, nil
		}
		return nil, &domain.Error{Kind: domain.Conflict, Rule: "scanner_key.taken",
			Msg: "there was a key of this id before; make a new one", MsgZH: "该密钥 id 已被使用过，请重新生成"}
	}
	if len(k.InForce()) >= MaxKeys {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "scanner_key.too_many",
			Msg:   fmt.Sprintf("%s has %d keys in force; revoke those that nobody uses", c.Type, MaxKeys),
			MsgZH: fmt.Sprintf("%s 已有 %d 个有效密钥；请先撤销不再使用的密钥", c.Type, MaxKeys)}
	}
	return []KeyFact{ScannerKeyIssued(c)}, nil
}

func (c RevokeKey) decide(k Keys) ([]KeyFact, error) {
	if err := checkType(c.Type); err != nil {
		return nil, err
	}
	if err := task.CheckReason(c.Reason); err != nil {
		return nil, err
	}
	i := k.find(c.KeyID)
	if i < 0 {
		return nil, &domain.Error{Kind: domain.NotFound, Rule: "scanner_key.unknown",
			Msg:   fmt.Sprintf("%s has no key %.40q; factgate scanners keys %s lists them", c.Type, c.KeyID, c.Type),
			MsgZH: fmt.Sprintf("%s 没有密钥 %.40q；可用 factgate scanners keys %s 查看", c.Type, c.KeyID, c.Type)}
	}
	if k.issued[i].revoked {
		return nil, nil
	}
	return []KeyFact{ScannerKeyRevoked(c)}, nil
}

// ReadKey reads a stored fact; what it cannot decode comes as an UnreadableKey.
func ReadKey(typeName string, data []byte) KeyFact {
	switch typeName {
	case "ScannerKeyIssued":
		return readKey(typeName, data, func(f ScannerKeyIssued) string { return f.Type })
	case "ScannerKeyRevoked":
		return readKey(typeName, data, func(f ScannerKeyRevoked) string { return f.Type })
	}
	return UnreadableKey{typeName, fmt.Errorf("fact type %q is not known to this version of Factgate", typeName)}
}

func readKey[F KeyFact](typeName string, data []byte, scanner func(F) string) KeyFact {
	var f F
	err := json.Unmarshal(data, &f)
	if err == nil {
		err = checkType(scanner(f))
	}
	if err != nil {
		return UnreadableKey{typeName, fmt.Errorf("decode %s: %w", typeName, err)}
	}
	return f
}

// EncodeKey writes a fact as it is stored.
func EncodeKey(f KeyFact) (typeName string, data []byte, err error) {
	switch f := f.(type) {
	case ScannerKeyIssued:
		typeName = "ScannerKeyIssued"
	case ScannerKeyRevoked:
		typeName = "ScannerKeyRevoked"
	case UnreadableKey:
		return "", nil, fmt.Errorf("encode %s: an unreadable fact is not ours to write: %w", f.Type, f.Err)
	}
	data, err = json.Marshal(f)
	return typeName, data, err
}
