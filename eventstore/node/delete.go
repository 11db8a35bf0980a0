package node

import (
	"context"
	"fmt"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
)

const streamDeletedType = "$streamDeleted"

// deletion is what an append does besides appending.
type deletion int

const (
	deletesNothing deletion = iota
	// deletesSoftly: the request's one event goes to the metastream. The stream can be
	// written to again and goes on counting.
	deletesSoftly
	// deletesForGood: the request's one event is the stream's last, with the highest
	// revision there is.
	deletesForGood
)

// Delete deletes a stream softly. It may be repeated.
func (s *streamsService) Delete(ctx context.Context, req *streams.DeleteReq) (*streams.DeleteResp, error) {
	o := req.GetOptions()
	var e expected
	switch is := o.GetExpectedStreamRevision().(type) {
	case *streams.DeleteReq_Options_Revision:
		e.revision = is.Revision
	case *streams.DeleteReq_Options_NoStream:
		e.kind = expectNoStream
	case *streams.DeleteReq_Options_Any:
		e.kind = expectAny
	case *streams.DeleteReq_Options_StreamExists:
		e.kind = expectExists
	default:
		return nil, invalid("a deletion says which revision it expects")
	}
	position, err := s.delete(ctx, o.GetStreamIdentifier(), e, deletesSoftly)
	if err != nil {
		return nil, err
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{
		Position: &streams.DeleteResp_Position{CommitPosition: position, PreparePosition: position},
	}}, nil
}

// Tombstone deletes a stream for good.
func (s *streamsService) Tombstone(ctx context.Context, req *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	o := req.GetOptions()
	var e expected
	switch is := o.GetExpectedStreamRevision().(type) {
	case *streams.TombstoneReq_Options_Revision:
		e.revision = is.Revision
	case *streams.TombstoneReq_Options_NoStream:
		e.kind = expectNoStream
	case *streams.TombstoneReq_Options_Any:
		e.kind = expectAny
	case *streams.TombstoneReq_Options_StreamExists:
		e.kind = expectExists
	default:
		return nil, invalid("a deletion says which revision it expects")
	}
	position, err := s.delete(ctx, o.GetStreamIdentifier(), e, deletesForGood)
	if err != nil {
		return nil, err
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{
		Position: &streams.TombstoneResp_Position{CommitPosition: position, PreparePosition: position},
	}}, nil
}

// delete deletes a stream and returns where that is in the log. As on
// EventStoreDB a stream that never was can be deleted too, in both ways, unless it
// is expected to exist.
func (s *streamsService) delete(ctx context.Context, id *shared.StreamIdentifier, e expected, how deletion) (uint64, error) {
	stream := string(id.GetStreamName())
	if err := checkStreamName(stream); err != nil {
		return 0, err
	}
	if e.kind == expectRevision && e.revision >= maxRevision {
		return 0, invalid("no stream is at revision %d", e.revision)
	}
	if isMetastream(stream) || bookkeeping(stream) {
		return 0, withException(ctx, codes.PermissionDenied, exceptionAccessDenied,
			"stream "+stream+" is not deleted by itself: metadata goes with the stream it belongs to, and the node keeps its own bookkeeping")
	}
	req := &appendRequest{stream: stream, expected: e, deletes: how}
	event := uuid.New()
	if how == deletesForGood {
		req.events = []proposal{{event, encodeRecord(event, stream, streamDeletedType, false, nil, nil)}}
	} else {
		req.events = []proposal{metadataProposal(stream, truncatedBefore([]byte("{}"), maxRevision))}
	}
	res := s.node.committer.append(ctx, req)
	switch {
	case res.err != nil:
		return 0, toStatus(res.err)
	case res.deleted:
		return 0, streamDeleted(ctx, stream)
	case res.refused:
		expects, is := e.number(), int64(-1)
		if res.head.exists {
			is = int64(res.head.revision)
		}
		return 0, withException(ctx, codes.FailedPrecondition, exceptionWrongExpected,
			fmt.Sprintf("stream %q was not deleted: it was expected at revision %d and is at %d", stream, expects, is),
			trailerStreamName, stream, trailerExpectedVersion, strconv.FormatInt(expects, 10), trailerActualVersion, strconv.FormatInt(is, 10))
	}
	return res.head.position, nil
}

// number is how clients write an expectation as a number.
func (e expected) number() int64 {
	switch e.kind {
	case expectNoStream:
		return -1
	case expectAny:
		return -2
	case expectExists:
		return -4
	default:
		return int64(e.revision)
	}
}

// streamDeleted says that a stream is deleted where that cannot be passed over.
func streamDeleted(ctx context.Context, stream string) error {
	return withException(ctx, codes.FailedPrecondition, exceptionStreamDeleted,
		fmt.Sprintf("stream %q is deleted", stream), trailerStreamName, stream)
}

// metadataProposal is a metadata event about a stream.
func metadataProposal(stream string, data []byte) proposal {
	id := uuid.New()
	return proposal{id, encodeRecord(id, metastreamOf(stream), metadataType, true, nil, data)}
}

// state is a stream's state after the group at hand so far.
func (c *committer) state(stream string, pending map[string]*pendingStream) (state, error) {
	if p := pending[stream]; p != nil {
		return p.state, nil
	}
	if s, cached := c.heads.get(stream); cached {
		return s, nil
	}
	s, err := c.log.state(stream)
	if err == nil {
		c.heads.put(stream, s)
	}
	return s, err
}

// setState makes a state part of the batch and of the group at hand.
func (c *committer) setState(batch *pebble.Batch, stream string, s state, pending map[string]*pendingStream) error {
	p := pending[stream]
	if p == nil {
		p = &pendingStream{first: s.next()}
		pending[stream] = p
	}
	p.state = s
	c.heads.put(stream, s)
	return batch.Set(headKey(stream), s.encode(), nil)
}

// ended says that a stream takes no more events, ever.
func (c *committer) ended(stream string, now state, pending map[string]*pendingStream) (bool, error) {
	if !isMetastream(stream) {
		return now.tombstoned(), nil
	}
	original, err := c.state(tombstoneOf(stream), pending)
	return original.tombstoned(), err
}

// prepare completes an append that is going to happen. One to a softly deleted
// stream, and one of new metadata for such a stream, brings the stream back: a
// metadata event goes with it that hides what was there before the deletion and
// keeps the other settings. Whatever can fail without the disk's fault fails here,
// before anything is in the batch.
func (c *committer) prepare(req *appendRequest, now state, pending map[string]*pendingStream) error {
	req.revival = nil
	if len(req.events) == 0 {
		return nil
	}
	original, describes := describedBy(req.stream)
	switch {
	case req.deletes != deletesNothing:
		_, err := c.state(metastreamOf(req.stream), pending)
		return err
	case describes:
		described, err := c.state(original, pending)
		if err != nil || !described.deleted {
			return err
		}
		newest, err := layout(0, req.events[len(req.events)-1].encoded)
		if err != nil {
			return err
		}
		c.revive(req, original, newest, described.next())
	case now.deleted:
		newest, err := c.metadata(req.stream, pending)
		if err != nil {
			return err
		}
		if _, err := c.state(metastreamOf(req.stream), pending); err != nil {
			return err
		}
		c.revive(req, req.stream, newest, now.next())
	}
	return nil
}

// revive lets metadata go with an append that is newest but for its $tb. What cannot
// be read as metadata deletes nothing and needs no successor.
func (c *committer) revive(req *appendRequest, stream string, newest *record, revision uint64) {
	if newest == nil || !newest.json {
		return
	}
	if data := truncatedBefore(newest.data, revision); data != nil {
		event := metadataProposal(stream, data)
		req.revival = &event
	}
}

// metadata is the newest metadata event of a stream after the group at hand so far,
// or nil.
func (c *committer) metadata(stream string, pending map[string]*pendingStream) (*record, error) {
	metastream := metastreamOf(stream)
	if p := pending[metastream]; p != nil && p.newest != nil {
		return layout(p.state.position, p.newest)
	}
	return c.log.last([]byte(metastream), c.position)
}

// describe takes in what the events that were just put into a metastream say about
// the stream they describe.
func (c *committer) describe(batch *pebble.Batch, metastream string, pending map[string]*pendingStream) error {
	stream, describes := describedBy(metastream)
	if !describes {
		return nil
	}
	s, err := c.state(stream, pending)
	if err != nil {
		return err
	}
	p := pending[metastream]
	newest, err := layout(p.state.position, p.newest)
	if err != nil {
		return err
	}
	s.described, s.deleted = true, metadataOf(newest).deleted()
	return c.setState(batch, stream, s, pending)
}
