package scanners

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/zippkg"
)

// Parts are what a runtime works with. All are shared and safe for concurrent use.
type Parts struct {
	Log    eventstore.Log
	Blobs  blob.Store
	Logger *slog.Logger
	Room   *Room // of the whole process; one of DefaultRoom if nil

	Listener Listener
}

// Options of a runtime; zero values are replaced by the defaults named here.
type Options struct {
	Instance    string        // unique among running processes; required
	Workers     int           // packages scanned at once; 2
	MaxAttempts int           // of one task before its delivery is parked; 3
	ScanTimeout time.Duration // of one attempt; 5 min
	Backoff     time.Duration // before the first repetition, then doubling; 500 ms
	Grace       time.Duration // for running scans when ctx ends; 5 s
	Heartbeat   time.Duration // between signs of life; scanner.Heartbeat
	Limits      zippkg.Limits // of packages
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = 2
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 3
	}
	if o.ScanTimeout <= 0 {
		o.ScanTimeout = 5 * time.Minute
	}
	if o.Backoff <= 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = scanner.Heartbeat
	}
	return o
}

const (
	maxBackoff = 30 * time.Second
	// handOver is added to the longest wait for a worker and the longest scan before
	// the log gives a delivery to somebody else: by then the attempt has ended here.
	handOver = time.Minute
	// backingOff is how many deliveries may back off beside those that have or wait
	// for a worker, before a consumer gets no more.
	backingOff = 64
	// workerPatience is how long a delivery waits for a worker before it is given
	// back: perhaps a sibling has one free.
	workerPatience = 10 * time.Second
	// neverParked keeps the log from parking by itself: deliveries come back for
	// reasons that are no fault of theirs (a lost connection, a stop, an event store
	// that cannot be written to), and a task must not fall silent for that. Whoever
	// is given up on gets a fact that says so, see handle.
	neverParked = 1_000_000
	// maxUnread is how often a task is tried whose stream the event store, though it
	// answers, does not give: some minutes long.
	maxUnread = 20
)

// Run makes s a participant until ctx ends. It joins again whenever the event
// store was away. At the end, running scans get Options.Grace to finish; what
// does not finish is delivered to another instance, or to the next one. Run
// returns nil when ctx ended, and an error only for what repeating cannot cure.
func Run(ctx context.Context, s Scanner, parts Parts, options Options) error {
	about := s.Describe()
	if !task.ValidType(about.Type) {
		return fmt.Errorf("%q is not a sub-task type", about.Type)
	}
	if options.Instance == "" {
		return errors.New("a scanner needs an instance name")
	}
	r := &runtime{
		Parts: parts, Options: options.withDefaults(), scanner: s, about: about,
		commands: commands.New(parts.Log), projects: commands.NewProjects(parts.Log), me: task.Scanner{
			Name: about.Name, Version: about.Version, Instance: options.Instance,
			RulesDigest: about.RulesDigest, ConfigDigest: about.ConfigDigest,
		},
	}
	r.Logger = parts.Logger.With("scanner", about.Type)
	if r.Room == nil {
		r.Room = NewRoom(DefaultRoom)
	}
	r.slots = make(chan struct{}, r.Workers)
	r.flights, r.troubles = map[eventstore.ID]*flight{}, map[eventstore.ID]trouble{}
	r.since = time.Now()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	eventstore.Resume(ctx, r.Logger, "deliveries", func(ctx context.Context, well func()) error {
		return r.consume(ctx, work, stop, well)
	})
	timer := time.AfterFunc(r.Grace, stop) // for work whose consumer was lost
	r.flying.Wait()
	timer.Stop()
	stop()
	if r.online {
		r.present(context.WithoutCancel(ctx), scanner.OfflineType)
	}
	return nil
}

type runtime struct {
	Parts
	Options
	scanner  Scanner
	about    Description
	me       task.Scanner
	commands *commands.Commands
	projects *commands.Projects
	slots    chan struct{} // a token for each running scan
	since    time.Time     // of this run: an instance may come and go under one name
	enlisted bool          // the roster is known to hold the type
	online   bool          // that it came is recorded
	beats    uint64        // signs of life so far
	joined   bool          // born stands
	// born is where the log ended when this run first joined: what stands there may
	// have been tried by others, or by this process before it died.
	born eventstore.Position

	flying   sync.WaitGroup
	handled  atomic.Uint64
	mu       sync.Mutex // guards flights and troubles
	flights  map[eventstore.ID]*flight
	troubles map[eventstore.ID]trouble
}

// consume handles deliveries until the consumer dies or ctx ends. When ctx ends it
// waits for what has begun, up to the grace time; when the consumer dies, what has
// begun goes on, and is told to the next consumer.
func (r *runtime) consume(ctx, work context.Context, stop, well func()) error {
	// Whoever backs off keeps a delivery but no worker.
	consumer, err := r.join(ctx, 2*r.Workers+backingOff)
	if err != nil {
		return err
	}
	well()
	lost, lose := context.WithCancel(work)
	waiting, leave := context.WithCancel(ctx) // for a worker, or in a backoff
	var running sync.WaitGroup
	defer func() {
		leave()
		if ctx.Err() != nil { // a stop in good order: let running scans finish
			timer := time.AfterFunc(r.Grace, stop)
			running.Wait()
			timer.Stop()
		}
		lose()
		running.Wait()
		_ = consumer.Close()
	}()
	if !r.online {
		// A stop in the middle must not leave it open whether it was recorded.
		r.online = r.present(context.WithoutCancel(ctx), scanner.OnlineType)
	}
	running.Go(func() { r.beat(waiting) })
	r.Logger.Info("scanner is ready", "group", groupOf(r.about.Type), "instance", r.me.Instance)
	for {
		d, err := consumer.Next(ctx)
		if err != nil {
			return err
		}
		running.Go(func() { r.deliver(waiting, lost, work, consumer, d) })
	}
}

func groupOf(subTaskType string) string { return "scanner-" + subTaskType }

// join makes the group and the type known, and enters the group.
func (r *runtime) join(ctx context.Context, buffer int) (eventstore.Consumer, error) {
	err := r.Log.EnsureGroup(ctx, eventstore.Group{
		Name:    groupOf(r.about.Type),
		Filter:  eventstore.Filter{Types: []string{"MainTaskCreated", "SubTaskRetryRequested"}},
		Timeout: 2*r.ScanTimeout + handOver, MaxRetries: neverParked,
	})
	if err != nil {
		return nil, err
	}
	if err := r.enlist(ctx); err != nil {
		return nil, err
	}
	if !r.joined {
		if r.born, err = r.Log.Head(ctx); err != nil {
			return nil, err
		}
		r.joined = true
	}
	return r.Log.Consume(ctx, groupOf(r.about.Type), buffer)
}

// deliver handles one delivery to its end: ack, retry or park. waiting ends with
// the consumer's life or a stop, lost with the consumer's life, or when a stop has
// taken its grace time.
func (r *runtime) deliver(waiting, lost, work context.Context, consumer eventstore.Consumer, d eventstore.Delivery) {
	log := r.Logger.With("event", d.Event.ID, "stream", d.Event.Stream)
	f := r.flightOf(d.Event.ID)
	if f == nil {
		timer := time.NewTimer(workerPatience/2 + rand.N(workerPatience))
		defer timer.Stop()
		select {
		case r.slots <- struct{}{}:
		case <-timer.C:
			// Unheard, it comes again all the same.
			_ = r.Listener.delivered(r.about.Type, Repeated, consumer.Retry(d, "no worker is free"))
			return
		case <-waiting.Done():
			return // never begun: leaving the group gives it to another
		}
		var began bool
		if f, began = r.begin(work, d); !began {
			<-r.slots
		}
	}
	select {
	case <-f.done:
	case <-lost.Done():
		return // the work goes on; the delivery comes again
	}
	err := f.err
	switch f.end {
	case endAck:
		err = r.Listener.delivered(r.about.Type, Acknowledged, consumer.Ack(d))
	case endPark:
		log.Error("delivery parked", "reason", err)
		err = r.Listener.delivered(r.about.Type, Parked, consumer.Park(d, text(err)))
	default:
		pause := delay(r.Backoff, r.troubled(d.Event.ID, func(t *trouble) { t.repeats++ }).repeats-1)
		log.Warn("delivery will be repeated", "in", pause, "reason", err)
		if wait(waiting, pause) != nil {
			return // leaving the group gives it to another
		}
		err = r.Listener.delivered(r.about.Type, Repeated, consumer.Retry(d, text(err)))
	}
	if err != nil {
		log.Warn("the end of a delivery was not told; it will come again", "error", err)
	}
}

type end int

const (
	endRetry end = iota
	endAck
	endPark
)

// handle does the work of one delivery. It returns endAck and endPark only after
// the facts that justify them are durable.
func (r *runtime) handle(ctx context.Context, d eventstore.Delivery) (end, error) {
	t, done, end, err := r.sift(ctx, d)
	if done {
		return end, err
	}
	taskID, fact, before := t.id, t.fact, t.before
	a := attempt{runtime: r, taskID: taskID, by: commands.Origin{Actor: "scanner " + r.about.Type, Causation: fact.ID}, of: d, delivery: r.deliveryName(d)}
	err = a.run(ctx, t.state)
	var short *memoryError
	if errors.As(err, &short) {
		r.troubled(d.Event.ID, func(t *trouble) { t.alone = true })
	}
	switch {
	case err == nil:
		return endAck, nil
	case short != nil && !short.alone:
		return endRetry, err // perhaps another took it
	case domain.RuleOf(err) == "attempt.ended":
		return endAck, nil // somebody else has ended it
	case domain.RuleOf(err) == "attempt.stale":
		// Whoever took over may have lost its delivery to us: then it must come again.
		return endRetry, err
	case domain.KindOf(err) == domain.Unavailable, errors.Is(err, errNoRoom), ctx.Err() != nil:
		return endRetry, err
	case a.number > 0 && a.number-before < r.MaxAttempts:
		return endRetry, err
	case blobsAway(err) && a.number == 0 && r.troubled(d.Event.ID, func(t *trouble) { t.untried++ }).untried < maxUnread:
		return endRetry, err // nothing was begun, and the package is not to blame
	case !blobsAway(err) && a.number == 0 && r.troubled(d.Event.ID, func(t *trouble) { t.untried++ }).untried < r.MaxAttempts:
		return endRetry, err
	}
	return r.giveUp(ctx, taskID, fact.ID, a.number, err)
}

// sifted is a delivery that is worth a try.
type sifted struct {
	id     string // of the task
	fact   task.Recorded
	state  task.State
	before int // the newest attempt before the fact: those after it count
}

// sift looks at what the log says of a delivery's task. done reports that there is
// nothing to be tried, and how the delivery ends then.
func (r *runtime) sift(ctx context.Context, d eventstore.Delivery) (_ sifted, done bool, _ end, _ error) {
	fact, err := commands.Decoded(d.Event)
	if err != nil {
		return sifted{}, true, endPark, err
	}
	taskID := d.Event.Stream.Key
	if again, ok := fact.Fact.(task.SubTaskRetryRequested); ok && again.Type != r.about.Type {
		return sifted{}, true, endAck, nil
	}
	facts, err := r.commands.Load(ctx, taskID)
	switch {
	case err == nil:
	case domain.KindOf(err) == domain.Internal && ctx.Err() == nil && r.troubled(d.Event.ID, func(t *trouble) { t.untried++ }).untried > maxUnread:
		return sifted{}, true, endPark, err // no fact can say so: the stream that would hold it cannot be read
	default:
		return sifted{}, true, endRetry, err
	}
	s := sifted{id: taskID, fact: fact, state: task.Fold(facts), before: attemptsBefore(facts, r.about.Type, fact.Revision)}
	mine, takesPart := s.state.SubTasks[r.about.Type]
	tries := s.state.Considered[r.about.Type].Tries
	switch {
	case answered(s.state, r.about.Type), wantedSince(facts, r.about.Type, fact.Revision):
		return s, true, endAck, nil // a wish since has a delivery of its own, and attempts of its own
	case takesPart && mine.State == task.StateRunning && mine.Attempt-s.before >= r.MaxAttempts:
		// Its last owner never came to an end: a crash, again and again.
		end, err := r.giveUp(ctx, taskID, fact.ID, mine.Attempt, fmt.Errorf("%d attempts ended without a result", mine.Attempt-s.before))
		return s, true, end, err
	}
	if known := r.troubled(d.Event.ID, func(*trouble) {}); tries >= r.MaxAttempts && !known.begun {
		end, err := r.giveUp(ctx, taskID, fact.ID, 0, fmt.Errorf("%d times a scanner looked at the package and ended without an answer", tries))
		return s, true, end, err
	}
	return s, false, endRetry, nil
}

// answered reports whether there is nothing to be said about the task any more.
func answered(s task.State, subTaskType string) bool {
	mine, takesPart := s.SubTasks[subTaskType]
	_, declined := s.Declined[subTaskType]
	return s.Created == nil || s.Cancelled != nil || declined || takesPart && mine.State != task.StateRunning && !mine.RetryWanted
}

// blobsAway reports whether the blob store failed, not what lies in it.
func blobsAway(err error) bool {
	var storage *blob.StorageError
	return errors.As(err, &storage)
}

// attemptsBefore is the newest attempt before the fact that is being handled: that
// one may lead to as many as any other.
func attemptsBefore(facts []task.Recorded, subTaskType string, revision uint64) (newest int) {
	for _, r := range facts {
		if f, ok := r.Fact.(task.SubTaskStarted); ok && r.Revision < revision && f.Type == subTaskType {
			newest = max(newest, f.Attempt)
		}
	}
	return newest
}

// wantedSince reports whether an operator wanted another attempt after the fact of
// that revision.
func wantedSince(facts []task.Recorded, subTaskType string, revision uint64) bool {
	return slices.ContainsFunc(facts, func(r task.Recorded) bool {
		f, ok := r.Fact.(task.SubTaskRetryRequested)
		return ok && r.Revision > revision && f.Type == subTaskType
	})
}

// deliveryName tells each handling of an event from every other, also of a process
// before this one; within it, a command that is repeated has the same.
func (r *runtime) deliveryName(d eventstore.Delivery) string {
	return fmt.Sprintf("%s/%d/%d", d.Event.ID, r.since.UnixNano(), r.handled.Add(1))
}

// giveUp ends the sub-task as a dead letter. number is the running attempt, or 0
// if none was begun.
func (r *runtime) giveUp(ctx context.Context, taskID, cause string, number int, why error) (end, error) {
	by := commands.Origin{Actor: "scanner " + r.about.Type, Causation: cause}
	if number == 0 {
		err := r.persist(ctx, func() (err error) {
			number, err = r.commands.Start(ctx, taskID, by, task.Start{Type: r.about.Type, Scanner: r.me, Delivery: "give-up/" + cause})
			return err
		})
		if err != nil {
			return endRetry, err
		}
		if number == 0 {
			return endAck, nil
		}
	}
	reason := "the scan could not be finished: " + text(why)
	err := r.persist(ctx, func() error {
		_, err := r.commands.Fail(ctx, taskID, by, task.SubTaskFailed{
			TaskID: taskID, Type: r.about.Type, Attempt: number, Kind: task.Error, Parked: true,
			Reason: reason, ReasonZH: "扫描无法完成：" + textZH(why),
		})
		return err
	})
	switch {
	case domain.KindOf(err) == domain.Refused:
		return endAck, nil // somebody else has taken over or ended it: there is no dead letter
	case err != nil:
		return endRetry, err
	}
	return endPark, why
}

// text keeps reasons that travel in facts and to the log short.
func text(err error) string {
	if err == nil {
		return ""
	}
	s := []rune(err.Error())
	return string(s[:min(len(s), 500)])
}

// textZH is text in Chinese, where there is one.
func textZH(err error) string {
	var short *memoryError
	if errors.As(err, &short) {
		return short.zh()
	}
	return text(err)
}

// delay doubles with n, from first to maxBackoff.
func delay(first time.Duration, n int) time.Duration {
	d := maxBackoff
	if n < 16 {
		d = min(maxBackoff, first<<n)
	}
	return d/2 + rand.N(d/2+1)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
