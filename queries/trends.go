package queries

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones are the same wherever this runs

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/domain/trend"
	"github.com/factgate/factgate/eventstore"
)

// Limits of trends.
const (
	// maxTrendRows is how many sums of counters one answer is made of.
	maxTrendRows = 300_000
	// MaxTrendTasks is how many tasks are judged anew for one answer under another
	// rule set.
	MaxTrendTasks = 2_000
	// trendPatience is how long that may take.
	trendPatience = 10 * time.Second
	// maxRulesRange bounds TopRules, which reads findings.
	maxRulesRange = 366 * 24 * time.Hour
)

// Undecidable is the outcome of tasks under a rule set that cannot say anything of
// them from what was recorded.
const Undecidable trend.Outcome = "UNDECIDABLE"

// TrendsQuery asks what tasks uploaded in a time came to.
type TrendsQuery struct {
	From, To time.Time  // moved outwards to whole units
	Unit     trend.Unit // of the series
	Zone     string     // of IANA; empty is UTC
	Project  string     // empty for all
	Type     string     // of sub-tasks; empty for all. Tasks are counted whatever their types
	// RuleSet, if there is one, gives the verdicts instead of those recorded.
	RuleSet *rules.RuleSet
	Now     time.Time
}

// Trends is the answer: every unit of the range in order, with what was counted or
// without.
type Trends struct {
	ReadAt
	Zone     *time.Location
	From, To time.Time // of the whole units
	Buckets  []TrendBucket
	Total    trend.Sum
}

// TrendBucket is one unit.
type TrendBucket struct {
	Start, End time.Time
	Label      string
	trend.Sum
}

// Trends sums up counters, with two statements. Under another rule set it reads the
// streams of the tasks instead, [MaxTrendTasks] at most, up to the position of the
// answer.
func (q *Queries) Trends(ctx context.Context, query TrendsQuery) (Trends, error) {
	zone, err := zoneOf(query.Zone)
	if err != nil {
		return Trends{}, err
	}
	starts, err := trend.Series(query.Unit, zone, query.From, query.To)
	if err != nil {
		return Trends{}, err
	}
	out := Trends{Zone: zone, From: starts[0], To: starts[len(starts)-1], Buckets: make([]TrendBucket, len(starts)-1)}
	for i := range out.Buckets {
		out.Buckets[i] = TrendBucket{Start: starts[i], End: starts[i+1], Label: trend.Label(query.Unit, zone, starts[i])}
	}
	add := func(i int, m trend.Measure, subTaskType string, o trend.Outcome, bin int, n int64) {
		out.Buckets[i].Add(m, subTaskType, o, bin, n)
		out.Total.Add(m, subTaskType, o, bin, n)
	}
	if query.RuleSet != nil {
		err = q.trendsUnder(ctx, query, &out, add)
		return out, err
	}
	err = q.snapshot(ctx, "sum up trends", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		return sumRollups(ctx, tx, query, starts, add)
	})
	return out, err
}

func zoneOf(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || len(name) > 100 {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "trends.zone", Err: err,
			Msg:   fmt.Sprintf("%.40q is no time zone; give a name of the IANA data base such as Asia/Shanghai", name),
			MsgZH: fmt.Sprintf("%.40q 不是时区；请给出 IANA 时区名，例如 Asia/Shanghai", name)}
	}
	return zone, nil
}

type addCounter func(bucket int, m trend.Measure, subTaskType string, o trend.Outcome, bin int, n int64)

func sumRollups(ctx context.Context, tx pgx.Tx, query TrendsQuery, starts []time.Time, add addCounter) error {
	args := []any{starts[:len(starts)-1], starts[0], starts[len(starts)-1], maxTrendRows + 1}
	var conditions strings.Builder
	if query.Project != "" {
		args = append(args, pgtype.UUID{Bytes: trend.ProjectKey(query.Project), Valid: true})
		fmt.Fprintf(&conditions, " and project_key = $%d", len(args))
	}
	if query.Type != "" {
		args = append(args, trend.TypeKey(query.Type))
		fmt.Fprintf(&conditions, " and type in ('', $%d)", len(args))
	}
	rows, err := tx.Query(ctx, `select width_bucket(quarter, $1::timestamptz[]) - 1, measure, type, outcome, bin, sum(n)::bigint
		from live.rollups where quarter >= $2 and quarter < $3`+conditions.String()+`
		group by 1, 2, 3, 4, 5 limit $4`, args...)
	if err != nil {
		return err
	}
	var bucket, bin, read int
	var m trend.Measure
	var name string
	var o trend.Outcome
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&bucket, &m, &name, &o, &bin, &n}, func() error {
		if read++; read > maxTrendRows {
			return &domain.Error{Kind: domain.Refused, Rule: "trends.too_costly",
				Msg:   "there is too much in this range for one answer; ask for one project or type, a shorter range or a longer unit",
				MsgZH: "该时间范围内的数据过多；请限定项目或类型，缩短时间范围，或使用更大的单位"}
		}
		add(bucket, m, name, o, bin, n)
		return nil
	})
	return err
}

// trendsUnder judges the tasks anew. What scanners did is as it was recorded.
func (q *Queries) trendsUnder(ctx context.Context, query TrendsQuery, out *Trends, add addCounter) error {
	type row struct {
		id TaskID
		at time.Time
	}
	args := []any{out.From, out.To, MaxTrendTasks + 1}
	condition := ""
	if query.Project != "" {
		args = append(args, clean(query.Project))
		condition = " and left(project, 100) = left($4::text, 100) and project = $4"
	}
	var tasks []row
	err := q.snapshot(ctx, "list tasks", func(tx pgx.Tx) error {
		var err error
		if out.ReadAt, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select task_id, uploaded_at from live.tasks where uploaded_at >= $1 and uploaded_at < $2`+condition+` limit $3`, args...)
		if err != nil {
			return err
		}
		tasks, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (row row, err error) {
			return row, r.Scan((*[16]byte)(&row.id), &row.at)
		})
		return err
	})
	if err != nil {
		return err
	}
	if len(tasks) > MaxTrendTasks {
		return &domain.Error{Kind: domain.Refused, Rule: "trends.too_many_tasks",
			Msg:   fmt.Sprintf("under another rule set a trend is made of %d tasks at most; ask for one project or a shorter range, or use rules dry-run for all", MaxTrendTasks),
			MsgZH: fmt.Sprintf("按其他规则集计算趋势时最多包含 %d 个任务；请限定项目或缩短时间范围，全量试算请用 rules dry-run", MaxTrendTasks)}
	}
	begun := time.Now()
	for len(tasks) > 0 {
		if time.Since(begun) > trendPatience {
			return &domain.Error{Kind: domain.Refused, Rule: "trends.too_slow",
				Msg:   fmt.Sprintf("judging these tasks anew takes longer than %s; ask for one project or a shorter range", trendPatience),
				MsgZH: fmt.Sprintf("重新判定这些任务超过 %s；请限定项目或缩短时间范围", trendPatience)}
		}
		batch := tasks[:min(len(tasks), dryRunners)]
		states := make([]task.State, len(batch))
		undecidable := make([]bool, len(batch))
		failures := make([]error, len(batch))
		var running sync.WaitGroup
		for i, r := range batch {
			running.Go(func() {
				states[i], undecidable[i], failures[i] = q.stateUnder(ctx, query.RuleSet, r.id, out.Position, query.Now)
			})
		}
		running.Wait()
		if err := errors.Join(failures...); err != nil {
			return err
		}
		for i, s := range states {
			bucket := out.bucketOf(batch[i].at)
			if s.Uploaded == nil { // its stream is gone, or too long
				add(bucket, trend.Tasks, "", Undecidable, trend.NoBin, 1)
				continue
			}
			for k, n := range trend.Of(s) {
				if undecidable[i] && k.Measure == trend.Tasks {
					k.Outcome, k.Bin = Undecidable, trend.NoBin
				}
				if query.Type == "" || k.Type == "" || k.Type == trend.TypeKey(query.Type) {
					add(bucket, k.Measure, k.Type, k.Outcome, k.Bin, n)
				}
			}
		}
		tasks = tasks[len(batch):]
	}
	return nil
}

func (t *Trends) bucketOf(at time.Time) int {
	low, high := 0, len(t.Buckets)-1
	for low < high {
		if middle := (low + high + 1) / 2; t.Buckets[middle].Start.After(at) {
			high = middle - 1
		} else {
			low = middle
		}
	}
	return low
}

// stateUnder is the state of a task as it would be under a rule set.
func (q *Queries) stateUnder(ctx context.Context, rs *rules.RuleSet, id TaskID, upTo eventstore.Position, now time.Time) (s task.State, undecidable bool, err error) {
	facts, err := q.recorded(ctx, id)
	var deleted *eventstore.DeletedError
	switch {
	case err == nil:
	case eventstore.IsNotFound(err), errors.As(err, &deleted), domain.KindOf(err) == domain.Refused:
		return s, true, nil
	default:
		return s, false, err
	}
	for i, r := range facts {
		if r.Position > uint64(upTo) {
			facts = facts[:i]
			break
		}
	}
	s = task.Fold(facts)
	if s.Verdict == nil {
		return s, false, nil
	}
	if _, no := rules.Undecidable(rs, facts); no {
		return s, true, nil
	}
	closed, ok := rules.Replay(rs, facts, now).(rules.Closed)
	if !ok {
		return s, true, nil
	}
	verdict := *s.Verdict
	verdict.Verdict = closed.Verdict
	s.Verdict, s.DecidedAt = &verdict, closed.At
	s.Closed = &task.WindowClosed{Cause: closed.Cause, ClosedAt: closed.At}
	return s, false, nil
}

// TopRulesQuery asks which rules found most in the tasks uploaded in a time.
type TopRulesQuery struct {
	From, To      time.Time
	Project, Type string
	First         int // 0 means 20
}

// TopRule is one rule with its findings that are not suppressed.
type TopRule struct {
	Type, Rule      string
	Findings, Tasks int64
}

// TopRules lists rules by their number of findings, with two statements. It counts
// what the newest attempts found and what of their reports could be read.
func (q *Queries) TopRules(ctx context.Context, query TopRulesQuery) ([]TopRule, ReadAt, error) {
	var read ReadAt
	first, err := page(query.First, 20)
	if err != nil {
		return nil, read, err
	}
	if !query.From.Before(query.To) || query.To.Sub(query.From) > maxRulesRange {
		return nil, read, &domain.Error{Kind: domain.Invalid, Rule: "trends.range",
			Msg: "give a range of time whose end is after its begin, of 366 days at most", MsgZH: "请给出有效的时间范围：结束时间须晚于开始时间，且不超过 366 天"}
	}
	args := []any{query.From, query.To, first}
	var conditions strings.Builder
	if query.Project != "" {
		args = append(args, clean(query.Project))
		fmt.Fprintf(&conditions, " and left(t.project, 100) = left($%[1]d::text, 100) and t.project = $%[1]d", len(args))
	}
	if query.Type != "" {
		args = append(args, clean(query.Type))
		fmt.Fprintf(&conditions, " and f.type = $%d", len(args))
	}
	var out []TopRule
	err = q.snapshot(ctx, "count findings by rule", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select type, rule, sum(n)::bigint, count(*) from (
				select f.type, f.rule, count(*) n
				from live.tasks t join live.findings f using (task_id)
				where t.uploaded_at >= $1 and t.uploaded_at < $2 and not f.suppressed`+conditions.String()+`
				group by f.task_id, f.type, f.rule) of_task
			group by type, rule order by sum(n) desc, type collate "C", rule collate "C" limit $3`, args...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[TopRule])
		return err
	})
	return out, read, err
}
