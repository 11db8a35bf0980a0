package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// VerifyReport says what a verification has seen.
type VerifyReport struct {
	Events   uint64 `json:"events"`
	Streams  uint64 `json:"streams"`
	Bytes    uint64 `json:"bytes"`    // of the records
	Position uint64 `json:"position"` // of the last event
}

// Progress hears how far a long piece of work is: at which step, and how much of it
// is done.
type Progress func(step string, done, total uint64)

// Verify reads everything up to the last event there is when it begins: each
// record's checksum and place, each stream's index without a gap or a repeat, and
// that the two agree. The error is the first damage found, a *DamagedError where it
// has a position. The node serves meanwhile.
func (n *Node) Verify(ctx context.Context, progress Progress) (VerifyReport, error) {
	if progress == nil {
		progress = func(string, uint64, uint64) {}
	}
	v := &verification{ctx: ctx, end: n.committer.horizon.durable(), snapshot: n.log.db.NewSnapshot(), progress: progress}
	err := v.run()
	return v.report, errors.Join(err, v.snapshot.Close())
}

type verification struct {
	ctx      context.Context // of the one call that this lives for
	end      uint64          // of the log, at least, when it began
	snapshot *pebble.Snapshot
	progress Progress
	report   VerifyReport
}

func (v *verification) run() error {
	if err := v.records(); err != nil {
		return err
	}
	indexed, err := v.index()
	if err != nil {
		return err
	}
	if indexed != v.report.Events {
		return fmt.Errorf("the log holds %d events and its index names %d of them", v.report.Events, indexed)
	}
	return v.heads()
}

const progressEvery = 1 << 14

func (v *verification) each(prefix byte, visit func(*pebble.Iterator) error) error {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return err
	}
	var last []byte
	for more := it.First(); more; more = it.Next() {
		if err := v.ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
		last = append(last[:0], it.Key()...)
		if err := visit(it); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	failed := errors.Join(it.Error(), it.Close())
	if failed == nil {
		return nil
	}
	if prefix == prefixAll && len(last) == 9 {
		return &DamagedError{Position: allKeyPosition(last), Reason: "what stands behind it cannot be read: " + failed.Error()}
	}
	return fmt.Errorf("read the log behind key %q: %w", last, failed)
}

// records checks every record for itself.
func (v *verification) records() error {
	return v.each(prefixAll, func(it *pebble.Iterator) error {
		r, err := decodeAt(it)
		if err != nil {
			return err
		}
		v.report.Events++
		v.report.Bytes += uint64(len(r.encoded))
		v.report.Position = r.position
		if v.report.Events%progressEvery == 0 {
			v.progress("records, bytes", min(r.position, v.end), v.end)
		}
		return nil
	})
}

// index checks that every entry finds its event, and that a stream's revisions
// follow each other.
func (v *verification) index() (entries uint64, err error) {
	var prefix []byte
	var revision uint64
	records, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixAll}, UpperBound: []byte{prefixAll + 1}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	err = v.each(prefixStream, func(it *pebble.Iterator) error {
		key, value := it.Key(), it.Value()
		if len(key) < 11 || len(value) != 8 {
			return fmt.Errorf("the index entry %q is damaged", key)
		}
		at := streamKeyRevision(key)
		same := bytes.Equal(key[:len(key)-8], prefix)
		if same && at != revision+1 && at != maxRevision {
			return fmt.Errorf("the stream with index key %q goes from revision %d to %d", prefix, revision, at)
		}
		prefix, revision = append(prefix[:0], key[:len(key)-8]...), at
		position := binary.BigEndian.Uint64(value)
		missing := &DamagedError{Position: position, Reason: fmt.Sprintf("revision %d of the stream with index key %q should be here", at, prefix)}
		if !records.SeekGE(allKey(position)) || allKeyPosition(records.Key()) != position {
			return missing
		}
		r, err := decodeAt(records)
		if err != nil {
			return err
		}
		if r.revision != at || !bytes.Equal(streamPrefix(r.stream), prefix) {
			return missing
		}
		if entries++; entries%progressEvery == 0 {
			v.progress("index, events", entries, v.report.Events)
		}
		return nil
	})
	return entries, err
}

// heads checks that every stream's head is its last event.
func (v *verification) heads() error {
	index, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixStream}, UpperBound: []byte{prefixStream + 1}})
	if err != nil {
		return err
	}
	err = v.each(prefixHead, func(it *pebble.Iterator) error {
		stream := it.Key()[1:]
		h, ok := decodeState(it.Value())
		if !ok {
			return fmt.Errorf("the head of stream %q is damaged", stream)
		}
		if !h.exists {
			return nil // described, and never written to
		}
		prefix := streamPrefix(stream)
		if !index.SeekLT(streamEnd(prefix)) || !bytes.HasPrefix(index.Key(), prefix) {
			return &DamagedError{Position: h.position, Reason: fmt.Sprintf("stream %q has a head and no events", stream)}
		}
		if position := binary.BigEndian.Uint64(index.Value()); position != h.position || streamKeyRevision(index.Key()) != h.revision {
			return &DamagedError{Position: h.position, Reason: fmt.Sprintf("the head of stream %q is not its last event", stream)}
		}
		v.report.Streams++
		return nil
	})
	return errors.Join(err, index.Close())
}
