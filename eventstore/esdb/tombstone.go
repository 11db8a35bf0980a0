package esdb

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/factgate/factgate/eventstore"
)

// Tombstone implements [eventstore.Eraser].
func (l *Log) Tombstone(ctx context.Context, stream eventstore.StreamID) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	err := l.clients.call(ctx, func(ctx context.Context, s *session) error {
		_, err := s.client.TombstoneStream(ctx, stream.String(), esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
		return err
	}, nil)
	if err = translate("delete "+stream.String(), stream.String(), err); eventstore.IsDeleted(err) {
		return nil // it is so already
	}
	return err
}
