package wedata

import (
	"strconv"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/cron"
)

// placeholder reports whether a value is filled in elsewhere, so that nothing can be
// said of it.
func placeholder(s string) bool { return strings.Contains(s, "${") || strings.Contains(s, "{{") }

// cycleType is WD007.
func cycleType(c *check) {
	for _, s := range c.schedules() {
		_, at, ok := s.cycle()
		if ok || at.text() == "" || placeholder(at.text()) {
			continue
		}
		c.atSchedule(s, at, "", "", say("%s has the cycle type %q, which does not exist; use ONEOFF_, MINUTE_, HOUR_, DAY_, WEEK_, MONTH_, YEAR_ or CRONTAB_CYCLE.",
			"%s 的周期类型 %q 不存在，请使用 ONEOFF_、MINUTE_、HOUR_、DAY_、WEEK_、MONTH_、YEAR_ 或 CRONTAB_CYCLE。", s.label(), clip(at.text())))
	}
}

// cronOf is the expression of a schedule, and where it stands.
func (s schedule) cron() *node { return s.get("crontabexpression", "crontab", "cronexpression") }

// cronProblem remembers the answers, since most tasks share a few expressions.
func (c *check) cronProblem(expr string) (report.Text, bool) {
	if problem, ok := c.crons[expr]; ok {
		return problem, problem.En != ""
	}
	problem, bad := cron.QuartzProblem(expr)
	if c.crons == nil {
		c.crons = map[string]report.Text{}
	}
	c.crons[expr] = problem
	return problem, bad
}

// cronExpression is WD008.
func cronExpression(c *check) {
	for _, s := range c.schedules() {
		at := s.cron()
		expr := at.text()
		if expr == "" {
			kind, typeAt, ok := s.cycle()
			// A bundle and a canvas may keep the expression elsewhere.
			certain := at != nil || s.task != nil && s.task.doc.shape == apiShape && s.task.sched != nil
			if ok && kind == crontabCycle && certain {
				c.atSchedule(s, orNode(at, typeAt), "missing", "", say("%s runs by cron and has no expression; write one.", "%s 按 cron 调度但没有表达式，请填写。", s.label()))
			}
			continue
		}
		if placeholder(expr) {
			continue
		}
		if problem, bad := c.cronProblem(expr); bad {
			c.atSchedule(s, at, "", "", say("%s has an invalid cron expression, %q: %s.", "%s 的 cron 表达式 %q 非法：%s。", s.label(), clip(expr), problem))
		}
	}
}

// pace of a valid expression: the cycles that it may well be called.
func pace(expr string) []cycle {
	f := strings.Fields(strings.ToUpper(expr))
	if len(f) < 6 {
		return nil
	}
	many := func(s string) bool { return strings.ContainsAny(s, "*/-") }
	several := func(s string) bool { return strings.Contains(s, ",") }
	everyDay := (f[3] == "*" || f[3] == "?" || f[3] == "1/1") && (f[5] == "*" || f[5] == "?")
	day := func() []cycle {
		switch {
		case everyDay && (f[4] == "*" || many(f[4])):
			return []cycle{dayCycle}
		case everyDay:
			return []cycle{dayCycle, yearCycle, monthCycle}
		case f[5] != "*" && f[5] != "?":
			if several(f[5]) || many(f[5]) {
				return []cycle{weekCycle, dayCycle}
			}
			if strings.ContainsAny(f[5], "#L") {
				return []cycle{weekCycle, monthCycle}
			}
			return []cycle{weekCycle}
		case several(f[3]) || many(f[3]):
			return []cycle{monthCycle, dayCycle}
		case f[4] == "*" || many(f[4]):
			return []cycle{monthCycle}
		}
		return []cycle{yearCycle, monthCycle}
	}
	switch {
	case many(f[0]) || several(f[0]):
		return nil // faster than any cycle
	case many(f[1]):
		return []cycle{minuteCycle}
	case several(f[1]):
		return []cycle{minuteCycle, hourCycle}
	case many(f[2]):
		return []cycle{hourCycle}
	case several(f[2]):
		return append([]cycle{hourCycle}, day()...)
	}
	return day()
}

// cronAgainstCycle is WD009.
func cronAgainstCycle(c *check) {
	for _, s := range c.schedules() {
		at := s.cron()
		said, _, ok := s.cycle()
		if at.text() == "" || placeholder(at.text()) || !ok || said.rank == 0 {
			continue
		}
		if _, bad := c.cronProblem(at.text()); bad {
			continue
		}
		meant := pace(at.text())
		agrees := len(meant) == 0
		for _, m := range meant {
			agrees = agrees || m == said
		}
		if !agrees {
			c.atSchedule(s, at, "", "", say("%s is a %s, and its cron expression %q runs at the pace of a %s; check which is meant.",
				"%s 的周期类型为 %s，而 cron 表达式 %q 的频率相当于 %s，请确认以哪个为准。", s.label(), said.name, clip(at.text()), meant[0].name))
		}
	}
}

// validity is WD010. Times bear no zone, so a day of grace is given.
func validity(c *check) {
	const grace = 24 * time.Hour
	for _, s := range c.schedules() {
		from, to := s.get("starttime"), s.get("endtime")
		end, ok := moment(to.text())
		if !ok {
			continue
		}
		if begin, ok := moment(from.text()); ok && end.Before(begin) {
			c.atSchedule(s, to, "", report.Error, say("%s ends (%s) before it begins (%s), and never runs; correct StartTime and EndTime.",
				"%s 的结束时间（%s）早于开始时间（%s），永远不会运行，请修正 StartTime 与 EndTime。", s.label(), clip(to.text()), clip(from.text())))
			continue
		}
		if !c.newest.IsZero() && end.Add(grace).Before(c.newest) {
			c.atSchedule(s, to, "", "", say("The schedule of %s expired on %s; the package is of %s. Extend EndTime.",
				"%s 的调度已于 %s 过期（安装包日期为 %s），请延长 EndTime。", s.about(), clip(to.text()), c.newest.Format(time.DateOnly)))
		}
	}
}

// about is label within a sentence.
func (s schedule) about() report.Text {
	l := s.label()
	l.En = strings.ToLower(l.En[:1]) + l.En[1:]
	return l
}

// retries is WD013. What is not said has a default that is fine.
func retries(c *check) {
	for _, t := range c.tasks {
		if t.virtual {
			continue
		}
		if at := t.get("retriable"); at != nil && at.text() != "" && !truth(at) && !placeholder(at.text()) {
			c.atTask(t, at, "", "", say("Task %s is not repeated after a failure; set Retriable to 1.", "任务 %s 失败后不重试，请将 Retriable 设为 1。", t.label()))
			continue
		}
		at := t.get("maxretrynumber", "maxretryattempts", "trylimit", "failretrytimes")
		if n, ok := at.whole(); ok && n <= 0 {
			c.atTask(t, at, "", "", say("Task %s is not repeated after a failure; allow a few attempts.", "任务 %s 失败后不重试，请设置重试次数。", t.label()))
			continue
		}
		at = t.get("retrywaitminute", "retrywait", "failretryinterval")
		if n, ok := at.whole(); ok && n <= 0 {
			c.atTask(t, at, "", "", say("Task %s is repeated at once after a failure; let it wait some minutes.", "任务 %s 失败后立即重试，请设置重试间隔（分钟）。", t.label()))
		}
	}
}

// timeLimit is WD014: one finding for each workflow.
func timeLimit(c *check) {
	for _, f := range c.flows {
		if n, ok := f.at.get("timeout").whole(); ok && n > 0 && f.doc.shape == dolphinShape {
			continue
		}
		var without []string
		var first *node
		var of *task
		total := 0
		for _, t := range f.tasks {
			at := t.get("executionttlminute", "executionttl", "timeoutflag")
			if at.text() == "" {
				continue
			}
			total++
			n, ok := at.whole()
			if ok && n < 0 || strings.EqualFold(at.text(), "CLOSE") {
				without = append(without, t.label())
				if first == nil {
					first, of = at, t
				}
			}
		}
		if first == nil {
			continue
		}
		found := spot(of.doc, first)
		found.Anchor = f.subject() + "|time limit"
		found.Message = say("%d of %d tasks of workflow %s may run for ever (%s); set ExecutionTTLMinute.",
			"工作流 %[3]s 的 %[2]d 个任务中有 %[1]d 个未设置运行超时（%[4]s），请设置 ExecutionTTLMinute。", len(without), total, f.label(), some(without))
		if f.doc.shape == dolphinShape {
			found.Message = say("%d of %d tasks of workflow %s may run for ever (%s); open their time-out.",
				"工作流 %[3]s 的 %[2]d 个任务中有 %[1]d 个未设置运行超时（%[4]s），请开启超时。", len(without), total, f.label(), some(without))
		}
		c.add(found)
	}
}

// overlappingRuns is WD015.
func overlappingRuns(c *check) {
	for _, t := range c.tasks {
		at := t.get("selfdepend")
		if at == nil && t.flow.at != nil {
			at = t.flow.at.get("workflowschedulerconfiguration").get("selfdepend")
		}
		// The API of 2021 counts: 1 orderly, 2 serial, 3 parallel.
		if value := at.text(); !strings.EqualFold(value, "parallel") && value != "3" {
			continue
		}
		if written := c.tables(t).written(); len(written) > 0 {
			if t.get("selfdepend") == nil {
				at = nil
			}
			c.atTask(t, at, "overlap", "", say("Runs of task %s, which writes %s, may overlap; set SelfDepend to serial or orderly.",
				"任务 %s 写入 %s，其多个实例可能同时运行，请将 SelfDepend 设为 serial 或 orderly。", t.label(), some(written)))
		}
	}
}

// concurrency is WD016.
func concurrency(c *check) {
	for _, f := range c.flows {
		if !f.trigger || f.at == nil {
			continue
		}
		at := f.at.get("maxconcurrentnum")
		for _, n := range f.at.fields() {
			for _, inner := range n.list() {
				if at == nil {
					at = inner.get("maxconcurrentnum")
				}
			}
		}
		if at == nil || at.kind == null {
			c.atFlow(f, at, "concurrency", "", say("Workflow %s has triggers and no limit on runs at once; set MaxConcurrentNum (1 to 1000).",
				"触发式工作流 %s 未限制并发数，请设置 MaxConcurrentNum（1～1000）。", f.label()))
			continue
		}
		if n, ok := at.whole(); (!ok || n < 1 || n > 1000) && !placeholder(at.text()) {
			c.atFlow(f, at, "", "", say("MaxConcurrentNum of workflow %s is %q; 1 to 1000 are permitted.",
				"工作流 %s 的 MaxConcurrentNum 为 %q，允许范围为 1～1000。", f.label(), clip(at.text())))
		}
	}
}

// priority is WD022.
func priority(c *check) {
	const least = 4
	for _, f := range c.flows {
		high, total := 0, 0
		var first *node
		var of *task
		for _, t := range f.tasks {
			at := t.get("runprioritytype", "runpriority")
			if at.text() == "" || placeholder(at.text()) {
				continue
			}
			total++
			switch at.text() {
			case "4":
				high++
				if first == nil {
					first, of = at, t
				}
			case "5", "6":
			default:
				c.atTask(t, at, "", "", say("Task %s has the priority %q; there are 4 (high), 5 and 6 (low).", "任务 %s 的优先级为 %q，合法取值为 4（高）、5（中）、6（低）。", t.label(), clip(at.text())))
			}
		}
		if total >= least && high*100 > total*c.settings.HighPriorityPercent {
			found := spot(of.doc, first)
			found.Anchor = f.subject() + "|priority"
			found.Message = say("%d of %d tasks of workflow %s have the highest priority, over %d %%; keep it for those that others wait for.",
				"工作流 %[3]s 的 %[2]d 个任务中有 %[1]d 个为最高优先级，超过 %[4]d%%，请仅用于关键任务。", high, total, f.label(), c.settings.HighPriorityPercent)
			c.add(found)
		}
	}
}

// steps is WD023.
func steps(c *check) {
	for _, s := range c.schedules() {
		kind, _, ok := s.cycle()
		if !ok || kind != minuteCycle && kind != hourCycle {
			continue
		}
		at := s.get("cyclestep")
		step, given := at.whole()
		if !given {
			at = s.cron()
			if _, bad := c.cronProblem(at.text()); bad {
				continue
			}
			f := strings.Fields(at.text())
			field := f[1]
			if kind == hourCycle {
				field = f[2]
			}
			_, text, stepped := strings.Cut(field, "/")
			n, err := strconv.Atoi(text)
			if !stepped || err != nil || strings.Contains(field, ",") {
				continue
			}
			step = n
		}
		if kind == minuteCycle {
			switch step {
			case 5, 10, 15, 20, 30:
			default:
				c.atSchedule(s, at, "", "", say("%s has a step of %d min; the platform permits 5, 10, 15, 20 and 30.", "%s 的间隔为 %d 分钟，平台仅支持 5、10、15、20、30 分钟。", s.label(), step))
			}
			continue
		}
		if step < 1 || step > 23 {
			c.atSchedule(s, at, "", "", say("%s has a step of %d h; the platform permits 1 to 23.", "%s 的间隔为 %d 小时，平台仅支持 1～23 小时。", s.label(), step))
		}
	}
}

// dryRun is WD024.
func dryRun(c *check) {
	for _, t := range c.tasks {
		if at := t.get("scheduleruntype", "scheduletype"); at.text() == "1" {
			c.atTask(t, at, "", "", say("Task %s is scheduled as a dry run and does nothing; set ScheduleRunType to 0 for a release.", "任务 %s 为空跑调度，不会实际执行，发布前请将 ScheduleRunType 设为 0。", t.label()))
		}
	}
}

// owner is WD011. A bundle may leave the owner to who deploys it, and
// DolphinScheduler keeps owners apart, so there only one that is given and empty is
// none.
func owner(c *check) {
	for _, t := range c.tasks {
		if t.virtual || t.doc.shape == dolphinShape {
			continue
		}
		at := t.get("owneruin", "incharge", "ownerid", "owner", "usernameincharge")
		if at.text() != "" || t.get("ownerid").text() != "" || t.get("userid").text() != "" || t.get("inchargeid").text() != "" {
			continue
		}
		promised := t.doc.shape == apiShape && t.base != nil || t.doc.shape == canvasShape && (t.base != nil || t.sched == nil)
		if at == nil && !promised {
			continue
		}
		if at == nil && t.flow.at.get("owneruin", "incharge", "ownerid", "userid", "usernameincharge", "owner").text() != "" {
			continue
		}
		c.atTask(t, orNode(at, t.base), "owner", "", say("Task %s has no owner; name one.", "任务 %s 没有负责人，请指定。", t.label()))
	}
}

// resourceGroup is WD012.
func resourceGroup(c *check) {
	for _, t := range c.tasks {
		if t.virtual || t.typeID != 0 && !executes(t.typeID) {
			continue
		}
		at := t.get("resourcegroup", "resourcegroupid", "executorgroupid", "executorgroup", "workergroup")
		if at.text() != "" {
			continue
		}
		promised := t.doc.shape == apiShape && t.conf != nil && t.typeID != 0
		if at == nil && !promised {
			continue
		}
		c.atTask(t, orNode(at, t.conf), "resource group", "", say("Task %s has no resource group; name the one it runs on.", "任务 %s 未指定资源组，请指定。", t.label()))
	}
}

// outOfService is WD021.
func outOfService(c *check) {
	states := map[string]report.Text{
		"INVALID": {En: "invalid", Zh: "已失效"}, "F": {En: "out of service", Zh: "已下线"}, "O": {En: "paused", Zh: "已暂停"},
	}
	for _, t := range c.tasks {
		if at := t.get("status"); t.doc.shape != dolphinShape && at.text() != "" {
			if state, bad := states[strings.ToUpper(at.text())]; bad {
				c.atTask(t, at, "", "", say("Task %s is %s; put it into service, or leave it out of the package.", "任务 %s %s，请恢复调度或从安装包中移除。", t.label(), state))
				continue
			}
		}
		if at := t.get("submit"); strings.EqualFold(at.text(), "false") {
			c.atTask(t, at, "", "", say("Task %s is not submitted; submit it, or leave it out of the package.", "任务 %s 未提交，请提交或从安装包中移除。", t.label()))
			continue
		}
		if at := t.get("flag"); t.doc.shape == dolphinShape && strings.EqualFold(at.text(), "NO") {
			c.atTask(t, at, "", "", say("Task %s is forbidden to run; permit it, or leave it out of the package.", "任务 %s 被禁止执行，请启用或从安装包中移除。", t.label()))
		}
	}
}
