package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modernice/goes/backend/postgres"
	"github.com/modernice/goes/codec"
	"github.com/modernice/goes/event"

	"github.com/factgate/factgate/bench/internal/lab"
)

// goes guards a stream by a unique index: a version that is taken is refused.
type goes struct {
	pool    *pgxpool.Pool
	store   *postgres.EventStore
	streams []uuid.UUID
}

// goesData is JSON already, so that nobody is measured encoding it.
type goesData []byte

func (d goesData) Marshal() ([]byte, error) { return d, nil }

func openGoes(ctx context.Context, pg *lab.Postgres, b *bench) (*goes, error) {
	pool, err := pg.Open(ctx, "goes", b.pool, "")
	if err != nil {
		return nil, err
	}
	g := &goes{pool: pool, store: postgres.NewEventStore(codec.New(), postgres.Pool(pool))}
	for _, name := range b.names {
		g.streams = append(g.streams, uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)))
	}
	if err := g.store.Connect(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return g, nil
}

func (g *goes) append(ctx context.Context, stream int, revision int64, data []byte) error {
	// Its versions begin at 1.
	e := event.New[any](eventType, goesData(data), event.Aggregate(g.streams[stream], "task", int(revision)+2))
	return g.store.Insert(ctx, e)
}

func (g *goes) verify(ctx context.Context, at []int64) error {
	return countEvents(ctx, g.pool, "select count(*) from events", at)
}
