// Package esdb is package eventstore over the official EventStoreDB client: the
// event store of a production Factgate, and of the embedded node too, which
// speaks the same protocol. Start at [Open].
//
// It promises the contract of package eventstore on any server of version 23.10
// or newer (older ones do not say when a subscription has caught up), as long as
// the user may read $all and, for groups, manage persistent subscriptions. It
// refuses connection strings that cannot be right, streams and events that could
// not be read back, and nothing else: a server that is not there yet, or not
// there any more, is waited for.
//
// The client's repository is archived and its version pinned. Nothing outside
// this package sees it, and this package relies on how exactly that version
// behaves. What it does to a program that runs for months, and what is done
// about it:
//
//   - It dies for good when one discovery fails, and says ConnectionClosed even
//     after the server is back. So clients are expendable: a supervisor makes the
//     next one, one attempt at a time, with growing and jittered pauses of at
//     most 1.5 s. (maxDiscoverAttempts and discoveryInterval of a connection
//     string therefore mean nothing here.)
//   - While it discovers, its callers wait on a channel that knows no context,
//     and all but one of them for ever if the discovery fails. So it discovers
//     only once, before anyone may call it; at the first sign that its connection
//     is gone, and before it can discover again, it is taken out of use. See
//     session. What may block nevertheless is run aside and left behind when the
//     context ends; how many calls may be left behind in one client is bounded.
//   - It drops the old connection without closing it when it reconnects by
//     itself. It never gets to do so.
//   - Closing it while a call is about to report a lost connection panics in that
//     call. It is closed behind the last call.
//   - It follows a hint to another leader by itself, blocking its callers, and
//     fails for good if that leader is gone too. It is replaced instead, and
//     gossip finds the leader: connection strings for a cluster name all nodes or
//     use esdb+discover. The replacement waits for nobody, as calls that were just
//     then on their way in may never come out. Those, and the connection to the
//     leader that is gone, are lost to the process; Close then says that calls did
//     not end.
//   - A dead connection looks alive until a ping fails: after 20 s, unless the
//     connection string's keepAliveInterval (at least 10 s) and keepAliveTimeout say
//     otherwise. With keepAliveInterval=-1 nobody ever notices. Calls are bounded by
//     their own deadlines meanwhile.
//   - A subscription that drops is a raw gRPC error and stays dropped. It becomes
//     an error of Next, once everything that came before it has been read; the
//     owner resumes from what it has made durable (eventstore.Resume). Nothing here
//     resumes by itself, because nothing here knows what was made durable.
//   - Recv blocks without a context. One goroutine for each subscription and
//     consumer receives and hands over, in batches when there is a lot; at most
//     2 × 1024 messages or about 8 MiB wait in between.
//   - Recv panics on messages that it does not know, and so does a failed append
//     that lacks a trailer. Panics become errors. One thing cannot be caught: an
//     event without a time of creation ends the process (log.Fatalf).
//   - Its errors come wrapped, and its FromError then says "unknown". They are
//     looked for with errors.As; what the contract needs beyond the code (the
//     actual revision of a conflict, the limit that an append exceeds) is read out
//     of the messages, the only place where it survives.
//   - An append into a breaking stream fails with a bare EOF. That is Unavailable,
//     or TooLarge where the server broke off because it had read enough.
//   - When an append cannot be sent it looks at the trailers at once, while gRPC
//     may be writing them because the context has ended as well. The race detector
//     sees that now and then; what can go wrong is the reason of an append that
//     has failed anyway.
//   - Reads of $all know no filter and include the position they start from, as
//     do persistent subscriptions. ReadAll is a subscription that is left when it
//     has caught up; consumers acknowledge the one event too many unseen.
//
// Deadlines: a call whose context has none gets [Options.Timeout]. Streams live
// as long as their context; only opening them, and each silence within a finite
// read, is bounded.
//
//	calls ──▶ supervisor ──▶ session ──▶ client ──▶ server
//	             │  one at a time: dial, backoff        │
//	             └──────────────────────────────────────┘ retired at the first sign of loss
//
// Unavailable, in this package, includes a context that ended: whether the call
// took effect is then just as unknown. errors.Is finds the context's error too.
package esdb
