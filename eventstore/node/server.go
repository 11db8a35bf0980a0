package node

import (
	"context"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	serverVersion = "24.10.0" // three integers, or clients cannot parse it

	// Clients are told their append is too large only if it comes in at all.
	maxMessageSize = 17 << 20
	maxHeaderSize  = 64 << 10 // of a call; gRPC's own limit is 16 MiB

	streamsName    = "event_store.client.streams.streams"
	persistentName = "event_store.client.persistent_subscriptions.persistentsubscriptions"
)

// newServer wires the services to gRPC.
func newServer(n *Node) *grpc.Server {
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxMessageSize),
		// Clients ping every 10 s also when nothing is going on; the default policy
		// would take that for abuse and hang up.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// A client that was stopped or cut off does not say so. Without asking it, a
		// dead consumer would keep what it holds for as long as its group's time-out.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: n.ping, Timeout: n.ping}),
		// Nobody may use the log after Close.
		grpc.WaitForHandlers(true),
		grpc.MaxHeaderListSize(maxHeaderSize),
		n.users.guardCalls(),
		n.users.guardStreams(),
	)
	serverfeatures.RegisterServerFeaturesServer(server, &featuresService{})
	streams.RegisterStreamsServer(server, &streamsService{node: n})
	persistent.RegisterPersistentSubscriptionsServer(server, &persistentService{node: n})
	gossip.RegisterGossipServer(server, &gossipService{node: n, instance: uuid.New()})
	return server
}

// featuresService tells clients what they may use.
type featuresService struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

func (*featuresService) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	methods := []*serverfeatures.SupportedMethod{
		{ServiceName: streamsName, MethodName: "read", Features: []string{"position", "events"}},
		{ServiceName: streamsName, MethodName: "append"},
		{ServiceName: streamsName, MethodName: "batchappend", Features: []string{"deadline_duration"}},
		{ServiceName: streamsName, MethodName: "delete"},
		{ServiceName: streamsName, MethodName: "tombstone"},
	}
	for _, method := range []string{"create", "update", "delete", "read", "getinfo", "list", "replayparked", "restartsubsystem"} {
		m := &serverfeatures.SupportedMethod{ServiceName: persistentName, MethodName: method}
		if method != "restartsubsystem" {
			m.Features = []string{"stream", "all"}
		}
		methods = append(methods, m)
	}
	return &serverfeatures.SupportedMethods{Methods: methods, EventStoreServerVersion: serverVersion}, nil
}

// streamsService serves appends, deletions, reads and catch-up subscriptions.
type streamsService struct {
	streams.UnimplementedStreamsServer
	node *Node
}
