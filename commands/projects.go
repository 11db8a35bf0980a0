package commands

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/eventstore"
)

// Projects knows what projects have settled. It remembers what it has read and is
// brought up to date by each question, so an answer is never older than the question
// and costs what is new. It is safe for concurrent use.
type Projects struct {
	log eventstore.Reader

	mu     sync.Mutex
	states map[string]project.State
}

// NewProjects returns the projects of a log.
func NewProjects(log eventstore.Reader) *Projects {
	return &Projects{log: log, states: map[string]project.State{}}
}

// State is what the facts of a project's stream add up to, or with project.All what
// holds for all that say nothing of their own. Errors are the event store's, or refuse
// a name that is none.
func (p *Projects) State(ctx context.Context, name string) (project.State, error) {
	if err := project.CheckName(name); err != nil {
		return project.State{}, err
	}
	p.mu.Lock()
	s, ok := p.states[name]
	p.mu.Unlock()
	if !ok {
		s = project.State{Project: name}
	}
	var news []project.Recorded
	for r, err := range p.log.ReadStream(ctx, eventstore.StreamID{Category: project.Category, Key: name}, s.Facts) {
		if gone(err) {
			break
		}
		if err != nil {
			return s, storeError("read project "+name, err)
		}
		news = append(news, project.Recorded{Revision: r.Revision, At: r.At, Fact: project.Read(r.Type, r.Data)})
	}
	if len(news) == 0 {
		return s, nil
	}
	s = project.Evolve(s, news...)
	p.mu.Lock()
	defer p.mu.Unlock()
	remember(p.states, name, s, s.Facts >= p.states[name].Facts)
	return s, nil
}

// ConfigureScanner says how a type checks a project's packages (of project.All: of all
// that say nothing of their own). It refuses what no type could understand.
func (c *Commands) ConfigureScanner(ctx context.Context, name string, wish project.ConfigureScanner) (ProjectDone, error) {
	s, done, err := c.executeProject(ctx, name, wish.By, wish)
	return ProjectDone{State: s, Changed: len(done.events) > 0, Position: done.position}, err
}

// ResetScanner takes a project's configuration of a type away.
func (c *Commands) ResetScanner(ctx context.Context, name string, wish project.ResetScanner) (ProjectDone, error) {
	s, done, err := c.executeProject(ctx, name, wish.By, wish)
	return ProjectDone{State: s, Changed: len(done.events) > 0, Position: done.position}, err
}

// WaiverDone is what a command made happen to a waiver.
type WaiverDone struct {
	Waiver   project.Waiver
	Changed  bool
	Position eventstore.Position
}

// GrantWaiver takes findings of a project's packages (of project.All: of all) out of
// the gate, from the next attempt on. One that is there already is the answer.
func (c *Commands) GrantWaiver(ctx context.Context, name string, wish project.GrantWaiver) (WaiverDone, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return WaiverDone{}, err
	}
	wish.ID = id.String()
	s, done, err := c.executeProject(ctx, name, wish.By, wish)
	if err != nil {
		return WaiverDone{}, err
	}
	w, _ := s.Find(wish)
	return WaiverDone{Waiver: w, Changed: len(done.events) > 0, Position: done.position}, nil
}

// RevokeWaiver has findings count again, from the next attempt on.
func (c *Commands) RevokeWaiver(ctx context.Context, name string, wish project.RevokeWaiver) (WaiverDone, error) {
	s, done, err := c.executeProject(ctx, name, wish.By, wish)
	if err != nil {
		return WaiverDone{}, err
	}
	return WaiverDone{Waiver: s.Waivers[wish.ID], Changed: len(done.events) > 0, Position: done.position}, nil
}

// SaidOfScanner is what operators have said of how a type checks a project's packages.
type SaidOfScanner struct {
	// Configuration is nil where there is none.
	Configuration *project.Configured
	// Waivers are those that were not revoked and could apply, the project's own
	// first. Whether one is over is for those to say who know the time.
	Waivers []project.Waiver
}

// Scanner returns what holds for a type in a project.
func (p *Projects) Scanner(ctx context.Context, name, subTaskType string) (SaidOfScanner, error) {
	var said SaidOfScanner
	streams := []string{name, project.All}
	if project.CheckName(name) != nil || name == project.All { // nobody could have said anything of it
		streams = streams[1:]
	}
	for _, stream := range streams {
		s, err := p.State(ctx, stream)
		if err != nil {
			return SaidOfScanner{}, err
		}
		if c, ok := s.Scanners[subTaskType]; ok && said.Configuration == nil {
			said.Configuration = &c
		}
		for _, w := range s.Granted() {
			if w.Type == "" || w.Type == subTaskType {
				said.Waivers = append(said.Waivers, w)
			}
		}
	}
	return said, nil
}
