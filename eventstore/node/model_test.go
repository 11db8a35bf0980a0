package node

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is the node in a few lines: what was appended, in order.
type model struct {
	all     []modelEvent
	streams map[string][]modelEvent
}

type modelEvent struct {
	stream   string
	revision uint64
	id       uuid.UUID
	data     string
}

// expects says whether an append with fresh ids is to be taken.
func (m *model) expects(stream string, revision esdb.ExpectedRevision) bool {
	n := len(m.streams[stream])
	switch e := revision.(type) {
	case esdb.NoStream:
		return n == 0
	case esdb.StreamExists:
		return n > 0
	case esdb.StreamRevision:
		return n > 0 && e.Value == uint64(n-1)
	default:
		return true
	}
}

func observed(events []*esdb.ResolvedEvent) []modelEvent {
	found := []modelEvent{}
	for _, e := range events {
		found = append(found, modelEvent{e.Event.StreamID, e.Event.EventNumber, e.Event.EventID, string(e.Event.Data)})
	}
	return found
}

func reversed(events []modelEvent) []modelEvent {
	found := []modelEvent{}
	for i := range events {
		found = append(found, events[len(events)-1-i])
	}
	return found
}

func clip(events []modelEvent, n int) []modelEvent {
	return append([]modelEvent{}, events[:min(n, len(events))]...)
}

// Any sequence of appends, repetitions, reads and restarts agrees with the model.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	client := connect(t, n)
	base := esdb.Position{} // what earlier rounds have left is up to here
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := &model{streams: map[string][]modelEvent{}}
		names := rapid.SampledFrom([]string{"a", "a\x00", "a\x00\x01", "a-1", "ab", "b", "$sys"})
		stream := rapid.Map(names, func(name string) string { return fmt.Sprintf("%d/%s", round, name) })
		after := base
		type request struct {
			stream   string
			revision esdb.ExpectedRevision
			events   []esdb.EventData
			answer   *esdb.WriteResult
		}
		var taken []request
		send := func(r request) (*esdb.WriteResult, error) {
			return client.AppendToStream(within(t), r.stream, esdb.AppendToStreamOptions{ExpectedRevision: r.revision}, r.events...)
		}
		compare := func(rt *rapid.T) {
			read, err := client.ReadAll(within(t), esdb.ReadAllOptions{From: after}, 1<<40)
			found, err := drainErr(read, err)
			require.NoError(rt, err)
			if after.Commit > 0 {
				found = found[1:] // forwards a position is included
			}
			require.Equal(rt, clip(m.all, len(m.all)), observed(found))
			read, err = client.ReadAll(within(t), esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, uint64(len(m.all)))
			found, err = drainErr(read, err)
			require.NoError(rt, err)
			require.Equal(rt, reversed(m.all), observed(found))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				r := request{stream: stream.Draw(rt, "stream")}
				last := len(m.streams[r.stream])
				r.revision = rapid.SampledFrom([]esdb.ExpectedRevision{
					esdb.Any{}, esdb.NoStream{}, esdb.StreamExists{}, esdb.Revision(uint64(last)), esdb.Revision(uint64(max(last, 1) - 1)), esdb.Revision(uint64(max(last, 2) - 2)),
				}).Draw(rt, "expected")
				for i := range rapid.IntRange(1, 4).Draw(rt, "events") {
					r.events = append(r.events, jsonEvent("t", fmt.Sprint(len(m.all)+i)))
				}
				res, err := send(r)
				if !m.expects(r.stream, r.revision) {
					require.Equal(rt, esdb.ErrorCodeWrongExpectedVersion, code(err))
					return
				}
				require.NoError(rt, err)
				for _, e := range r.events {
					event := modelEvent{r.stream, uint64(len(m.streams[r.stream])), e.EventID, string(e.Data)}
					m.streams[r.stream] = append(m.streams[r.stream], event)
					m.all = append(m.all, event)
				}
				require.EqualValues(rt, len(m.streams[r.stream])-1, res.NextExpectedVersion)
				r.answer = res
				base = esdb.Position{Commit: res.CommitPosition, Prepare: res.PreparePosition}
				taken = append(taken, r)
			},
			"repeat": func(rt *rapid.T) {
				if len(taken) == 0 {
					rt.Skip("nothing to repeat")
				}
				r := rapid.SampledFrom(taken).Draw(rt, "request")
				res, err := send(r)
				require.NoError(rt, err)
				require.Equal(rt, r.answer, res)
			},
			"read a stream": func(rt *rapid.T) {
				name, count := stream.Draw(rt, "stream"), rapid.IntRange(1, 10).Draw(rt, "count")
				events := m.streams[name]
				read, err := client.ReadStream(within(t), name, esdb.ReadStreamOptions{}, uint64(count))
				found, err := drainErr(read, err)
				if len(events) == 0 {
					require.Equal(rt, esdb.ErrorCodeResourceNotFound, code(err))
					return
				}
				require.NoError(rt, err)
				require.Equal(rt, clip(events, count), observed(found))
				from := rapid.IntRange(0, len(events)-1).Draw(rt, "from")
				read, err = client.ReadStream(within(t), name, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.Revision(uint64(from))}, uint64(count))
				found, err = drainErr(read, err)
				require.NoError(rt, err)
				require.Equal(rt, clip(reversed(events[:from+1]), count), observed(found))
			},
			"restart": func(rt *rapid.T) {
				if rapid.IntRange(0, 19).Draw(rt, "restart") != 0 {
					rt.Skip("not now") // it takes long
				}
				require.NoError(rt, client.Close())
				require.NoError(rt, n.Close())
				n = start(t, Options{Dir: n.dir})
				client = connect(t, n)
			},
			"read $all": compare,
		})
		compare(rt)
	})
}
