package node

import (
	"bytes"
	"encoding/binary"
	"math"
)

const (
	prefixAll    = 'a'
	prefixStream = 's'
	prefixHead   = 'h'

	// maxRevision is the highest revision a stream can reach; the protocol's other
	// clients hold revisions in signed integers.
	maxRevision = math.MaxInt64
)

var keyFormat = []byte("mformat")

func appendAllKey(b []byte, position uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, prefixAll), position)
}

func allKey(position uint64) []byte { return appendAllKey(make([]byte, 0, 9), position) }

func allKeyPosition(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

// streamPrefix starts the index keys of exactly one stream.
func streamPrefix(stream []byte) []byte {
	b := make([]byte, 0, len(stream)+11)
	b = append(b, prefixStream)
	for _, c := range stream {
		b = append(b, c)
		if c == 0 {
			b = append(b, 0xFF)
		}
	}
	return append(b, 0, 1)
}

func streamKey(prefix []byte, revision uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(prefix), revision)
}

func streamKeyRevision(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// streamEnd is behind every index key of the stream and in front of every other's.
func streamEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	end[len(end)-1]++
	return end
}

func headKey(stream string) []byte {
	return append(append(make([]byte, 0, len(stream)+1), prefixHead), stream...)
}

// head is the last event of a stream. The zero head is a stream that does not exist.
type head struct {
	exists   bool
	revision uint64
	position uint64
}

// next is the revision of the event behind the head.
func (h head) next() uint64 {
	if !h.exists {
		return 0
	}
	return h.revision + 1
}

// tombstoned says that the stream is deleted for good.
func (h head) tombstoned() bool { return h.exists && h.revision == maxRevision }

// state is the head of a stream and what its metadata makes of it. A stream may be
// described before it exists.
type state struct {
	head
	described bool // there is metadata
	deleted   bool // the newest metadata deletes the stream softly
}

const (
	stateExists = 1 << iota
	stateDescribed
	stateDeleted
)

func (s state) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 17), s.revision)
	b = binary.BigEndian.AppendUint64(b, s.position)
	var flags byte
	if s.exists {
		flags |= stateExists
	}
	if s.described {
		flags |= stateDescribed
	}
	if s.deleted {
		flags |= stateDeleted
	}
	return append(b, flags)
}

func decodeState(b []byte) (state, bool) {
	if len(b) != 17 {
		return state{}, false
	}
	flags := b[16]
	return state{
		head:      head{flags&stateExists != 0, binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:16])},
		described: flags&stateDescribed != 0,
		deleted:   flags&stateDeleted != 0,
	}, true
}
