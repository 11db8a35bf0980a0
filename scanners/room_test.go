package scanners

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARoomServesInOrder(t *testing.T) {
	r := NewRoom(10)
	enter := func(size int64) (leave chan func()) {
		leave = make(chan func(), 1)
		r.mu.Lock()
		line := len(r.waiting)
		r.mu.Unlock()
		go func() {
			f, err := r.enter(context.Background(), size)
			if err != nil {
				t.Error(err)
			}
			leave <- f
		}()
		for { // until it is in, or in line
			r.mu.Lock()
			inLine := len(r.waiting) > line
			r.mu.Unlock()
			if inLine || len(leave) > 0 {
				return leave
			}
		}
	}
	first := <-enter(6)
	giant := enter(1_000) // larger than the room: it gets all of it
	small := enter(1)     // would fit, but does not overtake
	require.Empty(t, giant)
	require.Empty(t, small)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.enter(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)

	first()
	first() // twice is harmless
	leave := <-giant
	require.Empty(t, small)
	leave()
	(<-small)()
	require.Zero(t, r.used)
	require.Empty(t, r.waiting)
}
