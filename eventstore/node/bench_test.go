package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"
)

// payload is of the size of a common fact.
var payload = []byte(`{"taskId":"0190","filler":"` + strings.Repeat("x", 360) + `"}`)

// BenchmarkAppend is one durable event per operation through the official client.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			_, client := open(b)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						event := esdb.EventData{EventType: "SubTaskCompleted", ContentType: esdb.ContentTypeJson, Data: payload}
						if _, err := client.AppendToStream(context.Background(), fmt.Sprint("task-", i%6400), esdb.AppendToStreamOptions{}, event); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkReadAll is one event per operation, read from $all by the official client.
func BenchmarkReadAll(b *testing.B) {
	_, client := open(b)
	const events = 50_000
	batch := make([]esdb.EventData, 500)
	for i := range events / len(batch) {
		for j := range batch {
			batch[j] = esdb.EventData{EventType: "SubTaskCompleted", ContentType: esdb.ContentTypeJson, Data: payload}
		}
		appendAny(b, client, fmt.Sprint("task-", i), batch...)
	}
	b.ResetTimer()
	for left := b.N; left > 0; {
		n := min(left, events)
		read, err := client.ReadAll(context.Background(), esdb.ReadAllOptions{}, uint64(n))
		require.NoError(b, err)
		for {
			_, err := read.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(b, err)
			left--
		}
		read.Close()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
