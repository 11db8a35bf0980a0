package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/dossier"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/httpapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/queries"
)

// A dossier needs the event store and nothing else: there is no database here.
func TestADossierComesStraightFromTheStream(t *testing.T) {
	store, blobs := testbench.NewStore(t), testbench.NewBlobs(t)
	c := commands.New(store)
	server := httptest.NewServer(httpapi.New(httpapi.Parts{
		Commands: c, Blobs: blobs, Queries: queries.New(nil, store), Tool: "factgate test",
		GraphQL: http.NotFoundHandler(), Console: http.NotFoundHandler(), Logger: testbench.Logger(t),
	}))
	defer server.Close()
	get := func(id string) (int, http.Header, []byte) {
		resp, err := http.Get(server.URL + "/api/tasks/" + id + "/dossier.jsonl")
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, resp.Header, body
	}

	id := testbench.Upload(t, c, blobs, packed(t, "a.sql", "select 1"))
	strange := eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, "x"), Type: "Strange", Data: []byte("no JSON \xff"), Metadata: []byte(` { } `)}
	_, err := store.Append(t.Context(), commands.StreamOf(id), eventstore.Any(), strange)
	require.NoError(t, err)

	status, header, body := get(id)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, header.Get("Content-Disposition"), "dossier-"+id+".jsonl")
	report, err := dossier.Verify(bytes.NewReader(body))
	require.NoError(t, err)
	require.True(t, report.OK)
	require.Equal(t, id, report.Task)
	require.EqualValues(t, 2, report.Facts)
	require.Equal(t, "factgate test", report.Tool)

	status, _, body = get("018f4e2a-0000-7000-8000-000000000009")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, string(body), "task.unknown")
	status, _, body = get("x")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, string(body), "task.id")
}
