package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	k := check{config: config{listen: "127.0.0.1:0"}}
	cmd := &cobra.Command{
		Use:   "check FILE.zip",
		Short: "Upload a package, wait for its verdict, explain it",
		Long: `Check uploads a package, shows what the scanners do, and prints the verdict with
its reasons. Without --server it starts a whole Factgate for the run and throws it
away afterwards.

Exit codes:
  0  SUCCESS            3  the upload was refused
  1  PARTIAL_SUCCESS    4  no verdict within --timeout
  2  FAILED             5  any other error`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one package: factgate check FILE.zip")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if k.zh, err = chinese(cmd); err != nil {
				return err
			}
			k.out, k.progress = os.Stdout, os.Stdout
			if k.json {
				k.progress = os.Stderr
			}
			if k.server != "" && (cmd.Flags().Changed("window") || cmd.Flags().Changed("quiet")) {
				return fmt.Errorf("--window and --quiet are the server's: start it with them, or check without --server")
			}
			k.file = args[0]
			return k.run(cmd.Context())
		},
	}
	serverFlag(cmd, &k.server, "without one, an embedded server is started for the run")
	cmd.Flags().BoolVar(&k.json, "json", false, "print the result as JSON; progress goes to standard error")
	cmd.Flags().StringVar(&k.pkg.project, "project", "", "project the package belongs to")
	cmd.Flags().StringVar(&k.pkg.version, "package-version", "", "version of the package")
	cmd.Flags().StringVar(&k.pkg.by, "by", userName(), "who uploads")
	cmd.Flags().StringVar(&k.pkg.key, "idempotency-key", "", "the same key gives the same task (default: a new one)")
	cmd.Flags().DurationVar(&k.timeout, "timeout", 15*time.Minute, "how long to wait for the verdict")
	cmd.Flags().BoolVar(&k.verbose, "verbose", false, "without --server: show the log of the embedded server")
	k.timeFlags(cmd, 2*time.Second, "2s")
	k.external.flag(cmd)
	return cmd
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// check is one run of the command.
type check struct {
	config
	server        string
	file          string
	pkg           package_
	timeout       time.Duration
	json, verbose bool
	zh            bool
	out, progress io.Writer
	// enough says what else than a verdict is waited for; nil is nothing else.
	enough func(*taskView) bool
}

func (k *check) run(ctx context.Context) (err error) {
	if _, err := os.Stat(k.file); err != nil {
		return fmt.Errorf("cannot read the package: %w", err)
	}
	show := printer{w: k.progress, zh: k.zh, color: k.progress == io.Writer(os.Stdout) && onTerminal(os.Stdout), server: k.server}
	if k.server == "" {
		stop, err := k.embed(ctx)
		if err != nil {
			return err
		}
		defer func() {
			if stopErr := stop(); err == nil && stopErr != nil {
				err = stopErr
			}
		}()
	}
	c, err := newClient(k.server, k.zh)
	if err != nil {
		return err
	}
	k.pkg.path, k.pkg.fileName = k.file, filepath.Base(k.file)
	receipt, err := c.upload(ctx, k.pkg)
	var no *refusedError
	if errors.As(err, &no) && no.final() {
		return k.refused(no)
	}
	if err != nil {
		return err
	}
	show.created(k.pkg.fileName, receipt)
	return k.conclude(ctx, c, receipt.TaskID, &show)
}

// conclude waits for the verdict and prints it; the error is its exit code.
func (k *check) conclude(ctx context.Context, c *client, id string, show *printer) error {
	task, err := k.await(ctx, c, id, show)
	if err != nil {
		return err
	}
	if k.json {
		return k.printJSON(ctx, c, task)
	}
	var findings []findingView
	if err := c.findings(ctx, task.ID, func(f findingView) { findings = append(findings, f) }); err != nil {
		return err
	}
	show.verdict(task, findings)
	return verdictExit(task)
}

// embed starts a Factgate in a temporary folder.
func (k *check) embed(ctx context.Context) (stop func() error, err error) {
	if k.data, err = os.MkdirTemp("", "factgate-check-"); err != nil {
		return nil, err
	}
	level := slog.LevelError + 1
	if k.verbose {
		level = slog.LevelInfo
	}
	k.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	var a *app
	if k.scanners, err = k.external.scanners(ctx, k.unconfined, k.private()...); err == nil {
		a, err = start(ctx, k.config)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(k.data))
	}
	k.server = a.url
	return func() error { return errors.Join(a.stop(), os.RemoveAll(k.data)) }, nil
}

func (k *check) refused(no *refusedError) error {
	if k.json {
		var body struct {
			Refused struct {
				Code    string `json:"code"`
				Message string `json:"message"`
			} `json:"refused"`
		}
		body.Refused.Code, body.Refused.Message = no.Code, no.Message
		if err := json.NewEncoder(k.out).Encode(body); err != nil {
			return err
		}
		return &exit{code: exitRefused}
	}
	word := "refused: "
	if k.zh {
		word = "被拒绝："
	}
	return &exit{exitRefused, word + no.Error()}
}

// await polls until the task has its verdict and shows what changes.
func (k *check) await(ctx context.Context, c *client, id string, show *printer) (*taskView, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	const often, rarely = 100 * time.Millisecond, time.Second
	for pause := often; ; pause = min(rarely, pause*5/4) {
		task, err := patiently(ctx, time.Minute, func() (*taskView, error) { return c.task(ctx, id) })
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, &exit{exitNoVerdict, fmt.Sprintf("no verdict within %s for task %s", k.timeout, id)}
		}
		if err != nil {
			return nil, err
		}
		if task != nil {
			show.changes(task)
			if task.Verdict != nil && (k.enough == nil || k.enough(task)) {
				return task, nil
			}
			if task.Phase == "CANCELLED" {
				return nil, &exit{exitNoVerdict, "the task was cancelled"}
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

func verdictExit(t *taskView) error {
	switch t.Verdict.Status {
	case "SUCCESS":
		return nil
	case "PARTIAL_SUCCESS":
		return &exit{code: exitPartialSuccess}
	default:
		return &exit{code: exitFailed}
	}
}

// finding is a finding in the result of --json.
type finding struct {
	Type       string  `json:"type"`
	Rule       string  `json:"rule"`
	Severity   string  `json:"severity"`
	Path       *string `json:"path"`
	Line       *int    `json:"line"`
	Cell       *string `json:"cell"`
	Pointer    *string `json:"pointer"`
	Message    string  `json:"message"`
	Suppressed bool    `json:"suppressed"`
}

// decline and subTask are the same in the result of --json: one reason, in the
// language asked for.
type decline struct {
	Type   string `json:"type"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

type subTask struct {
	Type    string     `json:"type"`
	State   string     `json:"state"`
	Attempt int        `json:"attempt"`
	Result  *string    `json:"result"`
	Kind    *string    `json:"kind"`
	Reason  *string    `json:"reason"`
	Counts  countsView `json:"counts"`
	// Degraded is what was not fully checked.
	Degraded []degradedView `json:"degraded,omitempty"`
}

func (k *check) printJSON(ctx context.Context, c *client, t *taskView) error {
	result := struct {
		TaskID   string    `json:"taskId"`
		Status   string    `json:"status"`
		Because  string    `json:"because"`
		SubTasks []subTask `json:"subTasks"`
		Declined []decline `json:"declined"`
		Silent   []string  `json:"silent"`
		Findings []finding `json:"findings"`
	}{
		TaskID: t.ID, Status: t.Verdict.Status, Because: t.Verdict.Because.in(k.zh),
		SubTasks: []subTask{}, Declined: []decline{}, Silent: append([]string{}, t.Silent...), Findings: []finding{},
	}
	for _, s := range t.SubTasks {
		result.SubTasks = append(result.SubTasks, subTask{s.Type, s.State, s.Attempt, s.Result, s.Kind, s.reason(k.zh), s.counts(), s.degraded()})
	}
	for _, d := range t.Declined {
		result.Declined = append(result.Declined, decline{d.Type, d.Code, d.Reason.in(k.zh)})
	}
	if err := c.findings(ctx, t.ID, func(f findingView) {
		result.Findings = append(result.Findings, finding{f.Type, f.Rule, strings.ToLower(f.Severity), f.Path, f.Line, f.Cell, f.Pointer, f.Message.in(k.zh), f.Suppressed})
	}); err != nil {
		return err
	}
	encoder := json.NewEncoder(k.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		return err
	}
	return verdictExit(t)
}
