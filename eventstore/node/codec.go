package node

import (
	"encoding/binary"
	"strconv"
	"sync"

	"google.golang.org/grpc/encoding"
	protobuf "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Events are most of what a node sends. Building a message of a dozen objects for
// each, one of them a map, and encoding that by reflection costs more than reading
// it from the log and sending it together, so events are written straight from
// their records into the bytes of a ReadResp. Everything else is encoded by
// protobuf.

// codec is gRPC's own for protobuf, except that it sends a mem.Buffer as it is.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(protobuf.Name)} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if encoded, ok := v.(mem.Buffer); ok {
		return mem.BufferSlice{encoded}, nil
	}
	return c.CodecV2.Marshal(v)
}

// pages are the buffers that encoded events share; gRPC gives one back when it has
// sent the last of them.
var pages pagePool

type pagePool struct{ pool sync.Pool }

// pageBuffer is enough for a page of common facts.
const pageBuffer = 160 << 10

func (p *pagePool) Get(int) *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, pageBuffer)
	return &b
}

func (p *pagePool) Put(b *[]byte) {
	if cap(*b) <= 2*pageBytes {
		*b = (*b)[:0]
		p.pool.Put(b)
	}
}

// Tags of the fields below: their number and how they are encoded. They are the
// same in streams.proto and persistent.proto.
const (
	varintField = 0
	bytesField  = 2

	tagRespEvent = 1<<3 | bytesField // ReadResp.event

	tagEvent    = 1<<3 | bytesField // ReadEvent.event
	tagLink     = 2<<3 | bytesField
	tagPosition = 3<<3 | varintField

	tagID             = 1<<3 | bytesField // RecordedEvent.id
	tagStream         = 2<<3 | bytesField
	tagRevision       = 3<<3 | varintField
	tagPrepare        = 4<<3 | varintField
	tagCommit         = 5<<3 | varintField
	tagMetadata       = 6<<3 | bytesField
	tagCustomMetadata = 7<<3 | bytesField
	tagData           = 8<<3 | bytesField

	tagStructured = 1<<3 | bytesField // UUID.structured
	tagString     = 2<<3 | bytesField
	tagMost       = 1<<3 | varintField // UUID.Structured.most_significant_bits
	tagLeast      = 2<<3 | varintField

	tagStreamName = 3<<3 | bytesField // StreamIdentifier.stream_name

	tagKey   = 1<<3 | bytesField // an entry of a map
	tagValue = 2<<3 | bytesField

	uuidText = 36
)

// appendEvent appends the encoded ReadResp of an event.
func appendEvent(b []byte, r resolved, uuidAsString bool) []byte {
	event, link := measure(r.event, uuidAsString), measure(r.link, uuidAsString)
	position := r.original().position
	size := 1 + varintSize(position)
	if r.event != nil {
		size += fieldSize(event.size)
	}
	if r.link != nil {
		size += fieldSize(link.size)
	}
	b = appendLength(b, tagRespEvent, size)
	if r.event != nil {
		b = appendRecord(appendLength(b, tagEvent, event.size), r.event, &event, uuidAsString)
	}
	if r.link != nil {
		b = appendRecord(appendLength(b, tagLink, link.size), r.link, &link, uuidAsString)
	}
	return binary.AppendUvarint(append(b, tagPosition), position)
}

// measures are the lengths of a RecordedEvent and of what is nested in it, which
// come before the bytes themselves.
type measures struct {
	size                      int
	id, stream                int
	kind, contentType, ticked int // the entries of the metadata
	created                   [20]byte
	createdLen                int
	most, least               uint64
}

func measure(r *record, uuidAsString bool) (m measures) {
	if r == nil {
		return m
	}
	if uuidAsString {
		m.id = fieldSize(uuidText)
	} else {
		m.most, m.least = binary.BigEndian.Uint64(r.id[:8]), binary.BigEndian.Uint64(r.id[8:])
		m.id = fieldSize(numberSize(m.most) + numberSize(m.least))
	}
	m.stream = bytesSize(r.stream)
	m.createdLen = len(strconv.AppendInt(m.created[:0], r.ticks, 10))
	m.kind = fieldSize(len(metaType)) + fieldSize(len(r.eventType))
	m.contentType = fieldSize(len(metaContentType)) + fieldSize(len(contentType(r)))
	m.ticked = fieldSize(len(metaCreated)) + fieldSize(m.createdLen)
	m.size = fieldSize(m.id) + fieldSize(m.stream) + numberSize(r.revision) + 2*numberSize(r.position) +
		fieldSize(m.kind) + fieldSize(m.contentType) + fieldSize(m.ticked) + bytesSize(r.metadata) + bytesSize(r.data)
	return m
}

func appendRecord(b []byte, r *record, m *measures, uuidAsString bool) []byte {
	b = appendLength(b, tagID, m.id)
	if uuidAsString {
		b = append(appendLength(b, tagString, uuidText), r.id.String()...)
	} else {
		b = appendLength(b, tagStructured, numberSize(m.most)+numberSize(m.least))
		b = appendNumber(appendNumber(b, tagMost, m.most), tagLeast, m.least)
	}
	b = appendBytes(appendLength(b, tagStream, m.stream), tagStreamName, r.stream)
	b = appendNumber(b, tagRevision, r.revision)
	b = appendNumber(b, tagPrepare, r.position)
	b = appendNumber(b, tagCommit, r.position)
	b = appendEntry(b, m.kind, metaType, r.eventType)
	b = appendEntry(b, m.contentType, metaContentType, contentType(r))
	b = appendEntry(b, m.ticked, metaCreated, m.created[:m.createdLen])
	return appendBytes(appendBytes(b, tagCustomMetadata, r.metadata), tagData, r.data)
}

func contentType(r *record) string {
	if r.json {
		return contentJSON
	}
	return contentBinary
}

func appendEntry[T string | []byte](b []byte, size int, key string, value T) []byte {
	b = appendLength(b, tagMetadata, size)
	b = append(appendLength(b, tagKey, len(key)), key...)
	return append(appendLength(b, tagValue, len(value)), value...)
}

// appendLength starts a field of so many bytes.
func appendLength(b []byte, tag byte, n int) []byte {
	return binary.AppendUvarint(append(b, tag), uint64(n))
}

// fieldSize is what a field of n bytes takes with its tag and its length.
func fieldSize(n int) int { return 1 + varintSize(uint64(n)) + n }

// appendNumber leaves out zero, as protobuf does.
func appendNumber(b []byte, tag byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, tag), n)
}

func numberSize(n uint64) int {
	if n == 0 {
		return 0
	}
	return 1 + varintSize(n)
}

// appendBytes leaves out what is empty, as protobuf does.
func appendBytes(b []byte, tag byte, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return append(appendLength(b, tag, len(v)), v...)
}

func bytesSize(v []byte) int {
	if len(v) == 0 {
		return 0
	}
	return fieldSize(len(v))
}

func varintSize(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}
