package graphqlapi

import (
	"context"
	"strconv"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/queries"
)

type taskChange struct {
	id   string
	done commands.Done
}

func (c *taskChange) TaskID() graphql.ID { return graphql.ID(c.id) }
func (c *taskChange) Position() string   { return strconv.FormatUint(uint64(c.done.Position), 10) }
func (c *taskChange) Changed() bool      { return len(c.done.Facts) > 0 }

// CancelTask withdraws a task.
func (q *query) CancelTask(ctx context.Context, args struct {
	ID     graphql.ID
	Reason string
	By     *string
}) (*taskChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	id, err := queries.ParseTaskID(string(args.ID))
	if err != nil {
		return nil, err
	}
	done, err := q.commands.Cancel(ctx, id.String(), by, task.Cancel{Reason: args.Reason})
	return changed(id.String(), done, err)
}

// RetrySubTask asks for another attempt.
func (q *query) RetrySubTask(ctx context.Context, args struct {
	Task         graphql.ID
	Type, Reason string
	By           *string
	Attempt      *int32
}) (*taskChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	attempt, err := attemptOf(args.Attempt)
	if err != nil {
		return nil, err
	}
	id, err := queries.ParseTaskID(string(args.Task))
	if err != nil {
		return nil, err
	}
	done, err := q.commands.Retry(ctx, id.String(), by, task.RequestRetry{Type: args.Type, Reason: args.Reason, After: attempt}, q.hasBlob)
	return changed(id.String(), done, err)
}

// maxKey bounds an idempotency key, in bytes, as for uploads.
const maxKey = 256

// RescanTask makes a new task of an older one's package.
func (q *query) RescanTask(ctx context.Context, args struct {
	ID             graphql.ID
	Reason         string
	By             *string
	IdempotencyKey *string
}) (*taskChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	key := text(args.IdempotencyKey)
	if len(key) > maxKey || args.IdempotencyKey != nil && key == "" {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "rescan.key",
			Msg: "an idempotencyKey has 1 to 256 bytes", MsgZH: "idempotencyKey 的长度应为 1 到 256 字节"}
	}
	older, err := queries.ParseTaskID(string(args.ID))
	if err != nil {
		return nil, err
	}
	if q.hasBlob == nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "mutation.read_only",
			Msg: "this server has no packages to scan once more", MsgZH: "该服务没有可重新扫描的包"}
	}
	id, done, err := q.commands.Rescan(ctx, by, commands.Rescan{
		TaskID: older.String(), Reason: args.Reason, IdempotencyKey: key, Now: time.Now(), There: q.hasBlob,
	})
	return changed(id, done, err)
}

func changed(id string, done commands.Done, err error) (*taskChange, error) {
	if err != nil {
		return nil, err
	}
	return &taskChange{id, done}, nil
}

// attemptOf is 0 for none given; attempts count from 1.
func attemptOf(n *int32) (int, error) {
	switch {
	case n == nil:
		return 0, nil
	case *n < 1:
		return 0, &domain.Error{Kind: domain.Invalid, Rule: "attempt.invalid", Msg: "attempts count from 1", MsgZH: "attempt 从 1 开始"}
	}
	return int(*n), nil
}

// RescanOf is the task whose package this one scans once more.
func (r *taskResolver) RescanOf() *graphql.ID {
	if r.t.RescanOf == nil {
		return nil
	}
	id := graphql.ID(r.t.RescanOf.String())
	return &id
}

// Rescans are the tasks that scan this one's package once more.
func (r *taskResolver) Rescans() ([]graphql.ID, error) {
	if !r.page.with.Rescans {
		return nil, errNotRead
	}
	out := make([]graphql.ID, len(r.t.Rescans))
	for i, id := range r.t.Rescans {
		out[i] = graphql.ID(id.String())
	}
	return out, nil
}

// Cancelled says that the task was withdrawn, and why.
func (r *taskResolver) Cancelled() *cancellation {
	if r.t.Cancelled == nil {
		return nil
	}
	return &cancellation{r.t.Cancelled.Reason, r.t.Cancelled.At}
}

type cancellation struct {
	reason string
	at     time.Time
}

func (c *cancellation) Reason() string   { return c.reason }
func (c *cancellation) At() graphql.Time { return *instant(&c.at) }
