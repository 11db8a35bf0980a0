package graphqlapi

import (
	"context"
	"sync"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/queries"
)

func (q *query) Flaky(ctx context.Context, args struct {
	First      int32
	Type       *string
	Project    *string
	AtPosition *string
}) ([]*flaky, error) {
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	ask := queries.FlakyQuery{First: size(args.First), Type: text(args.Type), Project: text(args.Project)}
	if err := ledgerOf(ctx).spend(max(0, ask.First) * flakyCost); err != nil {
		return nil, err
	}
	list, at, err := q.queries.Flaky(ctx, ask)
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(at)
	return flakyList(list), nil
}

// flakyCost is what a flaky scan, or a task that may have some, takes of a request's
// budget: each brings up to 20 scans.
const flakyCost = 20

// flakyRead is what the tasks of one page have, read once.
type flakyRead struct {
	once sync.Once
	of   map[queries.TaskID][]queries.Flaky
	err  error
}

func (r *taskResolver) Flaky(ctx context.Context) ([]*flaky, error) {
	if r.page.asOf != nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "flaky.not_in_stream",
			Msg:   "the facts of a task do not say how others scanned the same package; ask for flaky without asOf",
			MsgZH: "任务自身的事实不含其他任务对同一包的扫描结果；查询 flaky 时请勿指定 asOf"}
	}
	read := &r.page.flaky
	read.once.Do(func() {
		if read.err = ledgerOf(ctx).spend(len(r.page.ids) * flakyCost); read.err == nil {
			var at queries.ReadAt
			if read.of, at, read.err = r.page.queries.FlakyOf(ctx, r.page.ids); read.err == nil {
				ledgerOf(ctx).saw(at)
			}
		}
	})
	return flakyList(read.of[r.t.ID]), read.err
}

func flakyList(list []queries.Flaky) []*flaky {
	out := make([]*flaky, len(list))
	for i, f := range list {
		out[i] = &flaky{f}
	}
	return out
}

type flaky struct{ f queries.Flaky }

func (r *flaky) Type() string         { return r.f.Type }
func (r *flaky) SHA256() string       { return r.f.SHA256 }
func (r *flaky) RulesDigest() string  { return r.f.RulesDigest }
func (r *flaky) ConfigDigest() string { return r.f.ConfigDigest }
func (r *flaky) Attempts() Long       { return Long(r.f.ScanCount) }
func (r *flaky) Different() Long      { return Long(r.f.Different) }

func (r *flaky) Scans() []*flakyScan {
	out := make([]*flakyScan, len(r.f.Scans))
	for i, s := range r.f.Scans {
		out[i] = &flakyScan{s}
	}
	return out
}

type flakyScan struct{ s queries.Scan }

func (r *flakyScan) Task() graphql.ID      { return graphql.ID(r.s.TaskID.String()) }
func (r *flakyScan) Project() string       { return r.s.Project }
func (r *flakyScan) Version() string       { return r.s.Version }
func (r *flakyScan) Attempt() Long         { return Long(r.s.Attempt) }
func (r *flakyScan) Result() string        { return r.s.Result }
func (r *flakyScan) Findings() *string     { return r.s.Findings }
func (r *flakyScan) EndedAt() graphql.Time { return *instant(&r.s.EndedAt) }
func (r *flakyScan) Counts() *countsResolver {
	if r.s.Counts == nil {
		return nil
	}
	return &countsResolver{*r.s.Counts}
}
