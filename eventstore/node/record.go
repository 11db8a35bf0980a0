package node

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"
)

const (
	recordFormat     = 1
	recordHeaderSize = 38
	flagJSON         = 1
)

// castagnoli is the polynomial that current processors compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one stored event. Its byte slices may point into memory that is only
// valid for a while; clone makes them its own.
type record struct {
	position  uint64
	revision  uint64
	ticks     int64 // 100 ns units since the Unix epoch
	id        uuid.UUID
	json      bool
	stream    []byte
	eventType []byte
	metadata  []byte
	data      []byte
	encoded   []byte // what all of the above was decoded from
}

// clone returns the record on memory of its own.
func (r *record) clone() *record {
	own := make([]byte, len(r.encoded))
	copy(own, r.encoded)
	c, err := decodeRecord(r.position, own)
	if err != nil {
		panic(fmt.Sprintf("node: a decoded record does not decode again: %v", err)) // the bytes were checked before
	}
	return c
}

// DamagedError says that the log does not hold what was written there. It is
// never passed over: restore the folder from a backup, or copy what is readable
// in front of Position and behind it into a new node.
type DamagedError struct {
	Position uint64 // the position of the event that cannot be read
	Reason   string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the record at position C:%d/P:%d is damaged: %s", e.Position, e.Position, e.Reason)
}

// encodeRecord lays out an event except for what only its commit knows: sealRecord
// fills that in.
func encodeRecord(id uuid.UUID, stream, eventType string, json bool, metadata, data []byte) []byte {
	b := make([]byte, recordHeaderSize, recordHeaderSize+3*binary.MaxVarintLen32+len(stream)+len(eventType)+len(metadata)+len(data))
	b[4] = recordFormat
	if json {
		b[5] |= flagJSON
	}
	copy(b[22:38], id[:])
	b = binary.AppendUvarint(b, uint64(len(stream)))
	b = append(b, stream...)
	b = binary.AppendUvarint(b, uint64(len(eventType)))
	b = append(b, eventType...)
	b = binary.AppendUvarint(b, uint64(len(metadata)))
	b = append(b, metadata...)
	return append(b, data...)
}

// sealRecord completes a laid-out record with its place in the log.
func sealRecord(b []byte, position, revision uint64, ticks int64) {
	binary.BigEndian.PutUint64(b[6:14], uint64(ticks))
	binary.BigEndian.PutUint64(b[14:22], revision)
	binary.BigEndian.PutUint32(b[0:4], checksum(position, b))
}

func checksum(position uint64, b []byte) uint32 {
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], position)
	return crc32.Update(crc32.Checksum(p[:], castagnoli), castagnoli, b[4:])
}

// decodeRecord reads what sealRecord wrote. The result points into b. Every error
// is a *DamagedError.
func decodeRecord(position uint64, b []byte) (*record, error) {
	damaged := func(reason string) (*record, error) {
		return nil, &DamagedError{Position: position, Reason: reason}
	}
	if len(b) < recordHeaderSize {
		return damaged("it is shorter than a record's header")
	}
	if binary.BigEndian.Uint32(b[0:4]) != checksum(position, b) {
		return damaged("its checksum does not match")
	}
	return layout(position, b)
}

// layout reads what encodeRecord wrote, sealed or not. The result points into b.
func layout(position uint64, b []byte) (*record, error) {
	damaged := func(reason string) (*record, error) {
		return nil, &DamagedError{Position: position, Reason: reason}
	}
	if b[4] != recordFormat {
		return damaged(fmt.Sprintf("it has format %d, this node reads format %d", b[4], recordFormat))
	}
	r := &record{
		position: position,
		ticks:    int64(binary.BigEndian.Uint64(b[6:14])),
		revision: binary.BigEndian.Uint64(b[14:22]),
		json:     b[5]&flagJSON != 0,
		encoded:  b,
	}
	copy(r.id[:], b[22:38])
	rest := b[recordHeaderSize:]
	for _, field := range []*[]byte{&r.stream, &r.eventType, &r.metadata} {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			return damaged("a length in it points outside")
		}
		end := used + int(n)
		*field = rest[used:end:end]
		rest = rest[end:]
	}
	r.data = rest
	return r, nil
}
