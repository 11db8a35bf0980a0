// Package retention removes blobs that a policy says are old enough. Facts and
// verdicts are never touched: an expired blob costs details.
//
// What refers to a blob is read from the log itself, from its beginning to its end,
// by each [Sweep]; so it needs no database, may be broken off at any moment, and
// begins again without harm. A blob stays if any of this holds:
//
//   - a task refers to it that is younger than the policy: a task is as old as its
//     newest fact, and of many tasks the youngest counts
//   - a task refers to it that has no verdict and was not cancelled, or of which a
//     sub-task runs or is wanted once more, or of which a fact cannot be read
//   - it was put or claimed less than the grace time ago, whoever refers to it: its
//     fact may be on its way
//
// A blob that no fact refers to (a refused upload) goes after the grace time.
//
// It refuses to remove anything where the log knows none of the blobs: then the two
// are not of one installation.
package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/blob"
)

// Policy says how long blobs are kept. A kind without a time is kept for ever.
type Policy struct {
	Packages time.Duration // after the newest fact of the youngest task that refers to one
	Reports  time.Duration
	// Grace is how long a blob is kept after it was put or claimed, referred to or
	// not; 0 means 24 h. It has to be longer than the slowest upload takes.
	Grace time.Duration
}

// DefaultGrace is what a Policy without one has; MinimumAge bounds the other two.
const (
	DefaultGrace = 24 * time.Hour
	MinimumAge   = time.Hour
)

// Check refuses a policy that would take blobs away from tasks at work.
func (p Policy) Check() error {
	for _, d := range []time.Duration{p.Packages, p.Reports} {
		if d != 0 && d < MinimumAge {
			return &domain.Error{Kind: domain.Invalid, Rule: "retention.too_short",
				Msg:   fmt.Sprintf("a retention of %s is too short; give at least %s, or leave it out to keep everything", d, MinimumAge),
				MsgZH: fmt.Sprintf("保留时间 %s 过短；请至少给出 %s，或不设置以永久保留", d, MinimumAge)}
		}
	}
	return nil
}

// Options of a sweep.
type Options struct {
	Now    time.Time
	DryRun bool
	// Pause is how long to rest after each blob that was removed.
	Pause time.Duration
}

// Report is what a sweep has removed, or with DryRun would have.
type Report struct {
	Packages Count `json:"packages"`
	Reports  Count `json:"reports"`
	Orphans  Count `json:"orphans"` // nothing refers to them
	Kept     Count `json:"kept"`
}

// Count of blobs.
type Count struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

func (c *Count) add(b blob.Stored) { c.Blobs, c.Bytes = c.Blobs+1, c.Bytes+b.Size }

// Removed is the sum of all that went.
func (r Report) Removed() Count {
	return Count{r.Packages.Blobs + r.Reports.Blobs + r.Orphans.Blobs, r.Packages.Bytes + r.Reports.Bytes + r.Orphans.Bytes}
}

// Log is what a sweep reads.
type Log interface{ eventstore.Reader }

// Sweep removes what may go. After an error the report says how far it came.
func Sweep(ctx context.Context, log Log, blobs blob.Store, p Policy, o Options) (Report, error) {
	var report Report
	if err := p.Check(); err != nil {
		return report, err
	}
	if p.Grace == 0 {
		p.Grace = DefaultGrace
	}
	refers, err := references(ctx, log, p, o.Now)
	if err != nil {
		return report, err
	}
	before := o.Now.Add(-p.Grace)
	if err := sameInstallation(ctx, blobs, refers, before); err != nil {
		return report, err
	}
	for b, err := range blobs.List(ctx) {
		if err != nil {
			return report, err
		}
		use, known := refers[b.Key]
		if use.kept || !b.At.Before(before) {
			report.Kept.add(b)
			continue
		}
		if !o.DryRun {
			removed, err := blobs.Remove(ctx, b.Key, before)
			if errors.Is(err, blob.ErrUnversioned) {
				return report, &domain.Error{Kind: domain.Refused, Rule: "retention.unversioned",
					Msg:   "the bucket of the blobs keeps no versions, without which old blobs cannot be removed safely; turn its versioning on, or leave the retention out",
					MsgZH: "存放对象的存储桶未开启版本控制，无法安全删除旧对象；请开启版本控制，或不设置保留策略"}
			}
			if err != nil {
				return report, err
			}
			if !removed { // somebody has just put or claimed it
				report.Kept.add(b)
				continue
			}
			if err := rest(ctx, o.Pause); err != nil {
				report.count(use, known, b)
				return report, err
			}
		}
		report.count(use, known, b)
	}
	return report, nil
}

func (r *Report) count(use usage, known bool, b blob.Stored) {
	switch {
	case !known:
		r.Orphans.add(b)
	case use.isPackage:
		r.Packages.add(b)
	default:
		r.Reports.add(b)
	}
}

func rest(ctx context.Context, pause time.Duration) error {
	if pause <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sameInstallation wants the log to know at least one of the blobs that could go.
func sameInstallation(ctx context.Context, blobs blob.Store, refers map[blob.Key]usage, before time.Time) error {
	strangers := false
	for b, err := range blobs.List(ctx) {
		if err != nil {
			return err
		}
		if _, known := refers[b.Key]; known {
			return nil
		}
		strangers = strangers || b.At.Before(before)
	}
	if !strangers {
		return nil
	}
	return &domain.Error{Kind: domain.Refused, Rule: "retention.strange_blobs",
		Msg:   "the event store knows none of the blobs in this folder, so nothing is removed; look whether the two belong together",
		MsgZH: "事件存储不认识该目录中的任何对象，因此未删除任何内容；请确认两者属于同一部署"}
}

// usage is how facts refer to a blob.
type usage struct {
	isPackage bool
	kept      bool
}

// life is what has to be known of a task: little, as there are many.
type life struct {
	newest   time.Time
	over     bool                // there is a verdict, or it was cancelled
	obscure  bool                // a fact cannot be read
	working  map[string]struct{} // types that run or are wanted; nil if there are none
	packages blob.Key
	reports  []blob.Key
}

// references reads the log. Blobs that are not in its answer are not referred to.
func references(ctx context.Context, log Log, p Policy, now time.Time) (map[blob.Key]usage, error) {
	tasks := map[string]*life{}
	for r, err := range log.ReadAll(ctx, 0, eventstore.Filter{}) {
		if err != nil {
			return nil, fmt.Errorf("read what facts refer to: %w", err)
		}
		if r.Stream.Category != task.Category {
			continue
		}
		t := tasks[r.Stream.Key]
		if t == nil {
			t = &life{}
			tasks[r.Stream.Key] = t
		}
		t.take(r)
	}
	refers := map[blob.Key]usage{}
	for _, t := range tasks {
		busy := !t.over || t.obscure || len(t.working) > 0
		note := func(key blob.Key, isPackage bool, age time.Duration) {
			if key == "" {
				return
			}
			use := refers[key]
			use.isPackage = use.isPackage || isPackage
			use.kept = use.kept || busy || age == 0 || now.Sub(t.newest) < age
			refers[key] = use
		}
		note(t.packages, true, p.Packages)
		for _, key := range t.reports {
			note(key, false, p.Reports)
		}
	}
	return refers, nil
}

func (t *life) take(r eventstore.Recorded) {
	t.newest = r.At
	report := func(b *task.Blob) {
		if b != nil {
			t.reports = append(t.reports, blob.Key(b.Key))
		}
	}
	work := func(name string, going bool) {
		if !going {
			delete(t.working, name)
			return
		}
		if t.working == nil {
			t.working = map[string]struct{}{}
		}
		t.working[name] = struct{}{}
	}
	switch f := task.Read(r.Type, r.Data).(type) {
	case task.ZipUploaded:
		t.packages = blob.Key(f.FilePath)
	case task.SubTaskStarted:
		work(f.Type, true)
	case task.SubTaskRetryRequested:
		work(f.Type, true)
	case task.SubTaskCompleted:
		work(f.Type, false)
		report(f.Report)
	case task.SubTaskFailed:
		work(f.Type, false)
		report(f.Report)
	case task.SubTaskDeclined:
		work(f.Type, false)
	case task.MainTaskConverged, task.MainTaskCancelled:
		t.over = true
	case task.Unreadable:
		t.obscure = true
	}
}
