package task_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// history draws what scanners, coordinator and users could do to a task, through
// Decide, so that every drawn history could have happened.
func history(t *rapid.T) []task.Recorded {
	log := record(nil, zip)
	types := []string{"SQL", "EXCEL", "MADE_UP"}
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		kind := rapid.SampledFrom(types).Draw(t, "type")
		attempt := rapid.IntRange(1, 3).Draw(t, "attempt")
		by := rapid.SampledFrom([]task.Scanner{us, them}).Draw(t, "by")
		c := rapid.SampledFrom([]task.Command{
			open, converge,
			task.Cancel{Reason: "r"},
			task.StayAway{Type: kind, Code: "NO_MATCHING_FILES", Scanner: by},
			task.Start{Type: kind, Scanner: by},
			task.Start{Type: kind, Scanner: by},
			task.Consider{Type: kind, Scanner: by, Delivery: "1"},
			task.Consider{Type: kind, Scanner: by, Delivery: "2"},
			task.Complete{Fact: task.SubTaskCompleted{Type: kind, Attempt: attempt, Result: task.PassWithWarnings, Summary: report.Counts{Warning: 1}}},
			task.Fail{Fact: task.SubTaskFailed{Type: kind, Attempt: attempt, Kind: task.Check, Reason: "x"}},
			task.RequestRetry{Type: kind, Reason: "again"},
			task.Fail{Fact: task.SubTaskFailed{Type: kind, Attempt: attempt, Kind: task.Error, Parked: true, Reason: "x"}},
			task.ReplayDeadLetter{Type: kind, Reason: "again"},
			task.DiscardDeadLetter{Type: kind, Reason: "no use"},
		}).Draw(t, "command")
		if facts, err := task.Decide(task.Fold(log), c); err == nil {
			log = record(log, facts...)
		}
	}
	return log
}

func TestReplayOfAnyPrefixGivesTheSameState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := history(t)
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		direct := task.Fold(log[:cut])
		require.Equal(t, direct, task.Fold(log[:cut]))

		// Stored and loaded half way, as the projector does.
		text, err := json.Marshal(direct)
		require.NoError(t, err)
		var loaded task.State
		require.NoError(t, json.Unmarshal(text, &loaded))
		for _, r := range log[cut:] {
			direct, loaded = task.Evolve(direct, r), task.Evolve(loaded, r)
		}
		want, err := json.Marshal(task.Fold(log))
		require.NoError(t, err)
		for _, s := range []task.State{direct, loaded} {
			got, err := json.Marshal(s)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(got))
		}
	})
}

func TestEvolveLeavesOlderStatesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := history(t)
		var s task.State
		for i, r := range log {
			before, err := json.Marshal(s)
			require.NoError(t, err)
			next := task.Evolve(s, r)
			after, err := json.Marshal(s)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after), "fact %d", i)
			s = next
		}
	})
}

func TestRedeliveredFactsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := history(t)
		want := task.Fold(log)
		var s task.State
		for i, r := range log {
			s = task.Evolve(s, r)
			for range rapid.IntRange(0, 3).Draw(t, "again") {
				s = task.Evolve(s, log[rapid.IntRange(0, i).Draw(t, "old")])
			}
		}
		require.Equal(t, want, s)
	})
}

// A fact recorded twice (another revision, the same words) says nothing new,
// whoever managed to write it.
func TestRepeatedFactsSayNothingNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := history(t)
		var twice []task.Recorded
		for _, r := range log {
			for range 2 {
				r.Revision = uint64(len(twice))
				twice = append(twice, r)
			}
		}
		want, got := task.Fold(log), task.Fold(twice)
		got.Facts, got.Late = want.Facts, want.Late // these do count repetitions
		require.Equal(t, want, got)
	})
}

func TestEventIDsTellFactsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]bool{}
		for _, r := range history(t) {
			require.False(t, seen[r.Fact.Key()], r.Fact.Key())
			seen[r.Fact.Key()] = true
		}
	})
}

var update = flag.Bool("update", false, "write golden files that are missing; existing ones are never rewritten")

// Every version of every fact ever written stays readable. Files in
// testdata/facts are added, never edited.
func TestStoredFactsStayReadable(t *testing.T) {
	blob := &task.Blob{Key: "sha256/cd", SHA256: "cd"}
	full := map[string]task.Fact{
		"ZipUploaded": zip, "MainTaskCreated": created, "SubTaskDeclined": declined(), "SubTaskStarted": started(1, us),
		"SubTaskCompleted": task.SubTaskCompleted{TaskID: id, Type: "SQL", Attempt: 1, Result: task.PassWithWarnings, Summary: report.Counts{Warning: 2, Note: 1},
			Coverage: task.Coverage{Eligible: 3, Seen: 2, Degraded: []task.Degraded{{Path: "a.sql", Reason: "too long"}}}, Report: blob, DurationMS: 12},
		"SubTaskFailed": task.SubTaskFailed{TaskID: id, Type: "SQL", Attempt: 3, Reason: "gone", ReasonZH: "丢失", Kind: task.Error, Parked: true,
			Summary: &report.Counts{Error: 1}, Coverage: &task.Coverage{Eligible: 1}, Report: blob, DurationMS: 5},
		"SubTaskRetryRequested": task.SubTaskRetryRequested{TaskID: id, Type: "SQL", Reason: "fixed", After: 1},
		"WindowClosed":          closed,
		"MainTaskConverged": task.MainTaskConverged{TaskID: id, Revision: 1, Verdict: task.Verdict{
			Status: task.PartialSuccess, Rule: task.Rule{ID: "some", When: "true"}, Because: report.Text{En: "1 of 2", Zh: "2 项中 1 项"}, RuleSet: ruleSet,
			Observed: []string{"EXCEL", "SQL"}, Succeeded: []string{"SQL"}, Failed: []string{"EXCEL"}, Errored: []string{}, Unfinished: []string{}, Declined: []string{"API"},
			Evidence: []string{"e1", "e2"}}, Supersedes: "e0"},
		"MainTaskCancelled": withdrawn,
		"SubTaskDiscarded":  task.SubTaskDiscarded{TaskID: id, Type: "SQL", Attempt: 3, Reason: "the file is gone for good"},
		"SubTaskConsidered": considered(1, us),
	}
	require.Len(t, full, len(task.Types()))
	for _, name := range task.Types() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "facts", name+".v1.json")
			stored, data, err := task.Encode(full[name])
			require.NoError(t, err)
			require.Equal(t, name, stored)
			if _, err := os.Stat(file); os.IsNotExist(err) && *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
			}
			golden, err := os.ReadFile(file)
			require.NoError(t, err)
			back, err := task.Decode(name, golden)
			require.NoError(t, err)
			require.Equal(t, full[name], back)
			require.JSONEq(t, string(golden), string(data), "what is written today is what was written before")
		})
	}
}

// What was added to a fact later has a file of its own; the first ones stay as
// they are and read with the new fields empty.
func TestStoredFactsWithLaterFieldsStayReadable(t *testing.T) {
	opened, converged := created, full().(task.MainTaskConverged)
	opened.Window.Minimum, opened.Known = task.Duration(5*time.Second), []string{"API", "SQL"}
	alone := created
	alone.Known = []string{}
	shadowed := opened
	shadowed.Shadow = &task.RuleSetRef{Name: "next", Version: 2, Digest: "e"}
	told := &task.Configuration{Project: "*", Digest: "ab", By: "li"}
	because, refused := started(1, us), declined()
	because.Reason, because.ReasonZH, because.Configuration = "12 files match *.sql", "12 个文件匹配 *.sql", told
	refused.Configuration = told
	for name, fact := range map[string]task.Fact{"SubTaskStarted.v2": because, "SubTaskDeclined.v2": refused, "MainTaskCreated.v2": opened, "MainTaskCreated.v2.nobody": alone, "MainTaskCreated.v3": shadowed, "MainTaskConverged.v2": converged} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "facts", name+".json")
			stored, data, err := task.Encode(fact)
			require.NoError(t, err)
			if _, err := os.Stat(file); os.IsNotExist(err) && *update {
				require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
			}
			golden, err := os.ReadFile(file)
			require.NoError(t, err)
			back, err := task.Decode(stored, golden)
			require.NoError(t, err)
			require.Equal(t, fact, back)
			require.JSONEq(t, string(golden), string(data))
		})
	}
}

// full is a verdict with everything in it.
func full() task.Fact {
	return task.MainTaskConverged{TaskID: id, Revision: 2, Verdict: task.Verdict{
		Status: task.Failed, Rule: task.Rule{ID: "missing", When: "missing > 0"}, Because: report.Text{En: "no API", Zh: "缺少 API"}, RuleSet: ruleSet,
		Observed: []string{"SQL"}, Succeeded: []string{"SQL"}, Failed: []string{}, Errored: []string{}, Unfinished: []string{}, Declined: []string{"API"},
		Evidence: []string{"e1"}, CoveredNothing: []string{"A"}, Degraded: []string{"SQL"}, Silent: []string{"B"}, Missing: []string{"API"}, MissingOpen: []string{"C"},
		Advisory: &task.Advisory{Succeeded: []string{"D"}, Failed: []string{"E"}, Errored: []string{"F"}, Unfinished: []string{"G"}}}, Supersedes: "e0"}
}

func TestUnknownFactsAreNeverSkippedInSilence(t *testing.T) {
	_, err := task.Decode("SubTaskPaused", []byte(`{}`))
	var unknown *task.UnknownTypeError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "SubTaskPaused", unknown.Type)
}

func TestUnreadableFactsKeepTheirPlaceAndNothingElse(t *testing.T) {
	fact := task.Read("SubTaskPaused", []byte(`{}`))
	require.Equal(t, "SubTaskPaused", task.TypeName(fact))
	want := task.Fold(record(nil, zip, created, started(1, us)))
	got := task.Fold(record(nil, zip, created, started(1, us), fact))
	require.Equal(t, 1, got.Unreadable)
	want.Facts, want.LastEventAt, want.Unreadable = got.Facts, got.LastEventAt, got.Unreadable
	require.Equal(t, want, got)
	_, _, err := task.Encode(fact)
	require.Error(t, err)
	require.IsType(t, task.Unreadable{}, task.Read("SubTaskStarted", []byte(`{"attempt":"one"}`)))
	require.Equal(t, started(1, us).Type, task.Read("SubTaskStarted", []byte(`{"subTaskType":"SQL"}`)).(task.SubTaskStarted).Type)
}

func FuzzDecode(f *testing.F) {
	for _, name := range task.Types() {
		f.Add(name, []byte(`{"taskId":"x","attempt":1,"window":{"quiet":"10s"},"coverage":{"degraded":[{}]}}`))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		fact, err := task.Decode(name, data)
		if err != nil {
			return
		}
		stored, encoded, err := task.Encode(fact)
		if err != nil {
			return // a time out of JSON's range can be read and not written
		}
		again, err := task.Decode(stored, encoded)
		require.NoError(t, err)
		require.Equal(t, fact.Key(), again.Key())
		_ = task.Fold([]task.Recorded{{At: time.Unix(1, 0), Fact: fact}})
	})
}

// anyFacts draws what Decide would refuse, too: history is not up for debate.
func anyFacts(t *rapid.T) (log []task.Recorded) {
	names, attempts := rapid.SampledFrom([]string{"SQL", "EXCEL", "MADE_UP"}), rapid.IntRange(-1, 3)
	for revision := range rapid.IntRange(1, 40).Draw(t, "facts") {
		name, attempt := names.Draw(t, "type"), attempts.Draw(t, "attempt")
		fact := rapid.SampledFrom([]task.Fact{
			zip, created, task.Unreadable{Type: "X"}, task.MainTaskCancelled{Reason: "r"},
			task.SubTaskDeclined{Type: name, Code: "NO"},
			task.SubTaskConsidered{Type: name, Try: attempt, Scanner: us},
			task.SubTaskStarted{Type: name, Attempt: attempt, Reason: "r", Scanner: us},
			task.SubTaskCompleted{Type: name, Attempt: attempt, Result: task.Pass, Report: &task.Blob{Key: "k"}},
			task.SubTaskFailed{Type: name, Attempt: attempt, Kind: task.Check, Summary: &report.Counts{Error: 1}},
			task.SubTaskFailed{Type: name, Attempt: attempt, Kind: task.Error, Parked: true, Coverage: &task.Coverage{Seen: 1}},
			task.SubTaskRetryRequested{Type: name, After: attempt},
			task.SubTaskDiscarded{Type: name, Attempt: attempt, Reason: "r"},
			task.WindowClosed{Cause: task.Settled, ClosedAt: start.Add(time.Duration(attempt) * time.Second)},
			task.MainTaskConverged{Revision: attempt, Verdict: task.Verdict{Status: task.Failed, Observed: []string{name}}},
		}).Draw(t, "fact")
		log = append(log, task.Recorded{ID: fact.Key(), Revision: uint64(revision), Position: uint64(revision), At: start.Add(time.Duration(revision) * time.Second), Fact: fact})
	}
	return log
}

// The state of a task is remembered, written and folded on from at the same time: of a
// clone, nothing that is applied may be seen in the other.
func TestAppliedToACloneIsEvolvedAndNothingIsShared(t *testing.T) {
	text := func(s task.State) string {
		text, err := json.Marshal(s)
		require.NoError(t, err)
		return string(text)
	}
	rapid.Check(t, func(t *rapid.T) {
		var states []task.State
		var texts []string
		var s task.State
		for _, r := range anyFacts(t) {
			before := text(s)
			evolved, inPlace := task.Evolve(s, r), s.Clone()
			inPlace.Apply(r)
			require.Equal(t, evolved, inPlace)
			require.Equal(t, before, text(s))
			states, texts = append(states, s), append(texts, before)
			s = inPlace
		}
		for i := range states { // whatever came later
			require.Equal(t, texts[i], text(states[i]))
		}
	})
}
