package dossier

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/factgate/factgate/domain/task"
)

// Header says what a dossier is of and who made it when.
type Header struct {
	Task   string
	MadeAt time.Time
	Tool   string // name and version of the program
}

// Fact is an event of the task's stream exactly as the log holds it.
type Fact struct {
	ID       string
	Type     string
	Revision uint64
	Position uint64
	At       time.Time
	Data     []byte
	Metadata []byte
}

// Writer writes one dossier as the facts come; it holds none of them. After an
// error the file is worthless. It is not safe for concurrent use.
type Writer struct {
	w        io.Writer
	err      error
	link     link
	facts    uint64
	bytes    int
	ruleSets []task.RuleSetRef
	verdict  *verdict
}

// NewWriter writes the header. Its error comes with the next call.
func NewWriter(w io.Writer, h Header) *Writer {
	out := &Writer{w: w}
	out.line(header{Kind: kindHeader, Format: Format, Version: Version, Task: h.Task, MadeAt: h.MadeAt.UTC(), Tool: h.Tool})
	return out
}

// Fact writes the task's next fact.
func (w *Writer) Fact(f Fact) error {
	if w.facts == maxFacts && w.err == nil {
		w.err = fmt.Errorf("task has more than %d facts; a dossier takes no more", maxFacts)
	}
	w.facts++
	l := fact{Kind: kindFact, ID: f.ID, Type: f.Type, Revision: f.Revision, Position: f.Position, RecordedAt: f.At.UTC()}
	l.Data, l.DataBase64 = portable(f.Data)
	l.Metadata, l.MetadataBase64 = portable(f.Metadata)
	switch f, id := task.Read(f.Type, f.Data), f.ID; f := f.(type) {
	case task.MainTaskCreated:
		w.ruledBy(f.RuleSet)
	case task.MainTaskConverged:
		w.ruledBy(f.RuleSet)
		w.verdict = newest(w.verdict, id, f)
	}
	w.line(l)
	return w.err
}

func newest(old *verdict, id string, f task.MainTaskConverged) *verdict {
	if old != nil && f.Revision <= old.Revision {
		return old
	}
	return &verdict{Fact: id, Revision: f.Revision, Status: f.Status, Rule: f.Rule.ID}
}

func (w *Writer) ruledBy(ref task.RuleSetRef) {
	if !slices.Contains(w.ruleSets, ref) {
		w.ruleSets = append(w.ruleSets, ref)
	}
}

// Close writes the rule sets that the facts name, and the closing line. source
// gives the text of a rule set, or nil when nobody has it any more: then the
// dossier says so, and its verdict cannot be recomputed.
func (w *Writer) Close(source func(task.RuleSetRef) ([]byte, error)) error {
	for _, ref := range w.ruleSets {
		if w.err != nil {
			break
		}
		text, err := source(ref)
		if err != nil {
			return fmt.Errorf("rule set %s version %d: %w", ref.Name, ref.Version, err)
		}
		l := ruleSet{Kind: kindRuleSet, Name: ref.Name, Version: ref.Version, Digest: ref.Digest}
		if text != nil {
			s := string(text)
			l.Text = &s
		}
		w.line(l)
	}
	w.line(closing{Kind: kindClosing, Facts: w.facts, Head: w.link.String(), Verdict: w.verdict})
	return w.err
}

func (w *Writer) line(v any) {
	if w.err != nil {
		return
	}
	body, err := encode(v)
	if err != nil {
		w.err = fmt.Errorf("write dossier: %w", err)
		return
	}
	w.link = w.link.next(body)
	line := seal(body, w.link)
	if w.bytes += len(line); len(line) > maxLine || w.bytes > maxBytes {
		w.err = fmt.Errorf("a dossier takes lines of %d and %d bytes in all; the task's facts are larger", maxLine, maxBytes)
		return
	}
	if _, err := w.w.Write(line); err != nil {
		w.err = fmt.Errorf("write dossier: %w", err)
	}
}
