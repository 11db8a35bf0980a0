package graphqlapi

import (
	"context"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// asOf is the schema's AsOf.
type asOf struct {
	Revision *int32
	Time     *graphql.Time
	Position *string
}

func (a asOf) moment() (at queries.AsOf, err error) {
	if a.Revision != nil {
		n := int64(*a.Revision)
		at.Revision = &n
	}
	if a.Time != nil {
		at.Time = &a.Time.Time
	}
	if a.Position != nil {
		p, err := projections.ParsePosition(*a.Position)
		if err != nil {
			return at, err
		}
		at.Position = &p
	}
	return at, nil
}

// taskAsOf needs no read model: it is there while Postgres is away.
func (q *query) taskAsOf(ctx context.Context, id queries.TaskID, args taskArgs) (*taskResolver, error) {
	if args.AtPosition != nil {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "task.as_of",
			Msg:   "atPosition waits for the read model, which asOf does not read; give one of the two",
			MsgZH: "atPosition 等待的是读模型，而 asOf 不读取读模型；两者只能给出一个"}
	}
	at, err := args.AsOf.moment()
	if err != nil {
		return nil, err
	}
	with, cost := wanted(ctx, ""), historyCost
	if with.Silent {
		cost += presenceCost
	}
	if err := ledgerOf(ctx).spend(cost); err != nil {
		return nil, err
	}
	t, err := q.queries.TaskAsOf(ctx, id, at, with)
	if err != nil || t == nil {
		return nil, err
	}
	if graphql.HasSelectedField(ctx, "subTasks.report") {
		if err := ledgerOf(ctx).spend(reportCost * t.Reports("")); err != nil {
			return nil, err
		}
		if err := q.queries.JudgeReports(ctx, t); err != nil {
			return nil, err
		}
	}
	r := newTasks(q.queries, []queries.Task{*t}, with)[0]
	r.page.asOf = &at
	return r, nil
}

// findingsAsOf reads them from the reports of the attempts of then.
func (r *taskResolver) findingsAsOf(ctx context.Context, ask queries.FindingsQuery) (*findingConnection, error) {
	if err := ledgerOf(ctx).spend(reportCost*r.t.Reports(ask.Type) + max(0, ask.First)); err != nil {
		return nil, err
	}
	page, err := r.page.queries.FindingsAsOf(ctx, &r.t, ask)
	if err != nil {
		return nil, err
	}
	return &findingConnection{page}, nil
}

// until takes the facts that were there then.
func (r *taskResolver) until(facts []*factResolver) []*factResolver {
	for i, f := range facts {
		if r.page.asOf != nil && int64(f.f.Revision) > r.t.Revision {
			return facts[:i]
		}
	}
	return facts
}
