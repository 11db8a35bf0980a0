package queries

import (
	"context"
	"time"

	"github.com/factgate/factgate/eventstore"
)

// headPatience bounds how long the log is asked; its answer is not vital.
const headPatience = 2 * time.Second

// ReadModel says how up to date the answers are.
type ReadModel struct {
	ReadAt
	// Head of the log; nil when the log does not answer.
	Head *eventstore.Position
	// Lag is how long the oldest event that is not applied has been waiting; nil
	// when the log does not answer.
	Lag            *time.Duration
	EventAt        *time.Time // when the newest applied event was recorded
	HaltedAt       *time.Time // nil while it runs
	HaltedPosition *eventstore.Position
	HaltedReason   *string
}

// ReadModel reads the state of the read model in service, with one statement.
func (q *Queries) ReadModel(ctx context.Context) (ReadModel, error) {
	var m ReadModel
	var position int64
	var haltedPosition *int64
	err := q.pool.QueryRow(ctx, `select name, position, event_at, halted_at, halted_position, halted_reason from live.checkpoint`).
		Scan(&m.Model, &position, &m.EventAt, &m.HaltedAt, &haltedPosition, &m.HaltedReason)
	if err != nil {
		return m, failed(ctx, "read the checkpoint", err)
	}
	m.Position = eventstore.Position(position)
	if haltedPosition != nil {
		p := eventstore.Position(*haltedPosition)
		m.HaltedPosition = &p
	}
	q.lag(ctx, &m)
	return m, nil
}

func (q *Queries) lag(ctx context.Context, m *ReadModel) {
	ctx, cancel := context.WithTimeout(ctx, headPatience)
	defer cancel()
	head, err := q.log.Head(ctx)
	if err != nil {
		return
	}
	m.Head = &head
	var lag time.Duration
	if head > m.Position {
		for r, err := range q.log.ReadAll(ctx, m.Position, eventstore.Filter{}) {
			if err != nil {
				return
			}
			lag = max(0, time.Since(r.At))
			break
		}
	}
	m.Lag = &lag
}
