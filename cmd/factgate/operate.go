package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// operation is one wish of an operator, sent to a server.
type operation struct {
	check
	reason, by string
	wait       bool
}

// command makes a command that takes the named arguments and sends a wish.
func (o *operation) command(use, short, long string, run func(ctx context.Context, c *client, args []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: func(cmd *cobra.Command, args []string) error {
			if want := argumentsOf(use); len(args) != want {
				return fmt.Errorf("give %d arguments: %s", want, cmd.CommandPath()[:len(cmd.CommandPath())-len(cmd.Name())]+use)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.zh, err = chinese(cmd); err != nil {
				return err
			}
			o.out, o.progress = os.Stdout, os.Stdout
			if o.json {
				o.progress = os.Stderr
			}
			if o.server == "" {
				o.server = "http://127.0.0.1:8080"
			}
			c, err := newClient(o.server, o.zh)
			if err != nil {
				return err
			}
			return run(cmd.Context(), c, args)
		},
	}
	serverFlag(cmd, &o.server, "http://127.0.0.1:8080")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	return cmd
}

// argumentsOf counts the words in capitals of a usage line.
func argumentsOf(use string) (n int) {
	for _, b := range use {
		if b == ' ' {
			n++
		}
	}
	return n
}

func (o *operation) reasonFlags(cmd *cobra.Command, usual string) {
	cmd.Flags().StringVar(&o.reason, "reason", usual, "why; it is recorded (up to 500 characters)")
	cmd.Flags().StringVar(&o.by, "by", userName(), "who wishes it")
	if usual == "" {
		_ = cmd.MarkFlagRequired("reason") // the flag is there
	}
}

func (o *operation) waitFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait for the outcome and show the verdict; exit codes are those of check")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 15*time.Minute, "how long to wait")
}

// change is the answer to a wish.
type change struct {
	TaskID   string `json:"taskId"`
	Position string `json:"position"`
	Changed  bool   `json:"changed"`
}

// wish sends a mutation. Every wish names what it is about, so that repeating one
// whose answer was lost is harmless.
func (c *client) wish(ctx context.Context, declarations, mutation string, variables map[string]any) (change, error) {
	return patiently(ctx, uploadPatience, func() (change, error) {
		var got struct{ Wish change }
		err := c.query(ctx, "mutation ("+declarations+") { wish: "+mutation+" { taskId position changed } }", variables, &got)
		return got.Wish, err
	})
}

// report prints what a wish did; nothing more is waited for.
func (o *operation) report(did change, en, zh string) error {
	return o.answer(did, did.Changed, "task %s: "+en, "任务 %s："+zh, did.TaskID)
}

// answer prints what a wish did to something of this name, or that it was so already.
func (o *operation) answer(did any, changed bool, en, zh, name string) error {
	if o.json {
		return json.NewEncoder(o.out).Encode(did)
	}
	if !changed {
		en, zh = en+" (it was so already)", zh+"（此前已如此）"
	}
	p := printer{w: o.out, zh: o.zh}
	p.say(en, zh, name)
	return nil
}

func cancelCommand() *cobra.Command {
	o := &operation{}
	cmd := o.command("cancel TASK", "Withdraw a task that has no verdict yet",
		`Cancel withdraws a task. It gets no verdict; what its scanners still find is
recorded and decides nothing. A task that has its verdict cannot be cancelled.`,
		func(ctx context.Context, c *client, args []string) error {
			did, err := c.wish(ctx, "$id: ID!, $reason: String!, $by: String", "cancelTask(id: $id, reason: $reason, by: $by)",
				map[string]any{"id": args[0], "reason": o.reason, "by": o.by})
			if err != nil {
				return err
			}
			return o.report(did, "cancelled", "已取消")
		})
	o.reasonFlags(cmd, "")
	return cmd
}

func retryCommand() *cobra.Command {
	o := &operation{}
	cmd := o.command("retry TASK TYPE", "Ask for another attempt of one sub-task",
		`Retry asks the scanner of TYPE for another attempt at a task, also after the
verdict: what comes of it is late then, and the rule set says whether it revises
the verdict.`,
		func(ctx context.Context, c *client, args []string) error {
			before, attempt, err := o.before(ctx, c, args[0], args[1])
			if err != nil {
				return err
			}
			did, err := c.wish(ctx, "$id: ID!, $type: String!, $reason: String!, $by: String, $attempt: Int",
				"retrySubTask(task: $id, type: $type, reason: $reason, by: $by, attempt: $attempt)",
				map[string]any{"id": args[0], "type": args[1], "reason": o.reason, "by": o.by, "attempt": attempt})
			if err != nil {
				return err
			}
			if !o.wait {
				return o.report(did, "another attempt of "+args[1]+" is asked for", "已请求 "+args[1]+" 重试")
			}
			return o.awaitAttempt(ctx, c, before, args[0], args[1], attempt)
		})
	o.reasonFlags(cmd, "")
	o.waitFlags(cmd)
	return cmd
}

// before is the task, and the attempt that a wish is about; nil when the server
// knows none, and will say so.
func (o *operation) before(ctx context.Context, c *client, id, subTaskType string) (*taskView, *int, error) {
	t, err := patiently(ctx, uploadPatience, func() (*taskView, error) { return c.task(ctx, id) })
	if err != nil || t == nil {
		return t, nil, err
	}
	for _, s := range t.SubTasks {
		if s.Type == subTaskType && s.Attempt > 0 {
			return t, &s.Attempt, nil
		}
	}
	return t, nil, nil
}

// awaitAttempt waits until a newer attempt than the given one has ended and the
// task has its verdict.
func (o *operation) awaitAttempt(ctx context.Context, c *client, before *taskView, id, subTaskType string, attempt *int) error {
	o.enough = func(t *taskView) bool {
		for _, s := range t.SubTasks {
			if s.Type == subTaskType && s.State != "RUNNING" && (attempt == nil || s.Attempt > *attempt) {
				return true
			}
		}
		return false
	}
	show := o.printer()
	if before != nil { // what was so before is no news
		w := show.w
		show.w = io.Discard
		show.changes(before)
		show.w = w
	}
	err := o.conclude(ctx, c, id, show)
	var e *exit
	if errors.As(err, &e) && e.code == exitNoVerdict && e.message != "" {
		e.message = fmt.Sprintf("no new result of %s: %s", subTaskType, e.message)
	}
	return err
}

func (o *operation) printer() *printer {
	return &printer{w: o.progress, zh: o.zh, color: o.progress == io.Writer(os.Stdout) && onTerminal(os.Stdout), server: o.server}
}

func rescanCommand() *cobra.Command {
	o := &operation{}
	var key string
	cmd := o.command("rescan TASK", "Have the package of a task looked at once more, as a new task",
		`Rescan makes a new task of the package of an older one, for instance because
rules or scanners have changed. The new task names the older one, which stays as
it is. The package must still be stored.`,
		func(ctx context.Context, c *client, args []string) error {
			if key == "" {
				key = uuid.NewString()
			}
			did, err := c.wish(ctx, "$id: ID!, $reason: String!, $by: String, $key: String", "rescanTask(id: $id, reason: $reason, by: $by, idempotencyKey: $key)",
				map[string]any{"id": args[0], "reason": o.reason, "by": o.by, "key": key})
			if err != nil {
				return err
			}
			if !o.wait {
				return o.report(did, "created to scan the package once more", "已创建，将重新扫描该包")
			}
			return o.conclude(ctx, c, did.TaskID, o.printer())
		})
	o.reasonFlags(cmd, "rescan")
	o.waitFlags(cmd)
	cmd.Flags().StringVar(&key, "idempotency-key", "", "the same key gives the same new task (default: a new one)")
	return cmd
}
