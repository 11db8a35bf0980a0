package scanners_test

import (
	"testing"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

var roster = eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}

// told are the events of a stream, as far as it exists.
func (b *bench) told(stream eventstore.StreamID) (events []eventstore.Recorded) {
	for r, err := range b.store.ReadStream(b.t.Context(), stream, 0) {
		if err != nil {
			return nil
		}
		events = append(events, r)
	}
	return events
}

func TestATypeIsEnlistedOnceBeforeItWorksAndAgainAfterItWasRetired(t *testing.T) {
	b := newBench(t)
	id := b.open()
	two := options
	two.Instance = "two"
	stopOne, stopTwo := b.run(poisoned(nil), options), b.run(poisoned(nil), two)
	facts := testbench.Await(t, b.commands, id, "ends", ended("SQL"))
	events := b.told(roster)
	require.Len(t, events, 1)
	require.IsType(t, scanner.ScannerEnlisted{}, scanner.Read(events[0].Type, events[0].Data))
	for _, f := range facts {
		if _, is := f.Fact.(task.SubTaskStarted); is {
			require.Less(t, uint64(events[0].Position), f.Position)
		}
	}
	_, err := b.commands.RetireScanner(t.Context(), "li", scanner.Retire{Type: "SQL", Reason: "replaced"})
	require.NoError(t, err)
	stopOne()
	stopTwo()
	b.run(poisoned(nil), options)
	b.await(b.open(), "passes", ended("SQL"))
	known, err := commands.NewRoster(b.store).Known(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"SQL"}, known)
	require.Len(t, b.told(roster), 3)
}

func TestSignsOfLifeComeUntilTheEndAndDoNotPileUp(t *testing.T) {
	b := newBench(t)
	lively := options
	lively.Heartbeat = time.Millisecond
	beats := eventstore.StreamID{Category: scanner.HeartbeatCategory, Key: "SQL"}
	stop := b.run(poisoned(nil), lively)
	require.Eventually(t, func() bool {
		events := b.told(beats)
		return len(events) > 0 && events[0].Revision > 0
	}, testbench.Patience, 10*time.Millisecond, "the oldest are not kept")
	require.LessOrEqual(t, len(b.told(beats)), scanner.Heartbeats)
	stop()
	events := b.told(beats)
	last := events[len(events)-1]
	require.Equal(t, scanner.HeartbeatType, last.Type)
	said, err := scanner.Decode(last.Data)
	require.NoError(t, err)
	require.Equal(t, scanner.Presence{Type: "SQL", Instance: "one", Version: "1", RulesDigest: "r", ConfigDigest: "c"}, said)
	presence := b.told(eventstore.StreamID{Category: scanner.Category, Key: "SQL"})
	require.Equal(t, scanner.OfflineType, presence[len(presence)-1].Type)
	require.Less(t, last.Position, presence[len(presence)-1].Position)
}

// A roster that nobody can write keeps nobody from scanning.
func TestScansGoOnBesideARosterThatIsLost(t *testing.T) {
	b := newBench(t)
	_, err := b.commands.EnlistScanner(t.Context(), "x", scanner.Enlist{Type: "OTHER"})
	require.NoError(t, err)
	config, err := client.ParseConnectionString(b.store.Node.ConnectionString())
	require.NoError(t, err)
	bare, err := client.NewClient(config)
	require.NoError(t, err)
	_, err = bare.TombstoneStream(t.Context(), roster.String(), client.TombstoneStreamOptions{ExpectedRevision: client.Any{}})
	require.NoError(t, err)
	require.NoError(t, bare.Close())
	b.run(poisoned(nil), options)
	b.await(b.open(), "passes", ended("SQL"))
}
