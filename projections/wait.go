package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/eventstore"
)

// Waiter waits for the read model in service, whichever process writes it.
type Waiter struct {
	pool *pgxpool.Pool
	read singleflight.Group // many waiters, one look
}

// NewWaiter makes a waiter.
func NewWaiter(pool *pgxpool.Pool) *Waiter { return &Waiter{pool: pool} }

// Wait returns nil once everything up to position can be read, and waits at most
// atMost for that. Otherwise the error is a *domain.Error of kind Unavailable:
// readmodel.behind (ask again), readmodel.halted (an operator is wanted) or
// readmodel.unavailable; or ctx's error.
func (w *Waiter) Wait(ctx context.Context, position eventstore.Position, atMost time.Duration) error {
	deadline := time.Now().Add(atMost)
	for pause := 2 * time.Millisecond; ; pause = min(pause*3/2, 50*time.Millisecond) {
		at, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.unavailable", Err: err,
				Msg: "the read model cannot be read now; try again", MsgZH: "读模型暂不可用，请稍后重试"}
		case at.position >= position:
			return nil
		case at.halted:
			return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.halted",
				Msg:   fmt.Sprintf("the read model halted at position %d and will not reach %d until an operator acts", at.position, position),
				MsgZH: fmt.Sprintf("读模型已停在位置 %d，在运维处理之前不会到达 %d", at.position, position)}
		case !time.Now().Add(pause).Before(deadline):
			return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.behind",
				Msg:   fmt.Sprintf("the read model is at position %d and did not reach %d within %s; ask again", at.position, position, atMost),
				MsgZH: fmt.Sprintf("读模型位于位置 %d，在 %s 内未到达 %d，请重试", at.position, atMost, position)}
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

type place struct {
	position eventstore.Position
	halted   bool
}

// look reads the checkpoint; calls at the same time share one look. It is not
// bound to any one caller's ctx, as others may wait for it too.
func (w *Waiter) look(ctx context.Context) (place, error) {
	shared := w.read.DoChan("", func() (any, error) {
		looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		var position int64
		var at place
		err := w.pool.QueryRow(looking, `select position, halted_at is not null from live.checkpoint`).Scan(&position, &at.halted)
		at.position = eventstore.Position(position)
		return at, err
	})
	select {
	case result := <-shared:
		at, _ := result.Val.(place)
		return at, result.Err
	case <-ctx.Done():
		return place{}, ctx.Err()
	}
}

// ParsePosition reads a position as clients write it: digits.
func ParsePosition(s string) (eventstore.Position, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, &domain.Error{Kind: domain.Invalid, Rule: "position.invalid", Err: errors.Unwrap(err),
			Msg: fmt.Sprintf("%.40q is not a position; give one that an earlier answer named", s)}
	}
	return eventstore.Position(n), nil
}
