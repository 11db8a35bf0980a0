package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/factgate/factgate/bench/internal/lab"
)

const (
	partLive        = "live"
	loadLive        = "1 event at a time"
	acknowledged    = "factgate, append acknowledged"
	committed       = "factgate, row committed"
	notifyHandled   = "LISTEN/NOTIFY, handler"
	notifyCommitted = "LISTEN/NOTIFY, row committed"
	look            = "one look at a checkpoint"
)

// living compares how long an event is under way until a reader sees what it does.
func (b *bench) living(ctx context.Context) error {
	g, err := b.openGate(ctx, "live", wave)
	if err != nil {
		return err
	}
	defer g.close(ctx)
	if err := g.project(ctx, "live"); err != nil {
		return err
	}
	if err := g.reach(ctx, g.end, 2*time.Millisecond); err != nil {
		return err
	}
	n, err := openNotifier(ctx, b.pg)
	if err != nil {
		return err
	}
	defer n.close()
	// New tasks, whose facts come one at a time; each side has them in this order.
	upto := wave + b.rotations*(3*b.events/factsPerTask+wave)
	next, stop := iter.Pull(facts(wave, upto))
	defer stop()
	peers, end := iter.Pull(facts(wave, upto))
	defer end()
	for r := range b.rotations {
		if err := b.settle(ctx, g); err != nil {
			return err
		}
		var acks, rows []time.Duration
		for i := range b.events + b.events/10 {
			e, ok := next()
			if !ok {
				return errors.New("there are no facts left")
			}
			begun := time.Now()
			position, err := g.append(ctx, []event{e})
			if err != nil {
				return err
			}
			ack := time.Since(begun)
			if err := g.reach(ctx, position, 0); err != nil {
				return err
			}
			if i >= b.events/10 { // the first tenth warms up
				acks, rows = append(acks, ack), append(rows, time.Since(begun))
			}
		}
		b.addLatency(r, acknowledged, acks)
		b.addLatency(r, committed, rows)

		var looks []time.Duration
		for range b.events {
			begun := time.Now()
			if err := g.reach(ctx, 0, 0); err != nil {
				return err
			}
			looks = append(looks, time.Since(begun))
		}
		b.addLatency(r, look, looks)

		for _, rowToo := range []bool{false, true} {
			if err := b.settle(ctx, g); err != nil {
				return err
			}
			name := notifyHandled
			if rowToo {
				name = notifyCommitted
			}
			var all []time.Duration
			for i := range b.events + b.events/10 {
				e, ok := peers()
				if !ok {
					return errors.New("there are no facts left")
				}
				took, err := n.send(ctx, e, rowToo)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				if i >= b.events/10 {
					all = append(all, took)
				}
			}
			b.addLatency(r, name, all)
		}
	}
	most, err := g.halt(ctx)
	b.report.remember("projector, live", most)
	return err
}

func (b *bench) settle(ctx context.Context, g *gate) error {
	return lab.Idle(ctx, servers{g.node, g.projector, b.pg}, 5*time.Second)
}

func (b *bench) addLatency(rotation int, side string, all []time.Duration) {
	slices.Sort(all)
	c := lab.Cell{P50: lab.Quantile(all, 0.5), P99: lab.Quantile(all, 0.99)}
	b.report.Add(partLive, loadLive, side, c)
	b.say("live %d/%d  %-30s p50 %6.3f ms  p99 %6.3f ms", rotation+1, b.rotations, side, c.P50, c.P99)
}

// notifier is the peer: an insert of the event and a notification in one statement,
// and a session that listens and, if that is wanted, writes a row with its
// checkpoint on another one.
type notifier struct {
	pool    *pgxpool.Pool
	cancel  context.CancelFunc
	handled chan int64
	failed  chan error
	row     chan bool // whether the next one writes a row
}

func openNotifier(ctx context.Context, pg *lab.Postgres) (*notifier, error) {
	pool, err := pg.Open(ctx, "notify", 4, "")
	if err != nil {
		return nil, err
	}
	n := &notifier{pool: pool, handled: make(chan int64, 1), failed: make(chan error, 1), row: make(chan bool, 1)}
	if _, err := pool.Exec(ctx, `
		create table events (position bigserial primary key, id uuid not null, stream text not null, revision bigint not null, type text not null,
			data jsonb not null, metadata jsonb not null, unique (stream, revision));
		create table tasks (task_id uuid primary key, revision bigint not null, type text not null, at timestamptz not null);
		create table checkpoint (position bigint not null);
		insert into checkpoint values (0)`); err != nil {
		return nil, err
	}
	listener, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := listener.Exec(ctx, "listen events"); err != nil {
		return nil, err
	}
	ctx, n.cancel = context.WithCancel(ctx)
	go func() {
		conn := listener.Hijack()
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		if err := n.handle(ctx, conn); err != nil {
			n.failed <- err
		}
	}()
	return n, nil
}

func (n *notifier) close() {
	n.cancel()
	n.pool.Close()
}

func (n *notifier) handle(ctx context.Context, listener *pgx.Conn) error {
	writer, err := n.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer writer.Release()
	// As Factgate's own writer: what is lost is folded again.
	if _, err := writer.Exec(ctx, "set synchronous_commit = off"); err != nil {
		return err
	}
	for {
		note, err := listener.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		position, err := strconv.ParseInt(note.Payload, 10, 64)
		if err != nil {
			return err
		}
		if <-n.row {
			err := pgx.BeginFunc(ctx, writer.Conn(), func(tx pgx.Tx) error {
				var batch pgx.Batch
				batch.Queue(`update checkpoint set position = $1`, position)
				batch.Queue(`insert into tasks select substr(stream, 6)::uuid, revision, type, now() from events where position = $1
					on conflict (task_id) do update set revision = excluded.revision, type = excluded.type, at = excluded.at`, position)
				return tx.SendBatch(ctx, &batch).Close()
			})
			if err != nil {
				return err
			}
			continue
		}
		n.handled <- position
	}
}

// send inserts an event and returns when the handler has it, or when its row can be
// seen, looking at the checkpoint as is done with Factgate's.
func (n *notifier) send(ctx context.Context, e event, row bool) (time.Duration, error) {
	n.row <- row
	begun := time.Now()
	var position int64
	err := n.pool.QueryRow(ctx, `with e as (insert into events (id, stream, revision, type, data, metadata) values ($1, $2, $3, $4, $5, $6) returning position)
		select position from e, lateral (select pg_notify('events', e.position::text)) told`,
		[16]byte(e.id), e.stream(), e.revision, e.kind, e.data, e.metadata).Scan(&position)
	if err != nil {
		return 0, err
	}
	if !row {
		select {
		case at := <-n.handled:
			if at != position {
				return 0, fmt.Errorf("event %d was handled, and not %d", at, position)
			}
			return time.Since(begun), nil
		case err := <-n.failed:
			return 0, err
		}
	}
	for {
		var at int64
		if err := n.pool.QueryRow(ctx, `select position from checkpoint`).Scan(&at); err != nil {
			return 0, err
		}
		if at >= position {
			return time.Since(begun), nil
		}
		select {
		case err := <-n.failed:
			return 0, err
		default:
		}
	}
}
