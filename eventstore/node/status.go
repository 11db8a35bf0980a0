package node

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Values of the trailer "exception", by which clients tell errors apart.
const (
	trailerException        = "exception"
	exceptionAccessDenied   = "access-denied"
	exceptionAppendTooLarge = "maximum-append-size-exceeded"
	exceptionGroupExists    = "persistent-subscription-exists"
	exceptionGroupMissing   = "persistent-subscription-does-not-exist"
	exceptionGroupDropped   = "persistent-subscription-dropped"
	exceptionMaxSubscribers = "maximum-subscribers-reached"
	exceptionStreamDeleted  = "stream-deleted"
	exceptionWrongExpected  = "wrong-expected-version"
	trailerExpectedVersion  = "expected-version"
	trailerActualVersion    = "actual-version"
	trailerMaxAppendSize    = "maximum-append-size"
	trailerStreamName       = "stream-name"
	trailerGroupName        = "group-name"
	notServedYet            = "this node does not serve %s"
	reasonPositionPastEnd   = "position C:%d/P:%d is past the end of this log, C:%d/P:%d: it was taken from another log"
)

// withException answers with a status and the trailers that clients look for.
func withException(ctx context.Context, code codes.Code, exception, message string, more ...string) error {
	// A failure to set them means that the call is over: nobody is left to tell.
	trailers := metadata.Pairs(trailerException, exception)
	for i := 0; i+1 < len(more); i += 2 {
		trailers.Set(more[i], printable(more[i+1]))
	}
	_ = grpc.SetTrailer(ctx, trailers)
	return status.Error(code, message)
}

// printable writes what a trailer cannot carry, as in names of streams, in the way
// of URLs; a client that is sent such bytes as they are drops the answer.
func printable(text string) string {
	var b []byte
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			b = fmt.Appendf(b, "%%%02X", c)
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// toStatus maps the node's errors to what clients see.
func toStatus(err error) error {
	var damaged *DamagedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &damaged):
		return status.Error(codes.DataLoss, err.Error())
	case errors.Is(err, errReadOnly), errors.Is(err, errClosing):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	if _, is := status.FromError(err); is {
		return err
	}
	return status.Error(codes.Internal, err.Error())
}
