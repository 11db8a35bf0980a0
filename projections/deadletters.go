package projections

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// deadLetters are the dead letters that a batch makes or settles. A row is whole
// whichever of the two it does: the parked attempt is what the sub-task still is
// when it is settled.
type deadLetters struct {
	rows  map[deadLetterKey]*deadLetterRow
	order []*deadLetterRow
}

type deadLetterKey struct {
	task    eventstore.ID
	subTask string
	attempt int
}

type deadLetterRow struct {
	deadLetterKey
	position  eventstore.Position // of the fact that said so; of no use to a row that is there
	parked    task.SubTask
	state     task.DeadLetterState
	settledAt time.Time
	by, why   string
}

// take notes what a fact does to the dead letters of its sub-task.
func (d *deadLetters) take(id eventstore.ID, fact task.Fact, was, is task.SubTask, r eventstore.Recorded) {
	if was.OpenDeadLetter() == is.OpenDeadLetter() {
		return
	}
	name, _ := about(fact)
	row := deadLetterRow{position: r.Position}
	if is.OpenDeadLetter() {
		row.parked, row.state = is, task.DeadLetterOpen
	} else {
		row.parked, row.state, row.settledAt = was, task.DeadLetterReplayed, r.At
		switch f := fact.(type) {
		case task.SubTaskDiscarded:
			row.state, row.why = task.DeadLetterDiscarded, f.Reason
		case task.SubTaskRetryRequested:
			row.why = f.Reason
		}
		var metadata struct{ Actor string }
		_ = json.Unmarshal(r.Metadata, &metadata) // a stranger's may be anything
		row.by = metadata.Actor
	}
	row.deadLetterKey = deadLetterKey{id, name, row.parked.Attempt}
	if old := d.rows[row.deadLetterKey]; old != nil {
		row.position = old.position
		*old = row
		return
	}
	if d.rows == nil {
		d.rows = make(map[deadLetterKey]*deadLetterRow)
	}
	d.rows[row.deadLetterKey] = &row
	d.order = append(d.order, &row)
}

const upsertDeadLetters = `
insert into dead_letters (task_id, type, attempt, parked_position, parked_at, reason, reason_zh, scanner, state, settled_at, settled_by, settled_reason)
select task_id, type, attempt, parked_position, parked_at, reason, reason_zh, scanner::json, state, settled_at, settled_by, settled_reason
from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
	$9::text[], $10::timestamptz[], $11::text[], $12::text[])
as u (task_id, type, attempt, parked_position, parked_at, reason, reason_zh, scanner, state, settled_at, settled_by, settled_reason)
on conflict (task_id, type, attempt) do update set
	state = excluded.state, settled_at = excluded.settled_at, settled_by = excluded.settled_by, settled_reason = excluded.settled_reason`

func (d *deadLetters) args() ([]any, error) {
	var (
		id                                              []pgtype.UUID
		name, reason, reasonZH, scanner, state, by, why []string
		attempt, position                               []int64
		parkedAt                                        []time.Time
		settledAt                                       []pgtype.Timestamptz
	)
	for _, r := range d.order {
		who, err := jsonText(r.parked.Scanner)
		if err != nil {
			return nil, err
		}
		id, name, attempt = append(id, pgUUID(r.task)), append(name, clean(r.subTask)), append(attempt, int64(r.attempt))
		position, parkedAt = append(position, int64(r.position)), append(parkedAt, r.parked.EndedAt)
		reason, reasonZH = append(reason, clean(r.parked.Reason)), append(reasonZH, clean(r.parked.ReasonZH))
		scanner, state = append(scanner, who), append(state, string(r.state))
		settledAt, by, why = append(settledAt, instant(r.settledAt)), append(by, clean(r.by)), append(why, clean(r.why))
	}
	return []any{id, name, attempt, position, parkedAt, reason, reasonZH, scanner, state, settledAt, by, why}, nil
}
