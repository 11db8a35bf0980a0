package projections

import (
	"context"
	"sync"
	"time"

	"github.com/factgate/factgate/eventstore"
)

// intake receives from a subscription ahead of the fold, within limits, so that
// the next batch travels, and is decoded, while this one is written. What is at hand is taken as
// a whole: that is what makes live batches small and late ones large.
type intake struct {
	maxEvents, maxBytes int

	mu       sync.Mutex
	messages []message
	taken    []message // by the reader
	bytes    int
	err      error // of the subscription; no message comes after it

	filled  chan struct{} // holds a token when there may be something to take
	drained chan struct{} // holds a token when there may be room
}

// message is what a subscription says, with the event read.
type message struct {
	kind     eventstore.MessageKind
	position eventstore.Position
	event    arrived // of KindEvent, if the read model is folded from it
	ours     bool
	weight   int
}

func newIntake(maxEvents, maxBytes int) *intake {
	return &intake{maxEvents: maxEvents, maxBytes: maxBytes, filled: make(chan struct{}, 1), drained: make(chan struct{}, 1)}
}

// receive runs until the subscription fails or ctx ends.
func (q *intake) receive(ctx context.Context, sub eventstore.Subscription) {
	for {
		m, err := sub.Next(ctx)
		got := message{kind: m.Kind, position: m.Position, weight: weight(m.Event)}
		if got.ours = err == nil && m.Kind == eventstore.KindEvent && ours(m.Event); got.ours {
			got.event = read(m.Event)
			got.weight = got.event.weight
		}
		q.mu.Lock()
		if err != nil {
			q.err = err
		} else {
			q.messages = append(q.messages, got)
			q.bytes += got.weight
		}
		full := q.full()
		q.mu.Unlock()
		notify(q.filled)
		if err != nil {
			return
		}
		for full {
			select {
			case <-q.drained:
			case <-ctx.Done():
				return
			}
			q.mu.Lock()
			full = q.full()
			q.mu.Unlock()
		}
	}
}

func (q *intake) full() bool { return len(q.messages) >= q.maxEvents || q.bytes >= q.maxBytes }

// take returns what is at hand, in order; it waits for something as long as
// patience says, for ever if that is negative. Nothing and no error means that
// patience ran out. The subscription's error comes after its last message.
//
// Nor is there anything when something else is done. What it returns is the caller's
// until the next take.
func (q *intake) take(ctx context.Context, patience time.Duration, done <-chan struct{}) ([]message, error) {
	var timeout <-chan time.Time
	if patience >= 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		timeout = timer.C
	}
	for {
		q.mu.Lock()
		err := q.err
		if len(q.messages) > 0 {
			clear(q.taken)
			q.messages, q.taken, q.bytes = q.taken[:0], q.messages, 0
			messages := q.taken
			q.mu.Unlock()
			notify(q.drained)
			return messages, nil
		}
		q.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-q.filled:
		case <-timeout:
			return nil, nil
		case <-done:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func notify(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

// weight is about what an event holds of memory.
func weight(r eventstore.Recorded) int { return len(r.Data) + len(r.Metadata) + len(r.Type) + 200 }
