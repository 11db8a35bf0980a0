package excel

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/factgate/factgate/domain/report"
)

// field is a column as the rules know it, whatever its header says.
type field int

const (
	fieldJob field = iota
	fieldProject
	fieldFlow
	fieldType
	fieldScript
	fieldScriptDir
	fieldCommand
	fieldParams
	fieldDependsOn
	fieldPreProject // of a dependency table: the project of the job waited for
	fieldPreFlow
	fieldCycle
	fieldCron
	fieldStartTime
	fieldPriority
	fieldTimeout
	fieldRetry
	fieldRetryInterval
	fieldOwner
	fieldEnabled
	fieldSelfDepend
	fieldDesc
	fieldCount
)

// column is how a template knows a field: a stable name for anchors and
// profiles, and the headers that people write.
type column struct {
	name    string
	aliases []string
}

// requirement is met by a value in any one of its fields.
type requirement struct {
	fields []field
	label  report.Text
	// runs: only jobs that run something have to meet it. A virtual node, which
	// is there for others to wait for, does not.
	runs bool
}

// template says how workbooks of one kind look. It is never changed after
// compile.
type template struct {
	name             string
	columns          [fieldCount]column
	jobSheets        []string
	dependencySheets []string
	virtualTypes     []string // job types of nodes that run nothing
	required         []requirement

	byHeader          map[string]field
	jobNames          map[string]bool
	dependencyNames   map[string]bool
	virtual           map[string]bool
	dependencyColumns []field
	runColumns        []field // what runs, and when
}

// defaultTemplate knows the headers of the templates that are common in the
// field: DolphinScheduler's import sheet, Azkaban helpers, banks' ETL tables.
func defaultTemplate() *template {
	t := &template{
		name:             "default",
		jobSheets:        []string{"作业列表", "任务列表", "作业", "任务", "job", "jobs"},
		dependencySheets: []string{"依赖列表", "依赖关系", "依赖", "dependency", "dependencies"},
		virtualTypes:     []string{"虚拟节点", "虚拟", "虚节点", "虚拟任务", "虚拟作业", "空节点", "virtual", "virtual_node", "dummy"},
		columns: [fieldCount]column{
			fieldJob:           {"job_name", []string{"作业名", "作业名称", "任务名", "任务名称", "节点名称", "job_name", "jobname", "task_name", "taskname", "etl_job"}},
			fieldProject:       {"project", []string{"项目名称", "工程代码", "项目", "project_name", "project", "etl_sys_cd"}},
			fieldFlow:          {"flow", []string{"工作流", "工作流名称", "流程", "分组", "作业流", "flow_name", "flow", "group"}},
			fieldType:          {"job_type", []string{"作业类型", "任务类型", "作业程序类型", "job_type", "task_type", "type", "pro_type"}},
			fieldScript:        {"script", []string{"脚本路径", "程序名称", "script_path", "script", "pro_name"}},
			fieldScriptDir:     {"script_dir", []string{"作业程序目录", "pro_dic"}},
			fieldCommand:       {"command", []string{"命令", "脚本内容", "command"}},
			fieldParams:        {"params", []string{"参数", "作业程序参数", "params", "pro_para"}},
			fieldDependsOn:     {"depends_on", []string{"依赖", "依赖作业", "依赖任务", "前置作业", "前置任务", "上游作业", "上游任务", "依赖的作业名称", "依赖的任务名称", "dependon", "depends_on", "dependson", "pre_job", "pre_etl_job"}},
			fieldPreProject:    {"pre_project", []string{"依赖的项目名称", "依赖的工程代码", "pre_project", "pre_project_name", "pre_etl_sys_cd"}},
			fieldPreFlow:       {"pre_flow", []string{"依赖的分组", "依赖的工作流", "依赖的流程", "pre_flow", "pre_flow_name", "pre_group"}},
			fieldCycle:         {"cycle", []string{"调度周期", "执行周期", "调度频率", "周期", "cycle", "disp_freq"}},
			fieldCron:          {"cron", []string{"cron表达式", "执行表达式", "cron", "cron_expression", "crontab"}},
			fieldStartTime:     {"start_time", []string{"调度时间", "触发时间", "start_time", "disp_time"}},
			fieldPriority:      {"priority", []string{"优先级", "作业优先级", "priority", "job_priority"}},
			fieldTimeout:       {"timeout_min", []string{"超时", "超时时间", "超时阀值", "超时阈值", "timeout", "timeout_min", "overtime_val"}},
			fieldRetry:         {"retry", []string{"重试次数", "失败重试次数", "retry", "retries"}},
			fieldRetryInterval: {"retry_interval_min", []string{"重试间隔", "失败重试间隔", "retry_interval", "retry_interval_min"}},
			fieldOwner:         {"owner", []string{"负责人", "责任人", "owner"}},
			fieldEnabled:       {"enabled", []string{"启用", "是否启用", "是否有效", "操作类型", "enable", "enabled", "job_eff_flag"}},
			fieldSelfDepend:    {"self_depend", []string{"是否自依赖上一周期", "自依赖", "self_depend"}},
			fieldDesc:          {"desc", []string{"描述", "作业描述", "任务描述", "desc", "description"}},
		},
		required: []requirement{
			{fields: []field{fieldJob}, label: report.Text{En: "the job name", Zh: "作业名"}},
			{fields: []field{fieldType}, label: report.Text{En: "the job type", Zh: "作业类型"}},
			{fields: []field{fieldScript, fieldScriptDir, fieldCommand}, label: report.Text{En: "the script path or command", Zh: "脚本路径或命令"}, runs: true},
			{fields: []field{fieldCycle, fieldCron}, label: report.Text{En: "the cycle or cron expression", Zh: "调度周期或 cron 表达式"}},
			{fields: []field{fieldOwner}, label: report.Text{En: "the owner", Zh: "负责人"}},
		},
	}
	return t.compile()
}

func (t *template) compile() *template {
	t.byHeader = map[string]field{}
	for f, c := range t.columns {
		for _, alias := range c.aliases {
			t.byHeader[normaliseHeader(alias)] = field(f)
		}
	}
	names := func(list []string) map[string]bool {
		out := map[string]bool{}
		for _, name := range list {
			out[normaliseHeader(name)] = true
		}
		return out
	}
	t.jobNames, t.dependencyNames, t.virtual = names(t.jobSheets), names(t.dependencySheets), names(t.virtualTypes)
	t.dependencyColumns = []field{fieldJob, fieldDependsOn, fieldProject, fieldFlow, fieldPreProject, fieldPreFlow}
	t.runColumns = []field{fieldType, fieldScript, fieldScriptDir, fieldCommand, fieldCycle, fieldCron, fieldStartTime, fieldDependsOn}
	return t
}

// accepted lists the headers that would satisfy a requirement.
func (t *template) accepted(fields ...field) string {
	var all []string
	for _, f := range fields {
		all = append(all, t.columns[f].aliases...)
	}
	return strings.Join(all, ", ")
}

// longestHeader is the length in bytes over which a cell is text, not a header.
const longestHeader = 256

// normaliseHeader gives headers that mean the same the same form: NFKC, without
// white space, line breaks, zero-width characters, stars and hints in brackets,
// case folded. "*执行周期\n（D/M/Q）" and "执行周期" are one.
func normaliseHeader(s string) string {
	if len(s) > longestHeader {
		return ""
	}
	var b strings.Builder
	depth := 0
	for _, r := range norm.NFKC.String(s) {
		switch {
		case strings.ContainsRune("([{【〔〖《<", r):
			depth++
		case strings.ContainsRune(")]}】〕〗》>", r):
			depth = max(0, depth-1)
		case depth > 0, r == '*', invisible(r):
		default:
			b.WriteRune(r)
		}
	}
	return cases.Fold().String(strings.TrimRight(b.String(), ":"))
}

// invisible runes take no part in names or headers: white space in all its
// forms, and what copying from a chat or a web page leaves behind.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r)
}

// kind is what a table holds.
type kind int

const (
	noTable kind = iota
	jobTable
	dependencyTable
)

// header is a recognised header row.
type header struct {
	kind    kind
	row     int
	columns [fieldCount]int // from 1; 0 is missing
}

func (h *header) has(f field) bool { return h.columns[f] > 0 }

// headerRows is how far down a header row may stand, below titles and notes.
const headerRows = 10

// leastAliases is how many known headers make a row a header row.
const leastAliases = 3

// recognise judges one row of a sheet. A row is a header when it holds at least
// three known headers, among them the job's name and one that says what runs or
// when: a list of people's tasks has names, owners and descriptions too. Two
// exceptions keep a broken template from passing as no template: on a sheet with
// a job sheet's name any three known headers will do (what is missing is then
// reported as missing), and a sheet with a dependency sheet's name needs but the
// two jobs of each dependency.
func (t *template) recognise(sheet string, row int, cells []string) (header, bool) {
	h := header{row: row}
	found := 0
	for i, cell := range cells {
		f, ok := t.byHeader[normaliseHeader(cell)]
		if ok && h.columns[f] == 0 {
			h.columns[f] = i + 1
			found++
		}
	}
	name := normaliseHeader(sheet)
	if t.dependencyNames[name] {
		h.kind = dependencyTable
		if pair := h.has(fieldJob) && h.has(fieldDependsOn); pair || h.count(t.dependencyColumns) >= leastAliases {
			return h, true
		}
		return header{}, false
	}
	ofJobs := h.has(fieldJob) && h.count(t.runColumns) > 0
	if found < leastAliases || !ofJobs && !t.jobNames[name] {
		return header{}, false
	}
	h.kind = jobTable
	describesJobs := h.count([]field{fieldType, fieldScript, fieldScriptDir, fieldCommand, fieldCycle, fieldCron}) > 0
	if !describesJobs && h.has(fieldDependsOn) && (h.has(fieldPreProject) || h.has(fieldPreFlow)) {
		h.kind = dependencyTable
	}
	return h, true
}

func (h *header) count(fields []field) int {
	n := 0
	for _, f := range fields {
		if h.has(f) {
			n++
		}
	}
	return n
}

// required of a table of this kind.
func (t *template) requiredOf(k kind) []requirement {
	if k == dependencyTable {
		return []requirement{
			{fields: []field{fieldJob}, label: report.Text{En: "the job name", Zh: "作业名"}},
			{fields: []field{fieldDependsOn}, label: report.Text{En: "the job that is depended on", Zh: "依赖的作业名称"}},
		}
	}
	return t.required
}

// metBy reports whether a row meets a requirement.
func (t *template) metBy(need requirement, r *row) bool {
	for _, f := range need.fields {
		if r.cells[f] != "" {
			return true
		}
	}
	return need.runs && t.virtual[normaliseHeader(r.cells[fieldType])]
}

// Lines that people write below a table: sums, and remarks.
var (
	sumLine    = regexp.MustCompile(`^((合计|总计|小计|共计)([:\d].*)?|(sub|grand)?total(:.*)?)$`)
	remarkLine = regexp.MustCompile(`^(备注|注|注意|说明|附注|notes?|remarks?):`)
)

// describesJob tells the rows of a table from what stands below it: a sum, or a
// remark that happens to stand in a known column. cells are those of the whole
// row, since the word for a sum may stand in a column that the template does not
// know. A row in which nothing is missing always counts.
func (t *template) describesJob(h *header, r *row, cells []string) bool {
	filled := 0
	for _, value := range r.cells {
		if value != "" {
			filled++
		}
	}
	name := r.cells[fieldJob]
	if name == "" && filled == 1 {
		// In a dependency table, one more job to wait for without its waiting job
		// is a mistake, and no remark.
		return h.kind == dependencyTable && r.cells[fieldDependsOn] != ""
	}
	said := normaliseHeader(name)
	if filled == 1 && remarkLine.MatchString(said) {
		return false
	}
	sum := sumLine.MatchString(said)
	if name == "" {
		sum = slices.ContainsFunc(cells, func(cell string) bool { return sumLine.MatchString(normaliseHeader(cell)) })
	}
	if !sum {
		return true
	}
	for _, need := range t.requiredOf(h.kind) {
		if h.count(need.fields) > 0 && !t.metBy(need, r) {
			return false
		}
	}
	return true
}

// splitList splits a list of jobs as people write it in a cell: by comma,
// semicolon, bar or enumeration comma in either width, or by line breaks.
// Words for "none" are no job.
func splitList(s string) []string {
	parts := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",，;；|｜、\r\n", r) })
	var out []string
	for _, p := range parts {
		if p = clean(p); p != "" && !slices.Contains(none, strings.ToLower(p)) {
			out = append(out, p)
		}
	}
	return out
}

var none = []string{"无", "-", "--", "/", "n/a", "na", "none", "null", "nil"}

// clean takes invisible runes off both ends of a value.
func clean(s string) string { return strings.TrimFunc(s, invisible) }
