package node

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"
)

// model is the node in a few lines: what was appended, in order, and what was said
// about each stream.
type model struct {
	all        []modelEvent
	streams    map[string][]modelEvent
	limits     map[string]limits
	tombstoned map[string]bool
}

// limits are a stream's metadata. A tb of deletedSoftly says that it is deleted.
type limits struct {
	said         bool
	maxCount, tb int
}

const deletedSoftly = -1

type modelEvent struct {
	stream   string
	revision uint64
	id       uuid.UUID
	data     string
}

// verdict is what becomes of a write.
type verdict int

const (
	taken verdict = iota
	wrongRevision
	streamGone
)

// expects says what becomes of a write with fresh ids.
func (m *model) expects(stream string, revision esdb.ExpectedRevision) verdict {
	n, l := len(m.streams[stream]), m.limits[stream]
	ok := true
	switch e := revision.(type) {
	case esdb.NoStream:
		ok = n == 0 || l.tb == deletedSoftly
	case esdb.StreamExists:
		if l.tb == deletedSoftly && !m.tombstoned[stream] {
			return streamGone
		}
		ok = n > 0 || l.said
	case esdb.StreamRevision:
		ok = n > 0 && e.Value == uint64(n-1)
	}
	switch {
	case m.tombstoned[stream]:
		return streamGone
	case !ok:
		return wrongRevision
	}
	return taken
}

// readable is what reads of a stream show, and whether they find the stream.
func (m *model) readable(stream string) (events []modelEvent, found bool) {
	events, l := m.streams[stream], m.limits[stream]
	if len(events) == 0 || l.tb == deletedSoftly {
		return nil, false
	}
	first := l.tb
	if l.maxCount > 0 {
		first = max(first, len(events)-l.maxCount)
	}
	return events[min(first, len(events)):], true
}

// add adds one event to a stream.
func (m *model) add(stream string, id uuid.UUID, data string) {
	event := modelEvent{stream, uint64(len(m.streams[stream])), id, data}
	m.streams[stream] = append(m.streams[stream], event)
	m.all = append(m.all, event)
}

// describe adds metadata that the node words itself, so its id is unknown.
func (m *model) describe(stream string, l limits, data string) {
	l.said = true
	m.limits[stream] = l
	m.add("$$"+stream, uuid.Nil, data)
}

// json is how limits are written.
func (l limits) json() string {
	text := ""
	if l.maxCount > 0 {
		text = fmt.Sprintf(`"$maxCount":%d,`, l.maxCount)
	}
	return fmt.Sprintf(`{%s"$tb":%d}`, text, l.tb)
}

func observed(events []*esdb.ResolvedEvent) []modelEvent {
	found := []modelEvent{}
	for _, e := range events {
		event := modelEvent{e.Event.StreamID, e.Event.EventNumber, e.Event.EventID, string(e.Event.Data)}
		if e.Event.EventType == "$metadata" || e.Event.EventType == "$streamDeleted" {
			event.id = uuid.Nil // the node's own
		}
		found = append(found, event)
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

// Any sequence of appends, alone and in batches, repetitions, metadata, deletions of
// both kinds, reads and restarts agrees with the model.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	client := connect(t, n)
	conn := raw(t, n)
	base := esdb.Position{} // what earlier rounds have left is up to here
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := &model{streams: map[string][]modelEvent{}, limits: map[string]limits{}, tombstoned: map[string]bool{}}
		names := rapid.SampledFrom([]string{"a", "a\x00", "a\x00\x01", "a-1", "ab", "b", "$sys"})
		stream := rapid.Map(names, func(name string) string { return fmt.Sprintf("%d/%s", round, name) })
		after := base
		type request struct {
			stream   string
			revision esdb.ExpectedRevision
			events   []esdb.EventData
			answer   *esdb.WriteResult
		}
		expectation := func(rt *rapid.T, stream string) esdb.ExpectedRevision {
			last := len(m.streams[stream])
			return rapid.SampledFrom([]esdb.ExpectedRevision{
				esdb.Any{}, esdb.NoStream{}, esdb.StreamExists{}, esdb.Revision(uint64(max(last, 1) - 1)), esdb.Revision(uint64(last)), esdb.Revision(uint64(max(last, 2) - 2)),
			}).Draw(rt, "expected")
		}
		// written takes an append of fresh events over into the model.
		written := func(stream string, events []esdb.EventData) {
			revived := len(m.streams[stream])
			for _, e := range events {
				m.add(stream, e.EventID, string(e.Data))
			}
			if l := m.limits[stream]; l.tb == deletedSoftly {
				l.tb = revived
				m.describe(stream, l, l.json())
			}
		}
		var requests []request
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
				r.revision = expectation(rt, r.stream)
				for i := range rapid.IntRange(1, 4).Draw(rt, "events") {
					r.events = append(r.events, jsonEvent("t", fmt.Sprint(len(m.all)+i)))
				}
				res, err := send(r)
				switch m.expects(r.stream, r.revision) {
				case wrongRevision:
					require.Equal(rt, esdb.ErrorCodeWrongExpectedVersion, code(err))
					return
				case streamGone:
					require.Equal(rt, esdb.ErrorCodeStreamDeleted, code(err))
					return
				}
				require.NoError(rt, err)
				// The condition may have held because the stream was deleted; then it does
				// not name the place of these events, and a repetition is not known by it.
				_, none := r.revision.(esdb.NoStream)
				placed := !none || len(m.streams[r.stream]) == 0
				written(r.stream, r.events)
				require.EqualValues(rt, len(m.streams[r.stream])-1, res.NextExpectedVersion)
				r.answer = res
				if placed {
					requests = append(requests, r)
				}
			},
			"append a batch": func(rt *rapid.T) {
				name := stream.Draw(rt, "stream")
				revision := expectation(rt, name)
				o := batchOptions(name, func(o *streams.BatchAppendReq_Options) {
					switch e := revision.(type) {
					case esdb.NoStream:
						o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_NoStream{}
					case esdb.StreamExists:
						o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamExists{}
					case esdb.StreamRevision:
						o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: e.Value}
					}
				})
				id, batches := correlation(), batchesOn(t, conn)
				var events []esdb.EventData
				chunks := rapid.IntRange(1, 3).Draw(rt, "chunks")
				for i := range chunks {
					proposed := proposedEvents(i+1, fmt.Sprint(len(m.all), "/", i))
					for _, e := range proposed {
						events = append(events, esdb.EventData{EventID: uuid.MustParse(e.GetId().GetString_()), Data: e.GetData()})
					}
					batches.send(&streams.BatchAppendReq{CorrelationId: id, Options: o, ProposedMessages: proposed, IsFinal: i == chunks-1})
				}
				answer := batches.answer()
				require.Equal(rt, id.GetString_(), answer.GetCorrelationId().GetString_())
				require.NoError(rt, batches.call.CloseSend())
				switch m.expects(name, revision) {
				case wrongRevision:
					require.EqualValues(rt, codes.AlreadyExists, answer.GetError().GetCode())
				case streamGone:
					require.EqualValues(rt, codes.NotFound, answer.GetError().GetCode())
				default:
					require.NotNil(rt, answer.GetSuccess(), "%v", answer)
					written(name, events)
					require.EqualValues(rt, len(m.streams[name])-1, answer.GetSuccess().GetCurrentRevision())
				}
			},
			"describe": func(rt *rapid.T) {
				name := stream.Draw(rt, "stream")
				l := limits{maxCount: rapid.IntRange(0, 4).Draw(rt, "maxCount"), tb: rapid.IntRange(0, 6).Draw(rt, "tb")}
				event := jsonEvent("$metadata", l.json())
				_, err := client.AppendToStream(within(t), "$$"+name, esdb.AppendToStreamOptions{}, event)
				if m.tombstoned[name] {
					require.Equal(rt, esdb.ErrorCodeStreamDeleted, code(err))
					return
				}
				require.NoError(rt, err)
				deleted := m.limits[name].tb == deletedSoftly
				m.describe(name, l, l.json())
				if deleted {
					l.tb = len(m.streams[name])
					m.describe(name, l, l.json())
				}
			},
			"delete": func(rt *rapid.T) {
				name := stream.Draw(rt, "stream")
				revision := expectation(rt, name)
				if rapid.IntRange(0, 3).Draw(rt, "for good") > 0 {
					_, err := client.DeleteStream(within(t), name, esdb.DeleteStreamOptions{ExpectedRevision: revision})
					agreed(rt, m.expects(name, revision), err)
					if err == nil {
						m.describe(name, limits{tb: deletedSoftly}, `{"$tb":9223372036854775807}`)
					}
					return
				}
				_, err := client.TombstoneStream(within(t), name, esdb.TombstoneStreamOptions{ExpectedRevision: revision})
				agreed(rt, m.expects(name, revision), err)
				if err == nil {
					m.tombstoned[name] = true
					m.all = append(m.all, modelEvent{stream: name, revision: maxRevision})
				}
			},
			"repeat": func(rt *rapid.T) {
				if len(requests) == 0 {
					rt.Skip("nothing to repeat")
				}
				r := rapid.SampledFrom(requests).Draw(rt, "request")
				res, err := send(r)
				_, exists := r.revision.(esdb.StreamExists)
				if m.tombstoned[r.stream] || exists && m.limits[r.stream].tb == deletedSoftly {
					require.Equal(rt, esdb.ErrorCodeStreamDeleted, code(err))
					return
				}
				require.NoError(rt, err)
				require.Equal(rt, r.answer, res)
			},
			"read a stream": func(rt *rapid.T) {
				name, count := stream.Draw(rt, "stream"), rapid.IntRange(1, 10).Draw(rt, "count")
				events, there := m.readable(name)
				read, err := client.ReadStream(within(t), name, esdb.ReadStreamOptions{}, uint64(count))
				found, err := drainErr(read, err)
				switch {
				case m.tombstoned[name]:
					require.Equal(rt, esdb.ErrorCodeStreamDeleted, code(err))
					return
				case !there:
					require.Equal(rt, esdb.ErrorCodeResourceNotFound, code(err))
					return
				}
				require.NoError(rt, err)
				require.Equal(rt, clip(events, count), observed(found))
				all := m.streams[name]
				from := rapid.IntRange(0, len(all)-1).Draw(rt, "from")
				first := len(all) - len(events)
				read, err = client.ReadStream(within(t), name, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.Revision(uint64(from))}, uint64(count))
				found, err = drainErr(read, err)
				require.NoError(rt, err)
				require.Equal(rt, clip(reversed(all[min(first, from+1):from+1]), count), observed(found))
			},
			"restart": func(rt *rapid.T) {
				if rapid.IntRange(0, 19).Draw(rt, "restart") != 0 {
					rt.Skip("not now") // it takes long
				}
				require.NoError(rt, client.Close())
				require.NoError(rt, n.Close())
				n = start(t, Options{Dir: n.dir})
				client = connect(t, n)
				conn = raw(t, n)
			},
			"read $all": compare,
		})
		compare(rt)
		base = esdb.Position{Commit: n.committer.horizon.durable()}
		base.Prepare = base.Commit
	})
}

// agreed says that a deletion went as the model has it.
func agreed(rt *rapid.T, v verdict, err error) {
	switch v {
	case taken:
		require.NoError(rt, err)
	case streamGone:
		require.Equal(rt, esdb.ErrorCodeStreamDeleted, code(err))
	case wrongRevision:
		require.ErrorContains(rt, err, "FailedPrecondition")
		require.NotEqual(rt, esdb.ErrorCodeStreamDeleted, code(err))
	}
}
