package queries

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// ShadowReportQuery asks how the tasks came out that have a version of a rule set in
// their shadow.
type ShadowReportQuery struct {
	Name    string
	Version int
	Project string    // empty for all
	Now     time.Time // a shadow whose window is open then has said nothing yet
	First   int       // 0 means 20
	After   string    // a cursor; empty for the first page
}

// ShadowReport is its answer: counts of all, and a page of the tasks that differ.
type ShadowReport struct {
	ReadAt
	Same, Differing, Undecidable int64
	Open                         int64 // the task has its verdict, and the shadow's window is longer
	Differences                  []ShadowDifference
	More                         bool
}

// Judged is how many tasks the shadow has come to an end with.
func (r ShadowReport) Judged() int64 { return r.Same + r.Differing + r.Undecidable }

// ShadowDifference is a task for which the shadow says another status than the
// verdict at its window's end.
type ShadowDifference struct {
	Task             TaskID
	first            eventstore.Position
	Project          string
	Version          string
	FileName         string
	Recorded, Status task.Status
	Rule             string // of the shadow, the first that held
}

// Cursor is where a page ends or goes on.
func (d ShadowDifference) Cursor() string { return encodeCursor(taskCursor, int64(d.first), "") }

// ShadowReport reads no stream: it takes three statements.
func (q *Queries) ShadowReport(ctx context.Context, ask ShadowReportQuery) (ShadowReport, error) {
	var out ShadowReport
	l, err := list(`s.task_id, s.first_position, s.project, t.version, t.file_name, s.recorded, s.status, coalesce(s.rule, '')
		from live.shadows s join live.tasks t using (task_id)`, "s.first_position", taskCursor, ask.First, ask.After)
	if err != nil {
		return out, err
	}
	counted := &listing{}
	for _, w := range []*listing{l, counted} {
		w.where("left(s.rule_set, 100) = left(?::text, 100) and s.rule_set = ?", clean(ask.Name))
		w.where("s.version = ?", ask.Version)
		if ask.Project != "" {
			w.where("s.project = ?", clean(ask.Project))
		}
	}
	l.where("s.status <> s.recorded and (s.due_at is null or s.due_at <= ?)", ask.Now)
	sql, args := l.statement()
	count := fmt.Sprintf(`select count(*) filter (where status = recorded and not open), count(*) filter (where status <> recorded and not open),
			count(*) filter (where status is null and not open), count(*) filter (where open)
		from (select s.status, s.recorded, coalesce(s.due_at > $%d, false) as open from live.shadows s where %s) x`,
		len(counted.args)+1, strings.Join(counted.conditions, " and "))
	err = q.snapshot(ctx, "report on a shadow", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, count, append(counted.args, ask.Now)...).
			Scan(&out.Same, &out.Differing, &out.Undecidable, &out.Open); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		read, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d ShadowDifference, err error) {
			var first int64
			err = row.Scan((*[16]byte)(&d.Task), &first, &d.Project, &d.Version, &d.FileName, &d.Recorded, &d.Status, &d.Rule)
			d.first = eventstore.Position(first)
			return d, err
		})
		out.Differences, out.More = cut(l, read)
		return err
	})
	return out, err
}

// ShadowStatuses reads what the shadows of tasks say, with one statement for all; a
// task is missing that has none, or whose shadow has not decided, or cannot.
func (q *Queries) ShadowStatuses(ctx context.Context, ids []TaskID, now time.Time) (map[TaskID]task.Status, ReadAt, error) {
	out := map[TaskID]task.Status{}
	var read ReadAt
	err := q.snapshot(ctx, "read the shadows of tasks", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select task_id, status from live.shadows where task_id = any($1) and status is not null and (due_at is null or due_at <= $2)`, pgIDs(ids), now)
		if err != nil {
			return err
		}
		var id [16]byte
		var status task.Status
		_, err = pgx.ForEachRow(rows, []any{&id, &status}, func() error { out[TaskID(id)] = status; return nil })
		return err
	})
	return out, read, err
}
