package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a server in a process of its own. It says "ready", with its URL if it
// has one, on standard output when it serves.
type Process struct {
	URL    string
	Pprof  string        // address of its profiles, or ""
	Opened time.Duration // from its start to "ready"

	cmd    *exec.Cmd
	input  io.WriteCloser
	said   chan string   // the lines behind "ready"; what nobody takes is lost
	ended  chan struct{} // closed when it has ended
	err    error         // of its end
	errors bytes.Buffer  // what it said on standard error; read it after ended
}

// Start runs a program until it says that it is ready.
func Start(ctx context.Context, program string, args ...string) (*Process, error) {
	return StartIn(ctx, "", program, args...)
}

// StartIn is Start in a folder.
func StartIn(ctx context.Context, dir, program string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(program, args...), ended: make(chan struct{}), said: make(chan string, 16)}
	p.cmd.Dir = dir
	p.cmd.Stderr = &p.errors
	// Whatever becomes of us, no server stays behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		line, err := lines.ReadString('\n')
		ready <- line
		for err == nil {
			if line, err = lines.ReadString('\n'); err == nil {
				select {
				case p.said <- strings.TrimSpace(line):
				default:
				}
			}
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case line := <-ready:
		p.Opened = time.Since(begun)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "ready" {
			p.Kill()
			return nil, fmt.Errorf("%s %s did not start: %q %s", program, strings.Join(args, " "), line, p.errors.String())
		}
		if len(words) > 1 {
			p.URL = words[1]
		}
		if len(words) > 2 {
			p.Pprof = words[2]
		}
		return p, nil
	case <-ctx.Done():
		p.Kill()
		return nil, ctx.Err()
	}
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Ask writes a line to the process and returns the next one that it says.
func (p *Process) Ask(ctx context.Context, line string) (string, error) {
	if _, err := io.WriteString(p.input, line+"\n"); err != nil {
		return "", err
	}
	return p.Hear(ctx)
}

// Hear returns the next line that the process says.
func (p *Process) Hear(ctx context.Context) (string, error) {
	select {
	case said := <-p.said:
		return said, nil
	case <-p.ended:
		return "", fmt.Errorf("%s ended: %w: %s", p.cmd, p.err, p.errors.String())
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Stop asks the process to end and waits until it has.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("%s: %w: %s", p.cmd, p.err, p.errors.String())
		}
		return nil
	case <-ctx.Done():
		p.Kill()
		return ctx.Err()
	}
}

// Server is what a side needs of its server: which processes it is.
type Server interface{ PIDs() []int }

// PIDs is one process.
func (p *Process) PIDs() []int { return []int{p.cmd.Process.Pid} }

// Busy is the processor time that a server has used, with that of the children it
// has outlived.
func Busy(s Server) time.Duration {
	if s == nil {
		return 0
	}
	var ticks int64
	for _, pid := range s.PIDs() {
		for _, field := range statOf(pid, 14, 18) {
			n, _ := strconv.ParseInt(field, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 on Linux
}

// statOf returns fields of /proc/PID/stat, numbered as in proc(5); nothing when
// the process is gone.
func statOf(pid, from, upto int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The name in the second field may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	return fields[from-3 : upto-3]
}

// childrenOf lists a process and its children.
func childrenOf(pid int) []int {
	all := []int{pid}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			if parent := statOf(child, 4, 5); len(parent) == 1 && parent[0] == strconv.Itoa(pid) {
				all = append(all, child)
			}
		}
	}
	return all
}

// Idle waits until a server has nothing to do any more, at most for patience.
func Idle(ctx context.Context, s Server, patience time.Duration) error {
	const look = 150 * time.Millisecond
	for deadline := time.Now().Add(patience); s != nil && time.Now().Before(deadline); {
		before := Busy(s)
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
		if Busy(s)-before <= look/10 {
			break
		}
	}
	return ctx.Err()
}

// Memory is what the process holds now and held at most, in bytes.
func (p *Process) Memory() (now, most int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue
		}
		n, _ := strconv.ParseInt(words[1], 10, 64)
		switch words[0] {
		case "VmRSS:":
			now = n << 10
		case "VmHWM:":
			most = n << 10
		}
	}
	return now, most
}

// OurTime is the processor time of this process.
func OurTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
