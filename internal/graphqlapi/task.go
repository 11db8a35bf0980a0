package graphqlapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/queries"
)

type taskConnection struct {
	nodes []*taskResolver
	more  bool
}

func (c *taskConnection) Nodes() []*taskResolver { return c.nodes }

func (c *taskConnection) Edges() []*taskEdge {
	out := make([]*taskEdge, len(c.nodes))
	for i, n := range c.nodes {
		out[i] = &taskEdge{n}
	}
	return out
}

func (c *taskConnection) PageInfo() *pageInfo {
	info := &pageInfo{more: c.more}
	if n := len(c.nodes); n > 0 {
		info.end = given(c.nodes[n-1].t.Cursor())
	}
	return info
}

type taskEdge struct{ node *taskResolver }

func (e *taskEdge) Cursor() string      { return e.node.t.Cursor() }
func (e *taskEdge) Node() *taskResolver { return e.node }

type pageInfo struct {
	more bool
	end  *string
}

func (p *pageInfo) HasNextPage() bool  { return p.more }
func (p *pageInfo) EndCursor() *string { return p.end }

// taskPage is what the tasks of one page share: what one of them asks for is
// read for all.
type taskPage struct {
	queries *queries.Queries
	ids     []queries.TaskID
	with    queries.With
	asOf    *queries.AsOf // of its one task, if it is a past one

	mu       sync.Mutex
	findings map[queries.FindingsQuery]*findingsRead
	flaky    flakyRead
	before   baselinesRead
	shadows  shadowsRead
}

type findingsRead struct {
	once  sync.Once
	pages map[queries.TaskID]queries.FindingsPage
	err   error
}

func newTasks(q *queries.Queries, tasks []queries.Task, with queries.With) []*taskResolver {
	page := &taskPage{queries: q, with: with, findings: map[queries.FindingsQuery]*findingsRead{}}
	out := make([]*taskResolver, len(tasks))
	for i, t := range tasks {
		page.ids = append(page.ids, t.ID)
		out[i] = &taskResolver{t: t, page: page}
	}
	return out
}

func (p *taskPage) findingsOf(ctx context.Context, id queries.TaskID, ask queries.FindingsQuery) (queries.FindingsPage, error) {
	p.mu.Lock()
	read := p.findings[ask]
	if read == nil {
		read = &findingsRead{}
		p.findings[ask] = read
	}
	p.mu.Unlock()
	read.once.Do(func() {
		cost := max(0, ask.First)
		if ask.State != "" {
			cost += baselineCost
		}
		if read.err = ledgerOf(ctx).spend(len(p.ids) * cost); read.err == nil {
			var at queries.ReadAt
			if read.pages, at, read.err = p.queries.Findings(ctx, p.ids, ask); read.err == nil {
				ledgerOf(ctx).saw(at)
			}
		}
	})
	return read.pages[id], read.err
}

type taskResolver struct {
	t    queries.Task
	page *taskPage
}

// errNotRead: the query's text asked for a part that was not read with it. An
// empty list in its place would be a lie.
var errNotRead = errors.New("a part of the task was not read with it")

func (r *taskResolver) ID() graphql.ID             { return graphql.ID(r.t.ID.String()) }
func (r *taskResolver) Phase() string              { return string(r.t.Phase) }
func (r *taskResolver) Project() string            { return r.t.Project }
func (r *taskResolver) Version() string            { return r.t.Version }
func (r *taskResolver) FileName() string           { return r.t.FileName }
func (r *taskResolver) Size() Long                 { return Long(r.t.Size) }
func (r *taskResolver) SHA256() string             { return r.t.SHA256 }
func (r *taskResolver) UploadedAt() *graphql.Time  { return instant(r.t.UploadedAt) }
func (r *taskResolver) CreatedAt() *graphql.Time   { return instant(r.t.CreatedAt) }
func (r *taskResolver) Deadline() *graphql.Time    { return instant(r.t.Deadline) }
func (r *taskResolver) ConvergedAt() *graphql.Time { return instant(r.t.ConvergedAt) }
func (r *taskResolver) ObservedTypes() []string    { return list(r.t.Observed) }
func (r *taskResolver) LastEventAt() graphql.Time  { return *instant(&r.t.LastEventAt) }
func (r *taskResolver) LateFacts() int32           { return small(r.t.Late) }
func (r *taskResolver) Counts() *countsResolver    { return &countsResolver{r.t.Counts} }
func (r *taskResolver) Revision() int32            { return small(r.t.Revision) }

func (r *taskResolver) Status() *string {
	if r.t.Status == nil {
		return nil
	}
	return given(status(*r.t.Status))
}

func (r *taskResolver) ClosedCause() *string {
	return oneOf(r.t.ClosedCause, task.Settled, task.Deadline)
}

func (r *taskResolver) SubTasks() ([]*subTaskResolver, error) {
	if !r.page.with.SubTasks {
		return nil, errNotRead
	}
	out := make([]*subTaskResolver, len(r.t.SubTasks))
	for i, s := range r.t.SubTasks {
		out[i] = &subTaskResolver{s, r}
	}
	return out, nil
}

func (r *taskResolver) Declined() ([]*declineResolver, error) {
	if !r.page.with.Declines {
		return nil, errNotRead
	}
	out := make([]*declineResolver, len(r.t.Declines))
	for i, d := range r.t.Declines {
		out[i] = &declineResolver{d}
	}
	return out, nil
}

func (r *taskResolver) Silent() ([]string, error) {
	if !r.page.with.Silent {
		return nil, errNotRead
	}
	return list(r.t.Silent), nil
}

func (r *taskResolver) Verdict() *verdictResolver {
	if r.t.Verdict == nil {
		return nil
	}
	return &verdictResolver{*r.t.Verdict}
}

type findingsArgs struct {
	First    int32
	After    *string
	Severity *string
	Type     *string
	State    *string
}

func (r *taskResolver) Findings(ctx context.Context, args findingsArgs) (*findingConnection, error) {
	ask := queries.FindingsQuery{
		First: size(args.First), After: text(args.After),
		Severity: report.Severity(strings.ToLower(text(args.Severity))), Type: text(args.Type),
		State: queries.FindingState(text(args.State)),
	}
	if r.page.asOf != nil {
		return r.findingsAsOf(ctx, ask)
	}
	page, err := r.page.findingsOf(ctx, r.t.ID, ask)
	if err != nil {
		return nil, err
	}
	return &findingConnection{page}, nil
}

type historyArgs struct {
	First         int32
	AfterRevision *int32
}

func (r *taskResolver) History(ctx context.Context, args historyArgs) ([]*factResolver, error) {
	facts, err := history(ctx, r.page.queries, r.t.ID, args)
	return r.until(facts), err
}

func history(ctx context.Context, q *queries.Queries, id queries.TaskID, args historyArgs) ([]*factResolver, error) {
	if err := ledgerOf(ctx).spend(historyCost + max(0, int(args.First))); err != nil {
		return nil, err
	}
	after := int64(-1)
	if args.AfterRevision != nil {
		after = int64(*args.AfterRevision)
	}
	facts, err := q.History(ctx, id, size(args.First), after)
	if err != nil {
		return nil, err
	}
	out := make([]*factResolver, len(facts))
	for i, f := range facts {
		out[i] = &factResolver{f}
	}
	return out, nil
}

type factResolver struct{ f queries.Fact }

func (r *factResolver) ID() graphql.ID           { return graphql.ID(r.f.ID.String()) }
func (r *factResolver) Type() string             { return r.f.Type }
func (r *factResolver) Revision() int32          { return small(r.f.Revision) }
func (r *factResolver) Position() string         { return strconv.FormatUint(uint64(r.f.Position), 10) }
func (r *factResolver) RecordedAt() graphql.Time { return *instant(&r.f.At) }
func (r *factResolver) Late() bool               { return r.f.Late }
func (r *factResolver) Data() JSON               { return JSON(r.f.Data) }

type verdictResolver struct{ v task.MainTaskConverged }

func (r *verdictResolver) Revision() int32         { return small(r.v.Revision) }
func (r *verdictResolver) Status() string          { return status(r.v.Status) }
func (r *verdictResolver) Rule() *ruleResolver     { return &ruleResolver{r.v.Rule} }
func (r *verdictResolver) Because() *textResolver  { return &textResolver{r.v.Because} }
func (r *verdictResolver) RuleSet() *ruleSet       { return &ruleSet{r.v.RuleSet} }
func (r *verdictResolver) ObservedTypes() []string { return list(r.v.Observed) }
func (r *verdictResolver) Succeeded() []string     { return list(r.v.Succeeded) }
func (r *verdictResolver) Failed() []string        { return list(r.v.Failed) }
func (r *verdictResolver) Errored() []string       { return list(r.v.Errored) }
func (r *verdictResolver) Unfinished() []string    { return list(r.v.Unfinished) }
func (r *verdictResolver) Declined() []string      { return list(r.v.Declined) }

func (r *verdictResolver) Evidence() []graphql.ID {
	out := make([]graphql.ID, len(r.v.Evidence))
	for i, id := range r.v.Evidence {
		out[i] = graphql.ID(id)
	}
	return out
}

type ruleResolver struct{ r task.Rule }

func (r *ruleResolver) ID() string   { return r.r.ID }
func (r *ruleResolver) When() string { return r.r.When }

type ruleSet struct{ ref task.RuleSetRef }

func (r *ruleSet) Name() string   { return r.ref.Name }
func (r *ruleSet) Version() int32 { return small(r.ref.Version) }
func (r *ruleSet) Digest() string { return r.ref.Digest }

type textResolver struct{ t report.Text }

func (r *textResolver) En() string { return r.t.En }
func (r *textResolver) Zh() string { return r.t.Zh }

type countsResolver struct{ c report.Counts }

func (r *countsResolver) Error() int32   { return small(r.c.Error) }
func (r *countsResolver) Warning() int32 { return small(r.c.Warning) }
func (r *countsResolver) Note() int32    { return small(r.c.Note) }
