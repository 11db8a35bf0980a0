package ruleset

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Category of a rule set's stream, ruleset-{name}, and the key of the directory.
const (
	Category  = "ruleset"
	Directory = "*"
)

// Fact is something that happened to the rule sets of one name.
//
//sumtype:decl
type Fact interface {
	// Key tells the fact apart from others that could stand at its revision.
	Key() string
	fact()
}

// RuleSetPublished: a version exists. Its text never changes.
type RuleSetPublished struct {
	Name    string `json:"name"`
	Version int    `json:"version"` // from 1; from 2 under a built-in name
	Text    string `json:"text"`
	Digest  string `json:"digest"` // SHA-256 of the text, lower-case hex
	By      string `json:"by,omitempty"`
}

// RuleSetActivated: windows opened from now on are judged by this version.
type RuleSetActivated struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	// Project that it is put in service for; empty for all that have none of their own.
	Project string `json:"project,omitempty"`
	By      string `json:"by,omitempty"`
}

// RuleSetNamed stands in the directory: a rule set of this name may exist.
type RuleSetNamed struct {
	Name string `json:"name"`
}

// Unreadable stands for an event that this version cannot decode. It is never
// written, and a version that it may speak of does not exist here.
type Unreadable struct {
	Type string
	Err  error
}

func (RuleSetPublished) fact() {}
func (RuleSetActivated) fact() {}
func (RuleSetNamed) fact()     {}
func (Unreadable) fact()       {}

// Key implements Fact. The digest is part of it: of two who publish different
// texts at the same time, one must see a conflict.
func (f RuleSetPublished) Key() string {
	return "RuleSetPublished/" + strconv.Itoa(f.Version) + "/" + f.Digest
}

// Key implements Fact.
func (f RuleSetActivated) Key() string {
	return "RuleSetActivated/" + strconv.Itoa(f.Version) + "/" + f.Project
}

// Key implements Fact.
func (f RuleSetNamed) Key() string { return "RuleSetNamed/" + f.Name }

// Key implements Fact.
func (f Unreadable) Key() string { return "Unreadable/" + f.Type }

// Recorded is a fact as the log holds it.
type Recorded struct {
	Revision uint64    // within its stream, from 0
	At       time.Time // when the store recorded it
	Fact     Fact
}

// Types returns the stored type names.
func Types() []string { return []string{"RuleSetPublished", "RuleSetActivated", "RuleSetNamed"} }

// Read reads a stored fact; what it cannot decode comes as an Unreadable. It
// never panics, whatever the bytes.
func Read(typeName string, data []byte) Fact {
	var f Fact
	var err error
	switch typeName {
	case "RuleSetPublished":
		f, err = decode[RuleSetPublished](data)
	case "RuleSetActivated":
		f, err = decode[RuleSetActivated](data)
	case "RuleSetNamed":
		f, err = decode[RuleSetNamed](data)
	default:
		err = fmt.Errorf("fact type %q is not known to this version of Factgate", typeName)
	}
	if err != nil {
		return Unreadable{Type: typeName, Err: err}
	}
	return f
}

func decode[F Fact](data []byte) (F, error) {
	var f F
	err := json.Unmarshal(data, &f)
	return f, err
}

// Encode writes a fact as it is stored.
func Encode(f Fact) (typeName string, data []byte, err error) {
	switch f := f.(type) {
	case RuleSetPublished:
		typeName = "RuleSetPublished"
	case RuleSetActivated:
		typeName = "RuleSetActivated"
	case RuleSetNamed:
		typeName = "RuleSetNamed"
	case Unreadable:
		return "", nil, fmt.Errorf("encode %s: an unreadable fact is not ours to write: %w", f.Type, f.Err)
	}
	data, err = json.Marshal(f)
	return typeName, data, err
}
