package main

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/examples"
	"github.com/factgate/factgate/internal/testbench"
)

// A deployment of one process for each role answers as `factgate run` does.
func TestRolesAloneAnswerAsOneProcessDoes(t *testing.T) {
	t.Parallel()
	d := deploy(t, time.Minute, 2*time.Second)
	d.roles(1)
	d.scanners = append(d.scanners, d.role(1, "scanner SQL EXCEL UNIT_TEST", d.store(), []string{"--blobs", d.blobs()})...)
	codes := map[string]int{"SUCCESS": 0, "PARTIAL_SUCCESS": 1, "FAILED": 2}
	for _, name := range []string{"retail-1.4.0", "retail-1.5.0-rc1"} {
		want, err := examples.Expected(name)
		require.NoError(t, err)
		got := run(t, "check", d.packages[name], "--server", d.apis[0].ready)
		require.Equal(t, codes[want.Status], got.code, got.out+got.errors)
	}
	for _, p := range append(append(append(d.apis, d.scanners...), d.coordinators...), d.projectors...) {
		require.NoError(t, p.Process.Signal(os.Interrupt))
		require.NoError(t, p.Wait(), p.name)
	}
}

func TestARoleSaysWhatItLacks(t *testing.T) {
	for want, args := range map[string][]string{
		"factgate api needs --eventstore, or FACTGATE_EVENTSTORE": {"api"},
		"factgate coordinator needs --database":                   {"coordinator", "--eventstore", "esdb://127.0.0.1:1?tls=false"},
		"factgate projector needs --blobs":                        {"projector", "--eventstore", "esdb://127.0.0.1:1?tls=false", "--database", "postgres:///x"},
		"there are SQL, EXCEL, UNIT_TEST":                         {"scanner", "NOPE", "--eventstore", "esdb://127.0.0.1:1?tls=false", "--blobs", t.TempDir()},
		"there is no folder /nowhere; mount or make the folder":   {"scanner", "SQL", "--eventstore", "esdb://127.0.0.1:1?tls=false", "--blobs", "/nowhere"},
		"connection string is wrong":                              {"scanner", "SQL", "--eventstore", "nowhere", "--blobs", t.TempDir()},
	} {
		got := run(t, args...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, want)
	}
}

// freeAddress is one that nobody serves yet.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Roles and stores may be started in any order.
func TestRolesWaitForTheirStores(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, time.Minute, time.Second)
	d.startPostgres()
	database, blobs := d.tables(), []string{"--blobs", d.blobs()}
	require.NoError(t, d.postgres.Stop(t.Context()))
	address := freeAddress(t)
	store := []string{"--eventstore", "esdb://" + address + "?tls=false"}

	web := freeAddress(t)
	begin := func(name string, flags ...[]string) *process {
		p := &process{name: strings.ReplaceAll(name, " ", "-"), args: strings.Fields(name)}
		for _, f := range append(flags, store) {
			p.args = append(p.args, f...)
		}
		d.begin(p)
		t.Cleanup(func() { d.kill(p) })
		return p
	}
	says := func(p *process, text string) {
		require.Eventually(t, func() bool { return strings.Contains(d.said(p), text) }, testbench.Patience, 20*time.Millisecond, "%s does not say %q", p.name, text)
	}
	api := begin("api --listen "+web, database, blobs)
	coordinator := begin("coordinator --quiet 1s", database)
	projector := begin("projector", database, blobs)
	scanner := begin("scanner SQL", blobs)
	leaver := begin("scanner EXCEL", blobs)
	for _, p := range []*process{api, coordinator, projector, scanner, leaver} {
		says(p, "waiting for the event store")
	}
	answer, err := http.Get("http://" + web + "/readyz")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.NoError(t, leaver.Process.Signal(syscall.SIGTERM))
	require.NoError(t, leaver.Wait(), "a stop meanwhile is in good order")

	d.node = d.launch("node", "node", "--data", filepath.Join(d.dir, "events"), "--listen", address)
	for _, p := range []*process{api, scanner} { // which do without PostgreSQL
		d.awaitReady(p)
	}
	for _, p := range []*process{coordinator, projector} {
		says(p, "waiting for the database")
	}
	d.startPostgres()
	for _, p := range []*process{coordinator, projector} {
		d.awaitReady(p)
	}
	got := run(t, "check", d.packages["retail-1.4.0"], "--server", api.ready)
	require.Equal(t, exitSuccess, got.code, got.out+got.errors)
	for _, p := range []*process{api, scanner, coordinator, projector} {
		require.Equal(t, 1, strings.Count(d.said(p), "waiting for the event store"), d.said(p))
	}
}

// What waiting cannot cure ends a role at once.
func TestARoleIsToldThatItMayNotEnter(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	cmd := factgate(t.Context(), "node", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile)
	cmd.Env = append(cmd.Env, nodeAdminPassword+"=right")
	connection, _ := startNode(t, cmd)
	at, err := url.Parse(connection)
	require.NoError(t, err)
	at.RawQuery += "&tlsCaFile=" + certFile
	store := func(user *url.Userinfo) []string {
		with := *at
		with.User = user
		return []string{"--eventstore", with.String()}
	}
	d := newDeployment(t, time.Minute, time.Second)
	d.startPostgres()
	database, err := url.Parse(d.postgres.URL())
	require.NoError(t, err)
	other := func(name, value string) string {
		with := *database
		q := with.Query()
		q.Set(name, value)
		with.RawQuery = q.Encode()
		return with.String()
	}
	right := store(url.UserPassword("admin", "right"))
	blobs := []string{"--blobs", d.blobs()}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a wrong password":            {append(append([]string{"scanner", "SQL"}, store(url.UserPassword("admin", "wrong"))...), blobs...), "event store: "},
		"no password":                 {append(append([]string{"scanner", "SQL"}, store(nil)...), blobs...), "event store: "},
		"a user PostgreSQL knows not": {append([]string{"coordinator", "--database", other("user", "nobody")}, right...), "database: "},
		"no such database":            {append(append([]string{"projector", "--database", other("dbname", "nothing")}, right...), blobs...), "database: "},
		"an api without a database":   {append(append([]string{"api", "--listen", "127.0.0.1:0", "--database", other("dbname", "nothing")}, right...), blobs...), "database: "},
		"no address of PostgreSQL":    {append([]string{"coordinator", "--database", "mysql://a:secret@db.example/x"}, right...), "database: cannot parse `mysql://a:xxxxxx@db.example/x`"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, c.args...)
			t.Log(got.errors)
			require.Equal(t, exitError, got.code)
			require.Contains(t, got.errors, "factgate: "+c.want)
			require.NotContains(t, got.errors, "waiting for")
			require.NotContains(t, got.errors, "wrong@")
			require.NotContains(t, got.errors, "secret")
		})
	}
}
