package export_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/eventstore/esdb"
	"github.com/factgate/factgate/eventstore/export"
	"github.com/factgate/factgate/eventstore/node"
)

func open(t testing.TB) *esdb.Log {
	t.Helper()
	n, err := node.Open(context.Background(), node.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	log, err := esdb.Open(context.Background(), n.ConnectionString(), esdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log
}

func event(name, data string) eventstore.Event {
	return eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, name), Type: "Noted", Data: []byte(data), Metadata: []byte(`{"by":"<ä&>"}`)}
}

func all(t *testing.T, log eventstore.Reader) (found []eventstore.Recorded) {
	t.Helper()
	for e, err := range log.ReadAll(context.Background(), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		e.Position, e.At = 0, time.Time{} // an import gives new ones
		found = append(found, e)
	}
	return found
}

// What is exported comes back byte by byte, with its ids and revisions, however often
// it is imported.
func TestExportAndImport(t *testing.T) {
	ctx := context.Background()
	from, to := open(t), open(t)
	datas := []string{`{"n":1}`, ` { "spaced" : 1 }`, "not json \x00\xff", "", "null", `"<&>"`, "{\"u\":\"\u2028\"}"}
	for i, data := range datas {
		stream := eventstore.StreamID{Category: "task", Key: fmt.Sprint(i % 2)}
		_, err := from.Append(ctx, stream, eventstore.Any(), event(fmt.Sprint(i), data))
		require.NoError(t, err)
	}
	var file bytes.Buffer
	done, err := export.Export(ctx, from, &file, 0, nil)
	require.NoError(t, err)
	require.EqualValues(t, len(datas), done.Events)
	require.Equal(t, len(datas), strings.Count(file.String(), "\n"))

	first, _, _ := strings.Cut(file.String(), "\n")
	_, err = export.Import(ctx, to, strings.NewReader(first+"\n"), export.Options{})
	require.NoError(t, err)
	for range 2 { // it had broken off; then it is repeated for nothing
		imported, err := export.Import(ctx, to, bytes.NewReader(file.Bytes()), export.Options{})
		require.NoError(t, err)
		require.EqualValues(t, len(datas), imported.Events)
		require.Equal(t, all(t, from), all(t, to))
	}

	// An export goes on where the last one ended.
	last, err := from.Append(ctx, eventstore.StreamID{Category: "task", Key: "0"}, eventstore.Any(), event("more", `{}`))
	require.NoError(t, err)
	var rest bytes.Buffer
	done, err = export.Export(ctx, from, &rest, done.Position, nil)
	require.NoError(t, err)
	require.Equal(t, export.Done{Events: 1, Position: last.Position}, done)
	_, err = export.Import(ctx, to, &rest, export.Options{})
	require.NoError(t, err)
	require.Equal(t, all(t, from), all(t, to))
}

func TestImportSaysWhatIsWrong(t *testing.T) {
	ctx := context.Background()
	log := open(t)
	good := func(id int, revision string) string {
		return fmt.Sprintf(`{"stream":"task-1","revision":%s,"id":"00000000-0000-7000-8000-00000000000%d","type":"T","data":{}}`, revision, id)
	}
	_, err := export.Import(ctx, log, strings.NewReader(good(1, "0")), export.Options{})
	require.NoError(t, err)
	for text, want := range map[string]string{
		"{":                            "line 1: this is no exported event",
		good(1, "0") + good(2, "1"):    "line 1: a line is one event",
		strings.Repeat("x", 5<<20):     "line 1: it is longer than",
		"\n" + good(1, "0") + "\n[]":   "line 3: this is no exported event",
		`{"stream":"$x","revision":0}`: "is not a UUID",
		`{"stream":"task-1","what":1}`: `unknown field "what"`,
		good(1, "null"):                "has a revision",
		good(3, "7"):                   "stream task-1 holds other events already",
		strings.Replace(good(4, "3"), "task-1", "task-2", 1):             "its first events are missing",
		strings.Replace(good(4, "0"), "task-1", "$all", 1):               "is not a stream",
		strings.Replace(good(4, "0"), `"type":"T"`, `"type":"$>"`, 1):    "is not a type",
		strings.Replace(good(4, "0"), `{}`, `{},"dataBase64":"AA=="`, 1): "given once",
	} {
		_, err := export.Import(ctx, log, strings.NewReader(text), export.Options{})
		require.ErrorContains(t, err, want, text[:min(len(text), 80)])
		var at *export.LineError
		require.ErrorAs(t, err, &at)
	}
	done, err := export.Import(ctx, log, strings.NewReader(strings.Replace(good(4, "3"), "task-1", "task-2", 1)), export.Options{Renumber: true})
	require.NoError(t, err)
	require.EqualValues(t, 1, done.Events)
}
