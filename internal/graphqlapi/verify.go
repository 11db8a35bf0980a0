package graphqlapi

import (
	"context"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// verifyCost is what a task costs that is verified: a stream, its reports, and to fold
// it.
const verifyCost = 100

type verifyArgs struct {
	Number *int32
	Task   *graphql.ID
	After  *string
	First  int32
}

// VerifyReadModel compares a page of a read model with the fold of the log.
func (q *query) VerifyReadModel(ctx context.Context, args verifyArgs) (*verifyPage, error) {
	return q.verify(ctx, args, false)
}

// RepairReadModel does so, and writes what the fold says.
func (q *query) RepairReadModel(ctx context.Context, args struct {
	verifyArgs
	By *string
}) (*verifyPage, error) {
	if _, err := q.mayManage(ctx, args.By); err != nil {
		return nil, err
	}
	return q.verify(ctx, args.verifyArgs, true)
}

func (q *query) verify(ctx context.Context, args verifyArgs, repair bool) (*verifyPage, error) {
	if q.registry == nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "readmodel.not_managed",
			Msg: "this server manages no read models", MsgZH: "该服务不管理读模型"}
	}
	tasks := int(args.First)
	ask := projections.Verification{After: text(args.After), First: size(args.First), Repair: repair}
	if args.Task != nil {
		id, err := queries.ParseTaskID(string(*args.Task))
		if err != nil {
			return nil, err
		}
		ask.Task, tasks = &id, 1
	}
	if err := ledgerOf(ctx).spend(verifyCost * max(0, tasks)); err != nil {
		return nil, err
	}
	var err error
	if ask.Model, err = modelOf(args.Number); err != nil {
		return nil, err
	}
	page, err := q.registry.Verify(ctx, ask)
	if err != nil {
		return nil, err
	}
	return &verifyPage{page}, nil
}

type verifyPage struct{ p projections.VerifyPage }

func (r *verifyPage) Number() int32     { return small(int(r.p.Model)) }
func (r *verifyPage) Name() string      { return r.p.Model.Schema() }
func (r *verifyPage) Position() string  { return position(r.p.Position) }
func (r *verifyPage) Stage() string     { return string(r.p.Stage) }
func (r *verifyPage) Tasks() int32      { return small(r.p.Tasks) }
func (r *verifyPage) Rows() Long        { return Long(r.p.Rows) }
func (r *verifyPage) Unnamed() Long     { return Long(r.p.Unnamed) }
func (r *verifyPage) Progress() float64 { return r.p.Progress }
func (r *verifyPage) Next() *string     { return given(r.p.Next) }
func (r *verifyPage) Differences() []*difference {
	out := make([]*difference, len(r.p.Differences))
	for i, d := range r.p.Differences {
		out[i] = &difference{d}
	}
	return out
}

type difference struct{ d projections.Difference }

func (r *difference) Kind() string    { return string(r.d.Kind) }
func (r *difference) Table() string   { return r.d.Table }
func (r *difference) Key() string     { return r.d.Key }
func (r *difference) Field() *string  { return given(r.d.Field) }
func (r *difference) Stored() *string { return given(r.d.Stored) }
func (r *difference) Folded() *string { return given(r.d.Folded) }
func (r *difference) Repaired() bool  { return r.d.Repaired }

func (r *difference) Task() *graphql.ID {
	if r.d.Task == (queries.TaskID{}) {
		return nil
	}
	id := graphql.ID(r.d.Task.String())
	return &id
}
