package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/retention"
	"github.com/factgate/factgate/projections"
)

const (
	sweepEvery = 6 * time.Hour
	// sweepPause leaves the disk to others: at most 100 blobs a second go.
	sweepPause = 10 * time.Millisecond
)

// retentionFlags adds the policy; without any of them everything is kept.
func retentionFlags(cmd *cobra.Command, p *retention.Policy) {
	cmd.Flags().Var((*age)(&p.Packages), "retention-packages", "remove packages whose last task heard nothing for this long, such as 90d (default: kept for ever)")
	cmd.Flags().Var((*age)(&p.Reports), "retention-reports", "the same for scan reports (default: kept for ever)")
}

// allRetentionFlags adds what a server does besides.
func (c *config) allRetentionFlags(cmd *cobra.Command) {
	retentionFlags(cmd, &c.retention)
	cmd.Flags().Var((*age)(&c.details), "retention-details", "take the findings of such tasks out of the read model (default: kept for ever)")
}

func (c *config) checkRetention() error {
	return errors.Join(c.retention.Check(), retention.Policy{Reports: c.details}.Check())
}

// pruneDetails takes old findings out of the read model, now and every few hours.
func pruneDetails(ctx context.Context, db *pgxpool.Pool, older time.Duration, logger *slog.Logger) {
	regularly(ctx, logger, "the retention of details", func(ctx context.Context) error {
		done, err := projections.Prune(ctx, db, time.Now().Add(-older), sweepPause)
		if done.Tasks > 0 {
			logger.Info("details were pruned", "tasks", done.Tasks, "findings", done.Findings)
		}
		return err
	})
}

// regularly works at once and then every few hours, and soon again after an error.
func regularly(ctx context.Context, logger *slog.Logger, what string, work func(context.Context) error) {
	eventstore.Resume(ctx, logger, what, func(ctx context.Context, well func()) error {
		for {
			if err := work(ctx); err != nil {
				return err
			}
			well()
			timer := time.NewTimer(sweepEvery)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
		}
	})
}

// sweepBlobs removes what the policy says, now and every few hours.
func sweepBlobs(ctx context.Context, log eventstore.Log, blobs blob.Store, p retention.Policy, logger *slog.Logger) {
	regularly(ctx, logger, "the retention of blobs", func(ctx context.Context) error {
		report, err := retention.Sweep(ctx, log, blobs, p, retention.Options{Now: time.Now(), Pause: sweepPause})
		if removed := report.Removed(); removed.Blobs > 0 {
			logger.Info("blobs have expired", "packages", report.Packages.Blobs, "reports", report.Reports.Blobs, "orphans", report.Orphans.Blobs, "bytes", removed.Bytes)
		}
		return err
	})
}

func blobsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "blobs",
		Short: "Look after the stored packages and reports",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(blobsExpire())
	return cmd
}

func blobsExpire() *cobra.Command {
	var p retention.Policy
	var target nodeTarget
	var data, folder string
	var dry bool
	cmd := &cobra.Command{
		Use:   "expire",
		Short: "Remove packages and reports that are older than a policy says",
		Long: `Expire reads from the event store which packages and reports tasks refer to, and
removes those whose youngest task has heard nothing for longer than the policy says,
and what refused uploads left behind. Nothing goes that a task still needs. Facts and
verdicts stay. It works while Factgate runs, and may be broken off and repeated.

It works on the data folder of factgate run, or on --eventstore and --blobs.` + s3Help + `
Only from a bucket that keeps versions anything is removed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			zh, err := chinese(cmd)
			if err != nil {
				return err
			}
			if err := p.Check(); err != nil {
				return err
			}
			if target.connection == "" {
				target.data = filepath.Join(data, "events")
			} else if folder == "" {
				return errors.New("--eventstore goes with --blobs, the folder or the s3:// address that all roles share")
			}
			if folder == "" {
				folder = filepath.Join(data, "blobs")
			}
			blobs, err := config{only: apiRole, blobs: folder}.openBlobs(cmd.Context())
			if err != nil {
				return fmt.Errorf("blob store: %w", err)
			}
			return target.log(cmd.Context(), func(ctx context.Context, log eventstore.Log) error {
				report, err := retention.Sweep(ctx, log, blobs, p, retention.Options{Now: time.Now(), DryRun: dry, Pause: sweepPause})
				if zh {
					err = inWords(err, zh)
				}
				if err != nil {
					return err
				}
				if target.json {
					return json.NewEncoder(os.Stdout).Encode(struct {
						DryRun bool `json:"dryRun"`
						retention.Report
					}{dry, report})
				}
				show := printer{w: os.Stdout, zh: zh}
				if dry {
					show.say("would remove:", "将删除：")
				} else {
					show.say("removed:", "已删除：")
				}
				for _, line := range []struct {
					en, zh string
					retention.Count
				}{{"packages", "包", report.Packages}, {"reports", "报告", report.Reports}, {"of refused uploads", "被拒绝上传的残留", report.Orphans}, {"kept", "保留", report.Kept}} {
					show.say("  %-20s %d, %s", "  %s：%d 个，%s", map[bool]string{false: line.en, true: line.zh}[zh], line.Blobs, bytesText(uint64(line.Bytes)))
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", "factgate-data", "data folder of factgate run, running or not")
	cmd.Flags().StringVar(&target.connection, "eventstore", os.Getenv("FACTGATE_EVENTSTORE"), "connection string, esdb://…, instead of --data (default: FACTGATE_EVENTSTORE)")
	cmd.Flags().StringVar(&folder, "blobs", os.Getenv("FACTGATE_BLOBS"), "folder or s3:// address of the blobs, instead of the folder in --data (default: FACTGATE_BLOBS)")
	retentionFlags(cmd, &p)
	cmd.Flags().Var((*age)(&p.Grace), "grace", "keep what was stored or asked for less than this long ago, whoever refers to it (default: 24h)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "remove nothing; say what would be")
	cmd.Flags().BoolVar(&target.json, "json", false, "the result as JSON on standard output")
	cmd.Flags().SortFlags = false
	return cmd
}

// age is a flag of days, or of a time as Go writes it.
type age time.Duration

func (a *age) Set(s string) error {
	if days, found := strings.CutSuffix(s, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n == 0 {
			return errors.New("give days such as 90d, or a time such as 36h")
		}
		*a = age(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New("give days such as 90d, or a time such as 36h")
	}
	*a = age(d)
	return nil
}

func (a *age) String() string { return "" }
func (a *age) Type() string   { return "age" }
