package projections

import (
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Bounds of each half of a memory.
const (
	maxKnown      = 2_000
	maxKnownBytes = 16 << 20 // of facts
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
	weight int
}

func (m *memory) get(id eventstore.ID) (task.State, bool) {
	if r, ok := m.now[id]; ok {
		return r.state, true
	}
	r, ok := m.before[id]
	if ok {
		m.put(id, r.state, r.weight)
	}
	return r.state, ok
}

func (m *memory) put(id eventstore.ID, state task.State, weight int) {
	if old, ok := m.now[id]; ok {
		m.bytes -= old.weight
	} else if len(m.now) >= maxKnown || m.bytes >= maxKnownBytes {
		m.before, m.now, m.bytes = m.now, nil, 0
	}
	if m.now == nil {
		m.now = make(map[eventstore.ID]remembered)
	}
	m.now[id] = remembered{state, weight}
	m.bytes += weight
}

// keep remembers what a batch has made of its tasks, the last ones touched above all.
func (m *memory) keep(b *batch) {
	for _, c := range b.order {
		weight := c.weight
		if old, ok := m.now[c.id]; ok {
			weight += old.weight
		} else if old, ok := m.before[c.id]; ok {
			weight += old.weight
		}
		m.put(c.id, c.after, weight)
	}
}

func (m *memory) forget() { *m = memory{} }
