package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// asOf is a moment of a task's past, as --at names it: a revision or a time.
type asOf struct {
	Revision *int64     `json:"revision,omitempty"`
	Time     *time.Time `json:"time,omitempty"`
}

// parseAt reads --at; without one it is nil, which is now.
func parseAt(at string) (*asOf, error) {
	if at == "" {
		return nil, nil
	}
	if revision, err := strconv.ParseInt(at, 10, 32); err == nil {
		return &asOf{Revision: &revision}, nil
	}
	if when, err := time.Parse(time.RFC3339, at); err == nil {
		return &asOf{Time: &when}, nil
	}
	return nil, fmt.Errorf("--at %q is neither a revision such as 5 nor a time such as 2026-11-25T08:00:00Z", at)
}

func showCommand() *cobra.Command {
	var server, at string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show TASK",
		Short: "Show a task as it stands, or as it stood at any moment",
		Long: `Show prints a task: its verdict or phase, who takes part, who declined, who is
silent, and the findings.

  factgate show TASK
  factgate show TASK --at 5                        as of revision 5
  factgate show TASK --at 2026-11-25T08:00:00Z     as of that time

With --at it reads the task's stream itself, not the read model, so it works while
PostgreSQL is away; findings are those of the attempts of then.`,
		Args: oneTask("factgate show TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			zh, err := chinese(cmd)
			if err != nil {
				return err
			}
			moment, err := parseAt(at)
			if err != nil {
				return err
			}
			if server == "" {
				server = "http://127.0.0.1:8080"
			}
			c, err := newClient(server, zh)
			if err != nil {
				return err
			}
			s, err := c.show(cmd.Context(), args[0], moment)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(os.Stdout)
				encoder.SetIndent("", "  ")
				encoder.SetEscapeHTML(false)
				return encoder.Encode(s.raw)
			}
			show := printer{w: os.Stdout, zh: zh, color: onTerminal(os.Stdout), server: server}
			show.task(s, moment != nil)
			return nil
		},
	}
	serverFlag(cmd, &server, "http://127.0.0.1:8080")
	cmd.Flags().StringVar(&at, "at", "", "a revision of the task's stream, or a time (RFC 3339)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the task as JSON, with its findings")
	return cmd
}

const showQuery = `query Show($id: ID!, $asOf: AsOf) {
  task(id: $id, asOf: $asOf) {
    id phase status project version fileName size sha256 uploadedBy uploadedAt createdAt deadline closedCause convergedAt
    observedTypes silent lateFacts revision lastEventAt rescanOf cancelled { reason at } counts { error warning note }
    subTasks { type state attempt startedAt endedAt result kind reason { en zh } counts { error warning note }
      coverage { eligible seen degraded { path reason reasonZh } } scanner { name version instance } report parked retryWanted late }
    declined { type code reason { en zh } at late }
    verdict { revision status rule { id when } because { en zh } ruleSet { name version digest } evidence }
  }
}`

// shownTask is a task with its findings.
type shownTask struct {
	taskView
	Project     string
	Version     string
	FileName    string
	Deadline    *time.Time
	LastEventAt time.Time
	Revision    int
	Cancelled   *struct{ Reason string }

	raw      map[string]any // as it was answered, and findings
	findings []findingView
	refused  *refusedError // why there are no findings
}

// show asks for a task and its findings. That findings of the past cannot be read
// any more is no reason not to show the rest.
func (c *client) show(ctx context.Context, id string, at *asOf) (s shownTask, err error) {
	var got struct{ Task json.RawMessage }
	if err := c.query(ctx, showQuery, map[string]any{"id": id, "asOf": at}, &got); err != nil {
		return s, err
	}
	if string(got.Task) == "null" {
		if c.zh {
			return s, fmt.Errorf("没有任务 %s 可显示：任务不存在，或读模型尚未读到它，或 --at 所指时刻尚无事实", id)
		}
		return s, fmt.Errorf("there is no task %s to show: no such task, or the read model has not heard of it yet, or it had no facts at the time of --at", id)
	}
	if err := errors.Join(json.Unmarshal(got.Task, &s), json.Unmarshal(got.Task, &s.raw)); err != nil {
		return s, err
	}
	if at != nil {
		// The stream may have gone on meanwhile: findings of what is shown.
		revision := int64(s.Revision)
		at = &asOf{Revision: &revision}
	}
	s.findings = []findingView{}
	err = c.findingsAsOf(ctx, id, at, func(f findingView) { s.findings = append(s.findings, f) })
	if errors.As(err, &s.refused) && at != nil {
		s.raw["findings"], s.raw["findingsRefused"] = nil, map[string]string{"code": s.refused.Code, "message": s.refused.Message}
		return s, nil
	}
	s.raw["findings"] = s.findings
	return s, err
}

func (p *printer) task(s shownTask, past bool) {
	if past {
		p.say("as of revision %d, recorded at %s:", "截至修订号 %d（记录于 %s）：", s.Revision, s.LastEventAt.Format("2006-01-02T15:04:05.000Z07:00"))
	}
	p.say("%s (project %s, version %s)", "%s（项目 %s，版本 %s）", s.FileName, orDash(s.Project), orDash(s.Version))
	switch {
	case s.Verdict != nil:
		p.because(&s.taskView)
	case s.Cancelled != nil:
		p.say("CANCELLED: %s", "CANCELLED（已取消）：%s", s.Cancelled.Reason)
	case s.Deadline != nil:
		p.say("OPEN: no verdict; the window closes at %s at the latest", "OPEN（窗口期内）：尚无结论；窗口期最迟于 %s 结束", s.Deadline.Format(time.RFC3339))
	default:
		p.say("UPLOADED: no window yet", "UPLOADED（已上传）：窗口期尚未开启")
	}
	p.parts(&s.taskView)
	if s.refused != nil {
		p.say("  findings: %s", "  发现：%s", s.refused.Error())
	} else {
		p.findings(s.findings)
	}
	at := ""
	if past {
		at = fmt.Sprintf(" --at %d", s.Revision)
	}
	p.say("  why: factgate explain %s%s --server %s", "  依据：factgate explain %s%s --server %s", s.ID, at, p.server)
}

func orDash(s string) string {
	if s == "" {
		return "—"
	}
	return s
}
