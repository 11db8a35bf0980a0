// Package blobtest is the contract of [blob.Store] as tests. Every store runs
// [Exercise]; what only one of them can do (folders, crashes, buckets) it tests
// itself.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/blob"
)

const plenty = 64 << 20

// Exercise runs the contract. newStore returns an empty store; each case asks
// for its own.
func Exercise(t *testing.T, newStore func(t *testing.T) blob.Store) {
	ctx := context.Background()

	for name, size := range map[string]int{"empty": 0, "one byte": 1, "a buffer": 128 << 10, "large": 3<<20 + 17} {
		t.Run("what is put can be read: "+name, func(t *testing.T) {
			store, content := newStore(t), Content(size)
			info, err := store.Put(ctx, iotest.HalfReader(bytes.NewReader(content)), plenty)
			require.NoError(t, err)
			digest := sha256.Sum256(content)
			require.Equal(t, blob.Info{Key: blob.KeyOf(digest), Size: int64(size), SHA256: hex.EncodeToString(digest[:])}, info)
			requireContent(t, store, info.Key, content)

			again, err := store.Put(ctx, bytes.NewReader(content), plenty)
			require.NoError(t, err)
			require.Equal(t, info, again)
			requireContent(t, store, info.Key, content)
		})
	}

	t.Run("ReadAt keeps the contract of io.ReaderAt", func(t *testing.T) {
		store := newStore(t)
		info, err := store.Put(ctx, strings.NewReader("0123456789"), plenty)
		require.NoError(t, err)
		b, err := store.Open(ctx, info.Key)
		require.NoError(t, err)
		buf := make([]byte, 4)
		n, err := b.ReadAt(buf, 3)
		require.NoError(t, err)
		require.Equal(t, "3456", string(buf[:n]))
		n, err = b.ReadAt(buf, 8)
		require.Equal(t, io.EOF, err)
		require.Equal(t, "89", string(buf[:n]))
		_, err = b.ReadAt(buf, 10)
		require.Equal(t, io.EOF, err)
		require.NoError(t, b.Close())
		_, err = b.ReadAt(buf, 0)
		require.Error(t, err)
		require.NotErrorIs(t, err, io.EOF)
	})

	t.Run("limit", func(t *testing.T) {
		store := newStore(t)
		_, err := store.Put(ctx, strings.NewReader("12345"), 5)
		require.NoError(t, err)
		_, err = store.Put(ctx, strings.NewReader(""), 0)
		require.NoError(t, err)

		endless := &countingReader{r: rand.NewChaCha8([32]byte{})}
		for _, limit := range []int64{-1, 0, 4, 1 << 20} {
			_, err = store.Put(ctx, endless, limit)
			var tooLarge *blob.TooLargeError
			require.ErrorAs(t, err, &tooLarge)
			require.Equal(t, limit, tooLarge.Limit)
		}
		require.Less(t, endless.n, int64(4<<20), "stops reading at the limit")

		digest := sha256.Sum256([]byte("1234"))
		_, err = store.Put(ctx, strings.NewReader("12345"), 4)
		require.Error(t, err)
		_, err = store.Open(ctx, blob.KeyOf(digest))
		require.ErrorIs(t, err, blob.ErrNotFound, "content is not cut to fit")
	})

	t.Run("a reader that breaks is told apart", func(t *testing.T) {
		store, wentAway := newStore(t), errors.New("the client went away")
		content := Content(300_000)
		_, err := store.Put(ctx, io.MultiReader(bytes.NewReader(content), iotest.ErrReader(wentAway)), plenty)
		var readErr *blob.ReadError
		require.ErrorAs(t, err, &readErr)
		require.ErrorIs(t, err, wentAway)
		_, err = store.Open(ctx, blob.KeyOf(sha256.Sum256(content)))
		require.ErrorIs(t, err, blob.ErrNotFound)

		_, err = store.Put(ctx, iotest.ErrReader(io.ErrUnexpectedEOF), plenty)
		require.ErrorAs(t, err, &readErr)

		info, err := store.Put(ctx, bytes.NewReader(content), plenty)
		require.NoError(t, err, "sending it again works")
		requireContent(t, store, info.Key, content)
	})

	t.Run("cancelling", func(t *testing.T) {
		store, shutdown := newStore(t), errors.New("shutting down")
		content := Content(300_000)
		ctx, cancel := context.WithCancelCause(ctx)
		r := io.MultiReader(bytes.NewReader(content), readerFunc(func([]byte) (int, error) {
			cancel(shutdown)
			return 0, nil
		}))
		_, err := store.Put(ctx, r, plenty)
		require.ErrorIs(t, err, shutdown)
		_, err = store.Put(ctx, bytes.NewReader(content), plenty)
		require.ErrorIs(t, err, shutdown)
		_, err = store.Open(ctx, blob.KeyOf(sha256.Sum256(content)))
		require.ErrorIs(t, err, shutdown)
		_, err = store.Open(context.Background(), blob.KeyOf(sha256.Sum256(content)))
		require.ErrorIs(t, err, blob.ErrNotFound)
	})

	t.Run("the same content from many at once", func(t *testing.T) {
		store, content := newStore(t), Content(1<<20)
		want, key := int64(len(content)), blob.KeyOf(sha256.Sum256(content))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				info, err := store.Put(ctx, bytes.NewReader(content), plenty)
				if err != nil || info.Size != want || info.Key != key {
					t.Errorf("put: %v, %v", info, err)
					return
				}
				b, err := store.Open(ctx, info.Key)
				if err != nil {
					t.Error(err)
					return
				}
				defer b.Close()
				got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("read %d bytes: %v", len(got), err)
				}
			})
		}
		wg.Wait()
		requireContent(t, store, key, content)
	})

	t.Run("an open blob outlives being put again", func(t *testing.T) {
		store, content := newStore(t), Content(1000)
		info, err := store.Put(ctx, bytes.NewReader(content), plenty)
		require.NoError(t, err)
		b, err := store.Open(ctx, info.Key)
		require.NoError(t, err)
		defer b.Close()
		_, err = store.Put(ctx, bytes.NewReader(content), plenty)
		require.NoError(t, err)
		got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		require.NoError(t, err)
		require.Equal(t, content, got)
	})

	t.Run("all blobs are listed and can be removed", func(t *testing.T) {
		store := newStore(t)
		stored := map[blob.Key]int64{}
		for i := range 20 {
			info, err := store.Put(ctx, bytes.NewReader(Content(i)), plenty)
			require.NoError(t, err)
			stored[info.Key] = info.Size
		}
		list := func() map[blob.Key]int64 {
			listed := map[blob.Key]int64{}
			for b, err := range store.List(ctx) {
				require.NoError(t, err)
				require.WithinDuration(t, time.Now(), b.At, time.Hour)
				require.NotContains(t, listed, b.Key)
				listed[b.Key] = b.Size
			}
			return listed
		}
		require.Equal(t, stored, list())
		for range store.List(ctx) {
			break // leaving early is fine
		}
		for key := range stored {
			removed, err := store.Remove(ctx, key, time.Now().Add(-time.Hour))
			require.NoError(t, err)
			require.False(t, removed, "it is newer than that")
			opened, err := store.Open(ctx, key)
			require.NoError(t, err)
			for _, want := range []bool{true, false} {
				removed, err = store.Remove(ctx, key, time.Now().Add(time.Hour))
				require.NoError(t, err)
				require.Equal(t, want, removed)
			}
			content, err := io.ReadAll(io.NewSectionReader(opened, 0, opened.Size()))
			require.NoError(t, err, "whoever has opened it reads on")
			require.Len(t, content, int(stored[key]))
			require.NoError(t, opened.Close())
			_, err = store.Open(ctx, key)
			require.ErrorIs(t, err, blob.ErrNotFound)
			require.ErrorIs(t, store.Claim(ctx, key), blob.ErrNotFound)
		}
		require.Empty(t, list())
		info, err := store.Put(ctx, bytes.NewReader(Content(7)), plenty)
		require.NoError(t, err)
		requireContent(t, store, info.Key, Content(7))
	})

	t.Run("what is put or claimed is new", func(t *testing.T) {
		store := newStore(t)
		for name, renew := range map[string]func(blob.Key) error{
			"put":   func(blob.Key) error { _, err := store.Put(ctx, bytes.NewReader(Content(9)), plenty); return err },
			"claim": func(key blob.Key) error { return store.Claim(ctx, key) },
		} {
			info, err := store.Put(ctx, bytes.NewReader(Content(9)), plenty)
			require.NoError(t, err)
			old := listed(t, store, info.Key).At
			require.Eventually(t, func() bool {
				require.NoError(t, renew(info.Key))
				return listed(t, store, info.Key).At.After(old)
			}, 10*time.Second, time.Millisecond, name)
			removed, err := store.Remove(ctx, info.Key, old.Add(time.Nanosecond))
			require.NoError(t, err)
			require.False(t, removed, name)
		}
	})

	t.Run("an upload whose content is being removed is never lost", func(t *testing.T) {
		store, content := newStore(t), Content(100)
		for range 200 {
			begun := time.Now().Add(-time.Hour)
			var both sync.WaitGroup
			var info blob.Info
			var put, remove error
			both.Go(func() { info, put = store.Put(ctx, bytes.NewReader(content), plenty) })
			both.Go(func() { _, remove = store.Remove(ctx, blob.KeyOf(sha256.Sum256(content)), begun) })
			both.Wait()
			require.NoError(t, errors.Join(put, remove))
			requireContent(t, store, info.Key, content)
		}
	})

	t.Run("keys", func(t *testing.T) {
		store := newStore(t)
		_, err := store.Open(ctx, blob.KeyOf(sha256.Sum256([]byte("never stored"))))
		require.ErrorIs(t, err, blob.ErrNotFound)
		for _, bad := range []blob.Key{"", "/etc/passwd", "../../etc/passwd", "sha256/../../x"} {
			_, err := store.Open(ctx, bad)
			require.ErrorIs(t, err, blob.ErrBadKey, "%q", bad)
			require.ErrorIs(t, store.Claim(ctx, bad), blob.ErrBadKey, "%q", bad)
			_, err = store.Remove(ctx, bad, time.Now())
			require.ErrorIs(t, err, blob.ErrBadKey, "%q", bad)
		}
	})
}

func listed(t *testing.T, store blob.Store, key blob.Key) blob.Stored {
	t.Helper()
	for b, err := range store.List(context.Background()) {
		require.NoError(t, err)
		if b.Key == key {
			return b
		}
	}
	t.Fatalf("%s is not listed", key)
	return blob.Stored{}
}

// Content returns n bytes that look random and are the same every time.
func Content(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(out)
	return out
}

func requireContent(t *testing.T, store blob.Store, key blob.Key, content []byte) {
	t.Helper()
	b, err := store.Open(context.Background(), key)
	require.NoError(t, err)
	defer b.Close()
	require.EqualValues(t, len(content), b.Size())
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
