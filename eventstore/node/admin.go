package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// The long work that operators ask for, over HTTP/1.1 and, on a secure node, for
// users only:
//
//	POST /admin/verify     lines of AdminLine while it goes on; the last has a report or an error
//	POST /admin/scavenge   the same
//	GET  /admin/backup     a tar archive for Restore; one that lacks its end is refused there
//
// A request that its caller leaves ends the work. A page in somebody's browser is
// refused: it has an Origin.

// AdminLine is one line of the answer to /admin/verify and /admin/scavenge.
type AdminLine struct {
	Step   string          `json:"step,omitempty"` // what is being done, and how much of it is
	Done   uint64          `json:"done,omitempty"`
	Total  uint64          `json:"total,omitempty"` // 0: not known
	Report json.RawMessage `json:"report,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// patienceOfWrites is how long whoever asked may take nothing in.
const patienceOfWrites = time.Minute

func (n *Node) registerAdmin(mux *http.ServeMux) {
	mux.Handle("POST /admin/verify", n.adminWork(func(ctx context.Context, p Progress) (any, error) { return n.Verify(ctx, p) }))
	mux.Handle("POST /admin/scavenge", n.adminWork(func(ctx context.Context, p Progress) (any, error) { return n.Scavenge(ctx, p) }))
	mux.Handle("GET /admin/backup", n.admin(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-tar")
		if _, err := n.Backup(r.Context(), &patientWriter{w: w}); err != nil {
			n.logger.Error("a backup was not made", "error", err)
			panic(http.ErrAbortHandler) // the only way to tell when the answer has begun
		}
	}))
}

// admin refuses browsers, and ends the work when the node closes; Close waits for it.
func (n *Node) admin(work http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			http.Error(w, "not for web pages", http.StatusForbidden)
			return
		}
		ctx, cancel, err := n.callContext(r.Context())
		if err != nil {
			http.Error(w, errClosing.Error(), http.StatusServiceUnavailable)
			return
		}
		defer cancel()
		n.calls.Add(1)
		defer n.calls.Done()
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		w.Header().Set("Cache-Control", "no-store")
		work(w, r.WithContext(ctx))
	})
}

// adminWork answers with a line now and then, so that nobody takes it for dead.
func (n *Node) adminWork(work func(context.Context, Progress) (any, error)) http.Handler {
	return n.admin(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/jsonl")
		out := &patientWriter{w: w}
		lines := json.NewEncoder(out)
		var mu sync.Mutex
		var told time.Time
		say := func(line AdminLine, always bool) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); always || now.Sub(told) >= time.Second/4 {
				told = now
				_ = lines.Encode(line) // the context says whether anybody is there
				_ = http.NewResponseController(w).Flush()
			}
		}
		report, err := work(r.Context(), func(step string, done, total uint64) {
			say(AdminLine{Step: step, Done: done, Total: total}, false)
		})
		last := AdminLine{}
		if err == nil {
			last.Report, err = json.Marshal(report)
		}
		if err != nil {
			last = AdminLine{Error: err.Error()}
		}
		say(last, true)
	})
}

// patientWriter bounds each write for itself: the whole answer may take as long as
// the log is long.
type patientWriter struct{ w http.ResponseWriter }

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := http.NewResponseController(p.w).SetWriteDeadline(time.Now().Add(patienceOfWrites)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.w.Write(b)
}
