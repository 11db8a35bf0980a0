package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

var appends = []promise{
	{"answers with the revision and position of the last event", func(t *trial) {
		stream := t.stream("a")
		first := t.append(stream, eventstore.NoStream(), t.events("Noted", 3)...)
		require.EqualValues(t, 2, first.Revision)
		second := t.append(stream, eventstore.At(2), t.event("Noted"))
		require.EqualValues(t, 3, second.Revision)
		require.Greater(t, second.Position, first.Position)

		events := t.all(t.log.ReadStream(t.ctx, stream, 0))
		require.Equal(t, first.Position, events[2].Position)
		require.Equal(t, second.Position, events[3].Position)
	}},

	{"keeps an event whole", func(t *trial) {
		stream := eventstore.StreamID{Category: "storetest", Key: t.token + "-018f4e2a-0000-7000-8000-作业"}
		began := time.Now()
		event := t.event("Noted")
		event.Type = "检查完成 (v2)." + t.token
		event.Data = []byte(`{"文件":"作业列表.xlsx","n":1.50,"quote":"\"\u0000\\","deep":{"a":[1,null,true]}}`)
		event.Metadata = []byte(`{"$correlationId":"x","actor":"质量"}`)
		bare := t.event("Noted")
		bare.Metadata = nil
		t.append(stream, eventstore.NoStream(), event, bare)

		got := t.all(t.log.ReadStream(t.ctx, stream, 0))
		require.Len(t, got, 2)
		require.Equal(t, event, got[0].Event)
		require.Equal(t, stream, got[0].Stream)
		require.EqualValues(t, 0, got[0].Revision)
		require.EqualValues(t, 1, got[1].Revision)
		require.Greater(t, got[1].Position, got[0].Position)
		require.Greater(t, got[0].Position, eventstore.Position(0))
		require.Empty(t, got[1].Metadata)
		require.Equal(t, time.UTC, got[0].At.Location())
		require.WithinDuration(t, began, got[0].At, time.Hour, "the log's clock is far from ours")
		require.False(t, got[1].At.Before(got[0].At))

		var everywhere []eventstore.Recorded
		for e, err := range t.log.ReadAll(t.ctx, 0, eventstore.Filter{Types: []string{event.Type}}) {
			require.NoError(t, err)
			everywhere = append(everywhere, e)
		}
		require.Equal(t, got[:1], everywhere, "$all shows an event as its stream does")
	}},

	{"refuses when the stream is not as expected", func(t *trial) {
		missing, present := t.stream("missing"), t.stream("present")
		t.append(present, eventstore.NoStream(), t.events("Noted", 2)...)
		for _, c := range []struct {
			stream   eventstore.StreamID
			expected eventstore.Expected
			actual   uint64
			exists   bool
		}{
			{missing, eventstore.Exists(), 0, false},
			{missing, eventstore.At(0), 0, false},
			{missing, eventstore.At(7), 0, false},
			{present, eventstore.NoStream(), 1, true},
			{present, eventstore.At(0), 1, true},
			{present, eventstore.At(2), 1, true},
			{present, eventstore.At(math.MaxInt32), 1, true},
		} {
			_, err := t.log.Append(t.ctx, c.stream, c.expected, t.event("Noted"))
			var conflict *eventstore.ConflictError
			require.ErrorAs(t, err, &conflict, "%s expected %s", c.stream, c.expected)
			require.Equal(t, &eventstore.ConflictError{Stream: c.stream, Expected: c.expected, Actual: c.actual, Exists: c.exists}, conflict)
			require.False(t, eventstore.IsUnavailable(err))
		}
		require.Len(t, t.all(t.log.ReadStream(t.ctx, present, 0)), 2)
		require.True(t, eventstore.IsNotFound(t.failure(t.log.ReadStream(t.ctx, missing, 0))))
	}},

	{"accepts when the stream is as expected", func(t *trial) {
		stream := t.stream("a")
		t.append(stream, eventstore.Any(), t.event("Noted"))
		t.append(stream, eventstore.Exists(), t.event("Noted"))
		t.append(stream, eventstore.At(1), t.event("Noted"))
		last := t.append(stream, eventstore.Any(), t.event("Noted"))
		require.EqualValues(t, 3, last.Revision)
		t.append(t.stream("b"), eventstore.NoStream(), t.event("Noted"))
	}},

	{"repeated, appends nothing and answers the same", func(t *trial) {
		for _, expected := range []eventstore.Expected{
			eventstore.NoStream(), eventstore.Any(), eventstore.Exists(), eventstore.At(0),
		} {
			stream := t.stream(expected.String())
			before := 0
			if expected.Kind != eventstore.ExpectNoStream {
				t.append(stream, eventstore.NoStream(), t.event("Noted"))
				before = 1
			}
			events := t.events("Noted", 3)
			first := t.append(stream, expected, events...)
			require.Equal(t, first, t.append(stream, expected, events...), expected.String())
			require.Len(t, t.all(t.log.ReadStream(t.ctx, stream, 0)), before+3, expected.String())

			// Also when the stream has moved on since.
			t.append(stream, eventstore.Any(), t.event("Noted"))
			require.Equal(t, first, t.append(stream, expected, events...), expected.String())
			require.Len(t, t.all(t.log.ReadStream(t.ctx, stream, 0)), before+4, expected.String())
		}
	}},

	{"repeated only in part, is a conflict", func(t *trial) {
		for _, expected := range []eventstore.Expected{eventstore.NoStream(), eventstore.At(0), eventstore.Any()} {
			stream := t.stream(expected.String())
			if expected.Kind != eventstore.ExpectNoStream {
				t.append(stream, eventstore.NoStream(), t.event("Noted"))
			}
			events := t.events("Noted", 2)
			t.append(stream, expected, events...)
			before := len(t.all(t.log.ReadStream(t.ctx, stream, 0)))
			var conflict *eventstore.ConflictError
			_, err := t.log.Append(t.ctx, stream, expected, append(events, t.event("Noted"))...)
			require.ErrorAs(t, err, &conflict, "longer, %s", expected)
			_, err = t.log.Append(t.ctx, stream, expected, events[0], t.event("Noted"))
			require.ErrorAs(t, err, &conflict, "other, %s", expected)
			require.Len(t, t.all(t.log.ReadStream(t.ctx, stream, 0)), before)
		}
	}},

	{"takes an event id again in another stream", func(t *trial) {
		event := t.event("Noted")
		for _, key := range []string{"a", "b"} {
			t.append(t.stream(key), eventstore.NoStream(), event)
			require.Equal(t, event, t.all(t.log.ReadStream(t.ctx, t.stream(key), 0))[0].Event)
		}
	}},

	{"takes all events of a call or none", func(t *trial) {
		large := func(size int) eventstore.Event {
			e := t.event("Noted")
			e.Data = append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, size)...), '"')
			return e
		}
		for name, events := range map[string][]eventstore.Event{
			"a little too large":        {t.event("Noted"), large(1 << 20)},
			"too large together":        {large(600 << 10), large(600 << 10)},
			"beyond gRPC's own default": {t.event("Noted"), large(5 << 20)},
			"many and too large":        {large(512 << 10), large(512 << 10), large(512 << 10), large(512 << 10), large(512 << 10)},
		} {
			_, err := t.log.Append(t.ctx, t.stream("large"), eventstore.Any(), events...)
			var tooLarge *eventstore.TooLargeError
			require.ErrorAs(t, err, &tooLarge, name)
			require.Positive(t, tooLarge.Limit)
			require.True(t, eventstore.IsNotFound(t.failure(t.log.ReadStream(t.ctx, t.stream("large"), 0))), name)
		}
		t.append(t.stream("large"), eventstore.NoStream(), large(900<<10))
	}},

	{"refuses what could not be read back", func(t *trial) {
		named, nameless := t.event("Noted"), t.event("Noted")
		nameless.ID = eventstore.ID{}
		untyped := t.event("Noted")
		untyped.Type = ""
		for name, refused := range map[string]func() error{
			"no events":             func() error { _, err := t.log.Append(t.ctx, t.stream("a"), eventstore.Any()); return err },
			"an event without id":   func() error { _, err := t.log.Append(t.ctx, t.stream("a"), eventstore.Any(), nameless); return err },
			"an event without type": func() error { _, err := t.log.Append(t.ctx, t.stream("a"), eventstore.Any(), untyped); return err },
			"a stream without category": func() error {
				_, err := t.log.Append(t.ctx, eventstore.StreamID{Key: t.token}, eventstore.Any(), named)
				return err
			},
			"a category with a dash": func() error {
				_, err := t.log.Append(t.ctx, eventstore.StreamID{Category: "a-b", Key: t.token}, eventstore.Any(), named)
				return err
			},
		} {
			err := refused()
			require.Error(t, err, name)
			require.False(t, eventstore.IsUnavailable(err), name)
		}
	}},

	{"lets one of many writers win", func(t *trial) {
		const writers, rounds = 8, 10
		stream := t.stream("a")
		expected := eventstore.NoStream()
		for round := range rounds {
			results := make(chan error, writers)
			for range writers {
				event := t.event("Noted")
				go func() {
					_, err := t.log.Append(t.ctx, stream, expected, event)
					results <- err
				}()
			}
			won := 0
			for range writers {
				err := <-results
				if err == nil {
					won++
					continue
				}
				var conflict *eventstore.ConflictError
				require.ErrorAs(t, err, &conflict)
				require.True(t, conflict.Exists)
				require.EqualValues(t, round, conflict.Actual)
			}
			require.Equal(t, 1, won)
			expected = eventstore.At(uint64(round))
		}
		require.Len(t, t.all(t.log.ReadStream(t.ctx, stream, 0)), rounds)
	}},

	{"keeps the events of a call next to each other", func(t *trial) {
		const writers, calls, size = 6, 15, 4
		batches := make([][][]eventstore.Event, writers)
		for w := range batches {
			for range calls {
				batches[w] = append(batches[w], t.events("Noted", size))
			}
		}
		t.together(writers, func(ctx context.Context, w int) error {
			for c, batch := range batches[w] {
				// Two writers a stream, so that they also meet in one.
				stream := t.stream(fmt.Sprint(w / 2))
				if _, err := t.log.Append(ctx, stream, eventstore.Any(), batch...); err != nil {
					return fmt.Errorf("writer %d, call %d: %w", w, c, err)
				}
			}
			return nil
		})
		events := t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted")))
		require.Len(t, events, writers*calls*size)
		requireAscending(t.T, events)
		first := map[eventstore.ID][]eventstore.Event{}
		for _, calls := range batches {
			for _, batch := range calls {
				first[batch[0].ID] = batch
			}
		}
		next := map[eventstore.StreamID]uint64{}
		for i := 0; i < len(events); i += size {
			batch, ok := first[events[i].ID]
			require.True(t, ok, "event %d is in the middle of another call's events", i)
			require.Equal(t, ids(batch), recordedIDs(events[i:i+size]))
			for _, e := range events[i : i+size] {
				require.Equal(t, next[e.Stream], e.Revision, "revisions have no gap")
				next[e.Stream]++
			}
		}
	}},

	{"is seen at once by whoever reads next", func(t *trial) {
		for i := range 20 {
			event := t.event("Noted")
			appended := t.append(t.stream("a"), eventstore.Any(), event)
			require.Equal(t, event.ID, t.all(t.log.ReadStreamBackwards(t.ctx, t.stream("a"), 1))[0].ID)
			require.GreaterOrEqual(t, t.head(), appended.Position)
			require.Len(t, t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted"))), i+1)
		}
	}},

	{"is linearizable with all others and with reads, stream by stream", linear},

	{"keeps streams apart, whatever their names", func(t *trial) {
		keys := []string{"a", "A", "a-", "a-b", "a b", "a/b", "a%2Fb", "a.b", "a::b", "作业", "作業", "\u00e9", "e\u0301", "🦆", "\"'<>&", strings.Repeat("长", 60)}
		for i := range 200 {
			keys = append(keys, fmt.Sprint(i))
		}
		events := t.events("Noted", 2*len(keys))
		t.together(8, func(ctx context.Context, w int) error {
			for i := w; i < len(keys); i += 8 {
				for n, expected := range []eventstore.Expected{eventstore.NoStream(), eventstore.At(0)} {
					if _, err := t.log.Append(ctx, t.stream(keys[i]), expected, events[2*i+n]); err != nil {
						return fmt.Errorf("%q: %w", keys[i], err)
					}
				}
			}
			return nil
		})
		for i, key := range keys {
			got := t.all(t.log.ReadStream(t.ctx, t.stream(key), 0))
			require.Equal(t, ids(events[2*i:2*i+2]), recordedIDs(got), key)
			require.Equal(t, t.stream(key), got[0].Stream)
		}
		require.Len(t, t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted"))), len(events))
	}},

	{"keeps large events whole on every way out", func(t *trial) {
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Noted")})
		event := t.event("Noted")
		event.Data = append(append([]byte{'"'}, bytes.Repeat([]byte("0123456789"), 90<<10)...), '"')
		event.Metadata = append(append([]byte(`{"x":"`), bytes.Repeat([]byte("m"), 60<<10)...), `"}`...)
		t.append(t.stream("a"), eventstore.NoStream(), event)
		stored := t.all(t.log.ReadStream(t.ctx, t.stream("a"), 0))[0]
		require.True(t, bytes.Equal(event.Data, stored.Data))
		require.True(t, bytes.Equal(event.Metadata, stored.Metadata))
		require.Equal(t, []eventstore.Recorded{stored}, t.all(t.log.ReadStreamBackwards(t.ctx, t.stream("a"), 1)))
		require.Equal(t, []eventstore.Recorded{stored}, t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted"))))
		require.Equal(t, stored, t.next(t.follow(0, t.types("Noted"))))
		consumer := t.consume(t.group(), 1)
		d := t.deliver(consumer)
		require.Equal(t, stored, d.Event)
		require.NoError(t, consumer.Ack(d))
	}},

	{"refuses streams that were deleted for good", func(t *trial) {
		t.fill(t.stream("a"), "Noted", 3)
		require.NoError(t, t.log.Tombstone(t.ctx, t.stream("never was")))
		for range 2 { // the second time it is so already
			require.NoError(t, t.log.Tombstone(t.ctx, t.stream("a")))
		}
		for name, err := range map[string]error{
			"reading":           t.failure(t.log.ReadStream(t.ctx, t.stream("a"), 0)),
			"reading backwards": t.failure(t.log.ReadStreamBackwards(t.ctx, t.stream("a"), 1)),
			"appending": func() error {
				_, err := t.log.Append(t.ctx, t.stream("a"), eventstore.Any(), t.event("Noted"))
				return err
			}(),
		} {
			var deleted *eventstore.DeletedError
			require.ErrorAs(t, err, &deleted, name)
			require.Equal(t, t.stream("a"), deleted.Stream, name)
			require.False(t, eventstore.IsUnavailable(err), name)
		}
	}},

	{"ends with the caller's context", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		_, err := t.log.Append(ctx, t.stream("a"), eventstore.Any(), t.event("Noted"))
		require.ErrorIs(t, err, context.Canceled)
	}},
}

// together runs many at once and demands that all succeed.
func (t *trial) together(count int, run func(ctx context.Context, i int) error) {
	t.Helper()
	errs := make([]error, count)
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { errs[i] = run(t.ctx, i) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}
