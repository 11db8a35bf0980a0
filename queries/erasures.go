package queries

import (
	"context"
	"time"

	"github.com/factgate/factgate/domain/person"
	"github.com/factgate/factgate/eventstore"
)

// Erasure says that a person's name was forgotten.
type Erasure struct {
	Revision int64 // of the fact, in the directory of persons
	KeyID    string
	At       time.Time
	By       string
	Reason   string
}

// Erasures returns at most first (0 means 100) of the erasures whose revision is
// greater than after (-1: from the beginning), the oldest first, straight from the
// directory of persons.
func (q *Queries) Erasures(ctx context.Context, first int, after int64) ([]Erasure, error) {
	first, err := page(first, 100)
	if err != nil {
		return nil, err
	}
	out := []Erasure{}
	stream := eventstore.StreamID{Category: person.Category, Key: person.DirectoryKey}
	for r, err := range q.log.ReadStream(ctx, stream, uint64(max(-1, after)+1)) {
		if eventstore.IsNotFound(err) {
			break // nobody was ever named
		}
		if err != nil {
			return nil, q.streamFailed(ctx, "read the directory of persons", err)
		}
		f, is := person.Read(r.Type, r.Data).(person.PersonErased)
		if !is {
			continue
		}
		out = append(out, Erasure{Revision: int64(r.Revision), KeyID: string(f.KeyID), At: r.At, By: f.By, Reason: f.Reason})
		if len(out) == first {
			break
		}
	}
	return out, nil
}
