package esdb_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
)

// badServer is a server that does what real ones do on bad days: it answers
// discovery, and everything else as the test says.
type badServer struct {
	streams.UnimplementedStreamsServer
	features
	address string
	read    func(streams.Streams_ReadServer) error
	append  func(streams.Streams_AppendServer) error
}

type features struct {
	serverfeatures.UnimplementedServerFeaturesServer
	discoveries atomic.Int64
	appends     atomic.Int64
	away        atomic.Bool // it cannot be discovered
}

func (f *features) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	f.discoveries.Add(1)
	if f.away.Load() {
		<-time.After(50 * time.Millisecond) // as long as a refusal may take
		return nil, status.Error(codes.Unavailable, "not now")
	}
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: "23.10.0"}, nil
}

func (s *badServer) Read(_ *streams.ReadReq, to streams.Streams_ReadServer) error { return s.read(to) }

// Append answers after it has read everything, or the client would see no more
// than a broken stream.
func (s *badServer) Append(from streams.Streams_AppendServer) error {
	for {
		if _, err := from.Recv(); err != nil {
			return s.append(from)
		}
	}
}

// silence answers nothing for as long as the caller waits.
func silence(call grpc.ServerStream) error {
	<-call.Context().Done()
	return status.FromContextError(call.Context().Err()).Err()
}

func (s *badServer) start(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = listener.Addr().String()
	server := grpc.NewServer()
	streams.RegisterStreamsServer(server, s)
	serverfeatures.RegisterServerFeaturesServer(server, &s.features)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-served)
	})
	return "esdb://" + s.address + "?tls=false"
}

var (
	someStream = eventstore.StreamID{Category: "task", Key: "1"}
	someEvent  = eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, "some"), Type: "Noted", Data: []byte(`{}`)}
)

func TestOpenRefusesOnlyWrongConnectionStrings(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{
		"", "127.0.0.1:2113", "http://127.0.0.1:2113", "esdb://", "esdb://:hunter2@node:2113",
		"esdb://user:hunter2@node:port", "esdb://user:hunter2@node:2113/path", "esdb://user:hunter2@node?tls=perhaps",
		"esdb://user:hunter2@a:1:2", "esdb://user:hunter2@node?defaultDeadline=soon", "esdb://user:hunter2@[::1",
	} {
		_, err := esdb.Open(t.Context(), wrong, esdb.Options{})
		require.ErrorContains(t, err, "esdb://127.0.0.1:2113?tls=false", wrong)
		require.NotContains(t, err.Error(), "hunter2", "an error must not show a password")
	}
}

func TestWithoutAServerCallsFailInTimeAndOpenDoesNot(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close()) // now nobody listens there

	log := open(t, "esdb://"+address+"?tls=false")
	requireUnavailable(t, log, "connection refused")
}

func TestWithASilentServerCallsFailInTime(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })

	log := open(t, "esdb://"+listener.Addr().String()+"?tls=false&gossipTimeout=1")
	requireUnavailable(t, log, "")
}

func TestWithoutAnAddressCallsFailInTime(t *testing.T) {
	t.Parallel()
	// RFC 6761: this name never resolves.
	requireUnavailable(t, open(t, "esdb://eventstore.invalid:2113?tls=false"), "")
}

// requireUnavailable demands that every call fails as the contract says, and not
// much later than its context.
func requireUnavailable(t *testing.T, log *esdb.Log, why string) {
	t.Helper()
	require.Eventually(t, func() bool { // until it has seen for itself
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		err := log.Ping(ctx)
		return err != nil && strings.Contains(err.Error(), why)
	}, recovery, time.Millisecond)
	for name, call := range map[string]func(context.Context) error{
		"ping":   log.Ping,
		"append": func(ctx context.Context) error { return appendErr(ctx, log) },
		"read": func(ctx context.Context) error {
			for _, err := range log.ReadStream(ctx, someStream, 0) {
				return err
			}
			return nil
		},
		"read all": func(ctx context.Context) error {
			for _, err := range log.ReadAll(ctx, 0, eventstore.Filter{}) {
				return err
			}
			return nil
		},
		"head":   func(ctx context.Context) error { _, err := log.Head(ctx); return err },
		"follow": func(ctx context.Context) error { _, err := log.Follow(ctx, 0, eventstore.Filter{}); return err },
		"group":  func(ctx context.Context) error { return log.EnsureGroup(ctx, eventstore.Group{Name: "g"}) },
		"consume": func(ctx context.Context) error {
			_, err := log.Consume(ctx, "g", 1)
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		began := time.Now()
		err := call(ctx)
		cancel()
		require.True(t, eventstore.IsUnavailable(err), "%s: %v", name, err)
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.ErrorContains(t, err, why, name)
		require.Less(t, time.Since(began), 5*time.Second, name)
	}
}

func appendErr(ctx context.Context, log *esdb.Log) error {
	_, err := log.Append(ctx, someStream, eventstore.Any(), someEvent)
	return err
}

func TestTheDefaultTimeoutBoundsCallsWithoutOne(t *testing.T) {
	t.Parallel()
	server := badServer{
		append: func(from streams.Streams_AppendServer) error { return silence(from) },
		read:   func(to streams.Streams_ReadServer) error { return silence(to) },
	}
	log, err := esdb.Open(t.Context(), server.start(t), esdb.Options{Timeout: 500 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })

	require.True(t, eventstore.IsUnavailable(appendErr(t.Context(), log)))
	for _, err := range log.ReadStream(t.Context(), someStream, 0) {
		require.True(t, eventstore.IsUnavailable(err), "%v", err)
	}
	for _, err := range log.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		require.True(t, eventstore.IsUnavailable(err), "%v", err)
	}
	_, err = log.Follow(t.Context(), 0, eventstore.Filter{})
	require.True(t, eventstore.IsUnavailable(err), "%v", err)
}

// A connection that is made again and again and carries nothing is not made as
// fast as calls can fail, and no call is left behind in a client (TestMain).
func TestAServerThatIsNeverReadyIsNotHammered(t *testing.T) {
	notReady := status.Error(codes.Unavailable, "server is not ready")
	var ready atomic.Bool
	server := badServer{
		append: func(from streams.Streams_AppendServer) error {
			if ready.Load() {
				return from.SendAndClose(appendedAt(4, 77))
			}
			return notReady
		},
		read: func(streams.Streams_ReadServer) error { return notReady },
	}
	log := open(t, server.start(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	done := make(chan int)
	for range 32 {
		go func() {
			failed := 0
			for ctx.Err() == nil {
				if err := appendErr(ctx, log); eventstore.IsUnavailable(err) {
					failed++
				}
			}
			done <- failed
		}()
	}
	failed := 0
	for range 32 {
		failed += <-done
	}
	require.Positive(t, failed)
	require.LessOrEqual(t, server.discoveries.Load(), int64(20), "of %d failed calls", failed)

	ready.Store(true)
	began := time.Now()
	require.NoError(t, appendErr(t.Context(), log), "it waits for the next connection")
	require.Less(t, time.Since(began), 5*time.Second)
}

// appendedAt is a server's yes.
func appendedAt(revision, position uint64) *streams.AppendResp {
	return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: revision},
		PositionOption: &streams.AppendResp_Success_Position{
			Position: &streams.AppendResp_Position{CommitPosition: position, PreparePosition: position},
		},
	}}}
}

// A follower names a leader that is gone, and for a while nobody can be found at
// all. The client follows such a hint by itself and dies of it, with calls inside
// that nothing can free; the log lives on. What the client leaves behind would be
// held against the other tests, hence a process of its own.
func TestALeaderThatIsGoneDoesNotTakeTheLogWithIt(t *testing.T) {
	t.Parallel()
	if os.Getenv(leakyEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.timeout", "1m")
		cmd.Env = append(os.Environ(), leakyEnv+"=yes")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	var server badServer
	server.append = func(from streams.Streams_AppendServer) error {
		server.appends.Add(1)
		if !server.away.Load() {
			return from.SendAndClose(appendedAt(4, 77))
		}
		host, port, _ := net.SplitHostPort(server.address)
		from.SetTrailer(metadata.Pairs("exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port))
		return status.Error(codes.NotFound, "Leader info available")
	}
	log, err := esdb.Open(t.Context(), server.start(t), esdb.Options{Timeout: 5 * time.Second})
	require.NoError(t, err)
	require.NoError(t, appendErr(t.Context(), log))
	for range 5 {
		server.appends.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				for ctx.Err() == nil {
					if err := appendErr(ctx, log); err != nil && !eventstore.IsUnavailable(err) {
						t.Error(err)
					}
				}
			})
		}
		require.Eventually(t, func() bool { return server.appends.Load() > 50 }, recovery, time.Millisecond)
		server.away.Store(true)
		<-time.After(300 * time.Millisecond)
		cancel()
		callers.Wait()
		server.away.Store(false)
		require.NoError(t, appendErr(t.Context(), log))
	}
	began := time.Now()
	if err := log.Close(); err != nil {
		require.ErrorContains(t, err, "did not end in time")
	}
	require.Less(t, time.Since(began), 30*time.Second)
}

func TestARefusalOfAFollowerLeadsToANewDiscovery(t *testing.T) {
	t.Parallel()
	var follower atomic.Bool
	follower.Store(true)
	var server badServer
	server.append = func(from streams.Streams_AppendServer) error {
		if follower.Swap(false) {
			host, port, _ := net.SplitHostPort(server.address)
			from.SetTrailer(metadata.Pairs("exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port))
			return status.Error(codes.NotFound, "Leader info available")
		}
		return from.SendAndClose(appendedAt(4, 77))
	}
	log := open(t, server.start(t))
	require.True(t, eventstore.IsUnavailable(appendErr(t.Context(), log)))
	appended, err := log.Append(t.Context(), someStream, eventstore.Any(), someEvent)
	require.NoError(t, err)
	require.Equal(t, eventstore.Appended{Revision: 4, Position: 77}, appended)
}

// The client panics on what it does not know.
func TestPanicsOfTheClientAreErrors(t *testing.T) {
	t.Parallel()
	server := badServer{
		read: func(to streams.Streams_ReadServer) error {
			return to.Send(&streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{Checkpoint: &streams.ReadResp_Checkpoint{}}})
		},
		append: func(from streams.Streams_AppendServer) error {
			from.SetTrailer(metadata.Pairs("exception", "stream-deleted")) // and no stream-name
			return status.Error(codes.FailedPrecondition, "deleted")
		},
	}
	log := open(t, server.start(t))
	for _, err := range log.ReadStream(t.Context(), someStream, 0) {
		require.ErrorContains(t, err, "panicked")
		require.False(t, eventstore.IsUnavailable(err))
	}
	require.ErrorContains(t, appendErr(t.Context(), log), "panicked")
}

func TestStatusesBecomeTheContractsErrors(t *testing.T) {
	t.Parallel()
	var answer atomic.Value
	server := badServer{append: func(from streams.Streams_AppendServer) error {
		return answer.Load().(func(streams.Streams_AppendServer) error)(from)
	}}
	log := open(t, server.start(t))
	with := func(code codes.Code, trailers ...string) func(streams.Streams_AppendServer) error {
		return func(from streams.Streams_AppendServer) error {
			from.SetTrailer(metadata.Pairs(trailers...))
			return status.Error(code, "as the test says")
		}
	}
	for name, c := range map[string]struct {
		answer func(streams.Streams_AppendServer) error
		check  func(error)
	}{
		"timeout":           {with(codes.Aborted, "exception", "timeout"), func(err error) { require.True(t, eventstore.IsUnavailable(err)) }},
		"not ready":         {with(codes.Unavailable), func(err error) { require.True(t, eventstore.IsUnavailable(err)) }},
		"deadline exceeded": {with(codes.DeadlineExceeded), func(err error) { require.True(t, eventstore.IsUnavailable(err)) }},
		"canceled":          {with(codes.Canceled), func(err error) { require.True(t, eventstore.IsUnavailable(err)) }},
		"access denied": {with(codes.PermissionDenied, "exception", "access-denied"), func(err error) {
			require.False(t, eventstore.IsUnavailable(err))
			require.ErrorContains(t, err, "append to task-1")
		}},
		"tombstoned": {with(codes.FailedPrecondition, "exception", "stream-deleted", "stream-name", "task-1"), func(err error) {
			var deleted *eventstore.DeletedError
			require.ErrorAs(t, err, &deleted)
			require.Equal(t, someStream, deleted.Stream)
		}},
		"too large": {func(streams.Streams_AppendServer) error {
			return status.Error(codes.InvalidArgument, "Maximum Append Size of 4096 Exceeded.")
		}, func(err error) {
			var tooLarge *eventstore.TooLargeError
			require.ErrorAs(t, err, &tooLarge)
			require.Equal(t, 4096, tooLarge.Limit)
		}},
		"wrong expected version": {func(from streams.Streams_AppendServer) error {
			return from.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{
				WrongExpectedVersion: &streams.AppendResp_WrongExpectedVersion{
					CurrentRevisionOption: &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: 12},
				},
			}})
		}, func(err error) {
			var conflict *eventstore.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, uint64(12), conflict.Actual)
			require.True(t, conflict.Exists)
		}},
	} {
		answer.Store(c.answer)
		err := appendErr(t.Context(), log)
		require.Error(t, err, name)
		c.check(fmt.Errorf("%w", err))
	}
}

// A server that recognises a repeated append may not recall its position.
func TestAnAppendWithoutAPositionLooksItUp(t *testing.T) {
	t.Parallel()
	server := badServer{
		append: func(from streams.Streams_AppendServer) error {
			return from.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{
				CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: 4},
				PositionOption:        &streams.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}},
			}}})
		},
		read: func(to streams.Streams_ReadServer) error {
			return to.Send(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
				Event: &streams.ReadResp_ReadEvent_RecordedEvent{
					Id:               &shared.UUID{Value: &shared.UUID_String_{String_: someEvent.ID.String()}},
					StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("task-1")},
					StreamRevision:   4, CommitPosition: 99, PreparePosition: 99,
					Metadata: map[string]string{"type": "Noted", "content-type": "application/json", "created": "17000000000000000"},
				},
			}}})
		},
	}
	log := open(t, server.start(t))
	appended, err := log.Append(t.Context(), someStream, eventstore.Any(), someEvent)
	require.NoError(t, err)
	require.Equal(t, eventstore.Appended{Revision: 4, Position: 99}, appended)
}

func TestAClosedLogSaysSo(t *testing.T) {
	t.Parallel()
	server := badServer{read: func(to streams.Streams_ReadServer) error {
		if err := to.Send(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
			Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: "x"},
		}}); err != nil {
			return err
		}
		return silence(to)
	}}
	log, err := esdb.Open(t.Context(), server.start(t), esdb.Options{})
	require.NoError(t, err)
	sub, err := log.Follow(t.Context(), 0, eventstore.Filter{})
	require.NoError(t, err)
	require.NoError(t, log.Close())
	_, err = sub.Next(t.Context())
	require.ErrorIs(t, err, esdb.ErrClosed)
	require.NoError(t, sub.Close())
	require.ErrorIs(t, appendErr(t.Context(), log), esdb.ErrClosed)
	_, err = log.Follow(t.Context(), 0, eventstore.Filter{})
	require.ErrorIs(t, err, esdb.ErrClosed)
	require.False(t, eventstore.IsUnavailable(err))
	require.NoError(t, log.Close(), "closing twice is harmless")
	require.True(t, strings.HasPrefix(err.Error(), "closed"))
}
