package rules_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
)

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	where := func(text string) (places []string) {
		_, err := rules.Parse([]byte(text), 1)
		require.Equal(t, "ruleset.invalid", domain.RuleOf(err))
		require.Equal(t, domain.Invalid, domain.KindOf(err))
		for _, e := range rules.SourceErrors(err) {
			require.Contains(t, err.Error(), e.Reason.En)
			places = append(places, fmt.Sprintf("%d:%s", e.Line, e.RuleID))
		}
		return places
	}
	const rest = "rules:\n  - {id: a, when: nonsense, status: FAILED}\n  - {id: b, when: observed == 0, status: GOOD}\n  - {id: a, when: 'true', status: FAILED}\n"
	require.Equal(t, []string{"2:", "3:", "5:a", "6:b", "7:"}, where("name: x\nwindow: soon\nadvisory: ['a b']\n"+rest))
	// What only follows is left out: no rule can be held against thresholds that
	// are wrong, nor a requirement against rules that are.
	require.Equal(t, []string{"3:"}, where("name: x\nwindow: 1m\nthresholds: {most: many}\nrules:\n  - {id: a, when: warnings > thresholds.most, status: FAILED}\n"))
	require.Equal(t, []string{"5:a"}, where("name: x\nwindow: 1m\nrequired: {SQL: closed}\nrules:\n  - {id: a, when: missing > none, status: FAILED}\n"))
	require.Nil(t, rules.SourceErrors(nil))
}
