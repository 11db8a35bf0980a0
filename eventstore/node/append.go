package node

import (
	"errors"
	"io"
	"strconv"
	"unicode/utf16"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
)

const (
	maxAppendSize = 1 << 20  // payload of one append
	maxStoredSize = 16 << 20 // what one append takes in the log: names and headers do not count as payload
	maxStreamName = 4 << 10
	maxEventType  = 4 << 10
	allStream     = "$all"
)

// Append takes one atomic append: options, then the events.
func (s *streamsService) Append(stream streams.Streams_AppendServer) error {
	req, size, err := receiveAppend(stream)
	if err != nil {
		return err
	}
	if size > maxAppendSize {
		return withException(stream.Context(), codes.InvalidArgument, exceptionAppendTooLarge,
			"an append holds at most "+strconv.Itoa(maxAppendSize)+" bytes and this one has "+strconv.Itoa(size)+": append less at a time, or keep the payload elsewhere and append its digest",
			trailerMaxAppendSize, strconv.Itoa(maxAppendSize))
	}
	if bookkeeping(req.stream) {
		return withException(stream.Context(), codes.PermissionDenied, exceptionAccessDenied,
			"stream "+req.stream+" is the node's own bookkeeping: append to another stream")
	}
	res := s.node.committer.append(stream.Context(), req)
	if res.err != nil {
		return toStatus(res.err)
	}
	if res.deleted {
		return streamDeleted(stream.Context(), req.stream)
	}
	if res.refused {
		return stream.SendAndClose(wrongExpectedToWire(req.expected, res.head))
	}
	return stream.SendAndClose(appendedToWire(res))
}

// bookkeeping says that a stream is the node's own, or describes one that is. The
// node could not open again on what others may write there, or without what they
// may delete.
func bookkeeping(stream string) bool {
	stream = tombstoneOf(stream)
	return stream == configStream || hidden([]byte(stream))
}

// receiveAppend takes in a whole append before it judges it: a client that is
// refused while it still sends only learns that the stream has ended. Events beyond
// the size limit are counted and dropped.
func receiveAppend(stream streams.Streams_AppendServer) (req *appendRequest, size int, err error) {
	refuse := func(reason error) {
		if err == nil {
			err = reason
		}
	}
	stored := 0
	for {
		msg, failed := stream.Recv()
		if errors.Is(failed, io.EOF) {
			if req == nil {
				refuse(invalid("an append starts with its options"))
			}
			return req, size, err
		}
		if failed != nil {
			return nil, 0, failed
		}
		switch content := msg.GetContent().(type) {
		case *streams.AppendReq_Options_:
			if req != nil {
				refuse(invalid("an append has its options once"))
				continue
			}
			var reason error
			if req, reason = readAppendOptions(content.Options); reason != nil {
				refuse(reason)
				req = &appendRequest{}
			}
		case *streams.AppendReq_ProposedMessage_:
			if req == nil {
				refuse(invalid("an append starts with its options"))
				continue
			}
			m := content.ProposedMessage
			size += messageSize(m)
			if err != nil || size > maxAppendSize {
				req.events = nil
				continue
			}
			event, reason := propose(req.stream, m)
			if reason != nil {
				refuse(reason)
				continue
			}
			if stored += len(event.encoded); stored > maxStoredSize {
				refuse(invalid("an append takes at most %d bytes in the log, names of streams and events included: append fewer events at a time", maxStoredSize))
				continue
			}
			req.events = append(req.events, event)
		default:
			refuse(invalid("an append is made of options and events"))
		}
	}
}

func readAppendOptions(o *streams.AppendReq_Options) (*appendRequest, error) {
	name := string(o.GetStreamIdentifier().GetStreamName())
	if err := checkStreamName(name); err != nil {
		return nil, err
	}
	req := &appendRequest{stream: name}
	switch e := o.GetExpectedStreamRevision().(type) {
	case *streams.AppendReq_Options_Revision:
		if e.Revision >= maxRevision {
			return nil, invalid("no stream is at revision %d", e.Revision)
		}
		req.expected = expected{kind: expectRevision, revision: e.Revision}
	case *streams.AppendReq_Options_NoStream:
		req.expected.kind = expectNoStream
	case *streams.AppendReq_Options_Any:
		req.expected.kind = expectAny
	case *streams.AppendReq_Options_StreamExists:
		req.expected.kind = expectExists
	default:
		return nil, invalid("an append says which revision it expects")
	}
	return req, nil
}

// checkStreamName says whether a stream of that name can be written to.
func checkStreamName(name string) error {
	switch {
	case name == "", name == metaPrefix:
		return invalid("a write names its stream")
	case name == allStream:
		return invalid("nothing is written to $all, or deleted from it: name a stream")
	case len(name) > maxStreamName:
		return invalid("a stream name has at most %d bytes", maxStreamName)
	}
	return nil
}

// proposedMessage is an event as an append brings it, alone or in a batch.
type proposedMessage interface {
	GetId() *shared.UUID
	GetMetadata() map[string]string
	GetCustomMetadata() []byte
	GetData() []byte
}

// messageSize is what an event counts towards the limit; names count as UTF-16.
func messageSize(m proposedMessage) int {
	n := len(m.GetData()) + len(m.GetCustomMetadata())
	for _, r := range m.GetMetadata()[metaType] {
		n += 2 * max(1, utf16.RuneLen(r))
	}
	return n
}

func propose(stream string, m proposedMessage) (proposal, error) {
	id, ok := uuidFromWire(m.GetId())
	if !ok {
		return proposal{}, invalid("an event has an id, and it is not the nil UUID")
	}
	eventType := m.GetMetadata()[metaType]
	if eventType == "" || len(eventType) > maxEventType {
		return proposal{}, invalid("an event has a type of 1 to %d bytes", maxEventType)
	}
	json := m.GetMetadata()[metaContentType] == contentJSON
	return proposal{id, encodeRecord(id, stream, eventType, json, m.GetCustomMetadata(), m.GetData())}, nil
}

func appendedToWire(res appendResult) *streams.AppendResp {
	success := &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_NoStream{NoStream: &shared.Empty{}},
		PositionOption:        &streams.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}},
	}
	if res.head.exists {
		success.CurrentRevisionOption = &streams.AppendResp_Success_CurrentRevision{CurrentRevision: res.head.revision}
	}
	if res.appended {
		success.PositionOption = &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{
			CommitPosition: res.head.position, PreparePosition: res.head.position,
		}}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: success}}
}

// wrongExpectedToWire is an answer and no error. The fields of version 20.6.0 know
// no "no stream" as an expectation and call it -1.
func wrongExpectedToWire(e expected, now head) *streams.AppendResp {
	w := &streams.AppendResp_WrongExpectedVersion{
		CurrentRevisionOption_20_6_0: &streams.AppendResp_WrongExpectedVersion_NoStream_20_6_0{NoStream_20_6_0: &shared.Empty{}},
		CurrentRevisionOption:        &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &shared.Empty{}},
	}
	if now.exists {
		w.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_CurrentRevision_20_6_0{CurrentRevision_20_6_0: now.revision}
		w.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: now.revision}
	}
	switch e.kind {
	case expectAny:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_Any_20_6_0{Any_20_6_0: &shared.Empty{}}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: &shared.Empty{}}
	case expectExists:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_StreamExists_20_6_0{StreamExists_20_6_0: &shared.Empty{}}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &shared.Empty{}}
	case expectNoStream:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision_20_6_0{ExpectedRevision_20_6_0: ^uint64(0)}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &shared.Empty{}}
	case expectRevision:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision_20_6_0{ExpectedRevision_20_6_0: e.revision}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: e.revision}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: w}}
}
