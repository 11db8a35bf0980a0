package node

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"
)

// feed receives a subscription's messages, so that a test can wait for each.
type feed struct {
	t   testing.TB
	sub *esdb.Subscription
}

func subscribeAll(t testing.TB, client *esdb.Client, opts esdb.SubscribeToAllOptions) *feed {
	t.Helper()
	sub, err := client.SubscribeToAll(within(t), opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close() })
	return &feed{t, sub}
}

func subscribeStream(t testing.TB, client *esdb.Client, stream string, opts esdb.SubscribeToStreamOptions) *feed {
	t.Helper()
	sub, err := client.SubscribeToStream(within(t), stream, opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close() })
	return &feed{t, sub}
}

func (f *feed) next() *esdb.SubscriptionEvent {
	f.t.Helper()
	e := f.sub.Recv()
	require.Nil(f.t, e.SubscriptionDropped, "%v", e.SubscriptionDropped)
	return e
}

func (f *feed) event() *esdb.RecordedEvent {
	f.t.Helper()
	e := f.next()
	require.NotNil(f.t, e.EventAppeared, "want an event, got %+v", e)
	return e.EventAppeared.OriginalEvent()
}

func (f *feed) caughtUp() {
	f.t.Helper()
	e := f.next()
	require.NotNil(f.t, e.CaughtUp, "want CaughtUp, got %+v", e)
}

func (f *feed) checkpoint() uint64 {
	f.t.Helper()
	e := f.next()
	require.NotNil(f.t, e.CheckPointReached, "want a checkpoint, got %+v", e)
	return e.CheckPointReached.Commit
}

func TestSubscribeToStream(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	appendAny(t, client, "s", jsonEvents(5, "a")...)
	appendAny(t, client, "s2", jsonEvents(5, "a")...)
	for name, c := range map[string]struct {
		from  esdb.StreamPosition
		first uint64
	}{
		"start":           {esdb.Start{}, 0},
		"exclusive":       {esdb.Revision(2), 3},
		"at the end":      {esdb.Revision(4), 5},
		"end":             {esdb.End{}, 5},
		"past the end":    {esdb.Revision(6), 7},
		"highest of all ": {esdb.Revision(^uint64(0)), 5},
	} {
		t.Run(name, func(t *testing.T) {
			stream := "s-" + name
			appendAny(t, client, stream, jsonEvents(5, "a")...)
			f := subscribeStream(t, client, stream, esdb.SubscribeToStreamOptions{From: c.from})
			for i := c.first; i < 5; i++ {
				require.Equal(t, i, f.event().EventNumber)
			}
			f.caughtUp()
			appendAny(t, client, "s2", jsonEvents(1, "a")...)
			appendAny(t, client, stream, jsonEvents(5, "a")...)
			for i := max(c.first, 5); i < 10; i++ {
				require.Equal(t, i, f.event().EventNumber)
			}
		})
	}
	t.Run("a stream to come", func(t *testing.T) {
		f := subscribeStream(t, client, "to come", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
		f.caughtUp()
		appendAny(t, client, "to come", jsonEvent("a", "{}"))
		require.EqualValues(t, 0, f.event().EventNumber)
	})
}

func TestSubscribeToAll(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	appendAny(t, client, "s", jsonEvents(700, "a")...)
	all := readAll(t, client, esdb.ReadAllOptions{}, 1000)
	start := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	middle := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: all[400].Event.Position})
	end := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: esdb.End{}})
	for i, e := range all {
		require.Equal(t, e.Event, start.event(), i)
	}
	for _, e := range all[401:] {
		require.Equal(t, e.Event, middle.event())
	}
	for _, f := range []*feed{start, middle, end} {
		f.caughtUp()
	}
	res := appendAny(t, client, "other", jsonEvent("b", "{}"))
	for _, f := range []*feed{start, middle, end} {
		require.Equal(t, res.CommitPosition, f.event().Position.Commit)
	}
	past := esdb.Position{Commit: res.CommitPosition + 1, Prepare: res.CommitPosition + 1}
	_, err := client.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{From: past})
	require.ErrorContains(t, err, "taken from another log")
}

func TestFilteredSubscription(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	for i := range 10 {
		appendAny(t, client, fmt.Sprintf("task-%d", i), jsonEvent("Started", "{}"), jsonEvent("Completed", "{}"))
		appendAny(t, client, fmt.Sprintf("noise-%d", i), jsonEvents(8, "Noise")...)
	}
	type where struct {
		stream string
		number uint64
	}
	collect := func(filter *esdb.SubscriptionFilter) (found []where) {
		f := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter})
		for {
			switch e := f.next(); {
			case e.EventAppeared != nil:
				found = append(found, where{e.EventAppeared.Event.StreamID, e.EventAppeared.Event.EventNumber})
			case e.CaughtUp != nil:
				return found
			}
		}
	}
	require.Len(t, collect(&esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"Sta", "Comp"}}), 20)
	require.Len(t, collect(&esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "omp"}), 10)
	require.Empty(t, collect(&esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "^omp"}))
	require.Len(t, collect(&esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"task-"}}), 20)
	require.Equal(t, []where{{"task-3", 0}, {"task-3", 1}}, collect(&esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: "k-3$"}))
	require.Len(t, collect(esdb.ExcludeSystemEventsFilter()), 100)
}

// Checkpoints come every interval and at the end of catching up, rise, and pass
// over what the filter leaves out, live too.
func TestCheckpoints(t *testing.T) {
	_, client := open(t)
	appendAny(t, client, "noise", jsonEvents(25, "Noise")...)
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	all := readAll(t, client, esdb.ReadAllOptions{}, 100)
	at := func(i int) uint64 { return all[i].Event.Position.Commit }
	filter := &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"Wanted"}}
	f := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter, MaxSearchWindow: 5, CheckpointInterval: 2})
	require.Equal(t, at(9), f.checkpoint())
	require.Equal(t, at(19), f.checkpoint())
	require.Equal(t, at(25), f.event().Position.Commit)
	require.Equal(t, at(25), f.checkpoint())
	f.caughtUp()

	appendAny(t, client, "noise", jsonEvents(9, "Noise")...)
	res := appendAny(t, client, "noise", jsonEvents(1, "Noise")...)
	require.Equal(t, res.CommitPosition, f.checkpoint())

	// From where it is told, and from the end: there is nothing new to tell.
	for _, from := range []esdb.AllPosition{esdb.Position{Commit: res.CommitPosition, Prepare: res.CommitPosition}, esdb.End{}} {
		f := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: from, Filter: filter, MaxSearchWindow: 5})
		f.caughtUp()
		appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
		f.event()
		last := appendAny(t, client, "noise", jsonEvents(4, "Noise")...)
		require.Equal(t, last.CommitPosition, f.checkpoint())
	}
	// An open window is 32 events.
	f = subscribeAll(t, client, esdb.SubscribeToAllOptions{From: esdb.End{}, Filter: filter, MaxSearchWindow: esdb.NoMaxSearchWindow})
	f.caughtUp()
	res = appendAny(t, client, "noise", jsonEvents(32, "Noise")...)
	require.Equal(t, res.CommitPosition, f.checkpoint())
}

// Subscribers that join at any moment of a running stream of appends each see
// every event behind their start once, in order, however slow they are.
func TestNothingIsLostOrRepeatedGoingLive(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	const writers, each = 4, 100
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for range each {
				if _, err := client.AppendToStream(context.Background(), fmt.Sprint("w-", i), esdb.AppendToStreamOptions{}, jsonEvent("a", "{}")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var reading sync.WaitGroup
	seen := make([][]uint64, 4)
	for i := range seen {
		f := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: esdb.Start{}})
		g := subscribeStream(t, client, "w-0", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
		reading.Go(func() {
			for len(seen[i]) < writers*each {
				e := f.sub.Recv()
				if e.SubscriptionDropped != nil {
					t.Error(e.SubscriptionDropped.Error)
					return
				}
				if e.EventAppeared != nil {
					seen[i] = append(seen[i], e.EventAppeared.Event.Position.Commit)
				}
			}
		})
		reading.Go(func() {
			for next := uint64(0); next < each; {
				e := g.sub.Recv()
				if e.SubscriptionDropped != nil {
					t.Error(e.SubscriptionDropped.Error)
					return
				}
				if e.EventAppeared != nil {
					if e.EventAppeared.Event.EventNumber != next {
						t.Errorf("want revision %d, got %d", next, e.EventAppeared.Event.EventNumber)
						return
					}
					next++
				}
			}
		})
	}
	writing.Wait()
	reading.Wait()
	var expected []uint64
	for _, e := range readAll(t, client, esdb.ReadAllOptions{}, 10_000) {
		expected = append(expected, e.Event.Position.Commit)
	}
	for _, positions := range seen {
		require.Equal(t, expected, positions)
	}
}

func TestWatchesAreForgotten(t *testing.T) {
	n, client := open(t)
	f := subscribeStream(t, client, "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	f.caughtUp()
	require.NoError(t, f.sub.Close())
	require.Eventually(t, func() bool {
		n.committer.horizon.mu.Lock()
		defer n.committer.horizon.mu.Unlock()
		return len(n.committer.horizon.streams) == 0
	}, patience, pollEvery)
}
