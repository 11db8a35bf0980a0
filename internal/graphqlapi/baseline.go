package graphqlapi

import (
	"context"
	"slices"
	"sync"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/queries"
)

// baselineCost is what a task's baselines take of a request's budget: up to 10,000
// findings of each type, twice.
const baselineCost = 500

// baselinesRead is what the tasks of one page have, read once.
type baselinesRead struct {
	once sync.Once
	of   map[queries.TaskID][]queries.Baseline
	err  error
}

// Baseline compares with the version before.
func (r *subTaskResolver) Baseline(ctx context.Context) (*baselineResolver, error) {
	page := r.task.page
	if page.asOf != nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "baseline.not_in_stream",
			Msg:   "the facts of a task do not say what the version before found; ask for baseline without asOf",
			MsgZH: "任务自身的事实不含上一版本的问题；查询 baseline 时请勿指定 asOf"}
	}
	read := &page.before
	read.once.Do(func() {
		if read.err = ledgerOf(ctx).spend(len(page.ids) * baselineCost); read.err == nil {
			var at queries.ReadAt
			if read.of, at, read.err = page.queries.Baselines(ctx, page.ids); read.err == nil {
				ledgerOf(ctx).saw(at)
			}
		}
	})
	if read.err != nil {
		return nil, read.err
	}
	all := read.of[r.task.t.ID]
	i := slices.IndexFunc(all, func(b queries.Baseline) bool { return b.Type == r.s.Type })
	if i < 0 {
		return nil, nil
	}
	return &baselineResolver{all[i]}, nil
}

type baselineResolver struct{ b queries.Baseline }

func (r *baselineResolver) PreviousTaskID() graphql.ID { return graphql.ID(r.b.Previous.String()) }
func (r *baselineResolver) New() Long                  { return Long(r.b.New) }
func (r *baselineResolver) Unchanged() Long            { return Long(r.b.Unchanged) }
func (r *baselineResolver) Fixed() Long                { return Long(r.b.Fixed) }
func (r *baselineResolver) Cut() bool                  { return r.b.Cut }
