package pgdev

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const ensureScript = "../../scripts/ensure-postgres.sh"

// machine is a made-up system for the script: its own root folder, and a PATH
// with the basic tools and whatever the test adds.
type machine struct{ root, bin string }

func newMachine(t *testing.T, osRelease string) machine {
	t.Helper()
	m := machine{root: t.TempDir(), bin: t.TempDir()}
	for _, tool := range []string{"sh", "env", "grep", "mkdir", "mktemp", "rm", "tail", "tee", "cat", "chmod"} {
		path, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(m.bin, tool)))
	}
	m.tool(t, "uname", "echo Linux")
	require.NoError(t, os.MkdirAll(filepath.Join(m.root, "etc"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(m.root, "etc/os-release"), []byte(osRelease), 0o600))
	return m
}

func (m machine) tool(t *testing.T, name, script string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// ensure runs the script and returns what it said and its exit code.
func (m machine) ensure(t *testing.T) (string, int) {
	t.Helper()
	cmd := exec.Command("/bin/sh", ensureScript)
	cmd.Env = []string{"PATH=" + m.bin, "FACTGATE_TEST_ROOT=" + m.root, "TMPDIR=" + t.TempDir()}
	said, err := cmd.CombinedOutput()
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

// aptGet stands for the package manager: it writes down its calls, installs
// postgresql-common with its include folder, and then a server.
const aptGet = `
echo "$DEBIAN_FRONTEND: $*" >>"$FACTGATE_TEST_ROOT/calls"
etc=$FACTGATE_TEST_ROOT/etc/postgresql-common
case "$*" in
*"install"*"postgresql-common")
	mkdir -p "$etc"; echo "include_dir '/etc/postgresql-common/createcluster.d'" >"$etc/createcluster.conf" ;;
*"install"*"postgresql")
	cat "$etc"/createcluster.d/* >>"$FACTGATE_TEST_ROOT/calls"
	bin=$FACTGATE_TEST_ROOT/usr/lib/postgresql/15/bin
	mkdir -p "$bin"; for p in initdb postgres; do echo >"$bin/$p"; chmod 755 "$bin/$p"; done ;;
esac`

func TestEnsureIsSilentWhereThereIsAServer(t *testing.T) {
	m := newMachine(t, "ID=debian\n")
	install(t, m.root, "usr/pgsql-16/bin", "16.1")
	said, code := m.ensure(t)
	require.Empty(t, said)
	require.Equal(t, 0, code)

	m = newMachine(t, "ID=debian\n")
	m.tool(t, "initdb", "")
	m.tool(t, "postgres", "")
	said, code = m.ensure(t)
	require.Empty(t, said)
	require.Equal(t, 0, code)
}

func TestEnsureInstallsOnDebian(t *testing.T) {
	for name, tools := range map[string]map[string]string{
		"root": {"id": "echo 0"},
		"sudo": {"id": "echo 1000", "sudo": `[ "$1" = -n ] && shift && exec "$@"`, "true": ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "ID=debian\n")
			m.tool(t, "apt-get", aptGet)
			for tool, script := range tools {
				m.tool(t, tool, script)
			}
			said, code := m.ensure(t)
			require.Equal(t, 0, code, said)
			require.Equal(t, 1, strings.Count(said, "\n"), said)
			require.Contains(t, said, "installing the package postgresql")
			calls, err := os.ReadFile(filepath.Join(m.root, "calls"))
			require.NoError(t, err)
			const common = "noninteractive: -q -o DPkg::Lock::Timeout=300 "
			require.Equal(t, common+"update\n"+
				common+"install -y --no-install-recommends postgresql-common\n"+
				common+"install -y --no-install-recommends postgresql\n"+
				"create_main_cluster = false\n", string(calls))
			rest, err := os.ReadDir(filepath.Join(m.root, "etc/postgresql-common/createcluster.d"))
			require.NoError(t, err)
			require.Empty(t, rest, "the setting was for this installation alone")

			said, code = m.ensure(t)
			require.Empty(t, said)
			require.Equal(t, 0, code)
		})
	}
}

func TestEnsureSaysWhatToType(t *testing.T) {
	for name, c := range map[string]struct {
		release, id string
		tools       map[string]string
		want        string
	}{
		"sudo asks":    {"ID=ubuntu\n", "1000", map[string]string{"apt-get": "exit 9", "sudo": "exit 1"}, "type: sudo apt-get install -y postgresql "},
		"no sudo":      {"ID=debian\n", "1000", map[string]string{"apt-get": "exit 9"}, "type: sudo apt-get install -y postgresql "},
		"fedora":       {"ID=rocky\nID_LIKE=\"rhel centos fedora\"\n", "0", nil, "type: dnf install -y postgresql-server "},
		"alpine":       {"ID=alpine\n", "1000", nil, "type: sudo apk add postgresql "},
		"unknown":      {"ID=plan9\n", "0", nil, "install the PostgreSQL server package of your system"},
		"apt-get away": {"ID=debian\n", "0", map[string]string{"apt-get": "echo no network; exit 100"}, "type: apt-get update && apt-get install -y postgresql "},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.release)
			m.tool(t, "id", "echo "+c.id)
			for tool, script := range c.tools {
				m.tool(t, tool, script)
			}
			said, code := m.ensure(t)
			require.Equal(t, 1, code)
			lines := strings.Split(strings.TrimSpace(said), "\n")
			require.Contains(t, lines[len(lines)-1], c.want)
			if name == "apt-get away" {
				require.Contains(t, said, "no network\n")
			} else {
				require.Len(t, lines, 1)
			}
		})
	}
}

// The script and FindBinaries look in the same places.
func TestEnsureLooksWhereWeLook(t *testing.T) {
	script, err := os.ReadFile(ensureScript)
	require.NoError(t, err)
	require.Contains(t, string(script), "\nfolders='\n"+strings.Join(distributionFolders, "\n")+"\n'\n")
}
