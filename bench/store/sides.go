package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/factgate/factgate/bench/internal/lab"
)

const (
	nodeName      = "factgate node"
	otherName     = "other node" // of -against
	nullName      = "null server"
	floorName     = "log floor"
	goesName      = "goes"
	messageDBName = "message-db"
)

// appendSides starts everybody. The node is the first.
func (b *bench) appendSides(ctx context.Context) (sides []*side, end func(), err error) {
	var ends []func()
	end = func() {
		for _, e := range ends {
			e()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	b.say("starting the node, the null server and PostgreSQL")
	node, err := b.startNode(ctx, "append")
	if err != nil {
		return nil, nil, err
	}
	nodeClient, err := lab.Connect(node.URL)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() { _ = nodeClient.Close(); node.Kill() })
	s := newSide(nodeName, node, &official{nodeClient, b.names}, b.streams)
	s.verify = func(ctx context.Context, at []int64) error { return b.verifyNode(ctx, node, "append", at) }
	sides = append(sides, s)

	if b.against != "" {
		other, err := b.startOther(ctx, "append-other")
		if err != nil {
			return nil, nil, err
		}
		client, err := lab.Connect(other.URL)
		if err != nil {
			return nil, nil, err
		}
		ends = append(ends, func() { _ = client.Close(); other.Kill() })
		sides = append(sides, newSide(otherName, other, &official{client, b.names}, b.streams))
	}

	if b.goes || b.messageDB {
		pg, err := lab.StartPostgres(ctx, filepath.Join(b.dir, "peers"))
		if err != nil {
			return nil, nil, err
		}
		ends = append(ends, func() { _ = pg.Stop(context.WithoutCancel(ctx)) })
		b.report.Machine.PostgreSQL = pg.Version
		if b.messageDB {
			a, err := openMessageDB(ctx, pg, b)
			if err != nil {
				return nil, nil, fmt.Errorf("message-db: %w", err)
			}
			ends = append(ends, a.pool.Close)
			s := newSide(messageDBName, pg, a, b.streams)
			s.verify = a.verify
			sides = append(sides, s)
		}
		if b.goes {
			a, err := openGoes(ctx, pg, b)
			if err != nil {
				return nil, nil, fmt.Errorf("goes: %w", err)
			}
			ends = append(ends, a.pool.Close)
			s := newSide(goesName, pg, a, b.streams)
			s.verify = a.verify
			sides = append(sides, s)
		}
	}

	null, err := b.serve(ctx, "null")
	if err != nil {
		return nil, nil, err
	}
	nullClient, err := lab.Connect(null.URL)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() { _ = nullClient.Close(); null.Kill() })
	sides = append(sides, newSide(nullName, null, &official{nullClient, b.names}, b.streams))

	floor, err := openLogFloor(filepath.Join(b.dir, "floor.log"))
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, floor.close)
	return append(sides, newSide(floorName, nil, floor, b.streams)), end, nil
}

// official is the official client.
type official struct {
	client  *esdb.Client
	streams []string
}

func (o *official) append(ctx context.Context, stream int, revision int64, data []byte) error {
	var expected esdb.ExpectedRevision = esdb.NoStream{}
	if revision >= 0 {
		expected = esdb.Revision(uint64(revision))
	}
	result, err := o.client.AppendToStream(ctx, o.streams[stream], esdb.AppendToStreamOptions{ExpectedRevision: expected},
		esdb.EventData{EventID: uuid.New(), EventType: eventType, ContentType: esdb.ContentTypeJson, Data: data})
	if err != nil {
		return err
	}
	if got := int64(result.NextExpectedVersion); got != revision+1 {
		return fmt.Errorf("it went to revision %d instead of %d", got, revision+1)
	}
	return nil
}

// verifyNode kills the node and looks in its folder for the last event of every stream.
func (b *bench) verifyNode(ctx context.Context, p *lab.Process, dir string, at []int64) error {
	p.Kill()
	again, err := b.startNode(ctx, dir)
	if err != nil {
		return err
	}
	defer again.Kill()
	client, err := lab.Connect(again.URL)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for i, name := range b.names {
		if at[i] < 0 {
			continue
		}
		read, err := client.ReadStream(ctx, name, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
		if err != nil {
			return err
		}
		event, err := read.Recv()
		read.Close()
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		if got := event.OriginalEvent().EventNumber; int64(got) != at[i] {
			return fmt.Errorf("stream %s ends at revision %d, %d was acknowledged", name, got, at[i])
		}
	}
	return nil
}
