package project_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/suppression"
)

const strict = "rules: {SQL013: error}\n"

var (
	sqlConfigured = project.ScannerConfigured{Project: "dw", Type: "SQL", Text: strict, Digest: configuration.Digest(strict), By: "li"}
	legacy        = suppression.Which{Rule: "SQL001", Path: "legacy/**"}
	granted       = project.WaiverGranted{ID: "w1", Project: "dw", Type: "SQL", Which: legacy, Reason: "one-off", Expires: "2026-12-31", By: "li"}
	day           = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
)

func TestScannersAndWaivers(t *testing.T) {
	grant := project.GrantWaiver{ID: "w1", Type: "SQL", Which: legacy, Reason: "one-off", Expires: "2026-12-31", By: "li", Now: day}
	later := grant
	later.ID = "w2"
	revoked := project.WaiverRevoked{ID: "w1", Project: "dw", Reason: "fixed", By: "wang"}
	second := granted
	second.ID = "w2"
	for name, c := range map[string]struct {
		given []project.Fact
		when  project.Command
		then  []project.Fact
	}{
		"a type is configured":   {nil, project.ConfigureScanner{Type: "SQL", Text: strict, By: "li"}, []project.Fact{sqlConfigured}},
		"the same text":          {[]project.Fact{sqlConfigured}, project.ConfigureScanner{Type: "SQL", Text: strict, By: "wang"}, nil},
		"it is reset":            {[]project.Fact{sqlConfigured}, project.ResetScanner{Type: "SQL", By: "li"}, []project.Fact{project.ScannerUnconfigured{Project: "dw", Type: "SQL", By: "li"}}},
		"nothing to reset":       {nil, project.ResetScanner{Type: "SQL"}, nil},
		"a waiver":               {nil, grant, []project.Fact{granted}},
		"the same again":         {[]project.Fact{granted}, later, nil},
		"it is revoked":          {[]project.Fact{granted}, project.RevokeWaiver{ID: "w1", Reason: "fixed", By: "wang"}, []project.Fact{revoked}},
		"revoked already":        {[]project.Fact{granted, revoked}, project.RevokeWaiver{ID: "w1", By: "li"}, nil},
		"granted after a revoke": {[]project.Fact{granted, revoked}, later, []project.Fact{second}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := project.Decide(fold(c.given...), c.when)
			require.NoError(t, err)
			require.Equal(t, c.then, got)
			again, err := project.Decide(fold(append(c.given, got...)...), c.when)
			require.NoError(t, err)
			require.Empty(t, again)
		})
	}
	for rule, c := range map[string]project.Command{
		"configuration.invalid": project.ConfigureScanner{Type: "SQL", Text: "rule: x"},
		"sub_task.type":         project.ConfigureScanner{Type: "作业", Text: strict},
		"suppression.rule":      project.GrantWaiver{ID: "x", Which: suppression.Which{Path: "**"}, Reason: "y"},
		"suppression.reason":    project.GrantWaiver{ID: "x", Which: legacy},
		"waiver.expired":        project.GrantWaiver{ID: "x", Which: legacy, Reason: "y", Expires: "2026-11-29", Now: day},
		"waiver.unknown":        project.RevokeWaiver{ID: "x"},
	} {
		_, err := project.Decide(fold(), c)
		require.Equal(t, rule, domain.RuleOf(err))
	}
}

func TestTheStateBeforeStaysAsItWas(t *testing.T) {
	before := fold(sqlConfigured, granted)
	after := project.Evolve(before, project.Recorded{Revision: 2, At: day, Fact: project.WaiverRevoked{ID: "w1"}},
		project.Recorded{Revision: 3, Fact: project.ScannerUnconfigured{Type: "SQL"}})
	require.Len(t, before.Granted(), 1)
	require.Nil(t, before.Waivers["w1"].Revoked)
	require.Len(t, before.Scanners, 1)
	require.Empty(t, after.Granted())
	require.Equal(t, day, after.Waivers["w1"].Revoked.At)
	require.Empty(t, after.Scanners)
	require.EqualValues(t, 4, after.Facts)
	found, ok := before.Find(project.GrantWaiver{Type: "SQL", Which: legacy, Reason: "one-off", Expires: "2026-12-31"})
	require.True(t, ok)
	require.Equal(t, "w1", found.ID)
}

// Files in testdata/facts are added, never edited.
func TestStoredFactsOfScannersStayReadable(t *testing.T) {
	all := granted
	all.Anchor, all.Identity = "select * from t", "0123456789abcdef0123456789abcdef"
	for _, want := range []project.Fact{
		sqlConfigured, project.ScannerUnconfigured{Project: "dw", Type: "SQL", By: "li"}, all, project.WaiverRevoked{ID: "w1", Project: "dw", Reason: "fixed", By: "li"},
	} {
		name, data, err := project.Encode(want)
		require.NoError(t, err)
		file := filepath.Join("testdata", "facts", name+".v1.json")
		if _, err := os.Stat(file); os.IsNotExist(err) && *update {
			require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
		}
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, project.Read(name, golden))
		require.JSONEq(t, string(golden), string(data))
	}
}
