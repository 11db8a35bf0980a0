package scanners_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg/hostile"
)

// Into these zips no scanner can look, and none must seem to have done so.
func TestZipsThatCannotBeOpenedAreDegradedCoverage(t *testing.T) {
	b := newBench(t)
	b.run(poisoned(nil), options)
	readable := string(hostile.Of(hostile.Entry{Name: "a.sql", Content: "select 1"}))
	got := b.await(b.openRaw(hostile.Of(
		hostile.Entry{Name: "cut.zip", Content: readable[:20]},
		hostile.Entry{Name: "deep.zip", Content: string(hostile.Of(hostile.Entry{Name: "in.zip", Content: readable}))},
		hostile.Entry{Name: "fine.zip", Content: readable},
	)), "passes", ended("SQL")).SubTasks["SQL"]
	require.Equal(t, task.Pass, got.Result)
	require.Len(t, got.Coverage.Degraded, 2)
	require.Equal(t, "cut.zip", got.Coverage.Degraded[0].Path)
	require.Contains(t, got.Coverage.Degraded[0].Reason, "the files inside were not checked: the zip is damaged")
	require.Contains(t, got.Coverage.Degraded[0].ReasonZH, "其中的文件未被检查：zip 文件已损坏")
	require.Equal(t, "deep.zip!/in.zip", got.Coverage.Degraded[1].Path)
	require.Contains(t, got.Coverage.Degraded[1].ReasonZH, "仅打开一层嵌套的 zip")

	var many []hostile.Entry
	for i := range 30 {
		many = append(many, hostile.Entry{Name: fmt.Sprintf("%02d.zip", i), Content: "no zip"})
	}
	got = b.await(b.openRaw(hostile.Of(many...)), "passes", ended("SQL")).SubTasks["SQL"]
	require.Len(t, got.Coverage.Degraded, 20, "a fact is no list of everything")
	require.Contains(t, got.Coverage.Degraded[19].Reason, "10 more")
	require.Contains(t, got.Coverage.Degraded[19].ReasonZH, "另有 10 个")
}
