package queries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// AsOf is a moment of a task's past; the zero value is now. At most one of the
// three is given.
type AsOf struct {
	Revision *int64               // the facts up to and with this one, judged when it was recorded
	Time     *time.Time           // the facts that were recorded by then, judged then
	Position *eventstore.Position // the facts up to this position of the log, judged when the newest was recorded
}

// given counts what is given.
func (at AsOf) given() (n int) {
	for _, is := range []bool{at.Revision != nil, at.Time != nil, at.Position != nil} {
		if is {
			n++
		}
	}
	return n
}

// asOf takes the facts that were there at a moment, and when they are judged. A
// store's clock may run backwards; a fact never stands before the one that it
// followed.
func asOf(facts []task.Recorded, at AsOf, now time.Time) ([]task.Recorded, time.Time) {
	switch {
	case at.Time != nil:
		for i, f := range facts {
			if recordedAfter(f.At, *at.Time) {
				facts = facts[:i]
				break
			}
		}
		return facts, *at.Time
	case at.Revision != nil:
		facts = facts[:min(int64(len(facts)), *at.Revision+1)]
	case at.Position != nil:
		facts = facts[:len(facts)-count(facts, func(f task.Recorded) bool { return f.Position > uint64(*at.Position) })]
	default:
		return facts, now
	}
	if len(facts) > 0 {
		now = facts[len(facts)-1].At
	}
	return facts, now
}

// recordedAfter reports whether a fact was recorded after a moment. Times in the read
// model are whole microseconds, the log's are finer: a moment without finer digits
// is all of its microsecond, so that a task as of its LastEventAt has its last fact.
func recordedAfter(recorded, moment time.Time) bool {
	if moment.Equal(stored(moment)) {
		recorded = stored(recorded)
	}
	return recorded.After(moment)
}

// stored is a time as the read model has it.
func stored(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

func count[T any](list []T, is func(T) bool) (n int) {
	for _, v := range list {
		if is(v) {
			n++
		}
	}
	return n
}

// TaskAsOf returns a task as it stood at a moment, folded from its stream with the
// domain's own Evolve; nil when it had no facts then. It says what Task says once
// the read model has folded the same facts, and needs no read model. Two things
// are apart, as they are not in the stream: SubTask.Report is empty until
// JudgeReports, and Rescans cannot be had (with.Rescans is refused).
//
// A fact that this version cannot read is refused as task.unreadable: a state
// without it would be wrong.
func (q *Queries) TaskAsOf(ctx context.Context, id TaskID, at AsOf, with With) (*Task, error) {
	if at.given() != 1 || at.Revision != nil && *at.Revision < 0 {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "task.as_of",
			Msg:   "say as of what with exactly one of a revision (from 0), a time and a position",
			MsgZH: "请用修订号（从 0 开始）、时间、位置三者之一指明截至何时"}
	}
	if with.Rescans {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "rescans.not_in_stream",
			Msg:   "the facts of a task do not say who scanned its package once more; ask for rescans without asOf",
			MsgZH: "任务自身的事实不含重新扫描它的任务；查询 rescans 时请勿指定 asOf"}
	}
	facts, err := q.recorded(ctx, id)
	if domain.RuleOf(err) == "task.unknown" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if facts, _ = asOf(facts, at, time.Time{}); len(facts) == 0 {
		return nil, nil
	}
	for _, f := range facts {
		if u, ok := f.Fact.(task.Unreadable); ok {
			return nil, &domain.Error{Kind: domain.Refused, Rule: "task.unreadable", Err: u.Err,
				Msg:   fmt.Sprintf("this version of Factgate cannot read revision %d (%.80s) of the task; ask as of an earlier one, or a newer version", f.Revision, u.Type),
				MsgZH: fmt.Sprintf("当前版本的 Factgate 无法读取该任务的修订号 %d（%.80s）；请查询更早的时刻，或使用更新的版本", f.Revision, u.Type)}
		}
	}
	t := taskOf(id, facts)
	if with.Silent {
		if err := q.silentThen(ctx, &t, facts, at); err != nil {
			return nil, err
		}
	}
	return &t, nil
}

// taskOf says what facts, at least one, make of a task, in the read model's words.
func taskOf(id TaskID, facts []task.Recorded) Task {
	s := task.Fold(facts)
	first, last := facts[0], facts[len(facts)-1]
	t := Task{
		ID: id, FirstPosition: eventstore.Position(first.Position), Position: eventstore.Position(last.Position), Revision: int64(s.Facts) - 1,
		Phase: s.Phase(), Observed: []string{}, Counts: s.Counts(), Late: int64(s.Late), Verdict: s.Verdict, LastEventAt: stored(s.LastEventAt),
		UploadedAt: moment(s.UploadedAt), CreatedAt: moment(s.CreatedAt), Deadline: moment(s.Deadline()), ConvergedAt: moment(s.ConvergedAt),
	}
	if up := s.Uploaded; up != nil {
		t.Project, t.Version, t.FileName, t.Size = clean(up.Project), clean(up.Version), clean(up.FileName), up.Size
		t.SHA256, t.UploadedBy = clean(up.SHA256), clean(up.UploadedBy)
		if of, err := eventstore.ParseID(up.RescanOf); err == nil {
			t.RescanOf = &of
		}
	}
	if s.Closed != nil {
		t.ClosedCause = word(s.Closed.Cause)
	}
	if s.Verdict != nil {
		t.Status = word(s.Verdict.Status)
	}
	if s.Cancelled != nil {
		t.Cancelled = &Cancellation{Reason: clean(s.Cancelled.Reason), At: stored(s.CancelledAt)}
	}
	for _, name := range s.Observed() {
		t.Observed = append(t.Observed, clean(name))
		t.SubTasks = append(t.SubTasks, subTaskOf(s.SubTasks[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Declined)) {
		d := s.Declined[name]
		t.Declines = append(t.Declines, Decline{
			Type: clean(d.Type), Code: clean(d.Code), Reason: clean(d.Reason), ReasonZH: clean(d.ReasonZH), Scanner: d.Scanner, At: stored(d.At), Late: d.Late,
			Configuration: d.Configuration,
		})
	}
	return t
}

func subTaskOf(t task.SubTask) SubTask {
	out := SubTask{
		Type: clean(t.Type), State: t.State, Attempt: int64(t.Attempt), Scanner: t.Scanner, StartedAt: moment(t.StartedAt), EndedAt: moment(t.EndedAt),
		Result: word(t.Result), Kind: word(t.Kind), Reason: word(t.Reason), ReasonZH: word(t.ReasonZH),
		Parked: t.Parked, RetryWanted: t.RetryWanted, Late: t.Late, Counts: t.Summary, DurationMS: t.DurationMS, blob: t.Report,
		Configuration: t.Configuration,
	}
	if t.Because.En != "" {
		out.Because = &report.Text{En: clean(t.Because.En), Zh: clean(t.Because.Zh)}
	}
	if t.Coverage != nil {
		out.Coverage = &task.Coverage{Eligible: t.Coverage.Eligible, Seen: t.Coverage.Seen}
		if len(t.Coverage.Degraded) > 0 {
			out.Coverage.Degraded = t.Coverage.Degraded
		}
	}
	return out
}

// silentThen fills in the types that were known, and not heard by then; see silentIn.
// Where nobody wrote down who was known, it is who had come online by then, or by
// the window's end: for that the streams of the scanners are read.
func (q *Queries) silentThen(ctx context.Context, t *Task, facts []task.Recorded, at AsOf) error {
	s := task.Fold(facts)
	if s.Created == nil {
		return nil
	}
	known := s.Created.Known
	if known != nil && s.Verdict != nil {
		t.Silent = silentByVerdict(known, s.Verdict)
		return nil
	}
	if known == nil {
		end := t.Position
		if at.Position != nil {
			end = *at.Position
		}
		for _, f := range facts {
			if _, closed := f.Fact.(task.WindowClosed); closed {
				end = eventstore.Position(f.Position)
				break
			}
		}
		for r, err := range q.log.ReadAll(ctx, 0, eventstore.Filter{Types: []string{scanner.OnlineType, scanner.OfflineType}}) {
			if err != nil {
				return failed(ctx, "read who came online", err)
			}
			if byTime := at.Time != nil && s.Closed == nil; byTime && recordedAfter(r.At, *at.Time) || !byTime && r.Position > end {
				break
			}
			if p, err := scanner.Decode(r.Data); err == nil && r.Stream == (eventstore.StreamID{Category: scanner.Category, Key: p.Type}) {
				known = append(known, p.Type)
			}
		}
	}
	heard := s.HeardInWindow()
	for _, name := range known {
		if !slices.Contains(heard, name) {
			t.Silent = append(t.Silent, clean(name))
		}
	}
	slices.Sort(t.Silent)
	t.Silent = slices.Compact(t.Silent)
	return nil
}

// Reports opens stored scan reports.
type Reports interface {
	// Open returns the blob of this key; the caller closes it. The error wraps
	// report.ErrGone when there is none and there will be none.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
}

// WithReports returns queries that read scan reports too, for the past.
func (q *Queries) WithReports(r Reports) *Queries {
	with := *q
	with.reports = r
	return &with
}

// Reports counts the reports of a task as of a moment, or of one sub-task type:
// so many blobs are read to judge them or to ask for their findings.
func (t *Task) Reports(subTaskType string) int {
	return count(t.SubTasks, func(s SubTask) bool { return s.blob != nil && (subTaskType == "" || s.Type == subTaskType) })
}

// JudgeReports fills in SubTask.Report of a task that TaskAsOf returned: what
// became of the report of the attempt that was the newest then. It reads each.
func (q *Queries) JudgeReports(ctx context.Context, t *Task) error {
	for i, s := range t.SubTasks {
		state, err := q.readReport(ctx, s, func(report.Finding) error { return ctx.Err() })
		if err != nil {
			return err
		}
		t.SubTasks[i].Report = state
	}
	return nil
}

// FindingsAsOf returns a page of the findings of a task that TaskAsOf returned, out
// of the reports of the attempts that were the newest then. Where such a report
// cannot be read any more it is refused, as report.expired or report.damaged: a
// list without it would be wrong.
func (q *Queries) FindingsAsOf(ctx context.Context, t *Task, query FindingsQuery) (FindingsPage, error) {
	var out FindingsPage
	first, err := page(query.First, 50)
	if err != nil {
		return out, err
	}
	if query.State != "" {
		return out, &domain.Error{Kind: domain.Refused, Rule: "baseline.not_in_stream",
			Msg:   "the facts of a task do not say what the version before found; ask for state without asOf",
			MsgZH: "任务自身的事实不含上一版本的问题；按 state 过滤时请勿指定 asOf"}
	}
	from, err := parseAfter(query.After)
	if err != nil {
		return out, err
	}
	for _, s := range t.SubTasks {
		if s.blob == nil || s.Type < from.subTask || query.Type != "" && s.Type != clean(query.Type) {
			continue
		}
		if s.Type == from.subTask {
			if err := from.stale(s.Attempt); err != nil {
				return out, err
			}
		}
		ordinal := int32(0)
		var found []Finding
		var identities report.Identities
		state, err := q.readReport(ctx, s, func(f report.Finding) error {
			passed := s.Type == from.subTask && ordinal <= from.ordinal
			identity := identities.Of(f)
			if f = cleanFinding(f); !passed && (query.Severity == "" || f.Severity == query.Severity) && len(out.Findings)+len(found) <= first {
				found = append(found, Finding{Type: s.Type, Attempt: s.Attempt, Ordinal: ordinal, Finding: f, Identity: identity})
			}
			ordinal++
			return ctx.Err()
		})
		switch {
		case err != nil:
			return FindingsPage{}, err
		case state == ReportMissing:
			return FindingsPage{}, &domain.Error{Kind: domain.NotFound, Rule: "report.expired",
				Msg:   fmt.Sprintf("the %.64s report of attempt %d is not kept any more, so its findings cannot be listed; name another type, or ask without findings", s.Type, s.Attempt),
				MsgZH: fmt.Sprintf("%.64s 第 %d 次扫描的报告已不再保存，无法列出其发现；请指定其他类型，或不查询发现", s.Type, s.Attempt)}
		case state == ReportDamaged:
			return FindingsPage{}, &domain.Error{Kind: domain.Refused, Rule: "report.damaged",
				Msg:   fmt.Sprintf("what is stored as the %.64s report of attempt %d is not what the fact speaks of; name another type, or ask without findings", s.Type, s.Attempt),
				MsgZH: fmt.Sprintf("所存的 %.64s 第 %d 次扫描的报告与事实所述不符；请指定其他类型，或不查询发现", s.Type, s.Attempt)}
		}
		if out.Findings = append(out.Findings, found...); len(out.Findings) > first {
			out.Findings, out.More = out.Findings[:first], true
			return out, nil
		}
	}
	return out, nil
}

// readReport reads a sub-task's report to its end. What each was called with is
// true if the state is ReportRead.
func (q *Queries) readReport(ctx context.Context, s SubTask, each func(report.Finding) error) (ReportState, error) {
	if s.blob == nil {
		return ReportNone, nil
	}
	away := func(err error) error {
		return &domain.Error{Kind: domain.Unavailable, Rule: "blobs.unavailable", Err: err,
			Msg: "the blob store does not answer, so reports cannot be read; try again", MsgZH: "文件存储暂不可用，无法读取报告，请稍后重试"}
	}
	if q.reports == nil {
		return "", away(nil)
	}
	blob, err := q.reports.Open(ctx, s.blob.Key)
	if errors.Is(err, report.ErrGone) {
		return ReportMissing, nil
	}
	if err == nil {
		_, err = report.ReadStored(blob, s.blob.SHA256, each)
		_ = blob.Close() // only read
	}
	switch {
	case errors.Is(err, report.ErrDamaged):
		return ReportDamaged, nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("read a report: %w", ctx.Err())
	case err != nil:
		return "", away(err)
	}
	return ReportRead, nil
}

// cleanFinding is a finding as the read model has it.
func cleanFinding(f report.Finding) report.Finding {
	return report.Finding{
		Rule: clean(f.Rule), Severity: report.Severity(clean(string(f.Severity))), Message: report.Text{En: clean(f.Message.En), Zh: clean(f.Message.Zh)},
		Path: clean(f.Path), Line: f.Line, Column: f.Column, EndLine: f.EndLine, EndColumn: f.EndColumn,
		Cell: clean(f.Cell), Pointer: clean(f.Pointer), Suppressed: f.Suppressed, Suppression: f.Suppression,
	}
}

// clean replaces U+0000, as the read model does, which cannot hold it.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// word is nil for the empty one.
func word[S ~string](s S) *S {
	if s == "" {
		return nil
	}
	s = S(clean(string(s)))
	return &s
}

// moment is nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = stored(t)
	return &t
}
