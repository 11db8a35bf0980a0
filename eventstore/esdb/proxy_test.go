package esdb_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
)

// proxy stands between client and server and does what networks do on bad days.
type proxy struct {
	listener net.Listener
	target   string
	swallows atomic.Int32 // what does not get through; a connection stays spoilt

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
	all   sync.WaitGroup
}

// What a proxy swallows.
const (
	nothing int32 = iota
	answers
	everything
)

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]bool{}}
	p.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.carry(client, server, everything)
			p.carry(server, client, answers)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.cut()
		p.all.Wait()
	})
	return p
}

// carry brings bytes from one side to the other, and the news of its end, unless
// the proxy swallows the given or more.
func (p *proxy) carry(from, to net.Conn, limit int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = from.Close()
		return
	}
	p.conns[from] = true
	p.all.Go(func() {
		spoilt := false
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			spoilt = spoilt || p.swallows.Load() >= limit
			if err == nil && !spoilt {
				_, err = to.Write(buffer[:n])
			}
			if err != nil {
				break
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, from)
		_ = from.Close()
		if !spoilt || p.ended {
			_ = to.Close()
		}
	})
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) connectionString() string {
	return "esdb://" + p.listener.Addr().String() + "?tls=false"
}

// noticed is how long a subscription may look alive on a dead connection: a ping
// goes out after 10 s of silence and has 10 s to be answered.
const noticed = 20*time.Second + 10*time.Second

// From one moment to the next nothing gets through any more, and nobody says so.
func TestABlackHoleIsNoticed(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{Dir: t.TempDir()})
	network := startProxy(t, n.Addr().String())
	log := connect(t, network.connectionString())
	require.NoError(t, log.EnsureGroup(t.Context(), eventstore.Group{Name: "g"}))
	_, err := log.Append(t.Context(), someStream, eventstore.NoStream(), someEvent)
	require.NoError(t, err)
	sub, err := log.Follow(t.Context(), 0, eventstore.Filter{})
	require.NoError(t, err)
	consumer, err := log.Consume(t.Context(), "g", 2)
	require.NoError(t, err)
	held, err := consumer.Next(t.Context())
	require.NoError(t, err)
	for caughtUp := false; !caughtUp; {
		message, err := sub.Next(t.Context())
		require.NoError(t, err)
		caughtUp = message.Kind == eventstore.KindCaughtUp
	}

	network.swallows.Store(everything)
	began := time.Now()
	requireUnavailable(t, log, "")
	lost := make(chan error, 2)
	go func() { _, err := sub.Next(t.Context()); lost <- err }()
	go func() { _, err := consumer.Next(t.Context()); lost <- err }()
	for range 2 {
		select {
		case err := <-lost:
			require.True(t, eventstore.IsUnavailable(err), "%v", err)
		case <-time.After(noticed):
			require.FailNow(t, "a dead subscription looks alive")
		}
	}
	t.Logf("noticed after %s", time.Since(began))
	require.True(t, eventstore.IsUnavailable(consumer.Ack(held)))
	require.NoError(t, sub.Close())
	require.NoError(t, consumer.Close())

	network.swallows.Store(nothing)
	require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil }, recovery, time.Millisecond)
	again, err := log.Follow(t.Context(), 0, eventstore.Filter{})
	require.NoError(t, err)
	message, err := again.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, someEvent.ID, message.Event.ID)
	require.NoError(t, again.Close())
}

// The server has appended, and its answer does not arrive: the caller repeats.
func TestAnAppendWhoseAnswerIsLostIsRepeatedHarmlessly(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{Dir: t.TempDir()})
	direct := connect(t, n.ConnectionString())
	network := startProxy(t, n.Addr().String())
	log := connect(t, network.connectionString()+"&gossipTimeout=2")
	for i, expected := range []eventstore.Expected{eventstore.NoStream(), eventstore.At(0), eventstore.Exists(), eventstore.Any()} {
		require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil }, recovery, time.Millisecond)
		network.swallows.Store(answers)
		event := someEvent
		event.ID = eventstore.DeriveID(someEvent.ID, expected.String())
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := log.Append(ctx, someStream, expected, event)
			failed <- err
		}()
		var stored eventstore.Recorded
		require.Eventually(t, func() bool {
			for e, err := range direct.ReadStream(t.Context(), someStream, uint64(i)) {
				stored = e
				return err == nil
			}
			return false
		}, recovery, time.Millisecond)
		require.Equal(t, event.ID, stored.ID)
		if i%2 == 0 {
			cancel() // the caller's patience ends, or the connection does
		}
		network.cut()
		require.True(t, eventstore.IsUnavailable(<-failed))
		cancel()

		network.swallows.Store(nothing)
		var answer eventstore.Appended
		require.Eventually(t, func() bool {
			var err error
			answer, err = log.Append(t.Context(), someStream, expected, event)
			return err == nil
		}, recovery, time.Millisecond)
		require.Equal(t, eventstore.Appended{Revision: stored.Revision, Position: stored.Position}, answer)
		require.EqualValues(t, i, answer.Revision)
	}
}

// Connections break in the middle of everything, again and again.
func TestConnectionsThatBreakAllTheTime(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{Dir: t.TempDir()})
	network := startProxy(t, n.Addr().String())
	l := startLoad(t, network.connectionString())
	for range 8 {
		l.goesOnALittle()
		network.cut()
	}
	l.goesOn()
	l.finish()
}

// Thousands wait for a server that does not answer. Each goes when its context
// ends, and everything works again when the server does.
func TestThousandsOfCallersGoWithTheirContexts(t *testing.T) {
	t.Parallel()
	const callers = 2000
	n := startNode(t, node.Options{Dir: t.TempDir()})
	network := startProxy(t, n.Addr().String())
	log := connect(t, network.connectionString()+"&gossipTimeout=1")
	require.NoError(t, log.EnsureGroup(t.Context(), eventstore.Group{Name: "g"}))
	for _, state := range []struct {
		name  string
		enter func()
	}{
		{"connected to nobody who answers", func() { network.swallows.Store(everything) }},
		{"discovering somebody who does not answer", network.cut},
	} {
		state.enter()
		ctx, cancel := context.WithCancel(t.Context())
		var begun, ended sync.WaitGroup
		begun.Add(callers)
		for i := range callers {
			ended.Go(func() {
				begun.Done()
				if err := anyCall(ctx, log, i); !eventstore.IsUnavailable(err) {
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		begun.Wait()
		cancel()
		began := time.Now()
		ended.Wait()
		require.Less(t, time.Since(began), recovery, state.name)
	}
	network.swallows.Store(nothing)
	network.cut()
	require.Eventually(t, func() bool { return appendErr(t.Context(), log) == nil }, recovery, time.Millisecond)
}

// anyCall makes the call of that number, whichever it is.
func anyCall(ctx context.Context, log *esdb.Log, number int) error {
	switch number % 5 {
	case 0:
		return appendErr(ctx, log)
	case 1:
		_, err := log.Head(ctx)
		return err
	case 2:
		for _, err := range log.ReadStream(ctx, someStream, 0) {
			return err
		}
		return nil
	case 3:
		sub, err := log.Follow(ctx, 0, eventstore.Filter{})
		if err == nil {
			return sub.Close()
		}
		return err
	default:
		consumer, err := log.Consume(ctx, "g", 1)
		if err == nil {
			return consumer.Close()
		}
		return err
	}
}
