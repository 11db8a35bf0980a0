package excel

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/cron"
)

// Rules of when jobs run, and of what they run.

var cycleWords = map[cron.Cycle]report.Text{
	cron.Minute:  {En: "minute", Zh: "分钟"},
	cron.Hour:    {En: "hour", Zh: "小时"},
	cron.Day:     {En: "day", Zh: "日"},
	cron.Week:    {En: "week", Zh: "周"},
	cron.Month:   {En: "month", Zh: "月"},
	cron.Quarter: {En: "quarter", Zh: "季"},
	cron.Year:    {En: "year", Zh: "年"},
	cron.Once:    {En: "once", Zh: "一次性"},
}

// fitting remembers what fits an expression: most jobs share a few.
func (c *check) fitting(expr string) []cron.Cycle {
	fit, known := c.fit[expr]
	if !known {
		fit = cron.Cycles(expr)
		c.fit[expr] = fit
	}
	return fit
}

// cycleOf reads the cycle of a job: what its cell says, or else what its cron
// expression leaves no doubt of.
func (t *template) cycleOf(c *check, r *row) (cron.Cycle, bool) {
	if text := r.cells[fieldCycle]; text != "" {
		return t.cycleWord(text)
	}
	if fit := c.fitting(r.cells[fieldCron]); len(fit) == 1 {
		return fit[0], true
	}
	return "", false
}

// cycleWord knows the words of the profile, and what begins with one that begins
// with 每 (every), such as 每月5日.
func (t *template) cycleWord(text string) (cron.Cycle, bool) {
	word := normaliseWord(text)
	cycle, known := t.cycles[word]
	if known || !strings.HasPrefix(word, "每") {
		return cycle, known
	}
	longest := ""
	for known, c := range t.cycles {
		if strings.HasPrefix(known, "每") && strings.HasPrefix(word, known) && len(known) > len(longest) {
			longest, cycle = known, c
		}
	}
	return cycle, longest != ""
}

func invalidCron(c *check) {
	fine := map[string]bool{}
	c.eachJobTable(func(t *table) {
		for i := range t.rows {
			r := t.rows[i]
			expr := r.cells[fieldCron]
			if expr == "" || fine[expr] {
				continue
			}
			problem, bad := cron.Problem(expr)
			fine[expr] = !bad
			if bad {
				c.atRow(t, r, fieldCron, c.rule.Severity, "", report.Text{
					En: fmt.Sprintf("The cron expression %q is invalid: %s. Correct it.", clip(expr), problem.En),
					Zh: fmt.Sprintf("cron 表达式“%s”非法：%s。请更正。", clip(expr), problem.Zh),
				})
			}
		}
	})
}

func cycleValue(c *check) {
	c.eachJobTable(func(t *table) {
		for i := range t.rows {
			r := t.rows[i]
			text := r.cells[fieldCycle]
			if text == "" {
				continue
			}
			cycle, known := c.template.cycleWord(text)
			name := jobIn(r)
			if !known {
				c.atRow(t, r, fieldCycle, c.rule.Severity, "", report.Text{
					En: fmt.Sprintf("%s has the cycle %q, which is not known; write one of %s.", name.En, clip(oneLine(text)), c.template.cycleList()),
					Zh: fmt.Sprintf("%s的调度周期“%s”无法识别；可填写：%s。", name.Zh, clip(oneLine(text)), c.template.cycleList()),
				})
				continue
			}
			expr := r.cells[fieldCron]
			fit := c.fitting(expr)
			if len(fit) == 0 || cycle == cron.Once || slices.Contains(fit, cycle) {
				continue
			}
			c.atRow(t, r, fieldCycle, c.rule.Severity, "cron", report.Text{
				En: fmt.Sprintf("%s has the cycle %q, but the cron expression %q runs every %s; correct one of them.", name.En, clip(oneLine(text)), clip(expr), cycleWords[fit[0]].En),
				Zh: fmt.Sprintf("%s的调度周期为“%s”，但 cron 表达式“%s”按%s执行；请更正其中之一。", name.Zh, clip(oneLine(text)), clip(expr), cycleWords[fit[0]].Zh),
			})
		}
	})
}

// cycleList shows a word or two for each cycle.
func (t *template) cycleList() string {
	var out []string
	for _, name := range cycleNames {
		if words := t.Cycles[name]; len(words) > 0 {
			shown := words[:1]
			if last := words[len(words)-1]; last != words[0] && len(last) <= 3 {
				shown = append(slices.Clone(shown), strings.ToUpper(last))
			}
			out = append(out, strings.Join(shown, "/"))
		}
	}
	return strings.Join(out, ", ")
}

func unknownType(c *check) {
	near := map[string]string{}
	known := slices.Sorted(maps.Keys(c.template.JobTypes))
	c.eachJobTable(func(t *table) {
		for i := range t.rows {
			r := t.rows[i]
			text := r.cells[fieldType]
			word := normaliseWord(text)
			if text == "" || c.template.types[word] != "" || c.template.virtual[word] {
				continue
			}
			meant, judged := near[word]
			if !judged {
				meant = c.template.nearestType(word)
				near[word] = meant
			}
			name := jobIn(r)
			hint := report.Text{
				En: "known are " + strings.Join(known, ", "),
				Zh: "已知的类型有：" + strings.Join(known, "、"),
			}
			if meant != "" {
				hint = report.Text{En: fmt.Sprintf("was %q meant?", meant), Zh: fmt.Sprintf("是否应为“%s”？", meant)}
			}
			c.atRow(t, r, fieldType, c.rule.Severity, "", report.Text{
				En: fmt.Sprintf("%s has the unknown type %q; %s", name.En, clip(oneLine(text)), ended(hint.En, ".")),
				Zh: fmt.Sprintf("%s的类型“%s”未知；%s", name.Zh, clip(oneLine(text)), ended(hint.Zh, "。")),
			})
		}
	})
}

// ended closes a sentence that is not a question.
func ended(s, stop string) string {
	if strings.HasSuffix(s, "?") || strings.HasSuffix(s, "？") {
		return s
	}
	return s + stop
}

func (t *template) nearestType(word string) string {
	if len(word) < 3 || len(word) > 60 {
		return ""
	}
	for _, known := range t.typeWords {
		if len(known) >= 3 && distance(word, known, 1) == 1 {
			return known
		}
	}
	return ""
}

// scriptCheck is what the jobs of the package name, found or not.
type scriptCheck struct {
	used    map[string]bool // paths in the package
	bases   map[string]bool // lower-case names, wherever they are mentioned
	folders map[string]bool // folder and ending of those that were found
}

// scripts goes over all scripts that jobs name; each is called for those that
// should be in the package.
func (c *check) scripts(each func(t *table, r *row, ref scriptRef, found string, caseOnly bool)) scriptCheck {
	s := scriptCheck{used: map[string]bool{}, bases: map[string]bool{}, folders: map[string]bool{}}
	note := func(p string) (string, bool) {
		found, caseOnly := c.files.lookup(p)
		s.bases[strings.ToLower(path.Base(p))] = true
		if found != "" {
			s.used[found] = true
			s.folders[path.Dir(found)+"|"+strings.ToLower(path.Ext(found))] = true
		}
		return found, caseOnly
	}
	c.eachJobTable(func(t *table) {
		for i := range t.rows {
			r := t.rows[i]
			if ref, ok := c.template.scriptOf(r); ok {
				found, caseOnly := note(ref.path)
				if each != nil && ref.inside {
					each(t, r, ref, found, caseOnly)
				}
			}
			for _, f := range []field{fieldCommand, fieldParams, fieldScript} {
				if r.cells[f] == "" {
					continue
				}
				for _, word := range c.template.scriptsIn(r.cells[f]) {
					p, _ := c.template.inPackage(word)
					note(p)
				}
			}
		}
	})
	return s
}

func missingScript(c *check) {
	inPackage := c.template.Scripts.InPackage
	if inPackage == "never" {
		return
	}
	type elsewhere struct {
		cells
		endings []string
	}
	missing := map[*table]*elsewhere{}
	c.scripts(func(t *table, r *row, ref scriptRef, found string, caseOnly bool) {
		name := jobIn(r)
		switch {
		case found != "" && !caseOnly:
		case found == "" && inPackage == "auto" && !c.files.endings[ref.ext]:
			if missing[t] == nil {
				missing[t] = &elsewhere{}
			}
			missing[t].add(r)
			if !slices.Contains(missing[t].endings, ref.ext) {
				missing[t].endings = append(missing[t].endings, ref.ext)
			}
		case caseOnly:
			c.atRow(t, r, ref.field, report.Warning, "case", report.Text{
				En: fmt.Sprintf("%s runs %q, which the package holds as %q: on Linux these are two files. Write it alike.", name.En, clip(ref.path), clip(found)),
				Zh: fmt.Sprintf("%s的脚本“%s”在安装包中为“%s”，仅大小写不同：在 Linux 上是两个文件。请统一写法。", name.Zh, clip(ref.path), clip(found)),
			})
		default:
			c.atRow(t, r, ref.field, c.rule.Severity, "", report.Text{
				En: fmt.Sprintf("%s runs %q, which is not in the package; add the script or correct the path.", name.En, clip(ref.path)),
				Zh: fmt.Sprintf("%s的脚本“%s”不在安装包中；请补充脚本或更正路径。", name.Zh, clip(ref.path)),
			})
		}
	})
	for _, t := range c.tables {
		s := missing[t]
		if s == nil {
			continue
		}
		ref, _ := c.template.scriptOf(s.first)
		jobs := "1 job of this sheet names one"
		if s.count > 1 {
			jobs = fmt.Sprintf("%d jobs of this sheet name some", s.count)
		}
		at := cellOf(t, s.first, ref.field)
		c.at(t, s.first.number, ref.field, report.Warning, "|"+fields[ref.field].name, report.Text{
			En: fmt.Sprintf("The package holds no scripts that end in %s, and %s (first in %s); add them, or say that they are delivered elsewhere (scripts: inPackage: never).", strings.Join(s.endings, ", "), jobs, at),
			Zh: fmt.Sprintf("安装包中没有扩展名为 %s 的脚本，而该表有 %d 个作业引用了此类脚本（首个在 %s）；请补充脚本，或在配置中声明脚本另行交付（scripts: inPackage: never）。", strings.Join(s.endings, "、"), s.count, at),
		})
	}
}

func scriptOfOtherType(c *check) {
	c.eachJobTable(func(t *table) {
		for i := range t.rows {
			r := t.rows[i]
			kind := c.template.types[normaliseWord(r.cells[fieldType])]
			endings := c.template.JobTypes[kind].Scripts
			ref, ok := c.template.scriptOf(r)
			if !ok || len(endings) == 0 || slices.Contains(endings, ref.ext) {
				continue
			}
			name := jobIn(r)
			c.atRow(t, r, ref.field, c.rule.Severity, "", report.Text{
				En: fmt.Sprintf("%s is of type %q and runs a script that ends in %s; for this type %s are usual. Correct the type or the script.", name.En, clip(oneLine(r.cells[fieldType])), ref.ext, strings.Join(endings, ", ")),
				Zh: fmt.Sprintf("%s的类型为“%s”，但脚本扩展名为 %s；该类型通常为 %s。请更正类型或脚本。", name.Zh, clip(oneLine(r.cells[fieldType])), ref.ext, strings.Join(endings, "、")),
			})
		}
	})
}

// unusedScript looks only where jobs take their scripts from: beside those that
// are used, and among files of the same kind.
func unusedScript(c *check) {
	s := c.scripts(nil)
	for _, file := range c.files.scripts {
		if s.used[file] || s.bases[strings.ToLower(path.Base(file))] || !s.folders[path.Dir(file)+"|"+strings.ToLower(path.Ext(file))] {
			continue
		}
		c.add(placed{Finding: report.Finding{
			Severity: c.rule.Severity, Path: file, Anchor: "unused",
			Message: report.Text{
				En: "No job runs this script, while jobs run others of its folder; add a job for it, or leave it out of the package.",
				Zh: "没有作业引用该脚本，而同目录的其他脚本均有作业引用；请补充作业，或从安装包中移除。",
			},
		}})
	}
}
