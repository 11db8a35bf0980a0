package queries_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench/given"
	"github.com/factgate/factgate/queries"
)

// judged tells a task a random history and closes it as the coordinator would.
func (w *world) judged(random *rand.Rand, project string, converge bool) (queries.TaskID, eventstore.Position) {
	w.t.Helper()
	id := given.NewTask()
	elsewhere := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	window := task.Window{OpensAt: elsewhere, Deadline: elsewhere.Add(time.Minute), Quiet: task.Duration(10 * time.Second)}
	last := w.Tell(id, given.Uploaded(id, project), task.MainTaskCreated{TaskID: id.String(), Window: window, RuleSet: rules.Default().Ref(), Shadow: w.shadow})
	for _, name := range []string{"SQL", "EXCEL", "API"} {
		switch random.IntN(6) {
		case 0:
			last = w.Tell(id, task.SubTaskDeclined{TaskID: id.String(), Type: name, Code: "NO_MATCHING_FILES"})
		case 1:
		case 2:
			last = w.Tell(id, task.SubTaskStarted{TaskID: id.String(), Type: name, Attempt: 1})
		case 3:
			last = w.Tell(id, task.SubTaskStarted{TaskID: id.String(), Type: name, Attempt: 1},
				task.SubTaskFailed{TaskID: id.String(), Type: name, Attempt: 1, Kind: []task.FailureKind{task.Check, task.Error}[random.IntN(2)]})
		default:
			last = w.Tell(id, task.SubTaskStarted{TaskID: id.String(), Type: name, Attempt: 1},
				task.SubTaskCompleted{TaskID: id.String(), Type: name, Attempt: 1, Result: task.PassWithWarnings, Summary: report.Counts{Warning: random.IntN(3)}})
		}
	}
	if !converge {
		return id, last
	}
	closed := rules.Evaluate(rules.Default(), w.facts(id), time.Now().Add(time.Hour)).(rules.Closed)
	return id, w.Tell(id, task.WindowClosed{TaskID: id.String(), Cause: closed.Cause, ClosedAt: closed.At},
		task.MainTaskConverged{TaskID: id.String(), Revision: 1, Verdict: closed.Verdict})
}

func (w *world) facts(id queries.TaskID) (facts []task.Recorded) {
	w.t.Helper()
	for r, err := range w.log.ReadStream(w.t.Context(), eventstore.StreamID{Category: task.Category, Key: id.String()}, 0) {
		require.NoError(w.t, err)
		facts = append(facts, task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: task.Read(r.Type, r.Data)})
	}
	return facts
}

const stricter = `name: stricter
window: %s
quiet: 10s
rules:
  - {id: warned, when: warnings > 2,           status: FAILED}
  - {id: silent, when: '%s',                   status: FAILED}
  - {id: some,   when: succeeded < observed,   status: FAILED}
  - {id: rest,   when: "true",                 status: SUCCESS}
`

// A dry run says what a fold of the whole log says, page by page, and writes
// nothing.
func TestADryRunIsABruteForceRefold(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(1, 2))
	var last eventstore.Position
	for i := range 60 {
		_, last = w.judged(random, []string{"a", "b"}[i%2], i%10 != 9)
	}
	w.Follow(last)
	now := time.Now().Add(2 * time.Hour)
	for name, text := range map[string]string{
		"other rules":          fmt.Sprintf(stricter, "1m", "false"),
		"a longer window":      fmt.Sprintf(stricter, "1h", "false"),
		"what nobody recorded": fmt.Sprintf(stricter, "1m", "silent > 0"),
		"the same":             strings.Replace(string(rules.Default().Source()), "window: 10m", "window: 1m", 1),
	} {
		t.Run(name, func(t *testing.T) {
			rs, err := rules.Parse([]byte(text), 0)
			require.NoError(t, err)

			// By brute force: all streams from $all.
			streams := map[string][]task.Recorded{}
			for r, err := range w.log.ReadAll(t.Context(), 0, eventstore.Filter{}) {
				require.NoError(t, err)
				key := r.Stream.Key
				streams[key] = append(streams[key], task.Recorded{ID: r.ID.String(), Revision: r.Revision, At: r.At, Fact: task.Read(r.Type, r.Data)})
			}
			require.Len(t, streams, 60)
			counts, flips, undecidable, undecided := map[string]int{}, map[string]task.Verdict{}, map[string]report.Text{}, 0
			for id, facts := range streams {
				old := task.Fold(facts).Verdict
				if old == nil {
					undecided++
					continue
				}
				if why, is := rules.Undecidable(rs, facts); is {
					undecidable[id] = why
					continue
				}
				closed := rules.Replay(rs, facts, now).(rules.Closed)
				counts[string(old.Status+">"+closed.Verdict.Status)]++
				if closed.Verdict.Status != old.Status {
					flips[id] = closed.Verdict
				}
			}

			head, err := w.log.Head(t.Context())
			require.NoError(t, err)
			gotCounts, gotFlips, gotUndecidable, gotUndecided, tried := map[string]int{}, map[string]task.Verdict{}, map[string]report.Text{}, 0, 0
			ask := queries.DryRunQuery{RuleSet: rs, First: 7, Now: now}
			total, err := w.queries.DryRunTotal(t.Context(), ask)
			require.NoError(t, err)
			for {
				page, err := w.queries.DryRun(t.Context(), ask)
				require.NoError(t, err)
				tried += page.Tried
				gotUndecided += page.Undecided
				for _, c := range page.Counts {
					gotCounts[string(c.Old+">"+c.New)] += c.Tasks
				}
				for _, f := range page.Flips {
					gotFlips[f.Task.String()] = f.New
				}
				for _, f := range page.Undecidable {
					gotUndecidable[f.Task.String()] = f.New.Because
				}
				if page.Next == "" {
					break
				}
				ask.After = page.Next
			}
			require.Equal(t, 60, tried)
			require.EqualValues(t, 60, total)
			require.Equal(t, counts, gotCounts)
			require.Equal(t, flips, gotFlips)
			require.Equal(t, undecidable, gotUndecidable)
			require.Equal(t, undecided, gotUndecided)
			after, err := w.log.Head(t.Context())
			require.NoError(t, err)
			require.Equal(t, head, after, "nothing was written")
			if name == "the same" {
				require.Empty(t, gotFlips)
				require.Empty(t, gotUndecidable)
			}
		})
	}

	rs := rules.Default()
	page, err := w.queries.DryRun(t.Context(), queries.DryRunQuery{RuleSet: rs, Project: "a", Now: now})
	require.NoError(t, err)
	require.Equal(t, 30, page.Tried)
	page, err = w.queries.DryRun(t.Context(), queries.DryRunQuery{RuleSet: rs, Since: time.Now().Add(time.Hour), Now: now})
	require.NoError(t, err)
	require.Zero(t, page.Tried)
	require.Empty(t, page.Next)
	_, err = w.queries.DryRun(t.Context(), queries.DryRunQuery{RuleSet: rs, After: "x", Now: now})
	require.Equal(t, "cursor.invalid", domain.RuleOf(err))
}
