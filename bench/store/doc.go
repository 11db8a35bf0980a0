// Command store measures the event store through the official client, next to its
// peers and to its floors, and says which of its goals it reached.
//
//	make bench-store                    the whole run, about seven minutes
//	make bench-store ARGS=-quick        everything once and briefly: a smoke test, no figures
//	make bench-store ARGS='-json FILE'  the same figures for a program
//	make bench-store ARGS='-against BINARY'
//	                                    beside the node of another commit
//
// # How it compares
//
// One machine varies by more than most differences one looks for, so a figure
// means something only beside another one of the same run. All sides of a
// comparison are started, then measured in turn, A B C A B C, -rotations times;
// printed are medians over the rotations with their extremes, and ratios of
// medians. Before each turn every server has to be idle, so nobody pays for what
// another one left to do; what a server does afterwards shows as its processor
// time per event.
//
// Each side is a client in this process and a server in another one:
//
//	factgate node   the official client on TCP, bin/factgate node of this tree
//	goes            github.com/modernice/goes and its PostgreSQL store, on a Unix socket
//	message-db      its SQL functions through pgx, on a Unix socket
//	null server     the official client on TCP; reads an append, stores nothing, says yes
//	log floor       no client: one preallocated file, a group of records per fdatasync
//
// PostgreSQL is a private cluster of its own with fsync, full_page_writes and
// synchronous_commit on, and more buffers and log than factgate gives it for
// itself. Every append carries one event of 395 B of JSON that compresses badly,
// to one of 6,400 streams, and names the revision that it expects; a writer waits
// for the answer before it appends again, and no two writers share a stream. What
// was acknowledged is looked for afterwards, behind a kill -9 in the node's case:
// if an event is missing the run fails.
//
// # What the figures cannot say
//
// Client and server share the machine's processors. The node therefore competes
// with the client that drives it, and the null server is what is left at best.
package main
