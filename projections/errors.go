package projections

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/factgate/factgate/eventstore"
)

// HaltedError says that the read model stopped before a fact that it cannot
// apply. Everything before Position is applied, nothing after it; but for a fact that a
// newer version had applied, or in front of which the stream was cut since: there it is
// everything before the next fact of its task. What helps depends on Err: mostly a newer
// version of Factgate, which goes on from here.
type HaltedError struct {
	Model    Model
	Position eventstore.Position
	Stream   eventstore.StreamID
	Revision uint64
	Type     string
	ID       eventstore.ID
	Err      error // why
	// Skipped: it was to be passed by, and even that was not possible.
	Skipped bool
}

func (e *HaltedError) Error() string {
	return fmt.Sprintf("read model %s halted at position %d: event %s (%.100q, revision %d of stream %.100q) cannot be applied: %v",
		e.Model.Schema(), e.Position, e.ID, e.Type, e.Revision, e.Stream.String(), e.Err)
}

func (e *HaltedError) Unwrap() error { return e.Err }

func halted(m Model, r eventstore.Recorded, err error) *HaltedError {
	return &HaltedError{Model: m, Position: r.Position, Stream: r.Stream, Revision: r.Revision, Type: r.Type, ID: r.ID, Err: err}
}

// GapError says that facts of a stream never came: the read model would be wrong
// from here on.
type GapError struct{ Expected, Found uint64 }

func (e *GapError) Error() string {
	return fmt.Sprintf("the stream's facts from revision %d to %d are missing from the log", e.Expected, e.Found-1)
}

// errCheckpointMoved: somebody else wrote to the read model. Start again from
// what stands there.
var errCheckpointMoved = errors.New("the checkpoint is not where this writer left it")

// errRefused stands for Postgres's refusal of a fact that is skipped for it.
var errRefused = errors.New("Postgres refused what came of it")

// final reports whether Postgres refused what was written, rather than failed to
// write it: the same rows would be refused again.
func final(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, class := range []string{"21", "22", "23", "54"} { // cardinality, data, integrity, program limits
		if strings.HasPrefix(pg.Code, class) {
			return true
		}
	}
	return false
}
