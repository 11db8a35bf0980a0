package external

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Enter is to be the first call of a program that has external scanners. In a process
// that was started to be shut in it does so and becomes the command: it does not
// return. Elsewhere it returns at once.
func Enter() {
	if len(os.Args) < 3 || os.Args[0] != boxName {
		entered = true
		return
	}
	runtime.LockOSThread() // what a process may do is a thread's
	const socket = 3
	syscall.CloseOnExec(socket)
	var v view
	err := json.Unmarshal([]byte(os.Args[1]), &v)
	if err == nil {
		err = v.enter(socket)
	}
	if err == nil {
		err = syscall.Exec(os.Args[2], os.Args[2:], os.Environ())
	}
	text := err.Error()
	_ = syscall.Sendmsg(socket, []byte(text[:min(len(text), maxSaid)]), nil, nil, 0) // whoever started us waits for it
	os.Exit(1)
}

// capabilities, from linux/capability.h.
const (
	capSetPCap   = 8
	capSysChroot = 18
	capSysAdmin  = 21
)

// enter makes the view the file system of this process, whose namespaces are its own
// and still show what the machine has, and gives up what could change it.
func (v *view) enter(socket int) error {
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	root := filepath.Join(v.From, "root")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	root, err := filepath.EvalSymlinks(root) // as mountinfo names it
	if err != nil {
		return err
	}
	if err := mount("tmpfs", root, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755,size=4m"); err != nil {
		return err
	}
	for _, step := range []func(root string) error{v.scratch, v.machine, devices, v.processes, people, v.readOnly, v.hide} {
		if err := step(root); err != nil {
			return err
		}
	}
	if err := mount("", root, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV, ""); err != nil {
		return err
	}
	if err := takeRoot(root); err != nil {
		return err
	}
	if err := ownInput(); err != nil {
		return err
	}
	scratch, err := syscall.Open(seenScratch, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", seenScratch, err)
	}
	if err := syscall.Chdir(v.Folder); err != nil {
		return fmt.Errorf("go to %s: %w", v.Folder, err)
	}
	if err := giveUp(); err != nil {
		return err
	}
	if err := syscall.Sendmsg(socket, []byte("in"), syscall.UnixRights(scratch), nil, 0); err != nil {
		return fmt.Errorf("send the folder: %w", err)
	}
	return nil
}

func mount(what, at, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(what, at, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	return nil
}

// scratch is what the command may write, with a copy of the files in it. What is not
// in memory it cannot write: there is no other file system.
func (v *view) scratch(root string) error {
	from := filepath.Join(v.From, "files")
	bytes, entries, err := sizeOf(from)
	if err != nil {
		return err
	}
	at := root + seenScratch
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	const small = 100_000 // files of the command's own
	if err := mount("tmpfs", at, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("mode=700,size=%d,nr_inodes=%d", bytes+v.Space, entries+small)); err != nil {
		return err
	}
	for _, folder := range []string{root + seenHome, at + "/tmp", root + "/tmp", root + "/var"} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
	}
	if err := os.Symlink("/tmp", root+"/var/tmp"); err != nil {
		return err
	}
	if err := mount(at+"/tmp", root+"/tmp", "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return copyFolder(from, root+seenFiles)
}

// copyFolder copies files and folders; there is nothing else.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, below)
		if d.IsDir() {
			return os.Mkdir(at, 0o700)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // only read
		out, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
}

// machine shows what is to be seen of it, and is still there: a package of the system
// may have been upgraded since we started.
func (v *view) machine(root string) error {
	for path, to := range v.Links {
		if err := os.MkdirAll(root+filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.Symlink(to, root+path); err != nil {
			return err
		}
	}
	v.Show = slices.DeleteFunc(v.Show, func(path string) bool {
		_, err := os.Stat(path)
		return errors.Is(err, fs.ErrNotExist)
	})
	for _, path := range v.outermost() {
		if err := show(path, root+path, syscall.MS_REC); err != nil {
			return err
		}
	}
	return nil
}

// outermost are those of Show that lie in no other. The machine's own folders must not
// be touched to mount on.
func (v *view) outermost() (paths []string) {
	for _, path := range v.Show {
		if !slices.ContainsFunc(paths, func(shown string) bool { return within(path, shown) }) {
			paths = append(paths, path)
		}
	}
	return paths
}

// show binds a file or a folder at a path that is not there yet, or is a folder.
func show(path, at string, flags uintptr) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(at, 0o700)
	} else {
		var file *os.File
		if file, err = os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return err
	}
	return mount(path, at, "", syscall.MS_BIND|flags, "")
}

// devices are those that hold nothing.
func devices(root string) error {
	for _, name := range []string{"null", "zero", "full", "random", "urandom"} {
		at := root + "/dev/" + name
		if err := show("/dev/"+name, at, 0); err != nil {
			return err
		}
		// A device is written as ever; its mode and owner are not.
		if err := mount("", at, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NOEXEC, ""); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "shm": "/tmp"} {
		if err := os.Symlink(to, root+"/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// processes are those of this namespace, unless the machine's are shown. They cannot be
// written, as root may set there what the kernel does.
func (v *view) processes(root string) error {
	if v.sees("/proc") {
		return nil
	}
	if err := os.Mkdir(root+"/proc", 0o700); err != nil {
		return err
	}
	return mount("proc", root+"/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC|syscall.MS_RDONLY, "")
}

// ownInput makes standard input the box's own /dev/null: root could change the mode of
// the machine's through the one that it inherited.
func ownInput() error {
	null, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err == nil {
		err = syscall.Dup3(null, 0, 0)
	}
	if err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	return nil
}

// people names the user and nobody else.
func people(root string) error {
	if err := os.MkdirAll(root+"/etc", 0o700); err != nil {
		return err
	}
	user := fmt.Sprintf("factgate:x:%d:%d::%s:/bin/sh\n", os.Getuid(), os.Getgid(), seenHome)
	group := fmt.Sprintf("factgate:x:%d:\n", os.Getgid())
	for name, text := range map[string]string{"passwd": user, "group": group} {
		if _, err := os.Lstat(root + "/etc/" + name); err == nil {
			continue // readable says so
		}
		if err := os.WriteFile(root+"/etc/"+name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readOnly makes what the machine shows read-only, with all that is mounted in it.
func (v *view) readOnly(root string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	left := map[string]bool{}
	for _, path := range v.outermost() {
		left[path] = true
	}
	for at, flags := range mounts(string(text)) {
		below, ok := strings.CutPrefix(at, root)
		if !ok || !slices.ContainsFunc(v.Show, func(shown string) bool { return within(below, shown) }) {
			continue
		}
		delete(left, below)
		err := syscall.Mount("", at, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV|flags, "")
		switch {
		case err == nil:
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EACCES):
			// It lies behind another mount, or where nobody here gets to.
		default:
			return fmt.Errorf("mount %s read-only: %w", at, err)
		}
	}
	for path := range left {
		return fmt.Errorf("%s cannot be made read-only: the kernel does not list it", path)
	}
	return nil
}

// mounts reads mountinfo: where there are mounts, and what of their flags must stay. A
// line that it does not understand is left out.
func mounts(text string) map[string]uintptr {
	found := map[string]uintptr{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		var flags uintptr
		for option := range strings.SplitSeq(fields[5], ",") {
			if option == "noexec" {
				flags |= syscall.MS_NOEXEC
			}
		}
		found[unescaped(fields[4])] = flags
	}
	return found
}

// unescaped is a path as it is: the kernel writes blanks and backslashes as \040.
func unescaped(path string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(path, `\`)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if len(after) >= 3 {
			if code, err := strconv.ParseUint(after[:3], 8, 8); err == nil {
				out.WriteByte(byte(code))
				path = after[3:]
				continue
			}
		}
		out.WriteByte('\\')
		path = after
	}
}

// hide puts an empty folder over what is private.
func (v *view) hide(root string) error {
	for _, path := range v.Hide {
		info, err := os.Stat(root + path)
		if err != nil {
			continue // it is not there, or nobody here gets to it
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no folder", path)
		}
		if err := mount("tmpfs", root+path, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC|syscall.MS_RDONLY, "mode=700,size=4k"); err != nil {
			return err
		}
	}
	return nil
}

// takeRoot makes a folder the root and lets go of what was.
func takeRoot(root string) error {
	if err := syscall.Chdir(root); err != nil {
		return err
	}
	err := syscall.PivotRoot(".", ".") // the old root comes to lie on the new one
	if err == nil {
		if err = syscall.Unmount(".", syscall.MNT_DETACH); err == nil {
			err = syscall.Chdir("/")
		}
		return err
	}
	// A root that nothing lies under, as that of a first RAM disk, cannot be turned.
	if moved := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); moved != nil {
		return fmt.Errorf("change the root: %w", errors.Join(err, moved))
	}
	if err := syscall.Chroot("."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return syscall.Chdir("/")
}

// giveUp drops every right to change what is mounted, for good.
func giveUp() error {
	const (
		boundingDrop  = 24 // PR_CAPBSET_DROP
		noNewRights   = 38 // PR_SET_NO_NEW_PRIVS
		version3      = 0x20080522
		afterLast     = 64
		headerAndData = 2
	)
	for capability := range uintptr(afterLast) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, boundingDrop, capability, 0); errno == syscall.EINVAL {
			break // the kernel knows no more
		} else if errno != 0 {
			return fmt.Errorf("give up capability %d: %w", capability, errno)
		}
	}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, noNewRights, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("give up new rights: %w", errno)
	}
	header := struct {
		version uint32
		pid     int32
	}{version: version3}
	var data [headerAndData]struct{ effective, permitted, inheritable uint32 }
	_, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0) //nolint:gosec // what the kernel reads
	if errno != 0 {
		return fmt.Errorf("give up capabilities: %w", errno)
	}
	// The session's keyring may hold tickets and keys. Where keyrings are not there, or not
	// to be used, the command cannot use it either.
	const joinNewKeyring = 1 // KEYCTL_JOIN_SESSION_KEYRING
	if _, _, errno := syscall.RawSyscall(syscall.SYS_KEYCTL, joinNewKeyring, 0, 0); errno != 0 && errno != syscall.ENOSYS && errno != syscall.EPERM {
		return fmt.Errorf("leave the session's keyring: %w", errno)
	}
	// That we end with whoever started us was said to the first thread, and this may be
	// another. Who has ended already does not take what we send next.
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0); errno != 0 {
		return fmt.Errorf("end with the parent: %w", errno)
	}
	return nil
}
