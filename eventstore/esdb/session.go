package esdb

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// session is one life of the official client: from a successful discovery to the
// first sign that its connection is gone.
//
// Left alone, the client would then discover anew inside whichever call comes
// next, with all other calls blocked on a channel that knows no context, and for
// good if discovery fails. A session never lets that happen: it closes its gate
// before the client learns that it has to reconnect, so no call is ever on its
// way into a client that is discovering. The calls that are already past the
// gate end by themselves, and the last one out closes the client.
//
//	         enter ──▶ gate (shared) ──▶ connection in hand ──▶ the call ──▶ leave
//	                      ▲
//	connection lost ── gate (exclusive) ── retired
//
// Two habits of the client carry this; both are pinned with its version and held
// down by tests. It logs a failed call before it asks itself to reconnect, and
// it asks the caller's context for a deadline after it has its connection.
type session struct {
	client *esdb.Client
	logger *slog.Logger
	// lost is called once, when the session is retired.
	lost func(cause error)

	gate    sync.RWMutex
	retired atomic.Bool
	// abandoned counts the calls whose callers have gone. A client may keep some for
	// ever; those of a retired session are not held against its successor.
	abandoned atomic.Int64
	calls     sync.WaitGroup // whoever still uses the client; grows only while the gate is held shared, or from above zero
}

// dial makes a session. It fails after one round of discovery; a client that has
// failed leaves nothing behind. It ignores all contexts, as the client does, but
// ends by the client's own gossip time-out.
func dial(config esdb.Configuration, logger *slog.Logger, lost func(*session, error)) (*session, error) {
	s := &session{logger: logger}
	s.lost = func(cause error) { lost(s, cause) }
	config.Logger = s.observe
	client, err := esdb.NewClient(&config)
	if err != nil {
		return nil, err
	}
	// The cheapest call that makes the client discover.
	if _, err := client.GetServerVersion(); err != nil {
		_ = client.Close()
		return nil, err
	}
	s.client = client
	return s, nil
}

// enter reports whether the session may be used. A true is followed by run. It
// never waits: a gate that is being closed belongs to a session that is retired.
func (s *session) enter() bool {
	if !s.gate.TryRLock() {
		return false
	}
	if s.retired.Load() {
		s.gate.RUnlock()
		return false
	}
	s.calls.Add(1)
	return true
}

// turnBack undoes enter instead of run.
func (s *session) turnBack() {
	s.gate.RUnlock()
	s.calls.Done()
}

// run does fn after enter. The client's panics come back as errors.
func (s *session) run(ctx context.Context, fn func(context.Context, *esdb.Client) error) (err error) {
	passing := &passing{Context: ctx, gate: &s.gate}
	defer s.calls.Done()
	defer passing.through() // a call may fail before it has a connection
	defer recoverInto(&err)
	return fn(passing, s.client)
}

// hold keeps the client open for a stream that outlives the call which opened
// it. Called within run; release ends it.
func (s *session) hold()    { s.calls.Add(1) }
func (s *session) release() { s.calls.Done() }

// retire lets nobody in any more and has the client closed behind the last one
// out. It waits for nobody.
func (s *session) retire(cause error) {
	if s.retired.CompareAndSwap(false, true) {
		s.lost(cause)
	}
}

// clear waits, once the session is retired, until everybody inside has a connection.
func (s *session) clear() {
	s.gate.Lock()
	s.gate.Unlock() //nolint:staticcheck // nothing is left to do when everybody is through
}

// close waits for the last call and closes the client. Closing earlier would
// panic in a call that is just then telling the client to reconnect.
func (s *session) close() {
	s.clear()
	s.calls.Wait()
	_ = s.client.Close()
}

// observe is the client's logger. What it says is for debugging, since every
// failure also reaches its caller as an error; some of its lines say that the
// connection is gone.
func (s *session) observe(level esdb.LogLevel, format string, args ...any) {
	if s.logger.Enabled(context.Background(), slog.LevelDebug) {
		s.logger.Debug("event store client: "+fmt.Sprintf(format, args...), "level", level)
	}
	if len(args) != 1 {
		return
	}
	err, _ := args[0].(error)
	switch {
	case format == "unexpected exception: %v" && status.Code(err) == codes.Unavailable:
		s.retire(err)
		s.clear() // the caller is about to make the client reconnect
	case format == "subscription has dropped. Reason: %v" && status.Code(err) == codes.Unavailable:
		// This does not make the client reconnect, but the connection is as dead,
		// and in a cluster gRPC would only try the same node again.
		s.retire(err)
	case format == "not leader exception, reconnecting to %v":
		// The client is reconnecting already: whoever is in the gate waits for it.
		s.retire(fmt.Errorf("connected to a follower, the leader is %v; "+
			"name all nodes of the cluster, or use esdb+discover://", args[0]))
	}
}

// passing is the context of a call on its way through the gate. The client takes
// its connection first and then asks the context for its deadline: that is the
// moment at which the call is through.
type passing struct {
	context.Context
	once sync.Once
	gate *sync.RWMutex
}

func (p *passing) through() { p.once.Do(p.gate.RUnlock) }

func (p *passing) Deadline() (time.Time, bool) {
	p.through()
	return p.Context.Deadline()
}

// panicError is a panic of the client: it met something that it holds to be
// impossible, such as a message it does not know.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string {
	return fmt.Sprintf("the event store client panicked: %v\n%s", e.value, e.stack)
}

func recoverInto(err *error) {
	if p := recover(); p != nil {
		*err = &panicError{p, debug.Stack()}
	}
}
