package node

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fellBehind is how many events at a stretch a live subscription takes before it
// counts as catching up again.
const fellBehind = 2 * pageEvents

// subscribe serves a catch-up subscription until the caller or the node ends it.
//
// A subscription is a cursor: it reads the log behind the cursor up to the horizon,
// sends what is wanted, and waits for the horizon to move. Nothing is queued for
// it, so a slow subscriber costs what a slow reader costs, and going live has no
// seam at which an event could be lost or repeated.
func (r *reader) subscribe(o *streams.ReadReq_Options) error {
	if o.GetReadDirection() != streams.ReadReq_Options_Forwards {
		return invalid("a subscription goes forwards")
	}
	switch what := o.GetStreamOption().(type) {
	case *streams.ReadReq_Options_All:
		f, interval, err := readFilter(o)
		if err != nil {
			return err
		}
		if f != nil && interval == 0 {
			return invalid("a filtered subscription has a search window and a checkpoint interval above zero")
		}
		after, err := r.subscribeFrom(what.All)
		if err != nil {
			return err
		}
		return r.subscribeAll(after, f, interval)
	case *streams.ReadReq_Options_Stream:
		if o.GetFilter() != nil {
			return invalid("a filter is for subscriptions to $all")
		}
		return r.subscribeStream(what.Stream)
	default:
		return invalid("a subscription names a stream or $all")
	}
}

// subscribeFrom returns the position behind which a subscription to $all starts.
func (r *reader) subscribeFrom(o *streams.ReadReq_Options_AllOptions) (uint64, error) {
	end := r.horizon.durable()
	switch at := o.GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Start:
		return 0, nil
	case *streams.ReadReq_Options_AllOptions_End:
		return end, nil
	case *streams.ReadReq_Options_AllOptions_Position:
		position := at.Position.GetCommitPosition()
		switch {
		case position >= maxRevision: // how some clients write "the end"
			return end, nil
		case position > end:
			return 0, status.Errorf(codes.OutOfRange, reasonPositionPastEnd, position, position, end, end)
		}
		return position, nil
	default:
		return 0, invalid("a subscription to $all says where it starts")
	}
}

func (r *reader) subscribeAll(after uint64, f *filter, interval uint64) error {
	if err := r.send(confirmationToWire(uuid.NewString())); err != nil {
		return err
	}
	checkpoint := after // what the subscriber knows without being told
	tell := func() error {
		if f == nil || after <= checkpoint {
			return nil
		}
		checkpoint = after
		return r.send(checkpointToWire(checkpoint))
	}
	live := false
	var sinceCheckpoint, stretch uint64
	for {
		upto, moved := r.horizon.now()
		limit := uint64(pageScanned)
		if f != nil {
			limit = min(limit, interval-sinceCheckpoint)
		}
		p := r.newPager(f, pageEvents, limit)
		p.all = true
		if err := r.log.forwards(after, upto, p.visit); err != nil {
			return err
		}
		if err := r.sendPage(p); err != nil {
			return err
		}
		if p.full {
			after = p.last
		} else {
			after = max(after, upto)
		}
		if sinceCheckpoint += p.counted; f != nil && sinceCheckpoint >= interval {
			if err := tell(); err != nil {
				return err
			}
			sinceCheckpoint = 0
		}
		if stretch += p.counted; stretch > fellBehind {
			live = false
		}
		if p.full {
			continue
		}
		if !live {
			live = true
			if err := tell(); err != nil {
				return err
			}
			sinceCheckpoint = 0
			if err := r.send(caughtUpToWire()); err != nil {
				return err
			}
		}
		stretch = 0
		if err := r.wait(moved); err != nil {
			return err
		}
	}
}

// subscribeStream keeps to what a stream's metadata leaves of it while it catches
// up. Live it sends whatever is appended, as EventStoreDB does: a subscriber that
// keeps up misses nothing of a stream that keeps little. A tombstone ends it.
func (r *reader) subscribeStream(o *streams.ReadReq_Options_StreamOptions) error {
	name := o.GetStreamIdentifier().GetStreamName()
	if len(name) == 0 {
		return invalid("a subscription names its stream")
	}
	w := r.horizon.watch(string(name))
	defer w.close()
	var next uint64 // revision of the next event to send
	atEnd := false
	switch at := o.GetRevisionOption().(type) {
	case *streams.ReadReq_Options_StreamOptions_Start:
	case *streams.ReadReq_Options_StreamOptions_End:
		atEnd = true
	case *streams.ReadReq_Options_StreamOptions_Revision:
		atEnd = at.Revision >= maxRevision
		next = at.Revision + 1
	default:
		return invalid("a subscription to a stream says where it starts")
	}
	if atEnd {
		now, err := r.log.live(name, r.horizon.durable())
		if err != nil {
			return err
		}
		next = now.next // a tombstone is found below
	}
	if err := r.send(confirmationToWire(uuid.NewString())); err != nil {
		return err
	}
	live := false
	stretch := 0
	for {
		upto, moved := w.now()
		ended := false
		if !live {
			now, err := r.log.live(name, upto)
			if err != nil {
				return err
			}
			next, ended = max(next, min(now.first, now.next)), now.tombstoned
		}
		p := r.newPager(nil, pageEvents, pageScanned)
		if !ended {
			if err := r.log.streamForwards(name, next, upto, func(rec *record) (bool, error) {
				if ended = rec.revision == maxRevision; ended {
					return false, nil
				}
				return p.visit(rec)
			}); err != nil {
				return err
			}
		}
		if err := r.sendPage(p); err != nil {
			return err
		}
		if ended {
			return streamDeleted(r.ctx, string(name))
		}
		if len(p.page) > 0 {
			next = p.lastRevision + 1
		}
		if stretch += len(p.page); stretch > fellBehind {
			live = false
		}
		if p.full {
			continue
		}
		if !live {
			live = true
			if err := r.send(caughtUpToWire()); err != nil {
				return err
			}
		}
		stretch = 0
		if err := r.wait(moved); err != nil {
			return err
		}
	}
}

// wait returns when there may be more to read, or the reason for which the call
// has to end.
func (r *reader) wait(moved <-chan struct{}) error {
	select {
	case <-moved:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}
