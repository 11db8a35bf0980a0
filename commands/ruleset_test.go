package commands_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

func text(name, status string) string {
	return "name: " + name + "\nwindow: 7m\nquiet: 3s\nrules:\n  - {id: always, when: \"true\", status: " + status + "}\n"
}

func TestPublishedAndActivatedRuleSetsAreFound(t *testing.T) {
	store := testbench.NewStore(t)
	c, book, ctx := commands.New(store), commands.NewRuleBook(store), t.Context()

	terms, err := book.Active(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, commands.Terms{RuleSet: rules.Default().Ref(), Window: rules.Default().Window(), Quiet: rules.Default().Quiet()}, terms)

	one, err := c.PublishRuleSet(ctx, text("mine", "SUCCESS"), "li")
	require.NoError(t, err)
	require.Equal(t, 1, one.Version)
	require.True(t, one.Changed)
	again, err := c.PublishRuleSet(ctx, text("mine", "SUCCESS"), "wang")
	require.NoError(t, err)
	one.Changed = false
	require.Equal(t, one, again, "the same text is the same version")
	two, err := c.PublishRuleSet(ctx, text("mine", "FAILED"), "li")
	require.NoError(t, err)
	require.Equal(t, 2, two.Version)
	require.Greater(t, two.Position, one.Position)

	rs, err := book.Get(ctx, task.RuleSetRef{Name: "mine", Version: 2, Digest: two.Digest})
	require.NoError(t, err)
	require.Equal(t, two.Digest, rs.Ref().Digest)
	v, err := book.Version(ctx, "mine", 1)
	require.NoError(t, err)
	require.Equal(t, text("mine", "SUCCESS"), v.Text)
	require.Equal(t, "li", v.By)
	names, err := book.Names(ctx)
	require.NoError(t, err)
	require.Subset(t, names, []string{"default", "mine"})

	// Published is not active; activated is seen by the very next question, also
	// of a book that has answered before.
	terms, err = book.Active(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, "default", terms.RuleSet.Name)
	active := func(project string) string {
		terms, err := book.Active(ctx, project)
		require.NoError(t, err)
		require.NoError(t, terms.Problem)
		return fmt.Sprint(terms.RuleSet.Name, " ", terms.RuleSet.Version)
	}
	_, err = c.ActivateRuleSet(ctx, "mine", 1, "", "li")
	require.NoError(t, err)
	require.Equal(t, "mine 1", active("dw"))
	done, err := c.ActivateRuleSet(ctx, "mine", 0, "dw", "li")
	require.NoError(t, err)
	require.Equal(t, 2, done.Version)
	require.Equal(t, "mine 2", active("dw"))
	require.Equal(t, "mine 1", active("other"))
	done, err = c.ActivateRuleSet(ctx, "mine", 2, "dw", "li")
	require.NoError(t, err)
	require.False(t, done.Changed)
	_, err = c.ActivateRuleSet(ctx, "default", 0, "", "li")
	require.NoError(t, err)
	require.Equal(t, "default 1", active("other"))
	require.Equal(t, "mine 2", active("dw"), "a project's own stays")

	// Lengths: the project's own, else all projects', else the rule set's.
	minute := func(n int) *project.Change { return &project.Change{To: time.Duration(n) * time.Minute} }
	_, err = c.ConfigureProject(ctx, project.All, project.Configure{Window: minute(30), Quiet: minute(2)})
	require.NoError(t, err)
	configured, err := c.ConfigureProject(ctx, "dw", project.Configure{Quiet: minute(1), Minimum: minute(3), By: "li"})
	require.NoError(t, err)
	require.Equal(t, "mine", configured.State.RuleSet)
	terms, err = book.Active(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, []time.Duration{30 * time.Minute, time.Minute, 3 * time.Minute}, []time.Duration{terms.Window, terms.Quiet, terms.Minimum})
	_, err = c.ConfigureProject(ctx, "dw", project.Configure{Window: &project.Change{Clear: true}})
	require.NoError(t, err)
	fresh, err := commands.NewRuleBook(store).Active(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, terms, fresh, "what is remembered is what is recorded")
}

func TestWhatIsRefusedLeavesNoFact(t *testing.T) {
	store := testbench.NewStore(t)
	c, ctx := commands.New(store), t.Context()
	name := "nothing"
	for rule, wish := range map[string]func() error{
		"ruleset.invalid": func() error { _, err := c.PublishRuleSet(ctx, "name: x\nrules: 7", "li"); return err },
		"ruleset.name":    func() error { _, err := c.PublishRuleSet(ctx, text("Not_Good", "SUCCESS"), "li"); return err },
		"ruleset.unknown": func() error { _, err := c.ActivateRuleSet(ctx, "nothing", 0, "", "li"); return err },
		"ruleset.version_unknown": func() error {
			_, err := c.ActivateRuleSet(ctx, "default", 9, "", "li")
			return err
		},
		"project.name": func() error { _, err := c.ActivateRuleSet(ctx, "default", 0, "a\nb", "li"); return err },
		"project.window": func() error {
			_, err := c.ConfigureProject(ctx, "dw", project.Configure{Window: &project.Change{To: -1}})
			return err
		},
	} {
		require.Equal(t, rule, domain.RuleOf(wish()))
	}
	_, err := c.ConfigureProject(ctx, "dw", project.Configure{RuleSet: &name})
	require.Equal(t, "ruleset.unknown", domain.RuleOf(err))
	head, err := store.Head(ctx)
	require.NoError(t, err)
	require.Zero(t, head)

	_, err = c.PublishRuleSet(ctx, text("nothing", "SUCCESS"), "li")
	require.NoError(t, err)
	_, err = c.ConfigureProject(ctx, "dw", project.Configure{RuleSet: &name})
	require.Equal(t, "ruleset.inactive", domain.RuleOf(err))
}

// Many who publish and activate at once: every text is one version, and what is
// active in the end is what the stream says last.
func TestPublishingAndActivatingRace(t *testing.T) {
	store := testbench.NewStore(t)
	book, ctx := commands.NewRuleBook(store), t.Context()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := commands.New(store)
			done, err := c.PublishRuleSet(ctx, text("mine", "SUCCESS")+fmt.Sprintf("# %d\n", i/2), "li")
			if err != nil {
				t.Errorf("publish: %v", err)
				return
			}
			if _, err := c.ActivateRuleSet(ctx, "mine", done.Version, "", fmt.Sprint("user ", i)); err != nil {
				t.Errorf("activate: %v", err)
			}
		})
	}
	all.Wait()
	s, err := book.Set(ctx, "mine")
	require.NoError(t, err)
	require.Len(t, s.Versions, 4)
	var last ruleset.RuleSetActivated
	for r, err := range store.ReadStream(ctx, eventstore.StreamID{Category: ruleset.Category, Key: "mine"}, 0) {
		require.NoError(t, err)
		if f, ok := ruleset.Read(r.Type, r.Data).(ruleset.RuleSetActivated); ok {
			require.NotEqual(t, last.Version, f.Version, "what is active is not activated again")
			last = f
		}
	}
	terms, err := book.Active(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, last.Version, terms.RuleSet.Version)
	require.NoError(t, terms.Problem)
}

func TestARuleSetIsNeverTakenForAnother(t *testing.T) {
	store := testbench.NewStore(t)
	c, book, ctx := commands.New(store), commands.NewRuleBook(store), t.Context()
	done, err := c.PublishRuleSet(ctx, text("mine", "SUCCESS"), "li")
	require.NoError(t, err)
	tell := func(key string, f ruleset.Fact) {
		name, data, err := ruleset.Encode(f)
		require.NoError(t, err)
		_, err = store.Append(ctx, eventstore.StreamID{Category: ruleset.Category, Key: key}, eventstore.Any(),
			eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, key+f.Key()), Type: name, Data: data, Metadata: []byte("{}")})
		require.NoError(t, err)
	}
	tell("odd", ruleset.RuleSetPublished{Name: "odd", Version: 1, Text: "of: a newer version", Digest: "d"})
	tell("odd", ruleset.RuleSetActivated{Name: "odd", Version: 1})
	tell("forged", ruleset.RuleSetPublished{Name: "forged", Version: 1, Text: text("forged", "SUCCESS"), Digest: done.Digest})
	for rule, ref := range map[string]task.RuleSetRef{
		"ruleset.unknown":         {Name: "nothing", Version: 1, Digest: "d"},
		"ruleset.version_unknown": {Name: "mine", Version: 2, Digest: done.Digest},
		"ruleset.altered":         {Name: "mine", Version: 1, Digest: rules.Default().Ref().Digest},
		"ruleset.broken":          {Name: "odd", Version: 1, Digest: "d"},
		"ruleset.name":            {},
	} {
		_, err := book.Get(ctx, ref)
		require.Equal(t, rule, domain.RuleOf(err))
		require.True(t, commands.Unusable(err))
	}
	_, err = book.Get(ctx, task.RuleSetRef{Name: "forged", Version: 1, Digest: done.Digest})
	require.Equal(t, "ruleset.altered", domain.RuleOf(err))

	// A stranger's choice of a set that cannot be used: a window is opened all the same.
	data, err := json.Marshal(project.ProjectConfigured{Project: "dw", Settings: project.Settings{RuleSet: "odd"}})
	require.NoError(t, err)
	_, err = store.Append(ctx, eventstore.StreamID{Category: project.Category, Key: "dw"}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, "dw"), Type: "ProjectConfigured", Data: data, Metadata: []byte("{}")})
	require.NoError(t, err)
	terms, err := book.Active(ctx, "dw")
	require.NoError(t, err)
	require.Equal(t, "ruleset.broken", domain.RuleOf(terms.Problem))
	require.Equal(t, task.RuleSetRef{Name: "odd", Version: 1, Digest: "d"}, terms.RuleSet)
	require.Equal(t, rules.Default().Window(), terms.Window)
	require.NoError(t, store.Node.Close())
	_, err = book.Active(ctx, "dw")
	require.Error(t, err)
	require.False(t, commands.Unusable(err), "a store that is away says nothing about rule sets")
}
