package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/factgate/factgate/bench/internal/lab"
)

// appender appends one event and returns when its side calls it durable. The
// stream is expected at the revision, -1 for one that does not exist.
type appender interface {
	append(ctx context.Context, stream int, revision int64, data []byte) error
}

// side is one party of a comparison.
type side struct {
	name   string
	server lab.Server // nil if it has none
	appender
	at     []int64 // what each stream was acknowledged up to
	verify func(ctx context.Context, at []int64) error
}

func newSide(name string, s lab.Server, a appender, streams int) *side {
	at := make([]int64, streams)
	for i := range at {
		at[i] = -1
	}
	return &side{name: name, server: s, appender: a, at: at}
}

// writers of the append goals.
var writers = []int{1, 16, 64}

// appending compares appends.
func (b *bench) appending(ctx context.Context) error {
	sides, end, err := b.appendSides(ctx)
	if err != nil {
		return err
	}
	defer end()
	node := sides[0].server.(*lab.Process)
	b.report.Memory.Idle, _ = node.Memory()
	for _, n := range writers {
		for r := range b.rotations {
			for _, s := range sides {
				for _, other := range sides {
					if err := lab.Idle(ctx, other.server, 5*time.Second); err != nil {
						return err
					}
				}
				c, err := b.appendCell(ctx, s, n, limit{time: b.cell}, fmt.Sprintf("append-%d-%d", n, r))
				if err != nil {
					return err
				}
				b.report.Add("append", load(n), s.name, c)
				b.say("append, %2d writers, %d/%d  %-14s %8.0f events/s  p50 %6.3f ms  p99 %6.3f ms", n, r+1, b.rotations, s.name, c.Rate, c.P50, c.P99)
			}
		}
	}
	_, b.report.Memory.Load = node.Memory()
	for _, s := range sides {
		if s.verify == nil {
			continue
		}
		if err := s.verify(ctx, s.at); err != nil {
			return fmt.Errorf("%s has not kept what it acknowledged: %w", s.name, err)
		}
		b.say("%s has kept every event it acknowledged", s.name)
	}
	return nil
}

func load(writers int) string {
	if writers == 1 {
		return "1 writer"
	}
	return fmt.Sprintf("%d writers", writers)
}

// appendCell is one turn of one side, with a short run first that does not count.
func (b *bench) appendCell(ctx context.Context, s *side, writers int, l limit, name string) (lab.Cell, error) {
	if _, err := b.append(ctx, s, writers, l.tenth()); err != nil {
		return lab.Cell{}, err
	}
	if err := lab.Idle(ctx, s.server, time.Second); err != nil {
		return lab.Cell{}, err
	}
	before, ours := lab.Busy(s.server), lab.OurTime()
	var durations []time.Duration
	var elapsed time.Duration
	work := func() (err error) {
		begun := time.Now()
		durations, err = b.append(ctx, s, writers, l)
		elapsed = time.Since(begun)
		return err
	}
	var err error
	if s.name == nodeName {
		err = b.profiled(s.server, name, l.time, work)
	} else {
		err = work()
	}
	ours = lab.OurTime() - ours
	if err != nil {
		return lab.Cell{}, err
	}
	if err := lab.Idle(ctx, s.server, 5*time.Second); err != nil {
		return lab.Cell{}, err
	}
	n := float64(len(durations))
	slices.Sort(durations)
	return lab.Cell{
		Rate:   n / elapsed.Seconds(),
		P50:    lab.Milliseconds(durations[len(durations)/2]),
		P99:    lab.Milliseconds(durations[len(durations)*99/100]),
		Server: lab.Microseconds(lab.Busy(s.server)-before) / n,
		Client: lab.Microseconds(ours) / n,
	}, nil
}

// limit ends a turn: a time, or if that is zero a number of events.
type limit struct {
	time   time.Duration
	events int
}

func (l limit) tenth() limit { return limit{l.time / 10, (l.events + 9) / 10} }

// append has writers append one event after the other and returns how long each
// took.
func (b *bench) append(ctx context.Context, s *side, writers int, l limit) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := make([][]time.Duration, writers)
	begun := time.Now()
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			mine := make([]time.Duration, 0, 1<<15)
			defer func() { all[w] = mine }()
			// Stream w, w+writers, w+2*writers and so on are this writer's alone.
			for stream := w; ; stream += writers {
				if stream >= len(s.at) {
					stream = w
				}
				if l.time > 0 && time.Since(begun) >= l.time || l.time == 0 && len(mine) >= l.events/writers || ctx.Err() != nil {
					return
				}
				revision := s.at[stream]
				data := b.payload[(stream+int(revision))&(len(b.payload)-1)]
				t := time.Now()
				if err := s.append(ctx, stream, revision, data); err != nil {
					cancel(fmt.Errorf("%s: append to %s behind revision %d: %w", s.name, b.names[stream], revision, err))
					return
				}
				mine = append(mine, time.Since(t))
				s.at[stream]++
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return slices.Concat(all...), nil
}
