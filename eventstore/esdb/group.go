package esdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/factgate/factgate/eventstore"
)

// EnsureGroup implements [eventstore.Groups].
func (l *Log) EnsureGroup(ctx context.Context, group eventstore.Group) error {
	op := "create group " + group.Name
	settings, err := groupSettings(group)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	options := esdb.PersistentAllSubscriptionOptions{
		Settings:        &settings,
		StartFrom:       allFrom(group.From),
		MaxSearchWindow: searchWindow,
		Filter:          serverFilter(group.Filter),
	}
	err = l.clients.call(ctx, func(ctx context.Context, s *session) error {
		return s.client.CreatePersistentSubscriptionToAll(ctx, group.Name, options)
	}, nil)
	if code, ok := clientCode(err); ok && code == esdb.ErrorCodeResourceAlreadyExists {
		return nil
	}
	return translate(op, group.Name, err)
}

// groupSettings are the client's defaults but for four: progress is stored after
// each second in which there was any, so that little is delivered again after a
// restart of the server.
func groupSettings(group eventstore.Group) (esdb.PersistentSubscriptionSettings, error) {
	settings := esdb.SubscriptionSettingsDefault()
	settings.CheckpointLowerBound = 1
	settings.CheckpointUpperBound = 500
	settings.CheckpointAfter = 1000
	settings.ReadBatchSize = 100
	switch {
	case group.Name == "":
		return settings, errors.New("a group has a name")
	case group.Timeout < 0 || group.Timeout.Milliseconds() > math.MaxInt32 || group.Timeout > 0 && group.Timeout < time.Millisecond:
		return settings, fmt.Errorf("a time-out of %s is out of range", group.Timeout)
	case group.MaxRetries < 0 || group.MaxRetries > math.MaxInt32:
		return settings, fmt.Errorf("%d retries are out of range", group.MaxRetries)
	}
	if group.Timeout > 0 {
		settings.MessageTimeout = int32(group.Timeout.Milliseconds())
	}
	if group.MaxRetries > 0 {
		settings.MaxRetryCount = int32(group.MaxRetries)
	}
	return settings, nil
}

// consumer implements [eventstore.Consumer].
type consumer struct {
	stream
	op    string
	group string
	begin uint64 // see groupBegin
	inner *esdb.PersistentSubscription
	out   *handover[eventstore.Delivery]
	send  sync.Mutex // a gRPC stream takes one sender at a time
}

// receipt is what a delivery carries. The server knows a delivery by the id of
// the original event, which for a link is the link's.
type receipt struct {
	consumer *consumer
	event    *esdb.ResolvedEvent
}

// Consume implements [eventstore.Groups]. Cancelling ctx ends the consumer too.
func (l *Log) Consume(ctx context.Context, group string, buffer int) (eventstore.Consumer, error) {
	op := "consume as group " + group
	if buffer < 1 || buffer > math.MaxInt32 {
		return nil, fmt.Errorf("%s: a buffer of %d is out of range", op, buffer)
	}
	c := &consumer{op: op, group: group}
	options := esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: uint32(buffer)}
	var err error
	if c.begin, err = l.groupBegin(ctx, group); err != nil {
		return nil, translate(op, group, err)
	}
	c.stream, err = l.openStream(ctx, func(ctx context.Context, client *esdb.Client) (err error) {
		c.inner, err = client.SubscribeToPersistentSubscriptionToAll(ctx, group, options)
		return err
	})
	if err != nil {
		return nil, translate(op, group, err)
	}
	c.out = newHandover[eventstore.Delivery](c.life)
	go c.receive()
	return c, nil
}

// groupBegin asks from which position a group was to start. The server includes
// the event that stands there, unlike the contract, and nothing in a delivery says
// so; the consumers acknowledge it unseen.
func (l *Log) groupBegin(ctx context.Context, group string) (uint64, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	var info *esdb.PersistentSubscriptionInfo
	err := l.clients.call(ctx, func(ctx context.Context, s *session) (err error) {
		info, err = s.client.GetPersistentSubscriptionInfoToAll(ctx, group, esdb.GetPersistentSubscriptionOptions{})
		return err
	}, nil)
	if err != nil {
		err = translate("describe group "+group, group, err)
		if eventstore.IsNotFound(err) || eventstore.IsUnavailable(err) || errors.Is(err, ErrClosed) {
			return 0, err
		}
		// Not everybody who may consume may ask. One event too many is no reason
		// not to begin.
		l.logger.Debug("a group's starting position is not known", "group", group, "error", err)
		return 0, nil
	}
	if position, ok := info.Settings.StartFrom.(*esdb.Position); ok {
		return position.Commit, nil
	}
	return 0, nil
}

func (c *consumer) receive() {
	defer c.ended()
	defer c.leave()
	for {
		event, err := recvDelivery(c.inner)
		if err == nil && event.SubscriptionDropped != nil {
			err = event.SubscriptionDropped.Error
		}
		if err != nil {
			c.out.end(translateDrop(c.op, c.group, c.reason(err)))
			return
		}
		if event.EventAppeared == nil {
			continue
		}
		resolved := event.EventAppeared.Event
		if resolved.Event == nil {
			// A link to an event that is gone: there is nothing to handle.
			_ = c.say(func() error { return c.inner.Nack("the event is gone", esdb.NackActionSkip, resolved) })
			continue
		}
		if c.begin > 0 && resolved.Link == nil && resolved.Event.Position.Commit == c.begin {
			_ = c.say(func() error { return c.inner.Ack(resolved) })
			continue
		}
		delivery := eventstore.Delivery{
			Event:   recorded(resolved.Event),
			Retries: event.EventAppeared.RetryCount,
			Receipt: receipt{c, resolved},
		}
		if !c.out.put(delivery, len(resolved.Event.Data)+len(resolved.Event.UserMetadata)) {
			return
		}
	}
}

func recvDelivery(inner *esdb.PersistentSubscription) (event *esdb.PersistentSubscriptionEvent, err error) {
	defer recoverInto(&err)
	return inner.Recv(), nil
}

// Next implements [eventstore.Consumer].
func (c *consumer) Next(ctx context.Context) (eventstore.Delivery, error) {
	return c.out.take(ctx, 0)
}

// Ack implements [eventstore.Consumer]. It returns when the word is on its way,
// not when the server has taken it in: nothing in the protocol says so. An Ack
// that is lost, for instance by a Close right behind it, means that the delivery
// comes again.
func (c *consumer) Ack(d eventstore.Delivery) error {
	return c.settle(d, func(e *esdb.ResolvedEvent) error { return c.inner.Ack(e) })
}

// Retry implements [eventstore.Consumer].
func (c *consumer) Retry(d eventstore.Delivery, reason string) error {
	return c.settle(d, func(e *esdb.ResolvedEvent) error { return c.inner.Nack(reason, esdb.NackActionRetry, e) })
}

// Park implements [eventstore.Consumer].
func (c *consumer) Park(d eventstore.Delivery, reason string) error {
	return c.settle(d, func(e *esdb.ResolvedEvent) error { return c.inner.Nack(reason, esdb.NackActionPark, e) })
}

func (c *consumer) settle(d eventstore.Delivery, answer func(*esdb.ResolvedEvent) error) error {
	r, ok := d.Receipt.(receipt)
	if !ok || r.consumer != c {
		return fmt.Errorf("group %s: the delivery of event %s was made to another consumer", c.group, d.Event.ID)
	}
	if err := c.say(func() error { return answer(r.event) }); err != nil {
		return &eventstore.UnavailableError{Op: "answer a delivery of group " + c.group, Err: c.reason(err)}
	}
	return nil
}

// say sends one answer, if there is still someone to hear it.
func (c *consumer) say(answer func() error) error {
	c.send.Lock()
	defer c.send.Unlock()
	if err := c.life.Err(); err != nil {
		return err
	}
	return answer()
}

// leave closes the client's side, after freeing whoever sends.
func (c *consumer) leave() {
	c.free()
	c.send.Lock()
	defer c.send.Unlock()
	_ = c.inner.Close()
}
