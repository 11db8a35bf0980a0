package projections

import (
	json "github.com/go-json-experiment/json/v1"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Bounds of each half of a memory.
const (
	maxKnown      = 2_000
	maxKnownBytes = 16 << 20
	weighAnew     = 64 << 10 // of facts that were added to a state
)

// memory holds the states of the tasks that were last worked on. It has two halves:
// what is asked for or comes in goes to the new one; when that is full, the old one is
// dropped and the new one grows old. So it stays small, and what is in use stays.
type memory struct {
	now, before map[eventstore.ID]remembered
	bytes       int // in now
}

type remembered struct {
	state  task.State
	weight int // about what it holds of memory
	facts  int // the part of weight that facts added since the state itself was weighed

	// Of a task that was folded from its stream: skips that the tables do not have yet,
	// and why it could not be folded.
	skipped []skipped
	err     *HaltedError
}

// states before some events, of the tasks that these touch. They stay until the events
// are folded; memory may drop them meanwhile.
type states map[eventstore.ID]remembered

func (s states) get(id eventstore.ID) (remembered, bool) {
	r, ok := s[id]
	return r, ok
}

func (m *memory) get(id eventstore.ID) (remembered, bool) {
	if r, ok := m.now[id]; ok {
		return r, true
	}
	r, ok := m.before[id]
	if ok {
		m.put(id, r)
	}
	return r, ok
}

func (m *memory) put(id eventstore.ID, r remembered) {
	r = r.weighed()
	if old, ok := m.now[id]; ok {
		m.bytes -= old.weight
	} else if len(m.now) >= maxKnown || m.bytes >= maxKnownBytes {
		m.before, m.now, m.bytes = m.now, nil, 0
	}
	if m.now == nil {
		m.now = make(map[eventstore.ID]remembered)
	}
	m.now[id] = r
	m.bytes += r.weight
}

// keep remembers what a batch has made of its tasks, the last ones touched above all.
func (m *memory) keep(b *batch) {
	for _, c := range b.order {
		m.put(c.id, remembered{state: c.after, weight: c.weight, facts: c.facts})
	}
}

// weighed is r with its true weight, if the weight of its facts has come to say little of
// it: of a state that is made of very many, most say what later ones have said anew.
func (r remembered) weighed() remembered {
	if r.facts <= max(weighAnew, r.weight/2) {
		return r
	}
	text, err := json.Marshal(r.state)
	if err == nil && len(text) < r.weight {
		r.weight = len(text)
	}
	r.facts = 0
	return r
}

func (m *memory) forget() { *m = memory{} }
