package external

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// view is the file system that a program sees: folders of the machine that it may only
// read, and one of its own, in memory, that it may write. It travels to the process
// that Enter shuts in.
type view struct {
	Show   []string          // paths of the machine, shown where they are
	Links  map[string]string // symbolic links of the machine, by path
	Hide   []string          // folders below those of Show that are empty
	From   string            // the scan's folder on the machine
	Space  int64             // that may be written, beside what files holds already
	Folder string            // to run in
}

// The program's own folders, as it sees them. They are the same in each scan, and so is
// a message that names them.
const (
	seenScratch = "/factgate-scan"
	seenFiles   = seenScratch + "/files"
	seenHome    = seenScratch + "/home"
)

var (
	// system are folders that programs need to run.
	system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"}
	// settings are what of /etc programs read and nobody keeps a secret in.
	settings = []string{
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/mime.types", "/etc/fonts",
		"/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/crypto-policies",
		"/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf",
		"/etc/java*", "/etc/python3*", "/etc/perl",
	}
	// names are what finding a machine by name takes.
	names = []string{"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/services", "/etc/gai.conf"}
)

// existing are the paths that there are, of patterns.
func existing(patterns []string) (paths []string) {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // the patterns are ours
		for _, path := range found {
			if _, err := os.Stat(path); err == nil {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// viewOf is what the programs of a definition need to see.
func viewOf(d *Definition, programs, private []string) (*view, error) {
	v := &view{Links: map[string]string{}}
	for _, path := range existing(system) {
		if to, err := os.Readlink(path); err == nil {
			v.Links[path] = to
		} else {
			v.Show = append(v.Show, path)
		}
	}
	v.Show = append(v.Show, existing(settings)...)
	if d.Network == Host {
		v.Show = append(v.Show, existing(names)...)
	}
	for _, path := range d.Readable {
		v.show(path)
	}
	if d.folder != "" {
		err := unfitToShow(d.folder, nil)
		for _, folder := range private {
			if holds(folder, d.folder) {
				err = fmt.Errorf("%s lies in Factgate's own folder %s", d.folder, folder)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("{here}: %w; put the definition, and what its command needs, into a folder of their own", err)
		}
		v.show(d.folder)
	}
	for _, program := range programs {
		v.showProgram(program, private)
	}
	slices.Sort(v.Show) // a folder comes before what is in it
	v.Show = slices.Compact(v.Show)
	v.Hide = v.hidden(private)
	return v, nil
}

// withProcesses is the view with the machine's own /proc.
func (v view) withProcesses() *view {
	v.Show = slices.Sorted(slices.Values(append(slices.Clone(v.Show), "/proc")))
	return &v
}

// sees reports whether a path is shown already.
func (v *view) sees(path string) bool {
	for at := range v.Links {
		if within(path, at) {
			return true
		}
	}
	return slices.ContainsFunc(v.Show, func(shown string) bool { return within(path, shown) })
}

func (v *view) show(path string) {
	if !v.sees(path) {
		v.Show = append(v.Show, path)
	}
}

// showProgram shows a program with the folder it is in, at each link on the way to it;
// the file alone if that folder holds what is not to be seen.
func (v *view) showProgram(program string, private []string) {
	next := program
	for range 40 { // as many links as the kernel follows
		if folder := filepath.Dir(next); unfitToShow(folder, private) == nil {
			v.show(folder)
		} else {
			v.show(next)
		}
		to, err := os.Readlink(next)
		if err != nil {
			break // no link
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(next), to)
		}
		next = to
	}
	// A folder on the way may be a link, too.
	if last := real(program); unfitToShow(filepath.Dir(last), private) == nil {
		v.show(filepath.Dir(last))
	} else {
		v.show(last)
	}
}

// hidden are the private folders below what is shown, where they are seen.
func (v *view) hidden(private []string) (hide []string) {
	for _, folder := range private {
		for _, shown := range v.Show {
			if below, err := filepath.Rel(real(shown), real(folder)); err == nil && filepath.IsLocal(below) && below != "." {
				hide = append(hide, filepath.Join(shown, below))
			}
		}
	}
	return hide
}

// boxName is what a process is called that is to shut itself in.
const boxName = "factgate-box"

// entered says that this program calls Enter: a process of it can be told to shut
// itself in.
var entered bool

var errNotEntered = errors.New("the program does not begin with external.Enter")

// start starts a process of this program in the namespaces of cmd, which shuts itself
// in and becomes the program.
func (v *view) start(cmd *exec.Cmd, c call) (scratch *os.File, err error) {
	here := *v
	here.From, here.Space, here.Folder = c.work.path, c.space, c.folder
	text, err := json.Marshal(here)
	if err != nil {
		return nil, err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "box"), os.NewFile(uintptr(pair[1]), "box")
	defer func() { _ = ours.Close() }() // all is read
	cmd.Args = append([]string{boxName, string(text), c.program}, c.args...)
	cmd.Path, cmd.Dir, cmd.Err = "/proc/self/exe", "/", nil
	cmd.ExtraFiles = []*os.File{theirs}
	if cmd.SysProcAttr.Cloneflags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.AmbientCaps = []uintptr{capSetPCap, capSysChroot, capSysAdmin} // without root they end with exec otherwise
	}
	err = cmd.Start()
	_ = theirs.Close() // what it was for has happened, or has not
	if err != nil {
		return nil, err
	}
	scratch, err = shutIn(pair[0])
	if err != nil {
		_ = cmd.Cancel()
		_ = cmd.Wait() // it was ended
		if scratch != nil {
			_ = scratch.Close()
		}
		return nil, err
	}
	return scratch, nil
}

// shutIn hears from a process that shuts itself in: first the folder it writes in, then
// nothing, as becoming the program closes the socket.
func shutIn(socket int) (scratch *os.File, err error) {
	text, control := make([]byte, maxSaid), make([]byte, syscall.CmsgSpace(4))
	for {
		n, c, _, _, err := syscall.Recvmsg(socket, text, control, syscall.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return scratch, err
		case n == 0 && scratch == nil:
			return nil, errors.New("it ended before it was shut in")
		case n == 0:
			return scratch, nil
		case c == 0 || scratch != nil:
			return scratch, errors.New(string(text[:n]))
		}
		messages, err := syscall.ParseSocketControlMessage(control[:c])
		if err != nil || len(messages) != 1 {
			return nil, fmt.Errorf("the box sent no folder: %w", err)
		}
		files, err := syscall.ParseUnixRights(&messages[0])
		if err != nil || len(files) != 1 {
			return nil, fmt.Errorf("the box sent no folder: %w", err)
		}
		scratch = os.NewFile(uintptr(files[0]), seenScratch)
	}
}

// maxSaid bounds what a process that shuts itself in may say.
const maxSaid = 4 << 10

// full reports whether nothing more can be written.
func full(scratch *os.File) bool {
	if scratch == nil {
		return false
	}
	var stat syscall.Statfs_t
	err := syscall.Fstatfs(int(scratch.Fd()), &stat)
	return err == nil && (stat.Bavail == 0 || stat.Ffree == 0)
}

// sizeOf is what a copy of a folder takes in memory.
func sizeOf(folder string) (bytes, entries int64, err error) {
	const page = 4096
	err = filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		entries++
		bytes += page + (info.Size()+page-1)/page*page
		return nil
	})
	return bytes, entries, err
}
