package esdb_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
)

// What this package costs on top of the bare client, against the same node: look
// at ratios within one run.

func benchServer(b *testing.B) (*esdb.Log, *client.Client) {
	n, err := node.Open(context.Background(), node.Options{Dir: b.TempDir()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, n.Close()) })
	log, err := esdb.Open(context.Background(), n.ConnectionString(), esdb.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, log.Close()) })
	config, err := client.ParseConnectionString(n.ConnectionString())
	require.NoError(b, err)
	config.Logger = client.NoopLogging()
	bare, err := client.NewClient(config)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, bare.Close()) })
	return log, bare
}

func benchEvent(n int64) eventstore.Event {
	data := make([]byte, 395)
	copy(data, fmt.Sprintf(`{"n":%d`, n))
	return eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(n)), Type: "Noted", Data: data}
}

func BenchmarkAppend(b *testing.B) {
	log, bare := benchServer(b)
	ctx := context.Background()
	var n atomic.Int64
	run := func(append func(stream eventstore.StreamID, e eventstore.Event) error) func(*testing.B) {
		return func(b *testing.B) {
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					if err := append(eventstore.StreamID{Category: "task", Key: fmt.Sprint(i)}, benchEvent(i)); err != nil {
						b.Error(err)
					}
				}
			})
		}
	}
	for round := range 3 {
		b.Run(fmt.Sprint("log/", round), run(func(s eventstore.StreamID, e eventstore.Event) error {
			_, err := log.Append(ctx, s, eventstore.NoStream(), e)
			return err
		}))
		b.Run(fmt.Sprint("bare/", round), run(func(s eventstore.StreamID, e eventstore.Event) error {
			_, err := bare.AppendToStream(ctx, s.String(), client.AppendToStreamOptions{ExpectedRevision: client.NoStream{}},
				client.EventData{EventID: [16]byte(e.ID), EventType: e.Type, ContentType: client.ContentTypeJson, Data: e.Data})
			return err
		}))
	}
}

func BenchmarkFollow(b *testing.B) {
	const count = 100_000
	log, bare := benchServer(b)
	ctx := context.Background()
	for i := range int64(count / 100) {
		var batch []eventstore.Event
		for j := range int64(100) {
			batch = append(batch, benchEvent(i*100+j))
		}
		_, err := log.Append(ctx, eventstore.StreamID{Category: "task", Key: fmt.Sprint(i)}, eventstore.NoStream(), batch...)
		require.NoError(b, err)
	}
	for round := range 3 {
		b.Run(fmt.Sprint("log/", round), func(b *testing.B) {
			for b.Loop() {
				sub, err := log.Follow(ctx, 0, eventstore.Filter{})
				require.NoError(b, err)
				for got := 0; got < count; {
					m, err := sub.Next(ctx)
					if err != nil {
						b.Fatal(err)
					}
					if m.Kind == eventstore.KindEvent {
						got++
					}
				}
				require.NoError(b, sub.Close())
			}
			b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(fmt.Sprint("bare/", round), func(b *testing.B) {
			for b.Loop() {
				sub, err := bare.SubscribeToAll(ctx, client.SubscribeToAllOptions{
					From: client.Start{}, Filter: client.ExcludeSystemEventsFilter(), MaxSearchWindow: 1024, CheckpointInterval: 1,
				})
				require.NoError(b, err)
				for got := 0; got < count; {
					if sub.Recv().EventAppeared != nil {
						got++
					}
				}
				require.NoError(b, sub.Close())
			}
			b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "events/s")
		})
	}
}
