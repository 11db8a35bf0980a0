package esdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
)

// What a server says reaches the caller as the contract's kinds of errors, each
// with what the caller needs to go on; these are the ones that a node can be brought
// to say. See hazard_test.go for those of a server on a bad day.
func TestErrorsOfANodeAreTheContracts(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{Dir: t.TempDir()})
	log := connect(t, n.ConnectionString())
	ctx := t.Context()
	_, err := log.Append(ctx, someStream, eventstore.NoStream(), someEvent)
	require.NoError(t, err)
	tombstoned := eventstore.StreamID{Category: "task", Key: "tombstoned"}
	_, err = log.Append(ctx, tombstoned, eventstore.NoStream(), someEvent)
	require.NoError(t, err)
	bare := bareClient(t, n.ConnectionString())
	_, err = bare.TombstoneStream(ctx, tombstoned.String(), client.TombstoneStreamOptions{ExpectedRevision: client.Any{}})
	require.NoError(t, err)

	other := someEvent
	other.ID = eventstore.DeriveID(someEvent.ID, "other")
	large := other
	large.Data = make([]byte, 1<<20+1)
	missing := eventstore.StreamID{Category: "task", Key: "missing"}
	past, pass := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer pass()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	closed, err := esdb.Open(ctx, n.ConnectionString(), esdb.Options{})
	require.NoError(t, err)
	require.NoError(t, closed.Close())

	appendTo := func(ctx context.Context, log *esdb.Log, stream eventstore.StreamID, expected eventstore.Expected, e eventstore.Event) error {
		_, err := log.Append(ctx, stream, expected, e)
		return err
	}
	read := func(ctx context.Context, log *esdb.Log, stream eventstore.StreamID) (failed error) {
		for _, failed = range log.ReadStream(ctx, stream, 0) {
		}
		return failed
	}
	consume := func(ctx context.Context, log *esdb.Log) error { _, err := log.Consume(ctx, "missing", 1); return err }
	follow := func(ctx context.Context, log *esdb.Log) error {
		_, err := log.Follow(ctx, 0, eventstore.Filter{})
		return err
	}
	conflict := func(stream eventstore.StreamID, expected eventstore.Expected, exists bool) error {
		return &eventstore.ConflictError{Stream: stream, Expected: expected, Exists: exists}
	}
	for name, c := range map[string]struct {
		got  error
		want error // an equal one is found with errors.As, or this one with errors.Is
	}{
		"conflict, the stream exists":      {appendTo(ctx, log, someStream, eventstore.NoStream(), other), conflict(someStream, eventstore.NoStream(), true)},
		"conflict, another revision":       {appendTo(ctx, log, someStream, eventstore.At(7), other), conflict(someStream, eventstore.At(7), true)},
		"conflict, there is no stream":     {appendTo(ctx, log, missing, eventstore.Exists(), other), conflict(missing, eventstore.Exists(), false)},
		"too large":                        {appendTo(ctx, log, someStream, eventstore.Any(), large), &eventstore.TooLargeError{Limit: 1 << 20}},
		"append to a tombstone":            {appendTo(ctx, log, tombstoned, eventstore.Any(), other), &eventstore.DeletedError{Stream: tombstoned}},
		"read of a tombstone":              {read(ctx, log, tombstoned), &eventstore.DeletedError{Stream: tombstoned}},
		"read of nothing":                  {read(ctx, log, missing), &eventstore.NotFoundError{Name: "task-missing"}},
		"consume as no group":              {consume(ctx, log), &eventstore.NotFoundError{Name: "missing"}},
		"append, the context is over":      {appendTo(gone, log, someStream, eventstore.Any(), other), context.Canceled},
		"append, the deadline has passed":  {appendTo(past, log, someStream, eventstore.Any(), other), context.DeadlineExceeded},
		"read, the context is over":        {read(gone, log, someStream), context.Canceled},
		"follow, the context is over":      {follow(gone, log), context.Canceled},
		"consume, the deadline has passed": {consume(past, log), context.DeadlineExceeded},
		"append, closed":                   {appendTo(ctx, closed, someStream, eventstore.Any(), other), esdb.ErrClosed},
		"read, closed":                     {read(ctx, closed, someStream), esdb.ErrClosed},
		"follow, closed":                   {follow(ctx, closed), esdb.ErrClosed},
		"consume, closed":                  {consume(ctx, closed), esdb.ErrClosed},
	} {
		require.Error(t, c.got, name)
		byContext := errors.Is(c.want, context.Canceled) || errors.Is(c.want, context.DeadlineExceeded)
		require.Equal(t, byContext, eventstore.IsUnavailable(c.got), "%s: %v", name, c.got)
		switch want := c.want.(type) {
		case *eventstore.ConflictError:
			requireAs(t, want, c.got, name)
		case *eventstore.TooLargeError:
			requireAs(t, want, c.got, name)
		case *eventstore.DeletedError:
			requireAs(t, want, c.got, name)
		case *eventstore.NotFoundError:
			requireAs(t, want, c.got, name)
		default:
			require.ErrorIs(t, c.got, want, name)
		}
	}

	require.NoError(t, n.Close())
	short, end := context.WithTimeout(ctx, 500*time.Millisecond)
	defer end()
	for name, err := range map[string]error{
		"append, no node": appendTo(short, log, someStream, eventstore.Any(), other),
		"read, no node":   read(short, log, someStream),
		"follow, no node": follow(short, log),
	} {
		var unavailable *eventstore.UnavailableError
		require.ErrorAs(t, err, &unavailable, name)
		require.NotEmpty(t, unavailable.Op, name)
	}
}

func requireAs[E error](t *testing.T, want E, err error, name string) {
	t.Helper()
	var got E
	require.ErrorAs(t, err, &got, name)
	require.Equal(t, want, got, name)
}
