package commands

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/eventstore"
)

// RuleSetDone is what a command made happen to a rule set.
type RuleSetDone struct {
	Name    string
	Version int
	Digest  string
	Changed bool // false: all was so already
	// Position at which a reader sees what the command did.
	Position eventstore.Position
}

// PublishRuleSet makes a version of a text and returns it; a text that is
// published already is the version that it was. It is judged by no task before it
// is activated.
func (c *Commands) PublishRuleSet(ctx context.Context, text, by string) (RuleSetDone, error) {
	rs, err := rules.Parse([]byte(text), 1)
	if err != nil {
		return RuleSetDone{}, err
	}
	// The directory first: a name without versions is harmless, a version that
	// no list shows is not.
	name := rs.Ref().Name
	if _, _, err := c.executeRuleSet(ctx, ruleset.Directory, by, ruleset.Register{Name: name}); err != nil {
		return RuleSetDone{}, err
	}
	s, changed, err := c.executeRuleSet(ctx, name, by, ruleset.Publish{Text: text, By: by})
	if err != nil {
		return RuleSetDone{}, err
	}
	v, _ := s.HasText(text)
	return RuleSetDone{Name: name, Version: v.Version, Digest: v.Digest, Changed: len(changed.events) > 0, Position: changed.position}, nil
}

// ActivateRuleSet puts a version (0: the newest) in service for a project, or with
// an empty project for all that have none of their own: windows opened from now on
// are judged by it. First the version becomes the active one of its name, then the
// name becomes the project's; repeating the command heals a crash between the two.
func (c *Commands) ActivateRuleSet(ctx context.Context, name string, version int, forProject, by string) (RuleSetDone, error) {
	if err := ruleset.CheckName(name); err != nil {
		return RuleSetDone{}, err
	}
	whose := project.All
	if forProject != "" {
		whose = forProject
	}
	if whose == project.All {
		forProject = ""
	}
	if err := project.CheckName(whose); err != nil {
		return RuleSetDone{}, err
	}
	s, activated, err := c.executeRuleSet(ctx, name, by, ruleset.Activate{Version: version, Project: forProject, By: by})
	if err != nil {
		return RuleSetDone{}, err
	}
	_, configured, err := c.executeProject(ctx, whose, by, project.Configure{RuleSet: &name, By: by})
	if err != nil {
		return RuleSetDone{}, err
	}
	v, err := s.Find(version)
	return RuleSetDone{
		Name: name, Version: v.Version, Digest: v.Digest, Changed: len(activated.events)+len(configured.events) > 0,
		Position: max(activated.position, configured.position),
	}, err
}

// ProjectDone is what a command made happen to a project.
type ProjectDone struct {
	State    project.State
	Changed  bool
	Position eventstore.Position
}

// ConfigureProject changes a project's settings (of project.All: of all that say
// nothing of their own) for windows opened from now on. It refuses a rule set that
// is not in service for the project, and a shadow that does not exist.
func (c *Commands) ConfigureProject(ctx context.Context, name string, configure project.Configure) (ProjectDone, error) {
	if set := configure.RuleSet; set != nil && *set != "" {
		if err := ruleset.CheckName(*set); err != nil {
			return ProjectDone{}, err
		}
		s, err := loadRuleSet(ctx, c.log, *set)
		if err != nil {
			return ProjectDone{}, err
		}
		if _, err := s.Find(0); err != nil {
			return ProjectDone{}, err
		}
		if s.ActiveFor(name) == 0 {
			return ProjectDone{}, &domain.Error{Kind: domain.Refused, Rule: "ruleset.inactive",
				Msg:   "no version of rule set " + *set + " is in service; activate one",
				MsgZH: "规则集 " + *set + " 没有已启用的版本，请先启用"}
		}
	}
	if shadow := configure.Shadow; shadow != nil && *shadow != (project.Shadow{}) && *shadow != project.NoShadow {
		if err := ruleset.CheckName(shadow.Name); err != nil {
			return ProjectDone{}, err
		}
		s, err := loadRuleSet(ctx, c.log, shadow.Name)
		if err != nil {
			return ProjectDone{}, err
		}
		if _, err := findShadow(s, *shadow, name); err != nil {
			return ProjectDone{}, err
		}
	}
	s, done, err := c.executeProject(ctx, name, configure.By, configure)
	return ProjectDone{State: s, Changed: len(done.events) > 0, Position: done.position}, err
}

// executeRuleSet is execute for the stream of a rule set.
func (c *Commands) executeRuleSet(ctx context.Context, name, by string, wish ruleset.Command) (s ruleset.State, _ changed, err error) {
	stream := eventstore.StreamID{Category: ruleset.Category, Key: name}
	done, err := c.change(ctx, stream, func(past []eventstore.Recorded) ([]eventstore.Event, error) {
		s = ruleset.Fold(name, ruleSetFacts(past))
		facts, err := ruleset.Decide(s, wish)
		if err != nil {
			return nil, err
		}
		revision := s.Facts
		for i, f := range facts { // what the reader will see once they are appended
			s = ruleset.Evolve(s, ruleset.Recorded{Revision: revision + uint64(i), Fact: f})
		}
		return encodeAt(stream, revision, by, facts, ruleset.Encode)
	})
	return s, done, err
}

// executeProject is execute for the stream of a project.
func (c *Commands) executeProject(ctx context.Context, name, by string, wish project.Command) (s project.State, _ changed, err error) {
	if err := project.CheckName(name); err != nil {
		return s, changed{}, err
	}
	stream := eventstore.StreamID{Category: project.Category, Key: name}
	done, err := c.change(ctx, stream, func(past []eventstore.Recorded) ([]eventstore.Event, error) {
		s = project.Fold(name, projectFacts(past))
		facts, err := project.Decide(s, wish)
		if err != nil {
			return nil, err
		}
		revision := s.Facts
		for i, f := range facts {
			s = project.Evolve(s, project.Recorded{Revision: revision + uint64(i), At: time.Now(), Fact: f})
		}
		return encodeAt(stream, revision, by, facts, project.Encode)
	})
	return s, done, err
}

func ruleSetFacts(events []eventstore.Recorded) []ruleset.Recorded {
	facts := make([]ruleset.Recorded, len(events))
	for i, r := range events {
		facts[i] = ruleset.Recorded{Revision: r.Revision, At: r.At, Fact: ruleset.Read(r.Type, r.Data)}
	}
	return facts
}

func projectFacts(events []eventstore.Recorded) []project.Recorded {
	facts := make([]project.Recorded, len(events))
	for i, r := range events {
		facts[i] = project.Recorded{Revision: r.Revision, At: r.At, Fact: project.Read(r.Type, r.Data)}
	}
	return facts
}

// settings is the name space of the ids of facts that may be said again and
// again: such an id derives from the stream, the fact and its revision.
var settings = eventstore.ID(uuid.MustParse("2c4f8a0a-93a5-5d3e-8a3e-0d6a5c1f7b52"))

// encodeAt writes all facts before any is appended; the first gets this revision.
func encodeAt[F interface{ Key() string }](stream eventstore.StreamID, revision uint64, by string, facts []F, encode func(F) (string, []byte, error)) ([]eventstore.Event, error) {
	metadata, err := json.Marshal(map[string]string{"actor": by})
	if err != nil {
		return nil, err
	}
	events := make([]eventstore.Event, len(facts))
	for i, f := range facts {
		name, data, err := encode(f)
		if err != nil {
			return nil, err
		}
		key := f.Key() + "/" + strconv.FormatUint(revision+uint64(i), 10)
		events[i] = eventstore.Event{ID: eventstore.DeriveID(eventstore.DeriveID(settings, stream.String()), key), Type: name, Data: data, Metadata: metadata}
	}
	return events, nil
}
