package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"hash/fnv"
	"slices"
)

const (
	strategyRoundRobin  = "RoundRobin"
	strategySingle      = "DispatchToSingle"
	strategyPinned      = "Pinned"
	strategyCorrelation = "PinnedByCorrelation"

	pinBuckets = 1024
)

// strategy decides which consumer gets a message. It belongs to its group.
type strategy interface {
	// choose returns a consumer that can take the message now, or nil.
	choose(m *message, consumers []*consumer) *consumer
	// overtakes says whether messages may pass by one that no consumer can take now.
	overtakes() bool
	// joined and left tell of a change among the consumers, which are those after it.
	joined(c *consumer, consumers []*consumer)
	left(c *consumer)
}

// newStrategy returns the strategy of a name, or nil when there is none.
func newStrategy(name string) strategy {
	switch name {
	case strategyRoundRobin:
		return &turns{each: true}
	case strategySingle:
		return &turns{}
	case strategyPinned:
		return &pins{subject: pinnedStream}
	case strategyCorrelation:
		return &pins{subject: pinnedCorrelation}
	default:
		return nil
	}
}

// turns gives messages to one consumer after the other: to each in turn, or to the
// same until it can take no more.
type turns struct {
	each bool
	next int
}

func (s *turns) choose(m *message, consumers []*consumer) *consumer {
	for i := range consumers {
		at := (s.next + i) % len(consumers)
		if !consumers[at].takes(m) {
			continue
		}
		s.next = at
		if s.each {
			s.next++
		}
		return consumers[at]
	}
	return nil
}

func (s *turns) overtakes() bool { return false }

func (s *turns) joined(*consumer, []*consumer) {}

func (s *turns) left(*consumer) {}

// pins gives everything about one subject to one consumer for as long as that is
// connected, so that messages of one stream are not worked on side by side. Subjects
// are hashed into buckets, and buckets belong to consumers.
type pins struct {
	subject func(resolved) []byte
	buckets [pinBuckets]*consumer // nil: whoever has least gets it with its next message
}

func (s *pins) choose(m *message, consumers []*consumer) *consumer {
	bucket := s.bucket(m)
	if s.buckets[bucket] == nil {
		owned := s.owned()
		s.buckets[bucket] = slices.MinFunc(consumers, func(a, b *consumer) int { return cmp.Compare(owned[a], owned[b]) })
	}
	if c := s.buckets[bucket]; c.takes(m) {
		return c
	}
	return nil
}

func (s *pins) overtakes() bool { return true }

func (s *pins) bucket(m *message) uint32 {
	if m.bucket == 0 {
		h := fnv.New32a()
		_, _ = h.Write(s.subject(m.resolved))
		m.bucket = 1 + h.Sum32()%pinBuckets
	}
	return m.bucket - 1
}

// joined moves to the newcomer what the others have beyond an equal share, first the
// buckets of which nothing is in flight.
func (s *pins) joined(c *consumer, consumers []*consumer) {
	assigned := 0
	for _, owner := range s.buckets {
		if owner != nil {
			assigned++
		}
	}
	share := (assigned + len(consumers) - 1) / len(consumers)
	for _, other := range consumers {
		if other == c {
			continue
		}
		busy := map[uint32]int{}
		for _, m := range other.inFlight {
			busy[s.bucket(m)]++
		}
		var owned []uint32
		for bucket, owner := range s.buckets {
			if owner == other {
				owned = append(owned, uint32(bucket))
			}
		}
		slices.SortStableFunc(owned, func(a, b uint32) int { return cmp.Compare(busy[a], busy[b]) })
		for _, bucket := range owned[:max(0, len(owned)-share)] {
			s.buckets[bucket] = c
		}
	}
}

func (s *pins) left(c *consumer) {
	for bucket, owner := range s.buckets {
		if owner == c {
			s.buckets[bucket] = nil
		}
	}
}

func (s *pins) owned() map[*consumer]int {
	owned := map[*consumer]int{}
	for _, owner := range s.buckets {
		if owner != nil {
			owned[owner]++
		}
	}
	return owned
}

// pinnedStream is the stream that a message is about: of a link that is not
// resolved, the one it names.
func pinnedStream(m resolved) []byte {
	r := m.event
	if r == nil {
		r = m.link
	}
	if string(r.eventType) != linkType {
		return r.stream
	}
	if _, name, found := bytes.Cut(r.data, []byte("@")); found {
		return name
	}
	return r.data
}

// pinnedCorrelation is the $correlationId in a message's metadata, or else its
// stream.
func pinnedCorrelation(m resolved) []byte {
	r := m.event
	if r == nil {
		r = m.link
	}
	var metadata struct {
		ID *string `json:"$correlationId"`
	}
	if json.Unmarshal(r.metadata, &metadata) == nil && metadata.ID != nil {
		return []byte(*metadata.ID)
	}
	return pinnedStream(m)
}
