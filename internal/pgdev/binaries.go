package pgdev

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Binaries names the two programs of one PostgreSQL installation that are
// needed here. Both come from the same folder, so they are of one version.
type Binaries struct {
	InitDB   string
	Postgres string
}

// FindBinaries looks for a PostgreSQL server on PATH and then in the folders
// where distributions keep it, newest version first. When there is none the
// error is a [*NotFoundError]. It runs nothing.
func FindBinaries() (Binaries, error) {
	f := systemFinder()
	found := f.candidates()
	if len(found) == 0 {
		return Binaries{}, f.notFound()
	}
	return found[0], nil
}

// NotFoundError says that this machine has no PostgreSQL server, and how to
// get one.
type NotFoundError struct {
	// Install is the command to type on this system; empty where we do not
	// know its package manager.
	Install string
	// Looked lists the patterns of the folders that were searched after PATH.
	Looked []string
}

// Error is one line.
func (e *NotFoundError) Error() string {
	do := "install the PostgreSQL server package of your system"
	if e.Install != "" {
		do = "type: " + e.Install
	}
	return fmt.Sprintf("no PostgreSQL server found (looked for initdb and postgres on PATH and in %s); %s  (or use a server you have: --database postgres://...)",
		strings.Join(e.Looked, ", "), do)
}

// finder is where to look; tests give their own.
type finder struct {
	path      string   // like $PATH
	patterns  []string // of folders, in order
	osRelease string   // file that names the distribution
}

// distributionFolders are kept in step with scripts/ensure-postgres.sh.
var distributionFolders = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // PGDG packages for Fedora, RHEL
	"/usr/lib/postgresql[0-9]*/bin",                      // openSUSE
	"/usr/libexec/postgresql[0-9]*",                      // Alpine
	"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

func systemFinder() finder {
	return finder{path: os.Getenv("PATH"), patterns: distributionFolders, osRelease: "/etc/os-release"}
}

// candidates lists every installation, the preferred first.
func (f finder) candidates() []Binaries {
	var found []Binaries
	seen := map[string]bool{}
	look := func(dir string) {
		b := Binaries{InitDB: filepath.Join(dir, "initdb"), Postgres: filepath.Join(dir, "postgres")}
		if !executable(b.InitDB) || !executable(b.Postgres) {
			return
		}
		// /usr/local/bin often links to the distribution's folder.
		real, err := filepath.EvalSymlinks(b.Postgres)
		if err != nil || seen[real] {
			return
		}
		seen[real] = true
		found = append(found, b)
	}
	for _, dir := range filepath.SplitList(f.path) {
		if filepath.IsAbs(dir) { // never run what happens to lie in the current folder
			look(dir)
		}
	}
	for _, pattern := range f.patterns {
		dirs, _ := filepath.Glob(pattern) // the only error is a malformed pattern
		slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(versionInPath(b), versionInPath(a)) })
		for _, dir := range dirs {
			look(dir)
		}
	}
	return found
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0
}

var digits = regexp.MustCompile(`\d+(\.\d+)?`)

// versionInPath reads 16 from /usr/pgsql-16/bin, and 9.6 as less than 10.
func versionInPath(dir string) float64 {
	v, _ := strconv.ParseFloat(digits.FindString(dir), 64)
	return v
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// majorVersion reads the answer to "postgres --version".
func majorVersion(answer string) (int, bool) {
	m := versionLine.FindStringSubmatch(answer)
	if m == nil {
		return 0, false
	}
	v, err := strconv.Atoi(m[1])
	return v, err == nil
}

func (f finder) notFound() *NotFoundError {
	return &NotFoundError{Install: installCommand(runtime.GOOS, f.osRelease, os.Geteuid() == 0), Looked: f.patterns}
}

// installCommand is what to type on this system, or "" if that is unknown.
func installCommand(goos, osRelease string, root bool) string {
	if goos == "darwin" {
		return "brew install postgresql"
	}
	sudo := "sudo "
	if root {
		sudo = ""
	}
	for _, id := range distribution(osRelease) {
		switch id {
		case "debian", "ubuntu":
			return sudo + "apt-get install -y postgresql"
		case "fedora", "rhel", "centos":
			return sudo + "dnf install -y postgresql-server"
		case "suse", "opensuse":
			return sudo + "zypper install -y postgresql-server"
		case "alpine":
			return sudo + "apk add postgresql"
		case "arch":
			return sudo + "pacman -S --noconfirm postgresql"
		}
	}
	return ""
}

// distribution lists the ID and then the ID_LIKE words of an os-release file.
func distribution(osRelease string) []string {
	f, err := os.Open(osRelease)
	if err != nil {
		return nil
	}
	defer f.Close()
	var id, like []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		words := strings.Fields(strings.Trim(value, `"'`))
		switch key {
		case "ID":
			id = words
		case "ID_LIKE":
			like = words
		}
	}
	return append(id, like...)
}
