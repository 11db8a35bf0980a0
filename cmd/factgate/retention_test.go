package main

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/retention"
	"github.com/factgate/factgate/internal/testbench"
)

// refusedUpload leaves an old blob behind that no fact refers to.
func refusedUpload(t *testing.T, url, data, content string) (file string) {
	t.Helper()
	resp, err := http.Post(url+"/api/uploads", "application/zip", bytes.NewReader([]byte(content)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	file = filepath.Join(data, "blobs", filepath.FromSlash(string(blob.KeyOf(sha256.Sum256([]byte(content))))))
	old := time.Now().Add(-48 * time.Hour)
	require.NoError(t, os.Chtimes(file, old, old))
	return file
}

func TestBlobsExpireFromTheCommandLineAndByThemselves(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, data, "--quiet", "1s")
	defer s.kill()
	var first result
	readJSON(t, run(t, "check", packed(t)["retail-1.4.0"], "--server", s.url, "--json"), &first)
	orphan := refusedUpload(t, s.url, data, "no zip at all")

	expire := []string{"blobs", "expire", "--data", data, "--retention-packages", "90d", "--retention-reports", "180d"}
	var report struct {
		DryRun bool
		retention.Report
	}
	readJSON(t, run(t, append(expire, "--dry-run", "--json")...), &report)
	require.True(t, report.DryRun)
	require.Equal(t, retention.Count{Blobs: 1, Bytes: 13}, report.Orphans)
	require.Equal(t, report.Orphans, report.Removed())
	require.Positive(t, report.Kept.Blobs)
	require.FileExists(t, orphan)
	got := run(t, append(expire, "--lang", "zh")...)
	require.Zero(t, got.code, got.errors)
	require.Contains(t, got.out, "已删除")
	require.NoFileExists(t, orphan)
	require.Contains(t, run(t, expire...).out, "packages             0, ")

	for what, args := range map[string][]string{
		"retention.too_short": {"--retention-packages", "1s"}, "give days such as 90d": {"--retention-reports", "0d"}, "goes with --blobs": {"--eventstore", "esdb://127.0.0.1:1?tls=false"},
	} {
		got := run(t, append([]string{"blobs", "expire", "--data", data}, args...)...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, what)
	}

	// What is gone is said to be gone, and the verdict stands.
	store, err := blob.OpenDir(filepath.Join(data, "blobs"))
	require.NoError(t, err)
	for b, err := range store.List(t.Context()) {
		require.NoError(t, err)
		removed, err := store.Remove(t.Context(), b.Key, time.Now().Add(time.Hour))
		require.NoError(t, err)
		require.True(t, removed)
	}
	resp, err := http.Get(s.url + "/api/tasks/" + first.TaskID + "/package")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusGone, resp.StatusCode)
	for _, wish := range [][]string{{"rescan", first.TaskID}, {"retry", first.TaskID, "SQL", "--reason", "x"}} {
		got := run(t, append(wish, "--server", s.url)...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, "package.expired")
		require.Contains(t, run(t, append(wish, "--server", s.url, "--lang", "zh")...).errors, "已不再保留")
	}
	require.Contains(t, run(t, "explain", first.TaskID, "--server", s.url).out, first.Status)

	// A server with a policy sweeps by itself.
	require.Zero(t, run(t, "check", packed(t)["retail-1.4.0"], "--server", s.url).code, "uploaded again, it is stored again")
	orphan = refusedUpload(t, s.url, data, "nor this")
	s.stop(t)
	s = serve(t, data, "--retention-packages", "90d", "--retention-details", "365d")
	defer s.kill()
	require.Eventually(t, func() bool { _, err := os.Stat(orphan); return os.IsNotExist(err) }, testbench.Patience, 20*time.Millisecond)
	s.stop(t)
}
