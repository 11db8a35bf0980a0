package esdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/factgate/factgate/eventstore"
)

const defaultTimeout = 10 * time.Second

// Options are what Open can be told. The zero value is good.
type Options struct {
	// Logger hears of connections lost and made, and of the client's chatter at
	// debug level. nil: silence.
	Logger *slog.Logger
	// Timeout bounds each call whose context has no deadline of its own, and the
	// silence within a read. 0: what the connection string's defaultDeadline
	// says, else 10 s.
	Timeout time.Duration
}

// Log is an event store behind the official client. It is safe for concurrent
// use. See the package comment for what it survives.
type Log struct {
	clients *supervisor
	logger  *slog.Logger
	timeout time.Duration

	// life ends with Close, and with it every stream.
	life context.Context
	end  context.CancelFunc
}

var _ eventstore.Log = (*Log)(nil)

// Open makes a Log for a connection string and begins to connect in the
// background. It does not wait for the server, see [Log.Ping]; it fails only when
// the connection string is wrong. ctx bounds nothing but Open itself.
func Open(ctx context.Context, connectionString string, options Options) (*Log, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	config, err := parse(connectionString)
	if err != nil {
		return nil, err
	}
	l := &Log{logger: options.Logger, timeout: options.Timeout}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	if l.timeout <= 0 {
		l.timeout = defaultTimeout
		if d := config.DefaultDeadline; d != nil {
			l.timeout = *d
		}
	}
	// Contexts set the deadlines and the supervisor does the repeating.
	never := time.Duration(math.MaxInt64)
	config.DefaultDeadline = &never
	config.MaxDiscoverAttempts = 1
	config.DiscoveryInterval = 0
	l.life, l.end = context.WithCancel(context.WithoutCancel(ctx))
	l.clients = supervise(*config, l.logger)
	return l, nil
}

// parse reads a connection string. Its errors say what a right one looks like
// and never repeat the wrong one, which may hold a password.
func parse(connectionString string) (*esdb.Configuration, error) {
	config, err := esdb.ParseConnectionString(connectionString)
	if err == nil && config.DefaultDeadline != nil && *config.DefaultDeadline <= 0 {
		err = errors.New("defaultDeadline is not a number of milliseconds")
	}
	if err == nil {
		return config, nil
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return nil, fmt.Errorf("the event store's connection string is wrong: %w; "+
		"a right one looks like esdb://127.0.0.1:2113?tls=false (one node), "+
		"esdb://user:password@node1:2113,node2:2113,node3:2113 (a cluster) "+
		"or esdb+discover://user:password@cluster.example:2113 (a cluster by DNS)", err)
}

// Ping asks the log for its newest event: nil means that it can be read now.
func (l *Log) Ping(ctx context.Context) error {
	_, err := l.backwards(ctx, "ping", esdb.End{}, 1)
	return err
}

// Close ends every subscription and consumer, lets running calls and a discovery
// that is under way finish, and frees the connection. Calls that come later get
// [ErrClosed]. It waits for 10 s more than the time-out of calls and fails if
// something still has not ended then.
func (l *Log) Close() error {
	l.end()
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout+defaultTimeout)
	defer cancel()
	return l.clients.close(ctx)
}

// bounded gives a context that has no deadline the default one.
func (l *Log) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.timeout)
}

// Append implements [eventstore.Appender]. After an error that is Unavailable
// the client may still be reading the events' bytes: repeat with the same ones
// and do not write into them.
func (l *Log) Append(ctx context.Context, stream eventstore.StreamID, expected eventstore.Expected, events ...eventstore.Event) (eventstore.Appended, error) {
	op := "append to " + stream.String()
	proposed, size, err := propose(stream, events)
	if err != nil {
		return eventstore.Appended{}, fmt.Errorf("%s: %w", op, err)
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	options := esdb.AppendToStreamOptions{ExpectedRevision: expectation(expected)}
	var result *esdb.WriteResult
	err = l.clients.call(ctx, func(ctx context.Context, s *session) (err error) {
		result, err = s.client.AppendToStream(ctx, stream.String(), options, proposed...)
		return err
	}, nil)
	if err != nil {
		return eventstore.Appended{}, translateAppend(op, stream, expected, size, err)
	}
	appended := eventstore.Appended{
		Revision: result.NextExpectedVersion,
		Position: eventstore.Position(result.CommitPosition),
	}
	if appended.Position == 0 {
		// A server may recognise a repeated append without recalling its position.
		for event, err := range l.ReadStream(ctx, stream, appended.Revision) {
			if err != nil {
				return eventstore.Appended{}, err
			}
			appended.Position = event.Position
			break
		}
	}
	return appended, nil
}

// propose checks events and brings them into the client's form.
func propose(stream eventstore.StreamID, events []eventstore.Event) ([]esdb.EventData, int, error) {
	switch {
	case stream.Category == "" || strings.Contains(stream.Category, "-"):
		return nil, 0, fmt.Errorf("a stream's category is not empty and holds no '-': %q", stream.Category)
	case len(events) == 0:
		return nil, 0, errors.New("there are no events to append")
	}
	proposed := make([]esdb.EventData, len(events))
	size := 0
	for i, e := range events {
		switch {
		case e.ID == eventstore.ID{}:
			return nil, 0, fmt.Errorf("event %d has no id", i)
		case e.Type == "":
			return nil, 0, fmt.Errorf("event %d has no type", i)
		}
		proposed[i] = esdb.EventData{
			EventID:     [16]byte(e.ID),
			EventType:   e.Type,
			ContentType: esdb.ContentTypeJson,
			Data:        e.Data,
			Metadata:    e.Metadata,
		}
		size += len(e.Data) + len(e.Metadata) + 2*len(e.Type)
	}
	return proposed, size, nil
}

func expectation(e eventstore.Expected) esdb.ExpectedRevision {
	switch e.Kind {
	case eventstore.ExpectNoStream:
		return esdb.NoStream{}
	case eventstore.ExpectExists:
		return esdb.StreamExists{}
	case eventstore.ExpectRevision:
		return esdb.Revision(e.Revision)
	default:
		return esdb.Any{}
	}
}

// ReadStream implements [eventstore.Reader].
func (l *Log) ReadStream(ctx context.Context, stream eventstore.StreamID, from uint64) iter.Seq2[eventstore.Recorded, error] {
	options := esdb.ReadStreamOptions{Direction: esdb.Forwards, From: esdb.Revision(from)}
	return l.readStream(ctx, stream, options, math.MaxInt64)
}

// ReadStreamBackwards implements [eventstore.Reader].
func (l *Log) ReadStreamBackwards(ctx context.Context, stream eventstore.StreamID, limit int) iter.Seq2[eventstore.Recorded, error] {
	if limit <= 0 {
		return func(func(eventstore.Recorded, error) bool) {}
	}
	options := esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}
	return l.readStream(ctx, stream, options, uint64(limit))
}

func (l *Log) readStream(ctx context.Context, stream eventstore.StreamID, options esdb.ReadStreamOptions, count uint64) iter.Seq2[eventstore.Recorded, error] {
	name := stream.String()
	return l.read(ctx, "read "+name, name, func(ctx context.Context, c *esdb.Client) (*esdb.ReadStream, error) {
		return c.ReadStream(ctx, name, options, count)
	})
}

// read yields what a finite read of the client brings. Each event must come
// within the time-out; the time that the loop's body takes does not count.
func (l *Log) read(ctx context.Context, op, name string, open func(context.Context, *esdb.Client) (*esdb.ReadStream, error)) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(l.life, func() { cancel(ErrClosed) })()
		silence := time.AfterFunc(l.timeout, func() { cancel(errSilence) })
		defer silence.Stop()

		var events *esdb.ReadStream
		var current *session
		err := l.clients.call(ctx, func(ctx context.Context, s *session) (err error) {
			if events, err = open(ctx, s.client); err == nil {
				s.hold()
				current = s
			}
			return err
		}, func() { current.release() })
		if err != nil {
			yield(eventstore.Recorded{}, translate(op, name, err))
			return
		}
		defer current.release()
		defer events.Close()
		for {
			resolved, err := recvEvent(events)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				yield(eventstore.Recorded{}, translate(op, name, err))
				return
			}
			silence.Stop()
			if !yield(recorded(resolved.Event), nil) {
				return
			}
			silence.Reset(l.timeout)
		}
	}
}

// recvEvent receives one event. The client panics on a message it does not know.
func recvEvent(events *esdb.ReadStream) (resolved *esdb.ResolvedEvent, err error) {
	defer recoverInto(&err)
	return events.Recv()
}

// ReadAll implements [eventstore.Reader]. The client's own read of $all takes no
// filter and includes its starting position; a subscription that is left when it
// has caught up filters at the server and excludes it.
func (l *Log) ReadAll(ctx context.Context, from eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		sub, err := l.follow(ctx, "read $all", from, filter)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		defer func() { _ = sub.Close() }() // whoever stopped reading has no use for its error
		for {
			message, err := sub.out.take(ctx, l.timeout)
			switch {
			case err != nil:
				yield(eventstore.Recorded{}, translate("read $all", "$all", err))
				return
			case message.Kind == eventstore.KindCaughtUp:
				return
			case message.Kind == eventstore.KindEvent && !yield(message.Event, nil):
				return
			}
		}
	}
}

// Head implements [eventstore.Reader]. It looks back over the log's bookkeeping
// in growing steps.
func (l *Log) Head(ctx context.Context) (eventstore.Position, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	var from esdb.AllPosition = esdb.End{}
	for count := uint64(16); ; count = min(count*8, 4096) {
		events, err := l.backwards(ctx, "read the head of $all", from, count)
		if err != nil {
			return 0, err
		}
		for _, e := range events {
			if !bookkeeping(e.Type) {
				return e.Position, nil
			}
		}
		if uint64(len(events)) < count {
			return 0, nil
		}
		last := uint64(events[len(events)-1].Position)
		from = esdb.Position{Commit: last, Prepare: last}
	}
}

// backwards reads count events of $all before from, the newest first.
func (l *Log) backwards(ctx context.Context, op string, from esdb.AllPosition, count uint64) ([]eventstore.Recorded, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	options := esdb.ReadAllOptions{Direction: esdb.Backwards, From: from}
	var events []eventstore.Recorded
	for e, err := range l.read(ctx, op, "$all", func(ctx context.Context, c *esdb.Client) (*esdb.ReadStream, error) {
		return c.ReadAll(ctx, options, count)
	}) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// recorded brings an event into the contract's form. Commit and prepare position
// are the same for everything that was written over gRPC.
func recorded(e *esdb.RecordedEvent) eventstore.Recorded {
	return eventstore.Recorded{
		Event: eventstore.Event{
			ID:       eventstore.ID(e.EventID),
			Type:     e.EventType,
			Data:     e.Data,
			Metadata: e.UserMetadata,
		},
		Stream:   eventstore.ParseStreamID(e.StreamID),
		Revision: e.EventNumber,
		Position: eventstore.Position(e.Position.Commit),
		At:       e.CreatedDate,
	}
}

// bookkeeping reports whether a type is one of the log's own.
func bookkeeping(eventType string) bool { return strings.HasPrefix(eventType, "$") }

// allFrom is a position for the client: 0 is before every event.
func allFrom(p eventstore.Position) esdb.AllPosition {
	if p == 0 {
		return esdb.Start{}
	}
	return esdb.Position{Commit: uint64(p), Prepare: uint64(p)}
}

// serverFilter is a filter for the server, by stream if categories are given. Its regular expressions are not
// anchored and its prefixes would let longer types pass, hence ^ and $.
func serverFilter(f eventstore.Filter) *esdb.SubscriptionFilter {
	if len(f.Categories) > 0 {
		prefixes := make([]string, len(f.Categories))
		for i, category := range f.Categories {
			prefixes[i] = category + "-"
		}
		return &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: prefixes}
	}
	expression := "^[^$]"
	if len(f.Types) > 0 {
		quoted := make([]string, len(f.Types))
		for i, t := range f.Types {
			quoted[i] = regexp.QuoteMeta(t)
		}
		expression = "^(" + strings.Join(quoted, "|") + ")$"
	}
	return &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: expression}
}

// passes checks here what the server has filtered already: in its expressions $
// also stands before a final line feed.
func passes(f eventstore.Filter, stream, eventType string) bool {
	if len(f.Categories) > 0 && !slices.Contains(f.Categories, eventstore.ParseStreamID(stream).Category) {
		return false
	}
	if len(f.Types) == 0 {
		return !bookkeeping(eventType)
	}
	return slices.Contains(f.Types, eventType)
}
