package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func runCommand() *cobra.Command {
	c := config{}
	var verbose bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a whole Factgate in one process",
		Long: `Run starts everything: the embedded event store, a private PostgreSQL, the
coordinator, the projector, all scanners and the HTTP server. Everything it keeps
lies in the data folder; kill it at any moment and start it again.

When it takes uploads it prints one line on standard output:

  ready http://127.0.0.1:8080

With --eventstore, --database and --blobs it uses servers of yours instead.` + s3Help,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			c.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
			if err := c.checkRetention(); err != nil {
				return err
			}
			if c.scanners, err = c.external.scanners(cmd.Context(), c.unconfined, c.private()...); err != nil {
				return err
			}
			return serveUntilStopped(cmd, c)
		},
	}
	cmd.Flags().StringVar(&c.data, "data", "factgate-data", "data folder")
	cmd.Flags().StringVar(&c.listen, "listen", "127.0.0.1:8080", "address of the HTTP server; port 0 takes a free one")
	cmd.Flags().StringVar(&c.eventstore, "eventstore", os.Getenv("FACTGATE_EVENTSTORE"), "esdb:// connection string (default: FACTGATE_EVENTSTORE, else the embedded node)")
	cmd.Flags().StringVar(&c.database, "database", "", "postgres:// URL (default: a private PostgreSQL in the data folder)")
	cmd.Flags().StringVar(&c.blobs, "blobs", "", "s3://BUCKET/PREFIX, or a folder that exists (default: in the data folder)")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "log details")
	c.timeFlags(cmd, 0, "the rule set's, 10s")
	c.rebuildFlag(cmd)
	c.memoryFlag(cmd)
	c.external.flag(cmd)
	c.allRetentionFlags(cmd)
	return cmd
}

// serveUntilStopped says when all is ready, and returns when the process was told
// to end or cannot go on.
func serveUntilStopped(cmd *cobra.Command, c config) error {
	a, err := start(cmd.Context(), c)
	if ended := cmd.Context().Err(); ended != nil && errors.Is(err, ended) {
		c.logger.Info("stopped before it was ready")
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimSpace("ready " + a.url))
	select {
	case err = <-a.failed:
	case <-cmd.Context().Done():
		c.logger.Info("stopping")
	}
	if stopErr := a.stop(); err == nil {
		err = stopErr
	}
	return err
}

// timeFlags adds --window and --quiet; usual says what holds without the latter.
func (c *config) timeFlags(cmd *cobra.Command, quiet time.Duration, usual string) {
	c.quiet = quiet
	cmd.Flags().Var((*duration)(&c.window), "window", "how long a task waits for its scanners at most (default: the rule set's, 10m)")
	cmd.Flags().Var((*duration)(&c.quiet), "quiet", "a window closes early when nothing is unfinished and no fact came for this long (default: "+usual+")")
}

// rebuildFlag adds --rebuild.
func (c *config) rebuildFlag(cmd *cobra.Command) {
	cmd.Flags().Var((*manually)(&c.manual), "rebuild", "auto: where there is no read model of this version, fold one and put it in service; manual: wait for factgate readmodel rebuild")
}

// manually is a flag that says auto (the default) or manual.
type manually bool

func (m *manually) Set(s string) error {
	if s != "auto" && s != "manual" {
		return errors.New("use auto or manual")
	}
	*m = s == "manual"
	return nil
}

func (m *manually) String() string {
	if *m {
		return "manual"
	}
	return "auto"
}

func (m *manually) Type() string { return "auto|manual" }

// duration is a flag whose default is told in its own words.
type duration time.Duration

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err == nil && v <= 0 {
		err = errors.New("it must be positive, such as 10s")
	}
	*d = duration(v)
	return err
}

func (d *duration) String() string { return "" }
func (d *duration) Type() string   { return "duration" }
