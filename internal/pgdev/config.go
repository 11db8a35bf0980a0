package pgdev

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// role is both the only role of the cluster that can log in and the database
// in which factgate keeps its schemas.
const role = "factgate"

// settings suit one application on one machine. Durability is never traded
// away: fsync, full_page_writes and synchronous_commit are on. wal_level is
// minimal because nothing replicates from here, which also lets a rebuild load
// a table it has just made without writing it twice.
func settings(major int, socketDir, base string) string {
	var b strings.Builder
	b.WriteString("# Written by factgate at every start: changes here are lost.\n" +
		"# To tune this server, connect to it and use ALTER SYSTEM.\n")
	set := func(name, value string) { fmt.Fprintf(&b, "%s = %s\n", name, value) }

	set("listen_addresses", "''")
	set("port", socketPort)
	set("unix_socket_directories", quote(socketDir))
	set("unix_socket_permissions", "0700")
	set("hba_file", quote(base+"/pg_hba.conf"))
	set("ident_file", quote(base+"/pg_ident.conf"))
	set("cluster_name", quote(role))

	set("max_connections", "100")
	set("shared_buffers", "'32MB'")
	set("maintenance_work_mem", "'32MB'")
	set("jit", "off")
	// Containers keep /dev/shm small, and some chroots keep it from everybody but
	// root: nothing here needs it once there are no parallel plans.
	set("dynamic_shared_memory_type", "'mmap'")
	set("max_parallel_workers_per_gather", "0")
	set("max_parallel_maintenance_workers", "0")

	set("fsync", "on")
	set("full_page_writes", "on")
	set("synchronous_commit", "on")
	set("wal_level", "minimal")
	set("max_wal_senders", "0")
	set("min_wal_size", "'32MB'")
	set("max_wal_size", "'512MB'")

	set("timezone", "'UTC'")
	set("log_timezone", "'UTC'")
	set("client_encoding", "'UTF8'")
	set("lc_messages", "'C'") // advise and the recovery notes read them
	set("logging_collector", "off")
	set("log_destination", "'stderr'")
	set("log_line_prefix", "'%m [%p] '")
	set("log_min_messages", "warning")
	set("log_checkpoints", "off")
	if major >= 15 {
		set("log_startup_progress_interval", "'2s'")
	}
	return b.String()
}

// hostBasedAuth admits the role over the Unix socket alone, as attested by the
// kernel; whatever matches no line is rejected.
const hostBasedAuth = "# Written by factgate at every start.\n" +
	"local all " + role + " peer map=" + role + "\n"

// identMap maps the one account that may connect to the role.
func identMap(account string) string {
	return "# Written by factgate at every start.\n" +
		role + " \"" + account + "\" " + role + "\n"
}

// quote writes a value of postgresql.conf.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// ourAccount is the name under which the server will know us. The server asks
// the system's user database (perhaps LDAP); id asks the same one, while os/user
// without cgo knows only /etc/passwd.
func ourAccount(ctx context.Context) (string, error) {
	name := ""
	if out, err := exec.CommandContext(ctx, "id", "-un").Output(); err == nil {
		name = strings.TrimSuffix(string(out), "\n")
	} else if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		name = u.Username
	}
	// A leading slash would make it a pattern in pg_ident.conf.
	if name == "" || name[0] == '/' || strings.ContainsAny(name, "\"\r\n") {
		return "", fmt.Errorf("uid %d has no usable name in the user database (%q), but PostgreSQL knows its callers by name; run factgate under a named account", os.Geteuid(), name)
	}
	return name, nil
}
