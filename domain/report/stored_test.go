package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
)

func TestAStoredReportIsTheOneThatTheFactSpeaksOf(t *testing.T) {
	var b bytes.Buffer
	w := report.NewWriter(&b, report.Header{})
	w.Add(report.Finding{Rule: "R1", Severity: report.Error})
	w.Add(report.Finding{Rule: "R2", Severity: report.Note})
	require.NoError(t, w.Close())
	sum := sha256.Sum256(b.Bytes())
	digest := hex.EncodeToString(sum[:])
	read := func(r io.Reader, digest string) (rules string, err error) {
		_, err = report.ReadStored(r, digest, func(f report.Finding) error { rules += f.Rule; return nil })
		return rules, err
	}

	for _, want := range []string{digest, ""} {
		rules, err := read(bytes.NewReader(b.Bytes()), want)
		require.NoError(t, err)
		require.Equal(t, "R1R2", rules)
	}
	_, err := read(bytes.NewReader(b.Bytes()), strings.Repeat("0", 64))
	require.ErrorIs(t, err, report.ErrDamaged)
	_, err = read(strings.NewReader("no report"), "")
	require.ErrorIs(t, err, report.ErrDamaged)
	away := errors.New("away")
	_, err = read(io.MultiReader(bytes.NewReader(b.Bytes()), iotest.ErrReader(away)), digest)
	require.ErrorIs(t, err, away)
	require.NotErrorIs(t, err, report.ErrDamaged, "a failing reader says nothing about the report")
	_, err = report.ReadStored(bytes.NewReader(b.Bytes()), digest, func(report.Finding) error { return away })
	require.ErrorIs(t, err, away)
}
