package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// cell is what one turn of one side gave.
type cell struct {
	Rate   float64 `json:"rate,omitempty"`     // events per second
	P50    float64 `json:"p50ms,omitempty"`    // milliseconds
	P99    float64 `json:"p99ms,omitempty"`    // milliseconds
	Server float64 `json:"serverUs,omitempty"` // the server's processor time per event, microseconds
	Client float64 `json:"clientUs,omitempty"` // this process's, the same
}

// row is all turns of one side under one load.
type row struct {
	Part   string `json:"part"`
	Load   string `json:"load"`
	Side   string `json:"side"`
	Median cell   `json:"median"`
	Turns  []cell `json:"turns"`
}

// goal is one line of what was aimed at.
type goal struct {
	Name    string  `json:"name"`
	Figure  string  `json:"figure"`
	Peer    string  `json:"peer"`
	Ratio   float64 `json:"ratio,omitempty"`
	Limit   string  `json:"limit"`
	Verdict string  `json:"verdict"` // reached, not reached, not measured, for information
}

type report struct {
	Machine struct {
		CPUs       int    `json:"cpus"`
		Processor  string `json:"processor"`
		Kernel     string `json:"kernel"`
		Go         string `json:"go"`
		PostgreSQL string `json:"postgresql,omitempty"`
	} `json:"machine"`
	Rotations int     `json:"rotations"`
	Seconds   float64 `json:"seconds"`
	Short     int     `json:"shortHistory"` // events
	Long      int     `json:"longHistory"`
	Memory    struct {
		Idle int64 `json:"idle"`
		Load int64 `json:"appending"`
		Long int64 `json:"longHistory"`
	} `json:"nodeMemory"` // bytes
	Rows  []*row `json:"rows"`
	Goals []goal `json:"goals"`
}

func newReport(o options) *report {
	r := &report{Rotations: o.rotations}
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

func (r *report) add(part, load, side string, c cell) {
	found := r.find(part, load, side)
	if found == nil {
		found = &row{Part: part, Load: load, Side: side}
		r.Rows = append(r.Rows, found)
	}
	found.Turns = append(found.Turns, c)
	found.Median = cell{
		Rate:   found.median(func(c cell) float64 { return c.Rate }),
		P50:    found.median(func(c cell) float64 { return c.P50 }),
		P99:    found.median(func(c cell) float64 { return c.P99 }),
		Server: found.median(func(c cell) float64 { return c.Server }),
		Client: found.median(func(c cell) float64 { return c.Client }),
	}
}

func (r *report) find(part, load, side string) *row {
	for _, row := range r.Rows {
		if row.Part == part && row.Load == load && row.Side == side {
			return row
		}
	}
	return nil
}

func (r *row) sorted(of func(cell) float64) []float64 {
	var all []float64
	for _, c := range r.Turns {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all
}

func (r *row) median(of func(cell) float64) float64 {
	all := r.sorted(of)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// judge compares with the goals. A ratio is ours over theirs.
func (r *report) judge() {
	rate := func(c cell) float64 { return c.Rate }
	p99 := func(c cell) float64 { return c.P99 }
	p50 := func(c cell) float64 { return c.P50 }
	compare := func(name, part, load, side, peer, unit string, of func(cell) float64, holds func(float64) bool, limit string) {
		ours, theirs := r.find(part, load, side), r.find(part, load, peer)
		g := goal{Name: name, Peer: peer, Limit: limit, Verdict: "not measured"}
		if ours != nil {
			g.Figure = figure(of(ours.Median), unit)
		}
		if ours != nil && theirs != nil && of(theirs.Median) > 0 {
			g.Peer = peer + " " + figure(of(theirs.Median), unit)
			g.Ratio = of(ours.Median) / of(theirs.Median)
			g.Verdict = verdict(holds(g.Ratio))
		}
		r.Goals = append(r.Goals, g)
	}
	atLeast := func(limit float64) func(float64) bool { return func(x float64) bool { return x >= limit } }
	atMost := func(limit float64) func(float64) bool { return func(x float64) bool { return x <= limit } }

	compare("append, 1 writer", "append", load(1), nodeName, messageDBName, "/s", rate, atLeast(1.2), "≥ 1.2×")
	compare("append, 16 writers", "append", load(16), nodeName, goesName, "/s", rate, atLeast(2), "≥ 2×")
	compare("append, 64 writers", "append", load(64), nodeName, goesName, "/s", rate, atLeast(3), "≥ 3×")
	for _, n := range writers {
		compare(fmt.Sprintf("append p99, %s", load(n)), "append", load(n), nodeName, goesName, " ms", p99, atMost(1./3), "≤ 0.33×")
	}
	compare("append, 64 writers", "append", load(64), nodeName, nullName, "/s", rate, atLeast(0.6), "≥ 0.60×")
	compare("receive $all", "receive $all", "1 subscriber", nodeName, nullName, "/s", rate, atLeast(0.8), "≥ 0.80×")

	sixteen := fmt.Sprintf("%d subscribers", subscribers)
	if f := r.find("fan-out", sixteen, nodeName); f != nil {
		g := goal{Name: "fan-out, " + sixteen, Figure: figure(f.Median.Rate, "/s"), Peer: "—", Limit: "≥ 300k/s", Verdict: verdict(f.Median.Rate >= 300_000)}
		if null := r.find("fan-out", sixteen, nullName); null != nil {
			g.Peer, g.Ratio = nullName+" "+figure(null.Median.Rate, "/s"), f.Median.Rate/null.Median.Rate
		}
		r.Goals = append(r.Goals, g)
	}

	for _, n := range []int{16, 64} {
		r.compareHistories("append to 10× history, "+load(n), "append to a history", load(n), "/s", rate, atLeast(0.95), "≥ 0.95×")
	}
	if short, long := r.find("receive $all", "the whole log", shortName), r.find("receive $all", "the whole log", longName); short != nil && long != nil {
		took := func(events int, r *row) float64 { return float64(events) / r.Median.Rate }
		a, b := took(r.Short, short), took(r.Long, long)
		exponent := math.Log(b/a) / math.Log(float64(r.Long)/float64(r.Short))
		r.Goals = append(r.Goals, goal{
			Name: "receive the whole log, exponent", Figure: fmt.Sprintf("%.2f s", b), Peer: fmt.Sprintf("%s %.2f s", shortName, a),
			Ratio: exponent, Limit: "≤ 1.02", Verdict: verdict(exponent <= 1.02),
		})
	}
	for _, how := range []string{"after a stop", "after a kill -9"} {
		r.compareHistories("open "+how, "open", how, " ms", p50, atMost(1.25), "≤ 1.25×")
	}
	for _, m := range []struct {
		name  string
		bytes int64
		limit int64
	}{
		{"memory, idle", r.Memory.Idle, 150}, {"memory, appending", r.Memory.Load, 300}, {"memory, long history", r.Memory.Long, 300},
	} {
		if m.bytes > 0 {
			r.Goals = append(r.Goals, goal{
				Name: m.name, Figure: fmt.Sprintf("%d MB", m.bytes>>20), Peer: "the whole backend's",
				Limit: fmt.Sprintf("≤ %d MB", m.limit), Verdict: verdict(m.bytes>>20 <= m.limit),
			})
		}
	}
}

func (r *report) compareHistories(name, part, load, unit string, of func(cell) float64, holds func(float64) bool, limit string) {
	short, long := r.find(part, load, shortName), r.find(part, load, longName)
	if short == nil || long == nil {
		return
	}
	ratio := of(long.Median) / of(short.Median)
	r.Goals = append(r.Goals, goal{
		Name: name, Figure: figure(of(long.Median), unit), Peer: shortName + " " + figure(of(short.Median), unit),
		Ratio: ratio, Limit: limit, Verdict: verdict(holds(ratio)),
	})
}

func verdict(holds bool) string {
	if holds {
		return "reached"
	}
	return "NOT REACHED"
}

func figure(x float64, unit string) string {
	if unit == "/s" {
		return fmt.Sprintf("%.1fk/s", x/1000)
	}
	return fmt.Sprintf("%.2f%s", x, unit)
}

// write prints the table, and the JSON where it is wanted.
func (r *report) write(out io.Writer, jsonTo string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	switch jsonTo {
	case "-":
		_, err = out.Write(text)
		return err
	case "":
	default:
		if err := os.WriteFile(jsonTo, text, 0o644); err != nil {
			return err
		}
	}
	return r.table(out)
}

func (r *report) table(out io.Writer) error {
	m := r.Machine
	fmt.Fprintf(out, "%d × %s, Linux %s, %s", m.CPUs, m.Processor, m.Kernel, m.Go)
	if m.PostgreSQL != "" {
		fmt.Fprintf(out, ", PostgreSQL %s", m.PostgreSQL)
	}
	fmt.Fprintf(out, "\nMedians of %d rotations in %.0f s; a ratio is the side's over the node's (the short history's below them).\n", r.Rotations, r.Seconds)
	fmt.Fprintf(out, "µs/event is processor time: the server's, and that of the client in the measuring process.\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "part\tload\tside\tevents/s\tlowest–highest\tratio\tp50 ms\tp99 ms\tserver µs\tclient µs")
	for _, row := range r.Rows {
		first := r.find(row.Part, row.Load, nodeName)
		if first == nil {
			first = r.find(row.Part, row.Load, shortName)
		}
		of := func(c cell) float64 { return c.Rate }
		if row.Median.Rate == 0 {
			of = func(c cell) float64 { return c.P50 }
		}
		all := row.sorted(of)
		spread := fmt.Sprintf("%.0f–%.0f", all[0], all[len(all)-1])
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t%s\t%s\n", row.Part, row.Load, row.Side, number(row.Median.Rate, 0), spread,
			of(row.Median)/of(first.Median), number(row.Median.P50, 2), number(row.Median.P99, 2), number(row.Median.Server, 1), number(row.Median.Client, 1))
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
