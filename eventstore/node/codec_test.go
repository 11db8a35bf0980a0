package node

import (
	"math"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// An event as protobuf would have it.
func eventToWire(r resolved, uuidAsString bool) *streams.ReadResp {
	record := func(r *record) *streams.ReadResp_ReadEvent_RecordedEvent {
		if r == nil {
			return nil
		}
		return &streams.ReadResp_ReadEvent_RecordedEvent{
			Id:               uuidToWire(r.id, uuidAsString),
			StreamIdentifier: streamToWire(r.stream),
			StreamRevision:   r.revision,
			PreparePosition:  r.position,
			CommitPosition:   r.position,
			Metadata:         metadataToWire(r),
			CustomMetadata:   r.metadata,
			Data:             r.data,
		}
	}
	return &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event:    record(r.event),
		Link:     record(r.link),
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: r.original().position},
	}}}
}

func drawRecord(t *rapid.T, label string) *record {
	number := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 127, 128, math.MaxInt64, math.MaxUint64}), rapid.Uint64())
	bytes := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 300))
	text := rapid.OneOf(rapid.Just(""), rapid.StringN(0, 200, 600))
	return &record{
		id:        uuid.UUID(rapid.OneOf(rapid.Just(make([]byte, 16)), rapid.SliceOfN(rapid.Byte(), 16, 16)).Draw(t, label+" id")),
		stream:    bytes.Draw(t, label+" stream"),
		eventType: []byte(text.Draw(t, label+" type")),
		json:      rapid.Bool().Draw(t, label+" json"),
		ticks:     rapid.OneOf(rapid.SampledFrom([]int64{0, -1, math.MinInt64, math.MaxInt64}), rapid.Int64()).Draw(t, label+" ticks"),
		revision:  number.Draw(t, label+" revision"),
		position:  number.Draw(t, label+" position"),
		metadata:  bytes.Draw(t, label+" metadata"),
		data:      bytes.Draw(t, label+" data"),
	}
}

// What is written by hand means what protobuf would have written, to the byte
// except for the order of the metadata.
func TestEncodedEventsMeanWhatProtobufMeans(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var r resolved
		if which := rapid.IntRange(0, 2).Draw(rt, "which"); which != 1 {
			r.event = drawRecord(rt, "event")
			if which == 2 {
				r.link = drawRecord(rt, "link")
			}
		} else {
			r.link = drawRecord(rt, "broken link")
		}
		asString := rapid.Bool().Draw(rt, "uuid as string")
		requireSameEvent(rt, r, asString)
	})
}

func requireSameEvent(t require.TestingT, r resolved, asString bool) {
	expected := eventToWire(r, asString)
	before := []byte("before")
	encoded := appendEvent(before, r, asString)[len(before):]
	require.Len(t, encoded, proto.Size(expected))
	var got streams.ReadResp
	require.NoError(t, proto.Unmarshal(encoded, &got))
	require.True(t, proto.Equal(expected, &got), "expected %v, got %v", expected, &got)
}

// FuzzEncodedEvent takes records from the bytes of the log themselves.
func FuzzEncodedEvent(f *testing.F) {
	f.Add(encodeRecord(uuid.New(), "task-1", "SubTaskCompleted", true, []byte("{}"), []byte(`{"a":1}`))[4:], uint64(1000), true)
	f.Add(encodeRecord(uuid.New(), "s", "t", false, nil, nil)[4:], uint64(0), false)
	f.Fuzz(func(t *testing.T, rest []byte, position uint64, asString bool) {
		b := append(make([]byte, 4), rest...)
		if len(b) >= recordHeaderSize {
			sealRecord(b, position, 7, 17_000_000_000_000_000)
		}
		r, err := decodeRecord(position, b)
		if err != nil {
			return
		}
		if _, err := proto.Marshal(eventToWire(resolved{event: r}, asString)); err != nil {
			return // a type that is not UTF-8: no append brings one in
		}
		requireSameEvent(t, resolved{event: r}, asString)
		requireSameEvent(t, resolved{link: r}, asString)
	})
}

func TestCodecLeavesTheRestToProtobuf(t *testing.T) {
	c := newCodec()
	require.Equal(t, "proto", c.Name())
	sent := caughtUpToWire()
	b, err := c.Marshal(sent)
	require.NoError(t, err)
	var got streams.ReadResp
	require.NoError(t, c.Unmarshal(b, &got))
	require.True(t, proto.Equal(sent, &got))

	b, err = c.Marshal(mem.SliceBuffer("as it is"))
	require.NoError(t, err)
	require.Equal(t, "as it is", string(b.Materialize()))

	_, err = c.Marshal("no message")
	require.Error(t, err)
}

// BenchmarkEncodeEvent compares writing an event by hand with protobuf's way.
func BenchmarkEncodeEvent(b *testing.B) {
	encoded := encodeRecord(uuid.New(), "task-4711", "SubTaskCompleted", true, nil, payload)
	sealRecord(encoded, 123_456_789, 31, 17_956_800_000_000_000)
	r, err := decodeRecord(123_456_789, encoded)
	require.NoError(b, err)
	b.Run("by hand", func(b *testing.B) {
		b.ReportAllocs()
		var buffer []byte
		for b.Loop() {
			buffer = appendEvent(buffer[:0], resolved{event: r}, false)
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := proto.Marshal(eventToWire(resolved{event: r.clone()}, false)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
