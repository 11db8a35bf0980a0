package queries

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Task returns one task; nil when the read model knows none of that id (yet).
func (q *Queries) Task(ctx context.Context, id TaskID, with With) (*Task, ReadAt, error) {
	var out []Task
	var read ReadAt
	err := q.snapshot(ctx, "read a task", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		if out, err = scanTasks(ctx, tx, "select "+taskColumns+" from live.tasks where task_id = $1", pgIDs([]TaskID{id})[0]); err != nil {
			return err
		}
		return parts(ctx, tx, out, with)
	})
	if err != nil || len(out) == 0 {
		return nil, read, err
	}
	return &out[0], read, nil
}
