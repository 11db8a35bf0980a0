// Package person keeps the names of people out of facts, so that a name can be
// erased from a log that is never changed.
//
// A fact names a person by a token: the name, sealed under a key of that person's
// own. Whoever has the key reads the name; once the key is destroyed nobody does,
// and every fact is, byte by byte, what it was. A token is an opaque text to all
// that fold facts: task, dossier, read model.
//
//	person:v1:<key id>:<sealed>
//	   key id  32 hex digits, drawn by chance; tells persons apart, also erased ones
//	   sealed  base64url of 12 bytes of nonce and AES-256-GCM of the padded name,
//	           bound to all that stands in front of it
//
// One person has one token, so that tokens can be compared. Where things are kept:
//
//	person-{key id}  one PersonKeyed: the key. Deleted when the person is erased
//	person-*         the directory: PersonNamed and PersonErased of all persons
//
// Nothing but the token leads from a name to a key id: no stream is named after a
// name or a digest of one, as names are easily guessed. To find a person is to
// open the directory's tokens.
//
// Start at Seal and Directory.
package person

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/factgate/factgate/domain/task"
)

// Category of the streams; DirectoryKey is the key of the directory's.
const (
	Category     = "person"
	DirectoryKey = "*"
)

// KeySize and NonceSize are in bytes. A key seals one name, once, so a nonce by
// chance is never used twice.
const (
	KeySize   = 32
	NonceSize = 12
	idSize    = 16
)

const (
	// MaxName bounds a name, in bytes; callers are stricter.
	MaxName = 512
	// MaxToken bounds a token, in bytes.
	MaxToken = 1024
	prefix   = "person:v1:"
	// padding hides how long a short name is.
	padding = 32
)

// KeyID tells persons apart.
type KeyID string

// NewKeyID makes a key id of what was drawn by chance.
func NewKeyID(random [idSize]byte) KeyID { return KeyID(hex.EncodeToString(random[:])) }

// Short is a form for people: enough to tell the persons of one list apart.
func (id KeyID) Short() string { return "#" + string(id)[:min(8, len(id))] }

// TokenPrefix is what the tokens of this key begin with, and no other's.
func (id KeyID) TokenPrefix() string { return prefix + string(id) + ":" }

func (id KeyID) valid() bool {
	raw, err := hex.DecodeString(string(id))
	return err == nil && len(raw) == idSize && string(id) == hex.EncodeToString(raw)
}

// Token is what stands in facts where a name stood.
type Token struct {
	KeyID  KeyID
	sealed []byte
}

// ParseToken reads a token; ok is false for any other text, such as a name that was
// written before there were tokens.
func ParseToken(s string) (t Token, ok bool) {
	rest, found := strings.CutPrefix(s, prefix)
	if !found || len(s) > MaxToken {
		return Token{}, false
	}
	id, sealed, _ := strings.Cut(rest, ":")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	// One token has one text: decoding alone would let line breaks pass.
	if t = (Token{KeyID(id), raw}); err != nil || !t.KeyID.valid() || len(raw) < NonceSize || t.String() != s {
		return Token{}, false
	}
	return t, true
}

func (t Token) String() string {
	return prefix + string(t.KeyID) + ":" + base64.RawURLEncoding.EncodeToString(t.sealed)
}

// Seal makes the token of a name. Key and nonce are drawn by chance and never used
// again.
func Seal(id KeyID, key [KeySize]byte, nonce [NonceSize]byte, name string) (Token, error) {
	if name == "" || len(name) > MaxName {
		return Token{}, fmt.Errorf("a name has 1 to %d bytes", MaxName)
	}
	aead, err := gcm(key)
	if err != nil {
		return Token{}, err
	}
	plain := append([]byte(name), 0x80) // then zeros: the last 0x80 ends the name
	plain = append(plain, make([]byte, (padding-len(plain)%padding)%padding)...)
	return Token{id, aead.Seal(nonce[:], nonce[:], plain, bound(id))}, nil
}

// ErrSealed says that a token was not opened by a key.
var ErrSealed = errors.New("the key does not open the token")

// Open returns the name. It fails with ErrSealed for any other key, and for a token
// of which anything was changed.
func (t Token) Open(key [KeySize]byte) (name string, err error) {
	aead, err := gcm(key)
	if err != nil {
		return "", err
	}
	if len(t.sealed) < NonceSize {
		return "", ErrSealed
	}
	plain, err := aead.Open(nil, t.sealed[:NonceSize], t.sealed[NonceSize:], bound(t.KeyID))
	end := bytes.LastIndexByte(plain, 0x80)
	if err != nil || end < 0 {
		return "", ErrSealed
	}
	return string(plain[:end]), nil
}

func bound(id KeyID) []byte { return []byte(prefix + string(id)) }

func gcm(key [KeySize]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Fact is something that happened to a person, or to the key of one.
//
//sumtype:decl
type Fact interface {
	// Key tells the fact apart from others of its stream.
	Key() string
	fact()
}

// PersonKeyed: there is a key. It stands alone in its stream, person-{keyId}, which
// is deleted to destroy it, and says nothing of whose it is.
type PersonKeyed struct {
	KeyID  KeyID  `json:"keyId"`
	Secret []byte `json:"key"` // 32 bytes
}

// PersonNamed: facts from now on may name a person by this token.
type PersonNamed struct {
	KeyID KeyID  `json:"keyId"`
	Token string `json:"token"`
}

// PersonErased: the person's key is, or is about to be, destroyed.
type PersonErased struct {
	KeyID  KeyID  `json:"keyId"`
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"`
}

// Unreadable stands for an event that this version cannot decode; it changes
// nothing.
type Unreadable struct {
	Type string
	Err  error
}

func (PersonKeyed) fact()  {}
func (PersonNamed) fact()  {}
func (PersonErased) fact() {}
func (Unreadable) fact()   {}

// Key implements Fact.
func (f PersonKeyed) Key() string { return "PersonKeyed/" + string(f.KeyID) }

// Key implements Fact.
func (f PersonNamed) Key() string { return "PersonNamed/" + string(f.KeyID) }

// Key implements Fact.
func (f PersonErased) Key() string { return "PersonErased/" + string(f.KeyID) }

// Key implements Fact.
func (f Unreadable) Key() string { return "Unreadable/" + f.Type }

// Directory is what the facts of person-* add up to. It is changed in place.
type Directory struct {
	Tokens map[KeyID]Token    // of persons that are not erased
	Erased map[KeyID]struct{} // for ever
	Facts  uint64             // the next fact has this revision
}

// Evolve takes one more fact of the directory in. It never refuses.
func (d *Directory) Evolve(revision uint64, f Fact) {
	if revision < d.Facts {
		return
	}
	d.Facts = revision + 1
	if d.Tokens == nil {
		d.Tokens, d.Erased = map[KeyID]Token{}, map[KeyID]struct{}{}
	}
	switch f := f.(type) {
	case PersonNamed:
		t, ok := ParseToken(f.Token)
		_, erased := d.Erased[f.KeyID]
		if _, known := d.Tokens[f.KeyID]; !ok || t.KeyID != f.KeyID || erased || known {
			return
		}
		d.Tokens[f.KeyID] = t
	case PersonErased:
		delete(d.Tokens, f.KeyID)
		d.Erased[f.KeyID] = struct{}{}
	case PersonKeyed, Unreadable: // they say nothing of whose key it is
	}
}

// Erase is the wish that the persons of these keys be forgotten.
type Erase struct {
	KeyIDs     []KeyID
	Reason, By string
}

// Decide answers as task.Decide does: facts, silence or a *domain.Error.
func Decide(d *Directory, c Erase) ([]Fact, error) {
	if err := task.CheckReason(c.Reason); err != nil {
		return nil, err
	}
	var facts []Fact
	for _, id := range c.KeyIDs {
		if _, known := d.Tokens[id]; known {
			facts = append(facts, PersonErased{KeyID: id, Reason: c.Reason, By: c.By})
		}
	}
	return facts, nil
}

// Read reads a stored fact; what it cannot decode comes as an Unreadable.
func Read(typeName string, data []byte) Fact {
	var f Fact
	var err error
	switch typeName {
	case "PersonKeyed":
		var k PersonKeyed
		if err = json.Unmarshal(data, &k); err == nil && len(k.Secret) != KeySize {
			err = fmt.Errorf("a key has %d bytes", KeySize)
		}
		f = k
	case "PersonNamed":
		var n PersonNamed
		err = json.Unmarshal(data, &n)
		f = n
	case "PersonErased":
		var e PersonErased
		err = json.Unmarshal(data, &e)
		f = e
	default:
		err = fmt.Errorf("fact type %q is not known to this version of Factgate", typeName)
	}
	if err != nil {
		return Unreadable{typeName, err}
	}
	return f
}

// Encode writes a fact as it is stored.
func Encode(f Fact) (typeName string, data []byte, err error) {
	switch f := f.(type) {
	case PersonKeyed:
		typeName = "PersonKeyed"
	case PersonNamed:
		typeName = "PersonNamed"
	case PersonErased:
		typeName = "PersonErased"
	case Unreadable:
		return "", nil, fmt.Errorf("encode %s: an unreadable fact is not ours to write: %w", f.Type, f.Err)
	}
	data, err = json.Marshal(f)
	return typeName, data, err
}
