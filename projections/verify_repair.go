package projections

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/eventstore"
)

// repairedTogether is how many units are written in one transaction, for which the
// writer waits.
const repairedTogether = 20

// repair writes what the fold says. Everything is folded once more while the writer
// waits, so what comes meanwhile is not lost; the writer then begins again from its
// checkpoint, so that nothing it remembers outlives the rows. Counters are not set:
// what they lack is added, as the writer adds to them.
func (r *Registry) repair(ctx context.Context, m Model, edition int64, wrong []*unit, page *VerifyPage) error {
	for some := range slices.Chunk(wrong, repairedTogether) {
		done := map[*unit]bool{}
		err := r.administer(ctx, "repair a read model", func(tx pgx.Tx) error {
			l, err := r.lookToMend(ctx, tx, m)
			if err != nil {
				return err
			}
			return l.mend(ctx, some, l.edition-1 == edition, done)
		})
		if err != nil {
			return err
		}
		for i, d := range page.Differences {
			if done[d.of] {
				page.Differences[i].Repaired = true
			}
		}
	}
	return nil
}

// lookToMend keeps the writer of a read model out until the transaction commits, and
// makes it begin again from its checkpoint then.
func (r *Registry) lookToMend(ctx context.Context, tx pgx.Tx, m Model) (*look, error) {
	l := &look{r: r, tx: tx, page: &VerifyPage{}}
	var err error
	if l.model, err = r.modelToVerify(ctx, tx, m); err != nil {
		return nil, err
	}
	var position int64
	// Its row lock keeps the writer out.
	if err := tx.QueryRow(ctx, `update `+l.stored("checkpoint")+` set edition = edition + 1 returning position, edition`).Scan(&position, &l.edition); err != nil {
		return nil, err
	}
	l.position = eventstore.Position(position)
	return l, l.prepare(ctx)
}

// mend writes units; untouched says that nobody but the writer has written to the
// read model since they were found.
func (l *look) mend(ctx context.Context, units []*unit, untouched bool, done map[*unit]bool) error {
	tasks := map[eventstore.ID]*unit{}
	var ids []eventstore.ID
	for _, u := range units {
		var err error
		switch {
		case u.task != nil:
			ids = append(ids, *u.task)
			tasks[*u.task] = u
			continue
		case u.scanner != nil:
			if err = l.foldScanners(ctx, []string{*u.scanner}); err == nil {
				err = l.rewrite(ctx, ofScanners, "type = $1", *u.scanner)
			}
		case u.scanKey != nil:
			if err = l.refoldFlaky(ctx, *u.scanKey); err == nil {
				err = l.rewrite(ctx, []string{"flaky"}, "scan_key = $1", pgUUID(*u.scanKey))
			}
		case u.skips:
			if err = l.foldSkips(ctx); err == nil {
				err = l.rewrite(ctx, []string{"skips"}, "task_id is null")
			}
		case u.counters != nil && untouched:
			err = l.addCounters(ctx, u.counters)
		default:
			continue // somebody else repairs, too: the next verification says what is left
		}
		if err != nil {
			return err
		}
		done[u] = true
	}
	if len(ids) == 0 {
		return nil
	}
	if err := l.empty(ctx); err != nil {
		return err
	}
	if _, err := l.foldTasks(ctx, ids, time.Now().Add(time.Hour)); err != nil { // all of them; the caller's context ends it
		return err
	}
	if err := l.allow(ctx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		if _, ok := l.cannot[id]; ok {
			continue
		}
		if err := l.rewrite(ctx, l.ofTasks(), "task_id = $1", pgUUID(id)); err != nil {
			return err
		}
		done[tasks[id]] = true
	}
	return nil
}

// rewrite replaces stored rows by the folded ones, also where a stored one stands in
// their place that says it is of something else.
func (l *look) rewrite(ctx context.Context, tables []string, condition string, args ...any) error {
	for _, name := range tables {
		key := l.table(name).key
		if _, err := l.tx.Exec(ctx, fmt.Sprintf(`delete from %[1]s s where %[2]s or exists (select from pg_temp.%[3]s f where %[2]s and (f.%[4]s) = (s.%[5]s))`,
			l.stored(name), condition, name, strings.Join(key, ", f."), strings.Join(key, ", s.")), args...); err != nil {
			return err
		}
		if _, err := l.tx.Exec(ctx, fmt.Sprintf(`insert into %s select * from pg_temp.%s where %s`, l.stored(name), name, condition), args...); err != nil {
			return err
		}
	}
	return nil
}

// addCounters adds to the stored counters.
func (l *look) addCounters(ctx context.Context, lack *rollupColumns) error {
	// So that the bare name is the stored one, also in what is prepared; see prepare.
	if _, err := l.tx.Exec(ctx, `drop table pg_temp.rollups; set local search_path to `+l.model.Schema()); err != nil {
		return err
	}
	if _, err := l.tx.Exec(ctx, addRollups, append(lack.keys(), lack.n)...); err != nil {
		return err
	}
	_, err := l.tx.Exec(ctx, dropEmptyRollups, lack.keys()...)
	return err
}
