package wedata

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
)

// rulesVersion is raised when a rule's code changes what it finds; with the table
// below it makes the rules' digest.
const rulesVersion = "1"

// rule is one check of a whole delivery. Its severity is that of its findings unless
// the check says otherwise.
type rule struct {
	report.Rule
	check func(*check)
}

func rulesDigest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", rulesVersion, secrets.Version)
	for _, r := range rules() {
		fmt.Fprintf(h, "%s %s %q %q\n", r.ID, r.Severity, r.Message, r.Rationale)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// encoded is code as it stands in an example.
func encoded(code string) string { return base64.StdEncoding.EncodeToString([]byte(code)) }

// Examples of one task, with what the rule is about in the place of the verb.
func taskExample(base, conf, sched string) string {
	return fmt.Sprintf(`{
  "TaskBaseAttribute": {"TaskId": "1001", "TaskName": "dwd_order", "TaskTypeId": 34, "OwnerUin": "100011"%s},
  "TaskConfiguration": {"ResourceGroup": "rg-1"%s},
  "TaskSchedulerConfiguration": {"CycleType": "DAY_CYCLE"%s}
}
`, base, conf, sched)
}

// canvasExample has two tasks, with more of each, and links.
func canvasExample(first, second, links string) string {
	return fmt.Sprintf(`{
  "WorkflowId": "wf-1", "WorkflowName": "orders",
  "Tasks": [
    {"TaskId": "1", "TaskName": "ods_order", "InCharge": "lin"%s},
    {"TaskId": "2", "TaskName": "dwd_order", "InCharge": "lin"%s}
  ],
  "Links": [%s]
}
`, first, second, links)
}

// Examples of more than one file say where each begins: # file: PATH.
const (
	bundleHead = `# file: wedata.yml
bundle: {name: orders, uuid: 7f1d}
include: [resources/*/*.yml]
targets:
  prod: {mode: production}
`
	bundleTask = `# file: resources/task/load.yml
tasks:
  load: {taskName: load, codePath: src/task/load.sql}
`
	bundleCode = `# file: src/task/load.sql
SELECT 1;
`
)

// two tasks of the API's shape, the second of which reads what the first writes.
func writerAndReader(dependency string) string {
	return `[
  {"TaskBaseAttribute": {"TaskId": "1", "TaskName": "dwd_order", "TaskTypeId": 34, "OwnerUin": "100011"},
   "TaskConfiguration": {"ResourceGroup": "rg-1", "CodeContent": "` + encoded("INSERT OVERWRITE TABLE dwd.orders SELECT id FROM ods.orders") + `"},
   "TaskSchedulerConfiguration": {"CycleType": "DAY_CYCLE", "UpstreamDependencyConfigList": []}},
  {"TaskBaseAttribute": {"TaskId": "2", "TaskName": "ads_order", "TaskTypeId": 34, "OwnerUin": "100011"},
   "TaskConfiguration": {"ResourceGroup": "rg-1", "CodeContent": "` + encoded("INSERT OVERWRITE TABLE ads.orders SELECT id FROM dwd.orders") + `"},
   "TaskSchedulerConfiguration": {"CycleType": "DAY_CYCLE", "UpstreamDependencyConfigList": [` + dependency + `]}}
]
`
}

// rules are in the order of their ids.
func rules() []rule {
	return []rule{
		{report.Rule{ID: "WD001", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "The file is malformed and cannot be imported; correct it at this place.", Zh: "文件格式错误，无法导入，请在此处修正。"},
			Rationale: report.Text{En: "Nothing of a file that cannot be parsed is imported, and nothing in it can be checked.", Zh: "无法解析的文件完全不能导入，其中的内容也无法检查。"},
			Bad:       "{\"WorkflowId\": \"wf-1\", \"Tasks\": [{\"TaskId\": \"1\"},], \"Links\": []}\n",
			Good:      canvasExample("", "", `{"TaskFrom": "1", "TaskTo": "2", "LinkType": "real_real"}`)}, malformed},
		{report.Rule{ID: "WD002", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "A task or workflow has no name or id, or one that another has too; give each its own.", Zh: "任务或工作流缺少名称或 ID，或与其他任务重复，请分别命名。"},
			Rationale: report.Text{En: "Of two tasks with one name or id, one replaces the other at import; a task without them cannot be referred to.", Zh: "名称或 ID 相同的两个任务导入时会互相覆盖；没有名称或 ID 的任务无法被引用。"},
			Bad:       "{\"WorkflowId\": \"wf-1\", \"WorkflowName\": \"orders\", \"Links\": [],\n \"Tasks\": [{\"TaskId\": \"1\", \"TaskName\": \"load\", \"InCharge\": \"lin\"}, {\"TaskId\": \"1\", \"TaskName\": \"clean\", \"InCharge\": \"lin\"}]}\n",
			Good:      canvasExample("", "", `{"TaskFrom": "1", "TaskTo": "2", "LinkType": "real_real"}`)}, names},
		{report.Rule{ID: "WD003", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "A task waits for one that is in no file of the package; deliver it, or correct the id.", Zh: "上游任务不在安装包的任何文件中，请一并交付或修正任务 ID。"},
			Rationale: report.Text{En: "A task that waits for one that does not exist never runs.", Zh: "依赖不存在任务的任务永远不会运行。"},
			Bad:       taskExample("", "", `, "UpstreamDependencyConfigList": [{"TaskId": "9999", "MainCyclicConfig": "DAY", "SubordinateCyclicConfig": "CURRENT_DAY"}]`),
			Good:      canvasExample("", "", `{"TaskFrom": "1", "TaskTo": "2", "LinkType": "real_real"}`),
			Configure: report.Text{En: "externalTasks: ids of tasks that exist although the package does not hold them.", Zh: "externalTasks：不在安装包内但确实存在的任务 ID。"}}, unknownUpstream},
		{report.Rule{ID: "WD004", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "Tasks wait for each other in a circle; remove one of the dependencies.", Zh: "任务循环依赖，请去除其中一条依赖。"},
			Rationale: report.Text{En: "None of the tasks of a circle ever starts.", Zh: "循环中的任务都不会启动。"},
			Bad:       canvasExample("", "", `{"TaskFrom": "1", "TaskTo": "2"}, {"TaskFrom": "2", "TaskTo": "1"}`),
			Good:      canvasExample("", "", `{"TaskFrom": "1", "TaskTo": "2"}`)}, circularDependency},
		{report.Rule{ID: "WD005", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "The canvas and the list of upstream tasks say different things; make them agree.", Zh: "画布连线与上游依赖列表不一致，请统一。"},
			Rationale: report.Text{En: "What runs follows one of them, and people look at the other.", Zh: "实际调度以其一为准，而人看到的是另一个。"},
			Bad:       canvasExample("", `, "UpstreamDependencyConfigList": []`, `{"TaskFrom": "1", "TaskTo": "2"}`),
			Good:      canvasExample("", `, "UpstreamDependencyConfigList": [{"TaskId": "1"}]`, `{"TaskFrom": "1", "TaskTo": "2"}`)}, linksDisagree},
		{report.Rule{ID: "WD006", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A task runs more often than the one it waits for, and nothing says which run it waits for; set MainCyclicConfig and SubordinateCyclicConfig.", Zh: "任务的周期比上游更细，却未说明依赖上游的哪个实例，请设置 MainCyclicConfig 与 SubordinateCyclicConfig。"},
			Rationale: report.Text{En: "Without a policy the default decides whether an hour waits for the whole day.", Zh: "未配置时由默认策略决定，小时任务可能要等待整天的实例。"},
			Bad: canvasExample(`, "CycleType": "DAY_CYCLE"`, `, "CycleType": "HOUR_CYCLE", "UpstreamDependencyConfigList": [{"TaskId": "1"}]`,
				`{"TaskFrom": "1", "TaskTo": "2"}`),
			Good: canvasExample(`, "CycleType": "DAY_CYCLE"`, `, "CycleType": "HOUR_CYCLE", "UpstreamDependencyConfigList": [{"TaskId": "1", "MainCyclicConfig": "DAY", "SubordinateCyclicConfig": "CURRENT_DAY"}]`,
				`{"TaskFrom": "1", "TaskTo": "2"}`)}, finerThanUpstream},
		{report.Rule{ID: "WD007", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "The cycle type is unknown; use one such as DAY_CYCLE.", Zh: "周期类型不存在，请使用 DAY_CYCLE 等合法取值。"},
			Rationale: report.Text{En: "A task whose cycle the platform does not know is refused at import.", Zh: "平台不认识的周期类型会导致导入失败。"},
			Bad:       taskExample("", "", `, "CycleType": "DAILY"`),
			Good:      taskExample("", "", `, "CycleType": "HOUR_CYCLE"`)}, cycleType},
		{report.Rule{ID: "WD008", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "The cron expression is missing or invalid; write 6 or 7 fields as Quartz wants them.", Zh: "cron 表达式缺失或非法，请按 Quartz 格式填写 6～7 个字段。"},
			Rationale: report.Text{En: "A task with an invalid expression, or a date that no calendar has, never runs.", Zh: "表达式非法或日期不存在的任务永远不会运行。"},
			Bad:       taskExample("", "", `, "CrontabExpression": "0 0 2 31 2 ?"`),
			Good:      taskExample("", "", `, "CrontabExpression": "0 0 2 * * ? *"`)}, cronExpression},
		{report.Rule{ID: "WD009", Severity: report.Note, Syntax: "json",
			Message:   report.Text{En: "The cron expression runs at another pace than the cycle type says; check which is meant.", Zh: "cron 表达式的频率与周期类型不一致，请确认以哪个为准。"},
			Rationale: report.Text{En: "Samples of the platform itself disagree here, so this is only a hint.", Zh: "平台自身的示例也存在不一致，此项仅供参考。"},
			Bad:       taskExample("", "", `, "CrontabExpression": "0 0 * * * ? *"`),
			Good:      taskExample("", "", `, "CrontabExpression": "0 30 2 * * ? *"`)}, cronAgainstCycle},
		{report.Rule{ID: "WD010", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "The schedule has expired, or ends before it begins; correct StartTime and EndTime.", Zh: "调度已过期，或结束时间早于开始时间，请修正 StartTime 与 EndTime。"},
			Rationale: report.Text{En: "Such a task is imported without complaint and never runs. An end before the start is an error; expired is seen from the newest file of the package.", Zh: "这样的任务能正常导入，却永远不会运行。结束早于开始为错误；是否过期以安装包中最新文件的时间为准。"},
			Bad:       taskExample("", "", `, "StartTime": "2026-01-01 00:00:00", "EndTime": "2025-12-31 23:59:59"`),
			Good:      taskExample("", "", `, "StartTime": "2026-01-01 00:00:00", "EndTime": "2099-12-31 23:59:59"`),
			Configure: report.Text{En: "asOf: the day from which expiry is seen, instead of the newest file.", Zh: "asOf：判断是否过期的日期，代替最新文件的时间。"}}, validity},
		{report.Rule{ID: "WD011", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "A task without an owner; name one.", Zh: "任务没有负责人，请指定。"},
			Rationale: report.Text{En: "Nobody is called when it fails.", Zh: "任务失败时没有人会收到告警。"},
			Bad:       taskExample(`, "OwnerUin": ""`, "", ""),
			Good:      taskExample("", "", "")}, owner},
		{report.Rule{ID: "WD012", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A task without a resource group; name the one it runs on.", Zh: "任务未指定资源组，请指定。"},
			Rationale: report.Text{En: "Without one the task waits for machines that nobody has given it.", Zh: "未指定资源组的任务没有可用的执行资源。"},
			Bad:       taskExample("", `, "ResourceGroup": ""`, ""),
			Good:      taskExample("", "", "")}, resourceGroup},
		{report.Rule{ID: "WD013", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A task is not repeated after a failure, or at once; allow a few attempts with a pause.", Zh: "任务失败后不重试或立即重试，请设置重试次数与间隔。"},
			Rationale: report.Text{En: "Most failures of a night are short ones of the network or a queue.", Zh: "夜间失败多为网络或队列的短暂故障。"},
			Bad:       taskExample("", "", `, "MaxRetryNumber": 0`),
			Good:      taskExample("", "", `, "MaxRetryNumber": 3, "RetryWaitMinute": 5`)}, retries},
		{report.Rule{ID: "WD014", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "Tasks of the workflow may run for ever; set a time limit.", Zh: "工作流中有任务没有运行超时，请设置。"},
			Rationale: report.Text{En: "A task that hangs keeps its resources and all that waits for it, and nobody is told.", Zh: "任务挂起时会一直占用资源并阻塞下游，且不会告警。"},
			Bad:       taskExample("", "", `, "ExecutionTTLMinute": -1`),
			Good:      taskExample("", "", `, "ExecutionTTLMinute": 120`)}, timeLimit},
		{report.Rule{ID: "WD015", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "Runs of a task that writes a table may overlap; set SelfDepend to serial or orderly.", Zh: "写表任务的多个实例可能同时运行，请将 SelfDepend 设为 serial 或 orderly。"},
			Rationale: report.Text{En: "Two runs that write one table at once leave it as neither of them meant.", Zh: "两个实例同时写同一张表会破坏数据。"},
			Bad:       taskExample("", `, "CodeContent": "`+encoded("INSERT OVERWRITE TABLE dwd.orders SELECT id FROM ods.orders")+`"`, `, "SelfDepend": "parallel"`),
			Good:      taskExample("", `, "CodeContent": "`+encoded("INSERT OVERWRITE TABLE dwd.orders SELECT id FROM ods.orders")+`"`, `, "SelfDepend": "serial"`)}, overlappingRuns},
		{report.Rule{ID: "WD016", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A workflow with triggers has no limit on runs at once; set MaxConcurrentNum (1 to 1000).", Zh: "触发式工作流未限制并发数，请设置 MaxConcurrentNum（1～1000）。"},
			Rationale: report.Text{En: "Many files that arrive at once start as many runs.", Zh: "大量文件同时到达会同时启动同样多的实例。"},
			Bad:       `{"WorkflowName": "arrivals", "OwnerUin": "100011", "TriggerWorkflowSchedulerConfigurations": [{"TriggerMode": "FILE_ARRIVAL"}]}` + "\n",
			Good:      `{"WorkflowName": "arrivals", "OwnerUin": "100011", "MaxConcurrentNum": 4, "TriggerWorkflowSchedulerConfigurations": [{"TriggerMode": "FILE_ARRIVAL"}]}` + "\n"}, concurrency},
		{report.Rule{ID: "WD017", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "An input parameter comes from a task or an output that does not exist; correct FromTaskId and FromParamKey.", Zh: "输入参数引用的任务或输出参数不存在，请修正 FromTaskId 与 FromParamKey。"},
			Rationale: report.Text{En: "The parameter stays empty and the task fails, or works on the wrong data.", Zh: "参数取不到值，任务会失败或处理错误的数据。"},
			Bad:       taskExample("", "", `, "ParamTaskInList": [{"ParamKey": "rows", "FromTaskId": "9999", "FromParamKey": "rows"}]`),
			Good:      taskExample("", `, "CodeContent": "`+encoded("SELECT 1")+`"`, `, "ParamTaskInList": []`)}, inputs},
		{report.Rule{ID: "WD018", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "The code uses a parameter that nothing in the package defines; define it, or correct its name.", Zh: "代码使用了未定义的参数，请补充定义或修正名称。"},
			Rationale: report.Text{En: "What is not replaced reaches the engine as it is written. Checked in SQL, since ${x} is a variable of its own in other languages.", Zh: "未被替换的参数会原样传给执行引擎。仅检查 SQL，因为在其他语言中 ${x} 可能是自身变量。"},
			Bad:       taskExample("", `, "CodeContent": "`+encoded("SELECT id FROM ods.orders WHERE region = '${region}'")+`"`, ""),
			Good:      taskExample("", `, "CodeContent": "`+encoded("SELECT id FROM ods.orders WHERE dt = '${yyyyMMdd-1d}'")+`"`, ""),
			Configure: report.Text{En: "projectParameters: names that the project defines and the package does not hold.", Zh: "projectParameters：在项目中定义、不在安装包内的参数名。"}}, undefinedParameter},
		{report.Rule{ID: "WD019", Severity: report.Note, Syntax: "json",
			Message:   report.Text{En: "A parameter is defined and never used; remove it, or use it.", Zh: "参数已定义但从未使用，请删除或使用。"},
			Rationale: report.Text{En: "Often it is the other half of a misspelt name.", Zh: "往往是因为另一处名称写错。"},
			Bad:       taskExample("", `, "CodeContent": "`+encoded("SELECT id FROM ods.orders")+`", "TaskSchedulingParameterList": [{"ParamKey": "region", "ParamValue": "north"}]`, ""),
			Good:      taskExample("", `, "CodeContent": "`+encoded("SELECT id FROM ods.orders WHERE region = '${region}'")+`", "TaskSchedulingParameterList": [{"ParamKey": "region", "ParamValue": "north"}]`, "")}, unusedParameter},
		{report.Rule{ID: "WD020", Severity: report.Error, Syntax: "json",
			Message:   report.Text{En: "CodeContent is empty, or no base64 of a text; export the task again.", Zh: "CodeContent 为空或不是文本的 Base64 编码，请重新导出任务。"},
			Rationale: report.Text{En: "The platform decodes it; a task without code does nothing, and one with broken code fails.", Zh: "平台会对其解码，空代码的任务什么都不做，损坏的代码会失败。"},
			Bad:       taskExample("", `, "CodeContent": "SELECT id FROM ods.orders"`, ""),
			Good:      taskExample("", `, "CodeContent": "`+encoded("SELECT id FROM ods.orders")+`"`, "")}, codeContent},
		{report.Rule{ID: "WD021", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A task is out of service or not submitted; submit it, or leave it out of the package.", Zh: "任务已失效、下线、暂停或未提交，请提交或从安装包中移除。"},
			Rationale: report.Text{En: "It is delivered and does not run, and what waits for it does not either.", Zh: "任务虽已交付却不会运行，下游也会一直等待。"},
			Bad:       taskExample(`, "Status": "INVALID"`, "", ""),
			Good:      taskExample(`, "Status": "Y", "Submit": true`, "", "")}, outOfService},
		{report.Rule{ID: "WD022", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A priority that does not exist, or too many of the highest; use 4 (high), 5, 6 (low).", Zh: "优先级取值不存在，或过多任务为最高优先级，请使用 4（高）、5（中）、6（低）。"},
			Rationale: report.Text{En: "Where everything is urgent, nothing is.", Zh: "所有任务都是最高优先级等于没有优先级。"},
			Bad:       taskExample("", "", `, "RunPriorityType": 1`),
			Good:      taskExample("", "", `, "RunPriorityType": 6`),
			Configure: report.Text{En: "highPriorityPercent: how many percent of a workflow's tasks may have priority 4; 30 by default, looked at from 4 tasks on.", Zh: "highPriorityPercent：工作流中优先级为 4 的任务占比上限，默认 30，任务数不少于 4 时检查。"}}, priority},
		{report.Rule{ID: "WD023", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A step that the platform does not permit; use 5, 10, 15, 20 or 30 minutes, or 1 to 23 hours.", Zh: "平台不支持该间隔，请使用 5、10、15、20、30 分钟或 1～23 小时。"},
			Rationale: report.Text{En: "Another step is refused at import, or does not divide the hour evenly.", Zh: "其他间隔会导致导入失败，或不能均分一小时。"},
			Bad:       taskExample("", "", `, "CycleType": "MINUTE_CYCLE", "CrontabExpression": "0 0/7 * * * ? *"`),
			Good:      taskExample("", "", `, "CycleType": "MINUTE_CYCLE", "CrontabExpression": "0 0/15 * * * ? *"`)}, steps},
		{report.Rule{ID: "WD024", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "The task is scheduled as a dry run; set ScheduleRunType to 0 for a release.", Zh: "任务为空跑调度，发布前请将 ScheduleRunType 设为 0。"},
			Rationale: report.Text{En: "A dry run succeeds at once and does nothing, so nobody notices.", Zh: "空跑会立即成功但不执行任何操作，不易察觉。"},
			Bad:       taskExample("", "", `, "ScheduleRunType": "1"`),
			Good:      taskExample("", "", `, "ScheduleRunType": "0"`)}, dryRun},
		{report.Rule{ID: "WD025", Severity: report.Error, Syntax: "yaml",
			Message:   report.Text{En: "The bundle refers to files that the package does not hold; add them, or correct the path.", Zh: "资源包引用的文件不在安装包中，请补充或修正路径。"},
			Rationale: report.Text{En: "The deployment of the bundle fails, or leaves out what was meant.", Zh: "部署会失败，或遗漏应部署的内容。"},
			Bad:       bundleHead,
			Good:      bundleHead + bundleTask + bundleCode}, missingFiles},
		{report.Rule{ID: "WD026", Severity: report.Error, Syntax: "yaml",
			Message:   report.Text{En: "The bundle uses a variable that it does not define, or has no target for production; define it.", Zh: "资源包使用了未定义的变量，或没有生产环境目标，请补充定义。"},
			Rationale: report.Text{En: "The deployment to production fails.", Zh: "无法部署到生产环境。"},
			Bad:       bundleHead + "# file: resources/task/load.yml\ntasks:\n  load: {taskName: load, resourceGroup: \"${var.group}\"}\n",
			Good:      bundleHead + "variables:\n  group: {default: rg-1}\n# file: resources/task/load.yml\ntasks:\n  load: {taskName: load, resourceGroup: \"${var.group}\"}\n"}, variables},
		{report.Rule{ID: "WD027", Severity: report.Warning, Syntax: "yaml",
			Message:   report.Text{En: "Nothing in the bundle refers to this file; refer to it, or remove it.", Zh: "资源包中没有任何资源引用此文件，请引用或删除。"},
			Rationale: report.Text{En: "Code that nothing runs is often code that something should run.", Zh: "没有任务执行的代码，往往是遗漏了对应的任务。"},
			Bad:       bundleHead + bundleTask + bundleCode + "# file: src/task/forgotten.sql\nSELECT 2;\n",
			Good:      bundleHead + bundleTask + bundleCode}, unreferenced},
		{report.Rule{ID: "WD028", Severity: report.Error, Syntax: "json", Security: true,
			Message:   report.Text{En: "A password or key in plain text; take it from a data source or a secret store, and change it.", Zh: "出现明文口令或密钥，请改用数据源或密钥管理，并更换。"},
			Rationale: report.Text{En: "Whoever may read the package may use it.", Zh: "任何能读取安装包的人都能使用该口令。"},
			Bad:       taskExample("", `, "TaskExtConfigurationList": [{"ParamKey": "db.password", "ParamValue": "Sum3er-Rain"}]`, ""),
			Good:      taskExample("", `, "TaskExtConfigurationList": [{"ParamKey": "db.password", "ParamValue": "${db_password}"}]`, "")}, plainSecrets},
		{report.Rule{ID: "WD029", Severity: report.Warning, Syntax: "json",
			Message:   report.Text{En: "A task reads a table that another one writes, and does not wait for it; add the dependency.", Zh: "任务读取另一任务写入的表却未依赖该任务，请补充依赖。"},
			Rationale: report.Text{En: "It may read yesterday's data, or half of today's.", Zh: "可能读到前一天或尚未写完的数据。"},
			Bad:       writerAndReader(""),
			Good:      writerAndReader(`{"TaskId": "1"}`)}, missingDependency},
	}
}
