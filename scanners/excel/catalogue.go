package excel

import (
	"embed"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

// examples hold two workbooks for each rule, as YAML: one that breaks it and one
// that does not. Tests build and scan them.
//
//go:embed catalogue/*.yaml
var examples embed.FS

// rules in the order of their ids: where to start.
var rules = catalogue()

func catalogue() []rule {
	const (
		e = report.Error
		w = report.Warning
		n = report.Note
	)
	columns := report.Text{En: "columns and required say which columns there are, and which of them must be.", Zh: "columns 和 required 设置列名及必填列。"}
	list := []rule{
		{report.Rule{ID: "XLS001", Severity: e,
			Message:   report.Text{En: "The workbook cannot be read; save it as .xlsx without a password.", Zh: "工作簿无法读取；请另存为不带密码的 .xlsx。"},
			Rationale: report.Text{En: "A workbook that cannot be opened cannot be imported either.", Zh: "无法打开的工作簿也无法导入调度系统。"},
		}, unreadableWorkbook},
		{report.Rule{ID: "XLS002", Severity: e,
			Message:   report.Text{En: "A required column is missing; add it.", Zh: "缺少必填列；请补充。"},
			Rationale: report.Text{En: "Without a required column no job of the sheet is complete.", Zh: "缺少必填列时，该表中没有任何作业是完整的。"},
			Configure: columns,
		}, missingColumn},
		{report.Rule{ID: "XLS003", Severity: w,
			Message:   report.Text{En: "Two columns stand for one thing; keep one.", Zh: "两列表示同一内容；请只保留一列。"},
			Rationale: report.Text{En: "An import reads one of two columns of one name, and people fill in the other.", Zh: "两列同名时，导入只读取其中一列，而填写的可能是另一列。"},
			Configure: columns,
		}, duplicateHeader},
		{report.Rule{ID: "XLS004", Severity: w,
			Message:   report.Text{En: "A column is not part of the template; correct its header or remove it.", Zh: "列不属于模板；请更正表头或删除。"},
			Rationale: report.Text{En: "What stands in a column that nobody reads is lost without a word, most often for a slip of the pen in its header.", Zh: "无人读取的列，其内容会悄悄丢失，多半是表头笔误所致。"},
			Configure: report.Text{En: "ignoreColumns lists further columns that are no mistake.", Zh: "ignoreColumns 列出可忽略的列。"},
		}, unknownHeader},
		{report.Rule{ID: "XLS005", Severity: e,
			Message:   report.Text{En: "A required cell is empty; fill it in.", Zh: "必填单元格为空；请填写。"},
			Rationale: report.Text{En: "A required cell that is empty makes the import fail, or the job run at the wrong time or not at all.", Zh: "必填单元格为空会导致导入失败，或使作业在错误的时间运行甚至不运行。"},
			Configure: columns,
		}, emptyCell},
		{report.Rule{ID: "XLS006", Severity: e,
			Message:   report.Text{En: "A job is defined twice; rename or remove one.", Zh: "作业重复定义；请改名或删除其一。"},
			Rationale: report.Text{En: "Of two jobs with one key, one silently replaces the other.", Zh: "两个作业的键相同时，其中一个会悄悄覆盖另一个。"},
		}, duplicateJob},
		{report.Rule{ID: "XLS007", Severity: w,
			Message:   report.Text{En: "Two job names differ only by case, spaces or width; make them differ, or be the same.", Zh: "两个作业名仅大小写、空格或全半角不同；请改名或统一写法。"},
			Rationale: report.Text{En: "One system takes such names for one job and another for two.", Zh: "这样的名称在有的系统中是同一个作业，在有的系统中是两个。"},
		}, nearlySameName},
		{report.Rule{ID: "XLS008", Severity: e,
			Message:   report.Text{En: "A job waits for one that no job sheet defines; correct the name or add the job.", Zh: "依赖的作业未在任何作业表中定义；请更正名称或补充作业。"},
			Rationale: report.Text{En: "A job that waits for a job that does not exist never starts. Jobs of other projects cannot be looked up and are a warning.", Zh: "依赖不存在作业的作业永远不会启动。其他项目的作业无法核对，仅作警告。"},
		}, unknownDependency},
		{report.Rule{ID: "XLS009", Severity: e,
			Message:   report.Text{En: "A job waits for itself; use the self-dependency setting for its previous cycle.", Zh: "作业依赖自身；等待自身上一周期请使用“自依赖”设置。"},
			Rationale: report.Text{En: "A job that waits for itself never starts; waiting for its own previous cycle is another setting.", Zh: "依赖自身的作业永远不会启动；依赖自身的上一周期应使用“自依赖”设置。"},
		}, selfDependency},
		{report.Rule{ID: "XLS010", Severity: e,
			Message:   report.Text{En: "Jobs wait for each other in a circle; remove one of the dependencies.", Zh: "作业循环依赖；请删除其中一个依赖。"},
			Rationale: report.Text{En: "Jobs that wait for each other in a circle never start.", Zh: "循环依赖的作业永远不会启动。"},
		}, dependencyCycle},
		{report.Rule{ID: "XLS011", Severity: n,
			Message:   report.Text{En: "A dependency is declared twice; remove one.", Zh: "依赖重复声明；请删除其一。"},
			Rationale: report.Text{En: "Whoever removes a dependency later removes one of the two and wonders.", Zh: "日后删除依赖时容易只删除其中一处。"},
		}, duplicateEdge},
		{report.Rule{ID: "XLS012", Severity: w,
			Message:   report.Text{En: "A job stands alone in a flow of jobs that wait for each other; say what it waits for.", Zh: "作业在互有依赖的流程中孤立存在；请补充依赖。"},
			Rationale: report.Text{En: "A job whose dependencies were forgotten runs before its data is there.", Zh: "遗漏依赖的作业会在数据就绪之前运行。"},
		}, isolatedJob},
		{report.Rule{ID: "XLS013", Severity: e,
			Message:   report.Text{En: "An enabled job waits for a disabled one; enable that, or remove the dependency.", Zh: "已启用的作业依赖已停用的作业；请启用后者或删除依赖。"},
			Rationale: report.Text{En: "A job that waits for a job that never runs never starts.", Zh: "依赖永不运行的作业，自身也永远不会启动。"},
			Configure: report.Text{En: "booleans lists the words for on and off.", Zh: "booleans 设置表示启用和停用的写法。"},
		}, disabledDependency},
		{report.Rule{ID: "XLS014", Severity: e,
			Message:   report.Text{En: "A cron expression is invalid, or its date does not exist; correct it.", Zh: "cron 表达式非法，或日期不存在；请更正。"},
			Rationale: report.Text{En: "A job with an invalid cron expression, or a date that does not exist, never runs.", Zh: "cron 表达式非法或日期不存在的作业永远不会运行。"},
		}, invalidCron},
		{report.Rule{ID: "XLS015", Severity: e,
			Message:   report.Text{En: "A cycle is unknown, or its cron expression says something else; correct one of them.", Zh: "调度周期无法识别，或与 cron 表达式矛盾；请更正。"},
			Rationale: report.Text{En: "The job runs as one of the two says, and people believe the other.", Zh: "作业按其中一个运行，而人们相信的是另一个。"},
			Configure: report.Text{En: "cycles lists the words for each cycle.", Zh: "cycles 设置各周期的写法。"},
		}, cycleValue},
		{report.Rule{ID: "XLS016", Severity: w,
			Message:   report.Text{En: "A job runs more often than what it waits for; check both cycles.", Zh: "作业的周期比上游更细；请核对两者的周期。"},
			Rationale: report.Text{En: "Most of its runs find nothing new, or wait for a run that does not come.", Zh: "多数周期等不到新数据，或一直等待不会到来的运行。"},
			Configure: report.Text{En: "cycles lists the words for each cycle.", Zh: "cycles 设置各周期的写法。"},
		}, finerThanUpstream},
		{report.Rule{ID: "XLS017", Severity: e,
			Message:   report.Text{En: "A job type is unknown; write one that the scheduler has.", Zh: "作业类型未知；请填写调度系统支持的类型。"},
			Rationale: report.Text{En: "A scheduler that does not know the type cannot run the job.", Zh: "调度系统不认识的类型无法运行。"},
			Configure: report.Text{En: "jobTypes lists types with their spellings and endings of scripts; virtualTypes those that run nothing.", Zh: "jobTypes 设置类型、写法及脚本扩展名；virtualTypes 设置不运行任何内容的类型。"},
		}, unknownType},
		{report.Rule{ID: "XLS018", Severity: e,
			Message:   report.Text{En: "A script is not in the package; add it or correct the path.", Zh: "脚本不在安装包中；请补充脚本或更正路径。"},
			Rationale: report.Text{En: "A job without its script fails in its first run.", Zh: "缺少脚本的作业首次运行即失败。"},
			Configure: report.Text{En: "scripts: inPackage says whether scripts are in the package (auto, always, never), roots which paths begin there.", Zh: "scripts：inPackage 设置脚本是否在安装包中（auto、always、never），roots 设置对应安装包的路径前缀。"},
		}, missingScript},
		{report.Rule{ID: "XLS019", Severity: w,
			Message:   report.Text{En: "A script is of another kind than its job; correct the type or the script.", Zh: "脚本扩展名与作业类型不符；请更正类型或脚本。"},
			Rationale: report.Text{En: "A shell that is given SQL fails, or worse, does something.", Zh: "用 Shell 执行 SQL 会失败，甚至产生意外后果。"},
			Configure: report.Text{En: "jobTypes: scripts lists the endings of each type.", Zh: "jobTypes 的 scripts 设置各类型的脚本扩展名。"},
		}, scriptOfOtherType},
		{report.Rule{ID: "XLS020", Severity: w,
			Message:   report.Text{En: "No job runs a script that lies beside others which jobs run; add a job or leave it out.", Zh: "脚本未被任何作业引用，而同目录其他脚本均被引用；请补充作业或移除脚本。"},
			Rationale: report.Text{En: "A job was forgotten, or what is no longer needed is delivered.", Zh: "可能遗漏了作业，或交付了不再需要的脚本。"},
		}, unusedScript},
		{report.Rule{ID: "XLS021", Severity: e,
			Message:   report.Text{En: "A name holds a character that schedulers take for something else, or is too long; rename the job.", Zh: "名称含有调度系统会误解的字符或过长；请改名。"},
			Rationale: report.Text{En: "A comma in a name makes two dependencies of one; a slash makes a path.", Zh: "名称中的逗号会把一个依赖拆成两个，斜杠会变成路径。"},
			Configure: report.Text{En: "names: illegal lists the characters, longest the length.", Zh: "names：illegal 设置非法字符，longest 设置最大长度。"},
		}, illegalName},
		{report.Rule{ID: "XLS022", Severity: w,
			Message:   report.Text{En: "A name has spaces around it or unseen characters within; type it anew.", Zh: "名称首尾有空白或含有不可见字符；请重新输入。"},
			Rationale: report.Text{En: "Two names that look alike are not the same, and nobody sees why a job waits.", Zh: "看起来相同的两个名称实际不同，作业为何一直等待无从看出。"},
		}, untidyKey},
		{report.Rule{ID: "XLS023", Severity: e,
			Message:   report.Text{En: "A priority, timeout or number of retries is no whole number, or out of range; correct it.", Zh: "优先级、超时或重试次数不是整数，或超出范围；请更正。"},
			Rationale: report.Text{En: "An import refuses it, or takes the default without a word.", Zh: "导入会失败，或悄悄使用默认值。"},
			Configure: report.Text{En: "ranges gives the least and the most; priorities the words that may stand for one.", Zh: "ranges 设置取值范围；priorities 设置可用的优先级文字。"},
		}, numberRange},
		{report.Rule{ID: "XLS024", Severity: w,
			Message:   report.Text{En: "A job has no timeout, no retry or too many; set them.", Zh: "作业没有超时时间、不重试或重试过多；请设置。"},
			Rationale: report.Text{En: "A job without a timeout hangs unseen; without a retry each short fault wakes somebody; with many the alarm comes late.", Zh: "没有超时的作业会无声挂起；不重试则瞬时故障也会告警；重试过多则告警太晚。"},
			Configure: report.Text{En: "retryMost is the most retries. Tables without these columns are not judged.", Zh: "retryMost 设置最多重试次数。没有这些列的表不检查。"},
		}, timeoutAndRetry},
		{report.Rule{ID: "XLS025", Severity: e,
			Message:   report.Text{En: "A job has no owner, or one that is not allowed; fill it in.", Zh: "作业没有负责人，或负责人不符合要求；请填写。"},
			Rationale: report.Text{En: "When a job fails at night, somebody must know whom to call.", Zh: "作业夜间失败时，需要知道联系谁。"},
			Configure: report.Text{En: "owners: pattern and list say who may own a job; with neither, any name will do.", Zh: "owners：pattern 和 list 设置允许的负责人；均未设置时任意名称均可。"},
		}, owner},
		{report.Rule{ID: "XLS026", Severity: w,
			Message:   report.Text{En: "Cells of the table are merged; take the merging off and fill in each row.", Zh: "表中有合并单元格；请取消合并并逐行填写。"},
			Rationale: report.Text{En: "Only the first of merged cells holds a value; an import finds the others empty.", Zh: "合并单元格只有首格有值，导入时其余为空。"},
		}, mergedCells},
		{report.Rule{ID: "XLS027", Severity: w,
			Message:   report.Text{En: "A name, dependency or cron expression is computed by a formula; paste it as a value.", Zh: "名称、依赖或 cron 表达式由公式计算；请粘贴为值。"},
			Rationale: report.Text{En: "What an import reads is what was last saved, or nothing at all: a formula that fails or whose value was not saved is an error.", Zh: "导入读到的是上次保存的结果，甚至为空：计算出错或未保存结果的公式是错误。"},
		}, formulas},
		{report.Rule{ID: "XLS028", Severity: w,
			Message:   report.Text{En: "A hidden sheet, row or column holds jobs; show it or remove it.", Zh: "隐藏的工作表、行或列中有作业；请取消隐藏或删除。"},
			Rationale: report.Text{En: "What is hidden is imported all the same, and nobody has reviewed it.", Zh: "隐藏的内容仍会被导入，却没有人审核过。"},
		}, hiddenData},
		{report.Rule{ID: "XLS029", Severity: w,
			Message:   report.Text{En: "A name is stored as a number or a date; format the column as text and type it anew.", Zh: "名称以数字或日期存储；请将该列设为文本格式后重新输入。"},
			Rationale: report.Text{En: "007 becomes 7, and 3-1 the first of March.", Zh: "007 会变成 7，3-1 会变成 3 月 1 日。"},
		}, numberAsName},
		{report.Rule{ID: "XLS030", Severity: e, Security: true,
			Message:   report.Text{En: "A password or key stands in plain text; change it and refer to it by a name.", Zh: "存在明文密码或密钥；请更换并改为引用名称。"},
			Rationale: report.Text{En: "Everybody who may read the package may then read the database.", Zh: "能读取安装包的人都能访问数据库。"},
		}, plainPassword},
		{report.Rule{ID: "XLS031", Severity: w,
			Message:   report.Text{En: "Empty rows stand between jobs, or there are no jobs; remove them, or fill in the sheet.", Zh: "作业之间有空行，或没有作业；请删除空行或填写。"},
			Rationale: report.Text{En: "Many an import stops at the first empty row: what stands below is lost.", Zh: "许多导入程序遇到第一个空行即停止，其下内容会丢失。"},
		}, gapsAndNoRows},
		{report.Rule{ID: "XLS032", Severity: w,
			Message:   report.Text{En: "The workbook has macros or takes values from other files; save it without.", Zh: "工作簿含有宏或引用外部文件；请去除后保存。"},
			Rationale: report.Text{En: "What macros do and other files say is not part of what was checked.", Zh: "宏的行为和外部文件的内容不在检查范围内。"},
		}, linksAndMacros},
	}
	for i := range list {
		r := &list[i].Rule
		r.Syntax = "yaml"
		if text, err := examples.ReadFile("catalogue/" + r.ID + ".yaml"); err == nil { // a test looks for those that are missing
			r.Bad, r.Good, _ = strings.Cut(string(text), "---\n")
		}
	}
	return list
}
