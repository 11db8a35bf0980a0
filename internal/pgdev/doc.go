// Package pgdev runs the private PostgreSQL server that factgate uses when
// nobody gave it a database.
//
// It promises:
//
//   - One server for one data folder, on a Unix socket only; no TCP port is
//     ever opened. [Server.URL] is what pgx and psql need to reach it.
//   - Only the user who started factgate gets in. The socket lies in a folder
//     of mode 0700, and the server asks the kernel who is calling (peer
//     authentication) and maps exactly that one account to the role factgate.
//     There is no password, so none can leak through a file, a process list or
//     a log. Other processes of the account the server runs as are refused.
//   - Everything lives in the data folder and goes away with it, also when
//     factgate runs as root below a folder that only root can enter.
//   - A kill -9 of factgate, of PostgreSQL or of both loses nothing that was
//     committed: the next Start, or the running Server itself, ends whatever
//     still runs on the cluster, starts the server and waits for its recovery.
//   - No process outlives a failed or cancelled Start, nor a Stop.
//
// It refuses to share: a second Start on the same folder gets an [InUseError],
// from whichever process. It refuses a cluster of a major version for which no
// binaries are found, rather than upgrading it: what factgate keeps here is
// folded from the event log and can be made anew.
//
// Start reading at [Start]; launch in cluster.go is the life of one server
// process.
//
// # Folders
//
//	DIR/postgres/                 ours
//	    lock                      held with flock while a factgate uses DIR
//	    postgresql.conf, pg_*.conf  written anew at every start
//	    postgres.log[.1]          what the server says, bounded in size
//	    data/                     the cluster; the server's account owns it
//	    data.new-*/               a cluster in the making; renamed when synced
//	    run/                      the socket, unless its path were too long
//
// # Running as root
//
// PostgreSQL refuses to run as root, so as root we run it under an account
// without privileges: the owner of an existing cluster, else postgres, nobody,
// or uid 65534. That account may be unable to walk to the data folder (a clone
// in /root), and moving the cluster elsewhere would need markers, collision
// rules and a sweep for clusters whose data folder is gone. Instead the server
// is not told a path at all: on Linux it inherits open descriptors of its
// folders and is started on /proc/self/fd/3/data. Following such a link asks
// for no permission on the folders above, and after its start the server works
// relative to its current folder anyway. It gains no other access: every folder
// it could reach from there is still checked against its own account.
package pgdev
