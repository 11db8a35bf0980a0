package projections

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// stage is the transaction in which a batch is written. What is queued is sent in one
// go when it commits, and that is one round trip to Postgres; only what has to be
// written in the meantime makes it begin before.
type stage struct {
	conn   *pgx.Conn // nil if tx is the caller's
	tx     pgx.Tx    // nil: has not begun
	queued *pgx.Batch
	first  bool // the first statement was sent
}

// Queue adds a statement.
func (s *stage) Queue(statement string, args ...any) {
	if s.queued == nil {
		s.queued = &pgx.Batch{}
	}
	s.queued.Queue(statement, args...)
}

// send runs what is queued, in order.
func (s *stage) send(ctx context.Context) error {
	if s.queued == nil {
		return nil
	}
	if s.tx == nil {
		var err error
		if s.tx, err = s.conn.Begin(ctx); err != nil {
			return err
		}
	}
	return s.run(s.tx.SendBatch(ctx, s.queued))
}

func (s *stage) run(results pgx.BatchResults) (err error) {
	checkpoint := s.conn != nil && !s.first
	s.first = true
	n := s.queued.Len()
	s.queued = nil
	for i := range n {
		if _, err = results.Exec(); err != nil {
			var pg *pgconn.PgError
			if checkpoint && i == 0 && errors.As(err, &pg) && pg.Code == "22012" { // see moveCheckpoint
				err = errCheckpointMoved
			}
			break
		}
	}
	if ended := results.Close(); err == nil { // it says the same once more
		err = ended
	}
	return err
}

// copy adds rows that no table has, after what is queued.
func (s *stage) copy(ctx context.Context, table, names string, rows pages) error {
	if err := s.send(ctx); err != nil {
		return err
	}
	_, err := s.tx.Conn().PgConn().CopyFrom(ctx, &copied{pages: rows}, "copy "+table+" ("+names+") from stdin (format binary)")
	return err
}

// commit a transaction of our own.
func (s *stage) commit(ctx context.Context) error {
	if s.tx == nil {
		// Statements that are sent together are a transaction.
		return s.run(s.conn.SendBatch(ctx, s.queued))
	}
	if err := s.send(ctx); err != nil {
		return err
	}
	return s.tx.Commit(ctx)
}

// rollback does nothing after a commit.
func (s *stage) rollback(ctx context.Context) {
	if s.tx != nil {
		_ = s.tx.Rollback(context.WithoutCancel(ctx))
	}
}
