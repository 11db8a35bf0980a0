package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/internal/conform"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/scanners"
)

// conformance is a server without scanners of its own, whose leases are short.
type conformance struct {
	url, store, blobs, modules string
}

func newConformance(t *testing.T) conformance {
	store, data := testbench.NewStore(t), t.TempDir()
	a, err := start(t.Context(), config{
		data: data, eventstore: store.Node.ConnectionString(), listen: "127.0.0.1:0", window: time.Hour, quiet: time.Second,
		channel: scanners.ChannelOptions{Lease: 2 * time.Second, Idle: 2 * time.Second}, logger: testbench.Logger(t),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.stop()) })
	return conformance{a.url, store.Node.ConnectionString(), filepath.Join(data, "blobs"), testbench.NodeModules(t, "../../examples/scanner-node")}
}

type conformed struct {
	Type     string
	Conforms bool
	Checks   []conform.Result
}

// check runs the kit and returns its results by check.
func (c conformance) check(t *testing.T, name, exec string, flags ...string) (ran, conformed, map[string]conform.Result) {
	t.Helper()
	output := filepath.Join(t.TempDir(), "scanner.log")
	args := append([]string{"scanner", "conform", "--type", name, "--server", c.url, "--eventstore", c.store, "--json", "--output", output}, flags...)
	if exec != "" {
		args = append(args, "--exec", exec)
	}
	got := run(t, args...)
	t.Cleanup(func() {
		if said, err := os.ReadFile(output); err == nil && t.Failed() {
			t.Logf("%s\n%s\nthe scanner said:\n%s", got.out, got.errors, said)
		}
	})
	var all conformed
	readJSON(t, got, &all)
	require.Len(t, all.Checks, len(conform.Checks()))
	byName := map[string]conform.Result{}
	for i, r := range all.Checks {
		require.Equal(t, conform.Checks()[i], r.Check)
		require.NotEmpty(t, r.Why.En)
		require.NotEmpty(t, r.Why.Zh)
		byName[r.Check] = r
	}
	return got, all, byName
}

// script puts an example's source, perhaps an altered one, beside its modules.
func (c conformance) script(t *testing.T, of string, edit func(string) string) (exec string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("../../examples", of))
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, filepath.Base(of))
	require.NoError(t, os.WriteFile(file, []byte(edit(string(source))), 0o600))
	if strings.HasSuffix(file, ".py") {
		return "exec python3 " + file
	}
	require.NoError(t, os.Symlink(filepath.Join(c.modules, "node_modules"), filepath.Join(dir, "node_modules")))
	return "exec node " + file
}

// A key is shown once, by the command that drew it; the server hears its digest only.
func TestAKeyIsMadeShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--verbose")
	defer s.kill()
	cli := func(args ...string) ran { return run(t, append(args, "--server", s.url)...) }
	got := cli("scanners", "key", "README", "--by", "li", "--lang", "zh")
	require.Zero(t, got.code, got.errors)
	require.Contains(t, got.errors, "密钥仅显示这一次")
	key, ok := scanner.ParseKey(strings.TrimSpace(got.out))
	require.True(t, ok, got.out)
	require.Equal(t, key.ID+"  issued by li\n", cli("scanners", "keys", "README").out)
	poll := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/scanners/README/deliveries?wait=0s", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+key.String())
		req.Header.Set("X-Factgate-Instance", "i")
		req.Header.Set("X-Factgate-Scanner", "readme/1")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	require.Equal(t, http.StatusOK, poll())
	for _, want := range []string{"is revoked\n", "is revoked (it was so already)\n"} {
		require.Contains(t, cli("scanners", "revoke-key", "README", key.ID, "--reason", "lost").out, want)
	}
	require.Equal(t, http.StatusUnauthorized, poll())
	require.Contains(t, cli("scanners", "keys", "README", "--lang", "zh").out, "没有有效密钥")
	require.Contains(t, cli("scanners", "revoke-key", "README", "nope", "--reason", "x").errors, "scanner_key.unknown")
	s.stop(t)
	require.NotContains(t, s.log.String(), key.String()[24:])
}

func asItIs(s string) string { return s }

func TestTheExamplesAndABuiltInScannerKeepTheProtocol(t *testing.T) {
	t.Parallel()
	c := newConformance(t)
	for name, exec := range map[string]string{
		"JSON_SYNTAX": c.script(t, "scanner-python/scanner.py", asItIs),
		"README":      c.script(t, "scanner-node/scanner.mjs", asItIs),
		"SQL":         fmt.Sprintf("exec %s scanner SQL --blobs %s", os.Args[0], c.blobs),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, all, _ := c.check(t, name, exec)
			for _, r := range all.Checks {
				require.Equal(t, conform.Passed, r.Status, "%s: %s", r.Check, r.Why.En)
			}
			require.True(t, all.Conforms)
			require.Equal(t, exitSuccess, got.code)
			require.Empty(t, strings.Split(run(t, "scanners", "keys", name, "--server", c.url, "--json").out, "[]")[0], "the kit's key is revoked")
		})
	}
}

// What the kit could not see is never called passed.
func TestChecksThatNeedADeathAreNotRunWithoutOne(t *testing.T) {
	t.Parallel()
	c := newConformance(t)
	got, all, by := c.check(t, "NOBODY", "", "--patience", "1s", "--only", "takes-part,duplicate-delivery,fact-shapes")
	require.Equal(t, exitFailed, got.code)
	require.False(t, all.Conforms)
	require.Equal(t, conform.Failed, by[conform.TakesPart].Status)
	require.Contains(t, by[conform.TakesPart].Why.En, "does a scanner of type NOBODY run")
	for _, name := range conform.Checks()[1:] {
		require.Equal(t, conform.NotRun, by[name].Status)
	}
	require.Contains(t, by[conform.Duplicate].Why.En, "--exec")
	_, _, by = c.check(t, "NOBODY", "exit 3", "--only", "takes-part,crash-and-takeover")
	require.Contains(t, by[conform.TakesPart].Why.En, "ended by itself")
	require.Contains(t, by[conform.Takeover].Why.Zh, "自行退出")
	require.Contains(t, run(t, "scanner", "conform", "--type", "X", "--server", c.url, "--only", "nope").errors, "there are takes-part, ")
	require.Contains(t, run(t, "scanner", "conform", "--server", c.url).errors, "type")
}

func TestBrokenScannersFailByName(t *testing.T) {
	t.Parallel()
	c := newConformance(t)
	var broken []struct {
		Name, Of, Fails, Says string
		Also                  []string
		Edits                 [][2]string
	}
	text, err := os.ReadFile("../../internal/conform/testdata/broken.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &broken))
	for _, b := range broken {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			name := strings.ToUpper(strings.ReplaceAll(b.Name, "-", "_"))
			exec := c.script(t, b.Of, func(s string) string {
				for _, e := range append(b.Edits, [2]string{`TYPE = "README"`, `TYPE = "` + name + `"`}, [2]string{`TYPE, NAME, VERSION = "JSON_SYNTAX"`, `TYPE, NAME, VERSION = "` + name + `"`}) {
					if strings.HasPrefix(e[0], "TYPE") && !strings.Contains(s, e[0]) {
						continue // the other language's
					}
					require.Equal(t, 1, strings.Count(s, e[0]), "the example has changed: %q", e[0])
					s = strings.Replace(s, e[0], e[1], 1)
				}
				return s
			})
			only := strings.Join(append(b.Also, b.Fails), ",")
			got, all, by := c.check(t, name, exec, "--patience", "20s", "--only", only)
			require.Equal(t, exitFailed, got.code)
			require.False(t, all.Conforms)
			require.Equal(t, conform.Failed, by[b.Fails].Status, "%+v", by[b.Fails])
			require.Contains(t, by[b.Fails].Why.En, b.Says)
		})
	}
}
