package excel

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/xlsx"
)

// Rules of workbooks, sheets and single cells.

func unreadableWorkbook(c *check) {
	for _, u := range c.unreadable {
		var message report.Text
		switch u.err.Fault {
		case xlsx.Encrypted:
			message = report.Text{
				En: "The workbook is encrypted and cannot be checked; save it without a password.",
				Zh: "工作簿已加密，无法检查；请取消密码后重新保存。",
			}
		case xlsx.Legacy:
			message = report.Text{
				En: fmt.Sprintf("The workbook is no .xlsx (%s) and cannot be checked; convert to .xlsx.", u.err.Message),
				Zh: fmt.Sprintf("工作簿不是 .xlsx 格式（%s），无法检查；请转换为 .xlsx。", u.err.MessageZH),
			}
		default:
			message = report.Text{
				En: fmt.Sprintf("The workbook is corrupt and cannot be checked: %s. Open it in Excel and save it again.", u.err.Message),
				Zh: fmt.Sprintf("工作簿已损坏，无法检查：%s。请用 Excel 打开并重新保存。", u.err.MessageZH),
			}
		}
		c.add(placed{Finding: report.Finding{Severity: c.rule.Severity, Message: message, Path: u.path, Anchor: "workbook"}})
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
			c.at(t, t.header.row, need.fields[0], c.rule.Severity, "|"+fields[need.fields[0]].name, report.Text{
				En: fmt.Sprintf("Sheet %q has no column for %s in its header row %d; accepted headers: %s.", t.sheet, need.label.En, t.header.row, accepted),
				Zh: fmt.Sprintf("工作表“%s”的表头（第 %d 行）缺少必填列：%s；可用的表头：%s。", t.sheet, t.header.row, need.label.Zh, accepted),
			})
		}
	}
}

func duplicateHeader(c *check) {
	for _, t := range c.tables {
		for _, odd := range t.header.odd {
			if odd.twice == 0 {
				continue
			}
			first := xlsx.CellName(odd.twice, t.header.row)
			message := report.Text{
				En: fmt.Sprintf("The header %q stands here and in %s; an import keeps one of the two columns. Rename or remove one.", odd.text, first),
				Zh: fmt.Sprintf("表头“%s”重复，与 %s 相同；导入时只会保留其中一列，请改名或删除一列。", odd.text, first),
			}
			if odd.field < fieldCount {
				message = report.Text{
					En: fmt.Sprintf("The header %q means the %s, as does %s; only the first of the two columns is read. Keep one.", odd.text, fields[odd.field].label.En, first),
					Zh: fmt.Sprintf("表头“%s”与 %s 都表示“%s”，只读取前一列；请只保留一列。", odd.text, first, fields[odd.field].label.Zh),
				}
			}
			c.atColumn(t, t.header.row, odd.column, c.rule.Severity, "|"+normaliseHeader(odd.text), message)
		}
	}
}

func unknownHeader(c *check) {
	for _, t := range c.tables {
		for _, odd := range t.header.odd {
			if odd.twice > 0 {
				continue
			}
			message := report.Text{
				En: fmt.Sprintf("The column %q is not part of the template and is not read; remove it, or add it to the profile (ignoreColumns).", odd.text),
				Zh: fmt.Sprintf("列“%s”不属于模板，不会被读取；请删除该列，或将其加入配置的 ignoreColumns。", odd.text),
			}
			if odd.near < fieldCount {
				message = report.Text{
					En: fmt.Sprintf("The column %q is not part of the template; was %q meant? Correct the header, or the column is not read.", odd.text, odd.alias),
					Zh: fmt.Sprintf("列“%s”不属于模板，是否应为“%s”？请更正表头，否则该列不会被读取。", odd.text, odd.alias),
				}
			}
			c.atColumn(t, t.header.row, odd.column, c.rule.Severity, "|"+normaliseHeader(odd.text), message)
		}
	}
}

// jobIn names the job of a row for a message, if it has a name.
func jobIn(r *row) report.Text {
	if name := r.cells[fieldJob]; name != "" {
		return report.Text{En: fmt.Sprintf("Job %q", clip(name)), Zh: fmt.Sprintf("作业“%s”", clip(name))}
	}
	return report.Text{En: fmt.Sprintf("The job in row %d", r.number), Zh: fmt.Sprintf("第 %d 行的作业", r.number)}
}

func emptyCell(c *check) {
	for _, t := range c.tables {
		_, needs := t.missing(c.template)
		for i := range t.rows {
			r := t.rows[i]
			if r.marks[fieldJob]&markMerged != 0 {
				continue // goes on with the row above
			}
			for _, need := range needs {
				if c.template.metBy(need, r) || need.ownerOnly() {
					continue
				}
				// The place is the first of the columns that the table has.
				at := need.fields[slices.IndexFunc(need.fields, t.header.has)]
				en, zh := "The job", "作业"
				if name := r.cells[fieldJob]; name != "" {
					en, zh = fmt.Sprintf("Job %q", clip(name)), fmt.Sprintf("作业“%s”", clip(name))
				}
				c.atRow(t, r, at, c.rule.Severity, "", report.Text{
					En: fmt.Sprintf("%s in row %d does not say %s; the cell is required.", en, r.number, need.label.En),
					Zh: fmt.Sprintf("第 %d 行%s未填写%s，该单元格必填。", r.number, zh, need.label.Zh),
				})
			}
		}
	}
}

// ownerOnly: an empty owner is XLS025's.
func (n requirement) ownerOnly() bool { return len(n.fields) == 1 && n.fields[0] == fieldOwner }

func owner(c *check) {
	p := c.template.profile
	required := slices.ContainsFunc(c.template.required, requirement.ownerOnly)
	c.eachJobTable(func(t *table) {
		if !t.header.has(fieldOwner) {
			return
		}
		for i := range t.rows {
			r := t.rows[i]
			value := r.cells[fieldOwner]
			switch {
			case value == "" && r.marks[fieldOwner]&markFormula != 0, r.marks[fieldJob]&markMerged != 0:
			case value == "" && required:
				name := jobIn(r)
				c.atRow(t, r, fieldOwner, c.rule.Severity, "", report.Text{
					En: name.En + " has no owner; say whom to call when it fails.",
					Zh: name.Zh + "没有负责人；请填写失败时应联系的人。",
				})
			case value != "":
				for _, one := range splitList(value) {
					if c.template.ownerAllowed(one) {
						continue
					}
					name := jobIn(r)
					message := report.Text{
						En: fmt.Sprintf("%s belongs to %q, who is not on the list of owners.", name.En, clip(one)),
						Zh: fmt.Sprintf("%s的负责人“%s”不在负责人名单中。", name.Zh, clip(one)),
					}
					if c.template.ownerPattern != nil {
						message = report.Text{
							En: fmt.Sprintf("%s belongs to %q, which is no owner as they are written here (%s).", name.En, clip(one), p.Owners.Pattern),
							Zh: fmt.Sprintf("%s的负责人“%s”不符合规定的写法（%s）。", name.Zh, clip(one), p.Owners.Pattern),
						}
					}
					c.atRow(t, r, fieldOwner, c.rule.Severity, clip(one), message)
				}
			}
		}
	})
}

func (t *template) ownerAllowed(name string) bool {
	return t.ownerPattern == nil && len(t.ownerList) == 0 ||
		t.ownerPattern != nil && t.ownerPattern.MatchString(name) || t.ownerList[normaliseWord(name)]
}

func illegalName(c *check) {
	p := c.template.profile
	c.eachJobTable(func(t *table) {
		for i := range t.rows {
			r := t.rows[i]
			if r.marks[fieldJob]&markMerged != 0 {
				continue
			}
			for _, f := range keyFields {
				name := r.cells[f]
				if n := utf8.RuneCountInString(name); n > p.Names.Longest {
					c.atRow(t, r, f, c.rule.Severity, "length", report.Text{
						En: fmt.Sprintf("The %s %q has %d characters; at most %d are allowed.", fields[f].label.En, clip(oneLine(name)), n, p.Names.Longest),
						Zh: fmt.Sprintf("%s“%s”长度为 %d 个字符，最多允许 %d 个。", fields[f].label.Zh, clip(oneLine(name)), n, p.Names.Longest),
					})
				}
			}
			name := r.cells[fieldJob]
			at := strings.IndexFunc(name, func(x rune) bool { return unicode.IsControl(x) || strings.ContainsRune(p.Names.Illegal, x) })
			if at < 0 {
				continue
			}
			x, _ := utf8.DecodeRuneInString(name[at:])
			en, zh := fmt.Sprintf("%q", x), fmt.Sprintf("“%c”", x)
			if unicode.IsControl(x) {
				en, zh = "a line break", "换行符"
				if x != '\n' && x != '\r' {
					en, zh = "a control character", "控制字符"
				}
			}
			c.atRow(t, r, fieldJob, c.rule.Severity, "", report.Text{
				En: fmt.Sprintf("The job name %q holds %s, which schedulers take for something else; rename the job.", clip(oneLine(name)), en),
				Zh: fmt.Sprintf("作业名“%s”含有%s，调度系统会误解该字符；请更改作业名。", clip(oneLine(name)), zh),
			})
		}
	})
}

func untidyKey(c *check) {
	for _, t := range c.tables {
		for i := range t.rows {
			r := t.rows[i]
			for _, f := range []field{fieldProject, fieldFlow, fieldJob, fieldPreProject, fieldPreFlow} {
				if r.marks[f]&markUntidy == 0 || r.cells[f] == "" {
					continue
				}
				c.atRow(t, r, f, c.rule.Severity, "", report.Text{
					En: fmt.Sprintf("The %s %q has spaces around it, or characters within that cannot be seen; a scheduler that does not take them off knows no such name. Type it anew.", fields[f].label.En, clip(oneLine(r.cells[f]))),
					Zh: fmt.Sprintf("%s“%s”的首尾有空白，或含有不可见字符；不会去除这些字符的调度系统将无法匹配该名称，请重新输入。", fields[f].label.Zh, clip(oneLine(r.cells[f]))),
				})
			}
		}
	}
}

func numberRange(c *check) {
	c.eachJobTable(func(t *table) {
		for i := range t.rows {
			r := t.rows[i]
			for _, f := range numberFields {
				value := r.cells[f]
				if value == "" || f == fieldPriority && c.template.priorities[normaliseWord(value)] {
					continue
				}
				within, limited := c.template.Ranges[fields[f].name]
				n, whole := wholeNumber(value)
				if whole && (!limited || n >= within[0] && n <= within[1]) {
					continue
				}
				name := jobIn(r)
				message := report.Text{
					En: fmt.Sprintf("%s has the %s %q, which is no whole number; write digits only.", name.En, fields[f].label.En, clip(oneLine(value))),
					Zh: fmt.Sprintf("%s的%s“%s”不是整数；请只填写数字。", name.Zh, fields[f].label.Zh, clip(oneLine(value))),
				}
				if whole {
					message = report.Text{
						En: fmt.Sprintf("%s has the %s %d; it must be from %d to %d.", name.En, fields[f].label.En, n, within[0], within[1]),
						Zh: fmt.Sprintf("%s的%s为 %d，应在 %d～%d 之间。", name.Zh, fields[f].label.Zh, n, within[0], within[1]),
					}
				}
				c.atRow(t, r, f, c.rule.Severity, "", message)
			}
		}
	})
}

func timeoutAndRetry(c *check) {
	c.eachJobTable(func(t *table) {
		var endless, once cells
		for i := range t.rows {
			r := t.rows[i]
			if on, known := c.template.booleans[normaliseWord(r.cells[fieldEnabled])]; known && !on || c.template.virtual[normaliseWord(r.cells[fieldType])] {
				continue
			}
			if t.header.has(fieldTimeout) && r.marks[fieldTimeout]&markFormula == 0 {
				if n, ok := wholeNumber(r.cells[fieldTimeout]); r.cells[fieldTimeout] == "" || ok && n <= 0 {
					endless.add(r)
				}
			}
			if n, ok := wholeNumber(r.cells[fieldRetry]); ok && n == 0 {
				once.add(r)
			} else if within := c.template.Ranges[fields[fieldRetry].name]; ok && n > c.template.RetryMost && (len(within) == 0 || n <= within[1]) {
				name := jobIn(r)
				c.atRow(t, r, fieldRetry, c.rule.Severity, "", report.Text{
					En: fmt.Sprintf("%s is tried again %d times; more than %d only delay the alarm.", name.En, n, c.template.RetryMost),
					Zh: fmt.Sprintf("%s失败后会重试 %d 次；超过 %d 次只会推迟告警。", name.Zh, n, c.template.RetryMost),
				})
			}
		}
		if endless.count > 0 {
			at := endless.text(t, fieldTimeout)
			c.atColumnOf(t, &endless, fieldTimeout, "", report.Text{
				En: fmt.Sprintf("No timeout in %s: a job that hangs there holds its slot until somebody sees it. Give each job a number of minutes.", at.En),
				Zh: fmt.Sprintf("%s未设置超时时间：作业挂起后会一直占用资源，直到有人发现。请为每个作业填写分钟数。", at.Zh),
			})
		}
		if once.count > 0 {
			at := once.text(t, fieldRetry)
			c.atColumnOf(t, &once, fieldRetry, "", report.Text{
				En: fmt.Sprintf("No retry in %s: a short fault of the network fails the job there. Allow at least one.", at.En),
				Zh: fmt.Sprintf("%s的重试次数为 0：网络瞬断即会导致作业失败。请至少允许重试一次。", at.Zh),
			})
		}
	})
}

func mergedCells(c *check) {
	for _, t := range c.tables {
		type span struct {
			first xlsx.Range
			count int
		}
		byColumn := map[int]*span{}
		for _, m := range t.merged {
			if s := byColumn[m.FirstColumn]; s != nil {
				s.count++
			} else {
				byColumn[m.FirstColumn] = &span{m, 1}
			}
		}
		for column, s := range byColumn {
			area := xlsx.CellName(s.first.FirstColumn, s.first.FirstRow) + ":" + xlsx.CellName(s.first.LastColumn, s.first.LastRow)
			more := report.Text{}
			if s.count > 1 {
				more = report.Text{En: fmt.Sprintf(" and %d more of this column", s.count-1), Zh: fmt.Sprintf(" 等该列 %d 处", s.count)}
			}
			c.atColumn(t, s.first.FirstRow, column, c.rule.Severity, "|"+t.fieldIn(column), report.Text{
				En: fmt.Sprintf("The cells %s%s are merged: only the first of them holds a value, and an import finds the others empty. Take the merging off and fill in each row.", area, more.En),
				Zh: fmt.Sprintf("单元格 %s%s 被合并：只有首个单元格有值，导入时其余为空。请取消合并并逐行填写。", area, more.Zh),
			})
		}
	}
}

// fieldIn names a column for an anchor.
func (t *table) fieldIn(column int) string {
	for f, at := range t.header.columns {
		if at == column {
			return fields[f].name
		}
	}
	return xlsx.CellName(column, 1)
}

// formulaFields are those whose value an import must not have to compute.
var formulaFields = []field{fieldProject, fieldFlow, fieldJob, fieldDependsOn, fieldCron}

// valueIn names a value of a row for a message.
func valueIn(r *row, f field) report.Text {
	label := fields[f].label
	if name := r.cells[fieldJob]; name != "" && f != fieldJob {
		return report.Text{En: fmt.Sprintf("The %s of job %q", label.En, clip(name)), Zh: fmt.Sprintf("作业“%s”的%s", clip(name), label.Zh)}
	}
	return report.Text{En: fmt.Sprintf("The %s in row %d", label.En, r.number), Zh: fmt.Sprintf("第 %d 行的%s", r.number, label.Zh)}
}

func formulas(c *check) {
	for _, t := range c.tables {
		for _, f := range formulaFields {
			var computed cells
			for i := range t.rows {
				r := t.rows[i]
				switch m := r.marks[f]; {
				case m&markFailed != 0:
					name := valueIn(r, f)
					c.atRow(t, r, f, report.Error, "failed", report.Text{
						En: fmt.Sprintf("%s is a formula that fails (#REF! or the like); write the value itself.", name.En),
						Zh: fmt.Sprintf("%s是计算出错的公式（如 #REF!）；请直接填写值。", name.Zh),
					})
				case m&markUnknown != 0:
					name := valueIn(r, f)
					c.atRow(t, r, f, report.Error, "unknown", report.Text{
						En: fmt.Sprintf("%s is a formula whose value was not saved, so an import finds the cell empty; open the workbook in Excel and save it, or write the value itself.", name.En),
						Zh: fmt.Sprintf("%s是未保存计算结果的公式，导入时该单元格为空；请用 Excel 打开并保存，或直接填写值。", name.Zh),
					})
				case m&markFormula != 0:
					computed.add(r)
				}
			}
			if computed.count > 0 {
				at := computed.text(t, f)
				c.atColumnOf(t, &computed, f, "", report.Text{
					En: fmt.Sprintf("The %s is computed by a formula in %s; it changes when other cells do, and what was checked is only what was last saved. Paste it as a value.", fields[f].label.En, at.En),
					Zh: fmt.Sprintf("%s的%s由公式计算：其他单元格变化时会随之改变，此处检查的只是上次保存的结果。请粘贴为值。", at.Zh, fields[f].label.Zh),
				})
			}
		}
	}
}

func hiddenData(c *check) {
	for _, t := range c.tables {
		if len(t.rows) == 0 {
			continue
		}
		if t.hidden {
			c.at(t, t.header.row, fieldJob, c.rule.Severity, "|hidden", report.Text{
				En: fmt.Sprintf("Sheet %q is hidden and holds jobs or dependencies (rows: %d), which are imported all the same; show it or remove it.", t.sheet, len(t.rows)),
				Zh: fmt.Sprintf("工作表“%s”被隐藏，但其中有 %d 行作业或依赖，仍会被导入；请取消隐藏或删除。", t.sheet, len(t.rows)),
			})
		}
		var hidden cells
		for i := range t.rows {
			if t.rows[i].hidden {
				hidden.add(t.rows[i])
			}
		}
		if hidden.count > 0 {
			rows := report.Text{En: fmt.Sprintf("Row %d is", hidden.first.number), Zh: fmt.Sprintf("第 %d 行", hidden.first.number)}
			if hidden.count > 1 {
				rows = report.Text{En: fmt.Sprintf("Row %d and %d more are", hidden.first.number, hidden.count-1), Zh: fmt.Sprintf("第 %d 行等共 %d 行", hidden.first.number, hidden.count)}
			}
			c.at(t, hidden.first.number, fieldJob, c.rule.Severity, "|hidden rows", report.Text{
				En: rows.En + " hidden (a filter hides rows too) and imported all the same; show them or remove them.",
				Zh: rows.Zh + "被隐藏（筛选也会隐藏行），但仍会被导入；请取消隐藏或删除。",
			})
		}
		for f, column := range t.header.columns {
			covered := slices.ContainsFunc(t.hiddenColumns, func(r xlsx.Range) bool { return column >= r.FirstColumn && column <= r.LastColumn })
			filled := func(r *row) bool { return r.cells[f] != "" }
			if column == 0 || !covered || !slices.ContainsFunc(t.rows, filled) {
				continue
			}
			c.at(t, t.header.row, field(f), c.rule.Severity, "|hidden "+fields[f].name, report.Text{
				En: fmt.Sprintf("The column of the %s is hidden and imported all the same; show it, so that people see what they sign.", fields[f].label.En),
				Zh: fmt.Sprintf("%s列被隐藏，但仍会被导入；请取消隐藏，以便审核人看到全部内容。", fields[f].label.Zh),
			})
		}
	}
}

func numberAsName(c *check) {
	for _, t := range c.tables {
		for _, f := range keyFields {
			var numbers, dates cells
			for i := range t.rows {
				r := t.rows[i]
				if r.marks[f]&markNumber != 0 {
					numbers.add(r)
				}
				if r.marks[f]&markDate != 0 {
					dates.add(r)
				}
			}
			if numbers.count > 0 {
				at := numbers.text(t, f)
				c.atColumnOf(t, &numbers, f, "number", report.Text{
					En: fmt.Sprintf("The %s is stored as a number in %s (%s): leading zeros and digits beyond the 15th are lost. Format the column as text and type it anew.", fields[f].label.En, at.En, clip(numbers.first.cells[f])),
					Zh: fmt.Sprintf("%s以数字存储（%s值为 %s）：前导零和第 15 位之后的数字会丢失。请将该列设为文本格式后重新输入。", fields[f].label.Zh, at.Zh, clip(numbers.first.cells[f])),
				})
			}
			if dates.count > 0 {
				at := dates.text(t, f)
				c.atColumnOf(t, &dates, f, "date", report.Text{
					En: fmt.Sprintf("The %s has become a date in %s (%s); format the column as text and type it anew.", fields[f].label.En, at.En, clip(dates.first.cells[f])),
					Zh: fmt.Sprintf("%s被 Excel 转成了日期（%s值为 %s）；请将该列设为文本格式后重新输入。", fields[f].label.Zh, at.Zh, clip(dates.first.cells[f])),
				})
			}
		}
	}
}

func plainPassword(c *check) {
	for _, b := range c.books {
		for _, s := range b.secrets {
			more := report.Text{}
			if s.count > 1 {
				more = report.Text{En: fmt.Sprintf(" (and %d more below)", s.count-1), Zh: fmt.Sprintf("（其下还有 %d 处）", s.count-1)}
			}
			c.add(placed{report.Finding{
				Severity: c.rule.Severity, Path: b.path, Cell: cellName(s.sheet, s.column, s.row), Anchor: s.sheet + "||" + normaliseHeader(s.label),
				Message: report.Text{
					En: fmt.Sprintf("A password or key stands here in plain text, under %q%s; change it, and refer to it by a name that the scheduler resolves, such as ${db_password}.", s.label, more.En),
					Zh: fmt.Sprintf("“%s”处有明文密码或密钥%s；请更换该密码，并改为引用由调度系统解析的名称，如 ${db_password}。", s.label, more.Zh),
				},
			}, s.order, s.row, s.column})
		}
	}
	for _, t := range c.tables {
		for i := range t.rows {
			if c.ctx.Err() != nil {
				return
			}
			r := t.rows[i]
			for _, f := range []field{fieldCommand, fieldParams, fieldScript} {
				if !commandSecret(r.cells[f]) {
					continue
				}
				name := jobIn(r)
				c.atRow(t, r, f, c.rule.Severity, "", report.Text{
					En: fmt.Sprintf("%s: a password or key stands in the %s in plain text; change it, and refer to it by a name that the scheduler resolves, such as ${db_password}.", name.En, fields[f].label.En),
					Zh: fmt.Sprintf("%s的%s中有明文密码或密钥；请更换该密码，并改为引用由调度系统解析的名称，如 ${db_password}。", name.Zh, fields[f].label.Zh),
				})
			}
		}
	}
}

func gapsAndNoRows(c *check) {
	for _, t := range c.tables {
		switch {
		case len(t.rows) == 0 && t.header.kind == jobTable:
			c.at(t, t.header.row, fieldJob, c.rule.Severity, "|empty", report.Text{
				En: fmt.Sprintf("Sheet %q has a header and no jobs below it; fill it in or remove it.", t.sheet),
				Zh: fmt.Sprintf("工作表“%s”只有表头，没有作业；请填写或删除。", t.sheet),
			})
		case t.gapCount > 0:
			gap := t.gaps[0]
			rows := report.Text{En: fmt.Sprintf("Row %d says nothing", gap.from), Zh: fmt.Sprintf("第 %d 行没有内容", gap.from)}
			if gap.to > gap.from {
				rows = report.Text{En: fmt.Sprintf("Rows %d to %d say nothing", gap.from, gap.to), Zh: fmt.Sprintf("第 %d～%d 行没有内容", gap.from, gap.to)}
			}
			more := report.Text{}
			if t.gapCount > 1 {
				more = report.Text{En: fmt.Sprintf(" (the first of %d gaps)", t.gapCount), Zh: fmt.Sprintf("（共 %d 处空行）", t.gapCount)}
			}
			c.at(t, gap.from, fieldJob, c.rule.Severity, "|gap", report.Text{
				En: rows.En + more.En + ", and jobs follow below: many an import stops at the first empty row. Remove them.",
				Zh: rows.Zh + more.Zh + "，但其下还有作业：许多导入程序遇到第一个空行即停止。请删除空行。",
			})
		}
	}
}

func linksAndMacros(c *check) {
	for _, b := range c.books {
		if b.macros {
			c.add(placed{Finding: report.Finding{Severity: c.rule.Severity, Path: b.path, Anchor: "macros", Message: report.Text{
				En: "The workbook has macros, which were not checked and may change it; save it as .xlsx without them.",
				Zh: "工作簿含有宏，宏未经检查且可能改变内容；请另存为不含宏的 .xlsx。",
			}}})
		}
		if len(b.links) > 0 {
			first := path.Base(strings.ReplaceAll(b.links[0], `\`, "/"))
			others := fmt.Sprintf("another file (%s)", clip(first))
			if len(b.links) > 1 {
				others = fmt.Sprintf("%d other files (first %s)", len(b.links), clip(first))
			}
			c.add(placed{Finding: report.Finding{Severity: c.rule.Severity, Path: b.path, Anchor: "links", Message: report.Text{
				En: fmt.Sprintf("The workbook takes values from %s, which are not in what was checked; paste the values in.", others),
				Zh: fmt.Sprintf("工作簿引用了 %d 个外部文件（首个为“%s”），其内容不在检查范围内；请将引用粘贴为值。", len(b.links), clip(first)),
			}}})
		}
	}
}
