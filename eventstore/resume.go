package eventstore

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// The pauses of Resume, before jitter.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// Resume keeps up what lives on a [Subscription] or a [Consumer]. It calls
// follow, which begins where its owner's durable state ends and returns when
// something broke; then it pauses and calls it again, one call at a time, until
// ctx ends. It returns as soon as ctx has ended and follow has returned.
//
// Pauses double up to 5 s and vary by half, so that many who have lost the same
// server do not come back in step. follow says through well that it has joined or
// has got further; the next pause is then the shortest again. It calls well from
// one goroutine at a time and not after it has returned.
//
// The logger hears of each loss with its reason, and once that what was lost is
// well again; see also [WhenLost].
func Resume(ctx context.Context, logger *slog.Logger, name string, follow func(ctx context.Context, well func()) error) {
	pause := firstPause
	var lost time.Time // zero: nothing is lost
	well := func() {
		pause = firstPause
		if !lost.IsZero() {
			logger.Info("resumed", "what", name, "after", time.Since(lost).Round(time.Millisecond))
			lost = time.Time{}
		}
	}
	for ctx.Err() == nil {
		err := follow(ctx, well)
		if ctx.Err() != nil {
			return
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		wait := pause/2 + rand.N(pause)
		pause = min(2*pause, longestPause)
		logger.Warn("lost, trying again", "what", name, "in", wait.Round(time.Millisecond), "error", err)
		tellLost(ctx, name, err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
