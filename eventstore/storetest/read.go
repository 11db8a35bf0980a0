package storetest

import (
	"context"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

var reads = []promise{
	{"a stream in revision order, from a revision on", func(t *trial) {
		stream := t.stream("a")
		events := t.fill(stream, "Noted", 450)
		t.append(t.stream("a-"), eventstore.NoStream(), t.event("Noted")) // a neighbour with a longer name
		for _, from := range []uint64{0, 1, 199, 449} {
			got := t.all(t.log.ReadStream(t.ctx, stream, from))
			require.Equal(t, ids(events[from:]), recordedIDs(got))
			requireAscending(t.T, got)
			for i, e := range got {
				require.Equal(t, from+uint64(i), e.Revision)
			}
		}
		require.Empty(t, t.all(t.log.ReadStream(t.ctx, stream, 450)), "past the end")
		require.Empty(t, t.all(t.log.ReadStream(t.ctx, stream, 1_000_000)), "far past the end")
	}},

	{"a stream backwards, the last event first", func(t *trial) {
		stream := t.stream("a")
		events := t.fill(stream, "Noted", 30)
		for _, limit := range []int{1, 7, 30, 1000} {
			got := t.all(t.log.ReadStreamBackwards(t.ctx, stream, limit))
			require.Len(t, got, min(limit, 30))
			for i, e := range got {
				require.Equal(t, events[29-i].ID, e.ID)
				require.EqualValues(t, 29-i, e.Revision)
			}
		}
		require.Empty(t, t.all(t.log.ReadStreamBackwards(t.ctx, stream, 0)))
	}},

	{"a stream that does not exist is not found", func(t *trial) {
		for name, err := range map[string]error{
			"forwards":       t.failure(t.log.ReadStream(t.ctx, t.stream("a"), 0)),
			"from the midst": t.failure(t.log.ReadStream(t.ctx, t.stream("a"), 5)),
			"backwards":      t.failure(t.log.ReadStreamBackwards(t.ctx, t.stream("a"), 1)),
		} {
			var missing *eventstore.NotFoundError
			require.ErrorAs(t, err, &missing, name)
			require.Equal(t, t.stream("a").String(), missing.Name)
			require.False(t, eventstore.IsUnavailable(err))
		}
	}},

	{"the events of all streams in position order", func(t *trial) {
		var want []eventstore.Event
		before := t.head()
		for i := range 60 {
			event := t.event("Noted")
			t.append(t.stream(string(rune('a'+i%3))), eventstore.Any(), event)
			want = append(want, event)
		}
		got := t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted")))
		require.Equal(t, ids(want), recordedIDs(got))
		requireAscending(t.T, got)

		// Without a filter ours are among whatever else is there, and nothing of
		// the log's own is.
		var ours []eventstore.ID
		last := before
		for e, err := range t.log.ReadAll(t.ctx, before, eventstore.Filter{}) {
			require.NoError(t, err)
			require.Greater(t, e.Position, last)
			require.NotEqual(t, byte('$'), e.Type[0], e.Type)
			last = e.Position
			if e.Type == t.kind("Noted") {
				ours = append(ours, e.ID)
			}
		}
		require.Equal(t, ids(want), ours)
	}},

	{"all streams after a position, without the event that stands there", func(t *trial) {
		events := t.fill(t.stream("a"), "Noted", 10)
		all := t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted")))
		for i, e := range all {
			rest := t.all(t.log.ReadAll(t.ctx, e.Position, t.types("Noted")))
			require.Equal(t, ids(events[i+1:]), append([]eventstore.ID{}, recordedIDs(rest)...))
		}
		for e, err := range t.log.ReadAll(t.ctx, all[4].Position, eventstore.Filter{}) {
			require.NoError(t, err)
			require.Greater(t, e.Position, all[4].Position)
		}
	}},

	{"all streams by exact type", func(t *trial) {
		// Names that a prefix or an unquoted pattern would mix up.
		kinds := []string{"Task", "TaskStarted", "aTask", "T.sk", "Task|Tesk", "Ta(s)k+", `Ta\sk`, "[Task]", "^Task", "Task$", "检查"}
		byKind := map[string]eventstore.ID{}
		for _, kind := range kinds {
			event := t.event(kind)
			byKind[kind] = event.ID
			t.append(t.stream("a"), eventstore.Any(), event)
		}
		for _, kind := range kinds {
			got := t.all(t.log.ReadAll(t.ctx, 0, t.types(kind)))
			require.Equal(t, []eventstore.ID{byKind[kind]}, recordedIDs(got), kind)
		}
		got := t.all(t.log.ReadAll(t.ctx, 0, t.types(kinds[:4]...)))
		require.Len(t, got, 4)
		require.Empty(t, t.all(t.log.ReadAll(t.ctx, 0, t.types("Nobody"))))
	}},

	{"all streams by as many types as one likes", func(t *trial) {
		var wanted []string
		var want []eventstore.ID
		for i := range 60 {
			kind := fmt.Sprint("Kind", i)
			event := t.event(kind)
			t.append(t.stream("a"), eventstore.Any(), event)
			if i%2 == 0 {
				wanted, want = append(wanted, kind), append(want, event.ID)
			}
		}
		require.Equal(t, want, recordedIDs(t.all(t.log.ReadAll(t.ctx, 0, t.types(wanted...)))))
	}},

	{"all streams to an end, though others go on appending", func(t *trial) {
		ctx, stop := context.WithCancel(t.ctx)
		appending := make(chan error, 1)
		fresh := make(chan struct{}, 1)
		noise := t.events("Noted", 5000)
		go func() {
			for _, e := range noise {
				if _, err := t.log.Append(ctx, t.stream("a"), eventstore.Any(), e); err != nil {
					appending <- err
					return
				}
				select {
				case fresh <- struct{}{}:
				default:
				}
			}
			appending <- nil
		}()
		for range 10 {
			receive(t, fresh)
			known := t.append(t.stream("b"), eventstore.Any(), t.event("Known"))
			got := t.all(t.log.ReadAll(t.ctx, 0, t.types("Noted", "Known")))
			requireAscending(t.T, got)
			require.GreaterOrEqual(t, got[len(got)-1].Position, known.Position, "what stood there when the call was made is read")
		}
		stop()
		if err := receive(t, appending); err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}},

	{"end when the loop does, as often as one likes", func(t *trial) {
		t.fill(t.stream("a"), "Noted", 600)
		for range 20 {
			for _, err := range t.log.ReadStream(t.ctx, t.stream("a"), 0) {
				require.NoError(t, err)
				break
			}
			for _, err := range t.log.ReadAll(t.ctx, 0, t.types("Noted")) {
				require.NoError(t, err)
				break
			}
		}
		seq := t.log.ReadStream(t.ctx, t.stream("a"), 0)
		require.Len(t, t.all(seq), 600)
		require.Len(t, t.all(seq), 600, "a sequence may be read twice")
	}},

	{"end with the caller's context", func(t *trial) {
		t.fill(t.stream("a"), "Noted", 3)
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		require.ErrorIs(t, t.failure(t.log.ReadStream(ctx, t.stream("a"), 0)), context.Canceled)
		require.ErrorIs(t, t.failure(t.log.ReadStreamBackwards(ctx, t.stream("a"), 1)), context.Canceled)
		require.ErrorIs(t, t.failure(t.log.ReadAll(ctx, 0, t.types("Noted"))), context.Canceled)
		_, err := t.log.Head(ctx)
		require.ErrorIs(t, err, context.Canceled)
	}},

	{"the head, which is the newest event's position", func(t *trial) {
		appended := t.append(t.stream("a"), eventstore.Any(), t.event("Noted"))
		head := t.head()
		require.GreaterOrEqual(t, head, appended.Position)
		require.Empty(t, t.all(t.log.ReadAll(t.ctx, head, t.types("Noted"))))
		next := t.append(t.stream("a"), eventstore.Any(), t.event("Noted"))
		require.Greater(t, next.Position, head)
		require.Len(t, t.all(t.log.ReadAll(t.ctx, head, t.types("Noted"))), 1)
	}},

	{"the head past the log's own bookkeeping", func(t *trial) {
		before := t.append(t.stream("a"), eventstore.Any(), t.event("Noted"))
		t.append(t.stream("a"), eventstore.Any(), t.event("Noted"))
		for i := range 30 { // each is written down in the log
			t.ensure(eventstore.Group{Name: fmt.Sprint(t.group(), "-", i), Filter: t.types("Nobody")})
		}
		head := t.head()
		for e, err := range t.log.ReadAll(t.ctx, before.Position, eventstore.Filter{}) {
			require.NoError(t, err)
			if e.Position == head {
				return // an event that passes the empty filter, which no bookkeeping does
			}
		}
		require.Fail(t, "there is no event at the head", "%d", head)
	}},
}
