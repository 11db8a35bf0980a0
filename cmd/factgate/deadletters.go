package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletters",
		Short: "List, show, replay and discard dead letters",
		Long: `A dead letter is a delivery that a scanner put aside after its last attempt. Its
task says so (kind ERROR, parked) and has converged without it. Replaying one
asks for another attempt, once; discarding one says that nobody will.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("say what to do: factgate deadletters list|show|replay|discard")
		},
	}
	cmd.AddCommand(deadLettersList(), deadLettersShow(), deadLettersReplay(), deadLettersDiscard())
	return cmd
}

// deadLetterView is a dead letter as GraphQL gives it.
type deadLetterView struct {
	TaskID   string    `json:"taskId"`
	Project  string    `json:"project"`
	FileName string    `json:"fileName"`
	Type     string    `json:"type"`
	Attempt  int       `json:"attempt"`
	ParkedAt time.Time `json:"parkedAt"`
	Reason   textView  `json:"reason"`
	Scanner  struct {
		Name     string `json:"name"`
		Version  string `json:"version"`
		Instance string `json:"instance"`
	} `json:"scanner"`
	State         string     `json:"state"`
	SettledAt     *time.Time `json:"settledAt"`
	SettledBy     *string    `json:"settledBy"`
	SettledReason *string    `json:"settledReason"`
}

const deadLetterFields = `taskId project fileName type attempt parkedAt reason { en zh } scanner { name version instance } state settledAt settledBy settledReason`

type parkedUploadView struct {
	Stream   string     `json:"stream"`
	Revision int        `json:"revision"`
	TaskID   *string    `json:"taskId"`
	Reason   string     `json:"reason"`
	ParkedAt *time.Time `json:"parkedAt"`
}

// deadLetters asks for up to limit dead letters, page by page.
func (c *client) deadLetters(ctx context.Context, filter map[string]any, limit int) ([]deadLetterView, error) {
	list := []deadLetterView{}
	var after *string
	for len(list) < limit {
		var got struct {
			DeadLetters struct {
				Nodes    []deadLetterView
				PageInfo struct {
					HasNextPage bool
					EndCursor   *string
				}
			}
		}
		filter["first"], filter["after"] = min(200, limit-len(list)), after
		err := c.query(ctx, `query ($first: Int!, $after: String, $state: DeadLetterState, $type: String, $project: String) {
			deadLetters(first: $first, after: $after, state: $state, type: $type, project: $project) {
				nodes { `+deadLetterFields+` } pageInfo { hasNextPage endCursor } } }`, filter, &got)
		if err != nil {
			return nil, err
		}
		list = append(list, got.DeadLetters.Nodes...)
		if !got.DeadLetters.PageInfo.HasNextPage {
			break
		}
		after = got.DeadLetters.PageInfo.EndCursor
	}
	return list, nil
}

// deadLetter asks for the newest dead letter of a sub-task; nil if there is none.
func (c *client) deadLetter(ctx context.Context, id, subTaskType string) (*deadLetterView, error) {
	var got struct{ DeadLetter *deadLetterView }
	return got.DeadLetter, c.query(ctx, `query ($id: ID!, $type: String!) { deadLetter(task: $id, type: $type) { `+deadLetterFields+` } }`,
		map[string]any{"id": id, "type": subTaskType}, &got)
}

func deadLettersList() *cobra.Command {
	o := &operation{}
	var state, subTaskType, project string
	var limit int
	cmd := o.command("list", "List dead letters, the newest first",
		`List prints the dead letters that nobody has dealt with, or those of --state. With
no filter it also prints the uploads that the coordinator put aside because no
window could be opened for them.`,
		func(ctx context.Context, c *client, _ []string) error {
			filter := map[string]any{}
			switch state = strings.ToUpper(state); state {
			case "ALL":
			case "OPEN", "REPLAYED", "DISCARDED":
				filter["state"] = state
			default:
				return fmt.Errorf("--state %q is not known; use open, replayed, discarded or all", state)
			}
			if subTaskType != "" {
				filter["type"] = subTaskType
			}
			if project != "" {
				filter["project"] = project
			}
			if limit < 1 {
				return fmt.Errorf("--limit is at least 1")
			}
			list, err := c.deadLetters(ctx, filter, limit)
			if err != nil {
				return err
			}
			var got struct{ ParkedUploads []parkedUploadView }
			if subTaskType == "" && project == "" {
				if err := c.query(ctx, `query ($first: Int!) { parkedUploads(first: $first) { stream revision taskId reason parkedAt } }`,
					map[string]any{"first": min(200, limit)}, &got); err != nil {
					return err
				}
			}
			if o.json {
				encoder := json.NewEncoder(o.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(map[string]any{"deadLetters": list, "parkedUploads": append([]parkedUploadView{}, got.ParkedUploads...)})
			}
			o.printDeadLetters(list, got.ParkedUploads)
			return nil
		})
	cmd.Flags().StringVar(&state, "state", "open", "open, replayed, discarded or all")
	cmd.Flags().StringVar(&subTaskType, "type", "", "only those of one sub-task type")
	cmd.Flags().StringVar(&project, "project", "", "only those of one project")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	return cmd
}

const minutes = "2006-01-02 15:04"

func (o *operation) printDeadLetters(list []deadLetterView, uploads []parkedUploadView) {
	p := printer{w: o.out, zh: o.zh}
	if len(list) == 0 {
		p.say("no dead letters", "没有死信")
	}
	for _, d := range list {
		fmt.Fprintf(o.out, "%s  %s  %-12s %s  %s\n", d.ParkedAt.Format(minutes), d.TaskID, d.Type, d.State, d.FileName)
		p.say("    attempt %d: %s", "    第 %d 次尝试：%s", d.Attempt, firstLine(d.Reason.in(o.zh)))
	}
	if len(uploads) > 0 {
		p.say("uploads without a window:", "未能开启窗口期的上传：")
	}
	for _, u := range uploads {
		at := ""
		if u.ParkedAt != nil {
			at = u.ParkedAt.Format(minutes)
		}
		fmt.Fprintf(o.out, "%s  %d@%s\n    %s\n", at, u.Revision, u.Stream, firstLine(u.Reason))
	}
}

// firstLine leaves a stack to `show`.
func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}

func deadLettersShow() *cobra.Command {
	o := &operation{}
	return o.command("show TASK TYPE", "Show the newest dead letter of a sub-task in full", "",
		func(ctx context.Context, c *client, args []string) error {
			d, err := c.deadLetter(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			p := printer{w: o.out, zh: o.zh}
			if d == nil {
				text := "there is no dead letter of " + args[1] + " in task " + args[0]
				if o.zh {
					text = "任务 " + args[0] + " 没有 " + args[1] + " 的死信"
				}
				return &exit{exitError, text}
			}
			if o.json {
				encoder := json.NewEncoder(o.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(d)
			}
			p.say("task:    %s", "任务：    %s", d.TaskID)
			p.say("package: %s (%s)", "包：      %s（%s）", d.FileName, d.Project)
			p.say("type:    %s, attempt %d", "类型：    %s，第 %d 次尝试", d.Type, d.Attempt)
			p.say("scanner: %s %s, instance %s", "扫描器：  %s %s，实例 %s", d.Scanner.Name, d.Scanner.Version, d.Scanner.Instance)
			p.say("parked:  %s", "搁置于：  %s", d.ParkedAt.Format(time.RFC3339))
			p.say("state:   %s", "状态：    %s", d.State)
			if d.SettledAt != nil {
				p.say("settled: %s by %s: %s", "处理：    %s，由 %s：%s", d.SettledAt.Format(time.RFC3339), deref(d.SettledBy), deref(d.SettledReason))
			}
			p.say("reason:  %s", "原因：    %s", d.Reason.in(o.zh))
			return nil
		})
}

// settle sends a wish about the dead letter that stands there now.
func (o *operation) settle(ctx context.Context, c *client, mutation string, args []string) (change, *int, error) {
	d, err := patiently(ctx, uploadPatience, func() (*deadLetterView, error) { return c.deadLetter(ctx, args[0], args[1]) })
	if err != nil {
		return change{}, nil, err
	}
	var attempt *int
	if d != nil {
		attempt = &d.Attempt
	}
	did, err := c.wish(ctx, "$id: ID!, $type: String!, $reason: String!, $by: String, $attempt: Int",
		mutation+"(task: $id, type: $type, reason: $reason, by: $by, attempt: $attempt)",
		map[string]any{"id": args[0], "type": args[1], "reason": o.reason, "by": o.by, "attempt": attempt})
	return did, attempt, err
}

func deadLettersReplay() *cobra.Command {
	o := &operation{}
	cmd := o.command("replay TASK TYPE", "Ask for another attempt, once for each dead letter",
		`Replay asks the scanner for another attempt at what it parked. Each dead letter is
replayed once, however often that is asked.`,
		func(ctx context.Context, c *client, args []string) error {
			before, _, err := o.before(ctx, c, args[0], args[1])
			if err != nil {
				return err
			}
			did, attempt, err := o.settle(ctx, c, "replayDeadLetter", args)
			if err != nil {
				return err
			}
			if !o.wait {
				return o.report(did, "the dead letter of "+args[1]+" is replayed", args[1]+" 的死信已重放")
			}
			return o.awaitAttempt(ctx, c, before, args[0], args[1], attempt)
		})
	o.reasonFlags(cmd, "")
	o.waitFlags(cmd)
	return cmd
}

func deadLettersDiscard() *cobra.Command {
	o := &operation{}
	cmd := o.command("discard TASK TYPE", "Give up on a dead letter",
		`Discard records that nobody will try a dead letter again, and why. The sub-task
stays failed; no verdict changes.`,
		func(ctx context.Context, c *client, args []string) error {
			did, _, err := o.settle(ctx, c, "discardDeadLetter", args)
			if err != nil {
				return err
			}
			return o.report(did, "the dead letter of "+args[1]+" is discarded", args[1]+" 的死信已丢弃")
		})
	o.reasonFlags(cmd, "")
	return cmd
}
