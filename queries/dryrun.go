package queries

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

const (
	// dryRunners is how many streams one page reads at once.
	dryRunners = 4
	// dryRunPatience is when a page ends early, so that it is an answer and not a
	// time-out, however long the streams are.
	dryRunPatience = 5 * time.Second
)

// DryRunQuery asks what a rule set would have said of recorded tasks.
type DryRunQuery struct {
	RuleSet *rules.RuleSet
	Project string    // empty for all
	Since   time.Time // uploads recorded at or after; zero for all
	First   int       // tasks of a page; 0 means 200
	After   string    // Next of the page before
	Now     time.Time
}

// DryRunPage is a part of the answer: add up all pages. Tasks that came after the
// first page was asked for are in none.
type DryRunPage struct {
	ReadAt
	Tried  int // tasks on this page
	Counts []DryRunCount
	// Flips are the tasks with another status under these rules.
	Flips []Tried
	// Undecidable are the tasks with a verdict of which these rules cannot say
	// anything from what was recorded, with the reason in New.Because.
	Undecidable []Tried
	// Undecided counts the tasks that have no verdict: open ones and cancelled ones.
	Undecided int
	Next      string // empty at the end
}

// DryRunCount is how many tasks went from one status to another.
type DryRunCount struct {
	Old, New task.Status
	Tasks    int
}

// Tried is a task under its own rules and under those that were tried.
type Tried struct {
	Task TaskID
	// Upload is nil when the stream does not begin with one.
	Upload *task.ZipUploaded
	Old    task.Verdict // the first recorded one: that of the window's end
	New    task.Verdict
}

// tried is how a task came out.
type tried struct {
	Tried
	decided     bool // there was a verdict
	undecidable bool
}

// DryRun tries a rule set on a page of tasks, newest first. It writes nothing and
// holds the facts of a few tasks at a time. Which tasks there are comes from the
// read model, everything else from their streams.
func (q *Queries) DryRun(ctx context.Context, query DryRunQuery) (DryRunPage, error) {
	var out DryRunPage
	first, err := page(query.First, MaxPage)
	if err != nil {
		return out, err
	}
	conditions, args, err := dryRunWhere(query)
	if err != nil {
		return out, err
	}
	type row struct {
		id       TaskID
		position int64
	}
	var rows []row
	args = append(args, first+1)
	sql := fmt.Sprintf("select task_id, first_position from live.tasks%s order by first_position desc limit $%d", conditions, len(args))
	err = q.snapshot(ctx, "list tasks", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		found, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(r pgx.CollectableRow) (row row, err error) {
			return row, r.Scan((*[16]byte)(&row.id), &row.position)
		})
		return err
	})
	if err != nil {
		return out, err
	}
	more := len(rows) > first
	rows = rows[:min(len(rows), first)]

	counts := map[[2]task.Status]int{}
	begun := time.Now()
	for len(rows) > 0 {
		batch := rows[:min(len(rows), dryRunners)]
		results := make([]tried, len(batch))
		failures := make([]error, len(batch))
		var running sync.WaitGroup
		for i, r := range batch {
			running.Go(func() { results[i], failures[i] = q.try(ctx, query, r.id) })
		}
		running.Wait()
		if err := errors.Join(failures...); err != nil {
			return out, err
		}
		for _, t := range results {
			out.Tried++
			switch {
			case !t.decided:
				out.Undecided++
			case t.undecidable:
				out.Undecidable = append(out.Undecidable, t.Tried)
			default:
				counts[[2]task.Status{t.Old.Status, t.New.Status}]++
				if t.Old.Status != t.New.Status {
					out.Flips = append(out.Flips, t.Tried)
				}
			}
		}
		rows = rows[len(batch):]
		if len(rows) > 0 && time.Since(begun) > dryRunPatience {
			more, rows = true, nil
		}
		if len(rows) == 0 && more {
			out.Next = encodeCursor(taskCursor, batch[len(batch)-1].position, "")
		}
	}
	statuses := []task.Status{task.Success, task.PartialSuccess, task.Failed}
	for _, before := range statuses {
		for _, after := range statuses {
			if n := counts[[2]task.Status{before, after}]; n > 0 {
				out.Counts = append(out.Counts, DryRunCount{before, after, n})
			}
		}
	}
	return out, nil
}

// DryRunTotal counts the tasks that the pages from query.After on hold.
func (q *Queries) DryRunTotal(ctx context.Context, query DryRunQuery) (n int64, err error) {
	conditions, args, err := dryRunWhere(query)
	if err != nil {
		return 0, err
	}
	err = q.snapshot(ctx, "count tasks", func(tx pgx.Tx) error {
		if _, err := at(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "select count(*) from live.tasks"+conditions, args...).Scan(&n)
	})
	return n, err
}

func dryRunWhere(query DryRunQuery) (sql string, args []any, err error) {
	var conditions []string
	where := func(condition string, arg any) {
		args = append(args, arg)
		conditions = append(conditions, strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(args))))
	}
	if query.After != "" {
		position, _, err := decodeCursor(taskCursor, query.After)
		if err != nil {
			return "", nil, err
		}
		where("first_position < ?", position)
	}
	if query.Project != "" {
		where("left(project, 100) = left(?::text, 100) and project = ?", clean(query.Project))
	}
	if !query.Since.IsZero() {
		where("uploaded_at >= ?", query.Since)
	}
	if len(conditions) > 0 {
		sql = " where " + strings.Join(conditions, " and ")
	}
	return sql, args, nil
}

// try judges one task anew.
func (q *Queries) try(ctx context.Context, query DryRunQuery, id TaskID) (t tried, err error) {
	facts, err := q.recorded(ctx, id)
	var deleted *eventstore.DeletedError
	var known *domain.Error
	switch {
	case err == nil:
	case eventstore.IsNotFound(err), errors.As(err, &deleted):
		t.Task = id
		return t, nil // there is no verdict any more
	case errors.As(err, &known) && known.Kind == domain.Refused:
		t.Task, t.decided, t.undecidable = id, true, true // one such task must not end the whole run
		t.New.Because = report.Text{En: known.Msg, Zh: known.MsgZH}
		return t, nil
	default:
		return t, err
	}
	return tryOn(query.RuleSet, facts, id, query.Now), nil
}

func tryOn(rs *rules.RuleSet, facts []task.Recorded, id TaskID, now time.Time) (t tried) {
	t.Task = id
	for _, r := range facts {
		if f, is := r.Fact.(task.ZipUploaded); is {
			t.Upload = &f
			break
		}
	}
	trial := rules.Try(rs, facts, now)
	if trial.Recorded == nil {
		return t
	}
	t.decided, t.Old = true, *trial.Recorded
	switch {
	case trial.Verdict != nil:
		t.New = *trial.Verdict
		return t
	case trial.Undecidable != (report.Text{}):
		t.New.Because = trial.Undecidable
	case !trial.DueAt.IsZero():
		t.New.Because = report.Text{
			En: fmt.Sprintf("under these rules its window would still be open, until %s", trial.DueAt.Format(time.RFC3339)),
			Zh: fmt.Sprintf("按此规则其窗口期仍未结束，将于 %s 结束", trial.DueAt.Format(time.RFC3339)),
		}
	default:
		t.New.Because = report.Text{En: "its facts have no window", Zh: "其事实中没有窗口期"}
	}
	t.undecidable = true
	return t
}
