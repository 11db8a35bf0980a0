package graphqlapi

import (
	"context"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/queries"
)

// Erasures needs no read model.
func (q *query) Erasures(ctx context.Context, args historyArgs) ([]*erasure, error) {
	// The directory of persons is a stream of its own, and mostly names.
	if err := ledgerOf(ctx).spend(presenceCost + max(0, int(args.First))); err != nil {
		return nil, err
	}
	after := int64(-1)
	if args.AfterRevision != nil {
		after = int64(*args.AfterRevision)
	}
	list, err := q.queries.Erasures(ctx, size(args.First), after)
	if err != nil {
		return nil, err
	}
	out := make([]*erasure, len(list))
	for i, e := range list {
		out[i] = &erasure{e}
	}
	return out, nil
}

type erasure struct{ e queries.Erasure }

func (r *erasure) Revision() int32                { return small(r.e.Revision) }
func (r *erasure) Key() string                    { return r.e.KeyID }
func (r *erasure) At() graphql.Time               { return *instant(&r.e.At) }
func (r *erasure) By(ctx context.Context) *string { return given(who(ctx, r.e.By)) }
func (r *erasure) Reason() string                 { return r.e.Reason }
