package pgdev

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	socketPort = "5432" // no port is opened; it is part of the socket's name
	socketFile = ".s.PGSQL." + socketPort
	// socketPathMax fits every system: Linux allows 107 bytes, macOS 103.
	socketPathMax = 103
)

// openSocketDir makes the private folder of the socket and opens it. That is
// DIR/postgres/run, unless clients could not name the socket there: its path may
// be too long, a comma separates hosts in a DSN, a double quote means something
// in the server's list of folders. Then it is a folder in the system's temporary
// folder, named after the data folder.
func (c *cluster) openSocketDir() error {
	if dir := filepath.Join(c.dir, "run"); nameable(dir) {
		if err := c.base.Mkdir("run", 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		f, err := c.base.Open("run")
		if err != nil {
			return err
		}
		c.socket, c.socketDir = f, dir
		return c.own(f)
	}
	for _, tmp := range []string{os.TempDir(), "/tmp"} {
		// Anybody may put something in our place; then the next name will do.
		for i := range 4 {
			sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", c.dir, os.Geteuid(), i))
			dir := filepath.Join(tmp, fmt.Sprintf("factgate-%x", sum[:6]))
			if !filepath.IsAbs(dir) || !nameable(dir) {
				break
			}
			if f := c.privateDir(dir); f != nil {
				c.socket, c.socketDir, c.socketTemp = f, dir, true
				return c.own(f)
			}
		}
	}
	return fmt.Errorf("the path %s is too long for a Unix socket, and no private folder could be made in %s instead; give factgate a data folder with a shorter path", c.dir, os.TempDir())
}

func nameable(dir string) bool {
	return len(dir)+len("/"+socketFile) <= socketPathMax && !strings.ContainsAny(dir, ",\"\x00")
}

// privateDir makes or takes dir, or returns nil if it is not ours. What it
// returns was checked on the open folder itself, not on its name.
func (c *cluster) privateDir(dir string) *os.File {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	if st, err := f.Stat(); err == nil {
		owner := int(st.Sys().(*syscall.Stat_t).Uid)
		if owner == os.Geteuid() || owner == c.account.uid {
			return f
		}
	}
	f.Close()
	return nil
}

// own makes a folder the server's, and private.
func (c *cluster) own(dir *os.File) error {
	if c.account.drop {
		if err := dir.Chown(c.account.uid, c.account.gid); err != nil {
			return err
		}
	}
	return dir.Chmod(0o700)
}

// dsn is understood by pgx and libpq alike. libpq takes a plus sign in a URI for
// what it is, hence the %20.
func dsn(socketDir, database string) string {
	q := url.Values{"host": {socketDir}, "port": {socketPort}, "user": {role}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}
