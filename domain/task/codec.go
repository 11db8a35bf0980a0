package task

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Stream categories and limits of stored facts.
const (
	// Category of a task's stream: task-{taskId}.
	Category = "task"
	// MaxFactBytes bounds what Decode reads; the event store's own limit is lower.
	MaxFactBytes = 4 << 20
	// MaxTypeLength bounds a sub-task type, in bytes.
	MaxTypeLength = 64
)

// Recorded is a fact as the log holds it.
type Recorded struct {
	ID       string
	Revision uint64    // within the task's stream, from 0
	Position uint64    // within the log
	At       time.Time // when the store recorded it; the only time that decides
	Fact     Fact
}

// decoders holds every fact type; the key is the stored type name. A new fact is
// one line here, and a golden file in testdata.
var decoders = map[string]func(Unmarshal, []byte) (Fact, error){
	"ZipUploaded":           decode[ZipUploaded],
	"MainTaskCreated":       decode[MainTaskCreated],
	"SubTaskDeclined":       decode[SubTaskDeclined],
	"SubTaskStarted":        decode[SubTaskStarted],
	"SubTaskCompleted":      decode[SubTaskCompleted],
	"SubTaskFailed":         decode[SubTaskFailed],
	"SubTaskRetryRequested": decode[SubTaskRetryRequested],
	"WindowClosed":          decode[WindowClosed],
	"MainTaskConverged":     decode[MainTaskConverged],
	"MainTaskCancelled":     decode[MainTaskCancelled],
	"SubTaskDiscarded":      decode[SubTaskDiscarded],
	"SubTaskConsidered":     decode[SubTaskConsidered],
}

func decode[F Fact](unmarshal Unmarshal, data []byte) (Fact, error) {
	var f F
	err := unmarshal(data, &f)
	return f, err
}

// Unmarshal reads JSON as encoding/json does.
type Unmarshal func(data []byte, v any) error

// Types returns the stored type names of all facts, in the order in which they
// are explained above.
func Types() []string {
	return []string{
		"ZipUploaded", "MainTaskCreated", "SubTaskDeclined", "SubTaskStarted", "SubTaskCompleted",
		"SubTaskFailed", "SubTaskRetryRequested", "WindowClosed", "MainTaskConverged", "MainTaskCancelled",
		"SubTaskDiscarded", "SubTaskConsidered",
	}
}

// TypeName returns the stored type name of a fact.
func TypeName(f Fact) string {
	switch f := f.(type) {
	case ZipUploaded:
		return "ZipUploaded"
	case MainTaskCreated:
		return "MainTaskCreated"
	case SubTaskDeclined:
		return "SubTaskDeclined"
	case SubTaskStarted:
		return "SubTaskStarted"
	case SubTaskCompleted:
		return "SubTaskCompleted"
	case SubTaskFailed:
		return "SubTaskFailed"
	case SubTaskRetryRequested:
		return "SubTaskRetryRequested"
	case WindowClosed:
		return "WindowClosed"
	case MainTaskConverged:
		return "MainTaskConverged"
	case MainTaskCancelled:
		return "MainTaskCancelled"
	case SubTaskDiscarded:
		return "SubTaskDiscarded"
	case SubTaskConsidered:
		return "SubTaskConsidered"
	case Unreadable:
		return f.Type
	}
	panic(fmt.Sprintf("task: %T is not a fact", f)) // unreachable: Fact is sealed
}

// UnknownTypeError says that an event in a task's stream is of a type that this
// version does not know. Nothing may skip it in silence.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("fact type %q is not known to this version of Factgate; a newer one wrote it", e.Type)
}

// Decode reads a stored fact. Fields that it does not know are ignored: types
// are open. It never panics, whatever the bytes.
func Decode(typeName string, data []byte) (Fact, error) {
	return DecodeWith(json.Unmarshal, typeName, data)
}

// DecodeWith is Decode with the caller's JSON library, for whoever reads so many facts
// that it matters. Which facts can be read must not depend on it.
func DecodeWith(unmarshal Unmarshal, typeName string, data []byte) (Fact, error) {
	decoder, ok := decoders[typeName]
	if !ok {
		return nil, &UnknownTypeError{typeName}
	}
	if len(data) > MaxFactBytes {
		return nil, fmt.Errorf("decode %s: %d bytes are over the limit of %d", typeName, len(data), MaxFactBytes)
	}
	f, err := decoder(unmarshal, data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", typeName, err)
	}
	return f, nil
}

// Read is Decode for whoever has to go on whatever stands in a stream: what
// cannot be decoded comes as an Unreadable.
func Read(typeName string, data []byte) Fact {
	f, err := Decode(typeName, data)
	if err != nil {
		return Unreadable{Type: typeName, Err: err}
	}
	return f
}

// Encode writes a fact as it is stored.
func Encode(f Fact) (typeName string, data []byte, err error) {
	typeName = TypeName(f)
	if u, ok := f.(Unreadable); ok {
		return "", nil, fmt.Errorf("encode %s: an unreadable fact is not ours to write: %w", typeName, u.Err)
	}
	if data, err = json.Marshal(f); err != nil {
		return "", nil, fmt.Errorf("encode %s: %w", typeName, err)
	}
	return typeName, data, nil
}

// Key implements Fact. Two different packages under one idempotency key are two
// different facts, of which the stream takes the first.
func (f ZipUploaded) Key() string { return "ZipUploaded/" + f.SHA256 }

// Key implements Fact.
func (f MainTaskCreated) Key() string { return "MainTaskCreated" }

// Key implements Fact.
func (f SubTaskDeclined) Key() string { return "SubTaskDeclined/" + f.Type }

// Key implements Fact. The owner is part of it: when two owners race to begin
// the same attempt, the second must see a conflict, not a repetition.
func (f SubTaskStarted) Key() string {
	return join("SubTaskStarted", f.Type, f.Attempt) + "/" + f.Scanner.Instance + "/" + f.Delivery
}

// Key implements Fact.
func (f SubTaskCompleted) Key() string { return join("SubTaskCompleted", f.Type, f.Attempt) }

// Key implements Fact.
func (f SubTaskFailed) Key() string { return join("SubTaskFailed", f.Type, f.Attempt) }

// Key implements Fact.
func (f SubTaskRetryRequested) Key() string { return join("SubTaskRetryRequested", f.Type, f.After) }

// Key implements Fact.
func (f WindowClosed) Key() string { return "WindowClosed" }

// Key implements Fact.
func (f MainTaskConverged) Key() string { return "MainTaskConverged/" + strconv.Itoa(f.Revision) }

// Key implements Fact.
func (f MainTaskCancelled) Key() string { return "MainTaskCancelled" }

// Key implements Fact. Nobody writes it, so nothing derives from it.
func (f Unreadable) Key() string { return "Unreadable/" + f.Type }

func join(name, subTaskType string, n int) string {
	return strings.Join([]string{name, subTaskType, strconv.Itoa(n)}, "/")
}

// Duration is a length of time that is stored as text, such as 10s.
type Duration time.Duration

// D returns d as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the form that time.ParseDuration reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}
