package scanners_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// What a process that packages kill is told by its environment.
const (
	crashing      = "FACTGATE_TEST_CRASHING_SCANNER" // decide or scan: where it dies
	crashingStore = "FACTGATE_TEST_CRASHING_STORE"   // connection string; or it runs its own node:
	crashingNode  = "FACTGATE_TEST_CRASHING_NODE"    // its folder
	crashingAt    = "FACTGATE_TEST_CRASHING_AT"      // and address
	crashingBlobs = "FACTGATE_TEST_CRASHING_BLOBS"
)

// crashingScanner is a process that a package kills, as running out of memory would:
// nothing in it gets to say a last word.
func crashingScanner() {
	if err := runCrashingScanner(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runCrashingScanner() error {
	ctx, cancel := context.WithTimeout(context.Background(), testbench.Patience)
	defer cancel()
	connection := os.Getenv(crashingStore)
	if dir := os.Getenv(crashingNode); dir != "" {
		n, err := node.Open(ctx, node.Options{Dir: dir, Listen: os.Getenv(crashingAt)})
		if err != nil {
			return err
		}
		connection = n.ConnectionString()
	}
	log, err := esdb.Open(ctx, connection, esdb.Options{})
	if err != nil {
		return err
	}
	blobs, err := blob.OpenDir(os.Getenv(crashingBlobs))
	if err != nil {
		return err
	}
	die := func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	s := poisoned(func() error { _ = die(); select {} })
	if os.Getenv(crashing) == "company" {
		s.scan = inCompany(die)
	}
	if os.Getenv(crashing) == "decide" {
		s.look = func(p *zippkg.Package) (scanners.Decision, error) {
			if _, ok := p.Lookup("poison.sql"); ok {
				_ = die()
				select {}
			}
			return scanners.TakePart(), nil
		}
	}
	return scanners.Run(ctx, s, scanners.Parts{Log: log, Blobs: blobs, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}, options)
}

// inCompany kills the process while another package is scanned beside, if one comes.
func inCompany(die func() error) func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
	entered := make(chan struct{})
	return func(ctx context.Context, p *zippkg.Package, _ scanners.Findings) (task.Coverage, error) {
		if _, ok := p.Lookup("poison.sql"); ok {
			select {
			case <-entered:
			case <-time.After(time.Second):
			}
			_ = die()
			select {}
		}
		if _, ok := p.Lookup("company.sql"); ok {
			close(entered)
			<-time.After(2 * time.Second) // long enough for the other to come, or to be known not to
		}
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}
}

// A package that is scanned beside one that kills the process is killed with it once,
// and then scanned alone.
func TestACrashTakesNobodyElseDown(t *testing.T) {
	store, dir := testbench.NewStore(t), t.TempDir()
	blobs, err := blob.OpenDir(dir)
	require.NoError(t, err)
	b := &bench{t: t, store: store, blobs: blobs, commands: commands.New(store)}
	poison, company := b.open("poison.sql"), b.open("company.sql")
	crashes, stop := supervised(t, crashing+"=company", crashingStore+"="+store.Node.ConnectionString(), crashingBlobs+"="+dir)
	got := b.await(poison, "ends", ended("SQL")).SubTasks["SQL"]
	require.True(t, got.Parked)
	require.Contains(t, got.Reason, "3 attempts ended without a result")
	beside := b.await(company, "passes", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Pass, beside.Result, beside.Reason)
	require.LessOrEqual(t, beside.Attempt, 2)
	require.EqualValues(t, 3, crashes.Load())
	stop()
}

// supervised starts a crashing scanner again whenever it dies, as a supervisor would,
// and counts how often it was killed.
func supervised(t *testing.T, env ...string) (crashes *atomic.Int32, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	crashes = new(atomic.Int32)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env, cmd.Stderr = append(os.Environ(), env...), t.Output()
			_ = cmd.Run()
			if cmd.ProcessState == nil || ctx.Err() != nil {
				continue
			}
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
				crashes.Add(1)
			}
		}
	}()
	stop = func() { cancel(); <-stopped }
	t.Cleanup(stop)
	return crashes, stop
}

func TestAPackageThatKillsTheProcessIsParked(t *testing.T) {
	for where, want := range map[string]struct {
		crashes, attempt int
		reason           string
	}{
		"scan": {3, 3, "3 attempts ended without a result"},
		// The first delivery is not recorded, so one more.
		"decide": {4, 1, "3 times a scanner looked at the package and ended without an answer"},
	} {
		t.Run(where, func(t *testing.T) {
			store, dir := testbench.NewStore(t), t.TempDir()
			blobs, err := blob.OpenDir(dir)
			require.NoError(t, err)
			b := &bench{t: t, store: store, blobs: blobs, commands: commands.New(store)}
			b.run(&scripted{name: "OTHER", scan: poisoned(nil).scan}, options) // makes nothing of SQL's trouble
			crashes, stop := supervised(t, crashing+"="+where, crashingStore+"="+store.Node.ConnectionString(), crashingBlobs+"="+dir)
			require.Equal(t, task.Pass, b.await(b.open(), "passes", ended("SQL")).SubTasks["SQL"].Result) // the group is there

			id := b.open("poison.sql")
			got := b.await(id, "ends", ended("SQL")).SubTasks["SQL"]
			require.Equal(t, task.Error, got.Kind)
			require.True(t, got.Parked)
			require.Equal(t, want.attempt, got.Attempt)
			require.Contains(t, got.Reason, want.reason)
			// And it lives to scan others.
			require.Equal(t, task.Pass, b.await(b.open(), "passes", ended("SQL")).SubTasks["SQL"].Result)
			require.EqualValues(t, want.crashes, crashes.Load())
			stop()
		})
	}
}

// The event store dies with the scanner, as in `factgate run`: nobody remembers how
// often a delivery was repeated, and the crashes are counted all the same.
func TestAPackageThatKillsTheProcessAndItsStoreIsParked(t *testing.T) {
	o := newOutage(t)
	dir := t.TempDir()
	var err error
	o.blobs, err = blob.OpenDir(dir)
	require.NoError(t, err)
	id := o.open("poison.sql")
	good := o.open()
	o.goAway()
	crashes, stop := supervised(t, crashing+"=decide", crashingNode+"="+o.where.Dir, crashingAt+"="+o.where.Listen, crashingBlobs+"="+dir)
	got := o.await(id, "ends", ended("SQL")).SubTasks["SQL"]
	require.True(t, got.Parked)
	require.Contains(t, got.Reason, "3 times a scanner looked at the package")
	require.Equal(t, task.Pass, o.await(good, "passes", ended("SQL")).SubTasks["SQL"].Result)
	require.EqualValues(t, 3, crashes.Load(), "all are recorded: the package was there before the process")
	stop()
	o.comeBack()
}

// Whoever comes first to an event that nobody had records nothing of it but its
// answer.
func TestAFirstDeliveryCostsNoFactMore(t *testing.T) {
	b := newBench(t)
	b.run(poisoned(nil), options)
	b.await(b.open(), "passes", ended("SQL")) // it has joined
	facts := testbench.Await(t, b.commands, b.open(), "passes", ended("SQL"))
	for _, r := range facts {
		require.NotEqual(t, "SubTaskConsidered", task.TypeName(r.Fact))
	}
}

// Whoever decides badly without dying is not taken for dead, however often the
// package comes back.
func TestLookingAgainInTheSameProcessIsRecordedOnce(t *testing.T) {
	b := newBench(t)
	id := b.open() // before the scanner: others may have tried
	var looks atomic.Int32
	b.run(&scripted{name: "SQL", look: func(*zippkg.Package) (scanners.Decision, error) {
		if looks.Add(1) < 3 {
			return scanners.Decision{}, context.DeadlineExceeded
		}
		return scanners.TakePart(), nil
	}, scan: poisoned(nil).scan}, options)
	b.await(id, "passes", ended("SQL"))
	facts := testbench.Await(t, b.commands, id, "passes", ended("SQL"))
	recorded := 0
	for _, r := range facts {
		if f, ok := r.Fact.(task.SubTaskConsidered); ok {
			require.Equal(t, 1, f.Try)
			recorded++
		}
	}
	require.Equal(t, 1, recorded)
	require.EqualValues(t, 3, looks.Load())
}

// Wanted once more, and then the scanner would not: the sub-task ends, it does not
// stay wanted for ever.
func TestARetryThatDeclinesEnds(t *testing.T) {
	b := newBench(t)
	var looks atomic.Int32
	b.run(&scripted{name: "SQL", look: func(*zippkg.Package) (scanners.Decision, error) {
		if looks.Add(1) == 1 {
			return scanners.TakePart(), nil
		}
		return scanners.Decline(scanners.Disabled, report.Text{En: "off", Zh: "停用"}), nil
	}, scan: poisoned(nil).scan}, options)
	id := b.open()
	b.await(id, "passes", ended("SQL"))
	_, err := b.commands.Retry(t.Context(), id, commands.Origin{}, task.RequestRetry{Type: "SQL", Reason: "again"},
		func(context.Context, string) (bool, error) { return true, nil })
	require.NoError(t, err)
	got := b.await(id, "ends again", func(s task.State) bool {
		return s.SubTasks["SQL"].Attempt == 2 && s.SubTasks["SQL"].State != task.StateRunning
	}).SubTasks["SQL"]
	require.Equal(t, task.Error, got.Kind)
	require.Contains(t, got.Reason, "took part before, and now would not")
}

// Overtaken by somebody who then died without a delivery of its own: whoever has the
// delivery sees to the end.
func TestWhoeverHasTheDeliverySeesToTheEnd(t *testing.T) {
	b := newBench(t)
	var scans atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	b.run(&scripted{name: "SQL", scan: func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
		if scans.Add(1) == 1 {
			close(entered)
			<-release
		}
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}, options)
	id := b.open()
	<-entered
	n, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "SQL", Scanner: task.Scanner{Instance: "dead"}})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	close(release)
	got := b.await(id, "ends", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Pass, got.Result)
	require.Equal(t, 3, got.Attempt)
}
