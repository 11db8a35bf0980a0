package node

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// batchCall is a BatchAppend call as the Node clients make it.
type batchCall struct {
	t    testing.TB
	call streams.Streams_BatchAppendClient
}

func batchAppending(t testing.TB, n *Node) *batchCall {
	t.Helper()
	call, err := streams.NewStreamsClient(raw(t, n)).BatchAppend(within(t))
	require.NoError(t, err)
	return &batchCall{t, call}
}

func (b *batchCall) send(m *streams.BatchAppendReq) {
	b.t.Helper()
	require.NoError(b.t, b.call.Send(m))
}

func (b *batchCall) answer() *streams.BatchAppendResp {
	b.t.Helper()
	m, err := b.call.Recv()
	require.NoError(b.t, err)
	return m
}

// refused receives a refusal and returns its one detail.
func (b *batchCall) refused(correlation *shared.UUID, code codes.Code) proto.Message {
	b.t.Helper()
	m := b.answer()
	require.True(b.t, proto.Equal(correlation, m.GetCorrelationId()), "%v", m)
	require.NotNil(b.t, m.GetStreamIdentifier())
	require.NotNil(b.t, m.GetError(), "%v", m)
	require.EqualValues(b.t, code, m.GetError().GetCode(), "%v", m)
	require.Len(b.t, m.GetError().GetDetails(), 1, "clients know one detail")
	detail, err := m.GetError().GetDetails()[0].UnmarshalNew()
	require.NoError(b.t, err)
	return detail
}

func batchOptions(stream string, more ...func(*streams.BatchAppendReq_Options)) *streams.BatchAppendReq_Options {
	o := &streams.BatchAppendReq_Options{
		StreamIdentifier:       streamToWire([]byte(stream)),
		ExpectedStreamPosition: &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}},
	}
	for _, change := range more {
		change(o)
	}
	return o
}

func proposedEvents(n int, data string) []*streams.BatchAppendReq_ProposedMessage {
	var events []*streams.BatchAppendReq_ProposedMessage
	for range n {
		events = append(events, &streams.BatchAppendReq_ProposedMessage{
			Id: uuidToWire(uuid.New(), true), Data: []byte(data), CustomMetadata: []byte("m"),
			Metadata: map[string]string{"type": "t", "content-type": "application/json"},
		})
	}
	return events
}

func correlation() *shared.UUID { return uuidToWire(uuid.New(), true) }

func TestBatchAppend(t *testing.T) {
	n, client := open(t)
	b := batchAppending(t, n)
	// Chunks of two batches, mixed; answers come in the order of completion.
	one, two := correlation(), uuidToWire(uuid.New(), false)
	b.send(&streams.BatchAppendReq{CorrelationId: one, Options: batchOptions("one"), ProposedMessages: proposedEvents(2, "1")})
	b.send(&streams.BatchAppendReq{CorrelationId: two, Options: batchOptions("two", func(o *streams.BatchAppendReq_Options) {
		o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}}
		o.DeadlineOption = &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(time.Minute)}
	})})
	b.send(&streams.BatchAppendReq{CorrelationId: two, ProposedMessages: proposedEvents(3, "2"), IsFinal: true})
	b.send(&streams.BatchAppendReq{CorrelationId: one, ProposedMessages: proposedEvents(2, "1")})
	b.send(&streams.BatchAppendReq{CorrelationId: one, IsFinal: true})
	first, second := b.answer(), b.answer()
	require.True(t, proto.Equal(two, first.GetCorrelationId()))
	require.EqualValues(t, 2, first.GetSuccess().GetCurrentRevision())
	require.True(t, proto.Equal(one, second.GetCorrelationId()))
	require.EqualValues(t, 3, second.GetSuccess().GetCurrentRevision())
	require.Less(t, first.GetSuccess().GetPosition().GetCommitPosition(), second.GetSuccess().GetPosition().GetCommitPosition())
	events := readStream(t, client, "one", esdb.ReadStreamOptions{}, 10)
	require.Len(t, events, 4)
	require.Equal(t, "application/json", events[0].Event.ContentType)
	require.Equal(t, "m", string(events[0].Event.UserMetadata))
	require.Equal(t, second.GetSuccess().GetPosition().GetCommitPosition(), events[3].Event.Position.Commit)

	// A correlation id may be used again once it is answered; a repetition is known.
	again := proposedEvents(1, "3")
	for range 2 {
		b.send(&streams.BatchAppendReq{CorrelationId: one, Options: batchOptions("one", func(o *streams.BatchAppendReq_Options) {
			o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: 3}
			o.DeadlineOption = &streams.BatchAppendReq_Options_Deadline_21_10_0{Deadline_21_10_0: timestamppb.New(time.Now().Add(time.Minute))}
		}), ProposedMessages: again, IsFinal: true})
		require.EqualValues(t, 4, b.answer().GetSuccess().GetCurrentRevision())
	}
	// Nothing is appended, and what is not complete is not either.
	b.send(&streams.BatchAppendReq{CorrelationId: one, Options: batchOptions("none"), IsFinal: true})
	require.NotNil(t, b.answer().GetSuccess().GetNoStream())
	b.send(&streams.BatchAppendReq{CorrelationId: one, Options: batchOptions("none"), ProposedMessages: proposedEvents(1, "x")})
	require.NoError(t, b.call.CloseSend())
	_, err := b.call.Recv()
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, readAll(t, client, esdb.ReadAllOptions{}, 100), 8)
}

func TestBatchAppendRefusals(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(3, "a")...)
	_, err := client.TombstoneStream(within(t), "gone", esdb.TombstoneStreamOptions{})
	require.NoError(t, err)
	b := batchAppending(t, n)
	id := correlation()
	refused := func(code codes.Code, o *streams.BatchAppendReq_Options, events []*streams.BatchAppendReq_ProposedMessage) proto.Message {
		t.Helper()
		b.send(&streams.BatchAppendReq{CorrelationId: id, Options: o, ProposedMessages: events, IsFinal: true})
		return b.refused(id, code)
	}
	position := func(p uint64) func(*streams.BatchAppendReq_Options) {
		return func(o *streams.BatchAppendReq_Options) {
			o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: p}
		}
	}
	wrong := func(expected, got proto.Message) {
		t.Helper()
		require.True(t, proto.Equal(expected, got), "want %v, got %v", expected, got)
	}
	wrong(&shared.WrongExpectedVersion{
		CurrentStreamRevisionOption:  &shared.WrongExpectedVersion_CurrentStreamRevision{CurrentStreamRevision: 2},
		ExpectedStreamPositionOption: &shared.WrongExpectedVersion_ExpectedStreamPosition{ExpectedStreamPosition: 7},
	}, refused(codes.AlreadyExists, batchOptions("s", position(7)), proposedEvents(1, "x")))
	wrong(&shared.WrongExpectedVersion{
		CurrentStreamRevisionOption:  &shared.WrongExpectedVersion_CurrentStreamRevision{CurrentStreamRevision: 2},
		ExpectedStreamPositionOption: &shared.WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &emptypb.Empty{}},
	}, refused(codes.AlreadyExists, batchOptions("s", func(o *streams.BatchAppendReq_Options) {
		o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_NoStream{}
	}), proposedEvents(1, "x")))
	wrong(&shared.WrongExpectedVersion{
		CurrentStreamRevisionOption:  &shared.WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &emptypb.Empty{}},
		ExpectedStreamPositionOption: &shared.WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &emptypb.Empty{}},
	}, refused(codes.AlreadyExists, batchOptions("nowhere", func(o *streams.BatchAppendReq_Options) {
		o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamExists{}
	}), proposedEvents(1, "x")))
	wrong(&shared.StreamDeleted{StreamIdentifier: streamToWire([]byte("gone"))}, refused(codes.NotFound, batchOptions("gone"), proposedEvents(1, "x")))
	wrong(&shared.AccessDenied{}, refused(codes.PermissionDenied, batchOptions(configStream), nil))
	wrong(&shared.MaximumAppendSizeExceeded{MaxAppendSize: maxAppendSize},
		refused(codes.InvalidArgument, batchOptions("s"), append(proposedEvents(1, "x"), proposedEvents(1, string(make([]byte, maxAppendSize)))...)))
	wrong(&shared.Timeout{}, refused(codes.DeadlineExceeded, batchOptions("s", func(o *streams.BatchAppendReq_Options) {
		o.DeadlineOption = &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(-time.Second)}
	}), nil))
	wrong(&shared.Timeout{}, refused(codes.DeadlineExceeded, batchOptions("s", func(o *streams.BatchAppendReq_Options) {
		o.DeadlineOption = &streams.BatchAppendReq_Options_Deadline_21_10_0{Deadline_21_10_0: timestamppb.New(time.Now().Add(-time.Second))}
	}), nil))
	for name, m := range map[string]*streams.BatchAppendReq{
		"no stream":      {Options: batchOptions("")},
		"$all":           {Options: batchOptions(allStream)},
		"no expectation": {Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamToWire([]byte("s"))}},
		"far position":   {Options: batchOptions("s", position(maxRevision))},
		"no event id":    {Options: batchOptions("s"), ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{{Metadata: map[string]string{"type": "t"}}}},
		"no type":        {Options: batchOptions("s"), ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{{Id: correlation()}}},
	} {
		detail := refused(codes.InvalidArgument, m.GetOptions(), m.GetProposedMessages())
		require.IsType(t, &shared.BadRequest{}, detail, name)
		require.NotEmpty(t, detail.(*shared.BadRequest).GetMessage())
	}
	b.send(&streams.BatchAppendReq{Options: batchOptions("s"), IsFinal: true})
	require.IsType(t, &shared.BadRequest{}, b.refused(nil, codes.InvalidArgument))

	// A batch is answered once: what comes in behind its refusal is dropped, and the
	// call goes on.
	b.send(&streams.BatchAppendReq{CorrelationId: id, Options: batchOptions("s"), ProposedMessages: proposedEvents(1, string(make([]byte, maxAppendSize)))})
	b.send(&streams.BatchAppendReq{CorrelationId: id, ProposedMessages: proposedEvents(1, "late")})
	b.send(&streams.BatchAppendReq{CorrelationId: id, IsFinal: true})
	b.send(&streams.BatchAppendReq{CorrelationId: id, Options: batchOptions("s"), ProposedMessages: proposedEvents(1, "kept"), IsFinal: true})
	wrong(&shared.MaximumAppendSizeExceeded{MaxAppendSize: maxAppendSize}, b.refused(id, codes.InvalidArgument))
	require.EqualValues(t, 3, b.answer().GetSuccess().GetCurrentRevision())
	events := readStream(t, client, "s", esdb.ReadStreamOptions{}, 10)
	require.Len(t, events, 4)
	require.Equal(t, "kept", string(events[3].Event.Data))
}

// A batch that is not completed in time is answered, and forgotten.
func TestBatchDeadline(t *testing.T) {
	n, client := open(t)
	b := batchAppending(t, n)
	late, kept := correlation(), correlation()
	b.send(&streams.BatchAppendReq{CorrelationId: kept, Options: batchOptions("s"), ProposedMessages: proposedEvents(1, "kept")})
	b.send(&streams.BatchAppendReq{CorrelationId: late, Options: batchOptions("s", func(o *streams.BatchAppendReq_Options) {
		o.DeadlineOption = &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(10 * time.Millisecond)}
	}), ProposedMessages: proposedEvents(1, "late")})
	require.IsType(t, &shared.Timeout{}, b.refused(late, codes.DeadlineExceeded))
	b.send(&streams.BatchAppendReq{CorrelationId: late, IsFinal: true})
	b.send(&streams.BatchAppendReq{CorrelationId: kept, IsFinal: true})
	require.EqualValues(t, 0, b.answer().GetSuccess().GetCurrentRevision())
	require.Equal(t, "kept", string(readStream(t, client, "s", esdb.ReadStreamOptions{}, 10)[0].Event.Data))
}

func TestBatchLimits(t *testing.T) {
	t.Parallel()
	n, client := open(t)
	b := batchAppending(t, n)
	for range maxOpenBatches {
		b.send(&streams.BatchAppendReq{CorrelationId: correlation(), Options: batchOptions("s")})
	}
	id := correlation()
	b.send(&streams.BatchAppendReq{CorrelationId: id, Options: batchOptions("s")})
	require.Contains(t, b.refused(id, codes.InvalidArgument).(*shared.BadRequest).GetMessage(), "complete some first")

	// The open batches have a size together. Long names take room in the log and
	// little on the wire.
	b = batchAppending(t, n)
	long := strings.Repeat("x", maxStreamName)
	events := proposedEvents(maxStoredSize/2/maxStreamName-100, "")
	for range 2 * maxBatchesBytes / maxStoredSize {
		b.send(&streams.BatchAppendReq{CorrelationId: correlation(), Options: batchOptions(long), ProposedMessages: events})
	}
	b.send(&streams.BatchAppendReq{CorrelationId: id, Options: batchOptions("s"), ProposedMessages: proposedEvents(1, string(make([]byte, maxAppendSize/2)))})
	b.send(&streams.BatchAppendReq{CorrelationId: id, ProposedMessages: proposedEvents(1, string(make([]byte, maxAppendSize/3)))})
	for range 2 { // one more than there is room for
		b.send(&streams.BatchAppendReq{CorrelationId: correlation(), Options: batchOptions(long), ProposedMessages: events[:200]})
	}
	require.Contains(t, b.answer().GetError().String(), "complete some first")

	// So have the complete ones: the client has to wait, and loses nothing.
	b = batchAppending(t, n)
	const total = 2*maxBatchesBytes/maxStoredSize + 1
	sent := make(chan error, 1)
	go func() {
		for range total {
			for i := range events {
				events[i].Id = correlation()
			}
			if err := b.call.Send(&streams.BatchAppendReq{CorrelationId: correlation(), Options: batchOptions(long), ProposedMessages: events, IsFinal: true}); err != nil {
				sent <- err
				return
			}
		}
		sent <- b.call.CloseSend()
	}()
	for i := range total {
		require.EqualValues(t, (i+1)*len(events)-1, b.answer().GetSuccess().GetCurrentRevision())
	}
	require.NoError(t, <-sent)
	_, err := b.call.Recv()
	require.ErrorIs(t, err, io.EOF)
	requireMissing(t, client, "s")
}

// A node that closes, and one that cannot write, end the call: the client has to
// look for another connection.
func TestBatchAppendEnds(t *testing.T) {
	t.Run("the node closes", func(t *testing.T) {
		n, _ := open(t)
		b := batchAppending(t, n)
		b.send(&streams.BatchAppendReq{CorrelationId: correlation(), Options: batchOptions("s"), ProposedMessages: proposedEvents(1, "x")})
		require.NoError(t, n.Close())
		_, err := b.call.Recv()
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	})
	t.Run("the disk fails", func(t *testing.T) {
		broken := failingSyncs()
		n := start(t, Options{files: errorfs.Wrap(vfs.Default, broken)})
		b := batchAppending(t, n)
		broken.On()
		defer broken.Off()
		b.send(&streams.BatchAppendReq{CorrelationId: correlation(), Options: batchOptions("s"), ProposedMessages: proposedEvents(1, "x"), IsFinal: true})
		_, err := b.call.Recv()
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	})
	t.Run("the client goes", func(t *testing.T) {
		n, client := open(t)
		ctx, cancel := context.WithCancel(within(t))
		call, err := streams.NewStreamsClient(raw(t, n)).BatchAppend(ctx)
		require.NoError(t, err)
		require.NoError(t, call.Send(&streams.BatchAppendReq{CorrelationId: correlation(), Options: batchOptions("s"), ProposedMessages: proposedEvents(1, "x")}))
		cancel()
		_, err = call.Recv()
		require.Equal(t, codes.Canceled, status.Code(err))
		require.Empty(t, readAll(t, client, esdb.ReadAllOptions{}, 10))
	})
}

func TestServerFeatures(t *testing.T) {
	n, _ := open(t)
	got, err := serverfeatures.NewServerFeaturesClient(raw(t, n)).GetSupportedMethods(within(t), &shared.Empty{})
	require.NoError(t, err)
	features := map[string][]string{}
	for _, m := range got.GetMethods() {
		features[m.GetServiceName()+"/"+m.GetMethodName()] = m.GetFeatures()
	}
	for method, wanted := range map[string][]string{
		"read": {"position", "events"}, "append": nil, "batchappend": {"deadline_duration"}, "delete": nil, "tombstone": nil,
	} {
		has, ok := features[streamsName+"/"+method]
		require.True(t, ok, method)
		require.ElementsMatch(t, wanted, has)
	}
}

// FuzzBatchAppend sends the handler whatever a client can: each stretch of input is
// one message.
func FuzzBatchAppend(f *testing.F) {
	n := start(f, Options{})
	service := &streamsService{node: n}
	id := correlation()
	for _, messages := range [][]*streams.BatchAppendReq{
		{},
		{{CorrelationId: id, Options: batchOptions("s"), ProposedMessages: proposedEvents(2, "x"), IsFinal: true}},
		{{CorrelationId: id, Options: batchOptions("s")}, {CorrelationId: id, ProposedMessages: proposedEvents(1, "x")}, {CorrelationId: id, IsFinal: true}, {CorrelationId: id, IsFinal: true}},
		{{CorrelationId: id, Options: batchOptions("$$s"), ProposedMessages: proposedEvents(1, `{"$tb":9223372036854775807}`), IsFinal: true}},
		{{Options: batchOptions("")}, {CorrelationId: id, Options: batchOptions("s", func(o *streams.BatchAppendReq_Options) {
			o.DeadlineOption = &streams.BatchAppendReq_Options_Deadline{Deadline: &durationpb.Duration{Seconds: 1 << 62, Nanos: -1 << 31}}
		})}},
	} {
		f.Add(joined(f, messages...))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		call := &fakeCall[streams.BatchAppendReq, streams.BatchAppendResp]{t: t, in: split[streams.BatchAppendReq](input)}
		call.ctx, call.cancel = context.WithTimeout(context.Background(), patience)
		defer call.cancel()
		if err := service.BatchAppend(call); err != nil {
			t.Fatalf("the call ended with %v", err)
		}
		if len(call.out) > len(call.in) {
			t.Fatalf("%d messages had %d answers", len(call.in), len(call.out))
		}
		for _, m := range call.out {
			if m.GetResult() == nil || m.GetStreamIdentifier() == nil {
				t.Fatalf("an answer says nothing: %v", m)
			}
		}
		if err := n.Err(); err != nil {
			t.Fatal(err)
		}
	})
}
