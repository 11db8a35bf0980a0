package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/eventstore"
)

// State is what a read model is there for.
type State string

// The states of a read model. All of them are kept up to date by the projectors
// that know their layout.
//
//	rebuild          promote           rollback, or another's promote
//	────────▶ BUILDING ───────▶ LIVE ─────────────────────────────────▶ OLD
//	              │               ▲                promote, rollback    │ │
//	              │               └─────────────────────────────────────┘ │
//	              └──────────────────────▶ dropped ◀──────────────────────┘
const (
	Building State = "BUILDING" // it has not been in service
	Live     State = "LIVE"     // the views point at it; there is exactly one
	Old      State = "OLD"      // it was in service
)

// Times of a switch.
const (
	switchPatience = 10 * time.Second // for the last events, and for readers to leave the views
	switchPause    = 20 * time.Millisecond
	// gatePatience bounds how long readers queue, at each of its locks, behind a
	// switch that itself waits for one of them.
	gatePatience = 500 * time.Millisecond
)

// Registry carries out what operators wish for read models. The work of folding
// is done by projectors, wherever they run: they see the wish in the registry.
type Registry struct {
	pool  *pgxpool.Pool
	log   eventstore.Reader
	blobs Blobs
	sets  RuleSets // see Options.RuleSets
}

// NewRegistry makes a registry; it closes nothing that it is given.
func NewRegistry(pool *pgxpool.Pool, log eventstore.Reader, blobs Blobs) *Registry {
	return &Registry{pool: pool, log: log, blobs: blobs}
}

// WithRuleSets has tasks that are folded anew tried by the rule sets in their shadow.
func (r *Registry) WithRuleSets(sets RuleSets) *Registry {
	r.sets = sets
	return r
}

// Change is what a wish did.
type Change struct {
	Model    Model // the read model that it was about
	State    State // its state now; empty when it is dropped
	Changed  bool  // false: all was so already
	Position eventstore.Position
}

// Rebuild says why a read model is to be folded anew.
type Rebuild struct {
	Reason, By string
	// Promote puts it in service by itself once it has caught up.
	Promote bool
}

// Rebuild begins a read model of this version's layout beside the others. While
// one is being built, that is the answer.
func (r *Registry) Rebuild(ctx context.Context, wish Rebuild) (Change, error) {
	change := Change{State: Building}
	err := r.administer(ctx, "begin a read model", func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `select number from readmodels.registry where state = 'BUILDING' and layout = $1 order by number desc limit 1`, Layout).Scan(&change.Model)
		if err == nil {
			tag, err := tx.Exec(ctx, `update readmodels.registry set promote = true where number = $1 and $2 and not promote`, int(change.Model), wish.Promote)
			change.Changed = tag.RowsAffected() > 0
			if err != nil {
				return err
			}
			change.Position, err = positionOf(ctx, tx, change.Model)
			return err
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		change.Changed = true
		if err := tx.QueryRow(ctx, `insert into readmodels.registry (layout, state, reason, begun_by, promote) values ($1, 'BUILDING', $2, $3, $4) returning number`,
			Layout, clean(wish.Reason), clean(wish.By), wish.Promote).Scan(&change.Model); err != nil {
			return err
		}
		return create(ctx, tx, change.Model)
	})
	return change, err
}

// Promote puts a read model (0: the newest that is being built) in service, for
// all readers at one moment. It is refused unless everything that stands in the
// log when it is asked for is in it, and waits some seconds for that; with force
// it is not asked how far it is, and readers may see the past again.
func (r *Registry) Promote(ctx context.Context, m Model, force bool) (Change, error) {
	return r.bringInto(ctx, force, func(tx pgx.Tx, live Model) (Model, error) {
		if m != 0 {
			return m, nil
		}
		err := tx.QueryRow(ctx, `select number from readmodels.registry where state = 'BUILDING' order by number desc limit 1`).Scan(&m)
		if errors.Is(err, pgx.ErrNoRows) {
			return 0, &domain.Error{Kind: domain.Refused, Rule: "readmodel.none_building",
				Msg: "no read model is being built; begin one with rebuild, or name one", MsgZH: "没有正在构建的读模型；请先执行 rebuild，或指定编号"}
		}
		return m, err
	})
}

// Rollback puts the read model that was in service before back in service, as
// Promote does. from names the one that is to go (0: whichever it is), so that
// repeating the wish does not undo it.
func (r *Registry) Rollback(ctx context.Context, from Model, force bool) (Change, error) {
	return r.bringInto(ctx, force, func(tx pgx.Tx, live Model) (m Model, err error) {
		if from != 0 && from != live {
			return live, nil // it is gone already
		}
		err = tx.QueryRow(ctx, `select number from readmodels.registry where state = 'OLD' order by retired_at desc limit 1`).Scan(&m)
		if errors.Is(err, pgx.ErrNoRows) {
			return 0, &domain.Error{Kind: domain.Refused, Rule: "readmodel.no_former",
				Msg: "there is no read model that was in service before", MsgZH: "没有此前在用的读模型"}
		}
		return m, err
	})
}

// bringInto service the read model that choose names.
func (r *Registry) bringInto(ctx context.Context, force bool, choose func(tx pgx.Tx, live Model) (Model, error)) (Change, error) {
	var head eventstore.Position
	if !force {
		var err error
		if head, err = r.log.Head(ctx); err != nil {
			return Change{}, &domain.Error{Kind: domain.Unavailable, Rule: "eventstore.unavailable", Err: err,
				Msg: "the event store does not answer now, so nobody knows whether the read model has caught up; try again", MsgZH: "事件存储暂不可用，无法确认读模型是否已追上，请稍后重试"}
		}
	}
	for deadline := time.Now().Add(switchPatience); ; {
		change, err := r.tryTo(ctx, force, head, choose)
		rule := domain.RuleOf(err)
		if rule != "readmodel.busy" && rule != "readmodel.not_caught_up" || time.Now().After(deadline) {
			return change, err
		}
		if !sleep(ctx, switchPause) {
			return Change{}, ctx.Err()
		}
	}
}

func (r *Registry) tryTo(ctx context.Context, force bool, head eventstore.Position, choose func(tx pgx.Tx, live Model) (Model, error)) (Change, error) {
	var change Change
	err := r.administer(ctx, "switch the read model", func(tx pgx.Tx) error {
		var live Model
		if err := tx.QueryRow(ctx, `select number from readmodels.registry where state = 'LIVE'`).Scan(&live); err != nil {
			return err
		}
		m, err := choose(tx, live)
		if err != nil {
			return err
		}
		if _, err := stateOf(ctx, tx, m); err != nil {
			return err
		}
		change = Change{Model: m, State: Live}
		if m == live {
			change.Position, err = positionOf(ctx, tx, m)
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(`set local lock_timeout to %d`, gatePatience.Milliseconds())); err != nil {
			return err
		}
		// Neither may get further while they are compared: nobody shall see the past
		// again. With force nothing is compared, and a writer of the one in service
		// that hangs is perhaps the reason.
		var was int64
		if !force {
			if err := tx.QueryRow(ctx, `select position from `+live.Schema()+`.checkpoint for update`).Scan(&was); err != nil {
				return err
			}
		}
		var is int64
		var halted *string
		if err := tx.QueryRow(ctx, `select position, halted_reason from `+m.Schema()+`.checkpoint for update`).Scan(&is, &halted); err != nil {
			return err
		}
		change.Position = eventstore.Position(is)
		if !force {
			if halted != nil {
				return &domain.Error{Kind: domain.Refused, Rule: "readmodel.halted",
					Msg:   fmt.Sprintf("read model %s has halted: %s", m.Schema(), *halted),
					MsgZH: fmt.Sprintf("读模型 %s 已停止：%s", m.Schema(), *halted)}
			}
			wanted := max(head, eventstore.Position(was))
			behind, err := r.lacks(ctx, change.Position, wanted)
			if err != nil {
				return err
			}
			if behind {
				return &domain.Error{Kind: domain.Refused, Rule: "readmodel.not_caught_up",
					Msg:   fmt.Sprintf("read model %s is at position %d and has not caught up with %d; wait, or force it and let readers see the past again", m.Schema(), is, wanted),
					MsgZH: fmt.Sprintf("读模型 %s 位于位置 %d，尚未追上 %d；请等待，或强制切换（读者将看到较旧的内容）", m.Schema(), is, wanted)}
			}
			if change.Position < wanted {
				// Between the two lies nothing of ours; readers' positions do not go back.
				change.Position = wanted
				if _, err := tx.Exec(ctx, `update `+m.Schema()+`.checkpoint set position = $1, edition = edition + 1`, int64(wanted)); err != nil {
					return err
				}
			}
		}
		change.Changed = true
		if err := point(ctx, tx, m); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update readmodels.registry set state = 'OLD', retired_at = now() where number = $1`, int(live)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update readmodels.registry set state = 'LIVE', promoted_at = now(), promote = false where number = $1`, int(m))
		return err
	})
	if err != nil {
		return Change{}, err
	}
	return change, nil
}

// lacks reports whether a read model at position is lacks anything up to wanted; what
// others write to the log is nothing to it.
func (r *Registry) lacks(ctx context.Context, is, wanted eventstore.Position) (bool, error) {
	if is >= wanted {
		return false, nil
	}
	for e, err := range r.log.ReadAll(ctx, is, following) {
		if err != nil {
			return false, storeAway(err)
		}
		return e.Position <= wanted, nil
	}
	return false, nil
}

// Drop drops a read model that is not in service, with its tables.
func (r *Registry) Drop(ctx context.Context, m Model) (Change, error) {
	change := Change{Model: m, Changed: true}
	err := r.administer(ctx, "drop a read model", func(tx pgx.Tx) error {
		state, err := stateOf(ctx, tx, m)
		if err != nil {
			return err
		}
		if state == Live {
			return &domain.Error{Kind: domain.Refused, Rule: "readmodel.in_service",
				Msg:   fmt.Sprintf("read model %s is in service; promote another one first", m.Schema()),
				MsgZH: fmt.Sprintf("读模型 %s 正在使用中；请先启用另一个", m.Schema())}
		}
		if change.Position, err = positionOf(ctx, tx, m); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `drop schema `+m.Schema()+` cascade`); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `delete from readmodels.registry where number = $1`, int(m))
		return err
	})
	return change, err
}

// entry is a row of the registry.
type entry struct {
	model   Model
	layout  int
	state   State
	promote bool
}

// entries reads the registry.
func (r *Registry) entries(ctx context.Context) ([]entry, error) {
	rows, err := r.pool.Query(ctx, `select number, layout, state, promote from readmodels.registry order by number`)
	if err != nil {
		return nil, fmt.Errorf("read the registry of read models: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e entry, err error) {
		return e, row.Scan(&e.model, &e.layout, &e.state, &e.promote)
	})
	if err != nil {
		return nil, fmt.Errorf("read the registry of read models: %w", err)
	}
	return list, nil
}

func (r *Registry) administer(ctx context.Context, what string, change func(pgx.Tx) error) error {
	return inWords(ctx, what, administer(ctx, r.pool, func(tx pgx.Tx) error {
		// Everybody who begins to write waits for this transaction: it does not wait
		// for a writer that hangs.
		if _, err := tx.Exec(ctx, fmt.Sprintf(`set local lock_timeout to %d`, switchPatience.Milliseconds())); err != nil {
			return err
		}
		return change(tx)
	}))
}

// held reports whether somebody else has what a change needs.
func held(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && (server.Code == "55P03" || server.Code == "40P01") // lock_not_available, deadlock_detected
}

// inWords says of a failure of Postgres what it means for who asked.
func inWords(ctx context.Context, what string, err error) error {
	var known *domain.Error
	var server *pgconn.PgError
	switch {
	case err == nil || errors.As(err, &known) || ctx.Err() != nil:
		return err
	case held(err):
		return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.busy", Err: err,
			Msg:   "its writer or long queries hold the read model; nothing was changed, try again",
			MsgZH: "读模型正被写入进程或长时间查询占用，未作更改，请重试"}
	case errors.As(err, &server):
		return fmt.Errorf("%s: %w", what, err)
	}
	return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.unavailable", Err: fmt.Errorf("%s: %w", what, err),
		Msg: "the read model cannot be reached now; try again", MsgZH: "读模型暂不可用，请稍后重试"}
}

func stateOf(ctx context.Context, tx pgx.Tx, m Model) (state State, err error) {
	err = tx.QueryRow(ctx, `select state from readmodels.registry where number = $1`, int(m)).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", &domain.Error{Kind: domain.NotFound, Rule: "readmodel.unknown",
			Msg:   fmt.Sprintf("there is no read model %d; see factgate readmodel status", int(m)),
			MsgZH: fmt.Sprintf("没有编号为 %d 的读模型；请查看 factgate readmodel status", int(m))}
	}
	return state, err
}

func positionOf(ctx context.Context, tx pgx.Tx, m Model) (eventstore.Position, error) {
	var position int64
	err := tx.QueryRow(ctx, `select position from `+m.Schema()+`.checkpoint`).Scan(&position)
	return eventstore.Position(position), err
}
