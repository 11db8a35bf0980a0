package external

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
)

// A process of this binary shuts itself in when it is told so.
func TestMain(m *testing.M) {
	Enter()
	if os.Getenv(asVictim) != "" {
		victim()
	}
	os.Exit(m.Run())
}

func pack(t testing.TB, files map[string]string) *zippkg.Package {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write([]byte(files[name]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	pkg, err := zippkg.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), zippkg.Limits{})
	require.NoError(t, err)
	return pkg
}

type findings []report.Finding

func (f *findings) Add(found report.Finding) { *f = append(*f, found) }

// define makes a scanner of a shell script, which sees the files as its arguments.
func define(t testing.TB, script, rest string) *Scanner {
	t.Helper()
	s, err := New(t.Context(), parsed(t, script, rest))
	require.NoError(t, err)
	return s
}

func parsed(t testing.TB, script, rest string) *Definition {
	t.Helper()
	text := "type: TEST\ncommand: [sh, -c, " + fmt.Sprintf("%q", script) + ", sh, \"{files}\"]\nfiles: [\"**/*.txt\"]\nexit: {clean: [0], findings: [1]}\n" + rest
	if !strings.HasPrefix(rest, "output:") {
		text += "output: {format: lines, pattern: '^(?P<path>[^:]+):(?P<line>\\d+):(?P<severity>\\w+):(?P<rule>\\w+):(?P<message>.*)$'}\n"
	}
	d, err := Parse(strings.NewReader(text))
	require.NoError(t, err)
	return d
}

func scan(t testing.TB, s *Scanner, files map[string]string) (findings, task.Coverage, error) {
	t.Helper()
	var out findings
	coverage, err := s.Scan(t.Context(), pack(t, files), &out)
	return out, coverage, err
}

func TestACommandIsAScanner(t *testing.T) {
	s := define(t, `grep -Hn TODO "$@" | sed 's/:\([0-9]*\):/:\1:bad:T1:/'`, "severities: {bad: error}\n")
	pkg := pack(t, map[string]string{"a/x.md": "TODO"})
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	require.False(t, decision.TakesPart())
	require.Equal(t, "NO_MATCHING_FILES", decision.Code())

	got, coverage, err := scan(t, s, map[string]string{"b/-x.txt": "one\nTODO two\n", "a y.txt": "TODO\n", "clean.txt": "", "x.md": "TODO"})
	require.NoError(t, err)
	require.Equal(t, task.Coverage{Eligible: 3, Seen: 3}, coverage)
	require.Len(t, got, 2)
	require.Equal(t, report.Finding{Rule: "T1", Severity: report.Error, Message: report.Text{En: "TODO", Zh: "TODO"}, Path: "a y.txt", Line: 1, Anchor: "TODO"}, got[0])
	require.Equal(t, []any{"b/-x.txt", 2, "TODO two"}, []any{got[1].Path, got[1].Line, got[1].Message.En})
}

func TestWhatACommandSeesIsAllItGets(t *testing.T) {
	t.Setenv("FACTGATE_SECRET", "s3cret")
	s := define(t, `find . -type f | sort | sed 's/^/a.txt:1:note:FILE:/'; env | sort | sed 's/^/a.txt:1:note:ENV:/'; echo "a.txt:1:note:HOME:$(ls -A "$HOME" | wc -l)"`,
		"environment: {GIVEN: \"yes\"}\n")
	got, _, err := scan(t, s, map[string]string{"a.txt": "", "b.sql": "secret"})
	require.NoError(t, err)
	var files, env []string
	for _, f := range got {
		switch f.Rule {
		case "FILE":
			files = append(files, f.Message.En)
		case "ENV":
			name, _, _ := strings.Cut(f.Message.En, "=")
			env = append(env, name)
		case "HOME":
			require.Equal(t, "0", f.Message.En)
		}
	}
	require.Equal(t, []string{"./a.txt"}, files)
	require.Contains(t, env, "GIVEN")
	require.NotContains(t, env, "FACTGATE_SECRET")
}

func TestTheCopyIsRemoved(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	s := define(t, `chmod -R a-w .; exit 0`, "")
	_, _, err := scan(t, s, map[string]string{"d/a.txt": ""})
	if os.Getuid() == 0 {
		require.NoError(t, err)
	}
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestNoNetworkUnlessItIsAskedFor(t *testing.T) {
	interfaces := func(network string) (names []string) {
		s := define(t, `tail -n +3 /proc/self/net/dev | cut -d: -f1 | tr -d ' ' | sed 's/^/a.txt:1:note:DEV:/'`, "network: "+network+"\n")
		require.Empty(t, s.Exposed(), "these tests want a system with namespaces")
		got, _, err := scan(t, s, map[string]string{"a.txt": ""})
		require.NoError(t, err)
		for _, f := range got {
			names = append(names, f.Message.En)
		}
		slices.Sort(names)
		return names
	}
	require.Equal(t, []string{"lo"}, interfaces("none"))
	text, err := os.ReadFile("/proc/self/net/dev")
	require.NoError(t, err)
	require.Len(t, interfaces("host"), strings.Count(string(text), ":"))
}

func TestWhoDoesNotEndWellHasNotScanned(t *testing.T) {
	for name, c := range map[string]struct{ script, rest, says string }{
		"exit code":                  {`echo "no such option" >&2; exit 64`, "", `exit code 64, which is neither clean nor findings (it said: "no such option")`},
		"killed":                     {`sh -c 'kill -9 $$'; exit $?`, "", "exit code 137"},
		"time":                       {`sleep 600`, "limits: {time: 200ms}\n", "took longer than its 200ms"},
		"memory":                     {`x=$(head -c 300000000 /dev/zero | tr '\0' a); sleep 600`, "limits: {memory: 64MiB}\n", "took more memory"},
		"output":                     {`head -c 2000000 /dev/zero`, "limits: {output: 1MiB}\n", "printed more than 1048576 bytes"},
		"findings that nobody reads": {`echo "three things are wrong"; exit 1`, "", "stands for findings, and none can be read"},
		"no SARIF":                   {`echo "{}"`, "output: {format: sarif}\n", "is not SARIF 2"},
		"no JSON":                    {`echo "oops"`, "output: {format: sarif}\n", "cannot be read as sarif"},
		"no JUnit":                   {`echo "<a/>"`, "output: {format: junit}\n", "no testsuite"},
		"entities":                   {`echo '<!DOCTYPE a [<!ENTITY x "y">]><testsuite/>'`, "output: {format: junit}\n", "document type"},
		"no file":                    {`true`, "output: {format: sarif, from: out.sarif}\n", "did not write out.sarif"},
		"a file elsewhere":           {`ln -s /etc/hostname out.sarif`, "output: {format: sarif, from: out.sarif}\n", "did not write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, coverage, err := scan(t, define(t, c.script, c.rest), map[string]string{"a.txt": ""})
			require.ErrorContains(t, err, c.says)
			require.Zero(t, coverage.Seen)
		})
	}
}

// What a command leaves running ends with it.
func TestNothingOutlivesTheCommand(t *testing.T) {
	marker := fmt.Sprintf("31%06d", os.Getpid())
	s := define(t, `(setsid sleep `+marker+` >/dev/null 2>&1 &) ; exit 0`, "")
	_, _, err := scan(t, s, map[string]string{"a.txt": ""})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		require.NoError(t, err)
		for _, file := range all {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), marker) && strings.Contains(string(text), "sleep") && !strings.Contains(string(text), "setsid") {
				return false
			}
		}
		return true
	}, 10*time.Second, 5*time.Millisecond)
}

func TestAStopEndsTheCommand(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	s := define(t, `sleep 600`, "")
	pkg := pack(t, map[string]string{"a.txt": ""})
	var out findings
	done := make(chan error, 1)
	go func() {
		_, err := s.Scan(ctx, pkg, &out)
		done <- err
	}()
	stopped := fmt.Errorf("the process stops")
	cancel(stopped)
	select {
	case err := <-done:
		require.ErrorIs(t, err, stopped)
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestManyFilesAreSeveralCalls(t *testing.T) {
	files := map[string]string{}
	for i := range 2_000 {
		files[fmt.Sprintf("a-folder-with-quite-a-long-name-to-fill-the-arguments/%04d-and-a-long-file-name-too.txt", i)] = ""
	}
	s := define(t, `for f in "$@"; do echo "$f:1:note:SEEN:x"; done`, "")
	got, coverage, err := scan(t, s, files)
	require.NoError(t, err)
	require.Len(t, got, 2_000)
	require.Equal(t, 2_000, coverage.Seen)
	require.True(t, slices.IsSortedFunc(got, byPlace))

	few := define(t, `true`, "limits: {files: 10}\n")
	_, coverage, err = scan(t, few, files)
	require.NoError(t, err)
	require.Equal(t, []int{2_000, 10, maxDegraded}, []int{coverage.Eligible, coverage.Seen, len(coverage.Degraded)})
	require.Equal(t, "not scanned: it is over the limits of "+few.definition.Name, coverage.Degraded[0].Reason)
	require.Equal(t, "未扫描：超出 "+few.definition.Name+" 的限制", coverage.Degraded[0].ReasonZH)
}

func TestSARIFIsRead(t *testing.T) {
	log := `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x","rules":[
		{"id":"R0","defaultConfiguration":{"level":"error"},"messageStrings":{"m":{"text":"{0} is not {1}"}}},{"id":"R1","shortDescription":{"text":"short"}}]}},
		"results":[
		{"ruleIndex":0,"message":{"id":"m","arguments":["a","b"]},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"b%20c.txt"},"region":{"startLine":3,"startColumn":2,"endColumn":9}}}]},
		{"rule":{"id":"R1","index":1},"level":"note","message":{},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"file:///etc/passwd"},"region":{"startLine":7}}}]},
		{"ruleId":"R2","kind":"pass","message":{"text":"fine"}},
		{"ruleId":"R3","message":{"text":"sup"},"suppressions":[{"kind":"inSource","justification":"why"}],"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.txt"}}}]},
		{"message":{"text":"bare"},"level":"none"}]}]}`
	s := define(t, "cat <<'END' >log.json\n"+log+"\nEND\nexit 1", "output: {format: sarif, from: log.json, rule: OTHER}\n")
	got, _, err := scan(t, s, map[string]string{"a.txt": "", "b c.txt": ""})
	require.NoError(t, err)
	both := func(s string) report.Text { return report.Text{En: s, Zh: s} }
	require.Equal(t, findings{
		{Rule: "R1", Severity: report.Note, Message: both("short"), Anchor: "short"},
		{Rule: "OTHER", Severity: report.Note, Message: both("bare"), Anchor: "bare"},
		{Rule: "R3", Severity: report.Warning, Message: both("sup"), Path: "a.txt", Anchor: "sup", Suppressed: true,
			Suppression: &report.Suppression{Kind: report.InSource, By: "test", Reason: "why"}},
		{Rule: "R0", Severity: report.Error, Message: both("a is not b"), Path: "b c.txt", Line: 3, Column: 2, EndColumn: 9, Anchor: "a is not b"},
	}, got)
}

func TestJUnitIsRead(t *testing.T) {
	log := `<?xml version="1.0" encoding="UTF-8"?><testsuites><testsuite name="a.txt"><testcase name="one"/>
		<testcase name="two" file="b.txt" line="4"><failure type="lint" message="bad"/></testcase>
		<testcase name="three"><error>deep <b>trouble</b></error></testcase></testsuite></testsuites>`
	s := define(t, "cat <<'END'\n"+log+"\nEND\nexit 1", "output: {format: junit}\n")
	got, _, err := scan(t, s, map[string]string{"a.txt": "", "b.txt": ""})
	require.NoError(t, err)
	both := func(s string) report.Text { return report.Text{En: s, Zh: s} }
	require.Equal(t, findings{
		{Rule: "TEST", Severity: report.Error, Message: both("three: deep trouble"), Path: "a.txt", Anchor: "three: deep trouble"},
		{Rule: "lint", Severity: report.Error, Message: both("two: bad"), Path: "b.txt", Line: 4, Anchor: "two: bad"},
	}, got)
}

func TestAnotherVersionIsOtherRules(t *testing.T) {
	digest := func(version string) string {
		return define(t, "true", "version: [echo, \""+version+"\"]\n").Describe().RulesDigest
	}
	require.NotEqual(t, digest("1.0"), digest("1.1"))
	require.Equal(t, "1.0", define(t, "true", "version: [echo, \"1.0\"]\n").Describe().Version)
	d, err := Parse(strings.NewReader("type: X\ncommand: [no-such-program-here]\nfiles: [a]\noutput: {format: sarif}\n"))
	require.NoError(t, err)
	_, err = New(t.Context(), d)
	require.ErrorContains(t, err, "there is no program no-such-program-here on PATH; install it")
}

func TestWhatIsWrongWithADefinitionIsSaidAtOnce(t *testing.T) {
	_, err := Parse(strings.NewReader("type: lower\nfiles: [\"[\"]\nnetwork: all\nexit: {findings: [300]}\nseverities: {x: fatal}\noutput: {format: lines, pattern: 'x'}\nrules: [{id: A}, {id: A}]\n"))
	for _, says := range []string{"type:", "command:", "files:", "network:", "exit: 300", "severities.x", "(?P<path>", "rules: entry 2"} {
		require.ErrorContains(t, err, says)
	}
	for text, says := range map[string]string{
		"":                     "empty",
		"typ: X":               "line 1",
		"limits: {memory: 3x}": "line 1, column 18",
		"a: b\n---\nc: d":      "not a definition",
		"type: X\ncommand: [a]\nfiles: [b]\noutput: {format: sarif}\n---\ntype: Y": "one definition",
		strings.Repeat("#", maxDefinition+1):                                       "larger than",
	} {
		_, err := Parse(strings.NewReader(text))
		require.ErrorContains(t, err, says, text[:min(len(text), 40)])
	}
}

func FuzzParse(f *testing.F) {
	f.Add("type: X\ncommand: [a]\nfiles: [b]\noutput: {format: sarif}\nlimits: {memory: 1GiB, time: 1m}\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(strings.NewReader(text))
		if err == nil {
			d.matches("a/b.sh")
			require.NotEmpty(t, d.Exit.Clean)
		}
	})
}

func FuzzCollect(f *testing.F) {
	f.Add(`{"version":"2.1.0","runs":[{"results":[{"ruleId":"a","message":{"text":"{0}","arguments":["b"]}}]}]}`)
	f.Add(`<testsuite><testcase name="a"><failure>b</failure></testcase></testsuite>`)
	f.Add("a.txt:1:x:y:z\n")
	f.Fuzz(func(t *testing.T, output string) {
		for _, format := range []string{"sarif", "junit", `lines, pattern: "(?P<path>[^:]+):(?P<line>[^:]*):(?P<message>.*)"`} {
			d, err := Parse(strings.NewReader("type: X\ncommand: [a]\nfiles: [b]\noutput: {format: " + format + "}\n"))
			require.NoError(t, err)
			c := &collector{definition: d, folder: "/tmp/x", known: map[string]bool{"a.txt": true}}
			if _, err := c.read([]byte(output)); err != nil {
				continue
			}
			for _, found := range c.list {
				require.NotEmpty(t, found.Message.En)
				require.True(t, found.Path == "" || found.Path == "a.txt")
			}
		}
	})
}
