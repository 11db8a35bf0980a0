package task

import (
	"fmt"
	"slices"
	"time"

	"github.com/factgate/factgate/domain"
)

// Command is a wish. Decide turns it into facts, silence or a refusal.
//
//sumtype:decl
type Command interface {
	decide(State) ([]Fact, error)
}

// Decide answers what a command makes happen to a task in this state:
//
//   - facts, to be appended together after the last fact that made the state;
//   - nothing and no error: already so, or of no consequence any more;
//   - a *domain.Error: refused, with the rule that says so.
//
// Decided again after its own facts, a command is answered with silence.
func Decide(s State, c Command) ([]Fact, error) { return c.decide(s) }

// Upload makes a task of a stored package.
type Upload struct{ Zip ZipUploaded }

func (c Upload) decide(s State) ([]Fact, error) {
	if s.Uploaded == nil {
		return []Fact{c.Zip}, nil
	}
	if s.Uploaded.SHA256 != c.Zip.SHA256 {
		return nil, &domain.Error{Kind: domain.Conflict, Rule: "upload.key_reused",
			Msg:   fmt.Sprintf("this Idempotency-Key belongs to task %s with another package; use a new key for a new package", s.TaskID),
			MsgZH: fmt.Sprintf("该 Idempotency-Key 已属于任务 %s，且包内容不同；新包请使用新的 key", s.TaskID)}
	}
	return nil, nil // the same package again
}

// Open opens the window.
type Open struct {
	Now     time.Time
	Window  time.Duration // its length at most
	Quiet   time.Duration
	Minimum time.Duration // how long it is open at least
	RuleSet RuleSetRef
	Shadow  *RuleSetRef // tried on the task, never enforced; nil for none
	// Known are the types on the roster of scanners; nil if nobody can tell.
	Known []string
}

func (c Open) decide(s State) ([]Fact, error) {
	if s.Uploaded == nil {
		return nil, unknown()
	}
	if s.Created != nil || s.Cancelled != nil {
		return nil, nil
	}
	if c.Window <= 0 || c.Quiet < 0 || c.Minimum < 0 {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "window.invalid",
			Msg: fmt.Sprintf("a window of %s with a quiet time of %s and a minimum of %s cannot be opened; give a positive window", c.Window, c.Quiet, c.Minimum)}
	}
	return []Fact{MainTaskCreated{
		TaskID:  s.TaskID,
		Context: Context{FilePath: s.Uploaded.FilePath, UploadTime: s.Uploaded.UploadTime},
		Window:  Window{OpensAt: c.Now, Deadline: c.Now.Add(c.Window), Quiet: Duration(c.Quiet), Minimum: Duration(c.Minimum)},
		RuleSet: c.RuleSet,
		Known:   c.Known,
		Shadow:  c.Shadow,
	}}, nil
}

// StayAway records that a scanner declines.
type StayAway struct {
	Type             string
	Code             string
	Reason, ReasonZH string
	Scanner          Scanner
	Configuration    *Configuration
}

func (c StayAway) decide(s State) ([]Fact, error) {
	if err := s.takesSubTask(c.Type); err != nil {
		return nil, err
	}
	if t, ok := s.SubTasks[c.Type]; ok {
		if t.State != StateRunning {
			return nil, nil // long done
		}
		return nil, &domain.Error{Kind: domain.Refused, Rule: "sub_task.started",
			Msg:   fmt.Sprintf("%s takes part since attempt %d and cannot decline any more; complete or fail it", c.Type, t.Attempt),
			MsgZH: fmt.Sprintf("%s 自第 %d 次尝试起已参与，不能再声明不参与；请以完成或失败结束", c.Type, t.Attempt)}
	}
	if _, already := s.Declined[c.Type]; already || s.Cancelled != nil {
		return nil, nil
	}
	return []Fact{SubTaskDeclined{TaskID: s.TaskID, Type: c.Type, Code: c.Code, Reason: c.Reason, ReasonZH: c.ReasonZH, Scanner: c.Scanner, Configuration: c.Configuration}}, nil
}

// Start begins an attempt. It is never refused for being late or repeated: if
// the sub-task has ended, silence; if it runs elsewhere, the delivery came again
// because its owner crashed or took too long, and the next attempt begins.
type Start struct {
	Type     string
	Scanner  Scanner
	Delivery string // the same for repetitions of this very command

	Reason, ReasonZH string // why it takes part, if that is known already
	Configuration    *Configuration
}

func (c Start) decide(s State) ([]Fact, error) {
	if err := s.takesSubTask(c.Type); err != nil {
		return nil, err
	}
	if s.Cancelled != nil {
		return nil, nil
	}
	t, ok := s.SubTasks[c.Type]
	if ok && t.State != StateRunning && !t.RetryWanted {
		return nil, nil
	}
	return []Fact{SubTaskStarted{TaskID: s.TaskID, Type: c.Type, Attempt: t.Attempt + 1, Scanner: c.Scanner, Delivery: c.Delivery,
		Reason: c.Reason, ReasonZH: c.ReasonZH, Configuration: c.Configuration}}, nil
}

// Complete ends an attempt: the check passed.
type Complete struct{ Fact SubTaskCompleted }

func (c Complete) decide(s State) ([]Fact, error) {
	f := c.Fact
	if f.Result != Pass && f.Result != PassWithWarnings {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "sub_task.result",
			Msg: fmt.Sprintf("result %q is unknown; give %s or %s", f.Result, Pass, PassWithWarnings)}
	}
	open, err := s.endsAttempt(f.Type, f.Attempt, StateCompleted)
	if err != nil || !open {
		return nil, err
	}
	f.TaskID = s.TaskID
	return []Fact{f}, nil
}

// Fail ends an attempt: the check failed, or could not be finished.
type Fail struct{ Fact SubTaskFailed }

func (c Fail) decide(s State) ([]Fact, error) {
	f := c.Fact
	if f.Kind != Check && f.Kind != Error {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "sub_task.kind",
			Msg: fmt.Sprintf("failure kind %q is unknown; give %s or %s", f.Kind, Check, Error)}
	}
	open, err := s.endsAttempt(f.Type, f.Attempt, StateFailed)
	if err != nil || !open {
		return nil, err
	}
	f.TaskID = s.TaskID
	return []Fact{f}, nil
}

// RequestRetry asks for another attempt of a sub-task that has ended, also after
// the verdict: what comes of it is late then.
type RequestRetry struct {
	Type, Reason string
	// After, if given, is the attempt that did not satisfy: where a newer one has
	// begun, the wish was granted before.
	After int
}

func (c RequestRetry) decide(s State) ([]Fact, error) {
	if err := CheckReason(c.Reason); err != nil {
		return nil, err
	}
	if err := s.takesSubTask(c.Type); err != nil {
		return nil, err
	}
	t, ok := s.SubTasks[c.Type]
	switch {
	case !ok || c.After > t.Attempt:
		return nil, notStarted(c.Type)
	case c.After > 0 && c.After < t.Attempt:
		return nil, nil
	case s.Cancelled != nil:
		return nil, cancelled()
	case t.RetryWanted:
		return nil, nil
	case t.State == StateRunning:
		return nil, &domain.Error{Kind: domain.Refused, Rule: "sub_task.running",
			Msg:   fmt.Sprintf("attempt %d of %s is still running; wait for its end", t.Attempt, c.Type),
			MsgZH: fmt.Sprintf("%s 的第 %d 次尝试仍在运行，请等待其结束", c.Type, t.Attempt)}
	}
	return []Fact{SubTaskRetryRequested{TaskID: s.TaskID, Type: c.Type, Reason: c.Reason, After: t.Attempt}}, nil
}

// Converge closes the window with a verdict that the rules have reached.
type Converge struct {
	Cause    Cause
	ClosedAt time.Time
	Verdict  Verdict
}

func (c Converge) decide(s State) ([]Fact, error) {
	if s.Created == nil {
		return nil, unknown()
	}
	if s.Verdict != nil || s.Cancelled != nil {
		return nil, nil
	}
	converged := MainTaskConverged{TaskID: s.TaskID, Revision: 1, Verdict: c.Verdict}
	if s.Closed != nil { // by a stranger: we never write it without a verdict
		return []Fact{converged}, nil
	}
	return []Fact{WindowClosed{TaskID: s.TaskID, Cause: c.Cause, ClosedAt: c.ClosedAt}, converged}, nil
}

// Revise gives the verdict anew, because of facts that came late.
type Revise struct {
	Revision int
	Verdict  Verdict
}

func (c Revise) decide(s State) ([]Fact, error) {
	switch {
	case s.Verdict == nil:
		return nil, unknown()
	case s.Cancelled != nil, c.Revision <= s.Verdict.Revision:
		return nil, nil
	case c.Revision > s.Verdict.Revision+1:
		return nil, &domain.Error{Kind: domain.Conflict, Rule: "verdict.revision",
			Msg: fmt.Sprintf("the newest verdict has revision %d; %d cannot be the next", s.Verdict.Revision, c.Revision)}
	}
	return []Fact{MainTaskConverged{TaskID: s.TaskID, Revision: c.Revision, Verdict: c.Verdict, Supersedes: s.VerdictID}}, nil
}

// Cancel withdraws the task while it has no verdict.
type Cancel struct{ Reason string }

func (c Cancel) decide(s State) ([]Fact, error) {
	if err := CheckReason(c.Reason); err != nil {
		return nil, err
	}
	switch {
	case s.Uploaded == nil:
		return nil, unknown()
	case s.Cancelled != nil:
		return nil, nil
	case s.Verdict != nil:
		return nil, &domain.Error{Kind: domain.Refused, Rule: "task.converged",
			Msg: "the task has its verdict; it cannot be cancelled any more", MsgZH: "任务已有结论，无法取消"}
	}
	return []Fact{MainTaskCancelled{TaskID: s.TaskID, Reason: c.Reason}}, nil
}

// takesSubTask refuses what can never be right: facts about a task that nobody
// created, and types that are no types.
func (s State) takesSubTask(subTaskType string) error {
	if s.Created == nil {
		return unknown()
	}
	if !ValidType(subTaskType) {
		return &domain.Error{Kind: domain.Invalid, Rule: "sub_task.type",
			Msg:   fmt.Sprintf("%.80q is not a sub-task type; use 1 to %d letters, digits, '_' or '-'", subTaskType, MaxTypeLength),
			MsgZH: fmt.Sprintf("%.80q 不是子任务类型；请使用 1 到 %d 个字母、数字、'_' 或 '-'", subTaskType, MaxTypeLength)}
	}
	return nil
}

// ValidType reports whether s may name a sub-task type.
func ValidType(s string) bool {
	return s != "" && len(s) <= MaxTypeLength && !slices.ContainsFunc([]byte(s), func(b byte) bool {
		return (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' && b != '-'
	})
}

// endsAttempt reports whether an attempt is open; the error says why it must not
// be ended, false and nil that it has ended just so before.
func (s State) endsAttempt(subTaskType string, attempt int, as SubTaskState) (bool, error) {
	if err := s.takesSubTask(subTaskType); err != nil {
		return false, err
	}
	t, ok := s.SubTasks[subTaskType]
	switch {
	case !ok || attempt > t.Attempt:
		return false, notStarted(subTaskType)
	case attempt < t.Attempt:
		return false, &domain.Error{Kind: domain.Refused, Rule: "attempt.stale",
			Msg:   fmt.Sprintf("attempt %d of %s has been taken over by attempt %d; its result is dropped", attempt, subTaskType, t.Attempt),
			MsgZH: fmt.Sprintf("%s 的第 %d 次尝试已被第 %d 次接管，其结果作废", subTaskType, attempt, t.Attempt)}
	case t.State == StateRunning:
		return true, nil
	case t.State == as:
		return false, nil
	default:
		return false, &domain.Error{Kind: domain.Refused, Rule: "attempt.ended",
			Msg:   fmt.Sprintf("attempt %d of %s has ended as %s", attempt, subTaskType, t.State),
			MsgZH: fmt.Sprintf("%s 的第 %d 次尝试已结束（%s）", subTaskType, attempt, t.State)}
	}
}

func unknown() error {
	return &domain.Error{Kind: domain.NotFound, Rule: "task.unknown",
		Msg: "there is no such task, or its window is not open yet", MsgZH: "任务不存在，或其窗口期尚未开启"}
}

func cancelled() error {
	return &domain.Error{Kind: domain.Refused, Rule: "task.cancelled", Msg: "the task was cancelled", MsgZH: "任务已取消"}
}

func notStarted(subTaskType string) error {
	return &domain.Error{Kind: domain.Refused, Rule: "sub_task.not_started",
		Msg:   fmt.Sprintf("this attempt of %s was never started; start it first", subTaskType),
		MsgZH: fmt.Sprintf("%s 的该次尝试从未开始", subTaskType)}
}
