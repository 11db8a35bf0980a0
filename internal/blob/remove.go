package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const removingName = "removing"

// lock waits for the lock between those who make blobs new and whoever removes
// one. Nobody holds it for longer than it takes to rename a file and sync its
// folders.
func (d *Dir) lock(how int) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(d.root, removingName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

// Claim implements Store: a blob is as new as its file's time says.
func (d *Dir) Claim(ctx context.Context, key Key) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("blob: claim: %w", err)
	}
	if err := key.check(); err != nil {
		return err
	}
	unlock, err := d.lock(syscall.LOCK_SH)
	if err != nil {
		return &StorageError{Op: "lock its folder", Err: err}
	}
	defer unlock()
	err = os.Chtimes(d.path(key), time.Time{}, time.Now())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.absent(key)
	case err != nil:
		return &StorageError{Op: "claim a blob", Err: err}
	}
	return nil
}

// absent is the error for a blob whose file is not there.
func (d *Dir) absent(key Key) error {
	// Without the folder itself (a mount that is away) nothing is known of the blob.
	if _, err := os.Stat(d.incoming); err != nil {
		return &StorageError{Op: "find its folder", Err: err}
	}
	return fmt.Errorf("%w: %s", ErrNotFound, key)
}

// List implements Store. It holds the names of one folder at a time.
func (d *Dir) List(ctx context.Context) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		shards, err := os.ReadDir(filepath.Join(d.root, keyPrefix))
		if err != nil {
			yield(Stored{}, &StorageError{Op: "list its folder", Err: err})
			return
		}
		for _, shard := range shards {
			if !shard.IsDir() {
				continue
			}
			files, err := os.ReadDir(filepath.Join(d.root, keyPrefix, shard.Name()))
			if err != nil {
				yield(Stored{}, &StorageError{Op: "list its folder", Err: err})
				return
			}
			for _, file := range files {
				if err := context.Cause(ctx); err != nil {
					yield(Stored{}, fmt.Errorf("blob: list: %w", err))
					return
				}
				key := Key(keyPrefix + shard.Name() + "/" + file.Name())
				info, err := file.Info()
				if key.check() != nil || errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
					continue // a stranger's file, or one that is gone by now
				}
				if err != nil {
					yield(Stored{}, &StorageError{Op: "list its folder", Err: err})
					return
				}
				if !yield(Stored{Key: key, Size: info.Size(), At: info.ModTime()}, nil) {
					return
				}
			}
		}
	}
}

// Remove implements Store.
func (d *Dir) Remove(ctx context.Context, key Key, before time.Time) (bool, error) {
	if err := context.Cause(ctx); err != nil {
		return false, fmt.Errorf("blob: remove: %w", err)
	}
	if err := key.check(); err != nil {
		return false, err
	}
	unlock, err := d.lock(syscall.LOCK_EX)
	if err != nil {
		return false, &StorageError{Op: "lock its folder", Err: err}
	}
	defer unlock()
	info, err := os.Lstat(d.path(key))
	if err == nil && info.ModTime().Before(before) {
		err = os.Remove(d.path(key))
		if err == nil {
			return true, nil
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, &StorageError{Op: "remove a blob", Err: err}
}
