package rules_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

func TestAnExplanationShowsEachRuleAndWhatItSaw(t *testing.T) {
	facts := stream(opened(), at(1, start("SQL", 1)), at(2, start("API", 1)), at(3, fail("SQL", task.Check)), at(4, pass("API")))
	e := rules.Explain(rules.Default(), facts, longAfter)
	require.Equal(t, rules.WindowOver, e.State)
	require.False(t, e.Provisional)
	require.Equal(t, task.PartialSuccess, e.Status)
	require.Equal(t, "some", e.Rule.ID)
	require.Equal(t, []rules.RuleExplained{
		{ID: "nobody", When: "observed == 0", Status: task.Failed, Line: 8, Result: rules.DidNotHold, Values: []rules.Value{{Name: "observed", Value: 2}},
			Text: report.Text{En: "nobody did not hold: observed == 0 (observed = 2)", Zh: "nobody 不成立：observed == 0 (observed = 2)"}},
		{ID: "unfinished", When: "expired && unfinished > 0", Status: task.PartialSuccess, Line: 14, Result: rules.DidNotHold, Values: []rules.Value{{Name: "expired", Value: false}, {Name: "unfinished", Value: 0}},
			Text: report.Text{En: "unfinished did not hold: expired && unfinished > 0 (expired = false, unfinished = 0)", Zh: "unfinished 不成立：expired && unfinished > 0 (expired = false, unfinished = 0)"}},
		{ID: "all-passed", When: "succeeded == observed", Status: task.Success, Line: 20, Result: rules.DidNotHold, Values: []rules.Value{{Name: "succeeded", Value: 1}, {Name: "observed", Value: 2}},
			Text: report.Text{En: "all-passed did not hold: succeeded == observed (succeeded = 1, observed = 2)", Zh: "all-passed 不成立：succeeded == observed (succeeded = 1, observed = 2)"}},
		{ID: "all-failed", When: "succeeded == 0", Status: task.Failed, Line: 26, Result: rules.DidNotHold, Values: []rules.Value{{Name: "succeeded", Value: 1}},
			Text: report.Text{En: "all-failed did not hold: succeeded == 0 (succeeded = 1)", Zh: "all-failed 不成立：succeeded == 0 (succeeded = 1)"}},
		{ID: "some", When: "true", Status: task.PartialSuccess, Line: 32, Result: rules.Held, Values: []rules.Value{}, Text: report.Text{En: "some held: true", Zh: "some 成立：true"}},
	}, e.Rules)
	require.Equal(t, []rules.TypeExplained{{Type: "API", Outcome: rules.TypePassed}, {Type: "SQL", Outcome: rules.TypeFailed}}, e.Types)
	require.Equal(t, []string{facts[0].ID, facts[1].ID, facts[2].ID, facts[3].ID, facts[4].ID}, e.Evidence)
	require.Equal(t, &rules.WindowExplained{
		OpenedAt: seconds(0), HeardAt: seconds(4), SettlesAt: seconds(14), Quiet: task.Duration(10 * time.Second), Deadline: seconds(600), DueAt: seconds(14), Cause: task.Settled,
		Text: report.Text{
			En: "the window opened at 08:00:00.000 and settled at 08:00:14.000: nothing was unfinished, and nothing was heard for 10s after 08:00:04.000",
			Zh: "窗口期于 08:00:00.000 开启，于 08:00:14.000 静默收敛：没有未完成的扫描，且在 08:00:04.000 之后 10s 内没有新的事实",
		}}, e.Window)

	var flips []string
	for _, f := range e.Flips {
		flips = append(flips, f.Text.En)
	}
	require.Equal(t, []string{
		"if SQL had passed instead of having failed its check: SUCCESS (rule all-passed)",
		"if SQL had declined instead of having failed its check: SUCCESS (rule all-passed)",
		"if SQL had stayed away instead of having failed its check: SUCCESS (rule all-passed)",
		"if API had failed its check instead of having passed: FAILED (rule all-failed)",
		"if API had ended in an error instead of having passed: FAILED (rule all-failed)",
		"if API had declined instead of having passed: FAILED (rule all-failed)",
		"if API had stayed away instead of having passed: FAILED (rule all-failed)",
	}, flips)
	require.Equal(t, "若 SQL 为“通过”而非“未通过”：SUCCESS（规则 all-passed）", e.Flips[0].Text.Zh)
	_, err := json.Marshal(e)
	require.NoError(t, err)
}

func TestPairsAreTriedOnlyWhereNoSingleChangeDoesIt(t *testing.T) {
	facts := stream(opened(), at(1, start("SQL", 1)), at(2, start("API", 1)), at(3, fail("SQL", task.Check)), at(4, fail("API", task.Error)))
	pairs := map[task.Status]int{}
	for _, f := range rules.Explain(rules.Default(), facts, longAfter).Flips {
		require.True(t, len(f.Changes) == 1 || f.Status == task.Success, f.Text.En)
		pairs[f.Status]++
	}
	require.Equal(t, map[task.Status]int{task.Success: 5, task.PartialSuccess: 4}, pairs)
}

func TestNobodysVerdictFlipsWithAnybody(t *testing.T) {
	e := rules.Explain(rules.Default(), stream(opened()), longAfter)
	require.Equal(t, "if any scanner had passed instead of having stayed away: SUCCESS (rule all-passed)", e.Flips[0].Text.En)
	require.Equal(t, "若 任一扫描 为“通过”而非“缺席”：SUCCESS（规则 all-passed）", e.Flips[0].Text.Zh)
}

func TestAnOpenWindowIsExplainedProvisionally(t *testing.T) {
	facts := stream(opened(), at(1, start("SQL", 1)))
	e := rules.Explain(rules.Default(), facts, seconds(5))
	require.Equal(t, rules.WindowOpen, e.State)
	require.True(t, e.Provisional)
	require.Equal(t, "unfinished", e.Rule.ID)
	require.Equal(t, seconds(600), e.Window.DueAt)
	require.Empty(t, e.Window.Cause)

	cancelled := stream(opened(), at(1, start("SQL", 1)), at(2, task.MainTaskCancelled{}))
	e = rules.Explain(policy(t, "", "cancelled"), cancelled, longAfter)
	require.Equal(t, rules.WindowCancelled, e.State)
	require.True(t, e.Provisional)
	require.Equal(t, "a", e.Rule.ID)

	e = rules.Explain(rules.Default(), nil, longAfter)
	require.Equal(t, rules.WindowNone, e.State)
	require.Equal(t, rules.NotReached, e.Rules[0].Result)
}

func TestWhatStandsAboveTheRulesIsExplainedToo(t *testing.T) {
	e := rules.Explain(rules.Default(), stream(opened(), at(1, task.Read("SubTaskPaused", nil))), longAfter)
	require.Equal(t, "unreadable", e.Rule.ID)
	require.Equal(t, rules.NotReached, e.Rules[0].Result)
	require.Empty(t, e.Flips)

	e = rules.Explain(policy(t, "", `observed_types[5] == "SQL"`), stream(opened()), longAfter)
	require.Equal(t, rules.Broken, e.Rules[0].Result)
	require.Contains(t, e.Rules[0].Text.En, "a could not be evaluated")
	require.Equal(t, rules.NotReached, e.Rules[1].Result)
	require.Equal(t, []rules.Value{{Name: "observed_types", Value: []string{}}}, e.Rules[0].Values)
}

func TestARuleShowsOnlyTheNamesItUses(t *testing.T) {
	rs := policy(t, "thresholds: {max: 2, min: 1}", `warnings > thresholds.max || "SQL" in failed_types || warnings_by_type.SQL > 7`)
	e := rules.Explain(rs, stream(opened(), at(1, start("SQL", 1)), at(2, ended("SQL", report.Counts{Warning: 1}, task.Coverage{}))), longAfter)
	require.Equal(t, []rules.Value{{Name: "warnings", Value: 1}, {Name: "thresholds.max", Value: 2.0}, {Name: "failed_types", Value: []string{}}, {Name: "warnings_by_type", Value: map[string]int{"SQL": 1}}}, e.Rules[0].Values)
}

// An explanation never says anything but what Evaluate says, and a flip is one:
// facts with that outcome give that status.
func TestExplanationsAreTrue(t *testing.T) {
	strict, _ := rules.BuiltIn("strict")
	rapid.Check(t, func(t *rapid.T) {
		facts := histories(t)
		rs := rapid.SampledFrom([]*rules.RuleSet{rules.Default(), strict}).Draw(t, "rules")
		want := rules.Evaluate(rs, facts, longAfter).(rules.Closed)
		e := rules.Explain(rs, facts, longAfter)
		require.Equal(t, want.Verdict.Status, e.Status)
		require.Equal(t, want.Verdict.Rule, e.Rule)
		require.Equal(t, want.Verdict.Because, e.Because)
		require.Equal(t, want.Verdict.Evidence, e.Evidence)
		require.Equal(t, want.Cause, e.Window.Cause)
		held := 0
		for _, r := range e.Rules {
			if r.Result == rules.Held {
				held++
				require.Equal(t, e.Rule.ID, r.ID)
			}
		}
		require.Equal(t, 1, held)

		outcomes := map[string]rules.TypeOutcome{}
		for _, x := range e.Types {
			outcomes[x.Type] = x.Outcome
		}
		for _, f := range e.Flips {
			require.NotEqual(t, e.Status, f.Status)
			if f.Changes[0].Type == "*" {
				continue
			}
			other := map[string]rules.TypeOutcome{}
			for name, o := range outcomes {
				other[name] = o
			}
			for _, c := range f.Changes {
				require.Equal(t, other[c.Type], c.From)
				other[c.Type] = c.To
			}
			require.Equal(t, f.Status, rules.Evaluate(rs, playedOut(other), longAfter).(rules.Closed).Verdict.Status, f.Text.En)
		}
	})
}

// playedOut are facts in which each type has the outcome wished for.
func playedOut(outcomes map[string]rules.TypeOutcome) []task.Recorded {
	facts := []task.Recorded{opened()}
	for name, o := range outcomes {
		end := map[rules.TypeOutcome]task.Fact{
			rules.TypePassed: pass(name), rules.TypeFailed: fail(name, task.Check), rules.TypeErrored: fail(name, task.Error),
		}[o]
		switch o {
		case rules.TypeDeclined:
			facts = append(facts, at(1, decline(name)))
		case rules.TypeAbsent:
		default:
			facts = append(facts, at(1, start(name, 1)))
			if end != nil {
				facts = append(facts, at(1, end))
			}
		}
	}
	return stream(facts...)
}
