package node

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const headerConnectionName = "connection-name"

// persistentService serves persistent subscriptions to $all and to streams.
type persistentService struct {
	persistent.UnimplementedPersistentSubscriptionsServer
	node *Node
}

// Create makes a group.
func (s *persistentService) Create(ctx context.Context, req *persistent.CreateReq) (*persistent.CreateResp, error) {
	config, err := createConfig(req.GetOptions(), s.node.committer.horizon.durable())
	if err == nil {
		// Once it is on its way into the log, the caller's hurry must not part the log
		// from the groups that run.
		err = s.node.groups.create(context.WithoutCancel(ctx), config)
	}
	if err != nil {
		return nil, groupError(ctx, config.key(), err)
	}
	return &persistent.CreateResp{}, nil
}

// Update changes a group's settings and drops its consumers.
func (s *persistentService) Update(ctx context.Context, req *persistent.UpdateReq) (*persistent.UpdateResp, error) {
	config, err := updateConfig(req.GetOptions(), s.node.committer.horizon.durable())
	if err == nil {
		err = s.node.groups.update(context.WithoutCancel(ctx), config, dropped(config.key(), "changed"))
	}
	if err != nil {
		return nil, groupError(ctx, config.key(), err)
	}
	return &persistent.UpdateResp{}, nil
}

// Delete ends a group; its consumers are dropped and its parked messages are gone.
func (s *persistentService) Delete(ctx context.Context, req *persistent.DeleteReq) (*persistent.DeleteResp, error) {
	key := keyOf(req.GetOptions(), req.GetOptions().GetAll())
	if err := s.node.groups.remove(context.WithoutCancel(ctx), key, dropped(key, "deleted")); err != nil {
		return nil, groupError(ctx, key, err)
	}
	return &persistent.DeleteResp{}, nil
}

// ReplayParked delivers again what is parked, ahead of what is new.
func (s *persistentService) ReplayParked(ctx context.Context, req *persistent.ReplayParkedReq) (*persistent.ReplayParkedResp, error) {
	o := req.GetOptions()
	key := keyOf(o, o.GetAll())
	limit := uint64(math.MaxUint64)
	if stop, limited := o.GetStopAtOption().(*persistent.ReplayParkedReq_Options_StopAt); limited {
		if stop.StopAt < 0 {
			return nil, groupError(ctx, key, invalid("a replay stops after a number of messages, which is not negative"))
		}
		limit = uint64(stop.StopAt)
	}
	var failed error
	err := s.node.groups.ask(ctx, key, func(g *group) { failed = g.replayParked(limit) })
	if err = errors.Join(err, failed); err != nil {
		return nil, groupError(ctx, key, err)
	}
	return &persistent.ReplayParkedResp{}, nil
}

// RestartSubsystem drops all consumers and starts the groups anew.
func (s *persistentService) RestartSubsystem(context.Context, *shared.Empty) (*shared.Empty, error) {
	if err := s.node.groups.restart(func(key groupKey) error { return dropped(key, "restarted") }); err != nil {
		return nil, toStatus(err)
	}
	return &shared.Empty{}, nil
}

// GetInfo describes one group.
func (s *persistentService) GetInfo(ctx context.Context, req *persistent.GetInfoReq) (*persistent.GetInfoResp, error) {
	key := keyOf(req.GetOptions(), req.GetOptions().GetAll())
	info, err := s.info(ctx, key)
	if err != nil {
		return nil, groupError(ctx, key, err)
	}
	return &persistent.GetInfoResp{SubscriptionInfo: info}, nil
}

func (s *persistentService) info(ctx context.Context, key groupKey) (info *persistent.SubscriptionInfo, err error) {
	var failed error
	err = s.node.groups.ask(ctx, key, func(g *group) { info, failed = g.info() })
	return info, errors.Join(err, failed)
}

// List describes all groups, or those of one stream. That a stream has none is an
// error, as it is to the official server.
func (s *persistentService) List(ctx context.Context, req *persistent.ListReq) (*persistent.ListResp, error) {
	stream := ""
	if of := req.GetOptions().GetListForStream(); of != nil {
		stream = string(of.GetStream().GetStreamName())
		if of.GetAll() != nil {
			stream = allStream
		}
		if stream == "" {
			return nil, groupError(ctx, groupKey{}, errGroupMissing)
		}
	}
	resp := &persistent.ListResp{}
	for _, g := range s.node.groups.list(stream) {
		info, err := s.info(ctx, g.key)
		if errors.Is(err, errGroupMissing) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, groupError(ctx, g.key, err)
		}
		resp.Subscriptions = append(resp.Subscriptions, info)
	}
	if stream != "" && len(resp.GetSubscriptions()) == 0 {
		return nil, groupError(ctx, groupKey{stream: stream}, errGroupMissing)
	}
	return resp, nil
}

// Read connects one consumer to a group until it leaves or is dropped.
func (s *persistentService) Read(stream persistent.PersistentSubscriptions_ReadServer) error {
	first, err := stream.Recv() // a client refused before it has sent this learns no reason
	if err != nil {
		return err
	}
	ctx, cancel, err := s.node.callContext(stream.Context())
	if err != nil {
		return err
	}
	defer cancel()
	o := first.GetOptions()
	if o == nil {
		return invalid("a consumer starts with its options")
	}
	key := keyOf(o, o.GetAll())
	from, name := caller(ctx)
	var g *group
	var c *consumer
	var refused error
	if err := s.node.groups.ask(ctx, key, func(found *group) {
		g = found
		c, refused = g.connect(int(o.GetBufferSize()), from, name)
	}); err != nil {
		return groupError(ctx, key, err)
	}
	if refused != nil {
		return groupError(ctx, key, refused)
	}
	defer func() {
		// The group may be the one that ends; then nobody is left to tell. That the
		// node closes is not the consumer's failure.
		failed := s.node.closing.Err() == nil
		_ = g.do(context.WithoutCancel(ctx), func() { g.disconnect(c, failed) })
	}()
	_, asString := o.GetUuidOption().GetContent().(*persistent.ReadReq_Options_UUIDOption_String_)
	if err := stream.Send(&persistent.ReadResp{Content: &persistent.ReadResp_SubscriptionConfirmation_{
		SubscriptionConfirmation: &persistent.ReadResp_SubscriptionConfirmation{SubscriptionId: key.String()},
	}}); err != nil {
		return err
	}

	// The receiving side ends when this handler has returned, because only that
	// ends the stream's context.
	left := make(chan error, 1)
	s.node.calls.Add(1)
	go func() {
		defer s.node.calls.Done()
		left <- receiveVerdicts(ctx, stream, g, c)
	}()
	for {
		select {
		case d := <-c.out:
			if err := stream.Send(deliveryToWire(d.resolved, d.retries, asString)); err != nil {
				return err
			}
		case err := <-left:
			if errors.Is(err, errGroupStopped) {
				left = nil // it is about to say why
				continue
			}
			return toStatus(err)
		case <-c.gone:
			return groupError(ctx, key, c.reason)
		case <-ctx.Done():
			return toStatus(context.Cause(ctx))
		}
	}
}

// caller says who calls: the address, and the name that the client has given itself.
func caller(ctx context.Context) (from, name string) {
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	if names := metadata.ValueFromIncomingContext(ctx, headerConnectionName); len(names) > 0 {
		name = strings.ToValidUTF8(names[0], "")
	}
	return from, name
}

// receiveVerdicts takes acks and nacks until the consumer has left. It fails with
// errGroupStopped when there is nobody to tell them to.
func receiveVerdicts(ctx context.Context, stream persistent.PersistentSubscriptions_ReadServer, g *group, c *consumer) error {
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var wire []*shared.UUID
		var verdict func(ids []uuid.UUID)
		switch content := msg.GetContent().(type) {
		case *persistent.ReadReq_Ack_:
			wire = content.Ack.GetIds()
			verdict = func(ids []uuid.UUID) { g.ack(c, ids) }
		case *persistent.ReadReq_Nack_:
			wire = content.Nack.GetIds()
			verdict = func(ids []uuid.UUID) { g.nack(c, ids, content.Nack.GetAction(), content.Nack.GetReason()) }
		default:
			return invalid("a consumer sends acks and nacks after its options")
		}
		if len(wire) > maxVerdicts {
			return invalid("an ack or a nack is for at most %d events, this one is for %d", maxVerdicts, len(wire))
		}
		ids := make([]uuid.UUID, len(wire))
		for i, w := range wire {
			var ok bool
			if ids[i], ok = uuidFromWire(w); !ok {
				return invalid("an ack or a nack names events by their ids")
			}
		}
		if err := g.do(ctx, func() { verdict(ids) }); err != nil {
			return err
		}
	}
}

// keyOf reads which group a request is about.
func keyOf(o interface {
	GetStreamIdentifier() *shared.StreamIdentifier
	GetGroupName() string
}, all *shared.Empty) groupKey {
	if all != nil {
		return groupKey{allStream, o.GetGroupName()}
	}
	return groupKey{string(o.GetStreamIdentifier().GetStreamName()), o.GetGroupName()}
}

// groupError is how clients are told why a request about a group was not served.
func groupError(ctx context.Context, key groupKey, err error) error {
	names := []string{trailerStreamName, key.stream, trailerGroupName, key.group}
	switch {
	case errors.Is(err, errGroupExists):
		return withException(ctx, codes.AlreadyExists, exceptionGroupExists, "group \""+key.String()+"\" exists", names...)
	case errors.Is(err, errGroupMissing):
		return withException(ctx, codes.NotFound, exceptionGroupMissing, "there is no group \""+key.String()+"\": create it first", names...)
	}
	s := status.Convert(toStatus(err))
	switch s.Code() {
	case codes.FailedPrecondition:
		return withException(ctx, s.Code(), exceptionMaxSubscribers, s.Message(), names...)
	case codes.Canceled:
		if context.Cause(ctx) == nil {
			return withException(ctx, s.Code(), exceptionGroupDropped, s.Message(), names...)
		}
	case codes.InvalidArgument:
		return withException(ctx, codes.Internal, exceptionGroupFailed, s.Message(), append(names, trailerReason, s.Message())...)
	}
	return s.Err()
}
