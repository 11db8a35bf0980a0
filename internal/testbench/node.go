package testbench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// NodeModules installs what a folder's package.json and package-lock.json say, and
// returns the folder that holds node_modules: one in the user's cache for each lock file.
func NodeModules(t testing.TB, of string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "sh scripts/ensure-node.sh sees to it")
	}
	lock, err := os.ReadFile(filepath.Join(of, "package-lock.json"))
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
		content, err := os.ReadFile(filepath.Join(of, name))
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
