package esdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/factgate/factgate/eventstore"
)

// keepTries bounds how often KeepNewest loses against others who change the same
// stream's metadata.
const keepTries = 5

// KeepNewest implements [eventstore.Keeper] by $maxCount in the stream's metadata;
// what else stands there stays.
func (l *Log) KeepNewest(ctx context.Context, stream eventstore.StreamID, n int) (err error) {
	if n < 1 {
		return fmt.Errorf("keep the newest of %s: %d is not a number of events", stream, n)
	}
	metadata := eventstore.StreamID{Category: "$$" + stream.Category, Key: stream.Key}
	limit := strconv.Itoa(n)
	for range keepTries {
		members, expected, revision := map[string]json.RawMessage{}, eventstore.NoStream(), "none"
		for r, err := range l.ReadStreamBackwards(ctx, metadata, 1) {
			if eventstore.IsNotFound(err) {
				break
			}
			if err != nil {
				return err
			}
			expected, revision = eventstore.At(r.Revision), strconv.FormatUint(r.Revision, 10)
			if json.Unmarshal(r.Data, &members) != nil || members == nil {
				members = map[string]json.RawMessage{} // what is no object says nothing
			}
		}
		if string(members["$maxCount"]) == limit {
			return nil
		}
		members["$maxCount"] = json.RawMessage(limit)
		var data []byte
		if data, err = json.Marshal(members); err != nil {
			return err
		}
		_, err = l.Append(ctx, metadata, expected, eventstore.Event{
			ID:   eventstore.DeriveID(eventstore.ID{}, metadata.String()+"/"+revision+"/"+limit),
			Type: "$metadata", Data: data, Metadata: []byte("{}"),
		})
		var conflict *eventstore.ConflictError
		if !errors.As(err, &conflict) {
			return err
		}
	}
	return err
}
