package export

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/eventstore"
)

// FuzzParse reads lines of any kind. What it takes can be appended.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"stream":"task-1","revision":0,"id":"00000000-0000-7000-8000-000000000001","type":"T","data":{}}`))
	f.Add([]byte(`{"stream":"task-1","revision":18446744073709551615,"id":"00000000-0000-7000-8000-000000000001","type":"T","dataBase64":"AA=="}`))
	f.Add([]byte("[1,2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, event, err := parse(text)
		if err != nil {
			return
		}
		require.NotEmpty(t, event.Type)
		require.NotNil(t, l.Revision)
		require.NotEmpty(t, eventstore.ParseStreamID(l.Stream).String())
	})
}
