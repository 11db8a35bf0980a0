// Package conform is the kit that tells whether a scanner, in whatever language, keeps
// the protocol of docs/scanner-protocol.md. It uploads probes and reads what the
// scanner publishes; given a way to start the scanner ([Options.Exec]) it also kills it
// at the worst moments, with a proxy ([wire]) between it and its server that knows when
// these are. Start at [Run].
//
// It promises one [Result] for each of [Checks], in that order, and never calls passed
// what it did not see: a check that needs what was not given is not run.
//
// It does not say whether a scanner finds the right things.
package conform

import (
	"context"
	"encoding/json"
	"time"

	"github.com/factgate/factgate/domain/report"
)

// The projects of the kit's tasks.
const (
	plainProject      = "conformance"
	configuredProject = "conformance-configured"
)

// Status is how a check came out.
type Status string

// The statuses.
const (
	Passed Status = "passed"
	Failed Status = "failed"
	NotRun Status = "not_run"
	// NotApplicable is of what the scanner's way of taking part does not have.
	NotApplicable Status = "not_applicable"
)

// Result of one check. Why says what was seen, and what to do if it failed.
type Result struct {
	Check  string      `json:"check"`
	Status Status      `json:"status"`
	Why    report.Text `json:"why"`
}

// The checks, by name.
const (
	TakesPart       = "takes-part"
	Declines        = "declines-with-reason"
	Hostile         = "hostile-package"
	Huge            = "huge-package"
	Configured      = "honours-configuration"
	Duplicate       = "duplicate-delivery"
	Takeover        = "crash-and-takeover"
	Stale           = "stale-attempt-refused"
	OneStart        = "one-start-per-attempt"
	Shapes          = "fact-shapes"
	ReportReadable  = "report-readable"
	CoverageHonest  = "coverage-honest"
	defaultPatience = time.Minute
)

// Checks are their names, in the order in which results come.
func Checks() []string {
	return []string{TakesPart, Declines, Hostile, Huge, Configured, Duplicate, Takeover, Stale, OneStart, Shapes, ReportReadable, CoverageHonest}
}

// Gate is the Factgate that the scanner works for.
type Gate interface {
	// Upload makes a new task of a package, in a project of the kit's.
	Upload(ctx context.Context, project, path string) (taskID string, err error)
	// Configure says how the type checks a project's packages; an empty text takes that
	// away. It is not taken if the server knows the type and refuses the text.
	Configure(ctx context.Context, project, subTaskType, text string) (taken bool, err error)
	// History is all facts of a task so far.
	History(ctx context.Context, taskID string) ([]Fact, error)
	// Findings counts those of a type's newest report as of a revision. A report that
	// cannot be read is an *UnreadableError.
	Findings(ctx context.Context, taskID, subTaskType string, revision int) (report.Counts, error)
}

// UnreadableError says that a report is not there or no report.
type UnreadableError struct{ Err error }

func (e *UnreadableError) Error() string { return e.Err.Error() }
func (e *UnreadableError) Unwrap() error { return e.Err }

// Fact is one of a task's.
type Fact struct {
	ID       string
	Type     string
	Revision int
	Data     json.RawMessage
}

// Options of a run; zero values are replaced by the defaults named here.
type Options struct {
	Type      string // of the scanner; required
	TakesPart string // a package that is its business; a generated one with one of everything
	Declines  string // a package that is not; a generated one of random bytes
	// Exec starts one instance of the scanner, by way of sh. Its environment is the
	// kit's and Env, with FACTGATE_SERVER and, if EventStore is given,
	// FACTGATE_EVENTSTORE. While the kit runs, nobody else runs the type.
	// Empty: the scanner runs already, and nothing is killed.
	Exec string
	Env  []string
	// Only names the checks to be run; the others are not. None: all. A check that looks
	// at what was said needs takes-part, which is then run too.
	Only       []string
	Server     string // URL of the server
	EventStore string // connection string; for scanners that are its clients
	// Patience is how long the scanner may take for a probe; 1 min. Thrice as long for a
	// huge one, and for one that was given up by another instance.
	Patience time.Duration
	// Output has what the scanner writes; dropped if nil.
	Output interface{ Write(p []byte) (int, error) }
}
