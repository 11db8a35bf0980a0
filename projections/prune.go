package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// reportExpired: the findings were in the read model, or would have been, and were
// pruned by age.
const reportExpired = "EXPIRED"

// Pruned is what a pruning took away.
type Pruned struct{ Tasks, Findings int64 }

// pruneTasks is how many tasks are pruned in one transaction.
const pruneTasks = 200

// Tasks that are over and of which nobody wants anything, from the oldest on.
const prunable = `select t.task_id, t.first_position from live.tasks t
where t.first_position > $1 and t.last_event_at < $2 and t.phase in ('CONVERGED', 'CANCELLED')
	and exists (select 1 from live.sub_tasks s where s.task_id = t.task_id and s.report_state in ('READ', 'MISSING'))
	and not exists (select 1 from live.sub_tasks s where s.task_id = t.task_id and (s.state = 'RUNNING' or s.retry_wanted))
order by t.first_position limit $3 for update of t skip locked`

// Prune takes the findings of tasks that have heard nothing since before out of the
// read model in service, and says so in their sub-tasks. Tasks, sub-tasks with their
// counts, and verdicts stay. A model that is folded anew has the findings again, as far as the reports
// are stored, until it is pruned.
//
// It works beside the projector and yields to it: it locks the task's row first,
// which the projector writes in the transaction that brings findings, and gives up
// on a lock long before PostgreSQL would call two waiting parties a deadlock and
// choose one. After an error the rest is pruned by the next call. It rests for pause
// after each transaction.
func Prune(ctx context.Context, pool *pgxpool.Pool, before time.Time, pause time.Duration) (Pruned, error) {
	var done Pruned
	for after := int64(-1); ; {
		last, tasks, findings, err := pruneSome(ctx, pool, after, before)
		if err != nil {
			return done, fmt.Errorf("prune findings: %w", err)
		}
		done.Tasks, done.Findings = done.Tasks+int64(tasks), done.Findings+findings
		if tasks == 0 {
			return done, nil
		}
		if after = last; !sleep(ctx, pause) {
			return done, ctx.Err()
		}
	}
}

func pruneSome(ctx context.Context, pool *pgxpool.Pool, after int64, before time.Time) (last int64, tasks int, findings int64, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local lock_timeout = '100ms'`); err != nil {
			return err
		}
		// Whoever has looked at the checkpoint stays with its read model to the end.
		if _, err := tx.Exec(ctx, `select from live.checkpoint`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, prunable, after, before, pruneTasks)
		if err != nil {
			return err
		}
		var ids [][16]byte
		var id [16]byte
		if _, err = pgx.ForEachRow(rows, []any{&id, &last}, func() error {
			ids = append(ids, id)
			return nil
		}); err != nil || len(ids) == 0 {
			return err
		}
		tag, err := tx.Exec(ctx, `delete from live.findings where task_id = any($1)`, ids)
		if err != nil {
			return err
		}
		tasks, findings = len(ids), tag.RowsAffected()
		_, err = tx.Exec(ctx, `update live.sub_tasks set report_state = $2 where task_id = any($1) and report_state in ('READ', 'MISSING')`, ids, reportExpired)
		return err
	})
	return last, tasks, findings, err
}
