package esdb

import (
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/factgate/factgate/eventstore"
)

func TestHandoverKeepsOrderAndBounds(t *testing.T) {
	life, end := context.WithCancel(t.Context())
	defer end()
	h := newHandover[int](life)
	const count = 10 * handoverItems
	produced := make(chan int, 1)
	go func() {
		n := 0
		for ; n < count && h.put(n, 1); n++ {
		}
		h.end(io.EOF)
		produced <- n
	}()
	for want := range count {
		got, err := h.take(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, want, got)
		h.mu.Lock()
		require.LessOrEqual(t, len(h.filling), handoverItems)
		h.mu.Unlock()
	}
	for range 2 {
		_, err := h.take(t.Context(), 0)
		require.ErrorIs(t, err, io.EOF)
	}
	require.Equal(t, count, <-produced)
}

func TestHandoverWaitsForRoomByBytes(t *testing.T) {
	life, end := context.WithCancelCause(t.Context())
	h := newHandover[int](life)
	require.True(t, h.put(1, handoverBytes))
	refused := make(chan bool)
	go func() { refused <- h.put(2, 1) }()
	select {
	case <-refused:
		require.Fail(t, "there was no room")
	case <-time.After(20 * time.Millisecond):
	}
	end(ErrClosed)
	require.False(t, <-refused)
	_, err := h.take(t.Context(), 0)
	require.ErrorIs(t, err, ErrClosed, "what is closed says so at once")
}

func TestHandoverLosesNothingWhenWaitingIsGivenUp(t *testing.T) {
	h := newHandover[int](t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.True(t, h.put(1, 1))
	_, err := h.take(ctx, 0)
	require.ErrorIs(t, err, context.Canceled)
	got, err := h.take(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, got)
	_, err = h.take(t.Context(), time.Millisecond)
	require.ErrorIs(t, err, errSilence)
}

func TestFiltersAreExact(t *testing.T) {
	types := []string{"SubTask.Started", "a|b", "(x)+", `\d`, "检查$"}
	filter := serverFilter(eventstore.Filter{Types: types})
	server := regexp.MustCompile(filter.Regex)
	for _, pass := range types {
		require.True(t, server.MatchString(pass), pass)
	}
	for _, stop := range []string{"SubTaskxStarted", "a", "b", "SubTask.Started2", "xSubTask.Started", "x", "7", ""} {
		require.False(t, server.MatchString(stop), stop)
	}
	everything := regexp.MustCompile(serverFilter(eventstore.Filter{}).Regex)
	require.True(t, everything.MatchString("Noted"))
	require.True(t, everything.MatchString("N"))
	require.False(t, everything.MatchString("$metadata"))
	require.False(t, passes(eventstore.Filter{}, "a-1", "$metadata"))
	require.False(t, passes(eventstore.Filter{Types: []string{"A"}}, "a-1", "A\n"))
	require.True(t, passes(eventstore.Filter{Categories: []string{"a"}}, "a-1", "A"))
	require.False(t, passes(eventstore.Filter{Categories: []string{"a"}}, "a-1", "$A"))
	require.False(t, passes(eventstore.Filter{Categories: []string{"a"}}, "ab-1", "A"))
}

func TestErrorsAreFoundHoweverTheyAreWrapped(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "down")
	for _, err := range []error{
		unavailable,
		fmt.Errorf("a: %w", fmt.Errorf("b: %w", unavailable)),
		fmt.Errorf("could not send append request. Reason: %w", io.EOF),
		context.DeadlineExceeded,
		context.Canceled,
		fmt.Errorf("x: %w", errSilence),
		status.Error(codes.Aborted, ""),
	} {
		translated := translate("op", "s", err)
		require.True(t, eventstore.IsUnavailable(translated), "%v", err)
		require.ErrorIs(t, translated, err)
		require.Equal(t, translated, translate("other", "s", translated), "once is enough")
	}
	require.True(t, eventstore.IsNotFound(translate("op", "s", status.Error(codes.NotFound, ""))))
	require.NoError(t, translate("op", "s", nil))
	require.Equal(t, ErrClosed, translate("op", "s", ErrClosed))
	require.False(t, eventstore.IsUnavailable(translate("op", "s", status.Error(codes.Internal, ""))))

	// A dropped stream is worth another try, but for reasons that stay.
	for code, again := range map[codes.Code]bool{
		codes.Internal: true, codes.Unknown: true, codes.Canceled: true, codes.FailedPrecondition: true, codes.Unavailable: true,
		codes.PermissionDenied: false, codes.Unauthenticated: false, codes.NotFound: false,
		codes.OutOfRange: false, codes.DataLoss: false,
	} {
		require.Equal(t, again, eventstore.IsUnavailable(translateDrop("op", "s", status.Error(code, ""))), code)
	}
	require.False(t, eventstore.IsUnavailable(translateDrop("op", "s", &panicError{value: "x"})))
	require.True(t, eventstore.IsUnavailable(translateDrop("op", "s", io.EOF)))

	var tooLarge *eventstore.TooLargeError
	require.ErrorAs(t, translateAppend("op", eventstore.StreamID{}, eventstore.Any(), 2<<20, io.EOF), &tooLarge)
	require.NotErrorAs(t, translateAppend("op", eventstore.StreamID{}, eventstore.Any(), 1<<10, io.EOF), &tooLarge)
}

func FuzzActualRevision(f *testing.F) {
	for _, message := range []string{
		"wrong expected version: expecting 'any' but got '7'", "expecting '3' but got 'no_stream'",
		"but got '", "but got '-1'", "but got '18446744073709551615'", "", "but got '99999999999999999999'",
	} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		revision, exists := actualRevision(message)
		if exists {
			require.Contains(t, message, "but got '")
			return
		}
		// An overflow is the only way to a number that does not count.
		require.True(t, revision == 0 || revision == math.MaxUint64)
	})
}

func FuzzAppendLimit(f *testing.F) {
	f.Add("Maximum Append Size of 1048576 Exceeded.")
	f.Add("Maximum Append Size of -1 Exceeded.")
	f.Add("Maximum Append Size of ")
	f.Add("")
	f.Fuzz(func(t *testing.T, message string) {
		if limit, ok := appendLimit(status.Error(codes.InvalidArgument, message)); ok {
			require.Positive(t, limit)
		}
		_, ok := appendLimit(status.Error(codes.Internal, message))
		require.False(t, ok)
	})
}

func FuzzConnectionString(f *testing.F) {
	for _, s := range []string{
		"esdb://127.0.0.1:2113?tls=false", "esdb+discover://u:p@h", "esdb://a,b,c", "esdb://a:1,b:2?nodePreference=leader",
		"esdb://h?defaultDeadline=0", "esdb://h?defaultDeadline=100", "", "esdb://", "http://h", "esdb://u:p@h:x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(strings.ToLower(s), "file") {
			return // names of certificate files are opened
		}
		config, err := parse(s)
		if err != nil {
			require.ErrorContains(t, err, "esdb://")
			return
		}
		require.NotNil(t, config)
	})
}
