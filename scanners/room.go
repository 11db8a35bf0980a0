package scanners

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Room bounds how many bytes of packages are at work at once, so that a few large
// ones do not take more memory than a process has. All runtimes of a process share
// one. Whoever waits is served in order: a giant waits for those before it, and
// those behind it wait for the giant, so neither starves.
type Room struct {
	total  int64
	memory *memory // see LimitMemory
	trips  atomic.Uint64

	mu      sync.Mutex
	used    int64
	waiting []*guest
}

type guest struct {
	size  int64
	enter chan struct{} // closed when there is room
}

// DefaultRoom is the room of a process that was given none: two uploads of the
// largest size, and some small ones beside them.
const DefaultRoom = 512 << 20

// NewRoom returns a room of so many bytes.
func NewRoom(bytes int64) *Room { return &Room{total: max(1, bytes)} }

// errNoRoom: others are at work; nothing was tried.
var errNoRoom = errors.New("there is no room for the package beside those at work")

// wholeRoom is more than any room has: whoever asks for it is alone.
const wholeRoom = math.MaxInt64

// roomPatience is how long a package waits in line before its delivery is given
// back to the log.
const roomPatience = 30 * time.Second

// enter waits for room. What is larger than the whole room has it alone. leave must
// be called once.
func (r *Room) enter(ctx context.Context, size int64) (leave func(), err error) {
	size = min(max(size, 1), r.total)
	leave = sync.OnceFunc(func() { r.release(size) })
	r.mu.Lock()
	if len(r.waiting) == 0 && r.used+size <= r.total {
		r.used += size
		r.mu.Unlock()
		return leave, nil
	}
	g := &guest{size: size, enter: make(chan struct{})}
	r.waiting = append(r.waiting, g)
	r.mu.Unlock()
	timer := time.NewTimer(roomPatience)
	defer timer.Stop()
	select {
	case <-g.enter:
		return leave, nil
	case <-timer.C:
		err = errNoRoom
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.waiting {
		if other == g {
			r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
			r.admit() // those behind it may fit
			return nil, err
		}
	}
	return leave, nil // let in just now
}

func (r *Room) release(size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= size
	r.admit()
}

// admit lets in who is first in line, as long as they fit. r.mu is held.
func (r *Room) admit() {
	for len(r.waiting) > 0 && r.used+r.waiting[0].size <= r.total {
		r.used += r.waiting[0].size
		close(r.waiting[0].enter)
		r.waiting = r.waiting[1:]
	}
}
