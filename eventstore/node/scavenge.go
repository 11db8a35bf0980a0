package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// ScavengeReport says what a scavenge has taken away.
type ScavengeReport struct {
	Streams uint64 `json:"streams"` // looked at
	Events  uint64 `json:"events"`  // taken away
	Bytes   uint64 `json:"bytes"`   // of their records
}

// released is an event that nobody can read in its stream any more.
type released struct {
	stream   string
	revision uint64
	position uint64
}

// releasedAtATime bounds what one journal frame takes away, and so for how long
// appends wait for it.
const releasedAtATime = 1000

// Scavenge takes away what streams have released: events in front of $tb, beyond
// $maxCount or older than $maxAge, superseded metadata, and everything but the last
// event of deleted streams. From then on $all does not show it either. A stream's
// last event and the last of the log always stay, so numbers and positions go on
// where they were. The node serves meanwhile; at the end its tables give the space
// back. It can be broken off at any time and repeated.
func (n *Node) Scavenge(ctx context.Context, progress Progress) (report ScavengeReport, err error) {
	if !n.maintenance.TryLock() {
		return report, errors.New("a scavenge is going on already: wait until it is done")
	}
	defer n.maintenance.Unlock()
	if progress == nil {
		progress = func(string, uint64, uint64) {}
	}
	upto := n.committer.horizon.durable()
	it, err := n.log.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixHead}, UpperBound: []byte{prefixHead + 1}})
	if err != nil {
		return report, err
	}
	var gone []released
	flush := func() error {
		if len(gone) == 0 {
			return nil
		}
		res := n.committer.append(ctx, &appendRequest{release: gone})
		if res.err != nil {
			return res.err
		}
		report.Events += uint64(len(gone))
		gone = nil
		return nil
	}
	for more := it.First(); more && err == nil; more = it.Next() {
		stream := bytes.Clone(it.Key()[1:])
		err = n.log.released(stream, upto, func(r released, size int) error {
			report.Bytes += uint64(size)
			if gone = append(gone, r); len(gone) < releasedAtATime {
				return nil
			}
			return errors.Join(flush(), ctx.Err())
		})
		if report.Streams++; report.Streams%1024 == 0 {
			progress("streams", report.Streams, 0)
			err = errors.Join(err, ctx.Err())
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return report, fmt.Errorf("scavenge: %w", err)
	}
	if err := flush(); err != nil {
		return report, fmt.Errorf("scavenge: %w", err)
	}
	if report.Events == 0 {
		return report, nil
	}
	progress("giving space back", 0, 0)
	for _, prefix := range []byte{prefixAll, prefixStream} {
		if err := n.log.db.Compact(ctx, []byte{prefix}, []byte{prefix + 1}, false); err != nil {
			return report, fmt.Errorf("scavenge: give the space back: %w", err)
		}
	}
	return report, nil
}

// released visits the events of a stream that can be taken away.
func (l *log) released(stream []byte, upto uint64, visit func(r released, size int) error) error {
	live, err := l.live(stream, upto)
	if err != nil {
		return err
	}
	last, err := l.last(stream, upto)
	if err != nil || last == nil {
		return err
	}
	end := last.revision // it stays
	if !live.tombstoned && live.found {
		end = min(end, live.first)
	}
	prefix := streamPrefix(stream)
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: streamKey(prefix, end)})
	if err != nil {
		return err
	}
	for more := it.First(); more; more = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil || len(value) != 8 {
			return errors.Join(fmt.Errorf("the index of stream %q is damaged", stream), err, it.Close())
		}
		r := released{string(stream), streamKeyRevision(it.Key()), binary.BigEndian.Uint64(value)}
		if r.position >= upto {
			continue // the next position is counted from it
		}
		size, err := l.recordSize(r.position)
		if err == nil {
			err = visit(r, size)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}

func (l *log) recordSize(position uint64) (int, error) {
	value, closer, err := l.db.Get(allKey(position))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, &DamagedError{Position: position, Reason: "the index names it, and it is missing"}
	}
	if err != nil {
		return 0, err
	}
	return len(value), closer.Close()
}

// release takes events away.
func release(batch *pebble.Batch, gone []released) error {
	for _, r := range gone {
		if err := batch.Delete(streamKey(streamPrefix([]byte(r.stream)), r.revision), nil); err != nil {
			return err
		}
		if err := batch.Delete(allKey(r.position), nil); err != nil {
			return err
		}
	}
	return nil
}
