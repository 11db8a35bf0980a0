package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
)

var update = flag.Bool("update", false, "write golden files that are missing; existing ones are never rewritten")

// Files in testdata are added, never edited.
func TestStoredReportsStayReadable(t *testing.T) {
	header := report.Header{Format: 1, TaskID: "0199", Type: "SQL", Attempt: 2, Scanner: "factgate-sql/1"}
	plain := report.Finding{
		Rule: "SQL002", Severity: report.Error, Message: report.Text{En: "no where", Zh: "缺少 WHERE"},
		Path: "dwd/a.sql", Line: 3, Column: 7, EndLine: 3, EndColumn: 9, Anchor: "delete from t",
	}
	elsewhere := report.Finding{
		Rule: "XLS005", Severity: report.Warning, Message: report.Text{En: "empty", Zh: "为空"},
		Path: "job.xlsx", Cell: "'s'!C7", Pointer: "/a", InnerLine: 1, InnerColumn: 2, Suppressed: true,
	}
	waived := plain
	waived.Suppressed = true
	waived.Suppression = &report.Suppression{Kind: report.External, By: "li", Reason: "one-off", Expires: "2026-12-31", Waiver: "0f"}
	inSource := plain
	inSource.Suppressed = true
	inSource.Suppression = &report.Suppression{Kind: report.InSource, Reason: "one-off"}
	for name, want := range map[string][]report.Finding{
		"report.v1.jsonl": {plain, elsewhere},
		"report.v2.jsonl": {plain, elsewhere, waived, inSource},
	} {
		var b bytes.Buffer
		w := report.NewWriter(&b, header)
		for _, f := range want {
			w.Add(f)
		}
		require.NoError(t, w.Close())
		file := filepath.Join("testdata", name)
		if _, err := os.Stat(file); os.IsNotExist(err) && *update {
			require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
		}
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		var got []report.Finding
		h, err := report.Read(bytes.NewReader(golden), func(f report.Finding) error { got = append(got, f); return nil })
		require.NoError(t, err)
		require.Equal(t, header, h)
		require.Equal(t, want, got)
		require.Equal(t, string(golden), b.String())
	}
}

func TestWhoeverHasASuppressionIsSuppressed(t *testing.T) {
	var b bytes.Buffer
	w := report.NewWriter(&b, report.Header{})
	w.Add(report.Finding{Rule: "R", Severity: report.Error, Suppression: &report.Suppression{Kind: report.InSource}})
	require.NoError(t, w.Close())
	require.Zero(t, w.Counts())
	_, err := report.Read(&b, func(f report.Finding) error { require.True(t, f.Suppressed); return nil })
	require.NoError(t, err)
}
