package external

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// box is how far a program can be shut in here.
type box struct {
	flags uintptr // the namespaces that it gets
	why   string  // it cannot be shut in; empty if it can
}

// newBox tries what the system allows.
func newBox(ctx context.Context, network Network) box {
	flags := uintptr(syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC)
	if network == None {
		flags |= syscall.CLONE_NEWNET
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var err error
	for _, b := range []box{{flags: flags | syscall.CLONE_NEWUSER}, {flags: flags}} { // the second needs root
		trial := exec.CommandContext(ctx, "/bin/true")
		b.confine(trial)
		if err = trial.Run(); err == nil {
			return b
		}
	}
	return box{why: fmt.Sprintf("the system gives no namespaces (%v)", err)}
}

func (b box) confine(cmd *exec.Cmd) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: b.flags}
	if b.flags&syscall.CLONE_NEWUSER != 0 {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// sweep ends what a program has left behind. In a namespace of its own nothing
// outlives it.
func (b box) sweep(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// used is the resident memory of a process and all below it, in bytes. What cannot be
// read has ended.
func used(pid int) (bytes int64) {
	for _, p := range append(below(pid), pid) {
		bytes += resident(p)
	}
	return bytes
}

func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel writes numbers
	return pages * int64(os.Getpagesize())
}

// below are the processes that a process has begun, and theirs.
func below(pid int) (all []int) {
	const enough = 10_000
	for next := []int{pid}; len(next) > 0 && len(all) < enough; {
		parent := next[0]
		next = next[1:]
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))
		if err != nil {
			continue
		}
		for _, t := range tasks {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent, t.Name()))
			if err != nil {
				continue
			}
			for field := range bytes.FieldsSeq(text) {
				if child, err := strconv.Atoi(string(field)); err == nil {
					all, next = append(all, child), append(next, child)
				}
			}
		}
	}
	return all
}
