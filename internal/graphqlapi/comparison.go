package graphqlapi

import (
	"context"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/queries"
)

// readsFindings is what a question over the findings of many tasks costs besides its
// entries.
const readsFindings = 10_000

func (q *query) Compare(ctx context.Context, args struct {
	Task       graphql.ID
	Previous   *graphql.ID
	First      int32
	AtPosition *string
}) (*comparison, error) {
	id, err := queries.ParseTaskID(string(args.Task))
	if err != nil {
		return nil, err
	}
	var previous *queries.TaskID
	if args.Previous != nil {
		other, err := queries.ParseTaskID(string(*args.Previous))
		if err != nil {
			return nil, err
		}
		previous = &other
	}
	first := size(args.First)
	if err := ledgerOf(ctx).spend(1000 + 2*max(0, first)); err != nil {
		return nil, err
	}
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	c, err := q.queries.Compare(ctx, id, previous, first)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(c.ReadAt)
	return &comparison{c}, nil
}

type comparison struct{ c queries.Comparison }

func (r *comparison) Task() graphql.ID { return graphql.ID(r.c.Task.String()) }
func (r *comparison) Introduced() Long { return Long(r.c.Introduced) }
func (r *comparison) Fixed() Long      { return Long(r.c.Fixed) }
func (r *comparison) Unchanged() Long  { return Long(r.c.Unchanged) }
func (r *comparison) IntroducedFindings() []*findingResolver {
	return findings(r.c.NewFindings)
}
func (r *comparison) FixedFindings() []*findingResolver { return findings(r.c.FixedFindings) }

func (r *comparison) Previous() *graphql.ID {
	if r.c.Previous == nil {
		return nil
	}
	id := graphql.ID(r.c.Previous.String())
	return &id
}

func (r *comparison) Types() []*comparedType {
	out := make([]*comparedType, len(r.c.Types))
	for i, t := range r.c.Types {
		out[i] = &comparedType{t}
	}
	return out
}

func findings(list []queries.Finding) []*findingResolver {
	out := make([]*findingResolver, len(list))
	for i, f := range list {
		out[i] = &findingResolver{f}
	}
	return out
}

type comparedType struct{ t queries.ComparedType }

func (r *comparedType) Type() string    { return r.t.Type }
func (r *comparedType) Compared() bool  { return r.t.Compared() }
func (r *comparedType) Before() *string { return given(string(r.t.Before)) }
func (r *comparedType) After() *string  { return given(string(r.t.After)) }
func (r *comparedType) Cut() bool       { return r.t.Cut }

func (q *query) FindingAges(ctx context.Context, args struct {
	Project    string
	Type       *string
	Fixed      *bool
	First      int32
	AtPosition *string
}) (*findingAges, error) {
	ask := queries.FindingAgesQuery{Project: args.Project, Type: text(args.Type), Fixed: args.Fixed != nil && *args.Fixed, First: size(args.First)}
	if err := ledgerOf(ctx).spend(readsFindings + max(0, ask.First)); err != nil {
		return nil, err
	}
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	a, err := q.queries.FindingAges(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(a.ReadAt)
	return &findingAges{a}, nil
}

type findingAges struct{ a queries.FindingAges }

func (r *findingAges) Versions() Long       { return Long(r.a.Versions) }
func (r *findingAges) Since() *graphql.Time { return instant(r.a.Since) }
func (r *findingAges) Open() Long           { return Long(r.a.Open) }
func (r *findingAges) Fixed() Long          { return Long(r.a.Fixed) }
func (r *findingAges) MedianFixSeconds() *float64 {
	if r.a.MedianFix == nil {
		return nil
	}
	s := r.a.MedianFix.Seconds()
	return &s
}

func (r *findingAges) Findings() []*agedFinding {
	out := make([]*agedFinding, len(r.a.Findings))
	for i, f := range r.a.Findings {
		out[i] = &agedFinding{f}
	}
	return out
}

type agedFinding struct{ f queries.AgedFinding }

func (r *agedFinding) Finding() *findingResolver { return &findingResolver{r.f.Finding} }
func (r *agedFinding) FirstSeen() graphql.Time   { return *instant(&r.f.FirstSeen) }
func (r *agedFinding) FirstTask() graphql.ID     { return graphql.ID(r.f.FirstTask.String()) }
func (r *agedFinding) LastSeen() graphql.Time    { return *instant(&r.f.LastSeen) }
func (r *agedFinding) LastTask() graphql.ID      { return graphql.ID(r.f.LastTask.String()) }
func (r *agedFinding) FixedAt() *graphql.Time    { return instant(r.f.FixedAt) }
func (r *agedFinding) Versions() Long            { return Long(r.f.Versions) }
