package queries

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain"
)

// Comparison is what changed between the findings of two tasks. Suppressed findings
// are findings: they are still there. Findings are the same by report.Identity.
type Comparison struct {
	ReadAt
	Task TaskID
	// Previous is nil when the project has no earlier task with a verdict; then
	// nothing is compared.
	Previous                     *TaskID
	Types                        []ComparedType
	Introduced, Fixed, Unchanged int64
	NewFindings, FixedFindings   []Finding // the first of them
}

// ComparedType is a sub-task type of at least one of the two tasks. Its findings are
// compared only if both reports could be read.
type ComparedType struct {
	Type          string
	Before, After ReportState // empty where the type does not take part
	// Cut: a report holds fewer findings than the scanner counted, so what seems
	// new or fixed may be neither.
	Cut bool
}

// Compared reports whether the type's findings are compared.
func (c ComparedType) Compared() bool { return c.Before == ReportRead && c.After == ReportRead }

// Compare compares a task with another one, or without previous with the newest
// earlier task of its project that has a verdict. Of new and fixed findings it lists
// the first (0 means 50). It takes six statements.
func (q *Queries) Compare(ctx context.Context, id TaskID, previous *TaskID, first int) (Comparison, error) {
	out := Comparison{Task: id}
	first, err := page(first, 50)
	if err != nil {
		return out, err
	}
	err = q.snapshot(ctx, "compare tasks", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		if out.Previous, err = previousOf(ctx, tx, id, previous); err != nil || out.Previous == nil {
			return err
		}
		now, then := pgIDs([]TaskID{id})[0], pgIDs([]TaskID{*out.Previous})[0]
		rows, err := tx.Query(ctx, comparedTypes, now, then)
		if err != nil {
			return err
		}
		out.Types, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ComparedType])
		if err != nil {
			return err
		}
		types := []string{}
		for _, t := range out.Types {
			if t.Compared() {
				types = append(types, t.Type)
			}
		}
		if err := tx.QueryRow(ctx, comparedCounts, now, then, types).Scan(&out.Introduced, &out.Fixed, &out.Unchanged); err != nil {
			return err
		}
		if out.NewFindings, err = onlyIn(ctx, tx, now, then, types, first); err != nil {
			return err
		}
		out.FixedFindings, err = onlyIn(ctx, tx, then, now, types, first)
		return err
	})
	return out, err
}

// previousOf finds what to compare with, with one statement.
func previousOf(ctx context.Context, tx pgx.Tx, id TaskID, previous *TaskID) (*TaskID, error) {
	ids := pgIDs([]TaskID{id, id})
	if previous != nil {
		ids = pgIDs([]TaskID{id, *previous})
	}
	var other *[16]byte
	err := tx.QueryRow(ctx, `select case when $1::uuid <> $2::uuid then (select task_id from live.tasks where task_id = $2) else
		(select p.task_id from live.tasks p
			where left(p.project, 100) = left(t.project, 100) and p.project = t.project and p.first_position < t.first_position and p.status is not null
			order by p.first_position desc limit 1) end
		from live.tasks t where t.task_id = $1`, ids[0], ids[1]).Scan(&other)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && other == nil && previous != nil && *previous != id {
		return nil, &domain.Error{Kind: domain.NotFound, Rule: "task.unknown", Msg: "there is no such task", MsgZH: "任务不存在"}
	}
	return (*TaskID)(other), err
}

const comparedTypes = `
with s as (
	select s.task_id, s.type, s.report_state, s.report_state = 'READ' and s.errors + s.warnings + s.notes > (
		select count(*) from live.findings f where f.task_id = s.task_id and f.type = s.type and not f.suppressed) as cut
	from live.sub_tasks s where s.task_id in ($1, $2))
select type, coalesce(b.report_state, ''), coalesce(a.report_state, ''), coalesce(a.cut, false) or coalesce(b.cut, false)
from (select * from s where task_id = $1) a full join (select * from s where task_id = $2) b using (type)
order by type collate "C"`

const comparedCounts = `
select count(*) filter (where b.identity is null), count(*) filter (where a.identity is null),
	count(*) filter (where a.identity is not null and b.identity is not null)
from (select type, identity from live.findings where task_id = $1 and type = any($3)) a
full join (select type, identity from live.findings where task_id = $2 and type = any($3)) b using (type, identity)`

// onlyIn lists the findings of a task that another one has not.
func onlyIn(ctx context.Context, tx pgx.Tx, in, notIn any, types []string, first int) ([]Finding, error) {
	rows, err := tx.Query(ctx, `select `+findingColumns+` from live.findings f
		where f.task_id = $1 and f.type = any($3) and not exists (
			select 1 from live.findings o where o.task_id = $2 and o.type = f.type and o.identity = f.identity)
		order by f.type, f.ordinal limit $4`, in, notIn, types, first)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Finding, err error) {
		return f, row.Scan(f.columns()...)
	})
}

// agedVersions is how many versions of a project the ages of findings are told from. Of
// all there are, it would take as long as the project is old: how many findings were
// fixed, and after what time, every report says a little of. A table of it would want a
// row for each finding that ever was, written to with each report, and would still not
// know what was pruned.
const agedVersions = 200

// FindingAgesQuery asks how long findings of a project have been there.
type FindingAgesQuery struct {
	Project string
	Type    string // empty for all
	Fixed   bool   // those that are gone, the last fixed first; else those that are there, the oldest first
	First   int    // 0 means 50
}

// FindingAges is the answer. It is told from the newest 200 tasks of the project that
// have a verdict, and of these from the reports that could be read.
type FindingAges struct {
	ReadAt
	Versions int64 // tasks looked at
	// Since is the upload of the oldest of them; nil when there is none.
	Since       *time.Time
	Open, Fixed int64 // findings
	// MedianFix is the median time from where a fixed finding was first seen to the
	// task that has it no more; nil when nothing was fixed.
	MedianFix *time.Duration
	Findings  []AgedFinding
}

// AgedFinding is a finding and the tasks that have it. Its place is where it was
// seen last.
type AgedFinding struct {
	FirstSeen, LastSeen time.Time // uploads of the first and the last task that have it
	FirstTask, LastTask TaskID
	// FixedAt is the upload of the first later task without it; nil while it is there.
	FixedAt  *time.Time
	Versions int64 // tasks that have it
	Finding
}

// A finding is fixed when the newest report of its type has it no more.
const findingAges = `
with v as materialized (
	select task_id, first_position, uploaded_at from live.tasks
	where left(project, 100) = left($1::text, 100) and project = $1 and status is not null and uploaded_at is not null
	order by first_position desc limit $2),
r as materialized (
	select v.*, s.type from v join live.sub_tasks s using (task_id) where s.report_state = 'READ' and ($3::text = '' or s.type = $3)),
newest as (select type, max(first_position) p from r group by type),
ages as materialized (
	select f.identity, type, min(r.first_position) first_p, max(r.first_position) last_p, count(*) versions
	from r join live.findings f using (task_id, type) group by 1, 2), -- the identity first: it sorts faster
aged as materialized (
	select a.*, x.uploaded_at first_seen, x.task_id first_task, y.uploaded_at last_seen, y.task_id last_task,
		case when a.last_p < n.p then (
			select z.uploaded_at from r z where z.type = a.type and z.first_position > a.last_p order by z.first_position limit 1) end fixed_at
	from ages a join newest n using (type) join v x on x.first_position = a.first_p join v y on y.first_position = a.last_p)
`

// FindingAges takes three statements.
func (q *Queries) FindingAges(ctx context.Context, query FindingAgesQuery) (FindingAges, error) {
	var out FindingAges
	first, err := page(query.First, 50)
	if err != nil {
		return out, err
	}
	args := []any{clean(query.Project), agedVersions, clean(query.Type)}
	which, order := "fixed_at is null", "first_p"
	if query.Fixed {
		which, order = "fixed_at is not null", "last_p desc"
	}
	err = q.snapshot(ctx, "tell the ages of findings", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		var seconds *float64
		err = tx.QueryRow(ctx, findingAges+`select (select count(*) from v), (select min(uploaded_at) from v),
			count(*) filter (where fixed_at is null), count(*) filter (where fixed_at is not null),
			percentile_cont(0.5) within group (order by extract(epoch from fixed_at - first_seen)::float8) from aged`, args...).
			Scan(&out.Versions, &out.Since, &out.Open, &out.Fixed, &seconds)
		if err != nil {
			return err
		}
		if seconds != nil {
			d := time.Duration(*seconds * float64(time.Second))
			out.MedianFix = &d
		}
		rows, err := tx.Query(ctx, findingAges+fmt.Sprintf(`select a.first_seen, a.last_seen, a.first_task, a.last_task, a.fixed_at, a.versions, `+findingColumns+`
			from (select * from aged where %[1]s order by %[2]s, type, identity limit $4) a
			join live.findings f on f.task_id = a.last_task and f.type = a.type and f.identity = a.identity
			order by %[2]s, a.type, a.identity`, which, order), append(args, first)...)
		if err != nil {
			return err
		}
		out.Findings, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f AgedFinding, err error) {
			at := []any{&f.FirstSeen, &f.LastSeen, (*[16]byte)(&f.FirstTask), (*[16]byte)(&f.LastTask), &f.FixedAt, &f.Versions}
			return f, row.Scan(append(at, f.columns()...)...)
		})
		return err
	})
	return out, err
}
