package scanner

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
)

// RosterCategory and RosterKey name the one stream that holds the roster.
const (
	RosterCategory = "scanners"
	RosterKey      = "roster"
)

// Fact is something that happened to the roster.
//
//sumtype:decl
type Fact interface {
	// Key tells the fact apart from others that could stand at its revision.
	Key() string
	fact()
}

// ScannerEnlisted: from now on the type is waited for; its silence counts. Written
// by the first instance that comes online.
type ScannerEnlisted struct {
	Type     string `json:"type"`
	Instance string `json:"instance"`
	Version  string `json:"version"`
}

// ScannerRetired: from now on nobody waits for the type. Written by an operator.
type ScannerRetired struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"`
}

// Unreadable stands for an event that this version cannot decode.
type Unreadable struct {
	Type string
	Err  error
}

func (ScannerEnlisted) fact() {}
func (ScannerRetired) fact()  {}
func (Unreadable) fact()      {}

// Key implements Fact. The instance is part of it: of two that enlist at once the
// second shall meet a conflict, not take the other's fact for its own.
func (f ScannerEnlisted) Key() string { return "ScannerEnlisted/" + f.Type + "/" + f.Instance }

// Key implements Fact.
func (f ScannerRetired) Key() string { return "ScannerRetired/" + f.Type }

// Key implements Fact.
func (f Unreadable) Key() string { return "Unreadable/" + f.Type }

// Recorded is a fact as the log holds it.
type Recorded struct {
	Revision uint64
	Fact     Fact
}

// Roster is what the facts add up to. The zero value is the empty roster.
type Roster struct {
	enlisted map[string]bool // by type; false: retired
	// Unreadable is the first fact that this version cannot read: whoever else is
	// on the roster, or not any more, is not known here.
	Unreadable *Unreadable
	Facts      uint64 // the next fact has this revision
}

// Known are the types that are waited for, sorted; never nil.
func (r Roster) Known() []string {
	known := []string{}
	for name, on := range r.enlisted {
		if on {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	return known
}

// Evolve returns the roster after one more fact. It never refuses, and leaves r as
// it was.
func Evolve(r Roster, f Recorded) Roster {
	if f.Revision < r.Facts {
		return r
	}
	r.Facts = f.Revision + 1
	switch f := f.Fact.(type) {
	case ScannerEnlisted:
		r.enlisted = with(r.enlisted, f.Type, true)
	case ScannerRetired:
		r.enlisted = with(r.enlisted, f.Type, false)
	case Unreadable:
		if r.Unreadable == nil {
			r.Unreadable = &f
		}
	}
	return r
}

func with(old map[string]bool, name string, on bool) map[string]bool {
	enlisted := make(map[string]bool, len(old)+1)
	for k, v := range old {
		enlisted[k] = v
	}
	enlisted[name] = on
	return enlisted
}

// Fold evolves the empty roster through all its facts.
func Fold(facts []Recorded) Roster {
	var r Roster
	for _, f := range facts {
		r = Evolve(r, f)
	}
	return r
}

// Command is a wish.
//
//sumtype:decl
type Command interface{ decide(Roster) ([]Fact, error) }

// Enlist puts a type on the roster, also one that was retired.
type Enlist struct{ Type, Instance, Version string }

// Retire takes a type off the roster, for good or until it comes online again.
type Retire struct{ Type, Reason, By string }

// Decide answers as task.Decide does: facts, silence or a *domain.Error.
func Decide(r Roster, c Command) ([]Fact, error) { return c.decide(r) }

func (c Enlist) decide(r Roster) ([]Fact, error) {
	if err := checkType(c.Type); err != nil {
		return nil, err
	}
	if r.enlisted[c.Type] {
		return nil, nil
	}
	return []Fact{ScannerEnlisted(c)}, nil
}

func (c Retire) decide(r Roster) ([]Fact, error) {
	if err := checkType(c.Type); err != nil {
		return nil, err
	}
	if err := task.CheckReason(c.Reason); err != nil {
		return nil, err
	}
	switch on, known := r.enlisted[c.Type]; {
	case !known:
		return nil, &domain.Error{Kind: domain.NotFound, Rule: "scanner.unknown",
			Msg:   fmt.Sprintf("no scanner of type %s was ever online; list the scanners to see which were", c.Type),
			MsgZH: fmt.Sprintf("类型为 %s 的扫描器从未上线；请查看扫描器列表", c.Type)}
	case !on:
		return nil, nil
	}
	return []Fact{ScannerRetired(c)}, nil
}

func checkType(name string) error {
	if task.ValidType(name) {
		return nil
	}
	return &domain.Error{Kind: domain.Invalid, Rule: "scanner.type",
		Msg:   fmt.Sprintf("%.80q is not a sub-task type; use 1 to %d letters, digits, _ or -", name, task.MaxTypeLength),
		MsgZH: fmt.Sprintf("%.80q 不是合法的子任务类型；请使用 1 到 %d 个字母、数字、_ 或 -", name, task.MaxTypeLength)}
}

// Read reads a stored fact of the roster; what it cannot decode, or what names no
// type, comes as an Unreadable.
func Read(typeName string, data []byte) Fact {
	switch typeName {
	case "ScannerEnlisted":
		return read(typeName, data, func(f ScannerEnlisted) string { return f.Type })
	case "ScannerRetired":
		return read(typeName, data, func(f ScannerRetired) string { return f.Type })
	}
	return Unreadable{typeName, fmt.Errorf("fact type %q is not known to this version of Factgate", typeName)}
}

func read[F Fact](typeName string, data []byte, scanner func(F) string) Fact {
	var f F
	err := json.Unmarshal(data, &f)
	if err == nil {
		err = checkType(scanner(f))
	}
	if err != nil {
		return Unreadable{typeName, fmt.Errorf("decode %s: %w", typeName, err)}
	}
	return f
}

// Encode writes a fact as it is stored.
func Encode(f Fact) (typeName string, data []byte, err error) {
	switch f := f.(type) {
	case ScannerEnlisted:
		typeName = "ScannerEnlisted"
	case ScannerRetired:
		typeName = "ScannerRetired"
	case Unreadable:
		return "", nil, fmt.Errorf("encode %s: an unreadable fact is not ours to write: %w", f.Type, f.Err)
	}
	data, err = json.Marshal(f)
	return typeName, data, err
}
