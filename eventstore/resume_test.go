package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

// In a bubble time passes only while everybody waits, so pauses are seen exactly.
func TestResumePausesLongerAndLongerUntilAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		var began []time.Time
		running := 0
		eventstore.Resume(ctx, slog.New(slog.NewTextHandler(&heard, nil)), "reader", func(_ context.Context, well func()) error {
			running++
			require.Equal(t, 1, running, "one at a time")
			defer func() { running-- }()
			began = append(began, time.Now())
			switch len(began) {
			case 20: // twice: it has got further, and further still
				well()
				well()
			case 22:
				cancel()
			}
			return errors.New("cut")
		})
		require.Len(t, began, 22)
		pauses := make([]time.Duration, len(began)-1)
		for i := range pauses {
			pauses[i] = began[i+1].Sub(began[i])
		}
		expected := 50 * time.Millisecond
		differ := false
		for i, pause := range pauses {
			if i == 19 {
				expected = 50 * time.Millisecond
			}
			require.GreaterOrEqual(t, pause, expected/2, "pause %d", i)
			require.Less(t, pause, expected*3/2, "pause %d", i)
			differ = differ || i > 8 && i < 19 && pause != pauses[8]
			expected = min(2*expected, 5*time.Second)
		}
		require.True(t, differ, "pauses without jitter: %v", pauses)
		require.Equal(t, 21, strings.Count(heard.String(), "lost, trying again"))
		require.Contains(t, heard.String(), "error=cut")
		require.Equal(t, 1, strings.Count(heard.String(), "msg=resumed"))
	})
}

func TestResumeEndsWithItsContextAlsoInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		calls := 0
		go func() {
			defer close(ended)
			eventstore.Resume(ctx, slog.New(slog.DiscardHandler), "reader", func(context.Context, func()) error {
				calls++
				return errors.New("cut")
			})
		}()
		synctest.Wait() // it is in its first pause
		before := time.Now()
		cancel()
		<-ended
		require.Equal(t, before, time.Now(), "it did not sit out its pause")
		require.Equal(t, 1, calls)
		eventstore.Resume(ctx, slog.New(slog.DiscardHandler), "reader", func(context.Context, func()) error {
			require.Fail(t, "the context has ended")
			return nil
		})
	})
}
