package graphqlapi

import (
	"context"
	"strconv"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/queries"
)

// DeadLetters lists dead letters, newest first.
func (q *query) DeadLetters(ctx context.Context, args struct {
	First      int32
	After      *string
	State      *string
	Type       *string
	Project    *string
	AtPosition *string
}) (*deadLetterConnection, error) {
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	ask := queries.DeadLettersQuery{
		First: size(args.First), After: text(args.After), State: task.DeadLetterState(text(args.State)), Type: text(args.Type), Project: text(args.Project),
	}
	if err := ledgerOf(ctx).spend(max(0, ask.First)); err != nil {
		return nil, err
	}
	page, err := q.queries.DeadLetters(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(page.ReadAt)
	return &deadLetterConnection{page}, nil
}

// DeadLetter is the newest one of a sub-task.
func (q *query) DeadLetter(ctx context.Context, args struct {
	Task       graphql.ID
	Type       string
	AtPosition *string
}) (*deadLetterResolver, error) {
	id, err := queries.ParseTaskID(string(args.Task))
	if err != nil {
		return nil, err
	}
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	d, at, err := q.queries.DeadLetter(ctx, id, args.Type)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(at)
	if d == nil {
		return nil, nil
	}
	return &deadLetterResolver{*d}, nil
}

// ParkedUploads are uploads without a window.
func (q *query) ParkedUploads(ctx context.Context, args struct{ First int32 }) ([]*parkedUpload, error) {
	if err := ledgerOf(ctx).spend(historyCost + max(0, int(args.First))); err != nil {
		return nil, err
	}
	list, err := q.queries.ParkedUploads(ctx, size(args.First))
	if err != nil {
		return nil, err
	}
	out := make([]*parkedUpload, len(list))
	for i, p := range list {
		out[i] = &parkedUpload{p}
	}
	return out, nil
}

type deadLetterArgs struct {
	Task         graphql.ID
	Type, Reason string
	By           *string
	Attempt      *int32
}

// ReplayDeadLetter asks for another attempt, once.
func (q *query) ReplayDeadLetter(ctx context.Context, args deadLetterArgs) (*taskChange, error) {
	return q.settle(ctx, args, func(id string, by commands.Origin, attempt int) (commands.Done, error) {
		return q.commands.Replay(ctx, id, by, task.ReplayDeadLetter{Type: args.Type, Reason: args.Reason, Attempt: attempt}, q.hasBlob)
	})
}

// DiscardDeadLetter gives up on it.
func (q *query) DiscardDeadLetter(ctx context.Context, args deadLetterArgs) (*taskChange, error) {
	return q.settle(ctx, args, func(id string, by commands.Origin, attempt int) (commands.Done, error) {
		return q.commands.Discard(ctx, id, by, task.DiscardDeadLetter{Type: args.Type, Reason: args.Reason, Attempt: attempt})
	})
}

func (q *query) settle(ctx context.Context, args deadLetterArgs, command func(string, commands.Origin, int) (commands.Done, error)) (*taskChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	id, err := queries.ParseTaskID(string(args.Task))
	if err != nil {
		return nil, err
	}
	attempt, err := attemptOf(args.Attempt)
	if err != nil {
		return nil, err
	}
	done, err := command(id.String(), by, attempt)
	return changed(id.String(), done, err)
}

type deadLetterConnection struct{ page queries.DeadLettersPage }

func (c *deadLetterConnection) Nodes() []*deadLetterResolver {
	out := make([]*deadLetterResolver, len(c.page.DeadLetters))
	for i, d := range c.page.DeadLetters {
		out[i] = &deadLetterResolver{d}
	}
	return out
}

func (c *deadLetterConnection) PageInfo() *pageInfo {
	info := &pageInfo{more: c.page.More}
	if n := len(c.page.DeadLetters); n > 0 {
		info.end = given(c.page.DeadLetters[n-1].Cursor())
	}
	return info
}

type deadLetterResolver struct{ d queries.DeadLetter }

func (r *deadLetterResolver) TaskID() graphql.ID        { return graphql.ID(r.d.TaskID.String()) }
func (r *deadLetterResolver) Project() string           { return r.d.Project }
func (r *deadLetterResolver) FileName() string          { return r.d.FileName }
func (r *deadLetterResolver) Type() string              { return r.d.Type }
func (r *deadLetterResolver) Attempt() Long             { return Long(r.d.Attempt) }
func (r *deadLetterResolver) ParkedAt() graphql.Time    { return *instant(&r.d.ParkedAt) }
func (r *deadLetterResolver) Position() string          { return strconv.FormatUint(uint64(r.d.Position), 10) }
func (r *deadLetterResolver) Reason() *textResolver     { return bilingual(r.d.Reason, r.d.ReasonZH) }
func (r *deadLetterResolver) Scanner() *scannerResolver { return &scannerResolver{r.d.Scanner} }
func (r *deadLetterResolver) State() string             { return string(r.d.State) }
func (r *deadLetterResolver) SettledAt() *graphql.Time  { return instant(r.d.SettledAt) }
func (r *deadLetterResolver) SettledReason() *string    { return given(r.d.SettledReason) }

type parkedUpload struct{ p queries.ParkedUpload }

func (r *parkedUpload) Stream() string          { return r.p.Stream }
func (r *parkedUpload) Revision() Long          { return Long(r.p.Revision) }
func (r *parkedUpload) Reason() string          { return r.p.Reason }
func (r *parkedUpload) ParkedAt() *graphql.Time { return instant(r.p.ParkedAt) }

func (r *parkedUpload) TaskID() *graphql.ID {
	if r.p.TaskID == nil {
		return nil
	}
	id := graphql.ID(r.p.TaskID.String())
	return &id
}
