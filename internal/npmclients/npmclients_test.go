// Package npmclients has the embedded node driven by clients that are not written
// in Go: testdata/suite.mjs runs once with each client of npm that
// testdata/package.json pins. They ask for other things than the Go client: UUIDs
// as text, BatchAppend, a leader, feature by feature what the server can do.
//
// The test needs node and npm on PATH, which "make test" sees to. The clients are
// installed from the lock file into the user's cache folder, once for each lock
// file.
package npmclients

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore/node"
)

func TestClientsOfNpm(t *testing.T) {
	modules := install(t)
	for _, client := range []string{"@eventstore/db-client", "@kurrent/kurrentdb-client"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			n, err := node.Open(t.Context(), node.Options{Dir: t.TempDir()})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, n.Close()) })
			for _, s := range run(t, modules, client, n.ConnectionString()) {
				t.Run(s.name, func(t *testing.T) {
					require.True(t, s.ok, s.reason)
				})
			}
		})
	}
}

// step is one line of what the suite prints, with the reason below it.
type step struct {
	name   string
	ok     bool
	reason string
}

var (
	stepLine = regexp.MustCompile(`^(not )?ok \d+ - (.+)$`)
	planLine = regexp.MustCompile(`^1\.\.(\d+)$`)
)

// run returns the steps of a suite that came to its end.
func run(t *testing.T, modules, client, connectionString string) (steps []step) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	suite, err := filepath.Abs("testdata/suite.mjs")
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, "node", suite, modules, client, connectionString)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "the suite did not come to its end\n%s%s", out, &stderr)
	planned := -1
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if m := stepLine.FindStringSubmatch(line); m != nil {
			steps = append(steps, step{name: m[2], ok: m[1] == ""})
		} else if m := planLine.FindStringSubmatch(line); m != nil {
			planned, err = strconv.Atoi(m[1])
			require.NoError(t, err)
		} else if reason, found := strings.CutPrefix(line, "# "); found && len(steps) > 0 {
			steps[len(steps)-1].reason += reason + "\n"
		}
	}
	require.NotEmpty(t, steps)
	require.Len(t, steps, planned, "the suite did not print all of its steps:\n%s", out)
	return steps
}

// install returns the folder that holds node_modules.
func install(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "sh scripts/ensure-node.sh sees to it")
	}
	lock, err := os.ReadFile("testdata/package-lock.json")
	require.NoError(t, err)
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	digest := sha256.Sum256(lock)
	dir := filepath.Join(cache, "factgate", "npm-"+hex.EncodeToString(digest[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	// It gets its name when it is whole, so an installation that was interrupted is
	// never used.
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o700))
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "npm-new-") //nolint:usetesting // it is renamed into place and must be on the same file system
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(fresh) })
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(fresh, name), content, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// No package's scripts: what these need to run is in the packages.
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "npm ci: %s", out)
	if err := os.Rename(fresh, dir); err != nil {
		require.DirExists(t, dir, "neither installed here (%v) nor by another test", err)
	}
	return dir
}
