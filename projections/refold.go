package projections

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// maxTaskFacts of a task that is folded by itself; commands.Load has the same limit.
const maxTaskFacts = 50_000

// RebuildTask folds the rows of one task of the read model in service anew from its
// stream, up to where the read model is, in one transaction: readers see the old rows
// or the new ones. It is a repair that asks for no difference first, so what only the
// read model still knows (findings whose report has expired) stays.
func (r *Registry) RebuildTask(ctx context.Context, id eventstore.ID) (Change, error) {
	change := Change{State: Live, Changed: true}
	err := r.administer(ctx, "fold a task anew", func(tx pgx.Tx) error {
		l, err := r.lookToMend(ctx, tx, noNumber)
		if err != nil {
			return err
		}
		change.Model, change.Position = l.model, l.position
		facts, err := r.factsOf(ctx, id, l.position)
		if err != nil {
			return err
		}
		if len(facts) == 0 {
			return &domain.Error{Kind: domain.NotFound, Rule: "task.unknown",
				Msg: "there is no such task, or the read model has not heard of it yet", MsgZH: "任务不存在，或读模型尚未读到它"}
		}
		done := map[*unit]bool{}
		if err := l.mend(ctx, []*unit{{task: &id}}, false, done); err != nil {
			return err
		}
		if len(done) == 0 {
			why := l.page.Differences[0].Folded // mend says why it could not
			return &domain.Error{Kind: domain.Refused, Rule: "readmodel.halted",
				Msg: "the task cannot be folded: " + why, MsgZH: "该任务无法折叠：" + why}
		}
		return l.recountFlaky(ctx)
	})
	if err != nil {
		return Change{}, err
	}
	return change, nil
}

// recountFlaky makes the rows of the keys that were met while folding, from all stored
// outcomes.
func (l *look) recountFlaky(ctx context.Context) error {
	keys := slices.Collect(maps.Keys(l.met))
	ids := make([]eventstore.ID, len(keys))
	for i, key := range keys {
		ids[i] = key
	}
	if err := l.empty(ctx); err != nil {
		return err
	}
	if _, err := l.tx.Exec(ctx, l.of(`insert into pg_temp.outcomes select * from stored.outcomes where scan_key = any($1)`), uuids(ids)); err != nil {
		return err
	}
	if err := l.foldFlaky(ctx, ids, func(key eventstore.ID) endedAttempt { return l.met[key] }); err != nil {
		return err
	}
	return l.rewrite(ctx, []string{"flaky"}, "scan_key = any($1)", uuids(ids))
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
