package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShadowsProjectsAndADryRunThatBreaksOff(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--quiet", "1s")
	defer s.kill()
	ask := func(args ...string) ran { return run(t, append(args, "--server", s.url)...) }
	file := written(t, "next.yaml", lenient)
	require.Zero(t, ask("rules", "publish", file).code)

	require.Equal(t, ran{0, "project dw: its own: shadow lenient@1\n", ""}, ask("rules", "shadow", "lenient@1", "--project", "dw"))
	require.Equal(t, ran{0, "project dw: its own: shadow lenient@1 (so already)\n", ""}, ask("rules", "shadow", "lenient@1", "--project", "dw"))
	check := func(name, project string) string {
		checked := ask("check", packed(t)[name], "--json", "--project", project)
		var r result
		require.NoError(t, json.Unmarshal([]byte(checked.out), &r), checked.errors)
		return r.TaskID
	}
	shadowed, plain := check("docs-only", "dw"), check("docs-only", "other")
	said := ask("explain", shadowed).out
	require.True(t, strings.HasPrefix(said, "FAILED: "), said)
	require.Contains(t, said, "IN ITS SHADOW, lenient 1 SAYS OTHERWISE: SUCCESS: always (nothing is decided by it)")
	require.Contains(t, ask("explain", shadowed, "--lang", "zh").out, "影子规则集 lenient 1 的结论不同：SUCCESS")
	require.Contains(t, ask("explain", shadowed, "--at", "1").out, "in its shadow, lenient 1 would decide at ")
	require.NotContains(t, strings.ToLower(ask("explain", plain).out), "shadow")
	reported := ask("rules", "shadow-report", "lenient@1", "--project", "dw")
	require.Equal(t, ran{0, "lenient 1 in the shadow: 1 tasks judged, 0 same, 1 differing, 0 undecidable\n  " + shadowed + "  dw  docs-only.zip: FAILED, and SUCCESS by rule always\n", ""}, reported)
	require.Contains(t, ask("rules", "shadow-report", "lenient@1", "--lang", "zh").out, "结论 FAILED，影子 SUCCESS（规则 always）")
	var report shadowReportView
	require.NoError(t, json.Unmarshal([]byte(ask("rules", "shadow-report", "lenient@1", "--json").out), &report))
	require.Equal(t, []any{int64(1), int64(1), shadowed}, []any{report.Judged, report.Differing, report.Differences[0].Task})
	require.Contains(t, ask("rules", "shadow-report", "lenient").errors, "say which version, such as lenient@1")

	require.Equal(t, ran{0, "project dw: its own: window 20m0s, quiet 2s, shadow lenient@1\n", ""}, ask("project", "configure", "dw", "--window", "20m", "--quiet", "2s"))
	require.Equal(t, "项目 dw：自身设置：窗口期 20m0s，影子规则集 lenient@1\n", ask("project", "configure", "dw", "--clear", "quiet", "--lang", "zh").out)
	require.Equal(t, ran{0, "project *: its own: minimum 1s\n", ""}, ask("project", "configure", "*", "--minimum", "1s"))
	require.Equal(t, "project dw\n  its own:  window 20m0s, shadow lenient@1\n  in force: rule set default 1, window 20m0s, quiet 10s, minimum 1s\n  in its shadow: lenient 1\n", ask("project", "show", "dw").out)
	var view projectView
	require.NoError(t, json.Unmarshal([]byte(ask("project", "show", "dw", "--json").out), &view))
	require.Equal(t, "lenient@1", *view.Settings.Shadow)
	require.Equal(t, 1, view.Terms.Shadow.Version)
	require.Equal(t, ran{0, "project *: its own: minimum 1s, shadow lenient@1\n", ""}, ask("rules", "shadow", "lenient@1"))
	require.Equal(t, ran{0, "project dw: its own: window 20m0s, shadow none\n", ""}, ask("rules", "shadow", "--off", "--project", "dw"))
	require.NotContains(t, ask("project", "show", "dw").out, "in its shadow")
	require.Contains(t, ask("project", "show", "dw", "--lang", "zh").out, "影子规则集 无")
	require.Equal(t, ran{0, "project dw: its own: window 20m0s\n", ""}, ask("project", "configure", "dw", "--clear", "shadow"))
	require.Contains(t, ask("project", "show", "dw").out, "in its shadow: lenient 1")
	require.Equal(t, ran{0, "project *: its own: minimum 1s\n", ""}, ask("rules", "shadow", "--off"))
	for says, args := range map[string][]string{
		"nothing to change":      {"project", "configure", "dw"},
		"both given and cleared": {"project", "configure", "dw", "--quiet", "1s", "--clear", "quiet"},
		"is no setting":          {"project", "configure", "dw", "--clear", "everything"},
		"--clear shadow":         {"project", "configure", "dw", "--shadow", ""},
		"no version of rule set": {"project", "configure", "dw", "--shadow", "lenient"},
		"count from 1":           {"rules", "shadow", "lenient@0"},
		"no rule set":            {"rules", "shadow", "nothing"},
		"NAME[@VERSION] | --off": {"rules", "shadow"},
		"a project's name":       {"project", "show", ""},
	} {
		got := ask(args...)
		require.Equal(t, exitError, got.code, "%v", args)
		require.Contains(t, got.errors, says)
	}

	// A dry run is stopped while it asks for its third page; what it said and what
	// the rest says is what a whole run says.
	for _, name := range []string{"retail-1.4.0", "docs-only"} {
		check(name, "third")
	}
	whole := ask("rules", "dry-run", file, "--json")
	require.Zero(t, whole.code, whole.errors)
	first, errs := stopped(t, s.url, "rules", "dry-run", file, "--json")
	_, after, ok := strings.Cut(strings.TrimSpace(errs), "go on with: --after ")
	require.True(t, ok, errs)
	rest := ask("rules", "dry-run", file, "--json", "--after", after)
	require.Zero(t, rest.code, rest.errors)
	lines, sum, next := dryRunLines(t, first)
	more, added, none := dryRunLines(t, rest.out)
	all, total, _ := dryRunLines(t, whole.out)
	require.Equal(t, after, next)
	require.Empty(t, none)
	require.Equal(t, 2, sum.Tried)
	require.Equal(t, all, append(lines, more...))
	sum.add(dryRunPageView{
		Tried: added.Tried, Undecided: added.Undecided, Counts: added.Counts,
		Flips: make([]json.RawMessage, added.Flips), Undecidable: make([]json.RawMessage, added.Undecidable),
	})
	require.ElementsMatch(t, total.Counts, sum.Counts)
	sum.Counts, total.Counts = nil, nil
	require.Equal(t, total, sum)
	require.Equal(t, 4, total.Tried)
	require.Equal(t, 3, total.Flips)
	s.stop(t)
}

// stopped runs a dry run through a proxy that asks for one task a page, and
// interrupts it when it asks for the third.
func stopped(t *testing.T, server string, args ...string) (out, errs string) {
	t.Helper()
	target, err := url.Parse(server)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	third, asked := make(chan struct{}), 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if asked++; asked == 3 { // one client, one question at a time
			close(third)
			<-r.Context().Done()
			return
		}
		body["variables"].(map[string]any)["first"] = 1
		changed, _ := json.Marshal(body) // it was JSON
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(changed)), int64(len(changed))
		forward.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	cmd := factgate(t.Context(), append(args, "--server", proxy.URL)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-third:
	case err := <-ended:
		t.Fatalf("it ended before it was stopped: %v: %s", err, stderr.String())
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, <-ended)
	require.Equal(t, exitError, cmd.ProcessState.ExitCode())
	return stdout.String(), stderr.String()
}

// dryRunLines reads a dry run's JSON: what it says of tasks, the sum, and next.
func dryRunLines(t *testing.T, out string) (tasks []string, sum dryRunSum, next string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct {
		Sum  dryRunSum
		Next string
	}
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	return lines[:len(lines)-1], last.Sum, last.Next
}
