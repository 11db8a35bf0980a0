package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/examples"
)

func TestItPacksAllOrThoseNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-out", dir, "docs-only"}, &out, io.Discard))
	require.Equal(t, filepath.Join(dir, "docs-only.zip")+"\tFAILED\n", out.String())

	require.NoError(t, run([]string{"-out", dir}, io.Discard, io.Discard))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, len(examples.Names()), "and nothing temporary is left")
}

func TestWhatItRefuses(t *testing.T) {
	require.ErrorContains(t, run(nil, io.Discard, io.Discard), "-out DIR")
	dir := t.TempDir()
	require.ErrorContains(t, run([]string{"-out", dir, "retail-9"}, io.Discard, io.Discard), "there is no example")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}
