package eventstore

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ID names an event. Ids are derived, never drawn by chance, so that a repeated
// append is recognised; see [DeriveID].
type ID [16]byte

// DeriveID returns the UUIDv5 of name within the name space cause (RFC 9562,
// section 5.5). The same cause and name always give the same id.
func DeriveID(cause ID, name string) ID {
	h := sha1.New()
	h.Write(cause[:])
	h.Write([]byte(name))
	var id ID
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the usual text form, 8-4-4-4-12 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	digits := strings.ReplaceAll(s, "-", "")
	if len(s) != 36 || len(digits) != 32 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("%q is not a UUID", s)
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return id, fmt.Errorf("%q is not a UUID: %w", s, err)
	}
	return id, nil
}

func (id ID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// StreamID names a stream: a category and a key, written category-key. A name
// without '-', which others may have given, is a category with an empty key.
type StreamID struct {
	Category string // no '-'
	Key      string
}

// ParseStreamID cuts a stream's name at its first '-'; the key may hold more.
func ParseStreamID(name string) StreamID {
	category, key, _ := strings.Cut(name, "-")
	return StreamID{category, key}
}

func (s StreamID) String() string {
	if s.Key == "" {
		return s.Category
	}
	return s.Category + "-" + s.Key
}

// Position is an event's place in the order of all events. Positions increase
// and are sparse; they mean nothing but their order. 0 is before every event.
type Position uint64

// Event is a fact to be appended. Data and Metadata are JSON.
type Event struct {
	ID       ID
	Type     string
	Data     []byte
	Metadata []byte
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Event
	Stream   StreamID
	Revision uint64 // the event's number within its stream, from 0
	Position Position
	At       time.Time // when the log recorded it, by the log's clock, UTC
}
