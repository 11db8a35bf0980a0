package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// written is a journal of count frames, and where each of them lies.
type written struct {
	files   *vfs.MemFS
	journal *journal
	frames  [][]byte
	at      []frameAt // file and offset of each frame
}

type frameAt struct {
	file   string
	offset int64
	size   int64
}

func writeJournal(t *testing.T, full int64, sizes ...int) *written {
	t.Helper()
	w := &written{files: vfs.NewCrashableMem()}
	require.NoError(t, w.files.MkdirAll("j", 0o750))
	never := make(chan struct{})
	var err error
	w.journal, err = startJournal(w.files, "j", full, 0, func() (<-chan struct{}, error) { return never, nil }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for i, size := range sizes {
		frame := bytes.Repeat([]byte{byte(i + 1)}, size)
		require.NoError(t, w.journal.append(frame))
		w.frames = append(w.frames, frame)
		w.at = append(w.at, frameAt{w.journal.current.name(), w.journal.offset - frameSize(size), frameSize(size)})
	}
	require.NoError(t, w.journal.close())
	return w
}

func (w *written) replay(after uint64) (uint64, [][]byte, error) {
	frames := [][]byte{}
	last, err := replayJournal(w.files, "j", after, slog.New(slog.DiscardHandler), func(payload []byte) error {
		frames = append(frames, payload)
		return nil
	})
	return last, frames, err
}

// spoil changes bytes of a frame.
func (w *written) spoil(t *testing.T, frame int, change func([]byte)) {
	t.Helper()
	at := w.at[frame]
	name := w.files.PathJoin("j", at.file)
	file, err := w.files.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	b := make([]byte, at.size)
	_, err = file.ReadAt(b, at.offset)
	require.NoError(t, err)
	change(b)
	_, err = file.WriteAt(b, at.offset)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func TestJournalReplaysWhatTheTablesLack(t *testing.T) {
	w := writeJournal(t, 32<<10, 10, 5000, 0, 9000, 100_000, 1, 4076, 4077, 12)
	for after := range len(w.frames) + 1 {
		last, frames, err := w.replay(uint64(after))
		require.NoError(t, err)
		require.EqualValues(t, len(w.frames), last)
		require.Equal(t, w.frames[after:], append([][]byte{}, frames...))
	}
	// Tables that are ahead of it lack nothing.
	last, frames, err := w.replay(20)
	require.NoError(t, err)
	require.EqualValues(t, 20, last)
	require.Empty(t, frames)
}

// Whatever a crash leaves of the last frame, the frames before it are whole.
func TestTornTailIsCut(t *testing.T) {
	for _, fill := range []byte{0, 0xA5} {
		for cut := 0; cut < int(frameSize(9000)); cut += 331 {
			w := writeJournal(t, 64<<10, 100, 200, 9000)
			w.spoil(t, 2, func(b []byte) {
				rest := b[min(cut, frameHeaderSize+9000-1):]
				copy(rest, bytes.Repeat([]byte{fill}, len(rest)))
			})
			last, frames, err := w.replay(0)
			require.NoError(t, err)
			require.EqualValues(t, 2, last)
			require.Equal(t, w.frames[:2], frames)
		}
	}
}

// A frame that does not check although there is a later one was acknowledged.
func TestDamagedMiddleIsRefused(t *testing.T) {
	for bit := range 8 * (frameHeaderSize + 60) {
		w := writeJournal(t, 64<<10, 60, 60, 60, 60)
		w.spoil(t, 1, func(b []byte) { b[bit/8] ^= 1 << (bit % 8) })
		_, _, err := w.replay(0)
		var damaged *JournalDamagedError
		require.ErrorAs(t, err, &damaged, "bit %d", bit)
		require.Equal(t, JournalDamagedError{2, 3, w.at[1].file, w.at[1].offset}, *damaged)
		require.ErrorContains(t, err, "restore the folder from a backup")
		// Where the tables have it, nothing is missing.
		last, frames, err := w.replay(2)
		require.NoError(t, err)
		require.EqualValues(t, 4, last)
		require.Len(t, frames, 2)
	}
	// A whole segment that is gone is damage as well.
	w := writeJournal(t, 8<<10, 4000, 4000, 4000, 4000, 4000, 4000)
	require.NoError(t, w.files.Remove(w.files.PathJoin("j", w.at[2].file)))
	_, _, err := w.replay(0)
	require.ErrorContains(t, err, "frame 3 cannot be read")
	_, _, err = w.replay(1)
	require.ErrorContains(t, err, "frame 3 cannot be read")
}

// Segments are used again, but never before the tables hold what is in them; frames
// of a former life are not taken for new ones.
func TestJournalRecyclesSegments(t *testing.T) {
	files := vfs.NewCrashableMem()
	require.NoError(t, files.MkdirAll("j", 0o750))
	require.NoError(t, syncDir(files, ""))
	applied, flushed := uint64(0), uint64(0)
	var held []chan struct{}
	j, err := startJournal(files, "j", 64<<10, 0, func() (<-chan struct{}, error) {
		flushed = applied
		held = append(held, make(chan struct{}))
		return held[len(held)-1], nil
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	frame := bytes.Repeat([]byte{7}, 5000)
	most := 0
	safe := uint64(0) // the tables hold this for certain
	for i := range 400 {
		before := flushed
		require.NoError(t, j.append(binary.BigEndian.AppendUint64(slices.Clone(frame), uint64(i+1))))
		applied++
		if flushed != before && i%3 != 0 { // rotated, and the flush is not slow
			for _, done := range held {
				close(done)
			}
			held, safe = nil, flushed
		}
		crashed := files.CrashClone(vfs.CrashCloneCfg{})
		next := safe + 1
		last, err := replayJournal(crashed, "j", safe, j.logger, func(payload []byte) error {
			require.Equal(t, next, binary.BigEndian.Uint64(payload[len(frame):]))
			next++
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, applied, last)
		segments, err := listSegments(files, "j")
		require.NoError(t, err)
		most = max(most, len(segments))
	}
	require.NoError(t, j.close())
	require.LessOrEqual(t, most, 8)
	require.Greater(t, j.current.number, uint64(20))
}

func TestUnfinishedSegmentsAreRemoved(t *testing.T) {
	n := start(t, Options{})
	require.NoError(t, n.Close())
	leftover := filepath.Join(n.dir, journalFolder, (&segment{number: 99}).name()+unfinishedSuffix)
	require.NoError(t, os.WriteFile(leftover, make([]byte, 300), 0o600))
	start(t, Options{Dir: n.dir})
	require.NoFileExists(t, leftover)
}

// FuzzReplay reads a segment of any content.
func FuzzReplay(f *testing.F) {
	files := vfs.NewMem()
	_ = files.MkdirAll("j", 0o750)
	j, err := startJournal(files, "j", 16<<10, 0, func() (<-chan struct{}, error) { return nil, nil }, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(j.append([]byte("first")), j.append([]byte("second")), j.close()); err != nil {
		f.Fatal(err)
	}
	seed, err := files.UnsafeGetFileDataBuffer("j/" + j.current.name())
	if err != nil {
		f.Fatal(err)
	}
	name := j.current.name()
	f.Add(seed, uint64(0))
	f.Add(seed[:5000], uint64(1))
	f.Fuzz(func(t *testing.T, content []byte, after uint64) {
		files := vfs.NewMem()
		require.NoError(t, files.MkdirAll("j", 0o750))
		file, err := files.Create("j/"+name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		_, err = file.Write(slices.Clone(content))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		frames := 0
		last, err := replayJournal(files, "j", after, slog.New(slog.DiscardHandler), func([]byte) error { frames++; return nil })
		if err == nil {
			require.Equal(t, after+uint64(frames), last)
		}
	})
}

// powerCuts is how often the power goes off; make torture asks for more.
var powerCuts = flag.Int("powercuts", 40, "how often TestPowerLossLosesNothingAcknowledged cuts the power")

// The power goes off under load, time and again: what was not synced is gone, or
// half there. Whatever was acknowledged is there, and whole appends only.
func TestPowerLossLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	const writers, tasks = 8, 5
	files := vfs.NewCrashableMem()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	acked := map[uuid.UUID]uint64{} // and their positions
	for cycle := range *powerCuts {
		n := start(t, Options{Dir: "node", files: files, segment: 64 << 10})
		stored := map[uuid.UUID]uint64{}
		next := map[string]uint64{}
		appends := map[string]int{}
		end := n.committer.horizon.durable()
		require.NoError(t, n.log.forwards(0, end, func(r *record) (bool, error) {
			require.Equal(t, next[string(r.stream)], r.revision)
			next[string(r.stream)]++
			stored[r.id] = r.position
			appends[string(r.data)]++
			return true, nil
		}))
		for id, position := range acked {
			require.Equal(t, position, stored[id], "cycle %d: an acknowledged event is lost", cycle)
		}
		for batch, count := range appends {
			require.Equal(t, fmt.Sprint(count), batch[:1], "half an append is there: %s", batch)
		}
		for stream, count := range next {
			h, err := n.log.state(stream)
			require.NoError(t, err)
			require.Equal(t, count, h.next())
		}

		var wg sync.WaitGroup
		var stop atomic.Bool
		var done atomic.Int64
		for writer := range writers {
			choose := rand.New(rand.NewPCG(seed, uint64(cycle*writers+writer+2)))
			wg.Go(func() {
				for !stop.Load() {
					count := 1 + choose.IntN(4)
					batch := fmt.Appendf(nil, "%d %s %s", count, uuid.NewString(), strings.Repeat("x", choose.IntN(3000)))
					req := &appendRequest{stream: fmt.Sprint("s-", choose.IntN(tasks)), expected: expected{kind: expectAny}}
					for range count {
						id := uuid.New()
						req.events = append(req.events, proposal{id, encodeRecord(id, req.stream, "t", false, nil, batch)})
					}
					res := n.committer.append(context.Background(), req)
					if res.err != nil {
						return
					}
					mu.Lock()
					acked[req.events[count-1].id] = res.head.position
					mu.Unlock()
					done.Add(1)
				}
			})
		}
		enough := int64(1 + random.IntN(60))
		require.Eventually(t, func() bool { return done.Load() >= enough }, patience, time.Millisecond)
		mu.Lock()
		known := maps.Clone(acked) // later ones may or may not be in the clone
		mu.Unlock()
		after := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(101), RNG: rand.New(rand.NewPCG(seed, uint64(cycle)))})
		stop.Store(true)
		wg.Wait()
		require.NoError(t, n.Close())
		files, acked = after, known
	}
	t.Logf("%d appends acknowledged over %d power cuts", len(acked), *powerCuts)
}

// faults is a disk that fails as told.
type faults struct {
	on   atomic.Bool
	fail func(op errorfs.Op) error
}

func (f *faults) String() string { return "faults" }

func (f *faults) MaybeError(op errorfs.Op) error {
	if !f.on.Load() {
		return nil
	}
	return f.fail(op)
}

// A full disk is refused with its reason and taken back by itself when there is room.
func TestFullDiskPausesAppends(t *testing.T) {
	full := &faults{fail: func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpGetDiskUsage:
			return syscall.ENOSPC
		default:
			return nil
		}
	}}
	n := start(t, Options{files: errorfs.Wrap(vfs.Default, full), segment: 64 << 10})
	client := connect(t, n)
	full.on.Store(true)
	kept := 0
	big := func() esdb.EventData { return jsonEvent("big", `{"x":"`+strings.Repeat("x", 20_000)+`"}`) }
	require.Eventually(t, func() bool {
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, big())
		if err == nil {
			kept++
			return false
		}
		require.Equal(t, esdb.ErrorUnavailable, code(err))
		require.ErrorContains(t, err, "disk is full")
		return true
	}, patience, time.Millisecond)
	require.ErrorIs(t, n.Err(), errFull)
	require.Len(t, readStream(t, client, "s", esdb.ReadStreamOptions{}, 1000), kept)
	full.on.Store(false)
	require.Eventually(t, func() bool {
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, big())
		return err == nil
	}, patience, time.Millisecond)
	require.NoError(t, n.Err())
	require.NoError(t, n.Close())
	n = start(t, Options{Dir: n.dir})
	require.Len(t, readStream(t, connect(t, n), "s", esdb.ReadStreamOptions{}, 1000), kept+1)
}

// A write that fails, or stops halfway, is no write; the node refuses more, and
// nothing that it acknowledged is gone.
func TestFailedWritesStopWrites(t *testing.T) {
	syncs := &faults{fail: func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			return syscall.EIO
		}
		return nil
	}}
	short := &shortWrites{FS: vfs.Default}
	for name, disk := range map[string]struct {
		files vfs.FS
		on    *atomic.Bool
	}{
		"sync":  {errorfs.Wrap(vfs.Default, syncs), &syncs.on},
		"write": {short, &short.on},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, Options{files: disk.files})
			client := connect(t, n)
			appendAny(t, client, "s", jsonEvents(3, "a")...)
			disk.on.Store(true)
			_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvents(200, "lost")...)
			require.Equal(t, esdb.ErrorUnavailable, code(err))
			require.ErrorContains(t, err, "read-only")
			disk.on.Store(false)
			_, err = client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("lost", "{}"))
			require.ErrorContains(t, err, "read-only")
			require.Len(t, readAll(t, client, esdb.ReadAllOptions{}, 10), 3)
			require.NoError(t, n.Close())
			n = start(t, Options{Dir: n.dir})
			client = connect(t, n)
			require.GreaterOrEqual(t, len(readAll(t, client, esdb.ReadAllOptions{}, 1000)), 3)
			appendAny(t, client, "s", jsonEvents(1, "a")...)
		})
	}
}

// shortWrites is a disk that, once it is on, takes half of what the journal is given.
type shortWrites struct {
	vfs.FS
	on atomic.Bool
}

func (s *shortWrites) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.OpenReadWrite(name, category, opts...)
	if err != nil || !strings.HasSuffix(name, segmentSuffix) {
		return f, err
	}
	return &shortFile{File: f, on: &s.on}, nil
}

type shortFile struct {
	vfs.File
	on *atomic.Bool
}

func (f *shortFile) WriteAt(b []byte, offset int64) (int, error) {
	if f.on.Load() {
		return f.File.WriteAt(b[:len(b)/2], offset)
	}
	return f.File.WriteAt(b, offset)
}

// Tables that cannot be flushed turn the node read-only before they fill the memory,
// do not hold up Close, and cost nothing: the journal has what they lack.
func TestTablesThatCannotBeFlushed(t *testing.T) {
	broken := &faults{fail: func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			return syscall.EIO
		}
		return nil
	}}
	n := start(t, Options{files: errorfs.Wrap(vfs.Default, broken), segment: 64 << 10})
	client := connect(t, n)
	broken.on.Store(true)
	kept := 0
	require.Eventually(t, func() bool {
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("big", `{"x":"`+strings.Repeat("x", 20_000)+`"}`))
		if err == nil {
			kept++
			return false
		}
		require.ErrorContains(t, err, "read-only")
		return true
	}, patience, time.Millisecond)
	require.Len(t, readStream(t, client, "s", esdb.ReadStreamOptions{}, 1000), kept)
	began := time.Now()
	_ = n.Close()
	require.Less(t, time.Since(began), patience)
	n = start(t, Options{Dir: n.dir})
	require.Len(t, readStream(t, connect(t, n), "s", esdb.ReadStreamOptions{}, 1000), kept)
}
