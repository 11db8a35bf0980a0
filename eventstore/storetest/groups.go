package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

var groups = []promise{
	{"are made once and then left as they are", func(t *trial) {
		group := eventstore.Group{Name: t.group(), Filter: t.types("Noted")}
		t.ensure(group)
		t.ensure(group)
		group.Filter, group.MaxRetries = t.types("Other"), 3
		t.ensure(group)
		event := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), t.event("Other"))
		t.append(t.stream("a"), eventstore.Any(), event)
		require.Equal(t, event.ID, t.deliver(t.consume(t.group(), 10)).Event.ID)
	}},

	{"that do not exist are not found", func(t *trial) {
		_, err := t.log.Consume(t.ctx, t.group(), 10)
		var missing *eventstore.NotFoundError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, t.group(), missing.Name)
	}},

	{"deliver what stands there and what comes", func(t *trial) {
		old := t.fill(t.stream("a"), "Noted", 120)
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		consumer := t.consume(t.group(), 20)
		fresh := t.fill(t.stream("b"), "Noted", 120)
		left := map[eventstore.ID]eventstore.Event{}
		for _, e := range append(old, fresh...) {
			left[e.ID] = e
		}
		for len(left) > 0 {
			d := t.deliver(consumer)
			require.Equal(t, left[d.Event.ID], d.Event.Event, "unknown or repeated")
			require.Greater(t, d.Event.Position, eventstore.Position(0))
			require.Zero(t, d.Retries)
			delete(left, d.Event.ID)
			require.NoError(t, consumer.Ack(d))
		}
	}},

	{"give each event to one of their consumers", func(t *trial) {
		const consumers, count = 3, 300
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		type handled struct {
			by int
			id eventstore.ID
		}
		deliveries := make(chan handled, count)
		ended := make(chan error, consumers)
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		for i := range consumers {
			consumer := t.consume(t.group(), 5)
			go func() {
				for {
					d, err := consumer.Next(ctx)
					if err == nil {
						err = consumer.Ack(d)
					}
					if err != nil {
						ended <- err
						return
					}
					deliveries <- handled{i, d.Event.ID}
				}
			}()
		}
		want := t.fill(t.stream("a"), "Noted", count)
		by := map[eventstore.ID]int{}
		load := map[int]int{}
		for range count {
			h := receive(t, deliveries)
			require.NotContains(t, by, h.id, "delivered twice")
			by[h.id] = h.by
			load[h.by]++
		}
		for _, e := range want {
			require.Contains(t, by, e.ID)
		}
		require.Len(t, load, consumers, "some consumer got nothing")
		cancel()
		for range consumers {
			require.ErrorIs(t, receive(t, ended), context.Canceled)
		}
	}},

	{"deliver to other groups on their own", func(t *trial) {
		names := []string{t.group() + "-1", t.group() + "-2"}
		events := t.fill(t.stream("a"), "Noted", 5)
		for _, name := range names {
			t.ensure(eventstore.Group{Name: name, Filter: t.types("Noted")})
			consumer := t.consume(name, 10)
			for range events {
				require.NoError(t, consumer.Ack(t.deliver(consumer)))
			}
		}
	}},

	{"give a consumer no more than its buffer", func(t *trial) {
		t.fill(t.stream("a"), "Noted", 20)
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		consumer := t.consume(t.group(), 3)
		held := []eventstore.Delivery{t.deliver(consumer), t.deliver(consumer), t.deliver(consumer)}
		// A second consumer gets the others, so the log is not merely slow; the
		// first one gets nothing until it has answered.
		other := t.consume(t.group(), 10)
		for range 17 {
			require.NoError(t, other.Ack(t.deliver(other)))
		}
		ctx, cancel := context.WithTimeout(t.ctx, 50*time.Millisecond)
		defer cancel()
		_, err := consumer.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for _, d := range held {
			require.NoError(t, consumer.Ack(d))
		}
	}},

	{"start after a position", func(t *trial) {
		t.fill(t.stream("a"), "Noted", 5)
		all := t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted")))
		t.ensure(eventstore.Group{Name: t.group() + "-mid", Filter: t.types("Noted"), From: all[2].Position})
		consumer := t.consume(t.group()+"-mid", 1)
		for _, want := range all[3:] {
			d := t.deliver(consumer)
			require.Equal(t, want.ID, d.Event.ID)
			require.NoError(t, consumer.Ack(d))
		}

		t.ensure(eventstore.Group{Name: t.group() + "-end", Filter: t.types("Noted"), From: all[4].Position})
		fresh := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), fresh)
		require.Equal(t, fresh.ID, t.deliver(t.consume(t.group()+"-end", 1)).Event.ID)
	}},

	{"do not deliver again what was acknowledged", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted"), Timeout: time.Second})
		first := t.consume(t.group(), 1)
		t.fill(t.stream("a"), "Noted", 4)
		seen := map[eventstore.ID]bool{}
		// With a buffer of one, the next delivery says that the last answer has
		// arrived.
		var last eventstore.Delivery
		for i := range 4 {
			last = t.deliver(first)
			seen[last.Event.ID] = true
			if i < 3 {
				require.NoError(t, first.Ack(last))
			}
		}
		require.Len(t, seen, 4)
		require.NoError(t, first.Close())
		second := t.consume(t.group(), 1)
		again := t.deliver(second)
		require.Equal(t, last.Event.ID, again.Event.ID)
		require.NoError(t, second.Ack(again))
		marker := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), marker)
		require.Equal(t, marker.ID, t.deliver(second).Event.ID)
	}},

	{"deliver again what is given back", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		event := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), event)
		consumer := t.consume(t.group(), 10)
		for retries := range 4 {
			d := t.deliver(consumer)
			require.Equal(t, event, d.Event.Event)
			require.Equal(t, retries, d.Retries)
			require.NoError(t, consumer.Retry(d, "blob store away"))
		}
		require.NoError(t, consumer.Ack(t.deliver(consumer)))
	}},

	{"park what was given back too often", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted"), MaxRetries: 2})
		poison := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), poison)
		consumer := t.consume(t.group(), 10)
		for range 3 {
			d := t.deliver(consumer)
			require.Equal(t, poison.ID, d.Event.ID)
			require.NoError(t, consumer.Retry(d, "again"))
		}
		t.requireOnly(consumer, t.fill(t.stream("a"), "Noted", 5))
	}},

	{"give up after ten repetitions if they are not told otherwise", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		poison := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), poison)
		consumer := t.consume(t.group(), 1)
		for retries := range 11 {
			d := t.deliver(consumer)
			require.Equal(t, poison.ID, d.Event.ID)
			require.Equal(t, retries, d.Retries)
			require.NoError(t, consumer.Retry(d, "again"))
		}
		t.requireOnly(consumer, t.fill(t.stream("a"), "Noted", 5))
	}},

	{"park what was held too long too often", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted"), Timeout: time.Second, MaxRetries: 1})
		events := t.fill(t.stream("a"), "Noted", 2)
		// With a buffer of one, nothing else comes while the first is held.
		consumer := t.consume(t.group(), 1)
		for retries := range 2 {
			d := t.deliver(consumer)
			require.Equal(t, events[0].ID, d.Event.ID)
			require.Equal(t, retries, d.Retries)
		}
		d := t.deliver(consumer)
		require.Equal(t, events[1].ID, d.Event.ID)
		require.NoError(t, consumer.Ack(d))
	}},

	{"deliver only what passes the filter", func(t *trial) {
		kinds := []string{"Task", "TaskStarted", "aTask", "T.sk", "Task|Tesk", "^Task", "Task$", "检查"}
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Task", "T.sk")})
		var want []eventstore.Event
		for range 3 {
			for _, kind := range kinds {
				event := t.event(kind)
				t.append(t.stream("a"), eventstore.Any(), event)
				if kind == "Task" || kind == "T.sk" {
					want = append(want, event)
				}
			}
		}
		t.requireOnly(t.consume(t.group(), 3), want)
	}},

	{"without a filter deliver everything but the log's own events", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), From: t.head()})
		t.ensure(eventstore.Group{Name: t.group() + "-2", Filter: t.types("Nobody")}) // makes bookkeeping
		left := map[eventstore.ID]bool{}
		for _, e := range t.fill(t.stream("a"), "Noted", 20) {
			left[e.ID] = true
		}
		consumer := t.consume(t.group(), 50)
		for len(left) > 0 {
			d := t.deliver(consumer)
			require.NotEqual(t, byte('$'), d.Event.Type[0], d.Event.Type)
			delete(left, d.Event.ID)
			require.NoError(t, consumer.Ack(d))
		}
	}},

	{"let a consumer go with the context it joined with", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		ctx, cancel := context.WithCancel(t.ctx)
		first, err := t.log.Consume(ctx, t.group(), 1)
		require.NoError(t, err)
		defer first.Close()
		event := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), event)
		held := t.deliver(first)
		cancel()
		_, err = first.Next(t.ctx)
		require.Error(t, err)
		require.Error(t, first.Ack(held))
		second := t.consume(t.group(), 1)
		d := t.deliver(second)
		require.Equal(t, event.ID, d.Event.ID, "what it held goes to others")
		require.NoError(t, second.Ack(d))

		_, err = t.log.Consume(ctx, t.group(), 1)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, t.log.EnsureGroup(ctx, eventstore.Group{Name: t.group() + "-2"}), context.Canceled)
	}},

	{"refuse what they cannot be", func(t *trial) {
		for name, err := range map[string]error{
			"no name":          t.log.EnsureGroup(t.ctx, eventstore.Group{}),
			"negative timeout": t.log.EnsureGroup(t.ctx, eventstore.Group{Name: t.group(), Timeout: -time.Second}),
			"negative retries": t.log.EnsureGroup(t.ctx, eventstore.Group{Name: t.group(), MaxRetries: -1}),
			"no buffer": func() error {
				_, err := t.log.Consume(t.ctx, t.group(), 0)
				return err
			}(),
		} {
			require.Error(t, err, name)
			require.False(t, eventstore.IsUnavailable(err), name)
		}
	}},

	{"do not deliver again what was parked", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted"), Timeout: time.Second})
		poison := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), poison)
		consumer := t.consume(t.group(), 1)
		d := t.deliver(consumer)
		require.Equal(t, poison.ID, d.Event.ID)
		require.NoError(t, consumer.Park(d, "not a zip"))
		t.requireOnly(consumer, t.fill(t.stream("a"), "Noted", 5))
	}},

	{"deliver to others what a consumer held when it left", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		events := t.fill(t.stream("a"), "Noted", 6)
		first := t.consume(t.group(), 3)
		for range 3 {
			t.deliver(first)
		}
		second := t.consume(t.group(), 10)
		require.NoError(t, first.Close())
		left := map[eventstore.ID]bool{}
		for _, e := range events {
			left[e.ID] = true
		}
		for len(left) > 0 {
			d := t.deliver(second)
			delete(left, d.Event.ID)
			require.NoError(t, second.Ack(d))
		}
	}},

	{"deliver to others what a consumer holds too long", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted"), Timeout: time.Second})
		event := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), event)
		slow := t.consume(t.group(), 1)
		require.Equal(t, event.ID, t.deliver(slow).Event.ID)
		other := t.consume(t.group(), 1)
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		type result struct {
			consumer eventstore.Consumer
			delivery eventstore.Delivery
			err      error
		}
		// Whoever is free gets it, which may be the slow one again.
		got := make(chan result, 2)
		for _, c := range []eventstore.Consumer{slow, other} {
			go func() {
				d, err := c.Next(ctx)
				got <- result{c, d, err}
			}()
		}
		first := receive(t, got)
		require.NoError(t, first.err)
		require.Equal(t, event.ID, first.delivery.Event.ID)
		require.GreaterOrEqual(t, first.delivery.Retries, 1)
		require.NoError(t, first.consumer.Ack(first.delivery))
		cancel()
		receive(t, got)
	}},

	{"take answers from many goroutines at once", func(t *trial) {
		const count = 200
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		t.fill(t.stream("a"), "Noted", count)
		consumer := t.consume(t.group(), 32)
		acks := make(chan error, count)
		seen := map[eventstore.ID]bool{}
		for range count {
			d := t.deliver(consumer)
			require.False(t, seen[d.Event.ID], "delivered twice")
			seen[d.Event.ID] = true
			go func() { acks <- consumer.Ack(d) }()
		}
		for range count {
			require.NoError(t, receive(t, acks))
		}
	}},

	{"refuse an answer to another consumer's delivery", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		t.fill(t.stream("a"), "Noted", 1)
		consumer := t.consume(t.group(), 1)
		d := t.deliver(consumer)
		require.Error(t, t.consume(t.group(), 1).Ack(d))
		require.NoError(t, consumer.Ack(d))
	}},

	{"lose nothing when waiting is given up", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		consumer := t.consume(t.group(), 5)
		seen := map[eventstore.ID]bool{}
		const count = 40
		for i := range count {
			t.append(t.stream("a"), eventstore.Any(), t.event("Noted"))
			for len(seen) <= i {
				ctx, cancel := context.WithTimeout(t.ctx, 100*time.Microsecond)
				d, err := consumer.Next(ctx)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) && t.ctx.Err() == nil {
					continue
				}
				require.NoError(t, err)
				require.Zero(t, d.Retries, "delivery %d was lost and came again", i)
				seen[d.Event.ID] = true
				require.NoError(t, consumer.Ack(d))
			}
		}
	}},

	{"let a consumer go when it is closed, also while it waits", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		consumer := t.consume(t.group(), 5)
		ended := make(chan error, 1)
		go func() {
			_, err := consumer.Next(t.ctx)
			ended <- err
		}()
		require.NoError(t, consumer.Close())
		require.Error(t, receive(t, ended))
		_, err := consumer.Next(t.ctx)
		require.Error(t, err, "it stays closed")
		require.Error(t, consumer.Ack(eventstore.Delivery{}))
		require.NoError(t, consumer.Close(), "closing twice is harmless")
	}},
}

// requireOnly demands that a consumer gets these events, in whatever order, and
// none besides until the last of them.
func (t *trial) requireOnly(consumer eventstore.Consumer, want []eventstore.Event) {
	t.Helper()
	left := map[eventstore.ID]bool{}
	for _, e := range want {
		left[e.ID] = true
	}
	for len(left) > 0 {
		d := t.deliver(consumer)
		require.True(t, left[d.Event.ID], "event %s came besides, or again", d.Event.ID)
		delete(left, d.Event.ID)
		require.NoError(t, consumer.Ack(d))
	}
}
