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
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/internal/testbench"
)

func TestClientsOfNpm(t *testing.T) {
	modules := testbench.NodeModules(t, "testdata")
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
