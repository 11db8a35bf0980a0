package node

import (
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

const pollEvery = 5 * time.Millisecond

func settings(change func(*esdb.PersistentSubscriptionSettings)) *esdb.PersistentSubscriptionSettings {
	s := esdb.SubscriptionSettingsDefault()
	s.CheckpointLowerBound, s.CheckpointUpperBound, s.CheckpointAfter = 1, 10, 0
	if change != nil {
		change(&s)
	}
	return &s
}

var wanted = &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"Wanted"}}

func createGroup(t testing.TB, client *esdb.Client, name string, s *esdb.PersistentSubscriptionSettings) {
	t.Helper()
	require.NoError(t, client.CreatePersistentSubscriptionToAll(within(t), name,
		esdb.PersistentAllSubscriptionOptions{StartFrom: esdb.Start{}, Filter: wanted, Settings: s}))
}

// worker is one consumer of a group.
type worker struct {
	t   testing.TB
	sub *esdb.PersistentSubscription
}

func join(t testing.TB, client *esdb.Client, group string, buffer uint32) *worker {
	t.Helper()
	sub, err := client.SubscribeToPersistentSubscriptionToAll(within(t), group, esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close() })
	return &worker{t, sub}
}

func (w *worker) next() *esdb.EventAppeared {
	w.t.Helper()
	e := w.sub.Recv()
	require.Nil(w.t, e.SubscriptionDropped, "%v", e.SubscriptionDropped)
	return e.EventAppeared
}

func (w *worker) ack(e *esdb.EventAppeared) {
	w.t.Helper()
	require.NoError(w.t, w.sub.Ack(e.Event))
}

func (w *worker) nack(e *esdb.EventAppeared, action esdb.NackAction) {
	w.t.Helper()
	require.NoError(w.t, w.sub.Nack("because", action, e.Event))
}

func info(t testing.TB, client *esdb.Client, group string) *esdb.PersistentSubscriptionInfo {
	t.Helper()
	i, err := client.GetPersistentSubscriptionInfoToAll(within(t), group, esdb.GetPersistentSubscriptionOptions{})
	require.NoError(t, err)
	return i
}

// settled waits until a group has nothing left and its checkpoint is at its end.
func settled(t testing.TB, client *esdb.Client, group string, checkpoint uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		stats := info(t, client, group).Stats
		return stats.OutstandingMessagesCount+stats.ReadBufferCount+stats.RetryBufferCount == 0 && stats.LastCheckpointedPosition != nil && stats.LastCheckpointedPosition.Commit >= checkpoint
	}, patience, pollEvery)
}

func TestGroupLifeCycle(t *testing.T) {
	n, client := open(t)
	opts := esdb.PersistentAllSubscriptionOptions{StartFrom: esdb.Start{}, Filter: wanted}
	require.NoError(t, client.CreatePersistentSubscriptionToAll(within(t), "g", opts))
	require.Equal(t, esdb.ErrorCodeResourceAlreadyExists, code(client.CreatePersistentSubscriptionToAll(within(t), "g", opts)))
	require.NoError(t, client.CreatePersistentSubscriptionToAll(within(t), "h", esdb.PersistentAllSubscriptionOptions{}))

	_, err := client.SubscribeToPersistentSubscriptionToAll(within(t), "missing", esdb.SubscribeToPersistentSubscriptionOptions{})
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
	_, err = client.GetPersistentSubscriptionInfoToAll(within(t), "missing", esdb.GetPersistentSubscriptionOptions{})
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
	err = client.DeletePersistentSubscriptionToAll(within(t), "missing", esdb.DeletePersistentSubscriptionOptions{})
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))

	check := func(client *esdb.Client) {
		t.Helper()
		g := info(t, client, "g")
		require.Equal(t, "$all", g.EventSource)
		require.Equal(t, "g", g.GroupName)
		require.Equal(t, esdb.Start{}, g.Settings.StartFrom)
		require.EqualValues(t, 30_000, g.Settings.MessageTimeout)
		require.EqualValues(t, 10, g.Settings.MaxRetryCount)
		require.EqualValues(t, 500, g.Settings.HistoryBufferSize)
		require.Equal(t, esdb.ConsumerStrategyRoundRobin, g.Settings.ConsumerStrategyName)
		require.Equal(t, esdb.End{}, info(t, client, "h").Settings.StartFrom)
		for _, list := range []func() ([]esdb.PersistentSubscriptionInfo, error){
			func() ([]esdb.PersistentSubscriptionInfo, error) {
				return client.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{})
			},
			func() ([]esdb.PersistentSubscriptionInfo, error) {
				return client.ListPersistentSubscriptionsToAll(within(t), esdb.ListPersistentSubscriptionsOptions{})
			},
		} {
			found, err := list()
			require.NoError(t, err)
			require.Len(t, found, 2)
			require.Equal(t, "h", found[1].GroupName)
		}
		_, err := client.ListPersistentSubscriptionsForStream(within(t), "s", esdb.ListPersistentSubscriptionsOptions{})
		require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
	}
	check(client)
	require.NoError(t, n.Close())
	client = connect(t, start(t, Options{Dir: n.dir}))
	check(client)

	w := join(t, client, "g", 10)
	require.NoError(t, client.DeletePersistentSubscriptionToAll(within(t), "g", esdb.DeletePersistentSubscriptionOptions{}))
	require.ErrorContains(t, w.sub.Recv().SubscriptionDropped.Error, "was deleted")
	_, err = client.GetPersistentSubscriptionInfoToAll(within(t), "g", esdb.GetPersistentSubscriptionOptions{})
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
}

func TestGroupSettingsAreChecked(t *testing.T) {
	_, client := open(t)
	for name, change := range map[string]func(*esdb.PersistentSubscriptionSettings){
		"batch above buffer":     func(s *esdb.PersistentSubscriptionSettings) { s.ReadBatchSize = s.HistoryBufferSize },
		"no batch":               func(s *esdb.PersistentSubscriptionSettings) { s.ReadBatchSize = 0 },
		"checkpoints cross":      func(s *esdb.PersistentSubscriptionSettings) { s.CheckpointLowerBound = 2000 },
		"negative time-out":      func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout = -1 },
		"negative subscribers":   func(s *esdb.PersistentSubscriptionSettings) { s.MaxSubscriberCount = -1 },
		"no checkpoint maximum ": func(s *esdb.PersistentSubscriptionSettings) { s.CheckpointUpperBound, s.CheckpointLowerBound = 0, 0 },
	} {
		s := esdb.SubscriptionSettingsDefault()
		change(&s)
		require.Error(t, client.CreatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{Settings: &s}), name)
	}
	require.Error(t, client.CreatePersistentSubscriptionToAll(within(t), "", esdb.PersistentAllSubscriptionOptions{}))
	require.ErrorContains(t, client.CreatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{
		Filter: &esdb.SubscriptionFilter{Regex: "(?!x)"}}), "RE2")
	list, err := client.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{})
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestGroupStarts(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(3, "Wanted")...)
	at := readAll(t, client, esdb.ReadAllOptions{}, 3)[1].Event.Position
	for name, from := range map[string]esdb.AllPosition{"start": esdb.Start{}, "position": at, "end": esdb.End{}} {
		require.NoError(t, client.CreatePersistentSubscriptionToAll(within(t), name, esdb.PersistentAllSubscriptionOptions{StartFrom: from}))
	}
	// The end is the end at the time of creation, also for who comes later.
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	require.NoError(t, n.Close())
	client = connect(t, start(t, Options{Dir: n.dir}))
	for name, first := range map[string]uint64{"start": 0, "position": 1, "end": 3} {
		w := join(t, client, name, 20)
		for {
			e := w.next().Event.Event
			if e.StreamID == "s" {
				require.Equal(t, first, e.EventNumber, name)
				break
			}
			require.Equal(t, configStream, e.StreamID)
		}
	}
}

func TestConsumersShareTheWork(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	createGroup(t, client, "g", settings(nil))
	const total, workers = 300, 3
	var mu sync.Mutex
	var done atomic.Int32
	seen := map[uint64]int{}
	share := make([]int, workers)
	var wg sync.WaitGroup
	finished := make(chan struct{})
	subs := make([]*worker, workers)
	for i := range subs {
		subs[i] = join(t, client, "g", 5)
	}
	for i, w := range subs {
		wg.Go(func() {
			for {
				e := w.sub.Recv()
				if e.SubscriptionDropped != nil {
					return
				}
				mu.Lock()
				seen[e.EventAppeared.Event.Event.EventNumber]++
				share[i]++
				mu.Unlock()
				if err := w.sub.Ack(e.EventAppeared.Event); err != nil {
					t.Error(err)
				}
				if done.Add(1) == total {
					close(finished)
				}
			}
		})
	}
	var last uint64
	for range total / 10 {
		appendAny(t, client, "noise", jsonEvents(3, "Noise")...)
		last = appendAny(t, client, "s", jsonEvents(10, "Wanted")...).CommitPosition
	}
	<-finished
	settled(t, client, "g", last)
	for _, w := range subs {
		require.NoError(t, w.sub.Close())
	}
	wg.Wait()
	require.Len(t, seen, total)
	for number, times := range seen {
		require.Equal(t, 1, times, "event %d", number)
	}
	for _, n := range share {
		require.Greater(t, n, total/workers/3)
	}
}

func TestRoundRobinRespectsBuffers(t *testing.T) {
	_, client := open(t)
	createGroup(t, client, "g", settings(nil))
	a, b := join(t, client, "g", 2), join(t, client, "g", 1)
	appendAny(t, client, "s", jsonEvents(5, "Wanted")...)
	require.Eventually(t, func() bool {
		i := info(t, client, "g")
		return i.Stats.TotalInFlightMessages == 3 && i.Stats.ReadBufferCount == 2 && len(i.Connections) == 2
	}, patience, pollEvery)
	a0, b0, a1 := a.next(), b.next(), a.next()
	require.ElementsMatch(t, []uint64{0, 1, 2}, []uint64{a0.Event.Event.EventNumber, b0.Event.Event.EventNumber, a1.Event.Event.EventNumber})
	b.ack(b0)
	require.EqualValues(t, 3, b.next().Event.Event.EventNumber)
	a.ack(a0)
	require.EqualValues(t, 4, a.next().Event.Event.EventNumber)
}

func TestMaximumSubscribers(t *testing.T) {
	_, client := open(t)
	createGroup(t, client, "g", settings(func(s *esdb.PersistentSubscriptionSettings) { s.MaxSubscriberCount = 1 }))
	w := join(t, client, "g", 2)
	_, err := client.SubscribeToPersistentSubscriptionToAll(within(t), "g", esdb.SubscribeToPersistentSubscriptionOptions{})
	require.ErrorContains(t, err, "FailedPrecondition")
	require.NoError(t, w.sub.Close())
	require.Eventually(t, func() bool { return len(info(t, client, "g").Connections) == 0 }, patience, pollEvery)
	join(t, client, "g", 2)
}

func TestNacks(t *testing.T) {
	n, client := open(t)
	createGroup(t, client, "g", settings(func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount = 2 }))
	w := join(t, client, "g", 1)
	send := func() *esdb.EventAppeared {
		appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
		return w.next()
	}
	skipped := send()
	w.nack(skipped, esdb.NackActionSkip)
	stopped := send()
	w.nack(stopped, esdb.NackActionStop)

	retried := send()
	require.Equal(t, 0, retried.RetryCount)
	w.nack(retried, esdb.NackActionRetry)
	again := w.next()
	require.Equal(t, 1, again.RetryCount)
	require.Equal(t, retried.Event.Event, again.Event.Event)
	w.nack(again, esdb.NackActionUnknown)
	again = w.next()
	require.Equal(t, 2, again.RetryCount)
	w.nack(again, esdb.NackActionRetry) // one too many

	parked := send()
	w.nack(parked, esdb.NackActionPark)
	last := send()
	w.ack(last)
	settled(t, client, "g", last.Event.Event.Position.Commit)
	require.EqualValues(t, 2, info(t, client, "g").Stats.ParkedMessagesCount)

	stream := "$persistentsubscription-$all::g-parked"
	check := func(client *esdb.Client) {
		t.Helper()
		links := readStream(t, client, stream, esdb.ReadStreamOptions{ResolveLinkTos: true}, 10)
		require.Len(t, links, 2)
		for i, original := range []*esdb.EventAppeared{retried, parked} {
			require.Equal(t, "$>", links[i].Link.EventType)
			require.Equal(t, fmt.Sprintf("%d@s", original.Event.Event.EventNumber), string(links[i].Link.Data))
			require.Equal(t, original.Event.Event, links[i].Event)
			var m struct {
				Added                   time.Time
				Reason                  string
				SubscriptionEventNumber uint64
			}
			require.NoError(t, json.Unmarshal(links[i].Link.UserMetadata, &m))
			require.WithinDuration(t, time.Now(), m.Added, time.Hour)
			require.Contains(t, m.Reason, "because")
			require.Equal(t, original.Event.Event.EventNumber, m.SubscriptionEventNumber)
		}
		require.EqualValues(t, 2, info(t, client, "g").Stats.ParkedMessagesCount)
		for _, e := range readAll(t, client, esdb.ReadAllOptions{}, 1000) {
			require.NotContains(t, e.Event.StreamID, "$persistentsubscription-")
		}
		f := subscribeAll(t, client, esdb.SubscribeToAllOptions{From: esdb.Start{}})
		for e := f.next(); e.CaughtUp == nil; e = f.next() {
			require.NotContains(t, e.EventAppeared.Event.StreamID, "$persistentsubscription-")
		}
	}
	check(client)
	require.NoError(t, n.Close())
	check(connect(t, start(t, Options{Dir: n.dir})))
}

func TestTimeOutAndDisconnectRedeliver(t *testing.T) {
	_, client := open(t)
	createGroup(t, client, "slow", settings(func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout = 50; s.MaxRetryCount = 1 }))
	createGroup(t, client, "gone", settings(nil))
	last := appendAny(t, client, "s", jsonEvent("Wanted", "{}")).CommitPosition

	w := join(t, client, "slow", 10)
	require.Equal(t, 0, w.next().RetryCount)
	require.Equal(t, 1, w.next().RetryCount) // and then it is parked
	settled(t, client, "slow", last)
	require.EqualValues(t, 1, info(t, client, "slow").Stats.ParkedMessagesCount)

	first, second := join(t, client, "gone", 10), join(t, client, "gone", 10)
	e := first.next()
	require.NoError(t, first.sub.Close())
	again := second.next()
	require.Equal(t, e.Event.Event, again.Event.Event)
	require.Equal(t, 1, again.RetryCount)
	second.ack(again)
	settled(t, client, "gone", last)
}

// The same event id in two streams: a consumer acks by id, so it has one of them
// at a time.
func TestSameIDInTwoStreams(t *testing.T) {
	_, client := open(t)
	createGroup(t, client, "g", settings(nil))
	event := jsonEvent("Wanted", "{}")
	appendAny(t, client, "a", event)
	last := appendAny(t, client, "b", event).CommitPosition
	w := join(t, client, "g", 10)
	first := w.next()
	require.Equal(t, "a", first.Event.Event.StreamID)
	w.ack(first)
	second := w.next()
	require.Equal(t, "b", second.Event.Event.StreamID)
	w.ack(second)
	settled(t, client, "g", last)
}

// What was not acknowledged comes again after a restart, what was acknowledged in
// front of it does not, and nothing behind it is lost.
func TestGroupSurvivesRestart(t *testing.T) {
	n, client := open(t)
	createGroup(t, client, "g", settings(nil))
	appendAny(t, client, "s", jsonEvents(10, "Wanted")...)
	w := join(t, client, "g", 10)
	var events []*esdb.EventAppeared
	for range 10 {
		events = append(events, w.next())
	}
	for i, e := range events {
		if i != 4 {
			w.ack(e)
		}
	}
	require.Eventually(t, func() bool { return info(t, client, "g").Stats.OutstandingMessagesCount == 1 }, patience, pollEvery)
	require.NoError(t, n.Close())

	n = start(t, Options{Dir: n.dir})
	client = connect(t, n)
	w = join(t, client, "g", 10)
	for number := uint64(4); number < 10; number++ {
		e := w.next()
		require.Equal(t, number, e.Event.Event.EventNumber)
		w.ack(e)
	}
	last := appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	e := w.next()
	require.EqualValues(t, 10, e.Event.Event.EventNumber)
	w.ack(e)
	settled(t, client, "g", last.CommitPosition)
}

// Progress is durable over what the filter leaves out, and takes no more room than
// two events.
func TestCheckpointStreamStaysSmall(t *testing.T) {
	t.Parallel()
	n, client := open(t)
	createGroup(t, client, "g", settings(nil))
	var last uint64
	for range 40 {
		last = appendAny(t, client, "noise", jsonEvents(10, "Noise")...).CommitPosition
		settled(t, client, "g", last)
	}
	kept := readStream(t, client, groupKey{allStream, "g"}.progress(), esdb.ReadStreamOptions{}, 100)
	require.Len(t, kept, 2)
	require.Equal(t, "$SubscriptionCheckpoint", kept[1].Event.EventType)
	require.Greater(t, kept[1].Event.EventNumber, uint64(20))
	require.Equal(t, fmt.Sprintf("%q", formatPosition(last)), string(kept[1].Event.Data))
	require.Len(t, readAll(t, client, esdb.ReadAllOptions{}, 10_000), 401)

	// A deleted group leaves nothing, and its successor of the same name starts anew.
	require.NoError(t, client.DeletePersistentSubscriptionToAll(within(t), "g", esdb.DeletePersistentSubscriptionOptions{}))
	read, err := client.ReadStream(within(t), groupKey{allStream, "g"}.progress(), esdb.ReadStreamOptions{}, 100)
	_, err = drainErr(read, err)
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	createGroup(t, client, "g", settings(nil))
	require.EqualValues(t, 0, join(t, client, "g", 1).next().Event.Event.EventNumber)

	records := 0
	require.NoError(t, n.log.forwards(0, n.committer.horizon.durable(), func(*record) (bool, error) { records++; return true, nil }))
	require.LessOrEqual(t, records, 400+1+2+2) // noise, wanted, the newest settings and checkpoints
}

// A checkpoint waits for its lower bound and its time, but not longer than its
// upper bound.
func TestCheckpointBounds(t *testing.T) {
	_, client := open(t)
	createGroup(t, client, "g", settings(func(s *esdb.PersistentSubscriptionSettings) {
		s.CheckpointLowerBound, s.CheckpointUpperBound, s.CheckpointAfter = 3, 6, 3_600_000
	}))
	appendAny(t, client, "s", jsonEvents(4, "Noise")...)
	w := join(t, client, "g", 1)
	e := func() *esdb.EventAppeared {
		appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
		return w.next()
	}
	held := e() // the sixth event, outstanding: the group's settings and four others are finished
	require.Nil(t, info(t, client, "g").Stats.LastCheckpointedPosition)
	w.ack(held)
	settled(t, client, "g", held.Event.Event.Position.Commit)
}

func TestDispatchToSingle(t *testing.T) {
	_, client := open(t)
	createGroup(t, client, "g", settings(func(s *esdb.PersistentSubscriptionSettings) {
		s.ConsumerStrategyName = esdb.ConsumerStrategyDispatchToSingle
	}))
	join(t, client, "g", 10)
	join(t, client, "g", 10)
	appendAny(t, client, "s", jsonEvents(6, "Wanted")...)
	require.Eventually(t, func() bool { return info(t, client, "g").Stats.TotalInFlightMessages == 6 }, patience, pollEvery)
	connections := info(t, client, "g").Connections
	require.ElementsMatch(t, []int64{0, 6}, []int64{connections[0].InFlightMessages, connections[1].InFlightMessages})
}

func TestGroupFollowsLinks(t *testing.T) {
	_, client := open(t)
	require.NoError(t, client.CreatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{
		StartFrom: esdb.Start{}, Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"links"}},
		Settings: settings(func(s *esdb.PersistentSubscriptionSettings) { s.ResolveLinkTos = true })}))
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	last := appendAny(t, client, "links", esdb.EventData{EventType: "$>", Data: []byte("0@s")}, esdb.EventData{EventType: "$>", Data: []byte("7@s")})
	w := join(t, client, "g", 10)
	good, broken := w.next(), w.next()
	require.Equal(t, "s", good.Event.Event.StreamID)
	require.Equal(t, "links", good.Event.Link.StreamID)
	require.Nil(t, broken.Event.Event)
	w.ack(good)
	w.ack(broken)
	settled(t, client, "g", last.CommitPosition)
}

func TestGroupStopsAtDamage(t *testing.T) {
	n, client := open(t)
	createGroup(t, client, "g", settings(nil))
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	w := join(t, client, "g", 10)
	w.ack(w.next())
	req := systemAppend("s", "Wanted", []byte("{}"), nil)
	sealRecord(req.events[0].encoded, 1, 1, 1) // for another position than its own
	position := n.committer.horizon.durable() + 1
	require.NoError(t, n.log.db.Set(allKey(position), req.events[0].encoded, pebble.NoSync))
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	dropped := w.sub.Recv().SubscriptionDropped
	require.NotNil(t, dropped)
	require.ErrorContains(t, dropped.Error, fmt.Sprintf("C:%d/P:%d is damaged", position, position))
	require.Equal(t, "Faulted", info(t, client, "g").Status)
}

// A node that cannot write any more has nothing to promise to consumers: they are
// told so, new ones too, and nobody tries to write on and on.
func TestGroupsEndWhenTheDiskFails(t *testing.T) {
	broken := failingSyncs()
	n := start(t, Options{files: errorfs.Wrap(vfs.Default, broken)})
	client := connect(t, n)
	createGroup(t, client, "g", settings(nil))
	appendAny(t, client, "s", jsonEvents(20, "Wanted")...)
	w := join(t, client, "g", 20)
	delivered := make([]*esdb.ResolvedEvent, 20)
	for i := range delivered {
		delivered[i] = w.next().Event
	}
	broken.On()
	require.NoError(t, w.sub.Ack(delivered[:19]...))
	dropped := w.sub.Recv().SubscriptionDropped
	require.NotNil(t, dropped)
	require.ErrorContains(t, dropped.Error, errReadOnly.Error())
	_, err := client.SubscribeToPersistentSubscriptionToAll(within(t), "g", esdb.SubscribeToPersistentSubscriptionOptions{})
	require.ErrorContains(t, err, errReadOnly.Error())
	broken.Off()
	_ = n.Close()

	client = connect(t, start(t, Options{Dir: n.dir}))
	w = join(t, client, "g", 20)
	for e := w.next(); e.Event.Event.EventID != delivered[19].Event.EventID; e = w.next() {
		w.ack(e) // may come again: their progress was not written
	}
}

// A consumer whose machine is cut off does not say good-bye. It is asked, and what
// it holds goes to another, long before it would time out.
func TestADeadConsumerIsNoticed(t *testing.T) {
	t.Parallel()
	n := start(t, Options{ping: 1500 * time.Millisecond})
	client := connect(t, n)
	createGroup(t, client, "g", settings(nil))
	line := dial(t, n)
	config, err := esdb.ParseConnectionString("esdb://" + line.Addr().String() + "?tls=false&keepAliveInterval=-1")
	require.NoError(t, err)
	config.Logger = esdb.NoopLogging()
	far, err := esdb.NewClient(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = far.Close() })

	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	dead := join(t, far, "g", 10)
	held := dead.next()
	line.cut.Store(true)
	again := join(t, client, "g", 10).next()
	require.Equal(t, held.Event.Event, again.Event.Event)
	require.Len(t, info(t, client, "g").Connections, 1)
}

// line leads to a node until it is cut: then it takes what is sent and passes on
// nothing, as a network does that swallows packets.
type line struct {
	net.Listener
	cut atomic.Bool
}

func dial(t *testing.T, n *Node) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{Listener: listener}
	var copying sync.WaitGroup
	pass := func(from, to net.Conn) {
		defer func() { _, _ = from.Close(), to.Close() }()
		for buffer := make([]byte, 32<<10); ; {
			size, err := from.Read(buffer)
			if err == nil && !l.cut.Load() {
				_, err = to.Write(buffer[:size])
			}
			if err != nil {
				return
			}
		}
	}
	copying.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", n.Addr().String())
			if err != nil {
				_ = near.Close()
				continue
			}
			copying.Go(func() { pass(near, far) })
			copying.Go(func() { pass(far, near) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		copying.Wait()
	})
	return l
}
