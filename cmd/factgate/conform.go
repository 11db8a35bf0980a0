package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/conform"
)

func conformCommand() *cobra.Command {
	o := &operation{}
	var c conform.Options
	var output string
	cmd := o.command("conform", "Check that a scanner keeps the protocol",
		`Conform uploads probe packages to a server, reads what the scanner of a type publishes
about them, and names each check that holds or does not. With --exec it starts the
scanner itself, between it and its server, and kills it at the worst moments:

  factgate scanner conform --type JSON_SYNTAX --server http://127.0.0.1:8080 \
    --exec 'python3 examples/scanner-python/scanner.py'

The scanner finds FACTGATE_SERVER, FACTGATE_SCANNER_KEY (a key that the kit makes and
revokes, unless there is one) and, with --eventstore, FACTGATE_EVENTSTORE in its
environment. Let no other scanner of the type run meanwhile. Without --exec the scanner
runs already, and checks that need its death are not run. Use a server for tests: the
probes are tasks like any other.

Exit codes: 0 all checks passed, 1 some were not run and none failed, 2 some failed,
5 the kit could not go on. See docs/scanner-protocol.md.`,
		func(ctx context.Context, g *client, _ []string) error {
			if o.zh {
				g.zh = true
			}
			c.Server = o.server
			if c.Exec != "" && os.Getenv("FACTGATE_SCANNER_KEY") == "" {
				key, err := g.issueKey(ctx, c.Type, userName())
				if err != nil {
					return err
				}
				defer g.revokeKey(context.WithoutCancel(ctx), c.Type, key.ID)
				c.Env = append(c.Env, "FACTGATE_SCANNER_KEY="+key.String())
			}
			c.Output = io.Discard
			if output != "" {
				f, err := os.OpenFile(output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
				if err != nil {
					return err
				}
				defer f.Close()
				c.Output = f
			}
			return o.conform(ctx, g, c)
		})
	flags := cmd.Flags()
	flags.StringVar(&c.Type, "type", "", "sub-task type of the scanner (required)")
	flags.StringVar(&c.TakesPart, "takes-part", "", "a package that is its business (default: one with one of everything)")
	flags.StringVar(&c.Declines, "declines", "", "a package that is not its business (default: one file of random bytes)")
	flags.StringVar(&c.Exec, "exec", "", "a shell command that runs one instance of the scanner")
	flags.StringVar(&c.EventStore, "eventstore", "", "connection string of the event store, for scanners that are its clients")
	flags.DurationVar(&c.Patience, "patience", time.Minute, "how long the scanner may take for a probe")
	flags.StringSliceVar(&c.Only, "only", nil, "run these checks only (repeatable)")
	flags.StringVar(&output, "output", "", "append what the scanner writes to a file")
	_ = cmd.MarkFlagRequired("type") // the flag is there
	return cmd
}

// revokeKey ends a key that the kit made; one that stays is listed by scanners keys.
func (c *client) revokeKey(ctx context.Context, subTaskType, id string) {
	var got struct{}
	_ = c.query(ctx, `mutation ($type: String!, $id: String!) { revokeScannerKey(type: $type, keyId: $id, reason: "the conformance kit is done", by: "factgate conform") { changed } }`,
		map[string]any{"type": subTaskType, "id": id}, &got)
}

var conformStatus = map[conform.Status][2]string{
	conform.Passed: {"passed", "通过"}, conform.Failed: {"FAILED", "未通过"}, conform.NotRun: {"not run", "未执行"},
	conform.NotApplicable: {"n/a", "不适用"},
}

func (o *operation) conform(ctx context.Context, g *client, c conform.Options) error {
	var results []conform.Result
	count := map[conform.Status]int{}
	p := printer{w: o.progress, zh: o.zh}
	err := conform.Run(ctx, gate{g}, c, func(r conform.Result) {
		results = append(results, r)
		count[r.Status]++
		words := conformStatus[r.Status]
		p.say("  %-22[1]s %-8[2]s %[4]s", "  %-22[1]s %-4[3]s %[5]s", r.Check, words[0], words[1], r.Why.En, r.Why.Zh)
	})
	if o.json {
		if results == nil {
			results = []conform.Result{}
		}
		if e := json.NewEncoder(o.out).Encode(map[string]any{"type": c.Type, "conforms": err == nil && count[conform.Passed]+count[conform.NotApplicable] == len(conform.Checks()), "checks": results}); err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	p.say("%[1]s: %[2]d checks passed, %[3]d failed, %[4]d not run", "%[1]s：%[2]d 项通过，%[3]d 项未通过，%[4]d 项未执行", c.Type, count[conform.Passed], count[conform.Failed], count[conform.NotRun])
	switch {
	case count[conform.Failed] > 0:
		return &exit{code: exitFailed}
	case count[conform.NotRun] > 0:
		return &exit{code: exitPartialSuccess}
	}
	return nil
}

// gate is the server as the kit sees it.
type gate struct{ c *client }

func (g gate) Configure(ctx context.Context, project, subTaskType, text string) (taken bool, err error) {
	mutation := `mutation ($type: String!, $project: String!) { resetScanner(type: $type, project: $project, by: "factgate conform") { changed } }`
	variables := map[string]any{"type": subTaskType, "project": project}
	if text != "" {
		mutation = `mutation ($type: String!, $project: String!, $text: String!) { configureScanner(type: $type, project: $project, text: $text, by: "factgate conform") { changed } }`
		variables["text"] = text
	}
	_, err = patiently(ctx, uploadPatience, func() (struct{}, error) {
		var got struct{}
		return got, g.c.query(ctx, mutation, variables, &got)
	})
	if refused := (*refusedError)(nil); errors.As(err, &refused) && refused.Code == "configuration.invalid" {
		return false, nil
	}
	return err == nil, err
}

func (g gate) Upload(ctx context.Context, project, path string) (string, error) {
	r, err := g.c.upload(ctx, package_{path: path, fileName: "conformance-probe.zip", project: project, version: "probe", by: userName()})
	return r.TaskID, err
}

func (g gate) History(ctx context.Context, taskID string) (facts []conform.Fact, err error) {
	_, err = patiently(ctx, uploadPatience, func() (bool, error) {
		facts = nil
		return true, g.c.history(ctx, taskID, func(f factView) error {
			facts = append(facts, conform.Fact{ID: f.ID, Type: f.Type, Revision: f.Revision, Data: f.Data})
			return nil
		})
	})
	return facts, err
}

func (g gate) Findings(ctx context.Context, taskID, subTaskType string, revision int) (report.Counts, error) {
	counts, err := patiently(ctx, uploadPatience, func() (report.Counts, error) {
		var counts report.Counts
		var after *string
		for {
			var got struct {
				Task struct {
					Findings struct {
						Edges []struct {
							Node struct {
								Severity   string
								Suppressed bool
							}
						}
						PageInfo struct {
							HasNextPage bool
							EndCursor   *string
						}
					}
				}
			}
			err := g.c.query(ctx, `query ($id: ID!, $at: Int!, $type: String!, $after: String) { task(id: $id, asOf: {revision: $at}) {
				findings(first: 200, type: $type, after: $after) { edges { node { severity suppressed } } pageInfo { hasNextPage endCursor } } } }`,
				map[string]any{"id": taskID, "at": revision, "type": subTaskType, "after": after}, &got)
			if err != nil {
				return counts, err
			}
			for _, e := range got.Task.Findings.Edges {
				counts.Add(report.Finding{Severity: report.Severity(strings.ToLower(e.Node.Severity)), Suppressed: e.Node.Suppressed})
			}
			if !got.Task.Findings.PageInfo.HasNextPage {
				return counts, nil
			}
			after = got.Task.Findings.PageInfo.EndCursor
		}
	})
	var refused *refusedError
	if errors.As(err, &refused) && (refused.Code == "report.expired" || refused.Code == "report.damaged" || refused.Code == "task.unreadable") {
		return counts, &conform.UnreadableError{Err: fmt.Errorf("%s", refused.Message)}
	}
	return counts, err
}
