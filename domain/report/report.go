// Package report holds what a scanner found: findings, their counts, and the
// form in which a report is stored as a blob.
//
// A stored report is JSON Lines: first a [Header], then one [Finding] a line, in
// the order in which the scanner found them. [Writer] writes it, [Read] reads it
// back; both work in constant memory. Files written once stay readable: fields
// are only added.
package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Text is a message to people, in the two languages Factgate speaks.
type Text struct {
	En string `json:"en"`
	Zh string `json:"zh"`
}

// Severity says what a finding does to its check.
type Severity string

const (
	// Error fails the check, unless it is suppressed.
	Error Severity = "error"
	// Warning is reported and turns PASS into PASS_WITH_WARNINGS.
	Warning Severity = "warning"
	// Note is reported only.
	Note Severity = "note"
)

// Finding is one place in a package and what is wrong there.
type Finding struct {
	Rule     string   `json:"rule"` // stable id, such as SQL002
	Severity Severity `json:"severity"`
	Message  Text     `json:"message"`
	// Path is the file within the package, with '/'; empty for the whole package.
	Path string `json:"path,omitempty"`
	// Line and Column count from 1, columns in runes of the decoded text; 0 is
	// unknown. EndLine and EndColumn are exclusive in the column.
	Line      int `json:"line,omitempty"`
	Column    int `json:"column,omitempty"`
	EndLine   int `json:"endLine,omitempty"`
	EndColumn int `json:"endColumn,omitempty"`
	// Cell is a place in a workbook, 'sheet'!C7.
	Cell string `json:"cell,omitempty"`
	// Pointer is a JSON pointer, or an XPath-like way to a case.
	Pointer string `json:"pointer,omitempty"`
	// InnerLine and InnerColumn count from 1 within a text that stands inside the
	// file at Cell or Pointer, such as the SQL of a workflow's task; 0 is none.
	InnerLine   int `json:"innerLine,omitempty"`
	InnerColumn int `json:"innerColumn,omitempty"`
	// Anchor is what stays the same when lines move: it makes fingerprints stable.
	Anchor string `json:"anchor,omitempty"`
	// Suppressed findings stay in the report and leave the gate.
	Suppressed bool `json:"suppressed,omitempty"`
	// Suppression says why, if somebody wrote it down. A finding that has one is
	// Suppressed.
	Suppression *Suppression `json:"suppression,omitempty"`
}

// Counts are the unsuppressed findings by severity.
type Counts struct {
	Error   int `json:"error"`
	Warning int `json:"warning"`
	Note    int `json:"note"`
}

// Add counts one finding; a suppressed one does not count.
func (c *Counts) Add(f Finding) {
	if f.Suppressed {
		return
	}
	switch f.Severity {
	case Error:
		c.Error++
	case Warning:
		c.Warning++
	case Note:
		c.Note++
	}
}

// Header opens a stored report.
type Header struct {
	Format  int    `json:"format"` // 1
	TaskID  string `json:"taskId"`
	Type    string `json:"subTaskType"`
	Attempt int    `json:"attempt"`
	Scanner string `json:"scanner"` // name/version
}

// Limits of a stored report. A scanner that finds more keeps counting, but the
// report holds the first MaxFindings, all errors among them as far as they fit.
const (
	MaxFindings  = 10_000
	MaxBytes     = 64 << 20 // of the whole; a scanner that writes more has failed
	maxLineBytes = 64 << 10
)

// ErrDamaged says that a blob is not a report.
var ErrDamaged = errors.New("damaged scan report")

// Writer writes a report.
type Writer struct {
	w       *bufio.Writer
	counts  Counts
	written int
	rules   map[Severity]map[string]int // unsuppressed findings
	err     error
}

// NewWriter writes the header and returns a writer of findings.
func NewWriter(w io.Writer, h Header) *Writer {
	h.Format = 1
	out := &Writer{w: bufio.NewWriter(w), rules: map[Severity]map[string]int{}}
	out.line(h)
	return out
}

// Add counts f and writes it, up to MaxFindings; of these, a tenth is kept free
// for errors, so that a flood of notes cannot hide what fails the check.
func (w *Writer) Add(f Finding) {
	f.Suppressed = f.Suppressed || f.Suppression != nil
	w.counts.Add(f)
	failing := f.Severity == Error && !f.Suppressed
	if !f.Suppressed {
		if w.rules[f.Severity] == nil {
			w.rules[f.Severity] = map[string]int{}
		}
		w.rules[f.Severity][f.Rule]++
	}
	limit := MaxFindings
	if !failing {
		limit -= MaxFindings / 10
	}
	if w.written >= limit {
		return
	}
	w.written++
	f.Message.En, f.Message.Zh = clip(f.Message.En), clip(f.Message.Zh)
	if s := f.Suppression; s != nil {
		short := *s
		short.By, short.Reason = clip(s.By), clip(s.Reason)
		f.Suppression = &short
	}
	w.line(f)
}

// clip keeps a message readable and a line below its limit.
func clip(s string) string {
	const max = 2000
	if len(s) <= max {
		return s
	}
	cut := max
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

func (w *Writer) line(v any) {
	if w.err != nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		w.err = err
		return
	}
	if len(b) >= maxLineBytes {
		w.err = fmt.Errorf("a finding of %d bytes is over the limit of %d", len(b), maxLineBytes)
		return
	}
	if _, err := w.w.Write(append(b, '\n')); err != nil {
		w.err = err
	}
}

// Counts returns what was counted so far, written or not.
func (w *Writer) Counts() Counts { return w.counts }

// RuleCount is how often a rule found something.
type RuleCount struct {
	Rule  string
	Count int
}

// Failing returns the rules with unsuppressed findings of a severity, the most
// frequent first.
func (w *Writer) Failing(s Severity) []RuleCount {
	var out []RuleCount
	for rule, n := range w.rules[s] {
		out = append(out, RuleCount{rule, n})
	}
	slices.SortFunc(out, func(a, b RuleCount) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		if a.Rule < b.Rule {
			return -1
		}
		return 1
	})
	return out
}

// Close flushes and returns the first error of all writing. It does not close
// the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

// Read reads a stored report and calls each with its findings in order, until
// each returns an error, which Read returns. A blob that is not a report, or
// holds more than MaxFindings, gives an error that wraps ErrDamaged.
func Read(r io.Reader, each func(Finding) error) (Header, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLineBytes)
	var h Header
	if !lines.Scan() {
		return h, readError(lines, "no header")
	}
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
		if lines.Err() != nil {
			return h, readError(lines, "")
		}
		return h, fmt.Errorf("%w: header: %v", ErrDamaged, err)
	}
	if h.Format != 1 {
		return h, fmt.Errorf("%w: format %d is not known here; a newer Factgate wrote it", ErrDamaged, h.Format)
	}
	for n := 1; lines.Scan(); n++ {
		if n > MaxFindings {
			return h, fmt.Errorf("%w: more than %d findings", ErrDamaged, MaxFindings)
		}
		var f Finding
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			if lines.Err() != nil { // the line is what came before the reader failed
				return h, readError(lines, "")
			}
			return h, fmt.Errorf("%w: finding %d: %v", ErrDamaged, n, err)
		}
		if err := each(f); err != nil {
			return h, err
		}
	}
	if lines.Err() != nil {
		return h, readError(lines, "")
	}
	return h, nil
}

// readError keeps a failing reader apart from a damaged report: only the second
// is final.
func readError(lines *bufio.Scanner, missing string) error {
	switch err := lines.Err(); {
	case err == nil:
		return fmt.Errorf("%w: %s", ErrDamaged, missing)
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%w: a line over %d bytes", ErrDamaged, maxLineBytes)
	default:
		return fmt.Errorf("read scan report: %w", err)
	}
}
