package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/graph-gophers/graphql-go"
	"github.com/graph-gophers/graphql-go/relay"
	"github.com/stretchr/testify/require"
)

// api answers the page's queries: a real GraphQL server with the part of
// Factgate's schema that the default query asks for.
type api struct{}

const apiSchema = `
	type Query {
		"The newest tasks first."
		tasks(first: Int): TaskConnection!
	}
	type TaskConnection { edges: [TaskEdge!]! }
	type TaskEdge { node: Task! }
	"One uploaded package."
	type Task { id: ID!, status: TaskStatus!, fileName: String!, observedTypes: [String!]!, lastEventAt: String }
	enum TaskStatus { SUCCESS FAILED }`

type (
	connection struct{ Edges []edge }
	edge       struct{ Node task }
	task       struct {
		ID            graphql.ID
		Status        string
		FileName      string
		ObservedTypes []string
		LastEventAt   *string
	}
)

func (*api) Tasks(args struct{ First *int32 }) connection {
	at := "2026-01-02T03:04:05Z"
	tasks := []edge{
		{task{"task-new", "SUCCESS", "批次-新.zip", []string{"EXCEL", "SQL"}, &at}},
		{task{"task-old", "FAILED", "批次-旧.zip", []string{}, nil}},
	}
	if args.First != nil && int(*args.First) < len(tasks) {
		tasks = tasks[:*args.First]
	}
	return connection{tasks}
}

// The page in a real browser: it renders, asks the API, shows the answers, and
// nothing on it runs into the Content-Security-Policy.
func TestGraphiQLInChromium(t *testing.T) {
	schema, err := graphql.ParseSchema(apiSchema, &api{}, graphql.UseFieldResolvers())
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.Handle("POST /graphql", &relay.Handler{Schema: schema})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	// Not t.Context(): that ends before the cleanups run, and would kill
	// Chromium where it should end by itself.
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	b := openTab(ctx, t)
	b.call("Page.navigate", map[string]any{"url": server.URL + "/graphiql"}, nil)

	const (
		editor = `document.querySelector('.graphiql-query-editor .CodeMirror')?.CodeMirror`
		result = `document.querySelector('.result-window .CodeMirror')?.CodeMirror?.getValue()`
	)

	// It renders, with the default query and the schema it asked the API for.
	b.waitFor(editor + `?.getValue().includes('tasks(first: 10)')`)
	b.waitFor(editor + `?.options.lint?.schema?.getType('TaskConnection')`)
	require.Equal(t, "Factgate GraphiQL", b.eval(`document.title`))
	require.Equal(t, "Factgate GraphiQL", b.eval(`document.querySelector('.graphiql-logo').innerText`))

	// The default query is answered.
	b.click(`.graphiql-execute-button`)
	b.waitFor(result + `?.includes('批次-旧.zip')`)
	b.screenshot("graphiql.png")

	// So is a query typed into the editor, after a slip that is marked.
	b.click(`.graphiql-query-editor .CodeMirror-lines`)
	b.press("a", 'A', ctrl)
	b.typeText(`{ tasks(first: 1) { edges { node { id nonsense } } } }`)
	b.waitFor(`document.querySelector('.graphiql-query-editor .CodeMirror-lint-mark-error')`)
	b.press("a", 'A', ctrl)
	b.typeText(`{ tasks(first: 1) { edges { node { id status } } } }`)
	b.press("Enter", 13, ctrl)
	b.waitFor(result + `?.includes('task-new') && !` + result + `.includes('fileName')`)
	require.JSONEq(t, `{"data": {"tasks": {"edges": [{"node": {"id": "task-new", "status": "SUCCESS"}}]}}}`, b.eval(result))

	// The parts that open on demand: documentation and its search, history, a
	// second tab, the key list, settings with another theme.
	b.click(`[aria-label="Show Documentation Explorer"]`)
	b.click(`.graphiql-doc-explorer-search-input`)
	b.typeText("TaskConn")
	b.waitFor(`document.querySelector('[role="listbox"] [role="option"]')?.innerText === 'TaskConnection'`)
	b.screenshot("documentation.png")
	b.press("Enter", 13, 0)
	b.waitFor(`document.querySelector('.graphiql-doc-explorer-title')?.innerText === 'TaskConnection'`)
	b.click(`[aria-label="Show History"]`)
	b.waitFor(`document.querySelector('.graphiql-history-item')`)
	b.click(`.graphiql-tab-add`)
	b.waitFor(`document.querySelectorAll('.graphiql-tab').length === 2`)
	b.click(`[aria-label="Open short keys dialog"]`)
	b.waitFor(`document.querySelector('.graphiql-dialog')?.innerText.includes('Ctrl')`)
	b.press("Escape", 27, 0)
	b.waitFor(`!document.querySelector('.graphiql-dialog')`)
	b.click(`[aria-label="Open settings dialog"]`)
	b.click(`.graphiql-dialog [data-theme="dark"]`)
	b.waitFor(`document.body.classList.contains('graphiql-dark')`)
	b.screenshot("settings.png")

	require.Empty(t, b.violations, "blocked by the Content-Security-Policy")
	require.Empty(t, b.complaints)

	// The proof that a violation would have been seen.
	b.eval(`void document.head.append(Object.assign(document.createElement('style'), {textContent: 'p {}'}))`)
	b.waitFor(`document.querySelector('style')`)
	require.Equal(t, []string{"style-src-elem inline"}, b.violations)
	require.Len(t, b.complaints, 1)
}
