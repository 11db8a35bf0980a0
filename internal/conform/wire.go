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
	seen      chan struct{} // closed when the end was on its way
	task      string        // whose end it is; unknown yet if empty
	said      int           // how often an end has gone by
}

type mode int

const (
	pass   mode = iota
	hold        // pass until the task's end is on its way; then hold it back and everything else
	mute        // pass until the task's end goes by; then hold back all answers
	deaf        // hold back all answers
	silent      // hold back everything
	refuse      // no connection
)

var ends = [][]byte{[]byte("SubTaskCompleted"), []byte("SubTaskFailed")}

// recent is how much of what went by is looked at together with what comes.
const recent = 4 << 10

// words is what a scanner sends: bytes that come, after some that went by.
type words struct {
	text []byte
	from int // where those begin that come
}

// end reports whether an attempt's end begins among the bytes that come, or in the last
// few before them.
func (w words) end() (at int, ok bool) {
	for _, end := range ends {
		start := max(0, w.from-len(end)+1)
		if i := bytes.Index(w.text[start:], end); i >= 0 {
			return start + i, true
		}
	}
	return 0, false
}

// of reports whether an end is a task's: the path of a request names it, or, in the
// event store's messages, what follows the fact's name.
func (w words) of(task string, at int) bool {
	return bytes.Contains(w.text[at:], []byte(task)) || bytes.Contains(w.text[:at], []byte("/tasks/"+task+"/facts"))
}

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

// set changes the mode; refuse also cuts what is open. For hold and mute, watch names
// the task, and until then no end goes by; seen is closed when the task's is there.
func (w *wire) set(m mode) (seen <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode, w.task = m, ""
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

// watch names the task of hold and mute.
func (w *wire) watch(task string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.task = task
	close(w.moved)
	w.moved = make(chan struct{})
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
		defer func() { _ = from.Close() }()
		w.copy(from, to, false)
	})
	w.copy(to, from, true)
	_ = to.Close()
	both.Wait()
}

// copy carries bytes until one side closes. What comes from the scanner is looked at.
func (w *wire) copy(to, from net.Conn, scanner bool) {
	buffer := make([]byte, 64<<10)
	var past []byte
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			said := words{}
			if scanner {
				said = words{append(past, buffer[:n]...), len(past)}
				past = bytes.Clone(said.text[max(0, len(said.text)-recent):])
			}
			if !w.may(said, scanner) {
				return
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
func (w *wire) may(said words, scanner bool) bool {
	at, end := said.end()
	for {
		w.mu.Lock()
		unknown := false
		if armed := w.mode == hold || w.mode == mute; end && armed {
			switch {
			case w.task == "":
				unknown = true
			case !said.of(w.task, at):
			case w.mode == hold:
				w.mode = silent
				close(w.seen)
			default:
				w.mode = deaf // before it goes: the answer must not overtake
				close(w.seen)
			}
		}
		m, moved := w.mode, w.moved
		passes := !unknown && m != silent && (scanner || m != deaf)
		if passes && m != refuse && end {
			w.said++
		}
		w.mu.Unlock()
		switch {
		case m == refuse:
			return false
		case passes:
			return true
		}
		select {
		case <-moved:
		case <-w.ctx.Done():
			return false
		}
	}
}
