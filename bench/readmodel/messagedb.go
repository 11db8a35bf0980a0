package main

import (
	"context"
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
create table fold.facts (
	task_id uuid not null, revision bigint not null, id uuid not null, type text not null, sub_task_type text, attempt bigint, position bigint not null,
	recorded_at timestamptz not null, primary key (task_id, revision));`

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
		rows["fold.facts"], rows["fold.sub_tasks"], rows["fold.declines"] = factsPerTask, subTasksPerTask, declinesPerTask
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
	DurationMS                                     int64
}

// foldBatch is a batch folded.
type foldBatch struct {
	all      bool
	events   int
	upTo     int64
	tasks    map[uuid.UUID]*foldTask
	subTasks map[subTaskKey]*foldSubTask
	declines [6][]any
	facts    [8][]any
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
	f := &foldBatch{all: m.all, tasks: map[uuid.UUID]*foldTask{}, subTasks: map[subTaskKey]*foldSubTask{}}
	rows, err := conn.Query(ctx, `select id, stream_name, type, position, global_position, data, time from get_category_messages('task', $1, $2)`, from, m.batch)
	if err != nil {
		return nil, err
	}
	var id, stream, kind string
	var revision, position int64
	var data []byte
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &stream, &kind, &revision, &position, &data, &at}, func() error {
		eventID, err := uuid.Parse(id)
		if err != nil {
			return err
		}
		taskID, err := uuid.Parse(strings.TrimPrefix(stream, "task-"))
		if err != nil {
			return err
		}
		return f.fold(eventID, taskID, kind, revision, position, data, at.UTC())
	})
	return f, err
}

func (f *foldBatch) fold(id, taskID uuid.UUID, kind string, revision, position int64, data []byte, at time.Time) error {
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
		for i, x := range []any{taskID, revision, id, kind, null(v.Type), v.Attempt, position, at} {
			f.facts[i] = append(f.facts[i], x)
		}
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
		statements.Queue(`insert into fold.facts select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::timestamptz[])
			on conflict do nothing`, arguments(f.facts[:])...)
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
