package queries

import (
	"context"
	"fmt"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// maxFacts of one task's stream; commands.Load has the same limit.
const maxFacts = 50_000

// recorded reads a task's stream; what cannot be decoded is a task.Unreadable in
// its place. A stream that does not exist is an *eventstore.NotFoundError in the
// error's chain.
func (q *Queries) recorded(ctx context.Context, id TaskID) ([]task.Recorded, error) {
	var facts []task.Recorded
	for r, err := range q.log.ReadStream(ctx, streamOf(id), 0) {
		if err != nil {
			return nil, q.streamFailed(ctx, "read the task's stream", err)
		}
		if len(facts) == q.most {
			return nil, &domain.Error{Kind: domain.Refused, Rule: "task.too_long",
				Msg:   fmt.Sprintf("task %s has more than %d facts", id, q.most),
				MsgZH: fmt.Sprintf("任务 %s 的事实超过 %d 条", id, q.most)}
		}
		facts = append(facts, recordedFact(r))
	}
	return facts, nil
}

func recordedFact(r eventstore.Recorded) task.Recorded {
	return task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: task.Read(r.Type, r.Data)}
}
