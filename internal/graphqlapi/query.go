package graphqlapi

import (
	"context"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/person"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// query resolves the fields of Query and Mutation.
type query struct {
	queries  *queries.Queries
	waiter   *projections.Waiter
	wait     time.Duration
	commands *commands.Commands
	book     *commands.RuleBook
	registry *projections.Registry
	hasBlob  commands.There

	checkConfiguration func(subTaskType, text string) error
}

type tasksArgs struct {
	First         int32
	After         *string
	Status        *string
	Project       *string
	UploadedByKey *string
	AtPosition    *string
}

func (q *query) Tasks(ctx context.Context, args tasksArgs) (*taskConnection, error) {
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	ask := queries.TasksQuery{First: size(args.First), After: text(args.After), Status: task.Status(text(args.Status)), Project: text(args.Project), UploadedByKey: person.KeyID(text(args.UploadedByKey))}
	for _, way := range []string{"nodes.", "edges.node."} {
		with := wanted(ctx, way)
		ask.With.SubTasks = ask.With.SubTasks || with.SubTasks
		ask.With.Declines = ask.With.Declines || with.Declines
		ask.With.Silent = ask.With.Silent || with.Silent
		ask.With.Rescans = ask.With.Rescans || with.Rescans
		ask.With.Skipped = ask.With.Skipped || with.Skipped
	}
	if err := ledgerOf(ctx).spend(max(0, ask.First)); err != nil {
		return nil, err
	}
	page, err := q.queries.Tasks(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(page.ReadAt)
	return &taskConnection{nodes: newTasks(q.queries, page.Tasks, ask.With), more: page.More}, nil
}

type taskArgs struct {
	ID         graphql.ID
	AtPosition *string
	AsOf       *asOf
}

func (q *query) Task(ctx context.Context, args taskArgs) (*taskResolver, error) {
	id, err := queries.ParseTaskID(string(args.ID))
	if err != nil {
		return nil, err
	}
	if args.AsOf != nil {
		return q.taskAsOf(ctx, id, args)
	}
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	with := wanted(ctx, "")
	t, at, err := q.queries.Task(ctx, id, with)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(at)
	if t == nil {
		return nil, nil
	}
	return newTasks(q.queries, []queries.Task{*t}, with)[0], nil
}

// History needs no read model: it is there while Postgres is away.
func (q *query) History(ctx context.Context, args struct {
	Task graphql.ID
	historyArgs
}) ([]*factResolver, error) {
	id, err := queries.ParseTaskID(string(args.Task))
	if err != nil {
		return nil, err
	}
	return history(ctx, q.queries, id, args.historyArgs)
}

// reach waits for a position, if one is wanted.
func (q *query) reach(ctx context.Context, position *string) error {
	if position == nil {
		return nil
	}
	p, err := projections.ParsePosition(*position)
	if err != nil {
		return err
	}
	return q.waiter.Wait(ctx, p, q.wait)
}

// wanted says which parts of tasks the query's text asks for.
func wanted(ctx context.Context, way string) queries.With {
	return queries.With{
		SubTasks: graphql.HasSelectedField(ctx, way+"subTasks"),
		Declines: graphql.HasSelectedField(ctx, way+"declined"),
		Silent:   graphql.HasSelectedField(ctx, way+"silent"),
		Rescans:  graphql.HasSelectedField(ctx, way+"rescans"),
		Skipped:  graphql.HasSelectedField(ctx, way+"skippedFacts"),
	}
}

// size is a page's; a client's 0 is a mistake, not a wish for the usual size.
func size(first int32) int {
	if first == 0 {
		return -1
	}
	return int(first)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
