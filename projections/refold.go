package projections

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// maxTaskFacts of a task that is folded by itself; commands.Load has the same limit.
const maxTaskFacts = 50_000

// RebuildTask folds the rows of one task of the read model in service anew from
// its stream, up to where the read model is, in one transaction: readers see the
// old rows or the new ones. The writer then begins again from its checkpoint, so
// that nothing it remembers outlives the rows.
func (r *Registry) RebuildTask(ctx context.Context, id eventstore.ID) (Change, error) {
	change := Change{State: Live, Changed: true}
	err := r.administer(ctx, "fold a task anew", func(tx pgx.Tx) error {
		var found int
		if err := tx.QueryRow(ctx, `select number, layout from readmodels.registry where state = 'LIVE'`).Scan(&change.Model, &found); err != nil {
			return err
		}
		if found != Layout {
			return &domain.Error{Kind: domain.Refused, Rule: "readmodel.layout",
				Msg:   fmt.Sprintf("read model %s is of another version of Factgate, which must do this", change.Model.Schema()),
				MsgZH: fmt.Sprintf("读模型 %s 属于其他版本的 Factgate，须由该版本执行", change.Model.Schema())}
		}
		if _, err := tx.Exec(ctx, `set local search_path to `+change.Model.Schema()); err != nil {
			return err
		}
		// Its row lock keeps the writer out until we commit.
		var position int64
		if err := tx.QueryRow(ctx, `update checkpoint set edition = edition + 1 returning position`).Scan(&position); err != nil {
			return err
		}
		change.Position = eventstore.Position(position)
		rows, err := tx.Query(ctx, `select quote_ident(table_name) from information_schema.columns where table_schema = $1 and column_name = 'task_id'`, change.Model.Schema())
		if err != nil {
			return err
		}
		whose, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, table := range whose {
			if _, err := tx.Exec(ctx, `delete from `+table+` where task_id = $1`, pgUUID(id)); err != nil {
				return err
			}
		}
		err = r.refold(ctx, tx, id, change.Position, false)
		if final(err) { // as it was when the fact was skipped, maybe
			err = r.refold(ctx, tx, id, change.Position, true)
		}
		return err
	})
	if err != nil {
		return Change{}, err
	}
	return change, nil
}

// refold writes the rows of a task that has none; if that fails it has written
// nothing. refused says that Postgres refuses the facts that are skipped.
func (r *Registry) refold(ctx context.Context, tx pgx.Tx, id eventstore.ID, upTo eventstore.Position, refused bool) error {
	b, err := r.foldTask(ctx, id, upTo, refused)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		return (&writer{blobs: r.blobs, trials: trials{r.log, r.sets}, again: true}).writeRows(ctx, tx, b)
	})
}

// foldTask folds a task's stream up to a position.
func (r *Registry) foldTask(ctx context.Context, id eventstore.ID, upTo eventstore.Position, refused bool) (*batch, error) {
	skips, err := loadSkips(ctx, r.log)
	if err != nil {
		return nil, storeAway(err)
	}
	for _, s := range skips {
		s.refused = refused
	}
	events, err := r.factsOf(ctx, id, upTo)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, &domain.Error{Kind: domain.NotFound, Rule: "task.unknown",
			Msg: "there is no such task, or the read model has not heard of it yet", MsgZH: "任务不存在，或读模型尚未读到它"}
	}
	b, stop := fold(events, 0, skips, func(eventstore.ID) (task.State, bool) { return task.State{}, false })
	if stop != nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "readmodel.halted", Err: stop,
			Msg:   fmt.Sprintf("a fact of the task cannot be applied, at position %d: %v", stop.Position, stop.Err),
			MsgZH: fmt.Sprintf("任务在位置 %d 的事实无法应用：%v", stop.Position, stop.Err)}
	}
	return b, nil
}

// factsOf reads a task's stream up to a position; there are none when there is no
// such stream, or none any more.
func (r *Registry) factsOf(ctx context.Context, id eventstore.ID, upTo eventstore.Position) ([]arrived, error) {
	var events []arrived
	for e, err := range r.log.ReadStream(ctx, eventstore.StreamID{Category: task.Category, Key: id.String()}, 0) {
		if eventstore.IsNotFound(err) || eventstore.IsDeleted(err) {
			break
		}
		if err != nil {
			return nil, storeAway(err)
		}
		if e.Position > upTo {
			break
		}
		if len(events) == maxTaskFacts {
			return nil, &domain.Error{Kind: domain.Refused, Rule: "task.too_long",
				Msg:   fmt.Sprintf("the task has more than %d facts; rebuild the whole read model instead", maxTaskFacts),
				MsgZH: fmt.Sprintf("任务的事实超过 %d 条；请重建整个读模型", maxTaskFacts)}
		}
		events = append(events, read(e))
	}
	return events, nil
}

func storeAway(err error) error {
	if !eventstore.IsUnavailable(err) {
		return err
	}
	return &domain.Error{Kind: domain.Unavailable, Rule: "eventstore.unavailable", Err: err,
		Msg: "the event store does not answer now; try again", MsgZH: "事件存储暂不可用，请稍后重试"}
}
