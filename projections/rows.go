package projections

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Rows are kept as one list a column. They travel as one array a column and are put
// together by unnest: a batch is one statement a table, however many rows it has. Or
// they are copied, see copy.go.

const taskNames = `task_id, first_position, phase, status, project, version, file_name, size, sha256, uploaded_by,
	uploaded_at, created_at, deadline, closed_cause, closed_at, closed_position, converged_at, verdict_id, verdict,
	observed_types, last_event_at, errors, warnings, notes, late, revision, position, decided_at,
	rescan_of, cancelled_reason, cancelled_at, known, heard`

const upsertTasks = `
insert into tasks as t (` + taskNames + `)
select task_id, first_position, phase, status, project, version, file_name, size, sha256, uploaded_by,
	uploaded_at, created_at, deadline, closed_cause, closed_at, closed_position, converged_at, verdict_id, verdict::json,
	observed_types::text[], last_event_at, errors, warnings, notes, late, revision, position, decided_at,
	rescan_of, cancelled_reason, cancelled_at, known::text[], heard::text[]
from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[],
	$11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::timestamptz[], $16::bigint[], $17::timestamptz[], $18::uuid[], $19::text[],
	$20::text[], $21::timestamptz[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::timestamptz[],
	$29::uuid[], $30::text[], $31::timestamptz[], $32::text[], $33::text[])
as u (` + taskNames + `)
on conflict (task_id) do update set
	phase = excluded.phase, status = excluded.status, project = excluded.project, version = excluded.version,
	file_name = excluded.file_name, size = excluded.size, sha256 = excluded.sha256, uploaded_by = excluded.uploaded_by,
	uploaded_at = excluded.uploaded_at, created_at = excluded.created_at, deadline = excluded.deadline,
	closed_cause = excluded.closed_cause, closed_at = excluded.closed_at,
	closed_position = coalesce(t.closed_position, excluded.closed_position),
	converged_at = excluded.converged_at, verdict_id = excluded.verdict_id, verdict = excluded.verdict,
	observed_types = excluded.observed_types, last_event_at = excluded.last_event_at,
	errors = excluded.errors, warnings = excluded.warnings, notes = excluded.notes, late = excluded.late,
	revision = excluded.revision, position = excluded.position, decided_at = excluded.decided_at,
	rescan_of = excluded.rescan_of, cancelled_reason = excluded.cancelled_reason, cancelled_at = excluded.cancelled_at,
	known = excluded.known, heard = excluded.heard`

type taskColumns struct {
	id                                                []pgtype.UUID
	first                                             []int64
	phase                                             []string
	status                                            []pgtype.Text
	project, version, fileName                        []string
	size                                              []int64
	sha256, uploadedBy                                []string
	uploadedAt, createdAt, deadline                   []pgtype.Timestamptz
	closedCause                                       []pgtype.Text
	closedAt                                          []pgtype.Timestamptz
	closed                                            []pgtype.Int8
	convergedAt                                       []pgtype.Timestamptz
	verdictID                                         []pgtype.UUID
	verdict                                           []pgtype.Text
	observed                                          [][]string
	lastEventAt                                       []time.Time
	errors, warnings, notes, late, revision, position []int64
	decidedAt                                         []pgtype.Timestamptz
	rescanOf                                          []pgtype.UUID
	cancelledReason                                   []pgtype.Text
	cancelledAt                                       []pgtype.Timestamptz
	known                                             [][]string // nil is null
	heard                                             [][]string
}

func taskRows(list []*change) (*taskColumns, error) {
	var rows taskColumns
	for _, c := range list {
		if err := rows.add(c); err != nil {
			return nil, err
		}
	}
	return &rows, nil
}

func (r *taskColumns) add(c *change) error {
	s := c.after
	var (
		up          task.ZipUploaded
		status      pgtype.Text
		verdict     pgtype.Text
		verdictID   pgtype.UUID
		deadline    = instant(s.Deadline())
		closedCause pgtype.Text
		closedAt    pgtype.Timestamptz
		closed      pgtype.Int8
		counts      = s.Counts()
		rescanOf    pgtype.UUID
		withdrawn   pgtype.Text
		known       []string
	)
	if s.Uploaded != nil {
		up = *s.Uploaded
	}
	if id, err := eventstore.ParseID(up.RescanOf); err == nil {
		rescanOf = pgUUID(id)
	}
	if s.Cancelled != nil {
		withdrawn = pgtype.Text{String: clean(s.Cancelled.Reason), Valid: true}
	}
	if s.Created != nil && s.Created.Known != nil {
		known = s.Created.Known
	}
	if s.Closed != nil {
		closedCause, closedAt = optional(string(s.Closed.Cause)), instant(s.Closed.ClosedAt)
	}
	if c.closed != 0 {
		closed = pgtype.Int8{Int64: int64(c.closed), Valid: true}
	}
	if s.Verdict != nil {
		text, err := jsonText(s.Verdict)
		if err != nil {
			return err
		}
		status, verdict = optional(string(s.Verdict.Status)), pgtype.Text{String: text, Valid: true}
		if id, err := eventstore.ParseID(s.VerdictID); err == nil {
			verdictID = pgtype.UUID{Bytes: id, Valid: true}
		}
	}
	r.id = append(r.id, pgUUID(c.id))
	r.first = append(r.first, int64(c.first))
	r.phase = append(r.phase, string(s.Phase()))
	r.status = append(r.status, status)
	r.project = append(r.project, clean(up.Project))
	r.version = append(r.version, clean(up.Version))
	r.fileName = append(r.fileName, clean(up.FileName))
	r.size = append(r.size, up.Size)
	r.sha256 = append(r.sha256, clean(up.SHA256))
	r.uploadedBy = append(r.uploadedBy, clean(up.UploadedBy))
	r.uploadedAt = append(r.uploadedAt, instant(s.UploadedAt))
	r.createdAt = append(r.createdAt, instant(s.CreatedAt))
	r.deadline = append(r.deadline, deadline)
	r.closedCause = append(r.closedCause, closedCause)
	r.closedAt = append(r.closedAt, closedAt)
	r.closed = append(r.closed, closed)
	r.convergedAt = append(r.convergedAt, instant(s.ConvergedAt))
	r.verdictID = append(r.verdictID, verdictID)
	r.verdict = append(r.verdict, verdict)
	r.observed = append(r.observed, append([]string{}, s.Observed()...)) // none is not null
	r.lastEventAt = append(r.lastEventAt, s.LastEventAt)
	r.errors = append(r.errors, int64(counts.Error))
	r.warnings = append(r.warnings, int64(counts.Warning))
	r.notes = append(r.notes, int64(counts.Note))
	r.late = append(r.late, int64(s.Late))
	r.revision = append(r.revision, int64(s.Facts)-1)
	r.position = append(r.position, int64(c.position))
	r.decidedAt = append(r.decidedAt, instant(s.DecidedAt))
	r.rescanOf = append(r.rescanOf, rescanOf)
	r.cancelledReason = append(r.cancelledReason, withdrawn)
	r.cancelledAt = append(r.cancelledAt, instant(s.CancelledAt))
	r.known = append(r.known, known)
	r.heard = append(r.heard, s.HeardInWindow())
	return nil
}

func (r *taskColumns) args() []any {
	return r.columns(arrayTexts(r.observed), arrayTexts(r.known), arrayTexts(r.heard))
}

func (r *taskColumns) copied() []any { return r.columns(r.observed, r.known, r.heard) }

func (r *taskColumns) columns(observed, known, heard any) []any {
	return []any{
		r.id, r.first, r.phase, r.status, r.project, r.version, r.fileName, r.size, r.sha256, r.uploadedBy,
		r.uploadedAt, r.createdAt, r.deadline, r.closedCause, r.closedAt, r.closed, r.convergedAt, r.verdictID, r.verdict,
		observed, r.lastEventAt, r.errors, r.warnings, r.notes, r.late, r.revision, r.position, r.decidedAt,
		r.rescanOf, r.cancelledReason, r.cancelledAt, known, heard,
	}
}

const subTaskNames = `task_id, type, state, attempt, scanner, started_at, ended_at, result, kind, reason, reason_zh,
	parked, retry_wanted, late, errors, warnings, notes, eligible, seen, degraded, duration_ms, report_key, report_state,
	because_en, because_zh, configuration`

const upsertSubTasks = `
insert into sub_tasks (` + subTaskNames + `)
select task_id, type, state, attempt, scanner::json, started_at, ended_at, result, kind, reason, reason_zh,
	parked, retry_wanted, late, errors, warnings, notes, eligible, seen, degraded::json, duration_ms, report_key, report_state,
	because_en, because_zh, configuration::json
from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::timestamptz[],
	$8::text[], $9::text[], $10::text[], $11::text[], $12::boolean[], $13::boolean[], $14::boolean[],
	$15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::bigint[], $22::text[], $23::text[],
	$24::text[], $25::text[], $26::text[])
as u (` + subTaskNames + `)
on conflict (task_id, type) do update set
	state = excluded.state, attempt = excluded.attempt, scanner = excluded.scanner,
	started_at = excluded.started_at, ended_at = excluded.ended_at,
	result = excluded.result, kind = excluded.kind, reason = excluded.reason, reason_zh = excluded.reason_zh,
	parked = excluded.parked, retry_wanted = excluded.retry_wanted, late = excluded.late,
	errors = excluded.errors, warnings = excluded.warnings, notes = excluded.notes,
	eligible = excluded.eligible, seen = excluded.seen, degraded = excluded.degraded,
	duration_ms = excluded.duration_ms, report_key = excluded.report_key,
	because_en = excluded.because_en, because_zh = excluded.because_zh, configuration = excluded.configuration,
	report_state = case excluded.report_state when '` + reportAsBefore + `' then sub_tasks.report_state else excluded.report_state end`

type subTaskColumns struct {
	id                             []pgtype.UUID
	name, state                    []string
	attempt                        []int64
	scanner                        []string
	startedAt, endedAt             []pgtype.Timestamptz
	result, kind, reason, reasonZH []pgtype.Text
	parked, retryWanted, late      []bool
	errors, warnings, notes        []pgtype.Int8
	eligible, seen                 []pgtype.Int8
	degraded                       []pgtype.Text
	durationMS                     []int64
	reportKey                      []pgtype.Text
	reportState                    []string
	becauseEN, becauseZH           []pgtype.Text
	configuration                  []pgtype.Text
}

func (r *subTaskColumns) add(id eventstore.ID, t task.SubTask, reportState string) error {
	scanner, err := jsonText(t.Scanner)
	if err != nil {
		return err
	}
	var errs, warnings, notes, eligible, seen pgtype.Int8
	if t.Summary != nil {
		errs, warnings, notes = number(t.Summary.Error), number(t.Summary.Warning), number(t.Summary.Note)
	}
	var degraded pgtype.Text
	if t.Coverage != nil {
		eligible, seen = number(t.Coverage.Eligible), number(t.Coverage.Seen)
		if len(t.Coverage.Degraded) > 0 {
			text, err := jsonText(t.Coverage.Degraded)
			if err != nil {
				return err
			}
			degraded = pgtype.Text{String: text, Valid: true}
		}
	}
	configuration, err := optionalJSON(t.Configuration)
	if err != nil {
		return err
	}
	var key pgtype.Text
	if t.Report != nil {
		key = optional(clean(t.Report.Key))
	}
	r.id = append(r.id, pgUUID(id))
	r.name = append(r.name, clean(t.Type))
	r.state = append(r.state, string(t.State))
	r.attempt = append(r.attempt, int64(t.Attempt))
	r.scanner = append(r.scanner, scanner)
	r.startedAt = append(r.startedAt, instant(t.StartedAt))
	r.endedAt = append(r.endedAt, instant(t.EndedAt))
	r.result = append(r.result, optional(clean(string(t.Result))))
	r.kind = append(r.kind, optional(clean(string(t.Kind))))
	r.reason = append(r.reason, optional(clean(t.Reason)))
	r.reasonZH = append(r.reasonZH, optional(clean(t.ReasonZH)))
	r.parked = append(r.parked, t.Parked)
	r.retryWanted = append(r.retryWanted, t.RetryWanted)
	r.late = append(r.late, t.Late)
	r.errors = append(r.errors, errs)
	r.warnings = append(r.warnings, warnings)
	r.notes = append(r.notes, notes)
	r.eligible = append(r.eligible, eligible)
	r.seen = append(r.seen, seen)
	r.degraded = append(r.degraded, degraded)
	r.durationMS = append(r.durationMS, t.DurationMS)
	r.reportKey = append(r.reportKey, key)
	r.reportState = append(r.reportState, reportState)
	r.becauseEN = append(r.becauseEN, optional(clean(t.Because.En)))
	r.becauseZH = append(r.becauseZH, optional(clean(t.Because.Zh)))
	r.configuration = append(r.configuration, configuration)
	return nil
}

func (r *subTaskColumns) args() []any {
	return []any{
		r.id, r.name, r.state, r.attempt, r.scanner, r.startedAt, r.endedAt, r.result, r.kind, r.reason, r.reasonZH,
		r.parked, r.retryWanted, r.late, r.errors, r.warnings, r.notes, r.eligible, r.seen, r.degraded, r.durationMS, r.reportKey, r.reportState,
		r.becauseEN, r.becauseZH, r.configuration,
	}
}

const declineNames = `task_id, type, code, reason, reason_zh, scanner, at, late, configuration`

const upsertDeclines = `
insert into declines (` + declineNames + `)
select task_id, type, code, reason, reason_zh, scanner::json, at, late, configuration::json
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[], $9::text[])
as u (` + declineNames + `)
on conflict (task_id, type) do update set
	code = excluded.code, reason = excluded.reason, reason_zh = excluded.reason_zh,
	scanner = excluded.scanner, at = excluded.at, late = excluded.late, configuration = excluded.configuration`

type declineColumns struct {
	id                                    []pgtype.UUID
	name, code, reason, reasonZH, scanner []string
	at                                    []time.Time
	late                                  []bool
	configuration                         []pgtype.Text
}

func (r *declineColumns) add(id eventstore.ID, d task.Decline) error {
	scanner, err := jsonText(d.Scanner)
	if err != nil {
		return err
	}
	configuration, err := optionalJSON(d.Configuration)
	if err != nil {
		return err
	}
	r.configuration = append(r.configuration, configuration)
	r.id = append(r.id, pgUUID(id))
	r.name = append(r.name, clean(d.Type))
	r.code = append(r.code, clean(d.Code))
	r.reason = append(r.reason, clean(d.Reason))
	r.reasonZH = append(r.reasonZH, clean(d.ReasonZH))
	r.scanner = append(r.scanner, scanner)
	r.at = append(r.at, d.At)
	r.late = append(r.late, d.Late)
	return nil
}

func (r *declineColumns) args() []any {
	return []any{r.id, r.name, r.code, r.reason, r.reasonZH, r.scanner, r.at, r.late, r.configuration}
}

const deleteDeclines = `
delete from declines d using unnest($1::uuid[], $2::text[]) as u (task_id, type)
where d.task_id = u.task_id and d.type = u.type`

const deleteFindings = `
delete from findings f using unnest($1::uuid[], $2::text[]) as u (task_id, type)
where f.task_id = u.task_id and f.type = u.type`

// typeColumns name sub-tasks.
type typeColumns struct {
	id   []pgtype.UUID
	name []string
}

func (r *typeColumns) add(id eventstore.ID, subTaskType string) {
	r.id = append(r.id, pgUUID(id))
	r.name = append(r.name, clean(subTaskType))
}

func (r *typeColumns) args() []any { return []any{r.id, r.name} }

const insertFindings = `
insert into findings (task_id, type, ordinal, attempt, rule, severity, message_en, message_zh,
	path, line, col, end_line, end_col, cell, pointer, suppressed, identity, suppression)
select task_id, type, ordinal, attempt, rule, severity, message_en, message_zh,
	path, line, col, end_line, end_col, cell, pointer, suppressed, identity, suppression::json from unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
	$9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::boolean[], $17::text[]::uuid[], $18::text[])
as u (task_id, type, ordinal, attempt, rule, severity, message_en, message_zh,
	path, line, col, end_line, end_col, cell, pointer, suppressed, identity, suppression)`

type findingColumns struct {
	id                                   []pgtype.UUID
	name                                 []string
	ordinal                              []int32
	attempt                              []int64
	rule, severity, messageEN, messageZH []string
	path                                 []string
	line, column, endLine, endColumn     []int64
	cell, pointer                        []string
	suppressed                           []bool
	identity                             []string
	suppression                          []pgtype.Text
}

func (r *findingColumns) add(id eventstore.ID, t task.SubTask, ordinal int, f report.Finding, identity report.Identity) {
	r.id = append(r.id, pgUUID(id))
	r.name = append(r.name, clean(t.Type))
	r.ordinal = append(r.ordinal, int32(ordinal))
	r.attempt = append(r.attempt, int64(t.Attempt))
	r.rule = append(r.rule, clean(f.Rule))
	r.severity = append(r.severity, clean(string(f.Severity)))
	r.messageEN = append(r.messageEN, clean(f.Message.En))
	r.messageZH = append(r.messageZH, clean(f.Message.Zh))
	r.path = append(r.path, clean(f.Path))
	r.line = append(r.line, int64(f.Line))
	r.column = append(r.column, int64(f.Column))
	r.endLine = append(r.endLine, int64(f.EndLine))
	r.endColumn = append(r.endColumn, int64(f.EndColumn))
	r.cell = append(r.cell, clean(f.Cell))
	r.pointer = append(r.pointer, clean(f.Pointer))
	r.suppressed = append(r.suppressed, f.Suppressed)
	r.identity = append(r.identity, string(identity))
	suppression, err := optionalJSON(f.Suppression)
	if err != nil {
		suppression = pgtype.Text{} // texts only: it cannot fail
	}
	r.suppression = append(r.suppression, suppression)
}

// cut drops all rows from n on.
func (r *findingColumns) cut(n int) {
	r.id, r.name, r.ordinal, r.attempt = r.id[:n], r.name[:n], r.ordinal[:n], r.attempt[:n]
	r.rule, r.severity, r.messageEN, r.messageZH = r.rule[:n], r.severity[:n], r.messageEN[:n], r.messageZH[:n]
	r.path, r.line, r.column, r.endLine, r.endColumn = r.path[:n], r.line[:n], r.column[:n], r.endLine[:n], r.endColumn[:n]
	r.cell, r.pointer, r.suppressed, r.identity = r.cell[:n], r.pointer[:n], r.suppressed[:n], r.identity[:n]
	r.suppression = r.suppression[:n]
}

func (r *findingColumns) args() []any {
	return []any{
		r.id, r.name, r.ordinal, r.attempt, r.rule, r.severity, r.messageEN, r.messageZH,
		r.path, r.line, r.column, r.endLine, r.endColumn, r.cell, r.pointer, r.suppressed, r.identity, r.suppression,
	}
}

const upsertScanners = `
insert into scanners (type, first_position, first_seen_at, last_position, last_seen_at, online, instance, version, rules_digest, config_digest)
select * from unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::boolean[], $7::text[], $8::text[], $9::text[], $10::text[])
on conflict (type) do update set
	last_position = excluded.last_position, last_seen_at = excluded.last_seen_at, online = excluded.online,
	instance = excluded.instance, version = excluded.version,
	rules_digest = excluded.rules_digest, config_digest = excluded.config_digest`

func scannerArgs(scanners map[string]*scannerRow) []any {
	var (
		name, instance, version, rules, config []string
		first, last                            []int64
		firstAt, lastAt                        []time.Time
		online                                 []bool
	)
	for _, s := range scanners {
		name = append(name, clean(s.Type))
		first, firstAt = append(first, int64(s.first)), append(firstAt, s.firstAt)
		last, lastAt = append(last, int64(s.last)), append(lastAt, s.lastAt)
		online = append(online, s.online)
		instance, version = append(instance, clean(s.Instance)), append(version, clean(s.Version))
		rules, config = append(rules, clean(s.RulesDigest)), append(config, clean(s.ConfigDigest))
	}
	return []any{name, first, firstAt, last, lastAt, online, instance, version, rules, config}
}

// clean replaces U+0000, which text cannot hold.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// optional is null for the empty string.
func optional(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }

// instant is null for the zero time.
func instant(t time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()} }

func number(n int) pgtype.Int8 { return pgtype.Int8{Int64: int64(n), Valid: true} }

// optionalJSON is null for nil.
func optionalJSON[T any](v *T) (pgtype.Text, error) {
	if v == nil {
		return pgtype.Text{}, nil
	}
	text, err := jsonText(v)
	return pgtype.Text{String: text, Valid: true}, err
}

func jsonText(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func pgUUID(id eventstore.ID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

func uuids(ids []eventstore.ID) []pgtype.UUID {
	out := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		out[i] = pgUUID(id)
	}
	return out
}

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x00", "\uFFFD")

// arrayText writes a text[] as Postgres reads it: an array of arrays cannot be
// unnested row by row.
func arrayText(list []string) string {
	quoted := slices.Clone(list)
	for i, s := range quoted {
		quoted[i] = `"` + arrayEscapes.Replace(s) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

// arrayTexts writes many; nil is null.
func arrayTexts(lists [][]string) []pgtype.Text {
	out := make([]pgtype.Text, len(lists))
	for i, list := range lists {
		if list != nil {
			out[i] = pgtype.Text{String: arrayText(list), Valid: true}
		}
	}
	return out
}
