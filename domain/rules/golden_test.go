package rules_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

var update = flag.Bool("update", false, "write golden verdicts that are missing (those that exist are never rewritten) and the generated part of docs/rules.md")

// past are 400 histories, the same on every machine.
func past() [][]task.Recorded {
	dice := rand.New(rand.NewPCG(2026, 11))
	pick := func(from ...string) string { return from[dice.IntN(len(from))] }
	var all [][]task.Recorded
	for i := range 400 {
		facts := []task.Recorded{at(0, task.ZipUploaded{TaskID: "t", Project: "dw", Version: "1.2"}), at(0, created(100*time.Second, time.Duration(dice.IntN(20))*time.Second))}
		now := 0.0
		for range dice.IntN(14) {
			now += float64(dice.IntN(12))
			name, attempt := pick("SQL", "API", "EXCEL", "TEST"), 1+dice.IntN(2)
			coverage := task.Coverage{Eligible: dice.IntN(3), Seen: dice.IntN(3)}
			if dice.IntN(3) == 0 {
				coverage.Degraded = []task.Degraded{{Path: "a", Reason: "too long"}}
			}
			summary := report.Counts{Error: dice.IntN(3), Warning: dice.IntN(3)}
			var f task.Fact
			switch dice.IntN(9) {
			case 0, 1, 2:
				f = start(name, attempt)
			case 3:
				f = decline(name)
			case 4, 5, 6:
				f = task.SubTaskCompleted{Type: name, Attempt: attempt, Result: task.Result(pick("PASS", "PASS_WITH_WARNINGS", "PASS", "")), Summary: summary, Coverage: coverage}
			case 7:
				f = task.SubTaskFailed{Type: name, Attempt: attempt, Kind: task.FailureKind(pick("CHECK", "ERROR")), Summary: &summary, Coverage: &coverage}
			case 8:
				f = task.SubTaskRetryRequested{Type: name, After: attempt}
			}
			facts = append(facts, at(now, f))
		}
		for n := range facts {
			facts[n].ID = fmt.Sprintf("%d/%d", i, n)
		}
		all = append(all, stream(facts...))
	}
	return all
}

// What was a verdict once is the same verdict today, to the last byte: recorded
// verdicts are recomputed from their streams for ever.
func TestVerdictsOfThePastStand(t *testing.T) {
	var lines bytes.Buffer
	for _, facts := range past() {
		line, err := json.Marshal(rules.Evaluate(rules.Default(), facts, longAfter))
		require.NoError(t, err)
		lines.Write(append(line, '\n'))
	}
	file := filepath.Join("testdata", "default.v1.jsonl")
	if _, err := os.Stat(file); os.IsNotExist(err) && *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, lines.Bytes(), 0o644))
	}
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(golden), lines.String())
}
