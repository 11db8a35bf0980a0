package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
)

func TestAFindingIsKnownAgain(t *testing.T) {
	of := func(f report.Finding) report.Identity { return new(report.Identities).Of(f) }
	base := report.Finding{Rule: "SQL002", Path: "sql/a.sql", Line: 3, Message: report.Text{En: "no where", Zh: "缺"}, Anchor: "delete from t"}
	same := base
	same.Line, same.Column, same.Cell, same.Severity, same.Suppressed = 300, 7, "'s'!A1", report.Note, true
	same.Message.En = "another wording, for there is an anchor"
	same.Path = `.\sql\.\a.sql`
	require.Equal(t, of(base), of(same))
	require.Len(t, string(of(base)), 32)
	for name, change := range map[string]func(*report.Finding){
		"rule":   func(f *report.Finding) { f.Rule = "SQL001" },
		"path":   func(f *report.Finding) { f.Path = "sql/A.sql" },
		"anchor": func(f *report.Finding) { f.Anchor = "delete from u" },
		"none":   func(f *report.Finding) { f.Anchor = "" },
	} {
		other := base
		change(&other)
		require.NotEqual(t, of(base), of(other), name)
	}
	message := report.Finding{Rule: "R", Message: report.Text{En: "m"}}
	require.NotEqual(t, of(message), of(report.Finding{Rule: "R", Anchor: "m"}))
	require.NotEqual(t, of(message), of(report.Finding{Rule: "R", Message: report.Text{En: "n"}}))
}

func TestAlikeFindingsAreCounted(t *testing.T) {
	f := report.Finding{Rule: "R", Path: "p", Message: report.Text{En: "m"}}
	var one, other report.Identities
	a, b := one.Of(f), one.Of(f)
	require.NotEqual(t, a, b)
	require.Equal(t, a, other.Of(f))
	other.Of(report.Finding{Rule: "R2", Path: "p"}) // what lies between does not count
	require.Equal(t, b, other.Of(f))
}
