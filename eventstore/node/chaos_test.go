package node

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// ledger is what a test knows of a group's messages.
type ledger struct {
	key       groupKey
	more      chan struct{} // takes a signal when there was a delivery
	mu        sync.Mutex
	appended  map[uuid.UUID]uint64 // and their places in the group's source
	acked     map[uuid.UUID]bool   // or on the way there
	delivered int
}

func newLedger(key groupKey) *ledger {
	return &ledger{key: key, more: make(chan struct{}, 1), appended: map[uuid.UUID]uint64{}, acked: map[uuid.UUID]bool{}}
}

func (l *ledger) join(ctx context.Context, client *esdb.Client) (*esdb.PersistentSubscription, error) {
	opts := esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 4}
	if l.key.stream == allStream {
		return client.SubscribeToPersistentSubscriptionToAll(ctx, l.key.group, opts)
	}
	return client.SubscribeToPersistentSubscription(ctx, l.key.stream, l.key.group, opts)
}

// consume joins again and again, and acknowledges, forgets, gives back, parks and
// leaves by chance.
func (l *ledger) consume(ctx context.Context, client *esdb.Client) {
	for ctx.Err() == nil {
		sub, err := l.join(ctx, client)
		if err != nil {
			continue
		}
		for e := sub.Recv(); e.EventAppeared != nil; e = sub.Recv() {
			event := e.EventAppeared.Event
			choice := rand.IntN(40)
			l.mu.Lock()
			l.delivered++
			if choice < 24 {
				l.acked[event.Event.EventID] = true
			}
			l.mu.Unlock()
			select {
			case l.more <- struct{}{}:
			default:
			}
			switch {
			case choice < 24:
				_ = sub.Ack(event)
			case choice < 28:
				_ = sub.Nack("because", esdb.NackActionPark, event)
			case choice < 34:
				_ = sub.Nack("because", esdb.NackActionRetry, event)
			case choice < 39: // it will time out
			default:
				_ = sub.Close()
			}
		}
		_ = sub.Close()
	}
}

// disturb replays, changes and restarts by chance.
func (l *ledger) disturb(ctx context.Context, client *esdb.Client, s *esdb.PersistentSubscriptionSettings) {
	for ctx.Err() == nil {
		all := l.key.stream == allStream
		switch choice := rand.IntN(8); {
		case choice == 0:
			_ = client.RestartPersistentSubscriptionSubsystem(ctx, esdb.RestartPersistentSubscriptionSubsystemOptions{})
		case choice == 1 && all:
			_ = client.UpdatePersistentSubscriptionToAll(ctx, l.key.group, esdb.PersistentAllSubscriptionOptions{StartFrom: esdb.Start{}, Settings: s})
		case choice == 1:
			_ = client.UpdatePersistentSubscription(ctx, l.key.stream, l.key.group, esdb.PersistentStreamSubscriptionOptions{StartFrom: esdb.Start{}, Settings: s})
		case all:
			_ = client.ReplayParkedMessagesToAll(ctx, l.key.group, esdb.ReplayParkedMessagesOptions{StopAt: rand.IntN(3)})
		default:
			_ = client.ReplayParkedMessages(ctx, l.key.stream, l.key.group, esdb.ReplayParkedMessagesOptions{StopAt: rand.IntN(3)})
		}
		for range 4 { // let consumers get at something before the next disturbance
			select {
			case <-l.more:
			case <-ctx.Done():
			}
		}
	}
}

// check demands that every event up to a place was acknowledged or is parked. What is
// being replayed is parked still.
func (l *ledger) check(t *testing.T, n *Node, upto uint64) {
	t.Helper()
	parked := map[uuid.UUID]bool{}
	horizon := n.committer.horizon.durable()
	first, _, err := parkedRange(n.log, l.key, horizon)
	require.NoError(t, err)
	require.NoError(t, n.log.streamForwards([]byte(l.key.parked()), first, horizon, func(r *record) (bool, error) {
		message, err := n.log.resolve(r.clone(), true, horizon)
		if err == nil {
			parked[message.event.id] = true
		}
		return true, err
	}))
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, place := range l.appended {
		require.True(t, place > upto || l.acked[id] || parked[id], "the event at %d is lost: progress is %d", place, upto)
	}
}

// progress is the durable checkpoint as a place in the group's source.
func (l *ledger) progress(t *testing.T, n *Node) uint64 {
	t.Helper()
	src := source(&allSource{})
	if l.key.stream != allStream {
		src = &streamSource{}
	}
	place, _, err := loadCheckpoint(n.log, l.key, src, n.committer.horizon.durable())
	require.NoError(t, err)
	return place
}

// Whatever consumers do, over replays, changes and restarts: every event ends up
// acknowledged or parked, and the progress that is stored is at no time beyond one
// that is neither.
func TestEveryMessageIsAcknowledgedOrParked(t *testing.T) {
	t.Parallel()
	for _, key := range []groupKey{{allStream, "g"}, {"s-0", "g"}} {
		t.Run(key.stream, func(t *testing.T) {
			t.Parallel()
			everyMessage(t, key)
		})
	}
}

func everyMessage(t *testing.T, key groupKey) {
	const restarts, events, consumers = 3, 40, 3
	n := start(t, Options{})
	client := connect(t, n)
	change := settings(func(s *esdb.PersistentSubscriptionSettings) {
		s.MessageTimeout, s.MaxRetryCount, s.ReadBatchSize, s.HistoryBufferSize = 20, 2, 5, 10
	})
	known := newLedger(key)
	streams := 4
	if key.stream == allStream {
		createGroup(t, client, key.group, change)
	} else {
		createOn(t, client, key.stream, key.group, esdb.Start{}, change)
		streams = 1
	}
	add := func(i int) {
		event := jsonEvent("Wanted", "{}")
		stream := fmt.Sprint("s-", i%streams)
		res := appendAny(t, client, stream, event)
		appendAny(t, client, "noise", jsonEvent("Noise", "{}"))
		place := res.CommitPosition
		if key.stream != allStream {
			place = res.NextExpectedVersion + 1
		}
		known.mu.Lock()
		known.appended[event.EventID] = place
		known.mu.Unlock()
	}
	for range restarts {
		ctx, cancel := context.WithCancel(context.Background())
		var consuming sync.WaitGroup
		for range consumers {
			consuming.Go(func() { known.consume(ctx, client) })
		}
		consuming.Go(func() { known.disturb(ctx, client, change) })
		for i := range events {
			add(i)
			if i%4 == 0 { // do not run ahead of the consumers
				require.Eventually(t, func() bool {
					known.mu.Lock()
					defer known.mu.Unlock()
					return known.delivered >= len(known.appended)-8
				}, patience, pollEvery)
			}
			known.check(t, n, known.progress(t, n))
		}
		cancel()
		consuming.Wait()
		require.NoError(t, client.Close())
		require.NoError(t, n.Close())
		n = start(t, Options{Dir: n.dir})
		client = connect(t, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var consuming sync.WaitGroup
	consuming.Go(func() { known.consume(ctx, client) })
	add(0)
	last := slices.Max(slices.Collect(maps.Values(known.appended)))
	if key.stream == allStream {
		settled(t, client, key.group, last)
	} else {
		settledOn(t, client, key.stream, key.group, last-1)
	}
	cancel()
	consuming.Wait()
	known.check(t, n, last)
}
