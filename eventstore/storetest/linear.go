package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

// call is an append of one event to a stream, or a read of the whole of it.
type call struct {
	stream   int
	expected eventstore.Expected
	id       eventstore.ID // zero: a read
}

// answer is what came back.
type answer struct {
	conflict *eventstore.ConflictError
	revision uint64 // of an append that was taken
	ids      string // of a read: all ids, one behind the other
}

// oneStream is a stream as the contract has it: the ids of its events, one behind
// the other. A history is linearizable if its calls, each somewhere between its
// beginning and its end, could have been made to this one after another.
var oneStream = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		streams := map[int][]porcupine.Operation{}
		for _, o := range history {
			stream := o.Input.(call).stream
			streams[stream] = append(streams[stream], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range streams {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		ids, c, a := state.(string), input.(call), output.(answer)
		length := uint64(len(ids) / len(c.id))
		if c.id == (eventstore.ID{}) {
			return a.ids == ids, state
		}
		if at := strings.Index(ids, string(c.id[:])); at >= 0 { // a repetition
			return a.conflict == nil && a.revision == uint64(at/len(c.id)), state
		}
		var holds bool
		switch c.expected.Kind {
		case eventstore.ExpectAny:
			holds = true
		case eventstore.ExpectExists:
			holds = length > 0
		case eventstore.ExpectNoStream:
			holds = length == 0
		case eventstore.ExpectRevision:
			holds = length == c.expected.Revision+1
		}
		if a.conflict != nil {
			return !holds && a.conflict.Exists == (length > 0) && (length == 0 || a.conflict.Actual == length-1), state
		}
		return holds && a.revision == length, ids + string(c.id[:])
	},
}

// linear makes calls of all kinds to a few streams from many clients at once and
// demands that the history is linearizable, stream by stream.
func linear(t *trial) {
	const streams, clients, calls = 3, 6, 40
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	t.together(clients, func(ctx context.Context, client int) error {
		var length [streams]uint64 // as far as this client knows
		var last call              // that was taken
		for n := range calls {
			c := call{stream: rand.IntN(streams)}
			switch choice := rand.IntN(10); {
			case choice < 3: // a read
			case choice == 3 && last.id != eventstore.ID{}:
				c = last
			default:
				c.id = eventstore.DeriveID(eventstore.DeriveID(eventstore.ID{}, t.token), string(rune('a'+client))+string(rune(n)))
				switch known := length[c.stream]; {
				case choice == 4:
					c.expected = eventstore.Any()
				case choice == 5:
					c.expected = eventstore.Exists()
				case known == 0:
					c.expected = eventstore.NoStream()
				default:
					c.expected = eventstore.At(known - 1)
				}
			}
			from := time.Since(began)
			a, err := t.make(ctx, c)
			until := time.Since(began)
			if err != nil {
				return err
			}
			switch {
			case c.id == eventstore.ID{}:
				length[c.stream] = uint64(len(a.ids) / len(c.id))
			case a.conflict == nil:
				length[c.stream], last = a.revision+1, c
			case a.conflict.Exists:
				length[c.stream] = a.conflict.Actual + 1
			}
			mu.Lock()
			history = append(history, porcupine.Operation{ClientId: client, Input: c, Output: a, Call: int64(from), Return: int64(until)})
			mu.Unlock()
		}
		return nil
	})
	require.Len(t, history, clients*calls)
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(oneStream, history, patience/2), "of %d calls", len(history))
}

// make makes a call; a conflict is an answer.
func (t *trial) make(ctx context.Context, c call) (a answer, err error) {
	stream := t.stream(string(rune('a' + c.stream)))
	if c.id == (eventstore.ID{}) {
		for e, err := range t.log.ReadStream(ctx, stream, 0) {
			switch {
			case eventstore.IsNotFound(err):
				return answer{}, nil
			case err != nil:
				return answer{}, err
			}
			a.ids += string(e.ID[:])
		}
		return a, nil
	}
	appended, err := t.log.Append(ctx, stream, c.expected, eventstore.Event{ID: c.id, Type: t.kind("Noted"), Data: []byte(`{}`)})
	if errors.As(err, &a.conflict) {
		return a, nil
	}
	a.revision = appended.Revision
	return a, err
}
