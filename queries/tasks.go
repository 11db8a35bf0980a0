package queries

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/person"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Task is a main task as the read model has it.
type Task struct {
	ID            TaskID
	FirstPosition eventstore.Position // of its first fact: the order of lists
	Phase         task.Phase
	Status        *task.Status // nil until there is a verdict
	Project       string
	Version       string
	FileName      string
	Size          int64
	SHA256        string
	UploadedBy    string
	UploadedAt    *time.Time
	CreatedAt     *time.Time
	Deadline      *time.Time
	ClosedCause   *task.Cause
	ConvergedAt   *time.Time
	Verdict       *task.MainTaskConverged
	Observed      []string
	LastEventAt   time.Time
	Counts        report.Counts // of all sub-tasks
	Late          int64
	Revision      int64 // of the newest fact
	Position      eventstore.Position
	RescanOf      *TaskID
	Cancelled     *Cancellation
	known         []string // of MainTaskCreated; nil: not written down

	// What the asker wanted with it; see With.
	SubTasks []SubTask
	Declines []Decline
	Silent   []string
	Rescans  []TaskID
	Skipped  int64 // its facts that the read model was folded without
}

// Cancellation says that a task was withdrawn, and why.
type Cancellation struct {
	Reason string
	At     time.Time
}

// With says which parts of its tasks a question wants. Each costs one statement.
type With struct{ SubTasks, Declines, Silent, Rescans, Skipped bool }

// TasksQuery asks for tasks, newest first.
type TasksQuery struct {
	First   int    // 0 means 20
	After   string // a cursor; empty for the first page
	Status  task.Status
	Project string
	// UploadedByKey chooses the tasks of a person, also of one whose name was erased,
	// by the key of the name. It has no index, and looks through all tasks.
	UploadedByKey person.KeyID
	With          With
}

// TasksPage is its answer.
type TasksPage struct {
	ReadAt
	Tasks []Task
	More  bool
}

// Cursor is where a page ends or goes on.
func (t Task) Cursor() string { return encodeCursor(taskCursor, int64(t.FirstPosition), "") }

const taskColumns = `task_id, first_position, phase, status, project, version, file_name, size, sha256, uploaded_by,
	uploaded_at, created_at, deadline, closed_cause, converged_at, verdict, observed_types, last_event_at,
	errors, warnings, notes, late, revision, position, rescan_of, cancelled_reason, cancelled_at, known`

// Tasks lists tasks. It takes two statements and one for each part wanted.
func (q *Queries) Tasks(ctx context.Context, query TasksQuery) (TasksPage, error) {
	var out TasksPage
	l, err := list(taskColumns+" from live.tasks", "first_position", taskCursor, query.First, query.After)
	if err != nil {
		return out, err
	}
	if query.Status != "" {
		l.where("status = ?", string(query.Status))
	}
	if query.Project != "" {
		l.where("left(project, 100) = left(?::text, 100) and project = ?", clean(query.Project))
	}
	if query.UploadedByKey != "" {
		l.where("starts_with(uploaded_by, ?)", clean(query.UploadedByKey.TokenPrefix()))
	}
	sql, args := l.statement()
	err = q.snapshot(ctx, "list tasks", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		if out.Tasks, err = scanTasks(ctx, tx, sql, args...); err != nil {
			return err
		}
		out.Tasks, out.More = cut(l, out.Tasks)
		return parts(ctx, tx, out.Tasks, query.With)
	})
	return out, err
}

func scanTasks(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]Task, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Task, error) {
		var t Task
		var first, position int64
		var verdict []byte
		var rescanOf *[16]byte
		var reason *string
		var cancelledAt *time.Time
		err := row.Scan((*[16]byte)(&t.ID), &first, &t.Phase, &t.Status, &t.Project, &t.Version, &t.FileName, &t.Size, &t.SHA256, &t.UploadedBy,
			&t.UploadedAt, &t.CreatedAt, &t.Deadline, &t.ClosedCause, &t.ConvergedAt, &verdict, &t.Observed, &t.LastEventAt,
			&t.Counts.Error, &t.Counts.Warning, &t.Counts.Note, &t.Late, &t.Revision, &position, &rescanOf, &reason, &cancelledAt, &t.known)
		if err != nil {
			return t, err
		}
		t.FirstPosition, t.Position = eventstore.Position(first), eventstore.Position(position)
		t.RescanOf = (*TaskID)(rescanOf)
		if cancelledAt != nil && reason != nil {
			t.Cancelled = &Cancellation{Reason: *reason, At: *cancelledAt}
		}
		return t, fromJSON(verdict, &t.Verdict)
	})
}
