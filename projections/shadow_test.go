package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

const shadowRules = `name: %s
window: %s
quiet: %s
rules:
  - {id: warned, when: warnings > 2,         status: FAILED}
  - {id: silent, when: '%s',                 status: FAILED}
  - {id: some,   when: succeeded < observed, status: FAILED}
  - {id: rest,   when: "true",               status: SUCCESS}
`

// publish records a rule set's text as version 1 of its name.
func publish(t *testing.T, log eventstore.Appender, text string) *rules.RuleSet {
	t.Helper()
	rs, err := rules.Parse([]byte(text), 1)
	require.NoError(t, err)
	data, err := json.Marshal(map[string]any{"name": rs.Ref().Name, "version": 1, "text": text, "digest": rs.Ref().Digest})
	require.NoError(t, err)
	_, err = log.Append(t.Context(), eventstore.StreamID{Category: "ruleset", Key: rs.Ref().Name}, eventstore.NoStream(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, text), Type: "RuleSetPublished", Metadata: []byte("{}"), Data: data})
	require.NoError(t, err)
	return rs
}

// moodySets answer as the rule book does, unless they are away.
type moodySets struct {
	*commands.RuleBook
	mu    sync.Mutex
	away  bool
	asked chan struct{}
}

func (m *moodySets) Get(ctx context.Context, ref task.RuleSetRef) (*rules.RuleSet, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		notify(m.asked)
		return nil, &domain.Error{Kind: domain.Unavailable, Rule: "eventstore.unavailable", Msg: "away"}
	}
	return m.RuleBook.Get(ctx, ref)
}

// countedLog counts the tasks' streams that are read.
type countedLog struct {
	Log
	mu   sync.Mutex
	read map[string]int
}

func (l *countedLog) ReadStream(ctx context.Context, id eventstore.StreamID, from uint64) iter.Seq2[eventstore.Recorded, error] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id.Category == task.Category {
		l.read[id.Key]++
	}
	return l.Log.ReadStream(ctx, id, from)
}

type shadowRow struct{ RuleSet, Recorded, Status, Rule, Undecidable string }

func shadowRows(t *testing.T, pool *pgxpool.Pool) map[string]shadowRow {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select task_id::text, rule_set, recorded, coalesce(status, ''), coalesce(rule, ''), coalesce(undecidable_en, '') from live.shadows`)
	require.NoError(t, err)
	defer rows.Close()
	out := map[string]shadowRow{}
	for rows.Next() {
		var id string
		var r shadowRow
		require.NoError(t, rows.Scan(&id, &r.RuleSet, &r.Recorded, &r.Status, &r.Rule, &r.Undecidable))
		out[id] = r
	}
	require.NoError(t, rows.Err())
	return out
}

// What the table says is what a trial of each task's stream says long after, whatever
// the batches were and whoever folds it anew; nothing else is read for it.
func TestShadowsAreTriedAsTheLogIsFolded(t *testing.T) {
	log, pool, blobs := openLog(t), database(t), newMemoryBlobs()
	sets := map[string]*rules.RuleSet{}
	for _, text := range []string{
		fmt.Sprintf(shadowRules, "quick", "1ms", "1ms", "false"), fmt.Sprintf(shadowRules, "patient", "1h", "10s", "false"),
		fmt.Sprintf(shadowRules, "curious", "1h", "1ms", "silent > 0"),
	} {
		rs := publish(t, log, text)
		sets[rs.Ref().Name] = rs
	}
	lost := task.RuleSetRef{Name: "lost", Version: 3, Digest: "d"}
	refs := []*task.RuleSetRef{nil, &lost}
	for _, rs := range sets {
		ref := rs.Ref()
		refs = append(refs, &ref)
	}
	counted := &countedLog{Log: log, read: map[string]int{}}
	book := &moodySets{RuleBook: commands.NewRuleBook(log), away: true, asked: make(chan struct{}, 1)}
	runner := NewRunner(counted, pool, blobs, Options{RuleSets: book, MaxEvents: 5})
	start(t, runner)

	rnd := rand.New(rand.NewPCG(7, 8))
	shadows, last := map[string]*task.RuleSetRef{}, eventstore.Position(0)
	for i := range 60 {
		s := anything(rnd, blobs)
		shadow := refs[i%len(refs)]
		shadows[s.id.String()] = nil
		for n, f := range s.facts {
			if c, ok := f.(task.MainTaskCreated); ok {
				c.Shadow = shadow
				if i%2 == 0 {
					c.Known = nil // nobody wrote down who could be silent
				}
				s.facts[n], shadows[s.id.String()] = c, shadow
			}
		}
		for n, e := range s.events(t) { // one by one: each at its own time
			expected := eventstore.NoStream()
			if n > 0 {
				expected = eventstore.Any()
			}
			at, err := log.Append(t.Context(), s.stream(), expected, e)
			require.NoError(t, err)
			last = at.Position
		}
	}
	<-book.asked // it could not be told, and nothing is halted
	book.mu.Lock()
	book.away = false
	book.mu.Unlock()
	reach(t, pool, last)
	require.Nil(t, runner.Status().Halted)

	facts := map[string][]task.Recorded{}
	for _, r := range everything(t, log) {
		if r.Stream.Category == task.Category {
			facts[r.Stream.Key] = append(facts[r.Stream.Key], task.Recorded{ID: r.ID.String(), Revision: r.Revision, Position: uint64(r.Position), At: r.At, Fact: task.Read(r.Type, r.Data)})
		}
	}
	want, said := map[string]shadowRow{}, map[string]int{}
	for id, list := range facts {
		ref := shadows[id]
		if ref == nil || task.Fold(list).Verdict == nil {
			require.Zero(t, counted.read[id], "nothing is to be tried")
			continue
		}
		row := shadowRow{RuleSet: ref.Name, Undecidable: `rule set "lost" version 3 is not here, or cannot be used by this version of Factgate`}
		rs := sets[ref.Name]
		if rs == nil {
			rs = rules.Default()
		}
		trial := rules.Try(rs, list, list[len(list)-1].At.Add(48*time.Hour))
		row.Recorded = string(trial.Recorded.Status)
		if sets[ref.Name] != nil {
			row.Undecidable = trial.Undecidable.En
			if trial.Verdict != nil {
				row.Status, row.Rule = string(trial.Verdict.Status), trial.Verdict.Rule.ID
			} else if trial.Undecidable == (report.Text{}) {
				row.Undecidable = "these rules come to no end on what was recorded"
			}
		}
		want[id] = row
		said[row.RuleSet+" "+row.Status]++
		if row.Status != "" && row.Status != row.Recorded {
			said["differs"]++
		}
	}
	require.Equal(t, want, shadowRows(t, pool))
	for _, needed := range []string{"differs", "lost ", "curious "} {
		require.Positive(t, said[needed], "the histories do not show %q: %v", needed, said)
	}
	var due int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(due_at) from live.shadows where rule_set = 'patient'`).Scan(&due))
	require.Positive(t, due, "its window is longer than the task's was")

	// A read model folded anew, and a task folded anew, say the same.
	registry := NewRegistry(pool, log, blobs).WithRuleSets(book)
	change, err := registry.Rebuild(t.Context(), Rebuild{Reason: "test"})
	require.NoError(t, err)
	start(t, NewRunner(log, pool, blobs, Options{Model: change.Model, RuleSets: book}))
	require.Eventually(t, func() bool { return positionIn(t, pool, change.Model) >= int64(last) }, patience, 10*time.Millisecond)
	require.Equal(t, rowsOf(t, pool, "rm_1"), rowsOf(t, pool, change.Model.Schema()))
	before := rowsOf(t, pool, "rm_1")
	for id := range want {
		parsed, err := eventstore.ParseID(id)
		require.NoError(t, err)
		_, err = registry.RebuildTask(t.Context(), parsed)
		require.NoError(t, err)
		break
	}
	require.Equal(t, before, rowsOf(t, pool, "rm_1"))
}
