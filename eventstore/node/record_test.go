package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "id"))
		stream, eventType := rapid.String().Draw(rt, "stream"), rapid.String().Draw(rt, "type")
		metadata, data := rapid.SliceOf(rapid.Byte()).Draw(rt, "metadata"), rapid.SliceOf(rapid.Byte()).Draw(rt, "data")
		json := rapid.Bool().Draw(rt, "json")
		position, revision, ticks := rapid.Uint64().Draw(rt, "position"), rapid.Uint64().Draw(rt, "revision"), rapid.Int64().Draw(rt, "ticks")
		b := encodeRecord(id, stream, eventType, json, metadata, data)
		sealRecord(b, position, revision, ticks)
		r, err := decodeRecord(position, b)
		require.NoError(rt, err)
		require.Equal(rt, r, r.clone())
		require.Equal(rt, id, r.id)
		require.Equal(rt, stream, string(r.stream))
		require.Equal(rt, eventType, string(r.eventType))
		require.True(rt, bytes.Equal(metadata, r.metadata))
		require.True(rt, bytes.Equal(data, r.data))
		require.Equal(rt, json, r.json)
		require.Equal(rt, []uint64{position, revision}, []uint64{r.position, r.revision})
		require.Equal(rt, ticks, r.ticks)

		// Any changed bit, and any other place, is damage.
		bit := rapid.IntRange(0, len(b)*8-1).Draw(rt, "bit")
		broken := bytes.Clone(b)
		broken[bit/8] ^= 1 << (bit % 8)
		var damaged *DamagedError
		_, err = decodeRecord(position, broken)
		require.ErrorAs(rt, err, &damaged)
		require.Equal(rt, position, damaged.Position)
		_, err = decodeRecord(position+1, b)
		require.ErrorAs(rt, err, &damaged)
	})
}

// The bytes on disk, spelled out: change the format's number when this changes.
func TestRecordFormat(t *testing.T) {
	b := encodeRecord(uuid.MustParse("00112233-4455-6677-8899-aabbccddeeff"), "s-1", "Type", true, []byte("m"), []byte("{}"))
	sealRecord(b, 0x0102030405060708, 5, 17_000_000_000_000_000)
	expected := []byte{0xf6, 0x17, 0x56, 0xbd, 1, 1}
	expected = binary.BigEndian.AppendUint64(expected, 17_000_000_000_000_000)
	expected = binary.BigEndian.AppendUint64(expected, 5)
	expected = append(expected, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff)
	expected = append(expected, "\x03s-1\x04Type\x01m{}"...)
	require.Equal(t, expected, b)
}

func FuzzDecodeRecord(f *testing.F) {
	b := encodeRecord(uuid.New(), "stream", "type", true, []byte("metadata"), []byte("data"))
	sealRecord(b, 7, 1, 1)
	f.Add(uint64(7), b, false)
	f.Add(uint64(7), b, true)
	f.Add(uint64(0), []byte{}, true)
	lying := bytes.Clone(b)
	lying[recordHeaderSize] = 0xFF
	f.Add(uint64(7), lying, true)
	f.Fuzz(func(t *testing.T, position uint64, b []byte, seal bool) {
		if seal && len(b) >= recordHeaderSize { // get past the checksum
			b = bytes.Clone(b)
			b[4] = recordFormat
			binary.BigEndian.PutUint32(b, checksum(position, b))
		}
		r, err := decodeRecord(position, b)
		if err != nil {
			var damaged *DamagedError
			if !errors.As(err, &damaged) || damaged.Position != position {
				t.Fatalf("%v does not name the position", err)
			}
			return
		}
		if len(r.stream)+len(r.eventType)+len(r.metadata)+len(r.data) > len(b) {
			t.Fatal("the fields are longer than the record")
		}
		if !bytes.Equal(r.clone().encoded, b) {
			t.Fatal("a clone differs")
		}
	})
}

// Index keys keep streams apart and in order, whatever their names are.
func TestStreamKeys(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SliceOf(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xFE, 0xFF}))
		a, b := name.Draw(rt, "a"), name.Draw(rt, "b")
		x, y := rapid.Uint64Range(0, maxRevision).Draw(rt, "x"), rapid.Uint64Range(0, maxRevision).Draw(rt, "y")
		order := bytes.Compare(streamKey(streamPrefix(a), x), streamKey(streamPrefix(b), y))
		expected := bytes.Compare(a, b)
		if expected == 0 {
			expected = slices.Compare([]uint64{x}, []uint64{y})
		}
		require.Equal(rt, expected, order)
		require.Equal(rt, x, streamKeyRevision(streamKey(streamPrefix(a), x)))
		inside := streamKey(streamPrefix(b), y)
		within := bytes.Compare(streamPrefix(a), inside) <= 0 && bytes.Compare(inside, streamEnd(streamPrefix(a))) < 0
		require.Equal(rt, bytes.Equal(a, b), within)
	})
}

func TestHeadCacheIsBounded(t *testing.T) {
	c := newHeadCache(10)
	for i := range 1000 {
		c.put(uuid.NewString(), state{head: head{true, uint64(i), uint64(i)}})
		c.put("used", state{head: head{true, uint64(i), 0}})
	}
	require.LessOrEqual(t, len(c.young)+len(c.old), 20)
	h, ok := c.get("used")
	require.True(t, ok)
	require.EqualValues(t, 999, h.revision)
	c.forget("used")
	_, ok = c.get("used")
	require.False(t, ok)
}

func TestRecentIDsAreBounded(t *testing.T) {
	c := newRecentIDs(10)
	var ids []uuid.UUID
	for i := range 100 {
		ids = append(ids, uuid.New())
		c.add("s", ids[i], head{true, uint64(i), 0})
	}
	require.Len(t, c.known, 10)
	_, known := c.find("s", ids[89])
	require.False(t, known)
	at, known := c.find("s", ids[90])
	require.True(t, known)
	require.EqualValues(t, 90, at.revision)
	_, known = c.find("t", ids[90])
	require.False(t, known)
}
