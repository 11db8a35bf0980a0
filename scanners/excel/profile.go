package excel

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// profile says how the workbooks of one kind of scheduler look, and which words
// and values it takes. The default one stands in default.yaml, which explains
// each key; the settings of the type are laid over it.
type profile struct {
	Columns       map[string][]string `yaml:"columns"`
	Required      [][]string          `yaml:"required"`
	IgnoreColumns []string            `yaml:"ignore_columns"`
	Sheets        struct {
		Jobs         []string `yaml:"jobs"`
		Dependencies []string `yaml:"dependencies"`
	} `yaml:"sheets"`
	JobTypes     map[string]jobType  `yaml:"job_types"`
	VirtualTypes []string            `yaml:"virtual_types"`
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
	RetryMost  int              `yaml:"retry_most"`
	Scripts    struct {
		InPackage string   `yaml:"in_package"`
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

// check says all that makes no sense, each with the way to it and what may
// stand there.
func (p *profile) check() error {
	var wrong []error
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		if _, ok := fieldNamed(name); !ok {
			refuse("columns: there is no column %q; there are %s", name, strings.Join(fieldNames(), ", "))
		}
	}
	if len(p.Columns["job_name"]) == 0 {
		refuse("columns: job_name: at least one header is needed: a sheet is found by it")
	}
	taken := map[string]string{}
	for _, name := range fieldNames() {
		for _, header := range p.Columns[name] {
			folded := normaliseHeader(header)
			if other, ok := taken[folded]; ok && other != name {
				refuse("columns: %s: the header %q already stands for %s", name, header, other)
			}
			if folded == "" {
				refuse("columns: %s: the header %q says nothing (too long, or only a hint in brackets)", name, header)
			}
			taken[folded] = name
		}
	}
	for i, group := range p.Required {
		if len(group) == 0 {
			refuse("required: entry %d is empty; name the columns of which one is needed", i+1)
		}
		for _, name := range group {
			if _, ok := fieldNamed(name); !ok {
				refuse("required: there is no column %q; there are %s", name, strings.Join(fieldNames(), ", "))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Cycles)) {
		if !slices.Contains(cycleNames, name) {
			refuse("cycles: there is no cycle %q; there are %s", name, strings.Join(cycleNames, ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Booleans)) {
		if name != "true" && name != "false" {
			refuse("booleans: there is no %q; there are true and false", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Ranges)) {
		switch r := p.Ranges[name]; {
		case !slices.Contains(rangeNames, name):
			refuse("ranges: there is no range of %q; there are those of %s", name, strings.Join(rangeNames, ", "))
		case len(r) != 2 || r[0] > r[1]:
			refuse("ranges: %s: two numbers are needed, the least and the most, such as [0, 100]", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.JobTypes)) {
		for _, ext := range p.JobTypes[name].Scripts {
			if ext != path.Ext(ext) || len(ext) < 2 || ext != strings.ToLower(ext) {
				refuse("job_types: %s: scripts: %q is no ending of a file; write it like .sql", name, ext)
			}
		}
	}
	if p.Names.Longest < 1 {
		refuse("names: longest: a number of characters above 0 is needed, such as 128")
	}
	if p.RetryMost < 0 {
		refuse("retry_most: a number of retries of 0 or more is needed, such as 10")
	}
	if _, err := regexp.Compile(p.Owners.Pattern); err != nil {
		refuse("owners: pattern: %q is no regular expression: %w", p.Owners.Pattern, err)
	}
	if v := p.Scripts.InPackage; v != "auto" && v != "always" && v != "never" {
		refuse("scripts: in_package: %q is none of auto, always, never", v)
	}
	return errors.Join(wrong...)
}
