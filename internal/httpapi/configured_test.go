package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/suppression"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/scanners"
)

func (g *gate) configure(text string) {
	_, err := g.commands.ConfigureScanner(g.Context(), "dw", project.ConfigureScanner{Type: "README", Text: text, By: "li"})
	require.NoError(g, err)
}

func (g *gate) waive(which suppression.Which) {
	_, err := g.commands.GrantWaiver(g.Context(), "dw", project.GrantWaiver{Type: "README", Which: which, Reason: "agreed", By: "wang"})
	require.NoError(g, err)
}

// openWith makes a task of a package with these files: name, content, ….
func (g *gate) openWith(files ...string) string {
	id := testbench.Upload(g, g.commands, g.blobs, packed(g.T, append(files, "salt", fmt.Sprint(time.Now().UnixNano()))...))
	_, err := g.commands.OpenWindow(g.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: time.Hour, Quiet: time.Minute})
	require.NoError(g, err)
	return id
}

func found(rule string, severity report.Severity, path string) report.Finding {
	return report.Finding{Rule: rule, Severity: severity, Path: path, Line: 1, Message: report.Text{En: "x", Zh: "某"}, Anchor: "a"}
}

// ending posts how the first attempt ended with these findings, as a scanner would
// that knows nothing of operators.
func (w worker) ending(l lease, findings ...report.Finding) said {
	stored := w.report(l.TaskID, findings...)
	require.Equal(w, http.StatusCreated, stored.status, stored.Refused)
	data := map[string]any{
		"attempt": 1, "summary": stored.Summary, "coverage": map[string]int{"eligible": 2, "seen": 2}, "durationMs": 5,
		"report": map[string]string{"key": stored.Key, "sha256": stored.SHA256},
	}
	fact := "SubTaskCompleted"
	switch {
	case stored.Summary.Error > 0:
		fact, data["kind"], data["reason"], data["reasonZh"] = "SubTaskFailed", "CHECK", "so many errors", "有错误"
	case stored.Summary.Warning > 0:
		data["result"] = "PASS_WITH_WARNINGS"
	default:
		data["result"] = "PASS"
	}
	body, err := json.Marshal(data)
	require.NoError(w, err)
	return w.say(l.TaskID, l.Lease, fact, string(body))
}

// lines are the findings of the recorded report: "RULE severity path by reason".
func (g *gate) lines(id string) (lines []string) {
	mine := g.sub(id)
	require.NotNil(g, mine.Report)
	file, err := g.blobs.Open(g.Context(), blob.Key(mine.Report.Key))
	require.NoError(g, err)
	defer file.Close()
	content := make([]byte, file.Size())
	_, err = file.ReadAt(content, 0)
	require.NoError(g, err)
	var counts report.Counts
	_, err = report.ReadStored(bytes.NewReader(content), mine.Report.SHA256, func(f report.Finding) error {
		counts.Add(f)
		line := f.Rule + " " + string(f.Severity) + " " + f.Path
		if s := f.Suppression; s != nil {
			line += " " + string(s.Kind) + " " + s.By + " " + s.Reason
		}
		lines = append(lines, line)
		return nil
	})
	require.NoError(g, err)
	require.Equal(g, counts, *mine.Summary)
	return lines
}

func (g *gate) started(id string) (f task.SubTaskStarted) {
	facts, err := g.commands.Load(g.Context(), id)
	require.NoError(g, err)
	for _, r := range facts {
		if s, ok := r.Fact.(task.SubTaskStarted); ok {
			f = s
		}
	}
	return f
}

// What operators say of a type reaches its scanners, wherever they are, and facts name it.
func TestAScannerOverHTTPIsToldItsConfiguration(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	id := g.open()
	l := w.next()
	require.Nil(t, l.Configuration)
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	require.Empty(t, g.started(id).Scanner.ConfigDigest)
	require.True(t, w.ending(l).Changed)
	require.Equal(t, "ack", w.settle(l, "ack", "").End)

	g.configure("settings: {limit: 3, names: [a, 1], 7: x}\nrules: {RM001: off, RM002: error}\ninclude: ['docs/**']\nexclude: ['**/old/**']\nfail: {warning: 2}\n")
	id = g.open()
	l = w.next()
	require.JSONEq(t, `{"limit":3,"names":["a",1],"7":"x"}`, string(l.Configuration.Settings))
	l.Configuration.Settings = nil
	digest := l.Configuration.Digest
	require.Len(t, digest, 64)
	require.Equal(t, &configuration{Project: "dw", Digest: digest, Rules: map[string]string{"RM001": "off", "RM002": "error"},
		Include: []string{"docs/**"}, Exclude: []string{"**/old/**"}, Fail: map[string]int{"warning": 2}}, l.Configuration)
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{"reason":"1 README","reasonZh":"1 个 README"}`).Attempt)
	f := g.started(id)
	require.Equal(t, &task.Configuration{Project: "dw", Digest: digest, By: "li"}, f.Configuration)
	require.Equal(t, digest, f.Scanner.ConfigDigest)
	require.Equal(t, "1 README", f.Reason)
	require.Equal(t, "1 个 README", f.ReasonZH)
	require.True(t, w.say(id, l.Lease, "SubTaskCompleted", pass(1)).Changed)
	require.Equal(t, "ack", w.settle(l, "ack", "").End)

	g.waive(suppression.Which{Rule: "RM009", Path: "**"})
	id = g.open()
	l = w.next()
	require.True(t, w.ask(http.MethodPost, "/tasks/"+id+"/facts", []byte(`{"fact":"SubTaskStarted","lease":"`+l.Lease+`"}`), "X-Factgate-Config-Digest", "own").Changed)
	require.Len(t, g.started(id).Scanner.ConfigDigest, 64, "its own, the document and the waivers")
	require.NotEqual(t, digest, g.started(id).Scanner.ConfigDigest)
}

func TestATypeThatIsSwitchedOffDeclinesThoughItsScannerKnowsNothing(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	g.configure("enabled: false")
	id := g.open()
	require.Empty(t, w.ask(http.MethodGet, "/deliveries?wait=1s", nil).Deliveries)
	s := task.Fold(testbench.Await(t, g.commands, id, "declined", func(s task.State) bool { return s.Declined["README"].Code == scanners.Disabled }))
	require.Equal(t, "li", s.Declined["README"].Configuration.By)
	require.Contains(t, s.Declined["README"].ReasonZH, "停用")

	// One that took part before has to end.
	g.configure("enabled: true")
	id = g.open()
	l := w.next()
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	g.configure("enabled: false")
	require.Equal(t, "retry", w.settle(l, "nack", `{"action":"retry","reason":"x"}`).End)
	require.Empty(t, w.ask(http.MethodGet, "/deliveries?wait=1s", nil).Deliveries)
	s = task.Fold(testbench.Await(t, g.commands, id, "ended", func(s task.State) bool { return s.SubTasks["README"].State == task.StateFailed }))
	require.Equal(t, task.Error, s.SubTasks["README"].Kind)
	require.Contains(t, s.SubTasks["README"].Reason, "took part before, and now would not: switched off")

	// So does one that waited while its worker was busy.
	g.configure("enabled: true")
	g.open()
	l = w.next()
	require.Equal(t, 1, w.say(l.TaskID, l.Lease, "SubTaskStarted", `{}`).Attempt)
	id = g.open()
	g.configure("enabled: false")
	require.True(t, w.say(l.TaskID, l.Lease, "SubTaskCompleted", pass(1)).Changed)
	require.Equal(t, "ack", w.settle(l, "ack", "").End)
	require.Empty(t, w.ask(http.MethodGet, "/deliveries?wait=1s", nil).Deliveries)
	require.Equal(t, []string{"SubTaskDeclined"}, g.names(id))

	// What nobody can tell a scanner is no configuration.
	g.configure("settings: {limit: .inf}")
	id = g.open()
	require.Empty(t, w.ask(http.MethodGet, "/deliveries?wait=1s", nil).Deliveries)
	s = task.Fold(testbench.Await(t, g.commands, id, "ended", func(s task.State) bool { return s.SubTasks["README"].State == task.StateFailed }))
	require.Contains(t, s.SubTasks["README"].Reason, "line 1, column 11: the settings hold what JSON has no word for")
}

// Levels, hidden files, thresholds, the package's own suppressions and waivers hold for
// findings from elsewhere as for others.
func TestReportsOverHTTPGoThroughTheGate(t *testing.T) {
	own := "suppressions:\n  - {rule: RM002, path: docs/**, reason: one-off}\n  - {rule: RM002, path: nowhere/**, reason: old}\n  - {rule: RM003, path: '**', reason: late, expires: 2020-01-01}\n"
	three := []report.Finding{found("RM001", report.Error, "README.md"), found("RM002", report.Error, "docs/a.md"), found("RM003", report.Warning, "docs/b.md")}
	for name, c := range map[string]struct {
		configuration string
		waived        string // a rule
		own           string
		found         []report.Finding
		fact, result  string
		lines         []string
		reason        string
	}{
		"nothing is said": {found: three, fact: "SubTaskFailed", reason: "so many errors",
			lines: []string{"RM001 error README.md", "RM002 error docs/a.md", "RM003 warning docs/b.md"}},
		"all that fails is suppressed": {configuration: "rules: {RM001: note}", own: own, found: three, fact: "SubTaskCompleted", result: "PASS_WITH_WARNINGS",
			lines: []string{"RM001 note README.md", "RM002 error docs/a.md external .factgate.yml:2 one-off", "RM003 warning docs/b.md", "SUP001 note .factgate.yml", "SUP002 note .factgate.yml"}},
		"a waiver": {waived: "RM001", own: own, found: three[:2], fact: "SubTaskCompleted", result: "PASS",
			lines: []string{"RM001 error README.md external wang agreed", "RM002 error docs/a.md external .factgate.yml:2 one-off", "SUP001 note .factgate.yml"}},
		"a package's file is not understood": {own: "suppressions: 7", found: three[:2], fact: "SubTaskFailed", reason: "2 errors: RM001, RM002",
			lines: []string{"SUP003 warning .factgate.yml", "RM001 error README.md", "RM002 error docs/a.md"}},
		"raised to an error": {configuration: "rules: {RM003: error, RM002: off}", found: three[2:], fact: "SubTaskFailed", reason: "1 error: RM003",
			lines: []string{"RM003 error docs/b.md"}},
		"errors are allowed": {configuration: "fail: {error: 2}", found: three, fact: "SubTaskCompleted", result: "PASS_WITH_WARNINGS",
			lines: []string{"RM001 error README.md", "RM002 error docs/a.md", "RM003 warning docs/b.md"}},
		"warnings are not": {configuration: "fail: {warning: 0}", found: three[2:], fact: "SubTaskFailed", reason: "1 warning, and its configuration allows 0: RM003",
			lines: []string{"RM003 warning docs/b.md"}},
		"hidden files": {configuration: "exclude: ['docs/**']", found: three[1:], fact: "SubTaskCompleted", result: "PASS", lines: nil},
		"a waiver of its own making": {found: []report.Finding{{Rule: "RM001", Severity: report.Error, Message: report.Text{En: "x", Zh: "x"}, Suppression: &report.Suppression{Kind: report.External, By: "boss", Waiver: "w"}}},
			fact: "SubTaskCompleted", result: "PASS", lines: []string{"RM001 error  inSource boss "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			w := worker{g, g.serve(scanners.ChannelOptions{}).url, "one"}
			if c.configuration != "" {
				g.configure(c.configuration)
			}
			if c.waived != "" {
				g.waive(suppression.Which{Rule: c.waived, Path: "**"})
			}
			files := []string{"README.md", ""}
			if c.own != "" {
				files = append(files, ".factgate.yml", c.own)
			}
			id := g.openWith(files...)
			l := w.next()
			require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
			for _, changed := range []bool{true, false} {
				got := w.ending(l, c.found...)
				require.Equal(t, http.StatusOK, got.status, got.Refused)
				require.Equal(t, changed, got.Changed)
				if changed {
					require.Equal(t, c.fact, got.Facts[0].Type)
				}
			}
			require.Equal(t, "ack", w.settle(l, "ack", "").End)
			require.False(t, w.ending(l, c.found...).Changed, "once more")
			require.Equal(t, []string{"SubTaskStarted", c.fact}, g.names(id))
			require.Equal(t, c.lines, g.lines(id))
			require.Equal(t, c.result, string(g.sub(id).Result))
			require.Equal(t, c.reason, g.sub(id).Reason)
		})
	}
}

// An attempt is held to what it was told at its beginning. Without its lease nobody
// knows any more what that was, if it has changed since.
func TestAnAttemptIsHeldToWhatItWasTold(t *testing.T) {
	g := newGate(t)
	first := g.serve(scanners.ChannelOptions{})
	w := worker{g, first.url, "one"}
	g.configure("rules: {RM001: note}")
	id := g.open()
	l := w.next()
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	g.configure("rules: {RM001: error}")
	elsewhere := worker{g, g.serve(scanners.ChannelOptions{}).url, "one"}
	got := elsewhere.ending(l, finding)
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "configuration.changed", got.Refused.Code)
	require.Equal(t, []string{"SubTaskStarted"}, g.names(id))
	require.Equal(t, "SubTaskCompleted", w.ending(l, finding).Facts[0].Type, "as it was told")
	require.Equal(t, []string{"RM001 note README.md"}, g.lines(id))

	id = g.open()
	l = w.next()
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	require.Equal(t, "SubTaskFailed", elsewhere.ending(l, finding).Facts[0].Type, "nothing has changed")
}

// What a report has no room for is counted by its scanner alone, and the gate cannot
// take it away.
func TestFindingsBeyondAReportStayCounted(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(scanners.ChannelOptions{}).url, "one"}
	g.configure("rules: {RM001: off}")
	id := g.open()
	l := w.next()
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	many := make([]report.Finding, report.MaxFindings)
	for i := range many {
		many[i] = found("RM001", report.Error, "README.md")
	}
	stored := w.report(id, many...)
	require.Equal(t, report.Counts{Error: report.MaxFindings}, stored.Summary)
	got := w.say(id, l.Lease, "SubTaskFailed", fmt.Sprintf(`{"attempt":1,"kind":"CHECK","reason":"many","summary":{"error":%d,"warning":0,"note":0},"coverage":{"eligible":1,"seen":1},"report":{"key":%q,"sha256":%q}}`,
		report.MaxFindings+7, stored.Key, stored.SHA256))
	require.True(t, got.Changed, got.Refused)
	require.Equal(t, &report.Counts{Error: 7}, g.sub(id).Summary)
	require.Equal(t, "7 errors: beyond what its report has room for", g.sub(id).Reason)
}

// Covered nothing is no pass, though nothing is left that fails; an error is none either.
func TestTheGateMakesNoPassOfWhatWasNotRead(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(scanners.ChannelOptions{}).url, "one"}
	g.configure("rules: {RM001: off}")
	for _, c := range []struct{ kind, reason string }{{"CHECK", "covered nothing: 0 of 3 files could be read"}, {"ERROR", "broke off"}} {
		id := g.open()
		l := w.next()
		require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
		stored := w.report(id, finding)
		got := w.say(id, l.Lease, "SubTaskFailed", fmt.Sprintf(`{"attempt":1,"kind":%q,"reason":"broke off","summary":{"error":1,"warning":0,"note":0},"coverage":{"eligible":3,"seen":0},"report":{"key":%q,"sha256":%q}}`, c.kind, stored.Key, stored.SHA256))
		require.True(t, got.Changed, got.Refused)
		require.Equal(t, task.Error, g.sub(id).Kind)
		require.Equal(t, c.reason, g.sub(id).Reason)
		require.Equal(t, &report.Counts{}, g.sub(id).Summary)
		require.Equal(t, "ack", w.settle(l, "ack", "").End)
	}
}
