package scanners

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Channel lets scanners take part that are not in this process and have no client of
// the event store: internal/httpapi puts it on HTTP. Each instance of a type has a
// seat here, which is a member of the type's group like any other; so all kinds of
// instances, at any number of servers, share a type's work.
//
//	first poll ─▶ seat: joins the group, ScannerOnline, heartbeats
//	delivery   ─▶ answered before ──────────────────────────────▶ ack
//	           ├▶ attempts used up ─▶ SubTaskFailed{parked} ────▶ park
//	           └▶ waits for a poll ─▶ lease, until its deadline
//	                renewed ─▶ … Longest at most
//	                acked, and the facts are there ─────────────▶ ack
//	                nacked ─▶ attempts left: backoff ───────────▶ retry
//	                       └▶ none, or wished ─▶ SubTaskFailed ─▶ park
//	                deadline over ──────────────────────────────▶ retry
//	nobody asks, nothing leased ─▶ ScannerOffline, leaves the group
//
// A lease lives in the process that gave it; when that dies the log delivers again.
// What Run, above, promises of an instance of its own holds here too: acknowledged
// only after its facts are durable, attempts counted before the work, a stale attempt
// refused. It is safe for concurrent use.
type Channel struct {
	parts    Parts
	options  ChannelOptions
	commands *commands.Commands
	projects *commands.Projects
	running  sync.WaitGroup // seats
	stop     chan struct{}  // closed by EndPolls

	mu     sync.Mutex
	life   context.Context // of Run; nil before it and after
	ended  bool
	seats  map[seatID]*seat
	leases map[string]*lease // by id; ended ones stay until their deadline
	events map[eventOf]*lease
}

// ChannelOptions of a channel; zero values are replaced by the defaults named here.
type ChannelOptions struct {
	Lease       time.Duration // from a lease, or its renewal, to its deadline; 30 s
	Longest     time.Duration // of a lease with all its renewals; 10 min
	MaxAttempts int           // of one task before its delivery is parked; 3
	Backoff     time.Duration // before the first repetition, then doubling; 500 ms
	Idle        time.Duration // after which a seat that nobody asks for is given up; 10 s
	Seats       int           // at most; 256
}

// Limits of a poll.
const (
	MaxLeases = 32          // of an instance at once
	MaxWait   = time.Minute // of a poll
	// spareDeliveries is how many more than its leases a seat takes, so that one in
	// its backoff keeps no lease from others. What they keep from other instances
	// meanwhile goes back after a quarter of Idle.
	spareDeliveries = 2
)

// Worker is an instance of a scanner that asks here.
type Worker struct {
	Type    string
	Scanner task.Scanner // Instance is required
}

// Lease is a delivery that a worker may work on until the deadline.
type Lease struct {
	ID       string
	Deadline time.Time
	Cause    task.Recorded // MainTaskCreated or SubTaskRetryRequested
	TaskID   string
	Upload   task.ZipUploaded
	// TookPart: the type took part before, so it cannot decline any more.
	TookPart bool
	Attempt  int // the newest so far, 0 if there was none
	// Left is how many attempts the delivery still has.
	Left int
	// Configuration is what operators have said of the type for the task's project; nil:
	// nothing.
	Configuration *project.Configured
}

type (
	seatID  struct{ name, instance string }
	eventOf struct {
		name  string
		event eventstore.ID
	}
	// held is a delivery and who must be told its end.
	held struct {
		consumer eventstore.Consumer
		d        eventstore.Delivery
	}
)

// lease is guarded by Channel.mu.
type lease struct {
	Lease
	seat   *seat
	event  eventOf
	before int
	begun  time.Time
	of     []held // none when their consumers were lost
	ended  bool   // acked: remembered so that a repeated ack is told so
	timer  *time.Timer
}

// NewChannel returns a channel, which works while Run does.
func NewChannel(parts Parts, o ChannelOptions) *Channel {
	if o.Lease <= 0 {
		o.Lease = 30 * time.Second
	}
	if o.Longest <= 0 {
		o.Longest = 2 * (Options{}).withDefaults().ScanTimeout // less than the log lets anybody hold a delivery
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = (Options{}).withDefaults().MaxAttempts
	}
	if o.Backoff <= 0 {
		o.Backoff = (Options{}).withDefaults().Backoff
	}
	if o.Idle <= 0 {
		o.Idle = 10 * time.Second
	}
	if o.Seats <= 0 {
		o.Seats = 256
	}
	return &Channel{parts: parts, options: o, commands: commands.New(parts.Log), projects: commands.NewProjects(parts.Log), stop: make(chan struct{}),
		seats: map[seatID]*seat{}, leases: map[string]*lease{}, events: map[eventOf]*lease{}}
}

// Run keeps the seats until ctx ends; what is leased then is delivered to others. It
// returns nil.
func (c *Channel) Run(ctx context.Context) error {
	c.mu.Lock()
	c.life = ctx
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	c.life = nil
	for _, l := range c.leases {
		l.timer.Stop()
	}
	clear(c.leases)
	clear(c.events)
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// Poll leases up to n deliveries to a worker; it waits for the first of them. None
// and no error: nothing came. The n of a worker's first poll is how many leases it may
// hold at once, until it has been away.
func (c *Channel) Poll(ctx context.Context, w Worker, n int, patience time.Duration) ([]Lease, error) {
	n, patience = min(max(n, 1), MaxLeases), min(max(patience, 0), MaxWait)
	s, err := c.seat(ctx, w, n)
	if err != nil {
		return nil, err
	}
	defer c.leave(s)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		offers, change := s.take(n)
		if len(offers) > 0 {
			return c.grant(ctx, s, offers)
		}
		select {
		case <-change:
		case <-timer.C:
			return nil, s.whyNot()
		case <-c.stop:
			return nil, closing()
		case <-s.ctx.Done():
			return nil, closing()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// EndPolls ends those that wait and refuses new ones: the process is about to stop, and
// should not wait for them.
func (c *Channel) EndPolls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		close(c.stop)
	}
}

// grant makes leases of what was taken. A try that may not be the first is recorded
// before anybody hears of it, as in consider.
func (c *Channel) grant(ctx context.Context, s *seat, offers []offer) (leases []Lease, err error) {
	for i, o := range offers {
		id := uuid.NewString()
		if _, joined := o.state.SubTasks[s.about.Type]; !joined && (o.d.Retries > 0 || o.d.Event.Position <= s.born) {
			_, err = c.commands.Consider(ctx, o.id, s.by(o.fact.ID), task.Consider{Type: s.about.Type, Scanner: s.me, Delivery: id})
		}
		if err == nil {
			var l Lease
			if l, err = c.lease(s, id, o); err == nil {
				leases = append(leases, l)
				continue
			}
		}
		for _, back := range offers[i:] {
			s.release(1)
			_ = back.consumer.Retry(back.d, text(err)) // unheard, it comes again all the same
		}
		break
	}
	if len(leases) > 0 {
		return leases, nil // the others come again
	}
	return nil, err
}

func (c *Channel) lease(s *seat, id string, o offer) (Lease, error) {
	zip := o.state.Uploaded
	if zip == nil {
		return Lease{}, &domain.Error{Kind: domain.Internal, Rule: "task.unknown", Msg: "task " + o.id + " does not begin with an upload"}
	}
	mine, joined := s.sub(o.state)
	l := &lease{
		Lease: Lease{ID: id, Cause: o.fact, TaskID: o.id, Upload: *zip, TookPart: joined, Attempt: mine.Attempt, Left: c.options.MaxAttempts - (mine.Attempt - o.before), Configuration: o.told},
		seat:  s, event: eventOf{s.about.Type, o.d.Event.ID}, before: o.before, begun: time.Now(), of: []held{o.held},
	}
	l.Deadline = l.begun.Add(c.options.Lease)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil {
		return Lease{}, closing()
	}
	l.timer = time.AfterFunc(c.options.Lease, func() { c.expire(l) })
	c.leases[id], c.events[l.event] = l, l
	return l.Lease, nil
}

// expire gives back what was not renewed.
func (c *Channel) expire(l *lease) {
	c.mu.Lock()
	if c.leases[l.ID] != l || time.Now().Before(l.Deadline) {
		c.mu.Unlock()
		return
	}
	of := c.forget(l)
	c.mu.Unlock()
	if len(of) > 0 {
		l.seat.Logger.Warn("a lease ran out", "task", l.TaskID, "instance", l.seat.me.Instance)
	}
	l.seat.tellAll(Repeated, of, "its lease ran out")
}

// forget ends a lease and returns what is still to be told. c.mu is held.
func (c *Channel) forget(l *lease) []held {
	delete(c.leases, l.ID)
	of := l.of
	l.of = nil
	if !l.ended {
		l.timer.Stop()
		delete(c.events, l.event)
		l.seat.held--
		l.seat.changed()
	}
	return of
}

// find returns a worker's lease, with c.mu held, or refuses and does not hold it.
func (c *Channel) find(w Worker, id string) (*lease, error) {
	c.mu.Lock()
	l := c.leases[id]
	if l == nil || l.seat.id() != (seatID{w.Type, w.Scanner.Instance}) {
		c.mu.Unlock()
		return nil, &domain.Error{Kind: domain.NotFound, Rule: "lease.gone",
			Msg:   "this server holds no such lease of this instance: it ran out, was settled, or another server gave it; drop the work and poll again",
			MsgZH: "本服务没有该实例的这个租约：租约已到期、已了结，或由其他服务发出；请放弃该工作并重新轮询"}
	}
	return l, nil
}

// Renew moves a lease's deadline.
func (c *Channel) Renew(w Worker, id string) (deadline time.Time, err error) {
	l, err := c.find(w, id)
	if err != nil {
		return time.Time{}, err
	}
	defer c.mu.Unlock()
	if l.ended {
		return l.Deadline, nil
	}
	now := time.Now()
	if l.Deadline = now.Add(c.options.Lease); l.Deadline.After(l.begun.Add(c.options.Longest)) {
		l.Deadline = l.begun.Add(c.options.Longest)
	}
	l.timer.Reset(l.Deadline.Sub(now))
	return l.Deadline, nil
}

// Ack ends a lease whose facts are there; while they are not it is refused, as
// delivery.unanswered. Repeating it is harmless.
func (c *Channel) Ack(ctx context.Context, w Worker, id string) error {
	l, err := c.find(w, id)
	if err != nil {
		return err
	}
	ended := l.ended
	c.mu.Unlock()
	if ended {
		return nil
	}
	facts, err := c.commands.Load(ctx, l.TaskID)
	if err != nil {
		return err
	}
	if !answered(task.Fold(facts), w.Type) && !wantedSince(facts, w.Type, l.Cause.Revision) {
		return &domain.Error{Kind: domain.Conflict, Rule: "delivery.unanswered",
			Msg:   "nothing durable answers this delivery yet; post SubTaskDeclined, SubTaskCompleted or SubTaskFailed first, or nack it",
			MsgZH: "尚无已持久化的事实回应该投递；请先提交 SubTaskDeclined、SubTaskCompleted 或 SubTaskFailed，或者 nack"}
	}
	c.end(l, Acknowledged, "")
	return nil
}

// end settles a lease, and remembers that it was settled until its deadline.
func (c *Channel) end(l *lease, how, reason string) {
	c.mu.Lock()
	if c.leases[l.ID] != l || l.ended {
		c.mu.Unlock()
		return
	}
	of := c.forget(l)
	if c.life != nil {
		l.ended = true
		c.leases[l.ID] = l
		l.Deadline = time.Now().Add(c.options.Lease)
		l.timer = time.AfterFunc(c.options.Lease, func() { c.expire(l) })
	}
	c.mu.Unlock()
	l.seat.tellAll(how, of, reason)
}

// Nack gives a delivery back: to be tried again after a pause, or, when it has no
// attempts left or park is wished, to be put aside as a dead letter, which
// SubTaskFailed says. It returns Repeated, Parked, or Acknowledged for what was
// answered in the meantime.
func (c *Channel) Nack(ctx context.Context, w Worker, id string, park bool, reason string) (how string, err error) {
	if err := task.CheckReason(reason); err != nil {
		return "", err
	}
	l, err := c.find(w, id)
	if err != nil {
		return "", err
	}
	ended := l.ended
	c.mu.Unlock()
	if ended {
		return Acknowledged, nil
	}
	facts, err := c.commands.Load(ctx, l.TaskID)
	if err != nil {
		return "", err
	}
	state := task.Fold(facts)
	mine, _ := l.seat.sub(state)
	number := 0
	if mine.State == task.StateRunning {
		number = mine.Attempt
	}
	switch {
	case answered(state, w.Type), wantedSince(facts, w.Type, l.Cause.Revision):
		c.end(l, Acknowledged, "")
		return Acknowledged, nil
	case park, number > 0 && number-l.before >= c.options.MaxAttempts:
		switch how, err := l.seat.giveUp(ctx, l.TaskID, l.Cause.ID, number, errors.New(reason)); how {
		case endAck:
			c.end(l, Acknowledged, "")
			return Acknowledged, nil
		case endPark:
			c.end(l, Parked, reason)
			return Parked, nil
		default:
			return "", err
		}
	}
	c.mu.Lock()
	if c.leases[id] != l {
		c.mu.Unlock()
		return Repeated, nil
	}
	of := c.forget(l)
	c.mu.Unlock()
	pause := delay(c.options.Backoff, l.seat.troubled(l.event.event, func(t *trouble) { t.repeats++ }).repeats-1)
	time.AfterFunc(pause, func() { l.seat.tellAll(Repeated, of, reason) })
	return Repeated, nil
}

// Start begins the attempt of a lease, because of what may be empty, and returns its number; 0 says that there is
// nothing to do any more. Repeated under one lease it returns the same attempt.
func (c *Channel) Start(ctx context.Context, w Worker, taskID, id string, because report.Text) (done commands.Done, attempt int, err error) {
	l, err := c.leaseOn(w, taskID, id)
	if err != nil {
		return commands.Done{}, 0, err
	}
	done, attempt, err = c.commands.StartAttempt(ctx, taskID, l.seat.by(l.Cause.ID), task.Start{
		Type: w.Type, Scanner: w.Scanner, Delivery: id, Reason: because.En, ReasonZH: because.Zh, Configuration: applied(l.Configuration),
	})
	if err == nil && len(done.Facts) > 0 && !l.TookPart {
		l.seat.Listener.decided(w.Type, TakesPart)
	}
	return done, attempt, err
}

// StayAway declines under a lease.
func (c *Channel) StayAway(ctx context.Context, w Worker, taskID, id string, d Decision) (commands.Done, error) {
	l, err := c.leaseOn(w, taskID, id)
	if err != nil {
		return commands.Done{}, err
	}
	done, err := c.commands.StayAway(ctx, taskID, l.seat.by(l.Cause.ID), task.StayAway{
		Type: w.Type, Code: d.Code(), Reason: d.Reason().En, ReasonZH: d.Reason().Zh, Scanner: w.Scanner, Configuration: applied(l.Configuration),
	})
	if err == nil && len(done.Facts) > 0 {
		l.seat.Listener.decided(w.Type, d.Code())
	}
	return done, err
}

// Complete ends an attempt that passed. It does without the lease if that is gone: a
// result is worth having as long as nobody has begun another attempt.
func (c *Channel) Complete(ctx context.Context, w Worker, taskID, id string, f task.SubTaskCompleted) (commands.Done, error) {
	f.Type = w.Type
	return c.commands.Complete(ctx, taskID, c.origin(w, taskID, id), f)
}

// Fail ends an attempt that did not pass, as Complete does.
func (c *Channel) Fail(ctx context.Context, w Worker, taskID, id string, f task.SubTaskFailed) (commands.Done, error) {
	f.Type = w.Type
	return c.commands.Fail(ctx, taskID, c.origin(w, taskID, id), f)
}

func (c *Channel) origin(w Worker, taskID, id string) commands.Origin {
	by := commands.Origin{Actor: "scanner " + w.Type}
	if l, err := c.leaseOn(w, taskID, id); err == nil {
		by.Causation = l.Cause.ID
	}
	return by
}

// leaseOn is find for a task's lease.
func (c *Channel) leaseOn(w Worker, taskID, id string) (*lease, error) {
	l, err := c.find(w, id)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	if l.TaskID != taskID {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "lease.task",
			Msg: "this lease is of another task", MsgZH: "该租约属于另一个任务"}
	}
	return l, nil
}

// seat returns a worker's seat, a new one if need be; leave must be called. One that
// is being given up is waited for, so that an instance is never here twice.
func (c *Channel) seat(ctx context.Context, w Worker, n int) (*seat, error) {
	for {
		c.mu.Lock()
		if c.life == nil || c.life.Err() != nil || c.ended {
			c.mu.Unlock()
			return nil, closing()
		}
		id := seatID{w.Type, w.Scanner.Instance}
		s := c.seats[id]
		if s == nil {
			if len(c.seats) >= c.options.Seats {
				c.mu.Unlock()
				return nil, &domain.Error{Kind: domain.Unavailable, Rule: "scanner.too_many",
					Msg:   fmt.Sprintf("%d scanners ask at this server, which is all it takes; ask at another one", c.options.Seats),
					MsgZH: fmt.Sprintf("已有 %d 个扫描器连接到本服务，达到上限；请改用其他服务", c.options.Seats)}
			}
			s = newSeat(c, w, n)
			c.seats[id] = s
			c.running.Go(s.run)
			c.running.Go(s.watch)
		}
		if !s.leaving {
			s.polls++
			c.mu.Unlock()
			return s, nil
		}
		c.mu.Unlock()
		select {
		case <-s.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Channel) leave(s *seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.polls--
	s.asked = time.Now()
}

func closing() error {
	return &domain.Error{Kind: domain.Unavailable, Rule: "channel.closed",
		Msg: "this server is starting or stopping; try again in a moment, or ask at another one", MsgZH: "本服务正在启动或停止；请稍后重试，或改用其他服务"}
}

// presenceOf is what the runtime's presence says of a worker.
func presenceOf(w Worker) Description {
	return Description{Type: w.Type, Name: w.Scanner.Name, Version: w.Scanner.Version, RulesDigest: w.Scanner.RulesDigest, ConfigDigest: w.Scanner.ConfigDigest}
}
