package lab

import (
	"context"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// Connect makes an official client that logs nothing.
func Connect(url string) (*esdb.Client, error) {
	config, err := esdb.ParseConnectionString(url)
	if err != nil {
		return nil, err
	}
	config.Logger = esdb.NoopLogging()
	return esdb.NewClient(config)
}

// Receive takes events of $all from its start on, with the official client's
// catch-up subscription, until it has as many. It calls ready when it is connected
// and has asked for nothing yet. Each event has as many bytes as size says, unless
// that is 0.
func Receive(ctx context.Context, url string, events, size int, ready func()) error {
	client, err := Connect(url)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ready()
	sub, err := client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }()
	for got := 0; got < events; {
		m := sub.Recv()
		switch {
		case m.EventAppeared != nil:
			if n := len(m.EventAppeared.OriginalEvent().Data); size > 0 && n != size {
				return fmt.Errorf("event %d has %d bytes", got, n)
			}
			got++
		case m.SubscriptionDropped != nil:
			return m.SubscriptionDropped.Error
		case m.CaughtUp != nil:
			return fmt.Errorf("the log ended after %d events, %d were expected", got, events)
		}
	}
	return nil
}
