package queries

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// SubTask is one scanner's work on a task, as its newest attempt left it.
type SubTask struct {
	Type        string
	State       task.SubTaskState
	Attempt     int64
	Scanner     task.Scanner
	StartedAt   *time.Time
	EndedAt     *time.Time
	Result      *task.Result
	Kind        *task.FailureKind
	Reason      *string
	ReasonZH    *string
	Parked      bool
	RetryWanted bool
	Late        bool
	Counts      *report.Counts // nil: the scanner gave none
	Coverage    *task.Coverage
	DurationMS  int64
	Report      ReportState
	// Because says why it takes part; nil: it did not say.
	Because       *report.Text
	Configuration *task.Configuration // nil: the defaults

	blob *task.Blob // the report; of a task as of a moment only
}

// ReportState says what became of a sub-task's report.
type ReportState string

// The states of a report.
const (
	ReportNone    ReportState = "NONE"    // none was stored, or the scan has not ended
	ReportRead    ReportState = "READ"    // its findings can be asked for
	ReportMissing ReportState = "MISSING" // the blob is gone: the verdict stands, the details are lost
	ReportDamaged ReportState = "DAMAGED" // it is not what the fact speaks of
	ReportExpired ReportState = "EXPIRED" // its findings were pruned by age
)

// Decline is a scanner's "not my business".
type Decline struct {
	Type     string
	Code     string
	Reason   string
	ReasonZH string
	Scanner  task.Scanner
	At       time.Time
	Late     bool
	// Configuration is what the scanner was told by; nil: its defaults.
	Configuration *task.Configuration
}

// parts fills in what is wanted of all tasks, with one statement a part, all of
// them in one round trip.
func parts(ctx context.Context, tx pgx.Tx, tasks []Task, with With) error {
	if len(tasks) == 0 || with == (With{}) {
		return nil
	}
	ids := make([]TaskID, len(tasks))
	byID := make(map[TaskID]*Task, len(tasks))
	for i := range tasks {
		ids[i], byID[tasks[i].ID] = tasks[i].ID, &tasks[i]
	}
	var batch pgx.Batch
	if with.SubTasks {
		batch.Queue(subTasksOf, pgIDs(ids)).Query(func(rows pgx.Rows) error { return scanSubTasks(rows, byID) })
	}
	if with.Declines {
		batch.Queue(declinesOf, pgIDs(ids)).Query(func(rows pgx.Rows) error { return scanDeclines(rows, byID) })
	}
	if with.Silent {
		for i := range tasks {
			if t := &tasks[i]; t.known != nil && t.Verdict != nil {
				t.Silent = silentByVerdict(t.known, t.Verdict)
			}
		}
		batch.Queue(silentIn, pgIDs(ids)).Query(func(rows pgx.Rows) error { return scanSilent(rows, byID) })
	}
	if with.Rescans {
		batch.Queue(rescansOf, pgIDs(ids)).Query(func(rows pgx.Rows) error { return scanRescans(rows, byID) })
	}
	if with.Skipped {
		batch.Queue(skippedOf, pgIDs(ids)).Query(func(rows pgx.Rows) error { return scanSkipped(rows, byID) })
	}
	return tx.SendBatch(ctx, &batch).Close()
}

const subTasksOf = `select task_id, type, state, attempt, scanner, started_at, ended_at, result, kind, reason, reason_zh,
	parked, retry_wanted, late, errors, warnings, notes, eligible, seen, degraded, duration_ms, report_state,
	because_en, because_zh, configuration
from live.sub_tasks where task_id = any($1) order by task_id, type collate "C"`

func scanSubTasks(rows pgx.Rows, byID map[TaskID]*Task) error {
	defer rows.Close()
	for rows.Next() {
		var id [16]byte
		var s SubTask
		var scanner, degraded []byte
		var becauseEN, becauseZH *string
		var errs, warnings, notes, eligible, seen *int
		if err := rows.Scan(&id, &s.Type, &s.State, &s.Attempt, &scanner, &s.StartedAt, &s.EndedAt, &s.Result, &s.Kind, &s.Reason, &s.ReasonZH,
			&s.Parked, &s.RetryWanted, &s.Late, &errs, &warnings, &notes, &eligible, &seen, &degraded, &s.DurationMS, &s.Report,
			&becauseEN, &becauseZH, &s.Configuration); err != nil {
			return err
		}
		if err := fromJSON(scanner, &s.Scanner); err != nil {
			return fmt.Errorf("scanner: %w", err)
		}
		if becauseEN != nil {
			s.Because = &report.Text{En: *becauseEN}
			if becauseZH != nil {
				s.Because.Zh = *becauseZH
			}
		}
		if errs != nil && warnings != nil && notes != nil {
			s.Counts = &report.Counts{Error: *errs, Warning: *warnings, Note: *notes}
		}
		if eligible != nil && seen != nil {
			s.Coverage = &task.Coverage{Eligible: *eligible, Seen: *seen}
			if err := fromJSON(degraded, &s.Coverage.Degraded); err != nil {
				return fmt.Errorf("degraded: %w", err)
			}
		}
		t := byID[id]
		t.SubTasks = append(t.SubTasks, s)
	}
	return rows.Err()
}

const declinesOf = `select task_id, type, code, reason, reason_zh, scanner, at, late, configuration
from live.declines where task_id = any($1) order by task_id, type collate "C"`

func scanDeclines(rows pgx.Rows, byID map[TaskID]*Task) error {
	defer rows.Close()
	for rows.Next() {
		var id [16]byte
		var d Decline
		var scanner []byte
		if err := rows.Scan(&id, &d.Type, &d.Code, &d.Reason, &d.ReasonZH, &scanner, &d.At, &d.Late, &d.Configuration); err != nil {
			return err
		}
		if err := fromJSON(scanner, &d.Scanner); err != nil {
			return fmt.Errorf("scanner: %w", err)
		}
		t := byID[id]
		t.Declines = append(t.Declines, d)
	}
	return rows.Err()
}

// Silent are the types that were waited for and not heard. Who was waited for
// stands in MainTaskCreated; tasks of before that was written down take the types
// known before the window closed. Once there is a verdict that knows, its own lists
// say who was heard (see silentByVerdict); until then silent is "not heard from
// in the window". To look is not to speak, and an operator's wish for a retry is not
// the scanner's voice.
const silentIn = `select t.task_id, s.type
from live.tasks t cross join lateral (
	select unnest(t.known) as type
	union all
	select type from live.scanners where t.known is null and (t.closed_position is null or first_position < t.closed_position)) s
where t.task_id = any($1) and t.created_at is not null and (t.known is null or t.verdict is null) and s.type <> all (t.heard)
order by t.task_id, s.type collate "C"`

// silentByVerdict are the types that were waited for and that the newest verdict
// has not heard: what rules see as silent, and advisory types besides.
func silentByVerdict(known []string, v *task.MainTaskConverged) (silent []string) {
	heard := [][]string{v.Observed, v.Declined}
	if a := v.Advisory; a != nil {
		heard = append(heard, a.Succeeded, a.Failed, a.Errored, a.Unfinished)
	}
	for _, name := range known {
		if !slices.ContainsFunc(heard, func(list []string) bool { return slices.Contains(list, name) }) {
			silent = append(silent, name)
		}
	}
	return silent
}

func scanSilent(rows pgx.Rows, byID map[TaskID]*Task) error {
	var id [16]byte
	var name string
	_, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		t := byID[id]
		t.Silent = append(t.Silent, name)
		return nil
	})
	return err
}

// The newest rescans of each task.
const rescansOf = `select o.id, r.task_id
from unnest($1::uuid[]) o (id) cross join lateral (
	select task_id, first_position from live.tasks where rescan_of = o.id order by first_position desc limit 100) r
order by o.id, r.first_position desc`

func scanRescans(rows pgx.Rows, byID map[TaskID]*Task) error {
	var of, id [16]byte
	_, err := pgx.ForEachRow(rows, []any{&of, &id}, func() error {
		t := byID[of]
		t.Rescans = append(t.Rescans, id)
		return nil
	})
	return err
}

const skippedOf = `select task_id, count(*) from live.skips where task_id = any($1) group by 1`

func scanSkipped(rows pgx.Rows, byID map[TaskID]*Task) error {
	var id [16]byte
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		byID[id].Skipped = n
		return nil
	})
	return err
}
