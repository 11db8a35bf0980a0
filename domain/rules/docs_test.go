package rules_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/rules"
)

// The rule sets that docs/rules.md shows are accepted, and what it says of a
// mistake in one is what Parse says.
func TestTheDocumentedRuleSetsParse(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	require.NoError(t, err)
	var shown []string
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.HasPrefix(block, "name:") {
			shown = append(shown, block)
		}
	}
	require.Len(t, shown, 2)
	for _, block := range shown {
		_, err := rules.Parse([]byte(block), 1)
		require.NoError(t, err)
	}
	_, err = rules.Parse([]byte(strings.Replace(shown[1], "thresholds.coverage)", "coverage)", 1)), 1)
	var at *rules.SourceError
	require.ErrorAs(t, err, &at)
	require.Equal(t, "unread", at.RuleID)
	require.Contains(t, string(text), "```\nline "+strings.TrimPrefix(at.Error(), "ruleset.invalid: line ")+"\n")
}
