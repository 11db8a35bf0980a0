package projections

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Blobs opens stored scan reports.
type Blobs interface {
	// Open returns the blob of this key; the caller closes it. The error wraps
	// ErrBlobGone when there is no such blob and there will be none (it expired,
	// or the key is not one); any other error is taken for a failing store, and
	// the read model tries again until it works.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
}

// ErrBlobGone says that a report is not there any more. Its findings are lost to
// the read model, which says so; the facts stand.
var ErrBlobGone = report.ErrGone

// What became of a sub-task's report.
const (
	reportNone    = "NONE"    // the scanner stored none, or has not ended
	reportRead    = "READ"    // its findings are in the read model
	reportMissing = "MISSING" // the blob is gone
	reportDamaged = "DAMAGED" // the blob is no report, or not the one the fact speaks of
	// reportAsBefore is in no table: the row has the state of this very report.
	reportAsBefore = "AS_BEFORE"
)

// Bounds of the rows held in memory; report.MaxBytes bounds the report itself.
const (
	maxFindingRows  = 5_000
	maxFindingBytes = 4 << 20
)

// findingWriter moves findings from reports into the table, in constant memory,
// within the transaction of the batch.
type findingWriter struct {
	stage *stage
	blobs Blobs

	rows  findingColumns
	bytes int
	read  []readFindings
}

// report reads the report of a sub-task's newest attempt and writes its
// findings. The returned state is for the sub-task's row. The error is the
// store's or Postgres's: the batch is to be tried again.
func (w *findingWriter) report(ctx context.Context, id eventstore.ID, t task.SubTask) (state string, err error) {
	if t.Report == nil {
		return reportNone, nil
	}
	start, ordinal, flushed := len(w.rows.ordinal), 0, false
	var identities report.Identities
	var all findingsDigest
	state, err = readReport(ctx, w.blobs, t.Report, func(f report.Finding) error {
		w.rows.add(id, t, ordinal, f, identities.Of(f))
		w.bytes += findingWeight(f)
		ordinal++
		if err := all.add(f); err != nil {
			return err
		}
		if len(w.rows.ordinal) < maxFindingRows && w.bytes < maxFindingBytes {
			return nil
		}
		start, flushed = 0, true
		return w.flush(ctx)
	})
	if err != nil {
		return "", fmt.Errorf("the %s report of task %s: %w", t.Type, id, err)
	}
	switch {
	case state == reportRead:
		w.read = append(w.read, readFindings{attemptKey{id, t.Type, t.Attempt}, all})
	case state == reportDamaged:
		w.rows.cut(start)
		if !flushed {
			break
		}
		w.stage.Queue(deleteFindings, uuids([]eventstore.ID{id}), []string{clean(t.Type)})
	}
	return state, nil
}

// readReport reads a stored report and calls each with its findings. An error is
// the store's, or each's.
func readReport(ctx context.Context, blobs Blobs, stored *task.Blob, each func(report.Finding) error) (state string, err error) {
	blob, err := blobs.Open(ctx, stored.Key)
	if errors.Is(err, ErrBlobGone) {
		return reportMissing, nil
	}
	if err != nil {
		return "", fmt.Errorf("open: %w", err)
	}
	defer func() { _ = blob.Close() }() // only read
	_, err = report.ReadStored(blob, stored.SHA256, each)
	switch {
	case errors.Is(err, report.ErrDamaged):
		return reportDamaged, nil
	case err != nil:
		return "", err
	}
	return reportRead, nil
}

// flush writes what is held.
func (w *findingWriter) flush(ctx context.Context) error {
	w.queue()
	return w.stage.send(ctx)
}

// queue has what is held written with what else is queued.
func (w *findingWriter) queue() {
	if len(w.rows.ordinal) == 0 {
		return
	}
	w.stage.Queue(insertFindings, w.rows.args()...)
	w.rows, w.bytes = findingColumns{}, 0
}

func findingWeight(f report.Finding) int {
	weight := 200
	if s := f.Suppression; s != nil {
		weight += 100 + len(s.By) + len(s.Reason)
	}
	return weight + len(f.Rule) + len(f.Message.En) + len(f.Message.Zh) + len(f.Path) + len(f.Cell) + len(f.Pointer)
}
