package external

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/zippkg"
)

// asVictim tells a process of this binary to say how exposed a command is, and to scan
// with one that takes so many seconds.
const asVictim = "FACTGATE_TEST_VICTIM"

func victim() {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_, err := w.Create("a.txt")
	must(err)
	must(w.Close())
	pkg, err := zippkg.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), zippkg.Limits{})
	must(err)
	d, err := Parse(strings.NewReader("type: X\ncommand: [sleep, \"" + os.Getenv(asVictim) + "\"]\nfiles: [a.txt]\noutput: {format: lines, pattern: '(?P<path>[^:]+):(?P<message>.*)'}\n"))
	must(err)
	s, err := New(context.Background(), d)
	must(err)
	fmt.Println(s.Exposed().En)
	fmt.Println(s.Exposed().Zh)
	_, err = s.Scan(context.Background(), pkg, &findings{})
	must(err)
	os.Exit(0)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runs reports whether there is a sleep of so many seconds.
func runs(t *testing.T, seconds string) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, file := range all {
		if text, err := os.ReadFile(file); err == nil && strings.HasSuffix(string(text), "/sleep\x00"+seconds+"\x00") {
			return true
		}
	}
	return false
}

func TestWhatAKilledProcessLeftIsSwept(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	left := func() (names []string) {
		names, err := filepath.Glob(filepath.Join(folder, workPrefix+"*"))
		require.NoError(t, err)
		return names
	}
	begin := func(seconds string) (kill func()) {
		cmd := exec.CommandContext(context.Background(), os.Args[0])
		cmd.Env = append(os.Environ(), asVictim+"="+seconds)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return runs(t, seconds) }, 30*time.Second, 5*time.Millisecond)
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			require.Eventually(t, func() bool { return !runs(t, seconds) }, 30*time.Second, 5*time.Millisecond, "the command outlives who started it")
		}
	}
	one, two := fmt.Sprintf("33%06d", os.Getpid()), fmt.Sprintf("34%06d", os.Getpid())
	killDead := begin(one)
	require.Len(t, left(), 1)
	dead := left()[0]
	killLiving := begin(two)
	require.Len(t, left(), 2)
	stranger, link := filepath.Join(folder, "factgate-check-1"), filepath.Join(folder, workPrefix+"link")
	require.NoError(t, os.Mkdir(stranger, 0o700))
	require.NoError(t, os.Symlink(stranger, link))
	own, err := newWork()
	require.NoError(t, err)

	killDead()
	require.FileExists(t, filepath.Join(dead, "files", "a.txt"))
	_, _, err = scan(t, define(t, "true", ""), map[string]string{"a.txt": ""})
	require.NoError(t, err)
	require.NoDirExists(t, dead)
	require.Len(t, left(), 3, "the living one, our own, and a link")
	require.True(t, runs(t, two))
	require.DirExists(t, own.files())

	require.NoError(t, own.remove())
	killLiving()
	sweepWork()
	require.Equal(t, []string{link}, left())
	require.DirExists(t, stranger)
}
