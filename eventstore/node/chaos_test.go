package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// ledger is what a test knows of a group's messages.
type ledger struct {
	mu        sync.Mutex
	appended  map[uuid.UUID]uint64 // and their positions
	answered  map[uuid.UUID]bool   // acknowledged or parked by a consumer, or on the way there
	delivered int
}

// consume joins again and again, and acknowledges, forgets, gives back, parks and
// leaves by chance.
func (l *ledger) consume(ctx context.Context, client *esdb.Client) {
	for ctx.Err() == nil {
		sub, err := client.SubscribeToPersistentSubscriptionToAll(ctx, "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 4})
		if err != nil {
			continue
		}
		for e := sub.Recv(); e.EventAppeared != nil; e = sub.Recv() {
			event := e.EventAppeared.Event
			choice := rand.IntN(40)
			l.mu.Lock()
			l.delivered++
			if choice < 28 {
				l.answered[event.Event.EventID] = true
			}
			l.mu.Unlock()
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

// check demands that every event up to a position was answered or is parked.
func (l *ledger) check(t *testing.T, n *Node, upto uint64) {
	t.Helper()
	parked := map[uuid.UUID]bool{}
	horizon := n.committer.horizon.durable()
	require.NoError(t, n.log.streamForwards([]byte(groupKey{allStream, "g"}.parked()), 0, horizon, func(r *record) (bool, error) {
		message, err := n.log.resolve(r.clone(), true, horizon)
		if err == nil {
			parked[message.event.id] = true
		}
		return true, err
	}))
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, position := range l.appended {
		require.True(t, position > upto || l.answered[id] || parked[id], "the event at %d is lost: progress is %d", position, upto)
	}
}

// Whatever consumers do, over restarts: every event ends up acknowledged or parked,
// and the progress that is stored is at no time beyond one that is neither.
func TestEveryMessageIsAcknowledgedOrParked(t *testing.T) {
	t.Parallel()
	const restarts, events, consumers = 3, 40, 3
	n := start(t, Options{})
	client := connect(t, n)
	createGroup(t, client, "g", settings(func(s *esdb.PersistentSubscriptionSettings) {
		s.MessageTimeout, s.MaxRetryCount, s.ReadBatchSize, s.HistoryBufferSize = 20, 2, 5, 10
	}))
	known := &ledger{appended: map[uuid.UUID]uint64{}, answered: map[uuid.UUID]bool{}}
	for range restarts {
		ctx, cancel := context.WithCancel(context.Background())
		var consuming sync.WaitGroup
		for range consumers {
			consuming.Go(func() { known.consume(ctx, client) })
		}
		for i := range events {
			event := jsonEvent("Wanted", "{}")
			position := appendAny(t, client, fmt.Sprint("s-", i%4), event, jsonEvent("Noise", "{}")).CommitPosition
			known.mu.Lock()
			known.appended[event.EventID] = position
			known.mu.Unlock()
			if i%4 == 0 { // do not run ahead of the consumers
				require.Eventually(t, func() bool {
					known.mu.Lock()
					defer known.mu.Unlock()
					return known.delivered >= len(known.appended)-8
				}, patience, pollEvery)
			}
			progress, _, err := loadCheckpoint(n.log, groupKey{allStream, "g"}, &allSource{}, n.committer.horizon.durable())
			require.NoError(t, err)
			known.check(t, n, progress)
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
	last := appendAny(t, client, "s-0", jsonEvent("Noise", "{}")).CommitPosition
	settled(t, client, "g", last)
	cancel()
	consuming.Wait()
	known.check(t, n, last)
}
