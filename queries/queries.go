// Package queries answers questions about tasks: one file a question.
//
// Lists and details come from the read model in service (the views of schema
// live) and say which position of the log they are the fold of. History, the past
// ([Queries.TaskAsOf]) and [Queries.StateNow] come from the stream itself, so they
// are right even while the read model is behind.
//
// Every question takes a fixed number of SQL statements, however long its answer
// is: what belongs to the tasks of a page is asked for all of them at once.
// Answers are bounded: a page has at most [MaxPage] entries.
//
// Errors are [*domain.Error] where the asker can do something (Invalid input,
// NotFound, Unavailable parts); any other error is ours, and its text is not for
// clients. Nothing here writes.
package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/eventstore"
)

// MaxPage is how many entries a page has at most.
const MaxPage = 200

// Queries is every question there is. It is safe for concurrent use.
type Queries struct {
	pool    *pgxpool.Pool
	log     eventstore.Reader
	reports Reports       // nil: there are none to read
	hold    chan struct{} // one at a time, lest holders take all connections from what they hold
	most    int           // facts of one stream; maxFacts but in a test
}

// New makes the queries. It closes nothing that it is given.
func New(pool *pgxpool.Pool, log eventstore.Reader) *Queries {
	return &Queries{pool: pool, log: log, hold: make(chan struct{}, 1), most: maxFacts}
}

// TaskID names a task; see ParseTaskID.
type TaskID = eventstore.ID

// ParseTaskID reads a task's id. What is not one is refused as Invalid, task.id.
func ParseTaskID(s string) (TaskID, error) {
	id, err := eventstore.ParseID(s)
	if err != nil {
		return id, &domain.Error{Kind: domain.Invalid, Rule: "task.id",
			Msg:   fmt.Sprintf("%.60q is not a task id; give the UUID that the upload answered with", s),
			MsgZH: fmt.Sprintf("%.60q 不是任务 ID；请使用上传时返回的 UUID", s)}
	}
	return id, nil
}

// layout of the tables that these questions are written for; that of
// projections.Layout, which a test compares.
const layout = 6

// ReadAt says what an answer was read from.
type ReadAt struct {
	Model    string // rm_1
	Position eventstore.Position
}

// begin locks a view before the transaction sees anything: whoever waited here while
// the views were switched sees the tables as they are after it, not as they were
// before.
const begin = `begin isolation level repeatable read, read only; lock table live.checkpoint in access share mode`

// snapshot runs read inside one read-only view of the tables: what its
// statements see, and the position, belong together.
func (q *Queries) snapshot(ctx context.Context, what string, read func(pgx.Tx) error) error {
	err := pgx.BeginTxFunc(ctx, q.pool, pgx.TxOptions{BeginQuery: begin}, read)
	var other *otherLayoutError
	if errors.As(err, &other) {
		return q.explainLayout(ctx, other)
	}
	return failed(ctx, what, err)
}

// Hold runs read while the views stay as they are: the read model is not switched
// before it returns.
func (q *Queries) Hold(ctx context.Context, read func()) error {
	select {
	case q.hold <- struct{}{}:
		defer func() { <-q.hold }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return q.snapshot(ctx, "hold the read model", func(tx pgx.Tx) error {
		_, err := at(ctx, tx)
		if err == nil {
			read()
		}
		return err
	})
}

// at reads the position; it is the first statement of a snapshot, and must be: the
// views are not switched to another read model while somebody who has read this
// one reads on. The error is an *otherLayoutError when the tables are not those that
// the questions are written for.
func at(ctx context.Context, tx pgx.Tx) (ReadAt, error) {
	var r ReadAt
	var position int64
	var found int
	err := tx.QueryRow(ctx, `select name, layout, position from live.checkpoint`).Scan(&r.Model, &found, &position)
	r.Position = eventstore.Position(position)
	if err == nil && found != layout {
		err = &otherLayoutError{model: r.Model, found: found}
	}
	return r, err
}

// failed tells an absent part from a defect.
func failed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	var known *domain.Error
	if errors.As(err, &known) {
		return err
	}
	if eventstore.IsUnavailable(err) {
		return &domain.Error{Kind: domain.Unavailable, Rule: "eventstore.unavailable", Err: err,
			Msg: "the event store does not answer now; try again", MsgZH: "事件存储暂不可用，请稍后重试"}
	}
	var server *pgconn.PgError
	missing := errors.As(err, &server) && (server.Code == "42P01" || server.Code == "3F000") // no such table, no such schema
	if missing || errors.Is(err, pgx.ErrNoRows) {
		return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.missing", Err: err,
			Msg: "there is no read model yet; start a projector", MsgZH: "读模型尚未建立，请启动投影进程"}
	}
	if away(err, server) {
		return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.unavailable", Err: err,
			Msg: "the read model cannot be read now; try again", MsgZH: "读模型暂不可用，请稍后重试"}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// away reports whether Postgres could not be reached, or could not serve.
func away(err error, server *pgconn.PgError) bool {
	if server != nil {
		class := server.Code[:min(2, len(server.Code))]
		return class == "08" || class == "53" || class == "57"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// page checks the size of a page; 0 means the usual one.
func page(first, usual int) (int, error) {
	switch {
	case first == 0:
		return usual, nil
	case first < 0 || first > MaxPage:
		return 0, &domain.Error{Kind: domain.Invalid, Rule: "page.size",
			Msg:   fmt.Sprintf("a page of %d is not possible; ask for 1 to %d and page on", first, MaxPage),
			MsgZH: fmt.Sprintf("每页数量须在 1 到 %d 之间", MaxPage)}
	}
	return first, nil
}

func pgIDs(ids []TaskID) []pgtype.UUID {
	out := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		out[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return out
}

// fromJSON reads a json column; null leaves v as it is.
func fromJSON(b []byte, v any) error {
	if b == nil {
		return nil
	}
	return json.Unmarshal(b, v)
}
