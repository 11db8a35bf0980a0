package graphqlapi

import (
	"context"

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

type projectSettings struct{ s project.Settings }

func (r *projectSettings) RuleSet() *string { return given(r.s.RuleSet) }
func (r *projectSettings) Window() *string  { return written(r.s.Window) }
func (r *projectSettings) Quiet() *string   { return written(r.s.Quiet) }
func (r *projectSettings) Minimum() *string { return written(r.s.Minimum) }
func (r *projectSettings) Shadow() *string  { return given(r.s.Shadow.String()) }
