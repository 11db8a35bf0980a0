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
	readAt  queries.ReadAt
	read    bool
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
	if !l.read || at.Position < l.readAt.Position {
		l.readAt, l.read = at, true
	}
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
