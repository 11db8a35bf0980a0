package queries_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

// says appends what an instance says of itself.
func (w *world) says(fact, subTaskType, instance string) eventstore.Position {
	w.t.Helper()
	category := scanner.Category
	if fact == scanner.HeartbeatType {
		category = scanner.HeartbeatCategory
	}
	data, err := json.Marshal(scanner.Presence{Type: subTaskType, Instance: instance, Version: "1"})
	require.NoError(w.t, err)
	at, err := w.log.Append(context.Background(), eventstore.StreamID{Category: category, Key: subTaskType}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, fact+subTaskType+instance), Type: fact, Data: data, Metadata: []byte("{}")})
	require.NoError(w.t, err)
	return at.Position
}

func TestScannersAreWhatTheirInstancesAre(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	c := commands.New(w.log)
	for _, name := range []string{"BEATS", "GONE", "HALF", "MUTE", "OLD"} {
		_, err := c.EnlistScanner(ctx, "scanner", scanner.Enlist{Type: name, Instance: "a"})
		require.NoError(t, err)
	}
	w.says(scanner.OnlineType, "BEATS", "a")
	w.says(scanner.HeartbeatType, "BEATS", "a")
	w.says(scanner.OnlineType, "GONE", "a")
	w.says(scanner.OfflineType, "GONE", "a")
	w.says(scanner.OnlineType, "HALF", "killed")
	w.says(scanner.OnlineType, "HALF", "stopped")
	w.says(scanner.OfflineType, "HALF", "stopped")
	w.says(scanner.OnlineType, "UNLISTED", "a")
	_, err := c.RetireScanner(ctx, "li", scanner.Retire{Type: "OLD", Reason: "replaced", By: "li"})
	require.NoError(t, err)
	last := w.says(scanner.OnlineType, "OLD", "a")
	w.Follow(last)

	states := func(now time.Time) map[string]queries.ScannerState {
		list, at, err := w.queries.Scanners(ctx, now)
		require.NoError(t, err)
		require.Equal(t, last, at.Position)
		out := map[string]queries.ScannerState{}
		for _, s := range list {
			out[s.Type] = s.State
			for _, i := range s.Instances {
				out[s.Type+"/"+i.Instance] = i.State
				require.NotNil(t, i.LastHeardAt)
			}
			require.NotNil(t, s.LastHeardAt)
		}
		return out
	}
	online, lost, offline, retired := queries.ScannerOnline, queries.ScannerLost, queries.ScannerOffline, queries.ScannerRetired
	require.Equal(t, map[string]queries.ScannerState{
		"BEATS": online, "BEATS/a": online, "GONE": offline, "GONE/a": offline, "HALF": online, "HALF/killed": online, "HALF/stopped": offline,
		"MUTE": online, "OLD": retired, "OLD/a": online, "UNLISTED": online, "UNLISTED/a": online,
	}, states(time.Now()))
	require.Equal(t, map[string]queries.ScannerState{
		"BEATS": lost, "BEATS/a": lost, "GONE": offline, "GONE/a": offline, "HALF": offline, "HALF/killed": lost, "HALF/stopped": offline,
		"MUTE": lost, "OLD": retired, "OLD/a": lost, "UNLISTED": lost, "UNLISTED/a": lost,
	}, states(time.Now().Add(10*time.Minute)))

	list, _, err := w.queries.Scanners(ctx, time.Now())
	require.NoError(t, err)
	require.Equal(t, "OLD", list[4].Type)
	require.Equal(t, "replaced", list[4].Retirement.Reason)
	require.Equal(t, "li", list[4].Retirement.By)
	require.NotNil(t, list[4].EnlistedAt)
	require.Nil(t, list[5].EnlistedAt)
}

// What readers see as silent is what rules see, from what MainTaskCreated says.
func TestSilentIsWhatTheRulesSee(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.Scanner("STRANGER") // online somewhere, and waited for by nobody
	c, book := commands.New(w.log), commands.NewRuleBook(w.log)
	strict, _ := rules.BuiltIn("strict")
	open := func(known []string) queries.TaskID {
		id := given.NewTask()
		w.Tell(id, given.Uploaded(id, "p"))
		_, err := c.OpenWindow(ctx, id.String(), commands.Origin{}, task.Open{Now: time.Now(), Window: time.Hour, Quiet: time.Minute, RuleSet: strict.Ref(), Known: known})
		require.NoError(t, err)
		w.Tell(id, task.SubTaskStarted{Type: "SQL", Attempt: 1}, task.SubTaskDeclined{Type: "EXCEL", Code: "NO_MATCHING_FILES"},
			task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: task.Pass})
		return id
	}
	silent := func(id queries.TaskID) []string {
		got, _, err := w.queries.Task(ctx, id, queries.With{Silent: true})
		require.NoError(t, err)
		return got.Silent
	}
	known := []string{"API", "EXCEL", "SQL", "TARDY"}
	judged, running, nobody := open(known), open(known), open([]string{})
	_, done, err := c.Converge(ctx, judged.String(), commands.Origin{}, book, time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{"API", "TARDY"}, done.State.Verdict.Silent)
	w.Tell(judged, task.SubTaskStarted{Type: "TARDY", Attempt: 1})
	last := w.Tell(running, task.SubTaskStarted{Type: "TARDY", Attempt: 1})
	w.Follow(last)
	require.Equal(t, done.State.Verdict.Silent, silent(judged), "heard too late is silent")
	require.Equal(t, []string{"API"}, silent(running), "not heard yet")
	require.Empty(t, silent(nobody))

	// What is recorded late in the log but before anybody closed the window counts
	// for nobody: the verdict says so, not the order of facts.
	at := time.Now().Add(-2 * time.Hour)
	overdue := given.NewTask()
	w.Tell(overdue, given.Uploaded(overdue, "p"), task.MainTaskCreated{TaskID: overdue.String(), RuleSet: strict.Ref(), Known: []string{"LATE"},
		Window: task.Window{OpensAt: at, Deadline: at.Add(time.Nanosecond)}})
	w.Tell(overdue, task.SubTaskStarted{Type: "LATE", Attempt: 1})
	_, done, err = c.Converge(ctx, overdue.String(), commands.Origin{}, book, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, done.State.Verdict.Observed)
	w.Follow(done.Position)
	require.Equal(t, []string{"LATE"}, silent(overdue))
	require.Equal(t, done.State.Verdict.Silent, silent(overdue))
}
