package commands_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/suppression"
	"github.com/factgate/factgate/internal/testbench"
)

func TestAProjectsOwnConfigurationReplacesThatOfAll(t *testing.T) {
	store := testbench.NewStore(t)
	c, projects, ctx := commands.New(store), commands.NewProjects(store), t.Context()
	of := func(name string) string {
		said, err := projects.Scanner(ctx, name, "SQL")
		require.NoError(t, err)
		if said.Configuration == nil {
			return ""
		}
		return said.Configuration.Project + " " + said.Configuration.Digest
	}
	require.Empty(t, of("dw"))
	everybodys, own := "enabled: false", "rules: {SQL001: off}"
	done, err := c.ConfigureScanner(ctx, project.All, project.ConfigureScanner{Type: "SQL", Text: everybodys, By: "li"})
	require.NoError(t, err)
	require.True(t, done.Changed)
	require.Equal(t, "* "+configuration.Digest(everybodys), of("dw"), "seen by a reader that has answered before")
	again, err := c.ConfigureScanner(ctx, project.All, project.ConfigureScanner{Type: "SQL", Text: everybodys, By: "li"})
	require.NoError(t, err)
	require.False(t, again.Changed)
	require.Equal(t, done.Position, again.Position)
	_, err = c.ConfigureScanner(ctx, "dw", project.ConfigureScanner{Type: "SQL", Text: own, By: "li"})
	require.NoError(t, err)
	require.Equal(t, "dw "+configuration.Digest(own), of("dw"))
	require.Equal(t, "* "+configuration.Digest(everybodys), of("other"))
	require.Equal(t, "* "+configuration.Digest(everybodys), of("not\na name"))
	_, err = c.ResetScanner(ctx, "dw", project.ResetScanner{Type: "SQL", By: "li"})
	require.NoError(t, err)
	require.Equal(t, "* "+configuration.Digest(everybodys), of("dw"))

	_, err = c.ConfigureScanner(ctx, "dw", project.ConfigureScanner{Type: "SQL", Text: "enabled: sometimes"})
	require.Equal(t, "configuration.invalid", domain.RuleOf(err))
	// Settings of the project itself stand in the same stream, and stay.
	_, err = c.ConfigureProject(ctx, "dw", project.Configure{Quiet: &project.Change{To: time.Second}})
	require.NoError(t, err)
	terms, err := commands.NewRuleBook(store).Active(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, time.Second, terms.Quiet)
}

func TestWaiversAreGrantedAndRevoked(t *testing.T) {
	store := testbench.NewStore(t)
	c, projects, ctx := commands.New(store), commands.NewProjects(store), t.Context()
	wish := project.GrantWaiver{Type: "SQL", Which: suppression.Which{Rule: "SQL001", Path: "**"}, Reason: "one-off", By: "li", Now: time.Now()}
	one, err := c.GrantWaiver(ctx, "dw", wish)
	require.NoError(t, err)
	require.True(t, one.Changed)
	require.NotEmpty(t, one.Waiver.ID)
	again, err := c.GrantWaiver(ctx, "dw", wish)
	require.NoError(t, err)
	require.False(t, again.Changed)
	require.Equal(t, one.Waiver.ID, again.Waiver.ID, "the same wish is the same waiver")
	wish.Type = ""
	everybodys, err := c.GrantWaiver(ctx, project.All, wish)
	require.NoError(t, err)

	ids := func(name, kind string) (out []string) {
		said, err := projects.Scanner(ctx, name, kind)
		require.NoError(t, err)
		for _, w := range said.Waivers {
			out = append(out, w.ID)
		}
		return out
	}
	require.Equal(t, []string{one.Waiver.ID, everybodys.Waiver.ID}, ids("dw", "SQL"))
	require.Equal(t, []string{everybodys.Waiver.ID}, ids("dw", "EXCEL"))
	require.Equal(t, []string{everybodys.Waiver.ID}, ids("other", "SQL"))

	gone, err := c.RevokeWaiver(ctx, "dw", project.RevokeWaiver{ID: one.Waiver.ID, Reason: "fixed", By: "wang"})
	require.NoError(t, err)
	require.Equal(t, "wang", gone.Waiver.Revoked.By)
	require.Equal(t, []string{everybodys.Waiver.ID}, ids("dw", "SQL"))
	_, err = c.RevokeWaiver(ctx, "dw", project.RevokeWaiver{ID: everybodys.Waiver.ID})
	require.Equal(t, "waiver.unknown", domain.RuleOf(err), "it is of all projects")
}
