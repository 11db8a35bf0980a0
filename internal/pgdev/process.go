package pgdev

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// command prepares a PostgreSQL program: as the server's account, in a session
// of its own so that a Ctrl-C on our terminal reaches only us, and with none of
// our environment but what finding libraries and users needs (the rest may hold
// secrets, or PG* variables that would change the server).
func (c *cluster) command(ctx context.Context, whenWeDie syscall.Signal, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "LANG=C"}
	for _, name := range []string{
		"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
		"LD_PRELOAD", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP", // named accounts in containers
	} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.ExtraFiles = c.inherit
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if c.account.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.account.uid), Gid: uint32(c.account.gid)}
	}
	dieWithUs(cmd.SysProcAttr, whenWeDie)
	return cmd
}

// runTool runs a short-lived program to its end and returns what it said. When
// ctx ends it kills the program and the programs that one started, and returns
// once all of them are gone.
func runTool(ctx context.Context, cmd *exec.Cmd) (said string, err error) {
	// Whatever the program starts inherits the writing end of this pipe, even
	// what has its output sent elsewhere; so when it closes nobody is left.
	alive, held, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer alive.Close()
	cmd.ExtraFiles = append(slices.Clone(cmd.ExtraFiles), held)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	// The program leads its session and thereby its process group.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	runtime.LockOSThread() // for dieWithUs
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	held.Close()
	_, _ = io.Copy(io.Discard, alive)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out.String(), err
}

// lastLines cuts output to what an error should show.
func lastLines(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	lines = lines[max(0, len(lines)-logTail):]
	for i, l := range lines {
		lines[i] = l[:min(len(l), logLineKept)]
	}
	return lines
}

// process is one life of the server: the postmaster and its children.
type process struct {
	pid    int
	log    *serverLog
	exited chan struct{} // closed when the postmaster has ended
	err    error         // how; read it after exited
	proc   *os.Process
}

// spawn starts cmd and watches it. The goroutine keeps its thread until the
// process has ended, because the kernel ties dieWithUs to that thread.
func spawn(cmd *exec.Cmd, log *serverLog, patience time.Duration) (*process, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	p := &process{log: log, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		in.Close()
		if err != nil {
			out.Close()
			started <- err
			return
		}
		p.pid, p.proc = cmd.Process.Pid, cmd.Process
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			log.consume(out)
		}()
		started <- nil

		p.err = cmd.Wait()
		// The children hold the pipe too; after a kill -9 of the postmaster
		// they need a moment to notice. What stays is ended by the next launch.
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-drained:
		case <-t.C:
		}
		out.Close()
		<-drained
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// fast ends the server as an administrator would: sessions are broken off, a
// checkpoint is written. When ctx ends first, it goes on as immediate does.
func (p *process) fast(ctx context.Context, patience time.Duration) error {
	_ = p.proc.Signal(syscall.SIGINT) // an error means that it has ended
	select {
	case <-p.exited:
		return p.err
	case <-ctx.Done():
	}
	p.immediate(patience)
	return context.Cause(ctx)
}

// immediate ends the server without a checkpoint; the next start recovers from
// the write-ahead log. It returns when the server has ended.
func (p *process) immediate(patience time.Duration) {
	_ = p.proc.Signal(syscall.SIGQUIT)
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.exited:
	case <-t.C:
		_ = p.proc.Kill()
		<-p.exited
	}
}
