// Package node is an embedded, single-node event store that speaks the gRPC
// protocol of EventStoreDB, so that the unmodified official clients talk to it
// as to a server of their own. It keeps its log in one folder: a journal that makes
// appends durable, and pebble's tables for everything that is read.
//
// Start at [Open]; everything else is reached through a client that connects to
// [Node.ConnectionString].
//
// # What it promises
//
//   - Durable before acknowledged: an append is answered after the fsync that
//     holds it. Concurrent appends share one fsync (group commit).
//   - Nothing is visible before it is durable. Neither a read nor a subscription
//     nor the answer to an append shows an event that a crash can take back, so a
//     reader's checkpoint is never ahead of the log.
//   - Revisions of a stream have no gap and no repeat, also across a soft deletion;
//     positions in $all strictly increase, are above zero, and are opaque: commit and
//     prepare are equal.
//   - What metadata and deletions hide is hidden from everybody in the same moment,
//     in the order in which appends, metadata and deletions were taken. $all goes on
//     showing it.
//   - Recorded times never run backwards, whatever the machine's clock does.
//   - A subscription loses and repeats nothing between catching up and going live:
//     it is a cursor on the log and never a queue.
//   - Persistent subscriptions, to $all and to single streams, deliver at least once
//     and never less, across restarts, changes and crashes. What is parked stays
//     parked until a replay of it was finished by a consumer.
//   - Stream metadata ($maxCount, $maxAge, $tb) and both deletions say what of a
//     stream can be read. $all shows everything until [Node.Scavenge] takes away what
//     they have released.
//   - A damaged record is an error that names its position; it is never skipped.
//     A journal of which a crash has torn the end is cut there; one that is damaged
//     in front of its end is refused with a [*JournalDamagedError].
//   - After a failed write to its disk the node serves reads and answers appends
//     and consumers with UNAVAILABLE until it is restarted; while its disk is full,
//     until there is room. [Node.Err] says why. Where pebble cannot go on at all, as
//     when it cannot write its manifest, the process ends.
//   - Opening takes a time that does not depend on the length of the log.
//
// # What it refuses
//
// The node's own bookkeeping is neither written to nor described nor deleted by
// others, and a metastream is not deleted by itself: ACCESS_DENIED. Access lists are
// stored and not enforced. One append holds at most 1 MiB of payload; one BatchAppend
// call has at most 128 open batches, and what they take together is limited. There
// are no projections, and no users but those the node was started with. Two nodes
// never share a folder: the second is refused with [ErrInUse].
//
// # Who may enter
//
// Without a certificate there is no TLS and no authentication: the node listens on
// the loopback interface unless it is told otherwise, and ignores credentials. With
// one it speaks nothing but TLS, from version 1.2 on, and every method asks for a
// user's credentials, but for the two that clients call before they have any:
// ServerFeatures.GetSupportedMethods and Gossip.Read. No credentials are answered
// with PERMISSION_DENIED, wrong ones with UNAUTHENTICATED. Every user may do
// everything; there are no rights for single streams.
//
// One port takes gRPC and, over HTTP/1.1, /health/live, /info and /stats. HTTP/2
// leads to gRPC alone. Monitoring is not served: no client calls it.
//
// # Streams that end
//
// A stream's metadata is the newest event of $$STREAM, whatever its type; what is
// not a JSON object of the right members counts as none, as it does on
// EventStoreDB. $maxCount, $maxAge and $tb leave a range of the stream to be read;
// an empty range is the end of a stream, not a missing one. The metastream itself
// shows its newest event.
//
//	                append, new metadata ($tb = next revision, in the same moment)
//	            ┌──────────────────────────────────────────────┐
//	            ▼                                              │
//	missing ─▶ live ── delete: $metadata {"$tb": highest} ──▶ softly deleted
//	   │        │                                              │
//	   └────────┴── tombstone: $streamDeleted, ◀───────────────┘
//	                the highest revision there is
//
// Reads do not find a missing or a softly deleted stream. A tombstone is an error
// for reads, writes and subscriptions, and ends the subscriptions there are.
// Subscriptions keep to the range while they catch up; live they send whatever is
// appended.
//
// # The log
//
// The position of an event is the length of the log up to and including its
// record, so positions measure bytes. A record is stored once; everything else
// points at it. Integers in keys are big-endian, so that pebble's order is the
// order of the log.
//
//	key                                            value
//	'a' position:8                                 record
//	's' escaped(stream) 00 01 revision:8           position:8
//	'h' stream                                     revision:8 position:8 flags:1   (the stream's last event)
//	'm' "format"                                   version:1
//	'm' "applied"                                  sequence:8   (the last frame of the journal that is in here)
//
// Flags of a head: bit 0, the stream has events; bit 1, it has metadata; bit 2, its
// newest metadata deletes it softly. A tombstone is an event with the revision
// 2^63-1.
//
// escaped writes 00 as 00 FF, so that the terminator 00 01 sorts a stream before
// every stream whose name it is a prefix of, and never mixes their events.
//
//	record:
//	0        4      5       6         14         22      38
//	+--------+------+-------+---------+----------+-------+----------+--------+------------+------
//	| crc32c | fmt  | flags | ticks:8 | revision | id:16 | stream   | type   | metadata   | data
//	|        | (1)  |       |         |    :8    |       | len,text | len,.. | len,bytes  | rest
//	+--------+------+-------+---------+----------+-------+----------+--------+------------+------
//
// Lengths are unsigned varints. The checksum covers everything behind it and the
// record's position, so a record in the wrong place is damage too. Ticks are
// units of 100 ns since the Unix epoch. Flag bit 0 says that data is JSON.
//
// # The ways through it
//
//	Append ──▶ committer ──▶ batch ──▶ journal ──▶ tables ──▶ horizon ──▶ answers
//	(many)     (one          records,   (one write,  (memory;     │
//	            goroutine)   index,      one fsync)   flushed     └──▶ wakes subscriptions
//	                         heads                    later)           and groups
//
// The journal (journal.go) holds the batches that the tables have not flushed yet; at
// the start it is replayed into them.
//
// The horizon is the position up to which the log is durable. Every reader stops
// there and waits for it to move.
//
// A persistent subscription's key is STREAM::GROUP, where STREAM may be $all. All of
// them keep their settings in $persistentSubscriptionConfig (the newest two events),
// each its progress in $persistentsubscription-KEY-checkpoint (the newest two events)
// and what it gave up on in $persistentsubscription-KEY-parked. $tb in the metadata of
// the latter is how far it has been replayed. $all does not show the checkpoints and
// the parked messages of groups on $all itself: such a group would feed itself.
package node
