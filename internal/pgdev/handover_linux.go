package pgdev

import (
	"os"
	"syscall"
)

// handover says under which names the server sees its two folders, and which
// descriptors it must inherit (as 3 and 4) for these names to mean something.
// See "Running as root" in the package comment; long and odd paths need no care
// on the server's side either.
func handover(base, socket *os.File) (baseName, socketName string, inherit []*os.File) {
	return "/proc/self/fd/3", "/proc/self/fd/4", []*os.File{base, socket}
}

// dieWithUs has the kernel send sig to the process when the thread that starts
// it ends, which the starter must therefore hold (runtime.LockOSThread).
func dieWithUs(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
