package external

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// hold locks a folder until the file is closed or the process has ended, however it
// ends. The folder is not mine if another process holds it or has removed it. The file
// is nil if the file system has no locks for folders.
func hold(folder string) (lock *os.File, mine bool, err error) {
	lock, err = os.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	switch err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, false, lock.Close()
	case err != nil:
		return nil, true, lock.Close()
	}
	held, err := lock.Stat()
	if err != nil {
		return nil, false, errors.Join(err, lock.Close())
	}
	if there, err := os.Lstat(folder); err != nil || !os.SameFile(held, there) {
		return nil, false, lock.Close()
	}
	return lock, true, nil
}

// ours reports whether a folder is of this process's user.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
