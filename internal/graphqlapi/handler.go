// Package graphqlapi serves the public GraphQL schema over HTTP.
//
// It promises the schema of schema.graphql and nothing beside it: resolvers put
// package queries into GraphQL's shape. A query takes a fixed number of SQL
// statements for each field of its text, however many tasks it finds: parts of
// tasks are read for a whole page at once. Each answer that was read from the
// read model says which one, and up to which position, in
// extensions.readModel. It is of one read model: a query that a switch overtook is
// asked once more.
//
// It refuses, before any work: bodies, texts, depths and selections over the
// limits below, and pages that together are over [maxEntries]. A query ends
// after [Options.Timeout]. Refusals and failures carry extensions {code, kind},
// the rule and kind of a domain.Error; everything else is logged once and shown
// as "internal error".
//
// Start at [NewHandler]; each field of Query is in the file named after what it asks.
package graphqlapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate"
	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
)

// Limits of a request.
const (
	maxBodyBytes  = 128 << 10 // text and variables
	maxQueryBytes = 16 << 10
	maxSelections = 2_000
	maxOverlaps   = 20_000
	// maxDepth is more than the schema is deep; introspection, which tools send
	// with long chains of ofType, needs the rest.
	maxDepth = 16
	// maxEntries bounds the entries of all pages of one request together.
	maxEntries = 50_000
	// historyCost is what a page of history costs besides its entries: it reads a
	// stream of its own.
	historyCost = 100
	// reportCost is what a report costs that is read for a task as of a moment.
	reportCost = 500
	// presenceCost is what it costs to say who was silent at a moment: where nobody
	// wrote down who was waited for, the log is searched for it.
	presenceCost = 1_000
	// tryCost is what a task of a dry run costs: a stream, and to judge it.
	tryCost = 100
)

// Options of the handler.
type Options struct {
	// Commands carry out mutations; without them every mutation is refused.
	Commands *commands.Commands
	// RuleBook answers for rule sets; without it such questions are refused.
	RuleBook *commands.RuleBook
	// ReadModels carries out what is wished for read models; without it such wishes
	// are refused.
	ReadModels *projections.Registry
	// CheckConfiguration refuses a configuration that scanners of a type would not
	// understand; types that it does not know are open. nil: all are.
	CheckConfiguration func(subTaskType, text string) error
	// HasBlob claims a blob and reports whether it is still stored; wishes for
	// another scan ask it.
	HasBlob commands.There
	// Timeout bounds a query; 0 means 15 s.
	Timeout time.Duration
	// Wait bounds how long a query waits for a position; 0 means 5 s.
	Wait time.Duration
	// Answered hears how each request came out: OutcomeOK, OutcomeFailed or
	// OutcomeRefused. It must be quick, and must neither block nor panic. nil: not told.
	Answered func(outcome string)
	// Logger hears of internal errors; nil is silence.
	Logger *slog.Logger
}

// How a request comes out.
const (
	OutcomeOK      = "ok"
	OutcomeFailed  = "failed"  // at least one field has an error
	OutcomeRefused = "refused" // no field was asked: no request, or beyond the limits
)

func (h *Handler) answered(outcome string) {
	if h.o.Answered != nil {
		h.o.Answered(outcome)
	}
}

// Handler answers queries. It is safe for concurrent use.
type Handler struct {
	schema  *graphql.Schema
	queries *queries.Queries
	o       Options
}

// NewHandler makes the handler for POST (application/json) and GET (?query=) of
// one path, wherever it is mounted. The error is a defect: resolvers that do not
// fit the schema.
func NewHandler(q *queries.Queries, waiter *projections.Waiter, o Options) (*Handler, error) {
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	schema, err := graphql.ParseSchema(factgate.Schema, &query{queries: q, waiter: waiter, wait: o.Wait, commands: o.Commands, book: o.RuleBook, registry: o.ReadModels, hasBlob: o.HasBlob, checkConfiguration: o.CheckConfiguration},
		graphql.UseStringDescriptions(),
		graphql.MaxDepth(maxDepth),
		graphql.MaxQueryLength(maxQueryBytes),
		graphql.MaxSelections(maxSelections),
		graphql.OverlapValidationLimit(maxOverlaps),
		graphql.PanicHandler(panics{}),
		graphql.Logger(panicLog{o.Logger}),
	)
	if err != nil {
		return nil, fmt.Errorf("GraphQL schema: %w", err)
	}
	return &Handler{schema: schema, queries: q, o: o}, nil
}

// request is GraphQL over HTTP's.
type request struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// badRequest is a request that is none: status and words for it.
type badRequest struct {
	status int
	code   string
	msg    string
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, bad := read(w, r)
	if bad != nil {
		h.answered(OutcomeRefused)
		if bad.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, HEAD, POST")
		}
		answer(w, bad.status, response{Errors: []shown{{Message: bad.msg, Extensions: &extensions{Code: bad.code, Kind: "INVALID"}}}})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.o.Timeout)
	defer cancel()
	out, result := h.execute(ctx, req, r.Method == http.MethodPost, prefersChinese(r))
	status := http.StatusOK
	if len(result.Errors) > 0 && ctx.Err() == nil && !executed(result.Errors) {
		status = http.StatusBadRequest // refused as a whole
	}
	switch {
	case status == http.StatusBadRequest:
		h.answered(OutcomeRefused)
	case len(out.Errors) > 0:
		h.answered(OutcomeFailed)
	default:
		h.answered(OutcomeOK)
	}
	answer(w, status, out)
}

// execute answers a request from one read model. If the read model was switched
// while it was read, the request is executed once more while no switch can be.
func (h *Handler) execute(ctx context.Context, req request, mayWrite, zh bool) (response, *graphql.Response) {
	var ledger *ledger
	var result *graphql.Response
	once := func() {
		ledger = newLedger(mayWrite, zh, h.o.Commands)
		result = h.schema.Exec(withLedger(ctx, ledger), req.Query, req.OperationName, req.Variables)
	}
	once()
	mixed, again := ledger.overtaken()
	if again && h.queries.Hold(ctx, once) == nil {
		mixed, _ = ledger.overtaken()
	}
	out := response{Data: result.Data, Errors: h.show(ctx, result.Errors), Extensions: ledger.extensions()}
	if mixed {
		out.Errors = append(out.Errors, shown{
			Message:    "the read model was switched while the query read it, and the answer is of two; ask again",
			Extensions: &extensions{Code: "readmodel.switched", Kind: string(domain.Unavailable), MessageZH: "查询期间读模型发生了切换，结果来自两个读模型，请重试"},
		})
	}
	return out, result
}

func read(w http.ResponseWriter, r *http.Request) (req request, bad *badRequest) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		values := r.URL.Query()
		req.Query, req.OperationName = values.Get("query"), values.Get("operationName")
		if v := values.Get("variables"); v != "" {
			if err := json.Unmarshal([]byte(v), &req.Variables); err != nil {
				return req, &badRequest{http.StatusBadRequest, "request.variables", "variables is not a JSON object"}
			}
		}
	case http.MethodPost:
		// Nothing but JSON: a form on a foreign page cannot send that unasked.
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/json" {
			return req, &badRequest{http.StatusUnsupportedMediaType, "request.content_type", "send the query as application/json"}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			return req, &badRequest{http.StatusRequestEntityTooLarge, "request.too_large", fmt.Sprintf("a request has at most %d bytes", maxBodyBytes)}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return req, &badRequest{http.StatusRequestTimeout, "request.stalled", "the request's body did not move on, so it was cut off; look at the connection and send it again"}
		case err != nil:
			return req, &badRequest{http.StatusBadRequest, "request.unreadable", "the request could not be read to its end"}
		}
		if err := json.Unmarshal(body, &req); err != nil {
			return req, &badRequest{http.StatusBadRequest, "request.json", `send a JSON object such as {"query": "{ readModel { position } }"}`}
		}
	default:
		return req, &badRequest{http.StatusMethodNotAllowed, "request.method", "use POST, or GET with ?query="}
	}
	if strings.TrimSpace(req.Query) == "" {
		return req, &badRequest{http.StatusBadRequest, "request.query", "there is no query"}
	}
	return req, nil
}

// response is written by encoding/json, which escapes what could be taken for
// markup.
type response struct {
	Errors     []shown         `json:"errors,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Extensions map[string]any  `json:"extensions,omitempty"`
}

func answer(w http.ResponseWriter, status int, r response) {
	body, err := json.Marshal(r)
	if err != nil { // not reached: every part has been marshalled before
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"internal error"}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
