package esdb_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
)

// Closing in the middle of every kind of call, with a server that is there, gone or
// back again: each call ends with ErrClosed, none with anything worse than
// Unavailable, and Close waits for no time-out.
func TestCloseWhileCallsRun(t *testing.T) {
	for _, server := range []string{"there", "gone", "back"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			options := node.Options{Dir: t.TempDir(), Listen: freeAddress(t)}
			n, err := node.Open(context.Background(), options)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, n.Close()) })
			log, err := esdb.Open(t.Context(), n.ConnectionString(), esdb.Options{Timeout: time.Minute})
			require.NoError(t, err)
			require.NoError(t, log.EnsureGroup(t.Context(), eventstore.Group{Name: "g"}))
			_, err = log.Append(t.Context(), someStream, eventstore.Any(), someEvent)
			require.NoError(t, err)

			var running sync.WaitGroup
			var rounds [6]atomic.Int64
			for i, call := range [6]func(context.Context) error{
				func(ctx context.Context) error { return appendErr(ctx, log) },
				func(ctx context.Context) error { _, err := log.Head(ctx); return err },
				func(ctx context.Context) (failed error) {
					for _, failed = range log.ReadStream(ctx, someStream, 0) {
					}
					return failed
				},
				func(ctx context.Context) (failed error) {
					for _, failed = range log.ReadAll(ctx, 0, eventstore.Filter{}) {
					}
					return failed
				},
				func(ctx context.Context) error {
					sub, err := log.Follow(ctx, 0, eventstore.Filter{})
					if err == nil {
						_, err = sub.Next(ctx)
						err = errors.Join(err, sub.Close())
					}
					return err
				},
				func(ctx context.Context) error {
					consumer, err := log.Consume(ctx, "g", 3)
					if err == nil {
						d, nextErr := consumer.Next(ctx)
						if err = nextErr; err == nil {
							err = consumer.Retry(d, "again")
						}
						err = errors.Join(err, consumer.Close())
					}
					return err
				},
			} {
				for range 3 {
					running.Go(func() {
						for {
							ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
							err := call(ctx)
							cancel()
							rounds[i].Add(1)
							switch {
							case errors.Is(err, esdb.ErrClosed):
								return
							case err != nil && !eventstore.IsUnavailable(err) && !errors.Is(err, context.DeadlineExceeded):
								t.Errorf("call %d: %v", i, err)
								return
							}
						}
					})
				}
			}
			everybodyGoesOn := func() {
				t.Helper()
				for i := range rounds {
					enough := rounds[i].Load() + 3
					require.Eventually(t, func() bool { return rounds[i].Load() >= enough }, 20*time.Second, time.Millisecond)
				}
			}
			everybodyGoesOn()
			if server != "there" {
				require.NoError(t, n.Close())
				everybodyGoesOn()
			}
			if server == "back" {
				n, err = node.Open(context.Background(), options)
				require.NoError(t, err)
				everybodyGoesOn()
			}
			began := time.Now()
			require.NoError(t, log.Close())
			running.Wait()
			require.Less(t, time.Since(began), 20*time.Second)
		})
	}
}
