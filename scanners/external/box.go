package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"
)

// call is one run of a program.
type call struct {
	program        string
	args           []string
	folder         string
	environment    []string
	stdout, stderr io.Writer
	memory         int64 // of all its processes together, in bytes
}

// find looks for a program on PATH, or at its path.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("there is no program %s on PATH; install it, or write its whole path", name)
	}
	return filepath.Abs(path)
}

// watchMemory is how often a program's memory is looked at.
const watchMemory = 50 * time.Millisecond

var errTooMuchMemory = errors.New("took more memory than its limit; raise limits.memory, or give it fewer files")

// run runs a program to its end and returns its exit code. An error means that it did
// not end by itself, or could not be started.
func (b box) run(ctx context.Context, c call) (code int, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd := exec.CommandContext(ctx, c.program, c.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.folder, c.environment, c.stdout, c.stderr
	cmd.WaitDelay = 2 * time.Second // a grandchild may hold the pipes
	b.confine(cmd)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", filepath.Base(c.program), err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		ticker := time.NewTicker(watchMemory)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if used(cmd.Process.Pid) > c.memory {
					stop(errTooMuchMemory)
					return
				}
			}
		}
	}()
	err = cmd.Wait()
	ended := context.Cause(ctx)
	stop(nil)
	<-watched
	b.sweep(cmd)
	var exited *exec.ExitError
	switch {
	case ended != nil:
		return 0, ended
	case err == nil:
		return 0, nil
	case errors.As(err, &exited) && exited.ExitCode() >= 0:
		return exited.ExitCode(), nil
	}
	return 0, fmt.Errorf("it was ended: %w", err)
}
