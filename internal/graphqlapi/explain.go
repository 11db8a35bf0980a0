package graphqlapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/queries"
)

type explainArgs struct {
	AtRevision *int32
	AtTime     *graphql.Time
}

// Explain needs no read model.
func (q *query) Explain(ctx context.Context, args struct {
	Task graphql.ID
	explainArgs
}) (*explanation, error) {
	id, err := queries.ParseTaskID(string(args.Task))
	if err != nil {
		return nil, err
	}
	return explain(ctx, q.queries, id, args.moment())
}

func (r *taskResolver) Explain(ctx context.Context, args explainArgs) (*explanation, error) {
	at := args.moment()
	if r.page.asOf != nil && at == (queries.AsOf{}) {
		at = *r.page.asOf
	}
	return explain(ctx, r.page.queries, r.t.ID, at)
}

func (args explainArgs) moment() queries.AsOf {
	at, _ := asOf{Revision: args.AtRevision, Time: args.AtTime}.moment() // only a position can be wrong
	return at
}

func explain(ctx context.Context, q *queries.Queries, id queries.TaskID, at queries.AsOf) (*explanation, error) {
	// A stream, read twice, and a search for flips.
	if err := ledgerOf(ctx).spend(2*historyCost + queries.MaxPage); err != nil {
		return nil, err
	}
	e, err := q.Explain(ctx, id, at, time.Now())
	if err != nil {
		return nil, err
	}
	return &explanation{e}, nil
}

type explanation struct{ e queries.Explained }

func (r *explanation) At() graphql.Time  { return *instant(&r.e.At) }
func (r *explanation) State() string     { return string(r.e.State) }
func (r *explanation) Provisional() bool { return r.e.Provisional }
func (r *explanation) FlipsCut() bool    { return r.e.FlipsCut }

func (r *explanation) AtRevision() *int32 {
	if r.e.Newest < 0 {
		return nil
	}
	n := small(r.e.Newest)
	return &n
}

func (r *explanation) RuleSet() *ruleSet {
	if r.e.RuleSet == (task.RuleSetRef{}) {
		return nil
	}
	return &ruleSet{r.e.RuleSet}
}

func (r *explanation) Recorded() *verdictResolver {
	if r.e.Recorded == nil {
		return nil
	}
	return &verdictResolver{*r.e.Recorded}
}

func (r *explanation) RevisionDue() *graphql.Time {
	if r.e.RevisionDue.IsZero() {
		return nil
	}
	return instant(&r.e.RevisionDue)
}

func (r *explanation) Window() *windowExplained {
	if r.e.Window == nil {
		return nil
	}
	return &windowExplained{*r.e.Window}
}

func (r *explanation) Status() *string {
	if r.e.Window == nil {
		return nil
	}
	s := status(r.e.Status)
	return &s
}

func (r *explanation) Rule() *ruleResolver {
	if r.e.Window == nil {
		return nil
	}
	return &ruleResolver{r.e.Rule}
}

func (r *explanation) Because() *textResolver {
	if r.e.Window == nil {
		return nil
	}
	return &textResolver{r.e.Because}
}

func (r *explanation) Rules() []*ruleExplained {
	out := make([]*ruleExplained, len(r.e.Rules))
	for i, x := range r.e.Rules {
		out[i] = &ruleExplained{x}
	}
	return out
}

func (r *explanation) Types() []*typeExplained {
	out := make([]*typeExplained, len(r.e.Types))
	for i, x := range r.e.Types {
		out[i] = &typeExplained{x}
	}
	return out
}

func (r *explanation) Evidence() []*factResolver {
	out := make([]*factResolver, len(r.e.EvidenceFacts))
	for i, f := range r.e.EvidenceFacts {
		out[i] = &factResolver{f}
	}
	return out
}

func (r *explanation) Flips() []*flip {
	out := make([]*flip, len(r.e.Flips))
	for i, x := range r.e.Flips {
		out[i] = &flip{x}
	}
	return out
}

type windowExplained struct{ w rules.WindowExplained }

func (r *windowExplained) OpenedAt() graphql.Time  { return *instant(&r.w.OpenedAt) }
func (r *windowExplained) HeardAt() graphql.Time   { return *instant(&r.w.HeardAt) }
func (r *windowExplained) SettlesAt() graphql.Time { return *instant(&r.w.SettlesAt) }
func (r *windowExplained) QuietSeconds() float64   { return r.w.Quiet.D().Seconds() }
func (r *windowExplained) MinimumSeconds() float64 { return r.w.Minimum.D().Seconds() }
func (r *windowExplained) Deadline() graphql.Time  { return *instant(&r.w.Deadline) }
func (r *windowExplained) DueAt() graphql.Time     { return *instant(&r.w.DueAt) }
func (r *windowExplained) Text() *textResolver     { return &textResolver{r.w.Text} }
func (r *windowExplained) Cause() *string {
	return oneOf(&r.w.Cause, task.Settled, task.Deadline)
}

type ruleExplained struct{ r rules.RuleExplained }

func (r *ruleExplained) ID() string          { return r.r.ID }
func (r *ruleExplained) When() string        { return r.r.When }
func (r *ruleExplained) Status() string      { return status(r.r.Status) }
func (r *ruleExplained) Line() int32         { return small(r.r.Line) }
func (r *ruleExplained) Result() string      { return string(r.r.Result) }
func (r *ruleExplained) Text() *textResolver { return &textResolver{r.r.Text} }

func (r *ruleExplained) Values() []*ruleValue {
	out := make([]*ruleValue, len(r.r.Values))
	for i, v := range r.r.Values {
		out[i] = &ruleValue{v}
	}
	return out
}

type ruleValue struct{ v rules.Value }

func (r *ruleValue) Name() string { return r.v.Name }
func (r *ruleValue) Value() (JSON, error) {
	b, err := json.Marshal(r.v.Value)
	return JSON(b), err
}

type typeExplained struct{ t rules.TypeExplained }

func (r *typeExplained) Type() string         { return r.t.Type }
func (r *typeExplained) Outcome() string      { return string(r.t.Outcome) }
func (r *typeExplained) Advisory() bool       { return r.t.Advisory }
func (r *typeExplained) CoveredNothing() bool { return r.t.CoveredNothing }

type flip struct{ f rules.Flip }

func (r *flip) Status() string      { return status(r.f.Status) }
func (r *flip) Rule() string        { return r.f.Rule }
func (r *flip) Text() *textResolver { return &textResolver{r.f.Text} }

func (r *flip) Changes() []*outcomeChange {
	out := make([]*outcomeChange, len(r.f.Changes))
	for i, c := range r.f.Changes {
		out[i] = &outcomeChange{c}
	}
	return out
}

type outcomeChange struct{ c rules.Change }

func (r *outcomeChange) Type() string { return r.c.Type }
func (r *outcomeChange) From() string { return string(r.c.From) }
func (r *outcomeChange) To() string   { return string(r.c.To) }
