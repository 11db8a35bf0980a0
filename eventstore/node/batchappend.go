package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	maxOpenBatches   = 128      // batches of one call that have begun and are not complete
	maxBatchesBytes  = 24 << 20 // what they take together, as stored, and as much again on its way into the log
	batchesInFlight  = 64       // complete batches of one call whose answers are not sent yet
	maxBatchDuration = time.Minute
)

// batches serves one BatchAppend call. A batch comes in as chunks, mixed with those
// of others, and is one atomic append when its last chunk is there. It gets exactly
// one answer; chunks that come in behind an early one are dropped, as EventStoreDB
// drops them. Batches happen and are answered in the order in which they are
// completed.
//
//	receive ──▶ take ──▶ committer      (in order, many at a time)
//	              │          │
//	              └─ answers ┴──▶ send
//
// A batch has a deadline: then it is answered with a time-out, and one that is on
// its way into the log may happen nevertheless.
type batches struct {
	node    *Node
	ctx     context.Context
	open    map[uuid.UUID]*batch
	size    int // of what is open, as stored
	answers chan answer

	inFlight atomic.Int64  // size of what answers holds
	eased    chan struct{} // rings when inFlight has shrunk
}

// batch is one that is not complete.
type batch struct {
	correlation *shared.UUID
	req         *appendRequest
	size        int // payload
	stored      int
	deadline    time.Time
}

// answer is one that is to be sent: it is there already, or it is what becomes of
// a submitted append.
type answer struct {
	to       *streams.BatchAppendResp
	req      *appendRequest // nil: to is complete
	size     int
	deadline time.Time
}

// BatchAppend takes any number of appends, and answers each.
func (s *streamsService) BatchAppend(stream streams.Streams_BatchAppendServer) error {
	ctx, stop, err := s.node.callContext(stream.Context())
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := &batches{
		node:    s.node,
		ctx:     ctx,
		open:    map[uuid.UUID]*batch{},
		answers: make(chan answer, batchesInFlight),
		eased:   make(chan struct{}, 1),
	}
	// The receiving side ends when this handler has returned, because only that ends
	// the stream's context.
	received, ended := make(chan *streams.BatchAppendReq), make(chan error, 1)
	s.node.calls.Add(1)
	go func() {
		defer s.node.calls.Done()
		ended <- receiveBatches(ctx, stream, received)
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		b.send(stream, cancel)
	}()
	err = b.run(received, ended)
	if err != nil {
		cancel(err)
	}
	close(b.answers)
	<-sent
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return toStatus(err)
}

// receiveBatches passes on what comes in until the client has no more.
func receiveBatches(ctx context.Context, stream streams.Streams_BatchAppendServer, received chan<- *streams.BatchAppendReq) error {
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case received <- msg:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run takes what comes in until there is no more, and answers what is overdue.
func (b *batches) run(received <-chan *streams.BatchAppendReq, ended <-chan error) error {
	overdue := time.NewTimer(maxBatchDuration)
	defer overdue.Stop()
	for {
		more, end := received, ended
		if b.inFlight.Load() >= maxBatchesBytes {
			more, end = nil, nil // the client has to wait
		}
		if next, any := b.nextDeadline(); any {
			overdue.Reset(time.Until(next))
		}
		var err error
		select {
		case msg := <-more:
			err = b.take(msg)
		case err := <-end:
			return err // what is not complete is not wanted any more
		case <-b.eased:
		case now := <-overdue.C:
			err = b.expire(now)
		case <-b.ctx.Done():
			err = context.Cause(b.ctx)
		}
		if err != nil {
			return err
		}
	}
}

// take adds one chunk.
func (b *batches) take(msg *streams.BatchAppendReq) error {
	now := time.Now()
	id, ok := uuidFromWire(msg.GetCorrelationId())
	name := msg.GetOptions().GetStreamIdentifier().GetStreamName()
	if !ok {
		return b.refuse(msg.GetCorrelationId(), name, badRequest(invalid("a chunk has the correlation id of its batch, and it is not the nil UUID")))
	}
	current := b.open[id]
	if o := msg.GetOptions(); o != nil && current == nil {
		var refusal *refusal
		if current, refusal = b.begin(o, now); refusal != nil {
			return b.refuse(msg.GetCorrelationId(), name, refusal)
		}
		current.correlation = msg.GetCorrelationId()
		b.open[id] = current
	}
	if current == nil {
		return nil // it has been answered
	}
	if refusal := b.add(current, msg.GetProposedMessages()); refusal != nil {
		b.drop(id, current)
		return b.refuse(current.correlation, []byte(current.req.stream), refusal)
	}
	if !msg.GetIsFinal() {
		return nil
	}
	b.drop(id, current)
	ctx, cancel := context.WithDeadline(b.ctx, current.deadline)
	defer cancel()
	switch err := b.node.committer.submit(ctx, current.req); {
	case err == nil:
	case b.ctx.Err() != nil:
		return context.Cause(b.ctx)
	case ctx.Err() != nil:
		return b.refuse(current.correlation, []byte(current.req.stream), timedOut)
	default:
		return err
	}
	return b.answer(answer{
		to:       answerTo(current.correlation, []byte(current.req.stream)),
		req:      current.req,
		size:     current.stored,
		deadline: current.deadline,
	})
}

// begin reads the options of a batch.
func (b *batches) begin(o *streams.BatchAppendReq_Options, now time.Time) (*batch, *refusal) {
	stream := string(o.GetStreamIdentifier().GetStreamName())
	if err := checkStreamName(stream); err != nil {
		return nil, badRequest(err)
	}
	if bookkeeping(stream) {
		return nil, accessDenied
	}
	req := &appendRequest{stream: stream}
	switch is := o.GetExpectedStreamPosition().(type) {
	case *streams.BatchAppendReq_Options_StreamPosition:
		if is.StreamPosition >= maxRevision {
			return nil, badRequest(invalid("no stream is at revision %d", is.StreamPosition))
		}
		req.expected.revision = is.StreamPosition
	case *streams.BatchAppendReq_Options_NoStream:
		req.expected.kind = expectNoStream
	case *streams.BatchAppendReq_Options_Any:
		req.expected.kind = expectAny
	case *streams.BatchAppendReq_Options_StreamExists:
		req.expected.kind = expectExists
	default:
		return nil, badRequest(invalid("a batch says which revision it expects"))
	}
	rest := maxBatchDuration
	switch by := o.GetDeadlineOption().(type) {
	case *streams.BatchAppendReq_Options_Deadline:
		rest = min(rest, by.Deadline.AsDuration())
	case *streams.BatchAppendReq_Options_Deadline_21_10_0:
		rest = min(rest, by.Deadline_21_10_0.AsTime().Sub(now))
	}
	switch {
	case rest <= 0:
		return nil, timedOut
	case len(b.open) >= maxOpenBatches:
		return nil, badRequest(invalid("a call has at most %d batches open at a time: complete some first", maxOpenBatches))
	}
	return &batch{req: req, deadline: now.Add(rest)}, nil
}

// add adds events to a batch.
func (b *batches) add(to *batch, events []*streams.BatchAppendReq_ProposedMessage) *refusal {
	for _, m := range events {
		if to.size += messageSize(m); to.size > maxAppendSize {
			return appendTooLarge
		}
		event, err := propose(to.req.stream, m)
		if err != nil {
			return badRequest(err)
		}
		to.stored += len(event.encoded)
		b.size += len(event.encoded)
		switch {
		case to.stored > maxStoredSize:
			return badRequest(invalid("a batch takes at most %d bytes in the log, names of streams and events included: append fewer events at a time", maxStoredSize))
		case b.size > maxBatchesBytes:
			return badRequest(invalid("the open batches of a call take at most %d bytes together: complete some first", maxBatchesBytes))
		}
		to.req.events = append(to.req.events, event)
	}
	return nil
}

// drop forgets an open batch.
func (b *batches) drop(id uuid.UUID, current *batch) {
	delete(b.open, id)
	b.size -= current.stored
}

func (b *batches) nextDeadline() (next time.Time, any bool) {
	for _, current := range b.open {
		if !any || current.deadline.Before(next) {
			next, any = current.deadline, true
		}
	}
	return next, any
}

// expire answers the batches that were not completed in time.
func (b *batches) expire(now time.Time) error {
	for id, current := range b.open {
		if current.deadline.After(now) {
			continue
		}
		b.drop(id, current)
		if err := b.refuse(current.correlation, []byte(current.req.stream), timedOut); err != nil {
			return err
		}
	}
	return nil
}

func (b *batches) refuse(correlation *shared.UUID, stream []byte, why *refusal) error {
	to := answerTo(correlation, stream)
	why.write(to)
	return b.answer(answer{to: to})
}

// answer queues an answer, and waits while too many are queued.
func (b *batches) answer(a answer) error {
	b.inFlight.Add(int64(a.size))
	select {
	case b.answers <- a:
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

// send sends the answers, in order, until there are no more. A failure ends the
// call; then it goes on taking them, and nothing else.
func (b *batches) send(stream streams.Streams_BatchAppendServer, end context.CancelCauseFunc) {
	failed := false
	for a := range b.answers {
		if failed {
			continue
		}
		err := b.complete(a)
		if err == nil {
			err = stream.Send(a.to)
		}
		if err != nil {
			failed = true
			end(err)
		}
		b.inFlight.Add(-int64(a.size))
		select {
		case b.eased <- struct{}{}:
		default:
		}
	}
}

// complete waits for what becomes of an append and writes it into its answer. It
// fails with the reason for which the whole call has to end.
func (b *batches) complete(a answer) error {
	if a.req == nil {
		return nil
	}
	ctx, cancel := context.WithDeadline(b.ctx, a.deadline)
	defer cancel()
	res := b.node.committer.await(ctx, a.req)
	switch {
	case res.err == nil && res.deleted:
		streamIsDeleted(a.req.stream).write(a.to)
	case res.err == nil && res.refused:
		wrongExpected(a.req.expected, res.head).write(a.to)
	case res.err == nil:
		batchAppendedToWire(res, a.to)
	case b.ctx.Err() != nil:
		return context.Cause(b.ctx)
	case ctx.Err() != nil:
		timedOut.write(a.to)
	case errors.Is(res.err, errReadOnly), errors.Is(res.err, errClosing):
		return res.err // a client looks for another connection only if the call ends
	default:
		failed := status.Convert(toStatus(res.err))
		(&refusal{failed.Code(), failed.Message(), &shared.Unknown{}}).write(a.to)
	}
	return nil
}

func answerTo(correlation *shared.UUID, stream []byte) *streams.BatchAppendResp {
	return &streams.BatchAppendResp{CorrelationId: correlation, StreamIdentifier: streamToWire(stream)}
}

func batchAppendedToWire(res appendResult, to *streams.BatchAppendResp) {
	success := &streams.BatchAppendResp_Success{
		CurrentRevisionOption: &streams.BatchAppendResp_Success_NoStream{NoStream: &emptypb.Empty{}},
		PositionOption:        &streams.BatchAppendResp_Success_NoPosition{NoPosition: &emptypb.Empty{}},
	}
	if res.head.exists {
		success.CurrentRevisionOption = &streams.BatchAppendResp_Success_CurrentRevision{CurrentRevision: res.head.revision}
	}
	if res.appended {
		success.PositionOption = &streams.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{
			CommitPosition: res.head.position, PreparePosition: res.head.position,
		}}
	}
	to.Result = &streams.BatchAppendResp_Success_{Success: success}
}

// refusal is why a batch is not appended. Clients go by the type of its one detail.
type refusal struct {
	code    codes.Code
	message string
	detail  protoadapt.MessageV1
}

var (
	timedOut       = &refusal{codes.DeadlineExceeded, "Timeout", &shared.Timeout{}}
	accessDenied   = &refusal{codes.PermissionDenied, "AccessDenied", &shared.AccessDenied{}}
	appendTooLarge = &refusal{codes.InvalidArgument, "MaximumAppendSizeExceeded", &shared.MaximumAppendSizeExceeded{MaxAppendSize: maxAppendSize}}
)

func badRequest(err error) *refusal {
	return &refusal{codes.InvalidArgument, "BadRequest", &shared.BadRequest{Message: status.Convert(err).Message()}}
}

func streamIsDeleted(stream string) *refusal {
	return &refusal{codes.NotFound, "StreamDeleted", &shared.StreamDeleted{StreamIdentifier: streamToWire([]byte(stream))}}
}

func wrongExpected(e expected, now head) *refusal {
	w := &shared.WrongExpectedVersion{
		CurrentStreamRevisionOption: &shared.WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &emptypb.Empty{}},
	}
	if now.exists {
		w.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentStreamRevision{CurrentStreamRevision: now.revision}
	}
	switch e.kind {
	case expectAny:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedAny{ExpectedAny: &emptypb.Empty{}}
	case expectExists:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &emptypb.Empty{}}
	case expectNoStream:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &emptypb.Empty{}}
	case expectRevision:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamPosition{ExpectedStreamPosition: e.revision}
	}
	return &refusal{codes.AlreadyExists, "WrongExpectedVersion", w}
}

func (r *refusal) write(to *streams.BatchAppendResp) {
	s, err := status.New(r.code, r.message).WithDetails(r.detail)
	if err != nil {
		panic(fmt.Sprintf("node: a refusal cannot be written: %v", err)) // only an OK status has no details
	}
	to.Result = &streams.BatchAppendResp_Error{Error: s.Proto()}
}
