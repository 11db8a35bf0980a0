package unittest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

// event is a line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	// ImportPath is that of build-output and build-fail.
	ImportPath string
}

// goActions are those that test2json writes.
var goActions = map[string]bool{
	"start": true, "run": true, "pause": true, "cont": true, "pass": true, "bench": true,
	"fail": true, "output": true, "skip": true, "build-output": true, "build-fail": true,
}

// parseEvent reads a line; what else tools mix into the stream is no event.
func parseEvent(line []byte) (event, bool) {
	var e event
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil {
		return e, false
	}
	return e, goActions[e.Action] && (e.Package != "" || e.ImportPath != "")
}

// goRun is a package's run of tests while it lasts.
type goRun struct {
	line   int
	failed bool
	// open are the tests that have begun, with the first words that each printed.
	open map[string]*openTest
	// parents of failed tests, which fail with them.
	parents map[string]bool
	said    string // what the package itself printed
}

type openTest struct {
	line int
	said []string
}

// goStream turns events into cases.
type goStream struct {
	h      handler
	limits Limits
	runs   map[string]*goRun
	open   int // tests of all runs
	built  string
}

// decodeGoTest reads go test -json. Lines that are no events are passed over.
func decodeGoTest(ctx context.Context, r io.Reader, limits Limits, h handler) error {
	in := newLines(ctx, r, limits)
	s := &goStream{h: h, limits: limits, runs: map[string]*goRun{}}
	broken := false
	for in.next() {
		line := bytes.TrimSpace(in.bytes())
		if len(line) == 0 {
			continue
		}
		e, ok := parseEvent(line)
		broken = !ok && line[0] == '{' && !json.Valid(line)
		if !ok {
			continue
		}
		if err := s.event(e, in.number); err != nil {
			return err
		}
	}
	if err := in.err(); err != nil {
		return err
	}
	if broken || len(s.runs) > 0 {
		return cutOffAt(in.number - 1)
	}
	return nil
}

func (s *goStream) event(e event, line int) error {
	if e.Package == "" {
		if e.Action == "build-output" && s.built == "" && !strings.HasPrefix(e.Output, "#") {
			s.built = spoken(e.Output)
		}
		return nil
	}
	run := s.runs[e.Package]
	if run == nil {
		if e.Action == "output" || e.Test == "" && e.Action == "skip" {
			return nil // after its end, or nothing to test
		}
		if len(s.runs) == s.limits.Open {
			return s.tooMuch(line)
		}
		run = &goRun{line: line, open: map[string]*openTest{}, parents: map[string]bool{}}
		s.runs[e.Package] = run
	}
	if e.Test == "" {
		switch e.Action {
		case "output":
			if run.said == "" && tells(e.Output) {
				run.said = spoken(e.Output)
			}
		case "pass", "fail", "skip":
			s.end(run, e)
		}
		return nil
	}
	test := run.open[e.Test]
	switch e.Action {
	case "run":
		if test == nil {
			if s.open == s.limits.Open {
				return s.tooMuch(line)
			}
			s.open++
			run.open[e.Test] = &openTest{line: line}
		}
	case "output":
		if test != nil && len(test.said) < 3 && tells(e.Output) {
			test.said = append(test.said, spoken(e.Output))
		}
	case "pass", "skip", "fail":
		s.finish(run, e.Package, e.Test, e.Action, line)
	}
	return nil
}

func (s *goStream) tooMuch(line int) error {
	return overLimit(line, "more than %d packages or tests run at once", "同时运行的包或测试超过 %d 个", int64(s.limits.Open))
}

// tells reports whether an output says something of its own.
func tells(output string) bool {
	output = strings.TrimSpace(output)
	for _, frame := range []string{"=== ", "--- ", "PASS", "FAIL", "ok ", "coverage:", "exit status"} {
		if strings.HasPrefix(output, frame) {
			return false
		}
	}
	return output != ""
}

// finish hands over a test that has ended.
func (s *goStream) finish(run *goRun, pkg, name, action string, line int) {
	test := run.open[name]
	if test != nil {
		delete(run.open, name)
		s.open--
		line = test.line
	} else {
		test = &openTest{}
	}
	c := testCase{Suite: pkg, Name: name, Line: line, Skipped: action == "skip", Retried: true}
	c.Pointer = step("", "package", predicate("name", pkg)) + step("", "test", predicate("name", name))
	if action == "fail" {
		run.failed = true
		c.Problems = []problem{{Kind: "failure", Message: strings.Join(test.said, " ")}}
		// A test fails with those inside it, which tell why.
		c.Echo = run.parents[name]
		if slash := strings.LastIndexByte(name, '/'); slash > 0 && len(run.parents) < s.limits.Open {
			run.parents[name[:slash]] = true
		}
	}
	s.h.testCase(c)
}

// end of a package. What it does not lay on a test is a failure of its own: it did
// not build, panicked, or took too long.
func (s *goStream) end(run *goRun, e event) {
	delete(s.runs, e.Package)
	s.open -= len(run.open)
	if e.Action != "fail" || run.failed {
		return
	}
	p := problem{Kind: "error", Message: run.said}
	if p.Message == "" {
		p.Message, s.built = s.built, ""
	}
	s.h.suiteEnd(suite{
		Name: e.Package, Line: run.line, Pointer: step("", "package", predicate("name", e.Package)),
		ClaimedTests: -1, ClaimedProblems: -1, ClaimedSkipped: -1, Own: []problem{p},
	})
}

// decodeDBT reads run_results.json of dbt: {"metadata":{…},"results":[{…}],…}.
func decodeDBT(ctx context.Context, r io.Reader, limits Limits, h handler) error {
	src := &source{ctx: ctx, r: r, remaining: limits.FileBytes, limits: limits}
	counted := &lineCounter{r: unmarked(src, 32<<10)}
	in := json.NewDecoder(counted)
	bad := func(err error) error {
		if src.err != nil {
			var limit *overLimitError
			if errors.As(src.err, &limit) {
				limit.line = counted.lineAt(in.InputOffset())
			}
			return src.err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return cutOffAt(counted.lineAt(in.InputOffset()))
		}
		detail := clip(strings.TrimPrefix(err.Error(), "json: "), 200)
		return &malformed{line: counted.lineAt(in.InputOffset()), detail: report.Text{En: detail, Zh: "JSON 无法解析（" + detail + "）"}}
	}
	if t, err := in.Token(); err != nil {
		return bad(err)
	} else if t != json.Delim('{') {
		return notResults(1)
	}
	found := false
	for in.More() {
		src.token = 0
		key, err := in.Token()
		if err != nil {
			return bad(err)
		}
		if key != "results" {
			var other skipped
			if err := in.Decode(&other); err != nil {
				return bad(err)
			}
			continue
		}
		found = true
		if t, err := in.Token(); err != nil {
			return bad(err)
		} else if t != json.Delim('[') {
			return notResults(counted.lineAt(in.InputOffset() - 2))
		}
		for n := 0; in.More(); n++ {
			src.token = 0
			var one dbtResult
			line := counted.lineAt(in.InputOffset())
			if err := in.Decode(&one); err != nil {
				return bad(err)
			}
			one.tell(h, n, line)
		}
		if _, err := in.Token(); err != nil {
			return bad(err)
		}
	}
	if _, err := in.Token(); err != nil {
		return bad(err)
	}
	if !found {
		return notResults(1)
	}
	return nil
}

func notResults(line int) *malformed {
	return &malformed{line: line, detail: report.Text{
		En: "it has no list of results; deliver the run_results.json that dbt wrote",
		Zh: "其中没有 results 列表，请提供 dbt 生成的 run_results.json",
	}}
}

// skipped is a value that is read and not kept.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// dbtResult is one node that dbt ran. Its types are loose, as versions differ.
type dbtResult struct {
	Status   any `json:"status"`
	UniqueID any `json:"unique_id"`
	Message  any `json:"message"`
}

// tell makes a case of it. Tests are cases; models, seeds and snapshots count only
// when they fail, as what stands on them cannot be tested.
func (r dbtResult) tell(h handler, n, line int) {
	status, _ := r.Status.(string)
	id, _ := r.UniqueID.(string)
	message, _ := r.Message.(string)
	id = clip(id, maxName)
	c := testCase{Suite: "dbt", Name: id, Line: line, Pointer: fmt.Sprintf("/results/%d", n)}
	switch status = strings.ToLower(status); status {
	case "fail":
		c.Problems = []problem{{Kind: "failure", Message: spoken(message)}}
	case "error", "runtime error":
		c.Problems = []problem{{Kind: "error", Message: spoken(message)}}
	case "skipped":
		c.Skipped = true
	}
	if !strings.HasPrefix(id, "test.") && !strings.HasPrefix(id, "unit_test.") {
		if len(c.Problems) == 0 {
			return
		}
		h.suiteEnd(suite{Name: id, Line: line, Pointer: c.Pointer, ClaimedTests: -1, ClaimedProblems: -1, ClaimedSkipped: -1, Own: c.Problems})
		return
	}
	h.testCase(c)
}

// lineCounter remembers where lines end in what was lately read, so that an offset
// can be told as a line.
type lineCounter struct {
	r    io.Reader
	read int64   // bytes so far
	ends []int64 // offsets of line ends that nobody has asked beyond
	line int     // line ends before those
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for from := 0; from < n; {
		end := bytes.IndexByte(p[from:n], '\n')
		if end < 0 {
			break
		}
		l.ends = append(l.ends, l.read+int64(from+end))
		from += end + 1
	}
	l.read += int64(n)
	return n, err
}

// lineAt is the line of what comes after an offset; offsets must not fall.
func (l *lineCounter) lineAt(offset int64) int {
	n := 0
	for n < len(l.ends) && l.ends[n] <= offset+1 {
		n++
	}
	l.line += n
	l.ends = l.ends[n:]
	return l.line + 1
}
