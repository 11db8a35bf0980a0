package node

import (
	"encoding/binary"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
)

const (
	contentJSON   = "application/json"
	contentBinary = "application/octet-stream"

	metaType        = "type"
	metaContentType = "content-type"
	metaCreated     = "created"

	linkType = "$>"
)

// resolved is an event as a reader gets it: behind a link both are there, behind a
// broken link only the link is.
type resolved struct {
	event *record
	link  *record
}

// original is the event at the place that was read.
func (r resolved) original() *record {
	if r.link != nil {
		return r.link
	}
	return r.event
}

// resolve follows a link when the reader wants that. r must be a clone.
func (l *log) resolve(r *record, follow bool, upto uint64) (resolved, error) {
	if !follow || string(r.eventType) != linkType {
		return resolved{event: r}, nil
	}
	stream, revision, ok := parseLink(r.data)
	if !ok {
		return resolved{link: r}, nil
	}
	target, err := l.linked(stream, revision, upto)
	return resolved{event: target, link: r}, err
}

func uuidToWire(id uuid.UUID, asString bool) *shared.UUID {
	if asString {
		return &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
	}
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}

// uuidFromWire reads both forms. The nil id is no id.
func uuidFromWire(w *shared.UUID) (id uuid.UUID, ok bool) {
	switch v := w.GetValue().(type) {
	case *shared.UUID_Structured_:
		binary.BigEndian.PutUint64(id[:8], uint64(v.Structured.GetMostSignificantBits()))
		binary.BigEndian.PutUint64(id[8:], uint64(v.Structured.GetLeastSignificantBits()))
	case *shared.UUID_String_:
		parsed, err := uuid.Parse(v.String_)
		if err != nil {
			return uuid.Nil, false
		}
		id = parsed
	}
	return id, id != uuid.Nil
}

func metadataToWire(r *record) map[string]string {
	return map[string]string{
		metaType:        string(r.eventType),
		metaContentType: contentType(r),
		metaCreated:     strconv.FormatInt(r.ticks, 10),
	}
}

func streamToWire(name []byte) *shared.StreamIdentifier {
	return &shared.StreamIdentifier{StreamName: name}
}

func confirmationToWire(id string) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: id},
	}}
}

func checkpointToWire(position uint64) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{
		Checkpoint: &streams.ReadResp_Checkpoint{CommitPosition: position, PreparePosition: position},
	}}
}

func caughtUpToWire() *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: &streams.ReadResp_CaughtUp{}}}
}

func notFoundToWire(stream []byte) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
		StreamNotFound: &streams.ReadResp_StreamNotFound{StreamIdentifier: streamToWire(stream)},
	}}
}

func groupRecordToWire(r *record, uuidAsString bool) *persistent.ReadResp_ReadEvent_RecordedEvent {
	if r == nil {
		return nil
	}
	return &persistent.ReadResp_ReadEvent_RecordedEvent{
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

func deliveryToWire(r resolved, retries int32, uuidAsString bool) *persistent.ReadResp {
	return &persistent.ReadResp{Content: &persistent.ReadResp_Event{Event: &persistent.ReadResp_ReadEvent{
		Event:    groupRecordToWire(r.event, uuidAsString),
		Link:     groupRecordToWire(r.link, uuidAsString),
		Position: &persistent.ReadResp_ReadEvent_CommitPosition{CommitPosition: r.original().position},
		Count:    &persistent.ReadResp_ReadEvent_RetryCount{RetryCount: retries},
	}}}
}
