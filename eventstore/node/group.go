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
	idleBytes   = 256 << 10
	maxBuffered = 10_000
)

var (
	errGroupStopped = errors.New("the group has stopped")
	closedChannel   = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// group is one persistent subscription. One goroutine owns everything below; the
// others hand it functions through do and post. While nothing happens it sleeps.
//
//	parked ─▶ load ─────┐
//	                    ▼
//	                ┌─ retry ◀───────────────────┐
//	                ▼                            │
//	source ─▶ fill ─▶ buffer ─▶ dispatch ─▶ in flight ─▶ nack, time-out, disconnect
//	            │                            │              │ too often, or told to
//	            │                         ack, skip         ▼
//	            ▼                            ▼           parking ─▶ durable link
//	        outstanding, replaying ◀───── finished ◀────────┘
//
// A message is outstanding from fill until it is finished, or replaying if it was
// loaded from what is parked. Both lists are in the order in which it was read. The
// checkpoint is the place in front of the first outstanding message and the parked
// stream's $tb is at the first one that is replaying: never beyond what a consumer or
// a durable link has taken over.
type group struct {
	config    groupConfig
	key       groupKey
	source    source
	strategy  strategy
	log       *log
	committer *committer
	logger    *slog.Logger
	tick      time.Duration

	inbox      chan func()
	stop       chan struct{}
	stopped    chan struct{}
	background sync.WaitGroup

	consumers   []*consumer
	read        place      // how far the source has been read
	buffer      []*message // never delivered yet
	bufferBytes int
	retry       []*message // delivered before, or parked before; they go first
	outstanding *list.List // of *message
	replaying   *list.List // of *message
	parking     []parking  // on their way into the parked stream, or waiting for it
	isParking   bool
	replay      replay
	fault       error // why it cannot go on: the log is damaged, or takes no more writes

	saved        place // the durable checkpoint
	checkpointed bool  // there is one
	savedAt      time.Time
	saving       bool
	delivered    int64
	measured     measurement
}

// place is how far something has come in the source, and how many events counted up
// to it since the group was started.
type place struct {
	position uint64
	count    uint64
}

type message struct {
	resolved
	before   place // the place in front of it, in the source or in the parked stream
	replayed bool
	retries  int32
	deadline time.Time // zero: none
	bucket   uint32    // the pinned strategies'; zero: not known yet
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
	name      string
	delivered int64
	measured  int64 // of delivered, when somebody last asked
}

type delivery struct {
	resolved
	retries int32
}

// measurement is what the averages are taken from.
type measurement struct {
	at    time.Time
	items int64
}

// newGroup takes up a group where the log says that it is. Its settings say where it
// begins.
func newGroup(n *Node, config groupConfig) (*group, error) {
	upto := n.committer.horizon.durable()
	now := time.Now()
	g := &group{
		config:      config,
		key:         config.key(),
		strategy:    newStrategy(config.Strategy),
		log:         n.log,
		committer:   n.committer,
		logger:      n.logger.With("stream", config.Stream, "group", config.Group),
		tick:        n.tick,
		inbox:       make(chan func()),
		stop:        make(chan struct{}),
		stopped:     make(chan struct{}),
		read:        place{position: *config.Begin},
		savedAt:     now,
		outstanding: list.New(),
		replaying:   list.New(),
		measured:    measurement{at: now},
	}
	var err error
	if g.source, err = newSource(n, &config); err != nil {
		return nil, err
	}
	if err := g.load(upto); err != nil {
		g.source.close()
		return nil, err
	}
	return g, nil
}

// load reads what is durable of the group's progress.
func (g *group) load(upto uint64) error {
	position, found, err := loadCheckpoint(g.log, g.key, g.source, upto)
	if err != nil {
		return err
	}
	if found {
		g.read.position, g.checkpointed = position, true
	}
	g.saved = g.read
	first, _, err := parkedRange(g.log, g.key, upto)
	g.replay = replay{next: first, claimed: first, saved: first}
	return err
}

// run is the goroutine.
func (g *group) run() {
	defer close(g.stopped)
	defer g.source.close()
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	running := false
	for {
		if err := g.committer.err(); err != nil {
			g.fail(err) // nothing that consumers say can be made durable
		}
		more := g.fill()
		if g.dispatch() && (more == nil || g.replay.next < g.replay.claimed) {
			more = closedChannel // there is room again
		}
		g.park()
		g.checkpoint()
		g.truncate()
		if !running && g.waitsForTime() {
			clock.Reset(g.tick)
			running = true
		}
		select {
		case f := <-g.inbox:
			f()
		case <-more:
		case now := <-clock.C:
			running = false
			g.expire(now)
		case <-g.stop:
			g.settle()
			return
		}
	}
}

// settle takes in what was on its way into the log when the group was stopped.
func (g *group) settle() {
	done := make(chan struct{})
	go func() { defer close(done); g.background.Wait() }()
	for {
		select {
		case f := <-g.inbox:
			f()
		case <-done:
			return
		}
	}
}

// waitsForTime says whether something may become due just by waiting.
func (g *group) waitsForTime() bool {
	if g.config.MessageTimeoutMs > 0 && slices.ContainsFunc(g.consumers, func(c *consumer) bool { return len(c.inFlight) > 0 }) {
		return true
	}
	count := g.finished().count - g.saved.count
	return !g.saving && count > 0 && count >= uint64(g.config.MinCheckpointCount)
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

// post is do without the waiting.
func (g *group) post(f func()) {
	select {
	case g.inbox <- f:
	case <-g.stopped:
	}
}

// later appends to the log while the group goes on, and then tells it how that went.
// A group that is stopped waits for it.
func (g *group) later(req *appendRequest, then func(error)) {
	g.background.Add(1)
	go func() {
		defer g.background.Done()
		res := g.committer.append(context.Background(), req)
		g.post(func() { then(res.err) })
	}()
}

// halt stops the goroutine. What the group knows stands still from then on, and
// belongs to the caller.
func (g *group) halt() {
	close(g.stop)
	<-g.stopped
}

// saveProgress writes how far a group has come that was stopped.
func (g *group) saveProgress() {
	at := g.finished()
	if at.count == g.saved.count {
		return
	}
	req, err := checkpointRequest(g.key, g.source.format(at.position))
	if err == nil {
		err = g.committer.append(context.Background(), req).err
	}
	if err != nil {
		g.logger.Warn("a persistent subscription's last checkpoint was not written: some messages will be delivered again", "error", err)
	}
}

// saveReplay writes how far a group's replay has come that was stopped.
func (g *group) saveReplay() {
	at := g.replayed()
	if at <= g.replay.saved {
		return
	}
	if err := g.committer.append(context.Background(), truncateRequest(g.key, at)).err; err != nil {
		g.logger.Warn("what was replayed stays parked: some messages will be delivered again with the next replay", "error", err)
	}
}

// drop sends the consumers away of a group that was stopped.
func (g *group) drop(reason error) {
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
	if g.fault != nil {
		return nil
	}
	if err := g.loadReplay(); err != nil {
		g.fail(err)
		return nil
	}
	if g.full() {
		return nil
	}
	upto, moved := g.source.now()
	var found []*message
	scanned, size := 0, 0
	stopped := false
	room, bytes := g.room()
	err := g.source.scan(g.read.position, upto, func(r *record) (bool, error) {
		before := g.read
		g.read.position = g.source.behind(r)
		counts, wanted := g.source.shows(r)
		if counts {
			g.read.count++
		}
		if wanted {
			found = append(found, &message{resolved: resolved{event: r.clone()}, before: before})
			size += len(r.encoded)
		}
		scanned++
		stopped = scanned >= pageScanned || len(found) >= pageEvents || g.bufferBytes+size >= bytes || len(g.buffer)+len(found) >= room
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
	g.read.position = g.source.end(g.read.position, upto)
	return moved
}

// room is how many messages and bytes may wait. Without consumers it is little: there
// may be many groups that nobody listens to.
func (g *group) room() (messages, bytes int) {
	if len(g.consumers) == 0 {
		return min(int(g.config.ReadBatchSize), maxBuffered), idleBytes
	}
	return min(int(g.config.HistoryBufferSize), maxBuffered), bufferBytes
}

func (g *group) full() bool {
	messages, bytes := g.room()
	return len(g.buffer) >= messages || g.bufferBytes >= bytes
}

// loadReplay reads on in what is to be replayed, when everything before is on its
// way.
func (g *group) loadReplay() error {
	if g.replay.next >= g.replay.claimed || len(g.retry) > 0 {
		return nil
	}
	upto := g.committer.horizon.durable()
	room, bytes := g.room()
	var links []*record
	size := 0
	stopped := false
	err := readForGroup(g.log, []byte(g.key.parked()), g.replay.next, upto, func(r *record) (bool, error) {
		if r.revision >= g.replay.claimed {
			return false, nil
		}
		links = append(links, r.clone())
		size += len(r.encoded)
		stopped = len(links) >= min(room, pageEvents) || size >= bytes
		return !stopped, nil
	})
	if err != nil {
		return err
	}
	for _, link := range links {
		target, err := g.log.resolve(link, true, upto)
		if err != nil {
			return err
		}
		m := &message{resolved: target, before: place{position: link.revision}, replayed: true}
		m.element = g.replaying.PushBack(m)
		g.retry = append(g.retry, m)
		g.replay.next = link.revision + 1
	}
	if !stopped {
		g.replay.next = g.replay.claimed
	}
	return nil
}

// replayParked delivers again what is parked, or the oldest limit of it. What an
// earlier call has taken up is not parked any more.
func (g *group) replayParked(limit uint64) error {
	if err := cmp.Or(g.fault, g.committer.err()); err != nil {
		return err
	}
	first, end, err := parkedRange(g.log, g.key, g.committer.horizon.durable())
	if err != nil {
		return err
	}
	from := max(first, g.replay.claimed)
	if end <= from {
		return nil
	}
	g.replay.claimed = from + min(limit, end-from)
	return nil
}

// dispatch hands out messages while a consumer can take the next one. It says whether
// there were any.
func (g *group) dispatch() bool {
	if len(g.consumers) == 0 || len(g.parking) >= parkingWaiting {
		return false
	}
	now := time.Now()
	waiting := len(g.retry) + len(g.buffer)
	g.retry, _ = g.handOut(g.retry, now)
	if len(g.retry) == 0 || g.capacity() > 0 {
		var size int
		g.buffer, size = g.handOut(g.buffer, now)
		g.bufferBytes -= size
	}
	return len(g.retry)+len(g.buffer) < waiting
}

// handOut delivers from the front of a queue. It returns what is left and the size of
// what is not.
func (g *group) handOut(queue []*message, now time.Time) (left []*message, size int) {
	free := g.capacity()
	left = queue[:0]
	for i, m := range queue {
		var c *consumer
		if free > 0 {
			c = g.strategy.choose(m, g.consumers)
		}
		switch {
		case c != nil:
			g.deliver(c, m, now)
			size += m.size()
			free--
		case free > 0 && g.strategy.overtakes():
			left = append(left, m)
		case len(left) == 0:
			clear(queue[:i])
			return queue[i:], size
		default:
			left = append(left, queue[i:]...)
			clear(queue[len(left):])
			return left, size
		}
	}
	clear(queue[len(left):])
	return left, size
}

func (g *group) deliver(c *consumer, m *message, now time.Time) {
	if timeout := g.config.messageTimeout(); timeout > 0 {
		m.deadline = now.Add(timeout)
	}
	c.inFlight[m.original().id] = m
	c.out <- delivery{m.resolved, m.retries}
	c.delivered++
	g.delivered++
}

// takes says whether a consumer can be given a message. It tells messages apart by
// event id, so it is never given one twice at a time.
func (c *consumer) takes(m *message) bool {
	_, has := c.inFlight[m.original().id]
	return !has && c.free() > 0
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
func (g *group) connect(slots int, from, name string) (*consumer, error) {
	if limit := int(g.config.MaxSubscribers); limit > 0 && len(g.consumers) >= limit {
		return nil, status.Errorf(codes.FailedPrecondition, "group %q takes at most %d consumers at a time", g.key, limit)
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
		name:     name,
	}
	g.consumers = append(g.consumers, c)
	g.strategy.joined(c, g.consumers)
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
	g.strategy.left(c)
	for _, m := range inOrder(c.inFlight) {
		delete(c.inFlight, m.original().id)
		if count {
			g.again(m, "its consumers disconnected")
		} else {
			g.retry = append(g.retry, m)
		}
	}
}

// inOrder sorts messages as they were read, what was parked before first.
func inOrder(messages map[uuid.UUID]*message) []*message {
	sorted := make([]*message, 0, len(messages))
	for _, m := range messages {
		sorted = append(sorted, m)
	}
	slices.SortFunc(sorted, func(a, b *message) int {
		if a.replayed != b.replayed {
			if a.replayed {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.before.position, b.before.position)
	})
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
			g.parking = append(g.parking, parking{m, cmp.Or(reason, "the consumer asked for it")})
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
		g.parking = append(g.parking, parking{m, text})
		return
	}
	m.retries++
	g.retry = append(g.retry, m)
}

// park puts links to messages into the group's parked stream and then finishes them.
// Until its link is durable a message stays outstanding.
func (g *group) park() {
	if g.isParking || len(g.parking) == 0 || g.fault != nil {
		return
	}
	batch := g.parking[:min(len(g.parking), parkedAtATime)]
	req, err := parkRequest(g.key, batch, time.Now())
	if err != nil {
		g.fail(err)
		return
	}
	g.isParking = true
	g.later(req, func(err error) {
		g.isParking = false
		if err != nil {
			g.fail(fmt.Errorf("messages cannot be parked: %w", err)) // they stay where they are
			return
		}
		g.parking = slices.Clone(g.parking[len(batch):])
		for _, p := range batch {
			g.logger.Warn("a message was parked", "position", p.message.original().position, "reason", p.reason)
			g.finish(p.message)
		}
	})
}

func (g *group) finish(m *message) {
	if m.replayed {
		g.replaying.Remove(m.element)
		return
	}
	g.outstanding.Remove(m.element)
}

// finished is the place up to which everything is finished.
func (g *group) finished() place {
	if first := g.outstanding.Front(); first != nil {
		return first.Value.(*message).before
	}
	return g.read
}

// replayed is the revision in the parked stream up to which everything was replayed.
func (g *group) replayed() uint64 {
	if first := g.replaying.Front(); first != nil {
		return first.Value.(*message).before.position
	}
	return g.replay.next
}

// checkpoint writes down how far the group has come, when the settings say so.
func (g *group) checkpoint() {
	at := g.finished()
	count := at.count - g.saved.count
	switch {
	case g.saving, count == 0, g.fault != nil:
		return
	case count >= uint64(g.config.MaxCheckpointCount):
	case count >= uint64(g.config.MinCheckpointCount) && time.Since(g.savedAt) >= g.config.checkpointAfter():
	default:
		return
	}
	req, err := checkpointRequest(g.key, g.source.format(at.position))
	if err != nil {
		g.fail(err)
		return
	}
	g.saving = true
	g.later(req, func(err error) {
		g.saving, g.savedAt = false, time.Now()
		if err != nil {
			g.fail(fmt.Errorf("progress cannot be written: %w", err))
			return
		}
		g.saved, g.checkpointed = at, true
	})
}

// truncate takes out of the parked stream what was replayed and finished: when that is
// all of it, and now and then before.
func (g *group) truncate() {
	at := g.replayed()
	if g.replay.saving || at <= g.replay.saved || g.fault != nil ||
		g.replaying.Len() > 0 && at-g.replay.saved < uint64(g.config.MaxCheckpointCount) {
		return
	}
	g.replay.saving = true
	g.later(truncateRequest(g.key, at), func(err error) {
		g.replay.saving = false
		if err != nil {
			g.fail(fmt.Errorf("what was replayed stays parked: %w", err))
			return
		}
		g.replay.saved = at
	})
}

// info describes the group as clients see it. Averages are since the last call.
func (g *group) info() (*persistent.SubscriptionInfo, error) {
	upto := g.committer.horizon.durable()
	first, end, err := parkedRange(g.log, g.key, upto)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	perSecond := func(items int64) int32 {
		return int32(float64(items) / max(now.Sub(g.measured.at), time.Millisecond).Seconds())
	}
	since := g.delivered - g.measured.items
	c := &g.config
	info := &persistent.SubscriptionInfo{
		EventSource:                 c.Stream,
		GroupName:                   c.Group,
		Status:                      "Live",
		AveragePerSecond:            perSecond(since),
		TotalItems:                  g.delivered,
		CountSinceLastMeasurement:   since,
		LastKnownEventPosition:      g.source.format(g.read.position),
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
		OutstandingMessagesCount:    int32(g.outstanding.Len() + g.replaying.Len() - len(g.buffer) - len(g.retry)),
		NamedConsumerStrategy:       c.Strategy,
		MaxSubscriberCount:          c.MaxSubscribers,
		ParkedMessageCount:          int64(end - min(end, max(first, g.replay.claimed))),
	}
	if g.checkpointed {
		info.LastCheckpointedEventPosition = g.source.format(g.saved.position)
	}
	switch {
	case g.fault != nil:
		info.Status = "Faulted"
	case g.full():
		info.Status = "Behind"
	}
	for _, consumer := range g.consumers {
		since := consumer.delivered - consumer.measured
		consumer.measured = consumer.delivered
		info.TotalInFlightMessages += int32(len(consumer.inFlight))
		info.Connections = append(info.Connections, &persistent.SubscriptionInfo_ConnectionInfo{
			From:                      consumer.from,
			ConnectionName:            consumer.name,
			AverageItemsPerSecond:     perSecond(since),
			TotalItems:                consumer.delivered,
			CountSinceLastMeasurement: since,
			AvailableSlots:            int32(consumer.free()),
			InFlightMessages:          int32(len(consumer.inFlight)),
		})
	}
	g.measured = measurement{now, g.delivered}
	return info, nil
}
