package graphqlapi

import (
	"strings"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/queries"
)

type findingConnection struct{ page queries.FindingsPage }

func (c *findingConnection) Nodes() []*findingResolver {
	out := make([]*findingResolver, len(c.page.Findings))
	for i, f := range c.page.Findings {
		out[i] = &findingResolver{f}
	}
	return out
}

func (c *findingConnection) Edges() []*findingEdge {
	out := make([]*findingEdge, len(c.page.Findings))
	for i, f := range c.page.Findings {
		out[i] = &findingEdge{f}
	}
	return out
}

func (c *findingConnection) PageInfo() *pageInfo {
	info := &pageInfo{more: c.page.More}
	if n := len(c.page.Findings); n > 0 {
		info.end = given(c.page.Findings[n-1].Cursor())
	}
	return info
}

type findingEdge struct{ f queries.Finding }

func (e *findingEdge) Cursor() string         { return e.f.Cursor() }
func (e *findingEdge) Node() *findingResolver { return &findingResolver{e.f} }

type findingResolver struct{ f queries.Finding }

func (r *findingResolver) Type() string           { return r.f.Type }
func (r *findingResolver) Rule() string           { return r.f.Rule }
func (r *findingResolver) Severity() string       { return severity(r.f.Severity) }
func (r *findingResolver) Message() *textResolver { return bilingual(r.f.Message.En, r.f.Message.Zh) }
func (r *findingResolver) Path() string           { return r.f.Path }
func (r *findingResolver) Line() *int32           { return known(r.f.Line) }
func (r *findingResolver) Column() *int32         { return known(r.f.Column) }
func (r *findingResolver) EndLine() *int32        { return known(r.f.EndLine) }
func (r *findingResolver) EndColumn() *int32      { return known(r.f.EndColumn) }
func (r *findingResolver) Cell() *string          { return given(r.f.Cell) }
func (r *findingResolver) Pointer() *string       { return given(r.f.Pointer) }
func (r *findingResolver) Suppressed() bool       { return r.f.Suppressed }
func (r *findingResolver) Suppression() *suppressionResolver {
	if r.f.Suppression == nil {
		return nil
	}
	return &suppressionResolver{*r.f.Suppression}
}

type suppressionResolver struct{ s report.Suppression }

func (r *suppressionResolver) Reason() *string  { return given(r.s.Reason) }
func (r *suppressionResolver) Expires() *string { return given(r.s.Expires) }

func (r *suppressionResolver) Kind() string {
	if r.s.Kind == report.InSource {
		return "IN_SOURCE"
	}
	return "EXTERNAL"
}

func (r *suppressionResolver) Waiver() *graphql.ID {
	if r.s.Waiver == "" {
		return nil
	}
	id := graphql.ID(r.s.Waiver)
	return &id
}

func (r *findingResolver) Identity() graphql.ID { return graphql.ID(r.f.Identity) }

// severity is the schema's name of a stored severity. One that this version does
// not know fails no check, so it is a note.
func severity(s report.Severity) string {
	switch s {
	case report.Error, report.Warning:
		return strings.ToUpper(string(s))
	}
	return "NOTE"
}
