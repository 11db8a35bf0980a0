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
	"github.com/factgate/factgate/eventstore"
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

// A fact that says nothing new of a report leaves its findings alone: the blob may
// have expired meanwhile, and then they are nowhere else.
func TestFindingsOutliveTheirReportAndAWishForARetry(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	start(t, NewRunner(log, pool, blobs, Options{}))
	s := newStory()
	id := s.id.String()
	read := func() (state string, findings int) {
		require.NoError(t, pool.QueryRow(t.Context(), `select report_state, (select count(*) from live.findings f where f.task_id = s.task_id)
			from live.sub_tasks s where task_id = $1 and type = 'SQL'`, pgUUID(s.id)).Scan(&state, &findings))
		return state, findings
	}
	told := func(facts ...task.Fact) {
		before := len(s.facts)
		s.tell(facts...)
		at, err := log.Append(t.Context(), s.stream(), eventstore.Any(), s.events(t)[before:]...)
		require.NoError(t, err)
		reach(t, pool, at.Position)
	}
	told(upload(s, "p"), created(s), task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 1},
		task.SubTaskFailed{TaskID: id, Type: "SQL", Attempt: 1, Kind: task.Check, Summary: &report.Counts{Error: 3}, Report: blobs.report(id, "SQL", 1, 3)})
	state, n := read()
	require.Equal(t, "READ", state)
	require.Equal(t, 3, n)

	blobs.mu.Lock()
	clear(blobs.blobs)
	blobs.mu.Unlock()
	told(task.SubTaskRetryRequested{TaskID: id, Type: "SQL", After: 1, Reason: "again"})
	state, n = read()
	require.Equal(t, "READ", state)
	require.Equal(t, 3, n)

	told(task.SubTaskStarted{TaskID: id, Type: "SQL", Attempt: 2})
	state, n = read()
	require.Equal(t, "NONE", state)
	require.Zero(t, n, "another attempt begins anew")
}
