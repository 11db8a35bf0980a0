package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	fact "github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

const (
	factsPerTask = 20
	projects     = 50
	// wave is how many tasks are under way at the same time; late facts come when
	// that many waves more have begun.
	wave      = 100
	lateWaves = 10
)

// event is a fact as it is appended.
type event struct {
	task     eventstore.ID
	revision int
	id       eventstore.ID
	kind     string
	data     []byte
	metadata []byte
}

func (e event) stream() string { return task.Category + "-" + e.task.String() }

// taskID numbers tasks; the same in every run. It is a digest, as of uploads with an
// idempotency key, and those of the command line all have one; of others the ids grow
// with time, which spares Postgres' indexes a little.
func taskID(i int) eventstore.ID {
	return eventstore.DeriveID(eventstore.ID{}, fmt.Sprintf("bench/readmodel/%d", i))
}

func projectOf(i int) string { return fmt.Sprintf("warehouse-%02d", i%projects) }

// What every task has: rows in each table.
// What every task counts for. All types are silent, as the facts are recorded long after
// the time at which their window says it closed.
var countsPerTask = map[string]int{"TASK": 1, "WINDOW": 1, "SUB_TASK": subTasksPerTask + declinesPerTask, "KNOWN": 6, "SILENT": 6, "LATE": 2}

const (
	subTasksPerTask = 5 // SQL, EXCEL, UNIT_TEST, LICENSE and, late, SECRETS
	declinesPerTask = 2 // WEDATA, OPENAPI
	outcomesPerTask = 5 // SQL's second attempt, and the others'
)

// story is all facts of a task, in the appends in which they are recorded. It is one
// of five types that take part; one of them is scanned twice, two decline, and one
// comes late and has the verdict revised.
func story(i int) [][]event {
	id := taskID(i)
	random := rand.New(rand.NewPCG(uint64(i), 20))
	digest := func() string {
		b := make([]byte, 32)
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		return hex.EncodeToString(b)
	}
	at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	text := id.String()
	key := "sha256/" + digest()
	ruleSet := task.RuleSetRef{Name: "default", Version: 1, Digest: scannerDigests["default"]}
	scanner := func(name string) task.Scanner {
		return task.Scanner{Name: name, Version: "1.4.2", Instance: fmt.Sprintf("scan-%02d", random.IntN(16)), RulesDigest: scannerDigests[name], ConfigDigest: scannerDigests["config"]}
	}
	started := func(name string, attempt int) task.Fact {
		return task.SubTaskStarted{TaskID: text, Type: name, Attempt: attempt, Scanner: scanner(name)}
	}
	completed := func(name string, attempt int) task.Fact {
		f := task.SubTaskCompleted{TaskID: text, Type: name, Attempt: attempt, Result: task.Pass, DurationMS: 40 + random.Int64N(9_000)}
		f.Coverage = task.Coverage{Eligible: 12 + random.IntN(40), Degraded: []task.Degraded{{
			Path: "jobs/" + digest()[:24] + ".sql", Reason: "the dialect of this file is not known; it was read as ANSI SQL and may hold more than what was found",
		}}}
		f.Coverage.Seen = f.Coverage.Eligible
		if n := random.IntN(3); n > 0 {
			f.Result, f.Summary = task.PassWithWarnings, fact.Counts{Warning: n, Note: random.IntN(5)}
		}
		return f
	}
	declined := func(name, code, reason string) task.Fact {
		return task.SubTaskDeclined{TaskID: text, Type: name, Code: code, Reason: reason, ReasonZH: "包内没有此类文件", Scanner: scanner(name)}
	}
	unitTests := completed("UNIT_TEST", 1)
	if i%4 == 0 {
		unitTests = task.SubTaskFailed{TaskID: text, Type: "UNIT_TEST", Attempt: 1, Kind: task.Check, Reason: "3 of 41 tests failed, the first is TestDailyBalanceIsClosed", ReasonZH: "41 个测试中 3 个失败",
			Summary: &fact.Counts{Error: 3}, Coverage: &task.Coverage{Eligible: 41, Seen: 41}, DurationMS: 12_000}
	}
	evidence := func(names ...string) (ids []string) {
		for _, n := range names {
			ids = append(ids, eventstore.DeriveID(id, n).String())
		}
		return ids
	}
	verdict := func(revision int) task.MainTaskConverged {
		v := task.MainTaskConverged{TaskID: text, Revision: revision, Verdict: task.Verdict{
			Status: task.Success, Rule: task.Rule{ID: "all-passed", When: "succeeded == observed"},
			Because: fact.Text{En: "All 4 that took part passed.", Zh: "参与的 4 项全部通过。"}, RuleSet: ruleSet,
			Observed: []string{"EXCEL", "LICENSE", "SQL", "UNIT_TEST"}, Succeeded: []string{"EXCEL", "LICENSE", "SQL", "UNIT_TEST"}, Declined: []string{"OPENAPI", "WEDATA"},
			Evidence: evidence("SQL", "EXCEL", "LICENSE", "UNIT_TEST"),
		}}
		if i%4 == 0 {
			v.Status, v.Rule = task.PartialSuccess, task.Rule{ID: "some", When: "true"}
			v.Succeeded, v.Failed = []string{"EXCEL", "LICENSE", "SQL"}, []string{"UNIT_TEST"}
		}
		if revision > 1 {
			v.Supersedes = eventstore.DeriveID(id, task.MainTaskConverged{TaskID: text, Revision: revision - 1}.Key()).String()
		}
		return v
	}
	appends := [][]task.Fact{
		{task.ZipUploaded{TaskID: text, FilePath: key, FileName: fmt.Sprintf("release-%d.zip", i), Size: 40_000 + random.Int64N(4<<20), SHA256: digest(),
			Project: projectOf(i), Version: fmt.Sprintf("2.%d.%d", i%40, i%7), UploadedBy: fmt.Sprintf("engineer-%02d", i%90), UploadTime: at}},
		{task.MainTaskCreated{TaskID: text, Context: task.Context{FilePath: key, UploadTime: at}, RuleSet: ruleSet,
			Window: task.Window{OpensAt: at, Deadline: at.Add(10 * time.Minute), Quiet: task.Duration(10 * time.Second)}, Known: []string{"EXCEL", "LICENSE", "OPENAPI", "SQL", "UNIT_TEST", "WEDATA"}}},
		{declined("WEDATA", "NO_MATCHING_FILES", "no file of the package is a WeData workflow")},
		{declined("OPENAPI", "NO_MATCHING_FILES", "no file of the package is an API definition")},
		{started("SQL", 1)}, {started("EXCEL", 1)}, {started("UNIT_TEST", 1)},
		{completed("EXCEL", 1)},
		{started("LICENSE", 1)},
		{task.SubTaskFailed{TaskID: text, Type: "SQL", Attempt: 1, Kind: task.Error, Reason: "the scan took longer than 5m and was ended; nothing is said about the content", ReasonZH: "扫描超过 5 分钟，已终止"}},
		{task.SubTaskRetryRequested{TaskID: text, Type: "SQL", After: 1, Reason: "the file server was slow; once more, please"}},
		{started("SQL", 2)},
		{completed("LICENSE", 1)}, {completed("SQL", 2)}, {unitTests},
		{task.WindowClosed{TaskID: text, Cause: task.Settled, ClosedAt: at.Add(40 * time.Second)}, verdict(1)},
		{started("SECRETS", 1)},
		{completed("SECRETS", 1), verdict(2)},
	}
	metadata, err := json.Marshal(map[string]string{"$correlationId": text, "$causationId": eventstore.DeriveID(id, "cause").String(), "actor": "scanner"})
	if err != nil {
		panic(err) // a map of texts
	}
	revision := 0
	all := make([][]event, len(appends))
	for j, facts := range appends {
		for _, f := range facts {
			kind, data, err := task.Encode(f)
			if err != nil {
				panic(err) // a fact of ours
			}
			all[j] = append(all[j], event{task: id, revision: revision, id: eventstore.DeriveID(id, f.Key()), kind: kind, data: data, metadata: metadata})
			revision++
		}
	}
	return all
}

// lateFrom is the first append that comes late.
const lateFrom = 16

var scannerDigests = func() map[string]string {
	all := map[string]string{}
	for _, name := range []string{"default", "config", "SQL", "EXCEL", "UNIT_TEST", "LICENSE", "SECRETS", "WEDATA", "OPENAPI"} {
		a, b := eventstore.DeriveID(eventstore.ID{}, name), eventstore.DeriveID(eventstore.ID{}, name+"/2")
		all[name] = hex.EncodeToString(append(a[:], b[:]...))
	}
	return all
}()

// history calls do with the appends of tasks from and up to, in the order in which a
// busy gate records them: many tasks are under way, so the facts of one lie apart,
// and late ones far behind. Appends of one call touch different streams.
func history(from, upto int, do func(appends [][]event) error) error {
	var waiting [][][][]event // waves whose late facts are to come
	late := func() error {
		for step := lateFrom; step < len(waiting[0][0]); step++ {
			if err := do(column(waiting[0], step)); err != nil {
				return err
			}
		}
		waiting = waiting[1:]
		return nil
	}
	for first := from; first < upto; first += wave {
		var now [][][]event
		for i := first; i < min(first+wave, upto); i++ {
			now = append(now, story(i))
		}
		for step := range lateFrom {
			if err := do(column(now, step)); err != nil {
				return err
			}
		}
		if waiting = append(waiting, now); len(waiting) > lateWaves {
			if err := late(); err != nil {
				return err
			}
		}
	}
	for len(waiting) > 0 {
		if err := late(); err != nil {
			return err
		}
	}
	return nil
}

// column is one append of each story.
func column(stories [][][]event, step int) (appends [][]event) {
	for _, s := range stories {
		appends = append(appends, s[step])
	}
	return appends
}

// facts are those of history, one at a time.
func facts(from, upto int) iter.Seq[event] {
	return func(yield func(event) bool) {
		_ = history(from, upto, func(appends [][]event) error {
			for _, a := range appends {
				for _, e := range a {
					if !yield(e) {
						return errors.New("enough")
					}
				}
			}
			return nil
		})
	}
}
