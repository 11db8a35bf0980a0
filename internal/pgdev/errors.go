package pgdev

import (
	"fmt"
	"strings"
)

// InUseError refuses a data folder that another factgate uses.
type InUseError struct {
	Dir string // the data folder
	PID int    // the process that holds it; 0 if it has not said yet
}

func (e *InUseError) Error() string {
	who := "another factgate"
	if e.PID != 0 {
		who = fmt.Sprintf("another factgate (process %d)", e.PID)
	}
	return fmt.Sprintf("the data folder %s is in use by %s; stop that one, or give this one its own folder with --data", e.Dir, who)
}

// ServerError says that a PostgreSQL program failed, with its own last words.
type ServerError struct {
	Doing   string   // what was attempted
	Err     error    // how the program ended
	Said    []string // its last lines of output, oldest first
	LogFile string   // where it said more; empty if nowhere
	Advice  string   // what to do now
}

func (e *ServerError) Unwrap() error { return e.Err }

// Error is several lines: the server's own words are worth more than ours.
func (e *ServerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", e.Doing, e.Err)
	if len(e.Said) > 0 {
		b.WriteString("; PostgreSQL said last:")
		for _, line := range e.Said {
			b.WriteString("\n    " + line)
		}
	}
	if e.LogFile != "" {
		b.WriteString("\n  more in: " + e.LogFile)
	}
	if e.Advice != "" {
		b.WriteString("\n  what to do: " + e.Advice)
	}
	return b.String()
}

// advise turns the messages that operators meet into the next step. It needs
// the server's messages untranslated, which lc_messages and LC_ALL see to.
func advise(said []string, base string) string {
	text := strings.Join(said, "\n")
	has := func(phrases ...string) bool {
		for _, p := range phrases {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("shared memory segment", "/dev/shm"):
		return "the system grants too little shared memory; in a container raise --shm-size, else kernel.shmmax"
	case has("No space left on device", "Disk quota exceeded"):
		return "free some disk space below " + base + " and start again"
	case has("could not look up effective user ID"):
		return "the current uid has no entry in the user database, which PostgreSQL insists on; run factgate under a named account"
	case has("has wrong ownership", "invalid permissions"):
		return "the file system of " + base + " does not keep owners and modes; give --data a folder on a local file system"
	case has("valid checkpoint record", "PANIC", "invalid data in", "is not a valid data directory", "could not open file \"global/pg_control\""):
		return "the cluster is damaged. It holds only what factgate folds from its event log: move " + base + " away and start again"
	}
	return "mend what is said above and start again"
}
