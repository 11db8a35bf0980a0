package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/factgate/factgate/bench/internal/lab"
)

// options are the flags.
type options struct {
	factgate  string
	parts     string
	dir       string
	json      string
	profile   string
	rotations int
	tasks     int
	batch     int
	emmett    int
	batches   []int
	events    int
	sizes     []int
	blowUp    int
	requests  int
	messageDB bool
	useEmmett bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench-readmodel: serve:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-readmodel:", err)
		os.Exit(1)
	}
}

func parse(args []string, progress io.Writer) (options, error) {
	var o options
	var quick bool
	f := flag.NewFlagSet("bench-readmodel", flag.ContinueOnError)
	f.SetOutput(progress)
	f.StringVar(&o.factgate, "factgate", "../bin/factgate", "the binary whose projector, node and api are measured")
	f.StringVar(&o.dir, "dir", "", "folder for all data, on the disk to be measured (default: a temporary folder)")
	f.StringVar(&o.json, "json", "", "also write the figures as JSON to this file; - is standard output instead of the table")
	f.StringVar(&o.profile, "profile", "", "write a processor profile of each projector to this folder; the projector then runs in this program's binary")
	f.BoolVar(&quick, "quick", false, "everything once and briefly: shows that it works, not how fast it is")
	f.StringVar(&o.parts, "parts", "rebuild,live,growth", "what to measure")
	f.IntVar(&o.rotations, "rotations", 3, "how often each side has its turn")
	f.IntVar(&o.tasks, "rebuild-tasks", 10_000, fmt.Sprintf("tasks in the log that is rebuilt from, %d facts each", factsPerTask))
	f.IntVar(&o.batch, "batch", 1_000, "events that a fold of message-db takes at a time")
	f.IntVar(&o.emmett, "emmett-tasks", 500, "tasks that Emmett rebuilds from; its rate does not rise with them")
	list(f, &o.batches, "emmett-batches", []int{1_000, 10_000}, "batch sizes of Emmett; the first rotation finds the best")
	f.IntVar(&o.events, "events", 1_000, "events of a turn of the live part")
	list(f, &o.sizes, "tasks", []int{10_000, 100_000}, "tasks of the growth part's read models; the first is what the others are compared with")
	f.IntVar(&o.blowUp, "blow-up", 1_000_000, "tasks that the largest of them is blown up to by writing its rows again, for the queries; 0 is not at all")
	f.IntVar(&o.requests, "requests", 300, "times that a turn asks each query")
	f.BoolVar(&o.messageDB, "message-db", true, "measure message-db (its SQL comes from npm)")
	f.BoolVar(&o.useEmmett, "emmett", true, "measure Emmett (it comes from npm and needs Node.js)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.rotations, o.tasks, o.emmett, o.batches = 1, 300, 100, []int{1_000}
		o.events, o.sizes, o.blowUp, o.requests = 30, []int{200, 600}, 1_200, 10
	}
	if o.rotations < 1 || o.tasks < 1 || o.emmett < 1 || o.batch < 1 || o.events < 1 || o.requests < 1 || len(o.sizes) == 0 || len(o.batches) == 0 ||
		slices.Min(o.sizes) < 20 || slices.Min(o.batches) < 1 {
		return o, errors.New("use at least 1 rotation, task, event, request and batch, and 20 tasks in each growth size")
	}
	return o, nil
}

// list is a flag of numbers with commas between them.
func list(f *flag.FlagSet, to *[]int, name string, usual []int, usage string) {
	*to = usual
	f.Func(name, fmt.Sprintf("%s (default %s)", usage, strings.Trim(strings.ReplaceAll(fmt.Sprint(usual), " ", ","), "[]")), func(text string) error {
		*to = nil
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			*to = append(*to, n)
		}
		return nil
	})
}

// bench is one run.
type bench struct {
	options
	say    func(format string, args ...any) // progress
	report *report
	pg     *lab.Postgres
	begun  []*lab.Process // all of them, to be ended
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "factgate-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	for _, path := range []*string{&o.factgate, &o.dir} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if o.profile != "" {
		if o.profile, err = filepath.Abs(o.profile); err != nil {
			return err
		}
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return err
		}
	}
	if err := lab.OnDisk(o.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "blobs"), 0o755); err != nil {
		return err
	}
	start := time.Now()
	b := &bench{options: o, report: newReport(o)}
	b.say = func(format string, args ...any) {
		fmt.Fprintf(progress, "%5.0fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	defer func() {
		for _, p := range b.begun {
			p.Kill()
		}
	}()
	parts := map[string]func(context.Context) error{"rebuild": b.rebuilding, "live": b.living, "growth": b.growing}
	chosen := strings.Split(o.parts, ",")
	for _, name := range chosen {
		if parts[name] == nil {
			return fmt.Errorf("-parts %s: there is rebuild, live and growth", name)
		}
	}
	if b.pg, err = lab.StartPostgres(ctx, filepath.Join(o.dir, "database")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.pg.Stop(context.WithoutCancel(ctx))) }()
	b.report.Machine.PostgreSQL = b.pg.Version
	for _, name := range chosen {
		if err := parts[name](ctx); err != nil {
			return err
		}
	}
	b.report.Seconds = time.Since(start).Seconds()
	b.report.judge()
	return b.report.write(out, o.json)
}

// start runs a program until it is ready; it ends with the run at the latest.
func (b *bench) start(ctx context.Context, program string, args ...string) (*lab.Process, error) {
	p, err := lab.Start(ctx, program, args...)
	if err == nil {
		b.begun = append(b.begun, p)
	}
	return p, err
}

// servers are several as one.
type servers []lab.Server

// PIDs of all.
func (s servers) PIDs() (all []int) {
	for _, one := range s {
		all = append(all, one.PIDs()...)
	}
	return all
}
