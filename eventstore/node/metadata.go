package node

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

const (
	metaPrefix   = "$$" // in front of a stream's name: the stream of its metadata
	metadataType = "$metadata"

	ticksPerSecond = int64(time.Second / 100)
	maxSpanSeconds = int64(1<<63-1) / ticksPerSecond // a longer time cannot be told in ticks
)

func isMetastream(stream string) bool { return strings.HasPrefix(stream, metaPrefix) }

func metastreamOf(stream string) string { return metaPrefix + stream }

// describedBy returns the stream whose metadata a stream holds. A metastream has
// no metadata that anybody could change, so one of a metastream describes nothing.
func describedBy(metastream string) (stream string, describes bool) {
	stream, describes = strings.CutPrefix(metastream, metaPrefix)
	return stream, describes && !isMetastream(stream)
}

// tombstoneOf returns the stream whose tombstone ends a stream: a metastream ends
// with the stream it belongs to.
func tombstoneOf(stream string) string {
	for isMetastream(stream) {
		stream = stream[len(metaPrefix):]
	}
	return stream
}

// streamMetadata is what a stream's metadata says about which of its events can
// be read. Everything else in there, such as $acl, is stored and returned as it was
// given and decides nothing here.
type streamMetadata struct {
	maxCount       uint64 // only so many of the newest; 0: all
	maxAge         int64  // ticks; 0: any
	truncateBefore uint64 // nothing in front of this revision
}

// ofMetastreams is the metadata of every metastream: the newest event counts.
var ofMetastreams = streamMetadata{maxCount: 1}

// deleted says that the stream is deleted softly: it can be written to again.
func (m streamMetadata) deleted() bool { return m.truncateBefore == maxRevision }

// metadataOf reads a metadata event. Anything may be appended to a metastream, by
// this node's clients as by those of EventStoreDB, and what cannot be read as
// metadata counts as none, as it does there: a stream stays readable whatever is
// said about it.
func metadataOf(r *record) streamMetadata {
	if r == nil || !r.json {
		return streamMetadata{}
	}
	return decodeMetadata(r.data)
}

// decodeMetadata reads a metadata object. One wrong member makes all of it none;
// limits that are not above zero are no limits. Behind the object there may be
// anything.
func decodeMetadata(data []byte) streamMetadata {
	var members map[string]json.RawMessage
	if json.NewDecoder(bytes.NewReader(data)).Decode(&members) != nil {
		return streamMetadata{}
	}
	var m streamMetadata
	for name, value := range members {
		ok := true
		var n int64
		switch name {
		case "$maxCount":
			n, ok = wholeNumber(value)
			m.maxCount = uint64(max(n, 0))
		case "$maxAge":
			n, ok = seconds(value)
			m.maxAge = max(n, 0) * ticksPerSecond
		case "$tb":
			n, ok = wholeNumber(value)
			m.truncateBefore = uint64(max(n, 0))
		case "$cacheControl":
			_, ok = seconds(value)
		case "$tmp":
			ok = string(value) == "true" || string(value) == "false"
		case "$acl":
			ok = isACL(value)
		}
		if !ok {
			return streamMetadata{}
		}
	}
	return m
}

// wholeNumber takes no fraction, no exponent and nothing beyond 64 bits.
func wholeNumber(value json.RawMessage) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}

func seconds(value json.RawMessage) (int64, bool) {
	n, ok := wholeNumber(value)
	return n, ok && n >= -maxSpanSeconds && n <= maxSpanSeconds
}

// isACL says whether a value grants what an access list can grant, each to one role
// or to a list of roles.
func isACL(value json.RawMessage) bool {
	var grants map[string]json.RawMessage
	if json.Unmarshal(value, &grants) != nil || grants == nil {
		return false
	}
	for grant, roles := range grants {
		switch grant {
		case "$r", "$w", "$d", "$mr", "$mw":
		default:
			return false
		}
		var one *string
		var many []*string
		switch {
		case json.Unmarshal(roles, &one) == nil && one != nil:
		case json.Unmarshal(roles, &many) == nil && many != nil:
			for _, role := range many {
				if role == nil {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}

// truncatedBefore is a metadata object with another $tb. It is nil for what is not
// one.
func truncatedBefore(data []byte, revision uint64) []byte {
	var members map[string]json.RawMessage
	if json.NewDecoder(bytes.NewReader(data)).Decode(&members) != nil || members == nil {
		return nil
	}
	members["$tb"] = strconv.AppendUint(nil, revision, 10)
	changed, err := json.Marshal(members)
	if err != nil {
		return nil
	}
	return changed
}

// liveRange is what of a stream can be read: the revisions from first up to, and
// not including, next. It is empty when first is not below next.
type liveRange struct {
	first uint64
	next  uint64 // of the event that is appended next, whatever can be read
	// found is false for a stream that has no events or is deleted softly. Of one
	// that is found and empty a read finds nothing, which is another answer.
	found bool
	// tombstoned is true for a stream that is deleted for good. It has no range.
	tombstoned bool
}

func (r liveRange) empty() bool { return r.first >= r.next }

// live returns the range of a stream that can be read, as of upto and by its
// metadata as of upto. Reads of a stream, catching up on it and links into it keep
// to it; $all does not.
//
// A stream without metadata costs one point look-up. With $maxAge it is a binary
// search, for recorded times never run backwards.
func (l *log) live(stream []byte, upto uint64) (liveRange, error) {
	live, m, err := l.unaged(stream, upto)
	if err != nil || m.maxAge == 0 || live.empty() {
		return live, err
	}
	oldest := l.oldest(m)
	from, to := live.first, live.next // the first one that is young enough, or to
	for from < to {
		middle := from + (to-from)/2
		found, young := to, false
		err := l.streamForwards(stream, middle, upto, func(r *record) (bool, error) {
			found, young = r.revision, r.ticks >= oldest
			return false, nil
		})
		if err != nil {
			return liveRange{}, err
		}
		if young || found >= to {
			to = middle
		} else {
			from = found + 1
		}
	}
	live.first = from
	return live, nil
}

// unaged is live without regard to $maxAge.
func (l *log) unaged(stream []byte, upto uint64) (liveRange, streamMetadata, error) {
	fail := func(err error) (liveRange, streamMetadata, error) { return liveRange{}, streamMetadata{}, err }
	now, err := l.stateAsOf(stream, upto)
	if err != nil {
		return fail(err)
	}
	var m streamMetadata
	ended := now.tombstoned()
	switch name := string(stream); {
	case ended:
	case isMetastream(name):
		m = ofMetastreams
		original, err := l.stateAsOf([]byte(tombstoneOf(name)), upto)
		if err != nil {
			return fail(err)
		}
		ended = original.tombstoned()
	case now.described:
		r, err := l.last([]byte(metastreamOf(name)), upto)
		if err != nil {
			return fail(err)
		}
		m = metadataOf(r)
	}
	if ended {
		return liveRange{tombstoned: true}, streamMetadata{}, nil
	}
	live := liveRange{first: m.truncateBefore, next: now.next(), found: now.exists && !m.deleted()}
	if m.deleted() {
		live.first = live.next
	}
	if m.maxCount > 0 && m.maxCount < live.next {
		live.first = max(live.first, live.next-m.maxCount)
	}
	return live, m, nil
}

// oldest is the recorded time in front of which a stream's events have expired.
func (l *log) oldest(m streamMetadata) int64 { return l.now().UnixNano()/100 - m.maxAge }

// stateAsOf is the state of a stream with its last event as of upto. That it is
// described may be ahead of upto.
func (l *log) stateAsOf(stream []byte, upto uint64) (state, error) {
	s, err := l.state(string(stream))
	if err != nil || !s.exists || s.position <= upto {
		return s, err
	}
	last, err := l.last(stream, upto) // behind what is not known to be durable
	if err != nil {
		return state{}, err
	}
	s.head = head{}
	if last != nil {
		s.head = head{true, last.revision, last.position}
	}
	return s, nil
}

// linked returns the event that a link names, or nil when it cannot be read.
func (l *log) linked(stream []byte, revision, upto uint64) (*record, error) {
	live, m, err := l.unaged(stream, upto)
	if err != nil || !live.found || revision < live.first || revision >= live.next {
		return nil, err
	}
	r, err := l.event(stream, revision, upto)
	if err != nil || r == nil || m.maxAge > 0 && r.ticks < l.oldest(m) {
		return nil, err
	}
	return r, nil
}
