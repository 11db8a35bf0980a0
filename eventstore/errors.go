package eventstore

import (
	"errors"
	"fmt"
	"strconv"
)

// ConflictError says that a stream was not as an append expected. The caller
// reads the stream again and decides anew.
type ConflictError struct {
	Stream   StreamID
	Expected Expected
	// Actual is the revision of the stream's last event; Exists is false when
	// there is no stream.
	Actual uint64
	Exists bool
}

func (e *ConflictError) Error() string {
	actual := "no stream"
	if e.Exists {
		actual = "revision " + strconv.FormatUint(e.Actual, 10)
	}
	return fmt.Sprintf("stream %s: expected %s, found %s", e.Stream, e.Expected, actual)
}

// NotFoundError says that a stream, or a group, does not exist.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return e.Name + " does not exist in the event store" }

// DeletedError says that a stream was deleted for good.
type DeletedError struct{ Stream StreamID }

func (e *DeletedError) Error() string { return fmt.Sprintf("stream %s was deleted", e.Stream) }

// TooLargeError says that an append carries more bytes than the log takes at
// once. Nothing was appended.
type TooLargeError struct{ Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the append is larger than the event store's limit of %d bytes", e.Limit)
}

// UnavailableError says that the log could not be reached or did not answer in
// time. Whether a write took place is unknown; repeating it is safe.
type UnavailableError struct {
	Op  string // what was attempted
	Err error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("event store unavailable: %s: %v", e.Op, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// IsUnavailable reports whether err may be better in a moment.
func IsUnavailable(err error) bool {
	var u *UnavailableError
	return errors.As(err, &u)
}

// IsNotFound reports whether err says that a stream or group does not exist.
func IsNotFound(err error) bool {
	var n *NotFoundError
	return errors.As(err, &n)
}

// IsDeleted reports whether err says that a stream was deleted for good.
func IsDeleted(err error) bool {
	var d *DeletedError
	return errors.As(err, &d)
}
