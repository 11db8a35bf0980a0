package excel

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/cron"
	"github.com/factgate/factgate/internal/secrets"
	"github.com/factgate/factgate/internal/xlsx"
	"github.com/factgate/factgate/scanners"
)

// rulesVersion is raised when a rule's code changes what it finds; with the
// catalogue it makes the rules' digest.
const rulesVersion = "3"

// rule is one check of a whole delivery, under the id of its entry in the
// catalogue. Its severity is that of its findings unless the check says
// otherwise.
type rule struct {
	report.Rule
	check func(*check)
}

func rulesDigest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", rulesVersion, secrets.Version)
	for _, r := range rules {
		fmt.Fprintf(h, "%s %s %q %q\n", r.ID, r.Severity, r.Message.En, r.Rationale.En)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// check gathers what the rules find in one delivery.
type check struct {
	*delivery
	ctx   context.Context
	rule  rule
	count int // of the current rule
	found []placed
	fit   map[string][]cron.Cycle // by expression
}

// placed is a finding with what orders it within the report.
type placed struct {
	report.Finding
	sheet, row, column int
}

// keptPerRule is how many findings of one rule are kept: a report holds no more.
const keptPerRule = report.MaxFindings

// run applies all rules and hands the findings over by path, then place.
func (d *delivery) run(ctx context.Context, out scanners.Findings) error {
	c := &check{delivery: d, ctx: ctx, fit: map[string][]cron.Cycle{}}
	for _, r := range rules {
		c.rule, c.count = r, 0
		r.check(c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.count > keptPerRule {
			d.degrade("", report.Text{
				En: fmt.Sprintf("%s: only the first %d of %d findings are reported", r.ID, keptPerRule, c.count),
				Zh: fmt.Sprintf("%s：共发现 %d 个问题，仅报告前 %d 个", r.ID, c.count, keptPerRule),
			})
		}
	}
	slices.SortStableFunc(c.found, func(a, b placed) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), a.sheet-b.sheet, a.row-b.row, a.column-b.column, strings.Compare(a.Rule, b.Rule))
	})
	anchors := map[[3]string]int{}
	for _, f := range c.found {
		id := [3]string{f.Rule, f.Path, f.Anchor}
		if anchors[id]++; anchors[id] > 1 {
			f.Anchor += fmt.Sprintf("#%d", anchors[id])
		}
		out.Add(f.Finding)
	}
	return nil
}

// add keeps a finding that is outside of any table.
func (c *check) add(f placed) {
	if c.count++; c.count > keptPerRule {
		return
	}
	f.Rule, f.Anchor = c.rule.ID, clipAnchor(f.Anchor)
	c.found = append(c.found, f)
}

// at reports a place in a table. anchor names the place in words that stay when
// rows move.
func (c *check) at(t *table, rowNumber int, f field, severity report.Severity, anchor string, message report.Text) {
	c.atColumn(t, rowNumber, t.header.columns[f], severity, anchor, message)
}

func (c *check) atColumn(t *table, rowNumber, column int, severity report.Severity, anchor string, message report.Text) {
	c.add(placed{report.Finding{
		Severity: severity, Message: message,
		Path: t.path, Cell: cellName(t.sheet, column, rowNumber), Anchor: t.sheet + "|" + anchor,
	}, t.order, rowNumber, column})
}

// atRow reports a field of a row. The anchor's job is that of the row.
func (c *check) atRow(t *table, r *row, f field, severity report.Severity, detail string, message report.Text) {
	anchor := r.keyOf().String() + "|" + fields[f].name
	if detail != "" {
		anchor += "=" + detail
	}
	c.at(t, r.number, f, severity, anchor, message)
}

// cells gathers the cells of one column that one finding is to tell of.
type cells struct {
	first *row
	count int
}

func (s *cells) add(r *row) {
	if s.count++; s.count == 1 {
		s.first = r
	}
}

// text counts them: "C7 and 3 more cells".
func (s *cells) text(t *table, f field) report.Text {
	name := xlsx.CellName(t.header.columns[f], s.first.number)
	switch s.count {
	case 1:
		return report.Text{En: name, Zh: name + " "}
	case 2:
		return report.Text{En: name + " and 1 more cell", Zh: name + " 等 2 个单元格"}
	default:
		return report.Text{En: fmt.Sprintf("%s and %d more cells", name, s.count-1), Zh: fmt.Sprintf("%s 等 %d 个单元格", name, s.count)}
	}
}

// atColumnOf reports what is alike in many cells of a column, at the first.
func (c *check) atColumnOf(t *table, s *cells, f field, detail string, message report.Text) {
	anchor := "|" + fields[f].name
	if detail != "" {
		anchor += "=" + detail
	}
	c.at(t, s.first.number, f, c.rule.Severity, anchor, message)
}

// clipAnchor keeps an anchor on one line, and short.
func clipAnchor(s string) string {
	const most = 600
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:most-17], "") + "~" + hex.EncodeToString(sum[:8])
}

// eachJobTable calls each with the tables of jobs.
func (c *check) eachJobTable(each func(*table)) {
	for _, t := range c.tables {
		if t.header.kind == jobTable {
			each(t)
		}
	}
}
