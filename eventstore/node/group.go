package node

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	bufferBytes = 8 << 20 // payload of messages that wait for a consumer
	maxBuffered = 10_000
)

var (
	errGroupStopped = errors.New("the group has stopped")
	closedChannel   = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// group is one persistent subscription. One goroutine owns everything below; the
// others hand it functions through do and post.
//
//	                 ┌─────────────── retry ◀───────────────┐
//	log ─▶ fill ─▶ buffer ─▶ dispatch ─▶ in flight ─▶ nack, time-out, disconnect
//	        │                                │              │ too often, or told to
//	        │                             ack, skip         ▼
//	        ▼                                ▼             park ─▶ durable link
//	outstanding (in order of the log) ◀── finished ◀────────┘
//
// A message is outstanding from fill until it is finished. The checkpoint is the
// place in front of the first outstanding message: never beyond what a consumer or
// a durable link has taken over.
type group struct {
	config    groupConfig
	filter    *filter
	log       *log
	committer *committer
	logger    *slog.Logger
	tick      time.Duration

	inbox      chan func()
	stop       chan struct{}
	stopped    chan struct{}
	background sync.WaitGroup

	consumers []*consumer
	turn      int // whose turn it is

	read        place      // how far the log has been read
	buffer      []*message // never delivered yet
	bufferBytes int
	retry       []*message // delivered before; they go first
	outstanding *list.List // of *message
	fault       error      // why it cannot go on: the log is damaged, or takes no more writes

	saved     place // the durable checkpoint
	savedAt   time.Time
	saving    bool
	delivered int64
	parked    int64
}

// place is a position, and how many events $all shows up to it since the group
// was started.
type place struct {
	position uint64
	count    uint64
}

type message struct {
	resolved
	before   place // the place in front of it
	retries  int32
	deadline time.Time // zero: none
	element  *list.Element
}

func (m *message) size() int { return len(m.original().encoded) }

// consumer is one connected client. Its handler takes from out, which has room for
// every message that may be in flight.
type consumer struct {
	out       chan delivery
	slots     int
	inFlight  map[uuid.UUID]*message
	gone      chan struct{} // closed when the group drops it
	reason    error         // why; set before gone is closed
	from      string
	delivered int64
}

type delivery struct {
	resolved
	retries int32
}

func newGroup(n *Node, config groupConfig, f *filter) (*group, error) {
	from := *config.Begin
	upto := n.committer.horizon.durable()
	if position, found, err := loadCheckpoint(n.log, config.Group, upto); err != nil {
		return nil, err
	} else if found {
		from = position
	}
	last, err := n.log.last([]byte(parkedStream(config.Group)), upto)
	if err != nil {
		return nil, err
	}
	g := &group{
		config:      config,
		filter:      f,
		log:         n.log,
		committer:   n.committer,
		logger:      n.logger.With("group", config.Group),
		tick:        n.tick,
		inbox:       make(chan func()),
		stop:        make(chan struct{}),
		stopped:     make(chan struct{}),
		read:        place{position: from},
		saved:       place{position: from},
		savedAt:     time.Now(),
		outstanding: list.New(),
	}
	if last != nil {
		g.parked = int64(last.revision) + 1
	}
	return g, nil
}

// run is the goroutine.
func (g *group) run() {
	defer close(g.stopped)
	ticker := time.NewTicker(g.tick)
	defer ticker.Stop()
	for {
		if err := g.committer.err(); err != nil {
			g.fail(err) // nothing that consumers say can be made durable
		}
		more := g.fill()
		g.dispatch()
		g.checkpoint()
		select {
		case f := <-g.inbox:
			f()
		case <-more:
		case now := <-ticker.C:
			g.expire(now)
		case <-g.stop:
			return
		}
	}
}

// do runs f on the group's goroutine and waits for it.
func (g *group) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case g.inbox <- func() { defer close(done); f() }:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-g.stopped:
		return errGroupStopped
	}
	<-done
	return nil
}

// post is do for the group's own helpers, which the group waits for when it stops.
func (g *group) post(f func()) {
	select {
	case g.inbox <- f:
	case <-g.stopped:
	}
}

// end stops the group. With keep it writes how far it has come, else its streams
// are about to vanish. Consumers are dropped with reason.
func (g *group) end(keep bool, reason error) {
	close(g.stop)
	<-g.stopped
	g.background.Wait() // what was on its way into the log is there now
	if at := g.finished(); keep && at.position > g.saved.position {
		if req, err := checkpointRequest(g.config.Group, at.position); err == nil {
			if res := g.committer.append(context.Background(), req); res.err != nil {
				g.logger.Warn("a persistent subscription's last checkpoint was not written: some messages will be delivered again", "error", res.err)
			}
		}
	}
	for _, c := range g.consumers {
		c.drop(reason)
	}
}

func (c *consumer) drop(reason error) {
	c.reason = reason
	close(c.gone)
}

// fail drops the consumers with the reason for which the group cannot go on.
func (g *group) fail(err error) {
	if g.fault != nil {
		return
	}
	g.fault = err
	g.logger.Error("a persistent subscription cannot go on", "error", err)
	for _, c := range slices.Clone(g.consumers) {
		g.disconnect(c, false)
		c.drop(toStatus(err))
	}
}

// fill reads on while there is room. It returns a channel that is ready when there
// is more to read, or nil while there is no room for it.
func (g *group) fill() <-chan struct{} {
	if g.fault != nil || g.full() {
		return nil
	}
	upto, moved := g.committer.horizon.now()
	var found []*message
	scanned, size := 0, 0
	stopped := false
	err := g.log.forwards(g.read.position, upto, func(r *record) (bool, error) {
		before := g.read
		g.read.position = r.position
		if !hidden(r.stream) {
			g.read.count++
			if g.filter.matches(r) {
				found = append(found, &message{resolved: resolved{event: r.clone()}, before: before})
				size += len(r.encoded)
			}
		}
		scanned++
		stopped = scanned >= pageScanned || len(found) >= pageEvents || g.bufferBytes+size >= bufferBytes ||
			len(g.buffer)+len(found) >= g.room()
		return !stopped, nil
	})
	for _, m := range found {
		target, failed := g.log.resolve(m.event, g.config.ResolveLinks, upto)
		if failed != nil {
			err, g.read = failed, m.before // nothing behind the damage
			break
		}
		m.resolved = target
		m.element = g.outstanding.PushBack(m)
		g.buffer = append(g.buffer, m)
		g.bufferBytes += m.size()
	}
	switch {
	case err != nil:
		g.fail(err)
		return nil
	case stopped:
		return closedChannel
	}
	g.read.position = max(g.read.position, upto)
	return moved
}

func (g *group) room() int { return min(int(g.config.HistoryBufferSize), maxBuffered) }

func (g *group) full() bool {
	return len(g.buffer) >= g.room() || g.bufferBytes >= bufferBytes
}

// dispatch hands out messages while a consumer can take the next one.
func (g *group) dispatch() {
	if len(g.consumers) == 0 {
		return
	}
	now := time.Now()
	g.retry = g.retry[g.handOut(g.retry, now):]
	if len(g.retry) > 0 && g.capacity() == 0 {
		return
	}
	sent := g.handOut(g.buffer, now)
	for i, m := range g.buffer[:sent] {
		g.bufferBytes -= m.size()
		g.buffer[i] = nil
	}
	g.buffer = g.buffer[sent:]
}

// handOut delivers from the front of a queue and returns how many it could.
func (g *group) handOut(queue []*message, now time.Time) int {
	for i, m := range queue {
		c := g.choose(m.original().id)
		if c == nil {
			return i
		}
		if timeout := g.config.messageTimeout(); timeout > 0 {
			m.deadline = now.Add(timeout)
		}
		c.inFlight[m.original().id] = m
		c.out <- delivery{m.resolved, m.retries}
		c.delivered++
		g.delivered++
	}
	return len(queue)
}

// choose picks the consumer for a message. A consumer tells messages apart by event
// id, so it is never given one twice at a time.
func (g *group) choose(id uuid.UUID) *consumer {
	for i := range g.consumers {
		at := (g.turn + i) % len(g.consumers)
		c := g.consumers[at]
		if c.free() == 0 {
			continue
		}
		if _, has := c.inFlight[id]; has {
			continue
		}
		g.turn = at
		if g.config.Strategy == strategyRoundRobin {
			g.turn = at + 1
		}
		return c
	}
	return nil
}

func (c *consumer) free() int {
	return max(0, min(c.slots-len(c.inFlight), cap(c.out)-len(c.out)))
}

func (g *group) capacity() (n int) {
	for _, c := range g.consumers {
		n += c.free()
	}
	return n
}

// connect adds a consumer.
func (g *group) connect(slots int, from string) (*consumer, error) {
	if limit := int(g.config.MaxSubscribers); limit > 0 && len(g.consumers) >= limit {
		return nil, status.Errorf(codes.FailedPrecondition, "group %q takes at most %d consumers at a time", g.config.Group, limit)
	}
	if slots < 1 {
		return nil, invalid("a consumer has a buffer of at least one message")
	}
	if err := g.committer.err(); err != nil {
		return nil, toStatus(err)
	}
	g.fault = nil // whoever connects may look again
	slots = min(slots, maxConsumerSlots)
	c := &consumer{
		out:      make(chan delivery, slots),
		slots:    slots,
		inFlight: map[uuid.UUID]*message{},
		gone:     make(chan struct{}),
		from:     from,
	}
	g.consumers = append(g.consumers, c)
	return c, nil
}

// disconnect takes a consumer out and retries what it had. count says whether that
// counts as a failed delivery.
func (g *group) disconnect(c *consumer, count bool) {
	at := slices.Index(g.consumers, c)
	if at < 0 {
		return
	}
	g.consumers = slices.Delete(g.consumers, at, at+1)
	for _, m := range inOrder(c.inFlight) {
		delete(c.inFlight, m.original().id)
		if count {
			g.again(m, "its consumers disconnected")
		} else {
			g.retry = append(g.retry, m)
		}
	}
}

func inOrder(messages map[uuid.UUID]*message) []*message {
	sorted := make([]*message, 0, len(messages))
	for _, m := range messages {
		sorted = append(sorted, m)
	}
	slices.SortFunc(sorted, func(a, b *message) int { return cmp.Compare(a.before.position, b.before.position) })
	return sorted
}

// ack finishes messages.
func (g *group) ack(c *consumer, ids []uuid.UUID) {
	for _, id := range ids {
		if m := c.take(id); m != nil {
			g.finish(m)
		}
	}
}

// nack does what the consumer wants done with messages it could not handle.
func (g *group) nack(c *consumer, ids []uuid.UUID, action persistent.ReadReq_Nack_Action, reason string) {
	for _, id := range ids {
		m := c.take(id)
		if m == nil {
			continue // timed out before, or never delivered
		}
		switch action {
		case persistent.ReadReq_Nack_Park:
			g.park(m, cmp.Or(reason, "the consumer asked for it"))
		case persistent.ReadReq_Nack_Skip, persistent.ReadReq_Nack_Stop:
			g.finish(m)
		default:
			g.again(m, reason)
		}
	}
}

// take ends a message's flight.
func (c *consumer) take(id uuid.UUID) *message {
	m := c.inFlight[id]
	delete(c.inFlight, id)
	return m
}

// expire retries the messages whose consumers took too long.
func (g *group) expire(now time.Time) {
	if g.config.MessageTimeoutMs == 0 {
		return
	}
	for _, c := range g.consumers {
		for _, m := range inOrder(c.inFlight) {
			if !m.deadline.After(now) {
				delete(c.inFlight, m.original().id)
				g.again(m, "its consumers took too long")
			}
		}
	}
}

// again delivers a message once more, or parks it when it has failed too often.
func (g *group) again(m *message, reason string) {
	if m.retries >= g.config.MaxRetryCount {
		text := fmt.Sprintf("delivered %d times without success", m.retries+1)
		if reason != "" {
			text += ", the last time: " + reason
		}
		g.park(m, text)
		return
	}
	m.retries++
	g.retry = append(g.retry, m)
}

// park puts a link to a message into the group's parked stream and then finishes
// it. Until the link is durable the message stays outstanding.
func (g *group) park(m *message, reason string) {
	req, err := parkRequest(g.config.Group, m.resolved, reason, time.Now())
	if err != nil {
		g.logger.Error("a message cannot be parked and is tried again", "position", m.original().position, "error", err)
		g.retry = append(g.retry, m)
		return
	}
	g.background.Add(1)
	go func() {
		defer g.background.Done()
		res := g.committer.append(context.Background(), req)
		g.post(func() {
			if res.err != nil {
				g.logger.Error("a message was not parked and is tried again", "position", m.original().position, "error", res.err)
				g.retry = append(g.retry, m)
				return
			}
			g.logger.Warn("a message was parked", "position", m.original().position, "reason", reason)
			g.parked++
			g.finish(m)
		})
	}()
}

func (g *group) finish(m *message) {
	g.outstanding.Remove(m.element)
}

// finished is the place up to which everything is finished.
func (g *group) finished() place {
	if first := g.outstanding.Front(); first != nil {
		return first.Value.(*message).before
	}
	return g.read
}

// checkpoint writes down how far the group has come, when the settings say so.
func (g *group) checkpoint() {
	at := g.finished()
	count := at.count - g.saved.count
	switch {
	case g.saving, count == 0, g.committer.err() != nil:
		return
	case count >= uint64(g.config.MaxCheckpointCount):
	case count >= uint64(g.config.MinCheckpointCount) && time.Since(g.savedAt) >= g.config.checkpointAfter():
	default:
		return
	}
	req, err := checkpointRequest(g.config.Group, at.position)
	if err != nil {
		g.logger.Error("a persistent subscription's checkpoint cannot be written", "error", err)
		return
	}
	g.saving = true
	g.background.Add(1)
	go func() {
		defer g.background.Done()
		res := g.committer.append(context.Background(), req)
		g.post(func() {
			g.saving, g.savedAt = false, time.Now()
			if res.err != nil {
				g.logger.Warn("a persistent subscription's checkpoint was not written", "error", res.err)
				return
			}
			g.saved = at
		})
	}()
}

// info describes the group as clients see it.
func (g *group) info() *persistent.SubscriptionInfo {
	c := &g.config
	info := &persistent.SubscriptionInfo{
		EventSource:                 c.Stream,
		GroupName:                   c.Group,
		Status:                      "Live",
		TotalItems:                  g.delivered,
		ResolveLinkTos:              c.ResolveLinks,
		StartFrom:                   c.StartFrom,
		MessageTimeoutMilliseconds:  int32(c.MessageTimeoutMs),
		ExtraStatistics:             c.ExtraStatistics,
		MaxRetryCount:               c.MaxRetryCount,
		LiveBufferSize:              c.LiveBufferSize,
		BufferSize:                  c.HistoryBufferSize,
		ReadBatchSize:               c.ReadBatchSize,
		CheckPointAfterMilliseconds: int32(c.CheckpointAfterMs),
		MinCheckPointCount:          c.MinCheckpointCount,
		MaxCheckPointCount:          c.MaxCheckpointCount,
		ReadBufferCount:             int32(len(g.buffer)),
		RetryBufferCount:            int32(len(g.retry)),
		OutstandingMessagesCount:    int32(g.outstanding.Len()),
		NamedConsumerStrategy:       c.Strategy,
		MaxSubscriberCount:          c.MaxSubscribers,
		ParkedMessageCount:          g.parked,
		LastKnownEventPosition:      formatPosition(g.read.position),
	}
	if g.saved.position > 0 {
		info.LastCheckpointedEventPosition = formatPosition(g.saved.position)
	}
	switch {
	case g.fault != nil:
		info.Status = "Faulted"
	case g.read.position < g.committer.horizon.durable():
		info.Status = "Behind"
	}
	for _, consumer := range g.consumers {
		info.TotalInFlightMessages += int32(len(consumer.inFlight))
		info.Connections = append(info.Connections, &persistent.SubscriptionInfo_ConnectionInfo{
			From:             consumer.from,
			TotalItems:       consumer.delivered,
			AvailableSlots:   int32(consumer.free()),
			InFlightMessages: int32(len(consumer.inFlight)),
		})
	}
	return info
}
