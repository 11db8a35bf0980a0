package external

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// told runs a script in a box and returns the lines that it prints.
func told(t *testing.T, script, rest string, private ...string) (lines []string) {
	t.Helper()
	s, err := New(t.Context(), parsed(t, `(`+script+`) 2>&1 | sed 's/^/a.txt:1:note:T:/'`, rest), private...)
	require.NoError(t, err)
	require.Empty(t, s.Exposed(), "these tests want a system with namespaces")
	got, _, err := scan(t, s, map[string]string{"a.txt": ""})
	require.NoError(t, err)
	for _, f := range got {
		lines = append(lines, f.Message.En)
	}
	return lines
}

func TestACommandSeesNothingOfTheMachine(t *testing.T) {
	home, data := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	secrets := []string{filepath.Join(home, ".ssh", "id"), filepath.Join(data, "events", "log"), filepath.Join(os.TempDir(), fmt.Sprintf("factgate-secret-%d", os.Getpid()))}
	for _, secret := range secrets {
		require.NoError(t, os.MkdirAll(filepath.Dir(secret), 0o700))
		require.NoError(t, os.WriteFile(secret, []byte("s3cret"), 0o600))
	}
	t.Cleanup(func() { _ = os.Remove(secrets[2]) })
	script := "for f in " + strings.Join(secrets, " ") + `; do cat "$f"; done; for d in /root /home /run /etc/shadow /etc/ssl/private /sys /var/lib /dev/sda /dev/vda /dev/mem; do ls -d $d; done; :`

	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(out), "s3cret"), "outside it is all there")
	require.Contains(t, string(out), "/run")

	lines := told(t, script, "", data)
	require.Len(t, lines, 13)
	for _, line := range lines {
		require.Contains(t, line, "No such file or directory")
	}
	require.Equal(t, []string{"bin", "dev", "etc", "factgate-scan", "proc", "tmp", "usr", "var"}, slices.DeleteFunc(told(t, "ls /", ""), func(name string) bool {
		return strings.HasPrefix(name, "lib") || slices.Contains([]string{"sbin", "nix", "gnu"}, name)
	}))
	require.Equal(t, []string{"/factgate-scan/files", "/factgate-scan/home"}, told(t, `pwd; echo $HOME`, ""), "the same in each scan")
}

// A command of root's is no root in there.
func TestACommandMayChangeNothingOfTheMachine(t *testing.T) {
	for script, says := range map[string]string{
		`touch /usr/here`:                       "Read-only file system",
		`touch /here`:                           "Read-only file system",
		`touch /etc/here`:                       "Read-only file system",
		`echo x >/proc/sys/kernel/core_pattern`: "Read-only file system",
		`mount -o remount,rw,bind /usr`:         "mount",
		`umount -l /proc`:                       "umount",
		`unshare -Urm sh -c 'mount -o remount,rw,bind /usr && touch /usr/here' || echo no`: "no",
		`unshare -Urm sh -c 'umount -l / ; umount -l /usr; ls -d /root' || echo no`:        "no",
		`grep -c 'Cap[A-Z][a-z]*:.0*$' /proc/self/status`:                                  "5",
		`grep NoNewPrivs /proc/self/status`:                                                "NoNewPrivs:\t1",
		`ls -d /proc/[0-9]* | wc -l | sed 's/^[1-9]$/few/'`:                                "few",
		`ls -l /proc/self/fd | grep -c socket`:                                             "0",
		`chmod 666 /dev/null`:                                                              "Read-only file system",
		`chmod 666 /proc/self/fd/0`:                                                        "Read-only file system",
		`touch /proc/self/fd/0`:                                                            "Read-only file system",
		`echo x >/dev/null && head -c 4 /dev/urandom | wc -c`:                              "4",
		`echo x >/tmp/x && cat /tmp/x /var/tmp/x`:                                          "x",
		`id -un`: "factgate",
	} {
		lines := told(t, script, "")
		require.NotEmpty(t, lines, script)
		require.Contains(t, lines[len(lines)-1], says, script)
	}
}

func TestWhoWritesTooMuchHasNotScanned(t *testing.T) {
	large := make([]byte, 3<<20)
	_, _ = rand.Read(large) // it never fails
	files := map[string]string{"a.txt": string(large)}
	for name, script := range map[string]string{
		"in its folder": `cat /dev/zero >big; exit 0`,
		"in /tmp":       `cat /dev/zero >/tmp/big; exit 0`,
		"and waits":     `cat /dev/zero >"$HOME/big"; sleep 600`,
		"many files":    `i=0; while [ $i -lt 100 ]; do mkdir d$i && (cd d$i && seq 2000 | xargs touch) || exit 0; i=$((i+1)); done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, coverage, err := scan(t, define(t, script, "limits: {space: 1MiB}\n"), files)
			require.ErrorIs(t, err, errTooMuchSpace)
			require.Zero(t, coverage.Seen)
		})
	}
	_, _, err := scan(t, define(t, `head -c 900000 /dev/zero >big`, "limits: {space: 1MiB}\n"), files)
	require.NoError(t, err)
}

func TestWhatIsReadableIsSeen(t *testing.T) {
	tools := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(tools, "words"), []byte("yes\n"), 0o600))
	require.Equal(t, []string{"yes"}, told(t, "cat "+tools+"/words", "readable: ["+tools+"]\n"))
	require.Contains(t, told(t, "touch "+tools+"/words", "readable: ["+tools+"]\n")[0], "Read-only")
	require.Contains(t, told(t, "cat "+tools+"/words", "")[0], "No such file")
	require.Equal(t, []string{"yes"}, told(t, "cat "+tools+"/words", "readable: ["+tools+"/words, "+tools+"]\n"))
}

func TestWhatMustNotBeShownIsRefused(t *testing.T) {
	home, above, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	data := filepath.Join(above, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	t.Setenv("HOME", home)
	link := filepath.Join(elsewhere, "link")
	require.NoError(t, os.Symlink(data, link))
	for path, says := range map[string]string{
		"/": "holds all of", "/etc": "holds all of /etc", "/home": "holds all of /home", "/root/": "holds all of /root", "/var": "holds all of",
		"/home/alice": "somebody's home", "/run/docker.sock": "sockets", "/proc/1": "sockets", "/var/run": "sockets", os.TempDir(): "holds all of",
		home: "holds all of " + home, data: "Factgate's own folder", data + "/events": "lies in Factgate's own folder",
		above: "Factgate's own folder", link: "Factgate's own folder", elsewhere + "/none": "no such file",
	} {
		_, err := New(t.Context(), parsed(t, "true", fmt.Sprintf("readable: [%q]\n", path)), data)
		require.ErrorContains(t, err, says, path)
	}
	_, err := Parse(strings.NewReader("type: X\ncommand: [a]\nfiles: [b]\noutput: {format: sarif}\nreadable: [tools, ../x]\n"))
	require.ErrorContains(t, err, `readable: "tools" is no whole path`)
	_, err = Parse(strings.NewReader("type: X\ncommand: [a]\nfiles: [b]\noutput: {format: sarif}\nreadable: [" + strings.Repeat("/a, ", maxReadable+1) + "]\n"))
	require.ErrorContains(t, err, "at most 100")
}

// A definition that says {here} brings its folder along, without what is Factgate's.
func TestTheFolderOfADefinitionIsSeen(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "factgate-data")
	require.NoError(t, os.MkdirAll(data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "log"), []byte("s3cret"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "lint"), []byte("#!/bin/sh\ncat {here}/factgate-data/log; ls {here}/factgate-data; echo \"a.txt:1:note:T:seen $(cat \"$1\")\"\n"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "rules"), []byte("rules"), 0o600))
	file := filepath.Join(folder, "x.yaml")
	text := `{type: X, command: ["{here}/lint", "{here}/rules"], files: ["*.txt"], output: {format: lines, pattern: '^(?P<path>[^:]+):1:note:T:(?P<message>.*)$'}}`
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	d, err := ParseFile(file)
	require.NoError(t, err)
	s, err := New(t.Context(), d, data)
	require.NoError(t, err)
	got, _, err := scan(t, s, map[string]string{"a.txt": ""})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "seen rules", got[0].Message.En)

	_, err = New(t.Context(), d, folder)
	require.ErrorContains(t, err, "{here}: "+folder+" lies in Factgate's own folder")
	t.Setenv("HOME", folder)
	_, err = New(t.Context(), d)
	require.ErrorContains(t, err, "into a folder of their own")
}

// A program in a home folder is seen, the rest of that folder is not; a link to it too.
func TestAProgramIsSeenWhereverItLies(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	require.NoError(t, os.WriteFile(filepath.Join(home, "lint"), []byte("#!/bin/sh\nls \"${0%/*}\" "+home+" | sed 's/^/a.txt:1:note:T:/'\n"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, "secret"), nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Join(home, "lint"), filepath.Join(bin, "lint")))
	d := parsed(t, "", "")
	d.Command = []string{"lint"}
	s, err := New(t.Context(), d)
	require.NoError(t, err)
	got, _, err := scan(t, s, map[string]string{"a.txt": ""})
	require.NoError(t, err)
	var lines []string
	for _, f := range got {
		lines = append(lines, f.Message.En)
	}
	require.Equal(t, []string{home + ":", "lint", bin + ":", "lint"}, slices.Concat(lines[slices.Index(lines, home+":"):][:2], lines[slices.Index(lines, bin+":"):][:2]))
	require.NotContains(t, lines, "secret")

	_, _, err = scan(t, define(t, home+"/lint", ""), map[string]string{"a.txt": ""})
	require.ErrorContains(t, err, "listed under readable")
}

// What a command leaves where its output is awaited is not followed out of its folder,
// nor waited for.
func TestAnOutputIsAFileOfTheCommand(t *testing.T) {
	for script, says := range map[string]string{
		`cd ..; mv files other; ln -s / files`:            "did not write",
		`cd ..; mv files other; ln -s ../../../etc files`: "did not write",
		`mkdir -p etc; mkfifo etc/hostname`:               "something that is no file",
		`mkdir -p etc/hostname`:                           "something that is no file",
		`mkdir -p etc; ln -s /etc/hostname etc/hostname`:  "did not write",
	} {
		_, _, err := scan(t, define(t, script, "output: {format: sarif, from: etc/hostname}\n"), map[string]string{"a.txt": ""})
		require.ErrorContains(t, err, says, script)
	}
	require.FileExists(t, "/etc/hostname")
}

// Where the kernel gives no file system, the command runs as before, and that is said.
func TestACommandThatCannotBeShutInIsToldOf(t *testing.T) {
	entered = false
	defer func() { entered = true }()
	s := define(t, `ls -d /root /factgate-scan | sed 's/^/a.txt:1:note:T:/'`, "")
	require.Contains(t, s.Exposed().En, "it can read what Factgate's user can")
	require.Contains(t, s.Exposed().Zh, "可读取 Factgate 用户有权读取的一切")
	got, _, err := scan(t, s, map[string]string{"a.txt": ""})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "/root", got[0].Message.En)
}

// What the kernel refuses is said, and the command runs all the same.
func TestWhatTheKernelRefusesIsSaid(t *testing.T) {
	for script, says := range map[string][]string{
		`exec "$0"`: {"", ""},
		`mount -t tmpfs x /proc/irq && exec unshare --user --map-user=1000 --map-group=1000 "$0"`:                            {"see the processes of this machine", "可看到本机进程"},
		`echo 0 >/proc/sys/user/max_mnt_namespaces && exec "$0"`:                                                             {"no file system of its own", "系统无法为其提供独立的文件系统"},
		`echo 0 >/proc/sys/user/max_user_namespaces && exec "$0"`:                                                            {"", ""}, // it is root
		`echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$0"`: {"the system gives no namespaces", "系统不提供命名空间"},
	} {
		cmd := exec.CommandContext(t.Context(), "unshare", "-Urmpf", "--mount-proc", "sh", "-c", script, os.Args[0])
		cmd.Env = append(os.Environ(), asVictim+"=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", script, out)
		lines := strings.Split(string(out), "\n")
		require.Len(t, lines, 3, script)
		for i := range says {
			require.Contains(t, lines[i], says[i], script)
			require.Equal(t, says[i] == "", lines[i] == "", "%s: %s", script, out)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt2\\040x rw,noexec master:1 - ext3 /dev/root rw\n")
	f.Add("1 2 3 4 \\ 5\n\\1\n")
	f.Fuzz(func(t *testing.T, text string) {
		for at := range mounts(text) {
			require.NotEmpty(t, at)
		}
	})
}

func TestMountsAreRead(t *testing.T) {
	got := mounts("36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noexec,noatime master:1 - ext3 /dev/root rw,errors=continue\nbad line\n37 1 0:1 / / rw - ext4 x rw\n")
	require.Equal(t, []string{"/", `/mnt 2\x`}, slices.Sorted(maps.Keys(got)))
	require.NotZero(t, got[`/mnt 2\x`])
	require.Zero(t, got["/"])
}
