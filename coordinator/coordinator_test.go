package coordinator_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/testbench"
)

var postgres testbench.Postgres

func TestMain(m *testing.M) {
	if os.Getenv(benchNode) != "" {
		if err := serveNode(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testbench.Main(m, &postgres)
}

type bench struct {
	t        *testing.T
	store    *testbench.Store
	db       *pgxpool.Pool
	blobs    *blob.Dir
	commands *commands.Commands
}

func newBench(t *testing.T) *bench {
	store := testbench.NewStore(t)
	return &bench{t: t, store: store, db: postgres.NewDatabase(t), blobs: testbench.NewBlobs(t), commands: commands.New(store)}
}

// run starts a coordinator; the returned function stops it and waits.
func (b *bench) run(o coordinator.Options) (stop func()) {
	o.Logger = testbench.Logger(b.t)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		coordinator.New(b.store, b.db, o).Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	b.t.Cleanup(stop)
	return stop
}

func (b *bench) upload(i int) string {
	return testbench.Upload(b.t, b.commands, b.blobs, []byte(fmt.Sprint("package ", i)))
}

func (b *bench) await(id, what string, holds func(task.State) bool) (task.State, []task.Recorded) {
	facts := testbench.Await(b.t, b.commands, id, what, holds)
	testbench.RequireSound(b.t, facts)
	return task.Fold(facts), facts
}

func opened(s task.State) bool { return s.Created != nil }

// noWindows waits until nothing is left to do.
func (b *bench) noWindows() {
	require.Eventually(b.t, func() bool {
		var n int
		return b.db.QueryRow(b.t.Context(), `select count(*) from coordinator.windows`).Scan(&n) == nil && n == 0
	}, testbench.Patience, 10*time.Millisecond)
}

var brief = coordinator.Options{Window: time.Minute, Quiet: 50 * time.Millisecond}

func TestAnUploadGetsAWindowAndAVerdict(t *testing.T) {
	b := newBench(t)
	b.run(brief)
	s, facts := b.await(b.upload(1), "converges", testbench.Converged)
	require.Equal(t, task.Failed, s.Verdict.Status)
	require.Equal(t, "nobody", s.Verdict.Rule.ID)
	require.Equal(t, task.Settled, s.Closed.Cause)
	require.Equal(t, rules.Default().Ref(), s.Created.RuleSet)
	again, ok := rules.Recompute(rules.Default(), facts)
	require.True(t, ok)
	require.Equal(t, s.Verdict.Verdict, again.Verdict)
	b.noWindows()
}

func TestAWindowWaitsForWhatHasStarted(t *testing.T) {
	b := newBench(t)
	id := b.upload(1)
	_, err := b.commands.OpenWindow(t.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: time.Hour, Quiet: time.Second, RuleSet: rules.Default().Ref()})
	require.NoError(t, err)
	attempt, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "MADE_UP", Scanner: task.Scanner{Instance: "i"}})
	require.NoError(t, err)
	b.run(brief)
	// The quiet time passes and the coordinator looks, and looks away again.
	require.Eventually(t, func() bool {
		var postponed bool
		err := b.db.QueryRow(t.Context(), `select due_at = deadline from coordinator.windows where task_id = $1`, id).Scan(&postponed)
		return err == nil && postponed
	}, testbench.Patience, 10*time.Millisecond)
	_, err = b.commands.Complete(t.Context(), id, commands.Origin{}, task.SubTaskCompleted{Type: "MADE_UP", Attempt: attempt, Result: task.Pass})
	require.NoError(t, err)
	s, _ := b.await(id, "converges", testbench.Converged)
	require.Equal(t, task.Success, s.Verdict.Status)
	require.Equal(t, []string{"MADE_UP"}, s.Verdict.Succeeded)
}

func TestADeadlineEndsATaskThatNobodyFinishes(t *testing.T) {
	b := newBench(t)
	id := b.upload(1)
	_, err := b.commands.OpenWindow(t.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: 2 * time.Second, Quiet: time.Second, RuleSet: rules.Default().Ref()})
	require.NoError(t, err)
	b.run(brief)
	_, err = b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "SQL", Scanner: task.Scanner{Instance: "i"}})
	require.NoError(t, err)
	s, _ := b.await(id, "converges", testbench.Converged)
	require.Equal(t, task.PartialSuccess, s.Verdict.Status)
	require.Equal(t, task.Deadline, s.Closed.Cause)
	require.Equal(t, []string{"SQL"}, s.Verdict.Unfinished)
	require.Equal(t, s.CreatedAt.Add(2*time.Second), s.Closed.ClosedAt)
}

func TestDeadlinesSurviveARestartAndFireAsOfTheirTime(t *testing.T) {
	b := newBench(t)
	stop := b.run(coordinator.Options{Window: 200 * time.Millisecond, Quiet: 200 * time.Millisecond})
	id := b.upload(1)
	b.await(id, "opens", opened)
	require.Eventually(t, func() bool {
		var n int
		return b.db.QueryRow(t.Context(), `select count(*) from coordinator.windows`).Scan(&n) == nil && n == 1
	}, testbench.Patience, time.Millisecond)
	stop()
	if s := b.state(id); s.Verdict == nil { // nobody looks until long after the deadline
		timer := time.NewTimer(time.Until(s.CreatedAt.Add(400 * time.Millisecond)))
		<-timer.C
	}
	b.run(brief)
	s, _ := b.await(id, "converges", testbench.Converged)
	require.Equal(t, s.CreatedAt.Add(200*time.Millisecond), s.Closed.ClosedAt)
}

func (b *bench) state(id string) task.State {
	facts, err := b.commands.Load(b.t.Context(), id)
	require.NoError(b.t, err)
	return task.Fold(facts)
}

func TestTheTableIsDisposable(t *testing.T) {
	b := newBench(t)
	stop := b.run(coordinator.Options{Window: time.Hour, Quiet: time.Hour})
	id := b.upload(1)
	due := func() (at time.Time) {
		if b.db.QueryRow(t.Context(), `select due_at from coordinator.windows where task_id = $1`, id).Scan(&at) != nil {
			return time.Time{}
		}
		return at
	}
	require.Eventually(t, func() bool { return !due().IsZero() }, testbench.Patience, 10*time.Millisecond)
	want := due()
	stop()
	_, err := b.db.Exec(t.Context(), `drop schema coordinator cascade`)
	require.NoError(t, err)
	b.run(brief)
	require.Eventually(t, func() bool { return due().Equal(want) }, testbench.Patience, 10*time.Millisecond)
}

// Coordinators side by side, scanners made up on the spot, and a stop in the
// middle: every task ends with one verdict, no fact stands twice.
func TestCoordinatorsSideBySideNeverDoubleAFact(t *testing.T) {
	b := newBench(t)
	b.run(brief)
	b.run(brief)
	stop := b.run(brief)
	const tasks = 40
	ids := make([]string, tasks)
	for i := range ids {
		ids[i] = b.upload(i)
		if i == tasks/2 {
			stop()
		}
	}
	var scans sync.WaitGroup
	for i, id := range ids {
		scans.Go(func() {
			testbench.Await(t, b.commands, id, "opens", opened)
			for _, name := range []string{"A", "B"} {
				n, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: name, Scanner: task.Scanner{Instance: "i"}})
				if err != nil || n == 0 {
					t.Errorf("start: %v", err)
					return
				}
				if i%2 == 0 {
					_, err = b.commands.Complete(t.Context(), id, commands.Origin{}, task.SubTaskCompleted{Type: name, Attempt: n, Result: task.Pass})
				} else {
					_, err = b.commands.Fail(t.Context(), id, commands.Origin{}, task.SubTaskFailed{Type: name, Attempt: n, Kind: task.Check})
				}
				if err != nil {
					t.Errorf("end: %v", err)
				}
			}
		})
	}
	scans.Wait()
	for _, id := range ids {
		s, facts := b.await(id, "converges", testbench.Converged)
		again, ok := rules.Recompute(rules.Default(), facts)
		require.True(t, ok)
		require.Equal(t, s.Verdict.Verdict, again.Verdict)
	}
	b.noWindows()
}
