package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

// patience bounds each promise. It is generous: it only ends what hangs.
const patience = 60 * time.Second

// Server is what a suite runs against.
type Server struct {
	// Open makes a log for one promise and arranges for it to be closed. The logs
	// may share a server.
	Open func(t *testing.T) eventstore.Log
}

// Run tests every promise, each with a log of its own and all at once.
func Run(t *testing.T, server Server) {
	for _, group := range []struct {
		name     string
		promises []promise
	}{
		{"append", appends},
		{"read", reads},
		{"follow", follows},
		{"groups", groups},
		{"keep", keeps},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, p := range group.promises {
				t.Run(p.name, func(t *testing.T) {
					t.Parallel()
					p.keep(begin(t, server))
				})
			}
		})
	}
}

// promise is one sentence of the contract and what has to hold for it.
type promise struct {
	name string
	keep func(*trial)
}

// trial is one promise being tested: a log, and names that nobody else uses.
type trial struct {
	*testing.T
	log   eventstore.Log
	ctx   context.Context
	token string
	made  int
}

func begin(t *testing.T, server Server) *trial {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return &trial{T: t, log: server.Open(t), ctx: ctx, token: rand.Text()[:10]}
}

// stream names a stream that does not exist yet.
func (t *trial) stream(key string) eventstore.StreamID {
	return eventstore.StreamID{Category: "storetest", Key: t.token + "-" + key}
}

// category names a stream of a category that no other trial has; suffix makes it
// another one that begins the same.
func (t *trial) category(suffix string) eventstore.StreamID {
	return eventstore.StreamID{Category: "storetest" + strings.ReplaceAll(t.token, "-", "") + suffix, Key: "a"}
}

// kind names an event type that no event has yet.
func (t *trial) kind(name string) string { return name + "." + t.token }

// group names a group that does not exist yet.
func (t *trial) group() string { return "storetest-" + t.token }

// event makes an event that is unlike any other.
func (t *trial) event(kind string) eventstore.Event {
	t.made++
	name := fmt.Sprintf("%s/%s/%d", t.token, kind, t.made)
	return eventstore.Event{
		ID:       eventstore.DeriveID(eventstore.ID{}, name),
		Type:     t.kind(kind),
		Data:     fmt.Appendf(nil, `{"n":%d}`, t.made),
		Metadata: fmt.Appendf(nil, `{"$correlationId":"%s"}`, t.token),
	}
}

func (t *trial) events(kind string, count int) []eventstore.Event {
	events := make([]eventstore.Event, count)
	for i := range events {
		events[i] = t.event(kind)
	}
	return events
}

// append appends and must succeed.
func (t *trial) append(stream eventstore.StreamID, expected eventstore.Expected, events ...eventstore.Event) eventstore.Appended {
	t.Helper()
	appended, err := t.log.Append(t.ctx, stream, expected, events...)
	require.NoError(t, err)
	return appended
}

// fill appends count events of a kind in calls of at most 200 and returns them.
func (t *trial) fill(stream eventstore.StreamID, kind string, count int) []eventstore.Event {
	t.Helper()
	events := t.events(kind, count)
	for rest := events; len(rest) > 0; {
		n := min(200, len(rest))
		t.append(stream, eventstore.Any(), rest[:n]...)
		rest = rest[n:]
	}
	return events
}

// head is the log's newest position.
func (t *trial) head() eventstore.Position {
	t.Helper()
	head, err := t.log.Head(t.ctx)
	require.NoError(t, err)
	return head
}

// types is a filter for kinds.
func (t *trial) types(kinds ...string) eventstore.Filter {
	var f eventstore.Filter
	for _, k := range kinds {
		f.Types = append(f.Types, t.kind(k))
	}
	return f
}

// all reads a sequence to its end and must succeed.
func (t *trial) all(seq iter.Seq2[eventstore.Recorded, error]) []eventstore.Recorded {
	t.Helper()
	var events []eventstore.Recorded
	for e, err := range seq {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// failure reads a sequence that must yield nothing but one error.
func (t *trial) failure(seq iter.Seq2[eventstore.Recorded, error]) error {
	t.Helper()
	var failure error
	for e, err := range seq {
		require.NoError(t, failure, "something came after the error")
		require.Error(t, err, "an event came: %v", e)
		failure = err
	}
	require.Error(t, failure)
	return failure
}

// follow follows and arranges for the end.
func (t *trial) follow(from eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	t.Helper()
	sub, err := t.log.Follow(t.ctx, from, filter)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	return sub
}

// next takes messages until one is an event and returns it.
func (t *trial) next(sub eventstore.Subscription) eventstore.Recorded {
	t.Helper()
	for {
		message, err := sub.Next(t.ctx)
		require.NoError(t, err)
		if message.Kind == eventstore.KindEvent {
			require.Equal(t, message.Event.Position, message.Position)
			return message.Event
		}
	}
}

// take takes count events.
func (t *trial) take(sub eventstore.Subscription, count int) []eventstore.Recorded {
	t.Helper()
	events := make([]eventstore.Recorded, count)
	for i := range events {
		events[i] = t.next(sub)
	}
	return events
}

// caughtUp takes messages until the subscription has caught up and returns the
// events among them.
func (t *trial) caughtUp(sub eventstore.Subscription) []eventstore.Recorded {
	t.Helper()
	var events []eventstore.Recorded
	for {
		message, err := sub.Next(t.ctx)
		require.NoError(t, err)
		switch message.Kind {
		case eventstore.KindEvent:
			events = append(events, message.Event)
		case eventstore.KindCaughtUp:
			return events
		}
	}
}

// ensure makes a group.
func (t *trial) ensure(group eventstore.Group) {
	t.Helper()
	require.NoError(t, t.log.EnsureGroup(t.ctx, group))
}

// consume joins a group. The caller closes, or leaves it to the end of the test.
func (t *trial) consume(group string, buffer int) eventstore.Consumer {
	t.Helper()
	consumer, err := t.log.Consume(t.ctx, group, buffer)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, consumer.Close()) })
	return consumer
}

// deliver takes the next delivery.
func (t *trial) deliver(consumer eventstore.Consumer) eventstore.Delivery {
	t.Helper()
	delivery, err := consumer.Next(t.ctx)
	require.NoError(t, err)
	return delivery
}

// ids lists the ids of events as they were appended.
func ids(events []eventstore.Event) []eventstore.ID {
	list := make([]eventstore.ID, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

// recordedIDs lists the ids of events as they came back.
func recordedIDs(events []eventstore.Recorded) []eventstore.ID {
	list := make([]eventstore.ID, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

// requireAscending demands position order without repeats.
func requireAscending(t *testing.T, events []eventstore.Recorded) {
	t.Helper()
	for i := 1; i < len(events); i++ {
		require.Less(t, events[i-1].Position, events[i].Position, "event %d stands before its predecessor", i)
	}
}
