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
	"strings"
	"syscall"
	"time"

	"github.com/factgate/factgate/bench/internal/lab"
)

// options are the flags.
type options struct {
	factgate  string
	against   string
	parts     string
	dir       string
	json      string
	profile   string
	rotations int
	cell      time.Duration
	streams   int
	history   int
	growth    int
	appends   int
	fanout    int
	pool      int
	goes      bool
	messageDB bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench-store: serve:", err)
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
		fmt.Fprintln(os.Stderr, "bench-store:", err)
		os.Exit(1)
	}
}

func parse(args []string, progress io.Writer) (options, error) {
	var o options
	var quick bool
	f := flag.NewFlagSet("bench-store", flag.ContinueOnError)
	f.SetOutput(progress)
	f.StringVar(&o.factgate, "factgate", "../bin/factgate", "the binary whose node is measured")
	f.StringVar(&o.against, "against", "", "another factgate binary, say of an earlier commit, whose node is measured beside it")
	f.StringVar(&o.dir, "dir", "", "folder for all data, on the disk to be measured (default: a temporary folder)")
	f.StringVar(&o.json, "json", "", "also write the figures as JSON to this file; - is standard output instead of the table")
	f.StringVar(&o.profile, "profile", "", "write processor profiles of the node to this folder; the node then runs in this program's binary")
	f.BoolVar(&quick, "quick", false, "everything once and briefly: shows that it works, not how fast it is")
	f.StringVar(&o.parts, "parts", "append,receive,growth", "what to measure")
	f.IntVar(&o.rotations, "rotations", 3, "how often each side has its turn")
	f.DurationVar(&o.cell, "cell", 2*time.Second, "how long a turn appends")
	f.IntVar(&o.streams, "streams", 6400, "streams that are appended to")
	f.IntVar(&o.history, "history", 200_000, "events in the log that is read")
	f.IntVar(&o.growth, "growth", 10, "how many times longer the long history is")
	f.IntVar(&o.appends, "growth-appends", 15_000, "events that a turn appends to the short and to the long history")
	f.IntVar(&o.fanout, "fanout", 50_000, "events that each of 16 subscribers receives")
	f.IntVar(&o.pool, "pool", 16, "connections of each peer to PostgreSQL")
	f.BoolVar(&o.goes, "goes", true, "measure goes")
	f.BoolVar(&o.messageDB, "message-db", true, "measure message-db (its SQL comes from npm)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.rotations, o.cell, o.streams = 1, 300*time.Millisecond, 640
		o.history, o.growth, o.appends, o.fanout = 10_000, 4, 1_000, 2_000
	}
	if o.rotations < 1 || o.streams < 64 || o.history < o.streams || o.growth < 2 || o.fanout > o.history || o.pool < 1 {
		return o, errors.New("use at least 1 rotation, 64 streams, 1 connection, twice the history, and no more streams and no longer fan-out than there is history")
	}
	return o, nil
}

// bench is one run.
type bench struct {
	options
	say     func(format string, args ...any) // progress
	report  *report
	names   []string // of streams
	payload [][]byte
	begun   []*lab.Process // all of them, to be ended
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
	for _, program := range []*string{&o.factgate, &o.against} {
		if *program == "" {
			continue
		}
		if *program, err = filepath.Abs(*program); err != nil {
			return err
		}
	}
	if err := lab.OnDisk(o.dir); err != nil {
		return err
	}
	start := time.Now()
	b := &bench{options: o, payload: payloads(), report: newReport(o)}
	b.say = func(format string, args ...any) {
		fmt.Fprintf(progress, "%5.0fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	for i := range o.streams {
		b.names = append(b.names, fmt.Sprintf("task-%d", i))
	}
	defer func() {
		for _, p := range b.begun {
			p.Kill()
		}
	}()
	parts := map[string]func(context.Context) error{"append": b.appending, "receive": b.receiving, "growth": b.growing}
	for name := range strings.SplitSeq(o.parts, ",") {
		part, known := parts[name]
		if !known {
			return fmt.Errorf("-parts %s: there is append, receive and growth", name)
		}
		if err := part(ctx); err != nil {
			return err
		}
	}
	b.report.Seconds = time.Since(start).Seconds()
	b.report.judge()
	return b.report.write(out, o.json)
}
