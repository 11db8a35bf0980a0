package rules_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

// cases are the abstract cases of the truth tables: what one type A and one type
// B can do, played out as facts and judged.
var cases = []struct {
	name string
	play func(typeName string) []task.Fact
}{
	{"passed", func(n string) []task.Fact { return []task.Fact{start(n, 1), pass(n)} }},
	{"failed", func(n string) []task.Fact { return []task.Fact{start(n, 1), fail(n, task.Check)} }},
	{"errored", func(n string) []task.Fact { return []task.Fact{start(n, 1), fail(n, task.Error)} }},
	{"unfinished", func(n string) []task.Fact { return []task.Fact{start(n, 1)} }},
	{"covered nothing", func(n string) []task.Fact {
		return []task.Fact{start(n, 1), ended(n, report.Counts{}, task.Coverage{Eligible: 10})}
	}},
	{"declined", func(n string) []task.Fact { return []task.Fact{decline(n)} }},
	{"silent", func(string) []task.Fact { return nil }},
	{"not there", func(string) []task.Fact { return nil }},
}

// truthTable judges every pair of cases; where the order of A and B makes no
// difference, one line says it.
func truthTable(t *testing.T, rs *rules.RuleSet) string {
	var table strings.Builder
	table.WriteString("| A | B | window closes at | rule | status |\n|---|---|---|---|---|\n")
	for i, a := range cases {
		for _, b := range cases[i:] {
			verdict := judged(t, rs, map[string]int{"A": i, "B": indexOf(b.name)})
			swapped := judged(t, rs, map[string]int{"B": i, "A": indexOf(b.name)})
			require.Equal(t, verdict.Verdict.Rule, swapped.Verdict.Rule, "no rule of ours knows a type")
			cause := map[task.Cause]string{task.Settled: "quiet", task.Deadline: "deadline"}[verdict.Cause]
			fmt.Fprintf(&table, "| %s | %s | %s | `%s` | %s |\n", a.name, b.name, cause, verdict.Verdict.Rule.ID, verdict.Verdict.Status)
		}
	}
	return table.String()
}

func indexOf(name string) int {
	for i, c := range cases {
		if c.name == name {
			return i
		}
	}
	panic(name)
}

func judged(t *testing.T, rs *rules.RuleSet, types map[string]int) rules.Closed {
	f := created(10*time.Minute, 10*time.Second).(task.MainTaskCreated)
	f.Known = []string{}
	facts := []task.Recorded{at(0, f)}
	for _, name := range []string{"A", "B"} {
		c := cases[types[name]]
		if c.name == "silent" {
			f.Known = append(f.Known, name)
		}
		for _, fact := range c.play(name) {
			facts = append(facts, at(float64(len(facts)), fact))
		}
	}
	facts[0].Fact = f
	closed, ok := rules.Evaluate(rs, stream(facts...), longAfter).(rules.Closed)
	require.True(t, ok)
	return closed
}

// The truth tables in docs/rules.md are what the code does.
func TestTheDocumentedTruthTablesAreTrue(t *testing.T) {
	const file = "../../docs/rules.md"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	want := string(text)
	for _, name := range rules.BuiltIns() {
		rs, ok := rules.BuiltIn(name)
		require.True(t, ok)
		begin, end := fmt.Sprintf("<!-- truth table of %s: go test ./domain/rules -update -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
		before, rest, found := strings.Cut(want, begin)
		require.True(t, found, begin)
		_, after, found := strings.Cut(rest, end)
		require.True(t, found, end)
		want = before + begin + truthTable(t, rs) + end + after
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "run go test ./domain/rules -update")
}

// What strict promises: whatever was not looked at is never better than FAILED.
func TestStrictFailsWhatWasNotLookedAt(t *testing.T) {
	strict, _ := rules.BuiltIn("strict")
	required, err := rules.Parse([]byte(strings.Replace(string(strict.Source()), "late: record", "late: record\nrequired: {B: closed}", 1)), 1)
	require.NoError(t, err)
	for i, a := range cases {
		for j, b := range cases {
			got := judged(t, strict, map[string]int{"A": i, "B": j}).Verdict
			for _, c := range []string{a.name, b.name} {
				switch c {
				case "errored", "unfinished", "covered nothing", "silent":
					require.Equal(t, task.Failed, got.Status, "%s, %s", a.name, b.name)
				}
			}
			if len(got.Observed) == 0 {
				require.Equal(t, task.Failed, got.Status)
			}
			if b.name != "passed" && b.name != "failed" {
				require.Equal(t, task.Failed, judged(t, required, map[string]int{"A": i, "B": j}).Verdict.Status, "%s, %s", a.name, b.name)
			}
		}
	}
}
