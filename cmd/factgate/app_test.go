package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// licences is a scan type that nobody planned for.
type licences struct{}

func (licences) Describe() scanners.Description {
	return scanners.Description{Type: "LICENCES", Name: "made-up", Version: "0.1", RulesDigest: "r", ConfigDigest: "c"}
}

func (licences) Decide(_ context.Context, p *zippkg.Package) (scanners.Decision, error) {
	if len(p.Files()) == 0 {
		return scanners.Decline("EMPTY", report.Text{En: "the package is empty", Zh: "空包"}), nil
	}
	return scanners.TakePart(), nil
}

func (licences) Scan(_ context.Context, p *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	out.Add(report.Finding{Rule: "LIC001", Severity: report.Error, Path: p.Files()[0].Path, Message: report.Text{En: "no licence", Zh: "缺少许可证"}})
	return task.Coverage{Eligible: 1, Seen: 1}, nil
}

// startApp starts a whole Factgate in this process.
func startApp(t *testing.T, data string, list []scanners.Scanner) (*client, func()) {
	a, err := start(t.Context(), config{
		data: data, listen: "127.0.0.1:0", window: time.Minute, quiet: time.Second, scanners: list, logger: testbench.Logger(t),
	})
	require.NoError(t, err)
	c, err := newClient(a.url, false)
	require.NoError(t, err)
	return c, func() { require.NoError(t, a.stop()) }
}

func (c *client) converged(t *testing.T, path string) *taskView {
	r, err := c.upload(t.Context(), package_{path: path, fileName: "p.zip"})
	require.NoError(t, err)
	var v *taskView
	require.Eventually(t, func() bool {
		v, err = c.task(t.Context(), r.TaskID)
		return err == nil && v != nil && v.Verdict != nil
	}, testbench.Patience, 20*time.Millisecond)
	return v
}

// Adding a scan type changes nothing outside that scanner: coordinator, read
// model, GraphQL and CLI show a type that was made up at run time.
func TestATypeMadeUpAtRunTimeIsTakenEverywhere(t *testing.T) {
	t.Parallel()
	c, stop := startApp(t, t.TempDir(), append(scannerList(), licences{}))
	defer stop()
	v := c.converged(t, packed(t)["retail-1.4.0"])
	require.Equal(t, "PARTIAL_SUCCESS", v.Verdict.Status)
	require.Equal(t, "4 of 5 passed: API, EXCEL, SQL, UNIT_TEST; failed: LICENCES", v.Verdict.Because.En)

	var types []string
	for _, s := range v.SubTasks {
		types = append(types, s.Type)
	}
	require.Contains(t, types, "LICENCES")
	var found []string
	require.NoError(t, c.findings(t.Context(), v.ID, func(f findingView) {
		if f.Type == "LICENCES" {
			found = append(found, f.Rule)
		}
	}))
	require.Equal(t, []string{"LIC001"}, found)

	var observed struct {
		Task struct{ ObservedTypes []string }
	}
	require.NoError(t, c.query(t.Context(), `query($id: ID!) { task(id: $id) { observedTypes } }`, map[string]any{"id": v.ID}, &observed))
	require.Equal(t, []string{"API", "EXCEL", "LICENCES", "SQL", "UNIT_TEST"}, observed.Task.ObservedTypes)
}

// A scanner that was here and is not any more is silent, and silence is shown.
func TestAKnownScannerThatSaysNothingIsSilent(t *testing.T) {
	t.Parallel()
	data, path := t.TempDir(), packed(t)["retail-1.4.0"]
	c, stop := startApp(t, data, append(scannerList(), licences{}))
	require.Empty(t, c.converged(t, path).Silent)
	stop()
	c, stop = startApp(t, data, scannerList())
	defer stop()
	v := c.converged(t, path)
	require.Equal(t, "SUCCESS", v.Verdict.Status)
	require.Equal(t, []string{"LICENCES"}, v.Silent)
}
