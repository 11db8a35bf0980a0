package pgdev

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// members lists the processes of this cluster's server. Every PostgreSQL
// process works in its data folder, so that is what we ask the kernel about;
// somebody's shell or editor in the same folder is no member.
func (c *cluster) members() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("a private PostgreSQL needs /proc to be mounted: %w", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && c.isMember(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func (c *cluster) isMember(pid int) bool {
	proc := "/proc/" + strconv.Itoa(pid)
	cwd, err := os.Stat(proc + "/cwd")
	if err != nil { // ended, a zombie, or not ours to see
		return false
	}
	data, err := c.base.Stat("data")
	if err != nil || !os.SameFile(cwd, data) {
		return false
	}
	exe, err := os.Readlink(proc + "/exe")
	// An upgrade of the package removes the program under a running server.
	return err == nil && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == "postgres"
}
