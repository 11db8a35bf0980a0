package eventstore_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

func TestDerivedIDsAreVersion5UUIDs(t *testing.T) {
	cause := eventstore.ID(uuid.MustParse("018f4e2a-0000-7000-8000-000000000001"))
	want := uuid.NewSHA1(uuid.UUID(cause), []byte("SubTaskStarted/SQL/1"))
	got := eventstore.DeriveID(cause, "SubTaskStarted/SQL/1")
	require.Equal(t, want.String(), got.String())
	require.NotEqual(t, got, eventstore.DeriveID(cause, "SubTaskStarted/SQL/2"))
}

func TestIDsReadWhatTheyWrite(t *testing.T) {
	id := eventstore.DeriveID(eventstore.ID{}, "x")
	back, err := eventstore.ParseID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, back)
	for _, bad := range []string{"", "x", id.String() + "0", "018f4e2a00007000800000000000000100000", "zzzzzzzz-0000-7000-8000-000000000001", "018f4e2a-0-00-7000-8000-00000000000-"} {
		_, err := eventstore.ParseID(bad)
		require.Error(t, err, bad)
	}
}

func TestStreamNamesAreCutAtTheFirstDash(t *testing.T) {
	for name, want := range map[string]eventstore.StreamID{
		"task-018f4e2a-0000-7000-8000-000000000001": {Category: "task", Key: "018f4e2a-0000-7000-8000-000000000001"},
		"plain": {Category: "plain"},
		"$ce-x": {Category: "$ce", Key: "x"},
	} {
		require.Equal(t, want, eventstore.ParseStreamID(name))
		require.Equal(t, name, eventstore.ParseStreamID(name).String())
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("018f4e2a-0000-7000-8000-000000000001")
	f.Add("----")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := eventstore.ParseID(s)
		if err != nil {
			return
		}
		again, err := eventstore.ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, again)
	})
}
