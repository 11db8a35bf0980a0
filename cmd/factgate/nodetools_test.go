package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore/node"
)

const exported = `{"stream":"task-1","revision":0,"id":"00000000-0000-7000-8000-000000000001","type":"Noted","data":{"n":1},"metadata":{}}
{"stream":"task-1","revision":1,"id":"00000000-0000-7000-8000-000000000002","type":"Noted","data":{"n":2},"metadata":{}}
{"stream":"task-2","revision":0,"id":"00000000-0000-7000-8000-000000000003","type":"Noted","dataBase64":"AP8="}
`

// The tools work on a node that runs, found by its folder, and on the folder of one
// that does not; events travel from one store to another and come back the same.
func TestNodeTools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "events.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(exported), 0o600))
	data := filepath.Join(dir, "running")
	cmd := factgate(t.Context(), "node", "--data", data, "--listen", "127.0.0.1:0")
	connection, _ := startNode(t, cmd)

	check := func(data string) {
		t.Helper()
		for range 2 { // repeating an import changes nothing
			r := run(t, "node", "import", file, "--data", data)
			require.Zero(t, r.code, r.errors)
			require.Equal(t, "3 events are there\n", r.out)
		}
		r := run(t, "node", "verify", "--data", data, "--json")
		require.Zero(t, r.code, r.errors)
		var report node.VerifyReport
		require.NoError(t, json.Unmarshal([]byte(r.out), &report))
		require.EqualValues(t, 3, report.Events)
		require.EqualValues(t, 2, report.Streams)
		r = run(t, "node", "scavenge", "--data", data)
		require.Zero(t, r.code, r.errors)
		require.Equal(t, "0 events taken away, 0 bytes, in 2 streams\n", r.out)
		r = run(t, "node", "export", "--data", data, "--after", "0")
		require.Zero(t, r.code, r.errors)
		require.Contains(t, r.errors, "3 events up to position")
		var lines []string
		for line := range strings.Lines(r.out) {
			var event map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &event))
			delete(event, "position")
			delete(event, "at")
			text, err := json.Marshal(event)
			require.NoError(t, err)
			lines = append(lines, string(text))
		}
		require.JSONEq(t, "["+strings.Join(strings.Split(strings.TrimSpace(exported), "\n"), ",")+"]", "["+strings.Join(lines, ",")+"]")
	}
	check(data)

	backup := filepath.Join(dir, "backup.tar")
	r := run(t, "node", "backup", "-o", backup, "--eventstore", connection)
	require.Zero(t, r.code, r.errors)
	require.Contains(t, r.out, "factgate node restore")
	restored := filepath.Join(dir, "restored")
	r = run(t, "node", "restore", backup, "--data", restored)
	require.Zero(t, r.code, r.errors)
	require.Contains(t, r.out, "3 events up to position")
	check(restored)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
	require.NoFileExists(t, filepath.Join(data, node.AddressFile))
	check(data)
	again := filepath.Join(dir, "again.tar")
	require.Zero(t, run(t, "node", "backup", "-o", again, "--data", data).code)
	require.FileExists(t, again)

	for want, args := range map[string][]string{
		"name the folder of a node":   {"verify", "--data", filepath.Join(dir, "nowhere")},
		"this is no whole backup":     {"restore", file, "--data", filepath.Join(dir, "new")},
		"is not empty":                {"restore", backup, "--data", restored},
		"line 1: this is no exported": {"import", backup, "--data", restored},
		"is not a connection string":  {"verify", "--eventstore", "http://127.0.0.1:1"},
		"names a cluster":             {"verify", "--eventstore", "esdb://a:1,b:2?tls=false"},
		"ask the node":                {"verify", "--eventstore", "esdb://127.0.0.1:1?tls=false"},
		"required flag(s) \"output\"": {"backup", "--data", restored},
		"no such file or directory":   {"import", filepath.Join(dir, "missing"), "--data", restored},
	} {
		r := run(t, append([]string{"node"}, args...)...)
		require.NotZero(t, r.code, args)
		require.Contains(t, r.errors, want)
	}
	require.NoDirExists(t, filepath.Join(dir, "new"))
}

// A secure node is asked with credentials that do not stand in the command line.
func TestNodeToolsOnASecureNode(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	data := filepath.Join(t.TempDir(), "secure")
	cmd := factgate(t.Context(), "node", "--data", data, "--listen", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile)
	cmd.Env = append(cmd.Env, nodeAdminPassword+"=a secret")
	connection, log := startNode(t, cmd)
	r := run(t, "node", "verify", "--data", data)
	require.Equal(t, exitError, r.code)
	require.Contains(t, r.errors, "FACTGATE_EVENTSTORE")

	at, err := url.Parse(connection)
	require.NoError(t, err)
	at.RawQuery += "&tlsCaFile=" + certFile
	as := func(user *url.Userinfo, args ...string) (code int, out, errs string) {
		at.User = user
		tool := factgate(t.Context(), append([]string{"node"}, args...)...)
		tool.Env = append(tool.Env, "FACTGATE_EVENTSTORE="+at.String())
		var o, e bytes.Buffer
		tool.Stdout, tool.Stderr = &o, &e
		_ = tool.Run()
		return tool.ProcessState.ExitCode(), o.String(), e.String()
	}
	code, out, errs := as(url.UserPassword("admin", "a secret"), "verify")
	require.Zero(t, code, errs)
	require.Equal(t, "whole: 0 events in 0 streams, 0 bytes, up to position 0\n", out)
	code, _, errs = as(url.UserPassword("admin", "wrong"), "backup", "-o", "-")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "401")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait()) // its log is complete
	require.NotContains(t, errs+log.String(), "a secret")
}
