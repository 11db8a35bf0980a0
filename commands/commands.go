package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Log is what commands need of an event store.
type Log interface {
	eventstore.Appender
	eventstore.Reader
	eventstore.Eraser
}

// Commands appends facts. Its methods are the use cases:
//
//	Upload        a package was stored: make a task of it
//	OpenWindow    the coordinator opens the task's window
//	Consider      a scanner looks at a package once more
//	StayAway      … and declines
//	Start         a scanner begins an attempt
//	Complete      … and ends it: passed
//	Fail          … and ends it: failed, or could not be finished
//	Converge      the coordinator closes the window, if the rules say so
//	Cancel        an operator withdraws a task
//	Retry         … wants another attempt of one sub-task
//	Rescan        … wants a package looked at once more, as a new task
//	Replay        … deals with a dead letter: once more
//	Discard       … or never again
//
//	PublishRuleSet    a text becomes a version of a rule set
//	ActivateRuleSet   … and is put in service, for all or for one project
//	ConfigureProject  a project's rule set and window lengths
//	ConfigureScanner  how a type checks a project's packages
//	ResetScanner      … as by default again
//	GrantWaiver       findings do not count
//	RevokeWaiver      … and count again
//
//	SkipFact  read models pass by a fact that they cannot apply
//	EnlistScanner     a scanner's type is waited for
//	RetireScanner     … and, an operator says, not any more
//	IssueScannerKey   a scanner may speak for its type over HTTP
//	RevokeScannerKey  … and not any more
//
//	Pseudonym    the token under which facts may speak of a person
//	NameOf       … and the name that it stands for
//	ErasePerson  the name is forgotten, and no fact changes
//
// It is safe for concurrent use. All that it remembers are the names of people, as
// long as they are not erased.
type Commands struct {
	log    Log
	people people
}

// New returns the commands on a log.
func New(log Log) *Commands { return &Commands{log: log} }

// Origin says who wishes and why; it becomes the facts' metadata.
type Origin struct {
	Actor     string // a person's token (see Pseudonym), or a process: coordinator, scanner SQL
	Causation string // id of the event that led here, if any
}

// Done is what a command made happen.
type Done struct {
	State task.State  // after it
	Facts []task.Fact // appended by it; none if all was so already
	// Position of the last fact of the task that is known to this command: a
	// reader that has reached it sees what the command did.
	Position eventstore.Position
}

// Limits of one command.
const (
	maxConflicts = 50     // lost races in a row; each means that others made progress
	maxFacts     = 50_000 // of one stream
	// appendPatience is how long an append whose answer was lost is repeated.
	appendPatience = 5 * time.Second
)

// StreamOf returns the stream of a task.
func StreamOf(taskID string) eventstore.StreamID {
	return eventstore.StreamID{Category: task.Category, Key: taskID}
}

// Load reads all facts of a task, in order; none if there is no such task. What
// cannot be decoded is a task.Unreadable among them.
func (c *Commands) Load(ctx context.Context, taskID string) ([]task.Recorded, error) {
	if _, err := parseTaskID(taskID); err != nil {
		return nil, err
	}
	events, err := read(ctx, c.log, StreamOf(taskID))
	if err != nil {
		return nil, err
	}
	return factsOf(events), nil
}

func parseTaskID(taskID string) (eventstore.ID, error) {
	id, err := eventstore.ParseID(taskID)
	if err != nil {
		return id, &domain.Error{Kind: domain.Invalid, Rule: "task.id", Msg: fmt.Sprintf("%.60q is not a task id; task ids are UUIDs", taskID)}
	}
	return id, nil
}

func factsOf(events []eventstore.Recorded) []task.Recorded {
	var facts []task.Recorded
	for _, r := range events {
		facts = append(facts, recorded(r, task.Read(r.Type, r.Data)))
	}
	return facts
}

// Decoded turns a stored event of a task's stream into its fact.
func Decoded(r eventstore.Recorded) (task.Recorded, error) {
	f, err := task.Decode(r.Type, r.Data)
	if err != nil {
		return task.Recorded{}, &domain.Error{Kind: domain.Internal, Rule: "fact.unreadable",
			Msg: fmt.Sprintf("fact %s (revision %d of %s)", r.ID, r.Revision, r.Stream), Err: err}
	}
	return recorded(r, f), nil
}

func recorded(r eventstore.Recorded, f task.Fact) task.Recorded {
	return task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: f}
}

// execute loads a task, lets decide say what follows, and appends it.
func (c *Commands) execute(ctx context.Context, taskID string, by Origin, decide func(task.State, []task.Recorded) ([]task.Fact, error)) (Done, error) {
	id, err := parseTaskID(taskID)
	if err != nil {
		return Done{}, err
	}
	var done Done
	changed, err := c.change(ctx, StreamOf(taskID), func(events []eventstore.Recorded) (_ []eventstore.Event, err error) {
		facts := factsOf(events)
		done = Done{State: task.Fold(facts)}
		if done.Facts, err = decide(done.State, facts); err != nil {
			return nil, err
		}
		return encode(id, taskID, by, done.Facts)
	})
	done.Position = changed.position
	if err != nil {
		done.Facts = nil
		return done, err
	}
	for i, f := range done.Facts {
		done.State = task.Evolve(done.State, task.Recorded{ID: changed.events[i].ID.String(), Revision: changed.first + uint64(i), Fact: f})
	}
	return done, nil
}

// changed is what change made of a stream.
type changed struct {
	events   []eventstore.Event // appended
	first    uint64             // revision of the first of them
	position eventstore.Position
}

// change is how every fact comes into the log: it loads a stream, lets decide say
// which events follow, and appends them if nobody was faster; else it loads and
// decides again. The position is that of the stream's last event.
func (c *Commands) change(ctx context.Context, stream eventstore.StreamID, decide func([]eventstore.Recorded) ([]eventstore.Event, error)) (changed, error) {
	for range maxConflicts {
		past, err := read(ctx, c.log, stream)
		if err != nil {
			return changed{}, err
		}
		var done changed
		expected := eventstore.NoStream()
		if n := len(past); n > 0 {
			last := past[n-1]
			expected, done.first, done.position = eventstore.At(last.Revision), last.Revision+1, last.Position
		}
		if done.events, err = decide(past); err != nil || len(done.events) == 0 {
			return done, err
		}
		at, err := c.append(ctx, stream, expected, done.events)
		var conflict *eventstore.ConflictError
		switch {
		case errors.As(err, &conflict):
			if err := pause(ctx); err != nil {
				return changed{}, storeError("append to "+stream.String(), err)
			}
			continue
		case err != nil:
			return changed{}, storeError("append to "+stream.String(), err)
		}
		done.first, done.position = at.Revision+1-uint64(len(done.events)), at.Position
		return done, nil
	}
	return changed{}, &domain.Error{Kind: domain.Conflict, Rule: stream.Category + ".busy",
		Msg:   "too many others write to " + stream.String() + "; try again",
		MsgZH: "同时写入 " + stream.String() + " 的请求过多，请重试"}
}

// read loads a whole stream, in order; nothing if there is none.
func read(ctx context.Context, log eventstore.Reader, stream eventstore.StreamID) ([]eventstore.Recorded, error) {
	var events []eventstore.Recorded
	for r, err := range log.ReadStream(ctx, stream, 0) {
		if eventstore.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, storeError("read "+stream.String(), err)
		}
		if len(events) == maxFacts {
			return nil, &domain.Error{Kind: domain.Internal, Rule: stream.Category + ".too_long", Msg: fmt.Sprintf("%s has more than %d facts", stream, maxFacts)}
		}
		events = append(events, r)
	}
	return events, nil
}

// append repeats an append whose answer was lost, with the same ids.
func (c *Commands) append(ctx context.Context, stream eventstore.StreamID, expected eventstore.Expected, events []eventstore.Event) (eventstore.Appended, error) {
	return backoff.Retry(ctx, func() (eventstore.Appended, error) {
		at, err := c.log.Append(ctx, stream, expected, events...)
		if err != nil && !eventstore.IsUnavailable(err) {
			err = backoff.Permanent(err)
		}
		return at, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 20 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Second}),
		backoff.WithMaxElapsedTime(appendPatience))
}

// pause lets whoever was faster finish.
func pause(ctx context.Context) error {
	timer := time.NewTimer(rand.N(10 * time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// encode writes all facts before any is appended.
func encode(id eventstore.ID, taskID string, by Origin, facts []task.Fact) ([]eventstore.Event, error) {
	metadata, err := json.Marshal(map[string]string{
		"$correlationId": taskID, "$causationId": by.Causation, "actor": by.Actor,
	})
	if err != nil {
		return nil, err
	}
	events := make([]eventstore.Event, len(facts))
	for i, f := range facts {
		name, data, err := task.Encode(f)
		if err != nil {
			return nil, err
		}
		events[i] = eventstore.Event{ID: eventstore.DeriveID(id, f.Key()), Type: name, Data: data, Metadata: metadata}
	}
	return events, nil
}

// FactID is the id under which a fact of a task is recorded.
func FactID(taskID string, f task.Fact) string {
	id, err := parseTaskID(taskID)
	if err != nil {
		return ""
	}
	return eventstore.DeriveID(id, f.Key()).String()
}

func storeError(op string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case eventstore.IsUnavailable(err), errors.Is(err, context.DeadlineExceeded):
		return &domain.Error{Kind: domain.Unavailable, Rule: "eventstore.unavailable",
			Msg: "the event store does not answer; try again in a moment", MsgZH: "事件存储暂时无响应，请稍后重试", Err: fmt.Errorf("%s: %w", op, err)}
	default:
		return &domain.Error{Kind: domain.Internal, Rule: "eventstore.failed", Msg: op, Err: err}
	}
}
