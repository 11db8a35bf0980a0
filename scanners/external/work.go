package external

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// work is the folder of one scan, below the system's folder for temporary files. It is
// held until it is removed, so that nobody takes it for left behind.
type work struct {
	path string
	lock *os.File // nil where nothing can be held
}

// workPrefix begins the name of each.
const workPrefix = "factgate-work-"

func newWork() (work, error) {
	for range 100 {
		path, err := os.MkdirTemp("", workPrefix)
		if err != nil {
			return work{}, err
		}
		lock, mine, err := hold(path)
		if err != nil {
			return work{}, errors.Join(err, os.Remove(path))
		}
		w := work{path, lock}
		if !mine {
			continue // somebody who sweeps took it for left behind
		}
		for _, folder := range []string{w.files(), w.home()} {
			if err := os.Mkdir(folder, 0o700); err != nil {
				return work{}, errors.Join(err, w.remove())
			}
		}
		return w, nil
	}
	return work{}, errors.New("no folder can be made below " + os.TempDir() + ": other processes remove it at once")
}

func (w work) files() string { return filepath.Join(w.path, "files") }
func (w work) home() string  { return filepath.Join(w.path, "home") }

func (w work) remove() error {
	err := os.RemoveAll(w.path)
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	return err
}

// sweepWork removes what processes that were killed have left. What a living process
// holds stays, and so does what belongs to somebody else.
func sweepWork() {
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return // newWork says what is wrong with it
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || !strings.HasPrefix(e.Name(), workPrefix) || !ours(info) {
			continue
		}
		path := filepath.Join(os.TempDir(), e.Name())
		lock, mine, err := hold(path)
		if err != nil || !mine || lock == nil {
			continue
		}
		_ = work{path, lock}.remove() // the next start tries again
	}
}
