package blob_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/blob/blobtest"
)

const (
	plenty      = 64 << 20
	putFolder   = "FACTGATE_BLOB_TEST_PUT"
	smallDisk   = "FACTGATE_BLOB_TEST_SMALL_DISK"
	halfWritten = "half of it"
)

// TestMain lets this binary be a second process: with putFolder set, it puts its
// standard input into that folder, and prints a line once the first bytes are
// on their way. With smallDisk set too, the kernel lets it write 64 KiB and no
// more.
func TestMain(m *testing.M) {
	dir := os.Getenv(putFolder)
	if dir == "" {
		os.Exit(m.Run())
	}
	if os.Getenv(smallDisk) != "" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
			panic(err)
		}
	}
	store, err := blob.OpenDir(dir)
	if err != nil {
		panic(err)
	}
	_, err = store.Put(context.Background(), &announcingReader{}, plenty)
	if storage := (*blob.StorageError)(nil); errors.As(err, &storage) && errors.Is(err, syscall.EFBIG) {
		os.Stdout.WriteString("the disk is too small\n")
		return
	}
	if err != nil {
		panic(err)
	}
}

// announcingReader says when it is asked for more than it has given: by then,
// what it gave is in the file.
type announcingReader struct{ reads int }

func (r *announcingReader) Read(p []byte) (int, error) {
	if r.reads++; r.reads == 2 {
		os.Stdout.WriteString("writing\n")
	}
	return os.Stdin.Read(p)
}

func openDir(t *testing.T, dir string) *blob.Dir {
	t.Helper()
	d, err := blob.OpenDir(dir)
	require.NoError(t, err)
	return d
}

// files lists the regular files below dir, with slashes.
func files(t *testing.T, dir string) []string {
	t.Helper()
	out := []string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "removing" { // the lock stays
			rel, relErr := filepath.Rel(dir, path)
			out, err = append(out, filepath.ToSlash(rel)), relErr
		}
		return err
	}))
	return out
}

func TestDirKeepsTheContract(t *testing.T) {
	blobtest.Exercise(t, func(t *testing.T) blob.Store {
		dir := filepath.Join(t.TempDir(), "data", "blobs")
		t.Cleanup(func() {
			for _, f := range files(t, dir) {
				require.False(t, strings.HasPrefix(f, "incoming/"), "left behind: %s", f)
			}
		})
		return openDir(t, dir)
	})
}

func TestLayout(t *testing.T) {
	dir := t.TempDir()
	info, err := openDir(t, dir).Put(context.Background(), strings.NewReader("test"), plenty)
	require.NoError(t, err)
	require.EqualValues(t, "sha256/9f/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", info.Key,
		"keys are written into facts and never change their form")
	require.Equal(t, []string{string(info.Key)}, files(t, dir))

	b, err := openDir(t, dir).Open(context.Background(), info.Key)
	require.NoError(t, err, "another instance reads it")
	require.NoError(t, b.Close())
}

func TestParseKey(t *testing.T) {
	good := "sha256/9f/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	key, err := blob.ParseKey(good)
	require.NoError(t, err)
	require.EqualValues(t, good, key)
	for _, bad := range []string{
		"", "/", good[:len(good)-1], good + "0", good + "/", "/" + good, strings.ToUpper(good), "sha256/00/" + good[10:],
		"sha256/" + good[10:], "md5/9f/" + good[10:], "sha256//9f/" + good[10:], "../" + good, good + "\x00",
		"sha256/9f/" + strings.Repeat("../", 21) + "x", "sha256/9f/" + strings.Repeat("z", 64), strings.Repeat("x", 10_000),
	} {
		_, err := blob.ParseKey(bad)
		require.ErrorIs(t, err, blob.ErrBadKey, "%q", bad)
		require.Less(t, len(err.Error()), 500)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("sha256/9f/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
	f.Add("sha256/../../etc/passwd")
	f.Fuzz(func(t *testing.T, s string) {
		if key, err := blob.ParseKey(s); err == nil {
			require.True(t, filepath.IsLocal(s))
			require.Len(t, string(key), 74)
			require.Equal(t, s, filepath.ToSlash(filepath.Clean(s)))
		}
	})
}

func TestASpoiledBlobIsMadeWholeByPuttingItAgain(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	info, err := d.Put(context.Background(), strings.NewReader("content"), plenty)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(filepath.Join(dir, string(info.Key)), 3))
	_, err = d.Put(context.Background(), strings.NewReader("content"), plenty)
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(dir, string(info.Key)))
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
}

func TestWhatACrashLeftIsRemovedAndWhatALivingProcessWritesIsNot(t *testing.T) {
	dir := t.TempDir()
	openDir(t, dir)
	putting := exec.Command(os.Args[0])
	putting.Env = append(os.Environ(), putFolder+"="+dir)
	stdin, err := putting.StdinPipe()
	require.NoError(t, err)
	stdout, err := putting.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, putting.Start())
	_, err = io.WriteString(stdin, halfWritten)
	require.NoError(t, err)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "writing\n", line)

	openDir(t, dir)
	held := files(t, dir)
	require.Len(t, held, 1, "a second process starting must leave it alone")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "incoming", "notes.txt"), nil, 0o600))

	require.NoError(t, putting.Process.Kill())
	_ = putting.Wait()
	content, err := os.ReadFile(filepath.Join(dir, held[0]))
	require.NoError(t, err)
	require.Equal(t, halfWritten, string(content))
	openDir(t, dir)
	require.Equal(t, []string{"incoming/notes.txt"}, files(t, dir), "what is not ours stays")
}

func TestStartingWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	var putting, starting sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		starting.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := blob.OpenDir(dir); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 4 {
		putting.Go(func() {
			for n := range 25 {
				content := blobtest.Content(100_000 + i*1000 + n)
				if _, err := d.Put(context.Background(), iotest.HalfReader(bytes.NewReader(content)), plenty); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	putting.Wait()
	close(done)
	starting.Wait()
	require.Len(t, files(t, dir), 100)
}

func TestAFailingDiskIsToldApart(t *testing.T) {
	requireStorageError := func(t *testing.T, err error) {
		t.Helper()
		var storage *blob.StorageError
		require.ErrorAs(t, err, &storage)
		require.NotEmpty(t, storage.Op)
	}
	ctx := context.Background()
	digest := sha256.Sum256([]byte("content"))
	key := string(blob.KeyOf(digest))

	t.Run("the folder is a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "blobs")
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		_, err := blob.OpenDir(name)
		requireStorageError(t, err)
		require.ErrorIs(t, err, syscall.ENOTDIR)
	})
	t.Run("nowhere to write", func(t *testing.T) {
		dir := t.TempDir()
		d := openDir(t, dir)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "incoming")))
		_, err := d.Put(ctx, strings.NewReader("content"), plenty)
		requireStorageError(t, err)
	})
	t.Run("nowhere to keep", func(t *testing.T) {
		dir := t.TempDir()
		d := openDir(t, dir)
		shard := filepath.Dir(filepath.Join(dir, key))
		require.NoError(t, os.WriteFile(shard, nil, 0o600))
		_, err := d.Put(ctx, strings.NewReader("content"), plenty)
		requireStorageError(t, err)
		require.Equal(t, []string{filepath.ToSlash(filepath.Dir(key))}, files(t, dir), "nothing is left behind")
		_, err = d.Open(ctx, blob.Key(key))
		requireStorageError(t, err)
	})
	t.Run("the folder is removed while writing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "blobs")
		d := openDir(t, dir)
		removed := false
		_, err := d.Put(ctx, readerFunc(func(p []byte) (int, error) {
			if removed {
				return 0, io.EOF
			}
			removed = true
			return copy(p, "content"), os.RemoveAll(dir)
		}), plenty)
		requireStorageError(t, err)
	})
	t.Run("the disk is full", func(t *testing.T) {
		dir := t.TempDir()
		putting := exec.Command(os.Args[0])
		putting.Env = append(os.Environ(), putFolder+"="+dir, smallDisk+"=yes")
		putting.Stdin = bytes.NewReader(blobtest.Content(1 << 20))
		out, err := putting.Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "the disk is too small\n")
		require.Empty(t, files(t, dir), "nothing is left behind")
	})
	t.Run("not a regular file", func(t *testing.T) {
		dir := t.TempDir()
		d := openDir(t, dir)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, key), 0o700))
		_, err := d.Open(ctx, blob.Key(key))
		requireStorageError(t, err)
	})
}

// A share that is not mounted says nothing of the blobs on it.
func TestAFolderThatIsAwayIsNotABlobThatIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	d := openDir(t, dir)
	info, err := d.Put(t.Context(), strings.NewReader("a"), plenty)
	require.NoError(t, err)
	require.NoError(t, os.Rename(dir, dir+".away"))
	_, err = d.Open(t.Context(), info.Key)
	var storage *blob.StorageError
	require.ErrorAs(t, err, &storage)
	require.NotErrorIs(t, err, blob.ErrNotFound)
	require.NoError(t, os.Rename(dir+".away", dir))
	b, err := d.Open(t.Context(), info.Key)
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

func TestAReaderThatPanicsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	require.Panics(t, func() {
		_, _ = d.Put(context.Background(), readerFunc(func([]byte) (int, error) { panic("broken reader") }), plenty)
	})
	require.Empty(t, files(t, dir))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
