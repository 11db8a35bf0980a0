package external

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// unfitToShow says why a command must not be shown a folder or a file of the machine;
// nil if it may.
func unfitToShow(path string, private []string) error {
	for _, at := range []string{path, real(path)} {
		for _, theirs := range []string{"/proc", "/sys", "/dev", "/run", "/var/run"} {
			if within(at, theirs) {
				return fmt.Errorf("%s belongs to the system: devices, sockets and what it says of processes are never shown", path)
			}
		}
		if parent := filepath.Dir(at); parent == "/home" || parent == "/Users" {
			return fmt.Errorf("%s is somebody's home folder", path)
		}
		whole := []string{"/etc", "/home", "/root", "/tmp", "/var/tmp", "/var/lib", os.TempDir(), real(os.TempDir())}
		if home, err := os.UserHomeDir(); err == nil {
			whole = append(whole, home, real(home))
		}
		for _, folder := range whole {
			if within(folder, at) {
				return fmt.Errorf("%s holds all of %s", path, folder)
			}
		}
	}
	for _, folder := range private {
		if holds(path, folder) {
			return fmt.Errorf("%s holds Factgate's own folder %s", path, folder)
		}
		if holds(folder, path) {
			return fmt.Errorf("%s lies in Factgate's own folder %s", path, folder)
		}
	}
	return nil
}

// readable checks the folders that a definition shows to its command.
func (d *Definition) readable(private []string) error {
	var wrong []error
	for _, path := range d.Readable {
		if err := unfitToShow(path, private); err != nil {
			wrong = append(wrong, fmt.Errorf("readable: %w; name the folder of the tool itself, such as /opt/tools", err))
		} else if _, err := os.Stat(path); err != nil {
			wrong = append(wrong, fmt.Errorf("readable: %w", err))
		}
	}
	return errors.Join(wrong...)
}

// holds reports whether a path is a folder or below it, whatever links lead there.
func holds(folder, path string) bool { return within(real(path), real(folder)) }

// within reports whether a path is a folder or below it.
func within(path, folder string) bool {
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}

// real is a path without links, as far as there is something at it.
func real(path string) string {
	for at, rest := filepath.Clean(path), ""; ; at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest) {
		if found, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(found, rest)
		}
		if at == filepath.Dir(at) {
			return filepath.Clean(path)
		}
	}
}
