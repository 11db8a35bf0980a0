package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

func revising(t require.TestingT) *rules.RuleSet {
	rs, err := rules.Parse([]byte(strings.Replace(string(rules.Default().Source()), "late: record", "late: revise", 1)), 3)
	require.NoError(t, err)
	return rs
}

// conclude records what the rules say at a moment, as a coordinator does; false
// if they say nothing.
func conclude(t require.TestingT, rs *rules.RuleSet, log []task.Recorded, now time.Time) ([]task.Recorded, bool) {
	s := task.Fold(log)
	add := func(facts ...task.Fact) {
		for _, f := range facts {
			log = append(log, task.Recorded{ID: fmt.Sprint("c", len(log)), Revision: uint64(len(log)), At: now, Fact: f})
		}
	}
	if s.Verdict == nil {
		closed, ok := rules.Evaluate(rs, log, now).(rules.Closed)
		if ok {
			add(task.WindowClosed{Cause: closed.Cause, ClosedAt: closed.At}, task.MainTaskConverged{Revision: 1, Verdict: closed.Verdict})
		}
		return log, ok
	}
	closed, ok := rules.Revise(rs, log, now).(rules.Closed)
	if ok {
		add(task.MainTaskConverged{Revision: s.Verdict.Revision + 1, Verdict: closed.Verdict, Supersedes: s.VerdictID})
		_, twice := rules.Revise(rs, log, closed.At.Add(1)).(rules.Closed)
		require.False(t, twice, "decided twice, recorded once")
	}
	return log, ok
}

func TestLateFactsReviseTheVerdict(t *testing.T) {
	rs := revising(t)
	log := stream(opened(), at(1, start("SQL", 1)), at(2, start("API", 1)), at(3, pass("API")))
	require.Equal(t, rules.NoWindow{}, rules.Revise(rs, log, longAfter), "there is no verdict yet")
	log, ok := conclude(t, rs, log, seconds(601))
	require.True(t, ok)
	require.Equal(t, "unfinished", task.Fold(log).Verdict.Rule.ID)
	require.Equal(t, rules.NoWindow{}, rules.Revise(rs, log, longAfter), "nobody was late")

	log = stream(append(log, at(700, fail("SQL", task.Check)), at(705, start("EXCEL", 1)))...)
	require.Equal(t, rules.Open{DueAt: seconds(1300)}, rules.Revise(rs, log, seconds(706)), "EXCEL has not finished")
	log = stream(append(log, at(720, pass("EXCEL")))...)
	require.Equal(t, rules.Open{DueAt: seconds(730)}, rules.Revise(rs, log, seconds(721)))
	require.Equal(t, seconds(730), rules.Explain(rs, log, seconds(721)).RevisionDue)
	again, ok := rules.Revise(rs, log, longAfter).(rules.Closed)
	require.True(t, ok)
	require.Equal(t, rules.Closed{Cause: task.Settled, At: seconds(730), Verdict: again.Verdict}, again)
	require.Equal(t, "some", again.Verdict.Rule.ID)
	require.Equal(t, []string{"API", "EXCEL"}, again.Verdict.Succeeded)
	require.Equal(t, rules.NoWindow{}, rules.Revise(rules.Default(), log, longAfter), "late: record")

	log, ok = conclude(t, rs, log, seconds(731))
	require.True(t, ok)
	require.Equal(t, 2, rules.Explain(rs, log, longAfter).Revision)
	require.Equal(t, "some", rules.Explain(rs, log, longAfter).Rule.ID)
	first, ok := rules.Recompute(rs, log)
	require.True(t, ok)
	require.Equal(t, "unfinished", first.Verdict.Rule.ID, "the first verdict stays what it was")

	log = stream(append(log, at(800, task.SubTaskRetryRequested{Type: "SQL", After: 1}))...)
	require.Equal(t, rules.Open{DueAt: seconds(1400)}, rules.Revise(rs, log, seconds(900)), "a retry after the verdict opens a window too")
	ended := rules.Revise(rs, log, longAfter).(rules.Closed)
	require.Equal(t, task.Deadline, ended.Cause)
	require.Equal(t, "unfinished", ended.Verdict.Rule.ID)
	require.Equal(t, rules.NoWindow{}, rules.Revise(rs, stream(append(log, at(801, task.MainTaskCancelled{}))...), longAfter))
}

// Whenever coordinators look, and however often: revisions end, each is recomputed
// from the stream alone, and the last one has counted everything.
func TestRevisionsEndAndAreRecomputed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := revising(t)
		var log []task.Recorded
		for _, r := range histories(t) {
			r.ID = fmt.Sprint("f", len(log))
			r.Revision = uint64(len(log))
			log = append(log, r)
			if rapid.IntRange(0, 3).Draw(t, "look") == 0 {
				log, _ = conclude(t, rs, log, r.At.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "later"))*time.Second))
			}
		}
		for more, n := true, 0; more; n++ {
			require.Less(t, n, 30, "revisions without end")
			log, more = conclude(t, rs, log, longAfter)
		}
		counted := map[string]bool{}
		for i, r := range log {
			f, is := r.Fact.(task.MainTaskConverged)
			if !is {
				continue
			}
			again, ok := rules.RecomputeRevision(rs, log, f.Revision)
			require.True(t, ok)
			require.Equal(t, f.Verdict, again.Verdict)
			explained := rules.Explain(rs, log[:i+1], longAfter)
			require.Equal(t, f.Revision, explained.Revision)
			require.Equal(t, f.Verdict.Rule, explained.Rule)
			require.Equal(t, f.Verdict.Evidence, explained.Evidence)
			counted = map[string]bool{}
			for _, id := range f.Evidence {
				counted[id] = true
			}
		}
		for _, r := range log {
			if strings.HasPrefix(task.TypeName(r.Fact), "SubTask") {
				require.True(t, counted[r.ID], "%s was never counted", r.ID)
			}
		}
		require.Equal(t, rules.NoWindow{}, rules.Revise(rs, log, longAfter.Add(24*time.Hour)))
	})
}

func TestShuffledAndRepeatedDeliveriesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := revising(t)
		log := histories(t)
		log, _ = conclude(t, rs, log, longAfter)
		log = append(log, at(0, start("SQL", 4)), at(0, pass("SQL")))
		for i := range log {
			log[i].Revision = uint64(i)
		}
		var dealt []task.Recorded
		for range 5 {
			dealt = append(dealt, log...)
		}
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(dealt), func(i, j int) { dealt[i], dealt[j] = dealt[j], dealt[i] })
		require.Equal(t, rules.Evaluate(rs, log, longAfter), rules.Evaluate(rs, dealt, longAfter))
		require.Equal(t, rules.Revise(rs, log, longAfter), rules.Revise(rs, dealt, longAfter))
		require.Equal(t, rules.Explain(rs, log, longAfter), rules.Explain(rs, dealt, longAfter))
		one, ok := rules.Recompute(rs, log)
		same, also := rules.Recompute(rs, dealt)
		require.Equal(t, ok, also)
		require.Equal(t, one, same)
	})
}

// Evidence is all that a verdict stands on, for rules that use every name there is.
func TestFoldingOnlyTheEvidenceIsEnoughForRulesThatSayMore(t *testing.T) {
	talkative := func(when string) *rules.RuleSet {
		return policy(t, "advisory: [EXCEL]\nrequired: {SQL: closed, API: open}", when)
	}
	sets := []*rules.RuleSet{
		talkative(`project == "dw" && silent > 0`), talkative(`version == "2" || missing_open > 0`),
		talkative(`retries > 1`), talkative(`advisory_failed + advisory_unfinished > 0 && degraded + covered_nothing == 0`),
	}
	rapid.Check(t, func(t *rapid.T) {
		rs := rapid.SampledFrom(sets).Draw(t, "rules")
		facts := histories(t)
		facts[0].Fact = task.ZipUploaded{TaskID: "t", Project: rapid.SampledFrom([]string{"dw", "ml"}).Draw(t, "project"), Version: "2"}
		main := facts[1].Fact.(task.MainTaskCreated)
		main.Known = []string{"API", "UI"}
		facts[1].Fact = main
		for i := range facts {
			facts[i].ID = fmt.Sprint(i)
		}
		want := rules.Evaluate(rs, facts, longAfter).(rules.Closed)
		var evidence []task.Recorded
		for _, r := range facts {
			for _, id := range want.Verdict.Evidence {
				if id == r.ID {
					evidence = append(evidence, r)
				}
			}
		}
		require.Equal(t, want, rules.Evaluate(rs, stream(evidence...), longAfter))
	})
}

func TestWhatFactsCannotTellIsNotGuessed(t *testing.T) {
	strict, _ := rules.BuiltIn("strict")
	passed := []task.Recorded{opened(), at(1, start("SQL", 1)), at(2, pass("SQL"))}
	reason, undecidable := rules.Undecidable(strict, stream(passed...))
	require.True(t, undecidable)
	require.Equal(t, "rule silent asks who was silent, and it was not recorded who was waited for when the window opened", reason.En)
	_, undecidable = rules.Undecidable(strict, stream(opened()))
	require.False(t, undecidable, "nobody took part: that rule is not reached")
	_, undecidable = rules.Undecidable(strict, stream(known(), passed[1], passed[2]))
	require.False(t, undecidable, "it was written down that nobody was online")
	_, undecidable = rules.Undecidable(rules.Default(), stream(passed...))
	require.False(t, undecidable)
	_, undecidable = rules.Undecidable(strict, stream(at(0, task.ZipUploaded{})))
	require.False(t, undecidable, "there is nothing to decide")

	lengths := func(window string) *rules.RuleSet {
		rs, err := rules.Parse([]byte(strings.Replace(string(rules.Default().Source()), "window: 10m ", "window: "+window+" ", 1)), 2)
		require.NoError(t, err)
		return rs
	}
	running, ok := conclude(t, rules.Default(), stream(opened(), at(1, start("SQL", 1))), seconds(601))
	require.True(t, ok)
	reason, undecidable = rules.Undecidable(lengths("20m"), running)
	require.True(t, undecidable)
	require.Equal(t, "the window was closed while SQL had not finished, and these rules would have waited longer", reason.En)
	_, undecidable = rules.Undecidable(lengths("5m"), running)
	require.False(t, undecidable, "a shorter window is decided")
	require.Equal(t, seconds(300), rules.Replay(lengths("5m"), running, longAfter).(rules.Closed).At)

	finished := stream(append(running, at(700, pass("SQL")))...)
	_, undecidable = rules.Undecidable(lengths("20m"), finished)
	require.False(t, undecidable, "its end was late, and is recorded")
	require.Equal(t, task.Success, rules.Replay(lengths("20m"), finished, longAfter).(rules.Closed).Verdict.Status)
	require.Equal(t, task.PartialSuccess, rules.Replay(rules.Default(), finished, longAfter).(rules.Closed).Verdict.Status)
	require.Equal(t, rules.NoWindow{}, rules.Replay(strict, nil, longAfter))
}

// Tried on the past, the rules that decided it say what they said.
func TestReplayingTheSameRulesChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := histories(t)
		main := facts[1].Fact.(task.MainTaskCreated)
		main.Window.Deadline, main.Window.Quiet = main.Window.OpensAt.Add(rules.Default().Window()), task.Duration(rules.Default().Quiet())
		facts[1].Fact = main
		known := rapid.IntRange(2, len(facts)).Draw(t, "known")
		log, ok := conclude(t, rules.Default(), facts[:known:known], facts[known-1].At.Add(time.Duration(rapid.IntRange(0, 700).Draw(t, "later"))*time.Second))
		log = stream(append(log, facts[known:]...)...)
		if recorded, is := rules.Recompute(rules.Default(), log); ok {
			require.True(t, is)
			require.Equal(t, recorded, rules.Replay(rules.Default(), log, longAfter))
			_, undecidable := rules.Undecidable(rules.Default(), log)
			require.False(t, undecidable)
		} else {
			require.Equal(t, rules.Evaluate(rules.Default(), log, longAfter), rules.Replay(rules.Default(), log, longAfter))
		}
	})
}
