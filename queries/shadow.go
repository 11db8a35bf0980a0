package queries

import (
	"context"
	"fmt"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// Shadowed is how a task comes out under the rule set in its shadow.
type Shadowed struct {
	RuleSet task.RuleSetRef
	rules.Trial
}

// Shadow tries the rule set in a task's shadow, straight from its stream; nil when
// it has none. A rule set that cannot be had makes the trial undecidable, never
// the question fail: a shadow is in nobody's way.
func (q *Queries) Shadow(ctx context.Context, id TaskID, at AsOf, now time.Time) (*Shadowed, error) {
	facts, err := q.recorded(ctx, id)
	if err != nil {
		return nil, err
	}
	facts, now = asOf(facts, at, now)
	return q.shadow(ctx, facts, now)
}

func (q *Queries) shadow(ctx context.Context, facts []task.Recorded, now time.Time) (*Shadowed, error) {
	created := task.Fold(facts).Created
	if created == nil || created.Shadow == nil {
		return nil, nil
	}
	ref := *created.Shadow
	text, err := q.ruleSetText(ctx, ref)
	if err != nil {
		return nil, err
	}
	rs, err := rules.Parse(text, ref.Version)
	if err == nil && rs.Ref() == ref {
		return &Shadowed{ref, rules.Try(rs, facts, now)}, nil
	}
	lost := rules.Try(rules.Default(), facts, now)
	return &Shadowed{ref, rules.Trial{Recorded: lost.Recorded, Undecidable: report.Text{
		En: fmt.Sprintf("rule set %.80q version %d is not here, or cannot be used by this version of Factgate", ref.Name, ref.Version),
		Zh: fmt.Sprintf("找不到规则集 %.80q 版本 %d，或当前版本的 Factgate 无法使用它", ref.Name, ref.Version),
	}}}, nil
}
