package storetest

import (
	"context"
	"errors"
	"fmt"

	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

var follows = []promise{
	{"delivers what stands there, says so, then what comes", func(t *trial) {
		old := t.fill(t.stream("a"), "Noted", 250)
		sub := t.follow(0, t.types("Noted"))
		require.Equal(t, ids(old), recordedIDs(t.caughtUp(sub)))
		fresh := t.fill(t.stream("b"), "Noted", 250)
		got := t.take(sub, 250)
		require.Equal(t, ids(fresh), recordedIDs(got))
		require.Equal(t, got, t.all(t.log.ReadStream(t.ctx, t.stream("b"), 0)), "a follower sees what a reader sees")
	}},

	{"delivers each event once and in order while it is being caught up", func(t *trial) {
		// Several followers begin at different moments of a steady stream of
		// appends, so that going live happens in the midst of it.
		const writers, each, followers = 4, 150, 4
		batches := make([][]eventstore.Event, writers)
		for w := range batches {
			batches[w] = t.events("Noted", each)
		}
		started := make(chan struct{}, followers)
		written := make(chan error, 1)
		go func() {
			errs := make(chan error, writers)
			for w := range writers {
				go func() {
					for i, e := range batches[w] {
						if i%(each/followers) == 0 && w == 0 {
							started <- struct{}{}
						}
						if _, err := t.log.Append(t.ctx, t.stream(fmt.Sprint(w)), eventstore.Any(), e); err != nil {
							errs <- err
							return
						}
					}
					errs <- nil
				}()
			}
			var all error
			for range writers {
				all = errors.Join(all, <-errs)
			}
			written <- all
		}()
		subs := make([]eventstore.Subscription, followers)
		for i := range subs {
			<-started
			subs[i] = t.follow(0, t.types("Noted"))
		}
		for _, sub := range subs {
			got := t.take(sub, writers*each)
			requireAscending(t.T, got)
			next := map[string]uint64{}
			for _, e := range got {
				require.Equal(t, next[e.Stream.Key], e.Revision)
				next[e.Stream.Key]++
			}
		}
		// Drain what an odd number of steps may have left.
		require.NoError(t, drain(started, written))
	}},

	{"resumes after a position, without the event that stands there", func(t *trial) {
		events := t.fill(t.stream("a"), "Noted", 12)
		sub := t.follow(0, t.types("Noted"))
		got := t.take(sub, 5)
		require.NoError(t, sub.Close())
		again := t.follow(got[4].Position, t.types("Noted"))
		require.Equal(t, ids(events[5:]), recordedIDs(t.caughtUp(again)))

		now := t.follow(t.head(), t.types("Noted"))
		require.Empty(t, t.caughtUp(now))
		more := t.event("Noted")
		t.append(t.stream("a"), eventstore.Any(), more)
		require.Equal(t, more.ID, t.next(now).ID)
		require.Equal(t, more.ID, t.next(again).ID)
	}},

	{"delivers only what passes the filter", func(t *trial) {
		sub := t.follow(t.head(), t.types("Wanted", "Also"))
		for i := range 40 {
			t.append(t.stream("a"), eventstore.Any(), t.event([]string{"Wanted", "Unwanted", "Also", "Want"}[i%4]))
		}
		for i, e := range t.take(sub, 20) {
			require.Equal(t, t.kind([]string{"Wanted", "Also"}[i%2]), e.Type)
		}
	}},

	{"delivers every type of the wanted categories, and no other stream", func(t *trial) {
		mine, longer := t.category(""), t.category("x")
		sub := t.follow(t.head(), eventstore.Filter{Categories: []string{mine.Category}})
		var want []eventstore.ID
		for i := range 40 {
			e := t.event([]string{"Known", "Unheard"}[i%2])
			t.append([]eventstore.StreamID{mine, longer}[i/2%2], eventstore.Any(), e)
			if i/2%2 == 0 {
				want = append(want, e.ID)
			}
		}
		require.Equal(t, want, recordedIDs(t.take(sub, len(want))))
		require.Equal(t, want, recordedIDs(t.all(t.log.ReadAll(t.ctx, 0, eventstore.Filter{Categories: []string{mine.Category}}))))
	}},

	{"says how far it has come past other categories", func(t *trial) {
		before := t.head()
		foreign := t.category("x")
		t.fill(foreign, "Foreign", 2500)
		last := t.append(foreign, eventstore.Any(), t.event("Foreign"))
		sub := t.follow(before, eventstore.Filter{Categories: []string{t.category("").Category}})
		for {
			message, err := sub.Next(t.ctx)
			require.NoError(t, err)
			require.NotEqual(t, eventstore.KindEvent, message.Kind)
			if message.Kind == eventstore.KindCheckpoint && message.Position > before {
				require.LessOrEqual(t, message.Position, last.Position)
				break
			}
		}
	}},

	{"without a filter delivers everything but the log's own events", func(t *trial) {
		sub := t.follow(t.head(), eventstore.Filter{})
		t.ensure(eventstore.Group{Name: t.group(), Filter: t.types("Nobody")}) // makes bookkeeping
		want := t.fill(t.stream("a"), "Noted", 20)
		var got []eventstore.ID
		for len(got) < len(want) {
			e := t.next(sub)
			require.NotEqual(t, byte('$'), e.Type[0], e.Type)
			if e.Type == t.kind("Noted") {
				got = append(got, e.ID)
			}
		}
		require.Equal(t, ids(want), got)
	}},

	{"says how far it has come past what was filtered out", func(t *trial) {
		before := t.head()
		t.append(t.stream("a"), eventstore.Any(), t.event("Wanted"))
		t.fill(t.stream("a"), "Unwanted", 2500)
		last := t.append(t.stream("a"), eventstore.Any(), t.event("Unwanted"))

		// A checkpoint may be as much as a search window behind what was skipped,
		// so that much of it must have been passed, no event may come twice for
		// whoever resumes there, and none may be missed.
		sub := t.follow(before, t.types("Wanted"))
		wanted := t.next(sub)
		var reached eventstore.Position
		for reached <= wanted.Position {
			message, err := sub.Next(t.ctx)
			require.NoError(t, err)
			require.NotEqual(t, eventstore.KindEvent, message.Kind)
			if message.Kind == eventstore.KindCheckpoint {
				require.Greater(t, message.Position, reached)
				reached = message.Position
			}
		}
		event := t.event("Wanted")
		t.append(t.stream("a"), eventstore.Any(), event)
		require.Equal(t, event.ID, t.next(sub).ID)
		resumed := t.follow(reached, t.types("Wanted"))
		require.Equal(t, event.ID, t.next(resumed).ID)
		require.Greater(t, last.Position, wanted.Position)
	}},

	{"loses nothing when waiting is given up", func(t *trial) {
		sub := t.follow(t.head(), t.types("Noted"))
		var got []eventstore.ID
		want := t.events("Noted", 50)
		for _, e := range want {
			for range 3 {
				ctx, cancel := context.WithTimeout(t.ctx, 100*time.Microsecond)
				message, err := sub.Next(ctx)
				cancel()
				if err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				} else if message.Kind == eventstore.KindEvent {
					got = append(got, message.Event.ID)
				}
			}
			t.append(t.stream("a"), eventstore.Any(), e)
		}
		for len(got) < len(want) {
			got = append(got, t.next(sub).ID)
		}
		require.Equal(t, ids(want), got)
	}},

	{"waits for a slow reader", func(t *trial) {
		sub := t.follow(t.head(), t.types("Noted"))
		want := t.fill(t.stream("a"), "Noted", 6000)
		require.Equal(t, ids(want), recordedIDs(t.take(sub, len(want))))
	}},

	{"ends when it is closed, also while someone waits", func(t *trial) {
		sub := t.follow(t.head(), t.types("Noted"))
		ended := make(chan error, 1)
		go func() {
			for {
				if _, err := sub.Next(t.ctx); err != nil {
					ended <- err
					return
				}
			}
		}()
		require.NoError(t, sub.Close())
		require.Error(t, receive(t, ended))
		_, err := sub.Next(t.ctx)
		require.Error(t, err, "it stays closed")
		require.NoError(t, sub.Close(), "closing twice is harmless")
	}},

	{"ends with the context it was made with", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		sub, err := t.log.Follow(ctx, t.head(), t.types("Noted"))
		require.NoError(t, err)
		defer sub.Close()
		t.caughtUp(sub)
		cancel()
		_, err = sub.Next(t.ctx)
		require.Error(t, err)

		_, err = t.log.Follow(ctx, 0, eventstore.Filter{})
		require.ErrorIs(t, err, context.Canceled)
	}},
}

// receive waits for a value.
func receive[T any](t *trial, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-t.ctx.Done():
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// drain empties signals until the result is there.
func drain(signals <-chan struct{}, result <-chan error) error {
	for {
		select {
		case <-signals:
		case err := <-result:
			return err
		}
	}
}
