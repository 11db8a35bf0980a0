package queries

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// maxHistoryBytes bounds the data of one page of history.
const maxHistoryBytes = 4 << 20

// Fact is a recorded fact as history shows it. Data is as it is stored, so facts
// of types that this version does not know are shown too.
type Fact struct {
	eventstore.Recorded
	Late  bool   // a participation fact after the window closed
	Actor string // who wrote or wished it, as its metadata says; empty if that is silent
}

// History returns at most first facts of a task (0 means 100) with revisions
// greater than after (-1: from the beginning), in the order in which they
// happened, straight from the stream. A page may be shorter than asked for when
// its facts are large; an empty one is the end. A task that the log does not know
// is NotFound, task.unknown.
//
// The stream is read from its beginning whatever the page: only so is it known
// what was late.
func (q *Queries) History(ctx context.Context, id TaskID, first int, after int64) ([]Fact, error) {
	first, err := page(first, 100)
	if err != nil {
		return nil, err
	}
	out := make([]Fact, 0, min(first, 32))
	size, closed := 0, false
	for r, err := range q.log.ReadStream(ctx, streamOf(id), 0) {
		if err != nil {
			return nil, q.streamFailed(ctx, "read history", err)
		}
		late := closed && takesPart(r.Type)
		closed = closed || r.Type == task.TypeName(task.WindowClosed{})
		if int64(r.Revision) <= after {
			continue
		}
		size += len(r.Data)
		if len(out) == first || (len(out) > 0 && size > maxHistoryBytes) {
			break
		}
		actor := actorOf(r.Metadata)
		r.Metadata = nil
		out = append(out, Fact{Recorded: r, Late: late, Actor: actor})
	}
	return out, nil
}

// actorOf reads who is behind a fact; a stranger's metadata may say anything.
func actorOf(metadata []byte) string {
	var m struct{ Actor string }
	if json.Unmarshal(metadata, &m) != nil {
		return ""
	}
	return m.Actor
}

// takesPart reports whether facts of this type are late once the window closed.
func takesPart(typeName string) bool {
	switch typeName {
	case "SubTaskDeclined", "SubTaskStarted", "SubTaskCompleted", "SubTaskFailed", "SubTaskRetryRequested":
		return true
	}
	return false
}

// StateNow folds a task's stream as it stands now. A fact that this version does
// not know is an error: a state without it would be wrong.
func (q *Queries) StateNow(ctx context.Context, id TaskID) (task.State, error) {
	var s task.State
	for r, err := range q.log.ReadStream(ctx, streamOf(id), 0) {
		if err != nil {
			return task.State{}, q.streamFailed(ctx, "read the task's stream", err)
		}
		fact, err := task.Decode(r.Type, r.Data)
		if err != nil {
			return task.State{}, fmt.Errorf("task %s, revision %d: %w", id, r.Revision, err)
		}
		s = task.Evolve(s, task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: fact})
	}
	return s, nil
}

func streamOf(id TaskID) eventstore.StreamID {
	return eventstore.StreamID{Category: task.Category, Key: id.String()}
}

func (q *Queries) streamFailed(ctx context.Context, what string, err error) error {
	switch {
	case eventstore.IsNotFound(err):
		return &domain.Error{Kind: domain.NotFound, Rule: "task.unknown", Err: err, Msg: "there is no such task", MsgZH: "任务不存在"}
	case ctx.Err() != nil || eventstore.IsUnavailable(err):
		return failed(ctx, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
