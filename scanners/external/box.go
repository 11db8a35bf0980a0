package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// call is one run of a program.
type call struct {
	program        string
	args           []string
	work           work
	folder         string // that it runs in, as it sees it
	environment    []string
	stdout, stderr io.Writer
	memory         int64 // of all its processes together, in bytes
	space          int64 // that it may write, in bytes, where that can be bounded
}

// ended is what is left of a program that ended by itself.
type ended struct {
	code    int
	folder  string   // the folders files and home, as it left them, are below
	scratch *os.File // keeps them; nil if they are on disk
}

func (e ended) close() {
	if e.scratch != nil {
		_ = e.scratch.Close() // only read
	}
}

// find looks for a program on PATH, or at its path.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("there is no program %s on PATH; install it, or write its whole path", name)
	}
	return filepath.Abs(path)
}

// watched is how often a program's memory and space are looked at.
const watched = 50 * time.Millisecond

var (
	errTooMuchMemory = errors.New("took more memory than its limit; raise limits.memory, or give it fewer files")
	errTooMuchSpace  = errors.New("wrote more than its limit; raise limits.space, or give it fewer files")
)

// run runs a program to its end. An error means that it did not end by itself, could
// not be started, or had no space left to write. What has ended is to be closed.
func (b box) run(ctx context.Context, c call) (_ ended, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd := exec.CommandContext(ctx, c.program, c.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.folder, c.environment, c.stdout, c.stderr
	cmd.WaitDelay = 2 * time.Second // a grandchild may hold the pipes
	scratch, err := b.start(cmd, c)
	if err != nil {
		if why := context.Cause(ctx); why != nil {
			return ended{}, why
		}
		return ended{}, fmt.Errorf("start %s: %w", filepath.Base(c.program), err)
	}
	e := ended{folder: c.work.path, scratch: scratch}
	if scratch != nil {
		e.folder = fmt.Sprintf("/proc/self/fd/%d", scratch.Fd())
	}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		ticker := time.NewTicker(watched)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if used(cmd.Process.Pid) > c.memory {
					stop(errTooMuchMemory)
				}
				if full(scratch) {
					stop(errTooMuchSpace)
				}
			}
		}
	}()
	err = cmd.Wait()
	why := context.Cause(ctx)
	stop(nil)
	<-gone
	b.sweep(cmd)
	var exited *exec.ExitError
	switch {
	case why != nil:
		return ended{}, why
	case full(scratch):
		return ended{}, errTooMuchSpace
	case err == nil:
		return e, nil
	case errors.As(err, &exited) && exited.ExitCode() >= 0:
		e.code = exited.ExitCode()
		return e, nil
	}
	return ended{}, fmt.Errorf("it was ended: %w", err)
}
