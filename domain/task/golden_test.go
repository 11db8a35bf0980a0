package task_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
)

// Whatever was ever written, in whatever version, folds today.
func TestStoredFactsOfEveryVersionFold(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "facts", "*.json"))
	require.NoError(t, err)
	versions := map[string]int{}
	var log []task.Recorded
	for _, file := range files {
		name, _, ok := strings.Cut(filepath.Base(file), ".")
		require.True(t, ok, file)
		versions[name]++
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		fact, err := task.Decode(name, data)
		require.NoError(t, err, file)
		// Right behind an upload and a window, and in the company of all before it.
		alone := task.Fold(record(nil, zip, created, fact))
		require.EqualValues(t, 3, alone.Facts, file)
		require.Zero(t, alone.Unreadable, file)
		log = record(log, fact)
	}
	for _, name := range task.Types() {
		require.Positive(t, versions[name], "%s has no golden file", name)
	}
	s := task.Fold(log)
	require.EqualValues(t, len(files), s.Facts)
	require.Zero(t, s.Unreadable)
}
