package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func createOn(t testing.TB, client *esdb.Client, stream, group string, from esdb.StreamPosition, s *esdb.PersistentSubscriptionSettings) {
	t.Helper()
	require.NoError(t, client.CreatePersistentSubscription(within(t), stream, group,
		esdb.PersistentStreamSubscriptionOptions{StartFrom: from, Settings: s}))
}

func joinOn(t testing.TB, client *esdb.Client, stream, group string, buffer uint32) *worker {
	t.Helper()
	sub, err := client.SubscribeToPersistentSubscription(within(t), stream, group, esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close() })
	return &worker{t, sub}
}

func infoOn(t testing.TB, client *esdb.Client, stream, group string) *esdb.PersistentSubscriptionInfo {
	t.Helper()
	i, err := client.GetPersistentSubscriptionInfo(within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
	require.NoError(t, err)
	return i
}

// settledOn is settled for a group on a stream.
func settledOn(t testing.TB, client *esdb.Client, stream, group string, checkpoint uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		stats := infoOn(t, client, stream, group).Stats
		return stats.OutstandingMessagesCount+stats.ReadBufferCount+stats.RetryBufferCount == 0 &&
			stats.LastCheckpointedEventRevision != nil && *stats.LastCheckpointedEventRevision >= checkpoint
	}, patience, pollEvery)
}

func (w *worker) dropped() error {
	w.t.Helper()
	e := w.sub.Recv()
	require.NotNil(w.t, e.SubscriptionDropped)
	return e.SubscriptionDropped.Error
}

// bareGroups is the generated client: it shows trailers, and sends what the official
// client does not.
func bareGroups(t testing.TB, n *Node) persistent.PersistentSubscriptionsClient {
	t.Helper()
	conn, err := grpc.NewClient(n.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageSize)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return persistent.NewPersistentSubscriptionsClient(conn)
}

func checkpoints(t testing.TB, client *esdb.Client, key groupKey) []string {
	t.Helper()
	var found []string
	for _, e := range readStream(t, client, key.progress(), esdb.ReadStreamOptions{}, 100) {
		require.Equal(t, checkpointType, e.Event.EventType)
		found = append(found, string(e.Event.Data))
	}
	return found
}

// A group on a stream sees that stream and nothing else, is woken by it alone, and
// goes on where it was after a restart.
func TestStreamGroup(t *testing.T) {
	n := start(t, Options{Tick: time.Hour}) // no clock helps
	client := connect(t, n)
	createOn(t, client, "s", "g", esdb.Start{}, settings(nil)) // the stream does not exist yet
	w := joinOn(t, client, "s", "g", 10)
	for i := range 5 {
		appendAny(t, client, "other", jsonEvent("Noise", "{}"))
		appendAny(t, client, "s-1", jsonEvent("Noise", "{}"))
		appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
		e := w.next()
		require.Equal(t, "s", e.Event.Event.StreamID)
		require.EqualValues(t, i, e.Event.Event.EventNumber)
		if i < 4 {
			w.ack(e)
			settledAt := func() bool {
				at := infoOn(t, client, "s", "g").Stats.LastCheckpointedEventRevision
				return at != nil && *at == uint64(i)
			}
			require.Eventually(t, settledAt, patience, pollEvery)
		}
	}
	i := infoOn(t, client, "s", "g")
	require.Equal(t, "s", i.EventSource)
	require.Equal(t, "g", i.GroupName)
	require.Equal(t, "Live", i.Status)
	require.Equal(t, esdb.Start{}, i.Settings.StartFrom)
	require.EqualValues(t, 4, *i.Stats.LastKnownEventRevision)
	require.EqualValues(t, 5, i.Stats.TotalItems)
	require.EqualValues(t, 1, i.Stats.TotalInFlightMessages)
	require.EqualValues(t, 1, i.Stats.OutstandingMessagesCount)
	require.Len(t, i.Connections, 1)
	require.EqualValues(t, 5, i.Connections[0].TotalItemsProcessed)
	require.EqualValues(t, 9, i.Connections[0].AvailableSlots)
	require.NotEmpty(t, i.Connections[0].From)
	require.Equal(t, []string{`"2"`, `"3"`}, checkpoints(t, client, groupKey{"s", "g"}))
	require.NoError(t, n.Close())

	client = connect(t, start(t, Options{Dir: n.dir}))
	w = joinOn(t, client, "s", "g", 10)
	e := w.next()
	require.EqualValues(t, 4, e.Event.Event.EventNumber)
	w.ack(e)
	settledOn(t, client, "s", "g", 4)

	// Groups of the same name on another stream and on $all are others.
	createOn(t, client, "s-1", "g", esdb.Start{}, nil)
	require.NoError(t, client.CreatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{}))
	all, err := client.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{})
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, stream := range []string{"s", "s-1"} {
		of, err := client.ListPersistentSubscriptionsForStream(within(t), stream, esdb.ListPersistentSubscriptionsOptions{})
		require.NoError(t, err)
		require.Len(t, of, 1)
		require.Equal(t, stream, of[0].EventSource)
	}
	err = client.CreatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{})
	require.Equal(t, esdb.ErrorCodeResourceAlreadyExists, code(err))

	w = joinOn(t, client, "s", "g", 10)
	require.NoError(t, client.DeletePersistentSubscription(within(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}))
	require.ErrorContains(t, w.dropped(), "was deleted")
	_, err = client.GetPersistentSubscriptionInfo(within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
	read, err := client.ReadStream(within(t), groupKey{"s", "g"}.progress(), esdb.ReadStreamOptions{}, 100)
	_, err = drainErr(read, err)
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
	require.EqualValues(t, 0, joinOn(t, client, "s-1", "g", 10).next().Event.Event.EventNumber)
}

func TestStreamGroupStarts(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(3, "Wanted")...)
	first := map[string]uint64{"start": 0, "revision": 1, "end": 3, "ahead": 5}
	for name, from := range map[string]esdb.StreamPosition{"start": esdb.Start{}, "revision": esdb.Revision(1), "end": esdb.End{}, "ahead": esdb.Revision(5)} {
		createOn(t, client, "s", name, from, nil)
	}
	createOn(t, client, "empty", "end", esdb.End{}, nil)
	require.Equal(t, esdb.End{}, infoOn(t, client, "s", "end").Settings.StartFrom)
	require.Equal(t, esdb.Revision(1), infoOn(t, client, "s", "revision").Settings.StartFrom)
	appendAny(t, client, "s", jsonEvents(3, "Wanted")...)
	appendAny(t, client, "empty", jsonEvent("Wanted", "{}"))
	require.NoError(t, n.Close())
	client = connect(t, start(t, Options{Dir: n.dir}))
	for name, revision := range first {
		require.Equal(t, revision, joinOn(t, client, "s", name, 10).next().Event.Event.EventNumber, name)
	}
	require.EqualValues(t, 0, joinOn(t, client, "empty", "end", 10).next().Event.Event.EventNumber)

	// What clients sent before there were groups on $all.
	bare := bareGroups(t, start(t, Options{}))
	_, err := bare.Create(within(t), &persistent.CreateReq{Options: &persistent.CreateReq_Options{
		StreamIdentifier: streamToWire([]byte("s")), GroupName: "old",
		Settings: &persistent.CreateReq_Settings{Revision: 7, ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1, NamedConsumerStrategy: persistent.CreateReq_RoundRobin},
	}})
	require.NoError(t, err)
	got, err := bare.GetInfo(within(t), getInfo("s", "old"))
	require.NoError(t, err)
	require.Equal(t, "7", got.GetSubscriptionInfo().GetStartFrom())
}

func getInfo(stream, group string) *persistent.GetInfoReq {
	o := &persistent.GetInfoReq_Options{GroupName: group, StreamOption: &persistent.GetInfoReq_Options_StreamIdentifier{StreamIdentifier: streamToWire([]byte(stream))}}
	if stream == allStream {
		o.StreamOption = &persistent.GetInfoReq_Options_All{All: &shared.Empty{}}
	}
	return &persistent.GetInfoReq{Options: o}
}

func TestStreamGroupFollowsLinks(t *testing.T) {
	_, client := open(t)
	createOn(t, client, "links", "resolved", esdb.Start{}, settings(func(s *esdb.PersistentSubscriptionSettings) { s.ResolveLinkTos = true }))
	createOn(t, client, "links", "plain", esdb.Start{}, settings(nil))
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	for _, data := range []string{"0@s", "7@s", "no link"} {
		appendAny(t, client, "links", esdb.EventData{EventType: "$>", Data: []byte(data)})
	}
	w := joinOn(t, client, "links", "resolved", 10)
	good, broken, senseless := w.next(), w.next(), w.next()
	require.Equal(t, "s", good.Event.Event.StreamID)
	require.Equal(t, "links", good.Event.Link.StreamID)
	require.Nil(t, broken.Event.Event)
	w.ack(good)
	w.nack(broken, esdb.NackActionPark)
	w.nack(senseless, esdb.NackActionPark)
	settledOn(t, client, "links", "resolved", 2)

	plain := joinOn(t, client, "links", "plain", 10).next()
	require.Equal(t, "$>", plain.Event.Event.EventType)
	require.Nil(t, plain.Event.Link)

	// Both come back: as the link to nothing, and as the link to what made no sense.
	require.NoError(t, client.ReplayParkedMessages(within(t), "links", "resolved", esdb.ReplayParkedMessagesOptions{}))
	broken, senseless = w.next(), w.next()
	require.Nil(t, broken.Event.Event)
	require.Equal(t, "7@s", string(broken.Event.Link.Data))
	require.Equal(t, "no link", string(senseless.Event.Event.Data))
	w.ack(broken)
	w.ack(senseless)
}

// changed are settings that differ from the defaults in everything.
func changed() *esdb.PersistentSubscriptionSettings {
	return &esdb.PersistentSubscriptionSettings{
		ResolveLinkTos: true, ExtraStatistics: true, MaxRetryCount: 3, CheckpointLowerBound: 1, CheckpointUpperBound: 4, MaxSubscriberCount: 5,
		LiveBufferSize: 6, ReadBatchSize: 7, HistoryBufferSize: 8, ConsumerStrategyName: esdb.ConsumerStrategyPinned, MessageTimeout: 9000, CheckpointAfter: 10,
	}
}

func TestUpdateChangesSettingsAndKeepsProgress(t *testing.T) {
	n, client := open(t)
	missing := client.UpdatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{Settings: settings(nil)})
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(missing))
	createOn(t, client, "s", "g", esdb.Start{}, settings(nil))
	appendAny(t, client, "s", jsonEvents(6, "Wanted")...)
	w := joinOn(t, client, "s", "g", 10)
	for range 3 {
		w.ack(w.next())
	}
	require.Eventually(t, func() bool { return *cmpOr(infoOn(t, client, "s", "g").Stats.LastCheckpointedEventRevision) == 2 }, patience, pollEvery)
	require.NoError(t, client.UpdatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{StartFrom: esdb.Revision(1), Settings: changed()}))
	for w.sub.Recv().SubscriptionDropped == nil {
	}
	check := func(client *esdb.Client) {
		t.Helper()
		got := infoOn(t, client, "s", "g")
		wanted := changed()
		wanted.StartFrom = esdb.Revision(1)
		require.Equal(t, wanted, got.Settings)
		// There is a checkpoint: where the settings say to start does not count.
		require.EqualValues(t, 3, joinOn(t, client, "s", "g", 10).next().Event.Event.EventNumber)
	}
	check(client)
	require.NoError(t, n.Close())
	check(connect(t, start(t, Options{Dir: n.dir})))
}

func cmpOr(revision *uint64) *uint64 {
	if revision == nil {
		none := ^uint64(0)
		return &none
	}
	return revision
}

// While there is no checkpoint, an update moves the start.
func TestUpdateMovesTheStart(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(3, "Wanted")...)
	createOn(t, client, "s", "g", esdb.End{}, nil)
	require.NoError(t, client.UpdatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{StartFrom: esdb.Revision(1)}))
	w := joinOn(t, client, "s", "g", 1)
	require.EqualValues(t, 1, w.next().Event.Event.EventNumber)
	require.NoError(t, w.sub.Close())

	// The official client sends the start for the end; others do better.
	bare := bareGroups(t, n)
	_, err := bare.Update(within(t), &persistent.UpdateReq{Options: &persistent.UpdateReq_Options{GroupName: "g",
		StreamOption: &persistent.UpdateReq_Options_Stream{Stream: &persistent.UpdateReq_StreamOptions{
			StreamIdentifier: streamToWire([]byte("s")), RevisionOption: &persistent.UpdateReq_StreamOptions_End{End: &shared.Empty{}}}},
		Settings: &persistent.UpdateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1}}})
	require.NoError(t, err)
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	w = joinOn(t, client, "s", "g", 1)
	e := w.next()
	require.EqualValues(t, 3, e.Event.Event.EventNumber)
}

// A request to change a group on $all carries no filter; the group keeps its own.
func TestUpdateKeepsTheFilter(t *testing.T) {
	n, client := open(t)
	createGroup(t, client, "g", settings(nil))
	require.NoError(t, client.UpdatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{StartFrom: esdb.Start{}, Settings: changed()}))
	check := func(client *esdb.Client, number uint64) {
		t.Helper()
		appendAny(t, client, "noise", jsonEvent("Noise", "{}"))
		appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
		w := join(t, client, "g", 10)
		e := w.next()
		require.Equal(t, "Wanted", e.Event.Event.EventType)
		require.Equal(t, number, e.Event.Event.EventNumber)
		w.ack(e)
		settled(t, client, "g", e.Event.Event.Position.Commit)
	}
	check(client, 0)
	require.NoError(t, n.Close())
	client = connect(t, start(t, Options{Dir: n.dir}))
	check(client, 1)

	past := esdb.Position{Commit: 1 << 40, Prepare: 1 << 40}
	require.Error(t, client.UpdatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{StartFrom: past, Settings: changed()}))
}

// replays is what TestReplay needs of a group, on a stream or on $all.
type replays struct {
	key    groupKey
	create func(*esdb.Client, *esdb.PersistentSubscriptionSettings)
	join   func(*esdb.Client) *worker
	replay func(*esdb.Client, int)
	info   func(*esdb.Client) *esdb.PersistentSubscriptionInfo
}

func onBoth(t *testing.T, test func(*testing.T, replays)) {
	t.Run("stream", func(t *testing.T) {
		test(t, replays{
			key: groupKey{"s", "g"},
			create: func(c *esdb.Client, s *esdb.PersistentSubscriptionSettings) {
				createOn(t, c, "s", "g", esdb.Start{}, s)
			},
			join: func(c *esdb.Client) *worker { return joinOn(t, c, "s", "g", 20) },
			replay: func(c *esdb.Client, stop int) {
				require.NoError(t, c.ReplayParkedMessages(within(t), "s", "g", esdb.ReplayParkedMessagesOptions{StopAt: stop}))
			},
			info: func(c *esdb.Client) *esdb.PersistentSubscriptionInfo { return infoOn(t, c, "s", "g") },
		})
	})
	t.Run("all", func(t *testing.T) {
		test(t, replays{
			key:    groupKey{allStream, "g"},
			create: func(c *esdb.Client, s *esdb.PersistentSubscriptionSettings) { createGroup(t, c, "g", s) },
			join:   func(c *esdb.Client) *worker { return join(t, c, "g", 20) },
			replay: func(c *esdb.Client, stop int) {
				require.NoError(t, c.ReplayParkedMessagesToAll(within(t), "g", esdb.ReplayParkedMessagesOptions{StopAt: stop}))
			},
			info: func(c *esdb.Client) *esdb.PersistentSubscriptionInfo { return info(t, c, "g") },
		})
	})
}

// replayedUpTo waits for the durable $tb of what a group has parked.
func replayedUpTo(t *testing.T, client *esdb.Client, key groupKey, revision uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		read, err := client.ReadStream(within(t), "$$"+key.parked(), esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
		events, err := drainErr(read, err)
		if err != nil || len(events) == 0 {
			return false
		}
		require.Equal(t, "$metadata", events[0].Event.EventType)
		var m map[string]uint64
		require.NoError(t, json.Unmarshal(events[0].Event.Data, &m))
		return m["$tb"] == revision
	}, patience, pollEvery)
}

func TestReplay(t *testing.T) {
	onBoth(t, func(t *testing.T, r replays) {
		n, client := open(t)
		r.create(client, settings(nil))
		appendAny(t, client, "s", jsonEvents(5, "Wanted")...)
		w := r.join(client)
		parked := func(count int) {
			t.Helper()
			require.Eventually(t, func() bool { return r.info(client).Stats.ParkedMessagesCount == int64(count) }, patience, pollEvery)
		}
		for range 5 {
			w.nack(w.next(), esdb.NackActionPark)
		}
		parked(5)
		require.NoError(t, w.sub.Close())

		// Nobody is there; what is replayed waits, in front of what is new.
		require.Eventually(t, func() bool { return len(r.info(client).Connections) == 0 }, patience, pollEvery)
		r.replay(client, 2)
		parked(3)
		appendAny(t, client, "s", jsonEvents(1, "Wanted")...)
		w = r.join(client)
		for number := range uint64(2) {
			e := w.next()
			require.Equal(t, 0, e.RetryCount)
			require.Equal(t, "s", e.Event.Event.StreamID)
			require.Equal(t, number, e.Event.Event.EventNumber)
			require.Equal(t, r.key.parked(), e.Event.Link.StreamID)
			require.Equal(t, number, e.Event.Link.EventNumber)
			w.ack(e)
		}
		fresh := w.next()
		require.EqualValues(t, 5, fresh.Event.Event.EventNumber)
		require.Nil(t, fresh.Event.Link)
		w.ack(fresh)
		replayedUpTo(t, client, r.key, 2)
		parked(3)

		// Twice in a row is once. One of the three is parked once more, and counts once.
		r.replay(client, 0)
		r.replay(client, 0)
		parked(0)
		for number := uint64(2); number < 5; number++ {
			e := w.next()
			require.Equal(t, number, e.Event.Event.EventNumber)
			require.Equal(t, 0, e.RetryCount)
			if number == 3 {
				w.nack(e, esdb.NackActionPark)
			} else {
				w.ack(e)
			}
		}
		parked(1)
		replayedUpTo(t, client, r.key, 5)
		links := readStream(t, client, r.key.parked(), esdb.ReadStreamOptions{From: esdb.Revision(5), ResolveLinkTos: true}, 100)
		require.Len(t, links, 1)
		require.EqualValues(t, 3, links[0].Event.EventNumber)
		require.Equal(t, "3@s", string(links[0].Link.Data))

		// Taken up and not finished: a restart puts it back.
		r.replay(client, 0)
		parked(0)
		e := w.next()
		require.EqualValues(t, 3, e.Event.Event.EventNumber)
		require.NoError(t, n.Close())
		n = start(t, Options{Dir: n.dir})
		client = connect(t, n)
		parked(1)
		r.replay(client, 0)
		w = r.join(client)
		e = w.next()
		require.EqualValues(t, 3, e.Event.Event.EventNumber)
		w.nack(e, esdb.NackActionRetry)
		e = w.next()
		require.Equal(t, 1, e.RetryCount)
		w.ack(e)
		replayedUpTo(t, client, r.key, 6)
		require.NoError(t, n.Close())
		client = connect(t, start(t, Options{Dir: n.dir}))
		parked(0)
		r.replay(client, 0)
		appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
		require.EqualValues(t, 6, r.join(client).next().Event.Event.EventNumber)
	})
}

// A long replay is loaded bit by bit, and what is parked meanwhile is not part of it.
func TestReplayOfMany(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	const total = 600
	createOn(t, client, "s", "g", esdb.Start{}, settings(func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount = 0; s.HistoryBufferSize = 50 }))
	appendAny(t, client, "s", jsonEvents(total, "Wanted")...)
	w := joinOn(t, client, "s", "g", 30)
	for range total {
		w.nack(w.next(), esdb.NackActionRetry) // one too many
	}
	require.Eventually(t, func() bool { return infoOn(t, client, "s", "g").Stats.ParkedMessagesCount == total }, patience, pollEvery)
	require.NoError(t, client.ReplayParkedMessages(within(t), "s", "g", esdb.ReplayParkedMessagesOptions{}))
	seen := map[uint64]bool{}
	for i := range total {
		e := w.next()
		require.False(t, seen[e.Event.Event.EventNumber])
		seen[e.Event.Event.EventNumber] = true
		if i%3 == 0 {
			w.nack(e, esdb.NackActionPark)
		} else {
			w.ack(e)
		}
	}
	require.Eventually(t, func() bool { return infoOn(t, client, "s", "g").Stats.ParkedMessagesCount == total/3 }, patience, pollEvery)
	replayedUpTo(t, client, groupKey{"s", "g"}, total)
	require.Len(t, readStream(t, client, groupKey{"s", "g"}.parked(), esdb.ReadStreamOptions{From: esdb.Revision(total)}, 1000), total/3)
}

func TestRestartSubsystem(t *testing.T) {
	_, client := open(t)
	createOn(t, client, "s", "g", esdb.Start{}, settings(nil))
	createGroup(t, client, "g", settings(nil))
	appendAny(t, client, "s", jsonEvents(4, "Wanted")...)
	w, other := joinOn(t, client, "s", "g", 10), join(t, client, "g", 10)
	w.ack(w.next())
	w.nack(w.next(), esdb.NackActionPark)
	other.next()
	require.Eventually(t, func() bool { return *cmpOr(infoOn(t, client, "s", "g").Stats.LastCheckpointedEventRevision) == 1 }, patience, pollEvery)
	require.NoError(t, client.RestartPersistentSubscriptionSubsystem(within(t), esdb.RestartPersistentSubscriptionSubsystemOptions{}))
	for _, consumer := range []*worker{w, other} {
		var e *esdb.PersistentSubscriptionEvent
		for e = consumer.sub.Recv(); e.SubscriptionDropped == nil; e = consumer.sub.Recv() {
		}
		require.Equal(t, codes.Canceled, status.Code(e.SubscriptionDropped.Error))
		require.ErrorContains(t, e.SubscriptionDropped.Error, "was restarted")
	}
	require.EqualValues(t, 1, infoOn(t, client, "s", "g").Stats.ParkedMessagesCount)
	require.EqualValues(t, 2, joinOn(t, client, "s", "g", 10).next().Event.Event.EventNumber)
	again := join(t, client, "g", 10).next()
	require.EqualValues(t, 0, again.Event.Event.EventNumber)
}

func TestPinned(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	createGroup(t, client, "g", settings(func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = esdb.ConsumerStrategyPinned }))
	const streams, rounds = 40, 3
	send := func() {
		for i := range streams {
			appendAny(t, client, fmt.Sprint("s-", i), jsonEvent("Wanted", "{}"))
		}
	}
	// owners returns who got each stream's messages, which are in order.
	owners := func(workers ...*worker) map[string]int {
		t.Helper()
		require.Eventually(t, func() bool {
			i := info(t, client, "g")
			return i.Stats.TotalInFlightMessages == streams*rounds && len(i.Connections) == len(workers)
		}, patience, pollEvery)
		owner, last := map[string]int{}, map[string]uint64{}
		for who, c := range info(t, client, "g").Connections { // in the order in which they came
			for range c.InFlightMessages {
				e := workers[who].next().Event
				name := e.Event.StreamID
				if previous, known := last[name]; known {
					require.Equal(t, previous+1, e.Event.EventNumber)
				}
				last[name] = e.Event.EventNumber
				if before, known := owner[name]; known {
					require.Equal(t, before, who)
				}
				owner[name] = who
				require.NoError(t, workers[who].sub.Ack(e))
			}
		}
		require.Len(t, owner, streams)
		require.Eventually(t, func() bool { return info(t, client, "g").Stats.OutstandingMessagesCount == 0 }, patience, pollEvery)
		return owner
	}
	a := join(t, client, "g", 1000)
	for range rounds {
		send()
	}
	owners(a)
	// A newcomer takes over its share and no more.
	b := join(t, client, "g", 1000)
	for range rounds {
		send()
	}
	count := map[int]int{}
	for _, who := range owners(a, b) {
		count[who]++
	}
	require.Len(t, count, 2)
	for _, has := range count {
		require.Greater(t, has, streams/4)
	}
	// When it leaves, the other one has everything again.
	require.NoError(t, b.sub.Close())
	require.Eventually(t, func() bool { return len(info(t, client, "g").Connections) == 1 }, patience, pollEvery)
	for range rounds {
		send()
	}
	owners(a)
}

// Nobody waits for a consumer that is busy with another stream, and no stream is
// worked on by two.
func TestPinnedMessagesPassBy(t *testing.T) {
	_, client := open(t)
	createGroup(t, client, "g", settings(func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = esdb.ConsumerStrategyPinned }))
	a, b := join(t, client, "g", 1), join(t, client, "g", 1)
	appendAny(t, client, "x", jsonEvents(5, "Wanted")...)
	appendAny(t, client, "y", jsonEvents(5, "Wanted")...)
	got := map[*worker][]uint64{}
	e, f := a.next(), b.next()
	require.ElementsMatch(t, []string{"x", "y"}, []string{e.Event.Event.StreamID, f.Event.Event.StreamID})
	mine, theirs := e.Event.Event.StreamID, f.Event.Event.StreamID
	for i := range 5 {
		require.Equal(t, mine, e.Event.Event.StreamID)
		require.Equal(t, theirs, f.Event.Event.StreamID)
		got[a] = append(got[a], e.Event.Event.EventNumber)
		got[b] = append(got[b], f.Event.Event.EventNumber)
		a.ack(e)
		b.ack(f)
		if i < 4 {
			e, f = a.next(), b.next()
		}
	}
	require.Equal(t, []uint64{0, 1, 2, 3, 4}, got[a])
	require.Equal(t, got[a], got[b])
}

func TestPinnedByCorrelation(t *testing.T) {
	n, client := open(t)
	_, err := bareGroups(t, n).Create(within(t), &persistent.CreateReq{Options: &persistent.CreateReq_Options{GroupName: "g",
		StreamOption: &persistent.CreateReq_Options_Stream{Stream: &persistent.CreateReq_StreamOptions{
			StreamIdentifier: streamToWire([]byte("s")), RevisionOption: &persistent.CreateReq_StreamOptions_Start{Start: &shared.Empty{}}}},
		Settings: &persistent.CreateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 100, MaxCheckpointCount: 1, ConsumerStrategy: strategyCorrelation}}})
	require.NoError(t, err)
	require.EqualValues(t, strategyCorrelation, infoOn(t, client, "s", "g").Settings.ConsumerStrategyName)
	a, b := joinOn(t, client, "s", "g", 50), joinOn(t, client, "s", "g", 50)
	for i := range 20 {
		e := jsonEvent("Wanted", "{}")
		e.Metadata = fmt.Appendf(nil, `{"other":1,"$correlationId":"c-%d"}`, i%2)
		appendAny(t, client, "s", e)
	}
	for _, w := range []*worker{a, b} {
		first := string(w.next().Event.Event.UserMetadata)
		for range 9 {
			require.Equal(t, first, string(w.next().Event.Event.UserMetadata))
		}
	}
}

// Statuses and trailers are those by which clients tell errors apart.
func TestGroupErrors(t *testing.T) {
	n, client := open(t)
	bare := bareGroups(t, n)
	create := func(stream, group string, s *persistent.CreateReq_Settings) *persistent.CreateReq {
		return &persistent.CreateReq{Options: &persistent.CreateReq_Options{GroupName: group, Settings: s,
			StreamOption: &persistent.CreateReq_Options_Stream{Stream: &persistent.CreateReq_StreamOptions{
				StreamIdentifier: streamToWire([]byte(stream)), RevisionOption: &persistent.CreateReq_StreamOptions_Start{Start: &shared.Empty{}}}}}}
	}
	good := &persistent.CreateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1, MaxSubscriberCount: 1, ConsumerStrategy: strategyRoundRobin}
	group := "gr\u00fcn\r\ng"
	check := func(c codes.Code, exception, stream, group string, call func(grpc.CallOption) error) metadata.MD {
		t.Helper()
		var trailer metadata.MD
		err := call(grpc.Trailer(&trailer))
		require.Equal(t, c, status.Code(err), "%v", err)
		require.Equal(t, []string{exception}, trailer.Get(trailerException))
		require.Equal(t, []string{stream}, trailer.Get(trailerStreamName))
		require.Equal(t, []string{group}, trailer.Get(trailerGroupName))
		return trailer
	}
	creating := func(req *persistent.CreateReq) func(grpc.CallOption) error {
		return func(o grpc.CallOption) error { _, err := bare.Create(within(t), req, o); return err }
	}
	require.NoError(t, creating(create("s", group, good))(grpc.Header(&metadata.MD{})))
	encoded := "gr%C3%BCn%0D%0Ag"
	check(codes.AlreadyExists, exceptionGroupExists, "s", encoded, creating(create("s", group, good)))
	failed := check(codes.Internal, exceptionGroupFailed, "s", "h", creating(create("s", "h", &persistent.CreateReq_Settings{ReadBatchSize: 3, HistoryBufferSize: 3, MaxCheckpointCount: 1, ConsumerStrategy: strategyRoundRobin})))
	require.Contains(t, failed.Get(trailerReason)[0], "read batch size")
	check(codes.Internal, exceptionGroupFailed, "s", "h", creating(create("s", "h", &persistent.CreateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 3, MaxCheckpointCount: 1, ConsumerStrategy: "Best"})))
	check(codes.Internal, exceptionGroupFailed, allStream, "h", creating(create(allStream, "h", good)))
	check(codes.Internal, exceptionGroupFailed, "", "h", creating(create("", "h", good)))
	check(codes.Internal, exceptionGroupFailed, "%FF", "h", creating(create("\xff", "h", good)))
	check(codes.Internal, exceptionGroupFailed, strings.Repeat("s", maxStreamName+1), "h", creating(create(strings.Repeat("s", maxStreamName+1), "h", good)))
	check(codes.Internal, exceptionGroupFailed, "s", strings.Repeat("g", maxGroupName+1), creating(create("s", strings.Repeat("g", maxGroupName+1), good)))

	stream := streamToWire([]byte("s"))
	missing := map[string]func(grpc.CallOption) error{
		"info": func(o grpc.CallOption) error { _, err := bare.GetInfo(within(t), getInfo("s", "none"), o); return err },
		"delete": func(o grpc.CallOption) error {
			_, err := bare.Delete(within(t), &persistent.DeleteReq{Options: &persistent.DeleteReq_Options{GroupName: "none", StreamOption: &persistent.DeleteReq_Options_StreamIdentifier{StreamIdentifier: stream}}}, o)
			return err
		},
		"replay": func(o grpc.CallOption) error {
			_, err := bare.ReplayParked(within(t), &persistent.ReplayParkedReq{Options: &persistent.ReplayParkedReq_Options{GroupName: "none",
				StreamOption: &persistent.ReplayParkedReq_Options_StreamIdentifier{StreamIdentifier: stream}}}, o)
			return err
		},
		"update": func(o grpc.CallOption) error {
			_, err := bare.Update(within(t), &persistent.UpdateReq{Options: &persistent.UpdateReq_Options{GroupName: "none",
				StreamOption: &persistent.UpdateReq_Options_Stream{Stream: &persistent.UpdateReq_StreamOptions{StreamIdentifier: stream, RevisionOption: &persistent.UpdateReq_StreamOptions_Start{}}},
				Settings:     &persistent.UpdateReq_Settings{ReadBatchSize: 1, HistoryBufferSize: 2, MaxCheckpointCount: 1}}}, o)
			return err
		},
		"read": func(o grpc.CallOption) error { return readBare(t, bare, "s", "none", o) },
	}
	for name, call := range missing {
		t.Log(name)
		check(codes.NotFound, exceptionGroupMissing, "s", "none", call)
	}
	check(codes.Internal, exceptionGroupFailed, "s", group[:2], func(o grpc.CallOption) error {
		_, err := bare.ReplayParked(within(t), &persistent.ReplayParkedReq{Options: &persistent.ReplayParkedReq_Options{GroupName: group[:2],
			StreamOption: &persistent.ReplayParkedReq_Options_StreamIdentifier{StreamIdentifier: stream}, StopAtOption: &persistent.ReplayParkedReq_Options_StopAt{StopAt: -1}}}, o)
		return err
	})

	w := joinOn(t, client, "s", group, 10)
	check(codes.FailedPrecondition, exceptionMaxSubscribers, "s", encoded, func(o grpc.CallOption) error { return readBare(t, bare, "s", group, o) })
	require.NoError(t, w.sub.Close())
	require.Eventually(t, func() bool { return len(infoOn(t, client, "s", group).Connections) == 0 }, patience, pollEvery)
	check(codes.Canceled, exceptionGroupDropped, "s", encoded, func(o grpc.CallOption) error {
		return readBare(t, bare, "s", group, o, func() {
			require.NoError(t, client.DeletePersistentSubscription(within(t), "s", group, esdb.DeletePersistentSubscriptionOptions{}))
		})
	})
}

// readBare connects a consumer, does what is asked for once it is connected, and
// returns why it ended.
func readBare(t *testing.T, bare persistent.PersistentSubscriptionsClient, stream, group string, o grpc.CallOption, connected ...func()) error {
	t.Helper()
	call, err := bare.Read(within(t), o)
	require.NoError(t, err)
	require.NoError(t, call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: &persistent.ReadReq_Options{GroupName: group, BufferSize: 10,
		StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: streamToWire([]byte(stream))}}}}))
	for {
		msg, err := call.Recv()
		if err != nil {
			return err
		}
		if msg.GetSubscriptionConfirmation() != nil {
			require.Equal(t, stream+"::"+group, msg.GetSubscriptionConfirmation().GetSubscriptionId())
			for _, f := range connected {
				f()
			}
		}
	}
}

func TestVerdictsAreLimited(t *testing.T) {
	n, client := open(t)
	createOn(t, client, "s", "g", esdb.Start{}, settings(nil))
	call, err := bareGroups(t, n).Read(within(t))
	require.NoError(t, err)
	require.NoError(t, call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: &persistent.ReadReq_Options{GroupName: "g", BufferSize: 10,
		StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: streamToWire([]byte("s"))}}}}))
	_, err = call.Recv()
	require.NoError(t, err)
	ids := slices.Repeat([]*shared.UUID{uuidToWire(uuid.New(), false)}, maxVerdicts+1)
	require.NoError(t, call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Ack_{Ack: &persistent.ReadReq_Ack{Ids: ids}}}))
	_, err = call.Recv()
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestReasonsAreCut(t *testing.T) {
	_, client := open(t)
	createOn(t, client, "s", "g", esdb.Start{}, settings(nil))
	appendAny(t, client, "s", jsonEvent("Wanted", "{}"))
	w := joinOn(t, client, "s", "g", 10)
	require.NoError(t, w.sub.Nack(strings.Repeat("\u00fc", 1<<20), esdb.NackActionPark, w.next().Event))
	settledOn(t, client, "s", "g", 0)
	links := readStream(t, client, groupKey{"s", "g"}.parked(), esdb.ReadStreamOptions{}, 10)
	require.Len(t, links, 1)
	var m parkedMetadata
	require.NoError(t, json.Unmarshal(links[0].Event.UserMetadata, &m))
	require.Equal(t, strings.Repeat("\u00fc", maxReason/2), m.Reason)
}

func TestNumberOfGroupsIsLimited(t *testing.T) {
	n, client := open(t)
	createOn(t, client, "s-0", "g", esdb.Start{}, settings(nil))
	var configs []groupConfig
	for i := range maxGroups {
		config := n.groups.find(groupKey{"s-0", "g"}).config
		config.Stream = fmt.Sprint("s-", i)
		configs = append(configs, config)
	}
	_, err := storeConfig(context.Background(), n.committer, configs)
	require.NoError(t, err)
	require.NoError(t, n.Close())
	n = start(t, Options{Dir: n.dir})
	client = connect(t, n)
	require.ErrorContains(t, client.CreatePersistentSubscription(within(t), "one", "more", esdb.PersistentStreamSubscriptionOptions{}), "delete those that nobody uses")
	require.NoError(t, client.DeletePersistentSubscription(within(t), "s-7", "g", esdb.DeletePersistentSubscriptionOptions{}))
	createOn(t, client, "one", "more", esdb.Start{}, settings(nil))
	require.Len(t, n.groups.list(""), maxGroups)
}

func TestBookkeepingIsTheNodesOwn(t *testing.T) {
	for stream, own := range map[string]bool{
		configStream: true, epochStream: true, groupKey{"s", "g"}.progress(): true, groupKey{"s", "g"}.parked(): true, groupKey{allStream, "g"}.parked(): true,
		"$$" + configStream: true, "$$" + groupKey{"s", "g"}.parked(): true,
		"$persistentsubscription-": false, "$persistentsubscription-s::g": false, "s-parked": false, "$$s": false, "": false,
	} {
		require.Equal(t, own, bookkeeping(stream), stream)
	}
}
