package queries

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// DeadLetter is a delivery that a scanner parked, and what became of it.
type DeadLetter struct {
	TaskID   TaskID
	Project  string
	FileName string
	Type     string
	Attempt  int64 // the one that was parked
	Position eventstore.Position
	ParkedAt time.Time
	Reason   string
	ReasonZH string
	Scanner  task.Scanner
	State    task.DeadLetterState
	// Of one that is not open any more: when, by whom and why.
	SettledAt     *time.Time
	SettledBy     string
	SettledReason string
}

// Cursor is where a page ends or goes on.
func (d DeadLetter) Cursor() string { return encodeCursor(deadLetterCursor, int64(d.Position), "") }

// DeadLettersQuery asks for dead letters, newest first.
type DeadLettersQuery struct {
	First   int    // 0 means 20
	After   string // a cursor; empty for the first page
	State   task.DeadLetterState
	Type    string
	Project string
}

// DeadLettersPage is its answer.
type DeadLettersPage struct {
	ReadAt
	DeadLetters []DeadLetter
	More        bool
}

const deadLetterColumns = `d.task_id, t.project, t.file_name, d.type, d.attempt, d.parked_position, d.parked_at, d.reason, d.reason_zh,
	d.scanner, d.state, d.settled_at, d.settled_by, d.settled_reason
from live.dead_letters d join live.tasks t using (task_id)`

// DeadLetters lists dead letters, with two statements.
func (q *Queries) DeadLetters(ctx context.Context, query DeadLettersQuery) (DeadLettersPage, error) {
	var out DeadLettersPage
	l, err := list(deadLetterColumns, "d.parked_position", deadLetterCursor, query.First, query.After)
	if err != nil {
		return out, err
	}
	if query.State != "" {
		l.where("d.state = ?", string(query.State))
	}
	if query.Type != "" {
		l.where("d.type = ?", clean(query.Type))
	}
	if query.Project != "" {
		l.where("t.project = ?", clean(query.Project))
	}
	sql, args := l.statement()
	err = q.snapshot(ctx, "list dead letters", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		out.DeadLetters, err = scanDeadLetters(ctx, tx, sql, args...)
		return err
	})
	out.DeadLetters, out.More = cut(l, out.DeadLetters)
	return out, err
}

// DeadLetter returns the newest dead letter of a sub-task; nil when it has none.
func (q *Queries) DeadLetter(ctx context.Context, id TaskID, subTaskType string) (*DeadLetter, ReadAt, error) {
	var list []DeadLetter
	var read ReadAt
	err := q.snapshot(ctx, "read a dead letter", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		list, err = scanDeadLetters(ctx, tx, "select "+deadLetterColumns+" where d.task_id = $1 and d.type = $2 order by d.attempt desc limit 1",
			pgIDs([]TaskID{id})[0], clean(subTaskType))
		return err
	})
	if err != nil || len(list) == 0 {
		return nil, read, err
	}
	return &list[0], read, nil
}

func scanDeadLetters(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]DeadLetter, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (DeadLetter, error) {
		var d DeadLetter
		var position int64
		var scanner []byte
		err := row.Scan((*[16]byte)(&d.TaskID), &d.Project, &d.FileName, &d.Type, &d.Attempt, &position, &d.ParkedAt, &d.Reason, &d.ReasonZH,
			&scanner, &d.State, &d.SettledAt, &d.SettledBy, &d.SettledReason)
		if err != nil {
			return d, err
		}
		d.Position = eventstore.Position(position)
		return d, fromJSON(scanner, &d.Scanner)
	})
}
