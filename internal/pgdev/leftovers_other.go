//go:build !linux

package pgdev

import (
	"os/exec"
	"strconv"
	"strings"
)

// members knows only the postmaster here, from its pid file. Orphaned children
// of a killed postmaster are left to PostgreSQL itself, which refuses to start
// while they hold the cluster's shared memory.
func (c *cluster) members() ([]int, error) {
	if pid := c.postmaster(); pid != 0 && c.isMember(pid) {
		return []int{pid}, nil
	}
	return nil, nil
}

func (c *cluster) isMember(pid int) bool {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	line := string(out)
	return err == nil && strings.Contains(line, "postgres") && strings.Contains(line, c.baseName+"/data")
}
