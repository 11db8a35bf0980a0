package queries

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
)

// Finding is one finding of the newest attempt of a sub-task.
type Finding struct {
	Type    string // of the sub-task
	Attempt int64  // the report is of
	Ordinal int32
	report.Finding
	Identity report.Identity
}

// Cursor is where a page ends or goes on. It names the attempt: an ordinal means
// nothing in the report of another.
func (f Finding) Cursor() string {
	return encodeCursor(findingCursor, f.Attempt<<32|int64(f.Ordinal), f.Type)
}

// after is a finding's cursor, read.
type after struct {
	subTask string
	attempt int64 // 0: the cursor is of a version that did not say
	ordinal int32 // -1: from the beginning
}

func parseAfter(cursor string) (after, error) {
	if cursor == "" {
		return after{ordinal: -1}, nil
	}
	number, subTask, err := decodeCursor(findingCursor, cursor)
	return after{subTask, number >> 32, int32(number & math.MaxInt32)}, err
}

// stale refuses to go on in the report of another attempt: findings would be missing,
// or be listed twice.
func (a after) stale(attempt int64) error {
	if a.attempt == 0 || a.attempt == attempt {
		return nil
	}
	return &domain.Error{Kind: domain.Conflict, Rule: "cursor.stale",
		Msg:   fmt.Sprintf("the %.64s report of attempt %d has been replaced by that of attempt %d; list its findings from the beginning", a.subTask, a.attempt, attempt),
		MsgZH: fmt.Sprintf("%.64s 第 %d 次扫描的报告已被第 %d 次的取代，请从头列出发现", a.subTask, a.attempt, attempt)}
}

// FindingsQuery asks for the findings of tasks, by sub-task type and then in the
// scanner's own order. Filters and paging apply to each task by itself.
type FindingsQuery struct {
	First    int    // 0 means 50
	After    string // a cursor; empty for the first page
	Severity report.Severity
	Type     string
	State    FindingState // empty for all
}

// FindingsPage is the answer for one task.
type FindingsPage struct {
	Findings []Finding
	More     bool
}

// Findings returns a page for each of the tasks, with two statements, or three when it
// goes on from a cursor. A task without findings, known or not, gets an empty page. A
// cursor whose report a newer attempt has replaced is refused as cursor.stale.
func (q *Queries) Findings(ctx context.Context, tasks []TaskID, query FindingsQuery) (map[TaskID]FindingsPage, ReadAt, error) {
	var read ReadAt
	first, err := page(query.First, 50)
	if err != nil {
		return nil, read, err
	}
	args := []any{pgIDs(tasks), first + 1}
	var conditions strings.Builder
	where := func(condition string, values ...any) {
		numbers := make([]any, len(values))
		for i := range values {
			numbers[i] = len(args) + 1 + i
		}
		args = append(args, values...)
		fmt.Fprintf(&conditions, " and "+condition, numbers...)
	}
	from, err := parseAfter(query.After)
	if err != nil {
		return nil, read, err
	}
	if query.After != "" {
		where("(f.type, f.ordinal) > ($%d, $%d)", from.subTask, from.ordinal)
	}
	if query.Severity != "" {
		where("f.severity = $%d", string(query.Severity))
	}
	if query.Type != "" {
		where("f.type = $%d", clean(query.Type))
	}
	out := make(map[TaskID]FindingsPage, len(tasks))
	err = q.snapshot(ctx, "read findings", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		if from.attempt != 0 {
			var attempt int64
			err := tx.QueryRow(ctx, `select attempt from live.sub_tasks where task_id = any($1) and type = $2 and attempt <> $3 and report_state = 'READ' limit 1`,
				pgIDs(tasks), from.subTask, from.attempt).Scan(&attempt)
			switch {
			case err == nil:
				return from.stale(attempt)
			case !errors.Is(err, pgx.ErrNoRows):
				return err
			}
		}
		statement := `select t.task_id, f.* from unnest($1::uuid[]) as t (task_id) cross join lateral (
			select ` + findingColumns + `
			from live.findings f where f.task_id = t.task_id` + conditions.String() + `
			order by f.type, f.ordinal limit $2) f order by t.task_id, f.type, f.ordinal`
		if query.State != "" {
			statement = findingsOfState(query.State, conditions.String())
		}
		rows, err := tx.Query(ctx, statement, args...)
		if err != nil {
			return err
		}
		var id [16]byte
		var f Finding
		_, err = pgx.ForEachRow(rows, append([]any{&id}, f.columns()...), func() error {
			p := out[id]
			if len(p.Findings) == first {
				p.More = true
			} else {
				p.Findings = append(p.Findings, f)
			}
			out[id] = p
			return nil
		})
		return err
	})
	if err != nil {
		return nil, read, err
	}
	return out, read, nil
}

const findingColumns = `f.type, f.attempt, f.ordinal, f.rule, f.severity, f.message_en, f.message_zh, f.path, f.line, f.col, f.end_line, f.end_col,
	f.cell, f.pointer, f.suppressed, replace(f.identity::text, '-', '') as identity, f.suppression`

// columns are where findingColumns go.
func (f *Finding) columns() []any {
	return []any{&f.Type, &f.Attempt, &f.Ordinal, &f.Rule, &f.Severity, &f.Message.En, &f.Message.Zh, &f.Path, &f.Line, &f.Column, &f.EndLine, &f.EndColumn,
		&f.Cell, &f.Pointer, &f.Suppressed, &f.Identity, &f.Suppression}
}
