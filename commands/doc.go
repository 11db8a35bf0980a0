// Package commands is where wishes become facts: load the task's stream, let the
// domain decide, append what it says. One file per use case; [Commands] is their
// table of contents.
//
// Every append demands the revision that was loaded. If somebody was faster, the
// stream is loaded again and decided anew, so a decision is always made on all
// facts before it. Event ids derive from the task and the fact, so an append
// whose answer was lost is repeated as it was and appends nothing new.
//
// Errors are *domain.Error; an event store that cannot be reached gives kind
// Unavailable and rule "eventstore.unavailable".
package commands
