package suppression_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
	"github.com/factgate/factgate/domain/suppression"
)

func TestAFileIsRead(t *testing.T) {
	got, err := suppression.Parse([]byte(`# ours
suppressions:
  - rule: SQL001
    path: legacy/**
    reason: one-off export
    expires: 2026-12-31
  - {rule: XLS005, path: "**", anchor: 作业, reason: 已确认}
`))
	require.NoError(t, err)
	require.Equal(t, []suppression.Entry{
		{Which: suppression.Which{Rule: "SQL001", Path: "legacy/**"}, Reason: "one-off export", Expires: "2026-12-31", Line: 3, Column: 5},
		{Which: suppression.Which{Rule: "XLS005", Path: "**", Anchor: "作业"}, Reason: "已确认", Line: 7, Column: 5},
	}, got)
	for _, nothing := range []string{"", "suppressions:", "suppressions: []", "# nothing"} {
		got, err := suppression.Parse([]byte(nothing))
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestWhatIsWrongSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		"suppress: []": `1:1 "suppress" is not known here; known are suppressions`,
		"suppressions:\n  - {rule: R, path: a, reason: x, until: 1}":                   `2:35 "until" is not known here; known are anchor, expires, path, reason, rule`,
		"suppressions:\n  - {path: a, reason: x}":                                      `2:5 give the id of one rule, such as SQL001`,
		"suppressions:\n  - {rule: a b, path: a, reason: x}":                           `2:5 give the id of one rule, such as SQL001`,
		"suppressions:\n  - {rule: R, reason: x}":                                      `2:5 give a path pattern, such as legacy/**, or ** for every file`,
		"suppressions:\n  - {rule: R, path: a}":                                        `2:5 say why, in 1 to 500 characters`,
		"suppressions:\n  - {rule: R, path: a, reason: x, expires: soon}":              `2:44 give a day such as 2026-12-31`,
		"suppressions:\n  - {rule: R, path: a, reason: x, expires: 2026-02-30}":        `2:44 give a day such as 2026-12-31`,
		"suppressions:\n  - {rule: R, path: 'a[', reason: x}":                          `2:21 "a[" is no pattern: a [ or { is not closed, or a ] or } not opened`,
		"suppressions:\n" + strings.Repeat("  - {rule: R, path: a, reason: x}\n", 501): `502:5 more than 500 suppressions; widen their patterns`,
	} {
		got, err := suppression.Parse([]byte(text))
		require.Nil(t, got)
		var refused *strictyaml.Error
		require.ErrorAs(t, err, &refused, "%.80q", text)
		p := refused.Problems[0]
		require.Equal(t, want, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Text.En))
	}
}

func TestWhichFindingsAreMeant(t *testing.T) {
	f := report.Finding{Rule: "R", Path: "a/b.sql", Anchor: "x"}
	const identity = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		which suppression.Which
		want  bool
	}{
		{suppression.Which{Rule: "R", Path: "a/**"}, true},
		{suppression.Which{Rule: "R", Path: "**", Anchor: "x", Identity: identity}, true},
		{suppression.Which{Rule: "S", Path: "**"}, false},
		{suppression.Which{Rule: "R", Path: "b/**"}, false},
		{suppression.Which{Rule: "R", Path: "**", Anchor: "y"}, false},
		{suppression.Which{Rule: "R", Path: "**", Identity: "1123456789abcdef0123456789abcdef"}, false},
	} {
		require.NoError(t, c.which.Check())
		require.Equal(t, c.want, c.which.Matches(f, identity), c.which)
	}
	for rule, w := range map[string]suppression.Which{
		"suppression.identity": {Rule: "R", Path: "a", Identity: "XYZ"}, "suppression.rule": {Path: "a"}, "suppression.path": {Rule: "R"},
		"suppression.anchor": {Rule: "R", Path: "a", Anchor: "\xff"}, "glob.invalid": {Rule: "R", Path: "/a"},
	} {
		require.Equal(t, rule, domain.RuleOf(w.Check()))
	}
}

func TestADayHoldsToItsEnd(t *testing.T) {
	d, err := suppression.ParseDate("2026-12-31")
	require.NoError(t, err)
	require.False(t, d.Over(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)))
	require.True(t, d.Over(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.False(t, d.Over(time.Date(2027, 1, 1, 7, 0, 0, 0, time.FixedZone("", 8*3600))), "UTC counts")
	require.False(t, suppression.Date("").Over(time.Now()))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("suppressions:\n  - {rule: R, path: a, reason: x, expires: 2026-12-31}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := suppression.Parse(text)
		if err != nil && entries != nil {
			t.Fatal("a file that is not understood suppresses nothing")
		}
		for _, e := range entries {
			if e.Rule == "" || e.Path == "" || e.Reason == "" || e.Line < 1 {
				t.Fatalf("%+v", e)
			}
		}
	})
}
