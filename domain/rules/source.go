package rules

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// SourceError says where a rule set's text is wrong. Parse returns it around a
// *domain.Error of kind Invalid and rule "ruleset.invalid", whose texts begin
// with the place; errors.As finds both.
type SourceError struct {
	Line   int // from 1
	Column int // from 1, in characters
	// RuleID is the rule that is wrong, if it is one and has an id.
	RuleID string
	Reason report.Text // without the place

	err *domain.Error
}

func (e *SourceError) Error() string { return e.err.Error() }

// Unwrap gives the *domain.Error.
func (e *SourceError) Unwrap() error { return e.err }

// SourceErrors are all that an error of Parse names, by their place.
func SourceErrors(err error) []*SourceError {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*SourceError
		for _, one := range several.Unwrap() {
			all = append(all, SourceErrors(one)...)
		}
		return all
	}
	var one *SourceError
	if errors.As(err, &one) {
		return []*SourceError{one}
	}
	return nil
}

// together joins errors by their place; one stays itself, nil is left out.
func together(wrong []error) error {
	wrong = slices.DeleteFunc(wrong, func(err error) bool { return err == nil })
	if len(wrong) == 1 {
		return wrong[0]
	}
	slices.SortStableFunc(wrong, func(a, b error) int {
		var first, second *SourceError
		if !errors.As(a, &first) || !errors.As(b, &second) {
			return 0
		}
		return cmp.Or(cmp.Compare(first.Line, second.Line), cmp.Compare(first.Column, second.Column))
	})
	return errors.Join(wrong...)
}

// place is a line and a column of the text, from 1.
type place struct{ line, column int }

func of(n *yaml.Node) place { return place{n.Line, n.Column} }

func broken(at place, ruleID string, reason report.Text) error {
	at.line, at.column = max(at.line, 1), max(at.column, 1)
	if ruleID != "" {
		reason = report.Text{En: fmt.Sprintf("rule %s: %s", ruleID, reason.En), Zh: fmt.Sprintf("规则 %s：%s", ruleID, reason.Zh)}
	}
	return &SourceError{Line: at.line, Column: at.column, RuleID: ruleID, Reason: reason, err: &domain.Error{
		Kind: domain.Invalid, Rule: "ruleset.invalid",
		Msg:   fmt.Sprintf("line %d, column %d: %s", at.line, at.column, reason.En),
		MsgZH: fmt.Sprintf("第 %d 行第 %d 列：%s", at.line, at.column, reason.Zh),
	}}
}

func say(en, zh string, args ...any) report.Text {
	return report.Text{En: fmt.Sprintf(en, args...), Zh: fmt.Sprintf(zh, args...)}
}

// source is the YAML form, each value with its place.
type source struct {
	name, window, quiet, minimum, late *yaml.Node
	advisory, required, thresholds     *yaml.Node
	rules                              *yaml.Node
	whole                              *yaml.Node
}

type ruleSource struct {
	whole, id, when, status, because *yaml.Node
	en, zh                           *yaml.Node
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// read takes the text apart; what it returns has known fields only.
func read(text []byte) (source, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		at := place{1, 1}
		reason := strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(reason); m != nil {
			at.line, _ = strconv.Atoi(m[1])
			reason = strings.Replace(reason, m[0], "", 1)
		}
		return source{}, broken(at, "", say("this is not YAML: %s", "不是合法的 YAML：%s", reason))
	}
	if len(document.Content) == 0 {
		return source{}, broken(place{1, 1}, "", say("the text is empty", "文本为空"))
	}
	root := document.Content[0]
	s := source{whole: root}
	return s, fields(root, "", map[string]**yaml.Node{
		"name": &s.name, "window": &s.window, "quiet": &s.quiet, "minimum": &s.minimum, "late": &s.late,
		"advisory": &s.advisory, "required": &s.required, "thresholds": &s.thresholds, "rules": &s.rules,
	})
}

func readRule(n *yaml.Node) (ruleSource, error) {
	r := ruleSource{whole: n}
	if err := fields(n, "", map[string]**yaml.Node{"id": &r.id, "when": &r.when, "status": &r.status, "because": &r.because}); err != nil {
		return r, err
	}
	if r.because == nil {
		return r, nil
	}
	id, err := scalar(r.id, "")
	if err != nil {
		return r, err
	}
	return r, fields(r.because, id, map[string]**yaml.Node{"en": &r.en, "zh": &r.zh})
}

// pairs are the keys and values of a mapping, in the order of the text; a null
// is an empty one.
func pairs(n *yaml.Node, ruleID string) ([][2]*yaml.Node, error) {
	n = target(n)
	if n == nil || isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, broken(of(n), ruleID, say("a mapping (key: value) is wanted here", "此处应为映射（key: value）"))
	}
	var all [][2]*yaml.Node
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			return nil, broken(of(key), ruleID, say("a key must be a plain word", "键必须是普通文本"))
		}
		if seen[key.Value] {
			return nil, broken(of(key), ruleID, say("%q stands here twice", "%q 重复出现", key.Value))
		}
		seen[key.Value] = true
		all = append(all, [2]*yaml.Node{key, n.Content[i+1]})
	}
	return all, nil
}

func fields(n *yaml.Node, ruleID string, known map[string]**yaml.Node) error {
	all, err := pairs(n, ruleID)
	if err != nil {
		return err
	}
	for _, p := range all {
		field, ok := known[p[0].Value]
		if !ok {
			var names []string
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			return broken(of(p[0]), ruleID, say("field %q is not known; there are %s", "未知字段 %q；可用的有 %s", p[0].Value, list(names)))
		}
		*field = target(p[1])
	}
	return nil
}

func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// scalar is a node's text; "" for one that is not there.
func scalar(n *yaml.Node, ruleID string) (string, error) {
	switch {
	case n == nil || isNull(n):
		return "", nil
	case n.Kind != yaml.ScalarNode:
		return "", broken(of(n), ruleID, say("one value is wanted here", "此处应为单个值"))
	}
	return n.Value, nil
}

func duration(n *yaml.Node, field string) (time.Duration, error) {
	text, err := scalar(n, "")
	if err != nil || text == "" {
		return 0, err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, broken(of(n), "", say("%s: %q is not a duration such as 10m or 1h30m", "%s：%q 不是合法时长，例如 10m 或 1h30m", field, text))
	}
	if d < 0 {
		return 0, broken(of(n), "", say("%s must not be negative", "%s 不能为负", field))
	}
	return d, nil
}

func items(n *yaml.Node) ([]*yaml.Node, error) {
	n = target(n)
	if n == nil || isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, broken(of(n), "", say("a list is wanted here", "此处应为列表"))
	}
	all := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		all[i] = target(c)
	}
	return all, nil
}

func subTaskType(n *yaml.Node) (string, error) {
	text, err := scalar(n, "")
	if err != nil {
		return "", err
	}
	if !task.ValidType(text) {
		return "", broken(of(n), "", say("%.80q is not a sub-task type; use 1 to %d letters, digits, '_' or '-'",
			"%.80q 不是合法的子任务类型；请使用 1 至 %d 个字母、数字、_ 或 -", text, task.MaxTypeLength))
	}
	return text, nil
}

var thresholdName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

func threshold(key, value *yaml.Node) (float64, error) {
	if !thresholdName.MatchString(key.Value) {
		return 0, broken(of(key), "", say("%.80q cannot name a threshold; use letters, digits and '_', a digit not first",
			"%.80q 不能作为阈值名；请使用字母、数字和 _，且不以数字开头", key.Value))
	}
	text, err := scalar(target(value), "")
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
		return 0, broken(of(value), "", say("threshold %s: %q is not a number", "阈值 %s：%q 不是数字", key.Value, text))
	}
	return number, nil
}

// within finds the place of a character of a scalar's value in the text: in
// quotes, over several lines, or in a block. White space is matched run by run,
// as folding turns line ends and indents into single blanks.
func within(text []byte, n *yaml.Node, offset int) place {
	all := []rune(string(text))
	at, i := place{1, 1}, 0
	step := func() {
		if endsLine(all, i) {
			at.line, at.column = at.line+1, 1
		} else {
			at.column++
		}
		i++
	}
	for i < len(all) && (at.line < n.Line || at.line == n.Line && at.column < n.Column) {
		step()
	}
	double := false
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		for i < len(all) && !endsLine(all, i) { // the indicator: | or >
			step()
		}
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && i < len(all):
		double = n.Style&yaml.DoubleQuotedStyle != 0
		step()
	}
	value := []rune(n.Value)
	blank := func() {
		for i < len(all) && unicode.IsSpace(all[i]) {
			step()
		}
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		blank()
		for offset > 0 && len(value) > 0 && unicode.IsSpace(value[0]) {
			value, offset = value[1:], offset-1
		}
	}
	for k := 0; k < offset && k < len(value) && i < len(all); k++ {
		if unicode.IsSpace(value[k]) {
			blank()
			continue
		}
		if double && all[i] == '\\' || !double && n.Style&yaml.SingleQuotedStyle != 0 && all[i] == '\'' {
			step()
		}
		if i < len(all) {
			step()
		}
	}
	return at
}

// endsLine reports whether a line ends here, as YAML counts lines.
func endsLine(text []rune, i int) bool {
	switch text[i] {
	case '\r':
		return i+1 == len(text) || text[i+1] != '\n'
	case '\n', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// reasonOf tells what an error says, in both languages as far as we can.
func reasonOf(err error) report.Text {
	text := err.Error()
	for _, k := range known {
		if m := k.en.FindStringSubmatch(text); m != nil {
			args := make([]any, len(m)-1)
			for i := range args {
				args[i] = m[i+1]
			}
			return report.Text{En: text, Zh: fmt.Sprintf(k.zh, args...)}
		}
	}
	return report.Text{En: text, Zh: text}
}

// known are the usual complaints about an expression, in Chinese.
var known = []struct {
	en *regexp.Regexp
	zh string
}{
	{regexp.MustCompile(`^unknown name (\S+)$`), "未知名称 %s"},
	{regexp.MustCompile(`^unexpected token (.+)$`), "意外的符号 %s"},
	{regexp.MustCompile(`^unexpected end of expression$`), "表达式不完整"},
	{regexp.MustCompile(`^expected bool, but got (.+)$`), "结果应为布尔值，实际为 %s"},
	{regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types (.+) and (.+)\)$`), "运算符 %s 两侧类型不匹配：%s 与 %s"},
	{regexp.MustCompile(`^compilation failed: expression exceeds maximum allowed nodes$`), "表达式过长"},
	{regexp.MustCompile(`^unclosed "(.+)"$`), "%q 没有闭合"},
	{regexp.MustCompile(`^literal not terminated$`), "文本没有结束引号"},
	{regexp.MustCompile(`^type (.+) has no field (.+)$`), "类型 %s 没有字段 %s"},
	{regexp.MustCompile(`^unrecognized character: (.+)$`), "无法识别的字符：%s"},
	{regexp.MustCompile(`^cannot use (.+) as argument.*$`), "参数 %s 的类型不对"},
	{regexp.MustCompile(`^invalid argument for (.+)$`), "参数不合法：%s"},
	{regexp.MustCompile(`^integer divide by zero$`), "除数为零"},
	{regexp.MustCompile(`^threshold (\S+) is not set$`), "没有设置阈值 %s"},
	{regexp.MustCompile(`^thresholds are spoken of as thresholds.NAME only$`), "阈值只能以 thresholds.NAME 的形式使用"},
}

var errEmpty = errors.New("unexpected end of expression")
