package scanners_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/scanners"
)

// channel runs one; the end of the test stops it.
func (b *bench) channel(o scanners.ChannelOptions) *scanners.Channel {
	c := scanners.NewChannel(scanners.Parts{Log: b.store, Blobs: b.blobs, Logger: testbench.Logger(b.t)}, o)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	return c
}

func worker(instance string) scanners.Worker {
	return scanners.Worker{Type: "SQL", Scanner: task.Scanner{Name: "elsewhere", Version: "1", Instance: instance}}
}

// next polls until there is a delivery; a store that is away is waited for.
func (b *bench) next(c *scanners.Channel, w scanners.Worker) scanners.Lease {
	var got []scanners.Lease
	require.Eventually(b.t, func() (ok bool) {
		var err error
		got, err = c.Poll(b.t.Context(), w, 1, time.Second)
		if err != nil {
			require.Equal(b.t, domain.Unavailable, domain.KindOf(err))
		}
		return len(got) > 0
	}, testbench.Patience, time.Millisecond)
	return got[0]
}

func (b *bench) passes(c *scanners.Channel, w scanners.Worker, l scanners.Lease, attempt int) {
	_, err := c.Complete(b.t.Context(), w, l.TaskID, l.ID, task.SubTaskCompleted{Attempt: attempt, Result: task.Pass, Coverage: task.Coverage{Eligible: 1, Seen: 1}})
	require.NoError(b.t, err)
	require.NoError(b.t, c.Ack(b.t.Context(), w, l.ID))
}

// The event store goes away under a lease: the delivery that comes again belongs to
// that lease, and nobody else is given it.
func TestALeaseOutlivesALostStore(t *testing.T) {
	o := newOutage(t)
	c := o.channel(scanners.ChannelOptions{Idle: time.Second})
	one, two := worker("one"), worker("two")
	id := o.open()
	l := o.next(c, one)
	require.Equal(t, id, l.TaskID)
	_, attempt, err := c.Start(t.Context(), one, id, l.ID, report.Text{})
	require.NoError(t, err)
	o.goAway()
	o.comeBack()
	fresh := o.open()
	for range 2 { // both are in the group again when each was served
		next := o.next(c, two)
		require.Equal(t, fresh, next.TaskID)
		_, n, err := c.Start(t.Context(), two, fresh, next.ID, report.Text{})
		require.NoError(t, err)
		o.passes(c, two, next, n)
		fresh = o.open()
	}
	_, err = c.Renew(one, l.ID)
	require.NoError(t, err)
	o.passes(c, one, l, attempt)
	facts := o.await(id, "passed", ended("SQL"))
	require.Equal(t, 1, facts.SubTasks["SQL"].Attempt)
	require.NoError(t, c.Ack(t.Context(), one, l.ID), "once more")
}

// Instances of both kinds share a type's work, each package once.
func TestInstancesHereAndElsewhereShareTheWork(t *testing.T) {
	b := newBench(t)
	c := b.channel(scanners.ChannelOptions{Idle: 200 * time.Millisecond})
	b.run(poisoned(nil), options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := worker("elsewhere")
		for ctx.Err() == nil {
			leases, err := c.Poll(ctx, w, 2, time.Second)
			if err != nil {
				continue
			}
			for _, l := range leases {
				_, n, err := c.Start(ctx, w, l.TaskID, l.ID, report.Text{})
				if err == nil && n > 0 {
					_, _ = c.Complete(ctx, w, l.TaskID, l.ID, task.SubTaskCompleted{Attempt: n, Result: task.Pass, Coverage: task.Coverage{Eligible: 1, Seen: 1}})
				}
				_ = c.Ack(ctx, w, l.ID)
			}
		}
	}()
	t.Cleanup(func() { <-done })
	defer cancel()
	var ids []string
	for range 40 {
		ids = append(ids, b.open())
	}
	who := map[string]int{}
	for _, id := range ids {
		s := b.await(id, "passed", ended("SQL")).SubTasks["SQL"]
		require.Equal(t, 1, s.Attempt)
		require.Equal(t, task.Pass, s.Result)
		who[s.Scanner.Name]++
	}
	require.Len(t, who, 2, "each kind had some: %v", who)
}
