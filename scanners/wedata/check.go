package wedata

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

// check gathers what the rules find in one delivery.
type check struct {
	*delivery
	ctx   context.Context
	rule  rule
	count int // of the current rule
	found []report.Finding

	lineages map[*task]tables
	folders  map[string]bool
	crons    map[string]report.Text // what is wrong with an expression, if anything
}

// keptPerRule is how many findings of one rule are kept: a report holds no more.
const keptPerRule = report.MaxFindings

// run applies all rules and hands the findings over by path, then place.
func (d *delivery) run(ctx context.Context, out scanners.Findings) error {
	c := &check{delivery: d, ctx: ctx}
	for _, r := range rules() {
		c.rule, c.count = r, 0
		r.check(c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.count > keptPerRule {
			d.degrade("", say("%[1]s: only the first %[2]d of %[3]d findings are reported", "%[1]s：共发现 %[3]d 个问题，仅报告前 %[2]d 个", r.ID, keptPerRule, c.count))
		}
	}
	slices.SortStableFunc(c.found, func(a, b report.Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), a.Line-b.Line, a.Column-b.Column, a.InnerLine-b.InnerLine, a.InnerColumn-b.InnerColumn, strings.Compare(a.Rule, b.Rule))
	})
	for _, f := range c.found {
		out.Add(f)
	}
	return nil
}

// subject names what a finding is about, in words that stay when lines move.
func (t *task) subject() string {
	switch {
	case t.id != "":
		return "task " + t.id
	case t.name != "":
		return "task " + t.name
	}
	return "task at " + t.at.pointer()
}

func (f *flow) subject() string {
	switch {
	case f.id != "":
		return "workflow " + f.id
	case f.name != "":
		return "workflow " + f.name
	case f.at != nil:
		return "workflow at " + f.at.pointer()
	}
	return "workflow"
}

// add keeps a finding.
func (c *check) add(f report.Finding) {
	if c.count++; c.count > keptPerRule {
		return
	}
	f.Rule = c.rule.ID
	if f.Severity == "" {
		f.Severity = c.rule.Severity
	}
	f.Anchor = clipAnchor(f.Anchor)
	f.Pointer = clipAnchor(f.Pointer)
	c.found = append(c.found, f)
}

func clipAnchor(s string) string {
	const most = 600
	s = printable(s)
	if len(s) <= most {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:most-17], "") + "~" + hex.EncodeToString(sum[:8])
}

func spot(doc *document, n *node) report.Finding {
	return report.Finding{Path: doc.path, Line: int(n.line), Column: int(n.col), Pointer: n.pointer()}
}

// atTask reports a place within a task; n may be nil, which is the task itself. detail
// tells apart what the pointer does not.
func (c *check) atTask(t *task, n *node, detail string, severity report.Severity, message report.Text) {
	if n == nil {
		n = t.at
	}
	f := spot(t.doc, n)
	f.Severity, f.Message = severity, message
	f.Anchor = t.subject() + "|" + n.anchorWithin(t.at)
	if detail != "" {
		f.Anchor += "=" + detail
	}
	c.add(f)
}

// atFlow reports a place within a workflow; n may be nil, which is the workflow
// itself, or its first task when only tasks are delivered.
func (c *check) atFlow(w *flow, n *node, detail string, severity report.Severity, message report.Text) {
	f := report.Finding{Path: w.doc.path}
	suffix := ""
	switch {
	case n != nil:
		f = spot(w.doc, n)
		suffix = n.anchorWithin(w.at)
	case w.at != nil:
		f = spot(w.doc, w.at)
	case len(w.tasks) > 0:
		f = spot(w.tasks[0].doc, w.tasks[0].at)
	}
	f.Severity, f.Message = severity, message
	f.Anchor = w.subject() + "|" + suffix
	if detail != "" {
		f.Anchor += "=" + detail
	}
	c.add(f)
}

// atFile reports a place in a document that belongs to no task.
func (c *check) atFile(doc *document, n *node, detail string, message report.Text) {
	f := spot(doc, n)
	f.Message = message
	f.Anchor = n.anchorWithin(nil)
	if detail != "" {
		f.Anchor += "=" + detail
	}
	c.add(f)
}

// inCode reports an offset in the code of a task. at must have been made for that
// code, and offsets must not go back.
func (c *check) inCode(t *task, at *place, offset int, detail string, severity report.Severity, message report.Text) {
	line, col := at.of(offset)
	f := report.Finding{Path: t.code.file, Line: int(line), Column: int(col)}
	suffix := "code"
	if t.code.file == "" {
		f = spot(t.doc, t.code.at)
		f.InnerLine, f.InnerColumn = int(line), int(col)
		suffix = t.code.at.anchorWithin(t.at)
	}
	f.Severity, f.Message = severity, message
	f.Anchor = t.subject() + "|" + suffix + "=" + detail
	c.add(f)
}

// say makes a message in both languages of formats with the same arguments, of which
// a report.Text stands for its own in each.
func say(en, zh string, args ...any) report.Text {
	inEn, inZh := slices.Clone(args), slices.Clone(args)
	for i, a := range args {
		if t, ok := a.(report.Text); ok {
			inEn[i], inZh[i] = t.En, t.Zh
		}
	}
	return report.Text{En: fmt.Sprintf(en, inEn...), Zh: fmt.Sprintf(zh, inZh...)}
}
