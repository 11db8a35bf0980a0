package graphqlapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/graphqlapi"
)

// BenchmarkList is the console's list: 50 tasks with their sub-tasks, many
// clients at once.
func BenchmarkList(b *testing.B) {
	w := newWorld(b)
	last, _ := w.fill(50)
	w.Follow(last)
	h := w.handler(graphqlapi.Options{})
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			status, got := post(b, h, `{ tasks(first: 50) { nodes { id status project version uploadedAt lastEventAt observedTypes subTasks { type state attempt result kind counts { error warning note } } } pageInfo { hasNextPage endCursor } } }`, nil)
			if status != http.StatusOK || len(got.Errors) > 0 {
				require.Fail(b, "no answer", "%v", got.Errors)
			}
		}
	})
}
