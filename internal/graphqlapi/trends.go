package graphqlapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/trend"
	"github.com/factgate/factgate/queries"
)

type trendsArgs struct {
	From       graphql.Time
	To         *graphql.Time
	By         *string // null where a variable has no value
	TimeZone   *string
	Project    *string
	Type       *string
	RuleSet    *string
	AtPosition *string
}

func (q *query) Trends(ctx context.Context, args trendsArgs) (*trendsResolver, error) {
	// Judging tasks anew takes more than half of a request's budget: once, not twice.
	cost := trend.MaxBuckets
	if args.RuleSet != nil {
		cost = maxEntries/2 + 1
	}
	if err := ledgerOf(ctx).spend(cost); err != nil {
		return nil, err
	}
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	now := time.Now()
	ask := queries.TrendsQuery{From: args.From.Time, To: now, Unit: trend.Day, Zone: text(args.TimeZone), Project: text(args.Project), Type: text(args.Type), Now: now}
	if args.To != nil {
		ask.To = args.To.Time
	}
	if args.By != nil {
		ask.Unit = trend.Unit(*args.By)
	}
	if args.RuleSet != nil {
		var err error
		if ask.RuleSet, err = q.ruleSetNamed(ctx, *args.RuleSet); err != nil {
			return nil, err
		}
	}
	t, err := q.queries.Trends(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(t.ReadAt)
	return &trendsResolver{ask, t}, nil
}

// ruleSetNamed finds name@version, or the newest version of a name.
func (q *query) ruleSetNamed(ctx context.Context, s string) (*rules.RuleSet, error) {
	book, err := q.rulesets()
	if err != nil {
		return nil, err
	}
	name, number, given := strings.Cut(s, "@")
	version := 0
	if given {
		if version, err = strconv.Atoi(number); err != nil || version < 1 {
			return nil, &domain.Error{Kind: domain.Invalid, Rule: "ruleset.version",
				Msg: "name a rule set as name@version, with versions from 1, or by its name alone", MsgZH: "规则集写作 name@version（版本从 1 开始），或只写名称"}
		}
	}
	set, err := book.Set(ctx, name)
	if err != nil {
		return nil, err
	}
	v, err := set.Find(version)
	if err != nil {
		return nil, err
	}
	return book.Get(ctx, set.Ref(v))
}

type trendsResolver struct {
	ask queries.TrendsQuery
	t   queries.Trends
}

func (r *trendsResolver) By() string          { return string(r.ask.Unit) }
func (r *trendsResolver) TimeZone() string    { return r.t.Zone.String() }
func (r *trendsResolver) From() graphql.Time  { return *instant(&r.t.From) }
func (r *trendsResolver) To() graphql.Time    { return *instant(&r.t.To) }
func (r *trendsResolver) Total() *trendCounts { return &trendCounts{&r.t.Total} }
func (r *trendsResolver) RuleSet() *ruleSet {
	if r.ask.RuleSet == nil {
		return nil
	}
	return &ruleSet{r.ask.RuleSet.Ref()}
}

func (r *trendsResolver) Buckets() []*trendBucket {
	out := make([]*trendBucket, len(r.t.Buckets))
	for i := range r.t.Buckets {
		out[i] = &trendBucket{&r.t.Buckets[i]}
	}
	return out
}

type trendBucket struct{ b *queries.TrendBucket }

func (r *trendBucket) Start() graphql.Time  { return *instant(&r.b.Start) }
func (r *trendBucket) End() graphql.Time    { return *instant(&r.b.End) }
func (r *trendBucket) Label() string        { return r.b.Label }
func (r *trendBucket) Counts() *trendCounts { return &trendCounts{&r.b.Sum} }

type trendCounts struct{ s *trend.Sum }

func (r *trendCounts) Tasks() Long               { return Long(r.s.All()) }
func (r *trendCounts) Success() Long             { return Long(r.s.Tasks("SUCCESS")) }
func (r *trendCounts) PartialSuccess() Long      { return Long(r.s.Tasks("PARTIAL_SUCCESS")) }
func (r *trendCounts) Failed() Long              { return Long(r.s.Tasks("FAILED")) }
func (r *trendCounts) Cancelled() Long           { return Long(r.s.Tasks(trend.TaskCancelled)) }
func (r *trendCounts) Open() Long                { return Long(r.s.Tasks(trend.TaskOpen)) }
func (r *trendCounts) Undecidable() Long         { return Long(r.s.Tasks(queries.Undecidable)) }
func (r *trendCounts) PassRate() *float64        { return ifKnown(r.s.PassRate()) }
func (r *trendCounts) TimeToVerdict() *durations { return &durations{r.s.TimeToVerdict()} }
func (r *trendCounts) Scans() *durations         { return &durations{r.s.Durations()} }
func (r *trendCounts) Windows() Long             { return Long(r.s.Windows()) }
func (r *trendCounts) TimedOut() Long            { return Long(r.s.TimedOut()) }
func (r *trendCounts) LateFacts() Long           { return Long(r.s.LateFacts()) }
func (r *trendCounts) DeadLetters() Long         { return Long(r.s.DeadLetters()) }

func (r *trendCounts) Types() []*trendType {
	out := []*trendType{}
	for _, t := range r.s.Types() {
		out = append(out, &trendType{t})
	}
	return out
}

type trendType struct{ t *trend.TypeSum }

func (r *trendType) Type() string           { return r.t.Type }
func (r *trendType) Pass() Long             { return Long(r.t.Of(trend.SubTaskPass)) }
func (r *trendType) PassWithWarnings() Long { return Long(r.t.Of(trend.SubTaskPassWithWarnings)) }
func (r *trendType) Failed() Long           { return Long(r.t.Of(trend.SubTaskFailed)) }
func (r *trendType) Errored() Long          { return Long(r.t.Of(trend.SubTaskErrored)) }
func (r *trendType) Running() Long          { return Long(r.t.Of(trend.SubTaskRunning)) }
func (r *trendType) Declined() Long         { return Long(r.t.Of(trend.SubTaskDeclined)) }
func (r *trendType) Known() Long            { return Long(r.t.Known) }
func (r *trendType) Silent() Long           { return Long(r.t.Silent) }
func (r *trendType) DeadLetters() Long      { return Long(r.t.DeadLetters) }
func (r *trendType) PassRate() *float64     { return ifKnown(r.t.PassRate()) }
func (r *trendType) DeclineRate() *float64  { return ifKnown(r.t.DeclineRate()) }
func (r *trendType) SilenceRate() *float64  { return ifKnown(r.t.SilenceRate()) }
func (r *trendType) Scans() *durations      { return &durations{r.t.Durations} }

type durations struct{ h trend.Histogram }

func (r *durations) Count() Long     { return Long(r.h.Count()) }
func (r *durations) P50Ms() *float64 { return ifKnown(r.h.Quantile(0.5)) }
func (r *durations) P95Ms() *float64 { return ifKnown(r.h.Quantile(0.95)) }

func ifKnown(v float64, ok bool) *float64 {
	if !ok {
		return nil
	}
	return &v
}

func (q *query) TopRules(ctx context.Context, args struct {
	From       graphql.Time
	To         *graphql.Time
	Project    *string
	Type       *string
	First      int32
	AtPosition *string
}) ([]*topRule, error) {
	ask := queries.TopRulesQuery{From: args.From.Time, To: time.Now(), Project: text(args.Project), Type: text(args.Type), First: size(args.First)}
	if args.To != nil {
		ask.To = args.To.Time
	}
	if err := ledgerOf(ctx).spend(readsFindings + max(0, ask.First)); err != nil {
		return nil, err
	}
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	list, at, err := q.queries.TopRules(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(at)
	out := make([]*topRule, len(list))
	for i, r := range list {
		out[i] = &topRule{r}
	}
	return out, nil
}

type topRule struct{ r queries.TopRule }

func (r *topRule) Type() string   { return r.r.Type }
func (r *topRule) Rule() string   { return r.r.Rule }
func (r *topRule) Findings() Long { return Long(r.r.Findings) }
func (r *topRule) Tasks() Long    { return Long(r.r.Tasks) }
