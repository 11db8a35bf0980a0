package rules_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// The first verdict on record is what a trial is compared with, and a trial that
// has its verdict keeps it, whatever comes and however late one looks.
func TestATrialIsComparedWithTheWindowsEndAndStays(t *testing.T) {
	rs, err := rules.Parse([]byte("name: next\nwindow: 1m\nquiet: 10s\nrules:\n  - {id: all, when: succeeded == observed, status: SUCCESS}\n  - {id: rest, when: 'true', status: FAILED}\n"), 1)
	require.NoError(t, err)
	at := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	var facts []task.Recorded
	tell := func(after time.Duration, f task.Fact) {
		facts = append(facts, task.Recorded{ID: f.Key(), Revision: uint64(len(facts)), At: at.Add(after), Fact: f})
	}
	tell(0, task.ZipUploaded{})
	require.Equal(t, rules.Trial{}, rules.Try(rs, facts, at.Add(time.Hour)), "no window yet")
	tell(0, task.MainTaskCreated{Window: task.Window{OpensAt: at, Deadline: at.Add(time.Hour), Quiet: task.Duration(time.Minute)}})
	tell(time.Second, task.SubTaskStarted{Type: "SQL", Attempt: 1})
	tell(2*time.Second, task.SubTaskFailed{Type: "SQL", Attempt: 1, Kind: task.Check})
	require.Equal(t, rules.Trial{DueAt: at.Add(12 * time.Second)}, rules.Try(rs, facts, at.Add(3*time.Second)))

	early := rules.Try(rs, facts, at.Add(13*time.Second))
	require.Equal(t, task.Failed, early.Verdict.Status)
	require.False(t, early.Differs(), "nothing to differ from")
	tell(62*time.Second, task.WindowClosed{Cause: task.Settled, ClosedAt: at.Add(62 * time.Second)})
	tell(62*time.Second, task.MainTaskConverged{Revision: 1, Verdict: task.Verdict{Status: task.PartialSuccess}})
	tell(70*time.Second, task.SubTaskStarted{Type: "API", Attempt: 1})
	tell(80*time.Second, task.MainTaskConverged{Revision: 2, Verdict: task.Verdict{Status: task.Failed}})
	for _, now := range []time.Duration{80 * time.Second, 24 * time.Hour} {
		late := rules.Try(rs, facts, at.Add(now))
		require.Equal(t, early.Verdict, late.Verdict)
		require.Equal(t, task.PartialSuccess, late.Recorded.Status)
		require.True(t, late.Differs())
	}
}
