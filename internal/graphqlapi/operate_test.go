package graphqlapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

// operator is a handler that takes wishes.
func (w *world) operator(there bool) *graphqlapi.Handler {
	return w.handler(graphqlapi.Options{Commands: commands.New(w.log), HasBlob: func(context.Context, string) (bool, error) { return there, nil }})
}

// declared is a whole mutation, with the variables that it speaks of.
func declared(mutation string) string {
	declarations := "$id: ID!"
	for name, kind := range map[string]string{"$attempt": "Int", "$key": "String"} {
		if strings.Contains(mutation, name) {
			declarations += ", " + name + ": " + kind
		}
	}
	return "mutation (" + declarations + ") { wish: " + mutation + " { taskId position changed } }"
}

// wish sends a mutation that must succeed, and returns its change.
func wish(t *testing.T, h http.Handler, mutation string, variables map[string]any) (change map[string]any) {
	t.Helper()
	_, got := post(t, h, declared(mutation), variables)
	require.Empty(t, got.Errors)
	return got.Data["wish"].(map[string]any)
}

func refused(t *testing.T, h http.Handler, mutation string, variables map[string]any) (code string) {
	t.Helper()
	_, got := post(t, h, declared(mutation), variables)
	require.NotEmpty(t, got.Errors)
	require.NotEmpty(t, got.Errors[0].Extensions["messageZh"])
	code, _ = got.Errors[0].Extensions["code"].(string)
	return code
}

func (w *world) types(id string) (types []string) {
	w.t.Helper()
	facts, err := commands.New(w.log).Load(context.Background(), id)
	require.NoError(w.t, err)
	for _, f := range facts {
		types = append(types, task.TypeName(f.Fact))
	}
	return types
}

func dead(id queries.TaskID) []task.Fact {
	return []task.Fact{
		given.Uploaded(id, "p"), given.Opened(id), task.SubTaskStarted{TaskID: id.String(), Type: "SQL", Attempt: 1, Scanner: task.Scanner{Name: "s"}},
		task.SubTaskFailed{TaskID: id.String(), Type: "SQL", Attempt: 1, Kind: task.Error, Reason: "no way", ReasonZH: "不行", Parked: true},
	}
}

func TestATaskIsCancelledOnceAndSaysWhy(t *testing.T) {
	w := newWorld(t)
	id := given.NewTask()
	w.Follow(w.Tell(id, given.Uploaded(id, "p"), given.Opened(id)))
	h, ask := w.operator(true), map[string]any{"id": id.String()}
	first := wish(t, h, `cancelTask(id: $id, reason: "wrong file", by: "li")`, ask)
	require.Equal(t, map[string]any{"taskId": id.String(), "position": first["position"], "changed": true}, first)
	again := wish(t, h, `cancelTask(id: $id, reason: "again", by: "wang")`, ask)
	require.Equal(t, map[string]any{"taskId": id.String(), "position": first["position"], "changed": false}, again)
	require.Equal(t, []string{"ZipUploaded", "MainTaskCreated", "MainTaskCancelled"}, w.types(id.String()))

	_, got := post(t, h, fmt.Sprintf(`{ task(id: %q, atPosition: %q) { phase cancelled { reason at } history(afterRevision: 1) { type actor data } } }`, id, first["position"]), nil)
	require.Empty(t, got.Errors)
	shown := got.Data["task"].(map[string]any)
	require.Equal(t, "CANCELLED", shown["phase"])
	require.Equal(t, "wrong file", shown["cancelled"].(map[string]any)["reason"])
	require.Equal(t, "li", shown["history"].([]any)[0].(map[string]any)["actor"])

	over := given.NewTask()
	w.Tell(over, append([]task.Fact{given.Uploaded(over, "p"), given.Opened(over)}, given.Closed(over, task.Success)...)...)
	require.Equal(t, "task.converged", refused(t, h, `cancelTask(id: $id, reason: "late")`, map[string]any{"id": over.String()}))
	require.Equal(t, "task.unknown", refused(t, h, `cancelTask(id: $id, reason: "who")`, map[string]any{"id": given.NewTask().String()}))
	require.Equal(t, "reason.invalid", refused(t, h, `cancelTask(id: $id, reason: "")`, ask))
	require.Equal(t, "task.id", refused(t, h, `cancelTask(id: $id, reason: "x")`, map[string]any{"id": "x"}))
}

func TestARetryIsWishedOnceForEachAttempt(t *testing.T) {
	w := newWorld(t)
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "p"), given.Opened(id), task.SubTaskStarted{Type: "MADE_UP", Attempt: 1}, task.SubTaskFailed{Type: "MADE_UP", Attempt: 1, Kind: task.Check})
	w.Follow(w.Tell(id, given.Closed(id, task.Failed)...))
	h, ask := w.operator(true), map[string]any{"id": id.String(), "attempt": 1}
	retry := `retrySubTask(task: $id, type: "MADE_UP", reason: "fixed", by: "li", attempt: $attempt)`
	first := wish(t, h, retry, ask)
	require.Equal(t, true, first["changed"])
	_, got := post(t, h, fmt.Sprintf(`{ task(id: %q, atPosition: %q) { lateFacts subTasks { retryWanted late } } }`, id, first["position"]), nil)
	require.Equal(t, map[string]any{"lateFacts": 1.0, "subTasks": []any{map[string]any{"retryWanted": true, "late": false}}}, got.Data["task"])
	require.Equal(t, false, wish(t, h, retry, ask)["changed"])
	w.Tell(id, task.SubTaskStarted{Type: "MADE_UP", Attempt: 2})
	require.Equal(t, false, wish(t, h, retry, ask)["changed"], "granted")
	require.Equal(t, "sub_task.running", refused(t, h, `retrySubTask(task: $id, type: "MADE_UP", reason: "now")`, ask))
	require.Equal(t, "sub_task.not_started", refused(t, h, `retrySubTask(task: $id, type: "OTHER", reason: "now")`, ask))
	require.Equal(t, "attempt.invalid", refused(t, h, retry, map[string]any{"id": id.String(), "attempt": 0}))
}

func TestARescanIsANewTaskThatNamesTheOld(t *testing.T) {
	w := newWorld(t)
	id := given.NewTask()
	w.Follow(w.Tell(id, given.Uploaded(id, "p"), given.Opened(id)))
	h, ask := w.operator(true), map[string]any{"id": id.String(), "key": "k"}
	rescan := `rescanTask(id: $id, reason: "new rules", by: "li", idempotencyKey: $key)`
	first := wish(t, h, rescan, ask)
	require.NotEqual(t, id.String(), first["taskId"])
	again := wish(t, h, rescan, ask)
	require.Equal(t, first["taskId"], again["taskId"])
	require.Equal(t, false, again["changed"])
	other := wish(t, h, `rescanTask(id: $id, reason: "once more")`, map[string]any{"id": id.String()})

	_, got := post(t, h, fmt.Sprintf(`{ old: task(id: %q, atPosition: %q) { rescanOf rescans } new: task(id: %[3]q, atPosition: %[2]q) { rescanOf rescans fileName sha256 project uploadedBy history { data } } }`,
		id, other["position"], first["taskId"]), nil)
	require.Empty(t, got.Errors)
	require.Equal(t, map[string]any{"rescanOf": nil, "rescans": []any{other["taskId"], first["taskId"]}}, got.Data["old"])
	shown := got.Data["new"].(map[string]any)
	require.Equal(t, id.String(), shown["rescanOf"])
	require.Equal(t, []any{"p.zip", "00", "p", "li"}, []any{shown["fileName"], shown["sha256"], shown["project"], shown["uploadedBy"]})
	require.Equal(t, "new rules", shown["history"].([]any)[0].(map[string]any)["data"].(map[string]any)["rescanReason"])

	require.Equal(t, "package.expired", refused(t, w.operator(false), rescan, ask))
	require.Equal(t, "task.unknown", refused(t, h, rescan, map[string]any{"id": given.NewTask().String()}))
	require.Equal(t, "rescan.key", refused(t, h, rescan, map[string]any{"id": id.String(), "key": ""}))
}

func TestADeadLetterIsReplayedOnceHoweverOftenItIsAsked(t *testing.T) {
	w := newWorld(t)
	var ids []queries.TaskID
	var last eventstore.Position
	for range 3 {
		id := given.NewTask()
		ids, last = append(ids, id), w.Tell(id, dead(id)...)
	}
	w.Follow(last)
	h := w.operator(true)
	const list = `query ($state: DeadLetterState, $after: String, $type: String, $project: String, $at: String) {
		deadLetters(first: 2, after: $after, state: $state, type: $type, project: $project, atPosition: $at) {
			nodes { taskId project fileName type attempt parkedAt position reason { en zh } scanner { name } state settledAt settledBy settledReason }
			pageInfo { hasNextPage endCursor } } }`
	listed := func(variables map[string]any) (states map[string]string, after any) {
		t.Helper()
		_, got := post(t, h, list, variables)
		require.Empty(t, got.Errors)
		page := got.Data["deadLetters"].(map[string]any)
		states = map[string]string{}
		for _, n := range page["nodes"].([]any) {
			n := n.(map[string]any)
			states[n["taskId"].(string)] = n["state"].(string)
			require.Equal(t, map[string]any{"en": "no way", "zh": "不行"}, n["reason"])
		}
		return states, page["pageInfo"].(map[string]any)["endCursor"]
	}
	newest, after := listed(nil)
	require.Equal(t, map[string]string{ids[2].String(): "OPEN", ids[1].String(): "OPEN"}, newest)
	oldest, _ := listed(map[string]any{"after": after})
	require.Equal(t, map[string]string{ids[0].String(): "OPEN"}, oldest)
	none, _ := listed(map[string]any{"type": "OTHER"})
	require.Empty(t, none)
	none, _ = listed(map[string]any{"project": "q"})
	require.Empty(t, none)

	replay := `replayDeadLetter(task: $id, type: "SQL", reason: "disk is back", by: "li", attempt: $attempt)`
	ask := map[string]any{"id": ids[0].String(), "attempt": 1}
	withoutPackages := w.operator(false)
	require.Equal(t, "package.expired", refused(t, withoutPackages, replay, ask))
	require.Equal(t, "package.expired", refused(t, withoutPackages, `retrySubTask(task: $id, type: "SQL", reason: "x")`, ask))
	require.Equal(t, true, wish(t, h, replay, ask)["changed"])
	require.Equal(t, false, wish(t, withoutPackages, replay, ask)["changed"], "it is so already")
	require.Equal(t, false, wish(t, h, replay, ask)["changed"])
	w.Tell(ids[0], task.SubTaskStarted{Type: "SQL", Attempt: 2}, task.SubTaskCompleted{Type: "SQL", Attempt: 2, Result: task.Pass})
	require.Equal(t, false, wish(t, h, replay, ask)["changed"])
	require.Equal(t, []string{"ZipUploaded", "MainTaskCreated", "SubTaskStarted", "SubTaskFailed", "SubTaskRetryRequested", "SubTaskStarted", "SubTaskCompleted"}, w.types(ids[0].String()))

	discard := `discardDeadLetter(task: $id, type: "SQL", reason: "no use", by: "wang")`
	require.Equal(t, "dead_letter.replayed", refused(t, h, discard, ask))
	gone := wish(t, h, discard, map[string]any{"id": ids[1].String()})
	require.Equal(t, true, gone["changed"])
	require.Equal(t, false, wish(t, h, discard, map[string]any{"id": ids[1].String()})["changed"])
	require.Equal(t, "dead_letter.discarded", refused(t, h, replay, map[string]any{"id": ids[1].String()}))
	require.Equal(t, "dead_letter.unknown", refused(t, h, `discardDeadLetter(task: $id, type: "OTHER", reason: "x")`, ask))

	open, _ := listed(map[string]any{"state": "OPEN", "at": gone["position"]})
	require.Equal(t, map[string]string{ids[2].String(): "OPEN"}, open)
	_, got := post(t, h, `query ($a: ID!, $b: ID!) {
		a: deadLetter(task: $a, type: "SQL") { state settledBy settledReason attempt }
		b: deadLetter(task: $b, type: "SQL") { state settledBy settledReason attempt }
		none: deadLetter(task: $a, type: "OTHER") { state } }`, map[string]any{"a": ids[0].String(), "b": ids[1].String()})
	require.Empty(t, got.Errors)
	require.Equal(t, map[string]any{
		"a":    map[string]any{"state": "REPLAYED", "settledBy": "li", "settledReason": "disk is back", "attempt": 1.0},
		"b":    map[string]any{"state": "DISCARDED", "settledBy": "wang", "settledReason": "no use", "attempt": 1.0},
		"none": nil,
	}, got.Data)
}

// What intake parks is in no task's facts; the log's own stream has it.
func TestParkedUploadsAreListed(t *testing.T) {
	w := newWorld(t)
	h := w.operator(true)
	_, got := post(t, h, `{ parkedUploads { stream } }`, nil)
	require.Empty(t, got.Errors)
	require.Empty(t, got.Data["parkedUploads"])

	const group = "coordinator-intake"
	require.NoError(t, w.log.EnsureGroup(t.Context(), eventstore.Group{Name: group, Filter: eventstore.Filter{Types: []string{"ZipUploaded"}}}))
	id := eventstore.ID(uuid.New())
	_, err := w.log.Append(t.Context(), eventstore.StreamID{Category: "foreign", Key: "1"}, eventstore.Any(), eventstore.Event{ID: id, Type: "ZipUploaded", Data: []byte(`{}`), Metadata: []byte(`{}`)})
	require.NoError(t, err)
	consumer, err := w.log.Consume(t.Context(), group, 1)
	require.NoError(t, err)
	d, err := consumer.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, consumer.Park(d, "a ZipUploaded outside of a task's stream"))
	defer consumer.Close()
	require.Eventually(t, func() bool {
		_, got = post(t, h, `{ parkedUploads(first: 5) { stream revision taskId reason parkedAt } }`, nil)
		return len(got.Errors) == 0 && len(got.Data["parkedUploads"].([]any)) == 1
	}, testbench.Patience, 10*time.Millisecond)
	shown := got.Data["parkedUploads"].([]any)[0].(map[string]any)
	require.NotEmpty(t, shown["parkedAt"])
	delete(shown, "parkedAt")
	require.Equal(t, map[string]any{"stream": "foreign-1", "revision": 0.0, "taskId": nil, "reason": "a ZipUploaded outside of a task's stream"}, shown)
}

// A link on a page that an operator opens must change nothing.
func TestMutationsComeByPostOnly(t *testing.T) {
	w := newWorld(t)
	id := given.NewTask()
	w.Tell(id, given.Uploaded(id, "p"), given.Opened(id))
	text := fmt.Sprintf(`mutation { cancelTask(id: %q, reason: "x") { changed } }`, id)
	r := httptest.NewRequest(http.MethodGet, "/graphql?query="+url.QueryEscape(text), nil)
	_, got := do(t, w.operator(true), r)
	require.Equal(t, "mutation.method", got.Errors[0].Extensions["code"])
	require.Len(t, w.types(id.String()), 2)
	_, got = post(t, w.handler(graphqlapi.Options{}), text, nil)
	require.Equal(t, "mutation.read_only", got.Errors[0].Extensions["code"])
}

func TestARequestHoldsSoManyMutations(t *testing.T) {
	w := newWorld(t)
	h := w.operator(true)
	var text strings.Builder
	text.WriteString("mutation {")
	for i := range 51 {
		fmt.Fprintf(&text, " m%d: cancelTask(id: %q, reason: \"x\") { changed }", i, given.NewTask())
	}
	_, got := post(t, h, text.String()+"}", nil)
	var costly int
	for _, e := range got.Errors {
		if e.Extensions["code"] == "query.too_costly" {
			costly++
		}
	}
	require.Equal(t, 1, costly)
}
