package node

import (
	"net"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func TestDiscovery(t *testing.T) {
	works := func(t *testing.T, connection string) {
		t.Helper()
		client := connectTo(t, connection)
		appendAny(t, client, "s", jsonEvent("a", "{}"))
		require.NotEmpty(t, readAll(t, client, esdb.ReadAllOptions{}, 1))
	}
	n := start(t, Options{Listen: "0.0.0.0:0"})
	_, port, err := net.SplitHostPort(n.Addr().String())
	require.NoError(t, err)
	require.Equal(t, "esdb://127.0.0.1:"+port+"?tls=false", n.ConnectionString())
	t.Run("one address", func(t *testing.T) { works(t, n.ConnectionString()) })
	t.Run("a name to discover", func(t *testing.T) {
		works(t, "esdb+discover://localhost:"+port+"?tls=false")
		works(t, strings.Replace(n.ConnectionString(), "esdb:", "esdb+discover:", 1))
	})
	t.Run("several addresses", func(t *testing.T) {
		works(t, "esdb://127.0.0.1:"+port+",localhost:"+port+"?tls=false")
	})
	t.Run("an advertised address", func(t *testing.T) {
		// Only the advertised address leads to where the client has to go.
		guide := start(t, Options{Advertise: "127.0.0.1:" + port})
		require.Equal(t, "esdb://127.0.0.1:"+port+"?tls=false", guide.ConnectionString())
		works(t, "esdb+discover://"+guide.Addr().String()+"?tls=false")
		require.Zero(t, guide.committer.horizon.durable(), "the guide got nothing")
	})
}

func TestGossip(t *testing.T) {
	ask := func(t *testing.T, n *Node, target, authority string, headers ...string) *gossip.MemberInfo {
		t.Helper()
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(authority))
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		ctx := metadata.AppendToOutgoingContext(within(t), headers...)
		info, err := gossip.NewGossipClient(conn).Read(ctx, &shared.Empty{})
		require.NoError(t, err)
		require.Len(t, info.GetMembers(), 1)
		_, err = serverfeatures.NewServerFeaturesClient(conn).GetSupportedMethods(ctx, &shared.Empty{})
		require.NoError(t, err)
		return info.GetMembers()[0]
	}
	n := start(t, Options{Listen: "0.0.0.0:0"})
	port := n.local().port
	target := n.local().String()
	member := ask(t, n, target, "")
	require.True(t, member.GetIsAlive())
	require.Equal(t, gossip.MemberInfo_Leader, member.GetState())
	_, ok := uuidFromWire(member.GetInstanceId())
	require.True(t, ok)
	require.Positive(t, member.GetTimeStamp())
	require.Equal(t, member.GetInstanceId().String(), ask(t, n, target, "").GetInstanceId().String())
	for name, c := range map[string]struct {
		authority string
		host      string
		port      uint16
	}{
		"the name that the client used":                 {"store.example:443", "store.example", 443},
		"the connection's address, if it tells no port": {"store.example", "127.0.0.1", port},
		"the connection's address, if it tells nothing": {":", "127.0.0.1", port},
		"brackets around colons":                        {"[::1]:2113", "[::1]", 2113},
	} {
		t.Run(name, func(t *testing.T) {
			at := ask(t, n, target, c.authority).GetHttpEndPoint()
			require.Equal(t, c.host, at.GetAddress())
			require.EqualValues(t, c.port, at.GetPort())
		})
	}
	t.Run("the advertised address before all", func(t *testing.T) {
		n := start(t, Options{Advertise: "other.example:1"})
		at := ask(t, n, n.local().String(), "store.example:443").GetHttpEndPoint()
		require.Equal(t, "other.example", at.GetAddress())
		require.EqualValues(t, 1, at.GetPort())
	})
	t.Run("headers of other clients are taken", func(t *testing.T) {
		ask(t, n, target, "", "requires-leader", "true", "authorization", "Basic bm9ib2R5Om5vdGhpbmc=")
	})
}
