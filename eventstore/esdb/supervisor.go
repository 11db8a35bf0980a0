package esdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cenkalti/backoff/v5"
)

// maxAbandoned bounds how many calls may be left behind in a session's client
// because their context ended first. They end soon after, or the client is broken.
const maxAbandoned = 1024

// errTooManyAbandoned is what calls get while maxAbandoned calls hang.
var errTooManyAbandoned = errors.New("too many calls hang in the event store client")

// supervisor keeps one session alive and makes the next one when it is lost.
// One goroutine connects at a time, whoever asks.
type supervisor struct {
	config esdb.Configuration
	logger *slog.Logger

	mu        sync.Mutex
	current   *session      // nil: there is no connection
	changed   chan struct{} // closed, and replaced, with every change of current, and by close
	lastErr   error         // why there is no connection
	connected time.Time     // when current was made
	backoff   *backoff.ExponentialBackOff
	closed    bool

	stop       chan struct{}  // closed by close
	background sync.WaitGroup // connecting, and closing retired sessions
}

func supervise(config esdb.Configuration, logger *slog.Logger) *supervisor {
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = 50 * time.Millisecond
	policy.MaxInterval = time.Second
	policy.Multiplier = 1.5
	policy.RandomizationFactor = 0.5
	s := &supervisor{
		config:  config,
		logger:  logger,
		changed: make(chan struct{}),
		stop:    make(chan struct{}),
		lastErr: errors.New("not connected yet"),
		backoff: policy,
	}
	s.background.Go(func() { s.connect(0) })
	return s
}

// connect tries until there is a session or the supervisor is closed.
func (s *supervisor) connect(wait time.Duration) {
	for attempt := 1; ; attempt++ {
		timer := time.NewTimer(wait)
		select {
		case <-s.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		next, err := dial(s.config, s.logger, s.lose)
		s.mu.Lock()
		if err == nil {
			s.current, s.lastErr, s.connected = next, nil, time.Now()
			closed := s.closed
			s.announce()
			s.mu.Unlock()
			if closed {
				next.retire(ErrClosed)
				return
			}
			s.logger.Info("event store connected", "attempts", attempt)
			return
		}
		s.lastErr = err
		wait = s.backoff.NextBackOff()
		s.mu.Unlock()
		if attempt == 1 {
			s.logger.Warn("event store cannot be reached, trying on", "error", err)
		}
	}
}

// lose takes a retired session out of use and starts to connect anew. A session
// that was lost soon after it was made is followed only after a pause.
func (s *supervisor) lose(lost *session, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.background.Go(lost.close)
	if s.current != lost {
		return
	}
	s.current, s.lastErr = nil, cause
	s.announce()
	if s.closed {
		return
	}
	s.logger.Warn("event store connection lost", "error", cause)
	wait := time.Duration(0)
	if time.Since(s.connected) > 2*s.backoff.MaxInterval {
		s.backoff.Reset()
	} else {
		wait = s.backoff.NextBackOff()
	}
	s.background.Go(func() { s.connect(wait) })
}

// announce wakes those who wait for a session. Called with mu held.
func (s *supervisor) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// enter waits for a session that may be used. The caller runs it.
func (s *supervisor) enter(ctx context.Context) (*session, error) {
	for {
		s.mu.Lock()
		current, changed, closed := s.current, s.changed, s.closed
		s.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		if current != nil && current.enter() {
			return current, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.mu.Lock()
			lastErr := s.lastErr
			s.mu.Unlock()
			if lastErr == nil {
				return nil, context.Cause(ctx)
			}
			return nil, fmt.Errorf("%w while there was no connection: %w", context.Cause(ctx), lastErr)
		}
	}
}

// call runs fn with the client of the current session. It returns no later than
// ctx ends, also where the client blocks without looking at its context; fn is
// then left behind, its results are not to be looked at, and should it succeed
// after all, undo (if not nil) gives back what it got.
func (s *supervisor) call(ctx context.Context, fn func(context.Context, *session) error, undo func()) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	current, err := s.enter(ctx)
	if err != nil {
		return err
	}
	if current.abandoned.Load() >= maxAbandoned {
		current.turnBack()
		return errTooManyAbandoned
	}
	result := make(chan error, 1)
	go func() {
		result <- current.run(ctx, func(ctx context.Context, _ *esdb.Client) error { return fn(ctx, current) })
	}()
	select {
	case err = <-result:
	case <-ctx.Done():
		current.abandoned.Add(1)
		go func() {
			defer current.abandoned.Add(-1)
			if err := <-result; err == nil && undo != nil {
				undo()
			}
		}()
		return context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	if code, ok := clientCode(err); ok && code == esdb.ErrorCodeConnectionClosed {
		current.retire(err)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// close lets nobody in any more and waits for those inside and for everything in
// the background, until ctx ends.
func (s *supervisor) close(ctx context.Context) error {
	s.mu.Lock()
	current := s.current
	if !s.closed {
		s.closed = true
		close(s.stop)
		s.announce()
	}
	s.mu.Unlock()
	if current != nil {
		current.retire(ErrClosed)
	}
	done := make(chan struct{})
	go func() {
		s.background.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("calls to the event store did not end in time")
	}
}
