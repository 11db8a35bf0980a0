package queries

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// ParkedUpload is a ZipUploaded for which the coordinator could not open a window:
// no scanner has seen it, and no fact of a task can say so.
type ParkedUpload struct {
	Stream   string // that holds the ZipUploaded
	Revision int64
	TaskID   *TaskID // nil for a stream that is no task's
	Reason   string
	ParkedAt *time.Time
}

// parkedUploads is where the log puts what the coordinator's intake parks.
var parkedUploads = eventstore.StreamID{Category: "$persistentsubscription", Key: "$all::coordinator-intake-parked"}

// ParkedUploads returns the newest first (0 means 20) uploads that intake parked,
// the newest first, from the log's own stream of them.
func (q *Queries) ParkedUploads(ctx context.Context, first int) ([]ParkedUpload, error) {
	first, err := page(first, 20)
	if err != nil {
		return nil, err
	}
	out := []ParkedUpload{}
	for r, err := range q.log.ReadStreamBackwards(ctx, parkedUploads, first) {
		if eventstore.IsNotFound(err) {
			break // nothing was ever parked
		}
		if err != nil {
			return nil, failed(ctx, "read parked uploads", err)
		}
		revision, stream, ok := strings.Cut(string(r.Data), "@")
		n, err := strconv.ParseInt(revision, 10, 64)
		if !ok || err != nil {
			continue // not a link
		}
		p := ParkedUpload{Stream: stream, Revision: n}
		var why struct {
			Added  *time.Time
			Reason string
		}
		if json.Unmarshal(r.Metadata, &why) == nil {
			p.Reason, p.ParkedAt = why.Reason, why.Added
		}
		if category, key, _ := strings.Cut(stream, "-"); category == task.Category {
			if id, err := eventstore.ParseID(key); err == nil {
				p.TaskID = &id
			}
		}
		out = append(out, p)
	}
	return out, nil
}
