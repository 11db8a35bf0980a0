package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Options of a coordinator.
type Options struct {
	// Window and Quiet replace what the project and its rule set say, for tasks
	// opened from now on; 0 replaces nothing. A negative Quiet means none at all.
	Window time.Duration
	Quiet  time.Duration
	Logger *slog.Logger

	Listener Listener
}

// Coordinator opens and closes windows.
type Coordinator struct {
	log      eventstore.Log
	db       *pgxpool.Pool
	commands *commands.Commands
	book     *commands.RuleBook
	roster   *commands.Roster
	window   time.Duration
	quiet    time.Duration
	logger   *slog.Logger
	listener Listener
	wake     chan struct{} // a due time may have moved forward
}

// New returns a coordinator; Run starts it. The pool stays the caller's.
func New(log eventstore.Log, db *pgxpool.Pool, o Options) *Coordinator {
	return &Coordinator{
		log: log, db: db, commands: commands.New(log), book: commands.NewRuleBook(log), roster: commands.NewRoster(log),
		window: o.Window, quiet: o.Quiet, logger: o.Logger, listener: o.Listener, wake: make(chan struct{}, 1),
	}
}

// Run works until ctx ends. Whatever is away is retried with backoff, each loop
// on its own.
func (c *Coordinator) Run(ctx context.Context) {
	var loops sync.WaitGroup
	for name, loop := range map[string]func(context.Context, func()) error{
		"coordinator: intake": c.intake, "coordinator: windows": c.follow, "coordinator: closing": c.close,
	} {
		loops.Go(func() { eventstore.Resume(ctx, c.logger, name, loop) })
	}
	loops.Wait()
}

const (
	intakeGroup   = "coordinator-intake"
	intakeBuffer  = 32
	intakeTimeout = time.Minute
	// intakeRetries is how often an upload is tried for which the store gives an
	// answer that nobody expects (no right to write, say): some minutes long.
	intakeRetries = 20
)

// intake opens a window for each upload.
func (c *Coordinator) intake(ctx context.Context, well func()) error {
	err := c.log.EnsureGroup(ctx, eventstore.Group{
		Name: intakeGroup, Filter: eventstore.Filter{Types: []string{"ZipUploaded"}}, Timeout: intakeTimeout, MaxRetries: 1_000_000,
	})
	if err != nil {
		return err
	}
	consumer, err := c.log.Consume(ctx, intakeGroup, intakeBuffer)
	if err != nil {
		return err
	}
	defer consumer.Close()
	well()
	g, work := errgroup.WithContext(ctx)
	g.SetLimit(intakeBuffer)
	for {
		d, err := consumer.Next(work)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		g.Go(func() error { return c.open(work, consumer, d) })
	}
}

func (c *Coordinator) open(ctx context.Context, consumer eventstore.Consumer, d eventstore.Delivery) error {
	if d.Event.Stream.Category != task.Category {
		return consumer.Park(d, "a ZipUploaded outside of a task's stream")
	}
	err := c.openWindow(ctx, d.Event)
	switch domain.KindOf(err) {
	case domain.Unavailable, domain.Conflict:
		return err // the consumer is left and joined again: nothing was acknowledged
	}
	if err != nil && ctx.Err() == nil {
		if domain.KindOf(err) == domain.Internal && d.Retries < intakeRetries {
			c.logger.Error("a window could not be opened; it will be tried again", "task", d.Event.Stream.Key, "error", err)
			if err := wait(ctx, 50*time.Millisecond<<min(d.Retries, 9)); err != nil {
				return err
			}
			return consumer.Retry(d, err.Error())
		}
		c.logger.Error("a window could not be opened; the upload is parked", "task", d.Event.Stream.Key, "error", err)
		return consumer.Park(d, err.Error())
	}
	if err != nil {
		return err
	}
	return consumer.Ack(d)
}

// openWindow opens the window of an uploaded task under the terms of its project.
func (c *Coordinator) openWindow(ctx context.Context, upload eventstore.Recorded) error {
	zip, _ := task.Read(upload.Type, upload.Data).(task.ZipUploaded) // one that nobody can read is of no project
	terms, err := c.book.Active(ctx, zip.Project)
	if err != nil {
		return err
	}
	if terms.Problem != nil {
		c.logger.Error("the rule set in service cannot be used; the task will end FAILED",
			"task", upload.Stream.Key, "project", zip.Project, "ruleSet", terms.RuleSet.Name, "version", terms.RuleSet.Version, "error", terms.Problem)
	}
	if terms.ShadowProblem != nil {
		c.logger.Warn("the shadow rule set cannot be used; the task goes without one",
			"task", upload.Stream.Key, "project", zip.Project, "error", terms.ShadowProblem)
	}
	known, err := c.roster.Known(ctx)
	switch {
	case err == nil:
	case domain.RuleOf(err) == "roster.unreadable":
		c.logger.Error("the roster of scanners cannot be understood; the task does not know whose silence counts", "task", upload.Stream.Key, "error", err)
	default:
		return err
	}
	if c.window > 0 {
		terms.Window = c.window
	}
	if c.quiet != 0 {
		terms.Quiet = max(0, c.quiet)
	}
	_, err = c.commands.OpenWindow(ctx, upload.Stream.Key,
		commands.Origin{Actor: "coordinator", Causation: upload.ID.String()},
		task.Open{Now: time.Now().UTC(), Window: terms.Window, Quiet: terms.Quiet, Minimum: terms.Minimum, RuleSet: terms.RuleSet, Shadow: terms.Shadow, Known: known})
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", ctx.Err())
	}
}
