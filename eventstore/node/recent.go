package node

import "github.com/google/uuid"

const (
	recentEvents  = 32 << 10 // events whose repetition under Any is recognised
	cachedHeads   = 16 << 10 // streams in each of the head cache's two generations
	maxCachedName = 512      // longer stream names are looked up every time
)

// recentIDs remembers the last events by stream and id, so that an append that is
// repeated without an expected revision is answered with what it did the first
// time. It belongs to the committer.
type recentIDs struct {
	ring  []eventKey
	next  int
	known map[eventKey]head
}

type eventKey struct {
	id     uuid.UUID
	stream string
}

func newRecentIDs(size int) *recentIDs {
	return &recentIDs{ring: make([]eventKey, size), known: map[eventKey]head{}}
}

func (c *recentIDs) add(stream string, id uuid.UUID, at head) {
	key := eventKey{id, stream}
	if _, known := c.known[key]; !known {
		delete(c.known, c.ring[c.next])
		c.ring[c.next] = key
		c.next = (c.next + 1) % len(c.ring)
	}
	c.known[key] = at
}

func (c *recentIDs) find(stream string, id uuid.UUID) (head, bool) {
	at, known := c.known[eventKey{id, stream}]
	return at, known
}

// headCache keeps the states of the streams used last, in two generations: when the
// young one is full it becomes the old one, and the old one is forgotten. It
// belongs to the committer.
type headCache struct {
	size       int
	young, old map[string]state
}

func newHeadCache(size int) *headCache {
	return &headCache{size: size, young: map[string]state{}}
}

func (c *headCache) get(stream string) (state, bool) {
	if h, ok := c.young[stream]; ok {
		return h, true
	}
	h, ok := c.old[stream]
	if ok {
		c.put(stream, h)
	}
	return h, ok
}

func (c *headCache) put(stream string, h state) {
	if len(stream) > maxCachedName {
		return
	}
	if len(c.young) >= c.size {
		c.old, c.young = c.young, make(map[string]state, c.size/4)
	}
	c.young[stream] = h
}

func (c *headCache) forget(stream string) {
	delete(c.young, stream)
	delete(c.old, stream)
}
