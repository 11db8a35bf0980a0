package projections

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/sync/errgroup"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

//go:embed shadows.sql
var shadowTables string

// RuleSets finds the rule sets that tasks have in their shadow.
type RuleSets interface {
	// Get returns exactly this rule set. An error of kind Unavailable or Internal says
	// that nobody can tell now, and the read model tries again until it is otherwise;
	// any other that there is none, or none that can be used: the shadows that want it
	// are undecidable.
	Get(ctx context.Context, ref task.RuleSetRef) (*rules.RuleSet, error)
}

// shadowReads is how many streams of shadowed tasks are read side by side.
const shadowReads = 8

// trials tries the rule sets in tasks' shadows. A task without a shadow, or without
// a verdict, costs nothing.
type trials struct {
	log  eventstore.Reader
	sets RuleSets // nil knows none
}

// shadowed is a task's row.
type shadowed struct {
	id          eventstore.ID
	ref         task.RuleSetRef
	recorded    task.Status
	verdict     *task.Verdict
	dueAt       time.Time
	undecidable report.Text
}

// of tries the shadow of each task that has a verdict and that the batch touches:
// late facts, too, may lie within a shadow's longer window. It is a function of the
// task's facts up to the batch's, and so the same whatever the batches were. An error
// is a store's: the batch is to be tried again.
func (t trials) of(ctx context.Context, b *batch) ([]shadowed, error) {
	var wanted []*change
	for _, c := range b.order {
		if s := c.after; s.Created != nil && s.Created.Shadow != nil && s.Verdict != nil {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	out := make([]shadowed, len(wanted))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(shadowReads)
	for i, c := range wanted {
		g.Go(func() (err error) {
			if out[i], err = t.try(ctx, c); err != nil {
				return fmt.Errorf("the shadow of task %s: %w", c.id, err)
			}
			return nil
		})
	}
	return out, g.Wait()
}

func (t trials) try(ctx context.Context, c *change) (shadowed, error) {
	out := shadowed{id: c.id, ref: *c.after.Created.Shadow, recorded: c.after.Verdict.Status}
	facts, err := t.facts(ctx, c)
	if err != nil {
		return out, err
	}
	if facts == nil {
		out.undecidable = report.Text{En: "the task's facts are not in the log any more", Zh: "任务的事实已不在日志中"}
		return out, nil
	}
	rs, err := t.ruleSet(ctx, out.ref)
	if err != nil {
		return out, err
	}
	if rs == nil {
		out.recorded = rules.Try(rules.Default(), facts, facts[len(facts)-1].At).Recorded.Status
		out.undecidable = report.Text{
			En: fmt.Sprintf("rule set %.80q version %d is not here, or cannot be used by this version of Factgate", out.ref.Name, out.ref.Version),
			Zh: fmt.Sprintf("找不到规则集 %.80q 版本 %d，或当前版本的 Factgate 无法使用它", out.ref.Name, out.ref.Version),
		}
		return out, nil
	}
	trial := rules.Try(rs, facts, facts[len(facts)-1].At)
	if out.dueAt = trial.DueAt; !out.dueAt.IsZero() { // if nothing more comes until then
		trial = rules.Try(rs, facts, out.dueAt.Add(time.Nanosecond))
	}
	out.recorded, out.verdict, out.undecidable = trial.Recorded.Status, trial.Verdict, trial.Undecidable
	if out.verdict == nil && out.undecidable == (report.Text{}) {
		out.undecidable = report.Text{En: "these rules come to no end on what was recorded", Zh: "按已记录的事实，此规则无法得出结论"}
	}
	return out, nil
}

// facts reads a task's stream up to where the batch has folded it; nil when the log
// does not hold all of it, or more than a task may have.
func (t trials) facts(ctx context.Context, c *change) ([]task.Recorded, error) {
	var facts []task.Recorded
	for r, err := range t.log.ReadStream(ctx, eventstore.StreamID{Category: task.Category, Key: c.id.String()}, 0) {
		var deleted *eventstore.DeletedError
		if eventstore.IsNotFound(err) || errors.As(err, &deleted) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if r.Position > c.position {
			break
		}
		if len(facts) == maxTaskFacts {
			return nil, nil
		}
		facts = append(facts, task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: task.Read(r.Type, r.Data)})
	}
	if uint64(len(facts)) != c.after.Facts || task.Fold(facts).Verdict == nil {
		return nil, nil
	}
	return facts, nil
}

// ruleSet is nil when nobody has it, now and whenever asked again.
func (t trials) ruleSet(ctx context.Context, ref task.RuleSetRef) (*rules.RuleSet, error) {
	if t.sets == nil {
		return nil, nil
	}
	rs, err := t.sets.Get(ctx, ref)
	if err == nil {
		return rs, nil
	}
	switch kind := domain.KindOf(err); {
	case ctx.Err() != nil, kind == domain.Unavailable, kind == domain.Internal:
		return nil, err
	}
	return nil, nil
}

// The task's own row is there already, written by the same batch or an earlier one.
const upsertShadows = `
insert into shadows (task_id, first_position, project, rule_set, version, digest, recorded, status, rule, due_at, undecidable_en, undecidable_zh)
select u.task_id, t.first_position, t.project, u.rule_set, u.version, u.digest, u.recorded, u.status, u.rule, u.due_at, u.undecidable_en, u.undecidable_zh
from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[], $10::text[])
as u (task_id, rule_set, version, digest, recorded, status, rule, due_at, undecidable_en, undecidable_zh)
join tasks t using (task_id)
on conflict (task_id) do update set
	first_position = excluded.first_position, project = excluded.project,
	rule_set = excluded.rule_set, version = excluded.version, digest = excluded.digest,
	recorded = excluded.recorded, status = excluded.status, rule = excluded.rule, due_at = excluded.due_at,
	undecidable_en = excluded.undecidable_en, undecidable_zh = excluded.undecidable_zh`

func shadowArgs(list []shadowed) []any {
	n := len(list)
	var (
		id                     = make([]pgtype.UUID, n)
		name, digest, recorded = make([]string, n), make([]string, n), make([]string, n)
		version                = make([]int64, n)
		status, rule, en, zh   = make([]pgtype.Text, n), make([]pgtype.Text, n), make([]pgtype.Text, n), make([]pgtype.Text, n)
		due                    = make([]pgtype.Timestamptz, n)
	)
	for i, s := range list {
		id[i], name[i], version[i], digest[i] = pgUUID(s.id), clean(s.ref.Name), int64(s.ref.Version), clean(s.ref.Digest)
		recorded[i], due[i] = clean(string(s.recorded)), instant(s.dueAt)
		en[i], zh[i] = optional(clean(s.undecidable.En)), optional(clean(s.undecidable.Zh))
		if s.verdict != nil {
			status[i], rule[i] = optional(clean(string(s.verdict.Status))), optional(clean(s.verdict.Rule.ID))
		}
	}
	return []any{id, name, version, digest, recorded, status, rule, due, en, zh}
}
