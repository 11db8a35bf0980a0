package scanners

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/eventstore"
)

// presencePatience bounds each attempt to tell of presence.
const presencePatience = 5 * time.Second

// enlist puts the type on the roster, once a run: verdicts depend on it, so it comes
// before the first delivery, and an event store that is away is waited for. A type
// that is retired while it runs is enlisted again when it comes online the next
// time, not by a lost connection. A roster that cannot be written for any other
// reason keeps nobody from scanning.
func (r *runtime) enlist(ctx context.Context) error {
	if r.enlisted {
		return nil
	}
	_, err := r.commands.EnlistScanner(ctx, "scanner "+r.about.Type, scanner.Enlist{Type: r.about.Type, Instance: r.me.Instance, Version: r.me.Version})
	switch {
	case err == nil:
		r.enlisted = true
	case ctx.Err() != nil, domain.KindOf(err) != domain.Internal:
		return fmt.Errorf("enlist: %w", err)
	default:
		r.Logger.Error("the roster of scanners cannot be written; nobody will miss this type", "error", err)
	}
	return nil
}

// present records that this instance comes or goes, and reports whether it did. It
// is best effort: a verdict never depends on it.
func (r *runtime) present(ctx context.Context, fact string) bool {
	err := r.tell(ctx, scanner.Category, fact, fmt.Sprint(fact, "/", r.about.Type, "/", r.me.Instance, "/", r.since.UnixNano()))
	if err != nil {
		r.Logger.Warn("presence not recorded", "fact", fact, "error", err)
	}
	return err == nil
}

// beat gives signs of life, the first at once, until ctx ends. They are best effort
// too; what keeps them from the log is logged by others.
func (r *runtime) beat(ctx context.Context) {
	ticker := time.NewTicker(r.Heartbeat)
	defer ticker.Stop()
	bounded := false
	for {
		if !bounded {
			bounded = r.boundHeartbeats(ctx)
		}
		r.beats++
		err := r.tell(ctx, scanner.HeartbeatCategory, scanner.HeartbeatType,
			fmt.Sprint(scanner.HeartbeatType, "/", r.about.Type, "/", r.me.Instance, "/", r.since.UnixNano(), "/", r.beats))
		if err != nil && ctx.Err() == nil {
			r.Logger.Debug("heartbeat not recorded", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// boundHeartbeats sees to it that signs of life do not fill the log, and reports
// whether it did.
func (r *runtime) boundHeartbeats(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, presencePatience)
	defer cancel()
	err := r.Log.KeepNewest(ctx, eventstore.StreamID{Category: scanner.HeartbeatCategory, Key: r.about.Type}, scanner.Heartbeats)
	if err != nil && ctx.Err() == nil {
		r.Logger.Debug("heartbeats are not bounded yet", "error", err)
	}
	return err == nil
}

// tell appends one fact of presence to the stream of the type in a category.
func (r *runtime) tell(ctx context.Context, category, fact, id string) error {
	ctx, cancel := context.WithTimeout(ctx, presencePatience)
	defer cancel()
	data, err := json.Marshal(scanner.Presence{
		Type: r.about.Type, Instance: r.me.Instance, Version: r.me.Version, RulesDigest: r.me.RulesDigest, ConfigDigest: r.me.ConfigDigest,
	})
	if err != nil {
		return err
	}
	_, err = r.Log.Append(ctx, eventstore.StreamID{Category: category, Key: r.about.Type}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, id), Type: fact, Data: data, Metadata: []byte(`{}`)})
	return err
}
