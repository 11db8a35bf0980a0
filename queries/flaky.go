package queries

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/report"
)

// Flaky is a scan that is not deterministic: the same package, scanned by the same
// type with the same rules and the same configuration, came to different results,
// counts or findings. Scans that could not be finished are not compared.
type Flaky struct {
	key                                     [16]byte
	Type, SHA256, RulesDigest, ConfigDigest string
	ScanCount                               int64
	Different                               int64  // outcomes
	Scans                                   []Scan // the newest 20
}

// Scan is one attempt of a flaky scan.
type Scan struct {
	TaskID   TaskID
	Project  string
	Version  string
	Attempt  int64
	Result   string         // PASS, PASS_WITH_WARNINGS or FAILED
	Counts   *report.Counts // nil: the scanner gave none
	Findings *string        // digest of what it found, in any order; nil where its report could not be read
	EndedAt  time.Time
}

// FlakyQuery asks for scans that are not deterministic, the last seen first.
type FlakyQuery struct {
	First         int // 0 means 20
	Type, Project string
}

// different is how many different results, or findings, a key has; the index of those
// with more than one is on this expression.
const different = `greatest(cardinality(f.results), cardinality(f.findings))`

const flakyColumns = `f.scan_key, f.type, f.sha256, f.rules_digest, f.config_digest, f.scans, ` + different

// Flaky takes three statements.
func (q *Queries) Flaky(ctx context.Context, query FlakyQuery) ([]Flaky, ReadAt, error) {
	var read ReadAt
	first, err := page(query.First, 20)
	if err != nil {
		return nil, read, err
	}
	args := []any{first}
	sql := `select ` + flakyColumns + ` from live.flaky f where ` + different + ` > 1`
	where := func(condition, value string) {
		if value != "" {
			args = append(args, clean(value))
			sql += fmt.Sprintf(condition, len(args))
		}
	}
	where(" and f.type = $%d", query.Type)
	where(" and exists (select 1 from live.outcomes o join live.tasks t using (task_id) where o.scan_key = f.scan_key and t.project = $%d)", query.Project)
	var out []Flaky
	err = q.snapshot(ctx, "list flaky scans", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sql+` order by f.last_position desc limit $1`, args...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Flaky, err error) {
			return f, row.Scan(&f.key, &f.Type, &f.SHA256, &f.RulesDigest, &f.ConfigDigest, &f.ScanCount, &f.Different)
		})
		if err != nil {
			return err
		}
		return scansOf(ctx, tx, out)
	})
	return out, read, err
}

// FlakyOf returns, for each of the tasks, its scans that are not deterministic, with
// two statements.
func (q *Queries) FlakyOf(ctx context.Context, tasks []TaskID) (map[TaskID][]Flaky, ReadAt, error) {
	out := map[TaskID][]Flaky{}
	var read ReadAt
	err := q.snapshot(ctx, "find flaky scans of tasks", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select o.task_id, `+flakyColumns+`
			from (select distinct task_id, scan_key from live.outcomes where task_id = any($1)) o join live.flaky f using (scan_key) where `+different+` > 1
			order by o.task_id, f.type collate "C", f.scan_key`, pgIDs(tasks))
		if err != nil {
			return err
		}
		var owners []TaskID
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Flaky, err error) {
			var id TaskID
			err = row.Scan((*[16]byte)(&id), &f.key, &f.Type, &f.SHA256, &f.RulesDigest, &f.ConfigDigest, &f.ScanCount, &f.Different)
			owners = append(owners, id)
			return f, err
		})
		if err != nil {
			return err
		}
		if err := scansOf(ctx, tx, all); err != nil {
			return err
		}
		for i, f := range all {
			out[owners[i]] = append(out[owners[i]], f)
		}
		return nil
	})
	return out, read, err
}

func scansOf(ctx context.Context, tx pgx.Tx, list []Flaky) error {
	keys := make([]TaskID, 0, len(list))
	at := map[[16]byte][]int{}
	for i, f := range list {
		if at[f.key] == nil {
			keys = append(keys, f.key)
		}
		at[f.key] = append(at[f.key], i)
	}
	rows, err := tx.Query(ctx, `select o.scan_key, o.task_id, t.project, t.version, o.attempt, o.result, o.errors, o.warnings, o.notes, o.findings::text, o.ended_at
		from unnest($1::uuid[]) k (scan_key) cross join lateral (
			select * from live.outcomes o where o.scan_key = k.scan_key order by o.position desc limit 20) o
		join live.tasks t using (task_id) order by o.scan_key, o.position desc`, pgIDs(keys))
	if err != nil {
		return err
	}
	var key [16]byte
	var s Scan
	var errs, warnings, notes *int
	_, err = pgx.ForEachRow(rows, []any{&key, (*[16]byte)(&s.TaskID), &s.Project, &s.Version, &s.Attempt, &s.Result, &errs, &warnings, &notes, &s.Findings, &s.EndedAt}, func() error {
		one := s
		if errs != nil && warnings != nil && notes != nil {
			one.Counts = &report.Counts{Error: *errs, Warning: *warnings, Note: *notes}
		}
		if s.Findings != nil {
			digest := strings.ReplaceAll(*s.Findings, "-", "")
			one.Findings = &digest
		}
		for _, i := range at[key] {
			list[i].Scans = append(list[i].Scans, one)
		}
		return nil
	})
	return err
}
