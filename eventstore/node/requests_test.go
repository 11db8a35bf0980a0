package node

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// wireMessage is a pointer to a message of the protocol.
type wireMessage[M any] interface {
	*M
	proto.Message
}

// fakeCall is the client's end of a call, for messages that no client sends.
type fakeCall[In, Out any] struct {
	grpc.ServerStream
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	in     []*In
	next   int
	out    []*Out
}

func (c *fakeCall[In, Out]) Context() context.Context { return c.ctx }

func (c *fakeCall[In, Out]) Recv() (*In, error) {
	if c.next == len(c.in) {
		return nil, io.EOF
	}
	c.next++
	return c.in[c.next-1], nil
}

func (c *fakeCall[In, Out]) Send(m *Out) error {
	c.out = append(c.out, m)
	return nil
}

func (c *fakeCall[In, Out]) SendAndClose(m *Out) error { return c.Send(m) }

// split cuts input into messages: four hexadecimal digits are the length of each.
// What is no message is left out.
func split[M any, P wireMessage[M]](input []byte) []*M {
	var messages []*M
	for len(input) >= 4 {
		n, err := strconv.ParseUint(string(input[:4]), 16, 16)
		if err != nil {
			break
		}
		end := min(len(input), 4+int(n))
		m := new(M)
		if proto.Unmarshal(input[4:end], P(m)) == nil {
			messages = append(messages, m)
		}
		input = input[end:]
	}
	return messages
}

func joined[M any, P wireMessage[M]](f *testing.F, messages ...*M) []byte {
	var all []byte
	for _, m := range messages {
		b, err := proto.Marshal(P(m))
		require.NoError(f, err)
		all = append(append(all, fmt.Sprintf("%04x", len(b))...), b...)
	}
	return all
}

// requireExpected takes the answers that a request may get, whatever it says, from a
// node that is well.
func requireExpected(t *testing.T, n *Node, err error) {
	t.Helper()
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.PermissionDenied, codes.FailedPrecondition, codes.OutOfRange:
	default:
		t.Fatalf("the call ended with %v", err)
	}
	if err := n.Err(); err != nil {
		t.Fatal(err)
	}
}

func FuzzAppend(f *testing.F) {
	n := start(f, Options{})
	service := &streamsService{node: n}
	options := func(stream string) *streams.AppendReq {
		return &streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
			StreamIdentifier: streamToWire([]byte(stream)), ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}}}}}
	}
	event := func(eventType, data string) *streams.AppendReq {
		return &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id: uuidToWire(uuid.New(), true), Metadata: map[string]string{"type": eventType, "content-type": contentJSON}, Data: []byte(data)}}}
	}
	f.Add(joined(f, options("s"), event("a", "{}"), event("b", "")))
	f.Add(joined(f, options("$$s"), event("$metadata", `{"$tb":9223372036854775807}`)))
	f.Add(joined(f, options("$$s"), event("$metadata", `{"$maxCount":0,"$acl":null`)))
	f.Add(joined(f, options("s"), event("$streamDeleted", ""), options("s")))
	f.Add(joined(f, options("l"), event("$>", "9223372036854775807@s")))
	f.Add(joined(f, event("a", "{}"), &streams.AppendReq{}))
	f.Fuzz(func(t *testing.T, input []byte) {
		call := &fakeCall[streams.AppendReq, streams.AppendResp]{t: t, in: split[streams.AppendReq](input)}
		call.ctx, call.cancel = context.WithTimeout(context.Background(), patience)
		defer call.cancel()
		err := service.Append(call)
		requireExpected(t, n, err)
		if (err == nil) != (len(call.out) == 1) {
			t.Fatalf("the append ended with %v and %d answers", err, len(call.out))
		}
	})
}

func FuzzDelete(f *testing.F) {
	n := start(f, Options{})
	service := &streamsService{node: n}
	for _, o := range []*streams.DeleteReq_Options{
		nil,
		{StreamIdentifier: streamToWire([]byte("s")), ExpectedStreamRevision: &streams.DeleteReq_Options_Any{Any: &shared.Empty{}}},
		{StreamIdentifier: streamToWire([]byte("$$s")), ExpectedStreamRevision: &streams.DeleteReq_Options_NoStream{}},
		{StreamIdentifier: streamToWire([]byte("s")), ExpectedStreamRevision: &streams.DeleteReq_Options_Revision{Revision: 1<<64 - 1}},
	} {
		b, err := proto.Marshal(&streams.DeleteReq{Options: o})
		require.NoError(f, err)
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, input []byte, forGood bool) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if forGood { // the two requests are the same on the wire
			var req streams.TombstoneReq
			if proto.Unmarshal(input, &req) == nil {
				_, err := service.Tombstone(ctx, &req)
				requireExpected(t, n, err)
			}
			return
		}
		var req streams.DeleteReq
		if proto.Unmarshal(input, &req) == nil {
			_, err := service.Delete(ctx, &req)
			requireExpected(t, n, err)
		}
	})
}

// FuzzRead reads a log with one of everything in it. A subscription ends when it
// has caught up.
func FuzzRead(f *testing.F) {
	n := start(f, Options{})
	client := connect(f, n)
	appendAny(f, client, "s", jsonEvents(20, "a")...)
	describe(f, client, "s", `{"$maxCount":5,"$maxAge":1000}`)
	appendAny(f, client, "gone", jsonEvents(2, "a")...)
	_, err := tombstoneExpecting(f, client, "gone", esdb.Any{})
	require.NoError(f, err)
	appendAny(f, client, "soft", jsonEvents(2, "a")...)
	_, err = deleteExpecting(f, client, "soft", esdb.Any{})
	require.NoError(f, err)
	for _, target := range []string{"19@s", "0@s", "0@gone", "0@soft", "@"} {
		appendAny(f, client, "links", esdb.EventData{EventType: "$>", Data: []byte(target)})
	}
	service := &streamsService{node: n}
	inStream := func(name string) *streams.ReadReq_Options_Stream {
		return &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
			StreamIdentifier: streamToWire([]byte(name)), RevisionOption: &streams.ReadReq_Options_StreamOptions_Revision{Revision: 1<<64 - 1}}}
	}
	for _, o := range []*streams.ReadReq_Options{
		nil,
		{StreamOption: inStream("s"), CountOption: &streams.ReadReq_Options_Count{Count: 1<<64 - 1}, ControlOption: &streams.ReadReq_Options_ControlOption{Compatibility: 1}},
		{StreamOption: inStream("$$s"), CountOption: &streams.ReadReq_Options_Count{Count: 2}, ReadDirection: streams.ReadReq_Options_Backwards},
		{StreamOption: inStream("gone"), CountOption: &streams.ReadReq_Options_Subscription{}},
		{StreamOption: inStream("links"), CountOption: &streams.ReadReq_Options_Subscription{}, ResolveLinks: true},
		{StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_Start{}}},
			CountOption: &streams.ReadReq_Options_Count{Count: 100}, ResolveLinks: true},
		{StreamOption: &streams.ReadReq_Options_All{}, CountOption: &streams.ReadReq_Options_Subscription{}, FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
			Filter: &streams.ReadReq_Options_FilterOptions_EventType{EventType: &streams.ReadReq_Options_FilterOptions_Expression{Regex: "a"}}, CheckpointIntervalMultiplier: 1}}},
	} {
		b, err := proto.Marshal(&streams.ReadReq{Options: o})
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var req streams.ReadReq
		if proto.Unmarshal(input, &req) != nil {
			return
		}
		call := &readCall{fakeCall[streams.ReadReq, streams.ReadResp]{t: t}}
		call.ctx, call.cancel = context.WithTimeout(context.Background(), patience)
		defer call.cancel()
		err := service.Read(&req, call)
		if call.ctx.Err() == context.Canceled && status.Code(err) == codes.Canceled {
			return
		}
		requireExpected(t, n, err)
		if len(call.out) > 200 {
			t.Fatalf("a log of 31 events was read in %d messages", len(call.out))
		}
	})
}

// readCall leaves a subscription when it has caught up.
type readCall struct {
	fakeCall[streams.ReadReq, streams.ReadResp]
}

// SendMsg takes what the codec would take: the bytes of an event.
func (c *readCall) SendMsg(m any) error {
	buffer := m.(mem.Buffer)
	defer buffer.Free()
	var resp streams.ReadResp
	require.NoError(c.t, proto.Unmarshal(buffer.ReadOnlyData(), &resp))
	return c.Send(&resp)
}

func (c *readCall) Send(m *streams.ReadResp) error {
	if m.GetCaughtUp() != nil {
		c.cancel()
	}
	return c.fakeCall.Send(m)
}
