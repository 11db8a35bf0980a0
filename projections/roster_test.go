package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// scannerLog is what scanners say of themselves, in the making.
type scannerLog []eventstore.Recorded

func (l *scannerLog) add(stream eventstore.StreamID, eventType string, data []byte) {
	position := len(*l) + 1
	*l = append(*l, eventstore.Recorded{
		Event:  eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(position)), Type: eventType, Data: data},
		Stream: stream, Position: eventstore.Position(position), At: time.Date(2026, 1, 1, 0, 0, position, 0, time.UTC),
	})
}

func (l *scannerLog) say(eventType, subTaskType, instance string) {
	data, _ := json.Marshal(scanner.Presence{Type: subTaskType, Instance: instance, Version: fmt.Sprint(len(*l))})
	category := scanner.Category
	if eventType == scanner.HeartbeatType {
		category = scanner.HeartbeatCategory
	}
	l.add(eventstore.StreamID{Category: category, Key: subTaskType}, eventType, data)
}

func (l *scannerLog) roster(t testing.TB, f scanner.Fact) {
	name, data, err := scanner.Encode(f)
	require.NoError(t, err)
	l.add(eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}, name, data)
}

// What scanners say gives the same rows in batches of any size, and twice.
func TestScannersAreFoldedWhateverTheBatches(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		var l scannerLog
		types, instances := []string{"SQL", "EXCEL", "X"}, []string{"i1", "i2", "i\x00"}
		for range 60 {
			name, instance := types[rnd.IntN(3)], instances[rnd.IntN(3)]
			switch rnd.IntN(6) {
			case 0:
				l.say(scanner.OnlineType, name, instance)
			case 1:
				l.say(scanner.OfflineType, name, instance)
			case 2, 3:
				l.say(scanner.HeartbeatType, name, instance)
			case 4:
				l.roster(t, scanner.ScannerEnlisted{Type: name, Instance: instance})
			case 5:
				l.roster(t, scanner.ScannerRetired{Type: name, Reason: "no\x00 use", By: "li"})
			}
		}
		whole, pieces := database(t), database(t)
		w := newWriter(t, whole, newMemoryBlobs())
		require.NoError(t, w.take(ctx, l, l[len(l)-1].Position))
		want := dump(t, whole)
		require.NoError(t, w.take(ctx, l, l[len(l)-1].Position+1))
		require.Equal(t, want, dump(t, whole), "once equals twice")
		p := newWriter(t, pieces, newMemoryBlobs())
		for rest := []eventstore.Recorded(l); len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(4))
			require.NoError(t, p.take(ctx, rest[:n], rest[n-1].Position))
			rest = rest[n:]
		}
		require.Equal(t, want, dump(t, pieces))
		// The roster's rows say what the domain says.
		var r scanner.Roster
		for _, e := range l {
			if e.Stream.Category == scanner.RosterCategory {
				r = scanner.Evolve(r, scanner.Recorded{Revision: r.Facts, Fact: scanner.Read(e.Type, e.Data)})
			}
		}
		var known []string
		require.NoError(t, whole.QueryRow(ctx, `select coalesce(array_agg(type order by type collate "C"), '{}') from live.scanners where enlisted_at is not null and retired_at is null`).Scan(&known))
		require.Equal(t, r.Known(), known)
	}
}

func TestAnInstancesRowSaysWhenItCameWasHeardAndWent(t *testing.T) {
	ctx := context.Background()
	var l scannerLog
	l.say(scanner.OnlineType, "SQL", "i1")
	l.say(scanner.HeartbeatType, "SQL", "i1")
	l.say(scanner.HeartbeatType, "SQL", "unannounced")
	l.say(scanner.OfflineType, "SQL", "i1")
	l.roster(t, scanner.ScannerEnlisted{Type: "SQL", Instance: "i1"})
	l.roster(t, scanner.ScannerRetired{Type: "SQL", Reason: "replaced", By: "li"})
	// Of these nobody can make a row, and nobody stops for them.
	l.say(scanner.HeartbeatType, "a b", "i1")
	l.say(scanner.OnlineType, strings.Repeat("x", 100_000), "i1")
	l.say(scanner.HeartbeatType, "SQL", strings.Repeat("x", 100_000))
	l.add(eventstore.StreamID{Category: scanner.HeartbeatCategory, Key: "SQL"}, scanner.HeartbeatType, []byte(`{"type":"EXCEL","instance":"i"}`))
	l.add(eventstore.StreamID{Category: scanner.HeartbeatCategory, Key: "SQL"}, "Pulse", []byte(`<pulse/>`))
	l.add(eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}, "ScannerPaused", []byte(`{}`))
	l.add(eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}, "ScannerEnlisted", []byte(`[`))
	l.add(eventstore.StreamID{Category: scanner.RosterCategory, Key: "other"}, "ScannerEnlisted", []byte(`{"type":"OTHER"}`))
	pool := database(t)
	require.NoError(t, newWriter(t, pool, newMemoryBlobs()).take(ctx, l, l[len(l)-1].Position))
	var text string
	require.NoError(t, pool.QueryRow(ctx, `select string_agg(concat_ws(' ', type, instance, version,
		extract(second from online_at)::int, extract(second from heard_at)::int, coalesce(extract(second from offline_at)::int::text, '-')), E'\n' order by instance) from live.scanner_instances`).Scan(&text))
	require.Equal(t, "SQL i1 3 1 2 4\nSQL unannounced 2 3 -", text)
	require.NoError(t, pool.QueryRow(ctx, `select string_agg(concat_ws(' ', type, first_position,
		extract(second from enlisted_at)::int, extract(second from retired_at)::int, retired_by, retired_reason), E'\n') from live.scanners`).Scan(&text))
	require.Equal(t, "SQL 1 5 6 li replaced", text)
}

// The same through a real log and a runner.
func TestARunnerHearsWhatScannersSay(t *testing.T) {
	log, pool := openLog(t), database(t)
	start(t, NewRunner(log, pool, newMemoryBlobs(), Options{}))
	var l scannerLog
	l.roster(t, scanner.ScannerEnlisted{Type: "SQL", Instance: "i1"})
	l.say(scanner.HeartbeatType, "SQL", "i1")
	var last eventstore.Position
	for _, r := range l {
		r.Metadata = []byte("{}")
		at, err := log.Append(context.Background(), r.Stream, eventstore.Any(), r.Event)
		require.NoError(t, err)
		last = at.Position
	}
	reach(t, pool, last)
	var n int
	require.NoError(t, pool.QueryRow(context.Background(), `select count(*) from live.scanners join live.scanner_instances using (type) where enlisted_at is not null and heard_at is not null`).Scan(&n))
	require.Equal(t, 1, n)
}

func TestATaskKnowsWhoWasWaitedForOrThatNobodyWroteItDown(t *testing.T) {
	ctx := context.Background()
	pool := database(t)
	w := newWriter(t, pool, newMemoryBlobs())
	position := eventstore.Position(0)
	for want, known := range map[string][]string{"null": nil, "[]": {}, `["EXCEL","odd \"\\ type,"]`: {"EXCEL", `odd "\ type,`}} {
		s := newStory()
		opened := created(s)
		opened.Known = known
		events := recorded(t, rand.New(rand.NewPCG(1, 1)), []*story{s.tell(upload(s, "p"), opened, task.SubTaskStarted{Type: "SQL", Attempt: 1})})
		for i := range events {
			position++
			events[i].Position = position
		}
		require.NoError(t, w.take(ctx, events, position))
		var got string
		require.NoError(t, pool.QueryRow(ctx, `select coalesce(to_json(known)::text, 'null') from live.tasks where task_id = $1`, s.id.String()).Scan(&got))
		require.Equal(t, want, got)
	}
}
