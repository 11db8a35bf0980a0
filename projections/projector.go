package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/eventstore"
)

// lookPause is how long a projector waits between two looks at the registry.
const lookPause = 500 * time.Millisecond

// Projector keeps every read model of this version's layout up to date: the one in
// service, those that are being built, and those that were in service, so that
// one may go back to them at any moment. Any number of projectors may run; each
// read model has one writer among them, and a wish in the registry that one of
// them has begun to carry out another one finishes.
type Projector struct {
	log      Log
	pool     *pgxpool.Pool
	blobs    Blobs
	o        Options
	registry *Registry

	mu      sync.Mutex
	runners map[Model]*running
}

// running is a runner at work.
type running struct {
	*Runner
	stop  context.CancelFunc
	ended chan struct{}
	err   error // of Run; read after ended
}

// NewProjector makes a projector; of the pool it takes a connection for each read
// model, as [NewRunner] says.
func NewProjector(log Log, pool *pgxpool.Pool, blobs Blobs, o Options) *Projector {
	o = NewRunner(log, pool, blobs, o).o // its defaults
	return &Projector{log: log, pool: pool, blobs: blobs, o: o, registry: NewRegistry(pool, log, blobs), runners: map[Model]*running{}}
}

// Status of each read model that this projector keeps up to date, or could.
func (p *Projector) Status() map[Model]Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[Model]Status, len(p.runners))
	for m, r := range p.runners {
		out[m] = r.Runner.Status()
	}
	return out
}

// Run works until ctx ends. A read model that has halted waits for an operator and
// holds up no other: it goes on once its fact is skipped.
func (p *Projector) Run(ctx context.Context) {
	eventstore.Resume(ctx, p.o.Logger, "registry of read models", func(looking context.Context, well func()) error {
		if err := Install(looking, p.pool); err != nil {
			return err
		}
		if err := p.begin(looking); err != nil {
			return err
		}
		for {
			if err := p.look(looking, ctx); err != nil {
				return err
			}
			well()
			if !sleep(looking, lookPause/2+rand.N(lookPause)) {
				return looking.Err()
			}
		}
	})
	p.mu.Lock()
	list := maps.Clone(p.runners)
	p.mu.Unlock()
	for _, r := range list {
		r.stop()
		<-r.ended
	}
}

// begin a read model of this version's layout, where every other is older.
func (p *Projector) begin(ctx context.Context) error {
	list, err := p.registry.entries(ctx)
	if err != nil {
		return err
	}
	newest := 0
	for _, e := range list {
		newest = max(newest, e.layout)
	}
	switch {
	case newest == Layout:
	case newest > Layout:
		p.o.Logger.Warn("there are read models of a newer version; this one begins none by itself", "layout", newest, "known", Layout)
	case p.o.Manual:
		p.o.Logger.Warn("the read model is of an older version and cannot be read by this one; begin a new one with: factgate readmodel rebuild --promote", "layout", newest, "wanted", Layout)
	default:
		change, err := p.registry.Rebuild(ctx, Rebuild{Reason: fmt.Sprintf("this version has layout %d", Layout), By: "projector", Promote: true})
		if err != nil {
			return err
		}
		p.o.Logger.Info("folding a read model for this version; it comes into service when it has caught up", "name", change.Model.Schema(), "layout", Layout)
	}
	return nil
}

// look at the registry, and do what it says. Runners live as long as all does.
func (p *Projector) look(ctx, all context.Context) error {
	list, err := p.registry.entries(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	gone := maps.Clone(p.runners)
	p.mu.Unlock()
	for _, e := range list {
		if e.layout != Layout {
			continue
		}
		r := gone[e.model]
		delete(gone, e.model)
		switch {
		case r == nil:
			p.start(all, e.model)
		case r.halted():
			if r.mayGoOn(ctx) {
				p.o.Logger.Info("what halted the read model is past; it goes on", "name", e.model.Schema())
				p.start(all, e.model)
			}
		case e.promote:
			p.promote(ctx, e.model, r.Runner.Status())
		}
	}
	for m, r := range gone { // dropped
		r.stop()
		<-r.ended
		p.mu.Lock()
		delete(p.runners, m)
		p.mu.Unlock()
		p.o.Logger.Info("the read model is dropped", "name", m.Schema())
	}
	return nil
}

func (p *Projector) start(ctx context.Context, m Model) {
	o := p.o
	o.Model = m
	ctx, stop := context.WithCancel(ctx)
	r := &running{Runner: NewRunner(p.log, p.pool, p.blobs, o), stop: stop, ended: make(chan struct{})}
	p.mu.Lock()
	p.runners[m] = r
	p.mu.Unlock()
	go func() {
		defer close(r.ended)
		defer stop()
		if r.err = r.Run(ctx); r.err != nil {
			// Reads of it go stale and say so; everything else goes on.
			o.Logger.Error("the read model has stopped", "error", r.err)
		}
	}()
}

// promote puts a read model in service whose time has come.
func (p *Projector) promote(ctx context.Context, m Model, s Status) {
	if !s.Writer || !s.CaughtUp {
		return
	}
	switch change, err := p.registry.Promote(ctx, m, false); {
	case err == nil && change.Changed:
		p.o.Logger.Info("the read model is in service", "name", m.Schema(), "position", uint64(change.Position))
	case err != nil && ctx.Err() == nil && domain.RuleOf(err) != "readmodel.not_caught_up":
		p.o.Logger.Warn("the read model has caught up and could not be put in service yet", "name", m.Schema(), "error", err)
	}
}

// halted reports whether the runner has stopped before a fact that it cannot apply.
func (r *running) halted() bool {
	select {
	case <-r.ended:
		return r.err != nil
	default:
		return false
	}
}

// mayGoOn reports whether the fact that halted it has been skipped since, or somebody
// else, a newer version perhaps, has got past it: then this one stands by again.
func (r *running) mayGoOn(ctx context.Context) bool {
	var stop *HaltedError
	if !errors.As(r.err, &stop) {
		return false
	}
	var at int64
	if err := r.pool.QueryRow(ctx, `select position from `+r.o.Model.Schema()+`.checkpoint`).Scan(&at); err == nil && at >= int64(stop.Position) {
		return true
	}
	if stop.Skipped {
		return false
	}
	skips, err := loadSkips(ctx, r.log)
	return err == nil && skips[stop.Position] != nil
}
