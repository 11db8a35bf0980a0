package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func waiversCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "waivers",
		Short: "Grant, list and revoke waivers of findings",
		Long: `A waiver takes findings of a project's packages (of all projects: '*') out of the gate,
on an operator's word. They stay in the report, with the waiver's id and reason. It
holds for attempts that begin from now on: factgate retry has a task checked again.

  factgate waivers grant dw --rule SQL001 --path 'legacy/**' --reason "one-off export" --expires 2026-12-31
  factgate waivers list dw
  factgate waivers revoke dw ID --reason "corrected"`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(waiversGrant(), waiversList(), waiversRevoke())
	return cmd
}

// waiverView is a waiver as GraphQL gives it.
type waiverView struct {
	ID       string    `json:"id"`
	Project  string    `json:"project"`
	Type     *string   `json:"type"`
	Rule     string    `json:"rule"`
	Path     string    `json:"path"`
	Anchor   *string   `json:"anchor"`
	Identity *string   `json:"identity"`
	Reason   string    `json:"reason"`
	Expires  *string   `json:"expires"`
	By       *string   `json:"by"`
	At       time.Time `json:"at"`
}

const waiverFields = "id project type rule path anchor identity reason expires by at"

// waiverChangeView is the answer to a wish about a waiver.
type waiverChangeView struct {
	Waiver   waiverView `json:"waiver"`
	Changed  bool       `json:"changed"`
	Position string     `json:"position"`
}

// line is a waiver in one line, but for its id.
func (v waiverView) line(zh bool) string {
	words := []string{v.Rule, v.Path}
	add := func(en, cn string, value *string) {
		if value != nil {
			words = append(words, map[bool]string{false: en, true: cn}[zh]+" "+*value)
		}
	}
	if v.Type != nil {
		words[0] = *v.Type + " " + v.Rule
	}
	add("anchor", "锚点", v.Anchor)
	add("finding", "问题", v.Identity)
	add("until", "有效至", v.Expires)
	add("by", "授予人", v.By)
	return strings.Join(append(words, v.Reason), map[bool]string{false: ", ", true: "，"}[zh])
}

func waiversGrant() *cobra.Command {
	o := &operation{}
	var rule, path, kind, anchor, identity, expires string
	cmd := o.command("grant PROJECT", "Take findings out of the gate",
		`Grant waives the findings of one rule in files that match a pattern ('**' is every
file), up to and with the day --expires (UTC). --type, --anchor and --identity narrow it
to the scanner's type, to what a finding is about, or to one finding. Security rules
may be waived, too. The same waiver is granted once, however often it is asked.`,
		func(ctx context.Context, c *client, args []string) error {
			wish := map[string]any{"project": args[0], "rule": rule, "path": path, "reason": o.reason, "by": o.by}
			for name, value := range map[string]string{"type": kind, "anchor": anchor, "identity": identity, "expires": expires} {
				if value != "" {
					wish[name] = value
				}
			}
			return o.waived(ctx, c, `mutation ($project: String!, $rule: String!, $path: String!, $reason: String!, $type: String, $anchor: String, $identity: ID, $expires: String, $by: String) {
				did: grantWaiver(project: $project, rule: $rule, path: $path, reason: $reason, type: $type, anchor: $anchor, identity: $identity, expires: $expires, by: $by) {
					changed position waiver { `+waiverFields+` } } }`, wish, "granted", "已授予")
		})
	cmd.Flags().StringVar(&rule, "rule", "", "the id of one rule, such as SQL001")
	cmd.Flags().StringVar(&path, "path", "", "which files, such as 'legacy/**'")
	cmd.Flags().StringVar(&kind, "type", "", "only what scanners of this type find")
	cmd.Flags().StringVar(&anchor, "anchor", "", "only findings with this anchor")
	cmd.Flags().StringVar(&identity, "identity", "", "only this finding: the identity that it shows")
	cmd.Flags().StringVar(&expires, "expires", "", "the last day, such as 2026-12-31 (default: it does not end)")
	_, _ = cmd.MarkFlagRequired("rule"), cmd.MarkFlagRequired("path") // the flags are there
	o.reasonFlags(cmd, "")
	return cmd
}

func waiversRevoke() *cobra.Command {
	o := &operation{}
	cmd := o.command("revoke PROJECT ID", "Have findings count again",
		"Revoke ends a waiver before its time, for attempts that begin from now on.",
		func(ctx context.Context, c *client, args []string) error {
			return o.waived(ctx, c, `mutation ($project: String!, $id: ID!, $reason: String, $by: String) {
				did: revokeWaiver(project: $project, id: $id, reason: $reason, by: $by) { changed position waiver { `+waiverFields+` } } }`,
				map[string]any{"project": args[0], "id": args[1], "reason": o.reason, "by": o.by}, "revoked", "已撤销")
		})
	o.reasonFlags(cmd, "")
	return cmd
}

func (o *operation) waived(ctx context.Context, c *client, mutation string, wish map[string]any, en, zh string) error {
	did, err := patiently(ctx, uploadPatience, func() (waiverChangeView, error) {
		var got struct{ Did waiverChangeView }
		err := c.query(ctx, mutation, wish, &got)
		return got.Did, err
	})
	if err != nil {
		return err
	}
	return o.answer(did, did.Changed, "waiver %s: "+en, "豁免 %s："+zh, did.Waiver.ID)
}

func waiversList() *cobra.Command {
	o := &operation{}
	return o.command("list PROJECT", "List a project's waivers",
		`List prints the waivers of a project that were not revoked, in the order in which they
were granted. Those of all projects hold too: factgate waivers list '*'.`,
		func(ctx context.Context, c *client, args []string) error {
			list, err := patiently(ctx, uploadPatience, func() ([]waiverView, error) {
				var got struct {
					Project struct{ Waivers []waiverView }
				}
				err := c.query(ctx, `query ($key: String!) { project(key: $key) { waivers { `+waiverFields+` } } }`, map[string]any{"key": args[0]}, &got)
				return got.Project.Waivers, err
			})
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(list)
			}
			p := printer{w: o.out, zh: o.zh}
			if len(list) == 0 {
				p.say("%s has no waivers", "%s没有豁免", whose(args[0], o.zh))
			}
			for _, v := range list {
				p.say("%s  %s", "%s  %s", v.ID, v.line(o.zh))
			}
			return nil
		})
}
