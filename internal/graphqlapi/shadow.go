package graphqlapi

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/queries"
)

// Shadow is read from the log when it is asked for.
func (r *taskResolver) Shadow(ctx context.Context) (*shadow, error) {
	if err := ledgerOf(ctx).spend(2 * historyCost); err != nil { // the task's stream and the rule set's
		return nil, err
	}
	var at queries.AsOf
	if r.page.asOf != nil {
		at = *r.page.asOf
	}
	s, err := r.page.queries.Shadow(ctx, r.t.ID, at, time.Now())
	return shadowOf(s), err
}

// shadowsRead is what the tasks of one page have, read once.
type shadowsRead struct {
	once sync.Once
	of   map[queries.TaskID]task.Status
	err  error
}

// ShadowStatus is read from the read model; as of a moment, from the log.
func (r *taskResolver) ShadowStatus(ctx context.Context) (*string, error) {
	if r.page.asOf != nil {
		s, err := r.Shadow(ctx)
		if s == nil || err != nil {
			return nil, err
		}
		return s.Status(), nil
	}
	read := &r.page.shadows
	read.once.Do(func() {
		if read.err = ledgerOf(ctx).spend(len(r.page.ids)); read.err == nil {
			var at queries.ReadAt
			if read.of, at, read.err = r.page.queries.ShadowStatuses(ctx, r.page.ids, time.Now()); read.err == nil {
				ledgerOf(ctx).saw(at)
			}
		}
	})
	said, ok := read.of[r.t.ID]
	if !ok {
		return nil, read.err
	}
	return given(status(said)), read.err
}

func (q *query) ShadowReport(ctx context.Context, args struct {
	RuleSet    string
	Project    *string
	First      int32
	After      *string
	AtPosition *string
}) (*shadowReport, error) {
	of, err := project.ParseShadow(args.RuleSet)
	if err != nil {
		return nil, err
	}
	if of.Version == 0 {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "project.shadow",
			Msg:   fmt.Sprintf("say which version, such as %s@1", of.Name),
			MsgZH: fmt.Sprintf("请指明版本，如 %s@1", of.Name)}
	}
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	ask := queries.ShadowReportQuery{Name: of.Name, Version: of.Version, Project: text(args.Project), Now: time.Now(), First: size(args.First), After: text(args.After)}
	if err := ledgerOf(ctx).spend(reportCost + max(0, ask.First)); err != nil {
		return nil, err
	}
	r, err := q.queries.ShadowReport(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(r.ReadAt)
	return &shadowReport{of, r}, nil
}

type shadowReport struct {
	of project.Shadow
	r  queries.ShadowReport
}

func (r *shadowReport) Name() string      { return r.of.Name }
func (r *shadowReport) Version() int32    { return small(r.of.Version) }
func (r *shadowReport) Judged() Long      { return Long(r.r.Judged()) }
func (r *shadowReport) Same() Long        { return Long(r.r.Same) }
func (r *shadowReport) Differing() Long   { return Long(r.r.Differing) }
func (r *shadowReport) Undecidable() Long { return Long(r.r.Undecidable) }
func (r *shadowReport) Open() Long        { return Long(r.r.Open) }

func (r *shadowReport) Nodes() []*shadowDifference {
	out := make([]*shadowDifference, len(r.r.Differences))
	for i, d := range r.r.Differences {
		out[i] = &shadowDifference{d}
	}
	return out
}

func (r *shadowReport) PageInfo() *pageInfo {
	info := &pageInfo{more: r.r.More}
	if n := len(r.r.Differences); n > 0 {
		info.end = given(r.r.Differences[n-1].Cursor())
	}
	return info
}

type shadowDifference struct{ d queries.ShadowDifference }

func (r *shadowDifference) Task() graphql.ID { return graphql.ID(r.d.Task.String()) }
func (r *shadowDifference) Project() string  { return r.d.Project }
func (r *shadowDifference) Version() string  { return r.d.Version }
func (r *shadowDifference) FileName() string { return r.d.FileName }
func (r *shadowDifference) Recorded() string { return status(r.d.Recorded) }
func (r *shadowDifference) Status() string   { return status(r.d.Status) }
func (r *shadowDifference) Rule() string     { return r.d.Rule }

func (r *explanation) Shadow() *shadow { return shadowOf(r.e.Shadow) }

func shadowOf(s *queries.Shadowed) *shadow {
	if s == nil {
		return nil
	}
	return &shadow{*s}
}

type shadow struct{ s queries.Shadowed }

func (r *shadow) RuleSet() *ruleSet { return &ruleSet{r.s.RuleSet} }

func (r *shadow) Status() *string {
	if r.s.Verdict == nil {
		return nil
	}
	said := status(r.s.Verdict.Status)
	return &said
}

func (r *shadow) Rule() *ruleResolver {
	if r.s.Verdict == nil {
		return nil
	}
	return &ruleResolver{r.s.Verdict.Rule}
}

func (r *shadow) Because() *textResolver {
	if r.s.Verdict == nil {
		return nil
	}
	return &textResolver{r.s.Verdict.Because}
}

func (r *shadow) Differs() *bool {
	if r.s.Recorded == nil || r.s.Verdict == nil {
		return nil
	}
	differs := r.s.Trial.Differs()
	return &differs
}

func (r *shadow) Undecidable() *textResolver {
	if r.s.Undecidable == (report.Text{}) {
		return nil
	}
	return &textResolver{r.s.Undecidable}
}

func (r *shadow) DueAt() *graphql.Time {
	if r.s.DueAt.IsZero() {
		return nil
	}
	return instant(&r.s.DueAt)
}
