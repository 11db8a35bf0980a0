package projections

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// endedAttempt is an attempt that ended in a batch and said something of the package.
// An attempt that could not be finished (kind ERROR) says nothing of it, and one
// whose package, rules or configuration nobody named cannot be compared.
type endedAttempt struct {
	attemptKey
	result                string
	counts                *report.Counts
	report                *task.Blob
	at                    time.Time
	position              eventstore.Position
	sha256, rules, config string
}

type attemptKey struct {
	task    eventstore.ID
	subTask string
	attempt int
}

// addEnded notes an attempt that this fact ended. It looks at each fact, not at what
// a batch comes to: an attempt counts, too, if the next one begins in the same batch.
func (b *batch) addEnded(id eventstore.ID, fact task.Fact, before, after task.State, r eventstore.Recorded) {
	name, attempt := about(fact)
	switch fact.(type) {
	case task.SubTaskCompleted, task.SubTaskFailed:
	default:
		return
	}
	was, known := before.SubTasks[name]
	t := after.SubTasks[name]
	if t.Attempt != attempt || t.State == task.StateRunning || known && was.Attempt == attempt && was.State != task.StateRunning {
		return // of no effect: it had ended, or was not the newest
	}
	e := endedAttempt{attemptKey: attemptKey{id, name, attempt}, counts: t.Summary, report: t.Report, at: r.At, position: r.Position,
		rules: t.Scanner.RulesDigest, config: t.Scanner.ConfigDigest}
	switch {
	case t.State == task.StateFailed && t.Kind != task.Check:
		return
	case t.State == task.StateFailed:
		e.result = "FAILED"
	case t.Result == task.Pass:
		e.result = string(task.Pass)
	default:
		e.result = string(task.PassWithWarnings)
	}
	if after.Uploaded != nil {
		e.sha256 = after.Uploaded.SHA256
	}
	if e.sha256 == "" || e.rules == "" || e.config == "" {
		return
	}
	b.ended = append(b.ended, e)
}

// scanKey is the same for scans that ought to come to the same.
func (e endedAttempt) scanKey() (key [16]byte) {
	sum := sha256.Sum256([]byte(strings.Join([]string{e.sha256, e.subTask, e.rules, e.config}, "\x00")))
	copy(key[:], sum[:])
	return key
}

// findingsDigest is of a set of findings, whatever their order.
type findingsDigest [2]uint64

func (d *findingsDigest) add(f report.Finding) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	d[0] += binary.BigEndian.Uint64(sum[:8])
	d[1] += binary.BigEndian.Uint64(sum[8:16])
	return nil
}

func (d findingsDigest) uuid() (out pgtype.UUID) {
	binary.BigEndian.PutUint64(out.Bytes[:8], d[0])
	binary.BigEndian.PutUint64(out.Bytes[8:], d[1])
	out.Valid = true
	return out
}

// readFindings are those of an attempt's report that was read to its end.
type readFindings struct {
	attemptKey
	digest findingsDigest
}

const insertOutcomes = `
insert into outcomes (task_id, type, attempt, scan_key, result, errors, warnings, notes, findings, ended_at, position)
select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::uuid[],
	$10::timestamptz[], $11::bigint[])`

// A row is made of all outcomes of its key, so it is the same whatever the batches.
const upsertFlaky = `
insert into flaky (scan_key, type, sha256, rules_digest, config_digest, scans, different, first_position, last_position)
select u.scan_key, u.type, u.sha256, u.rules_digest, u.config_digest, o.scans, greatest(o.results, o.findings), o.first_position, o.last_position
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) as u (scan_key, type, sha256, rules_digest, config_digest)
cross join lateral (
	select count(*) scans, count(distinct (o.result, o.errors, o.warnings, o.notes)) results, count(distinct o.findings) findings,
		min(o.position) first_position, max(o.position) last_position
	from outcomes o where o.scan_key = u.scan_key) o
where o.results > 1 or o.findings > 1
on conflict (scan_key) do update set
	scans = excluded.scans, different = excluded.different, last_position = excluded.last_position`

func (b *batch) queueOutcomes(ctx context.Context, statements *pgx.Batch, blobs Blobs, read []readFindings) error {
	if len(b.ended) == 0 {
		return nil
	}
	digests := map[attemptKey]findingsDigest{}
	for _, r := range read {
		digests[r.attemptKey] = r.digest
	}
	newest := map[eventstore.ID]*change{}
	for _, c := range b.order {
		newest[c.id] = c
	}
	var (
		id, key, findings         []pgtype.UUID
		name, result              []string
		attempt, position         []int64
		errs, warnings, notes     []*int64
		at                        []time.Time
		keys                      []pgtype.UUID
		types, sums, rules, confs []string
		met                       = map[[16]byte]bool{}
	)
	for _, e := range b.ended {
		digest, ok := digests[e.attemptKey]
		superseded := newest[e.task].after.SubTasks[e.subTask].Attempt != e.attempt
		if !ok && superseded && e.report != nil { // its findings go into no table, but they count here
			digest = findingsDigest{}
			state, err := readReport(ctx, blobs, e.report, func(f report.Finding) error { return digest.add(f) })
			if err != nil {
				return fmt.Errorf("the %s report of task %s, attempt %d: %w", e.subTask, e.task, e.attempt, err)
			}
			ok = state == reportRead
		}
		scan := e.scanKey()
		id, name, attempt = append(id, pgUUID(e.task)), append(name, clean(e.subTask)), append(attempt, int64(e.attempt))
		key, result, at = append(key, pgtype.UUID{Bytes: scan, Valid: true}), append(result, e.result), append(at, e.at)
		position = append(position, int64(e.position))
		found := pgtype.UUID{}
		if ok {
			found = digest.uuid()
		}
		findings = append(findings, found)
		var x, y, z *int64
		if e.counts != nil {
			x, y, z = number(e.counts.Error), number(e.counts.Warning), number(e.counts.Note)
		}
		errs, warnings, notes = append(errs, x), append(warnings, y), append(notes, z)
		if !met[scan] {
			met[scan] = true
			keys, types = append(keys, pgtype.UUID{Bytes: scan, Valid: true}), append(types, clean(e.subTask))
			sums, rules, confs = append(sums, clean(e.sha256)), append(rules, clean(e.rules)), append(confs, clean(e.config))
		}
	}
	statements.Queue(insertOutcomes, id, name, attempt, key, result, errs, warnings, notes, findings, at, position)
	statements.Queue(upsertFlaky, keys, types, sums, rules, confs)
	return nil
}
