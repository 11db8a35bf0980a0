package queries

import (
	"context"
	"fmt"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// Explained is why a task stood as it did at a moment.
type Explained struct {
	// Explanation is zero but for State, NONE, while no rule set was chosen.
	rules.Explanation
	// At is when it is judged.
	At time.Time
	// Newest is the revision of the newest fact that is taken into account; -1 for none.
	Newest int64
	// Recorded is the newest verdict on record at that moment.
	Recorded *task.MainTaskConverged
	// EvidenceFacts are the facts that Evidence names.
	EvidenceFacts []Fact
	// Shadow is how the task stood under the rule set in its shadow; nil for none.
	Shadow *Shadowed
}

// Explain says why a task has its verdict, or what it would be; as of any moment,
// straight from its stream and by the rule set that the task was opened under.
func (q *Queries) Explain(ctx context.Context, id TaskID, at AsOf, now time.Time) (Explained, error) {
	out := Explained{At: now, Newest: -1, Explanation: rules.Explanation{State: rules.WindowNone}}
	if at.given() > 1 {
		return out, &domain.Error{Kind: domain.Invalid, Rule: "explain.at", Msg: "give a revision or a time, not both", MsgZH: "修订号与时间只能给出一个"}
	}
	if at.Revision != nil && *at.Revision < 0 {
		return out, &domain.Error{Kind: domain.Invalid, Rule: "explain.at", Msg: "revisions count from 0", MsgZH: "修订号从 0 开始"}
	}
	facts, err := q.recorded(ctx, id)
	if err != nil {
		return out, err
	}
	facts, out.At = asOf(facts, at, now)
	s := task.Fold(facts)
	out.Newest, out.Recorded = int64(len(facts))-1, s.Verdict
	if s.Created == nil {
		return out, nil
	}
	if out.Shadow, err = q.shadow(ctx, facts, out.At); err != nil {
		return out, err
	}
	text, err := q.ruleSetText(ctx, s.Created.RuleSet)
	if err != nil {
		return out, err
	}
	ref := s.Created.RuleSet
	if text == nil {
		return out, &domain.Error{Kind: domain.NotFound, Rule: "ruleset.unknown",
			Msg:   fmt.Sprintf("the text of rule set %.80q version %d, which the task was opened under, is not here; nothing can be explained without it", ref.Name, ref.Version),
			MsgZH: fmt.Sprintf("找不到任务所用规则集 %.80q 版本 %d 的文本，无法解释", ref.Name, ref.Version)}
	}
	rs, err := rules.Parse(text, ref.Version)
	if err != nil {
		return out, &domain.Error{Kind: domain.Refused, Rule: "ruleset.broken", Err: err,
			Msg:   fmt.Sprintf("rule set %.80q version %d, which the task was opened under, cannot be used by this version of Factgate", ref.Name, ref.Version),
			MsgZH: fmt.Sprintf("当前版本的 Factgate 无法使用任务所用的规则集 %.80q 版本 %d", ref.Name, ref.Version)}
	}
	out.Explanation = rules.Explain(rs, facts, out.At)
	return out, q.evidence(ctx, id, &out)
}

// evidence reads the facts that an explanation stands on as history shows them.
func (q *Queries) evidence(ctx context.Context, id TaskID, out *Explained) error {
	wanted := map[string]bool{}
	for _, e := range out.Evidence {
		wanted[e] = true
	}
	size := 0
	for r, err := range q.log.ReadStream(ctx, streamOf(id), 0) {
		if err != nil {
			return q.streamFailed(ctx, "read history", err)
		}
		if int64(r.Revision) > out.Newest {
			break
		}
		if !wanted[r.ID.String()] {
			continue
		}
		if size += len(r.Data); size > maxHistoryBytes || len(out.EvidenceFacts) == MaxPage {
			break // all ids stand in Evidence; history has the rest
		}
		r.Metadata = nil
		out.EvidenceFacts = append(out.EvidenceFacts, Fact{Recorded: r})
	}
	return nil
}
