package node

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/stretchr/testify/require"
)

// describe appends metadata as it is given.
func describe(t testing.TB, client *esdb.Client, stream, metadata string) *esdb.WriteResult {
	t.Helper()
	return appendAny(t, client, "$$"+stream, jsonEvent("$metadata", metadata))
}

// readable are the revisions that a stream shows forwards; backwards it has to show
// the same.
func readable(t testing.TB, client *esdb.Client, stream string) []uint64 {
	t.Helper()
	up := revisions(readStream(t, client, stream, esdb.ReadStreamOptions{}, 1<<40))
	down := revisions(readStream(t, client, stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1<<40))
	require.Len(t, down, len(up))
	for i := range up {
		require.Equal(t, up[i], down[len(down)-1-i])
	}
	return up
}

func requireMissing(t testing.TB, client *esdb.Client, stream string) {
	t.Helper()
	read, err := client.ReadStream(within(t), stream, esdb.ReadStreamOptions{}, 1)
	_, err = drainErr(read, err)
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(err), "%v", err)
}

func TestMetadataRoundTrip(t *testing.T) {
	_, client := open(t)
	meta := esdb.StreamMetadata{}
	meta.SetMaxCount(7)
	meta.SetMaxAge(90 * time.Minute)
	meta.SetTruncateBefore(3)
	meta.SetCacheControl(time.Minute)
	acl := esdb.Acl{}
	acl.AddReadRoles("$all")
	meta.SetAcl(acl)
	meta.AddCustomProperty("名", "值")
	none, err := client.GetStreamMetadata(within(t), "s", esdb.ReadStreamOptions{})
	require.Nil(t, none)
	require.ErrorContains(t, err, "not found")
	res, err := client.SetStreamMetadata(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, meta)
	require.NoError(t, err)
	require.EqualValues(t, 0, res.NextExpectedVersion)
	got, err := client.GetStreamMetadata(within(t), "s", esdb.ReadStreamOptions{})
	require.NoError(t, err)
	require.Equal(t, meta, *got)
	requireMissing(t, client, "s")

	// Only the newest counts, and only it is read: that is the metadata's own metadata.
	meta.SetMaxCount(9)
	_, err = client.SetStreamMetadata(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(0)}, meta)
	require.NoError(t, err)
	require.Equal(t, []uint64{1}, readable(t, client, "$$s"))
	got, err = client.GetStreamMetadata(within(t), "s", esdb.ReadStreamOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 9, *got.MaxCount())
	describe(t, client, "$$s", `{"$maxCount":5}`)
	describe(t, client, "$$s", `{"$tb":9223372036854775807}`)
	require.Equal(t, []uint64{1}, readable(t, client, "$$s"), "of a metastream's metadata nothing can be changed")
	_, err = client.SetStreamMetadata(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.StreamExists{}}, meta)
	require.NoError(t, err)

	// $all shows every metadata event there was.
	all := readAll(t, client, esdb.ReadAllOptions{}, 100)
	require.Len(t, all, 5)
	for _, e := range all {
		require.Equal(t, "$metadata", e.Event.EventType)
	}
}

func TestTruncation(t *testing.T) {
	t.Parallel()
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(10, "a")...)
	tail := func(from uint64) []uint64 {
		found := []uint64{}
		for i := from; i < 10; i++ {
			found = append(found, i)
		}
		return found
	}
	for _, c := range []struct {
		metadata string
		first    uint64
	}{
		{`{}`, 0},
		{`{"$maxCount":3}`, 7},
		{`{"$maxCount":10}`, 0},
		{`{"$maxCount":11}`, 0},
		{`{"$maxCount":1}`, 9},
		{`{"$maxCount":9223372036854775807}`, 0},
		{`{"$tb":4}`, 4},
		{`{"$tb":9}`, 9},
		{`{"$tb":10}`, 10},
		{`{"$tb":9223372036854775806}`, 10},
		{`{"$tb":4,"$maxCount":3}`, 7},
		{`{"$tb":8,"$maxCount":3}`, 8},
		{`{"$maxAge":3600}`, 0},
		{`{"$maxAge":922337203685}`, 0},
		// No limits.
		{`{"$maxCount":0,"$tb":-1,"$maxAge":-5,"$cacheControl":-1}`, 0},
		{`{"$maxCount":0,"$tb":6}`, 6},
		{`{"$tb":6,"$acl":{"$r":"$all","$w":["a","b"]},"$tmp":false,"mine":[{"$tb":1}]}`, 6},
		{`{"$tb":6} and something behind it`, 6},
		{`{"$TB":6}`, 0},
		// Not metadata: none.
		{``, 0}, {`null`, 0}, {`[]`, 0}, {`7`, 0}, {`{"$tb":6`, 0}, {`{"$tb":"6"}`, 0}, {`{"$tb":6.0}`, 0}, {`{"$tb":6e0}`, 0}, {`{"$tb":null}`, 0},
		{`{"$tb":6,"$maxCount":9223372036854775808}`, 0}, {`{"$tb":6,"$maxAge":922337203686}`, 0}, {`{"$tb":6,"$maxAge":true}`, 0},
		{`{"$tb":6,"$acl":"x"}`, 0}, {`{"$tb":6,"$acl":{"$r":1}}`, 0}, {`{"$tb":6,"$acl":{"$r":[null]}}`, 0}, {`{"$tb":6,"$acl":{"x":"$all"}}`, 0}, {`{"$tb":6,"$tmp":0}`, 0},
	} {
		describe(t, client, "s", c.metadata)
		require.Equal(t, tail(c.first), readable(t, client, "s"), c.metadata)
		live, err := n.log.live([]byte("s"), n.committer.horizon.durable())
		require.NoError(t, err)
		require.True(t, live.found)
		require.EqualValues(t, 10, live.next)
		require.Equal(t, c.first >= 10, live.empty())
	}
	appendAny(t, client, "$$s", esdb.EventData{EventType: "$metadata", Data: []byte(`{"$tb":6}`)}) // not JSON
	require.Equal(t, tail(0), readable(t, client, "s"))

	describe(t, client, "s", `{"$tb":4}`)
	read := func(o esdb.ReadStreamOptions, count uint64) []uint64 {
		return revisions(readStream(t, client, "s", o, count))
	}
	require.Equal(t, []uint64{4, 5}, read(esdb.ReadStreamOptions{From: esdb.Revision(1)}, 2))
	require.Equal(t, []uint64{5, 4}, read(esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.Revision(5)}, 9))
	require.Equal(t, []uint64{5}, read(esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.Revision(5)}, 1))
	require.Empty(t, read(esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.Revision(3)}, 9))
	require.Empty(t, read(esdb.ReadStreamOptions{From: esdb.Revision(10)}, 9))
	require.Len(t, read(esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.Revision(100)}, 9), 6)

	// $all shows what the stream does not.
	shown := 0
	for _, e := range readAll(t, client, esdb.ReadAllOptions{}, 1000) {
		if e.Event.StreamID == "s" {
			shown++
		}
	}
	require.Equal(t, 10, shown)

	// It is the same after a restart, and appends go on counting.
	require.NoError(t, client.Close())
	require.NoError(t, n.Close())
	client = connect(t, start(t, Options{Dir: n.dir}))
	require.Equal(t, tail(4), readable(t, client, "s"))
	describe(t, client, "s", `{"$tb":1000}`)
	require.Empty(t, readable(t, client, "s"))
	res, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(9)}, jsonEvent("a", "{}"))
	require.NoError(t, err)
	require.EqualValues(t, 10, res.NextExpectedVersion)
	require.Empty(t, readable(t, client, "s"))
}

// Repetitions are recognised by events that cannot be read any more.
func TestIdempotentBehindTruncation(t *testing.T) {
	_, client := open(t)
	events := jsonEvents(5, "a")
	first, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, events...)
	require.NoError(t, err)
	appendAny(t, client, "s", jsonEvents(5, "b")...)
	describe(t, client, "s", `{"$maxCount":1}`)
	again, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, events...)
	require.NoError(t, err)
	require.Equal(t, first, again)
	again, err = client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(1)}, events[2:]...)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(1)}, jsonEvent("a", "{}"))
	require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(err))
	require.Equal(t, []uint64{9}, readable(t, client, "s"))
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	client := connect(t, n)
	const total = 50
	var recorded []time.Time
	for range total {
		appendAny(t, client, "s", jsonEvent("a", "{}"))
	}
	for _, e := range readStream(t, client, "s", esdb.ReadStreamOptions{}, 1000) {
		recorded = append(recorded, e.Event.CreatedDate)
	}
	appendAny(t, client, "links", esdb.EventData{EventType: "$>", Data: []byte("0@s")})
	describe(t, client, "s", `{"$maxAge":60}`)
	require.Len(t, readable(t, client, "s"), total)
	require.NotNil(t, readStream(t, client, "links", esdb.ReadStreamOptions{ResolveLinkTos: true}, 1)[0].Event)

	// Let some of them expire: all that is left is younger than a minute.
	upto := n.committer.horizon.durable()
	for _, oldest := range []int{1, 2, total / 2, total - 1} {
		at := recorded[oldest].Add(time.Minute)
		n.log.now = func() time.Time { return at }
		live, err := n.log.live([]byte("s"), upto)
		require.NoError(t, err)
		expired := uint64(0)
		for _, created := range recorded {
			if created.Before(recorded[oldest]) {
				expired++
			}
		}
		require.Equal(t, expired, live.first)
		require.Len(t, readable(t, client, "s"), total-int(expired))
	}
	at := time.Now().Add(time.Hour)
	n.log.now = func() time.Time { return at }
	require.Empty(t, readable(t, client, "s"), "expired is not missing")
	require.Nil(t, readStream(t, client, "links", esdb.ReadStreamOptions{ResolveLinkTos: true}, 1)[0].Event)
	f := subscribeStream(t, client, "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	f.caughtUp()
	appendAny(t, client, "s", jsonEvent("a", "{}"))
	require.EqualValues(t, total, f.event().EventNumber)
}

func TestLinksIntoWhatCannotBeRead(t *testing.T) {
	_, client := open(t)
	for _, stream := range []string{"short", "gone", "tombstoned", "back"} {
		appendAny(t, client, stream, jsonEvents(4, "a")...)
	}
	describe(t, client, "short", `{"$maxCount":2}`)
	for _, stream := range []string{"gone", "back"} {
		_, err := client.DeleteStream(within(t), stream, esdb.DeleteStreamOptions{})
		require.NoError(t, err)
	}
	appendAny(t, client, "back", jsonEvent("a", "{}"))
	_, err := client.TombstoneStream(within(t), "tombstoned", esdb.TombstoneStreamOptions{})
	require.NoError(t, err)
	targets := []string{"0@short", "1@short", "2@short", "3@short", "4@short", "3@gone", "3@back", "4@back", "3@tombstoned",
		"9223372036854775807@tombstoned", "0@$$short", "0@$$tombstoned"}
	whole := map[string]bool{"2@short": true, "3@short": true, "4@back": true, "0@$$short": true}
	for _, target := range targets {
		appendAny(t, client, "links", esdb.EventData{EventType: "$>", Data: []byte(target)})
	}
	for i, e := range readStream(t, client, "links", esdb.ReadStreamOptions{ResolveLinkTos: true}, 100) {
		require.Equal(t, whole[targets[i]], e.Event != nil, targets[i])
		require.NotNil(t, e.Link)
	}
}

// Catching up keeps to the metadata; live everything comes, however little stays.
func TestSubscribingToWhatIsTruncated(t *testing.T) {
	t.Parallel()
	_, client := open(t)
	appendAny(t, client, "s", jsonEvents(600, "a")...)
	describe(t, client, "s", `{"$maxCount":2}`)
	start := subscribeStream(t, client, "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	middle := subscribeStream(t, client, "s", esdb.SubscribeToStreamOptions{From: esdb.Revision(598)})
	end := subscribeStream(t, client, "s", esdb.SubscribeToStreamOptions{From: esdb.End{}})
	require.EqualValues(t, 598, start.event().EventNumber)
	require.EqualValues(t, 599, start.event().EventNumber)
	require.EqualValues(t, 599, middle.event().EventNumber)
	for _, f := range []*feed{start, middle, end} {
		f.caughtUp()
	}
	appendAny(t, client, "s", jsonEvents(5, "a")...)
	for _, f := range []*feed{start, middle, end} {
		for i := range 5 {
			require.EqualValues(t, 600+i, f.event().EventNumber)
		}
	}
	require.Equal(t, []uint64{603, 604}, readable(t, client, "s"))

	meta := subscribeStream(t, client, "$$s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	require.EqualValues(t, 0, meta.event().EventNumber)
	meta.caughtUp()
	describe(t, client, "s", `{"$maxCount":3}`)
	require.EqualValues(t, 1, meta.event().EventNumber)
}

// Clients that ask for them are told the ends of what can be read.
func TestEndsOfTruncatedStreams(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(10, "a")...)
	for metadata, ends := range map[string][2]uint64{
		`{"$maxCount":3}`: {7, 9},
		`{"$tb":4}`:       {4, 9},
		`{"$tb":25}`:      {25, 9},
		`{}`:              {0, 9},
	} {
		describe(t, client, "s", metadata)
		call, err := streams.NewStreamsClient(raw(t, n)).Read(within(t), &streams.ReadReq{Options: &streams.ReadReq_Options{
			StreamOption: &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
				StreamIdentifier: streamToWire([]byte("s")), RevisionOption: &streams.ReadReq_Options_StreamOptions_Start{}}},
			CountOption:   &streams.ReadReq_Options_Count{Count: 100},
			UuidOption:    &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}},
			ControlOption: &streams.ReadReq_Options_ControlOption{Compatibility: 1},
		}})
		require.NoError(t, err)
		found := [2]uint64{}
		for {
			m, err := call.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			switch content := m.GetContent().(type) {
			case *streams.ReadResp_FirstStreamPosition:
				found[0] = content.FirstStreamPosition
			case *streams.ReadResp_LastStreamPosition:
				found[1] = content.LastStreamPosition
			}
		}
		require.Equal(t, ends, found, metadata)
	}
}

// What can be read of a stream is found without walking through it; where there is
// no metadata, with one look-up. A record that is looked at is an allocation.
func TestFindingWhatCanBeReadIsShort(t *testing.T) {
	n, client := open(t)
	const total = 20_000
	for range total / 1000 {
		appendAny(t, client, "s", jsonEvents(1000, "a")...)
	}
	cost := func() float64 {
		upto := n.committer.horizon.durable()
		return testing.AllocsPerRun(3, func() {
			live, err := n.log.live([]byte("s"), upto)
			require.NoError(t, err)
			require.EqualValues(t, total, live.next)
		})
	}
	require.Less(t, cost(), 10.0)
	for _, metadata := range []string{`{"$tb":19990}`, `{"$maxCount":10}`, `{"$maxAge":1000000}`} {
		describe(t, client, "s", metadata)
		require.Less(t, cost(), 1000.0, metadata)
	}
}

func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{``, `{}`, `null`, `{"$tb":9223372036854775807}`, `{"$maxCount":3,"$maxAge":4,"$acl":{"$r":["a"]}}`, `{"$maxAge":922337203685}`, `{"a":{"b":[1,2,{}]}} x`, `{"$tb":1e3}`} {
		f.Add([]byte(seed), uint64(5))
	}
	f.Fuzz(func(t *testing.T, data []byte, revision uint64) {
		m := decodeMetadata(data)
		if m.maxCount > math.MaxInt64 || m.truncateBefore > math.MaxInt64 || m.maxAge < 0 || m.maxAge%ticksPerSecond != 0 {
			t.Fatalf("%q became %+v", data, m)
		}
		revision %= maxRevision
		changed := truncatedBefore(data, revision)
		if changed == nil {
			if m != (streamMetadata{}) {
				t.Fatalf("%q is metadata and cannot be changed", data)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal(changed, &members); err != nil {
			t.Fatalf("%q was changed into %q: %v", data, changed, err)
		}
		before := m
		m.truncateBefore = revision
		if now := decodeMetadata(changed); now != m && before != (streamMetadata{}) {
			t.Fatalf("%q was %+v, changed into %q it is %+v", data, before, changed, now)
		}
	})
}
