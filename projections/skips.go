package projections

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain/readmodel"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// skips are the facts that an operator lets the fold pass by, by position. Only a
// fact that cannot be applied is passed by: then it is folded as one that nobody
// can read, which keeps its place in the stream and shows on its task. So what a
// read model says follows from the log alone, skips included, whenever it is made.
type skips map[eventstore.Position]*skip

type skip struct {
	readmodel.FactSkipped
	// refused: it can be folded, but Postgres refuses what comes of it; or it was passed
	// by before.
	refused bool
}

// loadSkips reads them from the log.
func loadSkips(ctx context.Context, log eventstore.Reader) (skips, error) {
	out := skips{}
	stream := eventstore.StreamID{Category: readmodel.Category, Key: readmodel.SkipsKey}
	for r, err := range log.ReadStream(ctx, stream, 0) {
		if eventstore.IsNotFound(err) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read what is to be skipped: %w", err)
		}
		// What cannot be read skips nothing: the read model stays halted.
		if f, ok, err := readmodel.Decode(r.Type, r.Data); err == nil && ok {
			out[eventstore.Position(f.Position)] = &skip{FactSkipped: f}
		}
	}
	return out, nil
}

// skipped is a fact that a batch passed by.
type skipped struct {
	*skip
	event eventstore.Recorded
}

// pass gives the fact to fold in place of one that cannot be applied because of
// err, if it may be passed by.
func (b *batch) pass(r eventstore.Recorded, err error) (task.Fact, error) {
	s := b.skips[r.Position]
	if s == nil {
		return nil, err
	}
	r.Data, r.Metadata = nil, nil
	b.skipped = append(b.skipped, skipped{s, r})
	return task.Unreadable{Type: r.Type, Err: err}, nil
}

const insertSkips = `
insert into skips (position, task_id, event_id, stream, revision, type, reason, skipped_by)
select * from unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[])`

func skipArgs(list []skipped) []any {
	var (
		position, revision       []int64
		id, event                []pgtype.UUID
		stream, name, reason, by []string
	)
	for _, s := range list {
		var whose pgtype.UUID
		if id, ok := taskOf(s.event); ok {
			whose = pgUUID(id)
		}
		position, revision = append(position, int64(s.event.Position)), append(revision, int64(s.event.Revision))
		id, event = append(id, whose), append(event, pgUUID(s.event.ID))
		stream, name = append(stream, clean(s.event.Stream.String())), append(name, clean(s.event.Type))
		reason, by = append(reason, clean(s.Reason)), append(by, clean(s.By))
	}
	return []any{position, id, event, stream, revision, name, reason, by}
}
