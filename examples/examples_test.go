package examples_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/examples"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/excel"
	"github.com/factgate/factgate/scanners/openapi"
	"github.com/factgate/factgate/scanners/sql"
	"github.com/factgate/factgate/scanners/unittest"
	"github.com/factgate/factgate/scanners/wedata"
)

func packed(t testing.TB, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, examples.Pack(name, &out))
	return out.Bytes()
}

func open(t testing.TB, name string) *zippkg.Package {
	t.Helper()
	content := packed(t, name)
	pkg, err := zippkg.Open(bytes.NewReader(content), int64(len(content)), zippkg.Limits{})
	require.NoError(t, err)
	return pkg
}

func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	for _, name := range examples.Names() {
		first, again := sha256.Sum256(packed(t, name)), sha256.Sum256(packed(t, name))
		require.Equal(t, first, again, name)
	}
}

func TestAnExampleThatDoesNotExist(t *testing.T) {
	var out bytes.Buffer
	err := examples.Pack("retail-9", &out)
	require.ErrorContains(t, err, "retail-1.4.0", "it says which there are")
	require.Zero(t, out.Len())
	_, err = examples.Expected("../examples")
	require.Error(t, err)
}

// sink keeps what a scanner finds.
type sink struct {
	counts   report.Counts
	byRule   map[string]int
	findings []report.Finding
}

func (s *sink) Add(f report.Finding) {
	s.counts.Add(f)
	s.byRule[f.Rule]++
	s.findings = append(s.findings, f)
}

// What the scanners say of each example is what it was made for: no more, so
// that a false alarm shows here, and no less. The verdict follows from that by
// the default rules.
func TestEveryExampleGetsWhatItDeserves(t *testing.T) {
	all := []scanners.Scanner{sql.New(), excel.New(excel.Config{}), wedata.New(), openapi.New(openapi.Config{}), unittest.New(unittest.Config{})}
	seen := map[string]bool{}
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			expected, err := examples.Expected(name)
			require.NoError(t, err)
			pkg := open(t, name)
			log := newHistory()
			for _, s := range all {
				kind := s.Describe().Type
				want, spoken := expected.Types[kind]
				require.True(t, spoken, "%s says nothing of %s", name, kind)
				fact, found := scan(t, s, pkg)
				for _, f := range found.findings {
					t.Logf("%s %s %s:%d%s %s", f.Rule, f.Severity, f.Path, f.Line, f.Cell, f.Message.Zh)
				}
				if want.Findings == nil {
					want.Findings = map[string]int{}
				}
				require.Equal(t, want.Findings, found.byRule, kind)
				require.Equal(t, want.Result, resultOf(fact), kind)
				if want.Result != "DECLINED" {
					log.add(task.SubTaskStarted{Type: kind, Attempt: 1})
				}
				log.add(fact)
			}
			closed, ok := rules.Evaluate(rules.Default(), log.facts, log.now.Add(time.Hour)).(rules.Closed)
			require.True(t, ok)
			require.EqualValues(t, expected.Status, closed.Verdict.Status)
			require.Equal(t, expected.Rule, closed.Verdict.Rule.ID)
			seen[expected.Rule] = true
		})
	}
	for _, rule := range []string{"nobody", "all-passed", "all-failed", "some"} {
		require.True(t, seen[rule], "no example shows rule %s", rule)
	}
}

// scan does what the runtime would, and returns the fact that ends the sub-task.
func scan(t *testing.T, s scanners.Scanner, pkg *zippkg.Package) (task.Fact, *sink) {
	t.Helper()
	out := &sink{byRule: map[string]int{}}
	kind := s.Describe().Type
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	require.NotEmpty(t, decision.Reason().En, "%s says why it takes part or not", s.Describe().Type)
	require.NotEmpty(t, decision.Reason().Zh)
	if !decision.TakesPart() {
		require.Equal(t, scanners.NoMatchingFiles, decision.Code())
		return task.SubTaskDeclined{Type: kind, Code: decision.Code()}, out
	}
	coverage, err := s.Scan(t.Context(), pkg, out)
	require.NoError(t, err)
	require.Positive(t, coverage.Seen)
	if out.counts.Error > 0 {
		return task.SubTaskFailed{Type: kind, Attempt: 1, Kind: task.Check, Summary: &out.counts, Coverage: &coverage}, out
	}
	require.Empty(t, coverage.Degraded, "a package that passes is understood as a whole")
	require.Equal(t, coverage.Eligible, coverage.Seen)
	result := task.Pass
	if out.counts.Warning > 0 {
		result = task.PassWithWarnings
	}
	return task.SubTaskCompleted{Type: kind, Attempt: 1, Result: result, Summary: out.counts, Coverage: coverage}, out
}

func resultOf(fact task.Fact) string {
	switch f := fact.(type) {
	case task.SubTaskCompleted:
		return string(f.Result)
	case task.SubTaskFailed:
		return "FAILED"
	default:
		return "DECLINED"
	}
}

// history is a task's stream, a second between facts.
type history struct {
	facts []task.Recorded
	now   time.Time
}

func newHistory() *history {
	h := &history{now: time.Date(2026, 4, 1, 8, 0, 0, 0, time.UTC)}
	window := task.Window{OpensAt: h.now, Deadline: h.now.Add(rules.Default().Window()), Quiet: task.Duration(rules.Default().Quiet())}
	h.add(task.MainTaskCreated{Window: window, RuleSet: rules.Default().Ref()})
	return h
}

func (h *history) add(f task.Fact) {
	h.now = h.now.Add(time.Second)
	h.facts = append(h.facts, task.Recorded{ID: f.Key(), Revision: uint64(len(h.facts)), At: h.now, Fact: f})
}

func TestNamesAndTextsInGB18030(t *testing.T) {
	pkg := open(t, "marketing-3.1.0-gbk")
	require.Equal(t, "营销-3.1.0", pkg.Root())
	require.Len(t, pkg.Warnings(), 1)
	require.Equal(t, zippkg.WarningNameEncoding, pkg.Warnings()[0].Code)
	f, ok := pkg.Lookup("数据仓库/01建表/建表脚本.sql")
	require.True(t, ok)
	require.Equal(t, zippkg.GB18030, f.NameEncoding)
	text, err := f.Text(0)
	require.NoError(t, err)
	require.Equal(t, zippkg.GB18030, text.Encoding)
	require.Contains(t, text.Content, "营销主题建表")
}

func TestAnExampleExtendsAnother(t *testing.T) {
	base, next := open(t, "retail-1.4.0"), open(t, "retail-1.5.0-rc1")
	require.Empty(t, next.Warnings())
	for _, f := range base.Files() {
		_, ok := next.Lookup(f.Path)
		require.True(t, ok, f.Path)
	}
	require.Greater(t, len(next.Files()), len(base.Files()))
	notes, ok := next.Lookup("发布说明.md")
	require.True(t, ok)
	text, err := notes.Text(0)
	require.NoError(t, err)
	require.Contains(t, text.Content, "1.5.0-rc1")
	_, ok = next.Lookup("example.json")
	require.False(t, ok)
}

func TestWorkbooksAreMadeOfTheirSheets(t *testing.T) {
	f, ok := open(t, "retail-1.4.0").Lookup("调度/零售数仓调度作业.xlsx")
	require.True(t, ok)
	in, err := f.Open()
	require.NoError(t, err)
	defer in.Close()
	content, err := io.ReadAll(in)
	require.NoError(t, err)
	book, err := excelize.OpenReader(bytes.NewReader(content))
	require.NoError(t, err)
	defer book.Close()
	require.Equal(t, []string{"修订记录", "作业列表", "依赖列表"}, book.GetSheetList())

	jobs, err := book.GetRows("作业列表")
	require.NoError(t, err)
	require.Greater(t, len(jobs), 20)
	require.True(t, strings.HasPrefix(jobs[1][7], "*执行周期\n"), "headers keep their line breaks")
	kind, err := book.GetCellType("作业列表", "M3") // retries
	require.NoError(t, err)
	require.NotEqual(t, excelize.CellTypeSharedString, kind, "a number is a number")
	version, err := book.GetCellType("修订记录", "A2")
	require.NoError(t, err)
	require.Equal(t, excelize.CellTypeSharedString, version)
}
