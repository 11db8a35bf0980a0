package scanners

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// LimitMemory ends scans when the process's heap grows beyond so many bytes, before
// the operating system ends the process. It also sets the runtime's own soft limit
// (unless that is lower), so what counts is what is in use and not what waits for the
// collector. Call it before the room is used, once in a process.
//
// Nobody can tell which of several scans took the memory. So all that are at work end,
// and each is tried again alone, for the price of an attempt; one that runs out of it
// alone has nobody else to blame, and after its attempts it is parked. Meanwhile
// nobody begins until the memory is free again.
//
// It looks every few milliseconds. A single allocation of more than there is, or a
// scanner that heeds no context and goes on allocating, it cannot stop: then the
// process dies, which is counted as an attempt too.
func (r *Room) LimitMemory(bytes int64) {
	debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), bytes))
	r.memory = &memory{limit: bytes, inside: map[*context.CancelCauseFunc]bool{}, trips: &r.trips}
}

// MemoryTrips is how often the watch has ended the scans at work.
func (r *Room) MemoryTrips() uint64 { return r.trips.Load() }

// memory watches the heap while scans are at work. A nil memory has no limit.
type memory struct {
	limit int64
	trips *atomic.Uint64

	mu       sync.Mutex
	inside   map[*context.CancelCauseFunc]bool
	over     chan struct{} // not nil while the heap is over the limit; then closed
	watching bool
}

// memoryError ends a scan because the process ran out of memory.
type memoryError struct {
	limit int64
	alone bool // no other scan was at work
}

func (e *memoryError) Error() string {
	return fmt.Sprintf("it took too much memory: scans may have %d MiB in this process; see --scan-memory", e.limit>>20)
}

func (e *memoryError) zh() string {
	return fmt.Sprintf("占用内存过多：本进程允许扫描使用 %d MiB，参见 --scan-memory", e.limit>>20)
}

// errMemoryHeld: nothing was tried.
var errMemoryHeld = fmt.Errorf("memory is short, a scan that was ended may still hold it: %w", errNoRoom)

const (
	lookAtMemory  = 5 * time.Millisecond
	longestGlance = time.Second
)

// enter waits until there is memory. inside is ctx, and ends with a *memoryError when
// there is none any more. leave must be called once.
func (m *memory) enter(ctx context.Context) (inside context.Context, leave func(), err error) {
	if m == nil {
		return ctx, func() {}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.inside) == 0 && m.over == nil && heapInUse() > m.limit {
		m.over = make(chan struct{}) // whoever comes now is not to blame
	}
	m.watched()
	timer := time.NewTimer(roomPatience)
	defer timer.Stop()
	for m.over != nil {
		over := m.over
		m.mu.Unlock()
		select {
		case <-over:
		case <-timer.C:
			err = errMemoryHeld
		case <-ctx.Done():
			err = ctx.Err()
		}
		m.mu.Lock()
		if err != nil {
			return nil, nil, err
		}
	}
	inside, end := context.WithCancelCause(ctx)
	m.inside[&end] = true
	m.watched()
	return inside, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.inside, &end)
		end(nil)
	}, nil
}

// watched sees to it that somebody watches. m.mu is held.
func (m *memory) watched() {
	if !m.watching {
		m.watching = true
		go m.watch()
	}
}

// watch looks at the heap as long as there is anybody whom it could concern.
func (m *memory) watch() {
	pause := lookAtMemory
	for {
		time.Sleep(pause)
		if m.look() {
			return
		}
		pause = lookAtMemory
		m.mu.Lock()
		over := m.over
		m.mu.Unlock()
		for ; over != nil && heapInUse() > m.limit; pause = min(2*pause, longestGlance) {
			debug.FreeOSMemory()
			if heapInUse() > m.limit {
				time.Sleep(pause)
			}
		}
		if over != nil {
			m.mu.Lock()
			m.over = nil
			m.mu.Unlock()
			close(over)
			pause = lookAtMemory
		}
	}
}

// look ends what is at work if there is too much in use. It returns whether there is
// nothing left to be watched.
func (m *memory) look() (done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.over != nil:
		return false
	case len(m.inside) == 0:
		m.watching = false
		return true
	case heapInUse() <= m.limit:
		return false
	}
	m.over = make(chan struct{})
	short := &memoryError{limit: m.limit, alone: len(m.inside) == 1}
	for end := range m.inside {
		(*end)(short)
	}
	clear(m.inside)
	m.trips.Add(1)
	return false
}

// heapInUse is what objects take, used ones and those that wait for the collector.
func heapInUse() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
