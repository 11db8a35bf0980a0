package queries

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/factgate/factgate/domain/dossier"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Dossier writes the audit file of a task, straight from the log. open is called
// once, when there is a first fact: until then an error may still be answered
// with words. After a later error what was written is worthless.
func (q *Queries) Dossier(ctx context.Context, id TaskID, header dossier.Header, open func() io.Writer) error {
	var w *dossier.Writer
	for r, err := range q.log.ReadStream(ctx, streamOf(id), 0) {
		if err != nil {
			return q.streamFailed(ctx, "read the task's stream", err)
		}
		if w == nil {
			header.Task = id.String()
			w = dossier.NewWriter(open(), header)
		}
		err := w.Fact(dossier.Fact{
			ID: r.ID.String(), Type: r.Type, Revision: r.Revision, Position: uint64(r.Position), At: r.At, Data: r.Data, Metadata: r.Metadata,
		})
		if err != nil {
			return err
		}
	}
	if w == nil {
		return q.streamFailed(ctx, "read the task's stream", &eventstore.NotFoundError{Name: streamOf(id).String()})
	}
	return w.Close(func(ref task.RuleSetRef) ([]byte, error) { return q.ruleSetText(ctx, ref) })
}

// ruleSetText finds the source of a version of a rule set: among those that are
// compiled in, or in the rule set's own stream. nil means that nobody has it.
func (q *Queries) ruleSetText(ctx context.Context, ref task.RuleSetRef) ([]byte, error) {
	if rs, ok := rules.BuiltIn(ref.Name); ok && rs.Ref() == ref {
		return rs.Source(), nil
	}
	if ref.Name == "" {
		return nil, nil
	}
	stream := eventstore.StreamID{Category: "ruleset", Key: ref.Name}
	for r, err := range q.log.ReadStream(ctx, stream, 0) {
		var deleted *eventstore.DeletedError
		if eventstore.IsNotFound(err) || errors.As(err, &deleted) {
			return nil, nil
		}
		if err != nil {
			return nil, q.streamFailed(ctx, "read rule set "+ref.Name, err)
		}
		if r.Type != "RuleSetPublished" {
			continue
		}
		var published struct{ Text, Digest string }
		if json.Unmarshal(r.Data, &published) == nil && published.Digest == ref.Digest {
			return []byte(published.Text), nil
		}
	}
	return nil, nil
}
