package commands

import (
	"context"
	"sync"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/eventstore"
)

// RosterDone is what a command made happen to the roster.
type RosterDone struct {
	Changed bool // false: all was so already
	// Position at which a reader sees what the command did.
	Position eventstore.Position
}

// EnlistScanner puts a type on the roster: windows opened from now on wait for it.
func (c *Commands) EnlistScanner(ctx context.Context, by string, enlist scanner.Enlist) (RosterDone, error) {
	return c.executeRoster(ctx, by, enlist)
}

// RetireScanner takes a type off the roster: nobody waits for it in windows opened
// from now on, until it comes online again.
func (c *Commands) RetireScanner(ctx context.Context, by string, retire scanner.Retire) (RosterDone, error) {
	return c.executeRoster(ctx, by, retire)
}

var rosterStream = eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}

// executeRoster is execute for the roster's stream.
func (c *Commands) executeRoster(ctx context.Context, by string, wish scanner.Command) (RosterDone, error) {
	done, err := c.change(ctx, rosterStream, func(past []eventstore.Recorded) ([]eventstore.Event, error) {
		var roster scanner.Roster
		for _, r := range past {
			roster = scanner.Evolve(roster, scanner.Recorded{Revision: r.Revision, Fact: scanner.Read(r.Type, r.Data)})
		}
		facts, err := scanner.Decide(roster, wish)
		if err != nil {
			return nil, err
		}
		return encodeAt(rosterStream, roster.Facts, by, facts, scanner.Encode)
	})
	return RosterDone{Changed: len(done.events) > 0, Position: done.position}, err
}

// Roster knows which types are waited for. It remembers what it has read and is
// brought up to date by each question, so an answer is never older than the
// question and costs what is new. It is safe for concurrent use.
type Roster struct {
	log eventstore.Reader

	mu   sync.Mutex
	read scanner.Roster
}

// NewRoster returns the roster of a log.
func NewRoster(log eventstore.Reader) *Roster { return &Roster{log: log} }

// Known returns the types that are waited for, sorted and never nil. An error of
// rule roster.unreadable says that the stream holds what this version cannot
// understand, so that nobody here can tell; others are the event store's.
func (r *Roster) Known(ctx context.Context) ([]string, error) {
	r.mu.Lock()
	s := r.read
	r.mu.Unlock()
	for e, err := range r.log.ReadStream(ctx, rosterStream, s.Facts) {
		if eventstore.IsNotFound(err) {
			break
		}
		if err != nil {
			return nil, storeError("read "+rosterStream.String(), err)
		}
		s = scanner.Evolve(s, scanner.Recorded{Revision: e.Revision, Fact: scanner.Read(e.Type, e.Data)})
	}
	r.mu.Lock()
	if s.Facts > r.read.Facts {
		r.read = s
	}
	r.mu.Unlock()
	if u := s.Unreadable; u != nil {
		return nil, &domain.Error{Kind: domain.Internal, Rule: "roster.unreadable",
			Msg: "stream " + rosterStream.String() + " holds a fact that this version of Factgate cannot read; run the version that wrote it", Err: u.Err}
	}
	return s.Known(), nil
}
