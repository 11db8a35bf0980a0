package node

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestReadBackWhatWasWritten(t *testing.T) {
	_, client := open(t)
	began := time.Now().Add(-time.Millisecond)
	id := uuid.New()
	res := appendAny(t, client, "订单-1",
		esdb.EventData{EventID: id, EventType: "类型", ContentType: esdb.ContentTypeJson, Data: []byte(`{"a":1}`), Metadata: []byte(`{"m":2}`)},
		esdb.EventData{EventType: "binary", Data: []byte{0, 1, 255}})
	events := readStream(t, client, "订单-1", esdb.ReadStreamOptions{}, 10)
	require.Len(t, events, 2)
	e := events[0].Event
	require.Equal(t, id, e.EventID)
	require.Equal(t, "类型", e.EventType)
	require.Equal(t, "订单-1", e.StreamID)
	require.Equal(t, "application/json", e.ContentType)
	require.Equal(t, `{"a":1}`, string(e.Data))
	require.Equal(t, `{"m":2}`, string(e.UserMetadata))
	require.WithinRange(t, e.CreatedDate, began, time.Now())
	require.Equal(t, "application/octet-stream", events[1].Event.ContentType)
	require.Equal(t, []byte{0, 1, 255}, events[1].Event.Data)
	require.Equal(t, res.CommitPosition, events[1].Event.Position.Commit)
	require.Equal(t, res.CommitPosition, *events[1].Commit)
}

func TestReadStream(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	const total = 600 // more than two pages
	appendAny(t, client, "s", jsonEvents(total, "a")...)
	// Streams around it in the order of the keys, one of them a prefix of it.
	for _, other := range []string{"", "\x00", "\x00\xff", "\x01", "a", "-"} {
		appendAny(t, client, "s"+other+"x", jsonEvent("b", "{}"))
	}
	appendAny(t, client, "r", jsonEvent("b", "{}"))
	count := func(from, n uint64) []uint64 {
		expected := []uint64{}
		for i := range n {
			expected = append(expected, from+i)
		}
		return expected
	}
	down := func(from, n uint64) []uint64 {
		expected := []uint64{}
		for i := range n {
			expected = append(expected, from-i)
		}
		return expected
	}
	read := func(direction esdb.Direction, from esdb.StreamPosition, n uint64) []uint64 {
		return revisions(readStream(t, client, "s", esdb.ReadStreamOptions{Direction: direction, From: from}, n))
	}
	require.Equal(t, count(0, total), read(esdb.Forwards, esdb.Start{}, 1<<62))
	require.Equal(t, count(0, 3), read(esdb.Forwards, esdb.Start{}, 3))
	require.Equal(t, count(5, 256), read(esdb.Forwards, esdb.Revision(5), 256))
	require.Equal(t, count(5, 257), read(esdb.Forwards, esdb.Revision(5), 257))
	require.Equal(t, count(total-1, 1), read(esdb.Forwards, esdb.Revision(total-1), 9))
	require.Equal(t, count(total-1, 1), read(esdb.Forwards, esdb.End{}, 9))
	require.Empty(t, read(esdb.Forwards, esdb.Revision(total), 9))
	require.Empty(t, read(esdb.Forwards, esdb.Start{}, 0))
	require.Equal(t, down(total-1, total), read(esdb.Backwards, esdb.End{}, 1<<62))
	require.Equal(t, down(total-1, 2), read(esdb.Backwards, esdb.Revision(1<<40), 2))
	require.Equal(t, down(7, 8), read(esdb.Backwards, esdb.Revision(7), 100))
	require.Equal(t, down(7, 2), read(esdb.Backwards, esdb.Revision(7), 2))
	require.Equal(t, down(0, 1), read(esdb.Backwards, esdb.Start{}, 9))

	missing, err := client.ReadStream(within(t), "nowhere", esdb.ReadStreamOptions{}, 1)
	require.NoError(t, err)
	_, err = missing.Recv()
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err))
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	const total = 600
	for i := range 6 {
		appendAny(t, client, fmt.Sprint("s", i), jsonEvents(total/6, "a")...)
	}
	all := readAll(t, client, esdb.ReadAllOptions{}, 1<<62)
	require.Len(t, all, total)
	back := readAll(t, client, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1<<62)
	require.Len(t, back, total)
	for i := range all {
		require.Equal(t, all[i].Event, back[total-1-i].Event)
	}
	at := all[300].Event.Position
	forwards := readAll(t, client, esdb.ReadAllOptions{From: at}, 3)
	require.Equal(t, all[300].Event, forwards[0].Event, "forwards a position is included")
	require.Len(t, forwards, 3)
	backwards := readAll(t, client, esdb.ReadAllOptions{Direction: esdb.Backwards, From: at}, 3)
	require.Equal(t, all[299].Event, backwards[0].Event, "backwards it is not")
	require.Empty(t, readAll(t, client, esdb.ReadAllOptions{From: esdb.End{}}, 3))
	require.Empty(t, readAll(t, client, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.Start{}}, 3))
	past := esdb.Position{Commit: 1 << 62, Prepare: 1 << 62}
	require.Empty(t, readAll(t, client, esdb.ReadAllOptions{From: past}, 3))
	require.Len(t, readAll(t, client, esdb.ReadAllOptions{Direction: esdb.Backwards, From: past}, 3), 3)
}

func TestReadFollowsLinks(t *testing.T) {
	_, client := open(t)
	appendAny(t, client, "s", jsonEvents(2, "a")...)
	for _, target := range []string{"1@s", "9@s", "0@nowhere", "x@s", "@", "1@"} {
		appendAny(t, client, "links", esdb.EventData{EventType: "$>", Data: []byte(target)})
	}
	events := readStream(t, client, "links", esdb.ReadStreamOptions{ResolveLinkTos: true}, 10)
	require.Len(t, events, 6)
	require.Equal(t, "s", events[0].Event.StreamID)
	require.EqualValues(t, 1, events[0].Event.EventNumber)
	require.Equal(t, "links", events[0].Link.StreamID)
	require.Equal(t, events[0].Link, events[0].OriginalEvent())
	for _, broken := range events[1:] {
		require.Nil(t, broken.Event)
		require.NotNil(t, broken.Link)
	}
	for _, plain := range readStream(t, client, "links", esdb.ReadStreamOptions{}, 10) {
		require.Nil(t, plain.Link)
	}
}

// What the Go client does not ask for: string ids, the ends of a stream, filters on
// finite reads.
func TestReadOptionsOfOtherClients(t *testing.T) {
	n, client := open(t)
	events := append(jsonEvents(40, "noise"), jsonEvents(3, "wanted")...)
	appendAny(t, client, "s", events...)
	read := func(o *streams.ReadReq_Options) []*streams.ReadResp {
		t.Helper()
		if o.UuidOption == nil {
			o.UuidOption = &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}}
		}
		call, err := streams.NewStreamsClient(raw(t, n)).Read(within(t), &streams.ReadReq{Options: o})
		require.NoError(t, err)
		var got []*streams.ReadResp
		for {
			m, err := call.Recv()
			if errors.Is(err, io.EOF) {
				return got
			}
			require.NoError(t, err)
			got = append(got, m)
		}
	}
	all := func() *streams.ReadReq_Options_All {
		return &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_Start{}}}
	}
	got := read(&streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
			StreamIdentifier: streamToWire([]byte("s")), RevisionOption: &streams.ReadReq_Options_StreamOptions_Start{}}},
		CountOption:   &streams.ReadReq_Options_Count{Count: 2},
		ControlOption: &streams.ReadReq_Options_ControlOption{Compatibility: 1},
	})
	require.Len(t, got, 4)
	require.Equal(t, events[0].EventID.String(), got[0].GetEvent().GetEvent().GetId().GetString_())
	require.EqualValues(t, 0, got[2].GetFirstStreamPosition())
	require.EqualValues(t, 42, got[3].GetLastStreamPosition())

	got = read(&streams.ReadReq_Options{StreamOption: all(), CountOption: &streams.ReadReq_Options_Count{Count: 1},
		ControlOption: &streams.ReadReq_Options_ControlOption{Compatibility: 1}})
	require.Len(t, got, 2)
	require.NotZero(t, got[1].GetLastAllStreamPosition().GetCommitPosition())

	for _, expression := range []*streams.ReadReq_Options_FilterOptions_Expression{{Regex: "ante"}, {Prefix: []string{"x", "want"}}} {
		filtered := func(count uint64) []*streams.ReadResp {
			return read(&streams.ReadReq_Options{StreamOption: all(), CountOption: &streams.ReadReq_Options_Count{Count: count},
				FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
					Filter: &streams.ReadReq_Options_FilterOptions_EventType{EventType: expression}}}})
		}
		require.Len(t, filtered(10), 3)
		require.Len(t, filtered(2), 2)
	}
}

// A flipped bit is an error that names the position, from whatever side one comes.
func TestDamageIsNamedAndNotSkipped(t *testing.T) {
	n := start(t, Options{})
	client := connect(t, n)
	appendAny(t, client, "s", jsonEvents(5, "a")...)
	appendAny(t, client, "other", jsonEvents(2, "a")...)
	damaged := readAll(t, client, esdb.ReadAllOptions{}, 10)[3].Event.Position.Commit
	key := allKey(damaged)
	value, closer, err := n.log.db.Get(key)
	require.NoError(t, err)
	broken := append([]byte{}, value...)
	require.NoError(t, closer.Close())
	broken[len(broken)-1] ^= 1
	require.NoError(t, n.log.db.Set(key, broken, pebble.NoSync))

	named := fmt.Sprintf("position C:%d/P:%d is damaged", damaged, damaged)
	check := func(read *esdb.ReadStream, err error, before int) {
		t.Helper()
		events, err := drainErr(read, err)
		require.ErrorContains(t, err, named)
		require.LessOrEqual(t, len(events), before)
	}
	read, err := client.ReadAll(within(t), esdb.ReadAllOptions{}, 10)
	check(read, err, 3)
	read, err = client.ReadAll(within(t), esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 10)
	check(read, err, 3)
	read, err = client.ReadStream(within(t), "s", esdb.ReadStreamOptions{}, 10)
	check(read, err, 3)
	require.Len(t, readStream(t, client, "other", esdb.ReadStreamOptions{}, 10), 2)

	sub, err := client.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
	require.NoError(t, err)
	for {
		if e := sub.Recv(); e.SubscriptionDropped != nil {
			require.ErrorContains(t, e.SubscriptionDropped.Error, named)
			break
		}
	}
	// A missing record is damage too.
	require.NoError(t, n.log.db.Delete(key, pebble.NoSync))
	read, err = client.ReadStream(within(t), "s", esdb.ReadStreamOptions{}, 10)
	check(read, err, 3)
}
