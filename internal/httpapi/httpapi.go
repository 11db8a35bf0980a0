// Package httpapi is Factgate's HTTP face: uploads, packages, health, and the
// router that GraphQL and the console hang on.
//
// Refusals and errors have one form:
//
//	{"refused":{"code":"zip.not_a_zip","message":"…"}}
//
// where code is stable and message is in the language of Accept-Language (zh or
// en). A 4xx says that the request will not succeed as it is, a 503 that it may
// in a moment; an upload that was not answered with 202 or 409 may be repeated
// with the same Idempotency-Key.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/queries"
	"github.com/factgate/factgate/scanners"
)

// Parts are what the API works with.
type Parts struct {
	Commands *commands.Commands
	Blobs    blob.Store
	Queries  *queries.Queries
	Limits   zippkg.Limits // zero values are the defaults
	Tool     string        // name and version of the program, for dossiers
	// Patience is how long a client may send nothing of its request's body; 0 means
	// a minute. An upload that moves on takes as long as it takes.
	Patience time.Duration
	Channel  *scanners.Channel // serves scanners that have no client of the event store; they find nothing if nil
	Keys     *commands.Keyring // of those scanners
	GraphQL  http.Handler      // serves /graphql
	Console  http.Handler      // serves /graphiql and its assets
	Metrics  http.Handler      // serves /metrics; nothing there if nil
	// Uploaded hears how each upload was answered: accepted, existed, or the code of
	// the refusal. It must be quick, and must neither block nor panic. nil: not told.
	Uploaded func(code string)
	// Ready says why the API cannot take uploads now; nil means it can.
	Ready  func(context.Context) error
	Logger *slog.Logger
}

// New returns the handler of everything under /. Cross-origin writes from
// browsers are refused.
func New(p Parts) http.Handler {
	a := &api{p}
	if a.Patience <= 0 {
		a.Patience = time.Minute
	}
	r := chi.NewRouter()
	r.Use(middleware.Recoverer)
	r.Post("/api/uploads", a.upload)
	r.Get("/api/tasks/{id}/package", a.download)
	r.Get("/api/tasks/{id}/dossier.jsonl", a.dossier)
	if p.Channel != nil {
		a.scannerRoutes(r)
	}
	r.Get("/livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	r.Get("/readyz", a.ready)
	r.Handle("/graphql", p.GraphQL)
	if p.Metrics != nil {
		r.Method(http.MethodGet, "/metrics", p.Metrics)
	}
	page := r.With(middleware.Compress(5))
	page.Handle("/graphiql", p.Console)
	page.Handle("/assets/*", p.Console)
	r.Get("/", http.RedirectHandler("/graphiql", http.StatusFound).ServeHTTP)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, &domain.Error{Kind: domain.NotFound, Rule: "http.not_found",
			Msg: "there is nothing here; see /graphiql, POST /api/uploads", MsgZH: "此处没有内容；请访问 /graphiql 或 POST /api/uploads"})
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, &domain.Error{Kind: domain.Invalid, Rule: "http.method",
			Msg: r.Method + " is not possible here", MsgZH: "此处不支持 " + r.Method})
	})
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, &domain.Error{Kind: domain.Refused, Rule: "http.cross_origin",
			Msg: "a page of another origin must not write here", MsgZH: "不接受来自其他站点页面的写请求"})
	}))
	return a.steady(sameOrigin.Handler(r))
}

type api struct{ Parts }

func (a *api) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.Ready(ctx); err != nil {
		a.refuse(w, r, &domain.Error{Kind: domain.Unavailable, Rule: "not_ready", Msg: "not ready: " + err.Error()})
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// statuses maps what an error means to what HTTP calls it. Codes that HTTP has a
// better word for stand in the second table.
var (
	statuses = map[domain.Kind]int{
		domain.Invalid: http.StatusBadRequest, domain.Refused: http.StatusUnprocessableEntity,
		domain.NotFound: http.StatusNotFound, domain.Conflict: http.StatusConflict,
		domain.Unavailable: http.StatusServiceUnavailable, domain.Internal: http.StatusInternalServerError,
	}
	statusOfRule = map[string]int{
		"zip.too_large": http.StatusRequestEntityTooLarge, "upload.content_type": http.StatusUnsupportedMediaType,
		"package.expired": http.StatusGone, "http.method": http.StatusMethodNotAllowed, "http.cross_origin": http.StatusForbidden, "http.stalled": http.StatusRequestTimeout,
		"scanner_key.missing": http.StatusUnauthorized, "scanner_key.refused": http.StatusUnauthorized, "lease.gone": http.StatusGone,
		"attempt.stale": http.StatusConflict, "attempt.ended": http.StatusConflict, "sub_task.started": http.StatusConflict, "sub_task.not_started": http.StatusConflict,
		"fact.too_large": http.StatusRequestEntityTooLarge, "report.too_large": http.StatusRequestEntityTooLarge,
	}
)

type refusal struct {
	Refused struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"refused"`
}

// refuse answers with an error, and logs those that are ours: not what failed
// because the client went away.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := &domain.Error{Kind: domain.Internal, Rule: "internal", Msg: "internal error; the server's log says more", MsgZH: "内部错误，详见服务器日志"}
	known := errors.As(err, &e)
	status := statuses[e.Kind]
	if s, ok := statusOfRule[e.Rule]; ok {
		status = s
	}
	if (status >= 500 || !known) && r.Context().Err() == nil {
		a.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	var body refusal
	body.Refused.Code, body.Refused.Message = e.Rule, e.Msg
	if e.MsgZH != "" && chinese(r) {
		body.Refused.Message = e.MsgZH
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if status == http.StatusRequestTimeout {
		w.Header().Set("Connection", "close")
	}
	answer(w, status, body)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away is nobody's error
}

// chinese reports whether the client would rather read Chinese.
func chinese(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(first)), "zh")
}
