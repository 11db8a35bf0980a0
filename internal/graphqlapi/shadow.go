package graphqlapi

import (
	"context"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/queries"
)

// Shadow is read from the log when it is asked for.
func (r *taskResolver) Shadow(ctx context.Context) (*shadow, error) {
	if err := ledgerOf(ctx).spend(2 * historyCost); err != nil { // the task's stream and the rule set's
		return nil, err
	}
	var at queries.AsOf
	if r.page.asOf != nil {
		at = *r.page.asOf
	}
	s, err := r.page.queries.Shadow(ctx, r.t.ID, at, time.Now())
	return shadowOf(s), err
}

func (r *explanation) Shadow() *shadow { return shadowOf(r.e.Shadow) }

func shadowOf(s *queries.Shadowed) *shadow {
	if s == nil {
		return nil
	}
	return &shadow{*s}
}

type shadow struct{ s queries.Shadowed }

func (r *shadow) RuleSet() *ruleSet { return &ruleSet{r.s.RuleSet} }

func (r *shadow) Status() *string {
	if r.s.Verdict == nil {
		return nil
	}
	said := status(r.s.Verdict.Status)
	return &said
}

func (r *shadow) Rule() *ruleResolver {
	if r.s.Verdict == nil {
		return nil
	}
	return &ruleResolver{r.s.Verdict.Rule}
}

func (r *shadow) Because() *textResolver {
	if r.s.Verdict == nil {
		return nil
	}
	return &textResolver{r.s.Verdict.Because}
}

func (r *shadow) Differs() *bool {
	if r.s.Recorded == nil || r.s.Verdict == nil {
		return nil
	}
	differs := r.s.Trial.Differs()
	return &differs
}

func (r *shadow) Undecidable() *textResolver {
	if r.s.Undecidable == (report.Text{}) {
		return nil
	}
	return &textResolver{r.s.Undecidable}
}

func (r *shadow) DueAt() *graphql.Time {
	if r.s.DueAt.IsZero() {
		return nil
	}
	return instant(&r.s.DueAt)
}
