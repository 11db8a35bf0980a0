package pgdev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// install puts programs that only know their version into root/sub.
func install(t *testing.T, root, sub, version string) Binaries {
	t.Helper()
	dir := filepath.Join(root, sub)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	b := Binaries{InitDB: filepath.Join(dir, "initdb"), Postgres: filepath.Join(dir, "postgres")}
	for _, p := range []string{b.InitDB, b.Postgres} {
		require.NoError(t, os.WriteFile(p, []byte("#!/bin/sh\necho 'postgres (PostgreSQL) "+version+"'\n"), 0o755))
	}
	return b
}

// openTempDir is one that the server's account can enter, too.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	return dir
}

func TestPreference(t *testing.T) {
	root := t.TempDir()
	nine := install(t, root, "lib/9.6/bin", "9.6.1")
	fifteen := install(t, root, "lib/15/bin", "15.2")
	hundred := install(t, root, "lib/100/bin", "100.1")
	onPath := install(t, root, "own", "14.0")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "linked"), 0o755))
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.Symlink(filepath.Join(root, "lib/15/bin", name), filepath.Join(root, "linked", name)))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "lib/200/bin"), 0o755)) // client only: no server in it
	patterns := []string{filepath.Join(root, "lib/*/bin")}

	require.Equal(t, []Binaries{hundred, fifteen, nine}, finder{patterns: patterns}.candidates())
	require.Equal(t, []Binaries{onPath, hundred, fifteen, nine},
		finder{path: "relative:" + filepath.Dir(onPath.Postgres), patterns: patterns}.candidates())
	linked := Binaries{InitDB: filepath.Join(root, "linked/initdb"), Postgres: filepath.Join(root, "linked/postgres")}
	require.Equal(t, []Binaries{linked, hundred, nine},
		finder{path: filepath.Join(root, "linked"), patterns: patterns}.candidates(), "the same installation is listed once")
}

func TestFindBinariesHere(t *testing.T) {
	b, err := FindBinaries()
	require.NoError(t, err, "these tests need a PostgreSQL server")
	require.FileExists(t, b.InitDB)
	require.FileExists(t, b.Postgres)
}

func TestNotFoundSaysWhatToType(t *testing.T) {
	release := filepath.Join(t.TempDir(), "os-release")
	for text, want := range map[string]string{
		"NAME=\"Debian\"\nID=debian\n":            "apt-get install -y postgresql",
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"": "apt-get install -y postgresql",
		"ID=\"rocky\"\nID_LIKE=\"rhel fedora\"\n": "dnf install -y postgresql-server",
		"ID=alpine\n":                        "apk add postgresql",
		"ID=opensuse-leap\nID_LIKE='suse'\n": "zypper install -y postgresql-server",
		"ID=arch\n":                          "pacman -S --noconfirm postgresql",
		"ID=plan9\n":                         "",
	} {
		require.NoError(t, os.WriteFile(release, []byte(text), 0o600))
		require.Equal(t, want, installCommand("linux", release, true), text)
		if want != "" {
			require.Equal(t, "sudo "+want, installCommand("linux", release, false))
		}
	}
	require.Equal(t, "brew install postgresql", installCommand("darwin", "", false))

	require.NoError(t, os.WriteFile(release, []byte("ID=debian\n"), 0o600))
	o := options(t, t.TempDir())
	o.finder = finder{path: t.TempDir(), patterns: []string{"/nowhere/*/bin"}, osRelease: release}
	_, err := Start(t.Context(), o)
	var missing *NotFoundError
	require.ErrorAs(t, err, &missing)
	require.Contains(t, err.Error(), "type: "+installCommand("linux", release, os.Geteuid() == 0))
	require.Contains(t, err.Error(), "--database")
	require.NotContains(t, err.Error(), "\n")

	o.finder.osRelease = "/nowhere"
	_, err = Start(t.Context(), o)
	require.ErrorContains(t, err, "install the PostgreSQL server package of your system")
}

func TestUnfitBinaries(t *testing.T) {
	t.Parallel()
	root := openTempDir(t)
	old := install(t, root, "old", "9.6.24")
	newer := install(t, root, "newer", "99.1")
	odd := install(t, root, "odd", "of some sort")
	only := func(bs ...Binaries) finder {
		var dirs []string
		for _, b := range bs {
			dirs = append(dirs, filepath.Dir(b.Postgres))
		}
		return finder{path: strings.Join(dirs, ":"), patterns: []string{"/nowhere"}}
	}

	o := options(t, t.TempDir())
	o.finder = only(old, odd)
	_, err := Start(t.Context(), o)
	require.ErrorContains(t, err, "9 is older than 13")
	require.ErrorContains(t, err, "unexpected answer")

	// A cluster keeps to its version: a newer server in front is passed over ...
	stop(t, start(t, o.Dir))
	o.finder = systemFinder()
	o.finder.path = only(newer).path + ":" + o.finder.path
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	stop(t, s)
	// ... and alone is refused.
	o.finder = only(newer)
	_, err = Start(t.Context(), o)
	require.ErrorContains(t, err, "was made by PostgreSQL")
	require.ErrorContains(t, err, "version 99")
}

func FuzzMajorVersion(f *testing.F) {
	f.Add("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n")
	f.Add("postgres (PostgreSQL) 19beta1")
	f.Add("postgres (PostgreSQL) 99999999999999999999")
	f.Add("postgres")
	f.Fuzz(func(t *testing.T, answer string) {
		v, ok := majorVersion(answer)
		require.GreaterOrEqual(t, v, 0)
		require.False(t, ok && !strings.Contains(answer, "(PostgreSQL)"))
	})
}
