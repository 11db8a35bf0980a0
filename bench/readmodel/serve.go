package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/projections"
)

// serve is this program as a projector that writes a profile of its whole life.
func serve(args []string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if len(args) == 0 || args[0] != "projector" {
		return errors.New("serve what? there is projector")
	}
	f := flag.NewFlagSet("serve projector", flag.ContinueOnError)
	connection := f.String("eventstore", "", "esdb:// connection string")
	database := f.String("database", "", "postgres:// URL")
	profile := f.String("profile", "", "file of the processor profile")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	file, err := os.Create(*profile)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer func() {
		pprof.StopCPUProfile()
		err = errors.Join(err, file.Close())
	}()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	log, err := esdb.Open(ctx, *connection, esdb.Options{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	pool, err := pgxpool.New(ctx, *database)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := log.Ping(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	return projections.NewRunner(log, pool, noBlobs{}, projections.Options{Logger: logger}).Run(ctx)
}

// noBlobs holds no report; the facts of the benchmark name none.
type noBlobs struct{}

// Open implements [projections.Blobs].
func (noBlobs) Open(context.Context, string) (io.ReadCloser, error) {
	return nil, projections.ErrBlobGone
}
