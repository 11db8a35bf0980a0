package httpapi

import (
	"io"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/factgate/factgate/domain/dossier"
	"github.com/factgate/factgate/queries"
)

// dossier gives a task's audit file, straight from its stream. Should the store
// fail while it is written, the connection is broken off: a dossier without its
// end is none, and its reader sees that.
func (a *api) dossier(w http.ResponseWriter, r *http.Request) {
	id, err := queries.ParseTaskID(chi.URLParam(r, "id"))
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	begun := false
	err = a.Queries.Dossier(r.Context(), id, dossier.Header{MadeAt: time.Now(), Tool: a.Tool}, func() io.Writer {
		begun = true
		h := w.Header()
		h.Set("Content-Type", "application/jsonl; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="dossier-`+id.String()+`.jsonl"`)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		return w
	})
	switch {
	case err == nil:
	case !begun:
		a.refuse(w, r, err)
	default:
		if r.Context().Err() == nil {
			a.Logger.Error("a dossier broke off", "task", id, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
}
