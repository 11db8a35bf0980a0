package projections

import (
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain/trend"
)

const addRollups = `
insert into rollups as r (quarter, project_key, measure, type, outcome, bin, n)
select * from unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[])
on conflict (quarter, project_key, measure, type, outcome, bin) do update set n = r.n + excluded.n`

const dropEmptyRollups = `
delete from rollups r
using unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::smallint[]) as u (quarter, project_key, measure, type, outcome, bin)
where r.quarter = u.quarter and r.project_key = u.project_key and r.measure = u.measure and r.type = u.type and r.outcome = u.outcome
	and r.bin = u.bin and r.n = 0`

// queueRollups adds, of each task, the difference of what it counted for before the
// batch and after it.
func (b *batch) queueRollups(statements *stage) {
	changed := map[trend.Key]int64{}
	for _, c := range b.order {
		trend.Count(changed, c.after, 1)
		trend.Count(changed, c.before, -1)
	}
	var add, drop rollupColumns
	for _, k := range slices.SortedFunc(maps.Keys(changed), trend.Key.Compare) {
		switch n := changed[k]; {
		case n > 0:
			add.add(k, n)
		case n < 0:
			add.add(k, n)
			drop.add(k, n)
		}
	}
	if len(add.n) > 0 {
		statements.Queue(addRollups, append(add.keys(), add.n)...)
	}
	if len(drop.n) > 0 {
		statements.Queue(dropEmptyRollups, drop.keys()...)
	}
}

type rollupColumns struct {
	quarter                []time.Time
	project                []pgtype.UUID
	measure, name, outcome []string
	bin                    []int16
	n                      []int64
}

func (r *rollupColumns) add(k trend.Key, n int64) {
	r.quarter = append(r.quarter, time.Unix(k.Quarter, 0).UTC())
	r.project = append(r.project, pgtype.UUID{Bytes: k.Project, Valid: true})
	r.measure = append(r.measure, string(k.Measure))
	r.name = append(r.name, k.Type)
	r.outcome = append(r.outcome, string(k.Outcome))
	r.bin = append(r.bin, int16(k.Bin))
	r.n = append(r.n, n)
}

func (r *rollupColumns) keys() []any {
	return []any{r.quarter, r.project, r.measure, r.name, r.outcome, r.bin}
}
