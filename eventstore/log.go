package eventstore

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Log is a whole event store.
type Log interface {
	Appender
	Reader
	Follower
	Groups
	Keeper
	Eraser
}

// Appender appends.
type Appender interface {
	// Append adds events, at least one, to stream if it is as expected says, and
	// returns the revision and position of the last one. It returns after the
	// events are durable. Repeating a call with the same ids, the same order and the same
	// expectation is harmless and gives the same answer; after an
	// *UnavailableError the caller does not know whether the events were
	// appended, and repeats the call.
	Append(ctx context.Context, stream StreamID, expected Expected, events ...Event) (Appended, error)
}

// Appended says where the last event of an append stands.
type Appended struct {
	Revision uint64
	Position Position
}

// Reader reads.
type Reader interface {
	// ReadStream yields the events of stream from revision from (inclusive) in
	// revision order, and ends with the last one. A stream that does not exist
	// yields a *NotFoundError. After an error nothing more is yielded.
	ReadStream(ctx context.Context, stream StreamID, from uint64) iter.Seq2[Recorded, error]

	// ReadStreamBackwards yields at most limit events, the last one first.
	ReadStreamBackwards(ctx context.Context, stream StreamID, limit int) iter.Seq2[Recorded, error]

	// ReadAll yields the events of all streams after position from (exclusive)
	// that pass the filter, in position order, up to the end as it was when the
	// call was made or later.
	ReadAll(ctx context.Context, from Position, filter Filter) iter.Seq2[Recorded, error]

	// Head returns the position of the newest event of the log that is not the
	// log's own bookkeeping; 0 when there is none.
	Head(ctx context.Context) (Position, error)
}

// Eraser takes events away.
type Eraser interface {
	// Tombstone deletes stream for good. Once it returns, reads of the stream yield
	// a *DeletedError and appends to it are refused with one. The events leave the
	// order of all streams, and the disk, with the log's next scavenge, which is its
	// operator's business. Deleting a stream again, or one that never was, is
	// harmless.
	Tombstone(ctx context.Context, stream StreamID) error
}

// Follower follows the log.
type Follower interface {
	// Follow delivers every event after position from (exclusive) that passes
	// the filter, first what stands there, then what comes. The caller closes
	// the subscription. Cancelling ctx ends it too.
	Follow(ctx context.Context, from Position, filter Filter) (Subscription, error)
}

// Subscription is one reader's way through the log. It is not safe for
// concurrent use, but Close may be called at any time.
type Subscription interface {
	// Next waits for the next message. After an error the subscription is dead:
	// the caller follows again from the last position that it has made durable.
	// Only ctx.Err() of the caller's own ctx leaves it alive.
	Next(ctx context.Context) (Message, error)
	// Close ends the subscription and frees what it holds.
	Close() error
}

// Message is what a subscription says: exactly one of its kinds.
type Message struct {
	Kind     MessageKind
	Event    Recorded // of KindEvent
	Position Position // of KindEvent and KindCheckpoint: everything up to here has been delivered or did not pass the filter
}

// MessageKind tells messages apart.
type MessageKind int

const (
	// KindEvent carries an event.
	KindEvent MessageKind = iota + 1
	// KindCheckpoint carries a position only: events that did not pass the
	// filter were skipped, and a reader that stores Position need not skip them
	// again.
	KindCheckpoint
	// KindCaughtUp says that everything that stood in the log has been
	// delivered; what follows is live. It comes again after every falling behind.
	KindCaughtUp
)

// Filter chooses events by type or by stream, not by both. The zero value lets every
// event pass that is not the log's own bookkeeping.
type Filter struct {
	Types []string // an event passes if its type is one of these; empty: all
	// Categories lets an event pass, whatever its type, if its stream's category is
	// one of these; empty: all. The log's own bookkeeping passes here no more than
	// elsewhere.
	Categories []string
}

// Groups are competing consumers on $all: each event is handled by one of the
// consumers of a group.
type Groups interface {
	// EnsureGroup creates the group if it does not exist. An existing group is
	// left as it is, also when its settings differ.
	EnsureGroup(ctx context.Context, group Group) error
	// Consume joins the group. buffer is how many unacknowledged deliveries the
	// consumer may hold at once. The caller closes the consumer; whatever it
	// holds then is delivered to others. Cancelling ctx ends the consumer too.
	Consume(ctx context.Context, group string, buffer int) (Consumer, error)
}

// Group describes competing consumers.
type Group struct {
	Name   string
	Filter Filter
	// From is where a new group starts: after this position.
	From Position
	// Timeout is how long a consumer may hold a delivery before it is given to
	// another. 0 means 30 s.
	Timeout time.Duration
	// MaxRetries is how often a delivery is repeated (after a Retry, a time-out or
	// the loss of its consumer) before the log parks it by itself. 0 means 10.
	MaxRetries int
}

// Consumer is one member of a group. Next is called by one goroutine at a time;
// Ack, Retry and Park may be called from any.
type Consumer interface {
	// Next waits for the next delivery. After an error the consumer is dead and
	// its owner joins again. Only ctx.Err() of the caller's own ctx leaves it
	// alive.
	Next(ctx context.Context) (Delivery, error)
	// Ack says that the delivery is handled. Called only after the work is durable.
	Ack(Delivery) error
	// Retry gives the delivery back at once, to be delivered again.
	Retry(d Delivery, reason string) error
	// Park puts the delivery aside as a dead letter.
	Park(d Delivery, reason string) error
	// Close leaves the group.
	Close() error
}

// Delivery is an event given to a consumer.
type Delivery struct {
	Event Recorded
	// Retries is how often this delivery was repeated before, as far as the log
	// remembers; a restart of the log may forget it.
	Retries int
	// Receipt is the implementation's own: it finds the delivery again for Ack,
	// Retry and Park.
	Receipt any
}

// Keeper bounds streams whose older events are worth nothing.
type Keeper interface {
	// KeepNewest makes a stream, which need not exist yet, hold on to its newest n
	// events, now and from now on: older ones are not read from the stream any more,
	// and the log may take them out of its order whenever it likes. Revisions stay
	// what they were. Repeating a call is harmless.
	KeepNewest(ctx context.Context, stream StreamID, n int) error
}

// Expected is what an append demands of a stream. Made by Any, NoStream, Exists
// and At; the zero value is Any.
type Expected struct {
	Kind     ExpectedKind
	Revision uint64 // of ExpectRevision
}

// ExpectedKind tells expectations apart.
type ExpectedKind int

// The expectations; each is explained at the function that makes it.
const (
	ExpectAny ExpectedKind = iota
	ExpectNoStream
	ExpectExists
	ExpectRevision
)

// Any demands nothing: the append is not protected against others' writes.
func Any() Expected { return Expected{Kind: ExpectAny} }

// NoStream demands that the stream has no events yet.
func NoStream() Expected { return Expected{Kind: ExpectNoStream} }

// Exists demands that the stream has at least one event.
func Exists() Expected { return Expected{Kind: ExpectExists} }

// At demands that the last event of the stream has this revision.
func At(revision uint64) Expected { return Expected{Kind: ExpectRevision, Revision: revision} }

func (e Expected) String() string {
	switch e.Kind {
	case ExpectNoStream:
		return "no stream"
	case ExpectExists:
		return "exists"
	case ExpectRevision:
		return fmt.Sprintf("revision %d", e.Revision)
	default:
		return "any"
	}
}
