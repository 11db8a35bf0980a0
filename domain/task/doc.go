// Package task is the business: what can happen to an uploaded package, and who
// may say so.
//
// Read it in this order: facts.go (what happened), state.go (what that makes of
// a task: Evolve), decide.go (what may happen next: Decide). Everything is pure;
// nothing here knows a clock, a database or a scanner. Sub-task types are open
// strings: no type is named in this package.
//
//	ZipUploaded ──▶ MainTaskCreated ──▶ (window open) ──▶ WindowClosed + MainTaskConverged
//	                      │                                        │
//	                      └──▶ each scanner, on its own:           └──▶ later facts are late:
//	                           SubTaskDeclined, or                      kept, shown, counted
//	                           SubTaskStarted ─▶ SubTaskCompleted
//	                              ▲      └─────▶ SubTaskFailed
//	                              └─ next attempt, after a crash or on request
//
// Evolve accepts every fact, because history is not up for debate. Decide
// refuses with a domain.Error and answers a repeated wish with silence: no
// facts, no error.
package task
