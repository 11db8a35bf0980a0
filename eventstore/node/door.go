package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// maxConnections is how many connections there are at a time. A client needs one.
	maxConnections = 4096
	// greetingTime is how long a connection may take to say what it wants, TLS
	// included.
	greetingTime = 10 * time.Second
	// maxGreeting is what it may say until that is clear.
	maxGreeting = 4 << 10
)

// preface is what every HTTP/2 connection begins with, in front of a SETTINGS frame.
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// frameHeader is the length of an HTTP/2 frame's header.
const frameHeader = 9

// door takes connections in, speaks TLS with them if the node does, and hands each
// to the server that speaks its protocol: HTTP/2 to gRPC's own transport and the
// rest to net/http. gRPC behind net/http would cost every call a second HTTP/2
// implementation, and a graceful stop would cut its calls off.
//
//	           ┌── TLS ──┐
//	Accept ──▶ │         │ ──▶ first bytes ──┬─▶ forGRPC
//	           └─────────┘                   └─▶ forHTTP
//
// What a connection has said by then is complete enough that neither server waits
// for more of it before it serves: a silent client never holds up Close.
type door struct {
	listener net.Listener
	tls      *tls.Config // nil: in the clear
	logger   *slog.Logger

	forGRPC *entrance
	forHTTP *entrance
	shut    chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	limit    int // of open
	closed   bool
	full     bool
	open     int                   // connections
	greeting map[net.Conn]struct{} // those whose protocol is not known yet
}

func openDoor(listener net.Listener, config *tls.Config, logger *slog.Logger) *door {
	shut := make(chan struct{})
	d := &door{
		listener: listener,
		tls:      config,
		logger:   logger,
		forGRPC:  &entrance{listener.Addr(), make(chan net.Conn), shut},
		forHTTP:  &entrance{listener.Addr(), make(chan net.Conn), shut},
		shut:     shut,
		limit:    maxConnections,
		greeting: map[net.Conn]struct{}{},
	}
	d.running.Go(d.accept)
	return d
}

// close takes no more connections and drops those whose protocol is not known. The
// others belong to their servers.
func (d *door) close() error {
	d.mu.Lock()
	d.closed = true
	for c := range d.greeting {
		_ = c.Close()
	}
	d.mu.Unlock()
	close(d.shut)
	err := d.listener.Close()
	d.running.Wait()
	return err
}

func (d *door) accept() {
	pause := time.Duration(0)
	for {
		c, err := d.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Too many open files, or the like: it passes.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			d.logger.Warn("the event store could not take a connection in", "error", err)
			select {
			case <-time.After(pause):
			case <-d.shut:
				return
			}
		case !d.enter(c):
			_ = c.Close()
		default:
			pause = 0
			d.running.Go(func() { d.greet(c) })
		}
	}
}

// enter counts a connection in, if there is room for it.
func (d *door) enter(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if d.open >= d.limit {
		if !d.full {
			d.logger.Warn("the event store has all the connections it takes and refuses more", "connections", d.open)
		}
		d.full = true
		return false
	}
	d.full = false
	d.open++
	d.greeting[c] = struct{}{}
	return true
}

func (d *door) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
}

func (d *door) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// greet finds out what a connection speaks and hands it over.
func (d *door) greet(raw net.Conn) {
	known, isHTTP2, err := d.recognise(raw)
	d.mu.Lock()
	delete(d.greeting, raw)
	d.mu.Unlock()
	if err != nil {
		_ = raw.Close()
		d.leave()
		d.logger.Debug("a connection was dropped before it said what it wants", "from", raw.RemoteAddr(), "reason", err)
		return
	}
	to := d.forHTTP
	if isHTTP2 {
		to = d.forGRPC
	}
	select {
	case to.conns <- known:
	case <-d.shut:
		_ = known.Close()
	}
}

func (d *door) recognise(raw net.Conn) (_ *guest, isHTTP2 bool, err error) {
	if err := raw.SetDeadline(time.Now().Add(greetingTime)); err != nil {
		return nil, false, err
	}
	plain := raw
	if d.tls != nil {
		secured := tls.Server(raw, d.tls)
		// The connection's deadline bounds it.
		if err := secured.HandshakeContext(context.Background()); err != nil {
			tellHTTPSExpected(err)
			return nil, false, err
		}
		plain = secured
	}
	head, isHTTP2, err := readGreeting(plain)
	if err != nil {
		return nil, false, err
	}
	return &guest{Conn: plain, head: head, left: sync.OnceFunc(d.leave)}, isHTTP2, raw.SetDeadline(time.Time{})
}

// tellHTTPSExpected answers who speaks HTTP in the clear where TLS is spoken; the
// error of a failed handshake knows whether that is so.
func tellHTTPSExpected(err error) {
	var notTLS tls.RecordHeaderError
	if !errors.As(err, &notTLS) || notTLS.Conn == nil {
		return
	}
	switch string(notTLS.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		_, _ = io.WriteString(notTLS.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis node speaks TLS: ask with https\n")
	}
}

// readGreeting reads until it is clear what a client speaks, and returns what it
// read. For HTTP/2 that is the whole preface with its SETTINGS, which clients send
// without waiting for anything.
func readGreeting(from io.Reader) (head []byte, isHTTP2 bool, err error) {
	head = make([]byte, 0, maxGreeting)
	for {
		n, err := from.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		begins := min(len(head), len(preface))
		if n > 0 && !bytes.Equal(head[:begins], preface[:begins]) {
			return head, false, nil
		}
		if want := len(preface) + frameHeader; len(head) >= want {
			length := head[len(preface):]
			want += int(length[0])<<16 | int(length[1])<<8 | int(length[2])
			if want > maxGreeting {
				return nil, false, fmt.Errorf("its HTTP/2 settings take %d bytes", want)
			}
			if len(head) >= want {
				return head, true, nil
			}
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// guest is a connection that has come in: what it has said already is read first.
type guest struct {
	net.Conn
	head []byte
	left func()
}

func (g *guest) Read(p []byte) (int, error) {
	if len(g.head) == 0 {
		return g.Conn.Read(p)
	}
	n := copy(p, g.head)
	if g.head = g.head[n:]; len(g.head) == 0 {
		g.head = nil // and its buffer
	}
	return n, nil
}

func (g *guest) Close() error {
	g.left()
	return g.Conn.Close()
}

// entrance is a server's side of the door. Its server does not own the listener, so
// Close leaves that to the door.
type entrance struct {
	addr  net.Addr
	conns chan net.Conn
	shut  <-chan struct{}
}

func (e *entrance) Accept() (net.Conn, error) {
	select {
	case c := <-e.conns:
		return c, nil
	case <-e.shut:
		return nil, net.ErrClosed
	}
}

func (e *entrance) Close() error   { return nil }
func (e *entrance) Addr() net.Addr { return e.addr }
