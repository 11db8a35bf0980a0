package esdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/factgate/factgate/eventstore"
)

// ErrClosed is what calls get after the Log, the subscription or the consumer
// they belong to was closed.
var ErrClosed = errors.New("closed")

// defaultAppendLimit is the server's limit where it does not tell.
const defaultAppendLimit = 1 << 20

// clientCode finds the client's own error, wrapped or not. The client's FromError
// does not unwrap, so it calls a conflict on a wrapped error unknown.
func clientCode(err error) (esdb.ErrorCode, bool) {
	var e *esdb.Error
	if errors.As(err, &e) {
		return e.Code(), true
	}
	return esdb.ErrorCodeUnknown, false
}

// translate puts an error of a single call into the words of the contract. Name
// is the stream or group that it was about.
func translate(op, name string, err error) error {
	if err == nil || errors.Is(err, ErrClosed) || eventstore.IsUnavailable(err) || eventstore.IsNotFound(err) {
		return err
	}
	unavailable := &eventstore.UnavailableError{Op: op, Err: err}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, errTooManyAbandoned) || errors.Is(err, errSilence) {
		return unavailable
	}
	code, _ := clientCode(err)
	switch code {
	case esdb.ErrorCodeResourceNotFound:
		return &eventstore.NotFoundError{Name: name}
	case esdb.ErrorCodeStreamDeleted:
		return &eventstore.DeletedError{Stream: eventstore.ParseStreamID(name)}
	case esdb.ErrorCodeConnectionClosed, esdb.ErrorCodeDeadlineExceeded, esdb.ErrorCodeNotLeader,
		esdb.ErrorAborted, esdb.ErrorUnavailable:
		return unavailable
	}
	// A send into a broken stream is a bare EOF: the reason stays with the
	// client, which does not ask for it.
	if errors.Is(err, io.EOF) {
		return unavailable
	}
	switch status.Code(err) {
	case codes.NotFound:
		return &eventstore.NotFoundError{Name: name}
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Canceled:
		return unavailable
	}
	return fmt.Errorf("%s: %w", op, err)
}

// translateDrop puts the end of a subscription or consumer into the words of the
// contract. Whatever the server's reason, coming again may help, unless what was
// followed is gone, forbidden, damaged or of another log.
func translateDrop(op, name string, err error) error {
	translated := translate(op, name, err)
	if errors.Is(err, ErrClosed) || eventstore.IsNotFound(translated) || eventstore.IsUnavailable(translated) {
		return translated
	}
	var p *panicError
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.Unimplemented,
		codes.OutOfRange, codes.DataLoss: // a position of another log, a damaged log
		return translated
	}
	if errors.As(err, &p) {
		return translated
	}
	return &eventstore.UnavailableError{Op: op, Err: err}
}

// translateAppend is translate with what only appends meet.
func translateAppend(op string, stream eventstore.StreamID, expected eventstore.Expected, size int, err error) error {
	if err == nil {
		return nil
	}
	code, _ := clientCode(err)
	if code == esdb.ErrorCodeWrongExpectedVersion {
		conflict := &eventstore.ConflictError{Stream: stream, Expected: expected}
		conflict.Actual, conflict.Exists = actualRevision(err.Error())
		return conflict
	}
	if limit, ok := appendLimit(err); ok {
		return &eventstore.TooLargeError{Limit: limit}
	}
	// A server that refuses before it has read everything breaks the stream.
	if size > defaultAppendLimit && (errors.Is(err, io.EOF) ||
		status.Code(err) == codes.ResourceExhausted || status.Code(err) == codes.InvalidArgument) {
		return &eventstore.TooLargeError{Limit: defaultAppendLimit}
	}
	return translate(op, stream.String(), err)
}

// actualRevision reads the revision out of the client's message, the only place
// in which it hands it on: "… but got '7'" or "… but got 'no_stream'".
func actualRevision(message string) (revision uint64, exists bool) {
	_, got, found := strings.Cut(message, "but got '")
	if !found {
		return 0, false
	}
	got, _, _ = strings.Cut(got, "'")
	revision, err := strconv.ParseUint(got, 10, 64)
	return revision, err == nil
}

// appendLimit reads the limit out of the server's message; the trailers, which
// hold it too, do not get past the client.
func appendLimit(err error) (limit int, ok bool) {
	if status.Code(err) != codes.InvalidArgument {
		return 0, false
	}
	_, rest, found := strings.Cut(err.Error(), "Maximum Append Size of ")
	if !found {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, " ")
	limit, atoiErr := strconv.Atoi(digits)
	return limit, atoiErr == nil && limit > 0
}
