package excel

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

// rulesVersion is raised when a rule's code changes what it finds; with the
// table below it makes the rules' digest.
const rulesVersion = "2"

// rule is one check of a whole delivery. Its severity is that of its findings
// unless the check says otherwise.
type rule struct {
	id        string
	severity  report.Severity
	rationale report.Text
	check     func(*check)
}

var rules = []rule{
	{"XLS001", report.Error, report.Text{
		En: "A workbook that cannot be opened cannot be imported either.",
		Zh: "无法打开的工作簿也无法导入调度系统。",
	}, unreadableWorkbook},
	{"XLS002", report.Error, report.Text{
		En: "Without a required column no job of the sheet is complete.",
		Zh: "缺少必填列时，该表中没有任何作业是完整的。",
	}, missingColumn},
	{"XLS005", report.Error, report.Text{
		En: "A required cell that is empty makes the import fail, or the job run at the wrong time or not at all.",
		Zh: "必填单元格为空会导致导入失败，或使作业在错误的时间运行甚至不运行。",
	}, emptyCell},
	{"XLS006", report.Error, report.Text{
		En: "Of two jobs with one key, one silently replaces the other.",
		Zh: "两个作业的键相同时，其中一个会悄悄覆盖另一个。",
	}, duplicateJob},
	{"XLS008", report.Error, report.Text{
		En: "A job that waits for a job that does not exist never starts.",
		Zh: "依赖不存在作业的作业永远不会启动。",
	}, unknownDependency},
	{"XLS009", report.Error, report.Text{
		En: "A job that waits for itself never starts; waiting for its own previous cycle is another setting.",
		Zh: "依赖自身的作业永远不会启动；依赖自身的上一周期应使用“自依赖”设置。",
	}, selfDependency},
	{"XLS010", report.Error, report.Text{
		En: "Jobs that wait for each other in a circle never start.",
		Zh: "循环依赖的作业永远不会启动。",
	}, dependencyCycle},
	{"XLS014", report.Error, report.Text{
		En: "A job with an invalid cron expression, or a date that does not exist, never runs.",
		Zh: "cron 表达式非法或日期不存在的作业永远不会运行。",
	}, invalidCron},
}

func rulesDigest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", rulesVersion)
	for _, r := range rules {
		fmt.Fprintf(h, "%s %s %q %q\n", r.id, r.severity, r.rationale.En, r.rationale.Zh)
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
	c := &check{delivery: d, ctx: ctx}
	for _, r := range rules {
		c.rule, c.count = r, 0
		r.check(c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.count > keptPerRule {
			d.degrade("", "%s: only the first %d of %d findings are reported", r.id, keptPerRule, c.count)
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

// at reports a place in a table. anchor names the place in words that stay when
// rows move.
func (c *check) at(t *table, rowNumber int, f field, severity report.Severity, anchor string, message report.Text) {
	if c.count++; c.count > keptPerRule {
		return
	}
	column := t.header.columns[f]
	c.found = append(c.found, placed{report.Finding{
		Rule: c.rule.id, Severity: severity, Message: message,
		Path: t.path, Cell: cellName(t.sheet, column, rowNumber), Anchor: clipAnchor(t.sheet + "|" + anchor),
	}, t.order, rowNumber, column})
}

// atRow reports a field of a row. The anchor's job is that of the row.
func (c *check) atRow(t *table, r *row, f field, severity report.Severity, detail string, message report.Text) {
	anchor := r.keyOf().String() + "|" + c.template.columns[f].name
	if detail != "" {
		anchor += "=" + detail
	}
	c.at(t, r.number, f, severity, anchor, message)
}

func clipAnchor(s string) string {
	const most = 600
	if len(s) <= most {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:most-17], "") + "~" + hex.EncodeToString(sum[:8])
}

// eachTable calls each with the tables of one kind.
func (c *check) eachTable(kind kind, each func(*table)) {
	for _, t := range c.tables {
		if t.header.kind == kind {
			each(t)
		}
	}
}

func unreadableWorkbook(c *check) {
	for _, u := range c.unreadable {
		c.count++
		if c.count > keptPerRule {
			return
		}
		var message report.Text
		switch u.err.fault {
		case faultEncrypted:
			message = report.Text{
				En: "The workbook is encrypted and cannot be checked; save it without a password.",
				Zh: "工作簿已加密，无法检查；请取消密码后重新保存。",
			}
		case faultLegacy:
			message = report.Text{
				En: fmt.Sprintf("The workbook is no .xlsx (%s) and cannot be checked; convert to .xlsx.", u.err.detail.En),
				Zh: fmt.Sprintf("工作簿不是 .xlsx 格式（%s），无法检查；请转换为 .xlsx。", u.err.detail.Zh),
			}
		default:
			message = report.Text{
				En: fmt.Sprintf("The workbook is corrupt and cannot be checked: %s. Open it in Excel and save it again.", u.err.detail.En),
				Zh: fmt.Sprintf("工作簿已损坏，无法检查：%s。请用 Excel 打开并重新保存。", u.err.detail.Zh),
			}
		}
		c.found = append(c.found, placed{Finding: report.Finding{
			Rule: c.rule.id, Severity: c.rule.severity, Message: message, Path: u.path, Anchor: "workbook",
		}})
	}
}

// missing returns the requirements that no column of the table can meet.
func (t *table) missing(template *template) (missing, present []requirement) {
	for _, need := range template.requiredOf(t.header.kind) {
		if t.header.count(need.fields) == 0 {
			missing = append(missing, need)
		} else {
			present = append(present, need)
		}
	}
	return missing, present
}

func missingColumn(c *check) {
	for _, t := range c.tables {
		missing, _ := t.missing(c.template)
		for _, need := range missing {
			accepted := c.template.accepted(need.fields...)
			c.at(t, t.header.row, need.fields[0], c.rule.severity, "|"+c.template.columns[need.fields[0]].name, report.Text{
				En: fmt.Sprintf("Sheet %q has no column for %s in its header row %d; accepted headers: %s.", t.sheet, need.label.En, t.header.row, accepted),
				Zh: fmt.Sprintf("工作表“%s”的表头（第 %d 行）缺少必填列：%s；可用的表头：%s。", t.sheet, t.header.row, need.label.Zh, accepted),
			})
		}
	}
}

func emptyCell(c *check) {
	for _, t := range c.tables {
		_, needs := t.missing(c.template)
		for i := range t.rows {
			r := &t.rows[i]
			for _, need := range needs {
				if c.template.metBy(need, r) {
					continue
				}
				// The place is the first of the columns that the table has.
				at := need.fields[slices.IndexFunc(need.fields, t.header.has)]
				en, zh := "The job", "作业"
				if name := r.cells[fieldJob]; name != "" {
					en, zh = fmt.Sprintf("Job %q", clip(name)), fmt.Sprintf("作业“%s”", clip(name))
				}
				c.atRow(t, r, at, c.rule.severity, "", report.Text{
					En: fmt.Sprintf("%s in row %d does not say %s; the cell is required.", en, r.number, need.label.En),
					Zh: fmt.Sprintf("第 %d 行%s未填写%s，该单元格必填。", r.number, zh, need.label.Zh),
				})
			}
		}
	}
}

func duplicateJob(c *check) {
	for at, j := range c.jobs {
		first := c.byKey[j.key]
		if first == at {
			continue
		}
		other := c.jobs[first]
		there := where(j.table, other.table, other.row.number)
		here := cellName(j.table.sheet, j.table.header.columns[fieldJob], j.row.number)
		name := clip(j.key.String())
		c.atRow(j.table, j.row, fieldJob, c.rule.severity, "", report.Text{
			En: fmt.Sprintf("Job %q is defined twice: in %s, and before that in %s.", name, here, there.En),
			Zh: fmt.Sprintf("作业“%s”重复：此处 %s，首次出现于 %s。", name, here, there.Zh),
		})
	}
}

func unknownDependency(c *check) {
	for _, ref := range c.references {
		name, from := clip(ref.text), clip(ref.row.cells[fieldJob])
		switch {
		case ref.outcome == outcomeExternal:
			c.atRow(ref.table, ref.row, ref.field, report.Warning, clip(ref.text), report.Text{
				En: fmt.Sprintf("%q belongs to a project outside this package; that it exists could not be checked.", name),
				Zh: fmt.Sprintf("“%s”属于本安装包之外的项目，无法确认其是否存在。", name),
			})
		case ref.outcome == outcomeUnknown && ref.field == fieldJob:
			c.atRow(ref.table, ref.row, ref.field, c.rule.severity, "", report.Text{
				En: fmt.Sprintf("The dependency is of job %q, which no job sheet of this package defines.", name),
				Zh: fmt.Sprintf("该依赖所属的作业“%s”未在本安装包的任何作业表中定义。", name),
			})
		case ref.outcome == outcomeUnknown:
			c.atRow(ref.table, ref.row, ref.field, c.rule.severity, clip(ref.text), report.Text{
				En: fmt.Sprintf("Job %q depends on %q, which no job sheet of this package defines.", from, name),
				Zh: fmt.Sprintf("作业“%s”依赖的“%s”未在本安装包的任何作业表中定义。", from, name),
			})
		}
	}
}

func selfDependency(c *check) {
	for _, ref := range c.references {
		if ref.outcome != outcomeSelf {
			continue
		}
		name := clip(c.jobs[ref.from].key.String())
		c.atRow(ref.table, ref.row, ref.field, c.rule.severity, "", report.Text{
			En: fmt.Sprintf("Job %q depends on itself and would never start; to wait for its own previous cycle, use the self-dependency setting.", name),
			Zh: fmt.Sprintf("作业“%s”依赖自身，永远不会启动；如需等待自身上一周期，请使用“自依赖”设置。", name),
		})
	}
}

func dependencyCycle(c *check) {
	next := make([][]int, len(c.jobs)) // by job: those that it waits for
	byEdge := map[[2]int]reference{}
	for _, ref := range c.references {
		if ref.outcome != outcomeKnown || ref.from < 0 {
			continue
		}
		// A duplicate row is XLS006's; its dependencies are those of its key.
		from := c.byKey[c.jobs[ref.from].key]
		edge := [2]int{from, ref.to}
		if _, ok := byEdge[edge]; !ok {
			byEdge[edge] = ref
			next[from] = append(next[from], ref.to)
		}
	}
	for _, component := range components(next) {
		cycle := shortestCycle(next, component)
		ref := byEdge[[2]int{cycle[0], cycle[1%len(cycle)]}]
		way := c.cycleText(cycle)
		en := fmt.Sprintf("Jobs wait for each other in a circle: %s.", way)
		zh := fmt.Sprintf("作业循环依赖：%s。", way)
		switch rest := len(component) - len(cycle); {
		case rest == 1:
			en += " One more job is caught in it."
			zh += "另有 1 个作业也在环中。"
		case rest > 1:
			en += fmt.Sprintf(" %d more jobs are caught in it.", rest)
			zh += fmt.Sprintf("另有 %d 个作业也在环中。", rest)
		}
		// The anchor is a name that does not depend on the order of the rows.
		anchor := c.jobs[component[0]].key.String()
		for _, at := range component[1:] {
			anchor = min(anchor, c.jobs[at].key.String())
		}
		c.at(ref.table, ref.row.number, ref.field, c.rule.severity, anchor+"|cycle", report.Text{En: en, Zh: zh})
	}
}

// cycleText draws A→B→A, by names alone where these are enough.
func (c *check) cycleText(cycle []int) string {
	const most = 12
	var b strings.Builder
	draw := func(at int) {
		k := c.jobs[at].key
		if c.byName[k.name].count > 1 {
			b.WriteString(clip(k.String()))
		} else {
			b.WriteString(clip(k.name))
		}
	}
	for i, at := range cycle {
		if len(cycle) > most && i >= most-2 && i < len(cycle)-1 {
			if i == most-2 {
				fmt.Fprintf(&b, "…(%d)…→", len(cycle)-most+1)
			}
			continue
		}
		draw(at)
		b.WriteString("→")
	}
	draw(cycle[0])
	return b.String()
}

func invalidCron(c *check) {
	fine := map[string]bool{} // most jobs share a few expressions
	c.eachTable(jobTable, func(t *table) {
		for i := range t.rows {
			r := &t.rows[i]
			expr := r.cells[fieldCron]
			if expr == "" || fine[expr] {
				continue
			}
			problem, bad := cronProblem(expr)
			fine[expr] = !bad
			if bad {
				c.atRow(t, r, fieldCron, c.rule.severity, "", report.Text{
					En: fmt.Sprintf("The cron expression %q is invalid: %s.", clip(expr), problem.En),
					Zh: fmt.Sprintf("cron 表达式“%s”非法：%s。", clip(expr), problem.Zh),
				})
			}
		}
	})
}
