package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The test binary is also the servers that the run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A whole run, but a brief one: every side is there, does what it is asked to and
// keeps what it acknowledged; every goal gets a verdict.
func TestQuickRun(t *testing.T) {
	factgate := filepath.Join(t.TempDir(), "factgate")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-o", factgate, "./cmd/factgate")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)

	figures := filepath.Join(t.TempDir(), "figures.json")
	var out, progress bytes.Buffer
	err = run(t.Context(), []string{"-quick", "-factgate", factgate, "-json", figures}, &out, &progress)
	require.NoError(t, err, "%s", &progress)

	var r report
	text, err := os.ReadFile(figures)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	for _, side := range []string{nodeName, messageDBName, goesName, nullName, floorName} {
		for _, n := range writers {
			row := r.Find("append", load(n), side)
			require.NotNil(t, row, "%s, %d writers", side, n)
			require.Positive(t, row.Median.Rate)
			require.Positive(t, row.Median.P99)
		}
	}
	for _, side := range []string{nodeName, nullName, nodeBareName, bareName} {
		for _, l := range []string{"1 subscriber", "16 subscribers"} {
			require.NotNil(t, r.Find("fan-out", l, side), "%s, %s", side, l)
		}
	}
	require.NotEmpty(t, r.Goals)
	for _, g := range r.Goals {
		require.NotEqual(t, "not measured", g.Verdict, "%s", g.Name)
		require.Contains(t, out.String(), g.Name)
	}
	t.Log("\n" + out.String())
}

func TestPayloadsAreFacts(t *testing.T) {
	for _, p := range payloads() {
		require.Len(t, p, payloadSize)
		require.True(t, json.Valid(p), "%s", p)
	}
}
