package rules

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Limits of a rule set's source.
const (
	maxSourceBytes  = 64 << 10
	maxRules        = 100
	maxTypes        = 200 // advisory, required
	maxThresholds   = 100
	maxExprNodes    = 500
	maxBecauseBytes = 4 << 10
	maxName         = task.MaxTypeLength // of a rule set and of a rule's id
)

// Late says what facts that come after the window do.
type Late string

const (
	// LateRecord keeps and shows them; the verdict stands.
	LateRecord Late = "record"
	// LateRevise judges again with them: see Revise.
	LateRevise Late = "revise"
)

// Requirement says what it means that a required type has no result.
type Requirement string

const (
	// FailClosed counts it: the type is among `missing_types`.
	FailClosed Requirement = "closed"
	// FailOpen shows it: the type is among `missing_open_types`.
	FailOpen Requirement = "open"
)

// RuleSet is a compiled rule set. It is safe for concurrent use.
type RuleSet struct {
	ref        task.RuleSetRef
	source     []byte
	window     time.Duration
	quiet      time.Duration
	minimum    time.Duration
	late       Late
	advisory   map[string]bool
	required   map[string]Requirement
	thresholds map[string]float64
	rules      []rule
	speaks     map[string]bool // names that a when or a because uses, without _types
}

type rule struct {
	id      string
	when    string
	uses    []string // names, in order of appearance
	line    int
	program *vm.Program
	status  task.Status
	en, zh  *template.Template
}

//go:embed default.yaml
var defaultSource []byte

// Default returns the built-in rule set that a server starts with.
var Default = sync.OnceValue(func() *RuleSet { return compiledIn(defaultSource) })

func compiledIn(text []byte) *RuleSet {
	rs, err := Parse(text, 1)
	if err != nil {
		panic(err) // unreachable: the text is compiled in and a test parses it
	}
	return rs
}

// Parse compiles a rule set. What it refuses is a *SourceError with line, column
// and reason in both languages, around a *domain.Error of kind Invalid with rule
// "ruleset.invalid"; or several of them, joined, by their place: see SourceErrors.
// What only follows from something else that is wrong is left out.
func Parse(text []byte, version int) (*RuleSet, error) {
	if len(text) > maxSourceBytes {
		return nil, broken(place{1, 1}, "", say("the text has %d bytes; at most %d are allowed", "文本有 %d 字节，上限为 %d 字节", len(text), maxSourceBytes))
	}
	src, err := read(text)
	if err != nil {
		return nil, err
	}
	if err := single(text); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	rs := &RuleSet{
		ref:    task.RuleSetRef{Version: version, Digest: hex.EncodeToString(digest[:])},
		source: bytes.Clone(text), speaks: map[string]bool{},
	}
	wrong := []error{rs.parseHead(src), rs.parseTypes(src)}
	if err := rs.parseThresholds(src); err != nil {
		wrong = append(wrong, err) // and the rules may speak of them
	} else {
		wrong = append(wrong, rs.parseRules(text, src)...)
	}
	if err := together(wrong); err != nil {
		return nil, err
	}
	if slices.Contains(slices.Collect(maps.Values(rs.required)), FailClosed) && !rs.weighs("missing") {
		return nil, broken(of(src.required), "", say("types are required (closed), and no rule's when speaks of missing or missing_types: it would have no effect; add a rule such as when: missing > 0",
			"声明了必需类型（closed），但没有任何规则的 when 使用 missing 或 missing_types，不会生效；请添加规则，例如 when: missing > 0"))
	}
	return rs, nil
}

func single(text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := decoder.Decode(&first); err != nil {
		return broken(place{1, 1}, "", say("this is not YAML: %v", "不是合法的 YAML：%v", err))
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return broken(of(&second), "", say("there is more than one YAML document", "包含多个 YAML 文档"))
	}
	return nil
}

func (rs *RuleSet) parseHead(src source) (err error) {
	if rs.ref.Name, err = scalar(src.name, ""); err != nil {
		return err
	}
	switch {
	case rs.ref.Name == "":
		return broken(of(src.whole), "", say("name is missing", "缺少 name"))
	case !task.ValidType(rs.ref.Name): // it is part of a stream's name
		return broken(of(src.name), "", say("name %.80q is not 1 to %d letters, digits, '_' or '-'", "name %.80q 不合法；请使用 1 至 %d 个字母、数字、_ 或 -", rs.ref.Name, maxName))
	}
	if rs.window, err = duration(src.window, "window"); err != nil {
		return err
	}
	if rs.window == 0 {
		return broken(of(either(src.window, src.whole)), "", say("window must be a positive duration such as 10m", "window 必须为正的时长，例如 10m"))
	}
	if rs.quiet, err = duration(src.quiet, "quiet"); err != nil {
		return err
	}
	if rs.minimum, err = duration(src.minimum, "minimum"); err != nil {
		return err
	}
	if rs.minimum > rs.window {
		return broken(of(src.minimum), "", say("minimum (%s) is longer than window (%s)", "minimum（%s）大于 window（%s）", rs.minimum, rs.window))
	}
	late, err := scalar(src.late, "")
	if err != nil {
		return err
	}
	switch rs.late = Late(late); rs.late {
	case "":
		rs.late = LateRecord
	case LateRecord, LateRevise:
	default:
		return broken(of(src.late), "", say("late: %q is not known; use record or revise", "late：未知的值 %q；请使用 record 或 revise", late))
	}
	return nil
}

func (rs *RuleSet) parseTypes(src source) error {
	types, err := items(src.advisory)
	if err != nil {
		return err
	}
	required, err := pairs(src.required, "")
	if err != nil {
		return err
	}
	if n := max(len(types), len(required)); n > maxTypes {
		return broken(of(either(src.advisory, src.required)), "", say("there are %d types; at most %d are allowed", "有 %d 个类型，上限为 %d", n, maxTypes))
	}
	rs.advisory, rs.required = map[string]bool{}, map[string]Requirement{}
	for _, n := range types {
		name, err := subTaskType(n)
		if err != nil {
			return err
		}
		if rs.advisory[name] {
			return broken(of(n), "", say("%s stands here twice", "%s 重复出现", name))
		}
		rs.advisory[name] = true
	}
	for _, p := range required {
		name, err := subTaskType(p[0])
		if err != nil {
			return err
		}
		how, err := scalar(target(p[1]), "")
		if err != nil {
			return err
		}
		if r := Requirement(how); r != FailClosed && r != FailOpen {
			return broken(of(p[1]), "", say("required: %s: %q is not known; use closed or open", "required：%s：未知的值 %q；请使用 closed 或 open", name, how))
		}
		if rs.advisory[name] {
			return broken(of(p[0]), "", say("%s is advisory: what does not count cannot be required", "%s 已声明为 advisory，不计入结论的类型不能同时为必需", name))
		}
		rs.required[name] = Requirement(how)
	}
	return nil
}

func (rs *RuleSet) parseThresholds(src source) error {
	all, err := pairs(src.thresholds, "")
	if err != nil {
		return err
	}
	if len(all) > maxThresholds {
		return broken(of(src.thresholds), "", say("there are %d thresholds; at most %d are allowed", "有 %d 个阈值，上限为 %d", len(all), maxThresholds))
	}
	rs.thresholds = map[string]float64{}
	for _, p := range all {
		if rs.thresholds[p[0].Value], err = threshold(p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

func (rs *RuleSet) parseRules(text []byte, src source) (wrong []error) {
	all, err := items(src.rules)
	switch {
	case err != nil:
		return []error{err}
	case len(all) == 0:
		return []error{broken(of(either(src.rules, src.whole)), "", say("there are no rules", "没有任何规则"))}
	case len(all) > maxRules:
		return []error{broken(of(src.rules), "", say("there are %d rules; at most %d are allowed", "有 %d 条规则，上限为 %d", len(all), maxRules))}
	}
	seen := map[string]bool{}
	for i, node := range all {
		r, err := rs.parseRule(text, node, i, i == len(all)-1, seen)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		rs.rules = append(rs.rules, r)
	}
	return wrong
}

// parseRule compiles one rule; seen are the ids of those before it.
func (rs *RuleSet) parseRule(text []byte, node *yaml.Node, i int, last bool, seen map[string]bool) (r rule, err error) {
	s, err := readRule(node)
	if err != nil {
		return r, err
	}
	r.line = node.Line
	if r.id, err = scalar(s.id, ""); err != nil {
		return r, err
	}
	if r.id == "" || seen[r.id] || len(r.id) > maxName {
		return r, broken(of(either(s.id, s.whole)), "", say("rule %d: id %.80q is empty, used twice, or longer than %d bytes", "第 %d 条规则：id %.80q 为空、重复或超过 %d 字节", i+1, r.id, maxName))
	}
	seen[r.id] = true
	status, err := scalar(s.status, r.id)
	if err != nil {
		return r, err
	}
	if r.status = task.Status(status); r.status != task.Success && r.status != task.PartialSuccess && r.status != task.Failed {
		return r, broken(of(either(s.status, s.whole)), r.id, say("status %.80q is not one of SUCCESS, PARTIAL_SUCCESS, FAILED", "status %.80q 不是 SUCCESS、PARTIAL_SUCCESS、FAILED 之一", status))
	}
	if r.when, err = scalar(s.when, r.id); err != nil {
		return r, err
	}
	if r.program, r.uses, err = compile(r.when, rs.thresholds); err != nil {
		at, reason := s.place(text, err)
		said := reasonOf(reason)
		return r, broken(at, r.id, report.Text{En: "when: " + said.En, Zh: "when：" + said.Zh})
	}
	for _, name := range r.uses {
		rs.speaks[strings.TrimSuffix(name, "_types")] = true
	}
	if r.en, err = rs.because(s, s.en, r.id); err != nil {
		return r, err
	}
	if r.zh, err = rs.because(s, s.zh, r.id); err != nil {
		return r, err
	}
	if last && strings.TrimSpace(r.when) != "true" {
		return r, broken(of(s.when), r.id, say(`the last rule must hold always (when: "true"), so that every case has a status`,
			`最后一条规则必须恒成立（when: "true"），否则有的情形没有结论`))
	}
	return r, nil
}

// place of an error in the rule's expression, and its bare reason.
func (s ruleSource) place(text []byte, err error) (place, error) {
	if s.when == nil {
		return of(s.whole), err
	}
	offset, reason := expressionError(err)
	if offset < 0 {
		return of(s.when), reason
	}
	return within(text, s.when, offset), reason
}

func either(a, b *yaml.Node) *yaml.Node {
	if a != nil {
		return a
	}
	return b
}

// weighs reports whether a rule's when speaks of a name, as count or as list.
func (rs *RuleSet) weighs(name string) bool {
	return slices.ContainsFunc(rs.rules, func(r rule) bool { return r.weighs(name) })
}

func (r rule) weighs(name string) bool {
	return slices.Contains(r.uses, name) || slices.Contains(r.uses, name+"_types")
}

// spoken are the fields of a because that stand for a name of which a verdict
// holds more only if its rule set speaks of it.
var spoken = map[string]string{
	"Silent": "silent", "CoveredNothing": "covered_nothing", "Degraded": "degraded",
	"Project": "project", "Version": "version",
}

// because compiles a text and tries it, so that it cannot fail when it matters.
func (rs *RuleSet) because(s ruleSource, n *yaml.Node, id string) (*template.Template, error) {
	text, err := scalar(n, id)
	if err != nil {
		return nil, err
	}
	if text == "" {
		text = id
	}
	refused := func(err error) error {
		return broken(of(either(n, s.whole)), id, say("because: %v", "because：%v", err))
	}
	t, err := template.New(id).Option("missingkey=zero").Funcs(template.FuncMap{"list": list}).Parse(text)
	if err != nil {
		return nil, refused(err)
	}
	fieldsOf(t, func(path []string) {
		if name, ok := spoken[path[0]]; ok {
			rs.speaks[name] = true
		}
		if path[0] == "Thresholds" && len(path) > 1 {
			if _, ok := rs.thresholds[path[1]]; !ok && err == nil {
				err = fmt.Errorf("threshold %s is not set", path[1])
			}
		}
	})
	if err != nil {
		return nil, refused(err)
	}
	one := []string{"T"}
	full := values{
		SilentTypes: one, CoveredNothingTypes: one, DegradedTypes: one, MissingTypes: one, MissingOpenTypes: one,
		AdvisorySucceededTypes: one, AdvisoryFailedTypes: one, AdvisoryErroredTypes: one, AdvisoryUnfinishedTypes: one,
		WarningsByType: map[string]int{"T": 1}, ErrorsByType: map[string]int{"T": 1}, CoverageByType: map[string]float64{"T": 1},
		Warnings: 1, Errors: 1, Retries: 1, Project: "p", Version: "1", Expired: true, Cancelled: true, Thresholds: rs.thresholds,
	}
	for _, try := range []said{
		saidOf(task.Verdict{}, values{Thresholds: rs.thresholds}),
		saidOf(task.Verdict{Observed: one, Succeeded: one, Failed: one, Errored: one, Unfinished: one, Declined: one}, full),
	} {
		if _, err := render(t, try); err != nil {
			return nil, refused(err)
		}
	}
	return t, nil
}

func list(types []string) string { return strings.Join(types, ", ") }

func render(t *template.Template, what said) (string, error) {
	var out capped
	err := t.Execute(&out, what)
	return out.String(), err
}

// capped ends a text that would grow without bound.
type capped struct{ strings.Builder }

func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > maxBecauseBytes {
		return 0, fmt.Errorf("the text is over %d bytes", maxBecauseBytes)
	}
	return c.Builder.Write(p)
}

// Ref names the rule set's version.
func (rs *RuleSet) Ref() task.RuleSetRef { return rs.ref }

// Source is the text that was parsed; its SHA-256 is Ref().Digest.
func (rs *RuleSet) Source() []byte { return bytes.Clone(rs.source) }

// Window is how long a task's window is open at most.
func (rs *RuleSet) Window() time.Duration { return rs.window }

// Quiet is how long nothing must happen for a window to close early.
func (rs *RuleSet) Quiet() time.Duration { return rs.quiet }

// Minimum is how long a window is open at least.
func (rs *RuleSet) Minimum() time.Duration { return rs.minimum }

// Late says what late facts do.
func (rs *RuleSet) Late() Late { return rs.late }

// Advisory are the types whose outcome is shown and does not count, sorted.
func (rs *RuleSet) Advisory() []string { return slices.Sorted(maps.Keys(rs.advisory)) }

// Required are the types that must have a result, and what it means if not.
func (rs *RuleSet) Required() map[string]Requirement { return maps.Clone(rs.required) }

// Thresholds are the numbers that rules may speak of by name.
func (rs *RuleSet) Thresholds() map[string]float64 { return maps.Clone(rs.thresholds) }

func (r rule) explain(what said) report.Text {
	var text report.Text
	var err error
	if text.En, err = render(r.en, what); err != nil {
		text.En = r.id
	}
	if text.Zh, err = render(r.zh, what); err != nil {
		text.Zh = r.id
	}
	return text
}
