package excel

import (
	_ "embed"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
)

// profile says how the workbooks of one kind of scheduler look, and which words
// and values it takes. The default one stands in default.yaml, which explains
// each key; the settings of the type are laid over it.
type profile struct {
	Columns       map[string][]string `yaml:"columns"`
	Required      [][]string          `yaml:"required"`
	IgnoreColumns []string            `yaml:"ignoreColumns"`
	Sheets        struct {
		Jobs         []string `yaml:"jobs"`
		Dependencies []string `yaml:"dependencies"`
	} `yaml:"sheets"`
	JobTypes     map[string]jobType  `yaml:"jobTypes"`
	VirtualTypes []string            `yaml:"virtualTypes"`
	Cycles       map[string][]string `yaml:"cycles"`
	Booleans     map[string][]string `yaml:"booleans"`
	Names        struct {
		Illegal string `yaml:"illegal"`
		Longest int    `yaml:"longest"`
	} `yaml:"names"`
	Owners struct {
		Pattern string   `yaml:"pattern"`
		List    []string `yaml:"list"`
	} `yaml:"owners"`
	Ranges     map[string][]int `yaml:"ranges"`
	Priorities []string         `yaml:"priorities"`
	RetryMost  int              `yaml:"retryMost"`
	Scripts    struct {
		InPackage string   `yaml:"inPackage"`
		Roots     []string `yaml:"roots"`
	} `yaml:"scripts"`
}

type jobType struct {
	Also    []string `yaml:"also"`
	Scripts []string `yaml:"scripts"`
}

//go:embed default.yaml
var defaultProfile []byte

// newProfile returns a default profile of one's own.
func newProfile() profile {
	var p profile
	if err := yaml.Unmarshal(defaultProfile, &p); err != nil {
		panic("scanners/excel/default.yaml: " + err.Error()) // a test reads it
	}
	return p
}

// problem is a setting that makes no sense: the keys that lead to it, and what
// may stand there.
type problem struct {
	keys []string
	text report.Text
}

// check says all that makes no sense.
func (p *profile) check() []problem {
	var wrong []problem
	refuse := func(en, zh string, keys ...string) {
		wrong = append(wrong, problem{keys, report.Text{En: strings.Join(keys, ": ") + ": " + en, Zh: strings.Join(keys, "：") + "：" + zh}})
	}
	known := func(names []string, kind report.Text, keys ...string) {
		name := keys[len(keys)-1]
		if !slices.Contains(names, name) {
			list := strings.Join(names, ", ")
			refuse(fmt.Sprintf("there is no such %s; there are %s", kind.En, list), fmt.Sprintf("没有这样的%s；可用的有 %s", kind.Zh, list), keys...)
		}
	}
	column := report.Text{En: "column", Zh: "列"}
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		known(fieldNames(), column, "columns", name)
	}
	if len(p.Columns["jobName"]) == 0 {
		refuse("at least one header is needed: a sheet is found by it", "至少需要一个表头：据此识别作业表", "columns", "jobName")
	}
	taken := map[string]string{}
	for _, name := range fieldNames() {
		for _, header := range p.Columns[name] {
			folded := normaliseHeader(header)
			if other, ok := taken[folded]; ok && other != name {
				refuse(fmt.Sprintf("the header %q already stands for %s", header, other), fmt.Sprintf("表头“%s”已用于 %s", header, other), "columns", name)
			}
			if folded == "" {
				refuse(fmt.Sprintf("the header %q says nothing (too long, or only a hint in brackets)", clip(header)), fmt.Sprintf("表头“%s”无效（过长，或仅有括号内的提示）", clip(header)), "columns", name)
			}
			taken[folded] = name
		}
	}
	for i, group := range p.Required {
		if len(group) == 0 {
			refuse(fmt.Sprintf("entry %d is empty; name the columns of which one is needed", i+1), fmt.Sprintf("第 %d 项为空；请列出至少需要其一的列", i+1), "required")
		}
		for _, name := range group {
			known(fieldNames(), column, "required", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Cycles)) {
		known(cycleNames, report.Text{En: "cycle", Zh: "周期"}, "cycles", name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Booleans)) {
		known([]string{"true", "false"}, report.Text{En: "value", Zh: "取值"}, "booleans", name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Ranges)) {
		known(rangeNames, report.Text{En: "range", Zh: "范围"}, "ranges", name)
		if r := p.Ranges[name]; len(r) != 2 || r[0] > r[1] {
			refuse("two numbers are needed, the least and the most, such as [0, 100]", "需要最小值和最大值两个数字，如 [0, 100]", "ranges", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.JobTypes)) {
		for _, ext := range p.JobTypes[name].Scripts {
			if ext != path.Ext(ext) || len(ext) < 2 || ext != strings.ToLower(ext) {
				refuse(fmt.Sprintf("%q is no ending of a file; write it like .sql", ext), fmt.Sprintf("“%s”不是文件扩展名；请写成 .sql 的形式", ext), "jobTypes", name, "scripts")
			}
		}
	}
	if p.Names.Longest < 1 {
		refuse("a number of characters above 0 is needed, such as 128", "需要大于 0 的字符数，如 128", "names", "longest")
	}
	if p.RetryMost < 0 {
		refuse("a number of retries of 0 or more is needed, such as 10", "需要大于等于 0 的重试次数，如 10", "retryMost")
	}
	if _, err := regexp.Compile(p.Owners.Pattern); err != nil {
		refuse(fmt.Sprintf("this is no regular expression: %v", err), fmt.Sprintf("不是合法的正则表达式：%v", err), "owners", "pattern")
	}
	if v := p.Scripts.InPackage; v != "auto" && v != "always" && v != "never" {
		refuse("one of auto, always, never is needed", "应为 auto、always 或 never", "scripts", "inPackage")
	}
	return wrong
}
