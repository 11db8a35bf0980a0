package graphqlapi

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/queries"
)

// ledger keeps what one request has cost and read.
type ledger struct {
	mayWrite bool // it came by POST: a link on a foreign page cannot do that
	zh       bool // texts that have no field for each language are in Chinese
	people   *commands.Commands

	mu      sync.Mutex
	entries int
	wishes  int
	readAt  queries.ReadAt
	read    bool
	mixed   bool // parts were read from different read models
}

func newLedger(mayWrite, zh bool, people *commands.Commands) *ledger {
	return &ledger{mayWrite: mayWrite, zh: zh, people: people}
}

type ledgerKey struct{}

func withLedger(ctx context.Context, l *ledger) context.Context {
	return context.WithValue(ctx, ledgerKey{}, l)
}

func ledgerOf(ctx context.Context) *ledger {
	l, _ := ctx.Value(ledgerKey{}).(*ledger)
	return l
}

// spend takes entries from the request's budget before they are asked for.
func (l *ledger) spend(entries int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries += entries; l.entries > maxEntries {
		return &domain.Error{Kind: domain.Refused, Rule: "query.too_costly",
			Msg:   fmt.Sprintf("the pages of one query may hold %d entries together; ask for shorter pages or fewer fields", maxEntries),
			MsgZH: fmt.Sprintf("单次查询的分页条目总数不得超过 %d；请缩小分页或减少字段", maxEntries)}
	}
	return nil
}

// saw notes what was read; of several reads the oldest counts.
func (l *ledger) saw(at queries.ReadAt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mixed = l.mixed || l.read && at.Model != l.readAt.Model
	if !l.read || at.Position < l.readAt.Position {
		l.readAt, l.read = at, true
	}
}

// wish notes that the request has changed something.
func (l *ledger) wish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wishes++
}

// overtaken reports that the read model was switched while the request read, so
// that its answer is of two; again, that it may be asked once more.
func (l *ledger) overtaken() (mixed, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mixed, l.mixed && l.wishes == 0
}

func (l *ledger) extensions() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.read {
		return nil
	}
	return map[string]any{"readModel": map[string]string{
		"name": l.readAt.Model, "position": strconv.FormatUint(uint64(l.readAt.Position), 10),
	}}
}
