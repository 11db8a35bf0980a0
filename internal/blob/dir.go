package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Dir is a Store in a local folder:
//
//	DIR/sha256/9f/9f86d081…   a blob, complete and durable
//	DIR/incoming/put-…        a blob on its way; locked by the Put that writes it
//	DIR/removing              locked by whoever removes a blob (alone), or puts or claims one
//
// A Put writes and syncs its file in incoming, renames it to its name, and syncs
// the folders that now hold it. The lock (flock) lives as long as the process:
// a file in incoming that nobody holds was left by a crash.
//
// Dir holds nothing that needs closing. It needs a Unix: elsewhere there is no flock.
type Dir struct {
	root     string
	incoming string
}

var _ Store = (*Dir)(nil)

const (
	dirMode        = 0o700 // what is uploaded is nobody else's business; files are 0600
	incomingName   = "incoming"
	incomingPrefix = "put-"
	copyBuffer     = 128 << 10
)

// OpenDir opens the store in a folder, creating it if need be, and removes what
// crashed processes left half-written. Other processes may be using the folder
// at the same time: what they are writing stays.
func OpenDir(dir string) (*Dir, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, &StorageError{Op: "find its folder", Err: err}
	}
	d := &Dir{root: root, incoming: filepath.Join(root, incomingName)}
	for _, folder := range []string{d.incoming, filepath.Join(root, keyPrefix)} {
		if err := mkdirAllDurably(folder); err != nil {
			return nil, &StorageError{Op: "create its folder", Err: err}
		}
	}
	// Another process may have created the two a moment ago, and not have synced them yet.
	if err := syncFolder(root); err != nil {
		return nil, &StorageError{Op: "sync its folder", Err: err}
	}
	if err := d.removeLeftovers(); err != nil {
		return nil, &StorageError{Op: "remove what a crash left behind", Err: err}
	}
	return d, nil
}

func (d *Dir) Put(ctx context.Context, r io.Reader, limit int64) (Info, error) {
	if err := context.Cause(ctx); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	file, err := d.createIncoming()
	if err != nil {
		return Info{}, &StorageError{Op: "create a file", Err: err}
	}
	// Closing gives up the lock, so it comes after the file has its final name or is gone.
	defer file.Close()
	committed := false
	defer func() {
		if !committed { // also when r panics
			_ = os.Remove(file.Name()) // if this fails too, the next start removes it
		}
	}()

	size, digest, err := copyHashing(ctx, file, r, limit)
	if err != nil {
		return Info{}, err
	}
	if err := file.Sync(); err != nil {
		return Info{}, &StorageError{Op: "sync a file", Err: err}
	}
	if err := context.Cause(ctx); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	key := KeyOf(digest)
	leave, err := d.lock(syscall.LOCK_SH)
	if err != nil {
		return Info{}, &StorageError{Op: "lock its folder", Err: err}
	}
	defer leave()
	if err := d.commit(file.Name(), d.path(key)); err != nil {
		return Info{}, &StorageError{Op: "keep a file", Err: err}
	}
	committed = true
	return Info{Key: key, Size: size, SHA256: hex.EncodeToString(digest[:])}, nil
}

// commit gives a complete file its name. A blob that is there already is
// replaced by its equal: readers of the old one keep it, and should the disk have
// spoiled it, it is whole again. The folders are synced in any case, because a
// Put of the same content may have created them a moment ago and not be done.
func (d *Dir) commit(incoming, name string) error {
	shard := filepath.Dir(name)
	if err := os.Mkdir(shard, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(incoming, name); err != nil {
		return err
	}
	if err := syncFolder(shard); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(shard))
}

func (d *Dir) Open(ctx context.Context, key Key) (Blob, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("blob: open: %w", err)
	}
	if err := key.check(); err != nil {
		return nil, err
	}
	file, err := os.Open(d.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, d.absent(key)
	} else if err != nil {
		return nil, &StorageError{Op: "open a blob", Err: err}
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", file.Name())
	}
	if err != nil {
		file.Close()
		return nil, &StorageError{Op: "open a blob", Err: err}
	}
	return &fileBlob{file: file, size: info.Size()}, nil
}

type fileBlob struct {
	file *os.File
	size int64
}

func (b *fileBlob) ReadAt(p []byte, off int64) (int, error) { return b.file.ReadAt(p, off) }
func (b *fileBlob) Close() error                            { return b.file.Close() }
func (b *fileBlob) Size() int64                             { return b.size }

func (d *Dir) path(key Key) string { return filepath.Join(d.root, filepath.FromSlash(string(key))) }

// createIncoming creates and locks a file to write to. Between the two steps a
// starting process may take it for a leftover; then another one is created.
func (d *Dir) createIncoming() (*os.File, error) {
	for {
		file, err := os.CreateTemp(d.incoming, incomingPrefix+"*")
		if err != nil {
			return nil, err
		}
		kept, err := lockNew(file)
		if kept {
			return file, nil
		}
		file.Close()
		if err != nil {
			_ = os.Remove(file.Name())
			return nil, err
		}
	}
}

// lockNew locks a file that was just created and tells whether it still has its
// name.
func lockNew(file *os.File) (bool, error) {
	if locked, err := tryLock(file); err != nil || !locked {
		return false, err
	}
	_, err := os.Lstat(file.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// removeLeftovers removes the incoming files that no process holds.
func (d *Dir) removeLeftovers() error {
	entries, err := os.ReadDir(d.incoming)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), incomingPrefix) {
			continue
		}
		if err := removeUnlessHeld(filepath.Join(d.incoming, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func removeUnlessHeld(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() // and with it the lock: not before the name is gone
	if locked, err := tryLock(file); err != nil || !locked {
		return err
	}
	return os.Remove(name)
}

// tryLock takes the file's lock unless another opened file holds it, in this
// process or in another. The kernel releases it when the file is closed or its
// process dies.
func tryLock(file *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, &fs.PathError{Op: "lock", Path: file.Name(), Err: err}
		}
	}
}

// copyHashing copies r to w up to limit, and tells a failing reader from a
// failing writer.
func copyHashing(ctx context.Context, w io.Writer, r io.Reader, limit int64) (int64, [sha256.Size]byte, error) {
	var size int64
	hash := sha256.New()
	buf := make([]byte, copyBuffer)
	for {
		if err := context.Cause(ctx); err != nil {
			return 0, [sha256.Size]byte{}, fmt.Errorf("blob: put: %w", err)
		}
		n, readErr := r.Read(buf)
		if size += int64(n); size > limit {
			return 0, [sha256.Size]byte{}, &TooLargeError{Limit: limit}
		}
		hash.Write(buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return 0, [sha256.Size]byte{}, &StorageError{Op: "write a file", Err: err}
		}
		switch {
		case readErr == io.EOF:
			return size, [sha256.Size]byte(hash.Sum(nil)), nil
		case readErr != nil:
			return 0, [sha256.Size]byte{}, &ReadError{Err: readErr}
		}
	}
}

// mkdirAllDurably creates a folder and its parents so that they survive a crash:
// each new one is synced into the folder above.
func mkdirAllDurably(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: folder, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(folder)
	if err := mkdirAllDurably(parent); err != nil {
		return err
	}
	if err := os.Mkdir(folder, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
