package storetest

import (
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

var keeps = []promise{
	{"a stream holds on to its newest events, before and after there are that many", func(t *trial) {
		stream := t.stream("beats")
		for range 2 {
			require.NoError(t, t.log.KeepNewest(t.ctx, stream, 3), "also of a stream that does not exist yet")
		}
		events := t.fill(stream, "beat", 2)
		require.Equal(t, ids(events), t.kept(stream, 0))
		events = append(events, t.fill(stream, "beat", 5)...)
		require.Equal(t, ids(events[4:]), t.kept(stream, 4))
		require.NoError(t, t.log.KeepNewest(t.ctx, stream, 2))
		require.Equal(t, ids(events[5:]), t.kept(stream, 5))
		at := t.append(stream, eventstore.At(6), t.event("beat"))
		require.EqualValues(t, 7, at.Revision, "revisions go on")
	}},
	{"of several that bound one stream at once, each succeeds", func(t *trial) {
		stream := t.stream("beats")
		var all sync.WaitGroup
		failures := make([]error, 4)
		for i := range failures {
			all.Go(func() { failures[i] = t.log.KeepNewest(t.ctx, stream, 2) })
		}
		all.Wait()
		for _, err := range failures {
			require.NoError(t, err)
		}
		events := t.fill(stream, "beat", 3)
		require.Equal(t, ids(events[1:]), t.kept(stream, 1))
	}},
	{"keeping nothing is refused", func(t *trial) {
		require.Error(t, t.log.KeepNewest(t.ctx, t.stream("beats"), 0))
	}},
}

// kept are the ids in a stream, which must begin at a revision.
func (t *trial) kept(stream eventstore.StreamID, first uint64) (found []eventstore.ID) {
	t.Helper()
	for r, err := range t.log.ReadStream(t.ctx, stream, 0) {
		require.NoError(t, err)
		require.Equal(t, first+uint64(len(found)), r.Revision)
		found = append(found, r.ID)
	}
	return found
}
