// Package export writes the events of a log as JSON lines and appends such lines to
// a log: the embedded node's to a cluster, a cluster's to a file, a file's to a
// node. It speaks only through the contract of package eventstore.
//
// One line is one event, in the order of the log:
//
//	{"stream":"task-…","revision":0,"position":129,"id":"…","type":"ZipUploaded","at":"2026-11-25T08:00:00Z","data":{…},"metadata":{…}}
//
// Data and metadata come back byte by byte: what is not JSON in its shortest form
// travels as dataBase64 and metadataBase64. Position and at are for the reader; an
// import gives new ones. The log's own bookkeeping, stream metadata and deletions
// are not events of anybody's and are left out.
//
// An import demands of each stream that it be as long as the line's revision says,
// and event ids stay what they were. So an import that broke off is simply repeated:
// what is there already is recognised and not appended again.
package export

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/factgate/factgate/eventstore"
)

const (
	// maxLine bounds a line: an append of 1 MiB in Base64, and room for the rest.
	maxLine = 4 << 20
	// The most that goes into one append.
	batchEvents = 500
	batchBytes  = 512 << 10
)

// line is an event as it is written.
type line struct {
	Stream         string              `json:"stream"`
	Revision       *uint64             `json:"revision"`
	Position       eventstore.Position `json:"position,omitempty"`
	ID             string              `json:"id"`
	Type           string              `json:"type"`
	At             time.Time           `json:"at,omitzero"`
	Data           json.RawMessage     `json:"data,omitempty"`
	DataBase64     []byte              `json:"dataBase64,omitempty"`
	Metadata       json.RawMessage     `json:"metadata,omitempty"`
	MetadataBase64 []byte              `json:"metadataBase64,omitempty"`
}

// Done says how far an export or an import is.
type Done struct {
	Events   uint64
	Position eventstore.Position // of the last event that was read; 0 in an import
}

// Export writes the events behind position after (exclusive) up to the end of the
// log, and calls progress (which may be nil) now and then. After an error, what was
// written is whole lines up to Done.Position, from where another call goes on.
func Export(ctx context.Context, log eventstore.Reader, w io.Writer, after eventstore.Position, progress func(Done)) (done Done, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	done.Position = after
	for event, err := range log.ReadAll(ctx, after, eventstore.Filter{}) {
		if err != nil {
			return done, errors.Join(fmt.Errorf("export behind position %d: %w", done.Position, err), out.Flush())
		}
		l := line{Stream: event.Stream.String(), Revision: &event.Revision, Position: event.Position, ID: event.ID.String(), Type: event.Type, At: event.At}
		l.Data, l.DataBase64 = portable(event.Data)
		l.Metadata, l.MetadataBase64 = portable(event.Metadata)
		if err := encoder.Encode(l); err != nil {
			return done, fmt.Errorf("export behind position %d: %w", done.Position, err)
		}
		done.Events, done.Position = done.Events+1, event.Position
		if progress != nil && done.Events%1024 == 0 {
			progress(done)
		}
	}
	return done, out.Flush()
}

// portable returns JSON that the encoder leaves as it is, or else the bytes.
func portable(b []byte) (json.RawMessage, []byte) {
	var compact bytes.Buffer
	if len(b) > 0 && json.Compact(&compact, b) == nil && bytes.Equal(compact.Bytes(), b) && !bytes.Equal(b, []byte("null")) {
		return b, nil
	}
	return nil, b
}

// LineError says which line of an import cannot be taken, and why.
type LineError struct {
	Line uint64 // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// Options say how an import treats what it finds.
type Options struct {
	// Renumber takes streams whose first events are missing and numbers them anew. A
	// repetition is then only recognised within the log's memory of recent events.
	Renumber bool
	Progress func(Done)
}

// Import appends lines to the log. The error is a *LineError; everything before that
// line's batch is appended, and repeating the import is harmless.
func Import(ctx context.Context, log eventstore.Appender, r io.Reader, options Options) (done Done, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), maxLine)
	b := batch{log: log, options: options}
	number := uint64(0)
	for in.Scan() {
		number++
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		l, event, err := parse(in.Bytes())
		if err != nil {
			return b.done, errors.Join(b.flush(ctx), &LineError{number, err})
		}
		if !b.takes(l, event) {
			if err := b.flush(ctx); err != nil {
				return b.done, err
			}
		}
		b.add(number, l, event)
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return b.done, errors.Join(b.flush(ctx), &LineError{number + 1, fmt.Errorf("it is longer than %d bytes", maxLine)})
	} else if err != nil {
		return b.done, errors.Join(b.flush(ctx), &LineError{number + 1, err})
	}
	return b.done, b.flush(ctx)
}

// parse reads one line.
func parse(text []byte) (l line, event eventstore.Event, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return l, event, fmt.Errorf("this is no exported event: %w", err)
	}
	if decoder.More() {
		return l, event, errors.New("a line is one event")
	}
	if event.ID, err = eventstore.ParseID(l.ID); err != nil {
		return l, event, err
	}
	switch {
	case l.Stream == "" || l.Stream[0] == '$':
		return l, event, fmt.Errorf("%q is not a stream that events are imported into", l.Stream)
	case l.Type == "" || l.Type[0] == '$':
		return l, event, fmt.Errorf("%q is not a type of event that is imported", l.Type)
	case l.Revision == nil:
		return l, event, errors.New("an exported event has a revision")
	case l.Data != nil && l.DataBase64 != nil, l.Metadata != nil && l.MetadataBase64 != nil:
		return l, event, errors.New("data and metadata are given once, as JSON or as Base64")
	}
	event.Type = l.Type
	event.Data, event.Metadata = l.DataBase64, l.MetadataBase64
	if l.Data != nil {
		event.Data = l.Data
	}
	if l.Metadata != nil {
		event.Metadata = l.Metadata
	}
	return l, event, nil
}

// batch collects events that follow each other in one stream.
type batch struct {
	log     eventstore.Appender
	options Options
	done    Done

	line   uint64 // of its first event
	stream string
	first  uint64 // revision of its first event
	events []eventstore.Event
	bytes  int
}

// takes reports whether an event may join.
func (b *batch) takes(l line, event eventstore.Event) bool {
	return len(b.events) == 0 || l.Stream == b.stream && *l.Revision == b.first+uint64(len(b.events)) &&
		len(b.events) < batchEvents && b.bytes+len(event.Data)+len(event.Metadata) <= batchBytes
}

func (b *batch) add(number uint64, l line, event eventstore.Event) {
	if len(b.events) == 0 {
		b.line, b.stream, b.first, b.bytes = number, l.Stream, *l.Revision, 0
	}
	b.events = append(b.events, event)
	b.bytes += len(event.Data) + len(event.Metadata)
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.events) == 0 {
		return nil
	}
	expected := eventstore.NoStream()
	switch {
	case b.options.Renumber:
		expected = eventstore.Any()
	case b.first > 0:
		expected = eventstore.At(b.first - 1)
	}
	_, err := b.log.Append(ctx, eventstore.ParseStreamID(b.stream), expected, b.events...)
	var conflict *eventstore.ConflictError
	if errors.As(err, &conflict) {
		if !conflict.Exists {
			err = fmt.Errorf("stream %s begins at revision %d here, and its first events are missing: import with renumbering, or export the whole log: %w", b.stream, b.first, err)
		} else {
			err = fmt.Errorf("stream %s holds other events already: import into an empty log, or one that holds the beginning of this one: %w", b.stream, err)
		}
	}
	if err != nil {
		return &LineError{b.line, err}
	}
	b.done.Events += uint64(len(b.events))
	b.events = b.events[:0]
	if b.options.Progress != nil {
		b.options.Progress(b.done)
	}
	return nil
}
