package task

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/factgate/factgate/domain"
)

// MaxReason is how long an operator's reason may be, in characters.
const MaxReason = 500

// SubTaskDiscarded: an operator gives up on a dead letter. The sub-task stays as
// its last attempt left it, and no verdict reads this fact.
type SubTaskDiscarded struct {
	TaskID  string `json:"taskId"`
	Type    string `json:"subTaskType"`
	Attempt int    `json:"attempt"` // the one that was parked
	Reason  string `json:"reason"`
}

func (SubTaskDiscarded) fact() {}

// Key implements Fact.
func (f SubTaskDiscarded) Key() string { return join("SubTaskDiscarded", f.Type, f.Attempt) }

// Discard is an operator's "this one will not be tried again", and why.
type Discard struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// DeadLetterState is what became of a dead letter.
type DeadLetterState string

// The states of a dead letter. It leaves OPEN once and for all.
const (
	DeadLetterOpen      DeadLetterState = "OPEN"
	DeadLetterReplayed  DeadLetterState = "REPLAYED"  // another attempt was asked for
	DeadLetterDiscarded DeadLetterState = "DISCARDED" // an operator gave up on it
)

// OpenDeadLetter reports whether the newest attempt was parked and nobody has
// dealt with it.
func (t SubTask) OpenDeadLetter() bool {
	return t.State == StateFailed && t.Parked && t.DeadLetter == t.Attempt && !t.RetryWanted && t.Discarded == nil
}

// ReplayDeadLetter asks for another attempt of a sub-task whose delivery was
// parked. However often it is asked, each dead letter is replayed once.
type ReplayDeadLetter struct {
	Type, Reason string
	// Attempt is the parked one; 0 is the newest that was parked.
	Attempt int
}

func (c ReplayDeadLetter) decide(s State) ([]Fact, error) {
	t, attempt, err := s.deadLetter(c.Type, c.Attempt, c.Reason)
	switch {
	case err != nil:
		return nil, err
	case attempt < t.Attempt || t.RetryWanted && t.Discarded == nil:
		return nil, nil // it was replayed
	case s.Cancelled != nil:
		return nil, cancelled()
	case t.Discarded != nil:
		return nil, &domain.Error{Kind: domain.Refused, Rule: "dead_letter.discarded",
			Msg:   fmt.Sprintf("the dead letter of %s was discarded (%s); retry the sub-task if that was wrong", c.Type, t.Discarded.Reason),
			MsgZH: fmt.Sprintf("%s 的死信已被丢弃（%s）；如需恢复，请重试该子任务", c.Type, t.Discarded.Reason)}
	}
	return []Fact{SubTaskRetryRequested{TaskID: s.TaskID, Type: c.Type, Reason: c.Reason, After: attempt}}, nil
}

// DiscardDeadLetter gives up on a dead letter.
type DiscardDeadLetter struct {
	Type, Reason string
	// Attempt is the parked one; 0 is the newest that was parked.
	Attempt int
}

func (c DiscardDeadLetter) decide(s State) ([]Fact, error) {
	t, attempt, err := s.deadLetter(c.Type, c.Attempt, c.Reason)
	switch {
	case err != nil:
		return nil, err
	case attempt == t.Attempt && t.Discarded != nil:
		return nil, nil
	case attempt < t.Attempt || t.RetryWanted:
		return nil, &domain.Error{Kind: domain.Refused, Rule: "dead_letter.replayed",
			Msg:   fmt.Sprintf("the dead letter of %s was replayed already; there is nothing left to discard", c.Type),
			MsgZH: fmt.Sprintf("%s 的死信已被重放，无需丢弃", c.Type)}
	}
	return []Fact{SubTaskDiscarded{TaskID: s.TaskID, Type: c.Type, Attempt: attempt, Reason: c.Reason}}, nil
}

// deadLetter finds the sub-task and the attempt that was parked.
func (s State) deadLetter(subTaskType string, attempt int, reason string) (SubTask, int, error) {
	if err := CheckReason(reason); err != nil {
		return SubTask{}, 0, err
	}
	if err := s.takesSubTask(subTaskType); err != nil {
		return SubTask{}, 0, err
	}
	t := s.SubTasks[subTaskType]
	if attempt == 0 {
		attempt = t.DeadLetter
	}
	// Older dead letters than the newest have been replayed: else there were none newer.
	if attempt <= 0 || attempt > t.DeadLetter {
		return SubTask{}, 0, &domain.Error{Kind: domain.NotFound, Rule: "dead_letter.unknown",
			Msg:   fmt.Sprintf("%s has no such dead letter in this task; list the dead letters to see what there is", subTaskType),
			MsgZH: fmt.Sprintf("该任务的 %s 没有此死信；请查看死信列表", subTaskType)}
	}
	return t, attempt, nil
}

// CheckReason wants operators to say why, in words that others can read.
func CheckReason(reason string) error {
	if strings.TrimSpace(reason) == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > MaxReason {
		return &domain.Error{Kind: domain.Invalid, Rule: "reason.invalid",
			Msg:   fmt.Sprintf("say why, in at most %d characters", MaxReason),
			MsgZH: fmt.Sprintf("请说明原因，最多 %d 个字符", MaxReason)}
	}
	return nil
}
