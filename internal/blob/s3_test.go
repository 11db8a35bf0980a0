package blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/blob/blobtest"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/internal/zippkg/hostile"
)

// bucket is a bucket of an S3 in this process.
type bucket struct {
	memory  *s3mem.Backend
	server  *httptest.Server
	options blob.S3Options

	requests atomic.Int64
	mu       sync.Mutex
	seen     []string                                          // method and range of each request
	instead  func(w http.ResponseWriter, r *http.Request) bool // answers in the store's place
}

const secret = "not-for-anyones-eyes"

func newBucket(t *testing.T, versions bool) *bucket {
	t.Helper()
	b := &bucket{memory: s3mem.New()}
	require.NoError(t, b.memory.CreateBucket("releases"))
	if versions {
		require.NoError(t, b.memory.SetVersioningConfiguration("releases", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}))
	}
	s3 := gofakes3.New(b.memory, gofakes3.WithIntegrityCheck(true)).Server()
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		b.mu.Lock()
		b.seen = append(b.seen, r.Method+" "+r.Header.Get("Range"))
		instead := b.instead
		b.mu.Unlock()
		if instead == nil || !instead(w, r) {
			s3.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(b.server.Close)
	b.options = blob.S3Options{
		Bucket: "releases", Prefix: "factgate/blobs", Endpoint: b.server.URL, AccessKey: "key", SecretKey: secret, Spool: t.TempDir(),
	}
	return b
}

func (b *bucket) answerInstead(f func(w http.ResponseWriter, r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instead = f
}

func (b *bucket) open(t *testing.T) *blob.S3 {
	t.Helper()
	store, err := blob.OpenS3(b.options)
	require.NoError(t, err)
	return store
}

func TestS3KeepsTheContract(t *testing.T) {
	blobtest.Exercise(t, func(t *testing.T) blob.Store {
		b := newBucket(t, true)
		t.Cleanup(func() {
			left, err := os.ReadDir(b.options.Spool)
			require.NoError(t, err)
			require.Empty(t, left, "left behind")
		})
		return b.open(t)
	})
}

func TestS3Names(t *testing.T) {
	for prefix, want := range map[string]string{
		"":               "sha256/9f/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"factgate/blobs": "factgate/blobs/sha256/9f/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	} {
		b := newBucket(t, true)
		b.options.Prefix = prefix
		store := b.open(t)
		info, err := store.Put(t.Context(), strings.NewReader("test"), plenty)
		require.NoError(t, err)
		_, err = b.memory.HeadObject("releases", want)
		require.NoError(t, err)
		_, err = b.memory.PutObject("releases", strings.TrimSuffix(want, string(info.Key))+"sha256/strange", nil, strings.NewReader("x"), 1, nil)
		require.NoError(t, err)
		n := 0
		for o, err := range store.List(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, info.Key, o.Key)
			n++
		}
		require.Equal(t, 1, n, "a stranger's object is none of ours")
	}
}

func TestParseS3(t *testing.T) {
	for address, want := range map[string][2]string{
		"s3://releases":             {"releases", ""},
		"s3://releases/":            {"releases", ""},
		"s3://releases/a":           {"releases", "a"},
		"s3://my.bucket-1/a/b_c/":   {"my.bucket-1", "a/b_c"},
		"s3://releases/%E5%8C%85/x": {"releases", "包/x"},
	} {
		bucket, prefix, err := blob.ParseS3(address)
		require.NoError(t, err, address)
		require.Equal(t, want, [2]string{bucket, prefix})
	}
	for _, bad := range []string{
		"", "s3:", "s3://", "s3:///x", "http://releases/x", "releases", "s3://key:" + secret + "@releases/x", "s3://releases/a//b",
		"s3://releases/../x", "s3://releases?secret=" + secret, "s3://releases:9000/x", "s3://releases/%zz" + secret,
	} {
		_, _, err := blob.ParseS3(bad)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), secret)
	}
}

func TestS3SettingsAreChecked(t *testing.T) {
	good := blob.S3Options{Bucket: "b", AccessKey: "k", SecretKey: secret}
	_, err := blob.OpenS3(good)
	require.NoError(t, err)
	for name, spoil := range map[string]func(o *blob.S3Options){
		"no bucket":          func(o *blob.S3Options) { o.Bucket = "" },
		"no key":             func(o *blob.S3Options) { o.AccessKey = "" },
		"no secret":          func(o *blob.S3Options) { o.SecretKey = "" },
		"no scheme":          func(o *blob.S3Options) { o.Endpoint = "minio:9000" },
		"another scheme":     func(o *blob.S3Options) { o.Endpoint = "ftp://minio:9000" },
		"a path":             func(o *blob.S3Options) { o.Endpoint = "http://minio:9000/x" },
		"secrets where seen": func(o *blob.S3Options) { o.Endpoint = "http://k:" + secret + "@minio:9000" },
	} {
		o := good
		spoil(&o)
		_, err := blob.OpenS3(o)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), secret)
	}
	good.SessionToken = secret
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("blobs", "where", good)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", good, good, good, good)+log.String(), secret)
}

func TestS3IsProbed(t *testing.T) {
	b := newBucket(t, true)
	require.NoError(t, b.open(t).Probe(t.Context()))

	elsewhere := b.options
	elsewhere.Bucket = "elsewhere"
	missing, err := blob.OpenS3(elsewhere)
	require.NoError(t, err)
	require.ErrorIs(t, missing.Probe(t.Context()), blob.ErrSettings)

	b.answerInstead(func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true })
	err = b.open(t).Probe(t.Context())
	require.ErrorIs(t, err, blob.ErrSettings)
	require.NotContains(t, err.Error(), secret)

	b.server.Close()
	err = b.open(t).Probe(t.Context())
	var away *blob.StorageError
	require.ErrorAs(t, err, &away)
	require.NotErrorIs(t, err, blob.ErrSettings)
}

// A bucket that is away, or was never there, says nothing of the blobs in it.
func TestABucketThatIsAwayIsNotABlobThatIsGone(t *testing.T) {
	b := newBucket(t, true)
	info, err := b.open(t).Put(t.Context(), strings.NewReader("a"), plenty)
	require.NoError(t, err)
	elsewhere := b.options
	elsewhere.Bucket = "elsewhere"
	missing, err := blob.OpenS3(elsewhere)
	require.NoError(t, err)
	notGone := func(err error) {
		t.Helper()
		var storage *blob.StorageError
		require.ErrorAs(t, err, &storage)
		require.NotEmpty(t, storage.Op)
		require.NotErrorIs(t, err, blob.ErrNotFound)
		require.NotContains(t, err.Error(), secret)
	}
	all := func(store *blob.S3) {
		t.Helper()
		_, err = store.Put(t.Context(), strings.NewReader("b"), plenty)
		notGone(err)
		_, err = store.Open(t.Context(), info.Key)
		notGone(err)
		notGone(store.Claim(t.Context(), info.Key))
		_, err = store.Remove(t.Context(), info.Key, time.Now().Add(time.Hour))
		notGone(err)
		for _, err := range store.List(t.Context()) {
			notGone(err)
		}
	}
	all(missing)
	b.answerInstead(func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true })
	all(b.open(t))
	b.server.Close()
	all(b.open(t))
}

// A put that comes while the blob is being removed is a version of its own, which
// stays, at whatever moment it comes.
func TestRemovingABlobThatIsPutOrClaimedMeanwhile(t *testing.T) {
	for name, renew := range map[string]func(store *blob.S3, info blob.Info) error{
		"put": func(store *blob.S3, _ blob.Info) error {
			_, err := store.Put(context.Background(), strings.NewReader("content"), plenty)
			return err
		},
		"claim": func(store *blob.S3, info blob.Info) error { return store.Claim(context.Background(), info.Key) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t, true)
			store := b.open(t)
			info, err := store.Put(t.Context(), strings.NewReader("content"), plenty)
			require.NoError(t, err)
			renewed := false
			b.answerInstead(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodDelete && !renewed { // its versions are listed, none is deleted yet
					renewed = true
					if err := renew(store, info); err != nil {
						t.Error(err)
					}
				}
				return false
			})
			_, err = store.Remove(t.Context(), info.Key, time.Now().Add(time.Hour))
			require.NoError(t, err)
			require.True(t, renewed)
			opened, err := store.Open(t.Context(), info.Key)
			require.NoError(t, err, "it was renewed")
			content, err := io.ReadAll(io.NewSectionReader(opened, 0, opened.Size()))
			require.NoError(t, err)
			require.Equal(t, "content", string(content))
			require.NoError(t, opened.Close())
		})
	}
}

func TestWithoutVersionsNothingIsRemoved(t *testing.T) {
	b := newBucket(t, false)
	store := b.open(t)
	info, err := store.Put(t.Context(), strings.NewReader("content"), plenty)
	require.NoError(t, err)
	require.NoError(t, store.Claim(t.Context(), info.Key))
	removed, err := store.Remove(t.Context(), info.Key, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, blob.ErrUnversioned)
	require.False(t, removed)
	opened, err := store.Open(t.Context(), info.Key)
	require.NoError(t, err)
	require.NoError(t, opened.Close())
}

func TestRemovingTakesAllVersions(t *testing.T) {
	b := newBucket(t, true)
	store := b.open(t)
	var info blob.Info
	for range 5 {
		var err error
		info, err = store.Put(t.Context(), strings.NewReader("content"), plenty)
		require.NoError(t, err)
	}
	removed, err := store.Remove(t.Context(), info.Key, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.True(t, removed)
	_, err = store.Open(t.Context(), info.Key)
	require.ErrorIs(t, err, blob.ErrNotFound)
}

func TestReadingWhatWasRemovedMeanwhile(t *testing.T) {
	b := newBucket(t, true)
	store := b.open(t)
	content := blobtest.Content(3 << 20)
	info, err := store.Put(t.Context(), bytes.NewReader(content), plenty)
	require.NoError(t, err)
	opened, err := store.Open(t.Context(), info.Key)
	require.NoError(t, err)
	defer opened.Close()
	_, err = store.Remove(t.Context(), info.Key, time.Now().Add(time.Hour))
	require.NoError(t, err)
	_, err = opened.ReadAt(make([]byte, 10), 0)
	require.ErrorIs(t, err, blob.ErrNotFound)
	var storage *blob.StorageError
	require.ErrorAs(t, err, &storage)
	end := make([]byte, 10)
	_, err = opened.ReadAt(end, opened.Size()-10)
	require.NoError(t, err, "what was fetched stays")
	require.Equal(t, content[len(content)-10:], end)
}

// A package costs few requests: one for its directory, and large ones for what lies
// in it.
func TestAPackageIsReadInFewRequests(t *testing.T) {
	entries := make([]hostile.Entry, 2000)
	for i := range entries {
		entries[i] = hostile.Entry{Name: fmt.Sprintf("rel/dwd/%04d.sql", i), Content: string(blobtest.Content(4000 + i)), Stored: true}
	}
	data := hostile.Of(entries...) // some 10 MB
	b := newBucket(t, true)
	store := b.open(t)
	info, err := store.Put(t.Context(), bytes.NewReader(data), plenty)
	require.NoError(t, err)
	require.EqualValues(t, 1, b.requests.Load(), "%v", b.seen)

	b.requests.Store(0)
	opened, err := store.Open(t.Context(), info.Key)
	require.NoError(t, err)
	defer opened.Close()
	p, err := zippkg.Open(opened, opened.Size(), zippkg.Limits{})
	require.NoError(t, err)
	require.EqualValues(t, 1, b.requests.Load(), "the directory: %v", b.seen)
	for i, f := range p.Files() {
		content, err := f.ReadAll(0)
		require.NoError(t, err)
		require.Equal(t, entries[i].Content, string(content))
	}
	require.LessOrEqual(t, b.requests.Load(), int64(1+len(data)/(4*512<<10)+3), "%v", b.seen)

	b.requests.Store(0)
	small := hostile.Of(entries[:20]...)
	info, err = store.Put(t.Context(), bytes.NewReader(small), plenty)
	require.NoError(t, err)
	again, err := store.Open(t.Context(), info.Key)
	require.NoError(t, err)
	defer again.Close()
	p, err = zippkg.Open(again, again.Size(), zippkg.Limits{})
	require.NoError(t, err)
	for _, f := range p.Files() {
		_, err := f.ReadAll(0)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, b.requests.Load(), int64(3), "one to put it; all of it comes with one, or two where a store has no end of what is short: %v", b.seen)
}

func TestReadersShareWhatIsFetched(t *testing.T) {
	b := newBucket(t, true)
	store := b.open(t)
	content := blobtest.Content(9<<20 + 12345)
	info, err := store.Put(t.Context(), bytes.NewReader(content), plenty)
	require.NoError(t, err)
	opened, err := store.Open(t.Context(), info.Key)
	require.NoError(t, err)
	defer opened.Close()
	b.requests.Store(0)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			got := make([]byte, 1<<20)
			if _, err := opened.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, content[1<<20:2<<20]) {
				t.Errorf("%v", err)
			}
		})
	}
	readers.Wait()
	require.LessOrEqual(t, b.requests.Load(), int64(2))
	for _, at := range []int64{0, 1, 512<<10 - 1, 512 << 10, 5 << 20, 9 << 20, int64(len(content)) - 256<<10 - 1, int64(len(content)) - 1} {
		got := make([]byte, 700<<10)
		n, err := opened.ReadAt(got, at)
		want := content[at:min(int64(len(content)), at+int64(len(got)))]
		require.True(t, bytes.Equal(want, got[:n]), at)
		if len(want) < len(got) {
			require.Equal(t, io.EOF, err)
		} else {
			require.NoError(t, err)
		}
	}
}

// Bytes that break off on the way are asked for again; a store that does not come
// back is told, and asked again by the next reader.
func TestAReadThatBreaksOff(t *testing.T) {
	b := newBucket(t, true)
	store := b.open(t)
	content := blobtest.Content(4 << 20)
	info, err := store.Put(t.Context(), bytes.NewReader(content), plenty)
	require.NoError(t, err)
	opened, err := store.Open(t.Context(), info.Key)
	require.NoError(t, err)
	defer opened.Close()
	var broken atomic.Int64
	breakOff := func(times int64) {
		broken.Store(times)
		b.answerInstead(func(w http.ResponseWriter, r *http.Request) bool {
			if broken.Add(-1) < 0 {
				return false
			}
			w.Header().Set("Content-Length", "524288")
			w.Header().Set("Content-Range", "bytes 0-524287/4194304")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(content[:1000])
			panic(http.ErrAbortHandler)
		})
	}
	breakOff(2)
	got := make([]byte, 5000)
	_, err = opened.ReadAt(got, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content[:5000], got))

	breakOff(1 << 40)
	_, err = opened.ReadAt(got, 2<<20)
	var storage *blob.StorageError
	require.ErrorAs(t, err, &storage)
	require.NotErrorIs(t, err, blob.ErrNotFound)
	b.answerInstead(nil)
	_, err = opened.ReadAt(got, 2<<20)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content[2<<20:2<<20+5000], got))
}

// The store compares what arrives with the digest that the request carries: here, one
// that does not.
func TestAnUploadThatIsRefusedIsTheStoragesFault(t *testing.T) {
	b := newBucket(t, true)
	b.answerInstead(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		assert.Equal(t, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", r.Header.Get("X-Amz-Content-Sha256"))
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `<Error><Code>XAmzContentSHA256Mismatch</Code><Message>spoiled</Message></Error>`)
		return true
	})
	_, err := b.open(t).Put(t.Context(), strings.NewReader("test"), plenty)
	var storage *blob.StorageError
	require.ErrorAs(t, err, &storage)
}

func TestReadsEndWithClose(t *testing.T) {
	b := newBucket(t, true)
	store := b.open(t)
	info, err := store.Put(t.Context(), bytes.NewReader(blobtest.Content(3<<20)), plenty)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	opened, err := store.Open(ctx, info.Key)
	require.NoError(t, err)
	cancel()
	_, err = opened.ReadAt(make([]byte, 1), 0)
	require.NoError(t, err, "the ctx of Open was for opening")

	asked, release := make(chan struct{}), make(chan struct{})
	b.answerInstead(func(_ http.ResponseWriter, r *http.Request) bool {
		close(asked)
		<-r.Context().Done()
		close(release)
		return true
	})
	done := make(chan error, 1)
	go func() {
		_, err := opened.ReadAt(make([]byte, 1), 2<<20)
		done <- err
	}()
	<-asked
	require.NoError(t, opened.Close())
	require.ErrorIs(t, <-done, os.ErrClosed)
	<-release
	require.ErrorIs(t, opened.Close(), os.ErrClosed)
}
