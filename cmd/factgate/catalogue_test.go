package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
)

var update = flag.Bool("update", false, "rewrite docs/rules")

// docs/rules says what the code says.
func TestThePagesOfRulesAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "..", "docs", "rules")
	pages := map[string]bool{"README.md": true}
	for _, s := range scannerList() {
		name := strings.ToLower(s.Describe().Type) + ".md"
		pages[name] = true
		file := filepath.Join(folder, name)
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(rulesMarkdown(s)), 0o644))
		}
		page, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(page), rulesMarkdown(s), "%s is not what the code says; run make golden", name)
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		require.True(t, pages[e.Name()], "docs/rules/%s is of no scanner", e.Name())
	}
}

func TestEveryRuleSaysAllThatSomebodyNeeds(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range scannerList() {
		about, rules := s.Describe(), rulesOf(s)
		require.NotEmpty(t, rules, "%s has no catalogue", about.Type)
		for _, r := range rules {
			for _, text := range []report.Text{r.Message, r.Rationale} {
				require.NotEmpty(t, text.En, r.ID)
				require.NotEmpty(t, text.Zh, r.ID)
			}
			require.Contains(t, []report.Severity{report.Error, report.Warning, report.Note}, r.Severity, r.ID)
			other, taken := seen[r.ID]
			shared := strings.HasPrefix(r.ID, "ENC") || strings.HasPrefix(r.ID, "SUP")
			require.False(t, taken && !shared, "%s is of %s and of %s", r.ID, other, about.Type)
			seen[r.ID] = about.Type
		}
	}
}

func TestTheCatalogueIsPrinted(t *testing.T) {
	t.Parallel()
	text := run(t, "rules-catalogue", "sql", "--lang", "zh")
	require.Zero(t, text.code, text.errors)
	require.Contains(t, text.out, "SQL002  错误")
	require.Contains(t, text.out, "noqa: SQL002")
	require.NotContains(t, text.out, "XLS001")

	asJSON := run(t, "rules-catalogue", "--json")
	require.Zero(t, asJSON.code, asJSON.errors)
	var all []catalogueView
	require.NoError(t, json.Unmarshal([]byte(asJSON.out), &all))
	require.Len(t, all, len(scannerTypes()))
	for _, one := range all {
		require.NotEmpty(t, one.Rules, one.Type)
	}
	for _, r := range all[0].Rules {
		require.Equal(t, r.ID == "SQL034", r.Security, r.ID)
	}

	require.Equal(t, exitError, run(t, "rules-catalogue", "nothing").code)
	require.Equal(t, exitError, run(t, "rules-catalogue", "--format", "xml").code)
}
