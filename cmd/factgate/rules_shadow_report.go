package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// listPage is how many entries of a list are asked for at once.
const listPage = 200

// shadowReportView is what shadow-report says as JSON.
type shadowReportView struct {
	Name        string                 `json:"name"`
	Version     int                    `json:"version"`
	Judged      int64                  `json:"judged"`
	Same        int64                  `json:"same"`
	Differing   int64                  `json:"differing"`
	Undecidable int64                  `json:"undecidable"`
	Open        int64                  `json:"open"`
	Differences []shadowDifferenceView `json:"differences"`
}

type shadowDifferenceView struct {
	Task     string `json:"task"`
	Project  string `json:"project"`
	Version  string `json:"version"`
	FileName string `json:"fileName"`
	Recorded string `json:"recorded"`
	Status   string `json:"status"`
	Rule     string `json:"rule"`
}

func rulesShadowReportCommand() *cobra.Command {
	o := &operation{}
	var project string
	cmd := o.command("shadow-report NAME@VERSION", "Say how tasks came out under the rule set in their shadow",
		`Shadow-report counts the tasks that have this version of a rule set in their shadow and
have a verdict: those for which the shadow says the same status as the verdict at the
window's end, those for which it says another, all of which it lists, newest first, and
those that it cannot decide. It reads the read model, no streams.`,
		func(ctx context.Context, c *client, args []string) error {
			wish := map[string]any{"of": args[0], "first": listPage, "after": nil, "project": nil}
			if project != "" {
				wish["project"] = project
			}
			var said shadowReportView
			differences := []shadowDifferenceView{}
			for {
				type page struct {
					shadowReportView
					Nodes    []shadowDifferenceView
					PageInfo struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
				got, err := patiently(ctx, uploadPatience, func() (page, error) {
					var got struct{ ShadowReport page }
					err := c.query(ctx, `query ($of: String!, $project: String, $first: Int, $after: String) {
						shadowReport(ruleSet: $of, project: $project, first: $first, after: $after) { name version judged same differing undecidable open
							nodes { task project version fileName recorded status rule } pageInfo { hasNextPage endCursor } } }`, wish, &got)
					return got.ShadowReport, err
				})
				if err != nil {
					return err
				}
				said = got.shadowReportView // the counts as the last page has them
				differences = append(differences, got.Nodes...)
				if !got.PageInfo.HasNextPage {
					break
				}
				wish["after"] = got.PageInfo.EndCursor
			}
			said.Differences = differences
			if o.json {
				return printJSON(said)
			}
			p := printer{w: o.out, zh: o.zh}
			p.say("%s %d in the shadow: %d tasks judged, %d same, %d differing, %d undecidable", "影子规则集 %s %d：已判定任务 %d 个，相同 %d，不同 %d，无法判定 %d",
				said.Name, said.Version, said.Judged, said.Same, said.Differing, said.Undecidable)
			if said.Open > 0 {
				p.say("  %d more have a verdict and wait for the shadow's longer window", "  另有 %d 个任务已有结论，仍在等待影子规则集更长的窗口期", said.Open)
			}
			for _, d := range said.Differences {
				p.say("  %s  %s  %s: %s, and %s by rule %s", "  %s  %s  %s：结论 %s，影子 %s（规则 %s）",
					d.Task, d.Project, strings.TrimSpace(d.FileName+" "+d.Version), d.Recorded, d.Status, d.Rule)
			}
			return nil
		})
	cmd.Flags().StringVar(&project, "project", "", "only tasks of this project")
	return cmd
}
