package node

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
)

func TestVerifyFindsWhateverIsWrong(t *testing.T) {
	n, client := open(t)
	for i := range 20 {
		appendAny(t, client, fmt.Sprint("s-", i%3), jsonEvents(1+i%4, "a")...)
	}
	report, err := n.Verify(within(t), nil)
	require.NoError(t, err)
	require.EqualValues(t, 3, report.Streams)
	require.EqualValues(t, 50, report.Events)
	require.Equal(t, n.committer.horizon.durable(), report.Position)

	record := readStream(t, client, "s-1", esdb.ReadStreamOptions{}, 100)[2].Event
	stored := allKey(record.Position.Commit)
	index := streamKey(streamPrefix([]byte("s-1")), 2)
	get := func(key []byte) []byte {
		value, closer, err := n.log.db.Get(key)
		require.NoError(t, err)
		defer func() { require.NoError(t, closer.Close()) }()
		return bytes.Clone(value)
	}
	for name, spoil := range map[string]func(*pebble.Batch) error{
		"a flipped bit": func(b *pebble.Batch) error {
			value := get(stored)
			value[len(value)-1] ^= 4
			return b.Set(stored, value, nil)
		},
		"a lost record":     func(b *pebble.Batch) error { return b.Delete(stored, nil) },
		"a lost index":      func(b *pebble.Batch) error { return b.Delete(index, nil) },
		"a lost first":      func(b *pebble.Batch) error { return b.Delete(streamKey(streamPrefix([]byte("s-1")), 0), nil) },
		"a crossed index":   func(b *pebble.Batch) error { return b.Set(index, get(streamKey(streamPrefix([]byte("s-2")), 2)), nil) },
		"a damaged index":   func(b *pebble.Batch) error { return b.Set(index, []byte{1}, nil) },
		"a head that lags":  func(b *pebble.Batch) error { return b.Set(headKey("s-1"), get(headKey("s-2")), nil) },
		"a damaged head":    func(b *pebble.Batch) error { return b.Set(headKey("s-1"), []byte{1}, nil) },
		"a head of nothing": func(b *pebble.Batch) error { return b.Set(headKey("s-9"), get(headKey("s-2")), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			keys := [][]byte{stored, index, streamKey(streamPrefix([]byte("s-1")), 0), headKey("s-1")}
			var before [][]byte
			for _, key := range keys {
				before = append(before, get(key))
			}
			b := n.log.db.NewBatch()
			require.NoError(t, spoil(b))
			require.NoError(t, b.Commit(pebble.NoSync))
			_, err := n.Verify(within(t), nil)
			require.Error(t, err)
			t.Log(err)
			require.NoError(t, n.log.db.Delete(headKey("s-9"), pebble.NoSync))
			for i, key := range keys {
				require.NoError(t, n.log.db.Set(key, before[i], pebble.NoSync))
			}
			_, err = n.Verify(within(t), nil)
			require.NoError(t, err)
		})
	}
}

// A backup that is made under load holds everything that was acknowledged before it.
func TestBackupAndRestore(t *testing.T) {
	n, client := open(t)
	createGroup(t, client, "g", settings(nil))
	var stop atomic.Bool
	var acked atomic.Uint64
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				res, err := client.AppendToStream(context.Background(), fmt.Sprint("s-", i), esdb.AppendToStreamOptions{}, jsonEvents(3, "a")...)
				if err != nil {
					t.Error(err)
					return
				}
				for seen := acked.Load(); seen < res.CommitPosition && !acked.CompareAndSwap(seen, res.CommitPosition); seen = acked.Load() {
				}
			}
		})
	}
	require.Eventually(t, func() bool { return acked.Load() > 50_000 }, patience, time.Millisecond)
	before := acked.Load()
	var archive bytes.Buffer
	made, err := n.Backup(within(t), &archive)
	stop.Store(true)
	wg.Wait()
	require.NoError(t, err)
	require.GreaterOrEqual(t, made.Position, before)
	require.NoDirExists(t, filepath.Join(n.dir, backupFolder))

	dir := filepath.Join(t.TempDir(), "below", "restored")
	notice, err := Restore(within(t), dir, bytes.NewReader(archive.Bytes()))
	require.NoError(t, err)
	require.Equal(t, made, notice)
	_, err = Restore(within(t), dir, bytes.NewReader(archive.Bytes()))
	require.ErrorContains(t, err, "is not empty")
	restored := start(t, Options{Dir: dir})
	report, err := restored.Verify(within(t), nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, report.Position, before)
	restoredClient := connect(t, restored)
	require.Equal(t, "g", info(t, restoredClient, "g").GroupName)
	appendAny(t, restoredClient, "s-0", jsonEvents(1, "a")...)
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	pack := func(entries ...tar.Header) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range entries {
			content := []byte(`{"format":"` + backupFormat + `"}`)
			if h.Linkname == "" {
				h.Size = int64(len(content))
			} else {
				content = nil
			}
			require.NoError(t, w.WriteHeader(&h))
			_, err := w.Write(content)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	notice := tar.Header{Name: backupNotice}
	for name, archive := range map[string][]byte{
		"empty":     nil,
		"text":      []byte("no archive at all, but long enough to be asked for its header, which is 512 bytes, so it goes on"),
		"no notice": pack(tar.Header{Name: "MANIFEST-000001"}),
		"slip":      pack(notice, tar.Header{Name: "../evil"}),
		"absolute":  pack(notice, tar.Header{Name: "/evil"}),
		"nested":    pack(notice, tar.Header{Name: "a/b"}),
		"link":      pack(notice, tar.Header{Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}),
		"twice":     pack(notice, tar.Header{Name: "a"}, tar.Header{Name: "a"}),
		"cut":       pack(notice, tar.Header{Name: "a"})[:1600],
		"no end":    pack(notice, tar.Header{Name: "a"}),
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			_, err := Restore(within(t), filepath.Join(parent, "data"), bytes.NewReader(archive))
			require.ErrorContains(t, err, "restore")
			left, err := os.ReadDir(parent)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// A backup whose reader goes away leaves nothing behind.
func TestBackupEndsWithItsReader(t *testing.T) {
	n, client := open(t)
	appendAny(t, client, "s", jsonEvents(10, "a")...)
	gone := errors.New("gone")
	r, w := io.Pipe()
	require.NoError(t, r.CloseWithError(gone))
	_, err := n.Backup(within(t), w)
	require.ErrorIs(t, err, gone)
	require.NoDirExists(t, filepath.Join(n.dir, backupFolder))
	_, err = n.Backup(within(t), io.Discard)
	require.NoError(t, err)
}
