//go:build !linux

package pgdev

import (
	"os"
	"path/filepath"
	"syscall"
)

// handover names the folders as we know them: only Linux can reopen an
// inherited folder by name. As root, the data folder must therefore be
// reachable for the server's account; version checks that.
func handover(base, socket *os.File) (baseName, socketName string, inherit []*os.File) {
	return filepath.Clean(base.Name()), filepath.Clean(socket.Name()), nil
}

// dieWithUs has no counterpart here: a server that outlives us is ended by the
// next Start.
func dieWithUs(*syscall.SysProcAttr, syscall.Signal) {}
