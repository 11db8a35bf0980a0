package rules

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Limits of a rule set's source.
const (
	maxSourceBytes  = 64 << 10
	maxRules        = 100
	maxExprNodes    = 500
	maxBecauseBytes = 4 << 10
)

// RuleSet is a compiled rule set. It is safe for concurrent use.
type RuleSet struct {
	ref    task.RuleSetRef
	window time.Duration
	quiet  time.Duration
	rules  []rule
}

type rule struct {
	id      string
	when    string
	program *vm.Program
	status  task.Status
	en, zh  *template.Template
}

// source is the YAML form.
type source struct {
	Name   string        `yaml:"name"`
	Window task.Duration `yaml:"window"`
	Quiet  task.Duration `yaml:"quiet"`
	Late   string        `yaml:"late"`
	Rules  []struct {
		ID      string      `yaml:"id"`
		When    string      `yaml:"when"`
		Status  task.Status `yaml:"status"`
		Because struct {
			En string `yaml:"en"`
			Zh string `yaml:"zh"`
		} `yaml:"because"`
	} `yaml:"rules"`
}

//go:embed default.yaml
var defaultSource []byte

// Default returns the built-in rule set.
var Default = sync.OnceValue(func() *RuleSet {
	rs, err := Parse(defaultSource, 1)
	if err != nil {
		panic(err) // unreachable: the text is compiled in and a test parses it
	}
	return rs
})

// Parse compiles a rule set. What it refuses is a *domain.Error of kind Invalid
// with rule "ruleset.invalid" that names the offending rule.
func Parse(text []byte, version int) (*RuleSet, error) {
	if len(text) > maxSourceBytes {
		return nil, invalid("the text has %d bytes; at most %d are allowed", len(text), maxSourceBytes)
	}
	var src source
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&src); err != nil {
		return nil, invalid("%v", err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, invalid("there is more than one YAML document")
	}
	switch {
	case src.Name == "":
		return nil, invalid("name is missing")
	case src.Window <= 0:
		return nil, invalid("window must be a positive duration such as 10m")
	case src.Quiet < 0:
		return nil, invalid("quiet must not be negative")
	case src.Late != "" && src.Late != "record":
		return nil, invalid("late: %q is not known; use record", src.Late)
	case len(src.Rules) == 0:
		return nil, invalid("there are no rules")
	case len(src.Rules) > maxRules:
		return nil, invalid("there are %d rules; at most %d are allowed", len(src.Rules), maxRules)
	case strings.TrimSpace(src.Rules[len(src.Rules)-1].When) != "true":
		return nil, invalid(`the last rule must hold always (when: "true"), so that every case has a status`)
	}
	digest := sha256.Sum256(text)
	rs := &RuleSet{
		ref:    task.RuleSetRef{Name: src.Name, Version: version, Digest: hex.EncodeToString(digest[:])},
		window: src.Window.D(),
		quiet:  src.Quiet.D(),
	}
	seen := map[string]bool{}
	for i, s := range src.Rules {
		if s.ID == "" || seen[s.ID] {
			return nil, invalid("rule %d: id %q is empty or used twice", i+1, s.ID)
		}
		seen[s.ID] = true
		if s.Status != task.Success && s.Status != task.PartialSuccess && s.Status != task.Failed {
			return nil, invalid("rule %s: status %q is not one of SUCCESS, PARTIAL_SUCCESS, FAILED", s.ID, s.Status)
		}
		program, err := expr.Compile(s.When, expr.Env(values{}), expr.AsBool(), expr.MaxNodes(maxExprNodes))
		if err != nil {
			return nil, invalid("rule %s: when: %v", s.ID, err)
		}
		r := rule{id: s.ID, when: s.When, program: program, status: s.Status}
		if r.en, err = because(s.ID, s.Because.En); err != nil {
			return nil, err
		}
		if r.zh, err = because(s.ID, s.Because.Zh); err != nil {
			return nil, err
		}
		rs.rules = append(rs.rules, r)
	}
	return rs, nil
}

// because compiles a text and tries it, so that it cannot fail when it matters.
func because(id, text string) (*template.Template, error) {
	if text == "" {
		text = id
	}
	t, err := template.New(id).Funcs(template.FuncMap{"list": list}).Parse(text)
	if err != nil {
		return nil, invalid("rule %s: because: %v", id, err)
	}
	one := []string{"T"}
	for _, v := range []task.Verdict{{}, {Observed: one, Succeeded: one, Failed: one, Errored: one, Unfinished: one, Declined: one}} {
		if _, err := render(t, v); err != nil {
			return nil, invalid("rule %s: because: %v", id, err)
		}
	}
	return t, nil
}

func list(types []string) string { return strings.Join(types, ", ") }

func render(t *template.Template, v task.Verdict) (string, error) {
	var out capped
	err := t.Execute(&out, v)
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

// Window is how long a task's window is open at most.
func (rs *RuleSet) Window() time.Duration { return rs.window }

// Quiet is how long nothing must happen for a window to close early.
func (rs *RuleSet) Quiet() time.Duration { return rs.quiet }

func (r rule) explain(v task.Verdict) report.Text {
	var text report.Text
	var err error
	if text.En, err = render(r.en, v); err != nil {
		text.En = r.id
	}
	if text.Zh, err = render(r.zh, v); err != nil {
		text.Zh = r.id
	}
	return text
}

func invalid(format string, args ...any) error {
	return &domain.Error{Kind: domain.Invalid, Rule: "ruleset.invalid", Msg: fmt.Sprintf(format, args...)}
}
