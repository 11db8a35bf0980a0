package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/httpapi"
	"github.com/factgate/factgate/internal/testbench"
)

func TestAClientThatSendsNothingIsNotWaitedForForEver(t *testing.T) {
	server := httptest.NewServer(httpapi.New(httpapi.Parts{
		Commands: commands.New(testbench.NewStore(t)), Blobs: testbench.NewBlobs(t), Patience: 50 * time.Millisecond,
		GraphQL: http.NotFoundHandler(), Console: http.NotFoundHandler(), Logger: testbench.Logger(t),
	}))
	defer server.Close()
	for contentType, want := range map[string]string{"application/zip": "upload.broken", "text/plain": "upload.content_type"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /api/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: "+contentType+"\r\nContent-Length: 1000\r\n\r\nPK")
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(testbench.Patience)))
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 4"), string(answer))
		require.Contains(t, string(answer), want)
	}
}

func TestABlobStoreThatFailsIsNotOurDefect(t *testing.T) {
	dir := t.TempDir()
	blobs, err := blob.OpenDir(dir)
	require.NoError(t, err)
	c := commands.New(testbench.NewStore(t))
	server := httptest.NewServer(httpapi.New(httpapi.Parts{
		Commands: c, Blobs: blobs, GraphQL: http.NotFoundHandler(), Console: http.NotFoundHandler(), Logger: testbench.Logger(t),
	}))
	defer server.Close()
	b := &bench{T: t, url: server.URL, commands: c}
	got := b.raw(packed(t, "a.sql", "select 1"))
	// Something that is no file stands in the blob's place.
	name := filepath.Join(dir, "sha256")
	require.NoError(t, os.RemoveAll(name))
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	resp, err := http.Get(server.URL + got.Links["package"])
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	again := b.raw(packed(t, "b.sql", "select 2"))
	require.Equal(t, http.StatusServiceUnavailable, again.status)
	require.Equal(t, "blobs.unavailable", again.Refused.Code)
}

// gone is the request of a client that left after its last byte.
func TestAClientThatWentAwayIsNoErrorOfOurs(t *testing.T) {
	var log bytes.Buffer
	handler := httpapi.New(httpapi.Parts{
		Commands: commands.New(testbench.NewStore(t)), Blobs: testbench.NewBlobs(t), GraphQL: http.NotFoundHandler(),
		Console: http.NotFoundHandler(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	ctx, leave := context.WithCancel(t.Context())
	body := io.MultiReader(bytes.NewReader(packed(t, "a.sql", "select 1")), readFunc(func([]byte) (int, error) { leave(); return 0, io.EOF }))
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/uploads", body)
	req.Header.Set("Content-Type", "application/zip")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, req)
	require.NotEqual(t, http.StatusAccepted, answer.Code)
	ctx, leave = context.WithCancel(t.Context())
	leave()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/tasks/018f4e2a-0000-7000-8000-000000000001/package", nil))
	require.Empty(t, log.String())
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
