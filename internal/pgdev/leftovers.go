package pgdev

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endLeftovers ends every process that still serves this cluster. Whoever calls
// holds the lock, so these are orphans: of a factgate that was killed, or
// children of a postmaster that was. Taking them over alive would leave us with
// a server that we did not start, cannot wait for and whose log we do not see.
//
// They are recognised by what they are (the kernel's word on program and current
// folder), never by the number in postmaster.pid alone, which after a crash may
// belong to anybody.
func (c *cluster) endLeftovers(ctx context.Context) error {
	pids, err := c.members()
	if err != nil || len(pids) == 0 {
		return err
	}
	c.log.Warn("a PostgreSQL left behind by a killed factgate still runs on this cluster; stopping it", "pids", fmt.Sprint(pids))
	for _, stage := range []struct {
		toPostmaster, toOthers syscall.Signal // 0: none
		wait                   time.Duration
	}{
		{syscall.SIGINT, 0, c.patience},                // fast: with a checkpoint, the postmaster tells the others
		{syscall.SIGQUIT, syscall.SIGQUIT, c.patience}, // immediate
		// Nobody withstands this, but an fsync on a busy disk is waited for.
		{syscall.SIGKILL, syscall.SIGKILL, time.Minute},
	} {
		postmaster := c.postmaster()
		if stage.toOthers == 0 && !slices.Contains(pids, postmaster) {
			continue // nobody to ask
		}
		for _, pid := range pids {
			sig := stage.toOthers
			if pid == postmaster {
				sig = stage.toPostmaster
			}
			if sig != 0 {
				c.signal(pid, sig)
			}
		}
		if pids, err = c.membersGone(ctx, stage.wait); err != nil || len(pids) == 0 {
			return err
		}
	}
	return fmt.Errorf("processes %v still run on the cluster in %s and cannot be ended; a reboot may be needed", pids, c.dir)
}

// signal sends sig if pid is still a process of this cluster. Looking again
// after FindProcess, which pins the process where the system can, closes the gap
// in which the number could pass to somebody else.
func (c *cluster) signal(pid int, sig syscall.Signal) {
	proc, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer proc.Release()
	if c.isMember(pid) {
		_ = proc.Signal(sig) // an error means that it has ended
	}
}

// membersGone waits for at most that long and returns who is still there.
func (c *cluster) membersGone(ctx context.Context, wait time.Duration) ([]int, error) {
	deadline := time.Now().Add(wait)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		pids, err := c.members()
		if err != nil || len(pids) == 0 || time.Now().After(deadline) {
			return pids, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return pids, context.Cause(ctx)
		}
	}
}

// clearStale removes what a killed server leaves and a new one might stumble
// over when the pid noted there has passed to another process. It may only run
// when there are no members.
func (c *cluster) clearStale() {
	_ = c.base.Remove("data/postmaster.pid")
	_ = os.Remove(c.socketDir + "/" + socketFile)
	_ = os.Remove(c.socketDir + "/" + socketFile + ".lock")
}

// pidFile reads postmaster.pid: the pid, and whether the server takes
// connections. It is how pg_ctl knows, too.
func (c *cluster) pidFile() (pid int, ready bool) {
	text, err := c.base.ReadFile("data/postmaster.pid")
	if err != nil {
		return 0, false
	}
	lines := strings.Split(string(text), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return 0, false
	}
	const status = 7
	return pid, len(lines) > status && strings.TrimSpace(lines[status]) == "ready"
}

func (c *cluster) postmaster() int {
	pid, _ := c.pidFile()
	return pid
}
