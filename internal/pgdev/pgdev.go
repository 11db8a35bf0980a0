package pgdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Options says where the cluster lives.
type Options struct {
	// Dir is factgate's data folder, made if need be; the cluster lies in
	// Dir/postgres, which may be a link to another disk.
	Dir string
	// Logger hears of what takes time and of what went wrong; nil is silence.
	// What the server itself says is in Dir/postgres/postgres.log.
	Logger *slog.Logger

	finder   finder        // tests: where to look for binaries
	patience time.Duration // tests: how long an ending process is waited for
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.finder.patterns == nil && o.finder.path == "" {
		o.finder = systemFinder()
	}
	if o.patience == 0 {
		o.patience = 10 * time.Second
	}
	return o
}

// Server is a running private PostgreSQL. If its process dies it is started
// again, on the same URL, until Stop; meanwhile connections fail.
type Server struct {
	cluster *cluster
	cancel  context.CancelFunc // of watch
	watched chan struct{}      // closed when watch has ended
	last    *process           // the process when watch ended; nil if there is none

	stopping atomic.Bool   // whoever sets it stops the server
	done     chan struct{} // closed when stopped
	err      error         // of the stop; read it after done
}

// Start makes the cluster in o.Dir if there is none, starts the server, and
// returns when the server takes connections and the database factgate exists.
// After a crash that includes the recovery, whose progress is logged; there is no
// time-out but ctx's. ctx covers the start only, not the life of the server.
//
// On any error, and when ctx ends half way, no process is left behind and the
// folder is free again. Errors to tell apart: [*InUseError], [*NotFoundError],
// [*ServerError].
func Start(ctx context.Context, o Options) (*Server, error) {
	c, err := openCluster(ctx, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	p, err := c.launch(ctx)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{cluster: c, cancel: cancel, watched: make(chan struct{}), done: make(chan struct{})}
	go s.watch(watching, p)
	return s, nil
}

// URL is the DSN of the database factgate, for pgx, libpq and psql, run by the
// user who runs us. It stays the same for as long as Dir does.
func (s *Server) URL() string { return dsn(s.cluster.socketDir, role) }

// Stop shuts the server down fast: sessions are broken off, transactions in
// progress are rolled back, a checkpoint is written. It returns when every
// process has ended and the folder is free. If ctx ends first the server is
// ended without a checkpoint, which costs the next Start a recovery and nothing
// else, and Stop returns ctx's error. Stopping again waits and gives the same
// answer.
func (s *Server) Stop(ctx context.Context) error {
	if !s.stopping.CompareAndSwap(false, true) {
		select {
		case <-s.done:
			return s.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.cancel()
	<-s.watched
	if p := s.last; p != nil {
		if err := p.fast(ctx, s.cluster.patience); ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			s.err = fmt.Errorf("private PostgreSQL: stopped without a checkpoint: %w", err)
		} else if err != nil {
			s.err = fmt.Errorf("private PostgreSQL: %w", s.cluster.serverError("stop PostgreSQL", p))
		}
	}
	s.cluster.close()
	close(s.done)
	return s.err
}

// watch starts the server again whenever it ends without having been asked to.
// It never gives up: whatever is in the way (a full disk, say) may be mended
// while we wait, and the rest of factgate works on. The first attempt is made at
// once; the next ones wait longer and longer until a server has lived a while.
func (s *Server) watch(ctx context.Context, p *process) {
	defer close(s.watched)
	const step, longest, stable = 250 * time.Millisecond, 30 * time.Second, time.Minute
	log := s.cluster.log
	var wait time.Duration
	for {
		began := time.Now()
		select {
		case <-ctx.Done():
			s.last = p
			return
		case <-p.exited:
		}
		log.Error("PostgreSQL ended unexpectedly; starting it again", "err", s.cluster.serverError("run PostgreSQL", p))
		if time.Since(began) > stable {
			wait = 0
		}
		for p = nil; p == nil; {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return
			}
			wait = min(2*wait+step, longest)
			var err error
			if p, err = s.cluster.launch(ctx); err != nil && ctx.Err() == nil {
				log.Error("PostgreSQL does not start; trying again", "in", wait.String(), "err", err)
			}
		}
		log.Info("PostgreSQL is back")
	}
}
