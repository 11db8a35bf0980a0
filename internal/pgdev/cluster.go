package pgdev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// minMajor is the oldest version still met in supported distributions.
const minMajor = 13

// cluster is DIR/postgres, locked and ready for a server to be launched on it.
type cluster struct {
	log      *slog.Logger
	finder   finder
	patience time.Duration // for each stage of ending a process

	dir  string   // DIR/postgres
	base *os.Root // the same, open: nothing below it leads outside
	lock *os.File

	account   account
	binaries  Binaries
	major     int
	baseDir   *os.File // base, to hand over
	socket    *os.File // the socket's folder, to hand over
	socketDir string   // its path
	// socketTemp: it lies in the temporary folder and goes with us.
	socketTemp bool

	// How the server knows the two folders.
	baseName, socketName string
	inherit              []*os.File
}

// openCluster takes the lock, then makes the cluster if there is none.
func openCluster(ctx context.Context, o Options) (_ *cluster, err error) {
	if o.Dir == "" {
		return nil, errors.New("no data folder given")
	}
	abs, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &cluster{log: o.Logger, finder: o.finder, patience: o.patience, dir: filepath.Join(abs, "postgres")}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	if c.base, err = os.OpenRoot(c.dir); err != nil {
		return nil, err
	}
	if err := c.takeLock(abs); err != nil {
		return nil, err
	}
	if c.account, err = chooseAccount(c.base); err != nil {
		return nil, err
	}
	if err := c.openFolders(); err != nil {
		return nil, err
	}
	made, err := c.madeBy()
	if err != nil {
		return nil, err
	}
	if err := c.chooseBinaries(ctx, made); err != nil {
		return nil, err
	}
	if made == 0 {
		if err := c.create(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// takeLock holds DIR/postgres/lock until close. The kernel frees it however we
// end, so a lock is never stale; the pid in it is only for people to read.
func (c *cluster) takeLock(dataDir string) error {
	f, err := c.base.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w; run factgate as the user who owns %s, or give it another folder with --data", err, dataDir)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w; the data folder must lie on a file system that can lock files", f.Name(), err)
		}
		text := make([]byte, 32)
		n, _ := f.ReadAt(text, 0)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:n])))
		return &InUseError{Dir: dataDir, PID: pid}
	}
	c.lock = f
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// openFolders opens what the server is handed.
func (c *cluster) openFolders() (err error) {
	if c.baseDir, err = c.base.Open("."); err != nil {
		return err
	}
	if c.account.drop {
		// The server's account passes through here, but cannot list or write.
		if st, err := c.baseDir.Stat(); err != nil {
			return err
		} else if int(st.Sys().(*syscall.Stat_t).Uid) != c.account.uid {
			if err := c.baseDir.Chmod(0o711); err != nil {
				return err
			}
		}
	}
	if err := c.openSocketDir(); err != nil {
		return err
	}
	c.baseName, c.socketName, c.inherit = handover(c.baseDir, c.socket)
	return nil
}

// madeBy returns the major version that made the cluster, 0 if there is none.
// A folder named data is always complete, since it only gets that name when it is.
func (c *cluster) madeBy() (int, error) {
	if _, err := c.base.Stat("data"); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	text, err := c.base.ReadFile("data/PG_VERSION")
	if err == nil {
		var v int
		if v, err = strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%s/data is no PostgreSQL cluster (%w); move it away and start again: factgate makes it anew from its event log", c.dir, err)
}

// chooseBinaries takes the first installation that the account can run and that
// fits the cluster (made, 0: any).
func (c *cluster) chooseBinaries(ctx context.Context, made int) error {
	all := c.finder.candidates()
	if len(all) == 0 {
		return c.finder.notFound()
	}
	var unfit []string
	for _, b := range all {
		v, err := c.version(ctx, b)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			unfit = append(unfit, fmt.Sprintf("%s: %v", b.Postgres, err))
		case v < minMajor:
			unfit = append(unfit, fmt.Sprintf("%s: version %d is older than %d", b.Postgres, v, minMajor))
		case made != 0 && v != made:
			unfit = append(unfit, fmt.Sprintf("%s: version %d", b.Postgres, v))
		default:
			c.binaries, c.major = b, v
			return nil
		}
	}
	found := strings.Join(unfit, "; ")
	if made != 0 {
		return fmt.Errorf("the cluster in %[1]s was made by PostgreSQL %[2]d, but there is only %[3]s; install version %[2]d, or move %[1]s away: factgate makes it anew from its event log", c.dir, made, found)
	}
	return fmt.Errorf("no usable PostgreSQL server: %s; %w", found, c.finder.notFound())
}

func (c *cluster) version(ctx context.Context, b Binaries) (int, error) {
	cmd := c.command(ctx, syscall.SIGKILL, b.Postgres, "--version")
	said, err := runTool(ctx, cmd)
	if err != nil {
		return 0, err
	}
	v, ok := majorVersion(said)
	if !ok {
		return 0, fmt.Errorf("unexpected answer to --version: %.80q", said)
	}
	if c.account.drop && len(c.inherit) == 0 {
		cmd := c.command(ctx, syscall.SIGKILL, b.Postgres, "--version")
		cmd.Dir = c.dir
		if _, err := runTool(ctx, cmd); err != nil {
			return 0, fmt.Errorf("uid %d, as which PostgreSQL has to run, may not enter %s; give --data a folder that it can reach: %w", c.account.uid, c.dir, err)
		}
	}
	return v, nil
}

const unfinished = "data.new-" // and a random part: a cluster in the making

// create makes the cluster under another name and gives it its own once all of
// it is on the disk: initdb ends with fsyncing everything, which is why it is
// not run with --no-sync although that would be a third faster. A crash at any
// moment leaves either a whole cluster or a folder that is swept next time.
func (c *cluster) create(ctx context.Context) (err error) {
	c.log.Info("making a private PostgreSQL cluster", "dir", c.dir, "version", c.major)
	c.sweepUnfinished()
	name := unfinished + strings.ToLower(rand.Text()[:10])
	defer func() {
		if err != nil {
			c.sweepUnfinished()
		}
	}()
	if err := c.base.Mkdir(name, 0o700); err != nil {
		return err
	}
	f, err := c.base.Open(name)
	if err != nil {
		return err
	}
	err = c.own(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("give %s to uid %d: %w", f.Name(), c.account.uid, err)
	}
	cmd := c.command(ctx, syscall.SIGKILL, c.binaries.InitDB,
		"--pgdata", c.baseName+"/"+name, "--username", role,
		"--encoding", "UTF8", "--locale", "C",
		"--auth-local", "peer", "--auth-host", "reject")
	if said, err := runTool(ctx, cmd); err != nil {
		if ctx.Err() != nil {
			return err
		}
		lines := lastLines(said)
		return &ServerError{Doing: "make a PostgreSQL cluster with " + c.binaries.InitDB, Err: err, Said: lines, Advice: advise(lines, c.dir)}
	}
	if err := c.base.Rename(name, "data"); err != nil {
		return err
	}
	return c.baseDir.Sync()
}

func (c *cluster) sweepUnfinished() {
	names, err := fs.Glob(c.base.FS(), unfinished+"*")
	for _, name := range names {
		err = errors.Join(err, c.base.RemoveAll(name))
	}
	if err != nil {
		c.log.Warn("an unfinished PostgreSQL cluster could not be removed", "err", err)
	}
}

// launch starts a server on the cluster and returns once it takes connections
// and the database exists. On error nothing of it is left running.
func (c *cluster) launch(ctx context.Context) (*process, error) {
	if err := c.endLeftovers(ctx); err != nil {
		return nil, err
	}
	c.clearStale()
	if err := c.configure(ctx); err != nil {
		return nil, err
	}
	log := &serverLog{base: c.base, note: c.noteRecovery}
	// When we die the server shuts down fast. ctx is not its lifetime.
	cmd := c.command(context.WithoutCancel(ctx), syscall.SIGINT, c.binaries.Postgres,
		"-D", c.baseName+"/data", "-c", "config_file="+c.baseName+"/postgresql.conf")
	p, err := spawn(cmd, log, c.patience)
	if err != nil {
		return nil, err
	}
	err = c.awaitReady(ctx, p)
	if err == nil {
		err = ensureDatabase(ctx, c.socketDir)
	}
	if err != nil {
		p.immediate(c.patience)
		return nil, err
	}
	return p, nil
}

// configure writes the server's configuration. Each file appears whole.
func (c *cluster) configure(ctx context.Context) error {
	account, err := ourAccount(ctx)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if c.account.drop {
		mode = 0o644 // the server reads what only we may write; no secrets in there
	}
	for name, text := range map[string]string{
		"postgresql.conf": settings(c.major, c.socketName, c.baseName),
		"pg_hba.conf":     hostBasedAuth,
		"pg_ident.conf":   identMap(account),
	} {
		_ = c.base.Remove(name + ".new")
		err := c.base.WriteFile(name+".new", []byte(text), mode)
		if err == nil {
			err = c.base.Chmod(name+".new", mode) // whatever our umask
		}
		if err == nil {
			err = c.base.Rename(name+".new", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitReady waits as long as it takes: a recovery may take minutes, and ending
// it would only start it over.
func (c *cluster) awaitReady(ctx context.Context, p *process) error {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	tell := time.NewTicker(5 * time.Second)
	defer tell.Stop()
	began := time.Now()
	for {
		select {
		case <-look.C:
			if pid, ready := c.pidFile(); ready && pid == p.pid {
				return nil
			}
		case <-tell.C:
			c.log.Info("PostgreSQL is still starting", "for", time.Since(began).Round(time.Second).String())
		case <-p.exited:
			return c.serverError("start PostgreSQL", p)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *cluster) serverError(doing string, p *process) error {
	err := p.err
	if err == nil {
		err = errors.New("it ended by itself")
	}
	said := p.log.said()
	return &ServerError{Doing: doing, Err: err, Said: said, LogFile: filepath.Join(c.dir, logName), Advice: advise(said, c.dir)}
}

func (c *cluster) noteRecovery(line string) {
	for _, phrase := range []string{
		"was not properly shut down", "was interrupted", "redo starts at", "redo in progress", "redo done at",
		"syncing data directory",
	} {
		if strings.Contains(line, phrase) {
			_, said, _ := strings.Cut(line, "LOG:  ")
			c.log.Info("PostgreSQL is recovering after a crash", "server", said)
			return
		}
	}
}

// ensureDatabase connects as a client would, and makes the database if this is
// the cluster's first start (or the first one died just here).
func ensureDatabase(ctx context.Context, socketDir string) error {
	conn, err := pgx.Connect(ctx, dsn(socketDir, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	err = conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", role).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+role)
	return err
}

// close gives everything back, the lock last. No server may be running.
func (c *cluster) close() {
	if c.socketTemp {
		_ = os.Remove(c.socketDir)
	}
	for _, f := range []*os.File{c.socket, c.baseDir} {
		if f != nil {
			f.Close()
		}
	}
	if c.lock != nil {
		// A child between fork and exec may hold a copy of the descriptor.
		_ = syscall.Flock(int(c.lock.Fd()), syscall.LOCK_UN)
		c.lock.Close()
	}
	if c.base != nil {
		c.base.Close()
	}
}
