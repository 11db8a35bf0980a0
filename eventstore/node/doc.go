// Package node is an embedded, single-node event store that speaks the gRPC
// protocol of EventStoreDB, so that the unmodified official clients talk to it
// as to a server of their own. It keeps its log in one folder on pebble.
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
//   - Revisions of a stream have no gap and no repeat; positions in $all strictly
//     increase, are above zero, and are opaque: commit and prepare are equal.
//   - Recorded times never run backwards, whatever the machine's clock does.
//   - A subscription loses and repeats nothing between catching up and going live:
//     it is a cursor on the log and never a queue.
//   - Persistent subscriptions to $all deliver at least once and never less,
//     across restarts and crashes.
//   - A damaged record is an error that names its position; it is never skipped.
//   - After a failed write to its disk the node serves reads and answers appends
//     and consumers with UNAVAILABLE until it is restarted; [Node.Err] says why. Where
//     pebble cannot go on at all, as when it cannot open its next log file, the
//     process ends.
//
// # What it refuses
//
// Deletes, tombstones, stream metadata, BatchAppend, persistent subscriptions to
// a single stream, changing a group and replaying parked messages are answered
// with UNIMPLEMENTED. Two nodes never share a folder: the second is refused with
// [ErrInUse].
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
//	'h' stream                                     revision:8 position:8   (the stream's last event)
//	'm' "format"                                   version:1
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
//	Append ──▶ committer ──▶ pebble batch ──▶ fsync ──▶ horizon ──▶ answers
//	(many)     (one          records, index,              │
//	            goroutine)   heads                        └──▶ wakes subscriptions and groups
//
// The horizon is the position up to which the log is durable. Every reader stops
// there and waits for it to move.
//
// Persistent subscriptions keep their settings in $persistentSubscriptionConfig,
// their progress in $persistentsubscription-$all::GROUP-checkpoint (the newest two
// events) and what they gave up on in $persistentsubscription-$all::GROUP-parked.
// The latter two are hidden from $all.
package node
