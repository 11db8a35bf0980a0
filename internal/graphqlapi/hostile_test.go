package graphqlapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench/given"
)

// Words that the schema does not know, written by a stranger who did not ask.
func TestAStrangersWordsDoNotSpoilTheAnswer(t *testing.T) {
	w := newWorld(t)
	id := given.NewTask()
	last := w.Tell(id, given.Uploaded(id, "p"), given.Opened(id),
		task.SubTaskStarted{Type: "SQL", Attempt: 1}, task.SubTaskCompleted{Type: "SQL", Attempt: 1, Result: "OK"},
		task.SubTaskStarted{Type: "API", Attempt: 1}, task.SubTaskFailed{Type: "API", Attempt: 1, Kind: "OOPS", Reason: "x"},
		task.SubTaskStarted{Type: "NEG", Attempt: -1 << 40}, task.SubTaskFailed{Type: "NEG", Attempt: 1, Kind: task.Check, Coverage: &task.Coverage{Eligible: -1 << 40}})
	last = max(last, w.Tell(id, given.Closed(id, "GREAT")...))
	other := given.NewTask()
	last = max(last, w.Tell(other, given.Uploaded(other, "p"), given.Opened(other), task.WindowClosed{Cause: "BORED"}))
	w.Follow(last)
	_, got := post(t, w.handler(graphqlapi.Options{}), `{ tasks { nodes `+everything+` } }`, nil)
	require.Empty(t, got.Errors)
	text, err := json.Marshal(got.Data)
	require.NoError(t, err)
	require.Contains(t, string(text), `"status":"FAILED"`, "what nobody knows is not taken for good")
}

// Every task's history is a stream to be read: a list of them is dear.
func TestHistoriesOfManyTasksAreDear(t *testing.T) {
	w := newWorld(t)
	last, _ := w.fill(2)
	w.Follow(last)
	var fields strings.Builder
	for i := range 300 {
		fmt.Fprintf(&fields, " h%d: history(first: 1) { id }", i)
	}
	_, got := post(t, w.handler(graphqlapi.Options{}), `{ tasks { nodes {`+fields.String()+` } } }`, nil)
	require.NotEmpty(t, got.Errors)
	require.Equal(t, "query.too_costly", got.Errors[0].Extensions["code"])
}

func TestPartsAreReadHoweverTheyAreAskedFor(t *testing.T) {
	w := newWorld(t)
	last, _ := w.fill(2)
	w.Follow(last)
	for _, query := range []string{
		`{ t: tasks { n: nodes { s: subTasks { t: type } } } }`,
		`{ tasks { e: edges { n: node { d: declined { type } } nodeAgain: node { silent } } } }`,
		`{ tasks { ...page } } fragment page on TaskConnection { edges { node { ...task } } } fragment task on Task { ... on Task { silent } }`,
		`query ($yes: Boolean = true) { tasks { nodes @include(if: $yes) { id subTasks @skip(if: false) { type } } } }`,
		`{ a: tasks { nodes { subTasks { type } } } b: tasks { nodes { silent } nodes { declined { type } } } }`,
	} {
		_, got := post(t, w.handler(graphqlapi.Options{}), query, nil)
		require.Empty(t, got.Errors, query)
	}
}
