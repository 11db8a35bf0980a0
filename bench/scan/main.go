package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/factgate/factgate/bench/internal/lab"
)

func main() {
	if len(os.Args) > 1 && (os.Args[1] == "side" || os.Args[1] == "make") {
		do := map[string]func([]string) error{"side": side, "make": makeFile}[os.Args[1]]
		if err := do(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench-scan: %s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-scan:", err)
		os.Exit(1)
	}
}

type options struct {
	parts     string
	json      string
	rotations int
	quick     bool
}

// bench is one run.
type bench struct {
	options
	dir    string
	say    func(format string, args ...any)
	report report
}

// turn is what a side said of one turn, and what the system said of its process.
type turn struct {
	Units   float64 `json:"units"` // megabytes, or rows
	Seconds float64 `json:"seconds"`
	Peak    int64   `json:"peak"` // bytes of resident memory
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	var o options
	f := flag.NewFlagSet("bench-scan", flag.ContinueOnError)
	f.SetOutput(progress)
	f.StringVar(&o.parts, "parts", "sql,openapi,xlsx,zip", "what to measure")
	f.StringVar(&o.json, "json", "", "also write the figures as JSON to this file")
	f.IntVar(&o.rotations, "rotations", 3, "how often each side has its turn")
	f.BoolVar(&o.quick, "quick", false, "everything once and on little: shows that it works, not how fast it is")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.quick {
		o.rotations = 1
	}
	b := &bench{options: o, report: report{Report: lab.NewReport(o.rotations)}}
	if b.dir, err = os.MkdirTemp("", "factgate-bench-scan-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	start := time.Now()
	b.say = func(format string, args ...any) {
		fmt.Fprintf(progress, "%5.0fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	parts := map[string]func(context.Context) ([]contender, error){"sql": b.sql, "openapi": b.openapi, "xlsx": b.xlsx, "zip": b.zip}
	for name := range strings.SplitSeq(o.parts, ",") {
		part, known := parts[name]
		if !known {
			return fmt.Errorf("-parts %s: there is sql, openapi, xlsx and zip", name)
		}
		sides, err := part(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := b.rotate(ctx, name, sides); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	b.report.Seconds = time.Since(start).Seconds()
	b.report.judge()
	if o.json != "" {
		text, err := json.MarshalIndent(b.report, "", "  ")
		if err == nil {
			err = os.WriteFile(o.json, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return b.report.print(out)
}

// contender is one side of a part.
type contender struct {
	name string
	unit string // MB/s, lines/s, rows/s
	// command prints a turn as JSON; or, if units is not 0, its whole run is the turn.
	command []string
	folder  string
	units   float64
	fine    []int // exit codes besides 0 that are no failure
}

// ourselves calls this program as a side.
func ourselves(name, unit string, args ...string) (contender, error) {
	self, err := os.Executable()
	return contender{name: name, unit: unit, command: append([]string{self, "side", name}, args...)}, err
}

// makes lets a process of its own make a file, so that this one stays small.
func makes(ctx context.Context, kind, file string, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if said, err := exec.CommandContext(ctx, self, "make", kind, file, strconv.Itoa(n)).CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w: %s", kind, err, said)
	}
	return nil
}

// makeFile is the other side of makes: KIND FILE N.
func makeFile(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("KIND FILE N, not %q", args)
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	switch args[0] {
	case "workbook":
		return workbook(args[1], n)
	case "archive":
		return archive(args[1], n)
	}
	return fmt.Errorf("there is no kind %q", args[0])
}

func (b *bench) rotate(ctx context.Context, part string, sides []contender) error {
	for n := range b.rotations {
		for i := range sides {
			c := sides[(i+n)%len(sides)]
			t, err := c.turn(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			rate := t.Units / t.Seconds
			b.report.add(part, c, rate, t.Peak)
			b.say("%-8s %-24s %12.1f %s, peak %d MB", part, c.name, rate, c.unit, t.Peak>>20)
		}
	}
	return nil
}

func (c contender) turn(ctx context.Context) (t turn, err error) {
	cmd := exec.CommandContext(ctx, c.command[0], c.command[1:]...)
	cmd.Dir = c.folder
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var said strings.Builder
	cmd.Stderr = &said
	begun := time.Now()
	out, err := cmd.Output()
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		for _, code := range c.fine {
			if exited.ExitCode() == code {
				err = nil
			}
		}
	}
	if err != nil {
		return t, fmt.Errorf("%w: %.500s%.500s", err, said.String(), out)
	}
	t = turn{Units: c.units, Seconds: time.Since(begun).Seconds()}
	if c.units == 0 {
		if err := json.Unmarshal(out, &t); err != nil {
			return t, fmt.Errorf("%w: %.300s", err, out)
		}
	}
	// Linux counts what this program held when it began the other, so a side that can
	// says its own peak, and this program holds little.
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && t.Peak == 0 {
		t.Peak = usage.Maxrss << 10 // KiB
	}
	if t.Units <= 0 || t.Seconds <= 0 {
		return t, fmt.Errorf("it did nothing: %.300s", out)
	}
	return t, nil
}

// write puts a text into the run's folder.
func (b *bench) write(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// report keeps rates and peaks of memory by side.
type report struct {
	lab.Report
	Peaks map[string]int64 `json:"peakBytes"` // the largest of all turns, by part/side
	units map[string]string
}

func (r *report) add(part string, c contender, rate float64, peak int64) {
	if r.Peaks == nil {
		r.Peaks, r.units = map[string]int64{}, map[string]string{}
	}
	r.Add(part, "", c.name, lab.Cell{Rate: rate})
	key := part + "/" + c.name
	r.Peaks[key] = max(r.Peaks[key], peak)
	r.units[key] = c.unit
}

func (r *report) rate(part, side string) float64 {
	if row := r.Find(part, "", side); row != nil {
		return row.Median.Rate
	}
	return 0
}

// judge compares with the goals.
func (r *report) judge() {
	ratio := func(name, part, ours, peer string, limit float64, below bool, of func(part, side string) float64) {
		a, b := of(part, ours), of(part, peer)
		g := lab.Goal{Name: name, Verdict: lab.NotMeasured, Limit: fmt.Sprintf("≥ %g×", limit)}
		if below {
			g.Limit = fmt.Sprintf("≤ %g×", limit)
		}
		if a > 0 && b > 0 {
			g.Figure, g.Peer, g.Ratio = short(a), short(b)+" "+peer, a/b
			g.Verdict = lab.NotReached
			if !below && g.Ratio >= limit || below && g.Ratio <= limit {
				g.Verdict = lab.Reached
			}
			if limit == 0 {
				g.Verdict, g.Limit = lab.Information, "—"
			}
		}
		r.Goals = append(r.Goals, g)
	}
	peak := func(part, side string) float64 { return float64(r.Peaks[part+"/"+side]) / 1e6 }
	if rate := r.rate("sql", sqlOurs); rate > 0 {
		g := lab.Goal{Name: "sql: all rules, MB/s on one core", Figure: short(rate), Peer: "—", Limit: "≥ 20", Verdict: lab.NotReached}
		if rate >= 20 {
			g.Verdict = lab.Reached
		}
		r.Goals = append(r.Goals, g)
		ratio("sql: next to pg_query, MB/s", "sql", sqlOurs, sqlPgQuery, 5, false, r.rate)
		ratio("sql: next to node-sql-parser, MB/s", "sql", sqlOurs, sqlNode, 0, false, r.rate)
		ratio("sql: next to sqlfluff lint, MB/s", "sql", sqlOurs, sqlFluff, 0, false, r.rate)
	}
	if r.rate("openapi", openapiOurs) > 0 {
		// vacuum cannot be had here. Where it was measured it took 1.6 s and 590 MB for what
		// takes spectral 4.55 s and 276 MB: five times vacuum is 14.2 times spectral, and a
		// fifth of its memory 0.43 of spectral's.
		ratio("openapi: 5× vacuum, by way of spectral, MB/s", "openapi", openapiOurs, openapiSpectral, 14.2, false, r.rate)
		ratio("openapi: ⅕ of vacuum's memory, by way of spectral, MB", "openapi", openapiOurs, openapiSpectral, 0.43, true, peak)
	}
	if r.rate("xlsx", xlsxOurs) > 0 {
		ratio("xlsx: rows/s", "xlsx", xlsxOurs, xlsxExcelize, 5, false, r.rate)
		ratio("xlsx: peak memory next to a tenth of the rows, MB", "xlsx", xlsxOurs, xlsxOursTenth, 1.2, true, peak)
		ratio("xlsx: memory, MB", "xlsx", xlsxOurs, xlsxExcelize, 0, true, peak)
	}
	if r.rate("zip", zipOurs) > 0 {
		ratio("zip: next to plain inflate, MB/s", "zip", zipOurs, zipPlain, 0, false, r.rate)
		ratio("zip: memory, MB", "zip", zipOurs, zipPlain, 0, true, peak)
	}
}

func short(f float64) string {
	if f >= 1000 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "%d cores, %s, Linux %s, %s; medians of %d turns\n\n", r.Machine.CPUs, r.Machine.Processor, r.Machine.Kernel, r.Machine.Go, r.Rotations)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "part\tside\tmedian\tturns\tpeak memory")
	for _, row := range r.Rows {
		key := row.Part + "/" + row.Side
		var turns []string
		for _, c := range row.Turns {
			turns = append(turns, short(c.Rate))
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\t%d MB\n", row.Part, row.Side, short(row.Median.Rate), r.units[key], strings.Join(turns, " "), r.Peaks[key]>>20)
	}
	fmt.Fprintln(t, "\ngoal\tfigure\tpeer\tratio\tlimit\tverdict")
	for _, g := range r.Goals {
		ratio := "—"
		if g.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f×", g.Ratio)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", g.Name, g.Figure, g.Peer, ratio, g.Limit, g.Verdict)
	}
	return t.Flush()
}
