package storetest

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

// The model finds what it is there to find.
func TestTheModelOfAStreamTellsRightFromWrong(t *testing.T) {
	a, b := eventstore.ID{1}, eventstore.ID{2}
	ok := func(revision uint64) answer { return answer{revision: revision} }
	conflict := func(actual uint64) answer {
		return answer{conflict: &eventstore.ConflictError{Exists: true, Actual: actual}}
	}
	read := func(ids ...eventstore.ID) answer {
		var all string
		for _, id := range ids {
			all += string(id[:])
		}
		return answer{ids: all}
	}
	at := func(c call, a answer, from, until int64) porcupine.Operation {
		return porcupine.Operation{Input: c, Output: a, Call: from, Return: until}
	}
	first := call{id: a, expected: eventstore.NoStream()}
	rival := call{id: b, expected: eventstore.NoStream()}
	second := call{id: b, expected: eventstore.At(0)}
	whole := call{}
	for name, c := range map[string]struct {
		right   bool
		history []porcupine.Operation
	}{
		"one after another":         {true, []porcupine.Operation{at(first, ok(0), 1, 2), at(second, ok(1), 3, 4), at(whole, read(a, b), 5, 6)}},
		"one of two wins":           {true, []porcupine.Operation{at(first, ok(0), 1, 4), at(rival, conflict(0), 2, 3), at(whole, read(a), 5, 6)}},
		"a repetition":              {true, []porcupine.Operation{at(first, ok(0), 1, 2), at(second, ok(1), 3, 4), at(first, ok(0), 5, 6), at(whole, read(a, b), 7, 8)}},
		"two of two win":            {false, []porcupine.Operation{at(first, ok(0), 1, 4), at(rival, ok(0), 2, 3)}},
		"none of two wins":          {false, []porcupine.Operation{at(first, conflict(0), 1, 4), at(rival, conflict(0), 2, 3)}},
		"a read of the past":        {false, []porcupine.Operation{at(first, ok(0), 1, 2), at(whole, read(), 3, 4)}},
		"a repetition that doubles": {false, []porcupine.Operation{at(first, ok(0), 1, 2), at(first, ok(1), 3, 4)}},
		"a conflict for nothing":    {false, []porcupine.Operation{at(first, ok(0), 1, 2), at(second, conflict(0), 3, 4)}},
		"an event that vanishes":    {false, []porcupine.Operation{at(first, ok(0), 1, 2), at(whole, read(a), 3, 4), at(whole, read(), 5, 6)}},
	} {
		require.Equal(t, c.right, porcupine.CheckOperations(oneStream, c.history), name)
	}
}
