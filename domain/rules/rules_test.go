package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// at records a fact so many seconds after t0.
func at(seconds float64, f task.Fact) task.Recorded {
	return task.Recorded{ID: f.Key(), At: t0.Add(time.Duration(seconds * float64(time.Second))), Fact: f}
}

func stream(facts ...task.Recorded) []task.Recorded {
	for i := range facts {
		facts[i].Revision = uint64(i)
	}
	return facts
}

// The producer's clock is a year off on purpose: only its lengths may count.
func created(window, quiet time.Duration) task.Fact {
	elsewhere := t0.AddDate(1, 0, 0)
	return task.MainTaskCreated{TaskID: "t", Window: task.Window{OpensAt: elsewhere, Deadline: elsewhere.Add(window), Quiet: task.Duration(quiet)}}
}

func opened() task.Recorded { return at(0, created(10*time.Minute, 10*time.Second)) }

func start(name string, attempt int) task.Fact {
	return task.SubTaskStarted{TaskID: "t", Type: name, Attempt: attempt}
}

func pass(name string) task.Fact {
	return task.SubTaskCompleted{TaskID: "t", Type: name, Attempt: 1, Result: task.Pass}
}

func fail(name string, kind task.FailureKind) task.Fact {
	return task.SubTaskFailed{TaskID: "t", Type: name, Attempt: 1, Kind: kind}
}

func decline(name string) task.Fact {
	return task.SubTaskDeclined{TaskID: "t", Type: name, Code: "NO_MATCHING_FILES"}
}

func seconds(n float64) time.Time { return t0.Add(time.Duration(n * float64(time.Second))) }

var longAfter = t0.Add(time.Hour)

func TestTheDefaultPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		facts  []task.Recorded
		status task.Status
		rule   string
		cause  task.Cause
		closed float64
		en, zh string
	}{
		"nobody at all":    {stream(opened()), task.Failed, "nobody", task.Settled, 10, "nobody took part, and nobody declined either", "没有任何扫描参与，也没有扫描表示不参与"},
		"all declined":     {stream(opened(), at(1, decline("SQL")), at(2, decline("API"))), task.Failed, "nobody", task.Settled, 12, "nobody took part; declined: API, SQL", "没有任何扫描参与；不参与：API, SQL"},
		"all passed":       {stream(opened(), at(1, start("SQL", 1)), at(30, pass("SQL"))), task.Success, "all-passed", task.Settled, 40, "all 1 that took part passed: SQL", "参与的 1 项全部通过：SQL"},
		"all failed":       {stream(opened(), at(1, start("SQL", 1)), at(2, start("API", 1)), at(3, fail("SQL", task.Check)), at(4, fail("API", task.Error))), task.Failed, "all-failed", task.Settled, 14, "none of the 2 that took part passed; failed: SQL; could not be finished: API", "参与的 2 项无一通过；未通过：SQL；扫描出错：API"},
		"some":             {stream(opened(), at(1, start("SQL", 1)), at(2, start("API", 1)), at(3, fail("SQL", task.Check)), at(4, pass("API"))), task.PartialSuccess, "some", task.Settled, 14, "1 of 2 passed: API; failed: SQL", "2 项中 1 项通过：API；未通过：SQL"},
		"unfinished":       {stream(opened(), at(1, start("SQL", 1)), at(2, start("API", 1)), at(4, pass("API"))), task.PartialSuccess, "unfinished", task.Deadline, 600, "the window ended while SQL had not finished; passed: API", "窗口期结束时 SQL 尚未完成；通过：API"},
		"a stale end":      {stream(opened(), at(1, start("SQL", 1)), at(2, start("SQL", 2)), at(4, pass("SQL"))), task.PartialSuccess, "unfinished", task.Deadline, 600, "the window ended while SQL had not finished", "窗口期结束时 SQL 尚未完成"},
		"too late to help": {stream(opened(), at(1, start("SQL", 1)), at(601, pass("SQL"))), task.PartialSuccess, "unfinished", task.Deadline, 600, "the window ended while SQL had not finished", "窗口期结束时 SQL 尚未完成"},
		"after settling":   {stream(opened(), at(1, start("SQL", 1)), at(2, pass("SQL")), at(12.5, start("API", 1)), at(13, fail("API", task.Check))), task.Success, "all-passed", task.Settled, 12, "all 1 that took part passed: SQL", "参与的 1 项全部通过：SQL"},
		"just in time":     {stream(opened(), at(1, start("SQL", 1)), at(2, pass("SQL")), at(12, start("API", 1)), at(13, fail("API", task.Check))), task.PartialSuccess, "some", task.Settled, 23, "1 of 2 passed: SQL; failed: API", "2 项中 1 项通过：SQL；未通过：API"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := rules.Evaluate(rules.Default(), c.facts, longAfter).(rules.Closed)
			require.True(t, ok)
			require.Equal(t, c.status, got.Verdict.Status)
			require.Equal(t, c.rule, got.Verdict.Rule.ID)
			require.Equal(t, c.cause, got.Cause)
			require.Equal(t, seconds(c.closed), got.At)
			require.Equal(t, report.Text{En: c.en, Zh: c.zh}, got.Verdict.Because)
			require.Equal(t, rules.Default().Ref(), got.Verdict.RuleSet)
		})
	}
}

func TestAWindowIsOpenUntilItIsDue(t *testing.T) {
	running := stream(opened(), at(1, start("SQL", 1)))
	require.Equal(t, rules.Open{DueAt: seconds(600)}, rules.Evaluate(rules.Default(), running, seconds(2)))
	require.Equal(t, rules.Open{DueAt: seconds(600)}, rules.Evaluate(rules.Default(), running, seconds(600)))
	settled := stream(opened(), at(1, decline("SQL")))
	require.Equal(t, rules.Open{DueAt: seconds(11)}, rules.Evaluate(rules.Default(), settled, seconds(3)))
	retry := stream(opened(), at(1, start("SQL", 1)), at(2, fail("SQL", task.Error)), at(3, task.SubTaskRetryRequested{Type: "SQL", After: 1}))
	require.Equal(t, rules.Open{DueAt: seconds(600)}, rules.Evaluate(rules.Default(), retry, seconds(599)))
}

func TestWithoutAWindowThereIsNoVerdict(t *testing.T) {
	require.Equal(t, rules.NoWindow{}, rules.Evaluate(rules.Default(), nil, longAfter))
	require.Equal(t, rules.NoWindow{}, rules.Evaluate(rules.Default(), stream(at(0, task.ZipUploaded{})), longAfter))
	require.Equal(t, rules.NoWindow{}, rules.Evaluate(rules.Default(), stream(opened(), at(1, task.MainTaskCancelled{})), longAfter))
}

func TestWhatCannotBeReadIsNeverTakenForGood(t *testing.T) {
	strange := task.Read("SubTaskPaused", nil)
	facts := stream(opened(), at(1, start("SQL", 1)), at(2, pass("SQL")), at(3, strange))
	got := rules.Evaluate(rules.Default(), facts, longAfter).(rules.Closed)
	require.Equal(t, task.Failed, got.Verdict.Status)
	require.Equal(t, "unreadable", got.Verdict.Rule.ID)
	require.Contains(t, got.Verdict.Evidence, facts[3].ID)
	require.Equal(t, seconds(12), got.At, "it says nothing that keeps a window open")
	require.Equal(t, []string{"SQL"}, got.Verdict.Succeeded)
	late := stream(opened(), at(1, start("SQL", 1)), at(2, pass("SQL")), at(13, strange))
	require.Equal(t, task.Success, rules.Evaluate(rules.Default(), late, longAfter).(rules.Closed).Verdict.Status)
}

func TestOnlyAPassIsASuccess(t *testing.T) {
	for name, end := range map[string]task.SubTaskCompleted{
		"a result that nobody knows": {Type: "SQL", Attempt: 1, Result: "FAIL"},
		"no result":                  {Type: "SQL", Attempt: 1},
		"nothing was read":           {Type: "SQL", Attempt: 1, Result: task.Pass, Coverage: task.Coverage{Eligible: 10}},
	} {
		got := rules.Evaluate(rules.Default(), stream(opened(), at(1, start("SQL", 1)), at(2, end)), longAfter).(rules.Closed)
		require.Equal(t, task.Failed, got.Verdict.Status, name)
		require.Equal(t, []string{"SQL"}, got.Verdict.Errored, name)
	}
}

func TestTheDeadlineHoldsWhileFactsKeepComing(t *testing.T) {
	facts := []task.Recorded{at(0, created(20*time.Second, 10*time.Second))}
	for i := range 10 {
		facts = append(facts, at(float64(i*5), decline(fmt.Sprint("T", i))))
	}
	got := rules.Evaluate(rules.Default(), stream(facts...), longAfter).(rules.Closed)
	require.Equal(t, task.Deadline, got.Cause)
	require.Equal(t, seconds(20), got.At)
	require.Len(t, got.Verdict.Declined, 5) // 0, 5, 10, 15 and 20 s
}

func TestAClockThatStepsBackStandsStill(t *testing.T) {
	facts := stream(at(100, created(10*time.Minute, 10*time.Second)), at(90, start("SQL", 1)), at(95, pass("SQL")))
	got := rules.Evaluate(rules.Default(), facts, longAfter).(rules.Closed)
	require.Equal(t, seconds(110), got.At)
	require.Equal(t, task.Success, got.Verdict.Status)
}

// histories of facts as the store could have recorded them.
func histories(t *rapid.T) []task.Recorded {
	facts := []task.Recorded{at(0, task.ZipUploaded{TaskID: "t"}), at(0, created(100*time.Second, time.Duration(rapid.IntRange(0, 20).Draw(t, "quiet"))*time.Second))}
	now := 0.0
	for range rapid.IntRange(0, 25).Draw(t, "n") {
		now += float64(rapid.IntRange(0, 15).Draw(t, "gap"))
		name := rapid.SampledFrom([]string{"SQL", "API", "EXCEL"}).Draw(t, "type")
		attempt := rapid.IntRange(1, 3).Draw(t, "attempt")
		facts = append(facts, at(now, rapid.SampledFrom([]task.Fact{
			start(name, attempt), start(name, attempt), decline(name),
			task.SubTaskCompleted{Type: name, Attempt: attempt, Result: task.Pass},
			task.SubTaskFailed{Type: name, Attempt: attempt, Kind: task.Check},
			task.SubTaskFailed{Type: name, Attempt: attempt, Kind: task.Error},
			task.SubTaskRetryRequested{Type: name, After: attempt},
		}).Draw(t, "fact")))
	}
	return stream(facts...)
}

func TestEvaluateIsDeterministicAndAlwaysEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := histories(t)
		got, ok := rules.Evaluate(rules.Default(), facts, longAfter).(rules.Closed)
		require.True(t, ok, "an hour later there is a verdict")
		require.False(t, got.At.After(seconds(100)), "by its deadline")
		require.Equal(t, got, rules.Evaluate(rules.Default(), facts, longAfter.Add(time.Hour)), "however late one looks")

		types := len(got.Verdict.Succeeded) + len(got.Verdict.Failed) + len(got.Verdict.Errored) + len(got.Verdict.Unfinished)
		require.Equal(t, len(got.Verdict.Observed), types)
	})
}

// The coordinator looks at some moment, closes, and later facts pile up behind:
// whoever recomputes gets the same verdict from the stream alone.
func TestRecomputingGivesTheRecordedVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := histories(t)
		known := rapid.IntRange(2, len(facts)).Draw(t, "known")
		now := facts[known-1].At.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "later")) * time.Second)
		switch got := rules.Evaluate(rules.Default(), facts[:known], now).(type) {
		case rules.Open:
			_, ok := rules.Recompute(rules.Default(), facts[:known])
			require.False(t, ok)
			require.False(t, got.DueAt.Before(now))
		case rules.Closed:
			log := append([]task.Recorded{}, facts[:known]...)
			log = append(log, task.Recorded{At: now, Fact: task.WindowClosed{Cause: got.Cause, ClosedAt: got.At}}, task.Recorded{At: now, Fact: task.MainTaskConverged{Verdict: got.Verdict}})
			log = stream(append(log, facts[known:]...)...)
			again, ok := rules.Recompute(rules.Default(), log)
			require.True(t, ok)
			require.Equal(t, got, again)
		}
	})
}

func TestFoldingOnlyTheEvidenceGivesTheSameVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := histories(t)
		want := rules.Evaluate(rules.Default(), facts, longAfter).(rules.Closed)
		named := map[string]int{}
		for _, id := range want.Verdict.Evidence {
			named[id]++
		}
		var evidence []task.Recorded
		for _, r := range facts {
			if named[r.ID] > 0 {
				named[r.ID]--
				evidence = append(evidence, r)
			}
		}
		require.Equal(t, want, rules.Evaluate(rules.Default(), stream(evidence...), longAfter))
	})
}

func TestARuleSetThatCannotAlwaysAnswerIsRefused(t *testing.T) {
	const head = "name: x\nwindow: 1m\nquiet: 1s\nrules:\n"
	const last = "  - {id: z, when: 'true', status: FAILED}\n"
	_, err := rules.Parse([]byte(head+last), 1)
	require.NoError(t, err)
	for _, text := range []string{
		"", "{", "name: x", head, head + "  - {id: a, when: 'observed == 0', status: FAILED}\n",
		head + "  - {id: a, when: 'observed ==', status: FAILED}\n" + last,
		head + "  - {id: a, when: 'observed + 1', status: FAILED}\n" + last,
		head + "  - {id: a, when: 'nonsense > 1', status: FAILED}\n" + last,
		head + "  - {id: a, when: 'true', status: MAYBE}\n" + last,
		head + "  - {id: z, when: 'true', status: FAILED}\n" + last,
		head + "  - {id: a, when: 'true', status: FAILED, because: {en: '{{.Nope}}'}}\n" + last,
		head + "  - {id: a, when: 'true', status: FAILED, because: {en: '{{'}}\n" + last,
		head + last + "extra: 1\n", head + last + "---\nname: y\n",
		strings.Replace(head, "1m", "0s", 1) + last, strings.Replace(head, "1s", "-1s", 1) + last,
		"late: sometimes\n" + head + last, head + last + strings.Repeat("#", 70<<10),
		head + "  - {id: a, when: '" + strings.Repeat("1 + ", 600) + "1 == 2', status: FAILED}\n" + last,
	} {
		_, err := rules.Parse([]byte(text), 1)
		require.Equal(t, "ruleset.invalid", domain.RuleOf(err), "%.200s", text)
	}
}

func TestARuleThatBreaksIsNeverGoodNews(t *testing.T) {
	rs, err := rules.Parse([]byte("name: x\nwindow: 1m\nquiet: 1s\nrules:\n  - {id: a, when: 'observed_types[5] == \"SQL\"', status: SUCCESS}\n  - {id: z, when: 'true', status: SUCCESS}\n"), 1)
	require.NoError(t, err)
	got := rules.Evaluate(rs, stream(opened()), longAfter).(rules.Closed)
	require.Equal(t, task.Failed, got.Verdict.Status)
	require.Contains(t, got.Verdict.Because.En, "rule a could not be evaluated")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: x\nwindow: 1m\nquiet: 1s\nrules:\n  - {id: z, when: 'true', status: FAILED}\n"))
	for _, name := range rules.BuiltIns() {
		rs, _ := rules.BuiltIn(name)
		f.Add(rs.Source())
	}
	f.Add([]byte("name: x\nwindow: 1m\nadvisory: [A]\nrequired: {B: open}\nthresholds: {n: 1}\nrules:\n  - id: z\n    when: >\n      warnings >\n      thresholds.m\n    status: FAILED\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rs, err := rules.Parse(text, 1)
		if err != nil {
			require.Equal(t, domain.Invalid, domain.KindOf(err))
			var at *rules.SourceError
			require.ErrorAs(t, err, &at)
			require.LessOrEqual(t, at.Line, 2+strings.Count(string(text), "\n"), "the place is in the text")
			return
		}
		e := rules.Explain(rs, stream(opened(), at(1, start("SQL", 1))), longAfter)
		require.NotEmpty(t, e.Status)
	})
}
