// Package eventstore says what Factgate asks of a log, in Factgate's own words.
//
// A log holds streams; a stream holds events in the order in which they were
// appended, numbered from 0 without a gap. All events of all streams also stand
// in one order, that of their [Position] ("$all"). An event, once appended,
// never changes.
//
// What every implementation promises (package storetest is this text as tests):
//
//   - [Log.Append] returns only after the events are durable. All events of one
//     call are appended, next to each other, or none.
//   - Optimistic concurrency: the stream must be as [Expected] says, else a
//     [*ConflictError] and nothing is appended.
//   - Idempotency: repeating an append with the same event ids and the same
//     expectation appends nothing and answers as the first call did. So an
//     append whose answer was lost is simply repeated.
//   - Readers of a stream see its events in revision order, readers of $all in
//     position order. Nobody sees an event that could still vanish.
//   - A [Subscription] delivers each event that passes its filter exactly once,
//     in position order, as long as it lives; it ends with an error and is
//     resumed by its owner from the last position that it made durable, see [Resume].
//   - A [Consumer] of a group gets deliveries at least once, without promised
//     order. What is not acknowledged is delivered again, to it or to another.
//
// Errors: [*ConflictError], [*NotFoundError], [*DeletedError],
// [*TooLargeError], and [*UnavailableError] for everything that may be better
// in a moment (test with errors.As, or [IsUnavailable]). Any other error is a
// defect or a refusal that a repetition will not cure.
//
// The implementation is esdb (over the official EventStoreDB client); the
// server behind it is an EventStoreDB or KurrentDB cluster, or package node,
// the embedded one.
package eventstore
