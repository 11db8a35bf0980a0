package excel

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/cron"
	"github.com/factgate/factgate/internal/digraph"
	"github.com/factgate/factgate/internal/xlsx"
)

// Rules of jobs and of what they wait for, across all sheets and workbooks.

func duplicateJob(c *check) {
	for at, j := range c.jobs {
		first := c.byKey[j.key]
		if first == at || j.row.marks[fieldJob]&markMerged != 0 {
			continue
		}
		other := c.jobs[first]
		there := where(j.table, other.table, other.row.number)
		here := cellName(j.table.sheet, j.table.header.columns[fieldJob], j.row.number)
		name := clip(j.key.String())
		c.atRow(j.table, j.row, fieldJob, c.rule.Severity, "", report.Text{
			En: fmt.Sprintf("Job %q is defined twice: in %s, and before that in %s. Rename or remove one.", name, here, there.En),
			Zh: fmt.Sprintf("作业“%s”重复：此处 %s，首次出现于 %s。请改名或删除其一。", name, here, there.Zh),
		})
	}
}

// sameName gives names that people take for one the same form.
func sameName(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] <= ' ' || s[i] >= 'A' && s[i] <= 'Z' {
			ascii = false
			break
		}
	}
	if ascii {
		return s
	}
	return cases.Fold().String(strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, norm.NFKC.String(s)))
}

func nearlySameName(c *check) {
	first := map[key]int{}
	for at, j := range c.jobs {
		if c.byKey[j.key] != at {
			continue // XLS006
		}
		folded := key{sameName(j.key.project), sameName(j.key.flow), sameName(j.key.name)}
		other, taken := first[folded]
		if !taken {
			first[folded] = at
			continue
		}
		before := c.jobs[other]
		there := where(j.table, before.table, before.row.number)
		c.atRow(j.table, j.row, fieldJob, c.rule.Severity, "", report.Text{
			En: fmt.Sprintf("Job %q differs from %q in %s only by case, spaces or width; give one of them another name, or write both alike.", clip(j.key.String()), clip(before.key.String()), there.En),
			Zh: fmt.Sprintf("作业“%s”与 %s 的“%s”仅大小写、空格或全半角不同；请改名，或统一写法。", clip(j.key.String()), there.Zh, clip(before.key.String())),
		})
	}
}

func unknownDependency(c *check) {
	if c.nameless {
		// One of the names that nobody has computed may be the one.
		for _, ref := range c.references {
			if ref.outcome == outcomeUnknown {
				c.degrade(ref.table.path, report.Text{
					En: quoteSheet(ref.table.sheet) + ": dependencies on unknown jobs were not judged: the names of some jobs are formulas without a value",
					Zh: fmt.Sprintf("工作表“%s”：部分作业名是没有结果值的公式，因此未判断依赖的作业是否存在", ref.table.sheet),
				})
				break
			}
		}
	}
	var bySame map[string]string // made when first needed
	for _, ref := range c.references {
		name, from := clip(ref.text), clip(ref.row.cells[fieldJob])
		switch {
		case ref.outcome == outcomeExternal:
			c.atRow(ref.table, ref.row, ref.field, report.Warning, clip(ref.text), report.Text{
				En: fmt.Sprintf("%q belongs to a project outside this package; that it exists could not be checked. Make sure of it.", name),
				Zh: fmt.Sprintf("“%s”属于本安装包之外的项目，无法确认其是否存在，请自行核实。", name),
			})
		case ref.outcome != outcomeUnknown || c.nameless:
		case ref.field == fieldJob:
			c.atRow(ref.table, ref.row, ref.field, c.rule.Severity, "", report.Text{
				En: fmt.Sprintf("The dependency is of job %q, which no job sheet of this package defines; correct the name, or add the job.", name),
				Zh: fmt.Sprintf("该依赖所属的作业“%s”未在本安装包的任何作业表中定义；请更正名称或补充该作业。", name),
			})
		default:
			if bySame == nil {
				bySame = map[string]string{}
				for _, j := range c.jobs {
					if same := sameName(j.key.name); bySame[same] == "" {
						bySame[same] = j.key.name
					}
				}
			}
			hint := report.Text{}
			if near, ok := bySame[sameName(ref.text)]; ok {
				hint = report.Text{
					En: fmt.Sprintf(" There is %q, which differs by case, spaces or width.", clip(near)),
					Zh: fmt.Sprintf("存在仅大小写、空格或全半角不同的“%s”。", clip(near)),
				}
			}
			c.atRow(ref.table, ref.row, ref.field, c.rule.Severity, clip(ref.text), report.Text{
				En: fmt.Sprintf("Job %q depends on %q, which no job sheet of this package defines; correct the name, or add the job.%s", from, name, hint.En),
				Zh: fmt.Sprintf("作业“%s”依赖的“%s”未在本安装包的任何作业表中定义；请更正名称或补充该作业。%s", from, name, hint.Zh),
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
		c.atRow(ref.table, ref.row, ref.field, c.rule.Severity, "", report.Text{
			En: fmt.Sprintf("Job %q depends on itself and would never start; to wait for its own previous cycle, use the self-dependency setting.", name),
			Zh: fmt.Sprintf("作业“%s”依赖自身，永远不会启动；如需等待自身上一周期，请使用“自依赖”设置。", name),
		})
	}
}

// edges calls each with every dependency between two known jobs; a duplicate row
// is XLS006's, its dependencies are those of its key.
func (c *check) edges(each func(ref *reference, from, to int)) {
	for i := range c.references {
		if ref := &c.references[i]; ref.outcome == outcomeKnown && ref.from >= 0 {
			each(ref, c.byKey[c.jobs[ref.from].key], c.byKey[c.jobs[ref.to].key])
		}
	}
}

func dependencyCycle(c *check) {
	next := make([][]int, len(c.jobs)) // by job: those that it waits for
	byEdge := map[[2]int]*reference{}
	c.edges(func(ref *reference, from, to int) {
		edge := [2]int{from, to}
		if _, ok := byEdge[edge]; !ok {
			byEdge[edge] = ref
			next[from] = append(next[from], to)
		}
	})
	for _, component := range digraph.Components(next) {
		cycle := digraph.ShortestCycle(next, component)
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
		en += " Remove one of these dependencies."
		zh += "请删除其中一个依赖。"
		c.at(ref.table, ref.row.number, ref.field, c.rule.Severity, anchor+"|cycle", report.Text{En: en, Zh: zh})
	}
}

// cycleText draws A→B→A, by names alone where these are enough.
func (c *check) cycleText(cycle []int) string {
	const most = 12
	var b strings.Builder
	draw := func(at int) { b.WriteString(c.shortName(at)) }
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

// shortName is a job's name, with what tells it from its namesakes.
func (c *check) shortName(at int) string {
	k := c.jobs[at].key
	if c.byName[k.name].count > 1 {
		return clip(k.String())
	}
	return clip(k.name)
}

func duplicateEdge(c *check) {
	first := map[[2]int]*reference{}
	c.edges(func(ref *reference, from, to int) {
		edge := [2]int{from, to}
		before, taken := first[edge]
		if !taken {
			first[edge] = ref
			return
		}
		there := cellName(before.table.sheet, before.table.header.columns[before.field], before.row.number)
		if before.table.path != ref.table.path {
			there = before.table.path + " " + there
		}
		c.atRow(ref.table, ref.row, ref.field, c.rule.Severity, clip(ref.text), report.Text{
			En: fmt.Sprintf("That %q waits for %q is already said in %s; remove one.", c.shortName(from), c.shortName(to), there),
			Zh: fmt.Sprintf("“%s”依赖“%s”已在 %s 中声明；请删除其一。", c.shortName(from), c.shortName(to), there),
		})
	})
}

// isolatedJob looks at flows in which jobs wait for each other: a job beside
// them that takes no part may have been forgotten.
func isolatedJob(c *check) {
	linked := make([]bool, len(c.jobs))
	type scope struct{ project, flow string }
	within := map[scope]int{}  // jobs that wait for others of the same flow
	meant := map[string]bool{} // names that several jobs bear: each may be the one
	for _, ref := range c.references {
		if ref.from < 0 {
			continue
		}
		// What waits for something unknown does wait.
		from := c.byKey[c.jobs[ref.from].key]
		linked[from] = true
		if ref.outcome == outcomeAmbiguous {
			meant[c.jobs[ref.to].key.name] = true
		}
		if ref.outcome == outcomeKnown || ref.outcome == outcomeAmbiguous {
			to := c.byKey[c.jobs[ref.to].key]
			linked[to] = true
			if a, b := c.jobs[from].key, c.jobs[to].key; a.project == b.project && a.flow == b.flow {
				within[scope{a.project, a.flow}]++
			}
		}
	}
	for at, j := range c.jobs {
		on, known := c.template.enabled(j)
		if c.byKey[j.key] != at || linked[at] || meant[j.key.name] || known && !on || within[scope{j.key.project, j.key.flow}] == 0 {
			continue
		}
		c.atRow(j.table, j.row, fieldJob, c.rule.Severity, "", report.Text{
			En: fmt.Sprintf("Job %q waits for nothing and nothing waits for it, while others of its flow wait for each other; say what it waits for, or move it to a flow of its own.", c.shortName(at)),
			Zh: fmt.Sprintf("作业“%s”既无上游也无下游，而同一流程中的其他作业互有依赖；请补充依赖，或移到独立的流程。", c.shortName(at)),
		})
	}
}

func disabledDependency(c *check) {
	seen := map[[2]int]bool{}
	c.edges(func(ref *reference, from, to int) {
		if edge := [2]int{from, to}; seen[edge] {
			return
		} else {
			seen[edge] = true
		}
		on, known := c.template.enabled(c.jobs[from])
		upOn, upKnown := c.template.enabled(c.jobs[to])
		if !known || !on || !upKnown || upOn {
			return
		}
		up := c.jobs[to]
		there := cellName(up.table.sheet, up.table.header.columns[fieldEnabled], up.row.number)
		c.atRow(ref.table, ref.row, ref.field, c.rule.Severity, clip(ref.text), report.Text{
			En: fmt.Sprintf("Job %q is enabled and waits for %q, which is disabled (%s) and never runs; enable that one, or remove the dependency.", c.shortName(from), c.shortName(to), there),
			Zh: fmt.Sprintf("作业“%s”已启用，但依赖的“%s”已停用（%s），永远不会运行；请启用后者或删除依赖。", c.shortName(from), c.shortName(to), there),
		})
	})
}

func finerThanUpstream(c *check) {
	seen := map[[2]int]bool{}
	c.edges(func(ref *reference, from, to int) {
		if edge := [2]int{from, to}; seen[edge] {
			return
		} else {
			seen[edge] = true
		}
		down, known := c.template.cycleOf(c, c.jobs[from].row)
		up, upKnown := c.template.cycleOf(c, c.jobs[to].row)
		if !known || !upKnown || down == cron.Once || up == cron.Once || slices.Index(cycleNames, string(down)) >= slices.Index(cycleNames, string(up)) {
			return
		}
		c.atRow(ref.table, ref.row, ref.field, c.rule.Severity, clip(ref.text), report.Text{
			En: fmt.Sprintf("Job %q runs every %s and waits for %q, which runs every %s: most of its runs wait for nothing new, or for ever. Check both cycles.", c.shortName(from), cycleWords[down].En, c.shortName(to), cycleWords[up].En),
			Zh: fmt.Sprintf("作业“%s”的周期（%s）比其上游“%s”（%s）更细：多数周期等不到新数据，甚至一直等待。请核对两者的周期。", c.shortName(from), cycleWords[down].Zh, c.shortName(to), cycleWords[up].Zh),
		})
	})
}

// cellOf is a field's place in a row of a table.
func cellOf(t *table, r *row, f field) string {
	return xlsx.CellName(t.header.columns[f], r.number)
}
