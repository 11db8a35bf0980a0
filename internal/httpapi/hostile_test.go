package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
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
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/httpapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/scanners"
)

func TestAClientThatSendsNothingIsNotWaitedForForEver(t *testing.T) {
	g := newGate(t)
	channel := scanners.NewChannel(scanners.Parts{Log: g.store, Blobs: g.blobs, Logger: testbench.Logger(t)}, quick)
	graphql, err := graphqlapi.NewHandler(nil, nil, graphqlapi.Options{Logger: testbench.Logger(t)})
	require.NoError(t, err)
	server := httptest.NewServer(httpapi.New(httpapi.Parts{
		Commands: g.commands, Blobs: g.blobs, Channel: channel, Keys: commands.NewKeyring(g.store), Patience: 50 * time.Millisecond,
		GraphQL: graphql, Console: http.NotFoundHandler(), Logger: testbench.Logger(t),
	}))
	defer server.Close()
	task := g.open()
	worker := "Authorization: Bearer " + g.key.String() + "\r\nX-Factgate-Instance: a\r\nX-Factgate-Scanner: readme/1\r\nX-Factgate-Rules-Digest: r\r\n"
	for request, want := range map[string]string{
		"/api/uploads HTTP/1.1\r\nContent-Type: application/zip\r\nContent-Length: 1000\r\nHost: x\r\n\r\nPK":                                   `408 "code":"http.stalled","message":"nothing of the request's body came for 0.05 s, so it was cut off; look at the connection and send it again"`,
		"/api/uploads HTTP/1.1\r\nContent-Type: application/zip\r\nTransfer-Encoding: chunked\r\nAccept-Language: zh\r\nHost: x\r\n\r\n2\r\nPK": `408 "code":"http.stalled","message":"请求体已 0.05 秒没有新数据，连接已断开；请检查网络后重新发送"`,
		"/api/uploads HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\nHost: x\r\n\r\n--x\r\nContent-":      `408 "code":"http.stalled"`,
		"/api/uploads HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\nHost: x\r\n\r\nPK":                                        `415 "code":"upload.content_type"`,
		"/api/scanners/README/tasks/" + task + "/reports HTTP/1.1\r\nContent-Length: 1000\r\nHost: x\r\n" + worker + "\r\n{\"format\":1":        `408 "code":"http.stalled"`,
		"/api/scanners/README/tasks/" + task + "/facts HTTP/1.1\r\nContent-Length: 1000\r\nHost: x\r\n" + worker + "\r\n{":                      `408 "code":"http.stalled"`,
		"/graphql HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nHost: x\r\n\r\n{":                                       `408 "code":"request.stalled"`,
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST "+request)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(testbench.Patience)))
		answer, err := io.ReadAll(conn)
		require.NoError(t, err, "the connection is closed")
		status, code, _ := strings.Cut(want, " ")
		require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 "+status), string(answer))
		require.Contains(t, string(answer), code)
	}
}

// watched tells every deadline in the future that a server sets for reading.
type watched struct {
	net.Listener
	deadlines chan time.Time
}

func (l watched) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return watchedConn{conn, l.deadlines}, err
}

type watchedConn struct {
	net.Conn
	deadlines chan time.Time
}

func (c watchedConn) SetReadDeadline(at time.Time) error {
	err := c.Conn.SetReadDeadline(at)
	if at.After(time.Now()) {
		c.deadlines <- at
	}
	return err
}

// Each byte is sent when the server waits for it: however long all of them take, no
// moment was ever set for the whole.
func TestASlowUploadThatMovesOnIsTaken(t *testing.T) {
	server := httptest.NewUnstartedServer(httpapi.New(httpapi.Parts{
		Commands: commands.New(testbench.NewStore(t)), Blobs: testbench.NewBlobs(t), Patience: testbench.Patience,
		GraphQL: http.NotFoundHandler(), Console: http.NotFoundHandler(), Logger: testbench.Logger(t),
	}))
	deadlines := make(chan time.Time, 10_000)
	server.Listener = watched{server.Listener, deadlines}
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	body := packed(t, "a.sql", "select 1")
	_, err = fmt.Fprintf(conn, "POST /api/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: application/zip\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(body))
	require.NoError(t, err)
	last := time.Now()
	for i := range body {
		at := <-deadlines
		require.True(t, at.After(last), "byte %d", i)
		last = at
		_, err = conn.Write(body[i : i+1])
		require.NoError(t, err)
	}
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 202"), string(answer))
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
