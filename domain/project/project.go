// Package project is what a project has settled for the tasks that it opens from
// now on: by which rule set they are judged, which one is tried on them in its
// shadow, and how long their windows are. It
// is kept as facts in stream project-{project}; what holds for every project that
// says nothing of its own stands in project-*.
//
//	project's own  ──▶  all projects' (*)  ──▶  the rule set's own, of set default
//
// Each setting is looked up on its own in this order. How scanners check the project's
// packages (one document for each type, see package configuration) stands there too,
// and so do the waivers that operators have granted. A project's own document replaces
// that of all; waivers of both hold. Start at Decide.
package project

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/task"
)

// Category of a project's stream, project-{project}; All is the key of the stream
// for every project that says nothing of its own.
const (
	Category = "project"
	All      = "*"
)

// MaxNameLength bounds a project's name, in bytes, as uploads do.
const MaxNameLength = 256

// MaxWindow bounds what a window may be set to: a verdict that comes after a month
// is none.
const MaxWindow = 31 * 24 * time.Hour

// Fact is something that happened to a project.
//
//sumtype:decl
type Fact interface {
	// Key tells the fact apart from others that could stand at its revision.
	Key() string
	fact()
}

// ProjectConfigured: the project's settings are these from now on, all of them.
type ProjectConfigured struct {
	Project string `json:"project"`
	Settings
	By string `json:"by,omitempty"`
}

// Unreadable stands for an event that this version cannot decode; the settings
// before it stay.
type Unreadable struct {
	Type string
	Err  error
}

func (ProjectConfigured) fact() {}
func (Unreadable) fact()        {}

// Key implements Fact.
func (f ProjectConfigured) Key() string {
	key := "ProjectConfigured/" + f.RuleSet
	for _, d := range []*task.Duration{f.Window, f.Quiet, f.Minimum} {
		key += "/"
		if d != nil {
			key += d.String()
		}
	}
	if f.Shadow != (Shadow{}) {
		key += "/" + f.Shadow.String()
	}
	return key
}

// Key implements Fact.
func (f Unreadable) Key() string { return "Unreadable/" + f.Type }

// Settings of a project. What is not given is looked up further on.
type Settings struct {
	RuleSet string         `json:"ruleSet,omitempty"` // a name; its version in service is the rule set's business
	Window  *task.Duration `json:"window,omitempty"`
	Quiet   *task.Duration `json:"quiet,omitempty"`
	Minimum *task.Duration `json:"minimum,omitempty"` // no window closes before
	Shadow  Shadow         `json:"shadow,omitzero"`   // tried on each task, shown, never enforced
}

// Over returns the settings with those of others where none are given.
func (s Settings) Over(others Settings) Settings {
	if s.RuleSet == "" {
		s.RuleSet = others.RuleSet
	}
	if s.Shadow.Name == "" {
		s.Shadow = others.Shadow
	}
	s.Window, s.Quiet, s.Minimum = first(s.Window, others.Window), first(s.Quiet, others.Quiet), first(s.Minimum, others.Minimum)
	return s
}

func first(a, b *task.Duration) *task.Duration {
	if a == nil {
		return b
	}
	return a
}

// State is what the facts of one project's stream add up to.
type State struct {
	Project string
	Settings
	// Scanners are the configurations, by sub-task type.
	Scanners map[string]Configured
	// Waivers are those that were ever granted, by id.
	Waivers map[string]Waiver
	Facts   uint64 // the next fact has this revision
}

// Recorded is a fact as the log holds it.
type Recorded struct {
	Revision uint64
	At       time.Time
	Fact     Fact
}

// Evolve returns the state after more facts; the one before stays as it is. It never
// refuses.
func Evolve(s State, facts ...Recorded) State {
	s.Scanners, s.Waivers = maps.Clone(s.Scanners), maps.Clone(s.Waivers)
	for _, r := range facts {
		if r.Revision >= s.Facts {
			s.Facts = r.Revision + 1
			s.take(r)
		}
	}
	return s
}

func (s *State) take(r Recorded) {
	switch f := r.Fact.(type) {
	case ProjectConfigured:
		s.Settings = f.Settings
	case ScannerConfigured:
		if s.Scanners == nil {
			s.Scanners = map[string]Configured{}
		}
		s.Scanners[f.Type] = Configured{ScannerConfigured: f, At: r.At}
	case ScannerUnconfigured:
		delete(s.Scanners, f.Type)
	case WaiverGranted:
		if s.Waivers == nil {
			s.Waivers = map[string]Waiver{}
		}
		if _, ok := s.Waivers[f.ID]; !ok {
			s.Waivers[f.ID] = Waiver{WaiverGranted: f, At: r.At, revision: r.Revision}
		}
	case WaiverRevoked:
		if w, ok := s.Waivers[f.ID]; ok && w.Revoked == nil {
			w.Revoked = &Revocation{At: r.At, By: f.By, Reason: f.Reason}
			s.Waivers[f.ID] = w
		}
	case Unreadable:
	default: // what only holds a fact, such as a Waiver, is never recorded
	}
}

// Fold evolves the state of a project through all its facts.
func Fold(project string, facts []Recorded) State { return Evolve(State{Project: project}, facts...) }

// Command is a wish. Decide turns it into facts, silence or a refusal.
//
//sumtype:decl
type Command interface {
	decide(State) ([]Fact, error)
}

// Configure changes settings. What is nil stays as it is; an empty RuleSet or
// Shadow is taken away.
type Configure struct {
	RuleSet                *string
	Shadow                 *Shadow
	Window, Quiet, Minimum *Change
	By                     string
}

// Change of one length of time.
type Change struct {
	Clear bool // take the setting away
	To    time.Duration
}

// Decide answers as task.Decide does: facts, silence or a *domain.Error.
func Decide(s State, c Command) ([]Fact, error) {
	if err := CheckName(s.Project); err != nil {
		return nil, err
	}
	return c.decide(s)
}

func (c Configure) decide(s State) ([]Fact, error) {
	next := s.Settings
	if c.RuleSet != nil {
		if *c.RuleSet != "" {
			if err := ruleset.CheckName(*c.RuleSet); err != nil {
				return nil, err
			}
		}
		next.RuleSet = *c.RuleSet
	}
	if c.Shadow != nil {
		if err := c.Shadow.check(); err != nil {
			return nil, err
		}
		next.Shadow = *c.Shadow
	}
	for _, one := range []struct {
		name   string
		change *Change
		at     **task.Duration
		least  time.Duration
	}{
		{"window", c.Window, &next.Window, 1},
		{"quiet", c.Quiet, &next.Quiet, 0},
		{"minimum", c.Minimum, &next.Minimum, 0},
	} {
		switch {
		case one.change == nil:
		case one.change.Clear:
			*one.at = nil
		case one.change.To < one.least || one.change.To > MaxWindow:
			return nil, &domain.Error{Kind: domain.Invalid, Rule: "project." + one.name,
				Msg:   fmt.Sprintf("%s cannot be %s; give a time such as 10m, at most %s", one.name, one.change.To, MaxWindow),
				MsgZH: fmt.Sprintf("%s 不能为 %s；请给出如 10m 的时长，最长 %s", one.name, one.change.To, MaxWindow)}
		default:
			d := task.Duration(one.change.To)
			*one.at = &d
		}
	}
	if next.equal(s.Settings) {
		return nil, nil
	}
	return []Fact{ProjectConfigured{Project: s.Project, Settings: next, By: c.By}}, nil
}

func (s Settings) equal(o Settings) bool {
	same := func(a, b *task.Duration) bool { return a == b || a != nil && b != nil && *a == *b }
	return s.RuleSet == o.RuleSet && s.Shadow == o.Shadow && same(s.Window, o.Window) && same(s.Quiet, o.Quiet) && same(s.Minimum, o.Minimum)
}

// CheckName refuses what may not name a project.
func CheckName(name string) error {
	if name == "" || len(name) > MaxNameLength || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return &domain.Error{Kind: domain.Invalid, Rule: "project.name",
			Msg:   fmt.Sprintf("%.80q is not a project's name; use 1 to %d bytes of text, or %s for all projects", name, MaxNameLength, All),
			MsgZH: fmt.Sprintf("%.80q 不是合法的项目名称；请使用 1 到 %d 字节的文本，或用 %s 表示所有项目", name, MaxNameLength, All)}
	}
	return nil
}

// decoders holds every fact type; the key is the stored type name.
var decoders = map[string]func([]byte) (Fact, error){
	"ProjectConfigured":   decode[ProjectConfigured],
	"ScannerConfigured":   decode[ScannerConfigured],
	"ScannerUnconfigured": decode[ScannerUnconfigured],
	"WaiverGranted":       decode[WaiverGranted],
	"WaiverRevoked":       decode[WaiverRevoked],
}

func decode[F Fact](data []byte) (Fact, error) {
	var f F
	err := json.Unmarshal(data, &f)
	return f, err
}

// Read reads a stored fact; what it cannot decode comes as an Unreadable.
func Read(typeName string, data []byte) Fact {
	decoder, ok := decoders[typeName]
	if !ok {
		return Unreadable{typeName, fmt.Errorf("fact type %q is not known to this version of Factgate", typeName)}
	}
	f, err := decoder(data)
	if err != nil {
		return Unreadable{typeName, err}
	}
	return f
}

// Encode writes a fact as it is stored.
func Encode(f Fact) (typeName string, data []byte, err error) {
	switch f := f.(type) {
	case ProjectConfigured:
		typeName = "ProjectConfigured"
	case ScannerConfigured:
		typeName = "ScannerConfigured"
	case ScannerUnconfigured:
		typeName = "ScannerUnconfigured"
	case WaiverGranted:
		typeName = "WaiverGranted"
	case WaiverRevoked:
		typeName = "WaiverRevoked"
	case Unreadable:
		return "", nil, fmt.Errorf("encode %s: an unreadable fact is not ours to write: %w", f.Type, f.Err)
	default: // what only holds one, such as a Waiver
		return "", nil, fmt.Errorf("encode %T: it is not a stored fact", f)
	}
	data, err = json.Marshal(f)
	return typeName, data, err
}
