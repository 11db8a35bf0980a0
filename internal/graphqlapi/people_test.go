package graphqlapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/dossier"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/queries"
)

// rows are all tasks and dead letters of a read model, as text.
func rows(t *testing.T, db *pgxpool.Pool) (text string) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), `select (select json_agg(t order by first_position) from live.tasks t)::text ||
		(select json_agg(d order by parked_position) from live.dead_letters d)::text`).Scan(&text))
	return text
}

func (w *world) dossier(id queries.TaskID) string {
	var b bytes.Buffer
	require.NoError(w.t, w.queries.Dossier(w.t.Context(), id, dossier.Header{MadeAt: time.Unix(1, 0), Tool: "test"}, func() io.Writer { return &b }))
	return b.String()
}

func TestNoNameOfAPersonIsStoredAndEachIsShownUntilItIsErased(t *testing.T) {
	const who = "李雷-4711"
	w := newWorld(t)
	c := commands.New(w.log)
	h := w.handler(graphqlapi.Options{Commands: c, RuleBook: commands.NewRuleBook(w.log), HasBlob: func(context.Context, string) (bool, error) { return true, nil }})
	upload := func(by string) queries.TaskID {
		text, _, err := c.Upload(t.Context(), commands.Upload{BlobKey: "k", FileName: "p.zip", SHA256: "00", Project: "p", By: by, Now: time.Now()})
		require.NoError(t, err)
		id, err := queries.ParseTaskID(text)
		require.NoError(t, err)
		return id
	}
	id, cancelled := upload(who), upload("wang")
	w.Tell(id, dead(id)[1:]...)
	ruleSet := "name: mine\nwindow: 7m\nquiet: 3s\nrules:\n  - {id: always, when: \"true\", status: SUCCESS}\n"
	for _, mutation := range []string{
		`cancelTask(id: "` + cancelled.String() + `", reason: "x", by: $by) { position }`,
		`discardDeadLetter(task: "` + id.String() + `", type: "SQL", reason: "x", by: $by) { position }`,
		`retrySubTask(task: "` + id.String() + `", type: "SQL", reason: "x", by: $by) { position }`,
		`rescanTask(id: "` + id.String() + `", reason: "x", by: $by) { position }`,
		`publishRuleSet(text: ` + quoted(ruleSet) + `, by: $by) { position }`,
		`activateRuleSet(name: "mine", project: "p", by: $by) { position }`,
		`configureProject(project: "p", quiet: "4s", by: $by) { position }`,
		`erasePerson(name: "nobody", reason: "x", by: $by) { changed }`,
	} {
		_, got := post(t, h, "mutation ($by: String) { "+mutation+" }", map[string]any{"by": who})
		require.Empty(t, got.Errors, mutation)
	}
	head, err := w.log.Head(t.Context())
	require.NoError(t, err)
	w.Follow(head)
	for r, err := range w.log.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		require.NotContains(t, r.Stream.String()+string(r.Data)+string(r.Metadata), who, "%s", r.Type)
	}
	stored, file := rows(t, w.pool), w.dossier(id)
	require.NotContains(t, stored+file, who)

	const ask = `query ($id: ID!) {
		task(id: $id) { uploadedBy uploadedByKey history(first: 100) { type actor } }
		deadLetters(first: 1) { nodes { settledBy } }
		ruleSets { name versions { by } } }`
	shown := func(language string) (uploader, key, retried, settled, published string) {
		body, err := json.Marshal(map[string]any{"query": ask, "variables": map[string]any{"id": id.String()}})
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept-Language", language)
		_, got := do(t, h, r)
		require.Empty(t, got.Errors)
		of := got.Data["task"].(map[string]any)
		history := of["history"].([]any)
		for _, s := range got.Data["ruleSets"].([]any) {
			if s := s.(map[string]any); s["name"] == "mine" {
				published = s["versions"].([]any)[0].(map[string]any)["by"].(string)
			}
		}
		return of["uploadedBy"].(string), of["uploadedByKey"].(string), history[len(history)-1].(map[string]any)["actor"].(string),
			got.Data["deadLetters"].(map[string]any)["nodes"].([]any)[0].(map[string]any)["settledBy"].(string), published
	}
	uploader, key, retried, settled, published := shown("en")
	for _, name := range []string{uploader, retried, settled, published} {
		require.Equal(t, who, name)
	}

	_, got := post(t, h, `mutation ($who: String!) { erasePerson(name: $who, reason: "asked for it", by: "zhang") { changed keys clearText { facts streams complete } } }`, map[string]any{"who": who})
	require.Empty(t, got.Errors)
	require.Equal(t, map[string]any{"changed": true, "keys": []any{key}, "clearText": map[string]any{"facts": 0., "streams": 0., "complete": true}}, got.Data["erasePerson"])
	_, got = post(t, h, `query ($key: String!) { erasures { revision key by reason at } tasks(uploadedByKey: $key) { nodes { id uploadedByKey } } }`, map[string]any{"key": key})
	require.Empty(t, got.Errors)
	erasure := got.Data["erasures"].([]any)[0].(map[string]any)
	require.Len(t, got.Data["erasures"], 1)
	require.Equal(t, []any{key, "zhang", "asked for it"}, []any{erasure["key"], erasure["by"], erasure["reason"]})
	require.NotEmpty(t, erasure["at"])
	found := got.Data["tasks"].(map[string]any)["nodes"].([]any)
	require.NotEmpty(t, found)
	for _, n := range found {
		require.Equal(t, key, n.(map[string]any)["uploadedByKey"])
		require.NotEqual(t, cancelled.String(), n.(map[string]any)["id"])
	}
	_, got = post(t, h, `query ($after: Int!, $key: String!) { erasures(afterRevision: $after) { key } tasks(uploadedByKey: $key) { nodes { id } } }`, map[string]any{"after": erasure["revision"], "key": key[:8]})
	require.Empty(t, got.Errors)
	require.Empty(t, got.Data["erasures"])
	require.Empty(t, got.Data["tasks"].(map[string]any)["nodes"], "a part of a key is no key")
	for language, want := range map[string]string{"en": "erased #" + key[:8], "zh-CN,zh;q=0.9": "已删除 #" + key[:8]} {
		uploader, after, retried, settled, published := shown(language)
		require.Equal(t, key, after)
		for _, name := range []string{uploader, retried, settled, published} {
			require.Equal(t, want, name)
		}
	}
	// A server without commands still shows no token.
	_, got = post(t, w.handler(graphqlapi.Options{}), `query ($id: ID!) { task(id: $id) { uploadedBy } }`, map[string]any{"id": id.String()})
	require.Equal(t, "#"+key[:8], got.Data["task"].(map[string]any)["uploadedBy"])

	require.Equal(t, stored, rows(t, w.pool))
	require.Equal(t, file, w.dossier(id), "a dossier is what it was")
	anew := postgres.NewDatabase(t)
	w.FollowIn(anew, head)
	require.Equal(t, stored, rows(t, anew), "folded anew after the erasure")

	link := httptest.NewRequest(http.MethodGet, "/graphql?query="+`mutation%7BerasePerson(name:"wang",reason:"x")%7Bchanged%7D%7D`, nil)
	_, got = do(t, h, link)
	require.Equal(t, "mutation.method", got.Errors[0].Extensions["code"])
	_, got = post(t, h, `mutation { erasePerson(name: " ", reason: "x") { changed } }`, nil)
	require.Equal(t, "person.name", got.Errors[0].Extensions["code"])
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a text always can be
	return string(b)
}
