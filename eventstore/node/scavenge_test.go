package node

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"
)

func setMetadata(t *testing.T, client *esdb.Client, stream string, change func(*esdb.StreamMetadata)) {
	t.Helper()
	var m esdb.StreamMetadata
	change(&m)
	_, err := client.SetStreamMetadata(within(t), stream, esdb.AppendToStreamOptions{}, m)
	require.NoError(t, err)
}

// What can be read in a stream is the same before and after a scavenge, over a
// restart, and in what is appended next. $all loses what was released, and only that.
func TestScavengeTakesAwayWhatWasReleased(t *testing.T) {
	n, client := open(t)
	n.log.now = func() time.Time { return time.Now().Add(time.Hour) }
	streams := []string{"whole", "counted", "truncated", "aged", "deleted", "revived", "tombstoned"}
	for i := range 5 {
		for _, s := range streams {
			appendAny(t, client, s, jsonEvents(1+i%2, s)...)
		}
	}
	setMetadata(t, client, "counted", func(m *esdb.StreamMetadata) { m.SetMaxCount(2) })
	setMetadata(t, client, "truncated", func(m *esdb.StreamMetadata) { m.SetTruncateBefore(1) })
	setMetadata(t, client, "truncated", func(m *esdb.StreamMetadata) { m.SetTruncateBefore(4) })
	setMetadata(t, client, "aged", func(m *esdb.StreamMetadata) { m.SetMaxAge(time.Minute) })
	for _, s := range []string{"deleted", "revived"} {
		_, err := client.DeleteStream(within(t), s, esdb.DeleteStreamOptions{})
		require.NoError(t, err)
	}
	appendAny(t, client, "revived", jsonEvents(2, "revived")...)
	_, err := client.TombstoneStream(within(t), "tombstoned", esdb.TombstoneStreamOptions{})
	require.NoError(t, err)

	look := func(client *esdb.Client) string {
		var b bytes.Buffer
		for _, s := range streams {
			read, err := client.ReadStream(within(t), s, esdb.ReadStreamOptions{}, 100)
			events, err := drainErr(read, err)
			fmt.Fprintln(&b, s, code(err), revisions(events))
		}
		return b.String()
	}
	before := look(client)
	head := n.committer.horizon.durable()
	all := len(readAll(t, client, esdb.ReadAllOptions{}, 1000))
	report, err := n.Scavenge(within(t), nil)
	require.NoError(t, err)
	// counted 5, truncated 4, aged and deleted all but the last, revived what was
	// there before, all that the tombstone ended, and one superseded metadata each of
	// truncated and revived.
	require.EqualValues(t, 5+4+6+6+7+7+2, report.Events)
	require.Positive(t, report.Bytes)
	require.Equal(t, before, look(client))
	require.Len(t, readAll(t, client, esdb.ReadAllOptions{}, 1000), all-int(report.Events))
	require.Equal(t, head, n.committer.horizon.durable())
	_, err = n.Verify(within(t), nil)
	require.NoError(t, err)
	again, err := n.Scavenge(within(t), nil)
	require.NoError(t, err)
	require.Zero(t, again.Events)

	require.NoError(t, n.Close())
	n = start(t, Options{Dir: n.dir})
	n.log.now = func() time.Time { return time.Now().Add(time.Hour) }
	client = connect(t, n)
	require.Equal(t, before, look(client))
	for _, s := range []string{"whole", "counted", "truncated", "deleted", "revived"} {
		res := appendAny(t, client, s, jsonEvent("more", "{}"))
		require.Greater(t, res.CommitPosition, head)
		require.GreaterOrEqual(t, res.NextExpectedVersion, uint64(7))
	}
	_, err = n.Verify(within(t), nil)
	require.NoError(t, err)
}

// Scavenges under load, with readers, take nothing away that can be read.
func TestScavengeUnderLoad(t *testing.T) {
	n, client := open(t)
	setMetadata(t, client, "short", func(m *esdb.StreamMetadata) { m.SetMaxCount(3) })
	appendAny(t, client, "short", jsonEvent("a", "{}"))
	appendAny(t, client, "long", jsonEvent("a", "{}"))
	var stop atomic.Bool
	var kept atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			appendAny(t, client, "short", jsonEvents(20, "a")...)
			appendAny(t, client, "long", jsonEvents(2, "a")...)
			kept.Add(2)
		}
	})
	wg.Go(func() {
		for !stop.Load() {
			require.LessOrEqual(t, len(readStream(t, client, "short", esdb.ReadStreamOptions{}, 1<<30)), 3)
			least := kept.Load()
			require.GreaterOrEqual(t, len(readStream(t, client, "long", esdb.ReadStreamOptions{}, 1<<30)), int(least))
		}
	})
	gone := uint64(0)
	for range 10 {
		appendAny(t, client, "short", jsonEvents(20, "a")...)
		report, err := n.Scavenge(context.Background(), nil)
		require.NoError(t, err)
		gone += report.Events
	}
	stop.Store(true)
	wg.Wait()
	require.GreaterOrEqual(t, gone, uint64(190))
	_, err := n.Verify(within(t), nil)
	require.NoError(t, err)
	require.Len(t, readStream(t, client, "long", esdb.ReadStreamOptions{}, 1<<30), 1+int(kept.Load()))

	var archive bytes.Buffer
	_, err = n.Backup(within(t), &archive)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "copy")
	_, err = Restore(within(t), dir, &archive)
	require.NoError(t, err)
	restored := start(t, Options{Dir: dir})
	require.Len(t, readStream(t, connect(t, restored), "short", esdb.ReadStreamOptions{}, 1<<30), 3)
}
