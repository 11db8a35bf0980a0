package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server of ours in a process of its own. It says "ready URL" on
// standard output when it serves.
type process struct {
	cmd    *exec.Cmd
	url    string
	pprof  string        // address of its profiles, or ""
	opened time.Duration // from its start to "ready"
	ended  chan struct{} // closed when it has ended
	err    error         // of its end
	errors bytes.Buffer  // what it said on standard error; read it after ended
}

// start runs a program until it says that it is ready.
func (b *bench) start(ctx context.Context, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Stderr = &p.errors
	// Whatever becomes of us, no server stays behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	b.begun = append(b.begun, p)
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line
		_, _ = io.Copy(io.Discard, stdout)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case line := <-ready:
		p.opened = time.Since(begun)
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "ready" {
			p.kill()
			return nil, fmt.Errorf("%s %s did not start: %q %s", program, strings.Join(args, " "), line, p.errors.String())
		}
		p.url = words[1]
		if len(words) > 2 {
			p.pprof = words[2]
		}
		return p, nil
	case <-ctx.Done():
		p.kill()
		return nil, ctx.Err()
	}
}

// startNode runs the node on a folder.
func (b *bench) startNode(ctx context.Context, data string) (*process, error) {
	dir := filepath.Join(b.dir, data)
	if b.profile == "" {
		return b.start(ctx, b.factgate, "node", "--data", dir, "--listen", "127.0.0.1:0")
	}
	return b.serve(ctx, "node", "-data", dir)
}

// startOther runs the node of the binary that ours is measured against.
func (b *bench) startOther(ctx context.Context, data string) (*process, error) {
	return b.start(ctx, b.against, "node", "--data", filepath.Join(b.dir, data), "--listen", "127.0.0.1:0")
}

// serve runs this program as a server.
func (b *bench) serve(ctx context.Context, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.start(ctx, self, append([]string{"serve"}, args...)...)
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop asks the process to end and waits until it has.
func (p *process) stop(ctx context.Context) error {
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
		p.kill()
		return ctx.Err()
	}
}

// server is what a side needs of its server: which processes it is.
type server interface{ pids() []int }

func (p *process) pids() []int { return []int{p.cmd.Process.Pid} }

// busy is the processor time that a server has used, with that of the children it
// has outlived.
func busy(s server) time.Duration {
	if s == nil {
		return 0
	}
	var ticks int64
	for _, pid := range s.pids() {
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

// idle waits until a server has nothing to do any more, at most for patience.
func idle(ctx context.Context, s server, patience time.Duration) error {
	const look = 150 * time.Millisecond
	for deadline := time.Now().Add(patience); s != nil && time.Now().Before(deadline); {
		before := busy(s)
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
		if busy(s)-before <= look/10 {
			break
		}
	}
	return ctx.Err()
}

// memory is what the process holds now and held at most, in bytes.
func (p *process) memory() (now, most int64) {
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

// profiled runs work while the node's processor profile is taken, if that is
// wanted. The profile covers at least the given time.
func (b *bench) profiled(s server, name string, d time.Duration, work func() error) error {
	p, ok := s.(*process)
	if !ok || p.pprof == "" {
		return work()
	}
	taken := make(chan error, 1)
	go func() { taken <- p.takeProfile(filepath.Join(b.profile, name+".pprof"), d) }()
	return errors.Join(work(), <-taken)
}

func (p *process) takeProfile(file string, d time.Duration) error {
	seconds := max(1, int(d/time.Second))
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.pprof, seconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile of the node: %s: %s", resp.Status, body)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o644)
}
