package wedata

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

func malformed(c *check) {
	for _, b := range c.broken {
		c.add(report.Finding{Path: b.path, Line: int(b.fault.line), Column: int(b.fault.col), Anchor: "file",
			Message: say("The file is malformed and cannot be imported: %s. Correct it at line %d.",
				"文件格式错误，无法导入：%s。请修正第 %d 行。", b.fault.what, b.fault.line)})
	}
}

// names is WD002. Names and ids must differ within a document, since the same task
// may well be described by several.
func names(c *check) {
	for _, t := range c.tasks {
		if t.virtual {
			continue
		}
		switch {
		case t.doc.shape == bundleShape:
			// The key names it.
		case t.name == "" && (t.base != nil || t.doc.shape != apiShape):
			c.atTask(t, orNode(t.get("taskname"), t.base), "name", "", report.Text{
				En: "A task without a name; give it one.", Zh: "任务缺少名称，请命名。"})
		}
		if t.id == "" && t.doc.shape != apiShape && t.doc.shape != bundleShape {
			c.atTask(t, t.get("taskid", "code"), "id", "", say("Task %s has no id; give it one.", "任务 %s 缺少 ID，请补充。", t.label()))
		}
	}
	type seenAt struct {
		doc    *document
		flow   *flow
		id, in string
	}
	seen := map[seenAt]*task{}
	for _, t := range c.tasks {
		if t.id != "" && !(t.virtual && t.doc.shape == canvasShape) {
			key := seenAt{doc: t.doc, id: t.id, in: "id"}
			if t.doc.shape == canvasShape || t.doc.shape == dolphinShape {
				key.flow = t.flow
			}
			if t.doc.shape == bundleShape {
				key.doc, key.in = t.doc.bundle.manifest, "key "+kindOf(t.at)
			}
			if first := seen[key]; first != nil && first.at != t.at {
				c.atTask(t, t.get("taskid", "code"), "duplicate id", "", say("Task %s has the id of task %s (%s); give each its own.",
					"任务 %s 与任务 %s（%s）的 ID 相同，请分别设置。", t.label(), first.label(), where(t, first)))
				continue
			}
			seen[key] = t
		}
		if t.name != "" && !t.virtual && (t.flow.at != nil || t.flow.id != "") {
			key := seenAt{doc: t.doc, flow: t.flow, id: t.name, in: "name"}
			if t.doc.shape == bundleShape {
				key.doc = t.doc.bundle.manifest
			}
			if first := seen[key]; first != nil {
				c.atTask(t, t.get("taskname", "name"), "duplicate name", "", say("Two tasks of workflow %s are called %s; give each its own name.",
					"工作流 %s 中有两个任务都叫 %s，请分别命名。", t.flow.label(), t.label()))
				continue
			}
			seen[key] = t
		}
	}
	flows := map[string]*flow{}
	for _, f := range c.flows {
		if f.at == nil {
			continue
		}
		if f.name == "" && f.doc.shape != bundleShape {
			c.atFlow(f, f.at.get("workflowname", "name"), "name", "", report.Text{En: "A workflow without a name; give it one.", Zh: "工作流缺少名称，请命名。"})
		}
		if f.doc.shape == canvasShape && f.id == "" {
			c.atFlow(f, f.at.get("workflowid"), "id", "", say("Workflow %s has no id; give it one.", "工作流 %s 缺少 ID，请补充。", f.label()))
		}
		if f.id == "" || f.doc.shape == apiShape {
			continue
		}
		key := family(f.doc) + f.doc.path + "\x00" + f.id
		if f.doc.shape == bundleShape {
			key = family(f.doc) + kindOf(f.at) + "\x00" + f.id
		}
		if first := flows[key]; first != nil {
			c.atFlow(f, f.at.get("workflowid", "code"), "duplicate id", "", say("Workflow %s has the id of workflow %s; give each its own.",
				"工作流 %s 与工作流 %s 的 ID 相同，请分别设置。", f.label(), first.label()))
			continue
		}
		flows[key] = f
	}
}

// where says where another task stands, seen from t.
func where(t, other *task) report.Text {
	if t.doc != other.doc {
		return report.Text{En: "in " + clip(other.doc.path), Zh: "位于 " + clip(other.doc.path)}
	}
	return say("line %d", "第 %d 行", other.at.line)
}

// kindOf is the kind of a resource of a bundle: the key under which it stands.
func kindOf(n *node) string {
	if n.parent != nil {
		return n.parent.folded
	}
	return ""
}

func orNode(n, otherwise *node) *node {
	if n != nil {
		return n
	}
	return otherwise
}

// unknownUpstream is WD003.
func unknownUpstream(c *check) {
	unknown := func(doc *document, id string) bool {
		_, known := c.byID[family(doc)+id]
		return id != "" && !known && !c.external[id] && !strings.Contains(id, "${")
	}
	delivered := map[string]bool{}
	for _, f := range c.flows {
		if f.at != nil && f.id != "" {
			delivered[f.id] = true
		}
	}
	reported := map[string]bool{}
	for _, t := range c.tasks {
		for _, u := range t.ups {
			if u.reversed || !unknown(t.doc, u.id) {
				continue
			}
			if t.doc.shape == bundleShape && strings.Trim(u.id, "0123456789") == "" {
				continue // the id of a task that the platform has; a bundle holds keys only
			}
			key := family(t.doc) + t.subject() + "\x00" + u.id
			if reported[key] {
				continue
			}
			reported[key] = true
			elsewhere := u.foreign
			if w := u.at.get("workflowid").text(); w != "" && w != t.flow.id && !delivered[w] {
				elsewhere = true
			}
			if elsewhere {
				c.atTask(t, u.at, u.id, report.Warning, say("Task %s waits for task %s of another project or workflow, which the package does not hold; see that it exists where this is deployed.",
					"任务 %s 依赖其他项目或工作流的任务 %s，安装包中没有该任务，请确认部署环境中存在。", t.label(), clip(u.id)))
				continue
			}
			c.atTask(t, u.at, u.id, "", say("Task %s waits for task %s, which is in no file of the package; deliver it, or correct the id.",
				"任务 %s 依赖的任务 %s 不在安装包的任何文件中，请一并交付或修正任务 ID。", t.label(), clip(u.id)))
		}
	}
	for _, f := range c.flows {
		for _, l := range f.links {
			for _, end := range []struct{ id, key string }{{l.from, "taskfrom"}, {l.to, "taskto"}} {
				if !unknown(f.doc, end.id) || reported[f.subject()+"\x00"+end.id] {
					continue
				}
				reported[f.subject()+"\x00"+end.id] = true
				at := l.at.get(end.key, map[string]string{"taskfrom": "pretaskcode", "taskto": "posttaskcode"}[end.key])
				if l.virtual {
					c.atFlow(f, at, end.id, report.Warning, say("Workflow %s has a link to task %s of another workflow, which the package does not hold; see that it exists where this is deployed.",
						"工作流 %s 的连线指向其他工作流的任务 %s，安装包中没有该任务，请确认部署环境中存在。", f.label(), clip(end.id)))
					continue
				}
				c.atFlow(f, at, end.id, "", say("Workflow %s has a link to task %s, which is in no file of the package; deliver it, or remove the link.",
					"工作流 %s 的连线指向任务 %s，该任务不在安装包的任何文件中，请一并交付或删除连线。", f.label(), clip(end.id)))
			}
		}
	}
}

// circularDependency is WD004: one finding for each circle.
func circularDependency(c *check) {
	for _, circle := range c.circles() {
		t := c.entities[circle[0]].tasks[0]
		if len(circle) == 1 {
			c.atTask(t, t.upsAt, "circle", "", say("Task %s waits for itself; to wait for its own earlier run, set SelfDepend.",
				"任务 %s 依赖自身；如需依赖自身的上一周期，请设置 SelfDepend。", t.label()))
			continue
		}
		const most = 12
		var way strings.Builder
		for i, e := range circle {
			if len(circle) > most && i >= most-2 && i < len(circle)-1 {
				if i == most-2 {
					fmt.Fprintf(&way, "…(%d)…→", len(circle)-most+1)
				}
				continue
			}
			way.WriteString(c.entities[e].tasks[0].label() + "→")
		}
		way.WriteString(t.label())
		c.atTask(t, t.upsAt, "circle", "", say("Tasks wait for each other in a circle: %s; remove one of the dependencies.",
			"任务循环依赖：%s，请去除其中一条依赖。", way.String()))
	}
}

// linksDisagree is WD005. Only edges within the workflow can be drawn and listed
// both, and a task without a list has not said anything.
func linksDisagree(c *check) {
	for _, f := range c.flows {
		if !f.linked || f.doc.shape != canvasShape {
			continue
		}
		drawn, inside := map[[2]int]bool{}, map[int]bool{}
		for _, t := range f.tasks {
			if !t.virtual {
				inside[t.entity] = true
			}
		}
		for _, l := range f.links {
			from, ok := c.byID[l.from]
			to, also := c.byID[l.to]
			if ok && also && inside[from] && inside[to] {
				drawn[[2]int{from, to}] = true
			}
		}
		into := map[int][]int{}
		for l := range drawn {
			into[l[1]] = append(into[l[1]], l[0])
		}
		for _, from := range into {
			slices.Sort(from)
		}
		done := map[int]bool{}
		var described []*task // by whichever document
		for _, t := range f.tasks {
			described = append(described, c.entities[t.entity].tasks...)
		}
		for _, t := range described {
			if t.upsAt == nil || t.upsAt.kind != array || done[t.entity] || !inside[t.entity] {
				continue
			}
			done[t.entity] = true
			listed := map[int]bool{}
			var onlyListed, onlyDrawn []string
			for _, u := range t.ups {
				e, ok := c.byID[u.id]
				if !ok || u.reversed || !inside[e] || listed[e] {
					continue
				}
				listed[e] = true
				if !drawn[[2]int{e, t.entity}] {
					onlyListed = append(onlyListed, c.entities[e].tasks[0].label())
				}
			}
			for _, e := range into[t.entity] {
				if !listed[e] {
					onlyDrawn = append(onlyDrawn, c.entities[e].tasks[0].label())
				}
			}
			if len(onlyListed)+len(onlyDrawn) == 0 {
				continue
			}
			var en, zh []string
			if len(onlyDrawn) > 0 {
				en = append(en, "only the canvas draws "+some(onlyDrawn))
				zh = append(zh, "仅画布有连线："+some(onlyDrawn))
			}
			if len(onlyListed) > 0 {
				en = append(en, "only the list has "+some(onlyListed))
				zh = append(zh, "仅依赖列表中有："+some(onlyListed))
			}
			c.atTask(t, t.upsAt, "links", "", say("The canvas and the upstream list of task %s disagree: %s; make them agree.",
				"任务 %s 的画布连线与上游依赖列表不一致：%s，请统一。",
				t.label(), report.Text{En: strings.Join(en, "; "), Zh: strings.Join(zh, "；")}))
		}
	}
}

// some names a few of many.
func some(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(", … (%d)", len(names))
	}
	return strings.Join(names, ", ")
}

// cycles of the platform, from fine to coarse. Those that cannot be compared have
// rank 0.
type cycle struct {
	name string
	rank int
}

var (
	minuteCycle  = cycle{"MINUTE_CYCLE", 1}
	hourCycle    = cycle{"HOUR_CYCLE", 2}
	dayCycle     = cycle{"DAY_CYCLE", 3}
	weekCycle    = cycle{"WEEK_CYCLE", 4}
	monthCycle   = cycle{"MONTH_CYCLE", 5}
	yearCycle    = cycle{"YEAR_CYCLE", 6}
	onceCycle    = cycle{"ONEOFF_CYCLE", 0}
	crontabCycle = cycle{"CRONTAB_CYCLE", 0}
)

// cycleNames are what the three generations of the platform call them.
var cycleNames = map[string]cycle{
	"MINUTE": minuteCycle, "I": minuteCycle, "1": minuteCycle,
	"HOUR": hourCycle, "H": hourCycle, "2": hourCycle,
	"DAY": dayCycle, "D": dayCycle, "3": dayCycle,
	"WEEK": weekCycle, "W": weekCycle, "4": weekCycle,
	"MONTH": monthCycle, "M": monthCycle, "5": monthCycle,
	"YEAR": yearCycle, "Y": yearCycle, "12": yearCycle,
	"ONEOFF": onceCycle, "ONCE": onceCycle, "O": onceCycle, "R": onceCycle, "6": onceCycle,
	"CRONTAB": crontabCycle, "CRON": crontabCycle, "C": crontabCycle, "0": crontabCycle,
}

// schedule is where a task or workflow says when it runs.
type schedule struct {
	task *task // or
	flow *flow
	get  func(...string) *node
}

// schedules are those of tasks, of workflows, and of their triggers.
func (c *check) schedules() []schedule {
	var out []schedule
	for _, t := range c.tasks {
		out = append(out, schedule{task: t, get: t.get})
	}
	for _, f := range c.flows {
		if f.at == nil {
			continue
		}
		if f.doc.shape == dolphinShape {
			if at := f.at.parent.get("schedule"); at != nil {
				out = append(out, schedule{flow: f, get: at.get})
			}
			continue
		}
		for _, n := range []*node{f.at.get("workflowschedulerconfiguration", "schedulerconfiguration"),
			f.at.get("triggerworkflowschedulerconfigurations", "workflowtriggerconfigs"), f.at.get("workflowtriggerconfig")} {
			for _, at := range n.list() {
				if at.kind == object {
					out = append(out, schedule{flow: f, get: at.get})
				}
			}
		}
		if f.doc.shape == bundleShape || f.doc.shape == canvasShape {
			out = append(out, schedule{flow: f, get: f.at.get})
		}
	}
	return out
}

func (c *check) atSchedule(s schedule, n *node, detail string, severity report.Severity, message report.Text) {
	if s.task != nil {
		c.atTask(s.task, n, detail, severity, message)
		return
	}
	c.atFlow(s.flow, n, detail, severity, message)
}

func (s schedule) label() report.Text {
	if s.task != nil {
		return report.Text{En: "Task " + s.task.label(), Zh: "任务 " + s.task.label()}
	}
	return report.Text{En: "Workflow " + s.flow.label(), Zh: "工作流 " + s.flow.label()}
}

// cycle of a schedule; ok is false when it has none or one that is not known.
func (s schedule) cycle() (found cycle, at *node, ok bool) {
	at = s.get("cycletype", "cycleunit")
	found, ok = cycleOf(at)
	return found, at, ok
}

func cycleOf(at *node) (cycle, bool) {
	name := strings.TrimSuffix(strings.ToUpper(at.text()), "_CYCLE")
	if n, ok := at.whole(); ok {
		name = strconv.Itoa(n) // 3.0
	}
	found, ok := cycleNames[name]
	return found, ok
}

// finerThanUpstream is WD006.
func finerThanUpstream(c *check) {
	of := func(e int) (cycle, bool) {
		for _, t := range c.entities[e].tasks {
			if found, ok := cycleOf(t.get("cycletype", "cycleunit")); ok {
				return found, true
			}
		}
		return cycle{}, false
	}
	for _, t := range c.tasks {
		mine, ok := of(t.entity)
		if !ok || mine.rank == 0 {
			continue
		}
		for _, u := range t.ups {
			other, known := c.byID[family(t.doc)+u.id]
			if u.reversed || u.policy || !known || u.at.kind != object {
				continue
			}
			if theirs, ok := of(other); ok && theirs.rank > mine.rank {
				c.atTask(t, u.at, u.id, "", say("Task %s (%s) runs more often than task %s (%s), for which it waits, and nothing says which run it waits for; set MainCyclicConfig and SubordinateCyclicConfig.",
					"任务 %s（%s）的周期比其上游 %s（%s）更细，却未说明依赖哪个实例，请设置 MainCyclicConfig 与 SubordinateCyclicConfig。",
					t.label(), mine.name, c.entities[other].tasks[0].label(), theirs.name))
			}
		}
	}
}
