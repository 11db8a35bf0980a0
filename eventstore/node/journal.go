package node

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	frameMagic      = 0x46474a31 // "FGJ1"
	frameHeaderSize = 20
	// frameAlign is where frames begin: a write never touches a block that holds
	// another frame, so a torn write cannot harm what was acknowledged before it.
	frameAlign = 4 << 10
	// maxFrame bounds what a length found on disk may claim. It is far above the
	// largest group: groupBytes, one more append, and what the index repeats.
	maxFrame = 256 << 20

	// Segments grow from the first to the full size, so that a small log takes
	// little room and a busy one rotates seldom.
	firstSegment = 1 << 20
	fullSegment  = 32 << 20

	segmentSuffix    = ".journal"
	unfinishedSuffix = ".new"
)

// journal is what makes an append durable: a row of preallocated segment files
// into which every group is written as one frame and synced, before the tables of
// pebble, which keep no log of their own, take it into memory. A segment is used
// again when the tables have been flushed beyond it, so the journal's size, and
// the time that opening takes, do not depend on the length of the log.
//
//	frame, at a multiple of 4 KiB:
//	0       4        8            16        20
//	+-------+--------+------------+---------+---------------------+------
//	| magic | crc32c | sequence:8 | len:4   | pebble batch        | zeros
//	+-------+--------+------------+---------+---------------------+------
//
// The checksum covers the journal's life, a number drawn at each start that stands
// in the segments' names, and everything behind the checksum up to the end of the
// batch; so what clients write into their events is never taken for a frame.
// Sequence numbers have no gap, and each batch also writes its own under keyApplied:
// the tables know what they hold. A segment's blocks are written once before use
// (with zeros, or with older frames, whose lower numbers give them away), so that a
// sync has no metadata to write.
//
// A frame is only written when its predecessor is durable. So at the end of the
// journal a frame that does not check is torn, was never acknowledged, and is
// cut; the same in front of a later frame is damage, and refused.
//
// It belongs to the committer's goroutine.
type journal struct {
	files  vfs.FS
	dir    string
	logger *slog.Logger
	// flush has the tables write down what they hold; the channel closes when that
	// is durable.
	flush func() (<-chan struct{}, error)

	life     uint64
	full     int64  // the size that segments grow to
	sequence uint64 // of the last frame
	current  *segment
	offset   int64      // where the next frame goes
	buffer   []byte     // the frame being built
	sealed   []*segment // full; in order
	next     chan prepared
}

// segment is one file of the journal.
type segment struct {
	file    vfs.File
	life    uint64
	number  uint64 // rises also from one life to the next
	size    int64
	flushed <-chan struct{} // of a sealed one: closed when it may be used again
}

type prepared struct {
	segment *segment
	err     error
}

func (s *segment) name() string { return fmt.Sprintf("%016x-%016x%s", s.number, s.life, segmentSuffix) }

func parseSegmentName(name string) (*segment, bool) {
	s := &segment{}
	_, err := fmt.Sscanf(name, "%016x-%016x", &s.number, &s.life)
	return s, err == nil && s.name() == name
}

func (j *journal) path(s *segment) string { return j.files.PathJoin(j.dir, s.name()) }

// startJournal begins to write behind the frame with the given number. What
// earlier segments hold must be durable in the tables: they are removed.
func startJournal(files vfs.FS, dir string, full int64, sequence uint64, flush func() (<-chan struct{}, error), logger *slog.Logger) (*journal, error) {
	j := &journal{files: files, dir: dir, logger: logger, flush: flush, life: rand.Uint64(), full: full, sequence: sequence, next: make(chan prepared, 1)}
	old, err := listSegments(files, dir)
	if err != nil {
		return nil, err
	}
	last := uint64(0)
	for _, s := range old {
		last = max(last, s.number)
	}
	// The new segment first: an empty folder would say that there never was a
	// journal.
	first := j.prepare(last+1, min(firstSegment, full), nil)
	if first.err != nil {
		return nil, first.err
	}
	j.current = first.segment
	if err := j.removeOthers(); err != nil {
		return nil, errors.Join(fmt.Errorf("remove what the journal no longer needs: %w", err), j.current.file.Close())
	}
	j.prepareNext()
	return j, nil
}

// removeOthers removes every file but the current segment, unfinished ones too.
func (j *journal) removeOthers() error {
	names, err := j.files.List(j.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, ours := parseSegmentName(strings.TrimSuffix(name, unfinishedSuffix))
		if !ours || name == j.current.name() {
			continue
		}
		if err := j.files.Remove(j.files.PathJoin(j.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the file of a segment, out of one that is no longer needed if that
// is given.
func (j *journal) prepare(number uint64, size int64, reuse *segment) (p prepared) {
	defer func() {
		if p.err != nil {
			p.err = fmt.Errorf("prepare a journal segment of %d bytes: %w", size, p.err)
		}
	}()
	s := &segment{life: j.life, number: number, size: size}
	name := j.path(s)
	if reuse != nil {
		if err := j.files.Rename(j.path(reuse), name); err != nil {
			return prepared{err: errors.Join(err, reuse.file.Close())}
		}
		s.file, s.size = reuse.file, reuse.size
		return prepared{s, syncDir(j.files, j.dir)}
	}
	unfinished := name + unfinishedSuffix
	if err := writeZeros(j.files, unfinished, size); err != nil {
		return prepared{err: errors.Join(err, j.files.Remove(unfinished))}
	}
	if err := j.files.Rename(unfinished, name); err != nil {
		return prepared{err: err}
	}
	if err := syncDir(j.files, j.dir); err != nil {
		return prepared{err: err}
	}
	var err error
	s.file, err = j.files.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	return prepared{s, err}
}

// prepareNext prepares the segment behind the current one while that fills up.
func (j *journal) prepareNext() {
	size := min(2*j.current.size, j.full)
	var reuse *segment
	for len(j.sealed) > 0 && closed(j.sealed[0].flushed) {
		free := j.sealed[0]
		j.sealed = j.sealed[1:]
		if reuse == nil && free.size >= size && free.size <= j.full {
			reuse = free
			continue
		}
		if err := errors.Join(free.file.Close(), j.files.Remove(j.path(free))); err != nil {
			// It is found and removed at the next start.
			j.logger.Warn("a journal segment that is no longer needed was not removed", "error", err)
		}
	}
	number := j.current.number + 1
	go func() { j.next <- j.prepare(number, size, reuse) }()
}

// room sees to it that a frame with that much payload can be written without
// asking the file system for space. When it fails, nothing has changed, and it may
// be asked again.
func (j *journal) room(payload int) error {
	need := frameSize(payload)
	if j.offset+need <= j.current.size {
		return nil
	}
	next := <-j.next
	if next.err == nil && next.segment.size < need {
		// An append of uncommon size gets a segment of its own size.
		small := next.segment
		if err := errors.Join(small.file.Close(), j.files.Remove(j.path(small))); err != nil {
			j.logger.Warn("a journal segment was not removed", "error", err)
		}
		next = j.prepare(small.number+1, need, nil)
	}
	if next.err != nil {
		if next.segment != nil && next.segment.file != nil {
			_ = next.segment.file.Close() // nothing was written to it
		}
		j.prepareNext()
		return next.err
	}
	flushed, err := j.flush()
	if err != nil {
		j.next <- next
		return fmt.Errorf("flush the tables: %w", err)
	}
	j.current.flushed = flushed
	j.sealed = append(j.sealed, j.current)
	j.current, j.offset = next.segment, 0
	j.prepareNext()
	return nil
}

// append makes a frame durable. After an error the state of the last frame is
// unknown and nothing may be appended any more.
func (j *journal) append(payload []byte) error {
	if err := j.room(len(payload)); err != nil {
		return err
	}
	need := int(frameSize(len(payload)))
	b := slices.Grow(j.buffer[:0], need)[:frameHeaderSize]
	binary.BigEndian.PutUint32(b[0:], frameMagic)
	binary.BigEndian.PutUint64(b[8:], j.sequence+1)
	binary.BigEndian.PutUint32(b[16:], uint32(len(payload)))
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b[4:], frameChecksum(j.life, b[8:], nil))
	end := len(b)
	b = b[:need]
	clear(b[end:])
	if j.buffer = b; cap(b) > 2*groupBytes {
		j.buffer = nil
	}
	if n, err := j.current.file.WriteAt(b, j.offset); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	} else if n != len(b) {
		return fmt.Errorf("write the journal: %w", io.ErrShortWrite)
	}
	if err := j.current.file.SyncData(); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	j.sequence++
	j.offset += int64(need)
	return nil
}

// close gives the files back. They stay where they are.
func (j *journal) close() error {
	next := <-j.next
	errs := []error{j.current.file.Close()}
	if next.segment != nil && next.segment.file != nil {
		errs = append(errs, next.segment.file.Close())
	}
	for _, s := range j.sealed {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

func frameChecksum(life uint64, header, payload []byte) uint32 {
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], life)
	sum := crc32.Update(crc32.Checksum(seed[:], castagnoli), castagnoli, header)
	return crc32.Update(sum, castagnoli, payload)
}

func frameSize(payload int) int64 {
	return (int64(payload) + frameHeaderSize + frameAlign - 1) / frameAlign * frameAlign
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// replayJournal shows what the tables lack: the payloads of all frames behind
// sequence after, in order. It returns the number of the last frame there is. The
// error is a *JournalDamagedError where acknowledged frames cannot be read.
func replayJournal(files vfs.FS, dir string, after uint64, logger *slog.Logger, apply func(payload []byte) error) (last uint64, err error) {
	segments, err := listSegments(files, dir)
	if err != nil {
		return 0, err
	}
	w := &walk{after: after, apply: apply}
	for _, s := range segments {
		if err := w.segment(files, dir, s); err != nil {
			return 0, err
		}
	}
	if w.torn {
		logger.Warn("the end of the journal was torn by a crash and is cut; it was never acknowledged",
			"file", w.file, "byte", w.offset)
	}
	return max(w.last, after), nil
}

// walk is a replay on its way through the segments. Frames come with numbers that
// rise by one; lower ones are of a segment's former life.
type walk struct {
	after uint64
	apply func(payload []byte) error
	last  uint64 // of the frames seen so far

	// Where the row broke off, and so the next frame should be.
	broken bool
	torn   bool // by a frame that was being written
	file   string
	offset int64
}

func (w *walk) segment(files vfs.FS, dir string, s *segment) (err error) {
	name := s.name()
	file, err := files.Open(files.PathJoin(dir, name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var header [frameHeaderSize]byte
	for offset := int64(0); offset+frameAlign <= info.Size(); {
		if _, err := file.ReadAt(header[:], offset); err != nil {
			return fmt.Errorf("read the journal, %s at byte %d: %w", name, offset, err)
		}
		sequence, payload, err := w.frame(file, s.life, header[:], offset, info.Size())
		if err != nil {
			return fmt.Errorf("read the journal, %s at byte %d: %w", name, offset, err)
		}
		if payload == nil {
			torn := binary.BigEndian.Uint32(header[:]) == frameMagic && sequence == max(w.last, w.after)+1
			if !w.broken || torn && !w.torn {
				w.broken, w.torn, w.file, w.offset = true, torn, name, offset
			}
			offset += frameAlign
			continue
		}
		if missing := max(w.last, w.after) + 1; sequence > missing {
			if !w.broken {
				w.file, w.offset = name, offset
			}
			return &JournalDamagedError{Sequence: missing, Found: sequence, File: w.file, Offset: w.offset}
		}
		if sequence > w.after {
			if err := w.apply(payload); err != nil {
				return fmt.Errorf("take in frame %d of the journal: %w", sequence, err)
			}
		}
		w.last, w.broken, w.torn = sequence, false, false
		offset += frameSize(len(payload))
	}
	return nil
}

// frame reads what may be a frame of this life. There is no payload when it is none,
// or does not check.
func (w *walk) frame(file io.ReaderAt, life uint64, header []byte, offset, size int64) (sequence uint64, payload []byte, err error) {
	sequence = binary.BigEndian.Uint64(header[8:])
	length := int64(binary.BigEndian.Uint32(header[16:]))
	if binary.BigEndian.Uint32(header) != frameMagic || sequence <= w.last || length > maxFrame || offset+frameHeaderSize+length > size {
		return sequence, nil, nil
	}
	payload = make([]byte, length)
	if _, err := file.ReadAt(payload, offset+frameHeaderSize); err != nil {
		return sequence, nil, err
	}
	if frameChecksum(life, header[8:frameHeaderSize], payload) != binary.BigEndian.Uint32(header[4:]) {
		return sequence, nil, nil
	}
	return sequence, payload, nil
}

// listSegments lists the journal's segments in order.
func listSegments(files vfs.FS, dir string) ([]*segment, error) {
	names, err := files.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list the journal: %w", err)
	}
	var found []*segment
	for _, name := range names {
		if s, ours := parseSegmentName(name); ours {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	return found, nil
}

// writeZeros makes a durable file of zeros, every block of it written.
func writeZeros(files vfs.FS, name string, size int64) error {
	file, err := files.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(size, 256<<10))
	for left := size; left > 0 && err == nil; left -= int64(len(zeros)) {
		clear(zeros) // vfs lets Write change what it is given
		_, err = file.Write(zeros[:min(left, int64(len(zeros)))])
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func syncDir(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// JournalDamagedError says that an acknowledged write cannot be read back from the
// journal although a later one can. It is never passed over: restore the folder
// from a backup, or move the journal away and lose what the tables do not hold yet.
type JournalDamagedError struct {
	Sequence uint64 // the number of the first frame that is missing
	Found    uint64 // the number of a later one, which is whole
	File     string // where the missing one should be
	Offset   int64
}

func (e *JournalDamagedError) Error() string {
	return fmt.Sprintf("the journal is damaged: frame %d cannot be read in %s at byte %d, although frame %d behind it can; "+
		"restore the folder from a backup, or move its journal folder away and lose the newest events",
		e.Sequence, e.File, e.Offset, e.Found)
}
