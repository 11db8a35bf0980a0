package node

import (
	"context"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// gossipService tells clients that look for the leader of a cluster that this node
// is it.
type gossipService struct {
	gossip.UnimplementedGossipServer
	node     *Node
	instance uuid.UUID
}

// Read names the one member there is.
func (s *gossipService) Read(ctx context.Context, _ *shared.Empty) (*gossip.ClusterInfo, error) {
	at := s.node.reachedAt(ctx)
	host := at.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // clients put the port behind it as it is
	}
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{{
		InstanceId:   uuidToWire(s.instance, false),
		TimeStamp:    time.Now().UnixNano() / 100,
		State:        gossip.MemberInfo_Leader,
		IsAlive:      true,
		HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(at.port)},
	}}}, nil
}

// reachedAt is an address by which the caller reaches the node. That is the
// advertised one, else the one that the caller itself used: it is right behind
// forwarded ports, and it is the name that the caller checks a certificate for. A
// caller that does not say gets the address that its connection came in by.
func (n *Node) reachedAt(ctx context.Context) endpoint {
	if n.advertised != (endpoint{}) {
		return n.advertised
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for _, authority := range md.Get(":authority") {
		if at, err := parseEndpoint(authority); err == nil {
			return at
		}
	}
	if p, ok := peer.FromContext(ctx); ok && p.LocalAddr != nil {
		if at, err := parseEndpoint(p.LocalAddr.String()); err == nil {
			return at
		}
	}
	return n.local()
}
