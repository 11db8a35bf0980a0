package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/scanners"
)

// role is what a process of a deployment does; `factgate run` is all of them.
type role string

const (
	apiRole         role = "api"
	coordinatorRole role = "coordinator"
	projectorRole   role = "projector"
	scannerRole     role = "scanner"
)

func (c config) runs(r role) bool { return c.only == "" || c.only == r }

// openBlobs opens the bucket or the folder that all roles share. A folder that was
// named is not made: an empty one in the place of one that is not mounted would take
// uploads that nobody else sees.
func (c config) openBlobs(ctx context.Context) (blob.Store, error) {
	switch {
	case c.blobs == "" && c.only == "":
		return blob.OpenDir(filepath.Join(c.data, "blobs"))
	case c.blobs == "":
		return nil, nil // the role reads none
	case inS3(c.blobs):
		return openBucket(ctx, c.blobs, cmp.Or(c.logger, slog.Default()))
	}
	if info, err := os.Stat(c.blobs); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no folder %s; mount or make the folder that all roles share, and name it with --blobs", c.blobs)
	} else if err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", c.blobs)
	}
	return blob.OpenDir(c.blobs)
}

func roleCommands() []*cobra.Command {
	const several = `

Run as many as you like; any of them may be killed at any moment. It reads and writes
%s. A store that is away when it starts is
waited for. When it is ready it prints one line on standard output:

  ready%s`
	var api, coordinator, projector, scanner config
	roles := []*cobra.Command{
		api.roleCommand(apiRole, &cobra.Command{
			Use: "api", Short: "Run the HTTP server alone: uploads, GraphQL, console", Args: cobra.NoArgs,
			Long: `Api serves uploads, GraphQL and the console in a process of its own. Uploads need the
event store and the blobs; while PostgreSQL is away they are taken, and reads are not.` +
				fmt.Sprintf(several, "the event store and the blobs, and reads PostgreSQL", " http://127.0.0.1:8080") + s3Help,
		}),
		coordinator.roleCommand(coordinatorRole, &cobra.Command{
			Use: "coordinator", Short: "Run the main-task service alone: it opens and closes windows", Args: cobra.NoArgs,
			Long: `Coordinator opens a window for each upload and closes it with a verdict, in a process
of its own. Several share the work; what one leaves undone another does, and a
deadline that was missed counts as of its time.` +
				fmt.Sprintf(several, "the event store and PostgreSQL", ""),
		}),
		projector.roleCommand(projectorRole, &cobra.Command{
			Use: "projector", Short: "Run the projector alone: it folds the log into the read model", Args: cobra.NoArgs,
			Long: `Projector folds the log into PostgreSQL's tables, in a process of its own. Each read
model has one writer; the others stand by and take over when it ends.` +
				fmt.Sprintf(several, "the event store and PostgreSQL, and reads the blobs", "") + s3Help,
		}),
		scanner.roleCommand(scannerRole, &cobra.Command{
			Use: "scanner TYPE…", Short: "Run scanners alone", Args: cobra.MinimumNArgs(1),
			Long: `Scanner runs one or more scanners in a process of its own. Those of one type share its
work; what one leaves unfinished another does. It needs no database.

Types: ` + strings.Join(scannerTypes(), ", ") + `, and those of --external.` +
				fmt.Sprintf(several, "the event store and the blobs", "") + s3Help,
		}),
	}
	roles[len(roles)-1].AddCommand(conformCommand())
	return roles
}

// roleCommand completes cmd with the flags that the role needs.
func (c *config) roleCommand(r role, cmd *cobra.Command) *cobra.Command {
	c.only = r
	var verbose bool
	flags := cmd.Flags()
	flags.StringVar(&c.eventstore, "eventstore", os.Getenv("FACTGATE_EVENTSTORE"), "esdb:// connection string; required (default: FACTGATE_EVENTSTORE)")
	if r != scannerRole {
		flags.StringVar(&c.database, "database", os.Getenv("FACTGATE_DATABASE"), "postgres:// URL; required (default: FACTGATE_DATABASE)")
	}
	if r != coordinatorRole {
		flags.StringVar(&c.blobs, "blobs", os.Getenv("FACTGATE_BLOBS"), blobsHelp+"; required (default: FACTGATE_BLOBS)")
	}
	switch r {
	case apiRole:
		flags.StringVar(&c.listen, "listen", "127.0.0.1:8080", "address of the HTTP server; port 0 takes a free one")
		c.allRetentionFlags(cmd)
	case projectorRole:
		c.rebuildFlag(cmd)
	case coordinatorRole:
		c.timeFlags(cmd, 0, "the rule set's, 10s")
	case scannerRole:
		c.memoryFlag(cmd)
		c.external.flag(cmd)
	}
	if r != apiRole {
		flags.StringVar(&c.scrape, "metrics-listen", "", "address that serves /metrics, such as 127.0.0.1:9100; port 0 takes a free one (default: none)")
	}
	flags.BoolVar(&verbose, "verbose", false, "log details")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		for _, name := range []string{"eventstore", "database", "blobs"} {
			if f := flags.Lookup(name); f != nil && f.Value.String() == "" {
				return fmt.Errorf("factgate %s needs --%s, or FACTGATE_%s", r, name, strings.ToUpper(name))
			}
		}
		if err := c.checkRetention(); err != nil {
			return err
		}
		level := slog.LevelInfo
		if verbose {
			level = slog.LevelDebug
		}
		c.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
		if r == projectorRole && os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
			// A rebuild holds less than 100 MB and forgets 6 kB with each fact. With all of
			// its 300 MB to forget in, it takes a twelfth less time (make bench-readmodel).
			debug.SetGCPercent(400)
			debug.SetMemoryLimit(240 << 20)
		}
		if r == scannerRole {
			list, err := c.external.scanners(cmd.Context(), c.unconfined, c.private()...)
			if err != nil {
				return err
			}
			if c.scanners, err = choose(list, args); err != nil {
				return err
			}
		}
		return serveUntilStopped(cmd, *c)
	}
	return cmd
}

func scannerTypes() []string { return typesOf(scannerList()) }

func typesOf(list []scanners.Scanner) (types []string) {
	for _, s := range list {
		types = append(types, s.Describe().Type)
	}
	return types
}
