package projections

import (
	"errors"
	"slices"
	"time"

	json "github.com/go-json-experiment/json/v1"

	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// batch is what a run of events does to the read model: the newest state of each
// task that they touch, and what they add.
type batch struct {
	tasks    map[eventstore.ID]*change
	order    []*change // as first touched
	scanners map[string]*scannerRow
	roster   roster
	dead     deadLetters
	skips    skips // that it may pass by
	skipped  []skipped
	ended    []endedAttempt
	upTo     eventstore.Position
	eventAt  time.Time // of the newest event folded; zero if there is none
}

// change is one task before and after a batch.
type change struct {
	id            eventstore.ID
	before, after task.State
	fresh         bool                // no fact of the task was folded before
	first         eventstore.Position // of the task's first fact; 0 if it was folded before
	weight, facts int                 // as in remembered
	closed        eventstore.Position // of WindowClosed; 0 if it is not in this batch
	position      eventstore.Position // of the newest fact
	touched       []string            // sub-task types with facts in this batch
}

type scannerRow struct {
	scanner.Presence
	online      bool
	first, last eventstore.Position
	firstAt     time.Time
	lastAt      time.Time
}

// sameReport reports whether a sub-task has the report that it had before, whatever
// else was said of it: its findings are in the table, and may be nowhere else.
func (c *change) sameReport(subTaskType string) bool {
	before, was := c.before.SubTasks[subTaskType]
	after := c.after.SubTasks[subTaskType]
	same := before.Report == after.Report || before.Report != nil && after.Report != nil && *before.Report == *after.Report
	return was && same && before.Attempt == after.Attempt
}

// arrived is an event and what it says, which is found out before its batch is
// folded: while the batch before it is written.
type arrived struct {
	eventstore.Recorded // of a task's without its data
	task                eventstore.ID
	ofTask              bool
	fact                task.Fact // of a task
	err                 error     // why there is no fact
	weight              int       // about what it holds of memory
}

func read(r eventstore.Recorded) arrived {
	a := arrived{Recorded: r, weight: weight(r)}
	if a.task, a.ofTask = taskOf(r); a.ofTask {
		a.fact, a.err = task.DecodeWith(json.Unmarshal, r.Type, r.Data)
		a.Data = nil
	}
	return a
}

// taskOf returns the task that an event belongs to; ok is false when it belongs
// to none. A stream task-… that is not named by a task's id is somebody else's:
// in a shared event store the word is not ours alone.
func taskOf(r eventstore.Recorded) (id eventstore.ID, ok bool) {
	if r.Stream.Category != task.Category {
		return id, false
	}
	id, err := eventstore.ParseID(r.Stream.Key)
	return id, err == nil
}

// fold applies events, in position order, to the states of their tasks. known
// gives the state of a task as the read model has it. An event that cannot be
// applied and may not be skipped ends the batch before it; the *HaltedError says
// why.
func fold(events []arrived, from eventstore.Position, skips skips, known func(eventstore.ID) (remembered, bool)) (*batch, *HaltedError) {
	b := newBatch(from, skips)
	return b, b.fold(events, known)
}

func newBatch(from eventstore.Position, skips skips) *batch {
	return &batch{tasks: make(map[eventstore.ID]*change), skips: skips, upTo: from}
}

// fold adds events to the batch.
func (b *batch) fold(events []arrived, known func(eventstore.ID) (remembered, bool)) *HaltedError {
	for i := range events {
		r := &events[i]
		if err := b.add(r, known); err != nil {
			var earlier *HaltedError // of the task, met in its stream
			if errors.As(err, &earlier) {
				return earlier
			}
			return halted(0, r.Recorded, err)
		}
		b.upTo = r.Position
	}
	return nil
}

func (b *batch) add(a *arrived, known func(eventstore.ID) (remembered, bool)) error {
	r := a.Recorded
	refused := b.skips[r.Position] != nil && b.skips[r.Position].refused
	if add := b.ofScanners(r.Stream.Category); add != nil {
		if refused {
			_, err := b.pass(r, errRefused)
			return err
		}
		add(r)
		return nil
	}
	if !a.ofTask {
		return nil
	}
	id := a.task
	c := b.tasks[id]
	var old remembered
	if c == nil {
		var stored bool
		if old, stored = known(id); old.err != nil {
			return old.err
		}
		c = &change{id: id, before: old.state, after: old.state.Clone(), weight: old.weight, facts: old.facts}
		if !stored {
			c.fresh, c.first = true, r.Position
		}
	}
	if r.Revision < c.after.Facts {
		return nil // folded before
	}
	fact, err := a.fact, a.err
	switch {
	case err != nil:
	case r.Revision > c.after.Facts:
		err = &GapError{Expected: c.after.Facts, Found: r.Revision}
	case refused:
		err = errRefused
	}
	if err != nil {
		if fact, err = b.pass(r, err); err != nil {
			return err
		}
	}
	if b.tasks[id] == nil {
		b.tasks[id] = c
		b.order = append(b.order, c)
		b.skipped = append(b.skipped, old.skipped...)
	}
	name, _ := about(fact)
	was, open := c.after.SubTasks[name], c.after.Closed == nil
	c.after.Apply(task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: fact})
	c.position = r.Position
	c.weight, c.facts = c.weight+a.weight, c.facts+a.weight
	if open && c.after.Closed != nil {
		c.closed = r.Position
	}
	if name != "" {
		is := c.after.SubTasks[name]
		b.dead.take(id, fact, was, is, r)
		b.addEnded(c, fact, was, is, r)
		if !slices.Contains(c.touched, name) {
			c.touched = append(c.touched, name)
		}
	}
	b.eventAt = r.At
	return nil
}

// ofScanners gives what folds a stream in which scanners speak of themselves; nil
// for any other.
func (b *batch) ofScanners(category string) func(eventstore.Recorded) {
	switch category {
	case scanner.Category:
		return b.addScanner
	case scanner.HeartbeatCategory:
		return b.addHeartbeat
	case scanner.RosterCategory:
		return b.addRoster
	}
	return nil
}

// addScanner takes what it can read and no more: presence is told as well as it
// may be, no verdict reads it, and one program's slip in it must not stop the
// reading of every task.
func (b *batch) addScanner(r eventstore.Recorded) {
	if r.Type != scanner.OnlineType && r.Type != scanner.OfflineType {
		return
	}
	presence, err := scanner.Decode(r.Data)
	if err != nil || presence.Type != r.Stream.Key || !task.ValidType(presence.Type) {
		return
	}
	b.addInstance(presence, r)
	row := scannerRow{Presence: presence, online: r.Type == scanner.OnlineType, first: r.Position, last: r.Position, firstAt: r.At, lastAt: r.At}
	if old := b.scanners[row.Type]; old != nil {
		row.first, row.firstAt = old.first, old.firstAt
	}
	if b.scanners == nil {
		b.scanners = make(map[string]*scannerRow)
	}
	b.scanners[row.Type] = &row
	b.eventAt = r.At
}

// about returns the sub-task type and the attempt that a fact is about.
func about(f task.Fact) (subTaskType string, attempt int) {
	switch f := f.(type) {
	case task.SubTaskDeclined:
		return f.Type, 0
	case task.SubTaskStarted:
		return f.Type, f.Attempt
	case task.SubTaskCompleted:
		return f.Type, f.Attempt
	case task.SubTaskFailed:
		return f.Type, f.Attempt
	case task.SubTaskRetryRequested:
		return f.Type, f.After
	case task.SubTaskDiscarded:
		return f.Type, f.Attempt
	case task.SubTaskConsidered:
		return f.Type, 0
	}
	return "", 0
}

func hasReport(f task.Fact) bool {
	switch f := f.(type) {
	case task.SubTaskCompleted:
		return f.Report != nil
	case task.SubTaskFailed:
		return f.Report != nil
	}
	return false
}
