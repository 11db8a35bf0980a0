package commands_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

var roster = eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}

func TestInstancesThatEnlistAtOnceWriteOneFact(t *testing.T) {
	store := testbench.NewStore(t)
	c := commands.New(store)
	const instances = 8
	var all sync.WaitGroup
	changes, failures := make([]bool, instances), make([]error, instances)
	for i := range instances {
		all.Go(func() {
			done, err := c.EnlistScanner(t.Context(), "scanner SQL", scanner.Enlist{Type: "SQL", Instance: fmt.Sprint(i), Version: "1"})
			changes[i], failures[i] = done.Changed, err
		})
	}
	all.Wait()
	changed := 0
	for i := range instances {
		require.NoError(t, failures[i])
		if changes[i] {
			changed++
		}
	}
	require.Equal(t, 1, changed)
	facts := 0
	for r, err := range store.ReadStream(t.Context(), roster, 0) {
		require.NoError(t, err)
		require.IsType(t, scanner.ScannerEnlisted{}, scanner.Read(r.Type, r.Data))
		facts++
	}
	require.Equal(t, 1, facts)
}

func TestTheRosterIsNeverOlderThanTheQuestion(t *testing.T) {
	store := testbench.NewStore(t)
	c, r, ctx := commands.New(store), commands.NewRoster(store), t.Context()
	requireKnown := func(want ...string) {
		t.Helper()
		known, err := r.Known(ctx)
		require.NoError(t, err)
		require.NotNil(t, known)
		require.Equal(t, append([]string{}, want...), known)
		fresh, err := commands.NewRoster(store).Known(ctx)
		require.NoError(t, err)
		require.Equal(t, known, fresh)
	}
	requireKnown()
	for _, name := range []string{"SQL", "EXCEL"} {
		done, err := c.EnlistScanner(ctx, "scanner "+name, scanner.Enlist{Type: name, Instance: "i"})
		require.NoError(t, err)
		require.True(t, done.Changed)
	}
	requireKnown("EXCEL", "SQL")
	one, err := c.RetireScanner(ctx, "li", scanner.Retire{Type: "SQL", Reason: "replaced", By: "li"})
	require.NoError(t, err)
	require.True(t, one.Changed)
	requireKnown("EXCEL")
	again, err := c.RetireScanner(ctx, "li", scanner.Retire{Type: "SQL", Reason: "once more", By: "li"})
	require.NoError(t, err)
	require.Equal(t, commands.RosterDone{Position: one.Position}, again)
	_, err = c.RetireScanner(ctx, "li", scanner.Retire{Type: "NOBODY", Reason: "x"})
	require.Equal(t, "scanner.unknown", domain.RuleOf(err))
	_, err = c.EnlistScanner(ctx, "scanner SQL", scanner.Enlist{Type: "SQL", Instance: "i"})
	require.NoError(t, err)
	requireKnown("EXCEL", "SQL")

	_, err = store.Append(ctx, roster, eventstore.Any(), eventstore.Event{
		ID: eventstore.DeriveID(eventstore.ID{}, "paused"), Type: "ScannerPaused", Data: []byte(`{}`), Metadata: []byte(`{}`)})
	require.NoError(t, err)
	for _, r := range []*commands.Roster{r, commands.NewRoster(store)} {
		known, err := r.Known(ctx)
		require.Nil(t, known)
		require.Equal(t, "roster.unreadable", domain.RuleOf(err))
		require.Equal(t, domain.Internal, domain.KindOf(err))
	}
}
