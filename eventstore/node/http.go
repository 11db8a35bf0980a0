package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// newHTTPServer serves those who look after the node, over HTTP/1.1 on the port that
// clients use:
//
//	GET /health/live   204 while the node takes appends, else 503 and the reason
//	GET /info          version and state, as clients of the HTTP API know them
//	GET /stats         figures; on a secure node for users only
//	/admin/…           long work, see admin.go
//
// The first two need no credentials. Wrong ones are refused everywhere.
func newHTTPServer(n *Node) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", n.serveHealth)
	mux.HandleFunc("GET /info", n.serveInfo)
	mux.HandleFunc("GET /stats", n.serveStats)
	n.registerAdmin(mux)
	return &http.Server{
		Handler:           n.users.guardHTTP(mux),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug),
	}
}

// guardHTTP asks for credentials in front of what is not open to everybody.
func (u *users) guardHTTP(next http.Handler) http.Handler {
	if u == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, name := u.identify(r.Header.Values("Authorization"))
		isOpen := r.URL.Path == "/health/live" || r.URL.Path == "/info"
		if who == known || who == anonymous && isOpen {
			next.ServeHTTP(w, r)
			return
		}
		if who == wrong {
			u.refuse(name, r.RemoteAddr)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="ESDB"`)
		http.Error(w, "this node asks for a user and a password", http.StatusUnauthorized)
	})
}

func (n *Node) serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if err := n.Err(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (n *Node) serveInfo(w http.ResponseWriter, _ *http.Request) {
	authentication := "internal"
	if n.users == nil {
		authentication = "insecure"
	}
	answerJSON(w, map[string]any{
		"esVersion":      serverVersion,
		"state":          "leader",
		"features":       map[string]bool{"projections": false, "userManagement": false, "atomPub": false},
		"authentication": map[string]any{"type": authentication, "properties": map[string]string{}},
	})
}

// figures is what /stats says.
type figures struct {
	Version            string  `json:"version"` // of the protocol that is served
	UptimeSeconds      float64 `json:"uptimeSeconds"`
	ReadOnly           *string `json:"readOnly"` // why, or null
	Position           uint64  `json:"position"` // of the last event
	EventsAppended     uint64  `json:"eventsAppended"`
	Connections        int     `json:"connections"`
	Subscriptions      int64   `json:"subscriptions"` // that catch up or are live
	Groups             int     `json:"groups"`        // persistent subscriptions
	RefusedCredentials uint64  `json:"refusedCredentials"`
	DiskUsedBytes      int64   `json:"diskUsedBytes"` // by the data folder
	DiskFreeBytes      *uint64 `json:"diskFreeBytes,omitempty"`
}

func (n *Node) serveStats(w http.ResponseWriter, _ *http.Request) {
	f := figures{
		Version:       serverVersion,
		UptimeSeconds: time.Since(n.opened).Seconds(),
		Connections:   n.door.connections(),
		Subscriptions: n.subscriptions.Load(),
		Groups:        len(n.groups.list("")),
	}
	f.Position, f.EventsAppended = n.committer.horizon.progress()
	if err := n.Err(); err != nil {
		reason := err.Error()
		f.ReadOnly = &reason
	}
	if n.users != nil {
		n.users.mu.Lock()
		f.RefusedCredentials = n.users.refused
		n.users.mu.Unlock()
	}
	used, err := folderSize(n.log.files, n.dir)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.DiskUsedBytes = used
	if disk, err := n.log.files.GetDiskUsage(n.dir); err == nil { // not every file system says
		f.DiskFreeBytes = &disk.AvailBytes
	}
	answerJSON(w, f)
}

// folderSize adds up files. It asks the file system and not pebble, which holds on
// to its locks for ever once a disk has failed it.
func folderSize(files vfs.FS, dir string) (size int64, err error) {
	names, err := files.List(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		path := files.PathJoin(dir, name)
		info, err := files.Stat(path)
		if err != nil {
			continue // compacted away meanwhile
		}
		if !info.IsDir() {
			size += info.Size()
			continue
		}
		below, err := folderSize(files, path)
		if err != nil {
			continue
		}
		size += below
	}
	return size, nil
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // fails only when the caller has gone
}

// closeHTTP lets running requests finish, or drops them when that takes too long. One
// that is late does no harm: those that read the log are waited for as calls.
func closeHTTP(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}
