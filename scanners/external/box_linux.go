package external

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/factgate/factgate/domain/report"
)

// box is how far a program can be shut in here.
type box struct {
	flags   uintptr     // the namespaces that it gets
	view    *view       // what it sees of the file system; nil: all of it
	exposed report.Text // what it is not kept from; empty if it is shut in
}

// newBox tries what the system allows. The error says what must not be shown to the
// programs; private are folders that are never shown.
func newBox(ctx context.Context, d *Definition, programs, private []string) (box, error) {
	flags := uintptr(syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC)
	if d.Network == None {
		flags |= syscall.CLONE_NEWNET
	}
	kinds := []uintptr{flags | syscall.CLONE_NEWUSER, flags} // the second needs root
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	noView := errNotEntered
	if entered {
		base, err := viewOf(&Definition{}, nil, private)
		if err != nil {
			return box{}, err
		}
		full, err := viewOf(d, programs, private)
		if err != nil {
			return box{}, err
		}
		for _, kind := range kinds {
			b := box{flags: kind | syscall.CLONE_NEWNS, view: base}
			if noView = b.try(ctx); noView == nil {
				b.view = full
				return b, nil
			}
		}
		for _, kind := range kinds {
			b := box{flags: kind | syscall.CLONE_NEWNS, view: base.withProcesses()}
			if b.try(ctx) == nil {
				b.view = full.withProcesses()
				b.exposed = report.Text{
					En: fmt.Sprintf("it can see the processes of this machine and their command lines, which may hold passwords: the system gives it no /proc of its own (%v). Let the container hide no part of /proc, or keep passwords in variables of the environment", noView),
					Zh: fmt.Sprintf("可看到本机进程及其命令行（其中可能含有密码）：系统无法为其提供独立的 /proc（%v）。请让容器不要屏蔽 /proc 的任何部分，或将密码放在环境变量中", noView),
				}
				return b, nil
			}
		}
	}
	var err error
	for _, kind := range kinds {
		b := box{flags: kind, exposed: report.Text{
			En: fmt.Sprintf("it can read what Factgate's user can, and write as much as there is room: the system gives it no file system of its own (%v). Allow user namespaces to mount, or trust the program", noView),
			Zh: fmt.Sprintf("可读取 Factgate 用户有权读取的一切，写入量也不受限制：系统无法为其提供独立的文件系统（%v）。请允许在用户命名空间中挂载，或仅使用可信程序", noView),
		}}
		if err = b.try(ctx); err == nil {
			return b, nil
		}
	}
	return box{exposed: report.Text{
		En: fmt.Sprintf("it has the network of this machine, can read what Factgate's user can, and may leave processes behind: the system gives no namespaces (%v). Allow user namespaces, or trust the program", err),
		Zh: fmt.Sprintf("可访问本机网络、可读取 Factgate 用户有权读取的一切，并可能遗留进程：系统不提供命名空间（%v）。请允许用户命名空间，或仅使用可信程序", err),
	}}, nil
}

// try runs a program that does nothing.
func (b box) try(ctx context.Context) error {
	w, err := newWork()
	if err != nil {
		return err
	}
	defer func() { _ = w.remove() }() // it is empty
	files, _ := b.inside(w)
	e, err := b.run(ctx, call{program: "/bin/true", work: w, folder: files, stdout: io.Discard, stderr: io.Discard, memory: math.MaxInt64, space: 1 << 20})
	if err != nil {
		return err
	}
	e.close()
	if e.code != 0 {
		return fmt.Errorf("/bin/true ended with exit code %d", e.code)
	}
	return nil
}

// inside are the folders of a scan as a program sees them.
func (b box) inside(w work) (files, home string) {
	if b.view == nil {
		return w.files(), w.home()
	}
	return seenFiles, seenHome
}

// hint says what a program may lack that could not be run.
func (b box) hint() string {
	if b.view == nil {
		return ""
	}
	return "; a program that needs files outside of the system's folders sees them once their folders are listed under readable"
}

// start starts a program, shut in as far as it goes. Where it has a file system of its
// own, scratch is the folder of it that the program writes in.
func (b box) start(cmd *exec.Cmd, c call) (scratch *os.File, err error) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: b.flags}
	if b.flags&syscall.CLONE_NEWUSER != 0 {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if b.view == nil {
		return nil, cmd.Start()
	}
	return b.view.start(cmd, c)
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
