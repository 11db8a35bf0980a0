package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// taskView is what the client asks of a task.
type taskView struct {
	ID        string        `json:"id"`
	Phase     string        `json:"phase"`
	Status    *string       `json:"status"`
	SubTasks  []subTaskView `json:"subTasks"`
	Declined  []declineView `json:"declined"`
	Silent    []string      `json:"silent"`
	LateFacts int           `json:"lateFacts"`
	Verdict   *verdictView  `json:"verdict"`
}

type subTaskView struct {
	Type    string      `json:"type"`
	State   string      `json:"state"`
	Attempt int         `json:"attempt"`
	Result  *string     `json:"result"`
	Kind    *string     `json:"kind"`
	Reason  *textView   `json:"reason"`
	Counts  *countsView `json:"counts"`
	// Coverage says of which files not everything was understood.
	Coverage *struct {
		Degraded []degradedView `json:"degraded"`
	} `json:"coverage"`
}

func (s subTaskView) degraded() []degradedView {
	if s.Coverage == nil {
		return nil
	}
	return s.Coverage.Degraded
}

type degradedView struct {
	Path     string `json:"path"`
	Reason   string `json:"reason"`
	ReasonZH string `json:"reasonZh,omitempty"`
}

func (d degradedView) in(zh bool) string {
	if zh && d.ReasonZH != "" {
		return d.ReasonZH
	}
	return d.Reason
}

type countsView struct {
	Error   int `json:"error"`
	Warning int `json:"warning"`
	Note    int `json:"note"`
}

type declineView struct {
	Type   string   `json:"type"`
	Code   string   `json:"code"`
	Reason textView `json:"reason"`
}

type textView struct {
	En string `json:"en"`
	Zh string `json:"zh"`
}

type verdictView struct {
	Status string `json:"status"`
	Rule   struct {
		ID   string `json:"id"`
		When string `json:"when"`
	} `json:"rule"`
	Because textView `json:"because"`
}

const taskQuery = `query Task($id: ID!) {
  task(id: $id) {
    id phase status silent lateFacts
    subTasks { type state attempt result kind reason { en zh } counts { error warning note } coverage { degraded { path reason reasonZh } } }
    declined { type code reason { en zh } }
    verdict { status rule { id when } because { en zh } }
  }
}`

// task asks for a task; nil if the read model has not heard of it yet.
func (c *client) task(ctx context.Context, id string) (*taskView, error) {
	var got struct{ Task *taskView }
	return got.Task, c.query(ctx, taskQuery, map[string]any{"id": id}, &got)
}

// findingView is a finding as GraphQL gives it.
type findingView struct {
	Type       string   `json:"type"`
	Rule       string   `json:"rule"`
	Severity   string   `json:"severity"`
	Path       *string  `json:"path"`
	Line       *int     `json:"line"`
	Cell       *string  `json:"cell"`
	Pointer    *string  `json:"pointer"`
	Message    textView `json:"message"`
	Suppressed bool     `json:"suppressed"`
}

const findingsQuery = `query Findings($id: ID!, $after: String, $asOf: AsOf) {
  task(id: $id, asOf: $asOf) {
    findings(first: 200, after: $after) {
      edges { node { type rule severity path line cell pointer message { en zh } suppressed } }
      pageInfo { hasNextPage endCursor }
    }
  }
}`

// findings asks for all findings of a task, page by page.
func (c *client) findings(ctx context.Context, id string, each func(findingView)) error {
	return c.findingsAsOf(ctx, id, nil, each)
}

// findingsAsOf asks for those of a moment; nil is now.
func (c *client) findingsAsOf(ctx context.Context, id string, at *asOf, each func(findingView)) error {
	var after *string
	for {
		var got struct {
			Task struct {
				Findings struct {
					Edges    []struct{ Node findingView }
					PageInfo struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
			}
		}
		if err := c.query(ctx, findingsQuery, map[string]any{"id": id, "after": after, "asOf": at}, &got); err != nil {
			return err
		}
		for _, e := range got.Task.Findings.Edges {
			each(e.Node)
		}
		if !got.Task.Findings.PageInfo.HasNextPage {
			return nil
		}
		after = got.Task.Findings.PageInfo.EndCursor
	}
}

// factView is one fact of a task's history.
type factView struct {
	Revision   int             `json:"revision"`
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Position   string          `json:"position"`
	RecordedAt time.Time       `json:"recordedAt"`
	Late       bool            `json:"late"`
	Actor      *string         `json:"actor"`
	Data       json.RawMessage `json:"data"`
}

const historyPage = 200

const historyQuery = `query History($id: ID!, $first: Int!, $after: Int) {
  history(task: $id, first: $first, afterRevision: $after) { revision id type position recordedAt late actor data }
}`

// history asks for all facts of a task in revision order.
func (c *client) history(ctx context.Context, id string, each func(factView) error) error {
	var after *int
	for {
		var got struct{ History []factView }
		if err := c.query(ctx, historyQuery, map[string]any{"id": id, "first": historyPage, "after": after}, &got); err != nil {
			return err
		}
		for _, f := range got.History {
			if err := each(f); err != nil {
				return err
			}
		}
		n := len(got.History)
		if n == 0 {
			return nil // a page may be short of what was asked; only an empty one is the end
		}
		after = &got.History[n-1].Revision
	}
}

// oneTask are the arguments of a command that is about one task.
func oneTask(usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("give one task id: %s", usage)
		}
		return nil
	}
}
