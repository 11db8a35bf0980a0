package graphqlapi

import (
	"context"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/glob"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/suppression"
)

type scannerConfigurationChange struct {
	done        commands.ProjectDone
	subTaskType string
}

func (c *scannerConfigurationChange) Project() string  { return c.done.State.Project }
func (c *scannerConfigurationChange) Type() string     { return c.subTaskType }
func (c *scannerConfigurationChange) Changed() bool    { return c.done.Changed }
func (c *scannerConfigurationChange) Position() string { return position(c.done.Position) }

func (c *scannerConfigurationChange) Digest() *string {
	return given(c.done.State.Scanners[c.subTaskType].Digest)
}

// ConfigureScanner says how a type checks a project's packages.
func (q *query) ConfigureScanner(ctx context.Context, args struct {
	Type, Text, Project string
	By                  *string
}) (*scannerConfigurationChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	if q.checkConfiguration != nil {
		if err := q.checkConfiguration(args.Type, args.Text); err != nil {
			return nil, err
		}
	}
	done, err := q.commands.ConfigureScanner(ctx, args.Project, project.ConfigureScanner{Type: args.Type, Text: args.Text, By: by.Actor})
	if err != nil {
		return nil, err
	}
	return &scannerConfigurationChange{done, args.Type}, nil
}

// ResetScanner takes a project's document for a type away.
func (q *query) ResetScanner(ctx context.Context, args struct {
	Type, Project string
	By            *string
}) (*scannerConfigurationChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	done, err := q.commands.ResetScanner(ctx, args.Project, project.ResetScanner{Type: args.Type, By: by.Actor})
	if err != nil {
		return nil, err
	}
	return &scannerConfigurationChange{done, args.Type}, nil
}

type waiverChange struct{ done commands.WaiverDone }

func (c *waiverChange) Waiver() *waiverResolver { return &waiverResolver{c.done.Waiver} }
func (c *waiverChange) Changed() bool           { return c.done.Changed }
func (c *waiverChange) Position() string        { return position(c.done.Position) }

// GrantWaiver takes findings out of the gate.
func (q *query) GrantWaiver(ctx context.Context, args struct {
	Project, Rule, Path, Reason string
	Type, Anchor                *string
	Identity                    *graphql.ID
	Expires, By                 *string
}) (*waiverChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	wish := project.GrantWaiver{
		Type: text(args.Type), Which: suppression.Which{Rule: args.Rule, Path: glob.Pattern(args.Path), Anchor: text(args.Anchor)},
		Reason: args.Reason, By: by.Actor, Now: time.Now(),
	}
	if args.Identity != nil {
		wish.Which.Identity = report.Identity(*args.Identity)
	}
	if args.Expires != nil {
		if wish.Expires, err = suppression.ParseDate(*args.Expires); err != nil {
			return nil, err
		}
	}
	done, err := q.commands.GrantWaiver(ctx, args.Project, wish)
	if err != nil {
		return nil, err
	}
	return &waiverChange{done}, nil
}

// RevokeWaiver has findings count again.
func (q *query) RevokeWaiver(ctx context.Context, args struct {
	Project    string
	ID         graphql.ID
	Reason, By *string
}) (*waiverChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	done, err := q.commands.RevokeWaiver(ctx, args.Project, project.RevokeWaiver{ID: string(args.ID), Reason: text(args.Reason), By: by.Actor})
	if err != nil {
		return nil, err
	}
	return &waiverChange{done}, nil
}
