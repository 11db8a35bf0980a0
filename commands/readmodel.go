package commands

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/readmodel"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// skipsStream holds the facts that read models pass by.
var skipsStream = eventstore.StreamID{Category: readmodel.Category, Key: readmodel.SkipsKey}

// SkipDone is what SkipFact made happen.
type SkipDone struct {
	Skipped  readmodel.FactSkipped
	Changed  bool // false: it was skipped before
	Position eventstore.Position
}

// SkipFact lets read models pass by the fact at a position of the log. Whether one
// has halted there is for the caller to know.
func (c *Commands) SkipFact(ctx context.Context, position eventstore.Position, reason string, by Origin) (SkipDone, error) {
	if err := task.CheckReason(reason); err != nil {
		return SkipDone{}, err
	}
	r, err := c.at(ctx, position)
	if err != nil {
		return SkipDone{}, err
	}
	wish := readmodel.FactSkipped{
		Position: uint64(position), ID: r.ID.String(), Stream: r.Stream.String(), Revision: r.Revision, Type: r.Type, Reason: reason, By: by.Actor,
	}
	done := SkipDone{Skipped: wish}
	data, err := json.Marshal(wish)
	if err != nil {
		return SkipDone{}, err
	}
	metadata, err := json.Marshal(map[string]string{"$causationId": r.ID.String(), "actor": by.Actor})
	if err != nil {
		return SkipDone{}, err
	}
	changed, err := c.change(ctx, skipsStream, func(past []eventstore.Recorded) ([]eventstore.Event, error) {
		for _, p := range past {
			old, ok, err := readmodel.Decode(p.Type, p.Data)
			if err == nil && ok && old.Position == wish.Position {
				done.Skipped = old
				return nil, nil // already so
			}
		}
		return []eventstore.Event{{ID: eventstore.DeriveID(r.ID, wish.Key()), Type: readmodel.SkippedType, Data: data, Metadata: metadata}}, nil
	})
	if err != nil {
		return SkipDone{}, err
	}
	done.Changed, done.Position = len(changed.events) > 0, changed.position
	return done, nil
}

// at reads the event at a position.
func (c *Commands) at(ctx context.Context, position eventstore.Position) (eventstore.Recorded, error) {
	if position > 0 {
		for r, err := range c.log.ReadAll(ctx, position-1, eventstore.Filter{}) {
			if err != nil {
				return r, storeError(fmt.Sprintf("read the fact at position %d", position), err)
			}
			if r.Position == position {
				return r, nil
			}
			break
		}
	}
	return eventstore.Recorded{}, &domain.Error{Kind: domain.NotFound, Rule: "position.unknown",
		Msg:   fmt.Sprintf("there is no fact at position %d", position),
		MsgZH: fmt.Sprintf("位置 %d 上没有事实", position)}
}
