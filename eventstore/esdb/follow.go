package esdb

import (
	"context"
	"fmt"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/factgate/factgate/eventstore"
)

// searchWindow is how many events the server looks at before it says how far it
// has come, when none of them passes the filter.
const searchWindow = 1024

// subscription implements [eventstore.Subscription]: one goroutine receives, the
// reader takes.
type subscription struct {
	stream
	inner  *esdb.Subscription
	filter eventstore.Filter
	out    *handover[eventstore.Message]
}

// stream is what subscriptions and consumers have in common: a call of the
// client that lives until its owner ends it, or the server drops it, or its Log
// is closed.
type stream struct {
	session *session
	life    context.Context         // the owner's: ends with the caller's context, Close, or the Log
	end     context.CancelCauseFunc // of life
	free    context.CancelFunc      // ends the client's call, and with it whoever sends or receives
	detach  func() bool             // life from the Log's
	done    chan struct{}           // the receiving goroutine has ended
}

// openStream opens a stream with open, which gets a context that lives as long
// as the stream. Opening alone is bounded by the time-out.
func (l *Log) openStream(ctx context.Context, open func(context.Context, *esdb.Client) error) (stream, error) {
	s := stream{done: make(chan struct{})}
	s.life, s.end = context.WithCancelCause(ctx)
	s.detach = context.AfterFunc(l.life, func() { s.end(ErrClosed) })
	late := time.AfterFunc(l.timeout, func() { s.end(context.DeadlineExceeded) })
	ctx, s.free = context.WithCancel(s.life)
	var current *session
	err := l.clients.call(ctx, func(ctx context.Context, on *session) error {
		if err := open(ctx, on.client); err != nil {
			return err
		}
		on.hold()
		current = on
		return nil
	}, func() { current.release() })
	if err == nil && !late.Stop() {
		current.release()
		err = context.DeadlineExceeded
	}
	if err != nil {
		late.Stop()
		s.end(err)
		s.free()
		s.detach()
		return stream{}, err
	}
	s.session = current
	return s, nil
}

// reason says why receiving failed: our own end comes before the client's words
// for it.
func (s *stream) reason(err error) error {
	if s.life.Err() != nil {
		return context.Cause(s.life)
	}
	return err
}

// ended frees what the stream holds; the receiving goroutine calls it last. It
// leaves life alone: a dropped stream's reader may still have messages to read.
func (s *stream) ended() {
	s.free()
	s.session.release()
	close(s.done)
}

// Close ends the stream, whatever it still had to say, and waits until nothing
// of it is left.
func (s *stream) Close() error {
	s.end(ErrClosed)
	<-s.done
	s.detach()
	return nil
}

// Follow implements [eventstore.Follower].
func (l *Log) Follow(ctx context.Context, from eventstore.Position, filter eventstore.Filter) (eventstore.Subscription, error) {
	sub, err := l.follow(ctx, "follow $all", from, filter)
	if err != nil {
		return nil, err
	}
	return sub, nil
}

func (l *Log) follow(ctx context.Context, op string, from eventstore.Position, filter eventstore.Filter) (*subscription, error) {
	options := esdb.SubscribeToAllOptions{
		From:               allFrom(from),
		Filter:             serverFilter(filter),
		MaxSearchWindow:    searchWindow,
		CheckpointInterval: 1,
	}
	sub := &subscription{filter: filter}
	var err error
	sub.stream, err = l.openStream(ctx, func(ctx context.Context, c *esdb.Client) (err error) {
		sub.inner, err = c.SubscribeToAll(ctx, options)
		return err
	})
	if err != nil {
		return nil, translate(op, "$all", err)
	}
	sub.out = newHandover[eventstore.Message](sub.life)
	go sub.receive(op)
	return sub, nil
}

// receive hands on what comes until the subscription ends.
func (s *subscription) receive(op string) {
	defer s.ended()
	defer s.inner.Close()
	for {
		event, err := recvSubscription(s.inner)
		if err == nil && event.SubscriptionDropped != nil {
			err = event.SubscriptionDropped.Error
		}
		if err != nil {
			s.out.end(translateDrop(op, "$all", s.reason(err)))
			return
		}
		message, size := eventstore.Message{}, 0
		switch {
		case event.EventAppeared != nil:
			e := event.EventAppeared.Event
			if e == nil || !passes(s.filter, e.StreamID, e.EventType) {
				continue
			}
			message.Kind = eventstore.KindEvent
			message.Event = recorded(e)
			message.Position = message.Event.Position
			size = len(e.Data) + len(e.UserMetadata)
		case event.CheckPointReached != nil:
			message.Kind = eventstore.KindCheckpoint
			message.Position = eventstore.Position(event.CheckPointReached.Commit)
		case event.CaughtUp != nil:
			message.Kind = eventstore.KindCaughtUp
		default:
			continue
		}
		if !s.out.put(message, size) {
			return
		}
	}
}

func recvSubscription(inner *esdb.Subscription) (event *esdb.SubscriptionEvent, err error) {
	defer recoverInto(&err)
	if event = inner.Recv(); event == nil {
		err = fmt.Errorf("the event store client received nothing")
	}
	return event, err
}

// Next implements [eventstore.Subscription].
func (s *subscription) Next(ctx context.Context) (eventstore.Message, error) {
	return s.out.take(ctx, 0)
}
