package report_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
)

func finding(rule string, s report.Severity) report.Finding {
	return report.Finding{Rule: rule, Severity: s, Message: report.Text{En: "bad", Zh: "不好"}, Path: "dwd/a.sql", Line: 3, Column: 7}
}

func TestAReportReadsBackAsItWasWritten(t *testing.T) {
	var blob bytes.Buffer
	w := report.NewWriter(&blob, report.Header{TaskID: "t", Type: "SQL", Attempt: 2, Scanner: "sql/1"})
	suppressed := finding("SQL001", report.Error)
	suppressed.Suppressed = true
	want := []report.Finding{finding("SQL002", report.Error), finding("SQL009", report.Warning), suppressed, finding("SQL002", report.Error), finding("SQL012", report.Error)}
	for _, f := range want {
		w.Add(f)
	}
	require.NoError(t, w.Close())
	require.Equal(t, report.Counts{Error: 3, Warning: 1}, w.Counts())
	require.Equal(t, []report.RuleCount{{"SQL002", 2}, {"SQL012", 1}}, w.Failing(report.Error))

	var got []report.Finding
	h, err := report.Read(&blob, func(f report.Finding) error { got = append(got, f); return nil })
	require.NoError(t, err)
	require.Equal(t, report.Header{Format: 1, TaskID: "t", Type: "SQL", Attempt: 2, Scanner: "sql/1"}, h)
	require.Equal(t, want, got)
}

func TestAFloodOfNotesDoesNotHideTheErrors(t *testing.T) {
	var blob bytes.Buffer
	w := report.NewWriter(&blob, report.Header{})
	for range report.MaxFindings * 2 {
		w.Add(finding("SQL024", report.Note))
	}
	w.Add(finding("SQL002", report.Error))
	require.NoError(t, w.Close())
	require.Equal(t, report.Counts{Error: 1, Note: 2 * report.MaxFindings}, w.Counts())
	errorsSeen := 0
	_, err := report.Read(&blob, func(f report.Finding) error {
		if f.Severity == report.Error {
			errorsSeen++
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, errorsSeen)
}

func TestLongMessagesAreCutBetweenRunes(t *testing.T) {
	var blob bytes.Buffer
	w := report.NewWriter(&blob, report.Header{})
	f := finding("SQL000", report.Error)
	f.Message.Zh = strings.Repeat("长", 5000)
	w.Add(f)
	require.NoError(t, w.Close())
	_, err := report.Read(&blob, func(f report.Finding) error {
		require.NotContains(t, f.Message.Zh, "\uFFFD")
		require.Less(t, len(f.Message.Zh), 2100)
		return nil
	})
	require.NoError(t, err)
}

func TestDamageIsToldApartFromAFailingReader(t *testing.T) {
	each := func(report.Finding) error { return nil }
	for _, blob := range []string{"", "{", `{"format":2}`, `{"format":1}` + "\n{", `{"format":1}` + "\n" + strings.Repeat("x", 70<<10)} {
		_, err := report.Read(strings.NewReader(blob), each)
		require.ErrorIs(t, err, report.ErrDamaged, "%.40q", blob)
	}
	away := errors.New("disk away")
	_, err := report.Read(iotest.ErrReader(away), each)
	require.ErrorIs(t, err, away)
	for _, begun := range []string{`{"form`, `{"format":1}` + "\n" + `{"ru`} {
		_, err := report.Read(io.MultiReader(strings.NewReader(begun), iotest.ErrReader(away)), each)
		require.ErrorIs(t, err, away, "within a line: %s", begun)
	}
	require.NotErrorIs(t, err, report.ErrDamaged)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"format":1,"taskId":"t"}` + "\n" + `{"rule":"SQL002","severity":"error"}` + "\n"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		n := 0
		_, _ = report.Read(bytes.NewReader(blob), func(report.Finding) error { n++; return nil })
		require.LessOrEqual(t, n, report.MaxFindings)
	})
}
