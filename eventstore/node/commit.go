package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
)

const (
	groupRequests = 1024    // appends that share one fsync
	groupBytes    = 4 << 20 // and their size, well below half a memtable
)

var (
	errClosing  = errors.New("the node is closing: connect again when it is back")
	errReadOnly = errors.New("the node is read-only because a write to its disk failed: repair the disk and restart the node")
	errFull     = errors.New("the node takes no appends because its disk is full: free some space, and it takes them again by itself")
)

type expectedKind int

const (
	expectRevision expectedKind = iota
	expectNoStream
	expectAny
	expectExists
)

// expected is the condition under which an append happens.
type expected struct {
	kind     expectedKind
	revision uint64
}

// proposal is an event on its way into the log, laid out by encodeRecord.
type proposal struct {
	id      uuid.UUID
	encoded []byte
}

// appendRequest is one atomic append.
type appendRequest struct {
	stream   string
	expected expected
	events   []proposal

	deletes deletion
	revival *proposal // metadata that goes behind the events; the committer's own

	keep   uint64   // if above zero, only the newest events of the stream stay
	remove []string // streams that vanish together with this append, records and all

	release []released // a scavenge's: events that go; there is nothing else in the request

	done chan appendResult // takes one result without waiting
}

// appendResult says where the events are, or that the condition did not hold.
type appendResult struct {
	head     head // the last event of this append; of the stream, if it has none or was refused
	appended bool // head's position is one of this append's events
	refused  bool // wrong expected revision, or
	deleted  bool // the stream is deleted; then refused is true as well
	err      error
}

// committer is the only writer. One goroutine takes appends in the order of their
// arrival, decides each against the state that its predecessors leave behind,
// writes a group of them as one batch, waits for the fsync and only then answers,
// in order, and moves the horizon.
type committer struct {
	log     *log
	horizon *horizon
	logger  *slog.Logger

	requests chan *appendRequest
	stop     chan struct{}
	stopped  chan struct{}
	failure  atomic.Pointer[error] // why there are no more writes
	full     atomic.Pointer[error] // why there are none for now
	wedged   bool                  // pebble gave up in the middle; read after stopped is closed

	// Owned by the goroutine.
	position uint64
	ticks    int64
	heads    *headCache
	recent   *recentIDs
}

// newCommitter reads as much of the log's tail as it needs to go on writing.
func newCommitter(ctx context.Context, l *log, logger *slog.Logger) (*committer, error) {
	c := &committer{
		log:      l,
		logger:   logger,
		requests: make(chan *appendRequest, groupRequests),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
		heads:    newHeadCache(cachedHeads),
		recent:   newRecentIDs(recentEvents),
	}
	type seen struct {
		stream string
		id     uuid.UUID
		at     head
	}
	var tail []seen
	err := l.backwards(1<<63, func(r *record) (bool, error) {
		if len(tail) == 0 {
			c.position, c.ticks = r.position, r.ticks
		}
		tail = append(tail, seen{string(r.stream), r.id, head{true, r.revision, r.position}})
		return len(tail) < recentEvents, ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the end of the log: %w", err)
	}
	for i := len(tail) - 1; i >= 0; i-- {
		c.recent.add(tail[i].stream, tail[i].id, tail[i].at)
	}
	c.horizon = newHorizon(c.position)
	return c, nil
}

// append waits until the request is durable or refused. When ctx ends first the
// append may still happen.
func (c *committer) append(ctx context.Context, req *appendRequest) appendResult {
	if err := c.submit(ctx, req); err != nil {
		return appendResult{err: err}
	}
	return c.await(ctx, req)
}

// submit hands a request over. Requests happen in the order in which they are
// submitted.
func (c *committer) submit(ctx context.Context, req *appendRequest) error {
	req.done = make(chan appendResult, 1)
	select {
	case c.requests <- req:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stopped:
		return errClosing
	}
}

// await waits for the result of a submitted request.
func (c *committer) await(ctx context.Context, req *appendRequest) appendResult {
	select {
	case res := <-req.done:
		return res
	case <-ctx.Done():
		return appendResult{err: ctx.Err()}
	case <-c.stopped:
		select {
		case res := <-req.done:
			return res
		default:
			return appendResult{err: errClosing}
		}
	}
}

// err is why there are no more writes, or nil.
func (c *committer) err() error {
	if p := c.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// refusal is why there are no writes now, for good or for the time being, or nil.
func (c *committer) refusal() error {
	if p := c.full.Load(); p != nil && c.err() == nil {
		return *p
	}
	return c.err()
}

// fail ends writing for good.
func (c *committer) fail(cause any) error {
	err := fmt.Errorf("%w (%v)", errReadOnly, cause)
	if c.failure.CompareAndSwap(nil, &err) {
		c.logger.Error("the event store stops writing", "error", err)
	}
	return c.err()
}

// pause refuses writes until resume.
func (c *committer) pause(cause any) error {
	err := fmt.Errorf("%w (%v)", errFull, cause)
	if c.full.Swap(&err) == nil {
		c.logger.Error("the event store pauses", "error", err)
	}
	return err
}

func (c *committer) resume() {
	if c.full.Swap(nil) != nil {
		c.logger.Info("the event store has room again and takes appends")
	}
}

// backgroundFailed hears of what pebble could not do behind the scenes and tries
// again. Without flushes its memory would fill up and a write would hang.
func (c *committer) backgroundFailed(err error) {
	if errors.Is(err, syscall.ENOSPC) {
		_ = c.pause(err)
		return
	}
	_ = c.fail(err)
}

// close ends the goroutine after the group it is at.
func (c *committer) close() {
	close(c.stop)
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	for {
		select {
		case <-c.stop:
			return
		case req := <-c.requests:
			c.commit(c.collect(req))
		}
	}
}

// collect takes what has come in meanwhile.
func (c *committer) collect(first *appendRequest) []*appendRequest {
	group, size := []*appendRequest{first}, first.size()
	// Let those go first who are about to come: a larger group costs one fsync all
	// the same. As long as they do come, so up to a full group.
	for waiting := -1; waiting < len(c.requests) && len(c.requests) < groupRequests; {
		waiting = len(c.requests)
		runtime.Gosched()
	}
	for len(group) < groupRequests && size < groupBytes {
		select {
		case req := <-c.requests:
			group = append(group, req)
			size += req.size()
		default:
			return group
		}
	}
	return group
}

func (r *appendRequest) size() (n int) {
	for i := range r.events {
		n += len(r.events[i].encoded)
	}
	return n
}

// frameBound is how much a group may take in the journal: the records, and what the
// index repeats of the streams' names.
func frameBound(group []*appendRequest) (n int) {
	for _, req := range group {
		n += req.size() + (len(req.events)+2)*(2*len(req.stream)+128)
		for _, r := range req.release {
			n += 2*len(r.stream) + 128
		}
	}
	return n
}

// pendingStream is what a group has added to a stream.
type pendingStream struct {
	state  state
	first  uint64 // revision of the first of added
	added  []eventAt
	newest []byte // the record of the last of added
}

type eventAt struct {
	id       uuid.UUID
	position uint64
}

func (c *committer) commit(group []*appendRequest) {
	results := make([]appendResult, len(group))
	err := c.refusal()
	if err == nil {
		if full := c.log.journal.room(frameBound(group)); full != nil {
			err = c.pause(full)
		}
	}
	if err == nil {
		c.write(group, results)
	} else {
		for i := range results {
			results[i].err = err
		}
	}
	for i, req := range group {
		req.done <- results[i]
	}
}

// write decides and writes a group and fills in the results.
func (c *committer) write(group []*appendRequest, results []appendResult) {
	fail := func(cause any) {
		err := c.fail(cause)
		for i := range results {
			results[i] = appendResult{err: err}
		}
	}
	defer func() {
		if cause := recover(); cause != nil {
			c.wedged = true
			c.logger.Error("the committer gave up", "cause", cause, "stack", string(debug.Stack()))
			fail(cause)
		}
	}()

	batch := c.log.db.NewBatch()
	pending := map[string]*pendingStream{}
	c.ticks = max(c.ticks, time.Now().UnixNano()/100)
	for i, req := range group {
		if len(req.release) > 0 {
			if err := release(batch, req.release); err != nil {
				fail(err)
				_ = batch.Close()
				return
			}
			continue
		}
		results[i] = c.decide(req, pending)
		if res := &results[i]; res.err == nil && !res.refused && !res.appended && len(req.events) > 0 {
			if err := c.put(batch, req, res, pending); err != nil {
				fail(err) // the batch is half done: none of it may stay
				_ = batch.Close()
				return
			}
		}
	}
	if batch.Empty() {
		_ = batch.Close()
		return
	}
	if err := c.log.write(batch); err != nil {
		fail(err)
		return
	}
	_ = batch.Close()
	c.horizon.advance(c.position, pending)
}

// decide answers an append that changes nothing; one that does is left with the
// head it goes behind.
func (c *committer) decide(req *appendRequest, pending map[string]*pendingStream) appendResult {
	now, err := c.state(req.stream, pending)
	if err != nil {
		return appendResult{err: err}
	}
	proceed := func() appendResult {
		if err := c.prepare(req, now, pending); err != nil {
			return appendResult{err: err}
		}
		return appendResult{head: now.head}
	}
	refused := appendResult{head: now.head, refused: true}
	deleted := appendResult{head: now.head, refused: true, deleted: true}
	switch ended, err := c.ended(req.stream, now, pending); {
	case err != nil:
		return appendResult{err: err}
	case ended:
		return deleted
	}

	switch req.expected.kind {
	case expectExists, expectAny:
		switch exists := req.expected.kind == expectExists; {
		case exists && now.deleted:
			return deleted
		case exists && !now.exists && !now.described:
			return refused
		}
		var last head
		for i, event := range req.events {
			at, known := c.recent.find(req.stream, event.id)
			switch {
			case !known && i == 0:
				return proceed()
			case !known:
				return refused
			}
			last = at
		}
		if len(req.events) == 0 {
			return proceed()
		}
		return appendResult{head: last, appended: true}
	}

	expectedNext := uint64(0)
	if req.expected.kind == expectRevision {
		expectedNext = req.expected.revision + 1
	}
	switch {
	case expectedNext == now.next():
		return proceed()
	case expectedNext > now.next() || len(req.events) == 0:
		return refused
	}
	// The condition was met once. If these very events followed it, this is a
	// repetition, whether they can still be read or not.
	var last head
	for i, event := range req.events {
		at, found, err := c.lookUp(req.stream, expectedNext+uint64(i), pending[req.stream])
		switch {
		case err != nil:
			return appendResult{err: err}
		case found && at.id == event.id:
		case i == 0 && req.expected.kind == expectNoStream && now.deleted:
			return proceed()
		default:
			return refused
		}
		last = head{true, expectedNext + uint64(i), at.position}
	}
	return appendResult{head: last, appended: true}
}

// lookUp finds an event in the log or in the group at hand.
func (c *committer) lookUp(stream string, revision uint64, p *pendingStream) (eventAt, bool, error) {
	if p != nil && revision >= p.first {
		if i := revision - p.first; i < uint64(len(p.added)) {
			return p.added[i], true, nil
		}
		return eventAt{}, false, nil
	}
	r, err := c.log.event([]byte(stream), revision, c.position)
	if err != nil || r == nil {
		return eventAt{}, false, err
	}
	return eventAt{r.id, r.position}, true, nil
}

// put adds the events of a request to the batch and to the pending state.
func (c *committer) put(batch *pebble.Batch, req *appendRequest, res *appendResult, pending map[string]*pendingStream) error {
	for _, stream := range req.remove {
		if err := c.removeStream(batch, stream); err != nil {
			return err
		}
	}
	stream, revision := req.stream, res.head.next()
	switch req.deletes {
	case deletesForGood:
		revision = maxRevision
	case deletesSoftly:
		stream = metastreamOf(req.stream)
		s, err := c.state(stream, pending)
		if err != nil {
			return err
		}
		revision = s.next()
	}
	last, err := c.putEvents(batch, stream, revision, req.events, req.keep, pending)
	if err != nil {
		return err
	}
	res.head, res.appended = last, true
	if req.revival == nil {
		return nil
	}
	if original, describes := describedBy(stream); describes {
		stream = original
	}
	metastream := metastreamOf(stream)
	s, err := c.state(metastream, pending)
	if err != nil {
		return err
	}
	_, err = c.putEvents(batch, metastream, s.next(), []proposal{*req.revival}, 0, pending)
	return err
}

// putEvents puts events into one stream, the first at a revision, and returns where
// the last one is.
func (c *committer) putEvents(batch *pebble.Batch, stream string, revision uint64, events []proposal, keep uint64, pending map[string]*pendingStream) (head, error) {
	now, err := c.state(stream, pending)
	if err != nil {
		return head{}, err
	}
	p := pending[stream]
	if p == nil {
		p = &pendingStream{state: now, first: revision}
		pending[stream] = p
	}
	prefix := streamPrefix([]byte(stream))
	index := streamKey(prefix, 0)
	var key, value [9]byte
	var at head
	for i, event := range events {
		at = head{true, revision + uint64(i), c.position + uint64(len(event.encoded))}
		sealRecord(event.encoded, at.position, at.revision, c.ticks)
		if err := batch.Set(appendAllKey(key[:0], at.position), event.encoded, nil); err != nil {
			return at, err
		}
		binary.BigEndian.PutUint64(index[len(prefix):], at.revision)
		if err := batch.Set(index, binary.BigEndian.AppendUint64(value[:0], at.position), nil); err != nil {
			return at, err
		}
		if keep > 0 && at.revision >= keep {
			if err := c.removeEvent(batch, stream, at.revision-keep, p); err != nil {
				return at, err
			}
		}
		p.added, p.newest = append(p.added, eventAt{event.id, at.position}), event.encoded
		c.position = at.position
		c.recent.add(stream, event.id, at)
	}
	now.head = at
	if err := c.setState(batch, stream, now, pending); err != nil {
		return at, err
	}
	return at, c.describe(batch, stream, pending)
}

// removeEvent takes one event out of its stream and out of the log.
func (c *committer) removeEvent(batch *pebble.Batch, stream string, revision uint64, p *pendingStream) error {
	key := streamKey(streamPrefix([]byte(stream)), revision)
	var position uint64
	if p != nil && revision >= p.first {
		position = p.added[revision-p.first].position
	} else {
		var found bool
		var err error
		if position, found, err = c.log.indexed(key); err != nil || !found {
			return err
		}
	}
	return errors.Join(batch.Delete(key, nil), batch.Delete(allKey(position), nil))
}

// removeStream takes a stream out as if it had never been, and its metadata with
// it. The group at hand must not write to either.
func (c *committer) removeStream(batch *pebble.Batch, stream string) error {
	if !isMetastream(stream) {
		if err := c.removeStream(batch, metastreamOf(stream)); err != nil {
			return err
		}
	}
	prefix := streamPrefix([]byte(stream))
	it, err := c.log.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: streamEnd(prefix)})
	if err != nil {
		return err
	}
	for more := it.First(); more; more = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if err := batch.Delete(append([]byte{prefixAll}, value...), nil); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	if err := closeIter(it, "the index in front of position", c.position); err != nil {
		return err
	}
	c.heads.forget(stream)
	return errors.Join(batch.DeleteRange(prefix, streamEnd(prefix), nil), batch.Delete(headKey(stream), nil))
}
