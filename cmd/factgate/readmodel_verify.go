package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const verifyPageSize = 200

func readModelVerify() *cobra.Command {
	o := &operation{}
	v := verification{operation: o}
	cmd := o.command("verify", "Compare every row with the fold of the log",
		`Verify has the server fold the log again, task by task, and compare every row of a
read model with what comes of it: each difference is named with its task, table and
field. It may run while the read model moves. Nothing is written without --repair,
which replaces what is wrong; the log never changes. The server keeps no state: a run
that breaks off says with which --after the rest is.

Exit codes: 0 equal, or everything is repaired; 1 differences are left; 5 it could
not be done. With --json each difference and the sum is one line of JSON.`,
		func(ctx context.Context, c *client, _ []string) error { return v.run(ctx, c) })
	cmd.Flags().StringVar(&v.task, "task", "", "only this task")
	cmd.Flags().IntVar(&v.number, "number", 0, "which read model (default: the one in service)")
	cmd.Flags().StringVar(&v.after, "after", "", "go on where a run that broke off said")
	cmd.Flags().BoolVar(&v.repair, "repair", false, "write what the fold says where the rows say something else")
	cmd.Flags().StringVar(&o.by, "by", userName(), "who wishes a repair")
	return cmd
}

type verification struct {
	*operation
	task, after string
	number      int
	repair      bool
}

type verifyPageView struct {
	Name, Position, Stage string
	Tasks                 int
	Rows, Unnamed         int64
	Differences           []differenceView
	Progress              float64
	Next                  *string
}

type differenceView struct {
	Kind     string  `json:"kind"`
	Task     *string `json:"task"`
	Table    string  `json:"table"`
	Key      string  `json:"key"`
	Field    *string `json:"field"`
	Stored   *string `json:"stored"`
	Folded   *string `json:"folded"`
	Repaired bool    `json:"repaired"`
}

type verifySum struct {
	Name        string `json:"name"`
	Position    string `json:"position"`
	Tasks       int    `json:"tasks"`
	Rows        int64  `json:"rows"`
	Differences int64  `json:"differences"`
	Repaired    int64  `json:"repaired"`
	Unnamed     int64  `json:"unnamed"`
	Left        int64  `json:"left"`
}

const verifyFields = ` { name position stage tasks rows unnamed progress next differences { kind task table key field stored folded repaired } }`

// run asks page by page; it holds one page and the sums.
func (v *verification) run(ctx context.Context, c *client) error {
	variables := map[string]any{"first": verifyPageSize}
	for name, value := range map[string]string{"task": v.task, "after": v.after} {
		if value != "" {
			variables[name] = value
		}
	}
	if v.number != 0 {
		variables["number"] = v.number
	}
	ask := `query ($number: Int, $task: ID, $after: String, $first: Int!) {
		page: verifyReadModel(number: $number, task: $task, after: $after, first: $first)` + verifyFields + ` }`
	if v.repair {
		variables["by"] = v.by
		ask = `mutation ($number: Int, $task: ID, $after: String, $first: Int!, $by: String) {
			page: repairReadModel(number: $number, task: $task, after: $after, first: $first, by: $by)` + verifyFields + ` }`
	}
	var sum verifySum
	progress := verifyProgress{shown: onTerminal(os.Stderr), zh: v.zh, begun: time.Now()}
	p := printer{w: v.out, zh: v.zh}
	for {
		page, err := patiently(ctx, uploadPatience, func() (verifyPageView, error) {
			var got struct{ Page verifyPageView }
			err := c.query(ctx, ask, variables, &got)
			return got.Page, err
		})
		progress.clear()
		if err != nil {
			if after, began := variables["after"]; began {
				if sum.Name != "" {
					if err := v.sum(p, sum, after); err != nil {
						return err
					}
				}
				err = fmt.Errorf("%w; go on with: --after %s", err, after)
			}
			return err
		}
		sum.add(page)
		for _, d := range page.Differences {
			if err := v.difference(p, d); err != nil {
				return err
			}
		}
		progress.show(page, sum.Rows)
		if page.Next == nil {
			break
		}
		variables["after"] = *page.Next
	}
	progress.clear()
	if err := v.sum(p, sum, nil); err != nil {
		return err
	}
	if sum.Left > 0 {
		return &exit{code: exitPartialSuccess}
	}
	return nil
}

// add takes a page. Of differences that have no name nobody says that they are
// repaired, so they count as left.
func (s *verifySum) add(p verifyPageView) {
	s.Name, s.Position = p.Name, p.Position
	s.Tasks, s.Rows, s.Unnamed = s.Tasks+p.Tasks, s.Rows+p.Rows, s.Unnamed+p.Unnamed
	s.Differences += int64(len(p.Differences)) + p.Unnamed
	for _, d := range p.Differences {
		if d.Repaired {
			s.Repaired++
		}
	}
	s.Left = s.Differences - s.Repaired
}

func (v *verification) difference(p printer, d differenceView) error {
	if v.json {
		return json.NewEncoder(v.out).Encode(map[string]any{"difference": d})
	}
	what := d.Table
	if d.Key != "" {
		what += " " + d.Key
	}
	if d.Task != nil {
		what = *d.Task + " " + what
	}
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	done, doneZH := "", ""
	if d.Repaired {
		done, doneZH = "; repaired", "；已修复"
	}
	switch d.Kind {
	case "MISSING":
		p.say("%s: the row is missing: %s%s", "%s：缺少该行：%s%s", what, text(d.Folded), p.choose(done, doneZH))
	case "UNKNOWN":
		p.say("%s: the log does not give this row: %s%s", "%s：日志中没有该行：%s%s", what, text(d.Stored), p.choose(done, doneZH))
	case "UNFOLDABLE":
		p.say("%s: cannot be folded: %s", "%s：无法折叠：%s", what, text(d.Folded))
	default:
		p.say("%s.%s: %s, should be %s%s", "%s.%s：%s，应为 %s%s", what, text(d.Field), text(d.Stored), text(d.Folded), p.choose(done, doneZH))
	}
	return nil
}

func (p printer) choose(en, zh string) string {
	if p.zh {
		return zh
	}
	return en
}

// sum says what the pages of this run add up to; next is where a run that broke off
// goes on.
func (v *verification) sum(p printer, s verifySum, next any) error {
	if v.json {
		line := map[string]any{"sum": s}
		if next != nil {
			line["next"] = next
		}
		return json.NewEncoder(v.out).Encode(line)
	}
	if s.Differences == 0 {
		p.say("%s, up to position %s: %d rows of %d tasks and what is made of them equal the fold of the log", "%s，截至位置 %s：%d 行（%d 个任务及其汇总）与日志折叠结果一致",
			s.Name, s.Position, s.Rows, s.Tasks)
		return nil
	}
	p.say("%s, up to position %s: %d rows of %d tasks, %d differences, %d repaired, %d left", "%s，截至位置 %s：%d 行（%d 个任务），%d 处差异，已修复 %d 处，剩余 %d 处",
		s.Name, s.Position, s.Rows, s.Tasks, s.Differences, s.Repaired, s.Left)
	if s.Unnamed > 0 {
		p.say("%d of them have no line of their own; verify again to see what is left", "其中 %d 处未逐一列出；请再次核对以查看剩余差异", s.Unnamed)
	}
	return nil
}

// verifyProgress is one line on a terminal that is written over.
type verifyProgress struct {
	shown, zh, counted bool
	begun              time.Time
	from               float64 // a run that goes on does not begin at 0
}

func (p *verifyProgress) show(page verifyPageView, rows int64) {
	if !p.shown {
		return
	}
	if !p.counted {
		p.counted, p.from = true, page.Progress
	}
	const width = 30
	bar := make([]byte, width)
	for i := range bar {
		bar[i] = '.'
		if float64(i) < page.Progress*width {
			bar[i] = '#'
		}
	}
	passed := max(time.Since(p.begun), time.Millisecond)
	text := "[%s] %5.1f%% %s, %.0f rows/s"
	if p.zh {
		text = "[%s] %5.1f%% %s，%.0f 行/秒"
	}
	fmt.Fprintf(os.Stderr, "\r"+text, bar, 100*page.Progress, page.Stage, float64(rows)/passed.Seconds())
	if done := page.Progress - p.from; done > 0 {
		left := time.Duration(float64(passed) / done * (1 - page.Progress)).Round(time.Second)
		text := ", %s left"
		if p.zh {
			text = "，预计还需 %s"
		}
		fmt.Fprintf(os.Stderr, text, left)
	}
}

func (p *verifyProgress) clear() {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
