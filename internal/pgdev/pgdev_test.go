package pgdev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// childDir makes the test binary another factgate: it starts a server in the
// folder this variable names, says so, and waits to be killed.
const childDir = "PGDEV_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := Start(context.Background(), Options{Dir: dir})
		if err != nil {
			fmt.Println("refused", err)
			os.Exit(1)
		}
		fmt.Println("ready", s.URL())
		_, _ = os.Stdin.Read(make([]byte, 1)) // the parent never writes
		os.Exit(2)
	}
	goleak.VerifyTestMain(m)
}

// factgate runs another process on dir and returns its first line.
func factgate(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return cmd, strings.TrimSpace(line)
}

func options(t *testing.T, dir string) Options {
	return Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func start(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(t.Context(), options(t, dir))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // where its answer matters, the test stops
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	require.NoError(t, s.Stop(t.Context()))
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, url, sql string) {
	t.Helper()
	require.NoError(t, execute(t.Context(), url, sql))
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

func ask[T any](t *testing.T, url, sql string) (answer T) {
	t.Helper()
	require.NoError(t, connect(t, url).QueryRow(t.Context(), sql).Scan(&answer))
	return answer
}

func pidOf(t *testing.T, s *Server) int {
	t.Helper()
	pid := s.cluster.postmaster()
	require.NotZero(t, pid)
	return pid
}

func TestDataSurvivesStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	url := s.URL()
	run(t, url, "create table kept as select 42 as answer")

	for setting, want := range map[string]string{
		"listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"jit": "off", "max_connections": "100", "server_encoding": "UTF8", "lc_messages": "C",
	} {
		require.Equal(t, want, ask[string](t, url, "show "+setting), setting)
	}
	require.Equal(t, "C", ask[string](t, url, "select datcollate from pg_database where datname = current_database()"))
	require.Equal(t, role, ask[string](t, url, "select current_user::text"))
	require.Equal(t, role, ask[string](t, url, "select current_database()::text"))

	open := connect(t, url) // a session does not hold up the stop
	stop(t, s)
	require.Error(t, open.Ping(t.Context()))
	stop(t, s) // so already

	s = start(t, dir)
	require.Equal(t, url, s.URL())
	require.Equal(t, 42, ask[int](t, url, "select answer from kept"))

	// A stop without patience costs a recovery, no data.
	run(t, url, "insert into kept values (43)")
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Stop(impatient), context.Canceled)
	s, err := Start(t.Context(), options(t, dir))
	require.NoError(t, err)
	require.Equal(t, 2, ask[int](t, url, "select count(*)::int from kept"))
	stop(t, s)
}

func TestSecondFactgateIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)

	_, err := Start(t.Context(), options(t, dir))
	var inUse *InUseError
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, InUseError{Dir: dir, PID: os.Getpid()}, *inUse)
	require.Contains(t, err.Error(), "--data")

	_, line := factgate(t, dir)
	require.Contains(t, line, fmt.Sprintf("refused private PostgreSQL: the data folder %s is in use by another factgate (process %d)", dir, os.Getpid()))

	run(t, s.URL(), "select 1") // undisturbed
}

func TestKilledServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	run(t, s.URL(), "create table kept as select 1 as n")
	for n := range 2 {
		before := pidOf(t, s)
		require.NoError(t, syscall.Kill(before, syscall.SIGKILL))
		require.Eventually(t, func() bool {
			return execute(t.Context(), s.URL(), "insert into kept values (0)") == nil && s.cluster.postmaster() != before
		}, 20*time.Second, 20*time.Millisecond)
		require.GreaterOrEqual(t, ask[int](t, s.URL(), "select count(*)::int from kept"), n+2)
	}
}

func TestStopDuringRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	require.NoError(t, syscall.Kill(pidOf(t, s), syscall.SIGKILL))
	_ = s.Stop(t.Context()) // may say that the process it was to stop had been killed
	s = start(t, dir)
	run(t, s.URL(), "select 1")
}

func TestKilledFactgate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for n := range 2 {
		child, line := factgate(t, dir)
		url, ok := strings.CutPrefix(line, "ready ")
		require.True(t, ok, line)
		if n == 0 {
			run(t, url, "create table kept(n int)")
		}
		run(t, url, "insert into kept values (1)")
		require.NoError(t, child.Process.Kill())
		_ = child.Wait()
	}
	s := start(t, dir)
	require.Equal(t, 2, ask[int](t, s.URL(), "select count(*)::int from kept"))
}

// orphan leaves a server running on dir that nobody watches.
func orphan(t *testing.T, dir string) (pid int) {
	t.Helper()
	c, err := openCluster(t.Context(), options(t, dir).withDefaults())
	require.NoError(t, err)
	defer c.close() // gives up the lock, as a death does
	p, err := c.launch(t.Context())
	require.NoError(t, err)
	return p.pid
}

func TestOrphanIsReplaced(t *testing.T) {
	t.Parallel()
	for name, frozen := range map[string]bool{"asked": false, "forced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pid := orphan(t, dir)
			proc, err := os.FindProcess(pid)
			require.NoError(t, err)
			defer proc.Release()
			o := options(t, dir)
			if frozen { // deaf to anything but SIGKILL
				require.NoError(t, proc.Signal(syscall.SIGSTOP))
				o.patience = 200 * time.Millisecond
			}
			s, err := Start(t.Context(), o)
			require.NoError(t, err)
			require.NotEqual(t, pid, pidOf(t, s))
			require.ErrorIs(t, proc.Signal(syscall.Signal(0)), os.ErrProcessDone)
			run(t, s.URL(), "select 1")
			stop(t, s)
		})
	}
}

// After a reboot the number in the pid file may be anybody's; here it is ours,
// and PostgreSQL alone would refuse to start.
func TestStalePidOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	data := filepath.Join(dir, "postgres", "data")
	socketLock := filepath.Join(s.cluster.socketDir, socketFile+".lock")
	pidFile, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	require.NoError(t, err)
	lock, err := os.ReadFile(socketLock)
	require.NoError(t, err)
	old := fmt.Sprint(pidOf(t, s))
	stop(t, s)

	// A process of the server's account that is no server of this cluster.
	bystander := exec.Command("/bin/cat")
	bystander.SysProcAttr = &syscall.SysProcAttr{}
	if a := s.cluster.account; a.drop {
		bystander.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	in, err := bystander.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, bystander.Start())
	defer func() {
		in.Close()
		require.NoError(t, bystander.Wait(), "nobody hurt it")
	}()
	for path, text := range map[string][]byte{filepath.Join(data, "postmaster.pid"): pidFile, socketLock: lock} {
		stale := strings.Replace(string(text), old, fmt.Sprint(bystander.Process.Pid), 1)
		require.NoError(t, os.WriteFile(path, []byte(stale), 0o600))
		require.NoError(t, os.Chown(path, s.cluster.account.uid, s.cluster.account.gid))
	}
	s = start(t, dir)
	run(t, s.URL(), "select 1")
	stop(t, s)
}

func TestAnyPath(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long/", 30) + "end"
	for name, below := range map[string]string{
		"long": long, "spaces and 中文": "a b/数据 %41+&'", "comma": "a,b", "quote": `a"b`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// As for a clone in /root: only its owner may enter it.
			private := filepath.Join(t.TempDir(), "private")
			require.NoError(t, os.Mkdir(private, 0o700))
			dir := filepath.Join(private, below)
			s := start(t, dir)
			run(t, s.URL(), "create table kept as select 7 as n")
			st, err := os.Stat(s.cluster.socketDir)
			require.NoError(t, err)
			require.Equal(t, os.ModeDir|0o700, st.Mode())
			require.LessOrEqual(t, len(s.cluster.socketDir+"/"+socketFile), socketPathMax)
			stop(t, s)
			if s.cluster.socketTemp {
				require.NoDirExists(t, s.cluster.socketDir)
			}
			s = start(t, dir)
			require.Equal(t, 7, ask[int](t, s.URL(), "select n from kept"))
			stop(t, s)
		})
	}
}

// Somebody else's folder under the name we would use is left alone.
func TestSquattedSocketFolder(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	s := start(t, dir)
	first := s.cluster.socketDir
	require.Equal(t, tmp, filepath.Dir(first))
	stop(t, s)

	require.NoError(t, os.Symlink(t.TempDir(), first))
	s = start(t, dir)
	require.NotEqual(t, first, s.cluster.socketDir)
	run(t, s.URL(), "select 1")
	stop(t, s)
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// And one that was killed instead left half a cluster.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "postgres", unfinished+"x", "global"), 0o700))
	deadlines := []time.Duration{0, 15, 40, 100, 200, 350, 500, 700}
	for _, ms := range deadlines {
		ctx, cancel := context.WithTimeout(t.Context(), ms*time.Millisecond)
		s, err := Start(ctx, options(t, dir))
		cancel()
		if err == nil { // a fast machine
			stop(t, s)
		} else {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		requireNoProcess(t, dir)
	}
	s := start(t, dir)
	run(t, s.URL(), "select 1")
	stop(t, s)
	requireNoProcess(t, dir)
	rest, err := filepath.Glob(filepath.Join(dir, "postgres", unfinished+"*"))
	require.NoError(t, err)
	require.Empty(t, rest)
}

func TestFailureShowsTheServersWords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	stop(t, s)
	control := filepath.Join(dir, "postgres", "data", "global", "pg_control")
	require.NoError(t, os.Truncate(control, 0))

	_, err := Start(t.Context(), options(t, dir))
	var failed *ServerError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, strings.Join(failed.Said, "\n"), "pg_control")
	require.Contains(t, failed.Advice, "damaged")
	require.Contains(t, err.Error(), filepath.Join(dir, "postgres", logName))
	requireNoProcess(t, dir)

	require.NoError(t, os.Remove(filepath.Join(dir, "postgres", "data", "PG_VERSION")))
	_, err = Start(t.Context(), options(t, dir))
	require.ErrorContains(t, err, "is no PostgreSQL cluster")
}

func TestNoDir(t *testing.T) {
	_, err := Start(t.Context(), Options{})
	require.ErrorContains(t, err, "no data folder")
}

func TestOtherRolesAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	for _, other := range []string{"postgres", "root"} {
		err := execute(t.Context(), strings.Replace(s.URL(), "user="+role, "user="+other, 1), "select 1")
		require.ErrorContains(t, err, "no pg_hba.conf entry")
	}
	run(t, s.URL(), "select 1")
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	base, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer base.Close()
	var noted int
	l := &serverLog{base: base, note: func(string) { noted++ }}
	line := strings.Repeat("x", 1000) + "\n"
	l.consume(strings.NewReader(strings.Repeat(line, 3*logLimit/len(line)) + "the last words"))
	for _, name := range []string{logName, logName + ".1"} {
		st, err := base.Stat(name)
		require.NoError(t, err)
		require.LessOrEqual(t, st.Size(), int64(logLimit))
	}
	said := l.said()
	require.Len(t, said, logTail)
	require.Equal(t, "the last words", said[logTail-1])
	require.Len(t, said[0], logLineKept)
	require.Equal(t, 3*logLimit/len(line)+1, noted)
}

func FuzzDSN(f *testing.F) {
	for _, dir := range []string{"/d", "/a b", "/a+b%20", "/ä?&=#;'", `/\`} {
		f.Add(dir)
	}
	f.Fuzz(func(t *testing.T, dir string) {
		if !strings.HasPrefix(dir, "/") || !nameable(dir) {
			return
		}
		cfg, err := pgx.ParseConfig(dsn(dir, role))
		require.NoError(t, err)
		require.Equal(t, dir, cfg.Host)
		require.Equal(t, role, cfg.Database)
		require.Equal(t, role, cfg.User)
	})
}

func FuzzPidFile(f *testing.F) {
	f.Add("12\n/d\n1\n5432\n/s\n\n1 2\nready   \n")
	f.Add("12\n/d\n1\n5432\n/s\n\n1 2\nstarting\n")
	f.Add("-1\n")
	base, err := os.OpenRoot(f.TempDir())
	require.NoError(f, err)
	require.NoError(f, base.Mkdir("data", 0o700))
	f.Cleanup(func() { base.Close() })
	c := &cluster{base: base}
	f.Fuzz(func(t *testing.T, text string) {
		require.NoError(t, base.WriteFile("data/postmaster.pid", []byte(text), 0o600))
		pid, ready := c.pidFile()
		require.GreaterOrEqual(t, pid, 0)
		require.False(t, ready && pid == 0)
	})
}

func TestErrorsAreWrapped(t *testing.T) {
	cause := errors.New("exit status 1")
	require.ErrorIs(t, &ServerError{Doing: "x", Err: cause}, cause)
}
