package scanners

import (
	"context"
	"slices"
	"time"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// seat is one instance's place in its type's group: a runtime whose scanner is
// elsewhere. What stands below the line is guarded by Channel.mu.
type seat struct {
	*runtime
	channel *Channel
	size    int // leases at once
	ctx     context.Context
	end     context.CancelFunc
	gone    chan struct{} // closed when it has left the group

	// ---
	ready   []offer
	held    int // leases, and offers that are becoming some
	polls   int // under way
	asked   time.Time
	leaving bool
	change  chan struct{} // closed when ready or held change
	why     error         // why it could not join the group, or lost it
}

// offer is a delivery that waits for a poll.
type offer struct {
	held
	sifted
	since time.Time
	told  *project.Configured // what operators have said of the type; nil: nothing
}

func newSeat(c *Channel, w Worker, size int) *seat {
	s := &seat{
		runtime: &runtime{
			Parts: c.parts, about: presenceOf(w), me: w.Scanner, commands: c.commands, projects: c.projects, since: time.Now(),
			Options: Options{Instance: w.Scanner.Instance, MaxAttempts: c.options.MaxAttempts, Backoff: c.options.Backoff}.withDefaults(),
			flights: map[eventstore.ID]*flight{}, troubles: map[eventstore.ID]trouble{},
		},
		channel: c, size: size, gone: make(chan struct{}), change: make(chan struct{}), asked: time.Now(),
	}
	s.Logger = c.parts.Logger.With("scanner", w.Type, "instance", w.Scanner.Instance)
	s.ctx, s.end = context.WithCancel(c.life)
	return s
}

func (s *seat) id() seatID { return seatID{s.about.Type, s.me.Instance} }

func (s *seat) by(cause string) commands.Origin {
	return commands.Origin{Actor: "scanner " + s.about.Type, Causation: cause}
}

func (s *seat) sub(state task.State) (task.SubTask, bool) {
	t, ok := state.SubTasks[s.about.Type]
	return t, ok
}

// run keeps the seat in its group until nobody needs it any more.
func (s *seat) run() {
	defer s.end()
	eventstore.Resume(s.ctx, s.Logger, "deliveries", s.consume)
	if s.online {
		s.present(context.WithoutCancel(s.ctx), scanner.OfflineType)
	}
	s.channel.mu.Lock()
	delete(s.channel.seats, s.id())
	s.channel.mu.Unlock()
	close(s.gone)
}

func (s *seat) consume(ctx context.Context, well func()) error {
	consumer, err := s.join(ctx, s.size+spareDeliveries)
	if err != nil {
		s.outside(err)
		return err
	}
	well()
	s.outside(nil)
	waiting, leave := context.WithCancel(ctx)
	defer func() {
		leave()
		s.lost(consumer)
		s.flying.Wait()
		_ = consumer.Close()
	}()
	if !s.online {
		s.online = s.present(context.WithoutCancel(ctx), scanner.OnlineType)
	}
	s.flying.Go(func() { s.beat(waiting) })
	for {
		d, err := consumer.Next(ctx)
		if err != nil {
			s.outside(err)
			return err
		}
		s.flying.Go(func() { s.offer(waiting, held{consumer, d}) })
	}
}

// outside notes why the seat is not in its group; nil: it is.
func (s *seat) outside(err error) {
	s.channel.mu.Lock()
	defer s.channel.mu.Unlock()
	s.why = nil
	if err != nil {
		s.why = &domain.Error{Kind: domain.Unavailable, Rule: "eventstore.unavailable",
			Msg: "the event store does not answer; try again in a moment", MsgZH: "事件存储暂时无响应，请稍后重试", Err: err}
	}
}

func (s *seat) whyNot() error {
	s.channel.mu.Lock()
	defer s.channel.mu.Unlock()
	return s.why
}

// offer settles a delivery that needs no worker, and has all others wait for one. One
// of an event that is leased already belongs to that lease.
func (s *seat) offer(ctx context.Context, h held) {
	c := s.channel
	c.mu.Lock()
	if l := c.events[eventOf{s.about.Type, h.d.Event.ID}]; l != nil {
		l.of = append(l.of, h)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	found, done, end, err := s.sift(ctx, h.d)
	var told *project.Configured
	if !done {
		if told, done, err = s.told(ctx, found); err != nil {
			done, end = true, endRetry
		} else if done {
			end = endAck
		}
	}
	switch {
	case !done:
		c.mu.Lock()
		defer c.mu.Unlock()
		if ctx.Err() == nil {
			s.ready = append(s.ready, offer{h, found, time.Now(), told})
			s.changed()
		}
	case end == endAck:
		s.tellAll(Acknowledged, []held{h}, "")
	case end == endPark:
		s.Logger.Error("delivery parked", "event", h.d.Event.ID, "stream", h.d.Event.Stream, "reason", err)
		s.tellAll(Parked, []held{h}, text(err))
	default:
		pause := delay(s.Backoff, s.troubled(h.d.Event.ID, func(t *trouble) { t.repeats++ }).repeats-1)
		s.Logger.Warn("delivery will be repeated", "event", h.d.Event.ID, "stream", h.d.Event.Stream, "in", pause, "reason", err)
		if wait(ctx, pause) == nil {
			s.tellAll(Repeated, []held{h}, text(err))
		}
	}
}

// told returns what operators have said of how the type checks the task's project. A
// type that is switched off declines here: no scanner needs to know how. Everything
// else that a configuration says is the scanner's to heed.
func (s *seat) told(ctx context.Context, found sifted) (told *project.Configured, declined bool, err error) {
	name := ""
	if zip := found.state.Uploaded; zip != nil {
		name = zip.Project
	}
	said, err := s.projects.Scanner(ctx, name, s.about.Type)
	if err != nil || said.Configuration == nil {
		return nil, false, err
	}
	d, err := configuration.Parse(said.Configuration.Text)
	if _, joined := s.sub(found.state); err != nil || d.Enabled || joined {
		return said.Configuration, false, nil // what cannot be read is shown to the scanner as it is
	}
	off := configured{applied: applied(said.Configuration)}.disabled()
	_, err = s.commands.StayAway(ctx, found.id, s.by(found.fact.ID), task.StayAway{
		Type: s.about.Type, Code: off.Code(), Reason: off.Reason().En, ReasonZH: off.Reason().Zh, Scanner: s.me, Configuration: applied(said.Configuration),
	})
	if err == nil {
		s.Listener.decided(s.about.Type, off.Code())
	}
	return said.Configuration, true, err
}

// applied names a configuration in facts.
func applied(told *project.Configured) *task.Configuration {
	if told == nil {
		return nil
	}
	return &task.Configuration{Project: told.Project, Digest: told.Digest, By: told.By}
}

// take returns up to n offers that the seat may lease, or what tells of a change.
func (s *seat) take(n int) ([]offer, <-chan struct{}) {
	s.channel.mu.Lock()
	defer s.channel.mu.Unlock()
	n = max(0, min(n, s.size-s.held, len(s.ready)))
	taken := slices.Clone(s.ready[:n])
	s.ready = slices.Delete(s.ready, 0, n)
	s.held += n
	return taken, s.change
}

// release takes back what take counted and no lease came of.
func (s *seat) release(n int) {
	s.channel.mu.Lock()
	defer s.channel.mu.Unlock()
	s.held -= n
	s.changed()
}

// changed wakes the polls. Channel.mu is held.
func (s *seat) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// lost forgets the deliveries of a consumer that is no more. Its leases go on: their
// results count until another attempt begins, and a delivery of the same event that
// comes here belongs to them.
func (s *seat) lost(consumer eventstore.Consumer) {
	c := s.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	of := func(h held) bool { return h.consumer == consumer }
	s.ready = slices.DeleteFunc(s.ready, func(o offer) bool { return of(o.held) })
	for _, l := range c.leases {
		l.of = slices.DeleteFunc(l.of, of)
	}
}

// tellAll tells the log how deliveries end; what it does not hear comes again.
func (s *seat) tellAll(how string, of []held, reason string) {
	for _, h := range of {
		var err error
		switch how {
		case Acknowledged:
			err = h.consumer.Ack(h.d)
		case Parked:
			err = h.consumer.Park(h.d, reason)
		default:
			err = h.consumer.Retry(h.d, reason)
		}
		if err := s.Listener.delivered(s.about.Type, how, err); err != nil {
			s.Logger.Warn("the end of a delivery was not told; it will come again", "error", err)
		}
	}
}

// watch gives back what nobody asks for: first what waits, in the end the seat.
func (s *seat) watch() {
	idle := s.channel.options.Idle
	ticker := time.NewTicker(max(idle/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		c := s.channel
		c.mu.Lock()
		var back []held
		if s.polls == 0 {
			s.ready = slices.DeleteFunc(s.ready, func(o offer) bool {
				stale := time.Since(o.since) > idle/4
				if stale {
					back = append(back, o.held)
				}
				return stale
			})
			if s.held == 0 && time.Since(s.asked) > idle {
				s.leaving = true
				s.end()
			}
		}
		c.mu.Unlock()
		s.tellAll(Repeated, back, "no worker asks for it")
	}
}
