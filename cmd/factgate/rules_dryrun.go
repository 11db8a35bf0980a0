package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain/rules"
)

func rulesDryRunCommand() *cobra.Command {
	var d dryRun
	var since string
	cmd := &cobra.Command{
		Use:   "dry-run RULES.yaml",
		Short: "Try a rule set on all recorded tasks, without writing anything",
		Long: `Dry-run judges every task of the past anew under RULES.yaml, newest first: how many
statuses change, which tasks flip and why, and which the new rules cannot decide
from what was recorded. Nothing is written, and the server keeps no state: when a
run breaks off, it says what it has counted, and with which --after the rest is.

With --json each flip, each undecidable task and the sum is one line of JSON; the
sum of a run that broke off has a next.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one rule set: factgate rules dry-run RULES.yaml")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if d.zh, err = chinese(cmd); err != nil {
				return err
			}
			if d.text, err = readRules(args[0]); err != nil {
				return err
			}
			// Said here, with its place, before a server is asked.
			if _, err := rules.Parse([]byte(d.text), 0); err != nil {
				return inWords(err, d.zh)
			}
			if since != "" {
				if d.since, err = moment(since); err != nil {
					return err
				}
			}
			if d.server == "" {
				d.server = "http://127.0.0.1:8080"
			}
			return d.run(cmd.Context())
		},
	}
	serverFlag(cmd, &d.server, "http://127.0.0.1:8080")
	cmd.Flags().StringVar(&since, "since", "", "only tasks uploaded since then: a time (RFC 3339), a day (2026-11-25) or an age (720h)")
	cmd.Flags().StringVar(&d.project, "project", "", "only tasks of this project")
	cmd.Flags().StringVar(&d.after, "after", "", "go on where a run that broke off said")
	cmd.Flags().BoolVar(&d.json, "json", false, "print JSON lines")
	return cmd
}

// maxRulesFile is more than a rule set may have; the rules' own limit says so.
const maxRulesFile = 128 << 10

func readRules(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the rule set: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRulesFile))
	if err != nil {
		return "", fmt.Errorf("cannot read the rule set: %w", err)
	}
	return string(text), nil
}

func moment(s string) (*time.Time, error) {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return &t, nil
		}
	}
	if age, err := time.ParseDuration(s); err == nil && age >= 0 {
		t := time.Now().Add(-age)
		return &t, nil
	}
	return nil, fmt.Errorf("--since %q is neither a time such as 2026-11-25T08:00:00Z, nor a day such as 2026-11-25, nor an age such as 720h", s)
}

type dryRun struct {
	server, text, project, after string
	since                        *time.Time
	json, zh                     bool
}

type dryRunPageView struct {
	Tried, Undecided int
	Counts           []dryRunCountView
	Flips            []json.RawMessage
	Undecidable      []json.RawMessage
	Next             *string
	Total            *int64
}

type dryRunCountView struct {
	Old   string `json:"old"`
	New   string `json:"new"`
	Tasks int    `json:"tasks"`
}

type dryRunTaskView struct {
	Task, Project, Version, FileName string
	Old, OldRule                     string
	New, NewRule                     *string
	Because                          textView
}

const dryRunQuery = `query DryRun($text: String!, $project: String, $since: Time, $after: String, $first: Int!, $count: Boolean!) {
  dryRun(text: $text, project: $project, since: $since, after: $after, first: $first) {
    tried undecided next
    total @include(if: $count)
    counts { old new tasks }
    flips { task project version fileName old oldRule new newRule because { en zh } }
    undecidable { task project version fileName old oldRule because { en zh } }
  }
}`

const dryRunPageSize = 200

// run asks page by page; it holds one page and the sums.
func (d dryRun) run(ctx context.Context) (err error) {
	c, err := newClient(d.server, d.zh)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	defer func() {
		if flushed := out.Flush(); err == nil {
			err = flushed
		}
	}()
	show := printer{w: out, zh: d.zh}
	variables := map[string]any{"text": d.text, "first": dryRunPageSize, "count": true}
	if d.project != "" {
		variables["project"] = d.project
	}
	if d.since != nil {
		variables["since"] = *d.since
	}
	if d.after != "" {
		variables["after"] = d.after
	}
	sum := dryRunSum{Counts: []dryRunCountView{}}
	progress := dryRunProgress{shown: onTerminal(os.Stderr), zh: d.zh, begun: time.Now()}
	for {
		page, err := patiently(ctx, uploadPatience, func() (p dryRunPageView, err error) {
			var got struct{ DryRun dryRunPageView }
			err = c.query(ctx, dryRunQuery, variables, &got)
			return got.DryRun, err
		})
		progress.clear()
		if err != nil {
			after, began := variables["after"]
			if !began {
				return err
			}
			if sum.Tried > 0 { // what the rest is to be added to
				if err := show.dryRunSum(sum, after, d.json); err != nil {
					return err
				}
			}
			return fmt.Errorf("%w; go on with: --after %s", err, after)
		}
		sum.add(page)
		for _, raw := range page.Flips {
			if err := show.tried("flip", raw, d.json); err != nil {
				return err
			}
		}
		for _, raw := range page.Undecidable {
			if err := show.tried("undecidable", raw, d.json); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if page.Total != nil {
			progress.total = *page.Total
		}
		progress.show(int64(sum.Tried))
		if page.Next == nil {
			break
		}
		variables["after"], variables["count"] = *page.Next, false
	}
	progress.clear()
	return show.dryRunSum(sum, nil, d.json)
}

// dryRunSum says what the pages of this run add up to; next is where a run that
// broke off goes on.
func (p *printer) dryRunSum(s dryRunSum, next any, asJSON bool) error {
	if !asJSON {
		p.sum(s)
		return nil
	}
	line := map[string]any{"sum": s}
	if next != nil {
		line["next"] = next
	}
	return json.NewEncoder(p.w).Encode(line)
}

type dryRunSum struct {
	Tried       int               `json:"tried"`
	Counts      []dryRunCountView `json:"counts"`
	Flips       int               `json:"flips"`
	Undecidable int               `json:"undecidable"`
	Undecided   int               `json:"undecided"`
}

func (s *dryRunSum) add(p dryRunPageView) {
	s.Tried += p.Tried
	s.Undecided += p.Undecided
	s.Flips += len(p.Flips)
	s.Undecidable += len(p.Undecidable)
next:
	for _, c := range p.Counts {
		for i := range s.Counts {
			if s.Counts[i].Old == c.Old && s.Counts[i].New == c.New {
				s.Counts[i].Tasks += c.Tasks
				continue next
			}
		}
		s.Counts = append(s.Counts, c)
	}
}

func (p *printer) tried(kind string, raw json.RawMessage, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(map[string]json.RawMessage{kind: raw})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.w, "%s\n", line)
		return err
	}
	var t dryRunTaskView
	if err := json.Unmarshal(raw, &t); err != nil {
		return fmt.Errorf("the server gave an answer that is not Factgate's: %w", err)
	}
	if t.New == nil || t.NewRule == nil {
		p.say("%s  %s %s  %s: undecidable: %s", "%s  %s %s  %s：无法判定：%s", t.Task, t.FileName, t.Version, t.Old, t.Because.in(p.zh))
		return nil
	}
	p.say("%s  %s %s  %s (%s) → %s (%s): %s", "%s  %s %s  %s（%s）→ %s（%s）：%s",
		t.Task, t.FileName, t.Version, t.Old, t.OldRule, *t.New, *t.NewRule, t.Because.in(p.zh))
	return nil
}

func (p *printer) sum(s dryRunSum) {
	p.say("tried %d tasks: %d flip, %d cannot be decided, %d have no verdict", "共试算 %d 个任务：%d 个状态改变，%d 个无法判定，%d 个没有结论",
		s.Tried, s.Flips, s.Undecidable, s.Undecided)
	for _, c := range s.Counts {
		fmt.Fprintf(p.w, "  %8d  %s → %s\n", c.Tasks, c.Old, c.New)
	}
}

// dryRunProgress is one line on a terminal that is written over.
type dryRunProgress struct {
	shown, zh bool
	begun     time.Time
	total     int64
}

func (d dryRunProgress) show(done int64) {
	if !d.shown || d.total == 0 {
		return
	}
	done = min(done, d.total)
	const width = 30
	bar := make([]byte, width)
	for i := range bar {
		bar[i] = '.'
		if int64(i)*d.total < done*width {
			bar[i] = '#'
		}
	}
	text := "[%s] %d of %d, %s left"
	if d.zh {
		text = "[%s] %d / %d，预计还需 %s"
	}
	left := time.Duration(float64(time.Since(d.begun)) / float64(max(done, 1)) * float64(d.total-done)).Round(time.Second)
	fmt.Fprintf(os.Stderr, "\r"+text, bar, done, d.total, left)
}

func (d dryRunProgress) clear() {
	if d.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
