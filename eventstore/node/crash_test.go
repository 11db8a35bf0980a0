package node

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	crashDirEnv  = "FACTGATE_NODE_CRASH_DIR"
	crashTickEnv = "FACTGATE_NODE_CRASH_TICK"
)

// kills is how often the node is killed; make torture asks for more.
var kills = flag.Int("kills", 200, "how often TestKillLosesNothingAcknowledged kills the node")

// crashChild is this test binary as a node of its own, to be killed. It says where
// it is and ends with its parent.
func crashChild(dir string) {
	tick, err := time.ParseDuration(os.Getenv(crashTickEnv))
	if err != nil {
		tick = 10 * time.Millisecond
	}
	n, err := Open(context.Background(), Options{Dir: dir, Tick: tick})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(n.ConnectionString())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

type child struct {
	cmd        *exec.Cmd
	connection string
}

func spawn(t testing.TB, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(line, "esdb://"), line)
	return &child{cmd, strings.TrimSpace(line)}
}

func (c *child) client(t testing.TB) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(c.connection)
	require.NoError(t, err)
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	require.NoError(t, err)
	return client
}

// kill is SIGKILL: nothing in the process can prepare for it.
func (c *child) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

// The node is killed under load, time and again. Whatever it acknowledged is there,
// revisions have no gap and no repeat, positions rise, and a group misses nothing.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	const writers, tasks = 6, 4
	dir := t.TempDir()
	type ack struct {
		stream   string
		revision uint64
		position uint64
	}
	var mu sync.Mutex
	acked := map[uuid.UUID]ack{}
	handled := map[uuid.UUID]bool{}

	for cycle := range *kills {
		node := spawn(t, dir)
		client := node.client(t)
		conn, err := grpc.NewClient(strings.TrimSuffix(strings.TrimPrefix(node.connection, "esdb://"), "?tls=false"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		bare := streams.NewStreamsClient(conn)
		if cycle == 0 {
			createGroup(t, client, "g", settings(nil))
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for {
					stream := fmt.Sprint("s-", rand.IntN(tasks))
					events := jsonEvents(1+rand.IntN(3), "Wanted")
					res, err := appendBare(ctx, bare, stream, events)
					if err != nil {
						return
					}
					mu.Lock()
					for i, e := range events {
						a := ack{stream, res.GetCurrentRevision() - uint64(len(events)-1-i), 0}
						if i == len(events)-1 {
							a.position = res.GetPosition().GetCommitPosition()
						}
						acked[e.EventID] = a
					}
					mu.Unlock()
				}
			})
		}
		sub, err := client.SubscribeToPersistentSubscriptionToAll(ctx, "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 100})
		require.NoError(t, err)
		wg.Go(func() {
			for {
				e := sub.Recv()
				if e.SubscriptionDropped != nil {
					return
				}
				mu.Lock()
				handled[e.EventAppeared.Event.Event.EventID] = true
				mu.Unlock()
				if sub.Ack(e.EventAppeared.Event) != nil {
					return
				}
			}
		})
		count := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
		enough := count() + 1 + rand.IntN(50)
		require.Eventually(t, func() bool { return count() >= enough }, patience, time.Millisecond)
		node.kill(t)
		cancel()
		wg.Wait()
		require.NoError(t, conn.Close())
		_ = client.Close()
	}

	n := start(t, Options{Dir: dir})
	client := connect(t, n)
	stored := map[uuid.UUID]ack{}
	next := map[string]uint64{}
	var before uint64
	for _, e := range readAll(t, client, esdb.ReadAllOptions{}, 1<<40) {
		if e.Event.EventType != "Wanted" {
			continue
		}
		require.Greater(t, e.Event.Position.Commit, before)
		before = e.Event.Position.Commit
		_, twice := stored[e.Event.EventID] // NotContains walks through the map
		require.False(t, twice, e.Event.EventID)
		require.Equal(t, next[e.Event.StreamID], e.Event.EventNumber)
		next[e.Event.StreamID]++
		stored[e.Event.EventID] = ack{e.Event.StreamID, e.Event.EventNumber, e.Event.Position.Commit}
	}
	for id, a := range acked {
		found := stored[id]
		if a.position == 0 {
			a.position = found.position
		}
		require.Equal(t, a, found)
	}
	for i := range tasks {
		events := readStream(t, client, fmt.Sprint("s-", i), esdb.ReadStreamOptions{}, 1<<40)
		require.Len(t, events, int(next[fmt.Sprint("s-", i)]))
	}
	w := join(t, client, "g", 1000)
	for len(handled) < len(stored) {
		e := w.next()
		handled[e.Event.Event.EventID] = true
		w.ack(e)
	}
	for id := range handled {
		_, known := stored[id]
		require.True(t, known, id)
	}
	t.Logf("%d events acknowledged, %d stored over %d kills", len(acked), len(stored), *kills)
}

// appendBare appends without the official client, which on losing its server
// connects anew within the next call, leaves other calls waiting for that for ever
// and races with itself over the trailers.
func appendBare(ctx context.Context, client streams.StreamsClient, stream string, events []esdb.EventData) (*streams.AppendResp_Success, error) {
	call, err := client.Append(ctx)
	if err != nil {
		return nil, err
	}
	messages := []*streams.AppendReq{{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier: streamToWire([]byte(stream)), ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}}}}}}
	for _, e := range events {
		messages = append(messages, &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id: uuidToWire(e.EventID, false), Metadata: map[string]string{metaType: e.EventType, metaContentType: contentJSON}, Data: e.Data}}})
	}
	for _, m := range messages {
		if call.Send(m) != nil {
			break // the reason is what CloseAndRecv says
		}
	}
	res, err := call.CloseAndRecv()
	if err != nil {
		return nil, err
	}
	return res.GetSuccess(), nil
}

func TestSecondProcessIsRefused(t *testing.T) {
	n := start(t, Options{})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDirEnv+"="+n.dir)
	out, err := cmd.Output()
	require.Error(t, err)
	require.Contains(t, string(out), ErrInUse.Error())
	require.Contains(t, string(out), n.dir)
}
