package scanners_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashing) != "" {
		crashingScanner()
	}
	goleak.VerifyTestMain(m)
}

// scripted is a scanner that does what a test says.
type scripted struct {
	name   string
	decide func() (scanners.Decision, error)
	look   func(*zippkg.Package) (scanners.Decision, error) // instead of decide
	scan   func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error)
}

func (s *scripted) Describe() scanners.Description {
	return scanners.Description{Type: s.name, Name: "scripted", Version: "1", RulesDigest: "r", ConfigDigest: "c"}
}

func (s *scripted) Decide(_ context.Context, p *zippkg.Package) (scanners.Decision, error) {
	if s.look != nil {
		return s.look(p)
	}
	if s.decide != nil {
		return s.decide()
	}
	return scanners.TakePart(), nil
}

func (s *scripted) Scan(ctx context.Context, p *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	return s.scan(ctx, p, out)
}

type bench struct {
	t        *testing.T
	store    *testbench.Store
	blobs    *blob.Dir
	commands *commands.Commands
}

func newBench(t *testing.T) *bench {
	store := testbench.NewStore(t)
	return &bench{t: t, store: store, blobs: testbench.NewBlobs(t), commands: commands.New(store)}
}

var options = scanners.Options{Instance: "one", Backoff: time.Millisecond, Grace: time.Second}

// run starts a scanner; the returned function stops it and waits.
func (b *bench) run(s scanners.Scanner, o scanners.Options) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- scanners.Run(ctx, s, scanners.Parts{Log: b.store, Blobs: b.blobs, Logger: testbench.Logger(b.t)}, o)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	b.t.Cleanup(stop)
	return stop
}

// open uploads a package and opens its window, as the coordinator would.
func (b *bench) open(extra ...string) string {
	var content bytes.Buffer
	w := zip.NewWriter(&content)
	for _, name := range append([]string{"README.md", "dwd/a.sql"}, extra...) {
		f, err := w.Create(name)
		require.NoError(b.t, err)
		_, err = f.Write([]byte("select 1;"))
		require.NoError(b.t, err)
	}
	require.NoError(b.t, w.Close())
	return b.openRaw(content.Bytes())
}

func (b *bench) openRaw(content []byte) string {
	id := testbench.Upload(b.t, b.commands, b.blobs, content)
	_, err := b.commands.OpenWindow(b.t.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: time.Hour, Quiet: time.Minute})
	require.NoError(b.t, err)
	return id
}

func (b *bench) await(id, what string, holds func(task.State) bool) task.State {
	facts := testbench.Await(b.t, b.commands, id, what, holds)
	testbench.RequireSound(b.t, facts)
	return task.Fold(facts)
}

func ended(name string) func(task.State) bool {
	return func(s task.State) bool {
		t, ok := s.SubTasks[name]
		return ok && t.State != task.StateRunning
	}
}

func add(rule string, s report.Severity, out scanners.Findings) {
	out.Add(report.Finding{Rule: rule, Severity: s, Message: report.Text{En: "x", Zh: "x"}})
}

func TestOutcomesBecomeFacts(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		find     func(scanners.Findings)
		coverage task.Coverage
		check    func(*testing.T, task.SubTask)
	}{
		"PASS": {func(out scanners.Findings) { add("N1", report.Note, out) }, task.Coverage{Eligible: 1, Seen: 1}, func(t *testing.T, s task.SubTask) {
			require.Equal(t, task.Pass, s.Result)
			require.Equal(t, &report.Counts{Note: 1}, s.Summary)
		}},
		"WARN": {func(out scanners.Findings) { add("W1", report.Warning, out) }, task.Coverage{Eligible: 1, Seen: 1}, func(t *testing.T, s task.SubTask) {
			require.Equal(t, task.PassWithWarnings, s.Result)
		}},
		"FAIL": {func(out scanners.Findings) {
			add("E2", report.Error, out)
			add("E1", report.Error, out)
			add("E1", report.Error, out)
		}, task.Coverage{Eligible: 1, Seen: 1}, func(t *testing.T, s task.SubTask) {
			require.Equal(t, task.Check, s.Kind)
			require.Equal(t, "3 errors: E1 ×2, E2", s.Reason)
			require.Equal(t, "3 个错误：E1 ×2，E2", s.ReasonZH)
		}},
		"BLIND": {func(scanners.Findings) {}, task.Coverage{Eligible: 10}, func(t *testing.T, s task.SubTask) {
			require.Equal(t, task.Error, s.Kind)
			require.Equal(t, "covered nothing: 0 of 10 files could be read", s.Reason)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			stop := b.run(&scripted{name: name, scan: func(_ context.Context, _ *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
				c.find(out)
				return c.coverage, nil
			}}, options)
			defer stop()
			got := b.await(b.open(), "ends", ended(name)).SubTasks[name]
			c.check(t, got)
			require.Equal(t, 1, got.Attempt)
			require.Equal(t, task.Scanner{Name: "scripted", Version: "1", Instance: "one", RulesDigest: "r", ConfigDigest: "c"}, got.Scanner)

			file, err := b.blobs.Open(t.Context(), blob.Key(got.Report.Key))
			require.NoError(t, err)
			defer file.Close()
			h, err := report.Read(&sectionReader{file, 0}, func(report.Finding) error { return nil })
			require.NoError(t, err)
			require.Equal(t, name, h.Type)
		})
	}
}

type sectionReader struct {
	blob.Blob
	at int64
}

func (s *sectionReader) Read(p []byte) (int, error) {
	n, err := s.ReadAt(p, s.at)
	s.at += int64(n)
	return n, err
}

func TestADeclineSaysWhy(t *testing.T) {
	b := newBench(t)
	b.run(&scripted{name: "SQL", decide: func() (scanners.Decision, error) {
		return scanners.Decline(scanners.NoMatchingFiles, report.Text{En: "no .sql files", Zh: "没有 .sql 文件"}), nil
	}}, options)
	s := b.await(b.open(), "declined", func(s task.State) bool { return len(s.Declined) == 1 })
	require.Equal(t, "NO_MATCHING_FILES", s.Declined["SQL"].Code)
	require.Equal(t, "no .sql files", s.Declined["SQL"].Reason)
	require.Equal(t, "没有 .sql 文件", s.Declined["SQL"].ReasonZH)
}

func TestTransientErrorsAreRepeated(t *testing.T) {
	b := newBench(t)
	var tries atomic.Int32
	b.run(&scripted{name: "SQL", scan: func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
		if tries.Add(1) < 3 {
			return task.Coverage{}, errors.New("disk away")
		}
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}, options)
	s := b.await(b.open(), "passes", ended("SQL"))
	require.Equal(t, task.Pass, s.SubTasks["SQL"].Result)
	require.Equal(t, 3, s.SubTasks["SQL"].Attempt)
}

// poisoned is a scanner that cannot bear packages with a file poison.sql.
func poisoned(trouble func() error) *scripted {
	return &scripted{name: "SQL", scan: func(_ context.Context, p *zippkg.Package, _ scanners.Findings) (task.Coverage, error) {
		if _, ok := p.Lookup("poison.sql"); ok {
			return task.Coverage{}, trouble()
		}
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}
}

func TestPoisonEndsAsADeadLetter(t *testing.T) {
	for name, trouble := range map[string]func() error{
		"no way": func() error { return errors.New("no way") },
		"boom":   func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.run(poisoned(trouble), options)
			got := b.await(b.open("poison.sql"), "ends", ended("SQL")).SubTasks["SQL"]
			require.Equal(t, task.Error, got.Kind)
			require.True(t, got.Parked)
			require.Equal(t, 3, got.Attempt)
			require.Contains(t, got.Reason, name)

			parked := eventstore.StreamID{Category: "$persistentsubscription", Key: "$all::scanner-SQL-parked"}
			require.Eventually(t, func() bool {
				n := 0
				for _, err := range b.store.ReadStream(t.Context(), parked, 0) {
					if err == nil {
						n++
					}
				}
				return n == 1
			}, testbench.Patience, 10*time.Millisecond)
		})
	}
}

func TestPoisonDelaysNobody(t *testing.T) {
	b := newBench(t)
	tried := make(chan struct{}, 1)
	single := options
	single.Workers, single.Backoff = 1, time.Hour
	b.run(poisoned(func() error { tried <- struct{}{}; return errors.New("no way") }), single)
	b.open("poison.sql")
	<-tried // and now it backs off
	require.Equal(t, task.Pass, b.await(b.open(), "passes", ended("SQL")).SubTasks["SQL"].Result)
}

func TestADamagedPackageIsAnErrorNotADecline(t *testing.T) {
	b := newBench(t)
	b.run(&scripted{name: "SQL"}, options)
	got := b.await(b.openRaw([]byte("this is not a zip")), "ends", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Error, got.Kind)
	require.NotEmpty(t, got.ReasonZH)
	require.Equal(t, 1, got.Attempt, "no repetition makes it whole")
}

func TestAZombieChangesNothing(t *testing.T) {
	b := newBench(t)
	id := b.open()
	// An instance began, and hangs; the log gives its delivery to another.
	_, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "SQL", Scanner: task.Scanner{Instance: "zombie"}})
	require.NoError(t, err)
	entered, release := make(chan struct{}), make(chan struct{})
	b.run(&scripted{name: "SQL", scan: func(_ context.Context, _ *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
		close(entered)
		<-release
		add("W1", report.Warning, out)
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}, options)
	<-entered
	_, err = b.commands.Complete(t.Context(), id, commands.Origin{}, task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: task.Pass})
	require.Equal(t, "attempt.stale", domain.RuleOf(err))
	close(release)
	got := b.await(id, "ends", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, 2, got.Attempt)
	require.Equal(t, task.PassWithWarnings, got.Result)
}

func TestAStopInGoodOrderLetsRunningScansFinish(t *testing.T) {
	b := newBench(t)
	entered, release := make(chan struct{}), make(chan struct{})
	stop := b.run(&scripted{name: "SQL", scan: func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
		close(entered)
		<-release
		return task.Coverage{Eligible: 1, Seen: 1}, nil
	}}, scanners.Options{Instance: "one", Grace: testbench.Patience})
	id := b.open()
	<-entered
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(release)
	<-stopped
	require.Equal(t, 1, b.await(id, "ended", ended("SQL")).SubTasks["SQL"].Attempt)
}

func TestACrashLoopIsCountedAndEnds(t *testing.T) {
	b := newBench(t)
	id := b.open()
	// Three processes began the scan and died in it.
	for range 3 {
		_, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "SQL", Scanner: task.Scanner{Instance: "dead"}, Delivery: time.Now().String()})
		require.NoError(t, err)
	}
	b.run(&scripted{name: "SQL", scan: func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
		t.Error("must not be scanned a fourth time")
		return task.Coverage{}, nil
	}}, options)
	got := b.await(id, "ends", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Error, got.Kind)
	require.True(t, got.Parked)
	require.Contains(t, got.Reason, "3 attempts ended without a result")
}

func TestAScanThatTakesTooLongIsEnded(t *testing.T) {
	b := newBench(t)
	short := options
	short.ScanTimeout, short.MaxAttempts = 50*time.Millisecond, 1
	b.run(&scripted{name: "SQL", scan: func(ctx context.Context, _ *zippkg.Package, _ scanners.Findings) (task.Coverage, error) {
		<-ctx.Done()
		return task.Coverage{}, ctx.Err()
	}}, short)
	got := b.await(b.open(), "ends", ended("SQL")).SubTasks["SQL"]
	require.Contains(t, got.Reason, "the scan took longer than 50ms")
}

func TestManyInstancesShareTheWorkOnce(t *testing.T) {
	b := newBench(t)
	var scans atomic.Int32
	for _, name := range []string{"one", "two", "three"} {
		o := options
		o.Instance = name
		b.run(&scripted{name: "SQL", scan: func(context.Context, *zippkg.Package, scanners.Findings) (task.Coverage, error) {
			scans.Add(1)
			return task.Coverage{Eligible: 1, Seen: 1}, nil
		}}, o)
	}
	var ids []string
	for range 30 {
		ids = append(ids, b.open())
	}
	for _, id := range ids {
		s := b.await(id, "ends", ended("SQL"))
		require.Equal(t, 1, s.SubTasks["SQL"].Attempt)
	}
	require.EqualValues(t, 30, scans.Load())
}

func TestAScannerThatHasNoNameDoesNotStart(t *testing.T) {
	require.Error(t, scanners.Run(t.Context(), &scripted{name: "作业"}, scanners.Parts{}, options))
	require.Error(t, scanners.Run(t.Context(), &scripted{name: "SQL"}, scanners.Parts{}, scanners.Options{}))
}
