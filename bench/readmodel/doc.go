// Command readmodel measures the read model next to its peers and its floor, and says
// which of its goals it reached.
//
//	make bench-readmodel                         the whole run, half an hour or so
//	make bench-readmodel ARGS=-quick             everything once and briefly: a smoke test, no figures
//	make bench-readmodel ARGS='-json FILE'       the same figures for a program
//	make bench-readmodel ARGS='-parts rebuild,live -rotations 2'
//	make bench-readmodel ARGS='-parts rebuild -emmett=false -message-db=false -profile DIR'
//	                                             a processor profile of each projector, for go tool pprof
//	make bench-readmodel ARGS='-parts growth -rotations 1 -tasks 10000,1000000'
//	                                             a million tasks of 20 facts: an hour and more, most of it filling the log
//	make bench-readmodel ARGS='-parts growth -rotations 1 -requests 1 -tasks 50000,500000'
//	                                             ten million facts beside one million
//
// It compares as bench/store does: all sides of a comparison in turn, -rotations
// times, each when every server is idle; printed are medians and ratios of medians.
// All databases are in one private PostgreSQL that has fsync on.
//
// # rebuild
//
// 10,000 tasks of 20 facts and 7 types of sub-task each: scans that are tried
// again, declines, windows that close, facts that come late and revise the verdict.
// A hundred tasks are under way at the same time, so the facts of one lie apart, and
// late ones twenty thousand facts behind. Each side has the same facts in the same
// order, and every row is counted afterwards; if one is missing the run fails.
//
//	factgate projector     factgate projector beside factgate node; the clock runs from the
//	                       moment its empty tables stand until live.checkpoint, looked at
//	                       every 2 ms, is at the end of the log
//	message-db, all rows   message-db, its category function by 1,000, the next batch read and
//	                       decoded while this one is written; the same rows as ours in tasks,
//	                       sub_tasks, declines, outcomes and rollups. It remembers every task
//	                       for ever and asks no table what was there before
//	message-db, task rows  the same with one row a task and nothing else
//	Emmett, documents      its consumer, projector and single-stream projection of documents, one
//	                       a task, in batches of the best size and without a pause between
//	                       them; from its first event until its checkpoint, looked at every
//	                       20 ms, is at the end. Of fewer tasks, as it takes its time
//	Emmett, upserts        the same with a projection in SQL: an upsert of a task's columns. Its
//	                       projector hands on one event at a time, so there is nothing to fold
//	receive only           the official client's catch-up subscription, nothing done
//
// Nobody's writer waits for the disk at a commit: what a crash takes is folded again.
// Emmett's may; it has no such setting. The reports that facts may name are not part
// of it: they are blobs, which no peer has.
//
// # live
//
// One event at a time: from before its append until live.checkpoint, which a warm
// connection looks at without a pause, has passed it. What a look costs is a row of
// its own. The peer inserts the event into a table and notifies in one statement,
// and its clock stops when the listening session has been told: it writes nothing
// and nobody looks. The peer that also writes a row and a checkpoint, looked at in
// the same way, is there for information.
//
// # growth
//
// Read models of several sizes, each with a node and an api of its own: how long they
// take to be made, what memory the projector held at most, and how long lists, one
// task and, where the schema has them, trends take over HTTP, one request at a time.
// All facts were recorded within minutes, so trends find them on one day or two. For
// the queries alone the largest is then blown up to a million tasks (-blow-up): every
// row is written again under other ids and earlier times. Its log stays as it is.
//
// # What the figures cannot say
//
// All servers and clients share the machine's processors.
package main
