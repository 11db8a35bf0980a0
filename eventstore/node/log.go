package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	formatVersion = 2
	journalFolder = "journal"
)

// ErrInUse says that another node holds the data folder. Stop that one, or give
// this one a folder of its own.
var ErrInUse = errors.New("the data folder is in use by another node")

// log is the stored events. It only reads; the committer writes. Every method
// that takes upto shows nothing behind that position: callers pass the horizon.
// Its methods are safe for many goroutines until close.
type log struct {
	files   vfs.FS
	dir     string
	db      *pebble.DB
	journal *journal
	lock    *pebble.Lock
	now     func() time.Time // what $maxAge is measured by

	// backgroundFailed hears of it when pebble could not flush or compact.
	backgroundFailed atomic.Pointer[func(error)]
}

func openLog(dir string, files vfs.FS, segment int64, logger *slog.Logger) (*log, error) {
	if err := files.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create data folder %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, files)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES), err != nil && err.Error() == "lock held by current process":
		return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
	case err != nil:
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	opts := &pebble.Options{
		FS:                 files,
		Lock:               lock,
		Logger:             pebbleLogger{logger},
		FormatMajorVersion: pebble.FormatValueSeparation,
		CacheSize:          32 << 20,
		MemTableSize:       16 << 20,
		// The journal is the log that pebble would keep. A flush that fails is tried
		// again; meanwhile the memtables take what is on its way.
		DisableWAL:                  true,
		MemTableStopWritesThreshold: 4,
	}
	for i := range opts.Levels {
		opts.Levels[i].BlockSize = 16 << 10 // reads of the log are long and in order
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	l := &log{files: files, dir: dir, lock: lock, now: time.Now}
	listener := pebble.EventListener{BackgroundError: func(err error) {
		if failed := l.backgroundFailed.Load(); failed != nil {
			(*failed)(err)
			return
		}
		logger.Error("the event store cannot write in the background", "error", err)
	}}
	opts.EventListener = &listener
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data folder %s: %w", dir, err), lock.Close())
	}
	l.db = db
	if err = l.checkFormat(); err == nil {
		err = l.openJournal(segment, logger)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data folder %s: %w", dir, err), l.close())
	}
	return l, nil
}

// openJournal takes over what the journal holds and the tables lack, and begins a
// new one.
func (l *log) openJournal(segment int64, logger *slog.Logger) error {
	folder := l.files.PathJoin(l.dir, journalFolder)
	if err := l.files.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	if err := syncDir(l.files, l.dir); err != nil {
		return err
	}
	applied, err := l.number(keyApplied)
	if err != nil {
		return err
	}
	last, err := replayJournal(l.files, folder, applied, logger, func(payload []byte) error {
		batch := l.db.NewBatch()
		if err := batch.SetRepr(payload); err != nil {
			return errors.Join(err, batch.Close())
		}
		return errors.Join(l.db.Apply(batch, pebble.NoSync), batch.Close())
	})
	if err != nil {
		return err
	}
	if last > applied {
		logger.Info("the journal was taken over", "frames", last-applied)
		if err := l.db.Flush(); err != nil {
			return err
		}
	}
	l.journal, err = startJournal(l.files, folder, segment, last, l.db.AsyncFlush, logger)
	return err
}

// checkFormat marks a new folder and refuses one that this code cannot read.
func (l *log) checkFormat() error {
	value, closer, err := l.db.Get(keyFormat)
	if errors.Is(err, pebble.ErrNotFound) {
		return errors.Join(l.db.Set(keyFormat, []byte{formatVersion}, pebble.NoSync), l.db.Flush())
	}
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	if !bytes.Equal(value, []byte{formatVersion}) {
		return fmt.Errorf("it holds log format %v and this node reads format %d: use the release that wrote it", value, formatVersion)
	}
	return nil
}

// close writes down what the tables hold, so that the next start has nothing to take
// over. A disk that does not let it is not waited for: the journal has it all.
func (l *log) close() error {
	var errs []error
	if l.journal != nil {
		if flushed, err := l.db.AsyncFlush(); err != nil {
			errs = append(errs, err)
		} else {
			late := time.NewTimer(closeGrace)
			select {
			case <-flushed:
			case <-late.C:
			}
			late.Stop()
		}
		errs = append(errs, l.journal.close())
	}
	return errors.Join(append(errs, l.db.Close(), l.lock.Close())...)
}

// write makes a batch durable and then shows it to readers. Only the committer calls
// it; after an error there is no writing on.
func (l *log) write(batch *pebble.Batch) error {
	var sequence [8]byte
	binary.BigEndian.PutUint64(sequence[:], l.journal.sequence+1)
	if err := batch.Set(keyApplied, sequence[:], nil); err != nil {
		return err
	}
	if err := l.journal.append(batch.Repr()); err != nil {
		return err
	}
	return l.db.Apply(batch, pebble.NoSync)
}

// visitor is shown records in order and says whether to go on. A record is only
// valid during the call (clone it), and the call must not wait for anything.
type visitor func(*record) (bool, error)

// forwards visits the log behind after, up to and including upto.
func (l *log) forwards(after, upto uint64, visit visitor) error {
	if after >= upto {
		return nil
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: allKey(after + 1), UpperBound: allKey(upto + 1)})
	if err != nil {
		return fmt.Errorf("read the log behind position %d: %w", after, err)
	}
	last := after
	for more := it.First(); more; more = it.Next() {
		r, err := decodeAt(it)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		last = r.position
		if more, err := visit(r); err != nil || !more {
			return errors.Join(err, it.Close())
		}
	}
	return closeIter(it, "the log behind position", last)
}

// backwards visits the log in front of before, last event first.
func (l *log) backwards(before uint64, visit visitor) error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: allKey(0), UpperBound: allKey(before)})
	if err != nil {
		return fmt.Errorf("read the log in front of position %d: %w", before, err)
	}
	last := before
	for more := it.Last(); more; more = it.Prev() {
		r, err := decodeAt(it)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		last = r.position
		if more, err := visit(r); err != nil || !more {
			return errors.Join(err, it.Close())
		}
	}
	return closeIter(it, "the log in front of position", last)
}

// decodeAt decodes what an iterator over the log stands on.
func decodeAt(it *pebble.Iterator) (*record, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, &DamagedError{Position: allKeyPosition(it.Key()), Reason: err.Error()}
	}
	return decodeRecord(allKeyPosition(it.Key()), value)
}

// closeIter ends an iteration that went to its end, or found damage on the way.
func closeIter(it *pebble.Iterator, what string, last uint64) error {
	failed := it.Error()
	if closed := it.Close(); failed == nil {
		failed = closed
	}
	if failed == nil {
		return nil
	}
	if pebble.IsCorruptionError(failed) {
		return &DamagedError{Position: last, Reason: fmt.Sprintf("%s %d cannot be read: %v", what, last, failed)}
	}
	return fmt.Errorf("read %s %d: %w", what, last, failed)
}

// streamForwards visits a stream from a revision on.
func (l *log) streamForwards(stream []byte, from, upto uint64, visit visitor) error {
	return l.walkStream(stream, upto, func(index *pebble.Iterator, prefix []byte) bool {
		return index.SeekGE(streamKey(prefix, from))
	}, (*pebble.Iterator).Next, visit)
}

// streamBackwards visits a stream from a revision on down, or from its last event
// if that comes first.
func (l *log) streamBackwards(stream []byte, from, upto uint64, visit visitor) error {
	return l.walkStream(stream, upto, func(index *pebble.Iterator, prefix []byte) bool {
		if from >= maxRevision {
			return index.Last()
		}
		return index.SeekLT(streamKey(prefix, from+1))
	}, (*pebble.Iterator).Prev, visit)
}

func (l *log) walkStream(stream []byte, upto uint64, start func(*pebble.Iterator, []byte) bool, step func(*pebble.Iterator) bool, visit visitor) (err error) {
	prefix := streamPrefix(stream)
	snapshot := l.db.NewSnapshot() // index and records as of one moment
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	index, err := snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: streamEnd(prefix)})
	if err != nil {
		return fmt.Errorf("read stream %q: %w", stream, err)
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	records, err := snapshot.NewIter(&pebble.IterOptions{LowerBound: allKey(0), UpperBound: allKey(upto + 1)})
	if err != nil {
		return fmt.Errorf("read stream %q: %w", stream, err)
	}
	defer func() { err = errors.Join(err, records.Close()) }()

	var key []byte
	for more := start(index, prefix); more; more = step(index) {
		revision := streamKeyRevision(index.Key())
		value, err := index.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read stream %q at revision %d: %w", stream, revision, err)
		}
		if len(value) != 8 {
			return fmt.Errorf("read stream %q at revision %d: its index entry is damaged", stream, revision)
		}
		position := binary.BigEndian.Uint64(value)
		if position > upto {
			continue // applied, but not yet known to be durable
		}
		key = appendAllKey(key[:0], position)
		if !records.SeekGE(key) || !bytes.Equal(records.Key(), key) {
			if err := records.Error(); err != nil {
				return &DamagedError{Position: position, Reason: err.Error()}
			}
			return &DamagedError{Position: position, Reason: fmt.Sprintf("revision %d of stream %q is missing", revision, stream)}
		}
		r, err := decodeAt(records)
		if err != nil {
			return err
		}
		if r.revision != revision || !bytes.Equal(r.stream, stream) {
			return &DamagedError{Position: position, Reason: fmt.Sprintf("revision %d of stream %q should be here", revision, stream)}
		}
		if more, err := visit(r); err != nil || !more {
			return err
		}
	}
	if err := index.Error(); err != nil {
		return fmt.Errorf("read stream %q: %w", stream, err)
	}
	return nil
}

// last returns the last event of a stream that upto allows to be seen, or nil.
func (l *log) last(stream []byte, upto uint64) (*record, error) {
	var last *record
	err := l.streamBackwards(stream, maxRevision, upto, func(r *record) (bool, error) {
		last = r.clone()
		return false, nil
	})
	return last, err
}

// event returns one event of a stream, or nil when it is not there.
func (l *log) event(stream []byte, revision, upto uint64) (*record, error) {
	var found *record
	err := l.streamForwards(stream, revision, upto, func(r *record) (bool, error) {
		if r.revision == revision {
			found = r.clone()
		}
		return false, nil
	})
	return found, err
}

// state returns the state of a stream as applied, durable or not: it is for the
// committer, and for stateAsOf.
func (l *log) state(stream string) (state, error) {
	value, closer, err := l.db.Get(headKey(stream))
	if errors.Is(err, pebble.ErrNotFound) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("read the head of stream %q: %w", stream, err)
	}
	defer func() { _ = closer.Close() }()
	s, ok := decodeState(value)
	if !ok {
		return state{}, fmt.Errorf("read the head of stream %q: it is damaged", stream)
	}
	return s, nil
}

// number returns a number that the log keeps for itself; 0 when there is none.
func (l *log) number(key []byte) (uint64, error) {
	n, _, err := l.indexed(key)
	return n, err
}

// indexed returns the position that an index key names, as applied: only the
// committer may ask.
func (l *log) indexed(key []byte) (position uint64, found bool, err error) {
	value, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the index: %w", err)
	}
	defer func() { _ = closer.Close() }()
	if len(value) != 8 {
		return 0, false, errors.New("read the index: an entry is damaged")
	}
	return binary.BigEndian.Uint64(value), true, nil
}

// pebbleLogger passes on what pebble complains about; its chatter is debug.
type pebbleLogger struct{ logger *slog.Logger }

func (l pebbleLogger) Infof(format string, args ...any) {
	l.logger.Debug(fmt.Sprintf(format, args...), "from", "pebble")
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Error(fmt.Sprintf(format, args...), "from", "pebble")
}

// Fatalf must not return: pebble's state is undefined afterwards. The committer
// recovers and stops writing; anywhere else the process ends, and what was
// acknowledged is found again at the next start.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.logger.Error(text, "from", "pebble")
	panic(errors.New(text))
}
