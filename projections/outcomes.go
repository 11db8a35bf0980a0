package projections

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

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
func (b *batch) addEnded(c *change, fact task.Fact, was, t task.SubTask, r eventstore.Recorded) {
	name, attempt := about(fact)
	switch fact.(type) {
	case task.SubTaskCompleted, task.SubTaskFailed:
	default:
		return
	}
	if t.Attempt != attempt || t.State == task.StateRunning || was.State != "" && was.Attempt == attempt && was.State != task.StateRunning {
		return // of no effect: it had ended, or was not the newest
	}
	e := endedAttempt{attemptKey: attemptKey{c.id, name, attempt}, counts: t.Summary, report: t.Report, at: r.At, position: r.Position,
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
	if c.after.Uploaded != nil {
		e.sha256 = c.after.Uploaded.SHA256
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

const outcomeNames = `task_id, type, attempt, scan_key, result, errors, warnings, notes, findings, ended_at, position`

const insertOutcomes = `
insert into outcomes (` + outcomeNames + `)
select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::uuid[],
	$10::timestamptz[], $11::bigint[])`

// A scan is compared with the first one of its key and with what was seen to differ
// since, so it costs the same however often the package was scanned. addRepeats runs
// before insertOutcomes and counts the first outcome in, each time: sets do not mind,
// and scans takes it off again.
const addRepeats = `
insert into flaky as f (scan_key, type, sha256, rules_digest, config_digest, scans, results, findings, first_position, last_position)
select u.scan_key, u.type, u.sha256, u.rules_digest, u.config_digest, u.scans + (o.position is not null)::int,
	(select (array_agg(distinct x collate "C" order by x collate "C"))[1:100] from unnest(u.results::text[] || o.said) x where x is not null),
	coalesce((select (array_agg(distinct x order by x))[1:100] from unnest(u.findings::uuid[] || o.findings) x where x is not null), '{}'),
	coalesce(o.position, u.first_position), u.last_position
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[])
as u (scan_key, type, sha256, rules_digest, config_digest, scans, results, findings, first_position, last_position)
left join lateral (
	select position, concat_ws(' ', result, errors, warnings, notes) said, findings from outcomes o where o.scan_key = u.scan_key order by position limit 1) o on true
where u.scans > 1 or o.position is not null
on conflict (scan_key) do update set
	scans = f.scans + excluded.scans - 1,
	results = (select (array_agg(distinct x collate "C" order by x collate "C"))[1:100] from unnest(f.results || excluded.results) x),
	findings = coalesce((select (array_agg(distinct x order by x))[1:100] from unnest(f.findings || excluded.findings) x), '{}'),
	last_position = excluded.last_position`

// recount makes the rows of keys anew from all their outcomes.
const recount = `
insert into flaky (scan_key, type, sha256, rules_digest, config_digest, scans, results, findings, first_position, last_position)
select u.scan_key, u.type, u.sha256, u.rules_digest, u.config_digest, o.scans, o.results, o.findings, o.first_position, o.last_position
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) as u (scan_key, type, sha256, rules_digest, config_digest)
cross join lateral (
	select count(*) scans, (array_agg(distinct said collate "C" order by said collate "C"))[1:100] results,
		coalesce((array_agg(distinct findings order by findings) filter (where findings is not null))[1:100], '{}') findings,
		min(position) first_position, max(position) last_position
	from (select concat_ws(' ', result, errors, warnings, notes) said, findings, position from outcomes o where o.scan_key = u.scan_key) o) o
where o.scans > 1
on conflict (scan_key) do update set
	scans = excluded.scans, results = excluded.results, findings = excluded.findings,
	first_position = excluded.first_position, last_position = excluded.last_position`

// repeats is what a batch adds to one scan_key.
type repeats struct {
	scans             int64
	results, findings []string // different ones
	first, last       eventstore.Position
}

func (r *repeats) add(result string, findings pgtype.UUID, at eventstore.Position) {
	if r.scans++; r.scans == 1 {
		r.first = at
	}
	r.last = at
	r.results = once(r.results, result)
	if findings.Valid {
		r.findings = once(r.findings, eventstore.ID(findings.Bytes).String())
	}
}

// once adds what is not there yet, to the first 100 in order.
func once(list []string, s string) []string {
	at, found := slices.BinarySearch(list, s)
	if found {
		return list
	}
	if list = slices.Insert(list, at, s); len(list) > 100 {
		list = list[:100]
	}
	return list
}

// said is a result with its counts.
func (e endedAttempt) said() string {
	if e.counts == nil {
		return e.result
	}
	return fmt.Sprint(e.result, " ", e.counts.Error, " ", e.counts.Warning, " ", e.counts.Note)
}

// queueOutcomes adds what has ended. again says that flaky counts it already. In
// bulk, the rows of outcomes are returned, to be copied after what is queued.
func (b *batch) queueOutcomes(ctx context.Context, statements *stage, blobs Blobs, read []readFindings, again, bulk bool) (rows []any, err error) {
	if len(b.ended) == 0 {
		return nil, nil
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
		errs, warnings, notes     []pgtype.Int8
		at                        []time.Time
		keys                      []pgtype.UUID
		types, sums, rules, confs []string
		order                     []*repeats // as keys
		met                       = map[[16]byte]*repeats{}
	)
	for _, e := range b.ended {
		digest, ok := digests[e.attemptKey]
		superseded := newest[e.task].after.SubTasks[e.subTask].Attempt != e.attempt
		if !ok && superseded && e.report != nil { // its findings go into no table, but they count here
			digest = findingsDigest{}
			state, err := readReport(ctx, blobs, e.report, func(f report.Finding) error { return digest.add(f) })
			if err != nil {
				return nil, fmt.Errorf("the %s report of task %s, attempt %d: %w", e.subTask, e.task, e.attempt, err)
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
		var x, y, z pgtype.Int8
		if e.counts != nil {
			x, y, z = number(e.counts.Error), number(e.counts.Warning), number(e.counts.Note)
		}
		errs, warnings, notes = append(errs, x), append(warnings, y), append(notes, z)
		if met[scan] == nil {
			met[scan] = &repeats{}
			order = append(order, met[scan])
			keys, types = append(keys, pgtype.UUID{Bytes: scan, Valid: true}), append(types, clean(e.subTask))
			sums, rules, confs = append(sums, clean(e.sha256)), append(rules, clean(e.rules)), append(confs, clean(e.config))
		}
		met[scan].add(e.said(), found, e.position)
	}
	if !again {
		var (
			scans, first, last  []int64
			results, differents []string
		)
		for _, r := range order {
			scans, first, last = append(scans, r.scans), append(first, int64(r.first)), append(last, int64(r.last))
			results, differents = append(results, arrayText(r.results)), append(differents, arrayText(r.findings))
		}
		statements.Queue(addRepeats, keys, types, sums, rules, confs, scans, results, differents, first, last)
	}
	rows = []any{id, name, attempt, key, result, errs, warnings, notes, findings, at, position}
	if bulk {
		return rows, nil
	}
	statements.Queue(insertOutcomes, rows...)
	if again {
		statements.Queue(recount, keys, types, sums, rules, confs)
	}
	return nil, nil
}
