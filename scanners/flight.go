package scanners

import (
	"context"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/eventstore"
)

// flight is the work on one event. It outlives the consumer that brought the
// event: a lost connection ends no scan. A delivery of the same event that comes
// meanwhile waits for its end instead of beginning another attempt.
type flight struct {
	done chan struct{} // closed when end and err stand
	end  end
	err  error
}

// trouble is what this process remembers of an event that came back.
type trouble struct {
	repeats int  // for whatever reason
	untried int  // failures before an attempt could be recorded
	alone   bool // memory ran out while the package was at work
	begun   bool // this process has begun with the package, and still lives
}

// maxTroubles bounds what is remembered; forgetting costs a few tries more.
const maxTroubles = 10_000

// flightOf returns the flight of an event, or nil.
func (r *runtime) flightOf(id eventstore.ID) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flights[id]
}

// begin starts the work on an event, with the caller's worker, unless it is under
// way already; then began is false.
func (r *runtime) begin(work context.Context, d eventstore.Delivery) (f *flight, began bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[d.Event.ID]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	r.flights[d.Event.ID] = f
	r.flying.Go(func() {
		f.end, f.err = r.handle(work, d)
		<-r.slots
		r.mu.Lock()
		delete(r.flights, d.Event.ID)
		if f.end != endRetry {
			delete(r.troubles, d.Event.ID)
		}
		r.mu.Unlock()
		close(f.done)
	})
	return f, true
}

// troubled changes what is remembered of an event and returns it.
func (r *runtime) troubled(id eventstore.ID, change func(*trouble)) trouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, known := r.troubles[id]
	if !known && len(r.troubles) >= maxTroubles {
		clear(r.troubles)
	}
	change(&t)
	r.troubles[id] = t
	return t
}

// persist repeats what writes facts while the event store is away, until ctx ends:
// what a scan has found is worth waiting for.
func (r *runtime) persist(ctx context.Context, write func() error) error {
	for n := 0; ; n++ {
		err := write()
		if domain.KindOf(err) != domain.Unavailable || err == nil || ctx.Err() != nil {
			return err
		}
		pause := delay(100*time.Millisecond, min(n, 6))
		r.Logger.Warn("a fact could not be recorded; it will be tried again", "in", pause, "error", err)
		if wait(ctx, pause) != nil {
			return err
		}
	}
}
