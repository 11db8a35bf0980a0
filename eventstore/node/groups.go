package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	errGroupExists  = errors.New("the group exists")
	errGroupMissing = errors.New("there is no such group")
)

// groups are the persistent subscriptions there are.
type groups struct {
	node *Node

	mu     sync.Mutex
	byKey  map[string]*group
	closed bool

	stop    chan struct{}
	stopped chan struct{}
}

// openGroups starts the groups that the log knows.
func openGroups(n *Node) (*groups, error) {
	all := &groups{node: n, byKey: map[string]*group{}, stop: make(chan struct{}), stopped: make(chan struct{})}
	configs, at, err := loadConfig(n.log, n.committer.horizon.durable())
	if err != nil {
		return nil, err
	}
	go all.watchDisk()
	for _, config := range configs {
		if err := all.start(config, at); err != nil {
			all.close()
			return nil, err
		}
	}
	return all, nil
}

// start runs a group whose settings are durable at a position.
func (all *groups) start(config groupConfig, at uint64) error {
	if config.Begin == nil {
		src, err := newSource(all.node, &config)
		if err != nil {
			return err
		}
		defer src.close()
		end, err := src.endAt(at)
		if err != nil {
			return err
		}
		config.Begin = &end
	}
	g, err := newGroup(all.node, config)
	if err != nil {
		return err
	}
	all.byKey[config.key().String()] = g
	go g.run()
	return nil
}

// watchDisk wakes the groups once when the log takes no more writes. They sleep while
// nothing happens, and consumers that wait would not be told.
func (all *groups) watchDisk() {
	defer close(all.stopped)
	ticker := time.NewTicker(all.node.tick)
	defer ticker.Stop()
	for {
		select {
		case <-all.stop:
			return
		case <-ticker.C:
		}
		if all.node.committer.err() != nil {
			for _, g := range all.list("") {
				g.post(func() {})
			}
			return
		}
	}
}

// close stops every group and writes how far it has come.
func (all *groups) close() {
	close(all.stop)
	<-all.stopped
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	all.each(func(g *group) {
		g.halt()
		g.saveProgress()
		g.saveReplay()
		g.drop(toStatus(errClosing))
	})
	clear(all.byKey)
}

// each does something with every group, side by side: what they write shares an
// fsync. The caller holds mu.
func (all *groups) each(do func(*group)) {
	var running sync.WaitGroup
	for _, g := range all.byKey {
		running.Go(func() { do(g) })
	}
	running.Wait()
}

func (all *groups) find(key groupKey) *group {
	all.mu.Lock()
	defer all.mu.Unlock()
	if g := all.byKey[key.String()]; g != nil && g.key == key {
		return g
	}
	return nil
}

// ask runs f on a group's goroutine, also when the group is just being changed or
// restarted.
func (all *groups) ask(ctx context.Context, key groupKey, f func(*group)) error {
	for {
		g := all.find(key)
		switch {
		case g != nil:
		case all.node.closing.Err() != nil:
			return errClosing
		default:
			return errGroupMissing
		}
		if err := g.do(ctx, func() { f(g) }); !errors.Is(err, errGroupStopped) {
			return err
		}
	}
}

// list returns the groups of a stream, or all of them, in the order of their names.
func (all *groups) list(stream string) []*group {
	all.mu.Lock()
	defer all.mu.Unlock()
	var found []*group
	for _, g := range all.byKey {
		if stream == "" || g.config.Stream == stream {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, func(a, b *group) int { return strings.Compare(a.key.String(), b.key.String()) })
	return found
}

// configs returns the settings of every group but one. The caller holds mu.
func (all *groups) configs(except groupKey) []groupConfig {
	var configs []groupConfig
	for _, g := range all.byKey {
		if g.key != except {
			configs = append(configs, g.config)
		}
	}
	slices.SortFunc(configs, func(a, b groupConfig) int { return strings.Compare(a.key().String(), b.key().String()) })
	return configs
}

// create makes a group durable and starts it.
func (all *groups) create(ctx context.Context, config groupConfig) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	switch {
	case all.closed:
		return errClosing
	case all.byKey[config.key().String()] != nil:
		return errGroupExists
	case len(all.byKey) >= maxGroups:
		return invalid("there are %d groups and a node has no more: delete those that nobody uses", maxGroups)
	}
	// What a crash in the middle of an earlier deletion left must not become the new
	// group's progress.
	at, err := storeConfig(ctx, all.node.committer, append(all.configs(groupKey{}), config), config.key().streams()...)
	if err != nil {
		return err
	}
	return all.start(config, at)
}

// update changes a group's settings. Its consumers are dropped, and it goes on where
// its checkpoint is; where the settings say that it starts only counts while it has
// none.
func (all *groups) update(ctx context.Context, config groupConfig, reason error) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	g := all.byKey[config.key().String()]
	switch {
	case all.closed:
		return errClosing
	case g == nil || g.key != config.key():
		return errGroupMissing
	}
	config.Filter = g.config.Filter
	at, err := storeConfig(ctx, all.node.committer, append(all.configs(g.key), config))
	if err != nil {
		return err
	}
	suspend(g, reason)
	delete(all.byKey, g.key.String())
	return all.start(config, at)
}

// suspend stops a group that is to go on from what is durable.
func suspend(g *group, reason error) {
	g.halt()
	if g.checkpointed {
		g.saveProgress()
	}
	g.saveReplay()
	g.drop(reason)
}

// restart drops all consumers and starts every group anew from what is durable.
func (all *groups) restart(reason func(groupKey) error) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed {
		return errClosing
	}
	configs, at, err := loadConfig(all.node.log, all.node.committer.horizon.durable())
	if err != nil {
		return err
	}
	all.each(func(g *group) { suspend(g, reason(g.key)) })
	clear(all.byKey)
	for _, config := range configs {
		if failed := all.start(config, at); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// remove ends a group and forgets it.
func (all *groups) remove(ctx context.Context, key groupKey, reason error) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	g := all.byKey[key.String()]
	switch {
	case all.closed:
		return errClosing
	case g == nil || g.key != key:
		return errGroupMissing
	}
	g.halt()
	g.drop(reason)
	delete(all.byKey, key.String())
	if _, err := storeConfig(ctx, all.node.committer, all.configs(key), key.streams()...); err != nil {
		return errors.Join(err, all.start(g.config, 0))
	}
	return nil
}

// dropped is what a consumer is told whose group was deleted, changed or restarted.
func dropped(key groupKey, what string) error {
	return status.Errorf(codes.Canceled, "group %q was %s", key, what)
}
