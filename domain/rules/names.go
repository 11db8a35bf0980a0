package rules

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/factgate/factgate/domain/task"
)

// values is what a `when` may speak of. docs/rules.md explains each.
type values struct {
	Observed   int `expr:"observed"`
	Succeeded  int `expr:"succeeded"`
	Failed     int `expr:"failed"`
	Errored    int `expr:"errored"`
	Unfinished int `expr:"unfinished"`
	Declined   int `expr:"declined"`

	ObservedTypes   []string `expr:"observed_types"`
	SucceededTypes  []string `expr:"succeeded_types"`
	FailedTypes     []string `expr:"failed_types"`
	ErroredTypes    []string `expr:"errored_types"`
	UnfinishedTypes []string `expr:"unfinished_types"`
	DeclinedTypes   []string `expr:"declined_types"`

	Warnings int  `expr:"warnings"`
	Expired  bool `expr:"expired"`

	Silent         int `expr:"silent"`
	CoveredNothing int `expr:"covered_nothing"`
	Degraded       int `expr:"degraded"`
	Missing        int `expr:"missing"`
	MissingOpen    int `expr:"missing_open"`

	SilentTypes         []string `expr:"silent_types"`
	CoveredNothingTypes []string `expr:"covered_nothing_types"`
	DegradedTypes       []string `expr:"degraded_types"`
	MissingTypes        []string `expr:"missing_types"`
	MissingOpenTypes    []string `expr:"missing_open_types"`

	AdvisorySucceeded  int `expr:"advisory_succeeded"`
	AdvisoryFailed     int `expr:"advisory_failed"`
	AdvisoryErrored    int `expr:"advisory_errored"`
	AdvisoryUnfinished int `expr:"advisory_unfinished"`

	AdvisorySucceededTypes  []string `expr:"advisory_succeeded_types"`
	AdvisoryFailedTypes     []string `expr:"advisory_failed_types"`
	AdvisoryErroredTypes    []string `expr:"advisory_errored_types"`
	AdvisoryUnfinishedTypes []string `expr:"advisory_unfinished_types"`

	Errors         int                `expr:"errors"`
	WarningsByType map[string]int     `expr:"warnings_by_type"`
	ErrorsByType   map[string]int     `expr:"errors_by_type"`
	CoverageByType map[string]float64 `expr:"coverage_by_type"`
	Retries        int                `expr:"retries"`

	Cancelled  bool               `expr:"cancelled"`
	Project    string             `expr:"project"`
	Version    string             `expr:"version"`
	Thresholds map[string]float64 `expr:"thresholds"`
}

// said is what a `because` may speak of: the verdict's lists, and the rest of
// what a `when` sees.
type said struct {
	task.Verdict

	CoveredNothing, Degraded, Silent, Missing, MissingOpen                 []string
	AdvisorySucceeded, AdvisoryFailed, AdvisoryErrored, AdvisoryUnfinished []string

	Warnings, Errors, Retries    int
	WarningsByType, ErrorsByType map[string]int
	CoverageByType, Thresholds   map[string]float64
	Expired, Cancelled           bool
	Project                      string
	Version                      string
}

func saidOf(v task.Verdict, e values) said {
	return said{
		Verdict: v, CoveredNothing: e.CoveredNothingTypes, Degraded: e.DegradedTypes, Silent: e.SilentTypes,
		Missing: e.MissingTypes, MissingOpen: e.MissingOpenTypes,
		AdvisorySucceeded: e.AdvisorySucceededTypes, AdvisoryFailed: e.AdvisoryFailedTypes,
		AdvisoryErrored: e.AdvisoryErroredTypes, AdvisoryUnfinished: e.AdvisoryUnfinishedTypes,
		Warnings: e.Warnings, Errors: e.Errors, Retries: e.Retries,
		WarningsByType: e.WarningsByType, ErrorsByType: e.ErrorsByType, CoverageByType: e.CoverageByType, Thresholds: e.Thresholds,
		Expired: e.Expired, Cancelled: e.Cancelled, Project: e.Project, Version: e.Version,
	}
}

// names are the fields of values by the name that a `when` uses.
var names = func() map[string]int {
	all := map[string]int{}
	for i, t := 0, reflect.TypeFor[values](); i < t.NumField(); i++ {
		all[t.Field(i).Tag.Get("expr")] = i
	}
	return all
}()

// Builtins that would make a verdict depend on the clock, on the machine's time
// zones, or on the random order of a map.
var impure = []string{"now", "date", "timezone", "keys", "values", "toPairs"}

// compile gives the program and the names that it uses, in order of appearance.
func compile(when string, thresholds map[string]float64) (*vm.Program, []string, error) {
	if strings.TrimSpace(when) == "" {
		return nil, nil, errEmpty
	}
	options := []expr.Option{expr.Env(values{}), expr.AsBool(), expr.MaxNodes(maxExprNodes)}
	for _, name := range impure {
		options = append(options, expr.DisableBuiltin(name))
	}
	program, err := expr.Compile(when, options...)
	if err != nil {
		return nil, nil, err
	}
	tree, err := parser.Parse(when)
	if err != nil {
		return nil, nil, err
	}
	uses := uses{thresholds: thresholds, good: map[ast.Node]bool{}}
	ast.Walk(&tree.Node, &uses)
	uses.again = true // now it knows which uses of thresholds are good
	ast.Walk(&tree.Node, &uses)
	return program, uses.names, uses.err
}

// uses collects what an expression speaks of.
type uses struct {
	thresholds map[string]float64
	good       map[ast.Node]bool
	again      bool
	names      []string
	err        error
}

// Visit implements ast.Visitor.
func (u *uses) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		of, ok := n.Node.(*ast.IdentifierNode)
		if !ok || of.Value != "thresholds" {
			break
		}
		name, ok := n.Property.(*ast.StringNode)
		if !ok {
			break
		}
		if _, ok := u.thresholds[name.Value]; !ok {
			u.fail(n.Property, fmt.Errorf("threshold %s is not set", name.Value))
		}
		u.good[n.Node] = true
		u.use("thresholds." + name.Value)
	case *ast.IdentifierNode:
		if n.Value == "$env" {
			u.fail(n, errors.New("unknown name $env"))
		}
		if _, ok := names[n.Value]; !ok {
			break
		}
		if n.Value != "thresholds" {
			u.use(n.Value)
		} else if u.again && !u.good[n] {
			u.fail(n, errors.New("thresholds are spoken of as thresholds.NAME only"))
		}
	}
}

func (u *uses) use(name string) {
	if !slices.Contains(u.names, name) {
		u.names = append(u.names, name)
	}
}

func (u *uses) fail(n ast.Node, err error) {
	if u.err == nil {
		u.err = &file.Error{Location: n.Location(), Message: err.Error()}
	}
}

// expressionError gives the offset, in characters, at which an expression is
// wrong, and the bare reason; -1 if it is wrong as a whole.
func expressionError(err error) (int, error) {
	var at *file.Error
	if errors.As(err, &at) {
		return at.From, errors.New(at.Message)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return -1, errors.New(first)
}

// fieldsOf calls back for each field that a template speaks of.
func fieldsOf(t *template.Template, each func(path []string)) {
	var walk func(parse.Node)
	branch := func(b *parse.BranchNode) { walk(b.Pipe); walk(b.List); walk(b.ElseList) }
	walk = func(node parse.Node) {
		switch n := node.(type) {
		case *parse.ListNode:
			if n == nil {
				return
			}
			for _, c := range n.Nodes {
				walk(c)
			}
		case *parse.ActionNode:
			walk(n.Pipe)
		case *parse.PipeNode:
			if n == nil {
				return
			}
			for _, c := range n.Cmds {
				for _, a := range c.Args {
					walk(a)
				}
			}
		case *parse.IfNode:
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
		case *parse.WithNode:
			branch(&n.BranchNode)
		case *parse.TemplateNode:
			walk(n.Pipe)
		case *parse.FieldNode:
			each(n.Ident)
		case *parse.VariableNode:
			if len(n.Ident) > 1 {
				each(n.Ident[1:])
			}
		case *parse.ChainNode:
			walk(n.Node)
			each(n.Field)
		}
	}
	for _, part := range t.Templates() {
		if part.Tree != nil {
			walk(part.Root)
		}
	}
}
