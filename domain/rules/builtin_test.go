package rules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/rules"
)

// Tasks name the set that they were opened under by its digest: with another text
// under the same version, windows that are open across an upgrade would end FAILED,
// and old verdicts could not be recomputed.
func TestTheTextsOfTheBuiltInSetsArePromises(t *testing.T) {
	digests := map[string]string{
		"default": "26aecb514112346d1bf24b812734bb481b3315c4a813d7cf8b5b7067bb52a99d",
		"strict":  "dbf93fa070d3081d814329dbe89ece0ed72129518e432773e9136a000ea2bc26",
	}
	names := rules.BuiltIns()
	require.Len(t, names, len(digests))
	for _, name := range names {
		rs, ok := rules.BuiltIn(name)
		require.True(t, ok)
		require.Equal(t, 1, rs.Ref().Version)
		require.Equal(t, digests[name], rs.Ref().Digest, name)
	}
}
