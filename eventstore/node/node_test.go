package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		crashChild(dir)
		return
	}
	// Fewer and shorter random runs than rapid's own defaults; the command line may
	// ask for more.
	for name, value := range map[string]string{"rapid.checks": "40", "rapid.steps": "20"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	// Every UNAVAILABLE makes the official client forget a connection without closing
	// it; these are its goroutines. The node has none of the kind.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run"))
}

// start opens a node that lives as long as the test.
func start(t testing.TB, opts Options) *Node {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	if opts.Tick == 0 {
		opts.Tick = 10 * time.Millisecond
	}
	n, err := Open(context.Background(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// connect returns an official client of the node.
func connect(t testing.TB, n *Node) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(n.ConnectionString())
	require.NoError(t, err)
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func open(t testing.TB) (*Node, *esdb.Client) {
	t.Helper()
	n := start(t, Options{})
	return n, connect(t, n)
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func jsonEvent(eventType, data string) esdb.EventData {
	return esdb.EventData{EventID: uuid.New(), EventType: eventType, ContentType: esdb.ContentTypeJson, Data: []byte(data)}
}

func jsonEvents(n int, eventType string) []esdb.EventData {
	events := make([]esdb.EventData, n)
	for i := range events {
		events[i] = jsonEvent(eventType, fmt.Sprintf(`{"n":%d}`, i))
	}
	return events
}

func appendAny(t testing.TB, client *esdb.Client, stream string, events ...esdb.EventData) *esdb.WriteResult {
	t.Helper()
	res, err := client.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{}, events...)
	require.NoError(t, err)
	return res
}

// drain reads to the end.
func drain(t testing.TB, stream *esdb.ReadStream, err error) []*esdb.ResolvedEvent {
	t.Helper()
	events, err := drainErr(stream, err)
	require.NoError(t, err)
	return events
}

func drainErr(stream *esdb.ReadStream, err error) ([]*esdb.ResolvedEvent, error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var events []*esdb.ResolvedEvent
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

func readStream(t testing.TB, client *esdb.Client, stream string, opts esdb.ReadStreamOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	read, err := client.ReadStream(within(t), stream, opts, count)
	return drain(t, read, err)
}

func readAll(t testing.TB, client *esdb.Client, opts esdb.ReadAllOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	read, err := client.ReadAll(within(t), opts, count)
	return drain(t, read, err)
}

func code(err error) esdb.ErrorCode {
	var e *esdb.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return -1
}

func revisions(events []*esdb.ResolvedEvent) []uint64 {
	found := []uint64{}
	for _, e := range events {
		found = append(found, e.OriginalEvent().EventNumber)
	}
	return found
}

func TestOpen(t *testing.T) {
	t.Run("needs a folder", func(t *testing.T) {
		_, err := Open(context.Background(), Options{})
		require.ErrorContains(t, err, "Options.Dir")
	})
	t.Run("a folder belongs to one node", func(t *testing.T) {
		n := start(t, Options{})
		_, err := Open(context.Background(), Options{Dir: n.dir})
		require.ErrorIs(t, err, ErrInUse)
		require.ErrorContains(t, err, n.dir)
	})
	t.Run("an address in use leaves the folder free", func(t *testing.T) {
		n := start(t, Options{})
		dir := t.TempDir()
		_, err := Open(context.Background(), Options{Dir: dir, Listen: n.Addr().String()})
		require.Error(t, err)
		start(t, Options{Dir: dir})
	})
	t.Run("says how to reach it", func(t *testing.T) {
		n := start(t, Options{Logger: slog.New(slog.DiscardHandler)})
		require.Equal(t, "esdb://"+n.Addr().String()+"?tls=false", n.ConnectionString())
		version, err := connect(t, n).GetServerVersion()
		require.NoError(t, err)
		require.Equal(t, esdb.ServerVersion{Major: 24, Minor: 10}, *version)
	})
	t.Run("closing ends subscriptions and is idempotent", func(t *testing.T) {
		n, client := open(t)
		sub, err := client.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
		require.NoError(t, err)
		require.NotNil(t, sub.Recv().CaughtUp)
		require.NoError(t, n.Close())
		require.NotNil(t, sub.Recv().SubscriptionDropped)
		require.NoError(t, n.Close())
	})
	t.Run("a closing node takes no new subscriptions", func(t *testing.T) {
		n, client := open(t)
		createGroup(t, client, "g", settings(nil))
		n.close() // how Close begins
		_, err := client.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
		require.Equal(t, esdb.ErrorUnavailable, code(err), "%v", err)
		require.ErrorContains(t, err, errClosing.Error())
		_, err = connect(t, n).SubscribeToPersistentSubscriptionToAll(within(t), "g", esdb.SubscribeToPersistentSubscriptionOptions{})
		require.ErrorContains(t, err, errClosing.Error())
	})
}

func TestRefusals(t *testing.T) {
	_, client := open(t)
	err := client.CreatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{})
	require.Equal(t, esdb.ErrorCodeUnsupportedFeature, code(err))
	err = client.ReplayParkedMessagesToAll(within(t), "g", esdb.ReplayParkedMessagesOptions{})
	require.Equal(t, esdb.ErrorCodeUnsupportedFeature, code(err))
	settings := esdb.SubscriptionSettingsDefault()
	err = client.UpdatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{Settings: &settings})
	require.Equal(t, esdb.ErrorCodeUnsupportedFeature, code(err))
	err = client.RestartPersistentSubscriptionSubsystem(within(t), esdb.RestartPersistentSubscriptionSubsystemOptions{})
	require.Equal(t, esdb.ErrorCodeUnsupportedFeature, code(err))
	require.ErrorContains(t, err, "does not serve")
}
