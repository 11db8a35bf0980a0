package main

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/bench/internal/lab"
	"github.com/factgate/factgate/domain/trend"
)

// messageDB is the log in message-db and a reader of it that a good engineer would
// write: batches of its own category function, the next one read and decoded while
// this one is written, folded in memory, one upsert a table and the checkpoint in
// one transaction that does not wait for the disk.
type messageDB struct {
	pool  *pgxpool.Pool
	batch int
	all   bool // also what Factgate's read model holds besides tasks
	tasks int
	seen  map[uuid.UUID]*seen // with all: each task that was ever met
}

// seen is what later facts of a task want to know of earlier ones. It is never
// forgotten, so no table has to be asked for it.
type seen struct {
	sha256   string
	scanners map[string]string // by type
	at       time.Time
	project  [16]byte
	counted  map[string]trend.Key // by type, "" for the task: what it counts for now
	known    []string
	heard    map[string]time.Time // by type, at first
	closed   bool
}

const messageDBName = "message-db"

// openMessageDB fills message-db's table as its function would, only faster.
func openMessageDB(ctx context.Context, b *bench) (*pgxpool.Pool, error) {
	pool, err := lab.OpenMessageDB(ctx, b.pg, "message_store", 4, filepath.Join(b.dir, "message-db"))
	if err != nil {
		return nil, fmt.Errorf("%w (leave it out with -message-db=false)", err)
	}
	next, stop := iter.Pull(facts(0, b.tasks))
	defer stop()
	position := 0
	_, err = pool.CopyFrom(ctx, pgx.Identifier{"message_store", "messages"},
		[]string{"id", "stream_name", "type", "position", "global_position", "data", "metadata"},
		pgx.CopyFromFunc(func() ([]any, error) {
			e, ok := next()
			if !ok {
				return nil, nil
			}
			position++
			return []any{uuid.UUID(e.id), e.stream(), e.kind, e.revision, position, json.RawMessage(e.data), json.RawMessage(e.metadata)}, nil
		}))
	if err == nil {
		_, err = pool.Exec(ctx, "analyze messages")
	}
	if err != nil {
		pool.Close()
	}
	return pool, err
}

// foldTables are the reader's. Columns and keys are those of Factgate's read model,
// as far as the facts of the benchmark fill them.
const foldTables = `
drop schema if exists fold cascade;
create schema fold;
create table fold.checkpoint (position bigint not null);
insert into fold.checkpoint values (0);
create table fold.tasks (
	task_id uuid primary key, first_position bigint not null, status text, project text, version text, file_name text, size bigint, sha256 text,
	uploaded_by text, uploaded_at timestamptz, created_at timestamptz, closed_cause text, closed_at timestamptz, verdict json,
	last_event_at timestamptz not null, warnings bigint not null, revision bigint not null, position bigint not null);
create index on fold.tasks (first_position desc);
create index on fold.tasks (status, first_position desc);
create index on fold.tasks (project, first_position desc);
create table fold.sub_tasks (
	task_id uuid not null, type text not null, state text not null, attempt bigint not null, scanner json, started_at timestamptz, ended_at timestamptz,
	result text, kind text, reason text, warnings bigint, coverage json, duration_ms bigint not null, primary key (task_id, type));
create table fold.declines (
	task_id uuid not null, type text not null, code text not null, reason text not null, scanner json not null, at timestamptz not null, primary key (task_id, type));
create table fold.outcomes (
	task_id uuid not null, type text not null, attempt bigint not null, scan_key uuid not null, result text not null, warnings bigint,
	ended_at timestamptz not null, position bigint not null, primary key (task_id, type, attempt));
create index on fold.outcomes (scan_key, position);
create table fold.rollups (
	quarter timestamptz not null, project_key uuid not null, measure text not null, type text not null, outcome text not null, bin smallint not null,
	n bigint not null, primary key (quarter, project_key, measure, type, outcome, bin));
create index on fold.rollups (project_key, quarter);`

func (m *messageDB) rebuild(ctx context.Context) (time.Duration, error) {
	if _, err := m.pool.Exec(ctx, foldTables); err != nil {
		return 0, err
	}
	writer, err := m.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer writer.Release()
	if _, err := writer.Exec(ctx, "set synchronous_commit = off"); err != nil {
		return 0, err
	}
	reader, err := m.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer reader.Release()
	m.seen = map[uuid.UUID]*seen{}
	begun := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches, failed := make(chan *foldBatch, 1), make(chan error, 1)
	go func() {
		defer close(batches)
		for from := int64(1); ; {
			f, err := m.read(ctx, reader.Conn(), from)
			if err != nil {
				failed <- err
				return
			}
			if f.events == 0 {
				return
			}
			from = f.upTo + 1
			select {
			case batches <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	for f := range batches {
		if err := pgx.BeginFunc(ctx, writer.Conn(), func(tx pgx.Tx) error { return f.write(ctx, tx) }); err != nil {
			return 0, err
		}
	}
	took := time.Since(begun)
	select {
	case err := <-failed:
		return 0, err
	default:
	}
	rows := map[string]int{"fold.tasks where status is not null": 1}
	if m.all {
		rows["fold.outcomes"], rows["fold.sub_tasks"], rows["fold.declines"] = outcomesPerTask, subTasksPerTask, declinesPerTask
		for measure, each := range countsPerTask {
			rows[counters("fold", measure)] = each
		}
	}
	return took, count(ctx, m.pool, m.tasks, rows)
}

// fields are what the reader wants of all facts.
type fields struct {
	Project, Version, FileName, SHA256, UploadedBy string
	Size                                           int64
	Type                                           string `json:"subTaskType"`
	Attempt                                        *int64
	Scanner, Coverage                              json.RawMessage
	Result, Kind, Code, Reason, Cause, Status      string
	Summary                                        *struct{ Warning int64 }
	Known                                          []string
	ClosedAt                                       time.Time
	Revision                                       int64
	DurationMS                                     int64
}

// foldBatch is a batch folded.
type foldBatch struct {
	all      bool
	seen     map[uuid.UUID]*seen
	events   int
	upTo     int64
	tasks    map[uuid.UUID]*foldTask
	subTasks map[subTaskKey]*foldSubTask
	declines [6][]any
	outcomes [8][]any
	rollups  map[trend.Key]int64
}

type foldTask struct {
	first                                                                  int64
	status, project, version, fileName, sha256, uploadedBy, cause, verdict *string
	size                                                                   *int64
	uploadedAt, createdAt, closedAt                                        *time.Time
	at                                                                     time.Time
	warnings, revision, position                                           int64
}

type subTaskKey struct {
	task uuid.UUID
	name string
}

type foldSubTask struct {
	state                          string
	attempt, duration              int64
	scanner                        *string
	startedAt, endedAt             *time.Time
	result, kind, reason, coverage *string
	warnings                       *int64
}

func (m *messageDB) read(ctx context.Context, conn *pgx.Conn, from int64) (*foldBatch, error) {
	f := &foldBatch{all: m.all, seen: m.seen, tasks: map[uuid.UUID]*foldTask{}, subTasks: map[subTaskKey]*foldSubTask{}, rollups: map[trend.Key]int64{}}
	rows, err := conn.Query(ctx, `select stream_name, type, position, global_position, data, time from get_category_messages('task', $1, $2)`, from, m.batch)
	if err != nil {
		return nil, err
	}
	var stream, kind string
	var revision, position int64
	var data []byte
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&stream, &kind, &revision, &position, &data, &at}, func() error {
		taskID, err := uuid.Parse(strings.TrimPrefix(stream, "task-"))
		if err != nil {
			return err
		}
		return f.fold(taskID, kind, revision, position, data, at.UTC())
	})
	return f, err
}

func (f *foldBatch) fold(taskID uuid.UUID, kind string, revision, position int64, data []byte, at time.Time) error {
	var v fields
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	f.events++
	f.upTo = position
	t := f.tasks[taskID]
	if t == nil {
		t = &foldTask{first: position}
		f.tasks[taskID] = t
	}
	t.at, t.revision, t.position = at, revision, position
	var s *foldSubTask
	if f.all {
		f.analyse(taskID, kind, &v, position, at)
		switch kind {
		case "SubTaskStarted", "SubTaskCompleted", "SubTaskFailed":
			key := subTaskKey{taskID, v.Type}
			if s = f.subTasks[key]; s == nil {
				s = &foldSubTask{}
				f.subTasks[key] = s
			}
			s.attempt = *v.Attempt
		}
	}
	switch kind {
	case "ZipUploaded":
		t.project, t.version, t.fileName, t.sha256, t.uploadedBy = &v.Project, &v.Version, &v.FileName, &v.SHA256, &v.UploadedBy
		t.size, t.uploadedAt = &v.Size, &at
	case "MainTaskCreated":
		t.createdAt = &at
	case "SubTaskDeclined":
		if f.all {
			for i, x := range []any{taskID, v.Type, v.Code, v.Reason, string(v.Scanner), at} {
				f.declines[i] = append(f.declines[i], x)
			}
		}
	case "SubTaskStarted":
		if s != nil {
			*s = foldSubTask{state: "RUNNING", attempt: *v.Attempt, scanner: null(string(v.Scanner)), startedAt: &at}
		}
	case "SubTaskCompleted", "SubTaskFailed":
		if v.Summary != nil {
			t.warnings += v.Summary.Warning
		}
		if s != nil {
			s.state, s.endedAt, s.duration = "COMPLETED", &at, v.DurationMS
			s.result, s.kind, s.reason, s.coverage = null(v.Result), null(v.Kind), null(v.Reason), null(string(v.Coverage))
			if v.Summary != nil {
				s.warnings = &v.Summary.Warning
			}
			if kind == "SubTaskFailed" {
				s.state = "FAILED"
			}
		}
	case "WindowClosed":
		t.cause, t.closedAt = &v.Cause, &at
	case "MainTaskConverged":
		text := string(data)
		t.status, t.verdict = &v.Status, &text
	}
	return nil
}

// analyse adds what a fact says of many tasks: the outcome of an attempt, and what
// the task counts for. It compares no outcome with earlier ones, as Factgate does.
func (f *foldBatch) analyse(taskID uuid.UUID, kind string, v *fields, position int64, at time.Time) {
	t := f.seen[taskID]
	if t == nil {
		t = &seen{at: at, scanners: map[string]string{}, counted: map[string]trend.Key{}, heard: map[string]time.Time{}}
		f.seen[taskID] = t
	}
	counts := func(m trend.Measure, of, outcome string, bin int) {
		k := trend.Key{Quarter: t.at.Truncate(trend.Quarter).Unix(), Project: t.project, Measure: m, Type: of, Outcome: trend.Outcome(outcome), Bin: bin}
		f.rollups[k]++
		if m == trend.Tasks || m == trend.SubTasks {
			if old, ok := t.counted[of]; ok {
				f.rollups[old]--
			}
			t.counted[of] = k
		}
	}
	if v.Type != "" {
		if _, ok := t.heard[v.Type]; !ok {
			t.heard[v.Type] = at
		}
		if t.closed {
			counts(trend.LateFacts, "", "", trend.NoBin)
		}
	}
	switch kind {
	case "ZipUploaded":
		t.sha256, t.project = v.SHA256, trend.ProjectKey(v.Project)
		counts(trend.Tasks, "", "OPEN", trend.NoBin)
	case "MainTaskCreated":
		t.known = v.Known
	case "SubTaskDeclined":
		counts(trend.SubTasks, v.Type, "DECLINED", trend.NoBin)
	case "SubTaskStarted":
		t.scanners[v.Type] = string(v.Scanner)
		counts(trend.SubTasks, v.Type, "RUNNING", trend.NoBin)
	case "SubTaskCompleted", "SubTaskFailed":
		result := v.Result
		switch {
		case v.Kind == "CHECK":
			result = "FAILED"
		case v.Kind != "":
			counts(trend.SubTasks, v.Type, "ERRORED", trend.NoBin)
			return
		}
		counts(trend.SubTasks, v.Type, result, trend.Bin(v.DurationMS))
		var warnings *int64
		if v.Summary != nil {
			warnings = &v.Summary.Warning
		}
		key := md5.Sum([]byte(t.sha256 + v.Type + t.scanners[v.Type]))
		for i, x := range []any{taskID, v.Type, *v.Attempt, uuid.UUID(key), result, warnings, at, position} {
			f.outcomes[i] = append(f.outcomes[i], x)
		}
	case "WindowClosed":
		t.closed = true
		counts(trend.Windows, "", v.Cause, trend.NoBin)
		for _, name := range t.known {
			counts(trend.Known, name, "", trend.NoBin)
			if first, ok := t.heard[name]; !ok || first.After(v.ClosedAt) {
				counts(trend.Silent, name, "", trend.NoBin)
			}
		}
	case "MainTaskConverged":
		bin := trend.Bin(at.Sub(t.at).Milliseconds())
		if old, ok := t.counted[""]; ok && v.Revision > 1 {
			bin = old.Bin
		}
		counts(trend.Tasks, "", v.Status, bin)
	}
}

func null(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (f *foldBatch) write(ctx context.Context, tx pgx.Tx) error {
	var statements pgx.Batch
	statements.Queue(`update fold.checkpoint set position = $1`, f.upTo)
	var c [18][]any
	for id, t := range f.tasks {
		for i, x := range []any{id, t.first, t.status, t.project, t.version, t.fileName, t.size, t.sha256, t.uploadedBy, t.uploadedAt, t.createdAt,
			t.cause, t.closedAt, t.verdict, t.at, t.warnings, t.revision, t.position} {
			c[i] = append(c[i], x)
		}
	}
	statements.Queue(`insert into fold.tasks
		select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::timestamptz[],
			$11::timestamptz[], $12::text[], $13::timestamptz[], $14::json[], $15::timestamptz[], $16::bigint[], $17::bigint[], $18::bigint[])
		on conflict (task_id) do update set status = coalesce(excluded.status, tasks.status), project = coalesce(excluded.project, tasks.project),
			created_at = coalesce(excluded.created_at, tasks.created_at), closed_cause = coalesce(excluded.closed_cause, tasks.closed_cause),
			closed_at = coalesce(excluded.closed_at, tasks.closed_at), verdict = coalesce(excluded.verdict, tasks.verdict),
			last_event_at = excluded.last_event_at, warnings = tasks.warnings + excluded.warnings, revision = excluded.revision, position = excluded.position`, arguments(c[:])...)
	if f.all {
		if len(f.outcomes[0]) > 0 {
			statements.Queue(`insert into fold.outcomes select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::timestamptz[], $8::bigint[])
				on conflict do nothing`, arguments(f.outcomes[:])...)
		}
		if len(f.rollups) > 0 {
			var c [7][]any
			for k, n := range f.rollups {
				for i, x := range []any{time.Unix(k.Quarter, 0), k.Project, string(k.Measure), k.Type, string(k.Outcome), k.Bin, n} {
					c[i] = append(c[i], x)
				}
			}
			statements.Queue(`insert into fold.rollups as r select * from unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[])
				on conflict (quarter, project_key, measure, type, outcome, bin) do update set n = r.n + excluded.n`, arguments(c[:])...)
		}
		if len(f.declines[0]) > 0 {
			statements.Queue(`insert into fold.declines select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::json[], $6::timestamptz[])
				on conflict do nothing`, arguments(f.declines[:])...)
		}
		var c [13][]any
		for key, s := range f.subTasks {
			for i, x := range []any{key.task, key.name, s.state, s.attempt, s.scanner, s.startedAt, s.endedAt, s.result, s.kind, s.reason, s.warnings, s.coverage, s.duration} {
				c[i] = append(c[i], x)
			}
		}
		if len(c[0]) > 0 {
			statements.Queue(`insert into fold.sub_tasks
				select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::json[], $6::timestamptz[], $7::timestamptz[], $8::text[], $9::text[], $10::text[],
					$11::bigint[], $12::json[], $13::bigint[])
				on conflict (task_id, type) do update set state = excluded.state, attempt = excluded.attempt, scanner = coalesce(excluded.scanner, sub_tasks.scanner),
					started_at = coalesce(excluded.started_at, sub_tasks.started_at), ended_at = excluded.ended_at, result = excluded.result, kind = excluded.kind,
					reason = excluded.reason, warnings = excluded.warnings, coverage = excluded.coverage, duration_ms = excluded.duration_ms`, arguments(c[:])...)
		}
	}
	return tx.SendBatch(ctx, &statements).Close()
}

func arguments(columns [][]any) (all []any) {
	for _, c := range columns {
		all = append(all, c)
	}
	return all
}
