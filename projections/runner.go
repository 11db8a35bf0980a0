package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/domain/readmodel"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Times of the runner. None of them is part of the contract.
const (
	standbyPause    = 250 * time.Millisecond // between two tries for the lock
	gatherPause     = 200 * time.Millisecond // how long a batch waits for more while catching up
	checkpointPause = time.Second            // between two checkpoints without rows
	closePatience   = 2 * time.Second
)

// Log is what a read model is folded from.
type Log interface {
	eventstore.Follower
	eventstore.Reader
}

// following is by stream and never by type, which would hide the unknown.
var following = eventstore.Filter{Categories: readmodel.Followed()}

// Options of a projector or a runner; the zero value is right for production.
type Options struct {
	// Model is the read model that a runner writes; 0 means the first.
	Model Model
	// Manual keeps a projector from beginning a read model by itself where there is
	// none of this version's layout.
	Manual bool
	// RuleSets answers for the rule sets in tasks' shadows; nil knows none.
	RuleSets RuleSets
	// MaxEvents and MaxBytes bound a batch; while catching up there are two, one that
	// is written and one that is folded. 0 means 40,000 events and 40 MiB. A single
	// event may be larger.
	MaxEvents, MaxBytes int
	// Folded hears of each batch that was written, with how many events it folded; of
	// several read models at once. It must be quick, and must neither block nor panic.
	Folded func(m Model, events int, took time.Duration)
	// Logger hears of failures that are being retried and of hand-overs; what Run
	// returns is for its caller to log. nil is silence.
	Logger *slog.Logger
}

// Runner keeps one read model up to date. Any number of runners may run, in any
// number of processes: one writes, the others stand by.
type Runner struct {
	log   Log
	pool  *pgxpool.Pool
	blobs Blobs
	o     Options

	mu     sync.Mutex
	status Status
}

// Status is what a runner knows of its work.
type Status struct {
	Model    Model
	Writer   bool                // this runner holds the lock
	Position eventstore.Position // of the checkpoint, as last seen
	// CaughtUp: everything that stood in the log when we last looked is applied.
	CaughtUp bool
	// Lag is how long the oldest event known and not applied has been waiting; 0
	// when there is none, unknown (0) to a runner that stands by.
	Lag time.Duration
	// Halted says why the read model stopped; nil while it runs.
	Halted *HaltedError
	// Trouble is the failure that the runner is recovering from; nil when well.
	Trouble error

	waiting time.Time // when the oldest event known and not applied was recorded
}

// NewRunner makes a runner. It takes one connection out of pool for as long as it
// runs, which must be a session of Postgres itself, not of a pooler that shares
// sessions among transactions.
func NewRunner(log Log, pool *pgxpool.Pool, blobs Blobs, o Options) *Runner {
	if o.Model == 0 {
		o.Model = 1
	}
	if o.MaxEvents <= 0 {
		o.MaxEvents = 40_000
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 40 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Runner{log: log, pool: pool, blobs: blobs, o: o, status: Status{Model: o.Model}}
}

// Status may be called at any time.
func (r *Runner) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	if !s.waiting.IsZero() {
		s.Lag = max(0, time.Since(s.waiting))
	}
	return s
}

func (r *Runner) note(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// Run works until ctx ends; then it returns nil. Failures of the log, of Postgres
// and of the blob store are retried for ever. It returns a *HaltedError before a
// fact that cannot be applied, which wants an operator: starting again before
// something has changed ends the same way.
func (r *Runner) Run(ctx context.Context) error {
	ctx, halt := context.WithCancel(ctx)
	defer halt()
	var final error
	eventstore.Resume(ctx, r.o.Logger, "read model "+r.o.Model.Schema(), func(ctx context.Context, well func()) error {
		err := r.session(ctx, well)
		if ctx.Err() != nil {
			return err
		}
		var stop *HaltedError
		if errors.As(err, &stop) {
			r.note(func(s *Status) { s.Halted = stop })
			final = err
			halt()
		}
		r.note(func(s *Status) { s.Trouble = err })
		return err
	})
	return final
}

// session is one connection's life: stand by for the lock, then write until
// something fails. It never returns nil.
func (r *Runner) session(ctx context.Context, well func()) error {
	pooled, err := r.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	conn := pooled.Hijack()
	defer func() {
		// Ending the session frees the lock.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
		defer cancel()
		_ = conn.Close(closing)
		r.note(func(s *Status) { s.Writer, s.CaughtUp, s.waiting = false, false, time.Time{} })
	}()
	if err := Install(ctx, conn); err != nil {
		return err
	}
	w, err := r.acquire(ctx, conn)
	if err != nil {
		return err
	}
	if w.skips, err = loadSkips(ctx, r.log); err != nil {
		return err
	}
	r.o.Logger.Info("writing the read model", "name", r.o.Model.Schema(), "position", uint64(w.position))
	r.note(func(s *Status) { s.Writer, s.Halted, s.Trouble = true, nil, nil })
	for {
		err = r.follow(ctx, w, well)
		var refused *refusedError
		if !errors.As(err, &refused) {
			break
		}
		w.careful = refused.upTo
		w.known.forget() // it may hold what the database does not
	}
	var stop *HaltedError
	if errors.As(err, &stop) {
		if err := w.halt(ctx, stop); err != nil {
			return err
		}
	}
	return err
}

// sessionSettings are made in a writer's session.
var sessionSettings = []string{
	// Losing the newest commits in a crash of Postgres costs nothing: rows and
	// checkpoint go back together and the log is still there.
	`set synchronous_commit = off`,
	// Verdicts compress several times faster with lz4 than with what is the default.
	`select set_config(name, 'lz4', false) from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)`,
	// Each statement is planned once: it takes as long as to write a fact. Its plan has to
	// be the one for large tables, also when it is made while they are empty; what that
	// seems to cost then must not have it compiled.
	`set plan_cache_mode = force_generic_plan`, `set enable_seqscan = off`, `set jit = off`,
}

// acquire waits until this session is the writer. It asks again and again
// instead of waiting inside Postgres, where a statement that waits for days
// would keep the vacuum from its work.
func (r *Runner) acquire(ctx context.Context, conn *pgx.Conn) (*writer, error) {
	for _, set := range sessionSettings {
		if _, err := conn.Exec(ctx, set); err != nil {
			return nil, fmt.Errorf("prepare the writer's session: %w", err)
		}
	}
	if _, err := conn.Exec(ctx, `set search_path to `+r.o.Model.Schema()); err != nil {
		return nil, fmt.Errorf("prepare the writer's session: %w", err)
	}
	for {
		var locked bool
		if err := conn.QueryRow(ctx, `select pg_try_advisory_lock(hashtextextended('factgate/projections/' || $1, 0))`, r.o.Model.Schema()).Scan(&locked); err != nil {
			return nil, fmt.Errorf("try for the writer's lock: %w", err)
		}
		w := &writer{conn: conn, model: r.o.Model, blobs: r.blobs, log: r.log, trials: trials{r.log, r.o.RuleSets}, written: time.Now()}
		var position int64
		if err := conn.QueryRow(ctx, `select position, edition from checkpoint where layout = $1`, Layout).Scan(&position, &w.edition); err != nil {
			return nil, fmt.Errorf("read the checkpoint: %w", err)
		}
		w.position = eventstore.Position(position)
		r.note(func(s *Status) { s.Position = w.position })
		if locked {
			return w, nil
		}
		r.note(func(s *Status) { s.Trouble = nil })
		if !sleep(ctx, standbyPause/2+rand.N(standbyPause)) {
			return nil, ctx.Err()
		}
	}
}

// ours reports whether the read model is folded from this event.
func ours(r eventstore.Recorded) bool {
	switch r.Stream.Category {
	case task.Category, scanner.Category, scanner.HeartbeatCategory, scanner.RosterCategory:
		return true
	}
	return false
}

// sleep reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
