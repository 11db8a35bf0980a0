// Package domain holds the one error type that the business speaks. The business
// itself is in task (facts and decisions), rules (verdicts) and report (findings).
package domain

import "errors"

// Error is a refusal or failure in words a user can act on.
type Error struct {
	Kind Kind
	// Rule is stable and visible to clients: task.unknown, attempt.stale, ….
	Rule string
	// Msg says what is wrong and what to do, in English; MsgZH in Chinese, if given.
	Msg   string
	MsgZH string
	Err   error // what caused it, if anything
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Rule + ": " + e.Msg + ": " + e.Err.Error()
	}
	return e.Rule + ": " + e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// Kind says whose turn it is. Only the API maps kinds to HTTP and GraphQL.
type Kind string

// The kinds of errors.
const (
	Invalid     Kind = "INVALID"     // the input is wrong; correct it
	Refused     Kind = "REFUSED"     // the input is right, but not now; a rule says no
	NotFound    Kind = "NOT_FOUND"   // there is no such thing
	Conflict    Kind = "CONFLICT"    // somebody else was faster; look again
	Unavailable Kind = "UNAVAILABLE" // a part is away; try again later
	Internal    Kind = "INTERNAL"    // a defect of ours
)

// RuleOf returns the rule of the first Error in err's chain, or "".
func RuleOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Rule
	}
	return ""
}

// KindOf returns the kind of the first Error in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
