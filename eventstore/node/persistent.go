package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// groups are the persistent subscriptions there are.
type groups struct {
	node *Node

	mu     sync.Mutex
	byName map[string]*group
	closed bool
}

// openGroups starts the groups that the log knows.
func openGroups(n *Node) (*groups, error) {
	configs, err := loadConfig(n.log, n.committer.horizon.durable())
	if err != nil {
		return nil, err
	}
	all := &groups{node: n, byName: map[string]*group{}}
	for _, config := range configs {
		f, err := config.Filter.compile()
		if err == nil {
			err = all.start(config, f)
		}
		if err != nil {
			all.close()
			return nil, err
		}
	}
	return all, nil
}

func (all *groups) start(config groupConfig, f *filter) error {
	g, err := newGroup(all.node, config, f)
	if err != nil {
		return err
	}
	all.byName[config.Group] = g
	go g.run()
	return nil
}

// close stops every group and writes how far it has come.
func (all *groups) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	for _, g := range all.byName {
		g.end(true, toStatus(errClosing))
	}
	clear(all.byName)
}

func (all *groups) find(name string) *group {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.byName[name]
}

// list returns the groups by name.
func (all *groups) list() []*group {
	all.mu.Lock()
	defer all.mu.Unlock()
	found := make([]*group, 0, len(all.byName))
	for _, g := range all.byName {
		found = append(found, g)
	}
	slices.SortFunc(found, func(a, b *group) int { return strings.Compare(a.config.Group, b.config.Group) })
	return found
}

// configs returns the settings of every group but one. The caller holds mu.
func (all *groups) configs(except string) []groupConfig {
	var configs []groupConfig
	for name, g := range all.byName {
		if name != except {
			configs = append(configs, g.config)
		}
	}
	slices.SortFunc(configs, func(a, b groupConfig) int { return strings.Compare(a.Group, b.Group) })
	return configs
}

// create makes a group durable and starts it. created is false when there is one.
func (all *groups) create(ctx context.Context, config groupConfig, f *filter) (created bool, err error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed {
		return false, errClosing
	}
	if all.byName[config.Group] != nil {
		return false, nil
	}
	// What a crash in the middle of an earlier deletion left must not become the new
	// group's progress.
	at, err := storeConfig(ctx, all.node.committer, append(all.configs(""), config),
		progressStream(config.Group), parkedStream(config.Group))
	if err != nil {
		return false, err
	}
	if config.Begin == nil {
		config.Begin = &at
	}
	return true, all.start(config, f)
}

// remove ends a group and forgets it. removed is false when there is none.
func (all *groups) remove(ctx context.Context, name string, reason error) (removed bool, err error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	g := all.byName[name]
	if g == nil {
		return false, nil
	}
	g.end(false, reason)
	if _, err := storeConfig(ctx, all.node.committer, all.configs(name), progressStream(name), parkedStream(name)); err != nil {
		if restart := all.start(g.config, g.filter); restart != nil {
			delete(all.byName, name)
			return false, errors.Join(err, restart)
		}
		return false, err
	}
	delete(all.byName, name)
	return true, nil
}

// persistentService serves persistent subscriptions to $all.
type persistentService struct {
	persistent.UnimplementedPersistentSubscriptionsServer
	node *Node
}

// Create makes a group.
func (s *persistentService) Create(ctx context.Context, req *persistent.CreateReq) (*persistent.CreateResp, error) {
	config, f, err := readGroupConfig(req.GetOptions())
	if err != nil {
		return nil, err
	}
	// Once it is on its way into the log, the caller's hurry must not part the log
	// from the groups that run.
	created, err := s.node.groups.create(context.WithoutCancel(ctx), config, f)
	if err != nil {
		return nil, toStatus(err)
	}
	if !created {
		return nil, withException(ctx, codes.AlreadyExists, exceptionGroupExists,
			"group \""+config.Group+"\" on $all exists", trailerStreamName, allStream, trailerGroupName, config.Group)
	}
	return &persistent.CreateResp{}, nil
}

// Delete ends a group; its consumers are dropped and its parked messages are gone.
func (s *persistentService) Delete(ctx context.Context, req *persistent.DeleteReq) (*persistent.DeleteResp, error) {
	if req.GetOptions().GetAll() == nil {
		return nil, unimplemented("persistent subscriptions to a single stream")
	}
	name := req.GetOptions().GetGroupName()
	removed, err := s.node.groups.remove(context.WithoutCancel(ctx), name, status.Errorf(codes.Canceled, "group %q was deleted", name))
	if err != nil {
		return nil, toStatus(err)
	}
	if !removed {
		return nil, missingGroup(ctx, name)
	}
	return &persistent.DeleteResp{}, nil
}

func missingGroup(ctx context.Context, name string) error {
	return withException(ctx, codes.NotFound, exceptionGroupMissing,
		"there is no group \""+name+"\" on $all: create it first", trailerStreamName, allStream, trailerGroupName, name)
}

// Update is not served yet.
func (*persistentService) Update(context.Context, *persistent.UpdateReq) (*persistent.UpdateResp, error) {
	return nil, unimplemented("changes to a persistent subscription: delete it and create it anew")
}

// ReplayParked is not served yet.
func (*persistentService) ReplayParked(context.Context, *persistent.ReplayParkedReq) (*persistent.ReplayParkedResp, error) {
	return nil, unimplemented("replay of parked messages")
}

// RestartSubsystem is not served yet.
func (*persistentService) RestartSubsystem(context.Context, *shared.Empty) (*shared.Empty, error) {
	return nil, unimplemented("restarts of the persistent subscriptions alone: restart the node")
}

// GetInfo describes one group.
func (s *persistentService) GetInfo(ctx context.Context, req *persistent.GetInfoReq) (*persistent.GetInfoResp, error) {
	o := req.GetOptions()
	if name := string(o.GetStreamIdentifier().GetStreamName()); o.GetAll() == nil && name != allStream {
		return nil, unimplemented("persistent subscriptions to a single stream")
	}
	g := s.node.groups.find(o.GetGroupName())
	if g == nil {
		return nil, missingGroup(ctx, o.GetGroupName())
	}
	var info *persistent.SubscriptionInfo
	if err := g.do(ctx, func() { info = g.info() }); err != nil {
		return nil, s.stopped(ctx, g, err)
	}
	return &persistent.GetInfoResp{SubscriptionInfo: info}, nil
}

// List describes all groups. There are none on single streams.
func (s *persistentService) List(ctx context.Context, req *persistent.ListReq) (*persistent.ListResp, error) {
	resp := &persistent.ListResp{}
	if of := req.GetOptions().GetListForStream(); of != nil && of.GetAll() == nil && string(of.GetStream().GetStreamName()) != allStream {
		return resp, nil
	}
	for _, g := range s.node.groups.list() {
		var info *persistent.SubscriptionInfo
		err := g.do(ctx, func() { info = g.info() })
		if errors.Is(err, errGroupStopped) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, toStatus(err)
		}
		resp.Subscriptions = append(resp.Subscriptions, info)
	}
	return resp, nil
}

// stopped says why a group did not answer.
func (s *persistentService) stopped(ctx context.Context, g *group, err error) error {
	switch {
	case !errors.Is(err, errGroupStopped):
		return toStatus(err)
	case s.node.closing.Err() != nil:
		return toStatus(errClosing)
	default:
		return missingGroup(ctx, g.config.Group)
	}
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
	switch {
	case o == nil:
		return invalid("a consumer starts with its options")
	case o.GetAll() == nil:
		return unimplemented("persistent subscriptions to a single stream")
	}
	g := s.node.groups.find(o.GetGroupName())
	if g == nil {
		return missingGroup(ctx, o.GetGroupName())
	}
	from := ""
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	var c *consumer
	var refused error
	if err := g.do(ctx, func() { c, refused = g.connect(int(o.GetBufferSize()), from) }); err != nil {
		return s.stopped(ctx, g, err)
	}
	if refused != nil {
		if status.Code(refused) == codes.FailedPrecondition {
			return withException(ctx, codes.FailedPrecondition, exceptionMaxSubscribers, status.Convert(refused).Message(),
				trailerStreamName, allStream, trailerGroupName, g.config.Group)
		}
		return refused
	}
	defer func() {
		// The group may be the one that ends; then nobody is left to tell. That the
		// node closes is not the consumer's failure.
		failed := s.node.closing.Err() == nil
		_ = g.do(context.WithoutCancel(ctx), func() { g.disconnect(c, failed) })
	}()
	_, asString := o.GetUuidOption().GetContent().(*persistent.ReadReq_Options_UUIDOption_String_)
	if err := stream.Send(&persistent.ReadResp{Content: &persistent.ReadResp_SubscriptionConfirmation_{
		SubscriptionConfirmation: &persistent.ReadResp_SubscriptionConfirmation{SubscriptionId: allStream + "::" + g.config.Group},
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
			return err
		case <-c.gone:
			if status.Code(c.reason) == codes.Canceled {
				return withException(ctx, codes.Canceled, exceptionGroupDropped, status.Convert(c.reason).Message(),
					trailerStreamName, allStream, trailerGroupName, g.config.Group)
			}
			return c.reason
		case <-ctx.Done():
			return toStatus(context.Cause(ctx))
		}
	}
}

// receiveVerdicts takes acks and nacks until the consumer has left.
func receiveVerdicts(ctx context.Context, stream persistent.PersistentSubscriptions_ReadServer, g *group, c *consumer) error {
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch content := msg.GetContent().(type) {
		case *persistent.ReadReq_Ack_:
			ids, ok := eventIDs(content.Ack.GetIds())
			if !ok {
				return invalid("an ack names events by their ids")
			}
			if err := g.do(ctx, func() { g.ack(c, ids) }); err != nil {
				return toStatus(err)
			}
		case *persistent.ReadReq_Nack_:
			ids, ok := eventIDs(content.Nack.GetIds())
			if !ok {
				return invalid("a nack names events by their ids")
			}
			if err := g.do(ctx, func() { g.nack(c, ids, content.Nack.GetAction(), content.Nack.GetReason()) }); err != nil {
				return toStatus(err)
			}
		default:
			return invalid("a consumer sends acks and nacks after its options")
		}
	}
}

func eventIDs(wire []*shared.UUID) ([]uuid.UUID, bool) {
	ids := make([]uuid.UUID, 0, len(wire))
	for _, w := range wire {
		id, ok := uuidFromWire(w)
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}
