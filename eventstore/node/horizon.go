package node

import "sync"

// horizon is the position up to which the log is durable, and the bell that rings
// when it moves. Take the bell before reading and nothing is missed: whatever
// becomes durable after the reading rings it.
type horizon struct {
	mu       sync.Mutex
	position uint64
	appended uint64        // events since the start
	moved    chan struct{} // nil while nobody waits
	streams  map[string]*watch
}

// watch waits for events of one stream; watches of a stream share one bell.
type watch struct {
	horizon *horizon
	stream  string
	users   int
	moved   chan struct{}
}

func newHorizon(position uint64) *horizon {
	return &horizon{position: position, streams: map[string]*watch{}}
}

// now returns the horizon and a channel that is closed when it has moved on.
func (h *horizon) now() (uint64, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.moved == nil {
		h.moved = make(chan struct{})
	}
	return h.position, h.moved
}

// durable returns the horizon alone.
func (h *horizon) durable() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position
}

// progress returns the horizon, and how many events became durable since the start.
func (h *horizon) progress() (position, appended uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position, h.appended
}

// advance moves the horizon and wakes who waits for it or for one of the streams.
func (h *horizon) advance(position uint64, streams map[string]*pendingStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.position = position
	for _, p := range streams {
		h.appended += uint64(len(p.added))
	}
	if h.moved != nil {
		close(h.moved)
		h.moved = nil
	}
	if len(h.streams) == 0 {
		return
	}
	for stream := range streams {
		if w := h.streams[stream]; w != nil && w.moved != nil {
			close(w.moved)
			w.moved = nil
		}
	}
}

// watch registers interest in one stream until close.
func (h *horizon) watch(stream string) *watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.streams[stream]
	if w == nil {
		w = &watch{horizon: h, stream: stream}
		h.streams[stream] = w
	}
	w.users++
	return w
}

// now returns the horizon and a channel that is closed when the stream has grown.
func (w *watch) now() (uint64, <-chan struct{}) {
	w.horizon.mu.Lock()
	defer w.horizon.mu.Unlock()
	if w.moved == nil {
		w.moved = make(chan struct{})
	}
	return w.horizon.position, w.moved
}

func (w *watch) close() {
	w.horizon.mu.Lock()
	defer w.horizon.mu.Unlock()
	if w.users--; w.users == 0 {
		delete(w.horizon.streams, w.stream)
	}
}
