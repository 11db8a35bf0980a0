package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/factgate/factgate/bench/internal/lab"
)

const (
	nodeBareName  = "factgate node, bare client"
	otherBareName = "other node, bare client"
	bareName      = "null server, bare client"
	shortName     = "short history"
	longName      = "long history"
	subscribers   = 16
)

// receiving compares what subscribers receive.
func (b *bench) receiving(ctx context.Context) error {
	node := &history{name: nodeName, dir: "receive", start: b.startNode}
	defer node.close()
	perStream := b.perStream(b.history)
	if err := b.fill(ctx, node, perStream); err != nil {
		return err
	}
	null, err := b.serve(ctx, "null")
	if err != nil {
		return err
	}
	defer null.Kill()

	type receiver struct {
		name      string
		server    *lab.Process
		subscribe subscribe
	}
	receivers := []receiver{{nodeName, node.process, officially}, {nullName, null, officially}, {nodeBareName, node.process, barely}, {bareName, null, barely}}
	if b.against != "" {
		other := &history{name: otherName, dir: "receive-other", start: b.startOther}
		defer other.close()
		if err := b.fill(ctx, other, perStream); err != nil {
			return err
		}
		receivers = append(receivers, receiver{otherName, other.process, officially}, receiver{otherBareName, other.process, barely})
	}
	for _, turn := range []struct {
		part, load          string
		subscribers, events int
	}{
		{"receive $all", "1 subscriber", 1, perStream * b.streams},
		{"fan-out", "1 subscriber", 1, b.fanout},
		{"fan-out", fmt.Sprintf("%d subscribers", subscribers), subscribers, b.fanout},
	} {
		for r := range b.rotations {
			for _, s := range receivers {
				c, err := b.receiveCell(ctx, s.server, s.subscribe, turn.subscribers, turn.events,
					strings.NewReplacer(" ", "-", "$", "").Replace(fmt.Sprintf("%s-%s-%s-%d", turn.part, turn.load, s.name, r)))
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				b.report.Add(turn.part, turn.load, s.name, c)
				b.say("%s, %s, %d/%d  %-27s %8.0f events/s", turn.part, turn.load, r+1, b.rotations, s.name, c.Rate)
			}
		}
	}
	return nil
}

// growing compares a short with a long history.
func (b *bench) growing(ctx context.Context) error {
	short, long := b.perStream(b.history), b.perStream(b.history*b.growth)
	b.report.Short, b.report.Long = short*b.streams, long*b.streams
	logs := []*history{{name: shortName, dir: "short", start: b.startNode}, {name: longName, dir: "long", start: b.startNode}}
	for i, h := range logs {
		defer h.close()
		if err := b.fill(ctx, h, []int{short, long}[i]); err != nil {
			return err
		}
	}
	for r := range b.rotations {
		for i, h := range logs {
			events := []int{b.report.Short, b.report.Long}[i]
			c, err := b.receiveCell(ctx, h.process, officially, 1, events, fmt.Sprintf("history-%d-%d", i, r))
			if err != nil {
				return err
			}
			b.report.Add("receive $all", "the whole log", h.name, c)
			b.say("receive the whole log, %d/%d  %s  %8.0f events/s", r+1, b.rotations, h.name, c.Rate)
		}
	}
	for _, n := range []int{16, 64} {
		for r := range b.rotations {
			for _, h := range logs {
				for _, other := range logs {
					if err := lab.Idle(ctx, other.process, 10*time.Second); err != nil {
						return err
					}
				}
				c, err := b.appendCell(ctx, h.side, n, limit{events: b.appends}, "")
				if err != nil {
					return err
				}
				b.report.Add("append to a history", load(n), h.name, c)
				b.say("append to a history, %2d writers, %d/%d  %-14s %8.0f events/s", n, r+1, b.rotations, h.name, c.Rate)
			}
		}
	}
	_, b.report.Memory.Long = logs[1].process.Memory()
	for range b.rotations {
		for _, killed := range []bool{false, true} {
			for _, h := range logs {
				took, err := b.reopen(ctx, h, killed)
				if err != nil {
					return err
				}
				how := "after a stop"
				if killed {
					how = "after a kill -9"
				}
				b.report.Add("open", how, h.name, lab.Cell{P50: lab.Milliseconds(took)})
				b.say("open %s, %-14s %4.0f ms", how, h.name, lab.Milliseconds(took))
			}
		}
	}
	for _, h := range logs {
		h.close()
		if err := b.verifyHistory(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// history is a node with a log of some length.
type history struct {
	name, dir string
	start     func(ctx context.Context, dir string) (*lab.Process, error)
	process   *lab.Process
	client    *esdb.Client
	side      *side
}

func (h *history) close() {
	if h.client != nil {
		_ = h.client.Close()
		h.process.Kill()
		h.client = nil
	}
}

func (b *bench) open(ctx context.Context, h *history) (err error) {
	if h.process, err = h.start(ctx, h.dir); err != nil {
		return err
	}
	if h.client, err = lab.Connect(h.process.URL); err != nil {
		return err
	}
	if h.side == nil {
		h.side = newSide(h.name, h.process, nil, b.streams)
	}
	h.side.server, h.side.appender = h.process, &official{h.client, b.names}
	return nil
}

func (b *bench) perStream(events int) int { return (events + b.streams - 1) / b.streams }

// fill gives each stream its events, in appends of many.
func (b *bench) fill(ctx context.Context, h *history, perStream int) error {
	if err := b.open(ctx, h); err != nil {
		return err
	}
	const batch = 32
	for done := 0; done < perStream; done += batch {
		if err := b.grow(ctx, h, b.streams, min(batch, perStream-done)); err != nil {
			return err
		}
	}
	if err := lab.Idle(ctx, h.process, 30*time.Second); err != nil {
		return err
	}
	b.say("%s: %d events in %d streams", h.name, perStream*b.streams, b.streams)
	return nil
}

// grow appends the same number of events to each of the first streams.
func (b *bench) grow(ctx context.Context, h *history, streams, events int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	const workers = 16
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < streams && ctx.Err() == nil; i += workers {
				batch := make([]esdb.EventData, events)
				for j := range batch {
					batch[j] = esdb.EventData{
						EventID: uuid.New(), EventType: eventType, ContentType: esdb.ContentTypeJson,
						Data: b.payload[(i*31+j)&(len(b.payload)-1)],
					}
				}
				var expected esdb.ExpectedRevision = esdb.NoStream{}
				if h.side.at[i] >= 0 {
					expected = esdb.Revision(uint64(h.side.at[i]))
				}
				if _, err := h.client.AppendToStream(ctx, b.names[i], esdb.AppendToStreamOptions{ExpectedRevision: expected}, batch...); err != nil {
					cancel(fmt.Errorf("fill the %s: %w", h.name, err))
					return
				}
				h.side.at[i] += int64(events)
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// reopen ends a node that has just written and measures how long the next one
// takes until it serves.
func (b *bench) reopen(ctx context.Context, h *history, killed bool) (time.Duration, error) {
	if err := b.grow(ctx, h, b.streams/2, 1); err != nil {
		return 0, err
	}
	_ = h.client.Close()
	if killed {
		h.process.Kill()
	} else if err := h.process.Stop(ctx); err != nil {
		return 0, err
	}
	err := b.open(ctx, h)
	return h.process.Opened, err
}

// verifyHistory opens a closed history and looks for the last event of each stream.
func (b *bench) verifyHistory(ctx context.Context, h *history) error {
	if err := b.verifyNode(ctx, h.process, h.dir, h.side.at); err != nil {
		return fmt.Errorf("the %s has not kept what it acknowledged: %w", h.name, err)
	}
	b.say("%s: every event that was acknowledged is there", h.name)
	return nil
}

// subscribe receives events of $all from its start on, until it has as many.
type subscribe func(ctx context.Context, url string, events int, ready func()) error

// officially is the official client's catch-up subscription.
func officially(ctx context.Context, url string, events int, ready func()) error {
	return lab.Receive(ctx, url, events, payloadSize, ready)
}

// barely takes the same messages in and decodes none: what is left is the server.
func barely(ctx context.Context, url string, events int, ready func()) error {
	address := strings.TrimSuffix(strings.TrimPrefix(url, "esdb://"), "?tls=false")
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	connection.Connect()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready()
	read, err := streams.NewStreamsClient(connection).Read(ctx, &streams.ReadReq{Options: &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{
			AllOption: &streams.ReadReq_Options_AllOptions_Start{Start: &shared.Empty{}},
		}},
		CountOption:  &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}},
		FilterOption: &streams.ReadReq_Options_NoFilter{NoFilter: &shared.Empty{}},
		UuidOption:   &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_Structured{Structured: &shared.Empty{}}},
	}})
	if err != nil {
		return err
	}
	for got := 0; got < events; {
		var n received
		if err := read.RecvMsg(&n); err != nil {
			return err
		}
		if n > payloadSize { // else it is no event
			got++
		}
	}
	return nil
}

// receiveCell is one turn: subscribers, each with a connection of its own, start
// together and receive the same number of events each.
func (b *bench) receiveCell(ctx context.Context, p *lab.Process, s subscribe, subscribers, events int, name string) (lab.Cell, error) {
	if err := lab.Idle(ctx, p, 5*time.Second); err != nil {
		return lab.Cell{}, err
	}
	var connected, done sync.WaitGroup
	connected.Add(subscribers)
	failed := make([]error, subscribers)
	start := make(chan struct{})
	for i := range subscribers {
		done.Go(func() {
			once := sync.OnceFunc(connected.Done)
			defer once() // also when it fails before
			failed[i] = s(ctx, p.URL, events, func() { once(); <-start })
		})
	}
	connected.Wait()
	before, ours := lab.Busy(p), lab.OurTime()
	var elapsed time.Duration
	work := func() error {
		begun := time.Now()
		close(start)
		done.Wait()
		elapsed = time.Since(begun)
		return nil
	}
	if err := b.profiled(p, name, time.Duration(subscribers*events/250)*time.Millisecond, work); err != nil {
		return lab.Cell{}, err
	}
	for _, err := range failed {
		if err != nil {
			return lab.Cell{}, err
		}
	}
	n := float64(subscribers * events)
	return lab.Cell{Rate: n / elapsed.Seconds(), Server: lab.Microseconds(lab.Busy(p)-before) / n, Client: lab.Microseconds(lab.OurTime()-ours) / n}, nil
}
