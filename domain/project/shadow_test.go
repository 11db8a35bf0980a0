package project_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
)

func TestAShadowIsWrittenAsItIsRead(t *testing.T) {
	for _, text := range []string{"", "!", "next", "next@1", "next@12"} {
		s, err := project.ParseShadow(text)
		require.NoError(t, err, text)
		require.Equal(t, text, s.String())
	}
	for text, rule := range map[string]string{
		"next@": "project.shadow", "next@0": "project.shadow", "next@+1": "project.shadow", "next@01": "project.shadow", "next@1@2": "project.shadow",
		"@1": "ruleset.name", "Next": "ruleset.name", "!@1": "ruleset.name", "!next": "ruleset.name",
	} {
		_, err := project.ParseShadow(text)
		require.Equal(t, rule, domain.RuleOf(err), text)
	}
}

func FuzzParseShadow(f *testing.F) {
	for _, text := range []string{"", "!", "next", "next@2", "@", "a@-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := project.ParseShadow(text); err == nil && s.String() != text {
			t.Fatalf("%q was read as %q", text, s)
		}
	})
}

func TestAShadowIsLookedUpAsAWhole(t *testing.T) {
	all := project.Settings{Shadow: project.Shadow{Name: "next", Version: 2}}
	require.Equal(t, all, project.Settings{}.Over(all))
	own := project.Settings{Shadow: project.Shadow{Name: "mine"}}
	require.Equal(t, own, own.Over(all))
	none := project.Settings{Shadow: project.NoShadow}
	require.Equal(t, none, none.Over(all), "its own wish for none")
}

func TestAShadowMakesAnotherFact(t *testing.T) {
	plain := configured(project.Settings{RuleSet: "strict"})
	require.Equal(t, "ProjectConfigured/strict///", plain.Key(), "as it always was: event ids derive from it")
	with := configured(project.Settings{RuleSet: "strict", Shadow: project.Shadow{Name: "next", Version: 2}})
	require.Equal(t, "ProjectConfigured/strict////next@2", with.Key())
}
