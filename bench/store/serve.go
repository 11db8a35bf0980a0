package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof" // the profiles of "serve node"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/factgate/factgate/eventstore/node"
)

// serve is this program as a server: the floors, and the node with profiles.
func serve(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if len(args) == 0 {
		return errors.New("serve what?")
	}
	switch args[0] {
	case "null":
		return serveNull(ctx)
	case "node":
		f := flag.NewFlagSet("serve node", flag.ContinueOnError)
		dir := f.String("data", "", "data folder")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		return serveNode(ctx, *dir)
	default:
		return fmt.Errorf("serve %s: unknown", args[0])
	}
}

func serveNode(ctx context.Context, dir string) error {
	n, err := node.Open(ctx, node.Options{Dir: dir})
	if err != nil {
		return err
	}
	profiles, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, n.Close())
	}
	go func() { _ = http.Serve(profiles, nil) }() //nolint:gosec // loopback, for as long as a benchmark
	fmt.Println("ready", n.ConnectionString(), profiles.Addr())
	<-ctx.Done()
	return n.Close()
}

// nullServer answers what the official client asks and keeps nothing: what is left
// when a node costs nothing.
type nullServer struct {
	streams.UnimplementedStreamsServer
	events []encoded
}

// encoded is a message that is sent as it is.
type encoded []byte

func serveNull(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	streams.RegisterStreamsServer(s, &nullServer{events: encodedEvents()})
	serverfeatures.RegisterServerFeaturesServer(s, nullFeatures{})
	context.AfterFunc(ctx, s.Stop)
	fmt.Printf("ready esdb://%s?tls=false\n", listener.Addr())
	return s.Serve(listener)
}

type nullFeatures struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

func (nullFeatures) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: "24.10.0"}, nil
}

// Append reads an append and says that it went where it was expected to go.
func (*nullServer) Append(stream streams.Streams_AppendServer) error {
	success := &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{},
		PositionOption:        &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{CommitPosition: 1, PreparePosition: 1}},
	}
	next, events := uint64(0), uint64(0)
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if o := msg.GetOptions(); o == nil {
			events++
		} else if at, ok := o.GetExpectedStreamRevision().(*streams.AppendReq_Options_Revision); ok {
			next = at.Revision + 1
		}
	}
	success.CurrentRevisionOption = &streams.AppendResp_Success_CurrentRevision{CurrentRevision: next + events - 1}
	return stream.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: success}})
}

// Read sends events that were encoded beforehand for as long as somebody takes them.
func (s *nullServer) Read(_ *streams.ReadReq, stream streams.Streams_ReadServer) error {
	if err := stream.Send(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: "null"},
	}}); err != nil {
		return err
	}
	for {
		for i := range s.events {
			if err := stream.SendMsg(s.events[i]); err != nil {
				return err
			}
		}
	}
}

func encodedEvents() (all []encoded) {
	for i, data := range payloads() {
		position := uint64(1000 + 500*i)
		text, err := proto.Marshal(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
			Event: &streams.ReadResp_ReadEvent_RecordedEvent{
				Id: &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
					MostSignificantBits: int64(i)<<40 + 1, LeastSignificantBits: int64(i)<<32 + 1,
				}}},
				StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("task-" + strconv.Itoa(i))},
				StreamRevision:   uint64(i % 300),
				PreparePosition:  position,
				CommitPosition:   position,
				Metadata:         map[string]string{"type": eventType, "content-type": "application/json", "created": "17956800000000000"},
				Data:             data,
			},
			Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: position},
		}}})
		if err != nil {
			panic(err) // a message of ours
		}
		all = append(all, text)
	}
	return all
}

// rawCodec is protobuf, except that it passes on what is encoded already and hands
// out to *received what it does not decode.
type rawCodec struct{}

// received is how long a message was that nobody decoded.
type received int

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case encoded:
		return mem.BufferSlice{mem.SliceBuffer(v)}, nil
	case proto.Message:
		text, err := proto.Marshal(v)
		return mem.BufferSlice{mem.SliceBuffer(text)}, err
	default:
		return nil, fmt.Errorf("cannot encode %T", v)
	}
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *received:
		*v = received(data.Len())
		return nil
	case proto.Message:
		b := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer b.Free()
		return proto.Unmarshal(b.ReadOnlyData(), v)
	default:
		return fmt.Errorf("cannot decode into %T", v)
	}
}
