package task

import (
	"time"

	"github.com/factgate/factgate/domain/report"
)

// Fact is something that happened to a task. The Go type's name is the stored
// event type; the JSON field names are stored too, so both are promises: fields
// are only ever added, and an incompatible change is a new type.
//
//sumtype:decl
type Fact interface {
	// Key names the fact within its task. Two facts with the same key are the
	// same fact: event ids derive from task id and key, so a repetition appends
	// nothing.
	Key() string
	fact()
}

// ZipUploaded: a package was received and stored; its task exists from here on.
// Written by the API.
type ZipUploaded struct {
	TaskID     string    `json:"taskId"`
	FilePath   string    `json:"filePath"` // blob key
	FileName   string    `json:"fileName"`
	Size       int64     `json:"size"` // bytes
	SHA256     string    `json:"sha256"`
	Project    string    `json:"project"`
	Version    string    `json:"version"`
	UploadedBy string    `json:"uploadedBy"`
	UploadTime time.Time `json:"uploadTime"` // the API's clock; for people, not for decisions
	// RescanOf is the task whose package is scanned once more, and RescanReason why.
	RescanOf     string `json:"rescanOf,omitempty"`
	RescanReason string `json:"rescanReason,omitempty"`
}

// MainTaskCreated: the window is open and scanners may take part. Written by the
// coordinator.
type MainTaskCreated struct {
	TaskID  string     `json:"taskId"`
	Context Context    `json:"context"`
	Window  Window     `json:"window"`
	RuleSet RuleSetRef `json:"ruleSet"`
	// Known are the sub-task types that stood on the roster of scanners when the
	// window opened, sorted: of these, who neither takes part nor declines is silent.
	// Nil means that nobody wrote it down; empty, that there was none.
	Known []string `json:"known,omitzero"`
	// Shadow is a rule set that is tried on this task, and shown; its verdict is
	// nobody's business but the reader's. Nil for none.
	Shadow *RuleSetRef `json:"shadow,omitempty"`
}

// Context is what a scanner needs to find the package.
type Context struct {
	FilePath   string    `json:"filePath"`
	UploadTime time.Time `json:"uploadTime"`
}

// Window is how long facts are gathered. Only its lengths decide: they are
// counted from the moment at which the store recorded MainTaskCreated, so that
// no process's clock matters; OpensAt and Deadline are for people.
type Window struct {
	OpensAt  time.Time `json:"opensAt"`
	Deadline time.Time `json:"deadline"`
	Quiet    Duration  `json:"quiet"`
	// Minimum is how long the window is open at least, unless Length is shorter.
	Minimum Duration `json:"minimum,omitempty"`
}

// Length is how long the window is open at most.
func (w Window) Length() time.Duration { return w.Deadline.Sub(w.OpensAt) }

// RuleSetRef names one version of a rule set. Digest is of its source text.
type RuleSetRef struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

// SubTaskDeclined: a scanner looked at the package and does not take part.
type SubTaskDeclined struct {
	TaskID   string  `json:"taskId"`
	Type     string  `json:"subTaskType"`
	Code     string  `json:"code"` // NO_MATCHING_FILES, DISABLED, …
	Reason   string  `json:"reason"`
	ReasonZH string  `json:"reasonZh,omitempty"`
	Scanner  Scanner `json:"scanner"`
	// Configuration is what the scanner was told by; nil: its defaults.
	Configuration *Configuration `json:"configuration,omitempty"`
}

// SubTaskStarted: a scanner takes part and begins an attempt. It is recorded
// before the scan, so a scan that takes its process down is counted.
type SubTaskStarted struct {
	TaskID  string  `json:"taskId"`
	Type    string  `json:"subTaskType"`
	Attempt int     `json:"attempt"` // from 1
	Scanner Scanner `json:"scanner"`
	// Delivery tells apart two starts of the same attempt by different owners.
	Delivery string `json:"delivery,omitempty"`
	// Reason says why the scanner takes part; a later attempt may leave it out.
	Reason   string `json:"reason,omitempty"`
	ReasonZH string `json:"reasonZh,omitempty"`
	// Configuration is what the scanner was told by; nil: its defaults.
	Configuration *Configuration `json:"configuration,omitempty"`
}

// Configuration names the document by which a scanner works: the one of this digest
// among the ScannerConfigured facts of a project.
type Configuration struct {
	Project string `json:"project"` // '*' for that of all projects
	Digest  string `json:"digest"`
	By      string `json:"by,omitempty"`
}

// Scanner says who scanned, with which rules.
type Scanner struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Instance     string `json:"instance"`
	RulesDigest  string `json:"rulesDigest"`
	ConfigDigest string `json:"configDigest"`
}

// SubTaskCompleted: the check passed.
type SubTaskCompleted struct {
	TaskID     string        `json:"taskId"`
	Type       string        `json:"subTaskType"`
	Attempt    int           `json:"attempt"`
	Result     Result        `json:"result"`
	Summary    report.Counts `json:"summary"`
	Coverage   Coverage      `json:"coverage"`
	Report     *Blob         `json:"report,omitempty"`
	DurationMS int64         `json:"durationMs"`
}

// Result of a check that passed.
type Result string

// The results of a check that passed.
const (
	Pass             Result = "PASS"
	PassWithWarnings Result = "PASS_WITH_WARNINGS"
)

// Coverage says how much of what a scanner could have read it did read.
type Coverage struct {
	Eligible int        `json:"eligible"` // files that are this scanner's business
	Seen     int        `json:"seen"`     // files that it read to the end
	Degraded []Degraded `json:"degraded,omitempty"`
}

// Degraded is a file, or a part of one, that was not fully understood.
type Degraded struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
	// ReasonZH is Reason in Chinese; empty where the scanner gives none.
	ReasonZH string `json:"reasonZh,omitempty"`
}

// Blob names a stored blob; its bytes may expire, the fact stays true.
type Blob struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
}

// SubTaskFailed: the check failed (CHECK) or could not be finished (ERROR).
type SubTaskFailed struct {
	TaskID     string         `json:"taskId"`
	Type       string         `json:"subTaskType"`
	Attempt    int            `json:"attempt"`
	Reason     string         `json:"reason"`
	ReasonZH   string         `json:"reasonZh,omitempty"`
	Kind       FailureKind    `json:"kind"`
	Summary    *report.Counts `json:"summary,omitempty"`
	Coverage   *Coverage      `json:"coverage,omitempty"`
	Report     *Blob          `json:"report,omitempty"`
	DurationMS int64          `json:"durationMs,omitempty"`
	// Parked: the delivery was put aside as a dead letter.
	Parked bool `json:"parked,omitempty"`
}

// FailureKind tells a failed check from a scan that could not be finished.
type FailureKind string

const (
	// Check: the package's content failed the check.
	Check FailureKind = "CHECK"
	// Error: the scan could not be finished; nothing is said about the content.
	Error FailureKind = "ERROR"
)

// SubTaskRetryRequested: an operator asks for another attempt.
type SubTaskRetryRequested struct {
	TaskID string `json:"taskId"`
	Type   string `json:"subTaskType"`
	Reason string `json:"reason"`
	// After is the attempt that did not satisfy.
	After int `json:"after"`
}

// WindowClosed: later facts are late. Written by the coordinator, always
// together with MainTaskConverged.
type WindowClosed struct {
	TaskID   string    `json:"taskId"`
	Cause    Cause     `json:"cause"`
	ClosedAt time.Time `json:"closedAt"` // on the store's clock
}

// Cause says why a window closed.
type Cause string

const (
	// Settled: nothing was unfinished and no participation fact came for quiet.
	Settled Cause = "SETTLED"
	// Deadline: the time was up.
	Deadline Cause = "DEADLINE"
)

// Status is a verdict's answer to "can we release this package?".
type Status string

// The statuses of a verdict.
const (
	Success        Status = "SUCCESS"
	PartialSuccess Status = "PARTIAL_SUCCESS"
	Failed         Status = "FAILED"
)

// MainTaskConverged: the verdict, with everything needed to explain it.
type MainTaskConverged struct {
	TaskID   string `json:"taskId"`
	Revision int    `json:"revision"` // from 1; a later verdict supersedes an earlier one
	Verdict
	Supersedes string `json:"supersedes,omitempty"` // event id
}

// Verdict is what a rule set says of the facts. The lists hold sub-task types,
// sorted; a type stands in Observed and in one of Succeeded, Failed, Errored and
// Unfinished, or else in Declined. A type that is advisory to the rule set and
// takes part stands in Advisory instead.
type Verdict struct {
	Status     Status      `json:"status"`
	Rule       Rule        `json:"rule"`
	Because    report.Text `json:"because"`
	RuleSet    RuleSetRef  `json:"ruleSet"`
	Observed   []string    `json:"observedTypes"`
	Succeeded  []string    `json:"succeeded"`
	Failed     []string    `json:"failed"`     // kind CHECK
	Errored    []string    `json:"errored"`    // kind ERROR
	Unfinished []string    `json:"unfinished"` // started, not ended when the window closed
	Declined   []string    `json:"declined"`
	Evidence   []string    `json:"evidence"` // ids of the facts that were judged, in order

	// What follows is there only if the rule set speaks of it.

	CoveredNothing []string `json:"coveredNothing,omitempty"` // read nothing of what they should have read
	Degraded       []string `json:"degraded,omitempty"`       // did not understand everything that they read
	Silent         []string `json:"silent,omitempty"`         // known when the window opened, and never heard
	Missing        []string `json:"missing,omitempty"`        // required, and without a result
	// MissingOpen is the same for types whose absence is shown and does not count.
	MissingOpen []string  `json:"missingOpen,omitempty"`
	Advisory    *Advisory `json:"advisory,omitempty"`
}

// Advisory are the types that take part and do not count, by outcome, sorted.
type Advisory struct {
	Succeeded  []string `json:"succeeded,omitempty"`
	Failed     []string `json:"failed,omitempty"`
	Errored    []string `json:"errored,omitempty"`
	Unfinished []string `json:"unfinished,omitempty"`
}

// Rule is the first rule that held.
type Rule struct {
	ID   string `json:"id"`
	When string `json:"when"`
}

// MainTaskCancelled: a user withdrew the task; there will be no verdict.
type MainTaskCancelled struct {
	TaskID string `json:"taskId"`
	Reason string `json:"reason"`
}

// Unreadable stands for an event in a task's stream that this version cannot
// decode: a newer version or a stranger wrote it. It is never written. It keeps
// its place in history and, as nobody here knows what it says, the task from
// every verdict but FAILED; it keeps no task from its end.
type Unreadable struct {
	Type string
	Err  error // of Decode
}

func (ZipUploaded) fact()           {}
func (MainTaskCreated) fact()       {}
func (SubTaskDeclined) fact()       {}
func (SubTaskStarted) fact()        {}
func (SubTaskCompleted) fact()      {}
func (SubTaskFailed) fact()         {}
func (SubTaskRetryRequested) fact() {}
func (WindowClosed) fact()          {}
func (MainTaskConverged) fact()     {}
func (MainTaskCancelled) fact()     {}
func (Unreadable) fact()            {}
