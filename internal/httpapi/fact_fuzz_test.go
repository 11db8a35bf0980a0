package httpapi

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/scanners"
)

const fuzzed = "018f4e2a-0000-7000-8000-000000000001"

// Whatever a scanner says, it is a fact of its own type and task that holds together,
// or it is refused in words.
func FuzzFactOf(f *testing.F) {
	f.Add("SubTaskStarted", []byte(`{}`))
	f.Add("SubTaskDeclined", []byte(`{"code":"NO","reason":"x"}`))
	f.Add("SubTaskCompleted", []byte(`{"attempt":1,"result":"PASS","summary":{"error":0,"warning":0,"note":0},"coverage":{"eligible":1,"seen":1,"degraded":[{"path":"a","reason":"b"}]}}`))
	f.Add("SubTaskFailed", []byte(`{"attempt":1,"kind":"ERROR","reason":"x","summary":null}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		who := scanners.Worker{Type: "README", Scanner: task.Scanner{Name: "n", Version: "1", Instance: "i"}}
		fact, err := factOf(who, fuzzed, name, data)
		if err == nil {
			err = task.Honest(fact)
		}
		if err != nil {
			var refused *domain.Error
			require.ErrorAs(t, err, &refused)
			require.NotEmpty(t, refused.MsgZH)
			return
		}
		stored, encoded, err := task.Encode(fact)
		require.NoError(t, err)
		require.Equal(t, name, stored)
		back, err := task.Decode(stored, encoded)
		require.NoError(t, err)
		require.NoError(t, task.Honest(back))
	})
}

func FuzzReadReport(f *testing.F) {
	f.Add([]byte(`{"format":1,"taskId":"` + fuzzed + `","subTaskType":"README","attempt":1}` + "\n" + `{"rule":"A","severity":"note","message":{"en":"x","zh":"x"}}`))
	f.Add([]byte("{}\n{}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		var counts report.Counts
		if readReport(bytes.NewReader(content), "README", fuzzed, &counts) != nil {
			return
		}
		n := 0
		_, err := report.Read(bytes.NewReader(content), func(report.Finding) error { n++; return nil })
		require.NoError(t, err)
		require.LessOrEqual(t, counts.Error+counts.Warning+counts.Note, n)
	})
}
