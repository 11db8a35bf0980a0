package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/console"
	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/node"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/internal/httpapi"
	"github.com/factgate/factgate/internal/metrics"
	"github.com/factgate/factgate/internal/pgdev"
	"github.com/factgate/factgate/internal/retention"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/queries"
	"github.com/factgate/factgate/scanners"
)

// config says what an app is made of.
type config struct {
	only       role   // the one role of this process; all of them if empty
	blobs      string // folder or s3:// address of the blobs; in the data folder if empty
	data       string // folder of node, cluster and blobs
	listen     string
	scrape     string // address of /metrics alone; none if empty: the api serves it
	eventstore string // connection string; the embedded node if empty
	database   string // URL; a private cluster if empty
	window     time.Duration
	quiet      time.Duration
	manual     bool // no read model is begun by itself
	scanners   []scanners.Scanner
	external   externals
	scanMemory int64 // MiB; a share of what there is if 0
	retention  retention.Policy
	details    time.Duration           // after which findings are pruned; 0: never
	channel    scanners.ChannelOptions // for scanners over HTTP
	logger     *slog.Logger
}

// unconfined warns of a program that cannot be shut in.
func (c config) unconfined(subTaskType string, exposed report.Text) {
	c.logger.Warn("an external scanner is not shut in", "type", subTaskType, "exposed", exposed.En)
}

// private are the folders that no external scanner is to see.
func (c config) private() (folders []string) {
	for _, folder := range []string{c.data, c.blobs} {
		if folder != "" && !strings.Contains(folder, "://") {
			folders = append(folders, folder)
		}
	}
	return folders
}

// app is a whole Factgate in one process. What it opened, it closes in reverse
// order: first nothing new comes in, then all roles end, then the stores.
type app struct {
	url     string // http://HOST:PORT
	closers []func(context.Context) error
	failed  chan error // why the app cannot go on; at most one is read
	metrics *metrics.Metrics

	roles   context.Context // ends when the roles shall end
	running sync.WaitGroup  // the roles
}

// start opens everything and returns when uploads are taken. It waits for stores that
// are away, see reach, until ctx ends.
func start(ctx context.Context, c config) (_ *app, err error) {
	a := &app{failed: make(chan error, 8), metrics: metrics.New(version())}
	defer func() {
		if err != nil {
			_ = a.stop()
		}
	}()
	var listener net.Listener
	if c.runs(apiRole) {
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", c.listen); err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", c.listen, err)
		}
		a.closing(func(context.Context) error {
			if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	if c.scrape != "" {
		if err := a.serveMetrics(ctx, c); err != nil {
			return nil, err
		}
	}
	if c.only == "" {
		if err := os.MkdirAll(c.data, 0o700); err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
	}
	blobs, err := c.openBlobs(ctx)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}

	// The private cluster takes longest; the node starts meanwhile.
	database := make(chan error, 1)
	go func() {
		if c.database != "" || c.only != "" {
			database <- nil
			return
		}
		cluster, err := pgdev.Start(ctx, pgdev.Options{Dir: c.data, Logger: c.logger})
		if err == nil {
			c.database = cluster.URL()
			a.closing(cluster.Stop)
		}
		database <- err
	}()
	connection := c.eventstore
	var embedded *node.Node
	if connection == "" {
		if embedded, err = node.Open(ctx, node.Options{Dir: filepath.Join(c.data, "events"), Logger: c.logger}); err == nil {
			connection = embedded.ConnectionString()
		}
	}
	if err := errors.Join(err, <-database); err != nil {
		if embedded != nil {
			_ = embedded.Close()
		}
		return nil, err
	}
	if embedded != nil {
		a.closing(func(context.Context) error { return embedded.Close() })
	}
	log, err := esdb.Open(ctx, connection, esdb.Options{Logger: c.logger})
	if err != nil {
		return nil, fmt.Errorf("event store: %w", err)
	}
	a.closing(func(context.Context) error { return log.Close() })
	var db *pgxpool.Pool
	if c.only != scannerRole {
		if db, err = openDatabase(ctx, c.database); err != nil {
			return nil, err
		}
		a.closing(func(context.Context) error { db.Close(); return nil })
	}

	if c.runs(apiRole) || c.runs(projectorRole) {
		a.metrics.ReadModels(queries.New(db, log))
	}

	var endRoles context.CancelFunc
	a.roles, endRoles = context.WithCancel(eventstore.WhenLost(context.WithoutCancel(ctx), a.metrics.Lost))
	a.closing(func(context.Context) error {
		endRoles()
		a.running.Wait()
		return nil
	})
	if c.runs(apiRole) {
		if err := a.serve(c, listener, log, db, blobs); err != nil {
			return nil, err
		}
	}
	if err := reach(ctx, c.logger, "event store", log.Ping, refusedByStore); err != nil {
		return nil, err
	}
	if c.runs(projectorRole) {
		projector := projections.NewProjector(log, db, blobReader{blobs}, projections.Options{Manual: c.manual, RuleSets: commands.NewRuleBook(log), Folded: a.metrics.Folded, Logger: c.logger})
		// One that halts waits for an operator: reads go stale and say so; uploads,
		// scans and verdicts go on.
		a.role(func(ctx context.Context) error { projector.Run(ctx); return nil })
	}
	if c.runs(coordinatorRole) {
		main := coordinator.New(log, db, coordinator.Options{Window: c.window, Quiet: c.quiet, Logger: c.logger, Listener: a.metrics.Coordinator()})
		a.metrics.Windows(main.Windows)
		a.role(func(ctx context.Context) error { main.Run(ctx); return nil })
	}
	instance := uuid.NewString()
	var room *scanners.Room
	var counting scanners.Listener
	if len(c.scanners) > 0 {
		room = c.room(os.DirFS("/"))
		counting = a.metrics.Scanners(typesOf(c.scanners), room)
	}
	for _, s := range c.scanners {
		a.role(func(ctx context.Context) error {
			return scanners.Run(ctx, s, scanners.Parts{Log: log, Blobs: blobs, Logger: c.logger, Room: room, Listener: counting}, scanners.Options{Instance: instance})
		})
	}
	if db != nil {
		if err := c.reachDatabase(ctx, db); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// serve answers HTTP. /readyz says no until the event store answers.
func (a *app) serve(c config, listener net.Listener, log *esdb.Log, db *pgxpool.Pool, blobs blob.Store) error {
	if c.retention.Packages > 0 || c.retention.Reports > 0 {
		a.role(func(ctx context.Context) error { sweepBlobs(ctx, log, blobs, c.retention, c.logger); return nil })
	}
	if c.details > 0 {
		a.role(func(ctx context.Context) error { pruneDetails(ctx, db, c.details, c.logger); return nil })
	}
	questions, use := queries.New(db, log).WithReports(blobReader{blobs}), commands.New(log)
	a.role(func(ctx context.Context) error { tendPeople(ctx, use, c.logger); return nil })
	graphql, err := graphqlapi.NewHandler(questions, projections.NewWaiter(db), graphqlapi.Options{
		Commands: use, RuleBook: commands.NewRuleBook(log),
		ReadModels: projections.NewRegistry(db, log, blobReader{blobs}).WithRuleSets(commands.NewRuleBook(log)), HasBlob: blobReader{blobs}.has, CheckConfiguration: checkConfiguration, Logger: c.logger, Answered: a.metrics.Answered,
	})
	if err != nil {
		return err
	}
	channel := scanners.NewChannel(scanners.Parts{Log: log, Blobs: blobs, Logger: c.logger}, c.channel)
	a.role(channel.Run)
	server := &http.Server{
		Handler: httpapi.New(httpapi.Parts{
			Commands: use, Blobs: blobs, Queries: questions, Tool: tool(), GraphQL: graphql, Console: console.Handler(),
			Metrics: a.metrics.Handler(c.logger), Uploaded: a.metrics.Uploaded,
			Channel: channel, Keys: commands.NewKeyring(log), Ready: log.Ping, Logger: c.logger,
		}),
		// The handler looks after bodies: an upload that moves on may take long.
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	server.RegisterOnShutdown(channel.EndPolls)
	a.metrics.API()
	a.listen(c, listener, server)
	a.url = "http://" + listener.Addr().String()
	return nil
}

// serveMetrics answers scrapes of a role that serves nothing else.
func (a *app) serveMetrics(ctx context.Context, c config) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.scrape)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another address with --metrics-listen", c.scrape, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.Handler(c.logger))
	a.listen(c, listener, &http.Server{Handler: mux, ReadTimeout: 10 * time.Second})
	c.logger.Info("metrics are served", "url", "http://"+listener.Addr().String()+"/metrics")
	return nil
}

// listen serves until the app stops.
func (a *app) listen(c config, listener net.Listener, server *http.Server) {
	server.ErrorLog = slog.NewLogLogger(c.logger.Handler(), slog.LevelDebug)
	a.closing(server.Shutdown)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("http server: %w", err)
		}
	}()
}

func (a *app) closing(f func(context.Context) error) { a.closers = append(a.closers, f) }

// role runs f until the app stops.
func (a *app) role(f func(context.Context) error) {
	a.running.Go(func() {
		if err := f(a.roles); err != nil && a.roles.Err() == nil {
			a.failed <- err
		}
	})
}

// stop closes everything, in reverse order.
func (a *app) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var failures []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		failures = append(failures, a.closers[i](ctx))
	}
	a.closers = nil
	return errors.Join(failures...)
}
