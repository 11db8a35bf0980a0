package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/factgate/factgate/domain/person"
	"github.com/factgate/factgate/eventstore"
)

// ClearText counts facts that hold a name in clear text: as `uploadedBy` or `by` of
// their data, or `actor` of their metadata. Texts that people wrote, such as
// reasons and file names, are not searched, nor are packages and reports.
type ClearText struct {
	Facts   int64
	Streams int64 // that hold these facts; task-… are tasks
	// Complete is false when the time for looking was up; then there may be more.
	Complete bool
}

// clearTextPatience bounds the search: whoever wishes waits for it.
const clearTextPatience = 8 * time.Second

func (c *Commands) clearText(ctx context.Context, name string) (ClearText, error) {
	looking, cancel := context.WithTimeout(ctx, clearTextPatience)
	defer cancel()
	var found ClearText
	streams := map[eventstore.StreamID]struct{}{}
	for r, err := range c.log.ReadAll(looking, 0, eventstore.Filter{}) {
		if looking.Err() != nil && ctx.Err() == nil {
			found.Streams = int64(len(streams))
			return found, nil
		}
		if err != nil {
			return found, storeError("look for clear text", err)
		}
		if r.Stream.Category != person.Category && names(r, name) {
			found.Facts++
			streams[r.Stream] = struct{}{}
		}
	}
	found.Streams, found.Complete = int64(len(streams)), true
	return found, nil
}

// names reports whether a fact holds the name in clear text.
func names(r eventstore.Recorded, name string) bool {
	var data struct{ UploadedBy, By any }
	var metadata struct{ Actor any }
	for _, part := range []struct {
		text []byte
		into any
	}{{r.Data, &data}, {r.Metadata, &metadata}} {
		// A stranger's may be anything; unmarshalling goes on behind what does not fit.
		if bytes.Contains(part.text, []byte("y\"")) || bytes.Contains(part.text, []byte("actor")) {
			var syntax *json.SyntaxError
			if errors.As(json.Unmarshal(part.text, part.into), &syntax) {
				continue
			}
		}
	}
	return data.UploadedBy == name || data.By == name || metadata.Actor == name
}
