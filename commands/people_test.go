package commands_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/person"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

// everything is the whole log as text, with the types of its events.
func everything(t *testing.T, log eventstore.Reader) (text string, types map[string]int) {
	t.Helper()
	var b strings.Builder
	types = map[string]int{}
	for r, err := range log.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		b.WriteString(r.Stream.String() + string(r.Data) + string(r.Metadata) + "\n")
		types[r.Type]++
	}
	return b.String(), types
}

func upload(t *testing.T, c *commands.Commands, by string) string {
	t.Helper()
	id, _, err := c.Upload(t.Context(), commands.Upload{BlobKey: "k", FileName: "p.zip", SHA256: "00", Project: "dw", By: by, Now: time.Now()})
	require.NoError(t, err)
	return id
}

func uploader(t *testing.T, c *commands.Commands, id string) string {
	t.Helper()
	facts, err := c.Load(t.Context(), id)
	require.NoError(t, err)
	return task.Fold(facts).Uploaded.UploadedBy
}

func TestOnePersonHasOneTokenHoweverManyAsk(t *testing.T) {
	store := testbench.NewStore(t)
	apis := []*commands.Commands{commands.New(store), commands.New(store), commands.New(store)}
	names := []string{"李雷", "韩梅梅", "wang"}
	var tokens sync.Map
	var asking sync.WaitGroup
	for i := range 24 {
		asking.Go(func() {
			name := names[i%len(names)]
			token, err := apis[i/8].Pseudonym(context.Background(), " "+name+"\n")
			if err != nil {
				tokens.Store(err.Error(), name)
			}
			tokens.Store(token, name)
		})
	}
	asking.Wait()
	found := 0
	tokens.Range(func(token, name any) bool {
		found++
		shown, state := apis[0].NameOf(t.Context(), token.(string))
		require.Equal(t, commands.Named, state, token)
		require.Equal(t, name, shown)
		return true
	})
	require.Equal(t, len(names), found)
	text, types := everything(t, store)
	require.Equal(t, len(names), types["PersonNamed"])
	for _, name := range names[:2] {
		require.NotContains(t, text, name)
	}

	none, err := apis[0].Pseudonym(t.Context(), " ")
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = apis[0].Pseudonym(t.Context(), strings.Repeat("x", person.MaxName+1))
	require.Equal(t, "person.name", domain.RuleOf(err))
	for _, text := range []string{"", "coordinator", "scanner SQL", "person:v1:x"} {
		name, state := apis[0].NameOf(t.Context(), text)
		require.Equal(t, commands.Named, state)
		require.Equal(t, text, name)
	}
}

func TestAnErasedNameIsGoneAndNoFactHasChanged(t *testing.T) {
	store, ctx := testbench.NewStore(t), t.Context()
	c, elsewhere := commands.New(store), commands.New(store)
	id, others := upload(t, c, "李雷"), upload(t, c, "wang")
	token := uploader(t, c, id)
	before, err := c.Load(ctx, id)
	require.NoError(t, err)
	name, _ := elsewhere.NameOf(ctx, token)
	require.Equal(t, "李雷", name)

	by, err := c.Pseudonym(ctx, "operator zhang")
	require.NoError(t, err)
	done, err := c.ErasePerson(ctx, " 李雷", "asked for it", by)
	require.NoError(t, err)
	parsed, ok := person.ParseToken(token)
	require.True(t, ok)
	require.Equal(t, commands.PersonErased{KeyIDs: []person.KeyID{parsed.KeyID}, Changed: true, Clear: commands.ClearText{Complete: true}}, done)

	pseudonym, state := c.NameOf(ctx, token)
	require.Equal(t, commands.Erased, state)
	require.Equal(t, parsed.KeyID.Short(), pseudonym)
	require.Eventually(t, func() bool { _, state := elsewhere.NameOf(ctx, token); return state == commands.Erased }, testbench.Patience, 20*time.Millisecond)
	pseudonym, state = commands.New(store).NameOf(ctx, token)
	require.Equal(t, commands.Erased, state)
	require.Equal(t, parsed.KeyID.Short(), pseudonym)
	name, _ = c.NameOf(ctx, uploader(t, c, others))
	require.Equal(t, "wang", name)

	after, err := c.Load(ctx, id)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, task.Fold(before), task.Fold(after))

	again, err := c.ErasePerson(ctx, "李雷", "asked for it", by)
	require.NoError(t, err)
	require.Equal(t, commands.PersonErased{Clear: commands.ClearText{Complete: true}}, again, "silence")
	require.NotEqual(t, token, uploader(t, c, upload(t, c, "李雷")), "who comes again is a new person")

	_, types := everything(t, store)
	require.Equal(t, 4, types["PersonKeyed"], "until it is scavenged, the key stands in the log")
	require.Equal(t, 1, types["PersonErased"])
	_, err = store.Node.Scavenge(ctx, nil)
	require.NoError(t, err)
	text, types := everything(t, store)
	require.Equal(t, 3, types["PersonKeyed"])
	require.NotContains(t, text, "李雷")
	require.Contains(t, text, token, "facts are as they were")
	require.Contains(t, text, `"reason":"asked for it","by":"`+by+`"`)
}

// hesitant is a store that does not delete while it hesitates.
type hesitant struct {
	*testbench.Store
	hesitates atomic.Bool
}

func (h *hesitant) Tombstone(ctx context.Context, stream eventstore.StreamID) error {
	if h.hesitates.Load() {
		return &eventstore.UnavailableError{Op: "delete", Err: errors.New("not now")}
	}
	return h.Store.Tombstone(ctx, stream)
}

func TestAnInterruptedErasureIsFinished(t *testing.T) {
	for how, finish := range map[string]func(*testing.T, *commands.Commands, eventstore.Log){
		"by whoever repeats it": func(t *testing.T, c *commands.Commands, _ eventstore.Log) {
			done, err := c.ErasePerson(t.Context(), "li", "x", "")
			require.NoError(t, err)
			require.False(t, done.Changed)
		},
		"by the next process": func(t *testing.T, _ *commands.Commands, log eventstore.Log) {
			require.NoError(t, commands.New(log).TendPeople(t.Context()))
		},
	} {
		t.Run(how, func(t *testing.T) {
			store := &hesitant{Store: testbench.NewStore(t)}
			c := commands.New(store)
			token, err := c.Pseudonym(t.Context(), "li")
			require.NoError(t, err)
			parsed, _ := person.ParseToken(token)
			store.hesitates.Store(true)
			_, err = c.ErasePerson(t.Context(), "li", "x", "")
			require.Equal(t, "person.key_remains", domain.RuleOf(err))
			require.Equal(t, domain.Unavailable, domain.KindOf(err))
			_, state := commands.New(store).NameOf(t.Context(), token)
			require.Equal(t, commands.Erased, state, "recorded is shown")

			store.hesitates.Store(false)
			finish(t, c, store)
			for _, err := range store.ReadStream(t.Context(), eventstore.StreamID{Category: person.Category, Key: string(parsed.KeyID)}, 0) {
				require.True(t, eventstore.IsDeleted(err), "%v", err)
			}
		})
	}
}

func TestErasingSaysWhatItDoesNotReach(t *testing.T) {
	store, ctx := testbench.NewStore(t), t.Context()
	c := commands.New(store)
	id := upload(t, c, "wang")
	// As facts were written before names were sealed.
	_, err := c.Cancel(ctx, id, commands.Origin{Actor: "li"}, task.Cancel{Reason: "li said so"})
	require.NoError(t, err)
	name, data, err := task.Encode(task.ZipUploaded{TaskID: "old", UploadedBy: "li"})
	require.NoError(t, err)
	metadata, err := json.Marshal(map[string]string{"actor": "li"})
	require.NoError(t, err)
	_, err = store.Append(ctx, eventstore.StreamID{Category: "task", Key: "old"}, eventstore.NoStream(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, "old"), Type: name, Data: data, Metadata: metadata},
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, "strange"), Type: "Strange", Data: []byte(`{"by":7,"uploadedBy":{"li":1}}`), Metadata: []byte(`["actor"]`)})
	require.NoError(t, err)
	_, err = c.PublishRuleSet(ctx, text("mine", "SUCCESS"), "li")
	require.NoError(t, err)

	done, err := c.ErasePerson(ctx, "li", "asked for it", "")
	require.NoError(t, err)
	require.False(t, done.Changed)
	require.Equal(t, commands.ClearText{Facts: 4, Streams: 4, Complete: true}, done.Clear,
		"a cancellation, an upload, and a rule set in its stream and in the directory")

	for _, wrong := range []string{"", "  "} {
		_, err = c.ErasePerson(ctx, wrong, "x", "")
		require.Equal(t, "person.name", domain.RuleOf(err))
	}
	_, err = c.ErasePerson(ctx, "wang", " ", "")
	require.Equal(t, "reason.invalid", domain.RuleOf(err))
}

func TestANameThatCannotBeReadIsAPseudonym(t *testing.T) {
	store := testbench.NewStore(t)
	c := commands.New(store)
	token, err := c.Pseudonym(t.Context(), "li")
	require.NoError(t, err)
	parsed, _ := person.ParseToken(token)
	other, err := person.Seal(parsed.KeyID, [person.KeySize]byte{}, [person.NonceSize]byte{}, "wang")
	require.NoError(t, err)
	name, state := c.NameOf(t.Context(), other.String())
	require.Equal(t, commands.Unnamed, state, "nobody borrows a name")
	require.Equal(t, parsed.KeyID.Short(), name)
	// A process that comes up while the store is away.
	away := commands.New(gone{store})
	name, state = away.NameOf(t.Context(), token)
	require.Equal(t, commands.Unnamed, state)
	require.Equal(t, parsed.KeyID.Short(), name)
	_, err = away.Pseudonym(t.Context(), "li")
	require.Equal(t, "eventstore.unavailable", domain.RuleOf(err))
	// One that knew the name goes on knowing it.
	name, _ = c.NameOf(t.Context(), token)
	require.Equal(t, "li", name)
}

// gone is a store that cannot be read.
type gone struct{ *testbench.Store }

func (gone) ReadStream(context.Context, eventstore.StreamID, uint64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		yield(eventstore.Recorded{}, &eventstore.UnavailableError{Op: "read", Err: errors.New("away")})
	}
}
