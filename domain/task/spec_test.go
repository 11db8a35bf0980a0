package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// The specs read: given these facts, when this is wished for, then these facts
// (or silence, or a refusal) follow. Every Then also wishes again after its own
// facts and expects silence.

type spec struct {
	t     *testing.T
	facts []task.Recorded
}

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func given(t *testing.T, facts ...task.Fact) spec {
	t.Helper()
	return spec{t: t, facts: record(nil, facts...)}
}

// record appends facts as the log would: one second apart.
func record(log []task.Recorded, facts ...task.Fact) []task.Recorded {
	for _, f := range facts {
		n := uint64(len(log))
		log = append(log, task.Recorded{ID: f.Key(), Revision: n, Position: 100 + n, At: start.Add(time.Duration(n) * time.Second), Fact: f})
	}
	return log
}

type wish struct {
	spec
	command task.Command
	got     []task.Fact
	err     error
}

func (s spec) when(c task.Command) wish {
	s.t.Helper()
	got, err := task.Decide(task.Fold(s.facts), c)
	return wish{spec: s, command: c, got: got, err: err}
}

func (w wish) then(want ...task.Fact) {
	w.t.Helper()
	require.NoError(w.t, w.err)
	require.Equal(w.t, want, w.got)
	again, err := task.Decide(task.Fold(record(w.facts, w.got...)), w.command)
	require.NoError(w.t, err)
	require.Empty(w.t, again, "the same wish again is answered with silence")
}

func (w wish) thenNext(want ...task.Fact) {
	w.t.Helper()
	require.NoError(w.t, w.err)
	require.Equal(w.t, want, w.got)
}

func (w wish) thenSilence() {
	w.t.Helper()
	require.NoError(w.t, w.err)
	require.Empty(w.t, w.got)
}

func (w wish) thenRefused(kind domain.Kind, rule string) {
	w.t.Helper()
	require.Empty(w.t, w.got)
	require.Error(w.t, w.err)
	require.Equal(w.t, rule, domain.RuleOf(w.err))
	require.Equal(w.t, kind, domain.KindOf(w.err))
	require.NotEmpty(w.t, w.err.Error())
}

const id = "018f4e2a-0000-7000-8000-000000000001"

var (
	zip     = task.ZipUploaded{TaskID: id, FilePath: "sha256/ab", FileName: "a.zip", Size: 10, SHA256: "ab", Project: "dw", Version: "1.2", UploadedBy: "li", UploadTime: start}
	ruleSet = task.RuleSetRef{Name: "default", Version: 1, Digest: "d"}
	created = task.MainTaskCreated{TaskID: id, Context: task.Context{FilePath: "sha256/ab", UploadTime: start},
		Window: task.Window{OpensAt: start, Deadline: start.Add(10 * time.Minute), Quiet: task.Duration(10 * time.Second)}, RuleSet: ruleSet}
	us   = task.Scanner{Name: "factgate-sql", Version: "1", Instance: "i1"}
	them = task.Scanner{Name: "factgate-sql", Version: "1", Instance: "i2"}
)

func started(attempt int, by task.Scanner) task.SubTaskStarted {
	return task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: attempt, Scanner: by, Delivery: "d"}
}

func completed(attempt int) task.SubTaskCompleted {
	return task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: attempt, Result: task.Pass, Coverage: task.Coverage{Eligible: 2, Seen: 2}}
}

func failed(attempt int, kind task.FailureKind) task.SubTaskFailed {
	return task.SubTaskFailed{TaskID: id, Type: "SQL", Attempt: attempt, Reason: "2 errors", Kind: kind}
}

func declined() task.SubTaskDeclined {
	return task.SubTaskDeclined{TaskID: id, Type: "SQL", Code: "NO_MATCHING_FILES", Reason: "no .sql files", Scanner: us}
}

var (
	startSQL  = task.Start{Type: "SQL", Scanner: us, Delivery: "d"}
	declineIt = task.StayAway{Type: "SQL", Code: "NO_MATCHING_FILES", Reason: "no .sql files", Scanner: us}
	open      = task.Open{Now: start, Window: 10 * time.Minute, Quiet: 10 * time.Second, RuleSet: ruleSet}
	verdict   = task.Verdict{Status: task.Success, Rule: task.Rule{ID: "all-passed"}, Because: report.Text{En: "e", Zh: "z"}}
	converge  = task.Converge{Cause: task.Settled, ClosedAt: start, Verdict: verdict}
	closed    = task.WindowClosed{TaskID: id, Cause: task.Settled, ClosedAt: start}
	converged = task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: verdict}
	withdrawn = task.MainTaskCancelled{TaskID: id, Reason: "wrong file"}
)

func TestUpload(t *testing.T) {
	given(t).when(task.Upload{Zip: zip}).then(zip)
	other := zip
	other.SHA256 = "cd"
	given(t, zip).when(task.Upload{Zip: other}).thenRefused(domain.Conflict, "upload.key_reused")
}

func TestOpen(t *testing.T) {
	given(t, zip).when(open).then(created)
	given(t).when(open).thenRefused(domain.NotFound, "task.unknown")
	given(t, zip, withdrawn).when(open).thenSilence()
	given(t, zip).when(task.Open{Now: start}).thenRefused(domain.Invalid, "window.invalid")
}

func TestStayAway(t *testing.T) {
	given(t, zip, created).when(declineIt).then(declined())
	given(t, zip).when(declineIt).thenRefused(domain.NotFound, "task.unknown")
	given(t, zip, created, started(1, us)).when(declineIt).thenRefused(domain.Refused, "sub_task.started")
	given(t, zip, created, started(1, us), completed(1)).when(declineIt).thenSilence()
	given(t, zip, created, withdrawn).when(declineIt).thenSilence()
	for _, bad := range []string{"", "a b", "作业", string(make([]byte, 65))} {
		given(t, zip, created).when(task.StayAway{Type: bad}).thenRefused(domain.Invalid, "sub_task.type")
	}
}

func TestStart(t *testing.T) {
	given(t, zip, created).when(startSQL).thenNext(started(1, us))
	given(t).when(startSQL).thenRefused(domain.NotFound, "task.unknown")
	given(t, zip, created, declined()).when(startSQL).thenNext(started(1, us)) // changed its mind: content decides anew
	given(t, zip, created, started(1, us), completed(1)).when(startSQL).thenSilence()
	given(t, zip, created, started(1, us), failed(1, task.Check)).when(startSQL).thenSilence()
	given(t, zip, created, withdrawn).when(startSQL).thenSilence()
	// Running elsewhere and delivered again: the owner crashed or hung.
	given(t, zip, created, started(1, them)).when(startSQL).thenNext(started(2, us))
	// An operator asked for more.
	again := task.SubTaskRetryRequested{TaskID: id, Type: "SQL", Reason: "fixed", After: 1}
	given(t, zip, created, started(1, us), failed(1, task.Error), again).when(startSQL).thenNext(started(2, us))
}

func TestComplete(t *testing.T) {
	given(t, zip, created, started(1, us)).when(task.Complete{Fact: completed(1)}).then(completed(1))
	given(t, zip, created, started(1, us), started(2, them)).when(task.Complete{Fact: completed(1)}).thenRefused(domain.Refused, "attempt.stale")
	given(t, zip, created, started(1, us)).when(task.Complete{Fact: completed(2)}).thenRefused(domain.Refused, "sub_task.not_started")
	given(t, zip, created).when(task.Complete{Fact: completed(1)}).thenRefused(domain.Refused, "sub_task.not_started")
	given(t, zip, created, started(1, us), failed(1, task.Check)).when(task.Complete{Fact: completed(1)}).thenRefused(domain.Refused, "attempt.ended")
	given(t).when(task.Complete{Fact: completed(1)}).thenRefused(domain.NotFound, "task.unknown")
	given(t, zip, created, started(1, us)).when(task.Complete{Fact: task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: "OK"}}).thenRefused(domain.Invalid, "sub_task.result")
}

func TestFail(t *testing.T) {
	given(t, zip, created, started(1, us)).when(task.Fail{Fact: failed(1, task.Check)}).then(failed(1, task.Check))
	given(t, zip, created, started(1, us), started(2, them)).when(task.Fail{Fact: failed(1, task.Error)}).thenRefused(domain.Refused, "attempt.stale")
	given(t, zip, created, started(1, us), completed(1)).when(task.Fail{Fact: failed(1, task.Check)}).thenRefused(domain.Refused, "attempt.ended")
	given(t, zip, created, started(1, us)).when(task.Fail{Fact: failed(1, "OOPS")}).thenRefused(domain.Invalid, "sub_task.kind")
}

func TestFactsAfterConvergenceAreLateNotLost(t *testing.T) {
	s := given(t, zip, created, started(1, us), closed, converged)
	s.when(task.Complete{Fact: completed(1)}).then(completed(1))
	state := task.Fold(record(s.facts, completed(1)))
	require.True(t, state.SubTasks["SQL"].Late)
	require.Equal(t, 1, state.Late)
	require.Equal(t, task.PhaseConverged, state.Phase())
}

func TestRequestRetry(t *testing.T) {
	wish := task.RequestRetry{Type: "SQL", Reason: "fixed"}
	fact := task.SubTaskRetryRequested{TaskID: id, Type: "SQL", Reason: "fixed", After: 1}
	given(t, zip, created, started(1, us), failed(1, task.Error)).when(wish).then(fact)
	given(t, zip, created).when(wish).thenRefused(domain.Refused, "sub_task.not_started")
	given(t, zip, created, started(1, us)).when(wish).thenRefused(domain.Refused, "sub_task.running")
	given(t, zip, created, started(1, us), failed(1, task.Error), withdrawn).when(wish).thenRefused(domain.Refused, "task.cancelled")
	given(t).when(wish).thenRefused(domain.NotFound, "task.unknown")
}

func TestConverge(t *testing.T) {
	given(t, zip, created).when(converge).then(closed, converged)
	given(t, zip).when(converge).thenRefused(domain.NotFound, "task.unknown")
	given(t, zip, created, withdrawn).when(converge).thenSilence()
	given(t, zip, created, closed).when(converge).then(converged) // a stranger closed it and left it without a verdict
}

func TestRevise(t *testing.T) {
	again := task.Revise{Revision: 2, Verdict: verdict}
	second := task.MainTaskConverged{TaskID: id, Revision: 2, Verdict: verdict, Supersedes: converged.Key()}
	given(t, zip, created, closed, converged).when(again).then(second)
	given(t, zip, created, closed, converged, second).when(again).thenSilence()
	given(t, zip, created, closed, converged).when(task.Revise{Revision: 1, Verdict: verdict}).thenSilence()
	given(t, zip, created, closed, converged).when(task.Revise{Revision: 3, Verdict: verdict}).thenRefused(domain.Conflict, "verdict.revision")
	given(t, zip, created).when(again).thenRefused(domain.NotFound, "task.unknown")
}

func TestCancel(t *testing.T) {
	wish := task.Cancel{Reason: "wrong file"}
	given(t, zip, created).when(wish).then(withdrawn)
	given(t).when(wish).thenRefused(domain.NotFound, "task.unknown")
	given(t, zip, created, closed, converged).when(wish).thenRefused(domain.Refused, "task.converged")
}

// Silent is who was not heard in the window; what is recorded between its end and
// WindowClosed came too late, as it does for the verdict.
func TestHeardInTheWindow(t *testing.T) {
	id := "0198c2a0-0000-7000-8000-000000000001"
	facts := record(nil,
		task.ZipUploaded{TaskID: id},
		task.MainTaskCreated{TaskID: id, Known: []string{"LATE", "EXCEL", "QUIET", "SQL", "TARDY"}},
		task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1},
		task.SubTaskDeclined{TaskID: id, Type: "EXCEL", Code: "NO_MATCHING_FILES"},
		task.SubTaskStarted{TaskID: id, Type: "LATE", Attempt: 1},
		task.SubTaskDeclined{TaskID: id, Type: "TARDY", Code: "NO_MATCHING_FILES"})
	require.Equal(t, []string{"EXCEL", "LATE", "SQL", "TARDY"}, task.Fold(facts).HeardInWindow(), "so far")

	facts = record(facts, task.WindowClosed{TaskID: id, Cause: task.Deadline, ClosedAt: facts[3].At})
	s := task.Fold(facts)
	require.Equal(t, []string{"EXCEL", "SQL"}, s.HeardInWindow())
	require.Equal(t, []string{"LATE", "QUIET", "TARDY"}, s.Silent)

	// Whoever declined in time and takes part after all was heard in time.
	s = task.Fold(record(facts, task.SubTaskStarted{TaskID: id, Type: "EXCEL", Attempt: 1}, task.SubTaskCompleted{TaskID: id, Type: "TARDY", Attempt: 1, Result: task.Pass}))
	require.Equal(t, facts[3].At, s.SubTasks["EXCEL"].Heard)
	require.Equal(t, facts[5].At, s.SubTasks["TARDY"].Heard)
	require.Equal(t, []string{"EXCEL", "SQL"}, s.HeardInWindow())
	require.Equal(t, []string{"LATE", "QUIET", "TARDY"}, s.Silent)
}
