package node

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func appendExpecting(t testing.TB, client *esdb.Client, stream string, e esdb.ExpectedRevision, events ...esdb.EventData) (*esdb.WriteResult, error) {
	t.Helper()
	return client.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: e}, events...)
}

func deleteExpecting(t testing.TB, client *esdb.Client, stream string, e esdb.ExpectedRevision) (*esdb.DeleteResult, error) {
	t.Helper()
	return client.DeleteStream(within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: e})
}

func tombstoneExpecting(t testing.TB, client *esdb.Client, stream string, e esdb.ExpectedRevision) (*esdb.DeleteResult, error) {
	t.Helper()
	return client.TombstoneStream(within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: e})
}

func lastMetadata(t testing.TB, client *esdb.Client, stream string) string {
	t.Helper()
	events := readStream(t, client, "$$"+stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
	require.Len(t, events, 1)
	require.Equal(t, "$metadata", events[0].Event.EventType)
	require.Equal(t, "application/json", events[0].Event.ContentType)
	return string(events[0].Event.Data)
}

func TestSoftDelete(t *testing.T) {
	for name, e := range map[string]esdb.ExpectedRevision{
		"any": esdb.Any{}, "no stream": esdb.NoStream{}, "the last revision": esdb.Revision(2),
	} {
		t.Run(name, func(t *testing.T) {
			n, client := open(t)
			appendAny(t, client, "s", jsonEvents(3, "a")...)
			describe(t, client, "s", `{"$maxCount":100}`)
			res, err := deleteExpecting(t, client, "s", esdb.Revision(2))
			require.NoError(t, err)
			requireMissing(t, client, "s")
			require.Equal(t, `{"$tb":9223372036854775807}`, lastMetadata(t, client, "s"))
			all := readAll(t, client, esdb.ReadAllOptions{}, 100)
			require.Equal(t, "$$s", all[len(all)-1].Event.StreamID)
			require.Equal(t, res.Position, all[len(all)-1].Event.Position)
			require.Len(t, all, 5)

			_, err = appendExpecting(t, client, "s", esdb.StreamExists{}, jsonEvent("a", "{}"))
			require.Equal(t, esdb.ErrorCodeStreamDeleted, code(err), "%v", err)
			for _, wrong := range []esdb.ExpectedRevision{esdb.Revision(1), esdb.Revision(3)} {
				_, err = appendExpecting(t, client, "s", wrong, jsonEvent("a", "{}"))
				require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(err), "%v", err)
			}
			requireMissing(t, client, "s")

			// It is the same after a restart, and numbers go on.
			require.NoError(t, client.Close())
			require.NoError(t, n.Close())
			client = connect(t, start(t, Options{Dir: n.dir}))
			requireMissing(t, client, "s")
			events := jsonEvents(2, "b")
			back, err := appendExpecting(t, client, "s", e, events...)
			require.NoError(t, err)
			require.EqualValues(t, 4, back.NextExpectedVersion)
			require.Equal(t, []uint64{3, 4}, readable(t, client, "s"))
			require.Equal(t, `{"$tb":3}`, lastMetadata(t, client, "s"))
			_, err = appendExpecting(t, client, "s", esdb.StreamExists{}, jsonEvent("a", "{}"))
			require.NoError(t, err)
			if name != "no stream" { // for that one the numbers are not where the condition says
				again, err := appendExpecting(t, client, "s", e, events...)
				require.NoError(t, err)
				require.Equal(t, back, again)
			}
			require.Equal(t, []uint64{3, 4, 5}, readable(t, client, "s"))
		})
	}
}

// A deletion may be repeated, and of what never was nothing keeps it from being
// deleted, except the wish that it exists.
func TestSoftDeleteExpectations(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(3, "a")...)
	refused := func(stream string, e *streams.DeleteReq_Options, expected, actual string) {
		t.Helper()
		e.StreamIdentifier = streamToWire([]byte(stream))
		var trailer metadata.MD
		_, err := streams.NewStreamsClient(raw(t, n)).Delete(within(t), &streams.DeleteReq{Options: e}, grpc.Trailer(&trailer))
		require.Equal(t, codes.FailedPrecondition, status.Code(err), "%v", err)
		require.Equal(t, []string{"wrong-expected-version"}, trailer.Get("exception"))
		require.Equal(t, []string{stream}, trailer.Get("stream-name"))
		require.Equal(t, []string{expected}, trailer.Get("expected-version"))
		require.Equal(t, []string{actual}, trailer.Get("actual-version"))
	}
	revision := func(r uint64) *streams.DeleteReq_Options {
		return &streams.DeleteReq_Options{ExpectedStreamRevision: &streams.DeleteReq_Options_Revision{Revision: r}}
	}
	refused("s", revision(1), "1", "2")
	refused("s", revision(7), "7", "2")
	refused("s", &streams.DeleteReq_Options{ExpectedStreamRevision: &streams.DeleteReq_Options_NoStream{}}, "-1", "2")
	refused("never", revision(0), "0", "-1")
	refused("never", &streams.DeleteReq_Options{ExpectedStreamRevision: &streams.DeleteReq_Options_StreamExists{}}, "-4", "-1")
	require.Len(t, readable(t, client, "s"), 3)

	for _, e := range []esdb.ExpectedRevision{esdb.StreamExists{}, esdb.Revision(2), esdb.Any{}, esdb.NoStream{}} {
		_, err := deleteExpecting(t, client, "s", e)
		require.NoError(t, err)
		requireMissing(t, client, "s")
	}
	_, err := deleteExpecting(t, client, "s", esdb.StreamExists{})
	require.Equal(t, esdb.ErrorCodeStreamDeleted, code(err))

	for stream, e := range map[string]esdb.ExpectedRevision{"new": esdb.NoStream{}, "newer": esdb.Any{}} {
		_, err := deleteExpecting(t, client, stream, e)
		require.NoError(t, err)
		requireMissing(t, client, stream)
		res, err := appendExpecting(t, client, stream, esdb.NoStream{}, jsonEvent("a", "{}"))
		require.NoError(t, err)
		require.EqualValues(t, 0, res.NextExpectedVersion)
		require.Equal(t, []uint64{0}, readable(t, client, stream))
	}
	// What is only described exists.
	describe(t, client, "described", `{}`)
	_, err = appendExpecting(t, client, "described", esdb.StreamExists{}, jsonEvent("a", "{}"))
	require.NoError(t, err)
}

// New metadata brings a deleted stream back, empty; an append keeps what the
// metadata says besides.
func TestMetadataOfDeletedStreams(t *testing.T) {
	_, client := open(t)
	appendAny(t, client, "s", jsonEvents(3, "a")...)
	_, err := deleteExpecting(t, client, "s", esdb.Any{})
	require.NoError(t, err)
	describe(t, client, "s", `{"$maxCount":2,"mine":{"b":1,"a":[1.50]}}`)
	require.Empty(t, readable(t, client, "s"))
	require.JSONEq(t, `{"$maxCount":2,"$tb":3,"mine":{"b":1,"a":[1.50]}}`, lastMetadata(t, client, "s"))
	_, err = appendExpecting(t, client, "s", esdb.StreamExists{}, jsonEvents(3, "a")...)
	require.NoError(t, err)
	require.Equal(t, []uint64{4, 5}, readable(t, client, "s"))

	describe(t, client, "s", `{"$tb":9223372036854775807,"mine":"kept"}`) // a deletion by hand
	requireMissing(t, client, "s")
	appendAny(t, client, "s", jsonEvent("a", "{}"))
	require.JSONEq(t, `{"$tb":6,"mine":"kept"}`, lastMetadata(t, client, "s"))
	require.Equal(t, []uint64{6}, readable(t, client, "s"))

	// What is no metadata deletes nothing, and brings back everything.
	_, err = deleteExpecting(t, client, "s", esdb.Any{})
	require.NoError(t, err)
	describe(t, client, "s", `not JSON`)
	require.Len(t, readable(t, client, "s"), 7)
	require.Equal(t, "not JSON", lastMetadata(t, client, "s"))
}

func TestTombstone(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(3, "a")...)
	describe(t, client, "s", `{"$maxCount":2}`)
	live := subscribeStream(t, client, "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	require.EqualValues(t, 1, live.event().EventNumber)
	require.EqualValues(t, 2, live.event().EventNumber)
	live.caughtUp()

	_, err := tombstoneExpecting(t, client, "s", esdb.Revision(1))
	require.ErrorContains(t, err, "FailedPrecondition")
	_, err = tombstoneExpecting(t, client, "never", esdb.StreamExists{})
	require.ErrorContains(t, err, "FailedPrecondition")
	res, err := tombstoneExpecting(t, client, "s", esdb.Revision(2))
	require.NoError(t, err)

	// A subscriber is told in the end, and so is a new one.
	dropped := live.sub.Recv()
	require.NotNil(t, dropped.SubscriptionDropped)
	require.ErrorContains(t, dropped.SubscriptionDropped.Error, "is deleted")

	check := func(client *esdb.Client, stream string) {
		t.Helper()
		gone := func(err error) {
			t.Helper()
			require.Equal(t, esdb.ErrorCodeStreamDeleted, code(err), "%v", err)
		}
		for _, e := range []esdb.ExpectedRevision{esdb.Any{}, esdb.NoStream{}, esdb.StreamExists{}, esdb.Revision(2)} {
			_, err := appendExpecting(t, client, stream, e, jsonEvent("a", "{}"))
			gone(err)
			_, err = appendExpecting(t, client, "$$"+stream, e, jsonEvent("$metadata", "{}"))
			gone(err)
			_, err = deleteExpecting(t, client, stream, e)
			gone(err)
			_, err = tombstoneExpecting(t, client, stream, e)
			gone(err)
		}
		for _, name := range []string{stream, "$$" + stream} {
			for _, direction := range []esdb.Direction{esdb.Forwards, esdb.Backwards} {
				read, err := client.ReadStream(within(t), name, esdb.ReadStreamOptions{Direction: direction, From: esdb.End{}}, 5)
				_, err = drainErr(read, err)
				gone(err)
			}
			for _, from := range []esdb.StreamPosition{esdb.Start{}, esdb.End{}, esdb.Revision(1)} {
				sub, err := client.SubscribeToStream(within(t), name, esdb.SubscribeToStreamOptions{From: from})
				if err != nil {
					gone(err)
					continue
				}
				e := sub.Recv()
				require.NotNil(t, e.SubscriptionDropped)
				require.ErrorContains(t, e.SubscriptionDropped.Error, "is deleted")
			}
		}
	}
	check(client, "s")

	// One can be on what never was, and on what is deleted softly.
	_, err = tombstoneExpecting(t, client, "never", esdb.NoStream{})
	require.NoError(t, err)
	check(client, "never")
	appendAny(t, client, "soft", jsonEvents(3, "a")...)
	_, err = deleteExpecting(t, client, "soft", esdb.Any{})
	require.NoError(t, err)
	_, err = tombstoneExpecting(t, client, "soft", esdb.StreamExists{})
	require.Equal(t, esdb.ErrorCodeStreamDeleted, code(err))
	_, err = tombstoneExpecting(t, client, "soft", esdb.Any{})
	require.NoError(t, err)
	check(client, "soft")

	// $all shows the events, and the tombstone.
	all := readAll(t, client, esdb.ReadAllOptions{}, 100)
	tombstone := all[4].Event
	require.Equal(t, "$streamDeleted", tombstone.EventType)
	require.Equal(t, "s", tombstone.StreamID)
	require.Equal(t, uint64(maxRevision), tombstone.EventNumber)
	require.Equal(t, res.Position, tombstone.Position)
	require.Len(t, all, 3+1+1+1+3+1+1)

	require.NoError(t, client.Close())
	require.NoError(t, n.Close())
	check(connect(t, start(t, Options{Dir: n.dir})), "s")
}

// Names that no header can carry come to the client nevertheless.
func TestTrailersOfOddNames(t *testing.T) {
	n, client := open(t)
	for stream, name := range map[string]string{"a\x00\n b": "a%00%0A b", "订单": "%E8%AE%A2%E5%8D%95", "plain": "plain"} {
		_, err := tombstoneExpecting(t, client, stream, esdb.Any{})
		require.NoError(t, err)
		_, err = appendExpecting(t, client, stream, esdb.Any{}, jsonEvent("a", "{}"))
		require.Equal(t, esdb.ErrorCodeStreamDeleted, code(err), "%v", err)
		var trailer metadata.MD
		_, err = streams.NewStreamsClient(raw(t, n)).Delete(within(t), &streams.DeleteReq{Options: &streams.DeleteReq_Options{
			StreamIdentifier: streamToWire([]byte(stream)), ExpectedStreamRevision: &streams.DeleteReq_Options_Any{Any: &shared.Empty{}}}}, grpc.Trailer(&trailer))
		require.Equal(t, codes.FailedPrecondition, status.Code(err))
		require.Equal(t, []string{name}, trailer.Get("stream-name"))
		require.Equal(t, []string{"stream-deleted"}, trailer.Get("exception"))
	}
}

func TestDeletionsThatAreRefused(t *testing.T) {
	n, client := open(t)
	for _, stream := range []string{configStream, groupKey{allStream, "g"}.progress(), groupKey{allStream, "g"}.parked(), epochStream, "$$s", "$$$$s"} {
		_, err := deleteExpecting(t, client, stream, esdb.Any{})
		require.Equal(t, esdb.ErrorCodeAccessDenied, code(err), stream)
		_, err = tombstoneExpecting(t, client, stream, esdb.Any{})
		require.Equal(t, esdb.ErrorCodeAccessDenied, code(err), stream)
	}
	for _, stream := range []string{configStream, groupKey{allStream, "g"}.parked(), epochStream} {
		_, err := appendExpecting(t, client, "$$"+stream, esdb.Any{}, jsonEvent("$metadata", `{"$tb":9223372036854775807}`))
		require.Equal(t, esdb.ErrorCodeAccessDenied, code(err), stream)
	}
	bare := streams.NewStreamsClient(raw(t, n))
	for _, o := range []*streams.DeleteReq_Options{
		nil, {}, {StreamIdentifier: streamToWire([]byte("s"))},
		{ExpectedStreamRevision: &streams.DeleteReq_Options_Any{}},
		{StreamIdentifier: streamToWire([]byte("$$")), ExpectedStreamRevision: &streams.DeleteReq_Options_Any{}},
		{StreamIdentifier: streamToWire([]byte(allStream)), ExpectedStreamRevision: &streams.DeleteReq_Options_Any{}},
		{StreamIdentifier: streamToWire(make([]byte, maxStreamName+1)), ExpectedStreamRevision: &streams.DeleteReq_Options_Any{}},
		{StreamIdentifier: streamToWire([]byte("s")), ExpectedStreamRevision: &streams.DeleteReq_Options_Revision{Revision: maxRevision}},
	} {
		_, err := bare.Delete(within(t), &streams.DeleteReq{Options: o})
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v: %v", o, err)
	}
	_, err := bare.Tombstone(within(t), &streams.TombstoneReq{})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.Empty(t, readAll(t, client, esdb.ReadAllOptions{}, 10))
}

// Requests that share one fsync are decided in their order, also where one is the
// deletion of what the one before wrote.
func TestDeletionsInOneGroup(t *testing.T) {
	n, client := open(t)
	event := func(stream, eventType, data string) proposal {
		id := uuid.New()
		return proposal{id, encodeRecord(id, stream, eventType, true, nil, []byte(data))}
	}
	appending := func(stream string, e expected, data string) *appendRequest {
		return &appendRequest{stream: stream, expected: e, events: []proposal{event(stream, "a", data)}}
	}
	removing := func(stream string, e expected, how deletion) *appendRequest {
		req := &appendRequest{stream: stream, expected: e, deletes: how, events: []proposal{metadataProposal(stream, []byte(`{"$tb":9223372036854775807}`))}}
		if how == deletesForGood {
			req.events = []proposal{event(stream, streamDeletedType, "")}
		}
		return req
	}
	anyRevision, exists, none := expected{kind: expectAny}, expected{kind: expectExists}, expected{kind: expectNoStream}
	steps := []struct {
		req      *appendRequest
		revision uint64 // of the result's head
		refused  bool
		deleted  bool
	}{
		{appending("s", none, "0"), 0, false, false},
		{removing("s", expected{revision: 0}, deletesSoftly), 0, false, false},
		{appending("s", exists, "x"), 0, true, true},
		{appending("$$s", anyRevision, `{"$maxCount":1}`), 1, false, false}, // brings it back
		{appending("s", exists, "1"), 1, false, false},
		{appending("s", exists, "2"), 2, false, false},
		{removing("s", none, deletesSoftly), 2, true, false},
		{removing("s", exists, deletesSoftly), 3, false, false},
		{removing("s", anyRevision, deletesSoftly), 4, false, false},
		{appending("s", none, "3"), 3, false, false}, // brings it back
		{appending("s", none, "x"), 3, true, false},
		{appending("$$s", expected{revision: 5}, `{"$tb":1}`), 6, false, false},
		{removing("t", none, deletesForGood), maxRevision, false, false},
		{appending("t", anyRevision, "x"), maxRevision, true, true},
		{appending("$$t", anyRevision, "{}"), 0, true, true},
	}
	// Without its goroutine the committer takes them as one group.
	var group []*appendRequest
	for _, s := range steps {
		s.req.done = make(chan appendResult, 1)
		group = append(group, s.req)
	}
	n.committer.close()
	n.committer.commit(group)
	n.committer.stop, n.committer.stopped = make(chan struct{}), make(chan struct{})
	go n.committer.run()
	for i, s := range steps {
		res := <-s.req.done
		require.NoError(t, res.err, i)
		require.Equal(t, []any{s.revision, s.refused, s.deleted}, []any{res.head.revision, res.refused, res.deleted}, i)
	}
	require.Equal(t, []uint64{1, 2, 3}, readable(t, client, "s"))
	last := readStream(t, client, "$$s", esdb.ReadStreamOptions{}, 10)
	require.EqualValues(t, 6, last[0].Event.EventNumber)
	require.Equal(t, `{"$tb":1}`, string(last[0].Event.Data))
}

// A deletion that the disk did not take is seen by nobody.
func TestDeletionIsSeenWhenItIsDurable(t *testing.T) {
	for name, remove := range map[string]func(*esdb.Client) error{
		"soft delete": func(client *esdb.Client) error {
			_, err := deleteExpecting(t, client, "s", esdb.Any{})
			return err
		},
		"tombstone": func(client *esdb.Client) error {
			_, err := tombstoneExpecting(t, client, "s", esdb.Any{})
			return err
		},
		"metadata": func(client *esdb.Client) error {
			_, err := appendExpecting(t, client, "$$s", esdb.Any{}, jsonEvent("$metadata", `{"$maxCount":1}`))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			broken := failingSyncs()
			n := start(t, Options{files: errorfs.Wrap(vfs.Default, broken)})
			client := connect(t, n)
			appendAny(t, client, "s", jsonEvents(3, "a")...)
			appendAny(t, client, "links", esdb.EventData{EventType: "$>", Data: []byte("0@s")})
			broken.On()
			defer broken.Off()
			require.Equal(t, esdb.ErrorUnavailable, code(remove(client)))
			require.Equal(t, []uint64{0, 1, 2}, readable(t, client, "s"))
			require.NotNil(t, readStream(t, client, "links", esdb.ReadStreamOptions{ResolveLinkTos: true}, 1)[0].Event)
			requireMissing(t, client, "$$s")
		})
	}
}
