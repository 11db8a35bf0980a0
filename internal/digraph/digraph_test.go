package digraph_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/factgate/factgate/internal/digraph"
)

func TestComponentsAreThoseOfReachability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 9).Draw(t, "nodes")
		next := make([][]int, n)
		reach := make([][]bool, n)
		for i := range next {
			reach[i] = make([]bool, n)
			if next[i] = rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, min(n, 3), rapid.ID).Draw(t, "edges"); true {
				for _, to := range next[i] {
					reach[i][to] = true
				}
			}
		}
		for k := range n {
			for i := range n {
				for j := range n {
					reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
				}
			}
		}
		var want [][]int
		done := make([]bool, n)
		for i := range n {
			component := []int{i}
			for j := i + 1; j < n; j++ {
				if reach[i][j] && reach[j][i] {
					component = append(component, j)
				}
			}
			if len(component) > 1 && !done[i] {
				want = append(want, component)
			}
			for _, j := range component {
				done[j] = true
			}
		}
		got := digraph.Components(next)
		if !slices.EqualFunc(want, got, slices.Equal) {
			t.Fatalf("want %v, got %v in %v", want, got, next)
		}
		for _, component := range got {
			cycle := digraph.ShortestCycle(next, component)
			for i, node := range cycle {
				if to := cycle[(i+1)%len(cycle)]; !slices.Contains(next[node], to) {
					t.Fatalf("%v is no cycle of %v", cycle, next)
				}
			}
		}
	})
}

func TestALongChainNeedsNoDeepStack(t *testing.T) {
	next := make([][]int, 50_000)
	for i := range next {
		next[i] = []int{(i + 1) % len(next)}
	}
	got := digraph.Components(next)
	require.Len(t, got, 1)
	require.Len(t, digraph.ShortestCycle(next, got[0]), len(next))
}
