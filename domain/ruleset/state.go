package ruleset

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// State is what the facts of one stream add up to.
type State struct {
	Name     string
	Versions []Version      // ascending; the numbers may have gaps after an unreadable fact
	Active   map[string]int // version by project; "" is all that have none of their own
	Names    []string       // of the directory, in the order of their coming
	Facts    uint64         // the next fact has this revision
}

// Version is one version of a rule set.
type Version struct {
	Version int
	Digest  string
	Text    string
	By      string
	At      time.Time // when it was recorded; zero for a built-in one
	// Revision of its fact within the stream; of no meaning for a built-in one.
	Revision uint64
	BuiltIn  bool
}

// New is the state of a name without any fact: a built-in set, or nothing.
func New(name string) State {
	s := State{Name: name}
	if rs, ok := rules.BuiltIn(name); ok {
		s.Versions = []Version{{Version: 1, Digest: rs.Ref().Digest, Text: string(rs.Source()), BuiltIn: true}}
		s.Active = map[string]int{"": 1}
	}
	return s
}

// Evolve returns the state after one more fact. It never refuses: a fact seen
// before, and a second one for a version that exists, change nothing. The given
// state is not modified.
func Evolve(s State, r Recorded) State {
	if r.Revision < s.Facts {
		return s
	}
	s.Facts = r.Revision + 1
	switch f := r.Fact.(type) {
	case RuleSetPublished:
		if _, exists := s.Version(f.Version); exists || f.Version <= s.newest() {
			break
		}
		s.Versions = append(slices.Clip(s.Versions), Version{
			Version: f.Version, Digest: f.Digest, Text: f.Text, By: f.By, At: r.At, Revision: r.Revision,
		})
	case RuleSetActivated:
		active := maps.Clone(s.Active)
		if active == nil {
			active = map[string]int{}
		}
		active[f.Project] = f.Version
		s.Active = active
	case RuleSetNamed:
		if !slices.Contains(s.Names, f.Name) {
			s.Names = append(slices.Clip(s.Names), f.Name)
		}
	case Unreadable:
	}
	return s
}

// Fold evolves the state of a name through all its facts.
func Fold(name string, facts []Recorded) State {
	s := New(name)
	for _, r := range facts {
		s = Evolve(s, r)
	}
	return s
}

// Version finds a version.
func (s State) Version(n int) (Version, bool) {
	for _, v := range s.Versions {
		if v.Version == n {
			return v, true
		}
	}
	return Version{}, false
}

// ActiveFor returns the version in service for a project; 0 if there is none.
func (s State) ActiveFor(project string) int {
	if n, ok := s.Active[project]; ok {
		return n
	}
	return s.Active[""]
}

// Ref names a version of this rule set.
func (s State) Ref(v Version) task.RuleSetRef {
	return task.RuleSetRef{Name: s.Name, Version: v.Version, Digest: v.Digest}
}

func (s State) newest() int {
	if n := len(s.Versions); n > 0 {
		return s.Versions[n-1].Version
	}
	return 0
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
