package queries

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/report"
)

// Finding is one finding of the newest attempt of a sub-task.
type Finding struct {
	Type    string // of the sub-task
	Ordinal int32
	report.Finding
	Identity report.Identity
}

// Cursor is where a page ends or goes on.
func (f Finding) Cursor() string { return encodeCursor(findingCursor, int64(f.Ordinal), f.Type) }

// FindingsQuery asks for the findings of tasks, by sub-task type and then in the
// scanner's own order. Filters and paging apply to each task by itself.
type FindingsQuery struct {
	First    int    // 0 means 50
	After    string // a cursor; empty for the first page
	Severity report.Severity
	Type     string
}

// FindingsPage is the answer for one task.
type FindingsPage struct {
	Findings []Finding
	More     bool
}

// Findings returns a page for each of the tasks, with two statements. A task
// without findings, known or not, gets an empty page.
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
	if query.After != "" {
		ordinal, name, err := decodeCursor(findingCursor, query.After)
		if err != nil {
			return nil, read, err
		}
		where("(f.type, f.ordinal) > ($%d, $%d)", name, int32(ordinal))
	}
	if query.Severity != "" {
		where("f.severity = $%d", string(query.Severity))
	}
	if query.Type != "" {
		where("f.type = $%d", strings.ReplaceAll(query.Type, "\x00", "\uFFFD"))
	}
	out := make(map[TaskID]FindingsPage, len(tasks))
	err = q.snapshot(ctx, "read findings", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select t.task_id, f.* from unnest($1::uuid[]) as t (task_id) cross join lateral (
			select `+findingColumns+`
			from live.findings f where f.task_id = t.task_id`+conditions.String()+`
			order by f.type, f.ordinal limit $2) f order by t.task_id, f.type, f.ordinal`, args...)
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

const findingColumns = `f.type, f.ordinal, f.rule, f.severity, f.message_en, f.message_zh, f.path, f.line, f.col, f.end_line, f.end_col,
	f.cell, f.pointer, f.suppressed, replace(f.identity::text, '-', '') as identity`

// columns are where findingColumns go.
func (f *Finding) columns() []any {
	return []any{&f.Type, &f.Ordinal, &f.Rule, &f.Severity, &f.Message.En, &f.Message.Zh, &f.Path, &f.Line, &f.Column, &f.EndLine, &f.EndColumn,
		&f.Cell, &f.Pointer, &f.Suppressed, &f.Identity}
}
