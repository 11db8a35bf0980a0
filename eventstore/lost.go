package eventstore

import "context"

type lostKey struct{}

// WhenLost returns a context that has [Resume] tell lost of each loss, beside the
// logger: what was lost, in Resume's own name for it, and why. lost is called on the
// goroutine that tries again, of several at once; it must be quick, and must neither
// block nor panic.
func WhenLost(ctx context.Context, lost func(what string, err error)) context.Context {
	return context.WithValue(ctx, lostKey{}, lost)
}

func tellLost(ctx context.Context, what string, err error) {
	if lost, ok := ctx.Value(lostKey{}).(func(string, error)); ok {
		lost(what, err)
	}
}
