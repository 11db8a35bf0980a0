// Package lab is what the benchmarks share: servers in processes of their own, a
// private PostgreSQL, and a report of medians, ratios and goals.
package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Cell is what one turn of one side gave.
type Cell struct {
	Rate   float64 `json:"rate,omitempty"`     // events per second
	P50    float64 `json:"p50ms,omitempty"`    // milliseconds
	P99    float64 `json:"p99ms,omitempty"`    // milliseconds
	Server float64 `json:"serverUs,omitempty"` // the server's processor time per event, microseconds
	Client float64 `json:"clientUs,omitempty"` // this process's, the same
}

// Row is all turns of one side under one load.
type Row struct {
	Part   string `json:"part"`
	Load   string `json:"load"`
	Side   string `json:"side"`
	Median Cell   `json:"median"`
	Turns  []Cell `json:"turns"`
}

// Goal is one line of what was aimed at.
type Goal struct {
	Name    string  `json:"name"`
	Figure  string  `json:"figure"`
	Peer    string  `json:"peer"`
	Ratio   float64 `json:"ratio,omitempty"`
	Limit   string  `json:"limit"`
	Verdict string  `json:"verdict"` // reached, not reached, not measured, for information
}

// The verdicts of a goal.
const (
	Reached     = "reached"
	NotReached  = "NOT REACHED"
	NotMeasured = "not measured"
	Information = "for information"
)

// Report is what a run found.
type Report struct {
	Machine struct {
		CPUs       int    `json:"cpus"`
		Processor  string `json:"processor"`
		Kernel     string `json:"kernel"`
		Go         string `json:"go"`
		PostgreSQL string `json:"postgresql,omitempty"`
	} `json:"machine"`
	Rotations int     `json:"rotations"`
	Seconds   float64 `json:"seconds"`
	Rows      []*Row  `json:"rows"`
	Goals     []Goal  `json:"goals"`
}

// NewReport describes the machine.
func NewReport(rotations int) Report {
	r := Report{Rotations: rotations}
	r.Machine.CPUs, r.Machine.Go = runtime.NumCPU(), runtime.Version()
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		r.Machine.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			r.Machine.Processor = strings.TrimSpace(value)
			break
		}
	}
	return r
}

// Add keeps a turn.
func (r *Report) Add(part, load, side string, c Cell) {
	found := r.Find(part, load, side)
	if found == nil {
		found = &Row{Part: part, Load: load, Side: side}
		r.Rows = append(r.Rows, found)
	}
	found.Turns = append(found.Turns, c)
	found.Median = Cell{
		Rate:   found.median(func(c Cell) float64 { return c.Rate }),
		P50:    found.median(func(c Cell) float64 { return c.P50 }),
		P99:    found.median(func(c Cell) float64 { return c.P99 }),
		Server: found.median(func(c Cell) float64 { return c.Server }),
		Client: found.median(func(c Cell) float64 { return c.Client }),
	}
}

// Find returns nil when there is no such row.
func (r *Report) Find(part, load, side string) *Row {
	for _, row := range r.Rows {
		if row.Part == part && row.Load == load && row.Side == side {
			return row
		}
	}
	return nil
}

// Sorted are the figures of all turns.
func (r *Row) Sorted(of func(Cell) float64) []float64 {
	var all []float64
	for _, c := range r.Turns {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all
}

func (r *Row) median(of func(Cell) float64) float64 {
	all := r.Sorted(of)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// What a turn is compared by.
var (
	Rate = func(c Cell) float64 { return c.Rate }
	P50  = func(c Cell) float64 { return c.P50 }
	P99  = func(c Cell) float64 { return c.P99 }
)

// Compare adds a goal: the ratio of two rows, ours over theirs.
func (r *Report) Compare(name string, ours, theirs *Row, unit string, of func(Cell) float64, holds func(float64) bool, limit string) {
	g := Goal{Name: name, Limit: limit, Verdict: NotMeasured}
	if ours != nil {
		g.Figure = Figure(of(ours.Median), unit)
	}
	if theirs != nil {
		g.Peer = theirs.Side
	}
	if ours != nil && theirs != nil && of(theirs.Median) > 0 {
		g.Peer += " " + Figure(of(theirs.Median), unit)
		g.Ratio = of(ours.Median) / of(theirs.Median)
		g.Verdict = Verdict(holds(g.Ratio))
	}
	r.Goals = append(r.Goals, g)
}

// AtLeast and AtMost are limits of a ratio.
func AtLeast(limit float64) func(float64) bool { return func(x float64) bool { return x >= limit } }

// AtMost is the other one.
func AtMost(limit float64) func(float64) bool { return func(x float64) bool { return x <= limit } }

// Verdict in words.
func Verdict(holds bool) string {
	if holds {
		return Reached
	}
	return NotReached
}

// Figure with its unit.
func Figure(x float64, unit string) string {
	if unit == "/s" {
		return fmt.Sprintf("%.1fk/s", x/1000)
	}
	return fmt.Sprintf("%.2f%s", x, unit)
}

// JSON writes v, a report, to a file, and is done when that is -, standard output.
func JSON(v any, out io.Writer, to string) (done bool, err error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return false, err
	}
	text = append(text, '\n')
	switch to {
	case "-":
		_, err = out.Write(text)
		return true, err
	case "":
		return false, nil
	default:
		return false, os.WriteFile(to, text, 0o644)
	}
}

// Table prints the report; base names the row that a row is compared with.
func (r *Report) Table(out io.Writer, notes string, base func(*Row) *Row) error {
	m := r.Machine
	fmt.Fprintf(out, "%d × %s, Linux %s, %s", m.CPUs, m.Processor, m.Kernel, m.Go)
	if m.PostgreSQL != "" {
		fmt.Fprintf(out, ", PostgreSQL %s", m.PostgreSQL)
	}
	fmt.Fprintf(out, "\nMedians of %d rotations in %.0f s; %s\n\n", r.Rotations, r.Seconds, notes)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "part\tload\tside\tevents/s\tlowest–highest\tratio\tp50 ms\tp99 ms\tserver µs\tclient µs")
	for _, row := range r.Rows {
		of := Rate
		if row.Median.Rate == 0 {
			of = P50
		}
		ratio := 0.0
		if first := base(row); first != nil {
			ratio = of(row.Median) / of(first.Median)
		}
		all := row.Sorted(of)
		digits := 0
		if row.Median.Rate == 0 {
			digits = 2
		}
		spread := fmt.Sprintf("%.*f–%.*f", digits, all[0], digits, all[len(all)-1])
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Part, row.Load, row.Side, number(row.Median.Rate, 0), spread,
			number(ratio, 2), number(row.Median.P50, 2), number(row.Median.P99, 2), number(row.Median.Server, 1), number(row.Median.Client, 1))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	fmt.Fprintln(w, "goal\tfigure\tbeside\tratio\tlimit\t")
	for _, g := range r.Goals {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", g.Name, g.Figure, g.Peer, number(g.Ratio, 2), g.Limit, g.Verdict)
	}
	return w.Flush()
}

// number leaves out what was not measured.
func number(x float64, digits int) string {
	if x == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, x)
}

// Milliseconds of d.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Microseconds of d.
func Microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Quantile of durations that are sorted, in milliseconds.
func Quantile(sorted []time.Duration, q float64) float64 {
	return Milliseconds(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}
