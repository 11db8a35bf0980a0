package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/internal/pgdev"
	"github.com/factgate/factgate/internal/testbench"
)

var faultRounds = flag.Int("faults", 1, "how often each row of the fault matrix is provoked; outages last as many seconds")

// deployment is a Factgate of one process for each role, as production runs it.
type deployment struct {
	t                 *testing.T
	dir               string
	postgres          *pgdev.Server
	connection        string
	log               *esdb.Log // the test's own eyes
	window, quiet     time.Duration
	node              *process
	coordinators      []*process
	projectors        []*process
	scanners          []*process
	apis              []*process
	packages          map[string]string
	mu                sync.Mutex // guards what follows
	urls              map[*process]string
	accepted, checked map[string]bool
	refusals          map[string]int
	keys              int
}

// process is one role; it is started again under the same name.
type process struct {
	*exec.Cmd
	name  string
	args  []string
	ready string // what followed the word in its one line
	out   io.ReadCloser
}

// newDeployment is one in which nothing runs yet.
func newDeployment(t *testing.T, window, quiet time.Duration) *deployment {
	d := &deployment{
		t: t, dir: t.TempDir(), window: window, quiet: quiet, packages: packed(t),
		urls: map[*process]string{}, accepted: map[string]bool{}, checked: map[string]bool{}, refusals: map[string]int{},
	}
	require.NoError(t, os.Mkdir(d.blobs(), 0o700))
	t.Cleanup(func() {
		if d.postgres != nil {
			require.NoError(t, d.postgres.Stop(context.Background()))
		}
	})
	return d
}

func deploy(t *testing.T, window, quiet time.Duration) *deployment {
	d := newDeployment(t, window, quiet)
	d.startPostgres()
	d.node = d.launch("node", "node", "--data", filepath.Join(d.dir, "events"), "--listen", "127.0.0.1:0")
	d.connection = d.node.ready + "&keepAliveTimeout=1000" // after 10 s, which is the shortest interval
	address, _, _ := strings.Cut(strings.TrimPrefix(d.connection, "esdb://"), "?")
	d.node.args[len(d.node.args)-1] = address
	var err error
	d.log, err = esdb.Open(t.Context(), d.connection, esdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.log.Close() })
	return d
}

func (d *deployment) blobs() string    { return filepath.Join(d.dir, "blobs") }
func (d *deployment) logs() string     { return filepath.Join(d.dir, "log") }
func (d *deployment) store() []string  { return []string{"--eventstore", d.connection} }
func (d *deployment) tables() []string { return []string{"--database", d.postgres.URL()} }

func (d *deployment) startPostgres() {
	var err error
	d.postgres, err = pgdev.Start(context.Background(), pgdev.Options{Dir: d.dir})
	require.NoError(d.t, err)
}

// launch starts a process and waits for its ready line.
func (d *deployment) launch(name string, args ...string) *process {
	p := &process{name: name, args: args}
	d.start(p)
	d.t.Cleanup(func() { d.kill(p) })
	return p
}

func (d *deployment) start(p *process) {
	d.begin(p)
	d.awaitReady(p)
}

// begin starts a process; awaitReady follows.
func (d *deployment) begin(p *process) {
	require.NoError(d.t, os.MkdirAll(d.logs(), 0o700))
	log, err := os.OpenFile(d.logOf(p), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(d.t, err)
	defer log.Close()
	p.Cmd = factgate(context.Background(), p.args...)
	p.Stderr = log
	p.out, err = p.StdoutPipe()
	require.NoError(d.t, err)
	require.NoError(d.t, p.Start())
}

func (d *deployment) awaitReady(p *process) {
	line := make([]byte, 256)
	n, _ := p.out.Read(line)
	var ok bool
	p.ready, ok = strings.CutPrefix(strings.TrimSpace(string(line[:n])), "ready")
	if !ok {
		d.kill(p)
		d.t.Fatalf("%s is not ready: %q\n%s", p.name, line[:n], d.said(p))
	}
	p.ready = strings.TrimSpace(p.ready)
	go func() { _, _ = io.Copy(io.Discard, p.out) }()
	if strings.HasPrefix(p.ready, "http") {
		d.mu.Lock()
		d.urls[p] = p.ready
		d.mu.Unlock()
	}
}

func (d *deployment) logOf(p *process) string { return filepath.Join(d.logs(), p.name) }

// said is what the process and its predecessors have logged.
func (d *deployment) said(p *process) string {
	text, _ := os.ReadFile(d.logOf(p))
	return string(text)
}

func (d *deployment) kill(ps ...*process) {
	for _, p := range ps {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

func (d *deployment) restart(ps ...*process) {
	for _, p := range ps {
		d.start(p)
	}
}

func (d *deployment) signal(s syscall.Signal, ps ...*process) {
	for _, p := range ps {
		require.NoError(d.t, p.Process.Signal(s))
	}
}

func (d *deployment) role(n int, role string, flags ...[]string) (ps []*process) {
	for i := range n {
		args := strings.Fields(role)
		for _, f := range flags {
			args = append(args, f...)
		}
		ps = append(ps, d.launch(fmt.Sprint(strings.ReplaceAll(role, " ", "-"), "-", i+1), args...))
	}
	return ps
}

func (d *deployment) roles(n int) {
	blobs := []string{"--blobs", d.blobs()}
	d.apis = d.role(n, "api", d.store(), d.tables(), blobs, []string{"--listen", "127.0.0.1:0"})
	d.coordinators = d.role(n, "coordinator", d.store(), d.tables(), []string{"--window", d.window.String(), "--quiet", d.quiet.String()})
	d.projectors = d.role(n, "projector", d.store(), d.tables(), blobs)
	d.scanners = d.role(n, "scanner SQL", d.store(), blobs)
}

func (d *deployment) client(i int) *client {
	p := d.apis[i%len(d.apis)]
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := newClient(d.urls[p], false)
	require.NoError(d.t, err)
	return c
}

// upload sends a package once, and notes what became of it.
func (d *deployment) upload(ctx context.Context) (id string, err error) {
	d.mu.Lock()
	d.keys++
	key := d.keys
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, testbench.Patience)
	defer cancel()
	r, err := d.client(key).uploadOnce(ctx, package_{path: d.packages["retail-1.4.0"], fileName: "p.zip", project: "faults", key: fmt.Sprint("key-", key)})
	d.mu.Lock()
	defer d.mu.Unlock()
	var no *refusedError
	switch {
	case err == nil:
		d.accepted[r.TaskID] = true
	case errors.As(err, &no):
		d.refusals[fmt.Sprint(no.status, " ", no.Code)]++
	default:
		d.refusals["no answer"]++
	}
	return r.TaskID, err
}

func (d *deployment) uploads(t *testing.T, n int) (ids []string) {
	for range n {
		id, err := d.upload(t.Context())
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

func (d *deployment) facts(t *testing.T, id string) []task.Recorded {
	facts, err := commands.New(d.log).Load(t.Context(), id)
	require.NoError(t, err)
	return facts
}

func (d *deployment) await(t *testing.T, ids []string, what string, holds func(task.State) bool) {
	for _, id := range ids {
		testbench.Await(t, commands.New(d.log), id, what, holds)
	}
}

func scanned(s task.State) bool {
	return s.SubTasks["SQL"].State == task.StateCompleted
}

func passed(s task.State) bool { return s.Verdict != nil && s.Verdict.Status == task.Success }

// outage is how long a row keeps something away.
func outage() time.Duration { return time.Duration(*faultRounds) * time.Second }

func pause(d time.Duration) { <-time.After(d) }

// known is one task as GraphQL answers for it.
type known struct {
	Phase, Status string
	Revision      uint64
	LateFacts     int
	ObservedTypes []string
	SubTasks      []struct {
		Type, State string
		Attempt     int
	}
	Declined []struct{ Type string }
	Silent   []string
	Verdict  *struct {
		Revision                                                   int
		Status                                                     string
		Rule                                                       struct{ ID string }
		Evidence, Succeeded, Failed, Errored, Unfinished, Declined []string
	}
}

func (d *deployment) ask(ctx context.Context, id string) (*known, error) {
	var got struct{ Task *known }
	err := d.client(0).query(ctx, `query($id: ID!) { task(id: $id) { phase status revision lateFacts observedTypes subTasks { type state attempt }
		declined { type } silent verdict { revision status rule { id } evidence succeeded failed errored unfinished declined } } }`, map[string]any{"id": id}, &got)
	return got.Task, err
}

// requireTrue waits until every upload that was accepted has its verdict, and then
// holds streams, verdicts and the API's answers against each other.
func (d *deployment) requireTrue(t *testing.T) (silent, checked int) {
	d.mu.Lock()
	var ids []string
	for id := range d.accepted {
		if !d.checked[id] {
			ids = append(ids, id)
		}
	}
	d.mu.Unlock()
	for _, id := range ids {
		testbench.Await(t, commands.New(d.log), id, "converges", testbench.Converged)
		var facts []task.Recorded
		var got *known
		require.Eventually(t, func() bool {
			var err1, err2 error
			facts, err1 = commands.New(d.log).Load(t.Context(), id)
			got, err2 = d.ask(t.Context(), id)
			// A late fact may be on its way into the read model.
			return err1 == nil && err2 == nil && got != nil && got.Revision == facts[len(facts)-1].Revision
		}, testbench.Patience, 20*time.Millisecond, "the read model does not reach task %s", id)
		d.compare(t, facts, got)
		if slices.Contains(got.Silent, "SQL") {
			silent++
		}
		d.mu.Lock()
		d.checked[id] = true
		d.mu.Unlock()
	}
	return silent, len(ids)
}

func (d *deployment) compare(t *testing.T, facts []task.Recorded, got *known) {
	testbench.RequireSound(t, facts)
	want := task.Fold(facts)
	require.Equal(t, 1, want.Verdict.Revision)
	again, ok := rules.Recompute(rules.Default(), facts)
	require.True(t, ok)
	require.Equal(t, want.Verdict.Verdict, again.Verdict)
	require.Equal(t, want.Closed.ClosedAt, again.At)
	deadline := want.CreatedAt.Add(want.Created.Window.Length())
	require.False(t, want.Closed.ClosedAt.After(deadline), "closed as of %s, after its deadline %s", want.Closed.ClosedAt, deadline)

	require.Equal(t, string(want.Phase()), got.Phase)
	require.Equal(t, string(want.Verdict.Status), got.Status)
	require.Equal(t, want.Late, got.LateFacts)
	require.ElementsMatch(t, want.Observed(), got.ObservedTypes)
	require.Len(t, got.SubTasks, len(want.SubTasks))
	for _, s := range got.SubTasks {
		require.Equal(t, string(want.SubTasks[s.Type].State), s.State)
		require.Equal(t, want.SubTasks[s.Type].Attempt, s.Attempt)
	}
	require.Len(t, got.Declined, len(want.Declined))
	require.NotNil(t, got.Verdict)
	v := want.Verdict
	require.Equal(t, v.Revision, got.Verdict.Revision)
	require.Equal(t, string(v.Status), got.Verdict.Status)
	require.Equal(t, v.Rule.ID, got.Verdict.Rule.ID)
	require.Equal(t, v.Evidence, got.Verdict.Evidence)
	require.Equal(t, [][]string{v.Succeeded, v.Failed, v.Errored, v.Unfinished, v.Declined},
		[][]string{got.Verdict.Succeeded, got.Verdict.Failed, got.Verdict.Errored, got.Verdict.Unfinished, got.Verdict.Declined})
	// Whoever is known and was not heard before the window closed is named. What came
	// after its end, and before anybody had closed it, was not heard in it.
	end := task.Fold(facts).Closed.ClosedAt
	before := task.Fold(facts[:slices.IndexFunc(facts, func(r task.Recorded) bool { return r.At.After(end) })])
	_, declined := before.Declined["SQL"]
	heard := declined || slices.Contains(before.Observed(), "SQL")
	require.Equal(t, !heard, slices.Contains(got.Silent, "SQL"), "silent %v", got.Silent)
}

// faultRow is a death and what is promised for it. provoke brings it about, and all
// back again, and says what it saw.
type faultRow struct {
	name, fault, promise string
	provoke              func(*testing.T, *deployment) string
}

// faultMatrix is provoked from top to bottom; the rows of a group side by side, since
// they wait for windows and touch different roles.
var faultMatrix = [][]faultRow{
	{
		{"scanner", "SIGKILL of one that holds deliveries", "a sibling takes over", oneScannerDies},
		{"Postgres", "SIGSTOP of all its processes", "uploads and scans go on; verdicts and reads wait", postgresFrozen},
	},
	{
		{"scanner", "SIGKILL of one, SIGSTOP of the last", "the window ends; silent, no success", allScannersDie},
		{"Postgres", "SIGKILL of all its processes", "it recovers; verdicts and reads wait", postgresKilled},
	},
	{
		{"coordinator", "SIGSTOP of one that holds due windows", "the other closes them, as of their time, once", coordinatorFrozen},
		{"projector", "SIGSTOP and SIGKILL of both", "reads stale, and say so; nothing lost or twice", projectorsDie},
	},
	{{"coordinator", "SIGKILL of one, then of the other", "missed deadlines fire at once, as of their time", coordinatorsDie}},
	{{"Postgres", "stopped", "uploads and scans go on; verdicts and reads wait", postgresAway}},
	{{"event store", "SIGKILL, and of a scanner meanwhile", "uploads 503; all resumes, also what the scanner held", eventStoreAway}},
	{{"event store", "SIGSTOP beyond the keepalive", "uploads 503; all resumes", eventStoreFrozen}},
	{{"blob store", "folder moved away", "uploads 503; scans retry", blobsAway}},
	{{"every role", "SIGKILL and SIGSTOP at random", "one verdict each, nothing twice", anythingDies}},
}

// TestFaultMatrix provokes each row of the design's table of deaths on real
// processes under a stream of uploads. `make faults` prints the matrix.
func TestFaultMatrix(t *testing.T) {
	d := deploy(t, 8*time.Second, 3*time.Second)
	d.roles(2)
	first := d.uploads(t, 1)
	d.await(t, first, "passes", passed)
	d.requireTrue(t)

	ctx, stop := context.WithCancel(t.Context())
	var uploading sync.WaitGroup
	uploading.Go(func() {
		for tick := time.NewTicker(400 * time.Millisecond); ctx.Err() == nil; {
			_, _ = d.upload(ctx) // what became of it is noted
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	defer uploading.Wait()
	defer stop()

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "row\t| fault\t| promise\t| seen\t| took\t| ok")
	for round := range *faultRounds {
		for i, group := range faultMatrix {
			lines := make([]string, len(group))
			t.Run(fmt.Sprintf("%d.%d", round+1, i+1), func(t *testing.T) {
				var rows sync.WaitGroup
				defer rows.Wait()
				for j, row := range group {
					rows.Go(func() {
						t.Run(row.name, func(t *testing.T) {
							began, seen := time.Now(), "not what was promised"
							defer func() {
								lines[j] = fmt.Sprintf("%s\t| %s\t| %s\t| %s\t| %.1f s\t| %v", row.name, row.fault, row.promise, seen, time.Since(began).Seconds(), !t.Failed())
							}()
							told := row.provoke(t, d)
							silent, n := d.requireTrue(t)
							seen = fmt.Sprintf("%s; %d uploads true, SQL silent in %d", told, n, silent)
						})
					})
				}
			})
			fmt.Fprintln(w, strings.Join(lines, "\n"))
		}
	}
	stop()
	uploading.Wait()
	require.NoError(t, w.Flush())
	fmt.Printf("%s\naccepted %d, refused %v\n", table.String(), len(d.accepted), d.refusals)
	d.requireTrue(t)
	if t.Failed() {
		entries, _ := os.ReadDir(d.logs())
		for _, e := range entries {
			text, _ := os.ReadFile(filepath.Join(d.logs(), e.Name()))
			t.Logf("%s:\n%s", e.Name(), text[max(0, len(text)-4000):])
		}
	}
}

func oneScannerDies(t *testing.T, d *deployment) string {
	victim := d.scanners[0]
	d.signal(syscall.SIGSTOP, victim)
	ids := d.uploads(t, 4)
	d.await(t, ids, "opens", func(s task.State) bool { return s.Created != nil })
	d.kill(victim)
	began := time.Now()
	d.await(t, ids, "is scanned by the sibling", scanned)
	took := time.Since(began)
	d.await(t, ids, "passes", passed)
	d.restart(victim)
	return fmt.Sprintf("4 of 4 passed, the last scan %.1f s after the kill", took.Seconds())
}

func allScannersDie(t *testing.T, d *deployment) string {
	d.kill(d.scanners[0])
	d.signal(syscall.SIGSTOP, d.scanners[1])
	ids := d.uploads(t, 2)
	d.await(t, ids, "ends", testbench.Converged)
	for _, id := range ids {
		require.Equal(t, task.Failed, task.Fold(d.facts(t, id)).Verdict.Status)
		require.Eventually(t, func() bool {
			got, err := d.ask(t.Context(), id)
			return err == nil && got != nil && got.Status == "FAILED" && len(got.Silent) == 1 && got.Silent[0] == "SQL"
		}, testbench.Patience, 20*time.Millisecond)
	}
	d.signal(syscall.SIGCONT, d.scanners[1])
	d.restart(d.scanners[0])
	d.await(t, ids, "is scanned late", scanned)
	return "2 of 2 FAILED, SQL silent; scanned late afterwards"
}

// stuck opens a task in which a scanner begins that is never heard of again: it ends
// at the deadline.
func (d *deployment) stuck(t *testing.T) (id string, deadline time.Time) {
	id = d.uploads(t, 1)[0]
	d.await(t, []string{id}, "opens", func(s task.State) bool { return s.Created != nil })
	_, err := commands.New(d.log).Start(t.Context(), id, commands.Origin{Actor: "scanner GONE"}, task.Start{Type: "GONE", Scanner: task.Scanner{Instance: "gone"}})
	require.NoError(t, err)
	return id, task.Fold(d.facts(t, id)).CreatedAt.Add(d.window)
}

func (d *deployment) requireEndedAt(t *testing.T, id string, deadline time.Time) task.State {
	s := task.Fold(d.facts(t, id))
	require.Equal(t, task.Deadline, s.Closed.Cause)
	require.Equal(t, deadline, s.Closed.ClosedAt)
	require.Equal(t, []string{"GONE"}, s.Verdict.Unfinished)
	require.NotEqual(t, task.Success, s.Verdict.Status)
	return s
}

// coordinatorFrozen stops one while it holds due windows and another's deadline is
// yet to come. The event store is frozen for a moment, so that it cannot judge what
// it has taken.
func coordinatorFrozen(t *testing.T, d *deployment) string {
	holder, other := d.coordinators[0], d.coordinators[1]
	d.kill(other)
	id, deadline := d.stuck(t)
	d.await(t, d.uploads(t, 1), "opens", func(s task.State) bool { return s.Created != nil })
	db, err := pgx.Connect(t.Context(), d.postgres.URL())
	require.NoError(t, err)
	defer db.Close(context.Background())
	d.signal(syscall.SIGSTOP, d.node)
	var held []string
	require.Eventually(t, func() bool {
		err := db.QueryRow(t.Context(), `select array(select task_id::text from coordinator.windows
			except select task_id::text from (select task_id from coordinator.windows for update skip locked) free)`).Scan(&held)
		return err == nil && len(held) > 0
	}, testbench.Patience, 10*time.Millisecond, "the coordinator holds due windows")
	d.signal(syscall.SIGSTOP, holder)
	d.signal(syscall.SIGCONT, d.node)
	defer d.signal(syscall.SIGCONT, holder)
	d.restart(other)
	began := time.Now()
	d.await(t, append(held, id), "ends", testbench.Converged)
	took := time.Since(began)
	d.requireEndedAt(t, id, deadline)
	return fmt.Sprintf("the other closed %d held windows, and one as of its deadline, within %.1f s", len(held), took.Seconds())
}

func coordinatorsDie(t *testing.T, d *deployment) string {
	d.kill(d.coordinators[0])
	d.await(t, d.uploads(t, 1), "passes with one coordinator", passed)
	id, deadline := d.stuck(t)
	d.kill(d.coordinators[1])
	pause(time.Until(deadline) + outage()/2)
	require.Nil(t, task.Fold(d.facts(t, id)).Verdict)
	began := time.Now()
	d.restart(d.coordinators...)
	d.await(t, []string{id}, "ends", testbench.Converged)
	took := time.Since(began)
	s := d.requireEndedAt(t, id, deadline)
	return fmt.Sprintf("closed as of the deadline %.1f s after the start; unfinished, %s", took.Seconds(), s.Verdict.Status)
}

func (d *deployment) lag(t *testing.T) (seconds float64) {
	var got struct{ ReadModel struct{ LagSeconds *float64 } }
	if d.client(0).query(t.Context(), `{ readModel { lagSeconds } }`, nil, &got) != nil || got.ReadModel.LagSeconds == nil {
		return -1
	}
	return *got.ReadModel.LagSeconds
}

func projectorsDie(t *testing.T, d *deployment) string {
	d.signal(syscall.SIGSTOP, d.projectors...)
	require.Eventually(t, func() bool { return d.lag(t) > 1 }, testbench.Patience, 20*time.Millisecond, "a frozen projector is seen by the lag")
	d.signal(syscall.SIGCONT, d.projectors...)
	require.Eventually(t, func() bool { l := d.lag(t); return l >= 0 && l < 0.5 }, testbench.Patience, 20*time.Millisecond)
	d.kill(d.projectors[0])
	id := d.uploads(t, 1)[0]
	require.Eventually(t, func() bool {
		got, err := d.ask(t.Context(), id)
		return err == nil && got != nil
	}, testbench.Patience, 20*time.Millisecond, "the standby writes")
	d.kill(d.projectors[1])
	ids := d.uploads(t, 2)
	d.await(t, ids, "ends unseen", testbench.Converged)
	pause(outage())
	lag := d.lag(t)
	require.Greater(t, lag, 1.0)
	got, err := d.ask(t.Context(), ids[0])
	require.NoError(t, err)
	require.Nil(t, got, "stale reads know nothing of it")
	began := time.Now()
	d.restart(d.projectors...)
	require.Eventually(t, func() bool { l := d.lag(t); return l >= 0 && l < 0.5 }, testbench.Patience, 20*time.Millisecond)
	return fmt.Sprintf("lag of %.1f s told; caught up %.1f s after the start", lag, time.Since(began).Seconds())
}

func postgresAway(t *testing.T, d *deployment) string {
	require.NoError(t, d.postgres.Stop(t.Context()))
	ids := d.uploads(t, 3)
	d.await(t, ids, "is scanned without Postgres", scanned)
	_, err := d.ask(t.Context(), ids[0])
	var no *refusedError
	require.ErrorAs(t, err, &no)
	require.Equal(t, 503, no.status)
	pause(d.quiet + outage())
	for _, id := range ids {
		require.Nil(t, task.Fold(d.facts(t, id)).Verdict)
	}
	began := time.Now()
	d.startPostgres()
	d.await(t, ids, "passes", passed)
	return fmt.Sprintf("3 of 3 taken and scanned, reads refused (%s); verdicts %.1f s after it was back", no.Code, time.Since(began).Seconds())
}

// postgresProcesses are the postmaster, first, and its children.
func (d *deployment) postgresProcesses(t *testing.T) (pids []int) {
	text, err := os.ReadFile(filepath.Join(d.dir, "postgres", "data", "postmaster.pid"))
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(strings.TrimSpace(first))
	require.NoError(t, err)
	pids = append(pids, postmaster)
	out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pid=,ppid=").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		if n, _ := fmt.Sscan(line, &pid, &parent); n == 2 && parent == postmaster {
			pids = append(pids, pid)
		}
	}
	require.Greater(t, len(pids), 4, "a server and its workers")
	return pids
}

// toAll sends a signal to processes of which some may have just ended.
func toAll(t *testing.T, s syscall.Signal, pids []int) {
	for i, pid := range pids {
		if err := syscall.Kill(pid, s); i == 0 || !errors.Is(err, syscall.ESRCH) {
			require.NoError(t, err)
		}
	}
}

func postgresKilled(t *testing.T, d *deployment) string {
	ids := d.uploads(t, 2)
	before := d.postgresProcesses(t)
	toAll(t, syscall.SIGKILL, before)
	began := time.Now()
	ids = append(ids, d.uploads(t, 2)...)
	d.await(t, ids, "is scanned", scanned)
	require.Eventually(t, func() bool {
		got, err := d.ask(t.Context(), ids[3])
		return err == nil && got != nil
	}, testbench.Patience, 20*time.Millisecond, "reads are back")
	took := time.Since(began)
	require.NotEqual(t, before[0], d.postgresProcesses(t)[0])
	return fmt.Sprintf("%d processes killed; reads know the newest upload after %.1f s", len(before), took.Seconds())
}

func postgresFrozen(t *testing.T, d *deployment) string {
	pids := d.postgresProcesses(t)
	toAll(t, syscall.SIGSTOP, pids)
	frozen := true
	defer func() {
		if frozen {
			toAll(t, syscall.SIGCONT, pids)
		}
	}()
	ids := d.uploads(t, 3)
	d.await(t, ids, "is scanned without Postgres", scanned)
	asked, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := d.ask(asked, ids[0])
	require.Error(t, err, "reads wait")
	pause(d.quiet + outage())
	for _, id := range ids {
		require.Nil(t, task.Fold(d.facts(t, id)).Verdict)
	}
	began := time.Now()
	toAll(t, syscall.SIGCONT, pids)
	frozen = false
	d.await(t, ids, "passes", passed)
	return fmt.Sprintf("3 of 3 taken and scanned; verdicts %.1f s after it went on", time.Since(began).Seconds())
}

// frozen is longer than the client waits for an answer to its keepalive: see deploy.
const frozen = 13 * time.Second

func eventStoreFrozen(t *testing.T, d *deployment) string {
	before := d.uploads(t, 3)
	lost := func() int { return strings.Count(d.said(d.coordinators[0]), "event store connection lost") }
	earlier := lost()
	d.signal(syscall.SIGSTOP, d.node)
	began := time.Now()
	_, err := d.upload(t.Context())
	var no *refusedError
	require.ErrorAs(t, err, &no)
	require.Equal(t, 503, no.status)
	require.Equal(t, "eventstore.unavailable", no.Code)
	pause(frozen - time.Since(began))
	require.Greater(t, lost(), earlier, "the keepalive has no answer")
	began = time.Now()
	d.signal(syscall.SIGCONT, d.node)
	var id string
	require.Eventually(t, func() bool { id, err = d.upload(t.Context()); return err == nil }, testbench.Patience, 50*time.Millisecond)
	taken := time.Since(began)
	d.await(t, append(before, id), "ends", testbench.Converged)
	return fmt.Sprintf("503 %s; taken again %.1f s after it went on; 3 of 3 acknowledged before are there", no.Code, taken.Seconds())
}

func eventStoreAway(t *testing.T, d *deployment) string {
	victim := d.scanners[0]
	d.signal(syscall.SIGSTOP, victim)
	ids := d.uploads(t, 4)
	d.await(t, ids, "opens", func(s task.State) bool { return s.Created != nil })
	d.kill(d.node, victim)
	began := time.Now()
	d.begin(victim) // it has to wait for the event store
	_, err := d.upload(t.Context())
	var no *refusedError
	require.ErrorAs(t, err, &no)
	require.Equal(t, 503, no.status)
	require.Equal(t, "eventstore.unavailable", no.Code)
	require.Contains(t, no.Message, "event store does not answer")
	pause(outage() - time.Since(began))
	began = time.Now()
	d.restart(d.node)
	var id string
	require.Eventually(t, func() bool { id, err = d.upload(t.Context()); return err == nil }, testbench.Patience, 50*time.Millisecond)
	taken := time.Since(began)
	d.awaitReady(victim)
	d.await(t, append(ids, id), "ends", testbench.Converged)
	d.await(t, ids, "is scanned", scanned) // late, if the event store was away for longer than quiet
	return fmt.Sprintf("503 %s; taken again %.1f s after the start; 4 of 4 acknowledged before are scanned", no.Code, taken.Seconds())
}

func blobsAway(t *testing.T, d *deployment) string {
	repeated := func() (n int) {
		for _, p := range d.scanners {
			n += strings.Count(d.said(p), "delivery will be repeated")
		}
		return n
	}
	before := repeated()
	d.signal(syscall.SIGSTOP, d.scanners...)
	ids := d.uploads(t, 2)
	d.await(t, ids, "opens", func(s task.State) bool { return s.Created != nil })
	away := d.blobs() + ".away"
	require.NoError(t, os.Rename(d.blobs(), away))
	d.signal(syscall.SIGCONT, d.scanners...)
	_, err := d.upload(t.Context())
	var no *refusedError
	require.ErrorAs(t, err, &no)
	require.Equal(t, 503, no.status)
	require.Eventually(t, func() bool { return repeated() > before+2 }, testbench.Patience, 10*time.Millisecond)
	times := repeated() - before
	require.NoError(t, os.Rename(away, d.blobs()))
	d.await(t, ids, "is scanned", scanned)
	for _, id := range ids {
		require.Equal(t, 1, task.Fold(d.facts(t, id)).SubTasks["SQL"].Attempt)
	}
	return fmt.Sprintf("503 %s; %d repetitions, then scanned in attempt 1", no.Code, times)
}

func anythingDies(t *testing.T, d *deployment) string {
	kills, freezes := 0, 0
	all := append(append(append(append([]*process{d.node}, d.coordinators...), d.projectors...), d.scanners...), d.apis...)
	for end := time.Now().Add(4 * outage()); time.Now().Before(end); {
		victim := all[rand.N(len(all))]
		if rand.N(3) == 0 {
			d.signal(syscall.SIGSTOP, victim)
			pause(rand.N(500 * time.Millisecond))
			d.signal(syscall.SIGCONT, victim)
			freezes++
			continue
		}
		d.kill(victim)
		kills++
		pause(rand.N(200 * time.Millisecond))
		d.restart(victim)
	}
	var id string
	require.Eventually(t, func() (ok bool) {
		var err error
		id, err = d.upload(t.Context())
		return err == nil
	}, testbench.Patience, 50*time.Millisecond)
	d.await(t, []string{id}, "ends", testbench.Converged)
	return fmt.Sprintf("%d kills, %d freezes", kills, freezes)
}
