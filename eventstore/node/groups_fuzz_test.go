package node

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// groupCall sends what a fuzzer came up with to one method of the service.
type groupCall struct {
	request func() proto.Message
	send    func(context.Context, persistent.PersistentSubscriptionsClient, proto.Message, proto.Message) error
}

func unary[Req, Resp any](call func(persistent.PersistentSubscriptionsClient, context.Context, Req) (Resp, error)) func(context.Context, persistent.PersistentSubscriptionsClient, proto.Message, proto.Message) error {
	return func(ctx context.Context, client persistent.PersistentSubscriptionsClient, m, _ proto.Message) error {
		_, err := call(client, ctx, m.(Req))
		return err
	}
}

var groupCalls = []groupCall{
	{func() proto.Message { return &persistent.CreateReq{} }, unary(func(c persistent.PersistentSubscriptionsClient, ctx context.Context, r *persistent.CreateReq) (*persistent.CreateResp, error) {
		return c.Create(ctx, r)
	})},
	{func() proto.Message { return &persistent.UpdateReq{} }, unary(func(c persistent.PersistentSubscriptionsClient, ctx context.Context, r *persistent.UpdateReq) (*persistent.UpdateResp, error) {
		return c.Update(ctx, r)
	})},
	{func() proto.Message { return &persistent.DeleteReq{} }, unary(func(c persistent.PersistentSubscriptionsClient, ctx context.Context, r *persistent.DeleteReq) (*persistent.DeleteResp, error) {
		return c.Delete(ctx, r)
	})},
	{func() proto.Message { return &persistent.GetInfoReq{} }, unary(func(c persistent.PersistentSubscriptionsClient, ctx context.Context, r *persistent.GetInfoReq) (*persistent.GetInfoResp, error) {
		return c.GetInfo(ctx, r)
	})},
	{func() proto.Message { return &persistent.ListReq{} }, unary(func(c persistent.PersistentSubscriptionsClient, ctx context.Context, r *persistent.ListReq) (*persistent.ListResp, error) {
		return c.List(ctx, r)
	})},
	{func() proto.Message { return &persistent.ReplayParkedReq{} }, unary(func(c persistent.PersistentSubscriptionsClient, ctx context.Context, r *persistent.ReplayParkedReq) (*persistent.ReplayParkedResp, error) {
		return c.ReplayParked(ctx, r)
	})},
	{func() proto.Message { return &persistent.ReadReq{} }, consumeOnce},
}

// consumeOnce connects a consumer with its first message, sends the second when it is
// confirmed, and then leaves.
func consumeOnce(ctx context.Context, client persistent.PersistentSubscriptionsClient, first, second proto.Message) error {
	call, err := client.Read(ctx)
	if err != nil {
		return err
	}
	if err := call.Send(first.(*persistent.ReadReq)); err == nil {
		if _, err := call.Recv(); err != nil {
			return err
		}
		_ = call.Send(second.(*persistent.ReadReq)) // if that fails, Recv says why
	}
	_ = call.CloseSend()
	for {
		if _, err := call.Recv(); err != nil {
			return err
		}
	}
}

// Whatever strangers send, the service answers in time and says why not, and the log
// still holds groups that a restart can read.
func FuzzGroupService(f *testing.F) {
	n := start(f, Options{})
	client := connect(f, n)
	bare := bareGroups(f, n)
	createOn(f, client, "s", "g", nil, settings(nil))
	appendAny(f, client, "s", jsonEvents(3, "Wanted")...)

	stream := streamToWire([]byte("s"))
	okay := &persistent.CreateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1, ConsumerStrategy: strategyPinned,
		MessageTimeout: &persistent.CreateReq_Settings_MessageTimeoutTicks{MessageTimeoutTicks: 1 << 62}}
	seed := func(method byte, messages ...proto.Message) {
		var encoded [2][]byte
		for i, m := range messages {
			b, err := proto.Marshal(m)
			require.NoError(f, err)
			encoded[i] = b
		}
		f.Add(method, encoded[0], encoded[1])
	}
	for method := range groupCalls {
		seed(byte(method))
	}
	seed(0, &persistent.CreateReq{Options: &persistent.CreateReq_Options{GroupName: "h", Settings: okay,
		StreamOption: &persistent.CreateReq_Options_Stream{Stream: &persistent.CreateReq_StreamOptions{StreamIdentifier: stream, RevisionOption: &persistent.CreateReq_StreamOptions_Revision{Revision: 1}}}}})
	seed(0, &persistent.CreateReq{Options: &persistent.CreateReq_Options{GroupName: "h", Settings: &persistent.CreateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1},
		StreamOption: &persistent.CreateReq_Options_All{All: &persistent.CreateReq_AllOptions{AllOption: &persistent.CreateReq_AllOptions_Position{Position: &persistent.CreateReq_Position{CommitPosition: 1}}}}}})
	seed(0, &persistent.CreateReq{Options: &persistent.CreateReq_Options{GroupName: "h", StreamOption: &persistent.CreateReq_Options_All{}}})
	seed(1, &persistent.UpdateReq{Options: &persistent.UpdateReq_Options{GroupName: "g", Settings: &persistent.UpdateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1},
		StreamOption: &persistent.UpdateReq_Options_Stream{Stream: &persistent.UpdateReq_StreamOptions{StreamIdentifier: stream, RevisionOption: &persistent.UpdateReq_StreamOptions_End{}}}}})
	seed(2, &persistent.DeleteReq{Options: &persistent.DeleteReq_Options{GroupName: "h", StreamOption: &persistent.DeleteReq_Options_All{All: &shared.Empty{}}}})
	seed(3, getInfo("s", "g"))
	seed(4, &persistent.ListReq{Options: &persistent.ListReq_Options{ListOption: &persistent.ListReq_Options_ListForStream{ListForStream: &persistent.ListReq_StreamOption{
		StreamOption: &persistent.ListReq_StreamOption_Stream{Stream: stream}}}}})
	seed(5, &persistent.ReplayParkedReq{Options: &persistent.ReplayParkedReq_Options{GroupName: "g", StreamOption: &persistent.ReplayParkedReq_Options_StreamIdentifier{StreamIdentifier: stream},
		StopAtOption: &persistent.ReplayParkedReq_Options_StopAt{StopAt: 3}}})
	options := &persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: &persistent.ReadReq_Options{GroupName: "g", BufferSize: 1 << 30,
		StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: stream}}}}
	ids := []*shared.UUID{uuidToWire(uuid.New(), true)}
	seed(6, options, &persistent.ReadReq{Content: &persistent.ReadReq_Nack_{Nack: &persistent.ReadReq_Nack{Ids: ids, Action: 77, Reason: "because"}}})
	seed(6, options, &persistent.ReadReq{Content: &persistent.ReadReq_Ack_{Ack: &persistent.ReadReq_Ack{Ids: []*shared.UUID{{}}}}})
	seed(6, options, options)

	f.Fuzz(func(t *testing.T, method byte, request, more []byte) {
		call := groupCalls[int(method)%len(groupCalls)]
		first, second := call.request(), call.request()
		if proto.Unmarshal(request, first) != nil || proto.Unmarshal(more, second) != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := call.send(ctx, bare, first, second)
		if c := status.Code(err); err != nil && (c == codes.DeadlineExceeded || c == codes.Unavailable) {
			t.Fatalf("no answer: %v", err)
		}
		groups, _, err := loadConfig(n.log, n.committer.horizon.durable())
		require.NoError(t, err)
		require.Len(t, n.groups.list(""), len(groups))
		for i := range groups {
			if key := groups[i].key(); len(groups) > 8 && key != (groupKey{"s", "g"}) {
				require.NoError(t, n.groups.remove(ctx, key, dropped(key, "deleted")))
			}
		}
	})
}

// What is stored of groups is read back or refused.
func FuzzStoredGroups(f *testing.F) {
	begin := uint64(7)
	good, err := json.Marshal(storedConfig{Version: configVersion, Entries: []groupConfig{{
		Stream: allStream, Group: "g", Filter: filterSpec{On: filterOnType, Prefixes: []string{"a"}}, StartFrom: startFromStart, Begin: &begin,
		ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1, Strategy: strategyPinned}}})
	require.NoError(f, err)
	for _, seed := range []string{string(good), `{"version":"2","entries":null}`, `{"version":"1"}`, `"C:7/P:7"`, `"7"`, `"-1"`, `"9223372036854775808"`,
		`{"$tb":5}`, `{"$tb":-5}`, `{"$tb":1e300}`, `{"$tb":"5"}`, `null`, `[`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if groups, err := decodeConfig(data); err == nil {
			again, err := json.Marshal(storedConfig{Version: configVersion, Entries: groups})
			require.NoError(t, err)
			same, err := decodeConfig(again)
			require.NoError(t, err)
			require.Len(t, same, len(groups))
			for i := range groups {
				require.Positive(t, groups[i].ReadBatchSize)
				require.GreaterOrEqual(t, groups[i].messageTimeout(), time.Duration(0))
			}
		}
		for _, src := range []source{&allSource{}, &streamSource{}} {
			if place, err := decodeCheckpoint(data, src); err == nil && place > 0 {
				back, err := src.parse(src.format(place))
				require.NoError(t, err)
				require.Equal(t, place, back)
			}
		}
	})
}
