package queries

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
)

func FuzzDecodeCursor(f *testing.F) {
	f.Add(encodeCursor(taskCursor, 17, ""))
	f.Add(encodeCursor(findingCursor, 3, "SQL"))
	f.Add("dAAAAAAAAAAR")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, kind := range []byte{taskCursor, findingCursor} {
			n, text, err := decodeCursor(kind, cursor)
			if err != nil {
				require.Equal(t, "cursor.invalid", domain.RuleOf(err))
				continue
			}
			require.GreaterOrEqual(t, n, int64(0))
			require.Equal(t, cursor, encodeCursor(kind, n, text))
		}
	})
}
