package pgdev

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// requireNoProcess looks for whoever holds the descriptor that every program we
// start on the cluster inherits.
func requireNoProcess(t *testing.T, dir string) {
	t.Helper()
	base, err := os.Stat(filepath.Join(dir, "postgres"))
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	held, err := filepath.Glob("/proc/[0-9]*/fd/3")
	require.NoError(t, err)
	for _, fd := range held {
		st, err := os.Stat(fd)
		require.False(t, err == nil && os.SameFile(st, base), "%s is the cluster's folder", fd)
	}
}

// As root the server runs under an account that others may share. Its processes
// can reach a socket in the temporary folder, but only we get in.
func TestServersAccountIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), strings.Repeat("long/", 30)))
	if s.cluster.account.drop {
		require.ErrorContains(t, asAccount(t, s.cluster.account, s.URL()), "Peer authentication failed")
	}
	run(t, s.URL(), "select 1")
}

// asAccount connects as another account. The kernel takes the credentials from
// the thread that dials, so that thread changes them, and is thrown away.
func asAccount(t *testing.T, a account, url string) error {
	cfg, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	cfg.DialFunc = func(_ context.Context, network, addr string) (conn net.Conn, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(a.gid), uintptr(a.gid), uintptr(a.gid)); errno != 0 {
				err = errno
				return
			}
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(a.uid), uintptr(a.uid), uintptr(a.uid)); errno != 0 {
				err = errno
				return
			}
			conn, err = net.Dial(network, addr)
		}()
		<-done
		return conn, err
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		conn.Close(context.Background())
	}
	return err
}
