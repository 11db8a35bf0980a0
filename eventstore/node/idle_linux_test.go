package node

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"
)

// usage is what a process has taken so far.
type usage struct {
	resident int           // bytes
	cpu      time.Duration // of all its threads, in hundredths of a second
}

func usageOf(t testing.TB, pid int) usage {
	t.Helper()
	memory, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(memory))[1])
	require.NoError(t, err)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	_, fields, _ := strings.Cut(string(stat), ") ")
	u := usage{resident: pages * os.Getpagesize()}
	for _, field := range strings.Fields(fields)[11:13] { // user and system time
		ticks, err := strconv.Atoi(field)
		require.NoError(t, err)
		u.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	return u
}

// BenchmarkIdle measures what a node takes for subscriptions and groups to which
// nothing happens: resident memory for each, beyond that of a node without them, and
// processor time for all of them. Clients are on the other side, in this process.
func BenchmarkIdle(b *testing.B) {
	b.Setenv(crashTickEnv, time.Second.String()) // as in production
	stream := func(i int) string { return fmt.Sprint("s-", i) }
	group := func(client *esdb.Client, i int) {
		createOn(b, client, stream(i), "g", esdb.Start{}, nil)
	}
	for _, kind := range []struct {
		name    string
		count   int
		prepare func(client *esdb.Client, i int) // what is there when the node starts
		add     func(client *esdb.Client, i int) (end func() error)
	}{
		{"nothing", 1, nil, nil},
		{"1000 subscriptions to streams", 1000, nil, func(client *esdb.Client, i int) func() error {
			sub, err := client.SubscribeToStream(context.Background(), stream(i), esdb.SubscribeToStreamOptions{})
			require.NoError(b, err)
			require.NotNil(b, sub.Recv().CaughtUp)
			return sub.Close
		}},
		{"1000 subscriptions to all", 1000, nil, func(client *esdb.Client, _ int) func() error {
			sub, err := client.SubscribeToAll(context.Background(), esdb.SubscribeToAllOptions{From: esdb.End{}})
			require.NoError(b, err)
			require.NotNil(b, sub.Recv().CaughtUp)
			return sub.Close
		}},
		{"200 groups", 200, group, nil},
		{"200 groups with a consumer", 200, group, func(client *esdb.Client, i int) func() error {
			sub, err := client.SubscribeToPersistentSubscription(context.Background(), stream(i), "g", esdb.SubscribeToPersistentSubscriptionOptions{})
			require.NoError(b, err)
			return sub.Close
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			bare := spawn(b, b.TempDir())
			before := usageOf(b, bare.cmd.Process.Pid)
			bare.kill(b)
			dir := b.TempDir()
			if kind.prepare != nil {
				node := spawn(b, dir)
				client := node.client(b)
				for i := range kind.count {
					kind.prepare(client, i)
				}
				require.NoError(b, client.Close())
				node.kill(b)
			}
			node := spawn(b, dir)
			client := node.client(b)
			appendAny(b, client, "s", jsonEvent("a", "{}"))
			for i := range kind.count {
				if kind.add != nil {
					end := kind.add(client, i)
					defer func() { _ = end() }()
				}
			}
			full := usageOf(b, node.cmd.Process.Pid)
			const window = 10 * time.Second
			<-time.After(window) // the measurement is of time that passes
			after := usageOf(b, node.cmd.Process.Pid)
			b.ReportMetric(float64(full.resident-before.resident)/float64(kind.count)/1024, "KiB/each")
			b.ReportMetric(float64(after.cpu-full.cpu)/float64(window)*100, "%cpu")
			b.ReportMetric(0, "ns/op")
			node.kill(b)
			_ = client.Close()
		})
	}
}
