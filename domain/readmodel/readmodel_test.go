package readmodel_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/readmodel"
)

// Files are added, never edited: they are what is stored.
func TestEveryVersionEverWrittenIsRead(t *testing.T) {
	files, err := filepath.Glob("testdata/facts/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		stored, err := os.ReadFile(file)
		require.NoError(t, err)
		f, ok, err := readmodel.Decode(readmodel.SkippedType, stored)
		require.NoError(t, err, file)
		require.True(t, ok, file)
		again, err := json.Marshal(f)
		require.NoError(t, err)
		require.JSONEq(t, string(stored), string(again), file)
		require.Equal(t, "FactSkipped/4711", f.Key())
	}
}

func TestWhatIsNoSkipIsNone(t *testing.T) {
	_, ok, err := readmodel.Decode("SomethingElse", []byte(`{"position":1}`))
	require.NoError(t, err)
	require.False(t, ok)
	_, _, err = readmodel.Decode(readmodel.SkippedType, []byte(`{"reason":"of nothing"}`))
	require.ErrorContains(t, err, "position is missing")
}

func FuzzDecode(f *testing.F) {
	f.Add(readmodel.SkippedType, []byte(`{"position":1,"reason":"x"}`))
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, typeName string, data []byte) {
		fact, ok, err := readmodel.Decode(typeName, data)
		if ok && (err != nil || fact.Position == 0 || typeName != readmodel.SkippedType) {
			t.Fatalf("%v %v", fact, err)
		}
	})
}
