package node

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	metadataType   = "$metadata"
	metadataPrefix = "$$"

	maxReason      = 1 << 10 // of a parked message, in bytes
	parkedAtATime  = 256     // messages that are parked with one append
	parkingWaiting = 1024    // messages that wait to be parked before consumers get no more
)

// parking is a message on its way into the parked stream.
type parking struct {
	message *message
	reason  string
}

// parkedMetadata is the metadata of a parked message's link.
type parkedMetadata struct {
	Added                   time.Time `json:"added"`
	Reason                  string    `json:"reason"`
	SubscriptionEventNumber uint64    `json:"subscriptionEventNumber"`
}

// parkRequest links messages that a group gave up on, in one append.
func parkRequest(key groupKey, messages []parking, now time.Time) (*appendRequest, error) {
	stream := key.parked()
	req := &appendRequest{stream: stream, expected: expected{kind: expectAny}}
	for _, p := range messages {
		m := p.message
		reason := p.reason
		if len(reason) > maxReason {
			reason = reason[:maxReason]
			for !utf8.ValidString(reason) {
				reason = reason[:len(reason)-1]
			}
		}
		metadata, err := json.Marshal(parkedMetadata{now.UTC(), reason, m.original().revision})
		if err != nil {
			return nil, err
		}
		id := uuid.New()
		req.events = append(req.events, proposal{id, encodeRecord(id, stream, linkType, false, metadata, linkData(m.resolved))})
	}
	return req, nil
}

// linkData names a message's event. Of a broken link, its target is all there is; if
// it has none, it is the link itself that is named.
func linkData(m resolved) []byte {
	target := m.event
	if target == nil {
		if _, _, ok := parseLink(m.link.data); ok {
			return m.link.data
		}
		target = m.link
	}
	return fmt.Appendf(nil, "%d@%s", target.revision, target.stream)
}

// truncateRequest says that what a group parked in front of a revision has been
// replayed.
func truncateRequest(key groupKey, before uint64) (*appendRequest, error) {
	data, err := json.Marshal(truncation{Before: &before})
	if err != nil {
		return nil, err
	}
	return systemAppend(metadataPrefix+key.parked(), metadataType, true, nil, data, nil), nil
}

// truncation is what groups read of a stream's metadata.
type truncation struct {
	Before *uint64 `json:"$tb,omitempty"`
}

// truncatedBefore returns the revision from which on a stream's events are still
// there.
func truncatedBefore(l *log, stream []byte, upto uint64) (uint64, error) {
	last, err := l.last(append([]byte(metadataPrefix), stream...), upto)
	if err != nil || last == nil {
		return 0, err
	}
	return decodeTruncation(last.data), nil
}

// decodeTruncation reads $tb. Metadata may be anything that somebody appended: what
// makes no sense truncates nothing.
func decodeTruncation(data []byte) uint64 {
	var t truncation
	if json.Unmarshal(data, &t) != nil || t.Before == nil {
		return 0
	}
	return min(*t.Before, maxRevision)
}

// parkedRange returns which revisions a group has parked and not finished
// replaying: from first up to but not including end.
func parkedRange(l *log, key groupKey, upto uint64) (first, end uint64, err error) {
	stream := []byte(key.parked())
	last, err := l.last(stream, upto)
	if err != nil || last == nil {
		return 0, 0, err
	}
	first, err = truncatedBefore(l, stream, upto)
	return min(first, last.revision+1), last.revision + 1, err
}

// replay is a group's way through what it has parked.
//
//	first            next               claimed            end
//	  │ being replayed │ yet to be loaded  │ parked           │
//	──┴────────────────┴───────────────────┴──────────────────┴──▶ revisions
//
// The durable $tb follows first, so a crash puts back among the parked what was
// replayed and not finished: it is never lost, and a replay delivers it again.
type replay struct {
	next    uint64
	claimed uint64
	saved   uint64 // the durable $tb
	saving  bool
}
