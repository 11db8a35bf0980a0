package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func raw(t testing.TB, n *Node) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(n.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestExpectedRevisions(t *testing.T) {
	_, client := open(t)
	expecting := func(stream string, revision esdb.ExpectedRevision, events ...esdb.EventData) (*esdb.WriteResult, error) {
		return client.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: revision}, events...)
	}
	refused := func(err error, expected, current string) {
		t.Helper()
		require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(err))
		require.ErrorContains(t, err, fmt.Sprintf("expecting '%s' but got '%s'", expected, current))
	}

	_, err := expecting("new", esdb.StreamExists{}, jsonEvent("a", "{}"))
	refused(err, "stream_exists", "no_stream")
	_, err = expecting("new", esdb.Revision(0), jsonEvent("a", "{}"))
	refused(err, "0", "no_stream")

	res, err := expecting("s", esdb.NoStream{}, jsonEvents(2, "a")...)
	require.NoError(t, err)
	require.EqualValues(t, 1, res.NextExpectedVersion)
	require.NotZero(t, res.CommitPosition)
	require.Equal(t, res.CommitPosition, res.PreparePosition)
	before := res.CommitPosition

	_, err = expecting("s", esdb.NoStream{}, jsonEvent("a", "{}"))
	refused(err, "no_stream", "1")
	_, err = expecting("s", esdb.Revision(0), jsonEvent("a", "{}"))
	refused(err, "0", "1")
	_, err = expecting("s", esdb.Revision(7), jsonEvent("a", "{}"))
	refused(err, "7", "1")

	for i, revision := range []esdb.ExpectedRevision{esdb.Revision(1), esdb.StreamExists{}, esdb.Any{}} {
		res, err = expecting("s", revision, jsonEvent("a", "{}"))
		require.NoError(t, err)
		require.EqualValues(t, 2+i, res.NextExpectedVersion)
		require.Greater(t, res.CommitPosition, before)
		before = res.CommitPosition
	}
}

func TestIdempotentAppends(t *testing.T) {
	n := start(t, Options{})
	client := connect(t, n)
	events := jsonEvents(3, "a")
	revision := func(e esdb.ExpectedRevision) esdb.AppendToStreamOptions {
		return esdb.AppendToStreamOptions{ExpectedRevision: e}
	}
	first, err := client.AppendToStream(within(t), "s", revision(esdb.NoStream{}), events...)
	require.NoError(t, err)

	repeated := func(client *esdb.Client) {
		t.Helper()
		for _, e := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Any{}, esdb.StreamExists{}} {
			again, err := client.AppendToStream(within(t), "s", revision(e), events...)
			require.NoError(t, err)
			require.Equal(t, first, again)
		}
		part, err := client.AppendToStream(within(t), "s", revision(esdb.Revision(0)), events[1])
		require.NoError(t, err)
		require.EqualValues(t, 1, part.NextExpectedVersion)
		require.Less(t, part.CommitPosition, first.CommitPosition)
	}
	wrong := func(e esdb.ExpectedRevision, events ...esdb.EventData) {
		t.Helper()
		_, err := client.AppendToStream(within(t), "s", revision(e), events...)
		require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(err))
	}
	repeated(client)
	fresh := jsonEvent("b", "{}")
	wrong(esdb.NoStream{}, events[0], fresh)
	wrong(esdb.NoStream{}, events[1])
	wrong(esdb.NoStream{}, append(events[:3:3], fresh)...)
	wrong(esdb.Any{}, events[0], fresh)
	require.Len(t, readStream(t, client, "s", esdb.ReadStreamOptions{}, 100), 3)

	// The first unknown: it is a new append, and the same id may be in another stream.
	appendAny(t, client, "s", fresh, events[0])
	require.EqualValues(t, 0, appendAny(t, client, "other", events[0]).NextExpectedVersion)

	require.NoError(t, n.Close())
	repeated(connect(t, start(t, Options{Dir: n.dir})))
}

func TestEmptyAppend(t *testing.T) {
	_, client := open(t)
	_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}})
	require.NoError(t, err)
	appendAny(t, client, "s", jsonEvents(3, "a")...)
	res, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(2)})
	require.NoError(t, err)
	require.EqualValues(t, 2, res.NextExpectedVersion)
	_, err = client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(1)})
	require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(err))
	require.Len(t, readAll(t, client, esdb.ReadAllOptions{}, 10), 3)
}

func TestAppendSizeLimit(t *testing.T) {
	t.Parallel()
	n, client := open(t)
	exact := esdb.EventData{EventType: "t", Data: make([]byte, maxAppendSize-2)}
	appendAny(t, client, "s", exact)
	// The type counts twice, and as UTF-16.
	exact = esdb.EventData{EventType: "表", Data: make([]byte, maxAppendSize-2)}
	appendAny(t, client, "s", exact)
	for _, events := range [][]esdb.EventData{
		{{EventType: "t", Data: make([]byte, maxAppendSize-1)}},
		{{EventType: "t", Data: make([]byte, maxAppendSize-2), Metadata: []byte("m")}},
		{{EventType: "t", Data: make([]byte, 10<<20)}},
		{exact, exact, exact, exact, exact},
	} {
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, events...)
		require.ErrorContains(t, err, "InvalidArgument")
		require.ErrorContains(t, err, "at most 1048576 bytes")
	}
	require.Len(t, readStream(t, client, "s", esdb.ReadStreamOptions{}, 100), 2)

	var trailer metadata.MD
	call, err := streams.NewStreamsClient(raw(t, n)).Append(within(t), grpc.Trailer(&trailer))
	require.NoError(t, err)
	id := uuid.New()
	for _, m := range []*streams.AppendReq{
		{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
			StreamIdentifier: streamToWire([]byte("s")), ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}}}}},
		{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id: uuidToWire(id, true), Metadata: map[string]string{"type": "t"}, Data: make([]byte, 2<<20)}}},
	} {
		require.NoError(t, call.Send(m))
	}
	_, err = call.CloseAndRecv()
	require.Error(t, err)
	require.Equal(t, []string{"maximum-append-size-exceeded"}, trailer.Get("exception"))
	require.Equal(t, []string{"1048576"}, trailer.Get("maximum-append-size"))
}

// Names and headers are no payload, but they take room in the log.
func TestStoredSizeLimit(t *testing.T) {
	t.Parallel()
	n, client := open(t)
	call, err := streams.NewStreamsClient(raw(t, n)).Append(within(t))
	require.NoError(t, err)
	require.NoError(t, call.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier:       streamToWire([]byte(strings.Repeat("x", maxStreamName))),
		ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}}}}}))
	event := &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
		Id: uuidToWire(uuid.New(), true), Metadata: map[string]string{"type": "t"}}}}
	for range maxStoredSize/maxStreamName + 1 {
		require.NoError(t, call.Send(event))
	}
	_, err = call.CloseAndRecv()
	require.ErrorContains(t, err, "InvalidArgument")
	require.ErrorContains(t, err, "append fewer events")
	require.Empty(t, readAll(t, client, esdb.ReadAllOptions{}, 10))
}

// What others could write there would keep the node from opening again.
func TestTheNodesOwnStreamsAreNotAppendedTo(t *testing.T) {
	_, client := open(t)
	for _, stream := range []string{configStream, groupKey{allStream, "g"}.progress(), groupKey{allStream, "g"}.parked(), epochStream} {
		_, err := client.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{}, jsonEvent("a", "{}"))
		require.Equal(t, esdb.ErrorCodeAccessDenied, code(err), stream)
	}
	appendAny(t, client, "$else", jsonEvent("a", "{}"))
	require.Len(t, readAll(t, client, esdb.ReadAllOptions{}, 10), 1)
}

func TestMalformedAppends(t *testing.T) {
	n, client := open(t)
	for _, stream := range []string{"", "$all", strings.Repeat("x", maxStreamName+1)} {
		_, err := client.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{}, jsonEvents(100, "a")...)
		require.ErrorContains(t, err, "InvalidArgument")
	}
	_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("", "{}"))
	require.ErrorContains(t, err, "has a type")

	options := &streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier: streamToWire([]byte("s")), ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}}}}}
	event := func(id *shared.UUID) *streams.AppendReq {
		return &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id: id, Metadata: map[string]string{"type": "t"}}}}
	}
	for name, messages := range map[string][]*streams.AppendReq{
		"nothing":           {},
		"no options":        {event(uuidToWire(uuid.New(), true))},
		"options twice":     {options, options},
		"no expectation":    {{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{StreamIdentifier: streamToWire([]byte("s"))}}}},
		"nil id":            {options, event(uuidToWire(uuid.Nil, false))},
		"no id":             {options, event(nil)},
		"id is not an uuid": {options, event(&shared.UUID{Value: &shared.UUID_String_{String_: "x"}})},
		"empty message":     {options, {}},
		"revision too high": {{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{StreamIdentifier: streamToWire([]byte("s")), ExpectedStreamRevision: &streams.AppendReq_Options_Revision{Revision: 1 << 63}}}}},
	} {
		call, err := streams.NewStreamsClient(raw(t, n)).Append(within(t))
		require.NoError(t, err)
		for _, m := range messages {
			require.NoError(t, call.Send(m))
		}
		_, err = call.CloseAndRecv()
		require.ErrorContains(t, err, "InvalidArgument", name)
	}
	require.Empty(t, readAll(t, client, esdb.ReadAllOptions{}, 10))
}

// Everybody expects the revision that he has read: one wins every round, and the
// retry of a request that had come through changes nothing.
func TestConcurrentAppends(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	const writers, each = 8, 12
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			next := esdb.ExpectedRevision(esdb.NoStream{})
			for done := 0; done < each; {
				event := jsonEvent("a", "{}")
				var twice sync.WaitGroup
				results := make([]error, 2)
				for i := range results {
					twice.Go(func() {
						_, results[i] = client.AppendToStream(context.Background(), "contended", esdb.AppendToStreamOptions{ExpectedRevision: next}, event)
					})
				}
				twice.Wait()
				if results[0] == nil && results[1] == nil {
					done++
				} else if code(results[0]) != esdb.ErrorCodeWrongExpectedVersion || code(results[1]) != esdb.ErrorCodeWrongExpectedVersion {
					t.Errorf("a request and its repetition got different answers: %v / %v", results[0], results[1])
					return
				}
				read, err := client.ReadStream(context.Background(), "contended", esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
				last, err := drainErr(read, err)
				if err != nil || len(last) != 1 {
					t.Errorf("read the last event: %v", err)
					return
				}
				next = esdb.Revision(last[0].Event.EventNumber)
			}
		})
	}
	wg.Wait()
	events := readStream(t, client, "contended", esdb.ReadStreamOptions{}, 10_000)
	require.Len(t, events, writers*each)
	for i, e := range events {
		require.EqualValues(t, i, e.Event.EventNumber)
	}
}

func TestRecordedTimeAndPositionsNeverGoBack(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 30 {
				_, err := client.AppendToStream(context.Background(), fmt.Sprint("s", i), esdb.AppendToStreamOptions{}, jsonEvents(2, "a")...)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	events := readAll(t, client, esdb.ReadAllOptions{}, 10_000)
	require.Len(t, events, 8*30*2)
	for i := 1; i < len(events); i++ {
		require.False(t, events[i].Event.CreatedDate.Before(events[i-1].Event.CreatedDate))
		require.Greater(t, events[i].Event.Position.Commit, events[i-1].Event.Position.Commit)
	}
}

// failingSyncs is a disk that writes and, once it is on, does not sync.
func failingSyncs() *errorfs.Toggle {
	return &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo {
			return errorfs.ErrInjected
		}
		return nil
	})}
}

// When the disk fails, the append is not acknowledged, later ones are refused with
// a reason, and what was durable can be read, also after a restart.
func TestFailedSyncStopsWrites(t *testing.T) {
	broken := failingSyncs()
	n := start(t, Options{files: errorfs.Wrap(vfs.Default, broken)})
	client := connect(t, n)
	appendAny(t, client, "s", jsonEvents(3, "a")...)

	broken.On()
	for range 2 {
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("lost", "{}"))
		require.Equal(t, esdb.ErrorUnavailable, code(err))
		require.ErrorContains(t, err, "read-only")
	}
	require.ErrorIs(t, n.Err(), errReadOnly)
	require.Len(t, readStream(t, client, "s", esdb.ReadStreamOptions{}, 10), 3)
	require.Len(t, readAll(t, client, esdb.ReadAllOptions{}, 10), 3)
	broken.Off()
	_ = n.Close() // may say that its last log file was not written cleanly
	n = start(t, Options{Dir: n.dir})
	require.NoError(t, n.Err())
	require.GreaterOrEqual(t, len(readStream(t, connect(t, n), "s", esdb.ReadStreamOptions{}, 10)), 3)
}
