package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/scanners"
)

const (
	// minScanMemory is what --scan-memory takes at least: the largest package wants it.
	minScanMemory = 256 << 20
	// usualMemory is the guess where the system does not say what there is.
	usualMemory = 4 << 30
	maxProcFile = 64 << 10
)

// room is what the scanners of this process share.
func (c config) room(system fs.FS) *scanners.Room {
	limit := c.scanMemory << 20
	if limit == 0 {
		limit = max(minScanMemory, memoryOf(system)/2)
	}
	c.logger.Debug("memory for scans", "MiB", limit>>20)
	room := scanners.NewRoom(scanners.DefaultRoom)
	room.LimitMemory(limit)
	return room
}

// memoryOf is how much memory this process may have: the machine's, or what the
// control groups that it is in leave of it (of either version; a container sees its
// own at the root). system is the file system's root.
func memoryOf(system fs.FS) int64 {
	least := int64(math.MaxInt64)
	take := func(bytes int64, ok bool) {
		if ok && bytes > 0 {
			least = min(least, bytes)
		}
	}
	for line := range strings.Lines(string(readSmall(system, "proc/meminfo"))) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemTotal:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 53)
			take(kilobytes<<10, err == nil)
		}
	}
	groups := "0::/\n0:memory:/\n" + string(readSmall(system, "proc/self/cgroup"))
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "sys/fs/cgroup", "memory.max"
		if parts[1] == "memory" {
			root, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			text := string(bytes.TrimSpace(readSmall(system, path.Join(root, dir, file))))
			limit, err := strconv.ParseInt(text, 10, 64) // "max" is none
			take(limit, err == nil)
			if dir == "/" {
				break
			}
		}
	}
	if least == math.MaxInt64 {
		return usualMemory
	}
	return least
}

// readSmall reads a file of the kernel's; nothing if there is none.
func readSmall(system fs.FS, name string) []byte {
	file, err := system.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(file, maxProcFile))
	if err != nil {
		return nil
	}
	return content
}

// memoryFlag adds --scan-memory.
func (c *config) memoryFlag(cmd *cobra.Command) {
	cmd.Flags().Var((*mebibytes)(&c.scanMemory), "scan-memory", "MiB that the process may have in use while it scans (default: half of what the machine or the container has)")
}

// mebibytes is a flag whose default is told in its own words.
type mebibytes int64

func (m *mebibytes) Set(s string) error {
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil || v < minScanMemory>>20 {
		return fmt.Errorf("give a number of MiB, at least %d, such as 2048", minScanMemory>>20)
	}
	*m = mebibytes(v)
	return nil
}

func (m *mebibytes) String() string { return "" }
func (m *mebibytes) Type() string   { return "MiB" }
