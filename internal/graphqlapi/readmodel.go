package graphqlapi

import (
	"context"
	"fmt"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// ReadModel is the one in service.
func (q *query) ReadModel(ctx context.Context, args struct{ AtPosition *string }) (*readModelResolver, error) {
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	m, err := q.queries.ReadModel(ctx)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(m.ReadAt)
	return &readModelResolver{m}, nil
}

// ReadModels are all of them.
func (q *query) ReadModels(ctx context.Context) ([]*readModelResolver, error) {
	list, err := q.queries.ReadModels(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*readModelResolver, len(list))
	for i, m := range list {
		out[i] = &readModelResolver{m}
	}
	return out, nil
}

type readModelResolver struct{ m queries.ReadModel }

func (r *readModelResolver) Name() string              { return r.m.Model }
func (r *readModelResolver) Number() int32             { return small(r.m.Number) }
func (r *readModelResolver) Layout() int32             { return small(r.m.Layout) }
func (r *readModelResolver) Readable() bool            { return r.m.Readable }
func (r *readModelResolver) State() string             { return string(r.m.State) }
func (r *readModelResolver) Reason() string            { return r.m.Reason }
func (r *readModelResolver) BegunAt() graphql.Time     { return *instant(&r.m.BegunAt) }
func (r *readModelResolver) PromotedAt() *graphql.Time { return instant(r.m.PromotedAt) }
func (r *readModelResolver) RetiredAt() *graphql.Time  { return instant(r.m.RetiredAt) }
func (r *readModelResolver) PromotesItself() bool      { return r.m.Promote }
func (r *readModelResolver) Position() string          { return position(r.m.Position) }
func (r *readModelResolver) EventsPerSecond() float64  { return r.m.PerSecond }

func (r *readModelResolver) Head() *string {
	if r.m.Head == nil {
		return nil
	}
	s := position(*r.m.Head)
	return &s
}

func (r *readModelResolver) LagEvents() *Long {
	if r.m.LagEvents == nil {
		return nil
	}
	n := Long(*r.m.LagEvents)
	return &n
}

func (r *readModelResolver) LagSeconds() *float64 { return seconds(r.m.Lag) }
func (r *readModelResolver) EtaSeconds() *float64 { return seconds(r.m.ETA()) }

func seconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	s := d.Seconds()
	return &s
}

func (r *readModelResolver) Halted() *haltResolver {
	if r.m.HaltedAt == nil || r.m.HaltedPosition == nil {
		return nil
	}
	return &haltResolver{r.m}
}

func (r *readModelResolver) Skipped() []*skippedResolver {
	out := make([]*skippedResolver, len(r.m.Skipped))
	for i, s := range r.m.Skipped {
		out[i] = &skippedResolver{s}
	}
	return out
}

type haltResolver struct{ m queries.ReadModel }

func (r *haltResolver) At() graphql.Time { return *instant(r.m.HaltedAt) }
func (r *haltResolver) Position() string { return position(*r.m.HaltedPosition) }
func (r *haltResolver) Reason() string   { return text(r.m.HaltedReason) }

type skippedResolver struct{ s queries.SkippedFact }

func (r *skippedResolver) Position() string { return position(r.s.Position) }
func (r *skippedResolver) Stream() string   { return r.s.Stream }
func (r *skippedResolver) Revision() int32  { return small(r.s.Revision) }
func (r *skippedResolver) Type() string     { return r.s.Type }
func (r *skippedResolver) Reason() string   { return r.s.Reason }

// SkippedFacts of a task.
func (r *taskResolver) SkippedFacts() (int32, error) {
	if !r.page.with.Skipped {
		return 0, errNotRead
	}
	return small(r.t.Skipped), nil
}

type readModelChange struct{ done projections.Change }

func (c *readModelChange) Number() int32    { return small(int(c.done.Model)) }
func (c *readModelChange) Name() string     { return c.done.Model.Schema() }
func (c *readModelChange) State() *string   { return given(string(c.done.State)) }
func (c *readModelChange) Changed() bool    { return c.done.Changed }
func (c *readModelChange) Position() string { return position(c.done.Position) }

// mayManage is mayWrite for what is wished for read models.
func (q *query) mayManage(ctx context.Context, by *string) (commands.Origin, error) {
	who, err := q.mayWrite(ctx, by)
	if err == nil && q.registry == nil {
		err = &domain.Error{Kind: domain.Refused, Rule: "mutation.read_only",
			Msg: "this server manages no read models", MsgZH: "该服务不管理读模型"}
	}
	return who, err
}

func managed(done projections.Change, err error) (*readModelChange, error) {
	if err != nil {
		return nil, err
	}
	return &readModelChange{done}, nil
}

// RebuildReadModel begins a read model beside the others, or folds one task anew.
func (q *query) RebuildReadModel(ctx context.Context, args struct {
	Reason  string
	Promote bool
	Task    *graphql.ID
	By      *string
}) (*readModelChange, error) {
	by, err := q.mayManage(ctx, args.By)
	if err != nil {
		return nil, err
	}
	if err := task.CheckReason(args.Reason); err != nil {
		return nil, err
	}
	if args.Task != nil {
		id, err := queries.ParseTaskID(string(*args.Task))
		if err != nil {
			return nil, err
		}
		return managed(q.registry.RebuildTask(ctx, id))
	}
	return managed(q.registry.Rebuild(ctx, projections.Rebuild{Reason: args.Reason, By: by.Actor, Promote: args.Promote}))
}

// PromoteReadModel puts a read model in service.
func (q *query) PromoteReadModel(ctx context.Context, args struct {
	Number *int32
	Force  bool
	By     *string
}) (*readModelChange, error) {
	if _, err := q.mayManage(ctx, args.By); err != nil {
		return nil, err
	}
	m, err := modelOf(args.Number)
	if err != nil {
		return nil, err
	}
	return managed(q.registry.Promote(ctx, m, args.Force))
}

// RollbackReadModel puts the former read model in service.
func (q *query) RollbackReadModel(ctx context.Context, args struct {
	From  *int32
	Force bool
	By    *string
}) (*readModelChange, error) {
	if _, err := q.mayManage(ctx, args.By); err != nil {
		return nil, err
	}
	m, err := modelOf(args.From)
	if err != nil {
		return nil, err
	}
	return managed(q.registry.Rollback(ctx, m, args.Force))
}

// DropReadModel drops a read model that is not in service.
func (q *query) DropReadModel(ctx context.Context, args struct {
	Number int32
	By     *string
}) (*readModelChange, error) {
	if _, err := q.mayManage(ctx, args.By); err != nil {
		return nil, err
	}
	m, err := modelOf(&args.Number)
	if err != nil {
		return nil, err
	}
	return managed(q.registry.Drop(ctx, m))
}

// modelOf is 0 for none given; read models count from 1.
func modelOf(n *int32) (projections.Model, error) {
	switch {
	case n == nil:
		return 0, nil
	case *n < 1:
		return 0, &domain.Error{Kind: domain.Invalid, Rule: "readmodel.number", Msg: "read models count from 1", MsgZH: "读模型编号从 1 开始"}
	}
	return projections.Model(*n), nil
}

type factSkip struct{ done commands.SkipDone }

func (c *factSkip) Skipped() string  { return position(c.done.Skipped.Position) }
func (c *factSkip) Stream() string   { return c.done.Skipped.Stream }
func (c *factSkip) Revision() int32  { return small(c.done.Skipped.Revision) }
func (c *factSkip) Type() string     { return c.done.Skipped.Type }
func (c *factSkip) Changed() bool    { return c.done.Changed }
func (c *factSkip) Position() string { return position(c.done.Position) }

// SkipFact lets read models pass by a fact before which one has halted.
func (q *query) SkipFact(ctx context.Context, args struct {
	Position, Reason string
	By               *string
}) (*factSkip, error) {
	by, err := q.mayManage(ctx, args.By)
	if err != nil {
		return nil, err
	}
	at, err := projections.ParsePosition(args.Position)
	if err != nil {
		return nil, err
	}
	list, err := q.queries.ReadModels(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		halted := m.HaltedPosition != nil && *m.HaltedPosition == at
		for _, s := range m.Skipped {
			halted = halted || s.Position == at // the wish, repeated
		}
		if halted {
			done, err := q.commands.SkipFact(ctx, at, args.Reason, by)
			if err != nil {
				return nil, err
			}
			return &factSkip{done}, nil
		}
	}
	return nil, &domain.Error{Kind: domain.Refused, Rule: "readmodel.not_halted",
		Msg:   fmt.Sprintf("no read model has halted at position %d; only the fact before which one has halted can be skipped", at),
		MsgZH: fmt.Sprintf("没有读模型停在位置 %d；只能跳过使其停止的事实", at)}
}
