// Package scanners is the contract of a scanner and the runtime that turns it
// into a participant.
//
// To add a scan type, implement [Scanner] in a folder of its own and start it
// with [Run]: nothing else changes. The runtime is one competing consumer of the
// group scanner-{type} on $all; every instance of a type joins the same group.
//
//	MainTaskCreated ─▶ ended or declined before ─────────────────▶ ack
//	                 ├▶ Decide: decline ─▶ SubTaskDeclined ──────▶ ack
//	                 └▶ Decide: take part ─▶ SubTaskStarted(n) ─▶ Scan
//	                       passed / failed the check ─▶ report blob
//	                         ─▶ SubTaskCompleted / SubTaskFailed ▶ ack
//	                       could not be done, n < MaxAttempts ───▶ back off, retry
//	                       could not be done, n = MaxAttempts
//	                         ─▶ SubTaskFailed{ERROR, parked} ────▶ park (dead letter)
//
// The attempt is recorded before the scan, so a scan that kills its process is
// counted and ends as a dead letter too. A delivery is acknowledged only after
// its facts are durable; everything before may be done twice, and derived event
// ids and attempts see to it that it is recorded once. Attempts are counted from
// the fact that a delivery carries, so a retry on request has all of them, and a
// delivery that comes back without having been tried has lost none. A panic in a
// scanner is an error of its attempt, and so is one that does not stop in time.
//
// What operators have said of the type in the package's project is looked up at the
// beginning of each attempt ([Apply], package configuration): a change needs no
// restart, and a scanner that does not understand it ends the attempt as
// SubTaskFailed{ERROR}, for a silent default would be a judgement that nobody asked
// for. It holds for every type alike: which files a scanner sees, what becomes of its
// findings, when the check fails. Suppressions of the package (.factgate.yml) and
// waivers of operators are applied between the scanner and its report.
//
// One package's trouble does not delay another's: whoever backs off keeps no
// worker, and up to 64 may back off at once. Packages at work share a [Room], so
// that a few giants do not take more memory than there is. A scan goes on when the
// event store is lost: its result is recorded when the store is back, and a delivery
// of the same event that comes meanwhile waits for it. Only where another instance
// gets that delivery does another attempt begin, and the older result is dropped.
//
// A decision that kills its process is counted too: before it, whoever may not be the
// first to try says so (SubTaskConsidered). What comes back because its owner was not
// heard of again has the whole Room, so a package that kills its process takes no other
// down with it twice.
//
// Memory has a limit, too ([Room.LimitMemory]): who takes too much of it ends with an
// error of its attempt before the system ends the process. It counts on scanners that
// heed their context.
//
// A scanner does not hear of a verdict and never waits for one: facts after the
// window are late, not lost.
package scanners
