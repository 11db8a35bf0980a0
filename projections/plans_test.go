package projections

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// A writer plans each statement once, maybe while the tables are empty, and it is to stay
// good when they are large.
func TestStatementsThatAreMadeForEmptyTablesGoByIndex(t *testing.T) {
	ctx := t.Context()
	w := newWriter(t, database(t), newMemoryBlobs())
	plan := func(statement string) string {
		n := 0
		for strings.Contains(statement, fmt.Sprintf("$%d", n+1)) {
			n++
		}
		_, err := w.conn.PgConn().Exec(ctx, "deallocate all; prepare it as "+statement).ReadAll()
		require.NoError(t, err)
		rows, err := w.conn.Query(ctx, "explain execute it("+strings.TrimSuffix(strings.Repeat("null,", n), ",")+")", pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return strings.Join(lines, "\n")
	}
	for _, statement := range []string{
		addRollups, dropEmptyRollups, upsertTasks, upsertShadows, upsertSubTasks, deleteDeclines, upsertDeclines, deleteFindings, insertFindings,
		upsertDeadLetters, upsertScanners, upsertRoster, upsertInstances, insertSkips, addRepeats, insertOutcomes, skippedOf,
	} {
		text := plan(statement)
		require.NotContains(t, text, "Seq Scan", statement)
		require.Equal(t, strings.Count(text, "Index Scan")+strings.Count(text, "Index Only Scan"), strings.Count(text, "Index Cond"), "%s\n%s", statement, text)
	}
	require.Contains(t, plan(moveCheckpoint), "Seq Scan", "of one row")
}
