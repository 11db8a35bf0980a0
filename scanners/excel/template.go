package excel

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/cron"
	"github.com/factgate/factgate/internal/xlsx"
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

// fields have a name for anchors and profiles, which is stable, and one for
// people.
var fields = [fieldCount]struct {
	name  string
	label report.Text
}{
	fieldJob:           {"jobName", report.Text{En: "job name", Zh: "作业名"}},
	fieldProject:       {"project", report.Text{En: "project", Zh: "项目"}},
	fieldFlow:          {"flow", report.Text{En: "flow", Zh: "工作流"}},
	fieldType:          {"jobType", report.Text{En: "job type", Zh: "作业类型"}},
	fieldScript:        {"script", report.Text{En: "script path", Zh: "脚本路径"}},
	fieldScriptDir:     {"scriptDir", report.Text{En: "script folder", Zh: "脚本目录"}},
	fieldCommand:       {"command", report.Text{En: "command", Zh: "命令"}},
	fieldParams:        {"params", report.Text{En: "parameters", Zh: "参数"}},
	fieldDependsOn:     {"dependsOn", report.Text{En: "jobs that are waited for", Zh: "依赖的作业"}},
	fieldPreProject:    {"preProject", report.Text{En: "project of the job that is waited for", Zh: "依赖的项目"}},
	fieldPreFlow:       {"preFlow", report.Text{En: "flow of the job that is waited for", Zh: "依赖的工作流"}},
	fieldCycle:         {"cycle", report.Text{En: "cycle", Zh: "调度周期"}},
	fieldCron:          {"cron", report.Text{En: "cron expression", Zh: "执行表达式"}},
	fieldStartTime:     {"startTime", report.Text{En: "start time", Zh: "触发时间"}},
	fieldPriority:      {"priority", report.Text{En: "priority", Zh: "优先级"}},
	fieldTimeout:       {"timeoutMin", report.Text{En: "timeout", Zh: "超时时间"}},
	fieldRetry:         {"retry", report.Text{En: "number of retries", Zh: "重试次数"}},
	fieldRetryInterval: {"retryIntervalMin", report.Text{En: "retry interval", Zh: "重试间隔"}},
	fieldOwner:         {"owner", report.Text{En: "owner", Zh: "负责人"}},
	fieldEnabled:       {"enabled", report.Text{En: "enabled flag", Zh: "启用标志"}},
	fieldSelfDepend:    {"selfDepend", report.Text{En: "self-dependency flag", Zh: "自依赖标志"}},
	fieldDesc:          {"desc", report.Text{En: "description", Zh: "描述"}},
}

// fieldNamed is the field of a name that a checked profile has.
func fieldNamed(name string) field {
	for f := range fields {
		if fields[f].name == name {
			return field(f)
		}
	}
	return 0
}

func fieldNames() []string {
	out := make([]string, fieldCount)
	for f := range fields {
		out[f] = fields[f].name
	}
	return out
}

// keyFields make the key of a job.
var keyFields = []field{fieldProject, fieldFlow, fieldJob}

// numberFields hold whole numbers.
var numberFields = []field{fieldPriority, fieldTimeout, fieldRetry, fieldRetryInterval}

var rangeNames = []string{"priority", "timeoutMin", "retry", "retryIntervalMin"}

// cycleNames are those of cron's cycles, from the finest to the coarsest.
var cycleNames = []string{
	string(cron.Minute), string(cron.Hour), string(cron.Day), string(cron.Week),
	string(cron.Month), string(cron.Quarter), string(cron.Year), string(cron.Once),
}

// requirement is met by a value in any one of its fields.
type requirement struct {
	fields []field
	label  report.Text
	// runs: only jobs that run something have to meet it. A virtual node, which
	// is there for others to wait for, does not.
	runs bool
}

// template is a profile made ready. It is never changed after newTemplate.
type template struct {
	profile
	required        []requirement
	byHeader        map[string]field
	ignored         map[string]bool
	jobNames        map[string]bool
	dependencyNames map[string]bool
	virtual         map[string]bool
	types           map[string]string // by every way to write one
	typeWords       []string          // all of these, sorted
	scriptTypes     map[string]bool   // endings of all scripts
	cycles          map[string]cron.Cycle
	booleans        map[string]bool
	priorities      map[string]bool
	ownerPattern    *regexp.Regexp // nil if any will do
	ownerList       map[string]bool
}

var (
	dependencyColumns = []field{fieldJob, fieldDependsOn, fieldProject, fieldFlow, fieldPreProject, fieldPreFlow}
	runColumns        = []field{fieldType, fieldScript, fieldScriptDir, fieldCommand, fieldCycle, fieldCron, fieldStartTime, fieldDependsOn}
	whatRuns          = []field{fieldScript, fieldScriptDir, fieldCommand}
)

// newTemplate takes a profile that has been checked.
func newTemplate(p profile) *template {
	t := &template{profile: p, byHeader: map[string]field{}}
	for name, aliases := range p.Columns {
		f := fieldNamed(name)
		for _, alias := range aliases {
			t.byHeader[normaliseHeader(alias)] = f
		}
	}
	for _, group := range p.Required {
		var need requirement
		var en, zh []string
		for _, name := range group {
			f := fieldNamed(name)
			need.fields = append(need.fields, f)
			need.runs = need.runs || slices.Contains(whatRuns, f)
			if f == fieldScriptDir && len(group) > 1 {
				continue // a detail of the path
			}
			en, zh = append(en, fields[f].label.En), append(zh, fields[f].label.Zh)
		}
		need.label = report.Text{En: "the " + orList(en, ", ", " or "), Zh: orList(zh, "、", "或")}
		t.required = append(t.required, need)
	}
	t.ignored = wordSet(p.IgnoreColumns, normaliseHeader)
	t.jobNames, t.dependencyNames = wordSet(p.Sheets.Jobs, normaliseHeader), wordSet(p.Sheets.Dependencies, normaliseHeader)
	t.virtual, t.priorities = wordSet(p.VirtualTypes, normaliseWord), wordSet(p.Priorities, normaliseWord)
	t.ownerList = wordSet(p.Owners.List, normaliseWord)
	t.types, t.scriptTypes = map[string]string{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(p.JobTypes)) {
		for _, word := range append([]string{name}, p.JobTypes[name].Also...) {
			t.types[normaliseWord(word)] = name
		}
		for _, ext := range p.JobTypes[name].Scripts {
			t.scriptTypes[ext] = true
		}
	}
	t.typeWords = slices.Sorted(maps.Keys(t.types))
	t.cycles = map[string]cron.Cycle{}
	for name, words := range p.Cycles {
		for _, word := range words {
			t.cycles[normaliseWord(word)] = cron.Cycle(name)
		}
	}
	t.booleans = map[string]bool{}
	for _, name := range []string{"true", "false"} {
		for _, word := range p.Booleans[name] {
			t.booleans[normaliseWord(word)] = name == "true"
		}
	}
	if p.Owners.Pattern != "" {
		t.ownerPattern = regexp.MustCompile(`^(?:` + p.Owners.Pattern + `)$`)
	}
	return t
}

func wordSet(words []string, normalise func(string) string) map[string]bool {
	out := map[string]bool{}
	for _, word := range words {
		out[normalise(word)] = true
	}
	return out
}

func orList(words []string, comma, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], comma) + last + words[len(words)-1]
}

// accepted lists the headers that would satisfy a requirement.
func (t *template) accepted(of ...field) string {
	var all []string
	for _, f := range of {
		all = append(all, t.Columns[fields[f].name]...)
	}
	return strings.Join(all, ", ")
}

// longestHeader is the length in bytes over which a cell is text, not a header.
const longestHeader = 256

// normaliseHeader gives headers that mean the same the same form: NFKC, without
// white space, line breaks, zero-width characters, stars and hints in brackets,
// case folded. "*执行周期\n（D/M/Q)" and "执行周期" are one.
func normaliseHeader(s string) string {
	return cases.Fold().String(strings.TrimRight(withoutHints(s, "*"), ":"))
}

// normaliseWord does so for the words of a list, which may be written with _ and
// - or without: "Hive-SQL" and "hivesql" are one, and so are "日（D）" and "日".
func normaliseWord(s string) string {
	for i := range len(s) {
		if c := s[i]; c < '0' && c != '.' || c > '9' && c < 'a' || c > 'z' {
			return cases.Fold().String(withoutHints(s, "_-"))
		}
	}
	if len(s) > longestHeader {
		return ""
	}
	return s
}

// withoutHints is s in NFKC without hints in brackets, what cannot be seen, and
// these characters; "" if it is longer than any header.
func withoutHints(s, without string) string {
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
		case depth > 0, strings.ContainsRune(without, r), invisible(r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
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
	odd     []oddHeader
}

// oddHeader is a column that no rule will look at.
type oddHeader struct {
	column int
	text   string
	twice  int   // the column that already has this header, or stands for this field
	field  field // if twice: the field, or fieldCount
	near   field // if not: the missing field whose header it nearly is, or fieldCount
	alias  string
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
func (t *template) recognise(sheet string, row int, cells []xlsx.Cell) (header, bool) {
	h := header{row: row}
	found := 0
	for _, cell := range cells {
		f, ok := t.byHeader[normaliseHeader(cell.Value)]
		if ok && h.columns[f] == 0 {
			h.columns[f] = cell.Column
			found++
		}
	}
	name := normaliseHeader(sheet)
	switch {
	case t.dependencyNames[name]:
		h.kind = dependencyTable
		if pair := h.has(fieldJob) && h.has(fieldDependsOn); !pair && h.count(dependencyColumns) < leastAliases {
			return header{}, false
		}
	case found < leastAliases || !(h.has(fieldJob) && h.count(runColumns) > 0) && !t.jobNames[name]:
		return header{}, false
	default:
		h.kind = jobTable
		describesJobs := h.count([]field{fieldType, fieldScript, fieldScriptDir, fieldCommand, fieldCycle, fieldCron}) > 0
		if !describesJobs && h.has(fieldDependsOn) && (h.has(fieldPreProject) || h.has(fieldPreFlow)) {
			h.kind = dependencyTable
		}
	}
	h.odd = t.oddHeaders(&h, cells)
	return h, true
}

// mostOdd columns of one sheet are told.
const mostOdd = 100

func (t *template) oddHeaders(h *header, cells []xlsx.Cell) []oddHeader {
	var out []oddHeader
	first := map[string]int{}
	for _, cell := range cells {
		text := normaliseHeader(cell.Value)
		if text == "" || len(out) == mostOdd {
			continue
		}
		odd := oddHeader{column: cell.Column, text: clip(oneLine(cell.Value)), field: fieldCount, near: fieldCount}
		f, known := t.byHeader[text]
		switch {
		case known && h.columns[f] != cell.Column:
			odd.twice, odd.field = h.columns[f], f
		case known:
			continue
		case first[text] > 0:
			odd.twice = first[text]
		case t.ignored[text]:
			first[text] = cell.Column
			continue
		default:
			first[text] = cell.Column
			odd.near, odd.alias = t.nearest(h, text)
		}
		out = append(out, odd)
	}
	return out
}

// nearest finds a header that differs by a slip of the pen, of a field that the
// table does not have.
func (t *template) nearest(h *header, text string) (field, string) {
	best, bestField, alias := 3, fieldCount, ""
	for f := range fieldCount {
		if h.has(f) {
			continue
		}
		for _, a := range t.Columns[fields[f].name] {
			header := normaliseHeader(a)
			n := len([]rune(header))
			if n < 4 {
				continue
			}
			allowed := 1
			if n >= 8 {
				allowed = 2
			}
			if d := distance(text, header, allowed); d <= allowed && d < best {
				best, bestField, alias = d, f, a
			}
		}
	}
	return bestField, alias
}

// distance counts the characters that were added, left out, changed or swapped,
// or says most+1 if there are more.
func distance(a, b string, most int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > most || len(y)-len(x) > most {
		return most + 1
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(y)], most+1)
}

func (h *header) count(of []field) int {
	n := 0
	for _, f := range of {
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

// metBy reports whether a row meets a requirement. A formula whose value is not
// known meets it: the cell is not empty.
func (t *template) metBy(need requirement, r *row) bool {
	for _, f := range need.fields {
		if r.cells[f] != "" || r.marks[f]&markFormula != 0 {
			return true
		}
	}
	return need.runs && t.virtual[normaliseWord(r.cells[fieldType])]
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
func (t *template) describesJob(h *header, r *row, cells []xlsx.Cell) bool {
	filled := 0
	for f, value := range r.cells {
		if value != "" || r.marks[f]&markFormula != 0 {
			filled++
		}
	}
	name := r.cells[fieldJob]
	if name == "" && filled == 1 && r.marks[fieldJob]&markFormula == 0 {
		// In a dependency table, one more job to wait for without its waiting job
		// is a mistake, and no remark.
		return h.kind == dependencyTable && r.cells[fieldDependsOn] != ""
	}
	if filled > 1 && name != "" && !mayBeSum(name) {
		return true
	}
	said := normaliseHeader(name)
	if filled == 1 && remarkLine.MatchString(said) {
		return false
	}
	sum := sumLine.MatchString(said)
	if name == "" {
		sum = slices.ContainsFunc(cells, func(cell xlsx.Cell) bool {
			return mayBeSum(cell.Value) && sumLine.MatchString(normaliseHeader(cell.Value))
		})
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

// mayBeSum spares most names the trouble of being normalised.
func mayBeSum(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return true
		}
	}
	return len(s) > 4 && (s[0]|0x20 == 's' || s[0]|0x20 == 'g' || s[0]|0x20 == 't' || s[0] <= ' ')
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

// oneLine writes a value that is to be quoted without its line breaks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// clip keeps what a workbook says short enough to be quoted in a message.
func clip(s string) string {
	const most = 80
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
