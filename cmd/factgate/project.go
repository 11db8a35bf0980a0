package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func projectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "project",
		Short: "Show and change what a project's tasks are opened under",
		Long: `A project may settle by which rule set its tasks are judged, how long their windows
are, and which rule set is tried in their shadow. Each setting is looked up on its
own: the project's, else that of '*' (all projects), else the rule set's.

  factgate project show dw
  factgate project configure dw --window 30m --clear quiet
  factgate project configure '*' --rule-set strict`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(projectShowCommand(), projectConfigureCommand())
	return cmd
}

// settingsView is what a project has settled for itself.
type settingsView struct {
	RuleSet *string `json:"ruleSet"`
	Window  *string `json:"window"`
	Quiet   *string `json:"quiet"`
	Minimum *string `json:"minimum"`
	Shadow  *string `json:"shadow"`
}

type refView struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

type projectView struct {
	Key      string       `json:"key"`
	Settings settingsView `json:"settings"`
	Terms    struct {
		RuleSet       refView  `json:"ruleSet"`
		Window        string   `json:"window"`
		Quiet         string   `json:"quiet"`
		Minimum       string   `json:"minimum"`
		Problem       *string  `json:"problem"`
		Shadow        *refView `json:"shadow"`
		ShadowProblem *string  `json:"shadowProblem"`
	} `json:"terms"`
}

// projectChange is the answer to configure.
type projectChange struct {
	Project string `json:"project"`
	settingsView
	Changed  bool   `json:"changed"`
	Position string `json:"position"`
}

// noShadow is a project's own wish for no shadow, where all projects have one.
const noShadow = "!"

const settingFields = "ruleSet window quiet minimum shadow"

func projectShowCommand() *cobra.Command {
	o := &operation{}
	return o.command("show PROJECT", "Show a project's settings, and what they come to",
		`Show says what the project has settled for itself, and what a task of it would be
opened under now. '*' is all projects that say nothing of their own.`,
		func(ctx context.Context, c *client, args []string) error {
			v, err := patiently(ctx, uploadPatience, func() (projectView, error) {
				var got struct{ Project projectView }
				err := c.query(ctx, `query ($key: String!) { project(key: $key) { key settings { `+settingFields+` }
					terms { ruleSet { name version digest } window quiet minimum problem shadow { name version digest } shadowProblem } } }`,
					map[string]any{"key": args[0]}, &got)
				return got.Project, err
			})
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(v)
			}
			p := printer{w: o.out, zh: o.zh}
			p.say("project %s", "项目 %s", v.Key)
			p.say("  its own:  %s", "  自身设置：%s", v.Settings.line(o.zh))
			t := v.Terms
			p.say("  in force: rule set %s %d, window %s, quiet %s, minimum %s", "  生效设置：规则集 %s %d，窗口期 %s，静默 %s，最短 %s",
				t.RuleSet.Name, t.RuleSet.Version, t.Window, t.Quiet, t.Minimum)
			if t.Problem != nil {
				p.say("  THE RULE SET CANNOT BE USED, tasks end FAILED: %s", "  规则集无法使用，任务将以 FAILED 结束：%s", *t.Problem)
			}
			if t.Shadow != nil {
				p.say("  in its shadow: %s %d", "  影子规则集：%s %d", t.Shadow.Name, t.Shadow.Version)
			}
			if t.ShadowProblem != nil {
				p.say("  the shadow cannot be used, tasks go without it: %s", "  影子规则集无法使用，任务不带影子：%s", *t.ShadowProblem)
			}
			return nil
		})
}

// line is all settings that are there.
func (s settingsView) line(zh bool) string {
	var words []string
	for _, one := range []struct {
		en, zh string
		value  *string
	}{
		{"rule set", "规则集", s.RuleSet}, {"window", "窗口期", s.Window}, {"quiet", "静默", s.Quiet}, {"minimum", "最短", s.Minimum}, {"shadow", "影子规则集", s.Shadow},
	} {
		if one.value != nil {
			value := *one.value
			if one.value == s.Shadow && value == noShadow {
				value = map[bool]string{false: "none", true: "无"}[zh]
			}
			words = append(words, map[bool]string{false: one.en, true: one.zh}[zh]+" "+value)
		}
	}
	if words == nil {
		return "—"
	}
	return strings.Join(words, map[bool]string{false: ", ", true: "，"}[zh])
}

// settings by their flags, and as GraphQL names them.
var settings = []struct{ flag, argument, usage string }{
	{"rule-set", "ruleSet", "the rule set that judges; a version of it must be in service"},
	{"window", "window", "how long a window is open at most, such as 10m"},
	{"quiet", "quiet", "how long nothing must happen for it to close early"},
	{"minimum", "minimum", "how long it is open at least"},
	{"shadow", "shadow", "a rule set that is tried and never enforced: NAME or NAME@VERSION"},
}

func projectConfigureCommand() *cobra.Command {
	o := &operation{}
	var unset []string
	var cmd *cobra.Command
	cmd = o.command("configure PROJECT", "Change a project's settings",
		`Configure changes what is given and leaves the rest; --clear takes a setting away.
It holds for windows that are opened from now on. '*' is all projects that say
nothing of their own.`,
		func(ctx context.Context, c *client, args []string) error {
			wish := map[string]any{}
			for _, s := range settings {
				given, cleared := cmd.Flags().Changed(s.flag), slices.Contains(unset, s.flag)
				switch {
				case given && cleared:
					return fmt.Errorf("--%s is both given and cleared", s.flag)
				case cleared:
					wish[s.argument] = ""
				case given:
					value, err := cmd.Flags().GetString(s.flag)
					if err != nil {
						return err
					}
					if value == "" {
						return fmt.Errorf("--%s is empty; take it away with --clear %s", s.flag, s.flag)
					}
					wish[s.argument] = value
				}
			}
			for _, name := range unset {
				if !slices.ContainsFunc(settings, func(s struct{ flag, argument, usage string }) bool { return s.flag == name }) {
					return fmt.Errorf("--clear %q is no setting; give rule-set, window, quiet, minimum or shadow", name)
				}
			}
			if len(wish) == 0 {
				return errors.New("nothing to change: give a setting, or --clear one")
			}
			did, err := c.configure(ctx, args[0], o.by, wish)
			if err != nil {
				return err
			}
			return o.reportProject(did)
		})
	for _, s := range settings {
		cmd.Flags().String(s.flag, "", s.usage)
	}
	cmd.Flags().StringSliceVar(&unset, "clear", nil, "take settings away, by the names of their flags: window,quiet")
	cmd.Flags().StringVar(&o.by, "by", userName(), "who changes it")
	return cmd
}

func (c *client) configure(ctx context.Context, project, by string, wish map[string]any) (projectChange, error) {
	variables := map[string]any{"project": project, "by": by}
	for name, value := range wish {
		variables[name] = value
	}
	return patiently(ctx, uploadPatience, func() (projectChange, error) {
		var got struct{ ConfigureProject projectChange }
		err := c.query(ctx, `mutation ($project: String!, $ruleSet: String, $window: String, $quiet: String, $minimum: String, $shadow: String, $by: String) {
			configureProject(project: $project, ruleSet: $ruleSet, window: $window, quiet: $quiet, minimum: $minimum, shadow: $shadow, by: $by) {
				project `+settingFields+` changed position } }`, variables, &got)
		return got.ConfigureProject, err
	})
}

func (o *operation) reportProject(did projectChange) error {
	if o.json {
		return printJSON(did)
	}
	en, zh := "project %s: its own: %s", "项目 %s：自身设置：%s"
	if !did.Changed {
		en, zh = en+" (so already)", zh+"（此前已如此）"
	}
	p := printer{w: o.out, zh: o.zh}
	p.say(en, zh, did.Project, did.line(o.zh))
	return nil
}

func rulesShadowCommand() *cobra.Command {
	o := &operation{}
	var project string
	var off bool
	cmd := o.command("shadow NAME[@VERSION]", "Try a rule set on live tasks, without enforcing it",
		`Shadow has each task that is opened from now on tried by a rule set beside the one
that judges it: shown by explain and GraphQL, never enforced. It is for the tasks of
one project with --project, else for those of all projects that set no shadow of
their own. Without a version it is the one that is active for the project when a
task is opened. With --off, and no name, there is none any more; a project that is
named then has none, whatever all projects have: factgate project configure PROJECT
--clear shadow has it follow them again.`,
		func(ctx context.Context, c *client, args []string) error {
			shadow := ""
			switch {
			case !off:
				shadow = args[0]
			case project != "*":
				shadow = noShadow
			}
			did, err := c.configure(ctx, project, o.by, map[string]any{"shadow": shadow})
			if err != nil {
				return err
			}
			return o.reportProject(did)
		})
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if off && len(args) == 0 || !off && len(args) == 1 && args[0] != "" {
			return nil
		}
		return errors.New("give a rule set, or --off: factgate rules shadow NAME[@VERSION] | --off")
	}
	cmd.Flags().StringVar(&project, "project", "*", "for this project only (default: for all that set none of their own)")
	cmd.Flags().BoolVar(&off, "off", false, "take the shadow away")
	cmd.Flags().StringVar(&o.by, "by", userName(), "who sets it")
	return cmd
}
