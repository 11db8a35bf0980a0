package scanners

import (
	"context"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
)

// Scanner checks packages for one sub-task type. Implementations are safe for
// concurrent use and keep nothing between calls.
type Scanner interface {
	// Describe says who the scanner is. Its answer never changes.
	Describe() Description

	// Decide looks at the package and says whether the scanner takes part. It
	// decides from names and, where names are not enough, from the beginnings of
	// files; it does not scan. The same package always gets the same decision.
	// An error is not a decision: the delivery is repeated.
	Decide(ctx context.Context, pkg *zippkg.Package) (Decision, error)

	// Scan reads the package and adds what it finds to out, in a stable order
	// (by path, then by place). A bad file is a finding or degraded coverage,
	// never an error; an error means that the scan could not be done (the
	// package cannot be read, ctx ended) and is retried.
	Scan(ctx context.Context, pkg *zippkg.Package, out Findings) (task.Coverage, error)
}

// Catalogued is a Scanner that lists its rules, in the order of their ids, those of
// whole files among them. The list is what may be switched off, given another
// severity and suppressed by id, and it makes the catalogue. It never changes.
type Catalogued interface {
	Scanner
	Rules() []report.Rule
}

// Configurable is a Scanner with settings of its own. What every type has in common
// (whether it is enabled, which files it sees, which rules are off or have another
// severity, what fails the check) is not its business: the runtime sees to it.
type Configurable interface {
	Scanner
	// Configure returns a scanner with these settings in the place of the defaults;
	// the receiver stays as it is. A setting that does not exist or makes no sense
	// is an error that says where it stands and what may stand there.
	Configure(Settings) (Scanner, error)
}

// Description says who a scanner is. It travels in every SubTaskStarted, so that
// "same package, same rules, different result" can be noticed.
type Description struct {
	Type    string // the sub-task type: an open string, upper case by custom, such as SQL
	Name    string // the program, such as factgate-sql
	Version string
	// RulesDigest changes whenever the rules could find something else;
	// ConfigDigest whenever the configuration did.
	RulesDigest  string
	ConfigDigest string
}

// Findings takes what a scan finds. It is not safe for concurrent use.
type Findings interface {
	Add(report.Finding)
}

// Decision is a scanner's answer to a package.
type Decision struct {
	takesPart bool
	code      string
	reason    report.Text
}

// TakePart opts in.
func TakePart() Decision { return Decision{takesPart: true} }

// TakePartBecause opts in and says why, for people: "12 files match *.sql".
func TakePartBecause(reason report.Text) Decision { return Decision{takesPart: true, reason: reason} }

// Decline opts out. code is stable and upper case; reason is for people.
func Decline(code string, reason report.Text) Decision {
	return Decision{code: code, reason: reason}
}

// Codes of declines that every scanner may use.
const (
	NoMatchingFiles = "NO_MATCHING_FILES"
	Disabled        = "DISABLED"
)

// TakesPart reports the decision; Reason says why, and if it is false, so does Code.
func (d Decision) TakesPart() bool { return d.takesPart }

// Code of a decline.
func (d Decision) Code() string { return d.code }

// Reason for the decision, if it was given; a decline always has one.
func (d Decision) Reason() report.Text { return d.reason }
