package node

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
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
func truncateRequest(key groupKey, before uint64) *appendRequest {
	return systemAppend(metastreamOf(key.parked()), metadataType, truncatedBefore([]byte("{}"), before), nil)
}

// parkedRange returns which revisions a group has parked and not finished
// replaying: from first up to but not including end.
func parkedRange(l *log, key groupKey, upto uint64) (first, end uint64, err error) {
	live, err := l.live([]byte(key.parked()), upto)
	return min(live.first, live.next), live.next, err
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
