// Package configuration is what an operator says about how one type of scanner checks
// the packages of a project:
//
//	enabled: true                 # false: the scanner declines, and says so
//	include: ["sql/**"]           # it sees only files that match one of these,
//	exclude: ["**/test/**"]       # … and none of these
//	rules: {SQL001: off, SQL013: error}     # off, note, warning or error
//	fail: {error: 0, warning: 50} # the check fails on more of them than that
//	settings: {...}               # the type's own
//
// A project has one document for each type, or the one of all projects ('*'). They
// are not merged: a project's own replaces that of all. What a document does not say
// is the default, never what another one says.
//
// It refuses whatever it does not understand, with line and column. Start at [Parse].
package configuration

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/glob"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
)

// MaxBytes bounds a document's text.
const MaxBytes = strictyaml.MaxBytes

const (
	maxPatterns = 100
	maxRules    = 1000
)

// Document is a configuration that was understood.
type Document struct {
	Enabled          bool
	Include, Exclude []glob.Pattern
	Rules            map[string]Level
	Fail             Thresholds
	// Settings are the type's own; nil if the document says nothing of them.
	Settings *yaml.Node
	Digest   string // SHA-256 of the text

	rules map[string]*yaml.Node // where each rule stands
}

// Level is what becomes of a rule.
type Level string

// Off takes a rule's findings away; any other Level is their severity.
const Off Level = "off"

// UnmarshalText refuses what is no level.
func (l *Level) UnmarshalText(text []byte) error {
	switch v := Level(text); v {
	case Off, Level(report.Note), Level(report.Warning), Level(report.Error):
		*l = v
		return nil
	}
	return &domain.Error{Kind: domain.Invalid, Rule: "configuration.level", Msg: "here must be off, note, warning or error", MsgZH: "此处应为 off、note、warning 或 error"}
}

// Thresholds are how many unsuppressed findings of a severity do not fail the check;
// nil is any number.
type Thresholds struct {
	Error   *int `yaml:"error"`
	Warning *int `yaml:"warning"`
	Note    *int `yaml:"note"`
}

// Exceeded returns the severity whose findings fail the check, the worst first, and
// how many of them would not; no severity if it passes. Without a threshold of their
// own errors fail it.
func (t Thresholds) Exceeded(c report.Counts) (report.Severity, int) {
	allowed := 0
	if t.Error != nil {
		allowed = *t.Error
	}
	if c.Error > allowed {
		return report.Error, allowed
	}
	if t.Warning != nil && c.Warning > *t.Warning {
		return report.Warning, *t.Warning
	}
	if t.Note != nil && c.Note > *t.Note {
		return report.Note, *t.Note
	}
	return "", 0
}

// Sees reports whether the scanner sees a file.
func (d Document) Sees(path string) bool {
	return (len(d.Include) == 0 || glob.Any(d.Include, path)) && !glob.Any(d.Exclude, path)
}

// Narrows reports whether there are files that the scanner does not see.
func (d Document) Narrows() bool { return len(d.Include)+len(d.Exclude) > 0 }

// Digest of a text, as facts speak of it.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Parse reads a document. The error is a *domain.Error of kind Invalid, rule
// configuration.invalid, that wraps a *strictyaml.Error. Whether the rules and the
// settings exist is for those to say who know the type: see [Document.Check].
func Parse(text string) (Document, error) {
	var written struct {
		Enabled bool             `yaml:"enabled"`
		Include []glob.Pattern   `yaml:"include"`
		Exclude []glob.Pattern   `yaml:"exclude"`
		Rules   map[string]Level `yaml:"rules"`
		Fail    Thresholds       `yaml:"fail"`
		// Settings are taken as they are, but for what no settings may hold.
		Settings any `yaml:"settings"`
	}
	written.Enabled = true
	root, err := strictyaml.Parse([]byte(text), &written)
	if err != nil {
		return Document{}, Invalid(err)
	}
	if root == nil {
		return Document{}, Invalid(strictyaml.Refuse(nil, report.Text{En: "the text says nothing; write enabled, include, exclude, rules, fail or settings", Zh: "文本为空；请填写 enabled、include、exclude、rules、fail 或 settings"}))
	}
	d := Document{
		Enabled: written.Enabled, Include: written.Include, Exclude: written.Exclude, Rules: written.Rules, Fail: written.Fail,
		Digest: Digest(text), rules: map[string]*yaml.Node{},
	}
	var wrong []*strictyaml.Error
	refuse := func(at *yaml.Node, en, zh string) {
		wrong = append(wrong, strictyaml.Refuse(at, report.Text{En: en, Zh: zh}))
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], resolved(root.Content[i+1])
		switch key.Value {
		case "include", "exclude":
			if len(value.Content) > maxPatterns {
				refuse(value, fmt.Sprintf("more than %d patterns", maxPatterns), fmt.Sprintf("匹配模式超过 %d 个", maxPatterns))
			}
		case "rules":
			for j := 0; j+1 < len(value.Content); j += 2 {
				rule := resolved(value.Content[j])
				d.rules[rule.Value] = value.Content[j]
			}
			if len(d.rules) > maxRules {
				refuse(value, fmt.Sprintf("more than %d rules", maxRules), fmt.Sprintf("规则超过 %d 条", maxRules))
			}
		case "fail":
			for j := 1; j < len(value.Content); j += 2 {
				if n := 0; resolved(value.Content[j]).Decode(&n) == nil && n < 0 {
					refuse(value.Content[j], "here must be 0 or more", "此处应为 0 或更大的数")
				}
			}
		case "settings":
			if value.ShortTag() != "!!null" {
				d.Settings = value
			}
			if value.Kind != yaml.MappingNode && d.Settings != nil {
				refuse(value, "here must be keys with values", "此处应为键值对")
			}
		}
	}
	if err := strictyaml.Join(wrong...); err != nil {
		return Document{}, Invalid(err)
	}
	return d, nil
}

// resolved is what an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// Check refuses rules that are not among those of the type, as Parse does.
func (d Document) Check(known []report.Rule) error {
	ids := make([]string, len(known))
	for i, r := range known {
		ids[i] = r.ID
	}
	var wrong []*strictyaml.Error
	for id, at := range d.rules {
		if !slices.Contains(ids, id) {
			wrong = append(wrong, strictyaml.Refuse(at, unknown(id, ids)))
		}
	}
	if err := strictyaml.Join(wrong...); err != nil {
		return Invalid(err)
	}
	return nil
}

func unknown(id string, ids []string) report.Text {
	t := report.Text{En: fmt.Sprintf("there is no rule %.60q", id), Zh: fmt.Sprintf("没有规则 %.60q", id)}
	if near := strictyaml.Nearest(id, ids); near != "" {
		t.En += fmt.Sprintf("; did you mean %s?", near)
		t.Zh += fmt.Sprintf("；您是否想写 %s？", near)
	}
	return t
}

// Invalid says that a document cannot be used, and where it is wrong.
func Invalid(err error) error {
	refused := &domain.Error{Kind: domain.Invalid, Rule: "configuration.invalid", Msg: err.Error()}
	var placed *strictyaml.Error
	if errors.As(err, &placed) {
		text := placed.Text()
		refused.Msg, refused.MsgZH, refused.Err = text.En, text.Zh, placed
		return refused
	}
	var worded *domain.Error
	if errors.As(err, &worded) && worded.MsgZH != "" {
		refused.Msg, refused.MsgZH = worded.Msg, worded.MsgZH
		return refused
	}
	refused.MsgZH = refused.Msg
	return refused
}

// maxSettingsJSON bounds settings with their aliases written out.
const maxSettingsJSON = 256 << 10

// SettingsJSON are the settings in JSON, for who does not read YAML; nil if the document
// says nothing of them. It refuses, as Parse does, what JSON has no word for.
func (d Document) SettingsJSON() (json.RawMessage, error) {
	if d.Settings == nil {
		return nil, nil
	}
	refuse := func(en, zh string) error {
		return Invalid(strictyaml.Refuse(d.Settings, report.Text{En: en, Zh: zh}))
	}
	if weight(d.Settings) > maxSettingsJSON {
		return nil, refuse("the settings are too large with their aliases written out; write less of them", "展开别名后 settings 过大；请减少别名")
	}
	var v any
	if err := d.Settings.Decode(&v); err != nil {
		return nil, refuse("the settings cannot be read: "+err.Error(), "settings 无法读取："+err.Error())
	}
	text, err := json.Marshal(named(v))
	if err != nil {
		return nil, refuse("the settings hold what JSON has no word for, such as .inf or .nan; write another value", "settings 含有 JSON 无法表示的值，如 .inf 或 .nan；请改用其他值")
	}
	return text, nil
}

// weight is about how long a node is with its aliases written out.
func weight(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return weight(n.Alias)
	}
	sum := len(n.Value) + 4
	for _, c := range n.Content {
		sum += weight(c)
	}
	return sum
}

// named has keys that are no strings, such as 1, be some.
func named(v any) any {
	switch v := v.(type) {
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[fmt.Sprint(k)] = named(e)
		}
		return out
	case map[string]any:
		for k, e := range v {
			v[k] = named(e)
		}
	case []any:
		for i, e := range v {
			v[i] = named(e)
		}
	}
	return v
}
