package openapi

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

// check gathers what is wrong with one file.
type check struct {
	ctx      context.Context
	limits   Limits
	settings Settings
	path     string
	found    []report.Finding
	dropped  int // findings beyond mostKept
	looks    int // at nodes
	spent    int // see work
	anchors  map[string]int
}

// mostKept is how many findings of one file are kept: a report holds no more.
const mostKept = report.MaxFindings

func newCheck(ctx context.Context, limits Limits, settings Settings, path string) *check {
	return &check{ctx: ctx, limits: limits, settings: settings, path: path, anchors: map[string]int{}}
}

// stopped reports whether there is no use in going on.
func (c *check) stopped() bool {
	c.looks++
	return c.looks%256 == 0 && c.ctx.Err() != nil || c.overworked()
}

// work counts what may be looked at again for each place that refers to it.
func (c *check) work(n int) { c.spent += n }

func (c *check) overworked() bool { return c.spent > 2*c.limits.Nodes }

func (c *check) add(r *report.Rule, line, column int32, pointer string, message report.Text) {
	if len(c.found) == mostKept {
		c.dropped++
		return
	}
	anchor := pointer
	if anchor == "" {
		anchor = "document"
	}
	c.found = append(c.found, report.Finding{
		Rule: r.ID, Severity: r.Severity, Message: message, Path: c.path, Line: int(line), Column: int(column), Pointer: pointer, Anchor: anchor,
	})
}

// end hands the findings over, by place, and says what was not understood.
func (c *check) end(out scanners.Findings, outside int) (unsure []report.Text) {
	slices.SortStableFunc(c.found, func(a, b report.Finding) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Rule, b.Rule), strings.Compare(a.Pointer, b.Pointer))
	})
	for _, f := range c.found {
		id := f.Rule + "|" + f.Anchor
		if c.anchors[id]++; c.anchors[id] > 1 {
			f.Anchor += fmt.Sprintf("#%d", c.anchors[id])
		}
		out.Add(f)
	}
	if outside > 0 {
		unsure = append(unsure, report.Text{
			En: fmt.Sprintf("references that lead out of the file are not followed: %d", outside),
			Zh: fmt.Sprintf("有 %d 个引用指向文件之外，未跟踪", outside),
		})
	}
	if c.dropped > 0 {
		unsure = append(unsure, report.Text{
			En: fmt.Sprintf("only the first %d of %d findings are reported", mostKept, mostKept+c.dropped),
			Zh: fmt.Sprintf("共发现 %d 个问题，仅报告前 %d 个", mostKept+c.dropped, mostKept),
		})
	}
	if c.overworked() {
		unsure = append(unsure, report.Text{
			En: "its parts refer to each other so often that not all of it was looked at",
			Zh: "各部分相互引用过多，未能检查全部内容",
		})
	}
	return unsure
}
