package task_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

func TestWhatAScannerMaySay(t *testing.T) {
	who := task.Scanner{Name: "n", Version: "1", Instance: "i"}
	sum := "ab" + strings.Repeat("0", 62)
	blob := &task.Blob{Key: "sha256/ab/" + sum, SHA256: sum}
	all := task.Coverage{Eligible: 2, Seen: 2}
	none := task.Coverage{Eligible: 2}
	one := report.Counts{Warning: 1}
	for name, c := range map[string]struct {
		fact task.Fact
		rule string
	}{
		"a decline":             {task.SubTaskDeclined{Code: "NO_MATCHING_FILES", Reason: "x", Scanner: who}, ""},
		"without code":          {task.SubTaskDeclined{Reason: "x", Scanner: who}, "fact.shape"},
		"code in small letters": {task.SubTaskDeclined{Code: "no", Reason: "x", Scanner: who}, "fact.shape"},
		"without reason":        {task.SubTaskDeclined{Code: "NO", Reason: " ", Scanner: who}, "fact.shape"},
		"a reason like a book":  {task.SubTaskDeclined{Code: "NO", Reason: strings.Repeat("长", 601), Scanner: who}, "fact.shape"},
		"nobody":                {task.SubTaskDeclined{Code: "NO", Reason: "x"}, "fact.shape"},
		"a start":               {task.SubTaskStarted{Attempt: 1, Scanner: who}, ""},
		"attempt 0":             {task.SubTaskStarted{Scanner: who}, "fact.shape"},
		"a pass":                {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: all}, ""},
		"nothing to read":       {task.SubTaskCompleted{Attempt: 1, Result: task.Pass}, ""},
		"notes and a pass":      {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: all, Summary: report.Counts{Note: 1}, Report: blob}, ""},
		"warnings":              {task.SubTaskCompleted{Attempt: 1, Result: task.PassWithWarnings, Coverage: all, Summary: one, Report: blob}, ""},
		"warnings and a pass":   {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: all, Summary: one, Report: blob}, "fact.result"},
		"no such result":        {task.SubTaskCompleted{Attempt: 1, Result: "FINE", Coverage: all}, "fact.result"},
		"no report":             {task.SubTaskCompleted{Attempt: 1, Result: task.PassWithWarnings, Coverage: all, Summary: one}, "fact.report"},
		"report of no blob":     {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: all, Report: &task.Blob{Key: "x", SHA256: sum}}, "fact.report"},
		"covered nothing":       {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: none}, "fact.coverage"},
		"saw more than all":     {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: task.Coverage{Eligible: 1, Seen: 2}}, "fact.coverage"},
		"degraded nowhere":      {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: task.Coverage{Eligible: 1, Seen: 1, Degraded: []task.Degraded{{Reason: "x"}}}}, "fact.coverage"},
		"negative":              {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: all, Summary: report.Counts{Note: -1}}, "fact.shape"},
		"went back in time":     {task.SubTaskCompleted{Attempt: 1, Result: task.Pass, Coverage: all, DurationMS: -1}, "fact.shape"},
		"a failed check":        {task.SubTaskFailed{Attempt: 1, Kind: task.Check, Reason: "x", Summary: &one, Coverage: &all, Report: blob}, ""},
		"failed of nothing":     {task.SubTaskFailed{Attempt: 1, Kind: task.Check, Reason: "x", Summary: &report.Counts{}, Coverage: &all}, "fact.result"},
		"an error":              {task.SubTaskFailed{Attempt: 1, Kind: task.Error, Reason: "x"}, ""},
		"an honest error":       {task.SubTaskFailed{Attempt: 1, Kind: task.Error, Reason: "x", Coverage: &none, Summary: &report.Counts{}}, ""},
		"no such kind":          {task.SubTaskFailed{Attempt: 1, Kind: "ODD", Reason: "x"}, "fact.result"},
		"another's":             {task.MainTaskCancelled{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := task.Honest(c.fact)
			require.Equal(t, c.rule, domain.RuleOf(err))
			if err != nil {
				var e *domain.Error
				require.ErrorAs(t, err, &e)
				require.NotEmpty(t, e.Msg)
				require.NotEmpty(t, e.MsgZH)
			}
		})
	}
}
