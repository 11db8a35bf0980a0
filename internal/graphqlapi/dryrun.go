package graphqlapi

import (
	"context"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/queries"
)

type dryRunArgs struct {
	Text    string
	Project *string
	Since   *graphql.Time
	After   *string
	First   int32
}

func (q *query) DryRun(ctx context.Context, args dryRunArgs) (*dryRunPage, error) {
	if err := ledgerOf(ctx).spend(tryCost * max(0, int(args.First))); err != nil {
		return nil, err
	}
	rs, err := rules.Parse([]byte(args.Text), 0)
	if err != nil {
		return nil, err
	}
	ask := queries.DryRunQuery{RuleSet: rs, Project: text(args.Project), After: text(args.After), First: size(args.First), Now: time.Now()}
	if args.Since != nil {
		ask.Since = args.Since.Time
	}
	p, err := q.queries.DryRun(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(p.ReadAt)
	return &dryRunPage{q.queries, ask, p}, nil
}

type dryRunPage struct {
	queries *queries.Queries
	ask     queries.DryRunQuery
	p       queries.DryRunPage
}

func (r *dryRunPage) RuleSet() *ruleSet          { return &ruleSet{r.ask.RuleSet.Ref()} }
func (r *dryRunPage) Tried() int32               { return small(r.p.Tried) }
func (r *dryRunPage) Undecided() int32           { return small(r.p.Undecided) }
func (r *dryRunPage) Next() *string              { return given(r.p.Next) }
func (r *dryRunPage) Flips() []*dryRunTask       { return dryRunTasks(r.p.Flips, false) }
func (r *dryRunPage) Undecidable() []*dryRunTask { return dryRunTasks(r.p.Undecidable, true) }
func (r *dryRunPage) Total(ctx context.Context) (Long, error) {
	n, err := r.queries.DryRunTotal(ctx, r.ask)
	return Long(n), err
}

func (r *dryRunPage) Counts() []*dryRunCount {
	out := make([]*dryRunCount, len(r.p.Counts))
	for i, c := range r.p.Counts {
		out[i] = &dryRunCount{c}
	}
	return out
}

type dryRunCount struct{ c queries.DryRunCount }

func (r *dryRunCount) Old() string  { return status(r.c.Old) }
func (r *dryRunCount) New() string  { return status(r.c.New) }
func (r *dryRunCount) Tasks() int32 { return small(r.c.Tasks) }

type dryRunTask struct {
	t           queries.Tried
	upload      task.ZipUploaded
	undecidable bool
}

func dryRunTasks(list []queries.Tried, undecidable bool) []*dryRunTask {
	out := make([]*dryRunTask, len(list))
	for i, t := range list {
		out[i] = &dryRunTask{t: t, undecidable: undecidable}
		if t.Upload != nil {
			out[i].upload = *t.Upload
		}
	}
	return out
}

func (r *dryRunTask) Task() graphql.ID       { return graphql.ID(r.t.Task.String()) }
func (r *dryRunTask) Project() string        { return r.upload.Project }
func (r *dryRunTask) Version() string        { return r.upload.Version }
func (r *dryRunTask) FileName() string       { return r.upload.FileName }
func (r *dryRunTask) Old() string            { return status(r.t.Old.Status) }
func (r *dryRunTask) OldRule() string        { return r.t.Old.Rule.ID }
func (r *dryRunTask) Because() *textResolver { return &textResolver{r.t.New.Because} }

func (r *dryRunTask) New() *string {
	if r.undecidable {
		return nil
	}
	s := status(r.t.New.Status)
	return &s
}

func (r *dryRunTask) NewRule() *string { return given(r.t.New.Rule.ID) }
