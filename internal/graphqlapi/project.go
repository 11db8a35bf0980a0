package graphqlapi

import (
	"context"
	"maps"
	"slices"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/project"
)

// Project says what a project has settled, and what that comes to.
func (q *query) Project(ctx context.Context, args struct{ Key string }) (*projectResolver, error) {
	book, err := q.rulesets()
	if err != nil {
		return nil, err
	}
	if err := ledgerOf(ctx).spend(nameCost); err != nil {
		return nil, err
	}
	state, err := book.Project(ctx, args.Key)
	return &projectResolver{book, state}, err
}

type projectResolver struct {
	book *commands.RuleBook
	s    project.State
}

func (r *projectResolver) Key() string                { return r.s.Project }
func (r *projectResolver) Settings() *projectSettings { return &projectSettings{r.s.Settings} }

func (r *projectResolver) Terms(ctx context.Context) (*termsResolver, error) {
	if err := ledgerOf(ctx).spend(nameCost); err != nil {
		return nil, err
	}
	terms, err := r.book.Active(ctx, r.s.Project)
	return &termsResolver{terms}, err
}

func (r *projectResolver) Scanners() []*scannerConfiguration {
	out := []*scannerConfiguration{}
	for _, name := range slices.Sorted(maps.Keys(r.s.Scanners)) {
		out = append(out, &scannerConfiguration{r.s.Scanners[name]})
	}
	return out
}

func (r *projectResolver) Waivers(ctx context.Context) ([]*waiverResolver, error) {
	granted := r.s.Granted()
	if err := ledgerOf(ctx).spend(len(granted)); err != nil {
		return nil, err
	}
	out := make([]*waiverResolver, len(granted))
	for i, w := range granted {
		out[i] = &waiverResolver{w}
	}
	return out, nil
}

// ScannerConfiguration says how a type checks a project's packages.
func (q *query) ScannerConfiguration(ctx context.Context, args struct{ Project, Type string }) (*scannerConfiguration, error) {
	book, err := q.rulesets()
	if err != nil {
		return nil, err
	}
	if err := ledgerOf(ctx).spend(2 * nameCost); err != nil {
		return nil, err
	}
	for _, name := range []string{args.Project, project.All} {
		s, err := book.Project(ctx, name)
		if err != nil {
			return nil, err
		}
		if c, ok := s.Scanners[args.Type]; ok {
			return &scannerConfiguration{c}, nil
		}
	}
	return nil, nil
}

type scannerConfiguration struct{ c project.Configured }

func (r *scannerConfiguration) Project() string  { return r.c.Project }
func (r *scannerConfiguration) Type() string     { return r.c.Type }
func (r *scannerConfiguration) Text() string     { return r.c.Text }
func (r *scannerConfiguration) Digest() string   { return r.c.Digest }
func (r *scannerConfiguration) At() graphql.Time { return graphql.Time{Time: r.c.At} }

type waiverResolver struct{ w project.Waiver }

func (r *waiverResolver) ID() graphql.ID   { return graphql.ID(r.w.ID) }
func (r *waiverResolver) Project() string  { return r.w.Project }
func (r *waiverResolver) Type() *string    { return given(r.w.Type) }
func (r *waiverResolver) Rule() string     { return r.w.Rule }
func (r *waiverResolver) Path() string     { return string(r.w.Path) }
func (r *waiverResolver) Anchor() *string  { return given(r.w.Anchor) }
func (r *waiverResolver) Reason() string   { return r.w.Reason }
func (r *waiverResolver) Expires() *string { return given(string(r.w.Expires)) }
func (r *waiverResolver) At() graphql.Time { return graphql.Time{Time: r.w.At} }

func (r *waiverResolver) Identity() *graphql.ID {
	if r.w.Identity == "" {
		return nil
	}
	id := graphql.ID(r.w.Identity)
	return &id
}

func (r *waiverResolver) RevokedAt() *graphql.Time {
	if r.w.Revoked == nil {
		return nil
	}
	return &graphql.Time{Time: r.w.Revoked.At}
}

type projectSettings struct{ s project.Settings }

func (r *projectSettings) RuleSet() *string { return given(r.s.RuleSet) }
func (r *projectSettings) Window() *string  { return written(r.s.Window) }
func (r *projectSettings) Quiet() *string   { return written(r.s.Quiet) }
func (r *projectSettings) Minimum() *string { return written(r.s.Minimum) }
func (r *projectSettings) Shadow() *string  { return given(r.s.Shadow.String()) }
