package commands_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/testbench"
)

func TestAShadowIsTheProjectsElseAllProjects(t *testing.T) {
	store := testbench.NewStore(t)
	c, book, ctx := commands.New(store), commands.NewRuleBook(store), t.Context()
	set := func(of, shadow string) error {
		wish, err := project.ParseShadow(shadow)
		require.NoError(t, err)
		_, err = c.ConfigureProject(ctx, of, project.Configure{Shadow: &wish})
		return err
	}
	is := func(of string) *task.RuleSetRef {
		terms, err := book.Active(ctx, of)
		require.NoError(t, err)
		require.NoError(t, terms.ShadowProblem)
		require.Equal(t, "default", terms.RuleSet.Name)
		return terms.Shadow
	}
	require.Nil(t, is("dw"))
	one, err := c.PublishRuleSet(ctx, text("next", "SUCCESS"), "li")
	require.NoError(t, err)
	two, err := c.PublishRuleSet(ctx, text("next", "FAILED"), "li")
	require.NoError(t, err)
	first, second := &task.RuleSetRef{Name: "next", Version: 1, Digest: one.Digest}, &task.RuleSetRef{Name: "next", Version: 2, Digest: two.Digest}

	for shadow, rule := range map[string]string{"next": "ruleset.inactive", "next@3": "ruleset.version_unknown", "nothing": "ruleset.unknown", "nothing@1": "ruleset.unknown"} {
		require.Equal(t, rule, domain.RuleOf(set("dw", shadow)), shadow)
	}
	require.Nil(t, is("dw"))
	require.NoError(t, set(project.All, "next@1"))
	require.Equal(t, first, is("dw"))
	require.NoError(t, set("dw", "next@2"))
	require.Equal(t, second, is("dw"))
	require.Equal(t, first, is("other"))
	require.NoError(t, set("dw", ""))
	require.Equal(t, first, is("dw"), "its own is taken away, that of all projects stays")

	// Without a version it is the one that is active for the project.
	_, err = c.ActivateRuleSet(ctx, "next", 1, "", "li")
	require.NoError(t, err)
	_, err = c.ActivateRuleSet(ctx, "next", 2, "dw", "li")
	require.NoError(t, err)
	back := "default"
	for _, of := range []string{project.All, "dw"} {
		_, err = c.ConfigureProject(ctx, of, project.Configure{RuleSet: &back, Shadow: &project.Shadow{Name: "next"}})
		require.NoError(t, err)
	}
	require.Equal(t, first, is("other"))
	require.Equal(t, second, is("dw"))

	s, err := book.Project(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, project.Settings{RuleSet: "default", Shadow: project.Shadow{Name: "next"}}, s.Settings)
	_, err = book.Project(ctx, "")
	require.Equal(t, "project.name", domain.RuleOf(err))
}
