package ruleset

import (
	"errors"
	"fmt"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// UnavailableRule is the rule of a verdict that no rule set gave.
const UnavailableRule = "rule-set-unavailable"

// EvaluateWithout is rules.Evaluate for a task whose rule set cannot be had: it
// does not exist here, or its text is not the one that the task was opened under.
// The window is the recorded one and ends as ever; the verdict is FAILED, since
// what cannot be judged is never good news, and says why.
func EvaluateWithout(ref task.RuleSetRef, why error, facts []task.Recorded, now time.Time) rules.Outcome {
	closed, ok := rules.Evaluate(rules.Default(), facts, now).(rules.Closed)
	if !ok {
		return rules.Evaluate(rules.Default(), facts, now)
	}
	closed.Verdict.RuleSet, closed.Verdict.Status = ref, task.Failed
	closed.Verdict.Rule = task.Rule{ID: UnavailableRule}
	en, zh := why.Error(), why.Error()
	var known *domain.Error
	if errors.As(why, &known) && known.MsgZH != "" {
		en, zh = known.Msg, known.MsgZH
	}
	closed.Verdict.Because = report.Text{
		En: fmt.Sprintf("rule set %q version %d, which this task was opened under, cannot be used: %s", ref.Name, ref.Version, en),
		Zh: fmt.Sprintf("任务开启时所用的规则集 %q 版本 %d 无法使用：%s", ref.Name, ref.Version, zh),
	}
	return closed
}
