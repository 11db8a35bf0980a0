package graphqlapi

import (
	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/queries"
)

type subTaskResolver struct {
	s    queries.SubTask
	task *taskResolver
}

func (r *subTaskResolver) Type() string              { return r.s.Type }
func (r *subTaskResolver) State() string             { return string(r.s.State) }
func (r *subTaskResolver) Attempt() Long             { return Long(r.s.Attempt) }
func (r *subTaskResolver) Scanner() *scannerResolver { return &scannerResolver{r.s.Scanner} }
func (r *subTaskResolver) StartedAt() *graphql.Time  { return instant(r.s.StartedAt) }
func (r *subTaskResolver) EndedAt() *graphql.Time    { return instant(r.s.EndedAt) }
func (r *subTaskResolver) DurationMs() Long          { return Long(r.s.DurationMS) }
func (r *subTaskResolver) Parked() bool              { return r.s.Parked }
func (r *subTaskResolver) RetryWanted() bool         { return r.s.RetryWanted }
func (r *subTaskResolver) Late() bool                { return r.s.Late }

func (r *subTaskResolver) Report() (string, error) {
	if r.s.Report == "" {
		return "", errNotRead
	}
	return string(r.s.Report), nil
}

func (r *subTaskResolver) Result() *string {
	return oneOf(r.s.Result, task.Pass, task.PassWithWarnings)
}

func (r *subTaskResolver) Kind() *string {
	return oneOf(r.s.Kind, task.Check, task.Error)
}

func (r *subTaskResolver) Reason() *textResolver {
	if r.s.Reason == nil {
		return nil
	}
	return bilingual(*r.s.Reason, text(r.s.ReasonZH))
}

// Decision says why the scanner takes part.
func (r *subTaskResolver) Decision() *decisionResolver { return &decisionResolver{r.s} }

type decisionResolver struct{ s queries.SubTask }

func (r *decisionResolver) Reason() *textResolver {
	if r.s.Because == nil {
		return nil
	}
	return bilingual(r.s.Because.En, r.s.Because.Zh)
}

func (r *decisionResolver) Configuration() *appliedConfiguration { return applied(r.s.Configuration) }

type appliedConfiguration struct{ c task.Configuration }

func applied(c *task.Configuration) *appliedConfiguration {
	if c == nil {
		return nil
	}
	return &appliedConfiguration{*c}
}

func (r *appliedConfiguration) Project() string { return r.c.Project }
func (r *appliedConfiguration) Digest() string  { return r.c.Digest }

func (r *subTaskResolver) Counts() *countsResolver {
	if r.s.Counts == nil {
		return nil
	}
	return &countsResolver{*r.s.Counts}
}

func (r *subTaskResolver) Coverage() *coverageResolver {
	if r.s.Coverage == nil {
		return nil
	}
	return &coverageResolver{*r.s.Coverage}
}

// bilingual shows the English text where a scanner gave no Chinese one.
func bilingual(en, zh string) *textResolver {
	if zh == "" {
		zh = en
	}
	return &textResolver{report.Text{En: en, Zh: zh}}
}

type scannerResolver struct{ s task.Scanner }

func (r *scannerResolver) Name() string         { return r.s.Name }
func (r *scannerResolver) Version() string      { return r.s.Version }
func (r *scannerResolver) Instance() string     { return r.s.Instance }
func (r *scannerResolver) RulesDigest() string  { return r.s.RulesDigest }
func (r *scannerResolver) ConfigDigest() string { return r.s.ConfigDigest }

type coverageResolver struct{ c task.Coverage }

func (r *coverageResolver) Eligible() int32 { return small(r.c.Eligible) }
func (r *coverageResolver) Seen() int32     { return small(r.c.Seen) }

func (r *coverageResolver) Degraded() []*degradedResolver {
	out := make([]*degradedResolver, len(r.c.Degraded))
	for i, d := range r.c.Degraded {
		out[i] = &degradedResolver{d}
	}
	return out
}

type degradedResolver struct{ d task.Degraded }

func (r *degradedResolver) Path() string      { return r.d.Path }
func (r *degradedResolver) Reason() string    { return r.d.Reason }
func (r *degradedResolver) ReasonZh() *string { return given(r.d.ReasonZH) }

type declineResolver struct{ d queries.Decline }

func (r *declineResolver) Type() string              { return r.d.Type }
func (r *declineResolver) Code() string              { return r.d.Code }
func (r *declineResolver) Reason() *textResolver     { return bilingual(r.d.Reason, r.d.ReasonZH) }
func (r *declineResolver) Scanner() *scannerResolver { return &scannerResolver{r.d.Scanner} }
func (r *declineResolver) At() graphql.Time          { return *instant(&r.d.At) }
func (r *declineResolver) Late() bool                { return r.d.Late }

// Configuration is what the scanner was told by.
func (r *declineResolver) Configuration() *appliedConfiguration { return applied(r.d.Configuration) }
