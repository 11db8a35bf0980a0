package esdb_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/eventstore/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(processDirEnv); dir != "" {
		serve(dir, os.Getenv(processListenEnv))
	}
	// Tests that are parallel here mostly wait for outages and time-outs, so more of
	// them than there are cores run at once; those that use the cores are not.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	if os.Getenv(leakyEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// leakyEnv marks a process of one test whose leaks are the client's and known.
const leakyEnv = "FACTGATE_ESDB_TEST_LEAKY"

// The contract, against the embedded node or the server that is named.
func TestContract(t *testing.T) {
	t.Parallel()
	server := os.Getenv("FACTGATE_TEST_ESDB")
	if server == "" {
		server = startNode(t, node.Options{Dir: t.TempDir()}).ConnectionString()
	}
	storetest.Run(t, storetest.Server{Open: func(t *testing.T) eventstore.Log { return connect(t, server) }})
}

// bareClient is the official client, for what the contract has no word for.
func bareClient(t *testing.T, connectionString string) *client.Client {
	t.Helper()
	config, err := client.ParseConnectionString(connectionString)
	require.NoError(t, err)
	config.Logger = client.NoopLogging()
	bare, err := client.NewClient(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bare.Close()) })
	return bare
}

// open opens a log and closes it at the end of the test.
func open(t *testing.T, connectionString string) *esdb.Log {
	t.Helper()
	log, err := esdb.Open(t.Context(), connectionString, esdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log
}

// connect is open for a server that is there: it returns when the log can be read,
// which on a busy machine may take longer than a call's time-out.
func connect(t *testing.T, connectionString string) *esdb.Log {
	t.Helper()
	log := open(t, connectionString)
	require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil }, recovery, time.Millisecond)
	return log
}

// startNode starts an embedded node and closes it at the end of the test.
func startNode(t *testing.T, options node.Options) *node.Node {
	t.Helper()
	n, err := node.Open(context.Background(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}
