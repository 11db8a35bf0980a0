package main

import (
	"context"
	"fmt"
	"time"

	"github.com/factgate/factgate/bench/internal/lab"
)

const (
	partRebuild   = "rebuild"
	ourName       = "factgate projector"
	sameRowsName  = messageDBName + ", all rows"
	taskRowsName  = messageDBName + ", task rows"
	receiveName   = "receive only"
	loadRebuild   = "$all to tables"
	rebuildMemory = "projector, rebuilding"
)

// contender is one side of the rebuild.
type contender struct {
	name    string
	load    string
	events  int
	servers servers // whose processor time it takes
	rebuild func(ctx context.Context) (time.Duration, error)
}

// rebuilding compares how fast a read model is made from the whole log.
func (b *bench) rebuilding(ctx context.Context) error {
	g, err := b.openGate(ctx, "rebuild", b.tasks)
	if err != nil {
		return err
	}
	defer g.close(ctx)
	events := b.tasks * factsPerTask
	var peers []contender
	if b.messageDB {
		pool, err := openMessageDB(ctx, b)
		if err != nil {
			return fmt.Errorf("message-db: %w", err)
		}
		defer pool.Close()
		b.say("message-db: %d facts", events)
		for _, all := range []bool{true, false} {
			m := &messageDB{pool: pool, batch: b.batch, all: all, tasks: b.tasks}
			name := taskRowsName
			if all {
				name = sameRowsName
			}
			peers = append(peers, contender{name, loadRebuild, events, servers{b.pg}, func(ctx context.Context) (time.Duration, error) { return m.rebuild(ctx) }})
		}
	}
	if b.useEmmett {
		for _, how := range []struct{ name, word string }{{emmettName, "pongo"}, {emmettRowsName, "sql"}} {
			e, err := openEmmett(ctx, b, "emmett_"+how.word, b.emmett)
			if err != nil {
				return fmt.Errorf("emmett: %w", err)
			}
			defer e.pool.Close()
			b.say("%s: %d facts", how.name, e.tasks*factsPerTask)
			for _, batch := range b.batches {
				peers = append(peers, contender{how.name, fmt.Sprintf("%d facts, batches of %d", e.tasks*factsPerTask, batch), e.tasks * factsPerTask, servers{b.pg, e.process},
					func(ctx context.Context) (time.Duration, error) { return e.rebuild(ctx, how.word, batch) }})
			}
		}
	}
	peers = append(peers, contender{receiveName, loadRebuild, events, servers{g.node}, func(ctx context.Context) (time.Duration, error) {
		var begun time.Time
		err := lab.Receive(ctx, g.node.URL, events, 0, func() { begun = time.Now() })
		return time.Since(begun), err
	}})

	for r := range b.rotations {
		c, _, err := g.rebuild(ctx, fmt.Sprintf("rebuild-%d", r))
		if err != nil {
			return fmt.Errorf("%s: %w", ourName, err)
		}
		most, err := g.halt(ctx)
		if err != nil {
			return err
		}
		b.report.remember(rebuildMemory, most)
		b.report.Add(partRebuild, loadRebuild, ourName, c)
		b.say("rebuild %d/%d  %-24s %8.0f events/s, %d MB", r+1, b.rotations, ourName, c.Rate, most>>20)
		for _, p := range peers {
			if r > 0 && b.report.best(partRebuild, p.name).Load != p.load {
				continue // the first rotation has found the best batches
			}
			if err := lab.Idle(ctx, append(servers{g.node}, p.servers...), 10*time.Second); err != nil {
				return err
			}
			before, ours := lab.Busy(p.servers), lab.OurTime()
			took, err := p.rebuild(ctx)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.name, p.load, err)
			}
			n := float64(p.events)
			c := lab.Cell{Rate: n / took.Seconds(), Server: lab.Microseconds(lab.Busy(p.servers)-before) / n, Client: lab.Microseconds(lab.OurTime()-ours) / n}
			b.report.Add(partRebuild, p.load, p.name, c)
			b.say("rebuild %d/%d  %-24s %8.0f events/s  %s", r+1, b.rotations, p.name, c.Rate, p.load)
		}
	}
	return nil
}
