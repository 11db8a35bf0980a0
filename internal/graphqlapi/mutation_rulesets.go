package graphqlapi

import (
	"context"
	"fmt"
	"time"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
)

type ruleSetChange struct{ done commands.RuleSetDone }

func (c *ruleSetChange) Name() string     { return c.done.Name }
func (c *ruleSetChange) Version() int32   { return small(c.done.Version) }
func (c *ruleSetChange) Digest() string   { return c.done.Digest }
func (c *ruleSetChange) Changed() bool    { return c.done.Changed }
func (c *ruleSetChange) Position() string { return position(c.done.Position) }

// PublishRuleSet makes a version of a text.
func (q *query) PublishRuleSet(ctx context.Context, args struct {
	Text string
	By   *string
}) (*ruleSetChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	done, err := q.commands.PublishRuleSet(ctx, args.Text, by.Actor)
	if err != nil {
		return nil, err
	}
	return &ruleSetChange{done}, nil
}

// ActivateRuleSet puts a version in service.
func (q *query) ActivateRuleSet(ctx context.Context, args struct {
	Name    string
	Version *int32
	Project *string
	By      *string
}) (*ruleSetChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	version, err := versionOf(args.Version)
	if err != nil {
		return nil, err
	}
	if args.Project != nil { // an empty name is a mistake, not a wish for all
		if err := project.CheckName(*args.Project); err != nil {
			return nil, err
		}
	}
	done, err := q.commands.ActivateRuleSet(ctx, args.Name, version, text(args.Project), by.Actor)
	if err != nil {
		return nil, err
	}
	return &ruleSetChange{done}, nil
}

type projectChange struct{ done commands.ProjectDone }

func (c *projectChange) Project() string  { return c.done.State.Project }
func (c *projectChange) RuleSet() *string { return given(c.done.State.RuleSet) }
func (c *projectChange) Window() *string  { return written(c.done.State.Window) }
func (c *projectChange) Quiet() *string   { return written(c.done.State.Quiet) }
func (c *projectChange) Minimum() *string { return written(c.done.State.Minimum) }
func (c *projectChange) Shadow() *string  { return given(c.done.State.Shadow.String()) }
func (c *projectChange) Changed() bool    { return c.done.Changed }
func (c *projectChange) Position() string { return position(c.done.Position) }

// ConfigureProject changes a project's settings.
func (q *query) ConfigureProject(ctx context.Context, args struct {
	Project                         string
	RuleSet, Window, Quiet, Minimum *string
	Shadow                          *string
	By                              *string
}) (*projectChange, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	wish := project.Configure{RuleSet: args.RuleSet, By: by.Actor}
	if args.Shadow != nil {
		shadow, err := project.ParseShadow(*args.Shadow)
		if err != nil {
			return nil, err
		}
		wish.Shadow = &shadow
	}
	for _, length := range []struct {
		name string
		said *string
		wish **project.Change
	}{{"window", args.Window, &wish.Window}, {"quiet", args.Quiet, &wish.Quiet}, {"minimum", args.Minimum, &wish.Minimum}} {
		switch {
		case length.said == nil:
		case *length.said == "":
			*length.wish = &project.Change{Clear: true}
		default:
			d, err := time.ParseDuration(*length.said)
			if err != nil {
				return nil, &domain.Error{Kind: domain.Invalid, Rule: "project." + length.name,
					Msg:   fmt.Sprintf("%s %.40q is not a time such as 10m or 1h30m", length.name, *length.said),
					MsgZH: fmt.Sprintf("%s %.40q 不是如 10m 或 1h30m 的时长", length.name, *length.said)}
			}
			*length.wish = &project.Change{To: d}
		}
	}
	done, err := q.commands.ConfigureProject(ctx, args.Project, wish)
	if err != nil {
		return nil, err
	}
	return &projectChange{done}, nil
}
