package esdb

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The most that waits between the receiving goroutine and its reader. The reader
// holds at most as much again.
const (
	handoverItems = 1024
	handoverBytes = 4 << 20
)

// errSilence says that a stream that owes us messages brought none.
var errSilence = errors.New("the event store sent nothing for too long")

// handover carries what one goroutine receives to the one that reads. The
// client's Recv blocks and knows no context, so the reader cannot call it
// itself: a read given up would lose an event. Whole batches change hands, so
// that a full stream costs neither side a wake-up per event.
//
// There are two ways to end. The receiver ends it with an error, which the reader
// gets after everything that came before. The owner cancels life, which the
// reader learns at once.
type handover[T any] struct {
	life context.Context

	mu      sync.Mutex
	filling []T
	bytes   int   // in filling
	err     error // what comes after the last item

	ready chan struct{} // something is in filling, or err is set
	room  chan struct{} // filling was emptied

	reading []T // the reader's own
	next    int
}

func newHandover[T any](life context.Context) *handover[T] {
	return &handover[T]{
		life:  life,
		ready: make(chan struct{}, 1),
		room:  make(chan struct{}, 1),
	}
}

// put gives an item to the reader. It waits for room, and is false when life is
// over.
func (h *handover[T]) put(item T, size int) bool {
	for {
		h.mu.Lock()
		if len(h.filling) < handoverItems && h.bytes < handoverBytes {
			break
		}
		h.mu.Unlock()
		select {
		case <-h.room:
		case <-h.life.Done():
			return false
		}
	}
	h.filling = append(h.filling, item)
	h.bytes += size
	first := len(h.filling) == 1
	h.mu.Unlock()
	if first {
		signal(h.ready)
	}
	return true
}

// end lets the reader have what is there, then err. The receiver calls it last.
func (h *handover[T]) end(err error) {
	h.mu.Lock()
	h.err = err
	h.mu.Unlock()
	signal(h.ready)
}

// take waits for the next item; with a patience above zero, no longer than that.
// After ctx.Err() nothing is lost.
func (h *handover[T]) take(ctx context.Context, patience time.Duration) (T, error) {
	var zero T
	if h.life.Err() != nil {
		return zero, context.Cause(h.life)
	}
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	if h.next == len(h.reading) {
		if err := h.refill(ctx, patience); err != nil {
			return zero, err
		}
	}
	item := h.reading[h.next]
	h.reading[h.next] = zero
	h.next++
	return item, nil
}

// refill swaps the emptied batch for the filled one.
func (h *handover[T]) refill(ctx context.Context, patience time.Duration) error {
	var silence <-chan time.Time
	for {
		h.mu.Lock()
		if len(h.filling) > 0 {
			h.reading, h.filling = h.filling, h.reading[:0]
			h.next, h.bytes = 0, 0
			h.mu.Unlock()
			signal(h.room)
			return nil
		}
		err := h.err
		h.mu.Unlock()
		if err != nil {
			return err
		}
		if patience > 0 && silence == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			silence = timer.C
		}
		select {
		case <-h.ready:
		case <-h.life.Done():
			return context.Cause(h.life)
		case <-ctx.Done():
			return ctx.Err()
		case <-silence:
			return errSilence
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
