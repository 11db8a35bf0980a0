package node

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// work is consume, disturb included, without the official client, which is no help
// when its server is killed. It ends with the connection.
func (l *ledger) work(ctx context.Context, bare persistent.PersistentSubscriptionsClient) {
	identifier := &shared.StreamIdentifier{StreamName: []byte(l.key.stream)}
	for ctx.Err() == nil {
		call, err := bare.Read(ctx)
		if err != nil {
			continue
		}
		_ = call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: &persistent.ReadReq_Options{GroupName: l.key.group, BufferSize: 4,
			StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: identifier}}}})
		for {
			msg, err := call.Recv()
			if err != nil {
				break
			}
			if msg.GetEvent() == nil {
				continue
			}
			event := msg.GetEvent().GetEvent()
			id, _ := uuidFromWire(event.GetId())
			original := event.GetId()
			if link := msg.GetEvent().GetLink(); link != nil {
				original = link.GetId()
			}
			ids := []*shared.UUID{original}
			choice := rand.IntN(20)
			l.mu.Lock()
			l.delivered++
			if choice < 12 {
				l.acked[id] = true
			}
			l.mu.Unlock()
			switch {
			case choice < 12:
				_ = call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Ack_{Ack: &persistent.ReadReq_Ack{Ids: ids}}})
			case choice < 17:
				_ = call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Nack_{Nack: &persistent.ReadReq_Nack{Ids: ids, Action: persistent.ReadReq_Nack_Park}}})
			default:
				_ = call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Nack_{Nack: &persistent.ReadReq_Nack{Ids: ids, Action: persistent.ReadReq_Nack_Retry}}})
			}
			switch choice {
			case 0:
				_, _ = bare.RestartSubsystem(ctx, &shared.Empty{})
			case 1, 2, 3:
				_, _ = bare.ReplayParked(ctx, &persistent.ReplayParkedReq{Options: &persistent.ReplayParkedReq_Options{GroupName: l.key.group,
					StreamOption: &persistent.ReplayParkedReq_Options_StreamIdentifier{StreamIdentifier: identifier}}})
			}
		}
	}
}

// The node is killed while consumers acknowledge, park, replay and restart. Every
// event is acknowledged, parked or still to come.
func TestKilledGroupsLoseNothing(t *testing.T) {
	t.Parallel()
	const cycles = 6
	dir := t.TempDir()
	ledgers := []*ledger{newLedger(groupKey{allStream, "g"}), newLedger(groupKey{"s", "g"})}
	for cycle := range cycles {
		node := spawn(t, dir)
		if cycle == 0 {
			client := node.client(t)
			change := settings(func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount, s.MessageTimeout = 2, 100 })
			createGroup(t, client, "g", change)
			createOn(t, client, "s", "g", esdb.Start{}, change)
			require.NoError(t, client.Close())
		}
		conn, err := grpc.NewClient(strings.TrimSuffix(strings.TrimPrefix(node.connection, "esdb://"), "?tls=false"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var working sync.WaitGroup
		for _, known := range ledgers {
			working.Go(func() { known.work(ctx, persistent.NewPersistentSubscriptionsClient(conn)) })
		}
		working.Go(func() {
			bare := streams.NewStreamsClient(conn)
			for {
				events := jsonEvents(1+rand.IntN(3), "Wanted")
				res, err := appendBare(ctx, bare, "s", events)
				if err != nil {
					return
				}
				for i, e := range events {
					revision := res.GetCurrentRevision() - uint64(len(events)-1-i)
					for _, known := range ledgers {
						known.mu.Lock()
						if known.key.stream != allStream {
							known.appended[e.EventID] = revision + 1
						} else if i == len(events)-1 {
							known.appended[e.EventID] = res.GetPosition().GetCommitPosition()
						}
						known.mu.Unlock()
					}
				}
			}
		})
		delivered := func() (n int) {
			for _, known := range ledgers {
				known.mu.Lock()
				n += known.delivered
				known.mu.Unlock()
			}
			return n
		}
		enough := delivered() + 50 + rand.IntN(200)
		require.Eventually(t, func() bool { return delivered() >= enough }, patience, pollEvery)
		node.kill(t)
		cancel()
		working.Wait()
		require.NoError(t, conn.Close())
	}
	n := start(t, Options{Dir: dir})
	for _, known := range ledgers {
		known.check(t, n, known.progress(t, n))
	}
	// And what is still to come does come.
	client := connect(t, n)
	end := appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	for _, known := range ledgers {
		ctx, cancel := context.WithCancel(context.Background())
		var working sync.WaitGroup
		working.Go(func() { known.consume(ctx, client) })
		if known.key.stream == allStream {
			settled(t, client, "g", end.CommitPosition)
		} else {
			settledOn(t, client, "s", "g", end.NextExpectedVersion)
		}
		cancel()
		working.Wait()
		known.check(t, n, known.progress(t, n))
		t.Logf("%s: %d events, %d deliveries, %d acknowledged", known.key, len(known.appended), known.delivered, len(known.acked))
	}
}
