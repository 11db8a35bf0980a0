package lab

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OnDisk refuses a folder in memory, where an fsync costs nothing.
func OnDisk(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if s.Type == unix.TMPFS_MAGIC || s.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("%s lies in memory, where nothing is durable: name a folder on a disk with -dir", dir)
	}
	return nil
}
