package node

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// browse asks over HTTP.
func browse(t testing.TB, client *http.Client, method, address string, user ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), method, address, nil)
	require.NoError(t, err)
	if len(user) > 0 {
		req.SetBasicAuth(user[0], user[1])
	}
	answer, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer, string(body)
}

func TestHTTP(t *testing.T) {
	n, client := open(t)
	base := "http://" + n.Addr().String()
	web := &http.Client{Transport: &http.Transport{}}
	defer web.CloseIdleConnections()

	answer, body := browse(t, web, http.MethodGet, base+"/health/live")
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	require.Empty(t, body)
	require.Equal(t, 1, answer.ProtoMajor)
	answer, _ = browse(t, web, "HEAD", base+"/health/live")
	require.Equal(t, http.StatusNoContent, answer.StatusCode)

	answer, body = browse(t, web, http.MethodGet, base+"/info")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	require.JSONEq(t, `{"esVersion":"24.10.0","state":"leader","features":{"projections":false,"userManagement":false,"atomPub":false},
		"authentication":{"type":"insecure","properties":{}}}`, body)

	for path, want := range map[string]int{"/": 404, "/stats/": 404, "/health": 404, "/gossip": 404, "/%2e%2e/stats": 404} {
		answer, _ := browse(t, web, http.MethodGet, base+path)
		require.Equal(t, want, answer.StatusCode, path)
	}
	answer, _ = browse(t, web, "POST", base+"/stats")
	require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
	req, err := http.NewRequestWithContext(within(t), http.MethodGet, base+"/info", nil)
	require.NoError(t, err)
	req.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	answer, err = web.Do(req)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)

	stats := func() (f figures) {
		answer, body := browse(t, web, http.MethodGet, base+"/stats", "anybody", "ignored")
		require.Equal(t, http.StatusOK, answer.StatusCode, body)
		require.NoError(t, json.Unmarshal([]byte(body), &f))
		return f
	}
	empty := stats()
	require.Zero(t, empty.EventsAppended)
	require.Zero(t, empty.Position)
	require.Nil(t, empty.ReadOnly)
	require.Equal(t, "24.10.0", empty.Version)
	res := appendAny(t, client, "s", jsonEvents(3, "a")...)
	_, err = client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, jsonEvent("b", "{}"))
	require.Error(t, err)
	sub, err := client.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{})
	require.NoError(t, err)
	full := stats()
	require.EqualValues(t, 3, full.EventsAppended)
	require.Equal(t, res.CommitPosition, full.Position)
	require.EqualValues(t, 1, full.Subscriptions)
	require.Positive(t, full.Connections)
	require.Positive(t, full.DiskUsedBytes)
	require.NotNil(t, full.DiskFreeBytes)
	require.Positive(t, *full.DiskFreeBytes)
	require.Greater(t, full.UptimeSeconds, empty.UptimeSeconds)
	require.Zero(t, full.Groups)
	createGroup(t, client, "g", settings(nil))
	require.Equal(t, 1, stats().Groups)
	require.NoError(t, sub.Close())
	require.Eventually(t, func() bool { return stats().Subscriptions == 0 }, patience, time.Millisecond)
}

func TestHTTPOfAReadOnlyNode(t *testing.T) {
	broken := failingSyncs()
	n := start(t, Options{files: errorfs.Wrap(vfs.Default, broken)})
	client := connect(t, n)
	web := &http.Client{Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	appendAny(t, client, "s", jsonEvent("a", "{}"))
	broken.On()
	_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("b", "{}"))
	require.Error(t, err)
	broken.Off()
	base := "http://" + n.Addr().String()
	answer, body := browse(t, web, http.MethodGet, base+"/health/live")
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Contains(t, body, "read-only")
	answer, body = browse(t, web, http.MethodGet, base+"/stats")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	var f figures
	require.NoError(t, json.Unmarshal([]byte(body), &f))
	require.NotNil(t, f.ReadOnly)
	require.Contains(t, *f.ReadOnly, "read-only")
	require.EqualValues(t, 1, f.EventsAppended)
}

func TestHTTPOfASecureNode(t *testing.T) {
	pki := newPKI(t)
	n := start(t, pki.secure(Options{}))
	base := "https://" + n.Addr().String()
	// A client that would take HTTP/2.
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pki.pool}, ForceAttemptHTTP2: true}}
	defer web.CloseIdleConnections()
	for _, c := range []struct {
		path string
		user []string
		want int
	}{
		{"/health/live", nil, 204},
		{"/health/live", []string{"admin", "changed:it"}, 204},
		{"/health/live", []string{"admin", "guess"}, 401},
		{"/info", nil, 200},
		{"/stats", nil, 401},
		{"/stats", []string{"admin", "guess"}, 401},
		{"/stats", []string{"factgate", "p@ss wörd"}, 200},
		{"/nothing", nil, 401},
	} {
		answer, body := browse(t, web, http.MethodGet, base+c.path, c.user...)
		require.Equal(t, c.want, answer.StatusCode, "%s %v: %s", c.path, c.user, body)
		if c.want == 401 {
			require.Equal(t, `Basic realm="ESDB"`, answer.Header.Get("WWW-Authenticate"))
		}
		if c.path == "/stats" && c.want == 200 {
			require.Contains(t, body, `"refusedCredentials":2`)
		}
		if c.path == "/info" {
			require.Contains(t, body, `"type":"internal"`)
		}
	}
}
