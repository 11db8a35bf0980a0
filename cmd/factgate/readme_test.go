package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What README.md prints works as printed. Its blocks marked `sh curl` run one
// after another in one shell, against a server of the test's own.
func TestTheReadmesCurlCommandsWork(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sh curl\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)
	s := serve(t, t.TempDir(), "--quiet", "1s")
	defer s.kill()

	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	for name, path := range packed(t) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin", "examples"), 0o755))
		require.NoError(t, os.Rename(path, filepath.Join(dir, "bin", "examples", name+".zip")))
	}
	script := "set -eu\n"
	for _, b := range blocks {
		require.Contains(t, b[1], "http://127.0.0.1:8080")
		script += strings.ReplaceAll(b[1], "http://127.0.0.1:8080", s.url) + "\necho\necho ---\n"
	}
	sh := exec.CommandContext(t.Context(), "sh", "-c", script)
	sh.Dir = dir
	out, err := sh.CombinedOutput()
	t.Logf("%s\n%s", script, out)
	require.NoError(t, err)
	answers := strings.Split(strings.TrimSuffix(strings.TrimSpace(string(out)), "---"), "---")
	require.Len(t, answers, len(blocks))
	require.Contains(t, string(out), `"taskId"`)
	require.Contains(t, string(out), `"data"`)
	require.NotContains(t, string(out), `"errors"`)
	require.NotContains(t, string(out), `"refused"`)

	// The query that GraphiQL opens with.
	query, err := os.ReadFile("../../console/src/graphiql/default.graphql")
	require.NoError(t, err)
	c, err := newClient(s.url, false)
	require.NoError(t, err)
	var got struct {
		Tasks struct{ Edges []struct{ Node taskView } }
	}
	require.NoError(t, c.query(t.Context(), string(query), nil, &got))
	require.NotEmpty(t, got.Tasks.Edges)
	s.stop(t)
}
