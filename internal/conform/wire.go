package conform

import (
	"bytes"
	"context"
	"net"
	"sync"
)

// wire is a proxy between one instance of a scanner and its servers that can be cut at
// the moment at which the instance says how an attempt ended. It looks for the names of
// facts, which stand in clear text both in HTTP bodies and in the event store's
// messages; so it needs connections without TLS.
type wire struct {
	ctx    context.Context // of the kit; connections are dialled within it
	closed context.CancelFunc

	mu        sync.Mutex
	mode      mode
	conns     map[net.Conn]bool
	listeners []net.Listener
	moved     chan struct{} // closed when the mode changes
	seen      chan struct{} // closed when an end was on its way
	said      int           // how often an end was on its way
}

type mode int

const (
	pass   mode = iota
	hold        // pass until an end is on its way; then hold it back and everything else
	mute        // pass until an end has gone by; then hold back all answers
	deaf        // hold back all answers
	silent      // hold back everything
	refuse      // no connection
)

var ends = [][]byte{[]byte("SubTaskCompleted"), []byte("SubTaskFailed")}

const longestEnd = len("SubTaskCompleted")

func newWire(ctx context.Context) *wire {
	ctx, cancel := context.WithCancel(ctx)
	return &wire{ctx: ctx, closed: cancel, conns: map[net.Conn]bool{}, moved: make(chan struct{}), seen: make(chan struct{})}
}

// to makes an address that leads to another.
func (w *wire) to(target string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(w.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	w.listeners = append(w.listeners, l)
	w.mu.Unlock()
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(from, target)
		}
	}()
	return l.Addr().String(), nil
}

func (w *wire) close() {
	w.set(refuse)
	w.closed()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.listeners {
		_ = l.Close()
	}
}

// set changes the mode; refuse also cuts what is open. The seen of hold or mute is
// returned.
func (w *wire) set(m mode) (seen <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = m
	w.seen = make(chan struct{})
	close(w.moved)
	w.moved = make(chan struct{})
	if m == refuse {
		for c := range w.conns {
			_ = c.Close()
		}
	}
	return w.seen
}

// ended is how often an end was on its way so far.
func (w *wire) ended() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said
}

func (w *wire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mode == refuse {
		_ = c.Close()
		return false
	}
	w.conns[c] = true
	return true
}

func (w *wire) drop(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
	_ = c.Close()
}

func (w *wire) carry(from net.Conn, target string) {
	if !w.keep(from) {
		return
	}
	defer w.drop(from)
	to, err := (&net.Dialer{}).DialContext(w.ctx, "tcp", target)
	if err != nil || !w.keep(to) {
		return
	}
	defer w.drop(to)
	var both sync.WaitGroup
	both.Go(func() {
		defer from.Close()
		w.copy(from, to, false)
	})
	w.copy(to, from, true)
	_ = to.Close()
	both.Wait()
}

// copy carries bytes until one side closes. What comes from the scanner is looked at.
func (w *wire) copy(to, from net.Conn, scanner bool) {
	buffer := make([]byte, 64<<10)
	var tail []byte
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			said := false
			if scanner {
				looked := append(tail, buffer[:n]...)
				for _, end := range ends {
					said = said || bytes.Contains(looked, end)
				}
				tail = bytes.Clone(looked[max(0, len(looked)-longestEnd+1):])
				if said {
					tail = nil
				}
			}
			if !w.may(said, scanner) {
				return
			}
			if said {
				w.goes() // before it does: the answer must not overtake
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// may waits until bytes may pass; false: never.
func (w *wire) may(end, scanner bool) bool {
	for {
		w.mu.Lock()
		if end && w.mode == hold {
			w.mode = silent
			close(w.seen)
		}
		m, moved := w.mode, w.moved
		w.mu.Unlock()
		switch {
		case m == refuse:
			return false
		case m != silent && (scanner || m != deaf):
			return true
		}
		select {
		case <-moved:
		case <-w.ctx.Done():
			return false
		}
	}
}

// goes notes that an end goes by.
func (w *wire) goes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said++
	if w.mode == mute {
		w.mode = deaf
		close(w.seen)
	}
}
