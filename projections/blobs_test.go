package projections

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// memoryBlobs is a blob store that can be told to fail.
type memoryBlobs struct {
	mu    sync.Mutex
	blobs map[string][]byte
	away  bool
	asked chan struct{} // told of each failed look, if anybody listens
}

func newMemoryBlobs() *memoryBlobs {
	return &memoryBlobs{blobs: map[string][]byte{}, asked: make(chan struct{}, 1)}
}

func (m *memoryBlobs) Open(_ context.Context, key string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		notify(m.asked)
		return nil, errors.New("the blob store is away")
	}
	b, ok := m.blobs[key]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", key, ErrBlobGone)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memoryBlobs) setAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *memoryBlobs) put(b []byte) *task.Blob {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := sha256.Sum256(b)
	name := hex.EncodeToString(sum[:])
	m.blobs["reports/"+name] = b
	return &task.Blob{Key: "reports/" + name, SHA256: name}
}

// report stores a report with n findings.
func (m *memoryBlobs) report(id, subTaskType string, attempt, n int) *task.Blob {
	var b bytes.Buffer
	w := report.NewWriter(&b, report.Header{TaskID: id, Type: subTaskType, Attempt: attempt})
	for i := range n {
		severity := []report.Severity{report.Error, report.Warning, report.Note}[i%3]
		w.Add(report.Finding{Rule: fmt.Sprintf("R%03d", i), Severity: severity, Path: "sql/a\x00.sql", Line: i + 1,
			Message: report.Text{En: fmt.Sprintf("attempt %d finding %d", attempt, i), Zh: "问题"}})
	}
	if err := w.Close(); err != nil {
		panic(err) // a bytes.Buffer does not fail
	}
	return m.put(b.Bytes())
}

// some gives a report, a missing one, a damaged one, or none.
func (m *memoryBlobs) some(rnd *rand.Rand, id, subTaskType string, attempt int) *task.Blob {
	switch rnd.IntN(6) {
	case 0:
		return nil
	case 1:
		return &task.Blob{Key: "reports/expired"}
	case 2:
		return m.put([]byte(`{"format":1}` + "\n" + `{"rule":"R1","severity":"error"}` + "\nnot json\n"))
	default:
		return m.report(id, subTaskType, attempt, rnd.IntN(5))
	}
}

// of stores a report of these findings.
func (m *memoryBlobs) of(t testing.TB, findings []report.Finding) *task.Blob {
	t.Helper()
	var b bytes.Buffer
	w := report.NewWriter(&b, report.Header{})
	for _, f := range findings {
		w.Add(f)
	}
	require.NoError(t, w.Close())
	return m.put(b.Bytes())
}
