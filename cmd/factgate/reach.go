package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	reachFirstPause   = 100 * time.Millisecond
	reachLongestPause = 5 * time.Second
	reachFirstWord    = time.Second // a start side by side is not worth a word
	reachNextWord     = time.Minute
	reachPatience     = 10 * time.Second // with one question
)

// reach asks a store until it answers, with pauses that double from 100 ms to 5 s,
// so that roles and stores may be started in any order. It says that it waits after
// a second and then once a minute. It gives up when ctx ends, and at once when
// refused says that the store is there and will not have us.
func reach(ctx context.Context, logger *slog.Logger, what string, ask func(context.Context) error, refused func(error) bool) error {
	began, nextWord := time.Now(), reachFirstWord
	patience := reachFirstWord
	for pause := reachFirstPause; ; pause = min(2*pause, reachLongestPause) {
		err := within(ctx, patience, ask)
		waited := time.Since(began)
		switch {
		case err == nil:
			if nextWord > reachFirstWord {
				logger.Info("the "+what+" answers", "after", waited.Round(time.Millisecond))
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case refused(err):
			return fmt.Errorf("%s: %w", what, err)
		case waited >= nextWord:
			logger.Warn("waiting for the "+what, "error", err)
			nextWord = waited + reachNextWord
		}
		patience = min(2*patience, reachPatience)
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func within(ctx context.Context, patience time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return ask(ctx)
}

// refusedByStore: the event store knows the credentials and says no.
func refusedByStore(err error) bool {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return true
	}
	return false
}

// refusedByPostgres: no such user, a wrong password, no such database, or no right
// to enter it.
func refusedByPostgres(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (strings.HasPrefix(e.Code, "28") || e.Code == "3D000" || e.Code == "42501")
}

// openDatabase makes a pool, which connects when it is used.
func openDatabase(ctx context.Context, address string) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("database: %w; a right address looks like postgres://user:password@db.example:5432/factgate", err)
	}
	return pool, nil
}

// reachDatabase waits for PostgreSQL where the role is nothing without it. Uploads
// do without it: there it is asked once, so that an address which is wrong is seen.
func (c config) reachDatabase(ctx context.Context, db *pgxpool.Pool) error {
	if c.only == coordinatorRole || c.only == projectorRole {
		return reach(ctx, c.logger, "database", db.Ping, refusedByPostgres)
	}
	err := within(ctx, reachFirstWord, db.Ping)
	switch {
	case err == nil:
	case refusedByPostgres(err):
		return fmt.Errorf("database: %w", err)
	default:
		c.logger.Warn("the database is away: uploads are taken, verdicts and reads wait", "error", err)
	}
	return nil
}
