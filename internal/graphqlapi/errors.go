package graphqlapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	gqlerrors "github.com/graph-gophers/graphql-go/errors"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/strictyaml"
)

// shown is an error as clients see it.
type shown struct {
	Message    string               `json:"message"`
	Locations  []gqlerrors.Location `json:"locations,omitempty"`
	Path       []any                `json:"path,omitempty"`
	Extensions *extensions          `json:"extensions,omitempty"`
}

type extensions struct {
	Code      string `json:"code"` // stable: the rule of the domain's error
	Kind      string `json:"kind"`
	MessageZH string `json:"messageZh,omitempty"`
	// Where the text of a rule set or a configuration is wrong, the first place; see
	// rules.SourceError and strictyaml.Error.
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	RuleID string `json:"ruleId,omitempty"`
}

const internal = "internal error"

// show decides what of an error leaves the house, and logs the rest, once.
func (h *Handler) show(ctx context.Context, list []*gqlerrors.QueryError) []shown {
	out := make([]shown, 0, len(list))
	for _, e := range list {
		s := shown{Message: e.Message, Locations: e.Locations, Path: e.Path}
		var known *domain.Error
		switch cause := e.ResolverError; {
		case errors.As(cause, &known) && known.Kind != domain.Internal:
			s.Message = known.Msg
			s.Extensions = &extensions{Code: known.Rule, Kind: string(known.Kind), MessageZH: known.MsgZH}
			var source *rules.SourceError
			if errors.As(cause, &source) {
				s.Extensions.Line, s.Extensions.Column, s.Extensions.RuleID = source.Line, source.Column, source.RuleID
			}
			var placed *strictyaml.Error
			if errors.As(cause, &placed) {
				s.Extensions.Line, s.Extensions.Column = placed.Problems[0].Line, placed.Problems[0].Column
			}
			if known.Kind == domain.Unavailable {
				h.o.Logger.WarnContext(ctx, "GraphQL query failed", "path", fmt.Sprint(e.Path), "err", cause)
			}
		case ctx.Err() != nil && (cause == nil || errors.Is(cause, ctx.Err())):
			s.Message = fmt.Sprintf("the query took longer than %s; ask for less at once", h.o.Timeout)
			s.Extensions = &extensions{Code: "query.timeout", Kind: string(domain.Unavailable)}
		case cause != nil || errors.Is(e.Err, errPanicked):
			if cause != nil {
				h.o.Logger.ErrorContext(ctx, "GraphQL query failed", "path", fmt.Sprint(e.Path), "err", cause)
			}
			s.Message = internal
			s.Extensions = &extensions{Code: "internal", Kind: string(domain.Internal)}
		default: // the library's own words about the query's text
			s.Extensions = &extensions{Code: "query.invalid", Kind: string(domain.Invalid)}
		}
		out = append(out, s)
	}
	return out
}

// executed reports whether a query got as far as its fields.
func executed(list []*gqlerrors.QueryError) bool {
	for _, e := range list {
		if len(e.Path) > 0 || e.ResolverError != nil || errors.Is(e.Err, errPanicked) {
			return true
		}
	}
	return false
}

var errPanicked = errors.New("panicked")

// panics keeps the words of a panic to ourselves; panicLog has them.
type panics struct{}

func (panics) MakePanicError(context.Context, any) *gqlerrors.QueryError {
	return &gqlerrors.QueryError{Err: errPanicked, Message: internal}
}

type panicLog struct{ logger *slog.Logger }

func (l panicLog) LogPanic(ctx context.Context, value any) {
	l.logger.ErrorContext(ctx, "GraphQL resolver panicked", "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
}
