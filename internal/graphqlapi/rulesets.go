package graphqlapi

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/task"
)

// nameCost is what a rule set's name takes of a request's budget: a look into its stream.
const nameCost = 10

func (q *query) rulesets() (*commands.RuleBook, error) {
	if q.book == nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "rulesets.none", Msg: "this server keeps no rule sets", MsgZH: "该服务不提供规则集"}
	}
	return q.book, nil
}

// RuleSets lists all rule sets.
func (q *query) RuleSets(ctx context.Context) ([]*namedRuleSet, error) {
	book, err := q.rulesets()
	if err != nil {
		return nil, err
	}
	if err := ledgerOf(ctx).spend(nameCost); err != nil {
		return nil, err
	}
	names, err := book.Names(ctx)
	if err != nil {
		return nil, err
	}
	if err := ledgerOf(ctx).spend(nameCost * len(names)); err != nil {
		return nil, err
	}
	everybodys, err := book.Active(ctx, "")
	if err != nil {
		return nil, err
	}
	out := []*namedRuleSet{}
	for _, name := range names {
		s, err := book.Set(ctx, name)
		if domain.KindOf(err) == domain.NotFound {
			continue // named, and then never published
		}
		if err != nil {
			return nil, err
		}
		set := &namedRuleSet{name: name}
		for _, v := range s.Versions {
			set.versions = append(set.versions, &ruleSetVersion{book: book, s: s, v: v, everybodys: everybodys.RuleSet})
		}
		out = append(out, set)
	}
	return out, nil
}

// RuleSet finds one version.
func (q *query) RuleSet(ctx context.Context, args struct {
	Name    string
	Version *int32
}) (*ruleSetVersion, error) {
	book, err := q.rulesets()
	if err != nil {
		return nil, err
	}
	version, err := versionOf(args.Version)
	if err != nil {
		return nil, err
	}
	if err := ledgerOf(ctx).spend(nameCost); err != nil {
		return nil, err
	}
	s, err := book.Set(ctx, args.Name)
	if err != nil {
		return nil, err
	}
	v, err := s.Find(version)
	if err != nil {
		return nil, err
	}
	everybodys, err := book.Active(ctx, "")
	return &ruleSetVersion{book: book, s: s, v: v, everybodys: everybodys.RuleSet}, err
}

// versionOf is 0 for none given; versions count from 1.
func versionOf(n *int32) (int, error) {
	switch {
	case n == nil:
		return 0, nil
	case *n < 1:
		return 0, &domain.Error{Kind: domain.Invalid, Rule: "ruleset.version", Msg: "versions count from 1", MsgZH: "version 从 1 开始"}
	}
	return int(*n), nil
}

type namedRuleSet struct {
	name     string
	versions []*ruleSetVersion
}

func (r *namedRuleSet) Name() string                { return r.name }
func (r *namedRuleSet) Versions() []*ruleSetVersion { return r.versions }

type ruleSetVersion struct {
	book       *commands.RuleBook
	s          ruleset.State
	v          ruleset.Version
	everybodys task.RuleSetRef
}

func (r *ruleSetVersion) Name() string    { return r.s.Name }
func (r *ruleSetVersion) Version() int32  { return small(r.v.Version) }
func (r *ruleSetVersion) Digest() string  { return r.v.Digest }
func (r *ruleSetVersion) BuiltIn() bool   { return r.v.BuiltIn }
func (r *ruleSetVersion) Active() bool    { return r.s.ActiveFor("") == r.v.Version }
func (r *ruleSetVersion) InService() bool { return r.s.Ref(r.v) == r.everybodys }

func (r *ruleSetVersion) PublishedAt() *graphql.Time {
	if r.v.At.IsZero() {
		return nil
	}
	return instant(&r.v.At)
}

func (r *ruleSetVersion) Projects() []string {
	out := []string{}
	for _, p := range slices.Sorted(maps.Keys(r.s.Active)) {
		if p != "" && r.s.Active[p] == r.v.Version {
			out = append(out, p)
		}
	}
	return out
}

// Text is read when it is asked for: it may be long.
func (r *ruleSetVersion) Text(ctx context.Context) (string, error) {
	if err := ledgerOf(ctx).spend(historyCost); err != nil {
		return "", err
	}
	v, err := r.book.Version(ctx, r.s.Name, r.v.Version)
	return v.Text, err
}

// Terms says what a task would be opened under.
func (q *query) Terms(ctx context.Context, args struct{ Project string }) (*termsResolver, error) {
	book, err := q.rulesets()
	if err != nil {
		return nil, err
	}
	if err := ledgerOf(ctx).spend(nameCost); err != nil {
		return nil, err
	}
	terms, err := book.Active(ctx, args.Project)
	return &termsResolver{terms}, err
}

type termsResolver struct{ t commands.Terms }

func (r *termsResolver) RuleSet() *ruleSet { return &ruleSet{r.t.RuleSet} }
func (r *termsResolver) Window() string    { return r.t.Window.String() }
func (r *termsResolver) Quiet() string     { return r.t.Quiet.String() }
func (r *termsResolver) Minimum() string   { return r.t.Minimum.String() }

func (r *termsResolver) Problem() *string {
	if r.t.Problem == nil {
		return nil
	}
	return given(r.t.Problem.Error())
}

func (r *termsResolver) Shadow() *ruleSet {
	if r.t.Shadow == nil {
		return nil
	}
	return &ruleSet{*r.t.Shadow}
}

func (r *termsResolver) ShadowProblem() *string {
	if r.t.ShadowProblem == nil {
		return nil
	}
	return given(r.t.ShadowProblem.Error())
}

func written(d *task.Duration) *string {
	if d == nil {
		return nil
	}
	return given(d.String())
}

func position[P ~uint64](p P) string { return strconv.FormatUint(uint64(p), 10) }
