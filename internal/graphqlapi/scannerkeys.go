package graphqlapi

import (
	"context"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
)

// ScannerKeys lists the keys in force of a type.
func (q *query) ScannerKeys(ctx context.Context, args struct{ Type string }) ([]*scannerKeyResolver, error) {
	if err := ledgerOf(ctx).spend(historyCost); err != nil {
		return nil, err
	}
	if q.commands == nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "mutation.read_only",
			Msg: "this server answers for its read model only", MsgZH: "该服务仅提供读模型查询"}
	}
	keys, err := q.commands.ScannerKeys(ctx, args.Type)
	if err != nil {
		return nil, err
	}
	out := []*scannerKeyResolver{}
	for _, k := range keys.InForce() {
		out = append(out, &scannerKeyResolver{k})
	}
	return out, nil
}

// IssueScannerKey puts a key in force.
func (q *query) IssueScannerKey(ctx context.Context, args struct {
	Type, KeyID, Sha256 string
	By                  *string
}) (*scannerKeyChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	did, err := q.commands.IssueScannerKey(ctx, scanner.IssueKey{Type: args.Type, KeyID: args.KeyID, SHA256: args.Sha256, By: by.Actor})
	if err != nil {
		return nil, err
	}
	return &scannerKeyChange{args.Type, args.KeyID, did}, nil
}

// RevokeScannerKey ends a key.
func (q *query) RevokeScannerKey(ctx context.Context, args struct {
	Type, KeyID, Reason string
	By                  *string
}) (*scannerKeyChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	did, err := q.commands.RevokeScannerKey(ctx, scanner.RevokeKey{Type: args.Type, KeyID: args.KeyID, Reason: args.Reason, By: by.Actor})
	if err != nil {
		return nil, err
	}
	return &scannerKeyChange{args.Type, args.KeyID, did}, nil
}

type scannerKeyResolver struct{ k scanner.ScannerKeyIssued }

func (r *scannerKeyResolver) KeyID() string                  { return r.k.KeyID }
func (r *scannerKeyResolver) By(ctx context.Context) *string { return given(who(ctx, r.k.By)) }

type scannerKeyChange struct {
	name, id string
	changed  bool
}

func (c *scannerKeyChange) Type() string  { return c.name }
func (c *scannerKeyChange) KeyID() string { return c.id }
func (c *scannerKeyChange) Changed() bool { return c.changed }
