package graphqlapi

import (
	"context"
	"strconv"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/queries"
)

// Scanners lists the types whose scanners were heard of.
func (q *query) Scanners(ctx context.Context, args struct{ AtPosition *string }) ([]*scannerTypeResolver, error) {
	if err := q.reach(ctx, args.AtPosition); err != nil {
		return nil, err
	}
	if err := ledgerOf(ctx).spend(queries.MaxPage); err != nil {
		return nil, err
	}
	list, at, err := q.queries.Scanners(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	ledgerOf(ctx).saw(at)
	out := make([]*scannerTypeResolver, len(list))
	for i, s := range list {
		out[i] = &scannerTypeResolver{s}
	}
	return out, nil
}

// RetireScanner takes a type off the roster.
func (q *query) RetireScanner(ctx context.Context, args struct {
	Type, Reason string
	By           *string
}) (*scannerChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	done, err := q.commands.RetireScanner(ctx, by.Actor, scanner.Retire{Type: args.Type, Reason: args.Reason, By: by.Actor})
	if err != nil {
		return nil, err
	}
	return &scannerChange{args.Type, done}, nil
}

type scannerChange struct {
	name string
	done commands.RosterDone
}

func (c *scannerChange) Type() string     { return c.name }
func (c *scannerChange) Position() string { return strconv.FormatUint(uint64(c.done.Position), 10) }
func (c *scannerChange) Changed() bool    { return c.done.Changed }

type scannerTypeResolver struct{ s queries.Scanner }

func (r *scannerTypeResolver) Type() string               { return r.s.Type }
func (r *scannerTypeResolver) State() string              { return string(r.s.State) }
func (r *scannerTypeResolver) FirstSeenAt() graphql.Time  { return *instant(&r.s.FirstSeenAt) }
func (r *scannerTypeResolver) EnlistedAt() *graphql.Time  { return instant(r.s.EnlistedAt) }
func (r *scannerTypeResolver) LastHeardAt() *graphql.Time { return instant(r.s.LastHeardAt) }

func (r *scannerTypeResolver) Retired() *retirementResolver {
	if r.s.Retirement == nil {
		return nil
	}
	return &retirementResolver{*r.s.Retirement}
}

func (r *scannerTypeResolver) Instances() []*instanceResolver {
	out := make([]*instanceResolver, len(r.s.Instances))
	for i, one := range r.s.Instances {
		out[i] = &instanceResolver{one}
	}
	return out
}

type retirementResolver struct{ r queries.Retirement }

func (r *retirementResolver) At() graphql.Time { return *instant(&r.r.At) }
func (r *retirementResolver) Reason() string   { return r.r.Reason }

type instanceResolver struct{ i queries.ScannerInstance }

func (r *instanceResolver) Instance() string           { return r.i.Instance }
func (r *instanceResolver) State() string              { return string(r.i.State) }
func (r *instanceResolver) Version() string            { return r.i.Version }
func (r *instanceResolver) RulesDigest() string        { return r.i.RulesDigest }
func (r *instanceResolver) ConfigDigest() string       { return r.i.ConfigDigest }
func (r *instanceResolver) OnlineAt() *graphql.Time    { return instant(r.i.OnlineAt) }
func (r *instanceResolver) LastHeardAt() *graphql.Time { return instant(r.i.LastHeardAt) }
func (r *instanceResolver) OfflineAt() *graphql.Time   { return instant(r.i.OfflineAt) }
