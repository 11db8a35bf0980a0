package queries

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Baseline compares the findings of a sub-task with those of the version before: the
// newest task of the same project that was recorded earlier and has a report of the
// type that could be read, among the 200 tasks before. Whether that one has a verdict,
// or found anything, does not matter. Suppressed findings are findings: they are still
// there. Findings are the same by report.Identity.
type Baseline struct {
	Type                  string
	Previous              TaskID
	New, Unchanged, Fixed int64
	// Cut: a report holds fewer findings than the scanner counted, so what seems new
	// or fixed may be neither.
	Cut bool
}

// FindingState says whether the version before had a finding too.
type FindingState string

// The states of a finding. Where there is no version before, all are new.
const (
	FindingNew       FindingState = "NEW"
	FindingUnchanged FindingState = "UNCHANGED"
)

// versionsBefore is how many tasks of the project are looked at for the version before.
const versionsBefore = 200

// before finds the version before of each sub-task whose report could be read; $1 are
// the tasks. It stands at the head of a statement.
var before = fmt.Sprintf(`
with now as materialized (
	select t.task_id, t.project, t.first_position, s.type, s.errors + s.warnings + s.notes as counted
	from live.tasks t join live.sub_tasks s using (task_id) where t.task_id = any($1) and s.report_state = 'READ'),
before as materialized (
	select n.task_id, n.type, n.counted, p.task_id as previous, p.counted as previously
	from now n cross join lateral (
		select e.task_id, o.errors + o.warnings + o.notes as counted
		from (
			select p.task_id, p.first_position from live.tasks p
			where left(p.project, 100) = left(n.project, 100) and p.project = n.project and p.first_position < n.first_position
			order by p.first_position desc limit %d) e
		join live.sub_tasks o on o.task_id = e.task_id and o.type = n.type and o.report_state = 'READ'
		order by e.first_position desc limit 1) p)`, versionsBefore)

// Baselines compares the sub-tasks of tasks with the versions before, with two
// statements. A sub-task without a report, or without a version before, is not in the
// answer.
func (q *Queries) Baselines(ctx context.Context, tasks []TaskID) (map[TaskID][]Baseline, ReadAt, error) {
	var read ReadAt
	out := map[TaskID][]Baseline{}
	err := q.snapshot(ctx, "compare with the versions before", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, before+`
			select b.task_id, b.type, b.previous, c.new, c.unchanged, c.fixed, coalesce(b.counted > c.here, false) or coalesce(b.previously > c.there, false)
			from before b cross join lateral (
				select count(*) filter (where o.identity is null) as new, count(*) filter (where f.identity is null) as fixed,
					count(*) filter (where f.identity = o.identity) as unchanged,
					count(*) filter (where not f.suppressed) as here, count(*) filter (where not o.suppressed) as there
				from (select identity, suppressed from live.findings where task_id = b.task_id and type = b.type) f
				full join (select identity, suppressed from live.findings where task_id = b.previous and type = b.type) o on f.identity = o.identity) c
			order by b.task_id, b.type collate "C"`, pgIDs(tasks))
		if err != nil {
			return err
		}
		var id [16]byte
		var b Baseline
		_, err = pgx.ForEachRow(rows, []any{&id, &b.Type, (*[16]byte)(&b.Previous), &b.New, &b.Unchanged, &b.Fixed, &b.Cut}, func() error {
			out[id] = append(out[id], b)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, read, err
	}
	return out, read, nil
}

// findingsOfState is the statement for a page of the findings that are new, or that
// the version before had too. What both have is found by sorting: a join would be
// planned by guesses about reports that nobody has looked at, and one wrong guess
// compares each finding of one with each of the other.
func findingsOfState(state FindingState, conditions string) string {
	return before + `,
	sides as (
		select f.task_id, f.type, f.ordinal, f.identity, false as previously from live.findings f where f.task_id = any($1)` + conditions + `
		union all
		select b.task_id, o.type, 0, o.identity, true from before b join live.findings o on o.task_id = b.previous and o.type = b.type),
	told as (
		select task_id, type, ordinal, previously, bool_or(previously) over (partition by task_id, type, identity) as unchanged from sides),
	page as materialized (
		select * from (
			select task_id, type, ordinal, row_number() over (partition by task_id order by type, ordinal) as n
			from told where not previously and unchanged = ` + fmt.Sprint(state == FindingUnchanged) + `) p where n <= $2)
	select p.task_id, f.* from page p cross join lateral (
		select ` + findingColumns + ` from live.findings f where f.task_id = p.task_id and f.type = p.type and f.ordinal = p.ordinal limit 1) f
	order by p.task_id, p.type, p.ordinal`
}
